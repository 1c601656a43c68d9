//! A hot spare: it goes on when the primary dies, hangs or is stopped, never beside it, and not after a finished crawl.

use super::closure::closure;
use super::program::{Crawl, Running};
use super::scripted::{Answer, Server};
use super::site::Site;
use super::tools;
use super::whole_sites::assert_whole;
use std::collections::BTreeSet;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Pages of the scripted site; page N links to 2N+1 and 2N+2.
const PAGES: u64 = 1_500;
/// Nothing that is waited for takes longer; beyond it, it does not come.
const PATIENCE: Duration = Duration::from_secs(60);
const GOES_ON: &str = "this process goes on (term";
const WAITS: &str = "this process goes on in its place when it ends";

/// A site of [`PAGES`] pages that takes some seconds to crawl.
fn tree() -> Server {
    Server::start(|_, target| {
        let number = target.strip_prefix("/p/").map(str::parse::<u64>);
        let Some(Ok(n)) = number else {
            return Answer::not_found();
        };
        // No two bodies are equal, so each page has a record of its own.
        let mut page = format!("<title>{n}</title>");
        for link in [2 * n + 1, 2 * n + 2].into_iter().filter(|l| *l < PAGES) {
            page += &format!("<a href=/p/{link}>x</a>");
        }
        Answer::html(page).after(Duration::from_millis(20))
    })
}

fn crawl_of(server: &Server) -> Crawl {
    let often = ["--checkpoint-every", "1s", "--per-host", "8"];
    Crawl::new(&[server.url("a.test", "/p/0")], &often)
}

/// A further process with the same command and `--standby`.
fn spare(crawl: &mut Crawl) -> Running {
    let n = crawl.argument_count();
    crawl.add(&["--standby"]);
    let running = crawl.start();
    crawl.keep(n);
    running
}

/// Waits until a process has said `part`.
#[track_caller]
fn until_said(running: &mut Running, part: &str) {
    until(running, |r| r.stderr().contains(part));
}

#[track_caller]
fn until(running: &mut Running, come: impl Fn(&Running) -> bool) {
    let began = Instant::now();
    while !come(running) {
        assert!(running.is_running(), "{}", running.stderr());
        assert!(began.elapsed() < PATIENCE, "{}", running.stderr());
        sleep(Duration::from_millis(5));
    }
}

/// Asserts that every page is there, once, and every record readable.
#[track_caller]
fn assert_complete(crawl: &Crawl, server: &Server) {
    crawl.assert_sound();
    let expected: BTreeSet<String> = (0..PAGES)
        .map(|n| server.url("a.test", &format!("/p/{n}")))
        .collect();
    assert!(crawl.urls_in("done") == expected, "pages are missing");
    let verified = crawl.ask("verify", &[]).expect(0).stdout;
    let records = format!("({PAGES} pages, 0 of them revisits)");
    assert!(verified.contains(&records), "{records} in {verified}");
    tools::assert_readable(crawl, PAGES as usize);
}

fn lease(crawl: &Crawl) -> String {
    std::fs::read_to_string(crawl.dir().join("LEASE")).expect("a lease")
}

#[test]
fn a_spare_goes_on_at_once_when_the_primary_is_killed() {
    let Some(site) = Site::start(1) else {
        return;
    };
    let include = site.include();
    let scope = ["--scope", "any", "--include", &include, "--assets", "none"];
    let pace = ["--checkpoint-every", "1s", "--delay", "15ms"];
    let more = [&scope[..], &pace].concat();
    let mut crawl = Crawl::new(std::slice::from_ref(&site.hub), &more);
    let mut primary = crawl.start();
    until(&mut primary, |_| site.log().len() > 100);
    let mut standby = spare(&mut crawl);
    until_said(&mut standby, "standby: checkpoint");
    let ended = primary.kill();
    assert_eq!(ended.signal, Some(9), "{ended:#?}");
    let logged = site.settled_log().len();
    until_said(&mut standby, GOES_ON);
    let ended = standby.wait().expect(0);
    assert!(ended.stderr.contains("restored checkpoint"), "{ended:#?}");
    assert!(site.settled_log().len() > logged, "it had something to do");
    let expected = closure(&site, false);
    assert_whole(&site, &crawl, &expected);
    tools::assert_readable(&crawl, expected.fetched.len());
}

#[test]
fn a_primary_without_a_sign_of_life_is_replaced_and_ends_when_it_wakes() {
    let server = tree();
    let mut crawl = crawl_of(&server);
    let mut primary = crawl.start();
    until(&mut primary, |_| {
        crawl.dir().join("state-000002.bin").exists()
    });
    let mut spares = [spare(&mut crawl), spare(&mut crawl)];
    spares.iter_mut().for_each(|s| until_said(s, WAITS));
    primary.signal("STOP");
    let began = Instant::now();
    while !spares.iter().any(|s| s.stderr().contains(GOES_ON)) {
        assert!(began.elapsed() < PATIENCE, "nobody takes over");
        sleep(Duration::from_millis(5));
    }
    let first = spares.iter().position(|s| s.stderr().contains(GOES_ON));
    let [a, b] = spares;
    let (mut second, waiting) = if first == Some(0) { (a, b) } else { (b, a) };
    until(&mut second, |s| s.stderr().contains("restored checkpoint"));
    // The old one wakes while the new one crawls.
    let asked = server.asked().len();
    until(&mut second, |_| server.asked().len() > asked + 50);
    primary.signal("CONT");
    let ended = primary.wait().expect(1);
    let line = ended.stderr.lines().last().unwrap_or_default();
    let (dir, pid) = (crawl.dir().display(), second.pid());
    assert!(
        line.starts_with("cyclosa: another process took over")
            && line.contains(&format!("{dir} (process {pid} on "))
            && line.contains("term 2"),
        "{line}"
    );
    second.wait().expect(0);
    let ended = waiting.wait().expect(0);
    assert!(!ended.stderr.contains(GOES_ON), "both went on: {ended:#?}");
    assert!(ended.stderr.contains("is finished"), "{ended:#?}");
    assert!(lease(&crawl).contains("term=2 "), "{}", lease(&crawl));
    assert_complete(&crawl, &server);
}

#[test]
fn spares_go_on_one_after_the_other() {
    let server = tree();
    let mut crawl = crawl_of(&server);
    let mut holder = crawl.start();
    until(&mut holder, |_| server.asked().len() > 200);
    for term in 2..5 {
        let mut next = spare(&mut crawl);
        until_said(&mut next, WAITS);
        let asked = server.asked().len();
        // Two die, one is stopped by its user: each is reason to go on.
        if term == 3 {
            holder.signal("INT");
            holder.wait().expect(130);
        } else {
            holder.kill();
        }
        until_said(&mut next, &format!("{GOES_ON} {term})"));
        until(&mut next, |_| server.asked().len() > asked + 100);
        holder = next;
    }
    holder.wait().expect(0);
    assert_complete(&crawl, &server);
}

#[test]
fn a_spare_ends_with_the_crawl() {
    let server = Server::start(|_, target| match target {
        "/" => Answer::links(&["/a", "/b"]).after(Duration::from_millis(1_500)),
        "/a" | "/b" => Answer::html("a page"),
        _ => Answer::not_found(),
    });
    let mut crawl = Crawl::new(&[server.url("a.test", "/")], &[]);
    // With nobody there a spare is the primary.
    let mut primary = spare(&mut crawl);
    until(&mut primary, |_| !server.asked().is_empty());
    let mut standby = spare(&mut crawl);
    until_said(&mut standby, WAITS);
    let mut leaving = spare(&mut crawl);
    until_said(&mut leaving, WAITS);
    leaving.signal("INT");
    let ended = leaving.wait().expect(130);
    assert!(ended.stdout.is_empty(), "{ended:#?}");
    let ended = primary.wait().expect(0);
    assert!(!ended.stderr.contains("standby"), "{ended:#?}");
    let ended = standby.wait().expect(0);
    assert!(ended.stderr.contains("is finished"), "{ended:#?}");
    assert_eq!(server.asked().len(), 4, "nothing was fetched again");
    crawl.assert_sound();
    // It was finished before this one came: a start like any other.
    let ended = spare(&mut crawl).wait().expect(0);
    assert!(ended.stderr.contains("restored checkpoint"), "{ended:#?}");
    assert_eq!(server.asked().len(), 4);
}
