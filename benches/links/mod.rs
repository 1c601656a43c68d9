//! A frontier fed by hand: pages with links to numbered pages of numbered hosts.

use cyclosa::config::{Config, Robots, Scope};
use cyclosa::event::{CrawlIdentity, Facts, Job, Link, LinkKind, Outcome, Page};
use cyclosa::frontier::Frontier;
use cyclosa::frontier::seen::Table;
use cyclosa::protocol::url::Fingerprinter;

/// Identity of the benches' crawls.
pub const IDENTITY: CrawlIdentity = CrawlIdentity {
    id: [1; 16],
    key: [2; 32],
    created: 0,
};

/// Any host, no delay, no robots.txt: nothing but the frontier's own work.
pub fn config() -> Config {
    Config {
        scope: Scope::Any,
        delay: 0,
        per_host: 1_000,
        memory: 64 << 30,
        concurrency: 4_096,
        robots: Robots::Ignore,
        allow_net: vec!["127.0.0.0/8".parse().expect("a net")],
        ..Config::default()
    }
}

/// Consecutive numbers that belong to one host: most links that are new lead to the host of their page.
const TOGETHER: u64 = 16;

/// A page with links to the pages of these numbers.
pub fn fill(
    page: &mut Page,
    numbers: impl Iterator<Item = u64>,
    hosts: u64,
    prints: &Fingerprinter,
) {
    page.links.clear();
    page.link_text.clear();
    for n in numbers {
        let at = page.link_text.len();
        let host = n / TOGETHER % hosts;
        page.link_text.extend_from_slice(b"http://h");
        page.link_text
            .extend_from_slice(host.to_string().as_bytes());
        page.link_text.extend_from_slice(b".test");
        let path_at = (page.link_text.len() - at) as u16;
        page.link_text
            .extend_from_slice(b"/docs/a-page-with-a-name/");
        page.link_text.extend_from_slice(n.to_string().as_bytes());
        let text = &page.link_text[at..];
        page.links.push(Link {
            fingerprint: prints.of(text),
            at: at as u32,
            len: text.len() as u16,
            path_at,
            kind: LinkKind::Page,
            nofollow: false,
        });
    }
}

/// Answers what is ordered; the first fetch with `links`.
pub fn answer(frontier: &mut Frontier, links: &mut Page, now: u64) {
    frontier.dispatch(now);
    let orders: Vec<_> = frontier.orders().collect();
    for mut page in orders {
        page.outcome = Outcome::Fetched;
        if page.job == Job::Resolve {
            page.addresses = vec![[127, 0, 0, 1].into()];
        } else {
            page.facts = Facts {
                status: 200,
                ..Facts::default()
            };
            page.links.append(&mut links.links);
            page.link_text.append(&mut links.link_text);
        }
        frontier.handle(page, now);
    }
    while let Some(commit) = frontier.next_commit() {
        if let cyclosa::event::Commit::Page(page) = commit {
            frontier.returned(page);
        }
    }
}

/// Makes `known` URLs known on `hosts` hosts; `after` is called every ten thousand.
pub fn grow(
    frontier: &mut Frontier,
    known: u64,
    hosts: u64,
    prints: &Fingerprinter,
    mut after: impl FnMut(&mut Frontier),
) {
    let mut page = Page::default();
    frontier.seed(b"http://h0.test/", 14, 0);
    let mut n = 0;
    while n < known {
        fill(&mut page, n..n + 10_000, hosts, prints);
        n += 10_000;
        let links = frontier.counters().links;
        while frontier.counters().links == links {
            answer(frontier, &mut page, 0);
        }
        mind_the_table(frontier);
        after(frontier);
    }
}

/// A larger seen table, where one is wanted.
pub fn mind_the_table(frontier: &mut Frontier) {
    if let Some(buckets) = frontier.wanted_table() {
        frontier.give_table(Table::allocate(buckets));
    }
    drop(frontier.take_retired_table());
}
