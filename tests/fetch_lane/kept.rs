//! Kept connections: reuse, replacement, limits.

use crate::server::{drip, hold, ok, request, serve, serve_same};
use crate::{Net, PATIENCE, page};
use cyclosa::event::Outcome;
use cyclosa::time::MILLISECOND;
use cyclosa::time::SECOND;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

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
