//! Tools of others that read what is stored.

use super::program::Crawl;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Whether `tool` can be run; says so if not.
fn there(tool: &str) -> bool {
    let tried = Command::new(tool)
        .arg("--help")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let there = tried.is_ok_and(|status| status.success());
    if !there {
        println!("skipped: {tool} is not installed");
    }
    there
}

/// The segments of a crawl.
pub fn segments(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).expect("a crawl directory").flatten();
    let mut found: Vec<PathBuf> = entries
        .map(|e| e.path())
        .filter(|p| p.to_string_lossy().ends_with(".warc.zst"))
        .collect();
    found.sort();
    assert!(!found.is_empty(), "no segment in {}", dir.display());
    found
}

fn run(command: &mut Command) -> String {
    let output = command.output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Lets `zstd` and `warcio` read everything that the crawl has stored; `responses` is what they must find.
pub fn assert_readable(crawl: &Crawl, responses: usize) {
    if !there("zstd") {
        return;
    }
    let scratch = tempfile::tempdir().expect("a directory");
    let plain = scratch.path().join("plain.warc");
    let mut all = File::create(&plain).expect("a file");
    for segment in segments(crawl.dir()) {
        run(Command::new("zstd").args(["-q", "-t"]).arg(&segment));
        let bytes = Command::new("zstd").args(["-dc"]).arg(&segment).output();
        std::io::Write::write_all(&mut all, &bytes.expect("zstd runs").stdout).expect("room");
    }
    let exported = scratch.path().join("all.warc.gz");
    let to = exported.to_str().expect("UTF-8");
    crawl.ask("export", &["--warc", to]).expect(0);
    if !there("warcio") {
        return;
    }
    for file in [&plain, &exported] {
        run(Command::new("warcio").arg("check").arg(file));
        let fields = "warc-type,warc-target-uri";
        let index = run(Command::new("warcio")
            .args(["index", "-f", fields])
            .arg(file));
        let wanted = ["\"response\"", "\"revisit\""];
        let found = index
            .lines()
            .filter(|l| wanted.iter().any(|w| l.contains(w)) && !l.contains("/robots.txt\""))
            .count();
        assert_eq!(found, responses, "records in {}", file.display());
    }
}
