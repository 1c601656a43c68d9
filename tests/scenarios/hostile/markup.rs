//! Markup that is built to be expensive: four times as much of it takes about four times as long, not sixteen times.

use super::super::program::Crawl;
use super::{Dumb, Used, count, run};

/// How much longer four times as much may take: linear is 4, quadratic 16; the rest is for noise.
const RATIO_MAX: f64 = 8.0;

/// Markup of about `n` pieces.
type Bomb = fn(usize) -> Vec<u8>;

const BOMBS: [(&str, Bomb); 12] = [
    ("nested tags", |n| b"<div>".repeat(n)),
    ("nested and closed crosswise", |n| {
        [b"<b><i>".repeat(n / 4), b"</b></i>".repeat(n / 4)].concat()
    }),
    ("nested svg and html", |n| b"<svg><desc>".repeat(n / 2)),
    ("tables in tables", |n| b"<table><tr><td>".repeat(n / 3)),
    ("attributes of one tag", |n| {
        let attributes = (0..n).map(|i| format!(" a{i}=b"));
        [
            "<a".to_string(),
            attributes.collect(),
            " href=/attributes>".into(),
        ]
        .concat()
        .into_bytes()
    }),
    ("the same attribute", |n| {
        [b"<a".to_vec(), b" href=/x".repeat(n), b">".to_vec()].concat()
    }),
    ("one attribute", |n| {
        [b"<a href='/".to_vec(), vec![b'x'; 8 * n], b"'>".to_vec()].concat()
    }),
    ("an attribute of entities", |n| {
        [b"<a href='/".to_vec(), b"&amp".repeat(n), b"'>".to_vec()].concat()
    }),
    ("an open comment", |n| {
        [b"<!--".to_vec(), b"--!x-".repeat(n)].concat()
    }),
    ("open comments", |n| b"<!--x".repeat(n)),
    ("an open script", |n| {
        [b"<script>".to_vec(), b"<!--<script </scrip".repeat(n / 4)].concat()
    }),
    ("open tags and quotes", |n| b"<a href=\"".repeat(n / 2)),
];

fn cpu(name: &str, body: Vec<u8>) -> Used {
    let server = Dumb::start(move |_, target, pipe| match target {
        "/" => pipe.html(&body),
        _ => pipe.not_found(),
    });
    let bounds = [
        "--quiet",
        "--robots",
        "ignore",
        "--max-body",
        "80MiB",
        "--max-depth",
        "0",
    ];
    let crawl = Crawl::new(&[server.url("a.test", "/")], &bounds);
    let (_, used) = run(&crawl);
    let ends: Vec<_> = crawl.standing().into_values().collect();
    assert_eq!(ends[0].1, "200", "{name}: {ends:?}");
    used
}

#[test]
fn markup_bombs_take_linear_time() {
    for (name, bomb) in BOMBS {
        const N: usize = 1_000_000;
        let (one, four) = (cpu(name, bomb(N / 4)), cpu(name, bomb(N)));
        // Start and end of the program, about 20 ms, and the grain of the system's accounting hide behind 50.
        let ms = |used: Used| used.cpu.as_millis() as f64 + 50.0;
        let ratio = ms(four) / ms(one);
        println!(
            "{name}: {:?}, a quarter {:?}; {} MiB",
            four.cpu, one.cpu, four.peak_mib
        );
        assert!(ratio < RATIO_MAX, "{name}: {ratio}");
        assert!(four.peak_mib < 600, "{name}: {four:?}");
    }
}

#[test]
fn an_attribute_of_64_mib_is_one_reference_that_is_too_long() {
    let body = [
        b"<a href=/before>x</a><a href='/".to_vec(),
        vec![b'x'; 64 << 20],
        b"'>x</a><a href=/after>y</a>".to_vec(),
    ];
    let body = body.concat();
    let server = Dumb::start(move |_, target, pipe| match target {
        "/" => pipe.html(&body),
        _ => pipe.html(b"end"),
    });
    let crawl = Crawl::new(
        &[server.url("a.test", "/")],
        &["--quiet", "--robots", "ignore", "--max-body", "80MiB"],
    );
    let (_, used) = run(&crawl);
    println!(
        "an attribute of 64 MiB: {:?} CPU, {} MiB; {}",
        used.cpu,
        used.peak_mib,
        crawl.report()["limits"]
    );
    let known: Vec<String> = crawl.standing().into_keys().collect();
    assert_eq!(
        known,
        ["/", "/after", "/before"].map(|t| server.url("a.test", t))
    );
    assert!(used.peak_mib < 600, "{used:?}");
}

#[test]
fn a_page_of_a_million_links_hands_on_what_its_limit_allows() {
    const LINKS: usize = 1_000_000;
    let body: String = (0..LINKS).map(|n| format!("<a href=/{n}>")).collect();
    let server = Dumb::start(move |_, target, pipe| match target {
        "/" => pipe.html(body.as_bytes()),
        _ => pipe.html(b"end"),
    });
    let crawl = Crawl::new(
        &[server.url("a.test", "/")],
        &["--quiet", "--robots", "ignore", "--max-pages", "10"],
    );
    let (_, used) = run(&crawl);
    println!(
        "a million links: {:?} CPU, {} MiB; {}",
        used.cpu,
        used.peak_mib,
        crawl.report()["limits"]
    );
    let discovered = count(&crawl, "urls", "discovered");
    // The seed, and 2^17 of them.
    assert_eq!(discovered, 1 + (1 << 17));
    assert_eq!(
        count(&crawl, "limits", "links_per_page"),
        (LINKS - (1 << 17)) as u64,
        "{}",
        crawl.report()
    );
}
