//! Bodies that are a thousand times larger than they look: as pages, behind redirects, as robots.txt. And many at once
//! that are as large as they look.

use super::super::program::Crawl;
use super::{Dumb, count, run};
use cyclosa::limits::BESIDE_BYTES;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;
use std::thread::sleep;
use std::time::Duration;

/// What a bomb decodes to.
const BOMB_BYTES: usize = 1 << 30;
/// Budgets, and what a crawl of bombs may hold at its peak, MiB. With the usual parsers of a small machine most of what
/// lies beside the budget is never used: the larger one is to be kept as it stands.
const BUDGETS: [(&str, u64); 2] = [("256MiB", 256), ("64MiB", 64 + (BESIDE_BYTES >> 20) as u64)];

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(body).expect("a vector takes all");
    encoder.finish().expect("a vector takes all")
}

/// Many members (RFC 1952 2.2), each of zeros.
fn gzip_bomb() -> Vec<u8> {
    gzip(&vec![0; 16 << 20]).repeat(BOMB_BYTES / (16 << 20))
}

/// Bits, the first the lowest.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    used: usize,
}

impl Bits {
    fn put(&mut self, value: u32, bits: usize) {
        for n in 0..bits {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            *self.bytes.last_mut().expect("just there") |=
                ((value >> n & 1) as u8) << (self.used % 8);
            self.used += 1;
        }
    }
}

/// Metablocks of 16 MiB (RFC 7932 9.2): four literals, and one copy of all the rest from four bytes before. Each code has
/// one symbol and so no bits.
fn brotli_bomb() -> Vec<u8> {
    const BLOCK: u32 = 16 << 20;
    let mut bits = Bits::default();
    bits.put(0, 1); // a window of 64 KiB
    for _ in 0..BOMB_BYTES as u32 / BLOCK {
        bits.put(0, 1); // not the last
        bits.put(2, 2); // a length of six nibbles
        bits.put(BLOCK - 1, 24);
        bits.put(0, 1); // compressed
        bits.put(0, 3); // one type of block for each of literals, commands, distances
        bits.put(0, 6); // no postfix bits, no direct distances
        bits.put(0, 2); // context mode
        bits.put(0, 2); // one tree for each of literals, distances
        // Simple codes of one symbol: a zero; insert four and copy 2,118 and more (cell 384, insert code 4, copy code
        // 23); the last distance, which is four at the start.
        for (symbol, width) in [(0, 8), (384 + 8 * 4 + 7, 10), (0, 6)] {
            bits.put(1, 2);
            bits.put(0, 2);
            bits.put(symbol, width);
        }
        bits.put(BLOCK - 4 - 2_118, 24);
    }
    bits.put(3, 2); // the last, and empty
    bits.bytes
}

/// Blocks of one byte repeated (RFC 8878 3.1.1.2.2) in a frame that asks for a window of 2 to the power of `window_log`.
fn zstd_bomb(window_log: u8) -> Vec<u8> {
    const BLOCK: u32 = 128 << 10;
    let mut bytes = vec![0x28, 0xb5, 0x2f, 0xfd, 0, (window_log - 10) << 3];
    let blocks = BOMB_BYTES as u32 / BLOCK;
    for n in 1..=blocks {
        let header = u32::from(n == blocks) | 1 << 1 | BLOCK << 3;
        bytes.extend(&header.to_le_bytes()[..3]);
        bytes.push(0);
    }
    bytes
}

/// Text in an encoding of which every byte becomes three: so many bytes as `BOMB_BYTES` of UTF-8 have.
fn growing_bomb() -> Vec<u8> {
    let mut text = b"<meta charset=windows-1252><p>".to_vec();
    text.resize(BOMB_BYTES / 3, 0x80); // the euro sign
    gzip(&text)
}

/// Links out of the crawl, each of them long and none twice.
fn link_bomb() -> Vec<u8> {
    let mut text = String::new();
    let path = "x".repeat(1_900);
    for n in 0..(64 << 20) / path.len() {
        text += &format!("<a href=http://out.invalid/{path}{n}>");
    }
    gzip(text.as_bytes())
}

#[test]
fn decompression_bombs_cost_what_a_page_may() {
    let bombs = [
        ("gzip", "gzip", gzip_bomb()),
        ("gzip-gzip", "gzip, gzip", gzip(&gzip_bomb())),
        ("gzip-3", "gzip, gzip, gzip", gzip(&gzip(&gzip_bomb()))),
        ("br", "br", brotli_bomb()),
        ("zstd", "zstd", zstd_bomb(23)),
        ("zstd-window", "zstd", zstd_bomb(31)),
        ("growing", "gzip", growing_bomb()),
        ("links", "gzip", link_bomb()),
    ];
    // What the decoders of others say to them.
    assert!(zstd::stream::copy_decode(&zstd_bomb(23)[..], std::io::sink()).is_ok());
    let hosts: Vec<String> = bombs.iter().map(|b| format!("{}.test", b.0)).collect();
    let sizes: Vec<String> = bombs
        .iter()
        .map(|b| format!("{} {}", b.0, b.2.len()))
        .collect();
    let server = Dumb::start(move |host, target, pipe| {
        let name = host.trim_end_matches(".test").trim_start_matches("robots-");
        let (_, coding, body) = bombs.iter().find(|b| b.0 == name).expect("a name of ours");
        let fields = format!("Content-Type: text/html\r\nContent-Encoding: {coding}\r\n");
        match target {
            "/robots.txt" if host.starts_with("robots-") => pipe.answer("200 OK", &fields, body),
            "/robots.txt" => pipe.not_found(),
            "/" => pipe.html(b"<a href=/page>1</a><a href=/moved>2</a><a href=/error>3</a>"),
            "/moved" => pipe.answer("302 Found", &format!("{fields}Location: /end\r\n"), body),
            "/error" => pipe.answer("404 Not Found", &fields, body),
            "/end" => pipe.html(b"end"),
            _ => pipe.answer("200 OK", &fields, body),
        }
    });
    let with_robots = hosts.iter().map(|h| format!("robots-{h}"));
    let seeds: Vec<String> = with_robots
        .chain(hosts.iter().cloned())
        .map(|h| server.url(&h, "/"))
        .collect();
    println!("bombs of 1 GiB, bytes: {sizes:?}");
    for (memory, peak_mib) in BUDGETS {
        let crawl = Crawl::new(&seeds, &["--quiet", "--memory", memory]);
        let (_, used) = run(&crawl);
        println!(
            "with --memory {memory}: {} MiB of {peak_mib}, {:?} CPU; {}",
            used.peak_mib,
            used.cpu,
            crawl.report()["limits"]
        );
        assert!(used.peak_mib <= peak_mib, "{used:?}");
        let ended = &crawl.report()["run"]["counters"]["decoding_ended"];
        assert!(
            ended.as_u64() >= Some(7),
            "all but those of three codings: {ended}"
        );
        assert_pages(&crawl, &server, &hosts);
    }
}

/// Each page is stored with its status, whatever it was; and robots.txt was an answer.
fn assert_pages(crawl: &Crawl, server: &Dumb, hosts: &[String]) {
    let standing = crawl.standing();
    for host in hosts {
        for (target, status) in [
            ("/", "200"),
            ("/page", "200"),
            ("/moved", "302"),
            ("/error", "404"),
            ("/end", "200"),
        ] {
            let url = server.url(host, target);
            assert_eq!(
                standing.get(&url).map(|s| s.1.as_str()),
                Some(status),
                "{url}"
            );
        }
        // A robots.txt that cannot be read to its end either allows or forbids; but it is an answer.
        let url = server.url(&format!("robots-{host}"), "/");
        let (state, status) = &standing[&url];
        assert!(
            state == "done" && (status == "200" || status == "robots_unreachable"),
            "{url}: {state} {status}"
        );
    }
}

/// Hosts that serve a large body each at the same time, and its bytes.
const LARGE: (usize, usize) = (64, 8 << 20);

#[test]
fn large_bodies_at_once_wait_for_memory() {
    let server = Dumb::start(|_, target, pipe| {
        if target == "/robots.txt" {
            return pipe.not_found();
        }
        let (piece, pieces) = (noise(64 << 10), LARGE.1 / (64 << 10));
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n";
        pipe.say(format!("{head}Content-Length: {}\r\n\r\n", LARGE.1))
            && (0..pieces).all(|_| {
                sleep(Duration::from_millis(1));
                pipe.say(&piece)
            })
    });
    let seeds: Vec<String> = (0..LARGE.0)
        .map(|n| server.url(&format!("h{n}.test"), "/"))
        .collect();
    let crawl = Crawl::new(&seeds, &["--quiet", "--memory", "128MiB"]);
    let (_, used) = run(&crawl);
    println!(
        "{} bodies of {} MiB at once with --memory 128MiB: {used:?}",
        LARGE.0,
        LARGE.1 >> 20
    );
    assert!(
        used.peak_mib <= 128 + (BESIDE_BYTES >> 20) as u64,
        "{used:?}"
    );
    let report = crawl.report();
    assert_eq!(
        count(&crawl, "outcomes", "fetched"),
        LARGE.0 as u64,
        "{report}"
    );
    assert!(
        report["bytes"].as_u64() >= Some((LARGE.0 * LARGE.1) as u64),
        "none is cut"
    );
}

/// Bytes that do not compress.
fn noise(n: usize) -> Vec<u8> {
    let mut state = 1u64;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 56) as u8
    };
    (0..n).map(|_| next()).collect()
}
