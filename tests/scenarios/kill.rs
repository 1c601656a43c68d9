//! `kill -9` at any moment, then the same command to the end: the same set of pages, none lost, and only what came after
//! the last cut fetched again.

use super::closure::{assert_same, listed};
use super::command::{assert_code, assert_sound, crawl, kill, run};
use super::site::Site;
use super::truth::closure;
use std::process::Stdio;
use std::time::Duration;

/// Milliseconds after which the crawl is killed: during its start, its first checkpoint, restores, and under load.
const MOMENTS: [u64; 10] = [5, 30, 80, 150, 300, 450, 20, 600, 60, 350];

#[test]
fn ten_kills_lose_nothing() {
    let Some(site) = Site::start() else { return };
    let truth = closure(&site);
    let before = site.requests().len();
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let dir = scratch.path().join("crawl");
    let include = format!("^http://[a-z0-9-]+\\.test:{}/", site.port);
    let command = || {
        let mut command = crawl(&site.seeds(), &dir);
        command.args(["--include", &include, "--checkpoint-every", "1s"]);
        // Slow enough that ten kills fall into it.
        command.args(["--per-host", "2"]);
        command
    };
    let mut fetched_by_run = Vec::new();
    for moment in MOMENTS {
        let from = site.requests().len();
        let mut child = command()
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        std::thread::sleep(Duration::from_millis(moment));
        kill(child.id(), "-KILL");
        child.wait().expect("it ended");
        fetched_by_run.push(site.requests().len() - from);
    }
    let output = run(&mut command());
    assert_code(&output, 0);
    eprintln!("requests before each kill: {fetched_by_run:?}");
    let fetched = site.pages_since(before);
    assert_same(&fetched.keys().cloned().collect(), &truth);
    // Stored once, whatever was fetched how often.
    assert_same(&listed(&dir), &truth);
    assert_sound(&dir);
    // Nothing is fetched more often than there were runs that could lose it.
    assert!(fetched.values().all(|n| *n <= MOMENTS.len() + 1));
}
