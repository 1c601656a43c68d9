//! Heads, chunks and bodies that do not end, answers that nobody asked for, and bytes behind an answer.
//!
//! What must hold: a lane receives no more of a reply than the limit that ends it and one read, keeps no more memory than
//! that, and takes nothing that stands behind an answer for the next one.

use crate::server::{hold, ok, request, serve, serve_same};
use crate::{Net, PATIENCE, page};
use cyclosa::event::{Outcome, Page};
use cyclosa::limits::{
    CHUNK_EXTENSION_BYTES_MAX, CHUNK_LINE_BYTES_MAX, HEAD_BYTES_MAX, READ_ROOM_BYTES,
    TRAILER_BYTES_MAX,
};
use std::io::Write;
use std::net::SocketAddr;

/// What a server without end sends at most.
const GIBIBYTE: usize = 1 << 30;

/// Answers with `start` and then `piece` over and over, up to a gibibyte, in writes of about `size` bytes.
fn serve_endless(start: &str, piece: &str, size: usize) -> SocketAddr {
    let start = start.as_bytes().to_vec();
    let write = piece.as_bytes().repeat(1 + size / piece.len());
    serve(move |mut stream, _| {
        request(&mut stream);
        let _ = stream.set_nodelay(true);
        let mut sent = 0;
        let mut next = &start;
        while sent < GIBIBYTE && stream.write_all(next).is_ok() {
            sent += next.len();
            next = &write;
        }
    })
}

/// Fetches an answer without end that must come to `outcome` after `most` bytes, give or take a read.
#[track_caller]
fn fetch_endless(start: &str, piece: &str, outcome: Outcome, most: usize) -> Box<Page> {
    let mut last = None;
    for size in [16, 64 << 10] {
        let mut net = Net::new(|s| s.max_body = 1_000);
        let page = net.fetch(serve_endless(start, piece, size));
        let name = format!("{start:.60}{piece:.60}");
        assert_eq!(page.outcome, outcome, "{name:?}");
        let received = page.wire_bytes as usize;
        assert!(
            received <= most + READ_ROOM_BYTES * 2,
            "{received}: {name:?}"
        );
        assert!(
            page.buf.len() <= 4 * most.max(READ_ROOM_BYTES),
            "{}: {name:?}",
            page.buf.len()
        );
        assert_eq!(net.lane.load().open, 0);
        last = Some(page);
    }
    last.expect("fetched twice")
}

#[test]
fn a_head_without_end_is_given_up_at_its_limit() {
    let ok = "HTTP/1.1 200 OK\r\n";
    for (start, piece) in [
        (format!("{ok}A: "), "b".repeat(64)),
        (format!("{ok}A: b\r\n"), " folded\r\n".into()),
        ("HTTP/1.1 200 ".into(), "very ".into()),
        // A million of them.
        (ok.into(), "A: b\r\n".into()),
        (ok.into(), "no field\r\n".into()),
    ] {
        let page = fetch_endless(&start, &piece, Outcome::HeadTooLarge, HEAD_BYTES_MAX);
        assert_eq!((page.head_at, page.body_end), (0, 0));
    }
}

#[test]
fn what_never_becomes_a_head_is_given_up_sooner() {
    for (start, piece) in [
        ("", "HTTP/1.1 100 Continue\r\n\r\n"),
        (
            "",
            "HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n",
        ),
        ("", "\r\n"),
        ("", "\n"),
        ("", "\r"),
        ("", "\0"),
        (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
            "frames",
        ),
    ] {
        fetch_endless(start, piece, Outcome::BadResponse, 4 << 10);
    }
}

#[test]
fn chunked_framing_without_end_is_given_up_at_its_limits() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let extended = format!("0{}1;{}\r\na\r\n", "0".repeat(9), "x".repeat(3_000));
    for (start, piece, most) in [
        ("1;", "extension", CHUNK_LINE_BYTES_MAX),
        ("", "0", CHUNK_LINE_BYTES_MAX),
        ("1", " ", CHUNK_LINE_BYTES_MAX),
        ("", extended.as_str(), CHUNK_EXTENSION_BYTES_MAX),
        ("1\r\na\r\n0\r\nA: ", "trailer", TRAILER_BYTES_MAX),
        ("0\r\n", "A: trailer\r\n", TRAILER_BYTES_MAX),
    ] {
        fetch_endless(
            &format!("{chunked}{start}"),
            piece,
            Outcome::BadResponse,
            most,
        );
    }
}

#[test]
fn a_body_without_end_is_cut_at_its_limit() {
    let ok = "HTTP/1.1 200 OK\r\n";
    for (start, piece) in [
        (format!("{ok}\r\n"), "x"),
        (
            format!("{ok}Content-Length: 18446744073709551615\r\n\r\n"),
            "x",
        ),
        (
            format!("{ok}Transfer-Encoding: chunked\r\n\r\n"),
            "1\r\nx\r\n",
        ),
        (
            format!("{ok}Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n"),
            "x",
        ),
    ] {
        let page = fetch_endless(&start, piece, Outcome::CutLength, 8 << 10);
        assert!(page.body().len() == 1_000 && page.body().iter().all(|b| *b == b'x'));
    }
}

#[test]
fn slow_peers_do_not_hold_up_others() {
    const SLOW: usize = 300;
    let slow = serve(|mut stream, _| {
        request(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx");
        hold(stream);
    });
    let fast = serve_same(ok("hello"));
    let mut net = Net::new(|_| {});
    for host in 1..=SLOW as u32 {
        let mut order = page(slow);
        order.host = host;
        net.order(order);
    }
    let mut out = Vec::new();
    let start = net.clock.now();
    while net.lane.load().reading < SLOW {
        assert!(net.clock.now() - start < PATIENCE, "{:?}", net.lane.load());
        net.lane.park(std::time::Duration::from_millis(20));
        net.turn(&mut out);
    }
    for _ in 0..50 {
        assert_eq!(net.fetch(fast).body(), b"hello");
    }
    assert_eq!(net.lane.load().reading, SLOW);
    net.lane.stop();
    assert_eq!(net.finish(SLOW).0.len(), SLOW);
}

#[test]
fn bytes_behind_an_answer_are_nobodys() {
    let evil = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    for (answer, body) in [
        (ok("hello"), "hello"),
        (chunked.to_string(), "hello"),
        ("HTTP/1.1 204 No Content\r\n\r\n".into(), ""),
        (
            "HTTP/1.1 204 No Content\r\nContent-Length: 76\r\n\r\n".into(),
            "",
        ),
        (
            "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n".into(),
            "",
        ),
        (
            "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".into(),
            "",
        ),
    ] {
        for behind in [evil, "\r\n", "\0", "garbage"] {
            let address = serve_same(format!("{answer}{behind}"));
            let mut net = Net::new(|_| {});
            for _ in 0..3 {
                let page = net.fetch(address);
                let seen = (page.outcome, page.body(), page.facts.status);
                let status = answer[9..12].parse().unwrap_or(0);
                assert_eq!(
                    seen,
                    (Outcome::Fetched, body.as_bytes(), status),
                    "{answer:?}"
                );
            }
            let load = net.lane.load();
            assert_eq!(
                (load.reused, load.dialled, load.open),
                (0, 3, 0),
                "{answer:?}"
            );
        }
    }
}

#[test]
fn an_answer_before_its_request_does_not_shift_later_ones() {
    // Speaks first on every connection, then answers what it is asked.
    let address = serve(|mut stream, n| {
        let _ = stream.write_all(ok(&format!("early {n}")).as_bytes());
        while request(&mut stream).is_some() {
            let _ = stream.write_all(ok(&format!("late {n}")).as_bytes());
        }
    });
    let mut net = Net::new(|_| {});
    for n in 0..3 {
        let page = net.fetch(address);
        assert_eq!(page.body(), format!("early {n}").as_bytes());
        // The true answer finds nobody waiting and ends the connection.
        let start = net.clock.now();
        while net.lane.load().open > 0 {
            assert!(net.clock.now() - start < PATIENCE);
            net.lane.park(std::time::Duration::from_millis(20));
            net.turn(&mut Vec::new());
        }
    }
    assert_eq!(net.lane.load().reused, 0);
}
