//! Whole documentation sites: what is fetched is what can be reached, no more, nothing twice, no rule broken.

use super::closure::{Closure, closure};
use super::program::Crawl;
use super::site::Site;
use super::tools;
use std::collections::BTreeSet;

/// Asserts that the crawl of `site` fetched `expected`, by the server's log and by its own account.
#[track_caller]
pub fn assert_whole(site: &Site, crawl: &Crawl, expected: &Closure) {
    let requested: BTreeSet<String> = site.settled_log().into_iter().map(|l| l.url).collect();
    let requested = requested
        .into_iter()
        .filter(|url| !url.ends_with("/robots.txt"))
        .collect();
    let done = crawl.urls_in("done");
    for (whose, got) in [("server", &requested), ("crawl", &done)] {
        let missing: Vec<&String> = expected.fetched.difference(got).collect();
        let outside: Vec<&String> = got.difference(&expected.fetched).collect();
        let broken: Vec<&String> = got.intersection(&expected.forbidden).collect();
        assert!(
            missing.len() * 1_000 <= expected.fetched.len(),
            "{whose}: {} of {} missing: {:#?}",
            missing.len(),
            expected.fetched.len(),
            &missing[..missing.len().min(20)]
        );
        assert!(outside.is_empty(), "{whose}: outside: {outside:#?}");
        assert!(broken.is_empty(), "{whose}: forbidden: {broken:#?}");
    }
    let excluded = crawl.standing();
    for url in &expected.forbidden {
        let standing = excluded.get(url).cloned().unwrap_or_default();
        assert_eq!(standing, ("excluded".into(), "robots".into()), "{url}");
    }
    crawl.assert_sound();
}

/// Asserts that `cyclosa get` gives back what lies on the server's disk.
fn assert_bodies_are_the_files(site: &Site, crawl: &Crawl) {
    let done = crawl.urls_in("done");
    for host in &site.hosts {
        let prefix = format!("http://{}:{}/", host.name, host.port);
        let of_host = done.iter().filter_map(|url| url.strip_prefix(&prefix));
        let files: Vec<&str> = of_host
            .filter(|path| host.root.join(path).is_file())
            .collect();
        assert!(files.len() > 10, "{prefix} has files");
        for path in files.iter().step_by(files.len() / 5) {
            let file = std::fs::read(host.root.join(path)).expect("a file");
            let got = crawl.ask("get", &[&format!("{prefix}{path}")]).expect(0);
            let same = got.stdout == String::from_utf8_lossy(&file);
            assert!(same, "{prefix}{path} differs from its file");
        }
    }
}

fn crawl_once(site: &Site, assets: &str, images: bool) {
    let include = site.include();
    let scope = ["--scope", "any", "--include", &include];
    let more = ["--assets", assets, "--per-host", "8", "--quiet"];
    let crawl = Crawl::new(
        std::slice::from_ref(&site.hub),
        &[&scope[..], &more].concat(),
    );
    crawl.run().expect(0);
    let expected = closure(site, images);
    let (fetched, forbidden) = (expected.fetched.len(), expected.forbidden.len());
    println!(
        "{fetched} URLs ({} pages), {forbidden} forbidden",
        expected.pages
    );
    assert!(
        expected.pages > 200 && forbidden > 0,
        "a closure worth its name"
    );
    let mut urls: Vec<String> = site.log().into_iter().map(|l| l.url).collect();
    let requests = urls.len();
    urls.sort();
    urls.dedup();
    assert_eq!(urls.len(), requests, "something was requested twice");
    let robots = urls.iter().filter(|u| u.ends_with("/robots.txt")).count();
    assert_eq!(robots, site.hosts.len() + 1, "robots.txt once a host");
    assert_whole(site, &crawl, &expected);
    assert_bodies_are_the_files(site, &crawl);
    tools::assert_readable(&crawl, fetched);
}

#[test]
fn the_pages_of_whole_sites_are_fetched_once_each() {
    if let Some(site) = Site::start(3) {
        crawl_once(&site, "none", false);
    }
}

#[test]
fn their_images_come_along() {
    if let Some(site) = Site::start(2) {
        crawl_once(&site, "images", true);
    }
}
