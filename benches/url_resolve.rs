//! Resolving the links of a page to canonical form, beside the `url` crate's join.
//!
//! Two pages' worth of references in the proportions of real ones: *docs* (a manual: relative files, parents, fragments)
//! and *web* (a shop or news site: rooted paths, absolute URLs, queries, some other schemes). Excluded: finding the
//! references in the markup. The time is for all references of a list; divide by the elements shown.
//!
//! `url join` is the crate's join alone; `url join, canonical` also drops the fragment and copies the result out, which
//! is the same work as ours but for the escapes' case.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use cyclosa::protocol::url::{Base, Fingerprinter, resolve};
use std::hint::black_box;

const WORDS: [&str; 16] = [
    "index",
    "guide",
    "reference",
    "api",
    "install",
    "release-notes",
    "blog",
    "archive",
    "products",
    "category",
    "tag",
    "author",
    "images",
    "static",
    "assets",
    "search",
];

/// A small generator, so that the lists are the same everywhere.
struct Lcg(u64);

impl Lcg {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }

    fn word(&mut self) -> &'static str {
        WORDS[self.below(WORDS.len())]
    }
}

fn docs(count: usize) -> Vec<String> {
    let mut lcg = Lcg(1);
    let reference = |lcg: &mut Lcg| {
        let (a, b, n) = (lcg.word(), lcg.word(), lcg.below(1_000));
        match lcg.below(20) {
            0..=5 => format!("{a}-{n}.html"),
            6..=8 => format!("{a}.html#{b}-{n}"),
            9..=10 => format!("#{a}-{b}"),
            11..=13 => format!("../{a}/{b}.html"),
            14 => format!("../../{a}/{b}/struct.{n}.html#method.{b}"),
            15 => format!("./{a}/{b}.html"),
            16..=17 => format!("/{a}/{b}/v{n}/"),
            18 => format!("https://docs.example.org/{a}/{b}.html"),
            _ => format!("{a}/{b}/index.html"),
        }
    };
    (0..count).map(|_| reference(&mut lcg)).collect()
}

fn web(count: usize) -> Vec<String> {
    let mut lcg = Lcg(2);
    let reference = |lcg: &mut Lcg| {
        let (a, b, c, n) = (lcg.word(), lcg.word(), lcg.word(), lcg.below(1_000_000));
        match lcg.below(40) {
            0..=9 => format!("/{a}/{b}/{c}-{n}"),
            10..=13 => format!("/{a}/{b}?page={n}&sort={c}"),
            14..=21 => format!("https://www.example.com/{a}/{b}/{c}-{n}/"),
            22..=25 => format!("https://{a}{n}.example.net/{b}/{c}.html?utm_source={a}&utm_id={n}"),
            26..=28 => format!("//cdn{n}.example.com/{a}/{b}/{n}.jpg"),
            29..=30 => format!("http://{b}.example.org:8080/{a}"),
            31 => format!("https://example.com/share?u=https%3A%2F%2Fwww.example.com%2F{a}%2f{n}"),
            32 => format!("/{a}/{b} {n}.pdf"),
            33 => format!("/wiki/{a}_(caf\u{e9})_{n}"),
            34 => format!("?{a}={n}"),
            35 => format!("#{a}"),
            36 => format!("mailto:{a}@example.com"),
            37 => "javascript:void(0)".to_owned(),
            38 => format!("../{a}/./{b}/"),
            _ => format!("{a}.php?id={n}"),
        }
    };
    (0..count).map(|_| reference(&mut lcg)).collect()
}

fn lists() -> [(&'static str, &'static str, Vec<String>); 2] {
    [
        (
            "docs",
            "https://docs.example.org/std/collections/hash_map/index.html",
            docs(2_000),
        ),
        (
            "web",
            "https://www.example.com/products/category/page-12.html?ref=start",
            web(2_000),
        ),
    ]
}

fn benches(c: &mut Criterion) {
    for (name, base, references) in lists() {
        let mut group = c.benchmark_group(format!("url_resolve/{name}"));
        group.throughput(Throughput::Elements(references.len() as u64));
        let ours = Base::new(base.as_bytes()).expect("a base");
        let theirs = url::Url::parse(base).expect("a base");
        group.bench_function("cyclosa", |b| {
            let mut out = Vec::with_capacity(1 << 20);
            b.iter(|| {
                out.clear();
                for reference in &references {
                    let _ = black_box(resolve(&ours, reference.as_bytes(), &mut out));
                }
                out.len()
            });
        });
        group.bench_function("url join", |b| {
            b.iter(|| {
                for reference in &references {
                    let _ = black_box(theirs.join(reference));
                }
            });
        });
        group.bench_function("url join, canonical", |b| {
            let mut out = String::with_capacity(1 << 20);
            b.iter(|| {
                out.clear();
                for reference in &references {
                    if let Ok(mut url) = theirs.join(reference) {
                        url.set_fragment(None);
                        out.push_str(url.as_str());
                    }
                }
                out.len()
            });
        });
        group.finish();
    }
    base_and_fingerprint(c);
}

fn base_and_fingerprint(c: &mut Criterion) {
    let mut base = Base::new(b"https://www.example.com/").expect("a base");
    c.bench_function("url_resolve/base of a page", |b| {
        b.iter(|| {
            base.set(black_box(
                b"https://www.example.com/products/category/page-12.html?ref=start",
            ))
        });
    });
    let prints = Fingerprinter::new(&[7; 32]);
    let url = b"https://www.example.com/products/category/page-12.html?ref=start".to_vec();
    c.bench_function("url_resolve/fingerprint of 64 bytes", |b| {
        b.iter_batched_ref(
            || url.clone(),
            |url| prints.of(black_box(url)),
            BatchSize::SmallInput,
        );
    });
}

criterion_group!(group, benches);
criterion_main!(group);
