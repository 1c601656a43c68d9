//! The parser on pages that were made to hurt: seeded mutations of markup, heads and codings. Nothing may panic, limits
//! hold, and every link is canonical.
//!
//! `CYCLOSA_FUZZ_SECONDS=60 cargo test --release --test hostile_pages` runs for longer, each time with other seeds.

use cyclosa::config::Assets;
use cyclosa::event::{Coding, CrawlIdentity, Facts, Job, LinkKind, Outcome, Page, Span};
use cyclosa::limits::{HEADROOM_BYTES, LINKS_PER_PAGE_MAX, URL_BYTES_MAX};
use cyclosa::parse::Parser;
use cyclosa::protocol::url;
use cyclosa::protocol::zframe::Level;
use std::io::Write;
use std::time::{Duration, Instant};

const IDENTITY: CrawlIdentity = CrawlIdentity {
    id: [3; 16],
    key: [4; 32],
    created: 0,
};
/// Cases of an ordinary run.
const CASES: u64 = 4_000;

/// Pieces that parsers trip over.
const PIECES: &[&str] = &[
    "<a href=",
    "'",
    "\"",
    ">",
    "</a>",
    "<!--",
    "-->",
    "--!>",
    "<!-->",
    "<script>",
    "</script",
    "<![CDATA[",
    "]]>",
    "<svg>",
    "<math>",
    "<title>",
    "</title>",
    "<base href=",
    "<meta charset=utf-16>",
    "&amp",
    "&#x110000;",
    "&#0;",
    "&NotEqualTilde;",
    "\0",
    "\r\n",
    "\t",
    "\u{feff}",
    "\u{2028}",
    "http://[::1]:99999/",
    "\nsitemap:",
    "//",
    "///\\\\",
    "?#?",
    "%",
    "%zz",
    "%00",
    "/../../..",
    "data:text/html,",
    "srcset='",
    ",,, 1x 2w",
    "<img srcset=\"a 1x, b 2x",
    "style='url(",
    "@import \"",
    "\\",
    "<iframe srcdoc=",
    "<meta http-equiv=refresh content=\"0;url=",
    "<plaintext>",
    "<template>",
    "http://xn--\u{ad}/",
    "http://a\u{0}b/",
    "http://1.2.3.4.5/",
    "http://0x7f.1/",
    ":@:",
    "\u{202e}",
    "<a ",
    "<",
    "</",
    "<!",
];

/// xorshift64*: the same cases everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % sides.max(1)
    }

    fn markup(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for _ in 0..self.roll(120) {
            match self.roll(8) {
                0 => bytes.push(self.roll(256) as u8),
                1 => bytes.extend((0..self.roll(40)).map(|_| b'x')),
                _ => bytes.extend_from_slice(PIECES[self.roll(PIECES.len())].as_bytes()),
            }
        }
        if self.roll(50) == 0 {
            bytes = bytes.repeat(200);
        }
        bytes
    }

    /// The body in some coding, perhaps cut or damaged.
    fn coded(&mut self, plain: &[u8]) -> (Vec<u8>, [Coding; 2]) {
        let all = [
            Coding::Identity,
            Coding::Gzip,
            Coding::Deflate,
            Coding::Br,
            Coding::Zstd,
        ];
        let claimed = [
            all[self.roll(5)],
            if self.roll(6) == 0 {
                all[self.roll(5)]
            } else {
                Coding::Identity
            },
        ];
        let mut body = match claimed[0] {
            Coding::Gzip => {
                let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                gz.write_all(plain).expect("memory");
                gz.finish().expect("memory")
            }
            Coding::Zstd => zstd::bulk::compress(plain, 1).expect("memory"),
            _ => plain.to_vec(),
        };
        match self.roll(6) {
            0 => body.truncate(self.roll(body.len() + 1)),
            1 if !body.is_empty() => {
                let at = self.roll(body.len());
                body[at] ^= 1 << self.roll(8);
            }
            _ => {}
        }
        (body, claimed)
    }
}

/// A page as the fetcher would hand it over.
fn page(dice: &mut Dice, into: &mut Page) {
    into.reset();
    let plain = dice.markup();
    let (body, codings) = dice.coded(&plain);
    let types = [
        "text/html",
        "text/html; charset=",
        "text/css",
        "",
        "TEXT/HTML;;;charset=\"utf-16\"",
        "image/png",
        "x",
    ];
    let kind = types[dice.roll(types.len())];
    let location = dice.markup();
    let location: Vec<u8> = location
        .into_iter()
        .filter(|b| !matches!(b, b'\r' | b'\n' | 0))
        .take(3_000)
        .collect();
    into.buf.clear();
    into.buf.resize(HEADROOM_BYTES, 0);
    into.head_at = HEADROOM_BYTES as u32;
    let span = |name: &str, value: &[u8], buf: &mut Vec<u8>| {
        buf.extend_from_slice(name.as_bytes());
        let at = buf.len() as u32;
        buf.extend_from_slice(value);
        buf.extend_from_slice(b"\r\n");
        Span {
            at,
            len: value.len() as u32,
        }
    };
    into.buf.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
    let content_type = span("Content-Type: ", kind.as_bytes(), &mut into.buf);
    let location = span("Location: ", &location, &mut into.buf);
    let chunked = dice.roll(3) == 0;
    if chunked {
        into.buf
            .extend_from_slice(b"Transfer-Encoding: chunked\r\n");
    }
    into.buf.extend_from_slice(b"\r\n");
    into.body_at = into.buf.len() as u32;
    into.buf.extend_from_slice(&body);
    into.body_end = into.buf.len() as u32;
    into.url
        .extend_from_slice(b"http://host.test:8080/dir/page?q");
    into.path_at = 21;
    into.fingerprint = 7;
    into.outcome = Outcome::Fetched;
    into.job = if dice.roll(10) == 0 {
        Job::Robots
    } else {
        Job::Fetch
    };
    into.kind = LinkKind::from_u8(dice.roll(7) as u8);
    into.facts = Facts {
        status: [200, 200, 200, 301, 404, 999][dice.roll(6)],
        content_type,
        location,
        codings,
        chunked,
        ..Facts::default()
    };
}

fn check(page: &Page) {
    assert!(page.links.len() <= LINKS_PER_PAGE_MAX);
    assert!(!page.record.is_empty(), "a response has a record");
    for link in &page.links {
        let at = link.at as usize;
        let text = &page.link_text[at..at + usize::from(link.len)];
        assert!(text.len() <= URL_BYTES_MAX);
        let (canonical, path_at) = url::canonical(text).expect("a link is a URL");
        assert_eq!(
            (String::from_utf8_lossy(&canonical), path_at),
            (String::from_utf8_lossy(text), link.path_at),
            "a link is canonical"
        );
    }
}

#[test]
fn nothing_panics_and_limits_hold() {
    let seconds: Option<u64> = std::env::var("CYCLOSA_FUZZ_SECONDS")
        .ok()
        .and_then(|s| s.parse().ok());
    let seed = match seconds {
        Some(_) => cyclosa::time::wall_now(),
        None => 1,
    };
    let until = seconds.map(|s| Instant::now() + Duration::from_secs(s));
    let mut parser = Parser::new(&IDENTITY, Assets::All).expect("a parser");
    let mut it = Page::default();
    let mut case = 0;
    while until.map_or(case < CASES, |until| Instant::now() < until) {
        let number = seed.wrapping_add(case);
        let mut dice = Dice(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            page(&mut dice, &mut it);
            parser.parse(&mut it, Level::Fast);
            check(&it);
        }));
        assert!(caught.is_ok(), "case {number} failed");
        case += 1;
    }
    eprintln!("{case} pages from seed {seed}");
}
