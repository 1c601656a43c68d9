//! The one clean stop: Ctrl-C, `--for`, `--max-pages`, and the end of the crawl. Nothing is redone after it.

use super::command::{CYCLOSA, assert_code, assert_sound, crawl, kill, report, run, stderr, wait};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// `cyclosa web` on a port of its own.
pub struct Web {
    child: Child,
    folder: tempfile::TempDir,
}

impl Web {
    pub fn start(flags: &[&str]) -> Self {
        let mut child = Command::new(CYCLOSA)
            .args(["web", "--listen", "127.0.0.1:0"])
            .args(flags)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the web starts");
        let port: u16 = BufReader::new(child.stdout.take().expect("piped"))
            .lines()
            .map_while(Result::ok)
            .find_map(|line| {
                let (_, rest) = line.split_once("*.web.test:")?;
                rest.split(':').next()?.parse().ok()
            })
            .expect("it prints the crawl line");
        let folder = tempfile::tempdir().expect("a scratch directory");
        let seeds = format!("http://h0.web.test:{port}/\n");
        std::fs::write(folder.path().join("seeds.txt"), seeds).expect("seeds");
        Self { child, folder }
    }

    pub fn seeds(&self) -> PathBuf {
        self.folder.path().join("seeds.txt")
    }

    pub fn crawl(&self, dir: &Path) -> Command {
        crawl(&self.seeds(), dir)
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn ctrl_c_under_load_ends_soon_with_a_checkpoint_and_nothing_is_redone() {
    let web = Web::start(&["--hosts", "50"]);
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let dir = scratch.path().join("crawl");
    let mut child = web
        .crawl(&dir)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    std::thread::sleep(Duration::from_millis(1_500));
    kill(child.id(), "-INT");
    let code = wait(&mut child, Duration::from_secs(20)).expect("it ends within its bound");
    assert_eq!(code, 130);
    assert_sound(&dir);
    let first = report(&dir);
    assert_eq!(first["stop"], "interrupted");
    assert_eq!(first["urls"]["in_flight"], 0);

    let pages = first["pages"].as_u64().expect("a number");
    let limit = (pages + 500).to_string();
    let output = run(web.crawl(&dir).args(["--max-pages", &limit]));
    assert_code(&output, 0);
    let second = report(&dir);
    assert_eq!(second["stop"], "pages");
    assert_eq!(second["restored"]["requeued"], 0);
    assert_eq!(second["pages"].as_u64(), Some(pages + 500));
    assert_eq!(second["balance"]["ok"], true);
    assert_sound(&dir);
}

#[test]
fn time_ends_a_crawl_with_code_0() {
    let web = Web::start(&["--hosts", "20"]);
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let dir = scratch.path().join("crawl");
    let output = run(web.crawl(&dir).args(["--for", "1s"]));
    assert_code(&output, 0);
    let report = report(&dir);
    assert_eq!(report["stop"], "time");
    for key in [
        "pages",
        "bytes",
        "elapsed_s",
        "pages_per_s",
        "urls",
        "outcomes",
        "status",
        "limiter",
        "latency_us",
        "checkpoints",
        "restored",
        "memory",
    ] {
        assert!(report.get(key).is_some(), "report.json has {key}");
    }
    for stage in [
        "fetch",
        "parse",
        "frontier",
        "store",
        "checkpoint_cut",
        "checkpoint_durable",
    ] {
        let latency = &report["latency_us"][stage];
        for key in ["p50", "p90", "p99", "p999", "max"] {
            assert!(latency[key].is_number(), "latency_us.{stage}.{key}");
        }
    }
    assert!(report["checkpoints"]["count"].as_u64() >= Some(2));
    let log = std::fs::read_to_string(dir.join("latency.hlog")).expect("latency.hlog");
    assert!(log.lines().any(|l| l.starts_with("Tag=fetch,")));
}

#[test]
fn a_crawl_of_every_fault_ends_and_balances() {
    let web = Web::start(&[
        "--hosts",
        "20",
        "--pages",
        "40",
        "--errors",
        "5%",
        "--broken",
        "5%",
        "--redirects",
        "10%",
        "--redirect-loops",
        "20%",
        "--traps",
        "20%",
        "--large",
        "1%",
    ]);
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let dir = scratch.path().join("crawl");
    let output = run(web.crawl(&dir).args(["--max-depth", "12", "--for", "60s"]));
    assert_code(&output, 0);
    let report = report(&dir);
    assert_eq!(report["balance"]["ok"], true, "{}", stderr(&output));
    assert_eq!(report["urls"]["in_flight"], 0);
    assert!(report["outcomes"]["fetched"].as_u64() > Some(100));
    assert_sound(&dir);
}
