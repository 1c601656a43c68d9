//! TLS against a rustls server that does what a test tells it.

use crate::certificates::Authority;
use crate::server::{hold, ok, request, serve};
use crate::{Net, PATIENCE};
use cyclosa::config::Roots;
use cyclosa::event::{Job, NO_HOST, Outcome, Page};
use cyclosa::fetch::Trust;
use cyclosa::time::MILLISECOND;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

type Stream = StreamOwned<ServerConnection, TcpStream>;

/// A root, and what a server of `a.test` and 127.0.0.1 shows.
struct Home {
    root: Authority,
    config: Arc<ServerConfig>,
}

impl Home {
    fn new() -> Self {
        Self::with(|builder, _| builder.with_no_client_auth())
    }

    fn with(
        auth: impl FnOnce(
            rustls::ConfigBuilder<ServerConfig, rustls::WantsVerifier>,
            &Authority,
        )
            -> rustls::ConfigBuilder<ServerConfig, rustls::server::WantsServerCert>,
    ) -> Self {
        let root = Authority::root("root");
        let leaf = root.leaf(&["a.test", "127.0.0.1"]);
        let key = PrivateKeyDer::Pkcs8(leaf.key.serialize_der().into());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions");
        let mut config = auth(builder, &root)
            .with_single_cert(vec![leaf.certificate.der().clone()], key)
            .expect("a certificate");
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self {
            root,
            config: Arc::new(config),
        }
    }

    /// Runs `talk` for every connection, handshake not yet done.
    fn serve(&self, talk: impl Fn(Stream, usize) + Send + Sync + 'static) -> SocketAddr {
        let config = self.config.clone();
        serve(move |stream, n| {
            let session = ServerConnection::new(config.clone()).expect("a session");
            talk(StreamOwned::new(session, stream), n);
        })
    }

    fn net(&self) -> Net {
        let root = self.root.certificate.der().to_vec();
        let trust = Trust::new(Roots::Webpki, &[root]).expect("a root");
        Net::new(|s| {
            s.trust = trust;
            s.clocks.tls = 300 * MILLISECOND;
        })
    }
}

fn page(address: SocketAddr) -> Page {
    let origin = format!("https://a.test:{}", address.port());
    Page {
        path_at: origin.len() as u16,
        url: format!("{origin}/a?b").into_bytes(),
        address: Some(address),
        ..Page::default()
    }
}

fn fetch(net: &mut Net, address: SocketAddr) -> Box<Page> {
    net.order(page(address));
    net.finish(1).0.remove(0)
}

/// The next request head over TLS.
fn asked(stream: &mut Stream) -> bool {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        if !stream.read(&mut byte).is_ok_and(|n| n == 1) {
            return false;
        }
        head.push(byte[0]);
    }
    true
}

fn answer(stream: &mut Stream, text: &str) {
    let _ = stream.write_all(text.as_bytes());
    let _ = stream.flush();
}

fn goodbye(stream: &mut Stream) {
    stream.conn.send_close_notify();
    let _ = stream.flush();
}

#[test]
fn connections_are_kept_and_tickets_on_them_are_no_noise() {
    let home = Home::new();
    let address = home.serve(|mut stream, _| {
        while asked(&mut stream) {
            answer(&mut stream, &ok("hello"));
        }
    });
    let mut net = home.net();
    for _ in 0..5 {
        let page = fetch(&mut net, address);
        assert_eq!(
            (page.outcome, page.body()),
            (Outcome::Fetched, &b"hello"[..])
        );
        thread::sleep(Duration::from_millis(5));
        net.turn(&mut Vec::new());
    }
    let load = net.lane.load();
    assert_eq!(
        (load.tls_full, load.tls_resumed, load.tls_failed),
        (1, 0, 0)
    );
    assert_eq!((load.dialled, load.reused, load.idle), (1, 4, 1));
}

#[test]
fn an_end_without_close_notify_is_a_cut() {
    let home = Home::new();
    const UNTIL_CLOSE: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\nhello";
    let polite = home.serve(|mut stream, _| {
        asked(&mut stream);
        answer(&mut stream, UNTIL_CLOSE);
        goodbye(&mut stream);
        hold(stream.sock);
    });
    let cut = home.serve(|mut stream, _| {
        asked(&mut stream);
        answer(&mut stream, UNTIL_CLOSE);
    });
    let whole = home.serve(|mut stream, _| {
        asked(&mut stream);
        answer(&mut stream, &ok("hello"));
    });
    for (address, outcome) in [
        (polite, Outcome::Fetched),
        (cut, Outcome::CutDisconnect),
        (whole, Outcome::Fetched),
    ] {
        let page = fetch(&mut home.net(), address);
        assert_eq!((page.outcome, page.body()), (outcome, &b"hello"[..]));
    }
}

#[test]
fn a_kept_connection_that_was_closed_is_replaced_and_its_session_resumed() {
    let home = Home::new();
    for clean in [true, false] {
        let address = home.serve(move |mut stream, _| {
            asked(&mut stream);
            answer(&mut stream, &ok("hello"));
            if clean {
                goodbye(&mut stream);
            }
        });
        let mut net = home.net();
        for _ in 0..4 {
            assert_eq!(fetch(&mut net, address).outcome, Outcome::Fetched);
        }
        let load = net.lane.load();
        assert_eq!((load.tls_full, load.tls_resumed), (1, 3), "clean: {clean}");
    }
}

#[test]
fn bodies_arrive_whole_however_they_are_cut_into_records_and_segments() {
    let home = Home::new();
    let body: String = (0..200_000)
        .map(|n| char::from(b'a' + (n % 23) as u8))
        .collect();
    let expected = body.clone();
    let address = home.serve(move |mut stream, n| {
        asked(&mut stream);
        let text = ok(&body);
        let size = [1, 7, 1_000, 16_384, 16_385, 100_000][n % 6];
        let most = if n % 6 == 0 { 3_000 } else { text.len() };
        // Small records at the start, then the rest at once.
        for piece in text.as_bytes()[..most].chunks(size) {
            let _ = stream.write_all(piece);
        }
        let _ = stream.write_all(&text.as_bytes()[most..]);
        goodbye(&mut stream);
        hold(stream.sock);
    });
    for _ in 0..6 {
        let page = fetch(&mut home.net(), address);
        assert_eq!(page.outcome, Outcome::Fetched);
        assert!(page.body() == expected.as_bytes());
    }
    // More than is kept.
    let mut net = Net::new(|s| {
        s.trust = Trust::new(Roots::Webpki, &[home.root.certificate.der().to_vec()]).expect("it");
        s.max_body = 1_000;
    });
    let page = fetch(&mut net, address);
    assert_eq!((page.outcome, page.body_len()), (Outcome::CutLength, 1_000));
    assert_eq!(net.lane.load().open, 0);
}

#[test]
fn bytes_beyond_the_response_end_the_connection() {
    let home = Home::new();
    let address = home.serve(|mut stream, _| {
        while asked(&mut stream) {
            answer(&mut stream, &(ok("hello") + "HTTP/1.1 200 OK\r\n"));
        }
    });
    let mut net = home.net();
    assert_eq!(fetch(&mut net, address).outcome, Outcome::Fetched);
    let load = net.lane.load();
    assert_eq!((load.open, load.idle), (0, 0));
}

#[test]
fn a_server_that_wants_a_certificate_of_ours_is_told_apart() {
    let home = Home::with(|builder, root| {
        let mut roots = RootCertStore::empty();
        roots.add(root.certificate.der().clone()).expect("a root");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        builder.with_client_cert_verifier(verifier.build().expect("a verifier"))
    });
    let address = home.serve(|mut stream, _| {
        asked(&mut stream);
        let _ = stream.flush();
        thread::sleep(Duration::from_millis(20));
    });
    assert_eq!(
        fetch(&mut home.net(), address).outcome,
        Outcome::TlsProtocol
    );
}

/// ServerHello of TLS 1.2 and close_notify, which at that point anybody could have sent.
const HELLO_AND_GOODBYE: &[u8] = &[
    0x16, 3, 3, 0, 42, 2, 0, 0, 38, 3, 3, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16,
    17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 0, 0xc0, 0x2f, 0, 0x15, 3, 3,
    0, 2, 1, 0,
];

#[test]
fn handshakes_that_stall_meet_their_clock_and_cost_nothing() {
    let home = Home::new();
    let silent = serve(|stream, _| hold(stream));
    let goodbye = serve(|mut stream, _| {
        let _ = stream.write_all(HELLO_AND_GOODBYE);
        hold(stream);
    });
    let deaf = serve(|stream, _| {
        thread::sleep(Duration::from_secs(5));
        drop(stream);
    });
    let drip = serve(|mut stream, _| {
        for byte in HELLO_AND_GOODBYE {
            let _ = stream.write_all(&[*byte]);
            thread::sleep(Duration::from_millis(50));
        }
    });
    let mut net = home.net();
    for (host, address) in [silent, goodbye, deaf, drip].into_iter().enumerate() {
        let mut order = page(address);
        order.host = host as u32;
        net.order(order);
    }
    let (mut out, mut turns) = (Vec::new(), 0);
    let start = net.clock.now();
    while out.len() < 4 {
        assert!(net.clock.now() - start < PATIENCE);
        net.lane.park(Duration::from_secs(5));
        net.turn(&mut out);
        turns += 1;
    }
    assert!(
        out.iter().all(|p| p.outcome == Outcome::TlsTimeout),
        "{:?}",
        out[0].outcome
    );
    assert!(turns < 100, "{turns} turns");
    let load = net.lane.load();
    assert_eq!((load.tls_failed, load.handshaking, load.open), (4, 0, 0));
}

#[test]
fn a_handshake_without_end_is_cut() {
    // Warnings do not end a handshake; their number and their bytes are bounded.
    let address = serve(|mut stream, _| {
        let warnings = [0x15, 3, 3, 0, 2, 1, 90].repeat(1_000);
        while stream.write_all(&warnings).is_ok() {}
    });
    let mut net = Home::new().net();
    assert_eq!(fetch(&mut net, address).outcome, Outcome::TlsProtocol);
}

#[test]
fn plain_http_where_tls_is_asked_for_is_a_protocol_error() {
    let address = serve(|mut stream, _| {
        let _ = stream.write_all(ok("hello").as_bytes());
        request(&mut stream);
    });
    let mut net = Home::new().net();
    assert_eq!(fetch(&mut net, address).outcome, Outcome::TlsProtocol);
}

#[test]
fn a_robots_file_on_another_host_uses_no_connection_of_the_first() {
    let home = Home::new();
    let address = home.serve(|mut stream, n| {
        while asked(&mut stream) {
            answer(&mut stream, &ok(&n.to_string()));
        }
    });
    let mut net = home.net();
    assert_eq!(fetch(&mut net, address).body(), b"0");
    let mut detour = page(address);
    detour.job = Job::Robots;
    detour.redirects = 1;
    net.order(detour);
    assert_eq!(net.finish(1).0[0].body(), b"1");
    let load = net.lane.load();
    assert_eq!((load.dialled, load.idle), (2, 1));
    assert_eq!(fetch(&mut net, address).body(), b"0");
}

#[test]
fn names_that_tls_does_not_know_are_not_sent() {
    let home = Home::new();
    let address = home.serve(|mut stream, _| {
        while asked(&mut stream) {
            answer(&mut stream, &ok("hello"));
        }
    });
    let mut net = home.net();
    for (host, outcome) in [
        ("a.test", Outcome::Fetched),
        ("a.test.", Outcome::Fetched),
        ("A.TEST", Outcome::Fetched),
        ("127.0.0.1", Outcome::Fetched),
        ("b.test", Outcome::TlsWrongName),
        ("[::1]", Outcome::TlsWrongName),
        ("a..test", Outcome::NotSent),
        ("a!b.test", Outcome::NotSent),
    ] {
        let origin = format!("https://{host}:{}", address.port());
        let mut order = page(address);
        order.url = format!("{origin}/").into_bytes();
        order.path_at = origin.len() as u16;
        order.host = NO_HOST;
        net.order(order);
        assert_eq!(net.finish(1).0[0].outcome, outcome, "{host}");
    }
}
