//! What goes wrong, and its name.

use crate::server::{drip, hold, ok, request, serve, serve_and_close, serve_same};
use crate::{Net, PATIENCE, fetch, page};
use cyclosa::config::FetchClocks;
use cyclosa::event::Outcome;
use cyclosa::time::MILLISECOND;
use std::io::Write;
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

fn short(clocks: &mut FetchClocks) {
    clocks.first_byte = 200 * MILLISECOND;
    clocks.connect = 200 * MILLISECOND;
    clocks.rate_window = 300 * MILLISECOND;
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
fn what_cannot_be_sent_is_said_so() {
    let mut net = Net::new(|_| {});
    let address = serve_same(ok("hello"));
    let mut split = page(address);
    split.url.extend_from_slice(b" HTTP/1.1\r\nEvil: yes");
    let mut nowhere = page(address);
    nowhere.address = None;
    for order in [split, nowhere] {
        net.order(order);
        assert_eq!(net.finish(1).0[0].outcome, Outcome::NotSent);
    }
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
