//! The web over real sockets, and its pages under a browser's parser.

mod eyes;

use super::path::Target;
use super::*;
use eyes::{Client, links_in, unpacked};
use std::io::{Read, Write};

fn start(settings: WebSettings) -> Web {
    Web::start(settings, "127.0.0.1:0".parse().unwrap()).unwrap()
}

/// Path of a target as it goes into a request.
fn path_of(web: &Web, host: u32, target: Target) -> String {
    let mut out = Vec::new();
    web.model().paths().write(host, target, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn a_browsers_parser_finds_the_models_links_on_every_page() {
    let web = start(WebSettings {
        hosts: 20,
        pages: 5_000,
        robots_rules: 0.5,
        traps: 0.5,
        mean_size: 12_000,
        ..WebSettings::default()
    });
    let mut client = Client::new(&web);
    let (mut documents, mut seen) = (0, std::collections::HashSet::new());
    for number in 0..400u64 {
        let (host, page) = ((number % 20) as u32, number * 7 % 5_000);
        let target = Target::Page(page);
        client.send(
            host,
            &path_of(&web, host, target),
            "Accept-Encoding: gzip\r\n",
        );
        let answer = client.answer().unwrap();
        let expected = web.model().links_of(host, page);
        if answer.status != 200 {
            assert!(expected.is_empty());
            continue;
        }
        let document = unpacked(&answer);
        assert!(std::str::from_utf8(&document).is_ok());
        assert_eq!(
            links_in(&document, &web.model().url(host, target)),
            expected,
            "h{host} page {page}"
        );
        seen.extend(expected);
        documents += 1;
    }
    assert!(documents > 380 && seen.len() > 3_000);
    for kind in [
        LinkKind::Page,
        LinkKind::Image,
        LinkKind::Style,
        LinkKind::Script,
    ] {
        assert!(seen.iter().any(|(k, _)| *k == kind), "{kind:?}");
    }
}

#[test]
fn every_link_of_a_page_is_answered() {
    let web = start(WebSettings {
        hosts: 30,
        pages: 500,
        redirects: 0.1,
        traps: 1.0,
        robots_rules: 1.0,
        robots_missing: 0.0,
        ..WebSettings::default()
    });
    let mut client = Client::new(&web);
    let mut asked = 0;
    let mut links = Vec::new();
    for page in [0, 1, 2, 4, 8, 16] {
        web.model().links(3, Target::Page(page), &mut links);
        for link in &links {
            let answer = client.get(link.host, &path_of(&web, link.host, link.target));
            assert!(
                matches!(answer.status, 200 | 301..=308),
                "{link:?}: {}",
                answer.status
            );
            if let Some(location) = answer.field("Location") {
                assert!(location.starts_with("http://h") || location.starts_with('/'));
            }
            asked += 1;
        }
    }
    assert!(asked > 100);
    let stats = web.stats();
    assert_eq!(stats.requests, asked);
    assert_eq!(stats.accepted, 1, "all on one connection");
    assert!(stats.traps > 0 && stats.violations > 0 && stats.fakes == 0);
}

#[test]
fn traps_lead_on_and_their_links_are_the_models() {
    let web = start(WebSettings {
        traps: 1.0,
        ..WebSettings::default()
    });
    let mut client = Client::new(&web);
    for first in [
        Target::Calendar(path::CALENDAR_START),
        Target::Deep(1),
        Target::Session(0, 5),
    ] {
        let mut target = first;
        for _ in 0..30 {
            let answer = client.get(0, &path_of(&web, 0, target));
            assert_eq!(answer.status, 200);
            let expected = web.model().links_of_target(0, target);
            assert_eq!(
                links_in(&answer.body, &web.model().url(0, target)),
                expected
            );
            let mut links = Vec::new();
            web.model().links(0, target, &mut links);
            target = links[0].target;
        }
        assert_ne!(target, first);
    }
    assert_eq!(web.stats().traps, 90);
}

#[test]
fn plain_gzipped_and_chunked_are_the_same_document() {
    let web = start(WebSettings {
        gzip: 1.0,
        chunked: 0.5,
        redirects: 0.0,
        ..WebSettings::default()
    });
    let mut client = Client::new(&web);
    let (mut chunked, mut plain_bytes, mut packed_bytes) = (0, 0, 0);
    for page in 0..60 {
        let path = path_of(&web, 1, Target::Page(page));
        let plain = client.get(1, &path);
        assert_eq!(plain.field("Content-Encoding"), None);
        client.send(1, &path, "Accept-Encoding: gzip, br\r\n");
        let packed = client.answer().unwrap();
        assert_eq!(packed.field("Content-Encoding"), Some("gzip"));
        assert_eq!(packed.field("Vary"), Some("Accept-Encoding"));
        assert!(unpacked(&packed) == plain.body);
        let mut whole = vec![0; plain.body.len()];
        let n = libdeflater::Decompressor::new()
            .gzip_decompress(&packed.body, &mut whole)
            .unwrap();
        assert!(whole[..n] == plain.body[..]);
        chunked += usize::from(plain.field("Transfer-Encoding").is_some());
        plain_bytes += plain.body.len();
        packed_bytes += packed.body.len();
    }
    assert!((10..50).contains(&chunked));
    assert!(
        plain_bytes > 2 * packed_bytes,
        "{plain_bytes} to {packed_bytes}"
    );
}

#[test]
fn the_web_of_a_seed_is_pinned() {
    let settings = || WebSettings {
        hosts: 10,
        pages: 100,
        ..WebSettings::default()
    };
    let whole = |seed| {
        let model = Arc::new(Model::new(WebSettings { seed, ..settings() }, 8080));
        let mut site = site::Site::new(model.clone());
        let mut hash = xxhash_rust::xxh3::Xxh3::new();
        for host in 0..10 {
            for page in 0..100 {
                let mut path = Vec::new();
                model.paths().write(host, Target::Page(page), &mut path);
                let name = format!("h{host}.web.test");
                let request = site::Request {
                    authority: name.as_bytes(),
                    path: &path,
                    head_only: false,
                    gzip: false,
                    chunks: true,
                    keep: true,
                };
                let mut response = response::Response::default();
                response.clear();
                site.answer(&request, &mut response);
                while response.left() > 0 {
                    let mut slices = [std::io::IoSlice::new(&[]); response::SLICES];
                    let n = response.slices(&site.blocks, usize::MAX, &mut slices);
                    slices[..n].iter().for_each(|s| hash.update(s));
                    let sent = slices[..n].iter().map(|s| s.len()).sum();
                    response.advance(sent, &site.blocks);
                }
            }
        }
        hash.digest()
    };
    assert_eq!(whole(1), whole(1));
    assert_ne!(whole(1), whole(2));
    // Changes only where the web is meant to change: then old measurements no longer compare.
    assert_eq!(whole(1), 0x8c1d_d990_539d_8035, "seed 1 is another web now");
}

#[test]
fn requests_sent_ahead_are_answered_in_order() {
    let web = start(WebSettings::default());
    let mut client = Client::new(&web);
    let pages: Vec<u64> = (0..200).map(|i| i * 4).collect();
    for page in &pages {
        client.send(2, &path_of(&web, 2, Target::Page(*page)), "");
    }
    for page in &pages {
        let answer = client.answer().unwrap();
        assert_eq!(answer.status, 200);
        let url = web.model().url(2, Target::Page(*page));
        assert_eq!(links_in(&answer.body, &url), web.model().links_of(2, *page));
    }
}

#[test]
fn requests_may_come_in_single_bytes() {
    let web = start(WebSettings::default());
    let mut client = Client::new(&web);
    for _ in 0..2 {
        for byte in b"GET / HTTP/1.1\r\nHost: h0.web.test\r\n\r\n" {
            client.0.write_all(&[*byte]).unwrap();
        }
        assert_eq!(client.answer().unwrap().status, 200);
    }
}

#[test]
fn many_connections_are_served_at_once() {
    let web = start(WebSettings {
        latency_ms: 30,
        jitter_ms: 20,
        ..WebSettings::default()
    });
    let mut clients: Vec<Client> = (0..300).map(|_| Client::new(&web)).collect();
    for round in 0..3u64 {
        for (i, client) in clients.iter_mut().enumerate() {
            client.send(
                i as u32,
                &path_of(&web, i as u32, Target::Page(round * 4)),
                "",
            );
        }
        for client in &mut clients {
            assert_eq!(client.answer().unwrap().status, 200);
        }
    }
    assert_eq!((web.stats().requests, web.stats().accepted), (900, 300));
    assert_eq!(web.stats().status(200), 900);
}

#[test]
fn each_fault_does_what_it_says() {
    let web = start(WebSettings {
        hosts: 1,
        pages: 2_000,
        gzip: 0.0,
        chunked: 0.0,
        mean_size: 4_000,
        redirects: 0.15,
        errors: 0.3,
        broken: 0.3,
        retry_after_s: 7,
        ..WebSettings::default()
    });
    let mut seen = std::collections::HashSet::new();
    for page in 0..300 {
        let fate = web.model().fate(0, page);
        let mut client = Client::new(&web);
        client.send(0, &path_of(&web, 0, Target::Page(page)), "");
        let answer = client.answer();
        match fate {
            Fate::Broken(Break::Empty) => assert!(answer.is_none() && client.1.is_empty()),
            Fate::Broken(Break::GarbageStatus) => {
                assert!(answer.unwrap().head.starts_with("HTTP/one.two"))
            }
            Fate::Broken(Break::EarlyClose) => {
                let answer = answer.unwrap();
                assert!(!answer.whole && !answer.body.is_empty());
            }
            Fate::Broken(Break::TruncatedChunk) => {
                let answer = answer.unwrap();
                assert_eq!(answer.field("Transfer-Encoding"), Some("chunked"));
                assert!(!answer.whole);
            }
            Fate::Broken(Break::WrongLength) => {
                let answer = answer.unwrap();
                assert!(answer.whole);
                while client.more() {}
                assert!(!client.1.is_empty(), "more bytes than the length says");
            }
            Fate::Error(status) => {
                let answer = answer.unwrap();
                assert_eq!(answer.status, status);
                let wait = answer.field("Retry-After");
                assert_eq!(wait, (status == 503).then_some("7"));
            }
            Fate::Redirect { .. } => {
                let answer = answer.unwrap();
                let (status, host, target) = web.model().redirect(0, page, 0).unwrap();
                assert_eq!(answer.status, status);
                let from = url::Url::parse(&web.model().url(0, Target::Page(page))).unwrap();
                let to = from.join(answer.field("Location").unwrap()).unwrap();
                assert_eq!(to.as_str(), web.model().url(host, target));
                let mut hop = 1;
                while let Some((status, ..)) = web.model().redirect(0, page, hop) {
                    let path = path_of(&web, 0, Target::Hop(page, hop));
                    assert_eq!(Client::new(&web).get(0, &path).status, status);
                    hop += 1;
                }
                let beyond = path_of(&web, 0, Target::Hop(page, hop));
                assert_eq!(Client::new(&web).get(0, &beyond).status, 404);
            }
            _ => assert_eq!(answer.unwrap().status, 200),
        }
        seen.insert(std::mem::discriminant(&fate));
    }
    assert_eq!(seen.len(), 4);
    let broken: std::collections::HashSet<u8> = (0..300)
        .filter_map(|page| match web.model().fate(0, page) {
            Fate::Broken(kind) => Some(kind as u8),
            _ => None,
        })
        .collect();
    assert_eq!(broken.len(), 5);
}

#[test]
fn slow_pages_drip_and_others_go_on() {
    let web = start(WebSettings {
        slow: 0.75,
        slow_period_ms: 50,
        redirects: 0.0,
        ..WebSettings::default()
    });
    let mut slow = Client::new(&web);
    assert_eq!(web.model().fate(0, 1), Fate::Slow);
    slow.send(0, &path_of(&web, 0, Target::Page(1)), "");
    let mut fast = Client::new(&web);
    for _ in 0..50 {
        assert_eq!(fast.get(0, "/").status, 200);
    }
    // A head comes in one piece from a page that is not slow. A machine that is late finds a few bytes at a time.
    let (mut some, mut all) = ([0; 64], Vec::new());
    while all.len() < 15 {
        let n = slow.0.read(&mut some).unwrap();
        assert!(n > 0 && n < some.len());
        all.extend_from_slice(&some[..n]);
    }
    assert!(all.starts_with(b"HTTP/1.1 200 OK"));
}

#[test]
fn limited_and_large_pages_arrive_whole() {
    let web = start(WebSettings {
        large: 0.75,
        large_size: 3 << 20,
        bandwidth: 40 << 20,
        gzip: 0.5,
        redirects: 0.0,
        ..WebSettings::default()
    });
    let mut client = Client::new(&web);
    let path = path_of(&web, 0, Target::Page(1));
    assert_eq!(web.model().fate(0, 1), Fate::Large);
    let plain = client.get(0, &path);
    assert!(
        (3_000_000..3_600_000).contains(&plain.body.len()),
        "{}",
        plain.body.len()
    );
    for page in [2, 3, 5, 6] {
        let path = path_of(&web, 0, Target::Page(page));
        client.send(0, &path, "Accept-Encoding: gzip\r\n");
        let document = unpacked(&client.answer().unwrap());
        let url = web.model().url(0, Target::Page(page));
        assert_eq!(links_in(&document, &url), web.model().links_of(0, page));
    }
}

#[test]
fn robots_files_are_what_the_model_says_and_violations_are_counted() {
    let web = start(WebSettings {
        hosts: 100,
        robots_rules: 0.3,
        robots_missing: 0.3,
        robots_failing: 0.3,
        crawl_delay_s: 2,
        ..WebSettings::default()
    });
    let mut client = Client::new(&web);
    let mut kinds = std::collections::HashSet::new();
    let mut violations = 0;
    for host in 0..100 {
        let robots = client.get(host, "/robots.txt");
        let (status, body) = robots_of(web.model(), host);
        assert_eq!((robots.status, &robots.body), (status, &body));
        let kind = web.model().robots(host);
        kinds.insert(kind as u8);
        let expected = match kind {
            RobotsKind::Open | RobotsKind::Rules => 200,
            RobotsKind::Missing => 404,
            RobotsKind::Failing => 500,
        };
        assert_eq!(status, expected);
        let private = client.get(host, "/private/0").status;
        assert_eq!(private == 200, kind == RobotsKind::Rules);
        client.get(host, "/private/open/0");
        violations += match kind {
            RobotsKind::Rules => 1,
            RobotsKind::Failing => 2,
            _ => 0,
        };
        if kind == RobotsKind::Rules {
            assert!(
                String::from_utf8(body)
                    .unwrap()
                    .contains("Crawl-delay: 2\n")
            );
        }
    }
    assert_eq!(kinds.len(), 4);
    assert_eq!(web.stats().violations, violations);
}

#[test]
fn strange_requests_are_answered_and_the_server_lives() {
    let web = start(WebSettings::default());
    let refused: [(&[u8], u16); 6] = [
        (b"POST / HTTP/1.1\r\nHost: h0.web.test\r\n\r\n", 405),
        (b"\x16\x03\x01\x00\x05hello\r\n\r\n", 400),
        (
            b"GET / HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n",
            421,
        ),
        (b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n", 421),
        (
            b"GET /nowhere HTTP/1.1\r\nHost: h0.web.test\r\nConnection: close\r\n\r\n",
            404,
        ),
        (b"GET / HTTP/1.0\r\nHost: h0.web.test\r\n\r\n", 200),
    ];
    for (bytes, status) in refused {
        let mut client = Client::new(&web);
        client.0.write_all(bytes).unwrap();
        let answer = client.answer().unwrap();
        assert_eq!(answer.status, status);
        assert_eq!(answer.field("Connection"), Some("close"));
        assert!(!client.more(), "closed");
    }
    let mut flood = Client::new(&web);
    flood.0.write_all(&[b'a'; 40_000]).unwrap();
    assert!(matches!(flood.answer().unwrap().status, 400 | 431));
    let mut half = Client::new(&web);
    half.0.write_all(b"GET / HT").unwrap();
    drop(half);
    let mut head = Client::new(&web);
    head.0.write_all(b"HEAD / HTTP/1.1\r\nHost: h0.web.test\r\n\r\nGET http://h0.web.test/robots.txt HTTP/1.1\r\n\r\n").unwrap();
    head.1.clear();
    while memchr::memmem::find_iter(&head.1, b"HTTP/1.1 ").count() < 2 {
        assert!(head.more());
    }
    assert!(!String::from_utf8_lossy(&head.1).contains("<html"));
}

#[test]
fn requests_are_logged_in_memory_up_to_the_bound_and_in_files() {
    let web = start(WebSettings {
        log: RequestLog::Memory(2),
        ..WebSettings::default()
    });
    let mut client = Client::new(&web);
    for path in ["/", "/robots.txt", "/s.css"] {
        client.get(5, path);
    }
    let log = web.take_log();
    let paths: Vec<&str> = log.iter().map(|e| e.path.as_str()).collect();
    assert_eq!(paths, ["/", "/robots.txt"]);
    assert!(log.iter().all(|e| e.host == Some(5)) && log[0].millisecond <= log[1].millisecond);
    assert_eq!((log[0].status, web.stats().unlogged), (200, 1));

    let file = tempfile::NamedTempFile::new().unwrap();
    let mut web = start(WebSettings {
        log: RequestLog::File(file.path().into()),
        ..WebSettings::default()
    });
    Client::new(&web).get(5, "/s.js");
    web.stop();
    let text = std::fs::read_to_string(file.path()).unwrap();
    assert!(text.ends_with("\t5\t/s.js\t200\n"), "{text}");
}

#[test]
fn an_address_in_use_is_an_error_that_names_it() {
    let web = start(WebSettings::default());
    let again = Web::start(WebSettings::default(), web.addr()).unwrap_err();
    assert!(again.to_string().contains(&web.addr().to_string()));
}
