//! One page through all steps behind the fetcher, step by step and as a whole: where the time of a page goes.
//!
//! `cargo bench --bench page`. Medians over passes in one process; the last column is the floor that the design names for
//! pages of this kind. Steps are timed over a batch of pages each, so that a clock reading costs nothing; the whole is
//! timed apart. Excluded: the network, the rings, checkpoints, and the write to the segment.

mod pages;

use cyclosa::config::{Assets, Config, Robots, Scope};
use cyclosa::event::{Coding, CrawlIdentity, Facts, Outcome, Page, Span};
use cyclosa::frontier::Frontier;
use cyclosa::limits::HEADROOM_BYTES;
use cyclosa::parse::Parser;
use cyclosa::parse::decode::Decoder;
use cyclosa::parse::record::RecordWriter;
use cyclosa::protocol::html::{Found, Wanted, scan};
use cyclosa::protocol::url::{Base, Fingerprinter, resolve};
use cyclosa::protocol::zframe::Level;
use sha1::{Digest, Sha1};
use std::hint::black_box;
use std::io::Write;
use std::time::Instant;

const IDENTITY: CrawlIdentity = CrawlIdentity {
    id: [1; 16],
    key: [2; 32],
    created: 0,
};
const URL: &[u8] = b"http://127.0.0.1/docs/made/struct.Up.html";
const BATCH: usize = 64;
const PASSES: usize = 41;

/// Microseconds a page, median of the passes.
fn time(mut step: impl FnMut(usize)) -> f64 {
    let mut passes: Vec<f64> = (0..PASSES)
        .map(|_| {
            let before = Instant::now();
            (0..BATCH).for_each(&mut step);
            before.elapsed().as_secs_f64() * 1e6 / BATCH as f64
        })
        .collect();
    passes.sort_by(f64::total_cmp);
    passes[PASSES / 2]
}

fn receive(page: &mut Page, body: &[u8], coding: Coding) {
    let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n";
    page.buf.clear();
    page.buf.resize(HEADROOM_BYTES, 0);
    page.buf.extend_from_slice(head);
    page.buf.extend_from_slice(body);
    page.head_at = HEADROOM_BYTES as u32;
    page.body_at = (HEADROOM_BYTES + head.len()) as u32;
    page.body_end = page.buf.len() as u32;
    page.outcome = Outcome::Fetched;
    page.facts = Facts {
        status: 200,
        content_type: Span {
            at: (HEADROOM_BYTES + 31) as u32,
            len: 9,
        },
        codings: [coding, Coding::Identity],
        ..Facts::default()
    };
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
    encoder.write_all(text.as_bytes()).expect("memory");
    encoder.finish().expect("memory")
}

/// Decides about a page's links `times` times; all but the first are known.
fn decide(frontier: &mut Frontier, links: &mut Page) {
    let mut page = loop {
        frontier.dispatch(0);
        if let Some(page) = frontier.orders().next() {
            break page;
        }
        let n = frontier.counters().discovered;
        let url = format!("http://127.0.0.1/seed/{n}");
        frontier.seed(url.as_bytes(), 16, 0);
    };
    page.outcome = Outcome::Fetched;
    page.facts.status = 200;
    std::mem::swap(&mut page.links, &mut links.links);
    std::mem::swap(&mut page.link_text, &mut links.link_text);
    frontier.handle(page, 0);
}

fn measure(name: &str, html: &str, gzipped: bool, floor_us: f64) {
    let packed = gzip(html);
    let (body, coding) = if gzipped {
        (packed.as_slice(), Coding::Gzip)
    } else {
        (html.as_bytes(), Coding::Identity)
    };
    let mut rows: Vec<(&str, f64)> = Vec::new();
    let mut page = Page::default();
    page.url.extend_from_slice(URL);
    page.path_at = 16;

    let fill = time(|_| receive(&mut page, body, coding));
    rows.push((
        "sha-1",
        time(|_| {
            black_box(Sha1::digest(black_box(body)));
        }),
    ));
    let mut writer = RecordWriter::new(IDENTITY.id).expect("a context");
    let record = time(|_| {
        receive(&mut page, body, coding);
        writer.response(&mut page, Level::Normal);
    }) - fill;
    rows.push(("record (zstd 1, or framed as is)", record - rows[0].1));
    let mut decoder = Decoder::new();
    if gzipped {
        rows.push((
            "inflate",
            time(|_| {
                black_box(decoder.decode(black_box(body), &[coding]).bytes().len());
            }),
        ));
    }
    rows.push((
        "UTF-8 check",
        time(|_| {
            black_box(simdutf8::basic::from_utf8(black_box(html.as_bytes())).is_ok());
        }),
    ));
    let mut found = Found::default();
    rows.push((
        "link scan",
        time(|_| {
            found.clear();
            scan(black_box(html.as_bytes()), Wanted::PAGES, &mut found);
        }),
    ));
    let base = Base::new(URL).expect("a base");
    let mut text = Vec::new();
    rows.push((
        "resolve and canonical form",
        time(|_| {
            text.clear();
            for reference in &found.refs {
                let _ = black_box(resolve(
                    &base,
                    found.text(reference, html.as_bytes()),
                    &mut text,
                ));
            }
        }),
    ));
    let prints = Fingerprinter::new(&IDENTITY.key);
    let links: Vec<Vec<u8>> = found
        .refs
        .iter()
        .filter_map(|reference| {
            let mut url = Vec::new();
            resolve(&base, found.text(reference, html.as_bytes()), &mut url)
                .ok()
                .map(|_| url)
        })
        .collect();
    rows.push((
        "fingerprints",
        time(|_| {
            for link in &links {
                black_box(prints.of(black_box(link)));
            }
        }),
    ));

    let config = Config {
        scope: Scope::Any,
        delay: 0,
        per_host: 1_000,
        robots: Robots::Ignore,
        allow_net: vec!["127.0.0.0/8".parse().expect("a net")],
        ..Config::default()
    };
    let mut frontier = Frontier::new(&config, &IDENTITY).expect("a frontier");
    let mut away = Page::default();
    let frontier_us = time(|n| {
        away.links.clear();
        away.link_text.clear();
        let mut at = 0;
        for link in &links {
            away.link_text.extend_from_slice(link);
            away.links.push(cyclosa::event::Link {
                fingerprint: prints.of(link),
                at,
                len: link.len() as u16,
                path_at: link.len().min(16) as u16,
                ..Default::default()
            });
            at += link.len() as u32;
        }
        decide(&mut frontier, &mut away);
        while frontier.next_commit().is_some() {}
        if n == 0 {
            while frontier.next_delta().is_some() {}
        }
    });
    rows.push(("frontier (links copied and hashed again)", frontier_us));

    let mut parser = Parser::new(&IDENTITY, Assets::None).expect("a parser");
    let whole = time(|_| {
        page.reset();
        page.url.extend_from_slice(URL);
        page.path_at = 16;
        receive(&mut page, body, coding);
        parser.parse(&mut page, Level::Normal);
    }) - fill;

    println!(
        "{name}: {} bytes as received, {} links",
        body.len(),
        links.len()
    );
    for (step, us) in &rows {
        println!("  {step:<42} {us:>8.1} µs");
    }
    println!(
        "  {:<42} {whole:>8.1} µs   (floor of the design: {floor_us:.0} µs)",
        "parser as a whole"
    );
}

fn main() {
    let docs = pages::docs_page();
    let web = pages::web_page();
    measure("docs, plain", &docs, false, 107.0);
    measure("docs, gzipped", &docs, true, 66.0);
    measure("web, plain", &web, false, 337.0);
    measure("web, gzipped", &web, true, 213.0);
}
