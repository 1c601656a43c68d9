//! Bad input: one clear line each, the right exit code, and nothing of a stored crawl is touched.

use super::program::{Crawl, Ended, cyclosa};
use super::scripted::{Answer, Server, endless};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

/// Offset of the format version in a checkpoint page, and of its checksum.
const VERSION_AT: usize = 8;
const PAGE_BYTES: usize = 4_096;
const CHECKSUM_AT: usize = PAGE_BYTES - 8;

fn small_site() -> Server {
    Server::start(|_, target| match target {
        "/" => Answer::links(&["/a", "/b"]),
        "/a" | "/b" => Answer::html("a page"),
        _ => Answer::not_found(),
    })
}

fn finished_crawl(server: &Server) -> Crawl {
    let crawl = Crawl::new(&[server.url("a.test", "/")], &[]);
    crawl.run().expect(0);
    crawl
}

/// Names and content of all files below `dir` but those that say which process had it last.
fn content(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(dir).expect("a directory").flatten();
    files
        .filter(|f| {
            !["LOCK", "LEASE", "FENCE"]
                .iter()
                .any(|n| f.file_name() == *n)
        })
        .map(|f| {
            let bytes = fs::read(f.path()).expect("a file");
            (f.file_name().to_string_lossy().into_owned(), bytes)
        })
        .collect()
}

#[track_caller]
fn assert_says(ended: &Ended, parts: &[&str]) {
    let line = ended.only_line();
    assert!(line.starts_with("cyclosa: "), "{line}");
    for part in parts {
        assert!(line.contains(part), "`{part}` in `{line}`");
    }
}

#[test]
fn seeds_that_are_none_are_bad_usage_and_make_no_crawl() {
    let home = tempfile::tempdir().expect("a directory");
    let path = |name: &str| home.path().join(name).to_str().expect("UTF-8").to_string();
    fs::write(path("empty"), "").expect("a file");
    fs::write(path("bad"), "http://a.test/\nnot a url\n").expect("a file");
    fs::write(path("bad-host"), "http://a.test/\nhttp://[::1/\n").expect("a file");
    for (seeds, part) in [
        ("missing", "cannot read the seeds"),
        ("empty", "holds no URL"),
        ("bad", "bad:2"),
        ("bad-host", "bad-host:2"),
        (".", "cannot read the seeds"),
    ] {
        let dir = path("crawl");
        let ended = cyclosa(&["crawl", &path(seeds), "--dir", &dir]).expect(2);
        assert_says(&ended, &[part]);
        assert!(!Path::new(&dir).exists(), "{seeds} made a directory");
    }
}

#[test]
fn a_directory_that_is_no_crawl_is_told_and_left_alone() {
    let home = tempfile::tempdir().expect("a directory");
    fs::write(home.path().join("letter.txt"), "not a crawl").expect("a file");
    let other = home.path().to_str().expect("UTF-8");
    let missing = format!("{other}/missing");
    for dir in [other, missing.as_str()] {
        let out = format!("{other}/out.warc.gz");
        for words in [
            &["report", dir][..],
            &["urls", dir],
            &["get", dir, "http://a.test/"],
            &["verify", dir],
            &["export", dir, "--warc", &out],
        ] {
            let ended = cyclosa(words).expect(1);
            assert_says(&ended, &[dir]);
            assert!(ended.stdout.is_empty(), "{words:?}: {ended:?}");
        }
    }
    let files: Vec<_> = fs::read_dir(other)
        .expect("a directory")
        .flatten()
        .collect();
    assert_eq!(files.len(), 1, "only the letter: {files:?}");
}

#[test]
fn a_page_that_is_not_stored_is_told() {
    let crawl = finished_crawl(&small_site());
    let ended = crawl.ask("get", &["http://a.test/none"]).expect(1);
    assert_says(&ended, &["http://a.test/none", "cyclosa urls"]);
    let ended = crawl.ask("get", &["nothing"]).expect(2);
    assert_says(&ended, &["nothing"]);
}

#[test]
fn what_was_stored_is_what_was_sent() {
    let server = small_site();
    let crawl = finished_crawl(&server);
    let ended = crawl.ask("get", &[&server.url("a.test", "/a")]).expect(0);
    assert_eq!(ended.stdout, "a page");
    let head = crawl.ask("get", &[&server.url("a.test", "/a"), "--head"]);
    assert!(head.expect(0).stdout.starts_with("HTTP/1.1 200 OK\r\n"));
}

#[test]
fn fresh_refuses_a_directory_that_holds_a_crawl() {
    let mut crawl = finished_crawl(&small_site());
    let before = content(crawl.dir());
    crawl.add(&["--fresh"]);
    let ended = crawl.run().expect(2);
    assert_says(&ended, &["--fresh", crawl.dir().to_str().expect("UTF-8")]);
    assert!(content(crawl.dir()) == before, "something was changed");
}

#[test]
fn a_crawl_of_a_newer_version_is_refused_and_left_alone() {
    let crawl = finished_crawl(&small_site());
    let manifest = crawl.dir().join("manifest");
    let mut bytes = fs::read(&manifest).expect("a manifest");
    for slot in bytes.chunks_mut(PAGE_BYTES) {
        slot[VERSION_AT..VERSION_AT + 4].copy_from_slice(&999_u32.to_le_bytes());
        let sum = xxhash_rust::xxh3::xxh3_64(&slot[..CHECKSUM_AT]);
        slot[CHECKSUM_AT..].copy_from_slice(&sum.to_le_bytes());
    }
    fs::write(&manifest, bytes).expect("a file");
    let before = content(crawl.dir());
    let ended = crawl.run().expect(1);
    assert_says(&ended, &["999", "newer"]);
    for command in ["urls", "verify"] {
        let ended = crawl.ask(command, &[]).expect(1);
        assert!(
            ended.stderr.contains("newer") || ended.stdout.contains("newer"),
            "{ended:?}"
        );
    }
    assert!(content(crawl.dir()) == before, "something was changed");
}

#[test]
fn a_damaged_manifest_is_refused_and_not_begun_anew() {
    let server = small_site();
    let crawl = finished_crawl(&server);
    let asked = server.asked().len();
    let manifest = crawl.dir().join("manifest");
    let bytes = fs::read(&manifest).expect("a manifest");
    fs::write(&manifest, vec![0x55; bytes.len()]).expect("a file");
    let ended = crawl.run().expect(1);
    assert_says(&ended, &["manifest"]);
    assert_eq!(server.asked().len(), asked, "it began anew");
    // With the file back, all is as it was.
    fs::write(&manifest, bytes).expect("a file");
    crawl.run().expect(0);
    assert_eq!(server.asked().len(), asked);
    crawl.assert_sound();
}

#[test]
fn a_second_process_is_told_who_has_the_directory() {
    let server = Server::start(|_, t| endless(t).after(Duration::from_millis(5)));
    let crawl = Crawl::new(&[server.url("a.test", "/")], &[]);
    let mut first = crawl.start();
    while server.asked().len() < 10 {
        assert!(first.is_running(), "{}", first.stderr());
        sleep(Duration::from_millis(5));
    }
    let second = crawl.run().expect(1);
    let pid = format!("process {}", first.pid());
    assert_says(&second, &[&pid, "--dir", "--standby"]);
    assert!(first.is_running(), "the first goes on");
    first.signal("INT");
    first.wait().expect(130);
    crawl.assert_sound();
}
