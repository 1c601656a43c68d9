//! The steady state allocates nothing per page: parser, frontier and store on the same kind of pages, round after round,
//! under a counting allocator.
//!
//! What may be allocated: chunks of the logs that go to the checkpointer (one per 256 KiB of URL text and per 32,768
//! fingerprints), and what the system's write path takes now and then. Together less than one allocation in ten pages.

use cyclosa::checkpoint::DirDisk;
use cyclosa::config::{Assets, Config, Robots, Scope};
use cyclosa::event::{Commit, CrawlIdentity, Facts, Job, Outcome, Page, Span};
use cyclosa::frontier::Frontier;
use cyclosa::limits::HEADROOM_BYTES;
use cyclosa::parse::Parser;
use cyclosa::protocol::zframe::Level;
use cyclosa::store::{Settings, Store};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts what is allocated.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call goes to the system's allocator with the caller's arguments; counting touches no memory of theirs.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`; the block came from `System`.
        unsafe { System.dealloc(ptr, layout) }
    }
    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `realloc`; the block came from `System`.
        unsafe { System.realloc(ptr, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const IDENTITY: CrawlIdentity = CrawlIdentity {
    id: [5; 16],
    key: [6; 32],
    created: 0,
};
const PAGES: usize = 400;
const LINKS: usize = 76;

/// A page of about 20 KB whose links lead to pages that are known after the first round.
fn body(n: usize) -> Vec<u8> {
    let mut html = String::from("<!doctype html><meta charset=utf-8><title>A page</title>\n");
    for link in 0..LINKS {
        let to = (n * 7 + link * 13) % PAGES;
        html.push_str(&format!(
            "<p>Paragraph {link} of page {n} says this and that about <a href='/p/{to}?x=1&amp;y=2#part'>page {to}</a>, \
             and goes on for a while so that there is something to compress and to store: {}.\n",
            "lorem ipsum dolor sit amet ".repeat(4)
        ));
    }
    html.into_bytes()
}

fn receive(page: &mut Page, head: &[u8], body: &[u8]) {
    page.buf.clear();
    page.buf.resize(HEADROOM_BYTES, 0);
    page.head_at = HEADROOM_BYTES as u32;
    page.buf.extend_from_slice(head);
    page.body_at = page.buf.len() as u32;
    page.buf.extend_from_slice(body);
    page.body_end = page.buf.len() as u32;
    page.outcome = Outcome::Fetched;
    page.fetched_at = 1_700_000_000_000;
    page.facts = Facts {
        status: 200,
        content_type: Span {
            at: (HEADROOM_BYTES + 31) as u32,
            len: 9,
        },
        ..Facts::default()
    };
}

struct Crawl {
    frontier: Frontier,
    parser: Parser,
    store: Store,
    bodies: Vec<Vec<u8>>,
    away: Vec<Box<Page>>,
}

impl Crawl {
    /// Seeds a round of new URLs and crawls until none is left; pages that were stored.
    fn round(&mut self, number: usize) -> usize {
        let mut url = Vec::new();
        for n in 0..PAGES {
            url.clear();
            url.extend_from_slice(format!("http://127.0.0.1/p/{n}?round={number}").as_bytes());
            self.frontier.seed(&url, 16, 0);
        }
        let before = self.frontier.counters().pages;
        let counted = ALLOCATIONS.load(Ordering::Relaxed);
        while !self.frontier.is_dry() {
            self.turn();
        }
        let pages = (self.frontier.counters().pages - before) as usize;
        let allocations = ALLOCATIONS.load(Ordering::Relaxed) - counted;
        eprintln!("round {number}: {pages} pages, {allocations} allocations");
        allocations as usize
    }

    fn turn(&mut self) {
        let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n";
        self.frontier.dispatch(0);
        self.away.extend(self.frontier.orders());
        for (n, mut page) in self.away.drain(..).enumerate() {
            assert_eq!(page.job, Job::Fetch, "an address needs no look-up");
            let body = &self.bodies[n % self.bodies.len()];
            receive(&mut page, head, body);
            self.parser.parse(&mut page, Level::Normal);
            assert!(page.parsed);
            self.frontier.handle(page, 0);
        }
        while let Some(commit) = self.frontier.next_commit() {
            assert!(matches!(commit, Commit::Page(_)));
            self.store.commit(commit, 0);
        }
        self.store.turn(0).expect("the store writes");
        for page in self.store.returned() {
            self.frontier.returned(page);
        }
        while self.frontier.next_delta().is_some() {}
    }
}

#[test]
fn nothing_is_allocated_per_page() {
    let dir = tempfile::tempdir().expect("a scratch directory");
    let disk = Arc::new(DirDisk::open(dir.path()).expect("a directory"));
    let config = Config {
        scope: Scope::Hosts,
        delay: 0,
        per_host: 64,
        concurrency: 128,
        robots: Robots::Ignore,
        allow_net: vec!["127.0.0.0/8".parse().expect("a net")],
        ..Config::default()
    };
    let mut crawl = Crawl {
        frontier: Frontier::new(&config, &IDENTITY).expect("a frontier"),
        parser: Parser::new(&IDENTITY, Assets::Images).expect("a parser"),
        store: Store::create(disk, &IDENTITY, Settings::of(&config)).expect("a store"),
        bodies: (0..97).map(body).collect(),
        away: Vec::new(),
    };
    for number in 0..6 {
        crawl.round(number);
    }
    let allocations: usize = (6..12).map(|number| crawl.round(number)).sum();
    assert!(
        allocations * 10 < 6 * PAGES,
        "{allocations} allocations for {} pages",
        6 * PAGES
    );
}
