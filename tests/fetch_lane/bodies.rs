//! Requests, bodies and their limits.

use crate::server::{drip, hold, ok, request, serve, serve_and_close, serve_same};
use crate::{Net, PATIENCE, fetch, page};
use cyclosa::budget::PageShare;
use cyclosa::event::Job;
use cyclosa::event::Outcome;
use cyclosa::limits::HEAD_BYTES_MAX;
use std::io::Write;
use std::time::Duration;

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
    let page = Net::new(|s| s.from = Some("crawl@example.org".into())).fetch(address);
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
fn large_bodies_wait_for_memory_and_come_whole() {
    const PAGES: usize = 12;
    let body: String = (0..100_000).map(|n| format!("{n:07}\n")).collect();
    let small = ok("small");
    let large = ok(&body);
    let address = serve(move |mut stream, n| {
        while request(&mut stream).is_some() {
            let answer = if n % 2 == 0 { &large } else { &small };
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    });
    // Room for one of them and no more; the pages are not given back before the end.
    let share = PageShare::new(3 * body.len());
    let mut net = Net::new(|s| s.pages = share.clone());
    for _ in 0..PAGES {
        net.order(page(address));
    }
    let mut done = Vec::new();
    let start = net.clock.now();
    while done.len() < PAGES && net.clock.now() - start < PATIENCE {
        net.lane.park(Duration::from_millis(20));
        net.turn(&mut done);
    }
    assert_eq!(done.len(), PAGES, "{:?}", net.lane.load());
    // One that went on by itself is taken off the list by the next turn.
    net.turn(&mut done);
    assert_eq!(net.lane.load().paused, 0);
    for page in &done {
        assert_eq!(page.outcome, Outcome::Fetched);
        assert!(page.body() == body.as_bytes() || page.body() == b"small");
    }
    assert!(
        !share.has(0),
        "some waited, and were favoured: only they take more"
    );
    drop(done);
    assert!(share.has(3 * body.len()), "all is given back");
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
