//! The fetch lane against scripted servers on loopback.

mod server;

use cyclosa::config::{FetchClocks, ResolveRule};
use cyclosa::event::{Job, Outcome, Page};
use cyclosa::fetch::{Lane, LaneSettings, Resolver};
use cyclosa::limits::HEAD_BYTES_MAX;
use cyclosa::time::{Clock, MILLISECOND, SECOND, Tick, wall_now};
use server::{drip, hold, ok, request, serve, serve_and_close, serve_same};
use std::io::Write;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// Longest that a test waits for its pages before it counts as hanging.
const PATIENCE: Tick = 60 * SECOND;

/// A lane with its clock.
struct Net {
    lane: Lane,
    clock: Clock,
}

impl Net {
    fn new(change: impl FnOnce(&mut LaneSettings)) -> Self {
        Self::with_rules(&[], change)
    }

    fn with_rules(rules: &[ResolveRule], change: impl FnOnce(&mut LaneSettings)) -> Self {
        let clock = Clock::starting_at(SECOND);
        let mut settings = LaneSettings {
            clock,
            ..LaneSettings::default()
        };
        change(&mut settings);
        let resolver = Resolver::new(rules).expect("resolver threads");
        let lane = Lane::new(settings, resolver).expect("a lane");
        Self { lane, clock }
    }

    fn order(&mut self, page: Page) {
        self.lane.accept(Box::new(page), self.clock.now());
    }

    fn turn(&mut self, out: &mut Vec<Box<Page>>) -> usize {
        self.lane.turn(self.clock.now(), wall_now(), out)
    }

    /// Drives the lane until `n` pages are finished. Returns them and the number of turns it took.
    fn finish(&mut self, n: usize) -> (Vec<Box<Page>>, usize) {
        let (mut out, mut turns) = (Vec::new(), 0);
        let start = self.clock.now();
        while out.len() < n {
            assert!(
                self.clock.now() - start < PATIENCE,
                "{} of {n} pages, {:?}",
                out.len(),
                self.lane.load()
            );
            self.lane.park(Duration::from_millis(20));
            self.turn(&mut out);
            turns += 1;
        }
        assert_eq!(out.len(), n);
        (out, turns)
    }

    fn fetch(&mut self, address: SocketAddr) -> Box<Page> {
        self.order(page(address));
        self.finish(1).0.remove(0)
    }
}

fn page(address: SocketAddr) -> Page {
    let origin = format!("http://{address}");
    Page {
        path_at: origin.len() as u16,
        url: format!("{origin}/a?b").into_bytes(),
        address: Some(address),
        ..Page::default()
    }
}

fn fetch(address: SocketAddr) -> Box<Page> {
    Net::new(|_| {}).fetch(address)
}

fn short(clocks: &mut FetchClocks) {
    clocks.first_byte = 200 * MILLISECOND;
    clocks.connect = 200 * MILLISECOND;
    clocks.rate_window = 300 * MILLISECOND;
}

#[test]
fn a_body_with_a_length_is_fetched_into_the_page() {
    let page = fetch(serve_same(ok("hello")));
    assert_eq!(page.outcome, Outcome::Fetched);
    assert_eq!((page.facts.status, page.body()), (200, &b"hello"[..]));
    assert!(page.head().starts_with(b"HTTP/1.1 200 OK\r\n") && page.head().ends_with(b"\r\n\r\n"));
    assert_eq!(page.facts.content_type.of(&page.buf), b"text/html");
    assert_eq!(page.wire_bytes, ok("hello").len() as u64);
    assert!(page.head_at as usize >= cyclosa::limits::HEADROOM_BYTES);
    let c = page.clocks;
    assert!(
        c.started > 0
            && c.started <= c.connected
            && c.connected <= c.first_byte
            && c.first_byte <= c.done
    );
    assert!(page.fetched_at > 0);
}

#[test]
fn the_request_says_who_we_are() {
    let address = serve(|mut stream, _| {
        let head = request(&mut stream).unwrap_or_default();
        let _ = stream.write_all(ok(&head).as_bytes());
    });
    let page = Net::new(|s| s.contact = Some("crawl@example.org".into())).fetch(address);
    let sent = String::from_utf8_lossy(page.body()).into_owned();
    assert!(sent.starts_with("GET /a?b HTTP/1.1\r\n"), "{sent}");
    assert!(sent.contains(&format!("\r\nHost: {address}\r\n")), "{sent}");
    assert!(
        sent.contains("\r\nUser-Agent: cyclosa/")
            && sent.contains("\r\nFrom: crawl@example.org\r\n"),
        "{sent}"
    );
    assert!(
        sent.contains("\r\nAccept-Encoding: zstd, gzip, br\r\n"),
        "{sent}"
    );
}

#[test]
fn a_chunked_body_is_put_together_whatever_the_pieces() {
    let raw = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nT: u\r\n\r\n";
    for size in [1, 3, 7, 1_000] {
        let address = serve(move |mut stream, _| {
            request(&mut stream);
            drip(&mut stream, raw.as_bytes(), size, Duration::from_millis(1));
            hold(stream);
        });
        let page = fetch(address);
        assert_eq!(page.outcome, Outcome::Fetched);
        assert_eq!(page.body(), b"hello world");
        assert!(page.facts.chunked);
    }
}

#[test]
fn a_large_body_comes_whole() {
    let body: String = (0..400_000).map(|n| format!("{n:07}\n")).collect();
    let page = fetch(serve_same(ok(&body)));
    assert_eq!(page.outcome, Outcome::Fetched);
    assert!(page.body() == body.as_bytes());
    let lines: String = body
        .as_bytes()
        .chunks(50_000)
        .map(|c| format!("{:x}\r\n{}\r\n", c.len(), String::from_utf8_lossy(c)))
        .collect();
    let page = fetch(serve_same(format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{lines}0\r\n\r\n"
    )));
    assert_eq!(page.outcome, Outcome::Fetched);
    assert!(page.body() == body.as_bytes());
    let page = fetch(serve_and_close(format!("HTTP/1.1 200 OK\r\n\r\n{body}")));
    assert_eq!(page.outcome, Outcome::Fetched);
    assert!(page.body() == body.as_bytes());
}

#[test]
fn a_connection_is_kept_and_used_again() {
    let mut net = Net::new(|_| {});
    let address = serve_same(ok("hello"));
    for _ in 0..20 {
        assert_eq!(net.fetch(address).outcome, Outcome::Fetched);
    }
    let load = net.lane.load();
    assert_eq!(
        (load.dialled, load.reused, load.idle, load.open),
        (1, 19, 1, 1)
    );
    assert_eq!((load.dialling, load.awaiting, load.reading), (0, 0, 0));
}

#[test]
fn connections_belong_to_a_host_and_an_address() {
    let mut net = Net::new(|_| {});
    let address = serve_same(ok("hello"));
    net.fetch(address);
    let mut other = page(address);
    other.host = 7;
    net.order(other);
    net.finish(1);
    assert_eq!(net.lane.load().dialled, 2);
}

#[test]
fn a_kept_connection_that_was_closed_is_replaced_once() {
    let mut net = Net::new(|_| {});
    // Takes the second request of its first connection and closes without an answer.
    let address = serve(|mut stream, n| {
        request(&mut stream);
        let _ = stream.write_all(ok("hello").as_bytes());
        if n > 0 {
            hold(stream);
        } else {
            request(&mut stream);
        }
    });
    assert_eq!(net.fetch(address).outcome, Outcome::Fetched);
    let page = net.fetch(address);
    assert_eq!(
        (page.outcome, page.body()),
        (Outcome::Fetched, &b"hello"[..])
    );
    let load = net.lane.load();
    assert_eq!((load.dialled, load.reused, load.redialled), (2, 1, 1));
}

#[test]
fn a_fresh_connection_that_closes_is_not_replaced() {
    let mut net = Net::new(|_| {});
    let connections = Arc::new(AtomicUsize::new(0));
    let count = connections.clone();
    let address = serve(move |mut stream, n| {
        count.fetch_add(1, Ordering::SeqCst);
        request(&mut stream);
        if n == 0 {
            let _ = stream.write_all(ok("hello").as_bytes());
            request(&mut stream);
        }
    });
    assert_eq!(net.fetch(address).outcome, Outcome::Fetched);
    // Stale, replaced once, and the replacement closes too.
    assert_eq!(net.fetch(address).outcome, Outcome::ClosedEarly);
    assert_eq!(connections.load(Ordering::SeqCst), 2);
    assert_eq!(net.lane.load().redialled, 1);
}

#[test]
fn a_connection_with_leftover_bytes_is_not_kept() {
    let mut net = Net::new(|_| {});
    let address = serve_same(format!(
        "{}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
        ok("hello")
    ));
    for _ in 0..3 {
        let page = net.fetch(address);
        assert_eq!(
            (page.outcome, page.body()),
            (Outcome::Fetched, &b"hello"[..])
        );
    }
    assert_eq!(net.lane.load().reused, 0);
}

#[test]
fn an_idle_connection_that_speaks_or_waits_too_long_is_closed() {
    let late = serve(|mut stream, _| {
        request(&mut stream);
        let _ = stream.write_all(ok("hello").as_bytes());
        thread::sleep(Duration::from_millis(30));
        let _ = stream.write_all(b"HTTP/1.1 408 Request Timeout\r\n\r\n");
        hold(stream);
    });
    let silent = serve_same(ok("hello"));
    for (address, idle) in [(late, 60 * SECOND), (silent, 50 * MILLISECOND)] {
        let mut net = Net::new(|s| s.clocks.idle = idle);
        assert_eq!(net.fetch(address).outcome, Outcome::Fetched);
        let start = net.clock.now();
        while net.lane.load().open > 0 {
            assert!(net.clock.now() - start < PATIENCE);
            net.lane.park(Duration::from_millis(20));
            net.turn(&mut Vec::new());
        }
        assert_eq!(net.lane.load().idle, 0);
    }
}

#[test]
fn idle_connections_have_a_limit() {
    let mut net = Net::new(|s| s.idle_max = 3);
    let address = serve_same(ok("hello"));
    for host in 0..10 {
        let mut order = page(address);
        order.host = host;
        net.order(order);
    }
    net.finish(10);
    let load = net.lane.load();
    assert_eq!((load.idle, load.open, load.evicted), (3, 3, 7));
}

#[test]
fn failures_of_the_connection_have_names() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let refused = listener.local_addr().expect("its address");
    drop(listener);
    assert_eq!(fetch(refused).outcome, Outcome::ConnectFailed);
    assert_eq!(fetch(serve(|s, _| drop(s))).outcome, Outcome::ClosedEarly);
    assert_eq!(fetch(serve_and_close("")).outcome, Outcome::ClosedEarly);
    assert_eq!(
        fetch(serve_and_close("HTTP/1.1 200 OK\r\nA: b\r\n")).outcome,
        Outcome::ClosedEarly
    );
    assert_eq!(
        fetch(serve_and_close("<html>")).outcome,
        Outcome::BadResponse
    );
    let page = fetch(serve_and_close(
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello",
    ));
    assert_eq!(
        (page.outcome, page.body()),
        (Outcome::CutDisconnect, &b"hello"[..])
    );
    let page = fetch(serve_and_close("HTTP/1.1 200 OK\r\n\r\nhello"));
    assert_eq!(
        (page.outcome, page.body()),
        (Outcome::Fetched, &b"hello"[..])
    );
}

#[test]
fn a_server_that_speaks_first_and_closes_is_heard() {
    let address = serve(|mut stream, _| {
        let _ = stream
            .write_all(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        request(&mut stream);
    });
    assert_eq!(fetch(address).facts.status, 503);
}

#[test]
fn a_connect_that_does_not_end_is_given_up() {
    // Nobody accepts; the backlog fills up and further connects hang.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    let backlog: usize = std::fs::read_to_string("/proc/sys/net/core/somaxconn")
        .ok()
        .and_then(|s| s.trim().parse().ok())
        .unwrap_or(4_096);
    let fillers = backlog.min(128) + 64;
    let mut net = Net::new(|s| short(&mut s.clocks));
    for host in 0..fillers as u32 {
        let mut order = page(address);
        order.host = host;
        net.order(order);
    }
    let (pages, _) = net.finish(fillers);
    for page in &pages {
        // Those in the backlog stand and wait for an answer; the others never stand.
        assert!(
            matches!(
                page.outcome,
                Outcome::ConnectTimeout | Outcome::FirstByteTimeout
            ),
            "{:?}",
            page.outcome
        );
        assert!(page.head_at == 0 && page.body_end == 0);
    }
    let hung = pages
        .iter()
        .filter(|p| p.outcome == Outcome::ConnectTimeout)
        .count();
    println!("{hung} of {fillers} connects hung");
}

#[test]
fn slow_servers_meet_their_clocks() {
    let silent = serve(|mut stream, _| {
        request(&mut stream);
        hold(stream);
    });
    let slow_head = serve(|mut stream, _| {
        request(&mut stream);
        drip(
            &mut stream,
            ok("hello").as_bytes(),
            1,
            Duration::from_millis(60),
        );
        hold(stream);
    });
    let slow_body = serve(|mut stream, _| {
        request(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
        drip(&mut stream, &[b'x'; 1_000], 1, Duration::from_millis(20));
    });
    let mut net = Net::new(|s| {
        short(&mut s.clocks);
        s.clocks.rate_min = 1_000;
    });
    assert_eq!(net.fetch(silent).outcome, Outcome::FirstByteTimeout);
    assert_eq!(net.fetch(slow_head).outcome, Outcome::FirstByteTimeout);
    let page = net.fetch(slow_body);
    assert_eq!(page.outcome, Outcome::CutTime);
    assert!(!page.body().is_empty() && page.body().iter().all(|b| *b == b'x'));
    // Fast enough by the window, but not through in time.
    let mut net = Net::new(|s| {
        short(&mut s.clocks);
        s.clocks.rate_min = 1;
        s.clocks.total = 800 * MILLISECOND;
    });
    assert_eq!(net.fetch(slow_body).outcome, Outcome::CutTime);
    assert_eq!(net.lane.load().open, 0);
}

#[test]
fn a_slow_first_byte_within_its_clock_is_waited_for() {
    let address = serve(|mut stream, _| {
        request(&mut stream);
        thread::sleep(Duration::from_millis(150));
        let _ = stream.write_all(ok("hello").as_bytes());
        hold(stream);
    });
    let page = fetch(address);
    assert_eq!(page.outcome, Outcome::Fetched);
    assert!(page.clocks.first_byte - page.clocks.connected >= 100 * MILLISECOND);
}

#[test]
fn what_is_too_long_is_cut_or_refused() {
    let long = "x".repeat(5_000);
    for raw in [
        ok(&long),
        format!("HTTP/1.1 200 OK\r\n\r\n{long}"),
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1388\r\n{long}\r\n0\r\n\r\n"),
    ] {
        let page = Net::new(|s| s.max_body = 1_000).fetch(serve_and_close(raw));
        assert_eq!((page.outcome, page.body_len()), (Outcome::CutLength, 1_000));
    }
    let mut robots = page(serve_same(ok(&"#".repeat(600 << 10))));
    robots.job = Job::Robots;
    let mut net = Net::new(|_| {});
    net.order(robots);
    let page = net.finish(1).0.remove(0);
    assert_eq!(
        (page.outcome, page.body_len()),
        (Outcome::CutLength, 512 << 10)
    );
    let huge = format!("HTTP/1.1 200 OK\r\nA: {}", "b".repeat(2 * HEAD_BYTES_MAX));
    let page = fetch(serve_and_close(huge));
    assert_eq!((page.outcome, page.body_end), (Outcome::HeadTooLarge, 0));
}

#[test]
fn an_announced_length_takes_no_memory_before_it_comes() {
    let page = fetch(serve_and_close(
        "HTTP/1.1 200 OK\r\nContent-Length: 16000000\r\n\r\nhello",
    ));
    assert_eq!(page.outcome, Outcome::CutDisconnect);
    assert!(page.buf.len() < 100_000);
}

#[test]
fn what_cannot_be_sent_is_said_so() {
    let mut net = Net::new(|_| {});
    let address = serve_same(ok("hello"));
    let mut https = page(address);
    https.url.splice(..4, *b"https");
    https.path_at += 1;
    let mut split = page(address);
    split.url.extend_from_slice(b" HTTP/1.1\r\nEvil: yes");
    let mut nowhere = page(address);
    nowhere.address = None;
    for order in [https, split, nowhere] {
        net.order(order);
        assert_eq!(net.finish(1).0[0].outcome, Outcome::NotSent);
    }
}

#[test]
fn five_hundred_at_once() {
    let mut net = Net::new(|_| {});
    let address = serve(|mut stream, _| {
        while request(&mut stream).is_some() {
            drip(
                &mut stream,
                ok(&"x".repeat(3_000)).as_bytes(),
                1_100,
                Duration::from_millis(2),
            );
        }
    });
    for round in 0..2 {
        for host in 0..500 {
            let mut order = page(address);
            order.host = host;
            net.order(order);
        }
        let (pages, _) = net.finish(500);
        for page in pages {
            assert_eq!(
                (page.outcome, page.body_len()),
                (Outcome::Fetched, 3_000),
                "round {round}"
            );
        }
    }
    let load = net.lane.load();
    assert_eq!((load.dialled, load.reused, load.idle), (500, 500, 500));
}

#[test]
fn waiting_for_a_silent_peer_does_not_spin() {
    let address = serve(|stream, _| hold(stream));
    let mut net = Net::new(|s| s.clocks.first_byte = 500 * MILLISECOND);
    for host in 0..20 {
        let mut order = page(address);
        order.host = host;
        net.order(order);
    }
    let (mut out, mut idle_turns, mut turns) = (Vec::new(), 0, 0);
    let start = net.clock.now();
    while out.len() < 20 {
        assert!(net.clock.now() - start < PATIENCE);
        net.lane.park(Duration::from_secs(5));
        turns += 1;
        idle_turns += usize::from(net.turn(&mut out) == 0);
    }
    assert!(
        turns < 200 && idle_turns < 150,
        "{turns} turns, {idle_turns} without work"
    );
}

#[test]
fn names_are_resolved_by_rules_literals_and_the_system() {
    let rules = [ResolveRule {
        name: "web.test".into(),
        below: true,
        port: Some(8080),
        address: IpAddr::from([127, 0, 0, 9]),
    }];
    let mut net = Net::with_rules(&rules, |_| {});
    let cases = [
        ("http://h1.web.test:8080", Some("127.0.0.9")),
        ("http://[::1]:81", Some("::1")),
        ("http://127.0.0.3", Some("127.0.0.3")),
        ("http://localhost", Some("127.0.0.1")),
        ("http://no-such-name.invalid", None),
        ("http://a\0b", None),
    ];
    for (origin, expected) in cases {
        net.order(Page {
            job: Job::Resolve,
            url: format!("{origin}/").into_bytes(),
            path_at: origin.len() as u16,
            ..Page::default()
        });
        let page = net.finish(1).0.remove(0);
        let expected: Option<IpAddr> = expected.and_then(|e| e.parse().ok());
        match expected {
            Some(address) => {
                assert_eq!(page.outcome, Outcome::Fetched, "{origin}");
                assert!(
                    page.addresses.contains(&address),
                    "{origin}: {:?}",
                    page.addresses
                );
            }
            None => assert_eq!(
                (page.outcome, page.addresses.len()),
                (Outcome::DnsFailed, 0),
                "{origin}"
            ),
        }
    }
    assert_eq!(net.lane.load().resolving, 0);
}

#[test]
fn more_names_than_the_resolver_takes_wait_and_are_answered() {
    let mut net = Net::new(|_| {});
    for _ in 0..3_000 {
        net.order(Page {
            job: Job::Resolve,
            url: b"http://localhost/".to_vec(),
            path_at: 16,
            ..Page::default()
        });
    }
    assert_eq!(net.lane.load().resolving, 3_000);
    let (pages, _) = net.finish(3_000);
    assert!(pages.iter().all(|p| p.outcome == Outcome::Fetched));
}

#[test]
fn the_bell_ends_a_long_park() {
    let mut net = Net::new(|_| {});
    let bell = net.lane.bell();
    let ringer = thread::spawn(move || {
        thread::sleep(Duration::from_millis(50));
        bell.wake()
    });
    let start = net.clock.now();
    net.lane.park(Duration::from_secs(600));
    assert!(net.clock.now() - start < PATIENCE);
    assert!(ringer.join().is_ok_and(|r| r.is_ok()));
}

#[test]
fn a_stopped_lane_gives_every_page_back() {
    let address = serve(|stream, _| hold(stream));
    let mut net = Net::new(|_| {});
    for host in 0..5 {
        let mut order = page(address);
        order.host = host;
        net.order(order);
    }
    let mut out = Vec::new();
    while net.lane.load().awaiting < 5 {
        net.lane.park(Duration::from_millis(20));
        net.turn(&mut out);
    }
    net.order(page(address));
    net.lane.stop();
    net.order(page(address));
    net.turn(&mut out);
    assert_eq!(out.len(), 7);
    assert!(out.iter().all(|p| p.outcome == Outcome::Pending));
    assert_eq!(net.lane.load().open, 0);
}
