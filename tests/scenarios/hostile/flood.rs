//! Floods of URLs and of hosts: what is known of them grows with their number, and no faster.

use super::super::program::Crawl;
use super::{Dumb, Used, count, run};
use cyclosa::checkpoint::manifest::{MANIFEST, Slot};
use std::collections::BTreeSet;
use std::fs;

/// How much longer four times as many may take; see the markup bombs.
const RATIO_MAX: f64 = 8.0;
/// Links of a page of a flood, below what a page may hand on.
const PER_PAGE: usize = 50_000;

/// A crawl of pages that link to `n` URLs, which are known in the end and not fetched: they lie behind the page bound.
fn flood(n: usize, link: fn(usize) -> String) -> (Crawl, Used) {
    let pages = n / PER_PAGE;
    let server = Dumb::start(move |_, target, pipe| {
        let page = target
            .strip_prefix("/list/")
            .and_then(|p| p.parse::<usize>().ok());
        let links: String = match page {
            None => (0..pages).map(|p| format!("<a href=/list/{p}>")).collect(),
            Some(p) => (p * PER_PAGE..(p + 1) * PER_PAGE)
                .map(|n| format!("<a href='{}'>", link(n)))
                .collect(),
        };
        pipe.html(links.as_bytes())
    });
    let most = (pages + 1).to_string();
    // All of them are ordered before any link is known, so none but them is fetched whatever goes first.
    let bounds = [
        "--per-host",
        &most,
        "--quiet",
        "--robots",
        "ignore",
        "--scope",
        "any",
        "--max-pages",
        &most,
        // How many hosts a domain may have is another matter.
        "--hosts-per-domain",
        "1000000",
    ];
    let lists = (0..pages).map(|p| server.url("a.test", &format!("/list/{p}")));
    let seeds: Vec<String> = [server.url("a.test", "/")]
        .into_iter()
        .chain(lists)
        .collect();
    let crawl = Crawl::new(&seeds, &bounds);
    let (_, used) = run(&crawl);
    (crawl, used)
}

fn linear(what: &str, link: fn(usize) -> String) -> Crawl {
    let ((_, one), (crawl, four)) = (flood(PER_PAGE, link), flood(4 * PER_PAGE, link));
    println!(
        "{what}: 200,000 {:?} CPU, 50,000 {:?}; {} MiB; hosts {}, dropped {}",
        four.cpu,
        one.cpu,
        four.peak_mib,
        crawl.report()["hosts_known"],
        crawl.report()["dropped"]
    );
    let ms = |used: Used| used.cpu.as_millis() as f64 + 50.0;
    assert!(ms(four) / ms(one) < RATIO_MAX, "{what}: {four:?} {one:?}");
    assert!(four.peak_mib < 400, "{what}: {four:?}");
    // The seed, the lists, and all that they link to.
    assert_eq!(
        count(&crawl, "urls", "discovered"),
        1 + 4 + 4 * PER_PAGE as u64
    );
    crawl
}

#[test]
fn urls_that_differ_in_a_suffix_or_in_bits_of_a_weak_hash_take_linear_time() {
    linear("URLs with another suffix", |n| {
        format!("/p?session={n:08x}")
    });
    // Aa and BB have the same hash where a hash is a sum of powers of 31: so have these, all of them.
    let twins = |n: usize| {
        let pairs = (0..18).map(|bit| if n >> bit & 1 == 0 { "Aa" } else { "BB" });
        format!("/{}", pairs.collect::<String>())
    };
    linear("URLs of one weak hash", twins);
}

#[test]
fn a_domain_of_200_000_names_takes_linear_time() {
    // Names that lead nowhere, so that none of their pages comes before the lists.
    let crawl = linear("hosts below a wildcard", |n| {
        format!("http://n{n}.wild.invalid/")
    });
    assert_eq!(crawl.report()["hosts_known"], 1 + 4 * PER_PAGE);
}

/// The key of a crawl's fingerprints, as its checkpoint has it.
fn key(crawl: &Crawl) -> [u8; 32] {
    let file = fs::read(crawl.dir().join(MANIFEST)).expect("a checkpoint");
    let valid = |slot| match Slot::decode(&file, slot) {
        Slot::Valid { generation, .. } => Some(generation.identity.key),
        _ => None,
    };
    (0..2).find_map(valid).expect("a valid slot")
}

#[test]
fn the_key_of_the_fingerprints_is_each_crawl_s_own_and_kept() {
    let server = Dumb::start(|_, _, pipe| pipe.html(b"<a href=/one><a href=/two>"));
    let crawl = || {
        let crawl = Crawl::new(
            &[server.url("a.test", "/")],
            &["--quiet", "--max-pages", "1"],
        );
        run(&crawl);
        crawl
    };
    let crawls: Vec<Crawl> = (0..4).map(|_| crawl()).collect();
    let keys: BTreeSet<[u8; 32]> = crawls.iter().map(key).collect();
    assert_eq!(keys.len(), crawls.len());
    // Fingerprints of before a restore must be those of after it.
    let before = key(&crawls[0]);
    run(&crawls[0]);
    assert_eq!(key(&crawls[0]), before);
}
