//! Faults of the disk and of the limits: the crawl stops, says in one line what failed, exits with 1, and the last durable
//! checkpoint restores: the same command without the fault finishes with the same pages.
//!
//! Errors of system calls are injected by `strace`; from the given call on they fail for good, as they do on a broken
//! disk. Where strace cannot trace (no permission) the tests say that they skip.

use super::program::{Crawl, Ended};
use super::synthetic::Web;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// Calls that fail, and from which one on: at the start, in the first checkpoint, and later.
const FAULTS: [(&str, &str, &[u32]); 8] = [
    ("msync", "EIO", &[1, 2, 4, 9]),
    ("fsync", "EIO", &[1, 4, 9, 14]),
    ("fdatasync", "EIO", &[1, 3]),
    ("pwritev", "EIO", &[1, 40]),
    ("pwritev", "ENOSPC", &[2, 90]),
    ("fallocate", "ENOSPC", &[1, 3, 6]),
    ("rename", "EIO", &[1, 3, 5]),
    ("ftruncate", "EIO", &[1]),
];

/// A site of 400 pages on four hosts, and a crawl of it with a checkpoint every second.
fn site() -> (Web, Crawl) {
    let web = Web::start(&["--hosts", "4", "--pages", "100", "--latency", "15ms"]);
    let seeds: Vec<String> = (0..4)
        .map(|n| format!("http://h{n}.web.test:{}/", web.port))
        .collect();
    let more = ["--checkpoint-every", "1s", "--per-host", "4", "--quiet"];
    let crawl = Crawl::new(&seeds, &more);
    (web, crawl)
}

/// Whether a program can be run like this; says so if not.
fn works(words: &[&str]) -> bool {
    let tried = Command::new(words[0])
        .args(&words[1..])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let works = tried.is_ok_and(|status| status.success());
    if !works {
        println!("skipped: `{}` does not work here", words.join(" "));
    }
    works
}

/// What a crawl without faults ends with.
fn undisturbed() -> BTreeSet<String> {
    let (web, crawl) = site();
    crawl.run().expect(0);
    without_port(&crawl, &web)
}

fn without_port(crawl: &Crawl, web: &Web) -> BTreeSet<String> {
    let port = format!(":{}/", web.port);
    let done = crawl.urls_in("done");
    done.iter().map(|url| url.replace(&port, "/")).collect()
}

/// One clear line, exit code 1, no signal.
#[track_caller]
fn assert_clear(ended: &Ended, what: &str) {
    assert_eq!(
        (ended.code, ended.signal),
        (Some(1), None),
        "{what}: {ended:#?}"
    );
    let lines: Vec<&str> = ended
        .stderr
        .lines()
        .filter(|line| !line.starts_with("restored checkpoint"))
        .filter(|line| !line.contains("the disk is slower than the crawl"))
        .collect();
    assert_eq!(lines.len(), 1, "{what}: {ended:#?}");
    println!("{what}: {}", lines[0]);
    let says_what_to_do = lines[0].contains("run the same command again");
    assert!(says_what_to_do, "{what}: {}", lines[0]);
    let names_a_file = [
        "LEASE", "LOCK", "FENCE", "manifest", "segment", ".log", ".img", ".bin",
    ];
    assert!(
        names_a_file.iter().any(|name| lines[0].contains(name))
            || lines[0].contains("crawl directory"),
        "{what}: no file is named: {}",
        lines[0]
    );
}

#[test]
fn failing_calls_stop_the_crawl_and_cost_nothing() {
    if !works(&["strace", "-f", "-e", "trace=none", "true"]) {
        return;
    }
    let expected = undisturbed();
    let (mut injected, mut met) = (0, 0);
    for (call, error, moments) in FAULTS {
        for moment in moments {
            let (web, crawl) = site();
            let trace = format!("trace={call}");
            let inject = format!("inject={call}:error={error}:when={moment}+");
            let under = [
                "strace",
                "-f",
                "-qq",
                "-o",
                "/dev/null",
                "-e",
                &trace,
                "-e",
                &inject,
            ];
            let ended = crawl.start_under(&under).wait();
            injected += 1;
            let what = format!("{call} fails with {error} from call {moment} on");
            if ended.code == Some(0) {
                // It was over before that many calls.
                continue;
            }
            met += 1;
            assert_clear(&ended, &what);
            crawl.run().expect(0);
            assert_eq!(without_port(&crawl, &web), expected, "{what}");
            crawl.assert_sound();
        }
    }
    println!("{injected} faults injected, {met} of them met and survived");
    assert!(
        met * 3 > injected * 2,
        "{met} of {injected} faults were met"
    );
}

#[test]
fn a_limit_on_file_sizes_is_an_error_and_no_signal() {
    if !works(&["prlimit", "--version"]) {
        return;
    }
    let expected = undisturbed();
    // Smaller than the first log of fingerprints, than the first log of URLs, and than what is stored in the end.
    for bytes in [300_000, 2_000_000, 4_300_000] {
        let (web, crawl) = site();
        let limit = format!("--fsize={bytes}");
        let ended = crawl.start_under(&["prlimit", &limit, "--"]).wait();
        if ended.code != Some(0) {
            assert_clear(&ended, &limit);
            crawl.run().expect(0);
        }
        assert_eq!(without_port(&crawl, &web), expected, "{limit}");
        crawl.assert_sound();
    }
}

#[test]
fn few_descriptors_slow_the_crawl_down_or_stop_it_cleanly() {
    if !works(&["prlimit", "--version"]) {
        return;
    }
    let expected = undisturbed();
    let mut finished = 0;
    for files in [8, 14, 20, 26, 32, 64] {
        let (web, crawl) = site();
        let limit = format!("--nofile={files}:{files}");
        let ended = crawl.start_under(&["prlimit", &limit, "--"]).wait();
        assert_eq!(ended.signal, None, "{limit}: {ended:#?}");
        if ended.code == Some(0) {
            finished += 1;
        } else {
            assert_eq!(ended.code, Some(1), "{limit}: {ended:#?}");
            assert_eq!(ended.stderr.lines().count(), 1, "{limit}: {ended:#?}");
            assert!(ended.stderr.contains("open files"), "{limit}: {ended:#?}");
            crawl.run().expect(0);
        }
        assert_eq!(without_port(&crawl, &web), expected, "{limit}");
        crawl.assert_sound();
    }
    assert!(finished > 0, "not even 64 descriptors are enough");
}

#[test]
fn a_directory_that_may_not_be_written_is_named() {
    let nobody = [
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
    ];
    if !works(&[&nobody[..], &["true"]].concat()) {
        return;
    }
    // Where anybody may look, unlike a build folder.
    let place = tempfile::tempdir().expect("a directory");
    let open = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode));
    open(place.path(), 0o755).expect("its own directory");
    let program = place.path().join("cyclosa");
    fs::copy(env!("CARGO_BIN_EXE_cyclosa"), &program).expect("room");
    open(&program, 0o755).expect("its own file");
    let seeds = place.path().join("seeds.txt");
    fs::write(&seeds, "http://127.0.0.1:9/\n").expect("room");
    let crawl = place.path().join("crawl");
    fs::create_dir(&crawl).expect("room");
    let run = |command: &str, more: &[&Path]| {
        Command::new(nobody[0])
            .args(&nobody[1..])
            .arg(&program)
            .arg(command)
            .args(more)
            .output()
            .expect("it runs")
    };
    let output = run("crawl", &[&seeds, Path::new("--dir"), &crawl]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    let dir = crawl.to_string_lossy().into_owned();
    assert!(said.contains(&dir) && said.contains("ermission"), "{said}");
    assert_eq!(fs::read_dir(&crawl).expect("it is there").count(), 0);
}

#[test]
fn killed_in_its_first_calls_it_is_a_crawl_without_records_or_none() {
    if !works(&["strace", "-f", "-e", "trace=none", "true"]) {
        return;
    }
    let expected = undisturbed();
    for (call, moment, begun) in [
        ("flock", 1, false),
        ("fallocate", 1, false),
        ("msync", 1, true),
        ("fallocate", 2, true),
        ("pwritev", 1, true),
    ] {
        let (web, crawl) = site();
        let trace = format!("trace={call}");
        let inject = format!("inject={call}:signal=SIGKILL:when={moment}");
        let under = [
            "strace",
            "-f",
            "-qq",
            "-o",
            "/dev/null",
            "-e",
            &trace,
            "-e",
            &inject,
        ];
        let what = format!("killed at {call} {moment}");
        assert_ne!(crawl.start_under(&under).wait().code, Some(0), "{what}");
        for command in ["verify", "urls"] {
            let asked = crawl.ask(command, &[]);
            let none = asked.stderr.contains("holds no crawl");
            assert_eq!(
                (asked.code == Some(0), none),
                (begun, !begun),
                "{what}: {asked:?}"
            );
        }
        crawl.run().expect(0);
        assert_eq!(without_port(&crawl, &web), expected, "{what}");
        crawl.assert_sound();
    }
}
