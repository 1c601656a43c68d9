//! Ways in which a page or a name server may try to lead the crawler inward: to this machine, to private networks, to the
//! services of a cloud. Nothing may ever be connected to there, on whatever hop.

use super::name_server::{Ask, NameServer};
use super::namespace::Namespace;
use super::program::Crawl;
use super::scripted::{Answer, Server};
use std::net::{TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// A service that nobody may connect to.
struct Trap {
    port: u16,
    caught: Arc<AtomicUsize>,
}

impl Trap {
    fn at(listener: TcpListener) -> Self {
        let port = listener.local_addr().expect("its address").port();
        let caught = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&caught);
        thread::spawn(move || {
            for _ in listener.incoming() {
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self { port, caught }
    }

    #[track_caller]
    fn assert_untouched(&self) {
        assert_eq!(self.caught.load(Ordering::Relaxed), 0, "somebody connected");
    }
}

/// The same port on the open address 127.0.0.2 (to serve) and on the closed one 127.0.0.1 (a trap).
fn open_and_closed() -> (TcpListener, Trap) {
    (0..100)
        .find_map(|_| {
            let open = TcpListener::bind("127.0.0.2:0").ok()?;
            let port = open.local_addr().ok()?.port();
            Some((open, Trap::at(TcpListener::bind(("127.0.0.1", port)).ok()?)))
        })
        .expect("a port that is free on both")
}

/// A crawl that may use 127.0.0.2 and asks `dns`. It says who crawls: without, public addresses would be closed anyway.
fn crawl(seeds: &[String], dns: &NameServer, more: &[&str]) -> Crawl {
    let dns = dns.address.to_string();
    let base = [
        "--contact",
        "crawl@example.org",
        "--allow-net",
        "127.0.0.2/32",
        "--delay",
        "0s",
        "--memory",
        "256MiB",
        "--dns",
        &dns,
    ];
    Crawl::bare(seeds, &[&base[..], more].concat())
}

#[test]
fn every_hop_is_judged_by_the_address_that_it_leads_to() {
    let (open, trap) = open_and_closed();
    let port = trap.port;
    let inward: Vec<String> = [
        "127.0.0.1",
        "0x7f.1",
        "2130706433",
        "017700000001",
        "127.1",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[64:ff9b:1::1]",
        "[2002:7f00:1::]",
        "[2001:0:7f00:1::]",
        "[fd00:ec2::254]",
        "[fe80::1]",
        "0.0.0.0",
        "169.254.169.254",
        "100.100.100.200",
        "10.0.0.1",
        "inside.test",
        "alias.test",
        "six.test",
    ]
    .iter()
    .map(|host| format!("http://{host}:{port}/"))
    .collect();
    let pages: Vec<String> = (0..inward.len())
        .flat_map(|n| [format!("/redirect/{n}"), format!("/refresh/{n}")])
        .collect();
    let there = inward.clone();
    let server = Server::over(open, move |host, target| {
        let number = |prefix| {
            target
                .strip_prefix(prefix)
                .and_then(|n| n.parse::<usize>().ok())
        };
        if target == "/robots.txt" {
            return match host {
                "robots.test" => Answer::redirect(
                    "302 Found",
                    &format!("http://inside.test:{port}/robots.txt"),
                ),
                _ => Answer::not_found(),
            };
        }
        if let Some(n) = number("/redirect/") {
            return Answer::redirect("302 Found", &format!("{}hop", there[n]));
        }
        if let Some(n) = number("/refresh/") {
            let to = format!("{}refreshed", there[n]);
            return Answer::html(format!("<meta http-equiv=refresh content='0; url={to}'>"));
        }
        let images: String = there
            .iter()
            .map(|to| format!("<img src='{to}i.png'>"))
            .collect();
        let links: String = there
            .iter()
            .chain(&pages)
            .map(|to| format!("<a href='{to}'>x</a>"))
            .collect();
        Answer::html(links + &images)
    });
    let dns = NameServer::start(|ask: &Ask| match ask.name.as_str() {
        "inside.test" => ask.with(&["127.0.0.1", "10.9.9.9", "fd00::1"]),
        "alias.test" => vec![ask.reply().alias(&ask.spelling, "localhost").bytes()],
        "localhost" => ask.with(&["127.0.0.1", "::1"]),
        "six.test" => ask.with(&["::ffff:127.0.0.1", "64:ff9b::7f00:1", "::1"]),
        _ => ask.with(&["127.0.0.2"]),
    });
    let seeds = [
        server.url("a.test", "/"),
        server.url("robots.test", "/forbidden"),
    ];
    let crawl = crawl(&seeds, &dns, &["--scope", "any"]);
    crawl.run().expect(0);
    trap.assert_untouched();
    let standing = crawl.standing();
    for (url, (state, status)) in &standing {
        let open = url.starts_with(&server.url("a.test", ""));
        match (open, url.contains("robots.test")) {
            (true, _) => assert_eq!((state.as_str(), status.len()), ("done", 3), "{url}"),
            (_, true) => assert_eq!(status, "robots_unreachable", "{url}"),
            _ => assert_eq!(
                (state.as_str(), status.as_str()),
                ("excluded", "address"),
                "{url}"
            ),
        }
    }
    let refused = standing
        .values()
        .filter(|(_, status)| status == "address")
        .count();
    // Four writings of 127.0.0.1 are one; each address is met as a link, an image, a redirect and a refresh.
    assert_eq!(refused, (inward.len() - 4) * 4, "{standing:#?}");
    crawl.assert_sound();
}

#[test]
fn a_mixed_answer_leads_to_its_allowed_addresses_only() {
    let (open, trap) = open_and_closed();
    let server = Server::over(open, |_, target| match target {
        "/" => Answer::links(&["/a", "/b", "/c"]),
        "/robots.txt" => Answer::not_found(),
        _ => Answer::html("fine").and_close(),
    });
    let dns =
        NameServer::start(|ask: &Ask| ask.with(&["127.0.0.1", "::1", "127.0.0.2", "10.0.0.1"]));
    let crawl = crawl(&[server.url("mixed.test", "/")], &dns, &[]);
    crawl.run().expect(0);
    trap.assert_untouched();
    assert_eq!(server.targets("mixed.test").len(), 4);
    assert!(crawl.standing().values().all(|(_, status)| status == "200"));
    crawl.assert_sound();
}

#[test]
fn a_name_that_is_rebound_is_refused() {
    let (open, trap) = open_and_closed();
    let server = Server::over(open, |_, target| match target {
        "/" => Answer::links(&["/a", "/b", "/c"]),
        "/robots.txt" => Answer::not_found(),
        _ => Answer::html("fine"),
    });
    // Good for one look-up and a time to live of nothing; from then on it leads inward.
    let dns = NameServer::start(|ask: &Ask| match ask.before {
        0 => vec![
            match ask.kind {
                super::name_server::A => ask.reply().ttl(0).address(&ask.spelling, "127.0.0.2"),
                _ => ask.reply().ttl(0).none(),
            }
            .bytes(),
        ],
        _ => ask.with(&["127.0.0.1", "::1"]),
    });
    let mut crawl = crawl(&[server.url("rebind.test", "/")], &dns, &[]);
    let plain = crawl.argument_count();
    crawl.add(&["--max-pages", "2"]);
    crawl.run().expect(0);
    assert_eq!(server.targets("rebind.test").len(), 2);
    // Addresses are not part of a checkpoint: the next run asks again, and gets another answer.
    crawl.keep(plain);
    crawl.run().expect(0);
    trap.assert_untouched();
    assert_eq!(server.targets("rebind.test").len(), 2);
    assert_eq!(crawl.report()["excluded"]["address"], 2);
    crawl.assert_sound();
}

#[test]
fn public_addresses_are_crawled_and_those_of_this_machine_are_not() {
    let Some(net) = Namespace::new() else { return };
    // A range that is reached here without being an address of an interface, and one that is.
    let made = net.ip(&["route", "add", "local", "45.33.32.0/24", "dev", "lo"])
        && net.ip(&["addr", "add", "45.33.33.1/32", "dev", "lo"]);
    if !made {
        return println!("skipped: no addresses can be added in a network namespace");
    }
    let (public, own, local, udp, tcp) = net.inside(|| {
        let public = TcpListener::bind("45.33.32.1:80").expect("port 80 is free");
        let own = TcpListener::bind("45.33.33.1:80").expect("port 80 is free");
        let local = TcpListener::bind("127.0.0.1:80").expect("port 80 is free");
        let udp = UdpSocket::bind("127.0.0.1:53").expect("port 53 is free");
        let tcp = TcpListener::bind("127.0.0.1:53").expect("port 53 is free");
        (public, own, local, udp, tcp)
    });
    let (own, local) = (Trap::at(own), Trap::at(local));
    let server = Server::over(public, |_, target| match target {
        "/" => Answer::links(&[
            "http://own.test/",
            "http://rebound.test/",
            "http://45.33.33.1/",
            "/a",
        ]),
        "/robots.txt" => Answer::not_found(),
        _ => Answer::html("fine"),
    });
    let dns = NameServer::over(udp, tcp, |ask: &Ask| match ask.name.as_str() {
        "own.test" => ask.with(&["45.33.33.1"]),
        "rebound.test" => ask.with(&["127.0.0.1"]),
        _ => ask.with(&["45.33.33.1", "127.0.0.1", "45.33.32.1"]),
    });
    let seeds = ["http://public.test/".to_string()];
    let flags = [
        "--contact",
        "crawl@example.org",
        "--dns",
        "127.0.0.1",
        "--scope",
        "any",
        "--delay",
        "0s",
        "--memory",
        "256MiB",
    ];
    let crawl = Crawl::bare(&seeds, &flags);
    crawl.start_under(&net.words()).wait().expect(0);
    own.assert_untouched();
    local.assert_untouched();
    let asked: Vec<String> = server.asked().into_iter().map(|a| a.target).collect();
    assert_eq!(asked, ["/robots.txt", "/", "/a"]);
    assert_eq!(crawl.report()["excluded"]["address"], 3);
    assert!(!dns.asked_for("public.test").is_empty());
    crawl.assert_sound();
}
