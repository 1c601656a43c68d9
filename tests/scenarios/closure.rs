//! A whole crawl of real pages fetches exactly the link closure: nothing missing, nothing outside, nothing twice.

use super::command::{CYCLOSA, assert_code, assert_sound, crawl, has, report, run, urls};
use super::site::Site;
use super::truth::closure;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// What `pages` and `truth` may differ by: one page in a thousand.
pub fn assert_same(got: &BTreeSet<String>, truth: &BTreeSet<String>) {
    let missing: Vec<_> = truth.difference(got).take(10).collect();
    let outside: Vec<_> = got.difference(truth).take(10).collect();
    let missed = truth.difference(got).count();
    eprintln!(
        "{} pages, truth {}, {missed} missing",
        got.len(),
        truth.len()
    );
    assert!(missed * 1_000 <= truth.len(), "missing: {missing:#?}");
    assert!(outside.is_empty(), "outside the closure: {outside:#?}");
}

/// Pages (HTML, status 200) by `cyclosa urls`.
pub fn listed(dir: &Path) -> BTreeSet<String> {
    let output = run(Command::new(CYCLOSA)
        .arg("urls")
        .arg(dir)
        .args(["--state", "done"]));
    assert_code(&output, 0);
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(|line| line.split('\t').collect::<Vec<_>>())
        .filter(|c| c[2] == "200" && c[3] == "text/html")
        .map(|c| c[0].to_string())
        .collect()
}

#[test]
fn a_crawl_of_real_pages_is_their_closure_and_other_tools_read_it() {
    let Some(site) = Site::start() else { return };
    let truth = closure(&site);
    let before = site.requests().len();
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let dir = scratch.path().join("crawl");
    let include = format!("^http://[a-z0-9-]+\\.test:{}/", site.port);
    let mut command = crawl(&site.seeds(), &dir);
    command.args(["--include", &include]);
    assert_code(&run(&mut command), 0);

    let fetched = site.pages_since(before);
    assert_same(&fetched.keys().cloned().collect(), &truth);
    assert!(
        fetched.values().all(|n| *n == 1),
        "a page was fetched twice"
    );
    assert_eq!(listed(&dir), fetched.keys().cloned().collect());
    for request in site.requests().iter().skip(before) {
        for host in site.hosts.iter().filter(|h| !h.forbidden.is_empty()) {
            let rule = format!("http://{}:{}{}", host.name, site.port, host.forbidden);
            assert!(
                !request.url.starts_with(&rule),
                "robots.txt forbids {}",
                request.url
            );
        }
    }
    let report = report(&dir);
    assert_eq!(report["balance"]["ok"], true);
    assert_eq!(report["urls"]["queued"], 0);
    assert_eq!(report["urls"]["discovered"], urls(&dir).len());
    assert_sound(&dir);
    read_by_other_tools(&dir, scratch.path());
    bodies_are_the_files(&site, &dir);

    // Once more: there is nothing left to do, and nothing is fetched again.
    let before = site.requests().len();
    assert_code(&run(&mut command), 0);
    assert_eq!(site.requests().len(), before);
}

fn shell(line: &str, dir: &Path) -> bool {
    Command::new("bash")
        .args(["-c", line])
        .current_dir(dir)
        .status()
        .is_ok_and(|s| s.success())
}

/// `zstd` accepts the segments, `warcio` every record, from the segments and from the export.
fn read_by_other_tools(dir: &Path, scratch: &Path) {
    let out = scratch.join("out.warc.gz");
    let output = run(Command::new(CYCLOSA)
        .arg("export")
        .arg(dir)
        .arg("--warc")
        .arg(&out));
    assert_code(&output, 0);
    if has("zstd") {
        assert!(shell("zstd -q -t segment-*.warc.zst", dir), "zstd -t");
        assert!(
            shell("zstdcat segment-*.warc.zst > ../plain.warc", dir),
            "zstdcat"
        );
    }
    if has("zstd") && has("warcio") {
        for file in ["plain.warc", "out.warc.gz"] {
            assert!(
                shell(&format!("warcio check {file}"), scratch),
                "warcio check {file}"
            );
            let index = format!("test $(warcio index {file} | wc -l) -gt 10");
            assert!(shell(&index, scratch), "warcio index {file}");
        }
    }
}

/// `cyclosa get` gives back what lies on the server's disk.
fn bodies_are_the_files(site: &Site, dir: &Path) {
    let mut compared = 0;
    for host in &site.hosts {
        let plain = super::site::pages_below(&host.root)
            .into_iter()
            .filter(|p| host.root.join(&p[1..]).is_file());
        for path in plain.step_by(97).take(5) {
            let url = format!("http://{}:{}{path}", host.name, site.port);
            let output = run(Command::new(CYCLOSA).arg("get").arg(dir).arg(&url));
            if output.status.success() {
                let file = std::fs::read(host.root.join(&path[1..])).expect("a page");
                assert!(output.stdout == file, "{url} differs from its file");
                compared += 1;
            }
        }
    }
    eprintln!("{compared} bodies compared with their files");
}
