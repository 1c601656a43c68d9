//! The program, run as a user would.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// No command of a test takes longer; beyond it the program hangs.
const PATIENCE: Duration = Duration::from_secs(180);

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    /// Exit code; `None` after a signal.
    pub code: Option<i32>,
    pub signal: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    /// Asserts the exit code.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// The one line that a failing command says.
    #[track_caller]
    pub fn only_line(&self) -> &str {
        assert_eq!(self.stderr.lines().count(), 1, "one clear line: {self:#?}");
        self.stderr.trim_end()
    }
}

/// A command on its way; killed when dropped.
pub struct Running {
    child: Child,
    output: TempDir,
}

impl Running {
    fn start(mut command: Command) -> Self {
        let output = tempfile::tempdir().expect("a directory");
        let file = |name| File::create(output.path().join(name)).expect("a file");
        let child = command
            .stdin(Stdio::null())
            .stdout(file("out"))
            .stderr(file("err"))
            .spawn()
            .expect("the program starts");
        Self { child, output }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has said so far.
    pub fn stderr(&self) -> String {
        let said = fs::read(self.output.path().join("err")).unwrap_or_default();
        String::from_utf8_lossy(&said).into_owned()
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child").is_none()
    }

    /// Sends a signal by name, such as `INT`.
    pub fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(sent.expect("kill runs").success());
    }

    /// `kill -9`; what it had said goes with the result.
    pub fn kill(mut self) -> Ended {
        self.child.kill().expect("its own child");
        self.wait()
    }

    /// Waits for the end.
    pub fn wait(mut self) -> Ended {
        let began = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                break status;
            }
            assert!(began.elapsed() < PATIENCE, "it hangs: {}", self.stderr());
            sleep(Duration::from_millis(2));
        };
        let said = fs::read(self.output.path().join("out")).unwrap_or_default();
        Ended {
            code: status.code(),
            signal: status.signal(),
            stdout: String::from_utf8_lossy(&said).into_owned(),
            stderr: self.stderr(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs the program with `arguments`.
pub fn cyclosa<S: AsRef<std::ffi::OsStr>>(arguments: &[S]) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cyclosa"));
    command.args(arguments);
    Running::start(command).wait()
}

/// A crawl in a directory of its own: the same command as often as a test likes.
pub struct Crawl {
    home: TempDir,
    dir: PathBuf,
    arguments: Vec<String>,
}

/// A line of `cyclosa urls`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlLine {
    pub url: String,
    pub state: String,
    /// Status, outcome or reason.
    pub status: String,
    pub mime: String,
}

impl Crawl {
    /// A crawl of `seeds` with the names below `.test` on loopback, without a pause and with 256 MiB if
    /// none are given; `more` are further arguments.
    pub fn new(seeds: &[String], more: &[&str]) -> Self {
        let local = [
            "--allow-net",
            "127.0.0.0/8",
            "--resolve",
            "*.test:*:127.0.0.1",
        ];
        let memory: &[&str] = match more.contains(&"--memory") {
            true => &[],
            false => &["--memory", "256MiB"],
        };
        let pause: &[&str] = match more.contains(&"--delay") {
            true => &[],
            false => &["--delay", "0s"],
        };
        Self::bare(seeds, &[&local[..], memory, pause, more].concat())
    }

    /// A crawl of `seeds` with these arguments only.
    pub fn bare(seeds: &[String], arguments: &[&str]) -> Self {
        let home = tempfile::tempdir().expect("a directory");
        let dir = home.path().join("crawl");
        fs::write(home.path().join("seeds.txt"), seeds.join("\n") + "\n").expect("a file");
        let arguments = arguments.iter().map(|a| a.to_string()).collect();
        Self {
            home,
            dir,
            arguments,
        }
    }

    /// Moves the crawl directory elsewhere.
    pub fn in_dir(mut self, dir: &Path) -> Self {
        self.dir = dir.to_path_buf();
        self
    }

    /// The crawl directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The same crawl with further arguments from now on.
    pub fn add(&mut self, more: &[&str]) {
        self.arguments.extend(more.iter().map(|a| a.to_string()));
    }

    /// Drops arguments again, down to the first `n`.
    pub fn keep(&mut self, n: usize) {
        self.arguments.truncate(n);
    }

    /// How many arguments there are.
    pub fn argument_count(&self) -> usize {
        self.arguments.len()
    }

    /// Starts the crawl, or goes on with it.
    pub fn start(&self) -> Running {
        self.start_under(&[])
    }

    /// The same as the last arguments of another command.
    pub fn start_under(&self, outer: &[&str]) -> Running {
        let program = env!("CARGO_BIN_EXE_cyclosa");
        let words = [outer, &[program]].concat();
        let mut command = Command::new(words[0]);
        command
            .args(&words[1..])
            .arg("crawl")
            .arg(self.home.path().join("seeds.txt"))
            .arg("--dir")
            .arg(&self.dir)
            .args(&self.arguments);
        Running::start(command)
    }

    /// Runs it to the end of this run.
    pub fn run(&self) -> Ended {
        self.start().wait()
    }

    /// Runs `cyclosa COMMAND DIR MORE...`.
    pub fn ask(&self, command: &str, more: &[&str]) -> Ended {
        let dir = self.dir.to_str().expect("UTF-8");
        let mut words = vec![command, dir];
        words.extend(more);
        cyclosa(&words)
    }

    /// `cyclosa urls`, read.
    pub fn urls(&self) -> Vec<UrlLine> {
        let ended = self.ask("urls", &[]).expect(0);
        let line = |line: &str| {
            let columns: Vec<&str> = line.split('\t').collect();
            assert_eq!(columns.len(), 7, "seven columns: {line:?}");
            UrlLine {
                url: columns[0].into(),
                state: columns[1].into(),
                status: columns[2].into(),
                mime: columns[3].into(),
            }
        };
        ended.stdout.lines().map(line).collect()
    }

    /// State and status by URL; no URL is listed twice.
    #[track_caller]
    pub fn standing(&self) -> BTreeMap<String, (String, String)> {
        let mut all = BTreeMap::new();
        for line in self.urls() {
            let before = all.insert(line.url.clone(), (line.state, line.status));
            assert_eq!(before, None, "{} is listed twice", line.url);
        }
        all
    }

    /// URLs in a state, each once.
    #[track_caller]
    pub fn urls_in(&self, state: &str) -> std::collections::BTreeSet<String> {
        let all = self.standing().into_iter();
        all.filter(|(_, (s, _))| s == state)
            .map(|(url, _)| url)
            .collect()
    }

    /// `report.json` of the last run.
    pub fn report(&self) -> serde_json::Value {
        let text = fs::read(self.dir.join("report.json")).expect("a report");
        serde_json::from_slice(&text).expect("JSON")
    }

    /// Asserts that the stored crawl is whole and the balance adds up.
    #[track_caller]
    pub fn assert_sound(&self) {
        let ended = self.ask("verify", &[]).expect(0);
        assert!(ended.stdout.ends_with("sound\n"), "{ended:#?}");
        let report = self.report();
        assert_eq!(report["balance"]["ok"], true, "{}", report["balance"]);
        let place = |name: &str| report["urls"][name].as_u64().expect("a count");
        let places = ["queued", "in_flight", "done", "excluded", "dropped"];
        let sum: u64 = places.into_iter().map(place).sum();
        assert_eq!(place("discovered"), sum, "{}", report["urls"]);
    }
}
