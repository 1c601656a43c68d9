//! What goes wrong before a crawl begins, or keeps it from going on: one clear line, the right exit code, nothing lost.

use super::command::{CYCLOSA, assert_code, assert_sound, crawl, report, run, stderr, wait};
use super::stop::Web;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

fn file(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, text).expect("a file");
    path
}

/// One line that names `what`, with this exit code.
fn assert_line(output: &Output, code: i32, what: &[&str]) {
    assert_code(output, code);
    let said = stderr(output);
    assert_eq!(said.lines().count(), 1, "one line: {said}");
    for word in what {
        assert!(said.contains(word), "{said:?} names {word:?}");
    }
}

#[test]
fn seeds_that_are_none() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let dir = scratch.path().join("crawl");
    let missing = scratch.path().join("missing.txt");
    assert_line(&run(&mut crawl(&missing, &dir)), 2, &["missing.txt"]);
    let empty = file(scratch.path(), "empty.txt", "# nothing\n\n");
    assert_line(&run(&mut crawl(&empty, &dir)), 2, &["empty.txt"]);
    let odd = file(scratch.path(), "odd.txt", "http://a.test/\nexample.org\n");
    assert_line(
        &run(&mut crawl(&odd, &dir)),
        2,
        &["odd.txt:2", "http://example.org"],
    );
    let mail = file(scratch.path(), "mail.txt", "mailto:a@b.test\n");
    assert_line(&run(&mut crawl(&mail, &dir)), 2, &["mail.txt:1"]);
    assert!(!dir.exists(), "nothing was begun");
}

#[test]
fn a_directory_that_is_no_crawl() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    for arguments in [
        vec!["report"],
        vec!["urls"],
        vec!["verify"],
        vec!["get", "http://a.test/"],
        vec!["export", "--urls", "-"],
    ] {
        let mut command = Command::new(CYCLOSA);
        command.arg(arguments[0]).arg(scratch.path());
        command.args(&arguments[1..]);
        let output = run(&mut command);
        assert_line(&output, 1, &[scratch.path().to_str().expect("UTF-8")]);
    }
}

#[test]
fn loopback_is_refused_unless_it_is_opened() {
    let web = Web::start(&["--hosts", "2"]);
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let dir = scratch.path().join("crawl");
    let mut command = Command::new(CYCLOSA);
    command.arg("crawl").arg(web.seeds()).arg("--dir").arg(&dir);
    command.args(["--resolve", "*.web.test:*:127.0.0.1", "--quiet"]);
    assert_code(&run(&mut command), 0);
    let report = report(&dir);
    assert_eq!(report["pages"], 0);
    assert_eq!(report["excluded"]["address"], 1);
}

#[test]
fn a_crawl_is_never_overwritten_nor_run_twice() {
    let web = Web::start(&["--hosts", "5"]);
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let dir = scratch.path().join("crawl");
    let mut first = web
        .crawl(&dir)
        .args(["--for", "4s"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    std::thread::sleep(Duration::from_millis(800));
    let pid = first.id().to_string();
    assert_line(&run(&mut web.crawl(&dir)), 1, &[&pid]);
    assert_eq!(wait(&mut first, Duration::from_secs(30)), Some(0));
    assert_line(&run(web.crawl(&dir).arg("--fresh")), 2, &["--fresh"]);
    assert_sound(&dir);
}

#[test]
fn a_crawl_of_a_newer_version_is_refused_and_left_alone() {
    let web = Web::start(&["--hosts", "5"]);
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let dir = scratch.path().join("crawl");
    assert_code(&run(web.crawl(&dir).args(["--for", "1s"])), 0);
    let manifest = dir.join("manifest");
    let sound = std::fs::read(&manifest).expect("the manifest");
    let mut newer = sound.clone();
    super::faults::raise_format_version(&mut newer);
    std::fs::write(&manifest, &newer).expect("written");
    let output = run(&mut web.crawl(&dir));
    assert_line(&output, 1, &["newer"]);
    assert_eq!(std::fs::read(&manifest).expect("the manifest"), newer);
    std::fs::write(&manifest, &sound).expect("written");
    assert_sound(&dir);
}

/// On a file system of 24 MiB the crawl ends with one line that says what to do; with more room it goes on.
#[test]
fn a_full_disk_loses_nothing() {
    let root = Command::new("id").arg("-u").output().expect("id").stdout == b"0\n";
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let mount = scratch.path().join("small");
    std::fs::create_dir(&mount).expect("a folder");
    let mounted = root
        && Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=24m", "tmpfs"])
            .arg(&mount)
            .status()
            .is_ok_and(|s| s.success());
    if !mounted {
        eprintln!("skipped: needs root and the right to mount a small file system");
        return;
    }
    let web = Web::start(&["--hosts", "20", "--gzip", "0"]);
    let dir = mount.join("crawl");
    let full = run(web.crawl(&dir).args(["--for", "30s"]));
    let resize = Command::new("mount")
        .args(["-o", "remount,size=400m"])
        .arg(&mount)
        .status();
    let on = run(web.crawl(&dir).args(["--for", "1s"]));
    let verified = run(Command::new(CYCLOSA).arg("verify").arg(&dir));
    let unmounted = Command::new("umount").arg(&mount).status();
    assert_line(&full, 1, &["No space left"]);
    assert!(resize.is_ok_and(|s| s.success()));
    assert_code(&on, 0);
    assert_code(&verified, 0);
    assert!(unmounted.is_ok_and(|s| s.success()));
}
