//! Odd servers: a scripted one on loopback answers what each path says, and logs who asked for what when.

use super::command::{assert_code, assert_sound, crawl, report, run};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Makes a manifest look as if a later program had written it: version 99 in both slots, checksums right.
pub fn raise_format_version(manifest: &mut [u8]) {
    for page in manifest.chunks_exact_mut(4_096) {
        page[8..12].copy_from_slice(&99u32.to_le_bytes());
        let checksum = xxhash_rust::xxh3::xxh3_64(&page[..4_088]);
        page[4_088..].copy_from_slice(&checksum.to_le_bytes());
    }
}

/// A request: host, path, milliseconds since the server began.
type Log = Arc<Mutex<Vec<(String, String, u64)>>>;

/// An answer: raw bytes, and whether the connection stays.
type Script = BTreeMap<String, (Vec<u8>, bool)>;

struct Odd {
    port: u16,
    log: Log,
}

impl Odd {
    /// Answers `host/path` by the script, else 404. Threads end with the process.
    fn start(script: impl FnOnce(u16) -> Script) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let log: Log = Arc::default();
        let (script, seen) = (Arc::new(script(port)), Arc::clone(&log));
        let begun = Instant::now();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (script, seen) = (Arc::clone(&script), Arc::clone(&seen));
                std::thread::spawn(move || serve(stream, &script, &seen, begun));
            }
        });
        Self { port, log }
    }

    fn paths(&self) -> Vec<String> {
        let log = self.log.lock().expect("the log");
        let mut paths: Vec<_> = log.iter().map(|(h, p, _)| format!("{h}{p}")).collect();
        paths.sort();
        paths
    }

    /// When `host` was asked, robots.txt included.
    fn moments(&self, host: &str) -> Vec<u64> {
        let log = self.log.lock().expect("the log");
        log.iter()
            .filter(|(h, _, _)| h == host)
            .map(|r| r.2)
            .collect()
    }

    fn crawl(&self, seed: &str, dir: &Path) -> Command {
        let seeds = dir.with_extension("seeds");
        std::fs::write(&seeds, format!("http://{seed}:{}/\n", self.port)).expect("seeds");
        crawl(&seeds, dir)
    }
}

fn serve(stream: TcpStream, script: &Script, log: &Log, begun: Instant) {
    let mut write = stream.try_clone().expect("a clone");
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    while let Some(request) = lines.next() {
        let mut host = String::new();
        for line in lines.by_ref() {
            if let Some(value) = line.strip_prefix("Host: ") {
                host = value.split(':').next().unwrap_or_default().to_string();
            }
            if line.is_empty() {
                break;
            }
        }
        let path = request.split(' ').nth(1).unwrap_or_default().to_string();
        let at = begun.elapsed().as_millis() as u64;
        let key = format!("{host}{path}");
        log.lock().expect("the log").push((host, path, at));
        let missing = (answer("404 Not Found", "text/plain", b"no"), true);
        let (bytes, stays) = script.get(&key).unwrap_or(&missing);
        if write.write_all(bytes).is_err() || !stays {
            return;
        }
    }
}

fn answer(status: &str, kind: &str, body: &[u8]) -> Vec<u8> {
    with_fields(status, &format!("Content-Type: {kind}\r\n"), body)
}

fn with_fields(status: &str, fields: &str, body: &[u8]) -> Vec<u8> {
    let len = body.len();
    let mut bytes =
        format!("HTTP/1.1 {status}\r\n{fields}Content-Length: {len}\r\n\r\n").into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

fn html(body: &str) -> (Vec<u8>, bool) {
    (answer("200 OK", "text/html", body.as_bytes()), true)
}

fn redirect(to: &str) -> (Vec<u8>, bool) {
    (
        with_fields("302 Found", &format!("Location: {to}\r\n"), b""),
        true,
    )
}

fn coded(coding: &str, body: &[u8]) -> (Vec<u8>, bool) {
    let fields = format!("Content-Type: text/html\r\nContent-Encoding: {coding}\r\n");
    (with_fields("200 OK", &fields, body), true)
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(text.as_bytes()).expect("memory");
    encoder.finish().expect("memory")
}

fn script(entries: Vec<(&str, (Vec<u8>, bool))>) -> Script {
    entries
        .into_iter()
        .map(|(key, answer)| (key.to_string(), answer))
        .collect()
}

#[test]
fn links_are_found_through_every_coding_framing_and_element() {
    let odd = Odd::start(|port| {
        let zstd = zstd::bulk::compress(b"<a href=/from-zstd>", 1).expect("zstd");
        let chunked =
            b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n\
            b;x=y\r\n<a href=/fr\r\n9\r\nom-chunks\r\n2\r\n>\n\r\n0\r\nT: v\r\n\r\n";
        let close = b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n<a href=/from-close>";
        let index = format!(
            "<base href='http://a.test:{port}/sub/'><a href=gz><a href=zs><a href=ch><a href=cl><a href=/mr>\
             <area href='/amp?a=1&amp;b=2'><iframe src=/frame></iframe><a rel=nofollow href=/no>\
             <!-- <a href=/comment> --><script>'<a href=/script>'</script><noscript><a href=/noscript></noscript>\
             <a href='HTTP://A.test:{port}/%7euser/../x#f'><a href=mailto:a@b.c><a href=//b.test:{port}/other>\
             <meta http-equiv=refresh content='0; url=/refresh'><link rel=next href=/next>"
        );
        script(vec![
            ("a.test/", html(&index)),
            ("a.test/sub/gz", coded("gzip", &gzip("<a href=/from-gzip>"))),
            ("a.test/sub/zs", coded("zstd", &zstd)),
            ("a.test/sub/ch", (chunked.to_vec(), true)),
            ("a.test/sub/cl", (close.to_vec(), false)),
            (
                "a.test/mr",
                html("<meta name=robots content=nofollow><a href=/hidden>"),
            ),
        ])
    });
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let dir = scratch.path().join("crawl");
    assert_code(&run(&mut odd.crawl("a.test", &dir)), 0);
    let mut expected: Vec<String> = [
        "/",
        "/robots.txt",
        "/sub/gz",
        "/sub/zs",
        "/sub/ch",
        "/sub/cl",
        "/mr",
        "/amp?a=1&b=2",
        "/frame",
        "/noscript",
        "/x",
        "/refresh",
        "/next",
        "/from-gzip",
        "/from-zstd",
        "/from-chunks",
        "/from-close",
    ]
    .iter()
    .map(|p| format!("a.test{p}"))
    .collect();
    expected.extend(["b.test/robots.txt".into(), "b.test/other".into()]);
    expected.sort();
    assert_eq!(odd.paths(), expected);
    let report = report(&dir);
    assert_eq!(report["excluded"]["nofollow"], 2);
    assert_eq!(report["balance"]["ok"], true);
    assert_sound(&dir);
}

#[test]
fn assets_are_fetched_as_asked() {
    let page = "<img src=/1.png srcset='/2.png 2x, /3.png 3x'><link rel=icon href=/4.ico>\
        <link rel=stylesheet href=/s.css><script src=/5.js></script><video src=/6.mp4 poster=/7.png></video>";
    for (assets, expected) in [
        ("none", vec![]),
        (
            "images",
            vec!["/1.png", "/2.png", "/3.png", "/4.ico", "/7.png"],
        ),
        (
            "all",
            vec![
                "/1.png", "/2.png", "/3.png", "/4.ico", "/5.js", "/6.mp4", "/7.png", "/8.png",
                "/9.css", "/s.css",
            ],
        ),
    ] {
        let odd = Odd::start(|_| {
            let style = b"@import '/9.css'; body { background: url(/8.png) }";
            script(vec![
                ("a.test/", html(page)),
                ("a.test/s.css", (answer("200 OK", "text/css", style), true)),
            ])
        });
        let scratch = tempfile::tempdir().expect("a scratch directory");
        let dir = scratch.path().join("crawl");
        // The last of two equal flags would be refused, so the one of `crawl` is replaced by a configuration of our own.
        let seeds = scratch.path().join("seeds");
        std::fs::write(&seeds, format!("http://a.test:{}/\n", odd.port)).expect("seeds");
        let mut command = Command::new(super::command::CYCLOSA);
        command.arg("crawl").arg(&seeds).arg("--dir").arg(&dir);
        command.args([
            "--resolve",
            "*.test:*:127.0.0.1",
            "--allow-net",
            "127.0.0.0/8",
        ]);
        command.args(["--delay", "0s", "--quiet", "--assets", assets]);
        assert_code(&run(&mut command), 0);
        let mut expected: Vec<String> = expected.iter().map(|p| format!("a.test{p}")).collect();
        expected.extend(["a.test/".into(), "a.test/robots.txt".into()]);
        expected.sort();
        assert_eq!(odd.paths(), expected, "--assets {assets}");
    }
}

#[test]
fn redirects_end_and_failures_are_tried_three_times() {
    let odd = Odd::start(|_| {
        let mut entries = vec![
            (
                "a.test/",
                html("<a href=/loop><a href=/two><a href=/cut><a href=/junk><a href=/gone>"),
            ),
            ("a.test/loop", redirect("/loop2")),
            ("a.test/loop2", redirect("/loop")),
            ("a.test/two", redirect("/three")),
            ("a.test/three", html("<a href=/end>")),
            ("a.test/junk", (b"220 smtp ready\r\n\r\n".to_vec(), false)),
        ];
        let cut = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf".to_vec();
        entries.push(("a.test/cut", (cut, false)));
        script(entries)
    });
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let dir = scratch.path().join("crawl");
    assert_code(&run(&mut odd.crawl("a.test", &dir)), 0);
    let paths = odd.paths();
    let times = |path: &str| paths.iter().filter(|p| p.as_str() == path).count();
    assert_eq!(times("a.test/loop"), 1);
    assert_eq!(times("a.test/end"), 1);
    assert_eq!(times("a.test/cut"), 3);
    assert_eq!(times("a.test/junk"), 1);
    let report = report(&dir);
    assert_eq!(report["outcomes"]["cut_disconnect"], 1);
    assert_eq!(report["outcomes"]["bad_response"], 1);
    assert_eq!(report["status"]["404"], 2);
    assert_sound(&dir);
}

#[test]
fn hosts_are_treated_politely() {
    let odd = Odd::start(|_| {
        let links: String = (0..4).map(|n| format!("<a href=/{n}>")).collect();
        let busy = with_fields("503 Busy", "Retry-After: 3\r\n", b"");
        script(vec![
            ("a.test/", html(&links)),
            (
                "slow.test/robots.txt",
                (
                    answer(
                        "200 OK",
                        "text/plain",
                        b"User-agent: *\nCrawl-delay: 1\nDisallow: /2\n",
                    ),
                    true,
                ),
            ),
            ("slow.test/", html(&links)),
            ("busy.test/", (busy, true)),
            (
                "broken.test/robots.txt",
                (answer("500 Oops", "text/plain", b""), true),
            ),
        ])
    });
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let dir = scratch.path().join("crawl");
    let seeds = scratch.path().join("seeds");
    let list: String = ["a", "slow", "busy", "broken"]
        .iter()
        .map(|h| format!("http://{h}.test:{}/\n", odd.port))
        .collect();
    std::fs::write(&seeds, list).expect("seeds");
    let mut command = Command::new(super::command::CYCLOSA);
    command.arg("crawl").arg(&seeds).arg("--dir").arg(&dir);
    command.args([
        "--resolve",
        "*.test:*:127.0.0.1",
        "--allow-net",
        "127.0.0.0/8",
    ]);
    command.args(["--delay", "300ms", "--quiet", "--assets", "none"]);
    assert_code(&run(&mut command), 0);
    let gaps =
        |host: &str| -> Vec<u64> { odd.moments(host).windows(2).map(|w| w[1] - w[0]).collect() };
    // The clock of the crawler and that of the server differ by the time on the wire.
    let slack = Duration::from_millis(30).as_millis() as u64;
    assert!(
        gaps("a.test").iter().all(|g| g + slack >= 300),
        "{:?}",
        gaps("a.test")
    );
    assert!(
        gaps("slow.test").iter().all(|g| g + slack >= 1_000),
        "{:?}",
        gaps("slow.test")
    );
    assert!(
        !odd.paths().contains(&"slow.test/2".to_string()),
        "forbidden"
    );
    // robots.txt, then the page three times, each Retry-After later.
    let busy = gaps("busy.test");
    assert_eq!(busy.len(), 3);
    assert!(busy[1..].iter().all(|g| g + slack >= 3_000), "{busy:?}");
    assert!(
        !odd.paths().contains(&"broken.test/".to_string()),
        "no permission"
    );
    let report = report(&dir);
    assert_eq!(report["outcomes"]["robots_unreachable"], 1);
    assert_eq!(report["excluded"]["robots"], 1);
}
