//! Answers without an end, and ways without one.

use super::super::program::Crawl;
use super::super::scripted::{Answer, Server};
use super::{Dumb, count, run};
use std::net::TcpListener;

/// Bytes of an endless answer that may be on their way when it is given up: what is read and what both systems' socket
/// buffers take (4 to 6 MiB each way on loopback), three times, as some are tried again.
const TAKEN_MAX: u64 = 64 << 20;

#[test]
fn answers_without_an_end_are_cut() {
    const OK: &str = "HTTP/1.1 200 OK\r\n";
    const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    // Target, what comes first, what comes for ever, how it ends.
    type Case = (&'static str, &'static str, &'static str, &'static str);
    const CASES: [Case; 12] = [
        ("status-line", "HTTP/1.1 200 ", "O", "head_too_large"),
        ("field", "HTTP/1.1 200 OK\r\nX: ", "x", "head_too_large"),
        ("fields", OK, "X: y\r\n", "head_too_large"),
        (
            "interim",
            "",
            "HTTP/1.1 100 Continue\r\n\r\n",
            "bad_response",
        ),
        (
            "hints",
            "",
            "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n",
            "bad_response",
        ),
        ("empty-lines", "", "\r\n", "bad_response"),
        ("until-close", "HTTP/1.1 200 OK\r\n\r\n", "<p>x", "200"),
        (
            "length",
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
            "<p>x",
            "200",
        ),
        ("chunks", CHUNKED, "1\r\nx\r\n", "200"),
        ("chunk-size", CHUNKED, "0", "bad_response"),
        (
            "extension",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;",
            "x",
            "bad_response",
        ),
        (
            "trailers",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n",
            "X: y\r\n",
            "bad_response",
        ),
    ];
    let server = Dumb::start(|host, target, pipe| {
        let name = host.trim_end_matches(".test").trim_start_matches("robots-");
        let (_, first, then, _) = CASES.iter().find(|c| c.0 == name).expect("a name of ours");
        if target == "/robots.txt" && !host.starts_with("robots-") {
            return pipe.not_found();
        }
        pipe.say(first) && pipe.say_for_ever(then.as_bytes())
    });
    for robots in ["", "robots-"] {
        let before = server.sent();
        let url = |name| server.url(&format!("{robots}{name}.test"), "/");
        let seeds: Vec<String> = CASES.iter().map(|c| url(c.0)).collect();
        let crawl = Crawl::new(&seeds, &["--quiet", "--max-body", "1MiB"]);
        let (_, used) = run(&crawl);
        let taken = server.sent() - before;
        println!(
            "{} endless answers ({robots}): {} MiB taken, {} MiB of memory, {:?} CPU",
            CASES.len(),
            taken >> 20,
            used.peak_mib,
            used.cpu
        );
        assert!(used.peak_mib < 300, "{used:?}");
        assert!(taken < CASES.len() as u64 * TAKEN_MAX, "{taken}");
        let standing = crawl.standing();
        for (name, _, _, status) in CASES {
            println!("  {robots}{name}: {:?}", standing[&url(name)]);
            if robots.is_empty() {
                let got = &standing[&url(name)];
                assert_eq!((got.0.as_str(), got.1.as_str()), ("done", status), "{name}");
            }
        }
    }
}

#[test]
fn redirects_without_an_end_are_followed_ten_times() {
    let server = Dumb::start(|host, target, pipe| {
        let port = pipe.stream.local_addr().expect("its address").port();
        let n: u64 = target
            .rsplit('/')
            .next()
            .and_then(|n| n.parse().ok())
            .unwrap_or(0);
        match (host, target) {
            ("robots.test", _) => pipe.redirect(&format!("/robots/{}", n + 1)),
            (_, "/robots.txt") => pipe.not_found(),
            ("self.test", _) => pipe.redirect(target),
            ("new.test", _) => pipe.redirect(&format!("/{}", n + 1)),
            ("ping.test", _) => pipe.redirect(&format!("http://pong.test:{port}/{}", n + 1)),
            ("pong.test", _) => pipe.redirect(&format!("http://ping.test:{port}/{}", n + 1)),
            ("a.test", _) => pipe.redirect(&format!("http://b.test:{port}/")),
            ("b.test", _) => pipe.redirect(&format!("http://a.test:{port}/")),
            // Each to a host that nobody has seen.
            (_, _) => pipe.redirect(&format!("http://h{}.many.test:{port}/{}", n + 1, n + 1)),
        }
    });
    let names = [
        "robots.test",
        "self.test",
        "new.test",
        "ping.test",
        "a.test",
        "h0.many.test",
    ];
    let seeds: Vec<String> = names.iter().map(|n| server.url(n, "/")).collect();
    let crawl = Crawl::new(&seeds, &["--quiet", "--scope", "any"]);
    run(&crawl);
    let standing = crawl.standing();
    let of = |name: &str, status: &str| {
        let host = format!("{name}:");
        standing
            .iter()
            .filter(|(url, s)| url.contains(&host) && s.1 == status)
            .count()
    };
    // The seed, and ten redirects in a row.
    assert_eq!(
        (of("new.test", "302"), of("new.test", "redirects")),
        (11, 1),
        "{standing:#?}"
    );
    assert_eq!(of("ping.test", "302") + of("pong.test", "302"), 11);
    assert_eq!(
        (
            of("self.test", "302"),
            of("a.test", "302"),
            of("b.test", "302")
        ),
        (1, 1, 1)
    );
    let many: usize = (0..12).map(|n| of(&format!("h{n}.many.test"), "302")).sum();
    assert_eq!(many, 11);
    assert_eq!(count(&crawl, "excluded", "redirects"), 4);
    println!(
        "endless redirects: {} connections, {}; robots.txt: {:?}",
        server.connections(),
        crawl.report()["outcomes"],
        standing[&server.url("robots.test", "/")]
    );
}

#[test]
fn a_name_server_that_makes_names_up_does_not_keep_the_crawl() {
    // Every page names three hosts that nobody has heard of; the domain of another host is as good as before.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its address").port();
    let server = Server::over(listener, move |host, target| match target {
        "/robots.txt" => Answer::not_found(),
        _ if host.ends_with(".trap.test") => {
            let name = host.trim_end_matches(".trap.test");
            let more = |n| format!("http://{name}{n}.trap.test:{port}/");
            Answer::links(&[more('a'), more('b'), more('c')])
        }
        "/" => Answer::links(&[format!("http://www.other.test:{port}/"), "/last".into()]),
        _ => Answer::html("end"),
    });
    let seeds = [
        server.url("x.trap.test", "/"),
        server.url("other.test", "/"),
    ];
    let crawl = Crawl::new(&seeds, &["--scope", "any", "--hosts-per-domain", "40"]);
    crawl.run().expect(0);
    crawl.assert_sound();
    let report = crawl.report();
    // Two pages of each host of the other domain.
    assert_eq!(report["outcomes"]["fetched"], 40 + 2 * 2);
    // 40 pages with three links each: 39 led to further hosts.
    assert_eq!(report["dropped"]["hosts_full"], 40 * 3 - 39);
}
