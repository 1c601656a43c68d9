//! The program as users and scripts meet it: exit codes, where output goes, and mistakes that say what to do.

use std::io::Write;
use std::process::{Command, Output, Stdio};

/// Runs the program in an empty directory with `input` on its standard input.
fn cyclosa(arguments: &[&str], input: &str) -> Output {
    let dir = tempfile::tempdir().expect("a directory");
    let mut child = Command::new(env!("CARGO_BIN_EXE_cyclosa"))
        .args(arguments)
        .current_dir(dir.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    // The program may end without having read its input.
    let _ = child
        .stdin
        .take()
        .expect("a pipe")
        .write_all(input.as_bytes());
    child.wait_with_output().expect("the program ends")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn help_and_version_are_results() {
    for arguments in [&["--help"][..], &["crawl", "--help"], &["--version"]] {
        let output = cyclosa(arguments, "");
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert!(!output.stdout.is_empty() && output.stderr.is_empty());
    }
}

#[test]
fn bad_usage_is_2_and_says_what_to_do() {
    for (arguments, input, parts) in [
        (&[][..], "", ["Usage", "crawl"]),
        (&["crawl"], "", ["SEEDS", "--help"]),
        (
            &["crawl", "http://a.test/"],
            "",
            ["echo http://a.test/", "crawl -"],
        ),
        (
            &["crawl", "-"],
            "",
            ["stdin holds no URL", "http://example.org/"],
        ),
        (
            &["crawl", "-"],
            "\n# x\nexample.org\n",
            ["stdin:3", "http://example.org"],
        ),
        (
            &["crawl", "-", "--delay", "5"],
            "http://a.test/",
            ["--delay", "5s"],
        ),
        (
            &["crawl", "-", "--per-host", "0"],
            "http://a.test/",
            ["--per-host 0", "at least 1"],
        ),
        (
            &["crawl", "-", "--config", "none.toml"],
            "http://a.test/",
            ["none.toml", "--config"],
        ),
    ] {
        let output = cyclosa(arguments, input);
        let shown = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {shown}");
        assert!(output.stdout.is_empty(), "mistakes are no results");
        for part in parts {
            assert!(shown.contains(part), "`{part}` in `{shown}`");
        }
    }
}

#[test]
fn a_reader_that_goes_away_ends_the_output_quietly() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let output = Command::new(env!("CARGO_BIN_EXE_cyclosa"))
        .args(["crawl", "--help"])
        .stdout(writer)
        .stderr(Stdio::piped())
        .output()
        .expect("the program runs");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(stderr(&output), "");
}
