//! Peers that take a connection and then say nothing, too little, or the same for ever: they cost a place, not a core.

use super::super::program::Crawl;
use super::{Dumb, cpu_share, run};
use rustix::net::sockopt::set_socket_recv_buffer_size;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::Duration;

/// Longer than any test.
const FOR_EVER: Duration = Duration::from_secs(600);
/// Hosts of each kind of silence.
const HOSTS: usize = 50;

/// A record (RFC 8446 5.1) that announces a handshake message of 64 KiB less one, and its first bytes.
const HALF_A_HELLO: &[u8] = &[0x16, 3, 3, 0x40, 0, 2, 0, 0xff, 0xff, 3, 3, 1, 2, 3];

fn silent() -> Dumb {
    Dumb::raw(|stream| {
        sleep(FOR_EVER);
        drop(stream);
    })
}

/// Never reads, and has next to no room for what is sent.
fn no_window() -> Dumb {
    Dumb::raw(|stream| {
        set_socket_recv_buffer_size(&stream, 1).expect("a socket");
        sleep(FOR_EVER);
    })
}

/// Says this, and then nothing.
fn stalls(words: &'static [u8]) -> Dumb {
    Dumb::raw(move |mut stream| {
        let _ = stream.write_all(words);
        sleep(FOR_EVER);
    })
}

fn read_hello(stream: &mut TcpStream) {
    let _ = stream.read(&mut [0; 4_096]);
}

#[test]
fn peers_that_stall_cost_no_core() {
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n<p>";
    let servers = [
        ("http", silent()),
        ("http", no_window()),
        ("http", stalls(head)),
        ("https", silent()),
        ("https", no_window()),
        ("https", stalls(HALF_A_HELLO)),
    ];
    // As long as a URL may be: what is sent is as much as it gets.
    let path = "a".repeat(1_900);
    let mut seeds = Vec::new();
    for (scheme, server) in &servers {
        let port = server.port;
        seeds.extend((0..HOSTS).map(|n| format!("{scheme}://h{n}.s{port}.test:{port}/{path}")));
    }
    let agent = format!("cyclosa/1 ({})", "x".repeat(400));
    let crawl = Crawl::new(
        &seeds,
        &["--quiet", "--robots", "ignore", "--user-agent", &agent],
    );
    let share = cpu_share(&crawl, Duration::from_secs(4));
    let held: u64 = servers.iter().map(|(_, s)| s.connections()).sum();
    println!(
        "{held} connections that stall: {:.1} % of a core",
        100.0 * share
    );
    assert_eq!(held, (HOSTS * servers.len()) as u64);
    assert!(share < 0.2, "{share}");
}

#[test]
fn peers_that_read_a_byte_a_second_cost_no_core() {
    // A request is small enough for the system's own send buffer, so the window closes behind it and opens byte by byte.
    let server = Dumb::raw(|mut stream| {
        set_socket_recv_buffer_size(&stream, 1).expect("a socket");
        while stream.read(&mut [0; 1]).is_ok_and(|n| n > 0) {
            sleep(Duration::from_secs(1));
        }
    });
    let seeds: Vec<String> = (0..HOSTS)
        .map(|n| server.url(&format!("h{n}.test"), &format!("/{}", "b".repeat(1_900))))
        .collect();
    let crawl = Crawl::new(&seeds, &["--quiet", "--robots", "ignore"]);
    let share = cpu_share(&crawl, Duration::from_secs(3));
    println!(
        "{HOSTS} peers that read a byte a second: {:.1} % of a core",
        100.0 * share
    );
    assert!(share < 0.2, "{share}");
}

#[test]
fn tls_that_never_comes_to_an_end_is_given_up() {
    /// Handshake records of 16 KiB less one that carry messages of no known type, for ever.
    fn endless(mut stream: TcpStream) {
        read_hello(&mut stream);
        let record = [&[0x16, 3, 3, 0x3f, 0xff][..], &[0x2a; 0x3fff]].concat();
        while stream.write_all(&record).is_ok() {}
    }
    /// A hello that announces more than it has, one byte a record.
    fn crumbs(mut stream: TcpStream) {
        read_hello(&mut stream);
        let mut bytes = vec![0x16, 3, 3, 0, 1, 2, 0x16, 3, 3, 0, 3, 0, 0xff, 0xff];
        bytes.extend([0x16, 3, 3, 0, 1, 7].repeat(50_000));
        while stream.write_all(&bytes).is_ok() {}
    }
    /// Records without content, which say nothing and cost nothing to send.
    fn empty(mut stream: TcpStream) {
        read_hello(&mut stream);
        let bytes = [0x16, 3, 3, 0, 0].repeat(10_000);
        while stream.write_all(&bytes).is_ok() {}
    }
    fn warnings(mut stream: TcpStream) {
        read_hello(&mut stream);
        let bytes = [0x15, 3, 3, 0, 2, 1, 0x5a].repeat(10_000);
        while stream.write_all(&bytes).is_ok() {}
    }
    fn garbage(mut stream: TcpStream) {
        let bytes: Vec<u8> = (0..65_536_u32)
            .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect();
        while stream.write_all(&bytes).is_ok() {}
    }
    let servers = [
        ("endless", Dumb::raw(endless)),
        ("crumbs", Dumb::raw(crumbs)),
        ("empty", Dumb::raw(empty)),
        ("warnings", Dumb::raw(warnings)),
        ("garbage", Dumb::raw(garbage)),
        ("closes", Dumb::raw(|mut s| read_hello(&mut s))),
        (
            "half",
            Dumb::raw(|mut s| {
                read_hello(&mut s);
                let _ = s.write_all(HALF_A_HELLO);
            }),
        ),
    ];
    let url = |(name, server): &(&str, Dumb)| format!("https://{name}.test:{}/", server.port);
    let seeds: Vec<String> = servers.iter().map(url).collect();
    let crawl = Crawl::new(&seeds, &["--quiet"]);
    let (_, used) = run(&crawl);
    let standing = crawl.standing();
    for server in &servers {
        let (state, status) = &standing[&url(server)];
        println!(
            "  {}: {status}, {} connections",
            server.0,
            server.1.connections()
        );
        assert!(
            state == "done" && ["tls_protocol", "tls_closed"].contains(&status.as_str()),
            "{}: {status}",
            server.0
        );
        assert_eq!(server.1.connections(), 3, "{}", server.0);
    }
    println!(
        "TLS without an end: {} MiB, {:?} CPU",
        used.peak_mib, used.cpu
    );
    assert!(
        used.peak_mib < 300 && used.cpu < Duration::from_secs(5),
        "{used:?}"
    );
}
