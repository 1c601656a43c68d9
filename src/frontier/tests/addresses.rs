//! Addresses of a host: how long they hold, which are handed out, which is used first.

use super::*;

/// The next look-up of the only host, whatever else is ordered on the way.
fn look_up(frontier: &mut Frontier, now: Tick) -> Option<Box<Page>> {
    let mut given = orders(frontier, now);
    assert!(given.len() <= 1);
    given.pop().filter(|page| page.job == Job::Resolve)
}

/// A frontier without robots.txt and a pause, whose only host has `pages` URLs.
fn one_host(allow: &str, pages: usize) -> Frontier {
    let mut config = config();
    config.robots = crate::config::Robots::Ignore;
    config.allow_net = vec![allow.parse().unwrap()];
    let mut frontier = Frontier::new(&config, &IDENTITY).unwrap();
    for n in 0..pages {
        seed(&mut frontier, &format!("http://a.test/{n}"));
    }
    frontier
}

fn answer_names(frontier: &mut Frontier, mut page: Box<Page>, list: &[&str], ttl: u32, now: Tick) {
    page.outcome = match list {
        [] => Outcome::DnsFailed,
        _ => Outcome::Fetched,
    };
    page.addresses = list.iter().map(|ip| ip.parse().unwrap()).collect();
    page.address_ttl_s = ttl;
    frontier.handle(page, now);
}

fn done(frontier: &mut Frontier, mut page: Box<Page>, now: Tick) {
    answer_status(&mut page, 200);
    frontier.handle(page, now);
}

#[test]
fn an_address_holds_as_long_as_its_name_server_says_within_bounds() {
    for (ttl, holds) in [(0, 60), (200, 200), (u32::MAX, 3_600)] {
        let mut frontier = one_host("127.0.0.0/8", 3);
        let page = look_up(&mut frontier, 0).expect("a look-up comes first");
        answer_names(&mut frontier, page, &["127.0.0.1"], ttl, 0);
        let last = (holds - 1) * SECOND;
        let page = orders(&mut frontier, last).pop().unwrap();
        assert_eq!(page.job, Job::Fetch, "{ttl}");
        done(&mut frontier, page, last);
        assert!(look_up(&mut frontier, holds * SECOND).is_some(), "{ttl}");
    }
}

#[test]
fn only_allowed_addresses_of_an_answer_are_ever_handed_out() {
    let mut frontier = one_host("198.51.100.0/24", 1);
    let page = look_up(&mut frontier, 0).unwrap();
    let mixed = [
        "127.0.0.1",
        "198.51.100.7",
        "::1",
        "10.0.0.1",
        "8.8.8.8",
        "::ffff:169.254.169.254",
        "2606:4700::1",
    ];
    answer_names(&mut frontier, page, &mixed, 300, 0);
    let page = orders(&mut frontier, 0).pop().unwrap();
    assert_eq!(page.address, Some("198.51.100.7:80".parse().unwrap()));
    let others: Vec<String> = page.addresses.iter().map(IpAddr::to_string).collect();
    assert_eq!(others, ["8.8.8.8", "2606:4700::1"]);
}

#[test]
fn a_name_that_is_rebound_to_a_private_address_is_refused() {
    let mut frontier = one_host("198.51.100.0/24", 3);
    let page = look_up(&mut frontier, 0).unwrap();
    answer_names(&mut frontier, page, &["198.51.100.7"], 0, 0);
    let page = orders(&mut frontier, 0).pop().unwrap();
    done(&mut frontier, page, 0);
    let later = 61 * SECOND;
    let page = look_up(&mut frontier, later).expect("its time to live is over");
    answer_names(&mut frontier, page, &["127.0.0.1"], 0, later);
    assert!(orders(&mut frontier, later).is_empty());
    assert!(frontier.is_dry());
    let refused = frontier.counters().excluded[counters::Excluded::Address as usize];
    assert_eq!((refused, frontier.counters().done()), (2, 1));
    assert!(frontier.counters().balances());
}

#[test]
fn an_address_serves_on_while_no_server_can_tell_and_not_when_there_is_none() {
    for (ttl, serves_on) in [(0, true), (5, false)] {
        let mut frontier = one_host("127.0.0.0/8", 2);
        let page = look_up(&mut frontier, 0).unwrap();
        answer_names(&mut frontier, page, &["127.0.0.1"], 60, 0);
        let later = 60 * SECOND;
        let page = look_up(&mut frontier, later).unwrap();
        answer_names(&mut frontier, page, &[], ttl, later);
        let next = orders(&mut frontier, later).pop();
        assert_eq!(
            next.is_some_and(|p| p.job == Job::Fetch),
            serves_on,
            "{ttl}"
        );
    }
}

#[test]
fn the_address_that_worked_is_used_first_even_after_another_look_up() {
    let mut frontier = one_host("127.0.0.0/8", 4);
    let list = [
        "127.0.0.1",
        "127.0.0.2",
        "127.0.0.3",
        "127.0.0.4",
        "127.0.0.5",
    ];
    let page = look_up(&mut frontier, 0).unwrap();
    answer_names(&mut frontier, page, &list, 60, 0);
    let mut page = orders(&mut frontier, 0).pop().unwrap();
    assert_eq!(page.addresses.len(), crate::limits::ADDRESSES_TRIED_MAX - 1);
    // The lane fell back to the third.
    page.address = Some("127.0.0.3:80".parse().unwrap());
    done(&mut frontier, page, 0);
    let page = orders(&mut frontier, 0).pop().unwrap();
    let first = |page: &Page| page.address.unwrap().ip().to_string();
    assert_eq!(first(&page), "127.0.0.3");
    assert_eq!(page.addresses[0], IpAddr::from([127, 0, 0, 1]));
    done(&mut frontier, page, 0);
    let later = 60 * SECOND;
    let page = look_up(&mut frontier, later).unwrap();
    answer_names(&mut frontier, page, &list, 60, later);
    assert_eq!(
        first(&orders(&mut frontier, later).pop().unwrap()),
        "127.0.0.3"
    );
}
