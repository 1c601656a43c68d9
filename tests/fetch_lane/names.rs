//! Names to addresses: what needs no server, and servers of all kinds.

use crate::Net;
use crate::name_server::{A, AAAA, Ask, NameServer, Script};
use cyclosa::config::ResolveRule;
use cyclosa::event::{Job, Outcome, Page};
use cyclosa::fetch::DnsLoad;
use cyclosa::limits::{ADDRESS_TTL_MAX_S, ADDRESS_TTL_MIN_S, DNS_ALIASES_MAX, DNS_OPEN_MAX};
use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};

fn question(origin: &str) -> Page {
    Page {
        job: Job::Resolve,
        url: format!("{origin}/").into_bytes(),
        path_at: origin.len() as u16,
        ..Page::default()
    }
}

fn resolve(net: &mut Net, name: &str) -> Box<Page> {
    net.order(question(&format!("http://{name}")));
    net.finish(1).0.remove(0)
}

/// What came of `name`, as text: addresses, or a failure with its time to live.
fn outcome(page: &Page) -> String {
    match page.outcome {
        Outcome::Fetched => {
            let all: Vec<String> = page.addresses.iter().map(IpAddr::to_string).collect();
            all.join(" ")
        }
        Outcome::DnsFailed if page.address_ttl_s == 0 => "no answer".into(),
        Outcome::DnsFailed => "no address".into(),
        other => format!("{other:?}"),
    }
}

/// Asks servers with these scripts for `name`; what came of it, and what the client counted.
fn ask(servers: &[&NameServer], name: &str) -> (String, DnsLoad) {
    let mut net = Net::asking(&servers.iter().map(|s| s.address).collect::<Vec<_>>());
    let page = resolve(&mut net, name);
    (outcome(&page), net.lane.load().dns)
}

fn ask_one(script: impl Script, name: &str) -> (String, DnsLoad) {
    ask(&[&NameServer::start(script)], name)
}

fn good(ask: &Ask) -> Vec<Vec<u8>> {
    ask.with(&["192.0.2.1"])
}

#[test]
fn rules_literals_and_reserved_names_need_no_server() {
    let rules = [ResolveRule {
        name: "web.test".into(),
        below: true,
        port: Some(8080),
        address: IpAddr::from([127, 0, 0, 9]),
    }];
    let server = NameServer::start(good);
    let mut net = Net::with_rules(&rules, &[server.address], |_| {});
    for (name, expected) in [
        ("h1.web.test:8080", "127.0.0.9"),
        ("[::1]:81", "::1"),
        ("127.0.0.3", "127.0.0.3"),
        ("no-such-name.invalid", "no address"),
        ("a\0b", "no address"),
        ("a..b", "no address"),
    ] {
        assert_eq!(outcome(&resolve(&mut net, name)), expected, "{name:?}");
    }
    let local = resolve(&mut net, "localhost");
    assert!(local.addresses.contains(&IpAddr::from([127, 0, 0, 1])));
    assert_eq!(local.address_ttl_s, ADDRESS_TTL_MAX_S);
    assert!(server.asked().is_empty());
    assert_eq!(net.lane.load().resolving, 0);
}

#[test]
fn both_families_are_asked_once_and_remembered() {
    let server = NameServer::start(|ask| ask.with(&["192.0.2.1", "192.0.2.2", "2001:db8::1"]));
    let mut net = Net::asking(&[server.address]);
    let page = resolve(&mut net, "www.test");
    assert_eq!(page.addresses.len(), 3);
    assert_ne!(
        page.addresses[0].is_ipv4(),
        page.addresses[1].is_ipv4(),
        "families take turns"
    );
    assert_eq!(page.address_ttl_s, 300);
    assert_eq!(resolve(&mut net, "WWW.test.").addresses, page.addresses);
    let kinds: HashSet<u16> = server.asked().iter().map(|a| a.kind).collect();
    assert_eq!((server.asked().len(), kinds), (2, HashSet::from([A, AAAA])));
    assert!(server.asked().iter().all(|a| a.edns && !a.tcp));
    let load = net.lane.load().dns;
    assert_eq!((load.lookups, load.cached, load.found), (1, 1, 1));
}

#[test]
fn a_time_to_live_of_zero_is_raised_and_a_huge_one_cut() {
    let of = |ttl: u32| {
        let server = NameServer::start(move |ask| match ask.kind {
            A => vec![
                ask.reply()
                    .ttl(ttl)
                    .address(&ask.spelling, "192.0.2.1")
                    .bytes(),
            ],
            _ => vec![ask.reply().none().bytes()],
        });
        resolve(&mut Net::asking(&[server.address]), "www.test").address_ttl_s
    };
    assert_eq!(
        (of(0), of(100), of(u32::MAX >> 1)),
        (ADDRESS_TTL_MIN_S, 100, ADDRESS_TTL_MAX_S)
    );
}

#[test]
fn identifiers_ports_and_letters_cannot_be_guessed() {
    let server = NameServer::start(good);
    let mut net = Net::asking(&[server.address]);
    for n in 0..200 {
        net.order(question(&format!("http://name-{n}.example.test")));
    }
    net.finish(200);
    let asked = server.asked();
    assert_eq!(asked.len(), 400);
    let distinct = |of: fn(&Ask) -> u64| asked.iter().map(of).collect::<HashSet<_>>().len();
    assert!(distinct(|a| a.id.into()) > 380, "identifiers repeat");
    assert!(distinct(|a| a.port.into()) > 150, "ports repeat");
    let upper = asked
        .iter()
        .flat_map(|a| a.spelling.chars())
        .filter(char::is_ascii_uppercase);
    let letters = asked
        .iter()
        .flat_map(|a| a.name.chars())
        .filter(char::is_ascii_lowercase);
    let share = upper.count() as f64 / letters.count() as f64;
    assert!((0.4..0.6).contains(&share), "{share}");
}

#[test]
fn a_truncated_answer_is_asked_for_over_tcp() {
    let (got, load) = ask_one(
        |ask| match ask.tcp {
            false => vec![ask.reply().truncated().bytes()],
            true => ask.with(&["192.0.2.1", "2001:db8::1"]),
        },
        "big.test",
    );
    assert!(
        got.contains("192.0.2.1") && got.contains("2001:db8::1"),
        "{got}"
    );
    assert!(load.truncated >= 1 && load.over_tcp == 2, "{load:?}");
}

#[test]
fn a_giant_answer_over_tcp_is_no_answer() {
    let giant = |ask: &Ask| {
        let mut reply = ask.reply();
        for n in 0..2_000 {
            reply = reply.address(&ask.spelling, &format!("192.0.2.{}", n % 256));
        }
        vec![
            if ask.tcp {
                reply
            } else {
                ask.reply().truncated()
            }
            .bytes(),
        ]
    };
    let (got, load) = ask_one(giant, "giant.test");
    assert_eq!(got, "no answer");
    assert!(load.malformed > 0, "{load:?}");
    let other = NameServer::start(good);
    assert_eq!(
        ask(&[&NameServer::start(giant), &other], "giant.test").0,
        "192.0.2.1"
    );
}

#[test]
fn forgeries_are_passed_over_and_the_true_answer_is_taken() {
    let (got, load) = ask_one(
        |ask| {
            let mut forged = ask.reply().address(&ask.spelling, "192.0.2.66");
            forged.id = ask.id.wrapping_add(1);
            let mut messages = vec![forged.bytes()];
            forged.id = ask.id;
            forged.question = Some(("other.test".into(), ask.kind));
            messages.push(forged.bytes());
            forged.question = Some((ask.spelling.clone(), 16));
            messages.push(forged.bytes());
            messages.push(b"\0".to_vec());
            messages.extend(good(ask));
            // A second answer, as if the first had not been the last word.
            messages.push(ask.reply().address(&ask.spelling, "192.0.2.67").bytes());
            messages
        },
        "www.test",
    );
    assert_eq!(got, "192.0.2.1");
    assert!(load.mismatched >= 4, "{load:?}");
}

#[test]
fn a_flood_of_forgeries_moves_the_question_to_tcp() {
    let (got, load) = ask_one(
        |ask| {
            if ask.tcp {
                return good(ask);
            }
            let mut forged = ask.reply().address(&ask.spelling, "192.0.2.66");
            (1..100)
                .map(|n| {
                    forged.id = ask.id.wrapping_add(n);
                    forged.bytes()
                })
                .collect()
        },
        "www.test",
    );
    assert_eq!((got.as_str(), load.timeouts), ("192.0.2.1", 0));
}

#[test]
fn letters_in_the_wrong_case_are_a_reason_to_ask_over_tcp() {
    let lower = |ask: &Ask| {
        let mut reply = ask.reply().none();
        if ask.kind == A {
            reply = ask
                .reply()
                .address(&ask.name, if ask.tcp { "192.0.2.1" } else { "192.0.2.66" });
        }
        reply.question = Some((ask.name.clone(), ask.kind));
        vec![reply.bytes()]
    };
    let (got, load) = ask_one(lower, "a-name-with-letters.test");
    assert_eq!((got.as_str(), load.over_tcp), ("192.0.2.1", 2));
    assert!(load.wrong_case >= 1);
    // A server that rewrites names and has no TCP is better than none.
    let simple = NameServer::without_tcp(lower);
    assert_eq!(ask(&[&simple], "a-name-with-letters.test").0, "192.0.2.66");
}

#[test]
fn aliases_are_followed_inside_an_answer_and_over_several() {
    let inside = |ask: &Ask| {
        let chain = ask
            .reply()
            .alias(&ask.spelling, "b.test")
            .alias("b.test", "c.test");
        vec![
            if ask.kind == A {
                chain.address("c.test", "192.0.2.1")
            } else {
                chain.none()
            }
            .bytes(),
        ]
    };
    assert_eq!(ask_one(inside, "a.test").0, "192.0.2.1");
    let over = |ask: &Ask| match ask.name.as_str() {
        "a.test" => vec![ask.reply().ttl(70).alias(&ask.spelling, "b.test").bytes()],
        "b.test" => vec![ask.reply().alias(&ask.spelling, "c.test").bytes()],
        _ => ask.with(&["192.0.2.2", "2001:db8::2"]),
    };
    let server = NameServer::start(over);
    let mut net = Net::asking(&[server.address]);
    let page = resolve(&mut net, "a.test");
    assert_eq!((page.addresses.len(), page.address_ttl_s), (2, 70));
    assert_eq!(server.asked().len(), 6);
}

#[test]
fn aliases_that_go_round_or_on_for_ever_are_no_answer() {
    let around = |ask: &Ask| {
        let chain = ask
            .reply()
            .alias(&ask.spelling, "b.test")
            .alias("b.test", &ask.name);
        vec![chain.bytes()]
    };
    let (got, load) = ask_one(around, "a.test");
    assert_eq!(got, "no answer");
    assert!(load.malformed > 0);
    let onward = NameServer::start(|ask| {
        let n: u32 = ask
            .name
            .trim_start_matches('n')
            .split('.')
            .next()
            .unwrap()
            .parse()
            .unwrap();
        vec![
            ask.reply()
                .alias(&ask.spelling, &format!("n{}.test", n + 1))
                .bytes(),
        ]
    });
    assert_eq!(ask(&[&onward], "n0.test").0, "no answer");
    assert!(onward.asked().len() <= 2 * (usize::from(DNS_ALIASES_MAX) + 2));
}

#[test]
fn no_such_name_is_an_answer_and_remembered() {
    let server = NameServer::start(|ask| vec![ask.reply().rcode(3).none().bytes()]);
    let mut net = Net::asking(&[server.address]);
    let page = resolve(&mut net, "gone.test");
    assert_eq!(
        (outcome(&page).as_str(), page.address_ttl_s),
        ("no address", 60)
    );
    let asked = server.asked().len();
    assert_eq!(outcome(&resolve(&mut net, "gone.test")), "no address");
    assert_eq!(server.asked().len(), asked);
    assert_eq!(net.lane.load().dns.none, 1);
}

#[test]
fn a_server_that_cannot_tell_is_left_for_the_next() {
    for rcode in [1, 2, 4, 5] {
        let failing = NameServer::start(move |ask| vec![ask.reply().rcode(rcode).bytes()]);
        let fine = NameServer::start(good);
        assert_eq!(
            ask(&[&failing, &fine], "www.test").0,
            "192.0.2.1",
            "{rcode}"
        );
        let (got, load) = ask(&[&failing], "www.test");
        assert_eq!((got.as_str(), load.timeouts), ("no answer", 0), "{rcode}");
    }
}

#[test]
fn a_server_from_before_edns_is_asked_without() {
    let old = |ask: &Ask| match ask.edns {
        true => vec![ask.reply().rcode(1).bytes()],
        false => good(ask),
    };
    assert_eq!(ask_one(old, "www.test").0, "192.0.2.1");
}

#[test]
fn silence_and_a_closed_port_lead_to_the_next_server() {
    let silent = NameServer::start(|_| Vec::new());
    let fine = NameServer::start(good);
    let (got, load) = ask(&[&silent, &fine], "www.test");
    assert_eq!((got.as_str(), load.timeouts), ("192.0.2.1", 1));
    // Refused by the system at once: nothing is waited for.
    let closed: SocketAddr = "127.0.0.1:1".parse().unwrap();
    let mut net = Net::asking(&[closed, fine.address]);
    assert_eq!(outcome(&resolve(&mut net, "www.test")), "192.0.2.1");
    assert_eq!(net.lane.load().dns.timeouts, 0);
}

#[test]
fn a_lost_question_is_asked_again() {
    let (got, load) = ask_one(
        |ask| {
            if ask.before == 0 {
                Vec::new()
            } else {
                good(ask)
            }
        },
        "www.test",
    );
    assert_eq!((got.as_str(), load.timeouts), ("192.0.2.1", 1));
}

#[test]
fn one_family_without_an_answer_does_not_hold_up_the_other() {
    for kind in [A, AAAA] {
        let (got, load) = ask_one(
            move |ask| match ask.kind == kind {
                true => Vec::new(),
                false => ask.with(&["192.0.2.1", "2001:db8::1"]),
            },
            "half.test",
        );
        assert_eq!(
            got,
            if kind == A {
                "2001:db8::1"
            } else {
                "192.0.2.1"
            }
        );
        assert_eq!((load.timeouts, load.questions), (0, 2), "{load:?}");
    }
}

#[test]
fn nonsense_is_counted_and_is_no_answer() {
    let (got, load) = ask_one(
        |ask| {
            let mut bytes = ask.reply().bytes();
            bytes[7] = 1;
            // A record whose name points at itself.
            let here = bytes.len() as u8;
            bytes.extend_from_slice(&[0xc0, here, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 127, 0, 0, 1]);
            vec![bytes]
        },
        "loop.test",
    );
    assert_eq!((got.as_str(), load.timeouts), ("no answer", 0));
    assert!(load.malformed >= 2, "{load:?}");
}

#[test]
fn one_look_up_serves_all_who_wait_and_more_names_than_places_wait() {
    let server = NameServer::start(good);
    let mut net = Net::asking(&[server.address]);
    for n in 0..3 * DNS_OPEN_MAX {
        net.order(question(&format!("http://n{}.test:{}", n / 3, 80 + n % 3)));
        net.order(question(&format!("http://m{n}.test")));
    }
    assert_eq!(net.lane.load().resolving, 6 * DNS_OPEN_MAX);
    let (pages, _) = net.finish(6 * DNS_OPEN_MAX);
    assert!(pages.iter().all(|p| p.outcome == Outcome::Fetched));
    let load = net.lane.load().dns;
    assert_eq!(load.lookups as usize, 4 * DNS_OPEN_MAX);
    assert_eq!((load.shared + load.cached) as usize, 2 * DNS_OPEN_MAX);
    assert_eq!(net.lane.load().resolving, 0);
}

#[test]
fn a_stopped_lane_gives_back_the_pages_that_wait_for_names() {
    let server = NameServer::start(|_| Vec::new());
    let mut net = Net::asking(&[server.address]);
    for n in 0..2 * DNS_OPEN_MAX {
        net.order(question(&format!("http://n{n}.test")));
    }
    net.lane.stop();
    let mut out = Vec::new();
    net.turn(&mut out);
    assert_eq!(out.len(), 2 * DNS_OPEN_MAX);
    assert!(out.iter().all(|p| p.outcome == Outcome::Pending));
}
