//! The frontier against its naive twin, through cuts and restores, and in the cases the twin does not cover.

mod addresses;
mod domains;
mod pace;
mod sitemaps;

use super::naive::{Naive, PlainLink, origin};
use super::*;
use crate::config::Scope;
use crate::event::{BLOCK_BYTES, Cut, Facts, Job, Link, LinkKind, Outcome};
use crate::protocol::url;
use crate::time::SECOND;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

const IDENTITY: CrawlIdentity = CrawlIdentity {
    id: [1; 16],
    key: [2; 32],
    created: 0,
};

fn config() -> Config {
    Config {
        scope: Scope::Any,
        delay: 0,
        allow_net: vec!["127.0.0.0/8".parse().unwrap()],
        concurrency: 4_096,
        memory: 64 << 20,
        ..Config::default()
    }
}

/// What a checkpointer would keep.
#[derive(Clone, Default)]
struct Kept {
    seen: Vec<Vec<u64>>,
    urls: Vec<Vec<u8>>,
    image: Vec<u8>,
    cut: Cut,
    /// Lengths of the logs at the cut.
    at: (usize, usize),
}

impl Kept {
    fn take(&mut self, frontier: &mut Frontier) {
        while let Some(delta) = frontier.next_delta() {
            match delta {
                Delta::Seen(chunk) => self.seen.push(chunk),
                Delta::Urls(chunk) => self.urls.push(chunk),
                Delta::Cut(cut) => {
                    self.image.resize(cut.blocks as usize * BLOCK_BYTES, 0);
                    self.cut = *cut;
                    self.at = (self.seen.len(), self.urls.len());
                }
                Delta::Block { index, bytes } => {
                    let at = index as usize * BLOCK_BYTES;
                    self.image[at..at + BLOCK_BYTES].copy_from_slice(&bytes[..]);
                }
                Delta::Swept { .. } | Delta::Stop => {}
            }
        }
    }

    /// The logs as they stood at the cut.
    fn roll_back(&mut self) {
        self.seen.truncate(self.at.0);
        self.urls.truncate(self.at.1);
    }

    fn logs(&self) -> restore::InMemory {
        restore::InMemory {
            seen: self.seen.clone(),
            urls: self.urls.clone(),
        }
    }

    fn restore(&self, config: &Config, now: Tick) -> (Frontier, restore::Restored) {
        Frontier::restore(config, &IDENTITY, &self.cut, &self.image, &self.logs(), now).unwrap()
    }
}

fn orders(frontier: &mut Frontier, now: Tick) -> Vec<Box<Page>> {
    while frontier.dispatch(now) > 0 {}
    frontier.orders().collect()
}

fn describe(page: &Page) -> String {
    let url = String::from_utf8_lossy(&page.url);
    match page.job {
        Job::Resolve => format!("resolve {}", origin(&url)),
        Job::Robots => format!("robots {}", origin(&url)),
        Job::Fetch => format!("fetch {url} {}", page.depth),
    }
}

fn add_link(page: &mut Page, text: &str, kind: LinkKind, nofollow: bool) {
    let (url, path_at) = url::canonical(text.as_bytes()).unwrap();
    let at = page.link_text.len() as u32;
    page.link_text.extend_from_slice(&url);
    page.links.push(Link {
        fingerprint: Fingerprinter::new(&IDENTITY.key).of(&url),
        at,
        len: url.len() as u16,
        path_at,
        kind,
        nofollow,
    });
}

fn answer_status(page: &mut Page, status: u16) {
    page.outcome = Outcome::Fetched;
    page.facts = Facts {
        status,
        ..Facts::default()
    };
}

fn seed(frontier: &mut Frontier, text: &str) -> bool {
    let (url, path_at) = url::canonical(text.as_bytes()).unwrap();
    frontier.seed(&url, path_at, 0)
}

/// Answers look-ups with loopback and robots.txt with 404; returns the fetches.
fn fetches(frontier: &mut Frontier, now: Tick) -> Vec<Box<Page>> {
    let mut found = Vec::new();
    loop {
        let pages = orders(frontier, now);
        if pages.is_empty() {
            return found;
        }
        for mut page in pages {
            match page.job {
                Job::Resolve => {
                    page.outcome = Outcome::Fetched;
                    page.addresses = vec![Ipv4Addr::LOCALHOST.into()];
                    frontier.handle(page, now);
                }
                Job::Robots => {
                    answer_status(&mut page, 404);
                    frontier.handle(page, now);
                }
                Job::Fetch => found.push(page),
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Op {
    /// Time passes, in milliseconds.
    Wait(u16),
    /// The n-th order on its way is answered, with these links (host, page, nofollow).
    Answer(u8, Vec<(u8, u8, bool)>),
    /// A cut is taken.
    Cut,
    /// A crash: back to the last cut. The twin is not asked any more.
    Crash,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        2 => (0u16..900).prop_map(Op::Wait),
        8 => (any::<u8>(), prop::collection::vec((0u8..6, 0u8..40, prop::bool::weighted(0.2)), 0..8))
            .prop_map(|(n, links)| Op::Answer(n, links)),
        1 => Just(Op::Cut),
        1 => Just(Op::Crash),
    ]
}

fn page_url(host: u8, page: u8) -> String {
    match page % 5 {
        0 => format!("http://h{host}.test/private/{page}"),
        _ => format!("http://h{host}.test/p/{page}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Same orders as the twin at every moment; balance always; and after any crash nothing is lost.
    #[test]
    fn agrees_with_the_naive_twin(
        ops in prop::collection::vec(op(), 1..150),
        per_host in 1u16..4,
        delay_ms in prop_oneof![Just(0u64), Just(300u64)],
        max_depth in prop_oneof![Just(3u16), Just(60_000u16)],
    ) {
        let mut config = config();
        config.per_host = per_host;
        config.delay = delay_ms * crate::time::MILLISECOND;
        config.max_depth = Some(max_depth);
        let mut frontier = Frontier::new(&config, &IDENTITY).unwrap();
        let mut twin = Some(Naive { max_depth, per_host, delay: config.delay, ..Naive::default() });
        let mut kept = Kept::default();
        let mut away: Vec<Box<Page>> = Vec::new();
        let mut now: Tick = 0;
        for h in 0..3 {
            let link = PlainLink { url: page_url(h, 1), nofollow: false };
            seed(&mut frontier, &link.url);
            if let Some(twin) = &mut twin { twin.discover(&link, 0); }
        }
        for op in ops {
            match op {
                Op::Wait(ms) => now += u64::from(ms) * crate::time::MILLISECOND,
                Op::Answer(n, links) => {
                    if away.is_empty() { continue; }
                    let mut page = away.swap_remove(usize::from(n) % away.len());
                    let name = origin(&String::from_utf8_lossy(&page.url));
                    match page.job {
                        Job::Resolve => {
                            page.outcome = Outcome::Fetched;
                            page.addresses = vec![Ipv4Addr::LOCALHOST.into()];
                            if let Some(twin) = &mut twin { twin.resolved(&name); }
                        }
                        Job::Robots => {
                            answer_status(&mut page, 200);
                            page.robots = b"User-agent: *\nDisallow: /private/\n".to_vec();
                            if let Some(twin) = &mut twin { twin.robots(&name, &["/private/".into()], now); }
                        }
                        Job::Fetch => {
                            answer_status(&mut page, 200);
                            let mut plain = Vec::new();
                            for (host, number, nofollow) in links {
                                let url = page_url(host, number);
                                add_link(&mut page, &url, LinkKind::Page, nofollow);
                                plain.push(PlainLink { url, nofollow });
                            }
                            let url = String::from_utf8_lossy(&page.url).into_owned();
                            if let Some(twin) = &mut twin { twin.fetched(&url, page.depth, &plain, now); }
                        }
                    }
                    frontier.handle(page, now);
                }
                Op::Cut => {
                    frontier.cut(now, 0);
                    while frontier.sweep() {}
                    kept.take(&mut frontier);
                    while frontier.next_commit().is_some() {}
                }
                Op::Crash => {
                    if kept.cut.epoch == 0 { continue; }
                    kept.roll_back();
                    let before = super::cut::State::decode(&kept.cut.state).unwrap();
                    let (restored, found) = kept.restore(&config, now);
                    frontier = restored;
                    let counters = frontier.counters();
                    prop_assert_eq!(found.requeued, before.in_flight.len() as u64);
                    prop_assert_eq!(counters.queued, before.counters.queued + found.requeued);
                    prop_assert_eq!(counters.discovered, before.counters.discovered);
                    away.clear();
                    twin = None;
                }
            }
            let given: Vec<_> = orders(&mut frontier, now);
            prop_assert!(frontier.counters().balances());
            if let Some(twin) = &mut twin {
                let names: BTreeSet<String> = given.iter().map(|p| describe(p)).collect();
                prop_assert_eq!(names.len(), given.len());
                prop_assert_eq!(names, twin.dispatch(now));
                let counters = frontier.counters();
                prop_assert_eq!(counters.discovered, twin.discovered);
                prop_assert_eq!(counters.excluded_now(), twin.excluded);
                prop_assert_eq!(counters.done(), twin.done);
                prop_assert_eq!(counters.queued, twin.queued());
                prop_assert_eq!(counters.in_flight, twin.in_flight);
            }
            away.extend(given);
        }
    }
}

#[test]
fn the_same_inputs_give_the_same_state_and_deltas() {
    let run = || {
        let mut frontier = Frontier::new(&config(), &IDENTITY).unwrap();
        seed(&mut frontier, "http://a.test/");
        for mut page in fetches(&mut frontier, 5) {
            answer_status(&mut page, 200);
            for n in 0..50 {
                add_link(
                    &mut page,
                    &format!("http://a.test/{n}"),
                    LinkKind::Page,
                    false,
                );
            }
            frontier.handle(page, 6);
        }
        frontier.cut(7, 0);
        let mut kept = Kept::default();
        while frontier.sweep() {}
        kept.take(&mut frontier);
        (frontier.state_hash(), kept.urls, kept.seen, kept.image)
    };
    assert_eq!(run(), run());
}

#[test]
fn a_restored_frontier_can_be_cut_and_restored_again_without_loss() {
    let config = config();
    let mut frontier = Frontier::new(&config, &IDENTITY).unwrap();
    seed(&mut frontier, "http://a.test/");
    seed(&mut frontier, "http://b.test/");
    let mut kept = Kept::default();
    let away = fetches(&mut frontier, 1);
    assert_eq!(away.len(), 2);
    // Both are in flight at the cut, and again at the next: they must survive both.
    for round in 1..4 {
        frontier.cut(round, 0);
        while frontier.sweep() {}
        kept.take(&mut frontier);
        let (next, found) = kept.restore(&config, round);
        assert_eq!(found.requeued, if round == 1 { 2 } else { 0 });
        frontier = next;
        assert_eq!(frontier.counters().queued, 2);
    }
    assert_eq!(fetches(&mut frontier, 9).len(), 2);
}

#[test]
fn a_contradiction_is_refused() {
    let config = config();
    let mut frontier = Frontier::new(&config, &IDENTITY).unwrap();
    seed(&mut frontier, "http://a.test/");
    frontier.cut(1, 0);
    while frontier.sweep() {}
    let mut kept = Kept::default();
    kept.take(&mut frontier);
    let mut other = kept.clone();
    other.seen[0][0] ^= 1;
    let restored = Frontier::restore(
        &config,
        &IDENTITY,
        &other.cut,
        &other.image,
        &other.logs(),
        0,
    );
    assert!(restored.is_err_and(|e| e.to_string().contains("state hash")));
    let mut other = kept.clone();
    other.urls.clear();
    assert!(
        Frontier::restore(
            &config,
            &IDENTITY,
            &other.cut,
            &other.image,
            &other.logs(),
            0,
        )
        .is_err()
    );
}

#[test]
fn a_name_without_address_is_asked_three_times_and_then_given_up() {
    let mut frontier = Frontier::new(&config(), &IDENTITY).unwrap();
    seed(&mut frontier, "http://nowhere.test/a");
    seed(&mut frontier, "http://nowhere.test/b");
    let mut asked = 0;
    for second in 0..100 {
        for mut page in orders(&mut frontier, second * SECOND) {
            assert_eq!(page.job, Job::Resolve);
            page.outcome = Outcome::DnsFailed;
            asked += 1;
            frontier.handle(page, second * SECOND);
        }
    }
    assert_eq!(asked, 3);
    assert!(frontier.is_dry());
    assert_eq!(frontier.counters().done(), 2);
    assert!(frontier.counters().balances());
}

#[test]
fn private_addresses_are_refused_and_counted() {
    let mut config = config();
    config.allow_net.clear();
    let mut frontier = Frontier::new(&config, &IDENTITY).unwrap();
    seed(&mut frontier, "http://rebound.test/");
    seed(&mut frontier, "http://127.0.0.1/");
    assert!(fetches(&mut frontier, 0).is_empty());
    assert!(frontier.is_dry());
    assert_eq!(
        frontier.counters().excluded[counters::Excluded::Address as usize],
        2
    );
}

#[test]
fn an_overloaded_host_is_left_in_peace_for_as_long_as_it_asks() {
    let mut frontier = Frontier::new(&config(), &IDENTITY).unwrap();
    seed(&mut frontier, "http://a.test/");
    let mut page = fetches(&mut frontier, 0).pop().unwrap();
    answer_status(&mut page, 503);
    page.facts.retry_after_s = 60;
    frontier.handle(page, 0);
    assert!(fetches(&mut frontier, 59 * SECOND).is_empty());
    let mut page = fetches(&mut frontier, 61 * SECOND).pop().unwrap();
    assert_eq!(page.tries, 1);
    answer_status(&mut page, 200);
    frontier.handle(page, 61 * SECOND);
    assert!(frontier.is_dry());
    assert_eq!(frontier.counters().retries, 1);
}

#[test]
fn robots_that_cannot_be_had_forbid_everything() {
    let mut frontier = Frontier::new(&config(), &IDENTITY).unwrap();
    seed(&mut frontier, "http://a.test/");
    for second in 0..60 {
        for mut page in orders(&mut frontier, second * SECOND) {
            match page.job {
                Job::Resolve => {
                    page.outcome = Outcome::Fetched;
                    page.addresses = vec![Ipv4Addr::LOCALHOST.into()];
                }
                Job::Robots => answer_status(&mut page, 500),
                Job::Fetch => panic!("fetched without permission"),
            }
            frontier.handle(page, second * SECOND);
        }
    }
    assert!(frontier.is_dry());
    let at = Outcome::ALL
        .iter()
        .position(|o| *o == Outcome::RobotsUnreachable);
    assert_eq!(frontier.counters().outcomes[at.unwrap()], 1);
}

/// Fetches of a.test until it is dry, every robots.txt answered with `robots` and every page after the first
/// `good` ones with `page`.
fn ends_of(robots: Outcome, page: Outcome, good: usize) -> (usize, [u64; Outcome::ALL.len()]) {
    let mut frontier = Frontier::new(&config(), &IDENTITY).unwrap();
    for n in 0..20 {
        seed(&mut frontier, &format!("https://a.test/{n}"));
    }
    let mut tries = 0;
    for second in 0..2_000 {
        for mut order in orders(&mut frontier, second * SECOND) {
            match order.job {
                Job::Resolve => {
                    order.outcome = Outcome::Fetched;
                    order.addresses = vec![Ipv4Addr::LOCALHOST.into()];
                }
                Job::Robots if robots == Outcome::Fetched => answer_status(&mut order, 404),
                Job::Robots => (tries, order.outcome) = (tries + 1, robots),
                Job::Fetch if tries < good => {
                    answer_status(&mut order, 200);
                    tries += 1;
                }
                Job::Fetch => (tries, order.outcome) = (tries + 1, page),
            }
            frontier.handle(order, second * SECOND);
        }
    }
    assert!(frontier.is_dry() && frontier.counters().balances());
    (tries, frontier.counters().outcomes)
}

#[test]
fn a_certificate_is_met_once_and_a_broken_handshake_again() {
    let at = |outcome| Outcome::ALL.iter().position(|o| *o == outcome).unwrap();
    // At robots.txt, and at the first page.
    for (robots, page) in [
        (Outcome::TlsExpired, Outcome::Fetched),
        (Outcome::Fetched, Outcome::TlsExpired),
    ] {
        let (tries, outcomes) = ends_of(robots, page, 0);
        assert_eq!((tries, outcomes[at(Outcome::TlsExpired)]), (1, 20));
    }
    for outcome in [
        Outcome::TlsClosed,
        Outcome::TlsProtocol,
        Outcome::TlsTimeout,
    ] {
        let (tries, outcomes) = ends_of(outcome, Outcome::Fetched, 0);
        assert_eq!((tries, outcomes[at(outcome)]), (3, 20), "{outcome:?}");
    }
    // One machine of many: each URL fails alone, until there are too many in a row.
    let (tries, outcomes) = ends_of(Outcome::Fetched, Outcome::TlsExpired, 5);
    assert_eq!(outcomes[at(Outcome::Fetched)], 5);
    assert_eq!((tries, outcomes[at(Outcome::TlsExpired)]), (5 + 8, 15));
}

/// Hosts whose robots.txt redirects to that of b.test, which forbids /x; returns from where robots.txt was asked.
fn redirected_robots(hosts: &[&str], concurrency: usize) -> Vec<String> {
    let config = Config {
        concurrency,
        ..config()
    };
    let mut frontier = Frontier::new(&config, &IDENTITY).unwrap();
    for host in hosts {
        seed(&mut frontier, &format!("http://{host}.test/x"));
    }
    let mut robots_from = Vec::new();
    for _ in 0..10 * hosts.len() {
        for mut page in orders(&mut frontier, SECOND) {
            let url = String::from_utf8_lossy(&page.url).into_owned();
            match page.job {
                Job::Resolve => {
                    page.outcome = Outcome::Fetched;
                    page.addresses = vec![Ipv4Addr::LOCALHOST.into()];
                }
                Job::Robots => {
                    robots_from.push(describe(&page));
                    if url.starts_with("http://b.test") {
                        answer_status(&mut page, 200);
                        page.robots = b"User-agent: *\nDisallow: /x\n".to_vec();
                    } else {
                        answer_status(&mut page, 301);
                        let to = "http://b.test/robots.txt";
                        add_link(&mut page, to, LinkKind::Redirect, false);
                    }
                }
                Job::Fetch => panic!("forbidden by the file behind the redirect"),
            }
            robots_from.extend((page.job == Job::Robots).then(|| page.host.to_string()));
            frontier.handle(page, SECOND);
        }
    }
    let forbidden = frontier.counters().excluded[counters::Excluded::Robots as usize];
    assert_eq!(forbidden as usize, hosts.len());
    assert!(frontier.is_dry());
    robots_from
}

#[test]
fn robots_redirects_are_followed_to_another_host() {
    let from = redirected_robots(&["a"], 4_096);
    assert_eq!(
        from,
        ["robots http://a.test", "0", "robots http://b.test", "0"]
    );
}

#[test]
fn a_robots_redirect_without_a_credit_waits_for_one() {
    for concurrency in 1..4 {
        assert_eq!(redirected_robots(&["a", "c", "d"], concurrency).len(), 12);
    }
}

#[test]
fn robots_redirects_go_on_in_the_order_of_their_hosts() {
    let hosts: Vec<String> = (0..20).map(|n| format!("a{n}")).collect();
    let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
    let from = redirected_robots(&hosts, 4_096);
    let there: Vec<u32> = from
        .chunks(2)
        .filter(|asked| asked[0] == "robots http://b.test")
        .map(|asked| asked[1].parse().unwrap())
        .collect();
    assert_eq!(there, (0..20).collect::<Vec<_>>());
}

#[test]
fn one_address_is_asked_once_per_ip_delay_whatever_the_hosts() {
    let mut config = config();
    config.ip_delay = SECOND;
    let mut frontier = Frontier::new(&config, &IDENTITY).unwrap();
    for n in 0..5 {
        seed(&mut frontier, &format!("http://h{n}.test/"));
    }
    let mut per_second = Vec::new();
    for step in 0..60 {
        let now = step * SECOND / 10;
        for mut page in fetches(&mut frontier, now) {
            per_second.push(now);
            answer_status(&mut page, 200);
            frontier.handle(page, now);
        }
    }
    assert_eq!(per_second.len(), 5);
    assert!(per_second.windows(2).all(|w| w[1] - w[0] >= SECOND));
}

#[test]
fn credits_and_max_pages_bound_what_is_on_its_way() {
    let mut config = config();
    config.concurrency = 8;
    config.per_host = 100;
    config.max_pages = Some(20);
    let mut frontier = Frontier::new(&config, &IDENTITY).unwrap();
    for n in 0..50 {
        seed(&mut frontier, &format!("http://a.test/{n}"));
    }
    let mut pages = 0;
    for now in 0..100 {
        let on_their_way = fetches(&mut frontier, now);
        assert!(on_their_way.len() <= 8);
        for mut page in on_their_way {
            pages += 1;
            answer_status(&mut page, 200);
            frontier.handle(page, now);
        }
    }
    assert_eq!(pages, 20);
    assert!(frontier.reached_max_pages());
    assert!(frontier.counters().balances());
}

#[test]
fn a_seed_that_redirects_takes_the_scope_along() {
    let mut config = config();
    config.scope = Scope::Hosts;
    let mut frontier = Frontier::new(&config, &IDENTITY).unwrap();
    seed(&mut frontier, "http://old.test/");
    let mut page = fetches(&mut frontier, 0).pop().unwrap();
    answer_status(&mut page, 301);
    add_link(&mut page, "http://new.test/", LinkKind::Redirect, false);
    frontier.handle(page, 0);
    let mut page = fetches(&mut frontier, 0)
        .pop()
        .expect("the target is in scope");
    answer_status(&mut page, 200);
    add_link(&mut page, "http://new.test/a", LinkKind::Page, false);
    add_link(&mut page, "http://elsewhere.test/", LinkKind::Page, false);
    add_link(
        &mut page,
        "http://elsewhere.test/i.png",
        LinkKind::Image,
        false,
    );
    frontier.handle(page, 0);
    let mut urls: Vec<_> = fetches(&mut frontier, 0)
        .iter()
        .map(|p| String::from_utf8(p.url.clone()).unwrap())
        .collect();
    urls.sort();
    assert_eq!(urls, ["http://elsewhere.test/i.png", "http://new.test/a"]);
    assert_eq!(frontier.counters().excluded_now(), 1);
}
