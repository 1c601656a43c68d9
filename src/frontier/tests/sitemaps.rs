//! Sitemaps that robots.txt files name: how deep they and their parts are, that they are admitted as links are, and that
//! a file that is read again names nothing new.

use super::counters::Excluded;
use super::*;

/// A web of sitemaps: what a robots.txt names, and what is linked from where, by URL.
struct Web {
    robots: &'static [(&'static str, &'static [&'static str])],
    links: &'static [(&'static str, LinkKind, &'static str)],
}

fn fresh(config: &Config, seeds: &[&str]) -> Frontier {
    let mut frontier = Frontier::new(config, &IDENTITY).unwrap();
    for url in seeds {
        seed(&mut frontier, url);
    }
    frontier
}

fn answer(page: &mut Page, web: &Web) {
    let url = String::from_utf8(page.url.clone()).unwrap();
    match page.job {
        Job::Resolve => {
            page.outcome = Outcome::Fetched;
            page.addresses = vec![Ipv4Addr::LOCALHOST.into()];
        }
        Job::Robots => {
            let file = web.robots.iter().find(|(at, _)| *at == url);
            answer_status(page, if file.is_some() { 200 } else { 404 });
            for named in file.map_or(&[][..], |(_, named)| named) {
                add_link(page, named, LinkKind::Sitemap, false);
            }
        }
        Job::Fetch => answer_status(page, 200),
    }
    for (from, kind, to) in web.links {
        if *from == url {
            if *kind == LinkKind::Redirect {
                answer_status(page, 301);
            }
            add_link(page, to, *kind, false);
        }
    }
}

/// Crawls `web` to its end from `now` on; what was fetched, with its depth, sorted.
fn crawl(frontier: &mut Frontier, web: &Web, now: Tick) -> Vec<String> {
    let mut fetched = Vec::new();
    loop {
        let pages = orders(frontier, now);
        if pages.is_empty() {
            fetched.sort();
            return fetched;
        }
        for mut page in pages {
            if page.job == Job::Fetch {
                let url = String::from_utf8_lossy(&page.url);
                fetched.push(format!("{} {}", url.replace("http://", ""), page.depth));
            }
            answer(&mut page, web);
            frontier.handle(page, now);
            assert!(frontier.counters().balances());
        }
    }
}

fn excluded(frontier: &Frontier, reason: Excluded) -> u64 {
    frontier.counters().excluded[reason as usize]
}

/// An index with a part, an index within that part, and a sitemap behind a redirect.
const INDEXED: Web = Web {
    robots: &[(
        "http://a.test/robots.txt",
        &["http://a.test/i.xml", "http://a.test/moved"],
    )],
    links: &[
        (
            "http://a.test/i.xml",
            LinkKind::Sitemap,
            "http://a.test/part.xml",
        ),
        ("http://a.test/part.xml", LinkKind::Page, "http://a.test/p"),
        (
            "http://a.test/part.xml",
            LinkKind::Sitemap,
            "http://a.test/part2.xml",
        ),
        (
            "http://a.test/part2.xml",
            LinkKind::Page,
            "http://a.test/deep",
        ),
        ("http://a.test/p", LinkKind::Page, "http://a.test/beyond"),
        (
            "http://a.test/moved",
            LinkKind::Redirect,
            "http://a.test/s.xml",
        ),
        ("http://a.test/s.xml", LinkKind::Page, "http://a.test/q"),
    ],
};

#[test]
fn pages_of_a_sitemap_are_one_link_away_whether_it_has_parts_or_not() {
    let mut config = config();
    config.max_depth = Some(1);
    let mut frontier = fresh(&config, &["http://a.test/"]);
    let expected = [
        "a.test/ 0",
        "a.test/i.xml 0",
        "a.test/moved 0",
        "a.test/p 1",
        "a.test/part.xml 0",
        "a.test/part2.xml 1",
        "a.test/q 1",
        "a.test/s.xml 0",
    ];
    assert_eq!(crawl(&mut frontier, &INDEXED, 0), expected);
    assert_eq!(excluded(&frontier, Excluded::Depth), 2);
}

#[test]
fn a_sitemap_of_which_nothing_may_be_fetched_is_not() {
    let mut config = config();
    config.max_depth = Some(0);
    let mut frontier = fresh(&config, &["http://a.test/"]);
    assert_eq!(crawl(&mut frontier, &INDEXED, 0), ["a.test/ 0"]);
    assert_eq!(excluded(&frontier, Excluded::Depth), 2);
}

#[test]
fn a_host_found_far_from_the_seeds_has_its_sitemap_there() {
    const FAR: Web = Web {
        robots: &[("http://b.test/robots.txt", &["http://b.test/s.xml"])],
        links: &[
            ("http://a.test/", LinkKind::Page, "http://a.test/1"),
            ("http://a.test/1", LinkKind::Page, "http://b.test/2"),
            ("http://b.test/s.xml", LinkKind::Page, "http://b.test/3"),
        ],
    };
    for (most, expected) in [
        (2, &["a.test/ 0", "a.test/1 1", "b.test/2 2"][..]),
        (
            3,
            &[
                "a.test/ 0",
                "a.test/1 1",
                "b.test/2 2",
                "b.test/3 3",
                "b.test/s.xml 2",
            ],
        ),
    ] {
        let mut config = config();
        config.max_depth = Some(most);
        let mut frontier = fresh(&config, &["http://a.test/"]);
        assert_eq!(crawl(&mut frontier, &FAR, 0), expected);
    }
}

#[test]
fn scope_patterns_and_ports_hold_for_sitemaps() {
    const ODD: Web = Web {
        robots: &[(
            "http://a.test/robots.txt",
            &[
                "http://b.test/s.xml",
                "http://a.test/no/s.xml",
                "http://a.test:25/s.xml",
                "http://a.test/s.xml",
                "http://a.test/s.xml",
            ],
        )],
        links: &[("http://a.test/", LinkKind::Page, "http://b.test/page")],
    };
    let mut config = config();
    config.scope = Scope::Hosts;
    config.exclude = vec!["/no/".into()];
    let mut frontier = fresh(&config, &["http://a.test/"]);
    let fetched = crawl(&mut frontier, &ODD, 0);
    assert_eq!(fetched, ["a.test/ 0", "a.test/s.xml 0"]);
    // The sitemap on b.test, and the link to it: naming it has opened nothing.
    assert_eq!(excluded(&frontier, Excluded::Scope), 2);
    assert_eq!(excluded(&frontier, Excluded::Pattern), 1);
    assert_eq!(excluded(&frontier, Excluded::Port), 1);
    assert_eq!(frontier.counters().discovered, 6);
}

#[test]
fn a_file_that_is_read_again_names_what_is_known() {
    let mut frontier = fresh(&config(), &["http://a.test/"]);
    crawl(&mut frontier, &INDEXED, 0);
    let before = frontier.counters().clone();
    let later = (crate::limits::ROBOTS_TTL_S + 1) * SECOND;
    seed(&mut frontier, "http://a.test/second");
    assert_eq!(crawl(&mut frontier, &INDEXED, later), ["a.test/second 0"]);
    let after = frontier.counters();
    assert_eq!(after.robots_fetched, before.robots_fetched + 1);
    assert_eq!(after.discovered, before.discovered + 1);
}

#[test]
fn a_crash_neither_loses_a_sitemap_nor_finds_it_twice() {
    let config = config();
    let mut calm = fresh(&config, &["http://a.test/"]);
    let expected = crawl(&mut calm, &INDEXED, 0);
    // The cut stands before the answer to robots.txt, or right behind it.
    for behind in [false, true] {
        let mut frontier = fresh(&config, &["http://a.test/"]);
        let mut kept = Kept::default();
        loop {
            let mut page = orders(&mut frontier, 0).pop().expect("one job at a time");
            let robots = page.job == Job::Robots;
            answer(&mut page, &INDEXED);
            if robots && !behind {
                frontier.cut(0, 0);
            }
            frontier.handle(page, 0);
            if robots {
                break;
            }
        }
        if behind {
            frontier.cut(0, 0);
        }
        while frontier.sweep() {}
        kept.take(&mut frontier);
        kept.roll_back();
        let (mut restored, _) = kept.restore(&config, 0);
        assert_eq!(restored.counters().discovered, if behind { 3 } else { 1 });
        assert_eq!(crawl(&mut restored, &INDEXED, 0), expected);
        assert_eq!(restored.counters().discovered, calm.counters().discovered);
    }
}

#[test]
fn a_file_on_another_host_names_sitemaps_for_the_first() {
    const MOVED: Web = Web {
        robots: &[(
            "http://b.test/r.txt",
            &["http://a.test/s.xml", "http://b.test/s.xml"],
        )],
        links: &[(
            "http://a.test/robots.txt",
            LinkKind::Redirect,
            "http://b.test/r.txt",
        )],
    };
    let mut config = config();
    config.scope = Scope::Hosts;
    let mut frontier = fresh(&config, &["http://a.test/"]);
    let fetched = crawl(&mut frontier, &MOVED, 0);
    assert_eq!(fetched, ["a.test/ 0", "a.test/s.xml 0"]);
    assert_eq!(excluded(&frontier, Excluded::Scope), 1);
}
