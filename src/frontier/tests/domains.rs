//! Hosts of one registrable domain, and what a failing proxy means for hosts.

use super::counters::Dropped;
use super::*;
use crate::limits::PROXY_TRIES_MAX;

/// Fetches what is queued; the first page links to `found`.
fn discover(frontier: &mut Frontier, found: &[&str]) {
    let mut pages = fetches(frontier, 0);
    let mut first = pages.remove(0);
    answer_status(&mut first, 200);
    for text in found {
        add_link(&mut first, text, LinkKind::Page, false);
    }
    frontier.handle(first, 0);
    for mut page in pages {
        answer_status(&mut page, 200);
        frontier.handle(page, 0);
    }
}

fn dropped(frontier: &Frontier) -> u64 {
    frontier.counters().dropped[Dropped::HostsFull as usize]
}

#[test]
fn hosts_of_a_domain_are_counted_through_a_restore_and_seeds_are_taken_beyond() {
    let config = Config {
        hosts_per_domain: 3,
        ..config()
    };
    let mut frontier = Frontier::new(&config, &IDENTITY).unwrap();
    seed(&mut frontier, "http://a.x.test/");
    discover(
        &mut frontier,
        &[
            "http://b.x.test/",
            "http://x.test/",
            // A fourth, and one of another domain.
            "http://c.x.test/",
            "http://c.y.test/",
        ],
    );
    assert_eq!((dropped(&frontier), frontier.gauge().hosts), (1, 4));
    frontier.cut(0, 0);
    while frontier.sweep() {}
    let mut kept = Kept::default();
    kept.take(&mut frontier);
    let (mut restored, _) = kept.restore(&config, 0);
    discover(
        &mut restored,
        &[
            "http://d.x.test/",
            "http://b.x.test/more",
            "https://a.y.test/",
        ],
    );
    assert_eq!((dropped(&restored), restored.gauge().hosts), (2, 5));
    assert!(seed(&mut restored, "http://e.x.test/"));
    assert_eq!(restored.gauge().hosts, 6);
    assert!(restored.counters().balances());
}

/// Seeds `n` URLs of a host and has the proxy fail until all of them have ended; how often it was tried, and when they had.
fn try_proxy(frontier: &mut Frontier, n: u64) -> (u64, Tick) {
    for n in 0..n {
        seed(frontier, &format!("http://a.test/{n}"));
    }
    let (mut now, mut tries) = (0, 0);
    while frontier.counters().done() < n {
        for mut page in fetches(frontier, now) {
            tries += 1;
            page.outcome = Outcome::ProxyFailed;
            frontier.handle(page, now);
            assert!(frontier.gauge().proxy_fails);
        }
        now += SECOND;
    }
    (tries, now)
}

#[test]
fn a_failing_proxy_is_tried_for_half_an_hour_and_gives_no_host_up() {
    let tries = u64::from(PROXY_TRIES_MAX);
    let mut frontier = Frontier::new(&config(), &IDENTITY).unwrap();
    let (tried, mut now) = try_proxy(&mut frontier, 1);
    assert_eq!(tried, tries);
    let half_an_hour = 1_700 * SECOND..2_000 * SECOND;
    assert!(half_an_hour.contains(&now), "{} s", now / SECOND);
    // The host is as good as any once the proxy is back, and soon.
    seed(&mut frontier, "http://a.test/after");
    let (mut pages, since) = (Vec::new(), now);
    while pages.is_empty() {
        now += SECOND;
        pages = fetches(&mut frontier, now);
    }
    assert!(now - since < 40 * SECOND);
    answer_status(&mut pages[0], 200);
    frontier.handle(pages.remove(0), now);
    assert!(!frontier.gauge().proxy_fails);
    assert_eq!(frontier.counters().pages, 1);
    let mut frontier = Frontier::new(&config(), &IDENTITY).unwrap();
    assert_eq!(try_proxy(&mut frontier, 4).0, 4 * tries);
}
