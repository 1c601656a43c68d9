//! Names to addresses.

use crate::Net;
use cyclosa::config::ResolveRule;
use cyclosa::event::Job;
use cyclosa::event::Outcome;
use cyclosa::event::Page;
use std::net::IpAddr;

#[test]
fn names_are_resolved_by_rules_literals_and_the_system() {
    let rules = [ResolveRule {
        name: "web.test".into(),
        below: true,
        port: Some(8080),
        address: IpAddr::from([127, 0, 0, 9]),
    }];
    let mut net = Net::with_rules(&rules, |_| {});
    let cases = [
        ("http://h1.web.test:8080", Some("127.0.0.9")),
        ("http://[::1]:81", Some("::1")),
        ("http://127.0.0.3", Some("127.0.0.3")),
        ("http://localhost", Some("127.0.0.1")),
        ("http://no-such-name.invalid", None),
        ("http://a\0b", None),
    ];
    for (origin, expected) in cases {
        net.order(Page {
            job: Job::Resolve,
            url: format!("{origin}/").into_bytes(),
            path_at: origin.len() as u16,
            ..Page::default()
        });
        let page = net.finish(1).0.remove(0);
        let expected: Option<IpAddr> = expected.and_then(|e| e.parse().ok());
        match expected {
            Some(address) => {
                assert_eq!(page.outcome, Outcome::Fetched, "{origin}");
                assert!(
                    page.addresses.contains(&address),
                    "{origin}: {:?}",
                    page.addresses
                );
            }
            None => assert_eq!(
                (page.outcome, page.addresses.len()),
                (Outcome::DnsFailed, 0),
                "{origin}"
            ),
        }
    }
    assert_eq!(net.lane.load().resolving, 0);
}

#[test]
fn more_names_than_the_resolver_takes_wait_and_are_answered() {
    let mut net = Net::new(|_| {});
    for _ in 0..3_000 {
        net.order(Page {
            job: Job::Resolve,
            url: b"http://localhost/".to_vec(),
            path_at: 16,
            ..Page::default()
        });
    }
    assert_eq!(net.lane.load().resolving, 3_000);
    let (pages, _) = net.finish(3_000);
    assert!(pages.iter().all(|p| p.outcome == Outcome::Fetched));
}
