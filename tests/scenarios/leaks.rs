//! Nothing leaks out: whatever bytes a server, a page or a seed has, what is printed cannot steer a terminal, what is
//! stored stays well-formed, and passwords in URLs are kept nowhere.
//!
//! The bytes come from a list here and, where `CYCLOSA_SUITES` names its folder, from the Big List of Naughty Strings.

use super::program::{Crawl, Ended, cyclosa};
use super::scripted::{Answer, Server};
use super::tools;
use flate2::read::MultiGzDecoder;
use std::fs;
use std::io::Read;
use std::path::Path;

/// What does harm somewhere.
const HOSTILE: [&[u8]; 28] = [
    b"\r\nSet-Cookie: x=1",
    b"\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    b"\r\n\r\n\r\nWARC/1.1\r\nWARC-Type: response\r\nContent-Length: 0\r\n\r\n",
    b"\n",
    b"\r",
    b"\t",
    b"\0",
    b"a\0b",
    b"\x01\x02\x03\x07\x08\x0b\x0c\x7f",
    b"\x1b[2J\x1b[31m",
    b"\x1b]0;title\x07",
    b"\x1bP1;1|\x1b\\",
    b"\x9b31m",
    "\u{9b}31m".as_bytes(),
    "\u{85}".as_bytes(),
    "\u{202e}gnp.exe".as_bytes(),
    "\u{2066}\u{2067}\u{2068}\u{2069}".as_bytes(),
    "\u{61c}\u{200e}\u{200f}".as_bytes(),
    "\u{2028}\u{2029}".as_bytes(),
    "\u{feff}\u{fffe}".as_bytes(),
    b"\xc0\xaf\xc0\x80",
    b"\xe0\x80\xaf",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\xff\xfe\xfd",
    b"%0d%0a%00%1b",
    b"\"',{}[]\\u0000\\",
    b"../../../etc/passwd",
];

/// The password of the seed, and that of links: the second stands in stored pages, and only there.
const SEED_SECRET: &str = "hush-of-the-seed";
const LINK_SECRET: &str = "hush-of-a-link";

/// Hosts whose robots.txt is hostile.
const ROBOTS_HOSTS: usize = 100;

fn payloads() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = HOSTILE.map(<[u8]>::to_vec).into();
    match std::env::var_os("CYCLOSA_SUITES") {
        None => println!("CYCLOSA_SUITES is not set: the naughty strings are left out"),
        Some(suites) => {
            let file = Path::new(&suites).join("blns/blns.json");
            let text = fs::read(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
            let list: Vec<String> = serde_json::from_slice(&text).expect("a list of strings");
            all.extend(list.into_iter().map(String::into_bytes));
        }
    }
    all
}

fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

/// A page whose links have `payload` in each part of a URL.
fn links(payload: &[u8]) -> Vec<u8> {
    let quoted: Vec<u8> = payload
        .iter()
        .flat_map(|b| match b {
            b'"' => b"&quot;".to_vec(),
            b'&' => b"&amp;".to_vec(),
            b => vec![*b],
        })
        .collect();
    let link = |before: &str, after: &str| {
        join(&[
            b"<a href=\"",
            before.as_bytes(),
            &quoted,
            after.as_bytes(),
            b"\">x</a>\n",
        ])
    };
    // Where the bytes end the authority, what stands behind them is no password any more but a path.
    let ends = payload.iter().any(|b| b"/\\?#".contains(b));
    let secret = if ends { "" } else { LINK_SECRET };
    let user = format!("http://user:{LINK_SECRET}@");
    [
        link("/leaf/", ""),
        link("/leaf?", ""),
        link("/leaf#", ""),
        link("http://", ".test/"),
        link("http://a.test:", "/"),
        link(&format!("{user}elsewhere.test/leaf"), ""),
        link("http://", &format!(":{secret}@elsewhere.test/")),
        link(&format!("http://user:{secret}"), "@elsewhere.test/leaf"),
        link("", ""),
    ]
    .concat()
}

/// The page of one kind of harm for one payload.
fn answer(kind: &str, payload: &[u8]) -> Answer {
    let raw = |head: &[&[u8]]| {
        let end = b"Content-Length: 2\r\n\r\nok";
        Answer::raw(join(&[&join(head), end])).and_close()
    };
    let ok: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n";
    match kind {
        "link" => Answer::html(links(payload)),
        "title" => Answer::html(join(&[b"<title>", payload, b"</title>", payload])),
        "location" => raw(&[b"HTTP/1.1 302 Found\r\nLocation: /leaf/", payload, b"\r\n"]),
        "secret" => {
            let to = format!("Location: http://user:{LINK_SECRET}@elsewhere.test/leaf");
            raw(&[b"HTTP/1.1 302 Found\r\n", to.as_bytes(), payload, b"\r\n"])
        }
        "value" => raw(&[ok, b"X-Odd: ", payload, b"\r\n"]),
        "name" => raw(&[ok, b"X", payload, b": v\r\n"]),
        "reason" => raw(&[b"HTTP/1.1 200 ", payload, b"\r\n"]),
        "type" => raw(&[
            b"HTTP/1.1 200 OK\r\nContent-Type: ",
            payload,
            b"; charset=",
            payload,
            b"\r\n",
        ]),
        "encoding" => raw(&[ok, b"Content-Encoding: ", payload, b"\r\n"]),
        _ => Answer::html("leaf"),
    }
}

const KINDS: [&str; 9] = [
    "link", "title", "location", "secret", "value", "name", "reason", "type", "encoding",
];

fn serve(payloads: Vec<Vec<u8>>) -> Server {
    Server::start(move |host, target| {
        if target == "/robots.txt" {
            let number = host.strip_prefix('r').and_then(|h| h.split('.').next());
            let payload = number
                .and_then(|n| n.parse::<usize>().ok())
                .and_then(|n| payloads.get(n));
            return match payload {
                Some(p) => Answer::text(&String::from_utf8_lossy(&join(&[
                    b"User-agent: *\nDisallow: /",
                    p,
                    b"\nSitemap: ",
                    p,
                    b"\n",
                    p,
                    b": x\n",
                ]))),
                None => Answer::not_found(),
            };
        }
        if target == "/" && host == "a.test" {
            let all = (0..payloads.len()).flat_map(|n| KINDS.map(|kind| format!("/{kind}/{n}")));
            return Answer::links(&all.collect::<Vec<_>>());
        }
        let (kind, number) = target[1..].split_once('/').unwrap_or(("", ""));
        let payload = number.parse().ok().and_then(|n: usize| payloads.get(n));
        payload.map_or(Answer::html("leaf"), |p| answer(kind, p))
    })
}

/// Neither control characters (but line ends and tabs) nor what turns or ends a line.
#[track_caller]
fn assert_plain(what: &str, text: &str) {
    let turns = |c: char| matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    for line in text.split('\n') {
        let bad = line
            .chars()
            .find(|c| c.is_control() && *c != '\t' || turns(*c));
        assert_eq!(bad, None, "{what}: {}", line.escape_debug());
    }
    for secret in [SEED_SECRET, LINK_SECRET] {
        assert!(!text.contains(secret), "{what} tells {secret}");
    }
}

#[track_caller]
fn assert_says_plainly(what: &str, ended: &Ended) {
    assert_plain(what, &ended.stdout);
    assert_plain(what, &ended.stderr);
}

/// Whether a file of a crawl directory is one that the manual names.
fn is_known(name: &str) -> bool {
    let numbered = [
        ("seen-", ".log"),
        ("urls-", ".log"),
        ("base-", ".log"),
        ("ended-", ".log"),
        ("hosts-", ".img"),
        ("state-", ".bin"),
        ("segment-", ".warc.zst"),
        ("segment-", ".idx"),
        ("segment-", ".fps"),
    ];
    let alone = [
        "manifest",
        "LOCK",
        "LEASE",
        "FENCE",
        "report.json",
        "report.txt",
        "latency.hlog",
    ];
    let digits =
        |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    alone.contains(&name)
        || numbered.iter().any(|(start, end)| {
            let rest = name.strip_prefix(start);
            rest.and_then(|n| n.strip_suffix(end)).is_some_and(digits)
        })
}

/// Reads `export --warc` record by record: the head of each has printable fields only, its length is right, and no
/// password stands outside of what the server sent. The number of records.
fn read_records(crawl: &Crawl) -> usize {
    let home = tempfile::tempdir().expect("a directory");
    let path = home.path().join("all.warc.gz");
    crawl
        .ask("export", &["--warc", path.to_str().expect("UTF-8")])
        .expect(0);
    let mut all = Vec::new();
    let file = fs::File::open(&path).expect("the export");
    MultiGzDecoder::new(file)
        .read_to_end(&mut all)
        .expect("gzip");
    let seed_secret = SEED_SECRET.as_bytes();
    let told = all.windows(seed_secret.len()).any(|w| w == seed_secret);
    assert!(!told, "a record tells the seed's password");
    let (mut rest, mut count) = (&all[..], 0);
    while !rest.is_empty() {
        let end = rest
            .windows(4)
            .position(|w| w == b"\r\n\r\n")
            .expect("a head");
        let head = std::str::from_utf8(&rest[..end]).expect("UTF-8");
        assert!(head.starts_with("WARC/1.1\r\n"), "{head:?}");
        head.split("\r\n")
            .for_each(|field| assert_plain("a record's head", field));
        let field = head
            .lines()
            .find_map(|l| l.strip_prefix("Content-Length: "));
        let length: usize = field.and_then(|n| n.parse().ok()).expect("a length");
        let after = &rest[end + 4 + length..];
        rest = after
            .strip_prefix(b"\r\n\r\n")
            .expect("the end of a record");
        count += 1;
    }
    count
}

#[test]
fn hostile_bytes_stay_where_they_are() {
    let payloads = payloads();
    let count = payloads.len();
    let server = serve(payloads);
    let port = server.port;
    let mut seeds = vec![format!("http://user:{SEED_SECRET}@a.test:{port}/")];
    seeds.extend((0..count.min(ROBOTS_HOSTS)).map(|n| server.url(&format!("r{n}.test"), "/")));
    let crawl = Crawl::new(&seeds, &["--per-host", "8", "--max-depth", "3"]);
    let ended = crawl.run().expect(0);
    crawl.assert_sound();
    assert_says_plainly("crawl", &ended);
    for command in ["urls", "report", "verify"] {
        assert_says_plainly(command, &crawl.ask(command, &[]).expect(0));
    }
    assert_says_plainly(
        "export --urls",
        &crawl.ask("export", &["--urls", "-"]).expect(0),
    );
    let asked = server.targets("a.test").len();
    assert!(
        asked > count * KINDS.len(),
        "only {asked} targets were asked for"
    );
    for entry in fs::read_dir(crawl.dir()).expect("the directory").flatten() {
        let name = entry.file_name().into_string().expect("UTF-8");
        assert!(is_known(&name), "{name} is no file of a crawl");
        let bytes = fs::read(entry.path()).expect("a file");
        if name.starts_with("report.") {
            assert_plain(&name, &String::from_utf8(bytes.clone()).expect("UTF-8"));
        }
        let text = String::from_utf8_lossy(&bytes);
        for secret in [SEED_SECRET, LINK_SECRET] {
            assert!(!text.contains(secret), "{name} keeps {secret}");
        }
    }
    let records = read_records(&crawl);
    println!("{count} payloads, {asked} targets, {records} records");
    let stored = crawl.urls().into_iter().filter(|l| l.state == "done");
    let responses = stored.filter(|l| l.status.parse::<u16>().is_ok()).count();
    tools::assert_readable(&crawl, responses);
}

#[test]
fn hostile_seeds_are_refused_plainly() {
    let home = tempfile::tempdir().expect("a directory");
    let dir = home.path().join("crawl");
    for payload in HOSTILE {
        for before in [
            "",
            "ht!tp:",
            "http://u:hush-of-the-seed@[/",
            "ftp://u:hush-of-the-seed@x.test/",
        ] {
            let file = home.path().join("seeds.txt");
            fs::write(&file, join(&[before.as_bytes(), b"x", payload, b"\n"])).expect("a file");
            let words = [
                "crawl",
                file.to_str().expect("UTF-8"),
                "--dir",
                dir.to_str().expect("UTF-8"),
            ];
            let ended = cyclosa(&words).expect(2);
            assert_says_plainly("a refusal", &ended);
            ended.only_line();
        }
    }
}
