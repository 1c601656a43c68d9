//! Politeness as a server sees it: pauses, one request at a time, robots.txt, requests to come back later.
//!
//! Only lower bounds of pauses are asserted; what a loaded machine adds does not matter.

use super::program::Crawl;
use super::scripted::{Answer, Asked, Server, endless};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// What the clocks of two processes and a thread's start may differ.
const SLACK: Duration = Duration::from_millis(20);

fn by_host(server: &Server) -> BTreeMap<String, Vec<Asked>> {
    let mut hosts = BTreeMap::<String, Vec<Asked>>::new();
    for asked in server.asked() {
        hosts.entry(asked.host.clone()).or_default().push(asked);
    }
    hosts
}

#[track_caller]
fn assert_gaps(requests: &[Asked], least: Duration) {
    for pair in requests.windows(2) {
        let gap = pair[1].at.duration_since(pair[0].at);
        assert!(
            gap + SLACK >= least,
            "{} {gap:?} after {}",
            pair[1].target,
            pair[0].target
        );
    }
}

#[test]
fn the_pause_holds_between_any_two_requests_of_a_host() {
    let server = Server::start(|_, target| endless(target));
    let seeds = ["a.test", "b.test"].map(|h| server.url(h, "/"));
    let crawl = Crawl::new(&seeds, &["--delay", "200ms", "--max-pages", "16"]);
    crawl.run().expect(0);
    let hosts = by_host(&server);
    assert_eq!(hosts.len(), 2);
    for requests in hosts.values() {
        assert!(requests.len() > 4, "both hosts are crawled: {requests:#?}");
        assert_eq!(requests[0].target, "/robots.txt");
        assert_gaps(requests, Duration::from_millis(200));
    }
}

#[test]
fn one_request_of_a_host_at_a_time_unless_more_are_allowed() {
    for (per_host, least) in [("1", 1), ("4", 2)] {
        let slow = Duration::from_millis(20);
        let server = Server::start(move |_, target| endless(target).after(slow));
        let seeds = ["a.test", "b.test"].map(|h| server.url(h, "/"));
        let limits = ["--per-host", per_host, "--max-pages", "60"];
        Crawl::new(&seeds, &limits).run().expect(0);
        let most = server.asked().iter().map(|a| a.at_once).max();
        let allowed = least..=per_host.parse::<usize>().expect("a number");
        assert!(most.is_some_and(|n| allowed.contains(&n)), "{most:?}");
    }
}

#[test]
fn crawl_delay_is_honoured_where_it_is_longer() {
    let server = Server::start(|_, target| match target {
        "/robots.txt" => Answer::text("User-agent: *\nCrawl-delay: 1\nDisallow: /p/2\n"),
        _ => endless(target),
    });
    let seeds = [server.url("a.test", "/")];
    Crawl::new(&seeds, &["--delay", "100ms", "--max-pages", "4"])
        .run()
        .expect(0);
    let hosts = by_host(&server);
    let requests = hosts.values().next().expect("a host");
    assert_eq!(requests.len(), 5);
    assert!(requests.iter().all(|r| r.target != "/p/2"));
    assert_gaps(requests, Duration::from_secs(1));
}

#[test]
fn retry_after_is_honoured() {
    for status in ["429 Too Many Requests", "503 Service Unavailable"] {
        let times = AtomicUsize::new(0);
        let server = Server::start(move |_, target| match target {
            "/" => Answer::links(&["/busy", "/calm"]),
            "/busy" if times.fetch_add(1, Ordering::Relaxed) == 0 => {
                Answer::new(status, "Retry-After: 3\r\n", "")
            }
            "/busy" | "/calm" => Answer::html("fine"),
            _ => Answer::not_found(),
        });
        let crawl = Crawl::new(&[server.url("a.test", "/")], &[]);
        crawl.run().expect(0);
        let requests = server.asked();
        let busy = requests.iter().position(|a| a.target == "/busy");
        let behind = &requests[busy.expect("it was asked")..];
        assert_gaps(&behind[..2], Duration::from_secs(3));
        let mut targets = server.targets("a.test");
        targets.sort();
        assert_eq!(targets, ["/", "/busy", "/busy", "/calm"]);
        let standing = crawl.standing();
        assert!(
            standing
                .values()
                .all(|(state, status)| state == "done" && status == "200")
        );
        crawl.assert_sound();
    }
}

#[test]
fn a_private_address_is_refused_unless_it_is_opened() {
    let server = Server::start(|_, _| panic!("nothing may be asked"));
    let seeds = [server.url("a.test", "/"), server.url("127.0.0.1", "/x")];
    let closed = [
        "--resolve",
        "*.test:*:127.0.0.1",
        "--delay",
        "0s",
        "--contact",
        "crawl@example.org",
    ];
    let crawl = Crawl::bare(&seeds, &closed);
    let ended = crawl.run().expect(0);
    assert!(server.asked().is_empty());
    let report = crawl.report();
    assert_eq!(report["excluded"]["address"], 2, "{report:#}");
    let said = format!("{}{}", ended.stdout, ended.stderr);
    assert!(said.contains("address"), "{said}");
    assert!(
        crawl
            .standing()
            .values()
            .all(|s| *s == ("excluded".into(), "address".into()))
    );
    crawl.assert_sound();
}
