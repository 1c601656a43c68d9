//! Running `cyclosa` and understanding what it left behind.

use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

pub const CYCLOSA: &str = env!("CARGO_BIN_EXE_cyclosa");
/// Longer than any of these crawls takes; a test that hangs fails.
const PATIENCE: Duration = Duration::from_secs(180);

/// `cyclosa crawl` with settings that fit sites on loopback.
pub fn crawl(seeds: &Path, dir: &Path) -> Command {
    let mut command = Command::new(CYCLOSA);
    command
        .arg("crawl")
        .arg(seeds)
        .arg("--dir")
        .arg(dir)
        .args(["--allow-net", "127.0.0.0/8", "--scope", "any"])
        .args(["--delay", "0s", "--per-host", "16", "--assets", "none"])
        .args(["--resolve", "*.test:*:127.0.0.1"])
        .arg("--quiet")
        .stdin(Stdio::null());
    command
}

/// Runs to the end; fails the test if that takes too long.
pub fn run(command: &mut Command) -> Output {
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let id = child.id();
    let (done, waiter) = std::sync::mpsc::channel::<()>();
    // Ends a hanging program so that its output is seen.
    let watch = std::thread::spawn(move || {
        if waiter.recv_timeout(PATIENCE).is_err() {
            kill(id, "-KILL");
        }
    });
    let output = child.wait_with_output().expect("its output");
    let _ = done.send(());
    watch.join().expect("the watch ends");
    output
}

/// Sends a signal to a process that a test started.
pub fn kill(pid: u32, signal: &str) {
    let _ = Command::new("kill")
        .args([signal, &pid.to_string()])
        .stderr(Stdio::null())
        .status();
}

/// Waits for a child with a bound; `None` if it still runs then.
pub fn wait(child: &mut Child, longest: Duration) -> Option<i32> {
    let until = Instant::now() + longest;
    while Instant::now() < until {
        if let Some(status) = child.try_wait().expect("a child of ours") {
            return Some(status.code().unwrap_or(-1));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    None
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Fails with everything the program said.
pub fn assert_code(output: &Output, code: i32) {
    assert_eq!(
        output.status.code(),
        Some(code),
        "stdout:\n{}\nstderr:\n{}",
        String::from_utf8_lossy(&output.stdout),
        stderr(output)
    );
}

pub fn report(dir: &Path) -> Value {
    let text = std::fs::read_to_string(dir.join("report.json")).expect("a report");
    serde_json::from_str(&text).expect("JSON")
}

/// URL to (state, status) by `cyclosa urls`.
pub fn urls(dir: &Path) -> BTreeMap<String, (String, String)> {
    let output = run(Command::new(CYCLOSA).arg("urls").arg(dir));
    assert_code(&output, 0);
    let mut urls = BTreeMap::new();
    for line in String::from_utf8(output.stdout).expect("UTF-8").lines() {
        let columns: Vec<&str> = line.split('\t').collect();
        assert_eq!(columns.len(), 7, "seven columns: {line}");
        let row = (columns[1].to_string(), columns[2].to_string());
        let twice = urls.insert(columns[0].to_string(), row);
        assert!(twice.is_none(), "{line} is listed twice");
    }
    urls
}

/// `cyclosa verify` finds nothing.
pub fn assert_sound(dir: &Path) {
    let output = run(Command::new(CYCLOSA).arg("verify").arg(dir));
    assert_code(&output, 0);
}

/// Whether a tool is there; says so if not.
pub fn has(tool: &str) -> bool {
    let found = Command::new("which")
        .arg(tool)
        .stdout(Stdio::null())
        .status()
        .is_ok_and(|s| s.success());
    if !found {
        eprintln!("skipped: {tool} is not installed");
    }
    found
}
