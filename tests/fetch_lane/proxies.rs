//! Fetches through a proxy that does what it should not; real ones are among the scenarios.

use crate::server::{drip, hold, ok, request, serve};
use crate::{Net, page};
use cyclosa::config::{Credentials, FetchClocks, Proxy, ProxyKind};
use cyclosa::event::{Outcome, Page};
use cyclosa::time::MILLISECOND;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// A lane that fetches through `at`.
fn through(kind: ProxyKind, at: SocketAddr, names: bool) -> Net {
    let proxy = Proxy::new(kind, at, names, "http://p.test", &Credentials::default());
    Net::new(|settings| {
        settings.proxy = Some(proxy.expect("no login"));
        settings.clocks = FetchClocks {
            connect: 300 * MILLISECOND,
            ..settings.clocks
        };
    })
}

/// An address where nobody listens and that nobody may be led to.
fn nowhere() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], 80))
}

fn fetch(kind: ProxyKind, talk: impl Fn(TcpStream, usize) + Send + Sync + 'static) -> Box<Page> {
    through(kind, serve(talk), false).fetch(nowhere())
}

#[test]
fn a_tunnel_is_as_good_as_the_server_however_its_answer_is_split() {
    for size in [1, 7, 1_000] {
        let page = fetch(ProxyKind::Http, move |mut stream, _| {
            let asked = request(&mut stream).expect("CONNECT");
            assert!(
                asked.starts_with("CONNECT 192.0.2.1:80 HTTP/1.1\r\n"),
                "{asked}"
            );
            let answer = "HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n";
            drip(
                &mut stream,
                answer.as_bytes(),
                size,
                Duration::from_millis(1),
            );
            let asked = request(&mut stream).expect("GET");
            assert!(
                asked.starts_with("GET /a?b HTTP/1.1\r\nHost: 192.0.2.1"),
                "{asked}"
            );
            drip(&mut stream, ok("hello").as_bytes(), size, Duration::ZERO);
            hold(stream);
        });
        let seen = (page.outcome, page.body(), page.address);
        assert_eq!(seen, (Outcome::Fetched, &b"hello"[..], Some(nowhere())));
        let clocks = page.clocks;
        assert!(clocks.started < clocks.connected && clocks.connected <= clocks.first_byte);
    }
}

#[test]
fn socks_is_told_the_checked_address() {
    let page = fetch(ProxyKind::Socks5, |mut stream, _| {
        let mut said = [0; 3];
        stream.read_exact(&mut said).expect("a greeting");
        stream.write_all(&[5, 0]).expect("it listens");
        let mut said = [0; 10];
        stream.read_exact(&mut said).expect("a request");
        assert_eq!(said, [5, 1, 0, 1, 192, 0, 2, 1, 0, 80]);
        let answer = [5, 0, 0, 1, 127, 0, 0, 1, 0, 1];
        drip(&mut stream, &answer, 1, Duration::from_millis(1));
        request(&mut stream).expect("GET");
        stream
            .write_all(ok("hello").as_bytes())
            .expect("it listens");
        hold(stream);
    });
    assert_eq!(
        (page.outcome, page.body()),
        (Outcome::Fetched, &b"hello"[..])
    );
}

#[test]
fn tunnels_are_kept_and_a_closed_one_is_dug_again() {
    let proxy = serve(|mut stream, n| {
        request(&mut stream).expect("CONNECT");
        stream
            .write_all(b"HTTP/1.1 200 OK\r\n\r\n")
            .expect("it listens");
        for _ in 0..2 - n % 2 {
            if request(&mut stream).is_some() {
                stream
                    .write_all(ok("hello").as_bytes())
                    .expect("it listens");
            }
        }
    });
    let mut net = through(ProxyKind::Http, proxy, false);
    for (dialled, reused) in [(1, 0), (1, 1), (2, 1)] {
        assert_eq!(net.fetch(nowhere()).outcome, Outcome::Fetched);
        // The end of the connection is news that comes of itself.
        std::thread::sleep(Duration::from_millis(20));
        net.turn(&mut Vec::new());
        let load = net.lane.load();
        assert_eq!((load.dialled, load.reused), (dialled, reused));
    }
}

#[test]
fn what_is_wrong_with_a_proxy_is_no_fault_of_the_server() {
    let says = |kind, answer: &'static [u8]| {
        fetch(kind, move |mut stream, _| {
            let mut some = [0; 1];
            let _ = stream.read(&mut some);
            let _ = stream.write_all(answer);
        })
        .outcome
    };
    let endless: &'static [u8] = Box::leak(vec![b'x'; 1 << 20].into());
    for (kind, answer, outcome) in [
        (ProxyKind::Http, &b""[..], Outcome::ProxyFailed),
        (ProxyKind::Http, b"HTTP/1.1 200 ", Outcome::ProxyFailed),
        (ProxyKind::Http, b"\x05\x00", Outcome::ProxyFailed),
        (ProxyKind::Http, endless, Outcome::ProxyFailed),
        (
            ProxyKind::Http,
            b"HTTP/1.1 403 No\r\n\r\n",
            Outcome::ProxyRefused,
        ),
        (
            ProxyKind::Http,
            b"HTTP/1.1 407 Who\r\n\r\n",
            Outcome::ProxyFailed,
        ),
        (
            ProxyKind::Http,
            b"HTTP/1.1 502 No\r\n\r\n",
            Outcome::ConnectFailed,
        ),
        (
            ProxyKind::Http,
            b"HTTP/1.1 504 No\r\n\r\n",
            Outcome::ConnectTimeout,
        ),
        (
            ProxyKind::Http,
            b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
            Outcome::ProxyFailed,
        ),
        (ProxyKind::Socks5, b"", Outcome::ProxyFailed),
        (
            ProxyKind::Socks5,
            b"HTTP/1.1 400 Bad\r\n\r\n",
            Outcome::ProxyFailed,
        ),
        (ProxyKind::Socks5, b"\x05\xff", Outcome::ProxyFailed),
        (
            ProxyKind::Socks5,
            b"\x05\x00\x05\x02",
            Outcome::ProxyRefused,
        ),
        (
            ProxyKind::Socks5,
            b"\x05\x00\x05\x05",
            Outcome::ConnectFailed,
        ),
    ] {
        assert_eq!(says(kind, answer), outcome, "{kind:?} {answer:?}");
    }
}

#[test]
fn a_proxy_that_is_not_there_and_one_that_says_nothing() {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr());
    let mut net = through(ProxyKind::Http, free.expect("a port"), false);
    assert_eq!(net.fetch(nowhere()).outcome, Outcome::ProxyFailed);
    let silent = serve(|stream, _| hold(stream));
    for kind in [ProxyKind::Http, ProxyKind::Socks5] {
        let mut net = through(kind, silent, false);
        // It was reached, and does not get further.
        assert_eq!(net.fetch(nowhere()).outcome, Outcome::ConnectTimeout);
        assert_eq!((net.lane.load().open, net.lane.load().dialling), (0, 0));
    }
}

#[test]
fn a_further_address_is_asked_for_where_the_first_cannot_be_reached() {
    let proxy = serve(|mut stream, _| {
        let asked = request(&mut stream).expect("CONNECT");
        if asked.starts_with("CONNECT 192.0.2.1:80 ") {
            let _ = stream.write_all(b"HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nno");
            return;
        }
        assert!(asked.starts_with("CONNECT [2001:db8::1]:80 "), "{asked}");
        stream
            .write_all(b"HTTP/1.1 200 OK\r\n\r\n")
            .expect("it listens");
        request(&mut stream).expect("GET");
        stream
            .write_all(ok("hello").as_bytes())
            .expect("it listens");
    });
    let mut net = through(ProxyKind::Http, proxy, false);
    net.order(Page {
        addresses: vec!["2001:db8::1".parse().expect("an address")],
        ..page(nowhere())
    });
    let page = net.finish(1).0.remove(0);
    assert_eq!(page.outcome, Outcome::Fetched);
    assert_eq!(net.lane.load().fell_back, 1);
}

/// An order for a host whose name the proxy looks up.
fn by_name(url: &str) -> Page {
    let path_at = url.find("/a").expect("a path");
    Page {
        url: url.as_bytes().to_vec(),
        path_at: path_at as u16,
        address: Some(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 80))),
        ..Page::default()
    }
}

#[test]
fn a_proxy_that_looks_names_up_is_given_names() {
    let proxy = serve(|mut stream, n| {
        let asked = request(&mut stream).expect("a request");
        match n {
            0 => {
                assert!(
                    asked.starts_with("GET http://h.test:81/a?b HTTP/1.1\r\nHost: h.test:81\r\n"),
                    "{asked}"
                );
                let _ = stream.write_all(ok("hello").as_bytes());
            }
            1 => {
                let _ = stream.write_all(b"HTTP/1.1 407 Who\r\nContent-Length: 0\r\n\r\n");
            }
            _ => {
                assert!(
                    asked.starts_with("CONNECT h.test:443 HTTP/1.1\r\n"),
                    "{asked}"
                );
                let _ = stream.write_all(b"HTTP/1.1 403 No\r\n\r\n");
            }
        }
    });
    let mut net = through(ProxyKind::Http, proxy, true);
    for (url, outcome) in [
        ("http://h.test:81/a?b", Outcome::Fetched),
        ("http://h.test/a", Outcome::ProxyFailed),
        ("https://h.test/a", Outcome::ProxyRefused),
    ] {
        net.order(by_name(url));
        assert_eq!(net.finish(1).0.remove(0).outcome, outcome, "{url}");
    }
}
