//! The whole crawler against the synthetic web: `cyclosa web` in one process, `cyclosa crawl` in another, everything on
//! (parsing, deduplication, digests, compression, storage, robots.txt, checkpoints).
//!
//! `cargo bench --bench end_to_end [-- PAGES]`. On a machine with two cores or more, and `taskset` installed, the crawler
//! has one core and the web another; then both share all. Prints medians of [`ROUNDS`] rounds in one run. Excluded:
//! starting the processes. Included: the last checkpoint.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

const CYCLOSA: &str = env!("CARGO_BIN_EXE_cyclosa");
const ROUNDS: usize = 5;
const PAGES: u64 = 60_000;

/// A web of its own, ended with the value.
struct Web {
    child: Child,
    port: u16,
}

fn pinned(core: Option<u32>) -> Command {
    match core {
        Some(core) => {
            let mut command = Command::new("taskset");
            command.args(["-c", &core.to_string(), CYCLOSA]);
            command
        }
        None => Command::new(CYCLOSA),
    }
}

impl Web {
    fn start(core: Option<u32>, gzip: &str) -> Self {
        let mut child = pinned(core)
            .args(["web", "--listen", "127.0.0.1:0", "--gzip", gzip])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("cyclosa web starts");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let port = lines
            .map_while(Result::ok)
            .find_map(|line| {
                let (_, rest) = line.split_once("*.web.test:")?;
                rest.split(':').next()?.parse().ok()
            })
            .expect("the web prints the crawl line");
        Self { child, port }
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Pages a second and seconds of one crawl.
fn crawl(core: Option<u32>, port: u16, pages: u64, scratch: &Path) -> (f64, f64) {
    let dir = scratch.join("crawl");
    let _ = std::fs::remove_dir_all(&dir);
    let seeds = scratch.join("seeds.txt");
    std::fs::write(&seeds, format!("http://h0.web.test:{port}/\n")).expect("seeds");
    let status = pinned(core)
        .arg("crawl")
        .arg(&seeds)
        .arg("--dir")
        .arg(&dir)
        .args(["--resolve", &format!("*.web.test:{port}:127.0.0.1")])
        .args(["--allow-net", "127.0.0.0/8", "--scope", "any"])
        .args(["--delay", "0s", "--per-host", "4", "--quiet"])
        .args(["--max-pages", &pages.to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("cyclosa crawl runs");
    assert!(status.success(), "the crawl ends well");
    let report = std::fs::read_to_string(dir.join("report.json")).expect("a report");
    let report: serde_json::Value = serde_json::from_str(&report).expect("JSON");
    let number = |key: &str| report[key].as_f64().expect("a number");
    (number("pages_per_s"), number("elapsed_s"))
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn main() {
    // `cargo bench` passes flags of its own.
    let pages = std::env::args()
        .skip(1)
        .find_map(|arg| arg.parse().ok())
        .unwrap_or(PAGES);
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let taskset = Command::new("taskset").arg("-V").output().is_ok();
    println!("{pages} pages a round, {ROUNDS} rounds, {cores} cores; medians");
    println!("{:<28} {:>12} {:>10}", "web, cores", "pages/s", "seconds");
    for (name, gzip) in [
        ("plain", "0"),
        ("half of it gzipped", "0.5"),
        ("gzipped", "1"),
    ] {
        let mut splits = vec![("shared", None, None)];
        if cores >= 2 && taskset {
            splits.insert(0, ("one core each", Some(0), Some(1)));
        }
        for (split, crawler, server) in splits {
            let web = Web::start(server, gzip);
            let rounds: Vec<_> = (0..ROUNDS)
                .map(|_| crawl(crawler, web.port, pages, scratch.path()))
                .collect();
            println!(
                "{:<28} {:>12.0} {:>10.2}",
                format!("{name}, {split}"),
                median(rounds.iter().map(|r| r.0).collect()),
                median(rounds.iter().map(|r| r.1).collect()),
            );
        }
    }
}
