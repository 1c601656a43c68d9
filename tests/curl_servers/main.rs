//! curl's server scripts (`tests/data` of its source), replayed from a dumb server over real sockets, through the real
//! lane and the decoder; straight, and through the proxy that curl goes through, which the dumb server is too.
//!
//! What must hold: nothing panics or hangs past the clocks; where curl's command is something that a crawler does, head,
//! body and outcome are those that curl's files expect, and a proxy is asked for the same by the same login, but for the
//! differences listed here with their reasons; and no reply of any of the scripts is read differently when it comes in
//! other pieces, as a server's or as a proxy's.
//!
//! The data is read from the folder `CYCLOSA_SUITES`; where that is unset the tests say so and pass.

mod command;
mod proxy;
mod replay;
mod script;
mod server;
mod socks;
#[path = "../common/split.rs"]
mod split;
mod verdict;

use command::Plan;
use cyclosa::event::Outcome;
use cyclosa::protocol::tunnel::{Target, Told, Tunnel};
use replay::{Answer, Clocks, Replayed, fetch_each, replay};
use script::{Part, Script};
use server::Pieces;
use split::{read, read_all_ways};
use std::collections::BTreeMap;
use std::path::Path;
use verdict::{Verdict, compare};

/// Tests on which we differ from curl, and why.
const DECISIONS: [(&str, &[u32]); 13] = [
    (
        "HTTP/0.9 is not read; curl reads it with an option",
        &[66, 1164, 1266, 1267],
    ),
    (
        "trailer fields are passed over; curl prints them behind the body",
        &[266, 1116, 1417, 1493],
    ),
    (
        "transfer codings other than chunked are never asked for, and stored as they are; with an option curl asks for \
         them and undoes them",
        &[1122, 1123, 1124, 1125, 1170, 1171, 1277],
    ),
    (
        "a body whose transfer coding is not understood is stored up to the end of the connection and marked; curl refuses it",
        &[387, 418, 1495, 1546],
    ),
    (
        "chunked twice is refused (RFC 9112 6.1 forbids it); curl undoes it once",
        &[1482, 1483],
    ),
    (
        "a Content-Length beyond 64 bits is refused; curl reads to the end of the connection",
        &[395],
    ),
    (
        "a line without a colon is skipped, as browsers do; curl refuses the reply",
        &[398],
    ),
    (
        "a URL longer than url_too_long allows is not fetched",
        &[22],
    ),
    (
        "an address with a zone is no URL (WHATWG); curl takes it",
        &[1056],
    ),
    (
        "a 407 to a whole URL is the proxy's word, not the server's; curl prints it",
        &[82, 93],
    ),
    (
        "a blank in the query of a redirect becomes %20 (WHATWG); curl asks for a plus",
        &[663],
    ),
    (
        "no host has a name of 256 bytes: the redirect is kept and leads nowhere; curl gets as far as to the proxy",
        &[728],
    ),
    ("a login of more than 512 bytes is refused", &[1178]),
];

/// The published table.
const TABLE: &str = include_str!("../CONFORMANCE.md");

/// Tests whose outcome is curl's.
const SAME: usize = 417;
/// Those of them whose head and body could be compared: curl's files do not always say what it prints.
const SAME_BYTES: usize = 331;
/// Those of them that go through a proxy, by how.
const PROXIED: [(&str, usize); 3] = [("CONNECT", 21), ("SOCKS 5", 9), ("whole URLs", 60)];
/// Those of them for which the proxy was seen to be asked for the same, by the same login.
const SAME_ASKED: usize = 82;

/// What comes of all replies of all scripts, each sent to a GET and followed by the end of the connection.
const OUTCOMES: [(&str, usize); 5] = [
    ("bad_response", 76),
    ("closed_early", 18),
    ("cut_disconnect", 12),
    ("fetched", 1_383),
    ("head_too_large", 5),
];

/// What comes of all answers to CONNECT.
const CONNECTS: [(&str, usize); 4] = [
    ("connect_failed", 2),
    ("open", 48),
    ("proxy_failed", 12),
    ("proxy_refused", 7),
];

/// Tests that say nothing about a crawler's reading of replies, by reason.
const NOT_EXPRESSIBLE: [(&str, usize); 13] = [
    ("HEAD or CONNECT", 6),
    (
        "a dialogue of challenges (Digest, NTLM, Negotiate, any)",
        89,
    ),
    ("a program of libcurl's, not the tool", 221),
    (
        "a proxy that is not spoken to (SOCKS 4, TLS, a Unix socket, one behind another)",
        11,
    ),
    (
        "an option that has curl read or refuse replies in another way",
        25,
    ),
    ("another protocol beside or instead of plain HTTP/1", 92),
    ("another scheme or URL that is none", 26),
    ("fails before or beside the transfer", 14),
    ("no command or no reply", 3),
    ("ranges, resumed and conditional requests", 42),
    ("retries by curl itself (here the frontier's)", 9),
    ("several URLs from one pattern or --next", 28),
    (
        "what curl does with files, configurations and variables",
        57,
    ),
];

/// Longest reply that is cut at every place.
const CUT_MAX: usize = 2_048;
/// Longest replies of a test, together, that go over the socket byte by byte.
const DRIP_MAX: usize = 4_096;

/// The tests with an HTTP server: those that a crawler can do, and the numbers of the others by reason.
fn sorted(folder: &Path) -> (Vec<u32>, BTreeMap<&'static str, Vec<u32>>) {
    let (mut tests, mut not) = (Vec::new(), BTreeMap::<_, Vec<u32>>::new());
    for script in scripts(folder) {
        match Plan::of(&script, PORT) {
            Ok(_) => tests.push(script.number),
            Err(reason) => not.entry(reason).or_default().push(script.number),
        }
    }
    (tests, not)
}

/// A port for scripts that are not served.
const PORT: u16 = 8_990;

fn scripts(folder: &Path) -> Vec<Script> {
    let all = script::numbers(folder).into_iter();
    let all = all.filter_map(|number| Script::load(folder, number, PORT));
    all.filter(Script::is_http).collect()
}

#[test]
fn replies_are_read_as_curl_reads_them() {
    let Some(folder) = script::folder() else {
        return;
    };
    let (tests, not) = sorted(&folder);
    let all = replay(&folder, &tests, Clocks::Short, |_| Pieces::Whole);
    let (mut same, mut bytes, mut asked, mut different) = (0, 0, 0, Vec::new());
    let mut ways = BTreeMap::<&str, usize>::new();
    for (number, replayed) in &all {
        match compare(replayed) {
            Verdict::Same {
                bytes: compared,
                asked: compared_too,
            } => {
                same += 1;
                bytes += usize::from(compared);
                asked += usize::from(compared_too);
                if let Some(through) = &replayed.plan.through {
                    *ways.entry(through.way()).or_default() += 1;
                }
            }
            Verdict::Differs(how) => {
                let decision = DECISIONS.iter().find(|d| d.1.contains(number));
                let why = decision.map_or("NOT DECIDED", |d| d.0);
                println!("test {number}: {why}: {how}");
                different.push(*number);
            }
        }
    }
    for (reason, tests) in &not {
        println!("{:4} not expressible: {reason}", tests.len());
    }
    let by_decision = different.len();
    let others: usize = not.values().map(Vec::len).sum();
    println!(
        "curl: {} tests with an HTTP server: {same} same ({bytes} of them by head and body too), {by_decision} by decision, \
         {others} not expressible",
        all.len() + others
    );
    println!(
        "curl: of the same, through a proxy: {ways:?}, {asked} of them by what it is asked for too"
    );
    let mut expected: Vec<u32> = DECISIONS.iter().flat_map(|d| d.1).copied().collect();
    expected.sort_unstable();
    assert_eq!(different, expected);
    assert_eq!((same, bytes), (SAME, SAME_BYTES));
    assert_eq!(ways.into_iter().collect::<Vec<_>>(), PROXIED);
    assert_eq!(asked, SAME_ASKED);
    let row = format!(
        "| {} | {same} | {by_decision} | 0 | {others} |",
        all.len() + others
    );
    assert!(TABLE.contains(&row), "tests/CONFORMANCE.md has no {row}");
    let not: Vec<(&str, usize)> = not.iter().map(|(r, t)| (*r, t.len())).collect();
    assert_eq!(not, NOT_EXPRESSIBLE);
}

#[test]
fn pieces_on_the_wire_change_nothing() {
    let Some(folder) = script::folder() else {
        return;
    };
    let (tests, _) = sorted(&folder);
    let mut whole = replay(&folder, &tests, Clocks::Short, |_| Pieces::Whole);
    // Where a clock ended the wait, how much had come by then is no property of the reply.
    let timed = |a: &Answer| matches!(a.outcome, Outcome::CutTime | Outcome::FirstByteTimeout);
    whole.retain(|_, r| !r.transcript.iter().flatten().any(timed));
    let length = |r: &Replayed| r.script.replies().map(|p| p.bytes().len()).sum::<usize>();
    let tests: Vec<u32> = whole.keys().copied().collect();
    let short = |number: &u32| length(&whole[number]) <= DRIP_MAX;
    let short: Vec<u32> = tests.iter().copied().filter(short).collect();
    let random = |number| Pieces::Random(u64::from(number));
    let dice = replay(&folder, &tests, Clocks::Default, random);
    let drip = replay(&folder, &short, Clocks::Default, |_| Pieces::Bytes);
    for (number, replayed) in dice.iter().chain(&drip) {
        assert_eq!(seen(replayed), seen(&whole[number]), "test {number}");
    }
    println!(
        "curl: {} tests in random pieces, {} byte by byte: as whole",
        dice.len(),
        drip.len()
    );
    assert!(dice.len() >= 430 && drip.len() >= 420);
}

/// Everything that came of a test, with the port of its server blotted out.
fn seen(replayed: &Replayed) -> Vec<(Outcome, u16, String, String)> {
    let port = format!(":{}", replayed.port);
    let shown = |bytes: &[u8]| bytes.escape_ascii().to_string().replace(&port, ":PORT");
    let answers = replayed.transcript.iter().flatten();
    let seen = answers.map(|a| (a.outcome, a.status, shown(&a.head), shown(&a.body)));
    seen.collect()
}

/// All replies of all scripts with an HTTP server: also those of other tests than ours, to any request.
fn replies(folder: &Path) -> Vec<(u32, Vec<u8>)> {
    let of = |script: &Script| -> Vec<(u32, Vec<u8>)> {
        let replies = script.replies().map(Part::bytes);
        replies.map(|bytes| (script.number, bytes)).collect()
    };
    scripts(folder).iter().flat_map(of).collect()
}

#[test]
fn every_reply_of_every_script_has_an_outcome() {
    let Some(folder) = script::folder() else {
        return;
    };
    let replies = replies(&folder);
    let bytes: Vec<Vec<u8>> = replies.iter().map(|r| r.1.clone()).collect();
    let answers = fetch_each(bytes);
    let mut outcomes = BTreeMap::<&str, usize>::new();
    for ((number, raw), answer) in replies.iter().zip(&answers) {
        // The lane must say what the reader says of the same bytes.
        let (outcome, body, _) = read(raw, [].into_iter());
        assert_eq!(
            answer.outcome,
            outcome,
            "test {number}: {}",
            raw.escape_ascii()
        );
        if outcome.has_response() {
            assert!(answer.body == body, "test {number}: {}", raw.escape_ascii());
        }
        *outcomes.entry(outcome.name()).or_default() += 1;
    }
    println!(
        "curl: {} replies of all scripts over sockets: {outcomes:?}",
        replies.len()
    );
    assert_eq!(outcomes.into_iter().collect::<Vec<_>>(), OUTCOMES);
}

#[test]
fn no_cut_changes_how_a_reply_is_read() {
    let Some(folder) = script::folder() else {
        return;
    };
    let (mut cut, mut dripped) = (0, 0);
    for (_, raw) in replies(&folder) {
        if raw.len() < CUT_MAX {
            read_all_ways(&raw);
            cut += 1;
        } else {
            let whole = read(&raw, [].into_iter());
            let bytes = read(&raw, 1..raw.len());
            assert!(whole == bytes, "{}", raw[..200].escape_ascii());
            dripped += 1;
        }
    }
    println!("{cut} replies cut at every place, {dripped} longer ones byte by byte");
    assert!(cut > 900 && dripped > 0);
}

/// What a tunnel makes of `raw`, which comes in pieces that end at the given offsets.
fn told(raw: &[u8], ends: impl Iterator<Item = usize>) -> Told {
    let mut tunnel = Tunnel::connect(Target::Name("a.test", 443), "cyclosa", b"");
    tunnel.sent(tunnel.unsent().len());
    let (mut from, mut told) = (0, Told::More);
    for end in ends.chain([raw.len()]) {
        told = match told {
            Told::More => tunnel.received(&raw[from..end]),
            // More than an answer is nothing a proxy may say, whether it comes along or behind.
            Told::Open if end > from => Told::Ended(Outcome::ProxyFailed),
            _ => told,
        };
        from = end;
    }
    told
}

#[test]
fn no_cut_changes_what_a_proxy_says() {
    let Some(folder) = script::folder() else {
        return;
    };
    let (mut answers, mut outcomes) = (0, BTreeMap::<&str, usize>::new());
    for script in scripts(&folder) {
        for part in script.replies() {
            let raw = part.bytes();
            let whole = told(&raw, [].into_iter());
            assert_eq!(whole, told(&raw, 1..raw.len()), "{}", raw.escape_ascii());
            let cuts = 1..raw.len().min(CUT_MAX);
            for cut in cuts {
                let split = told(&raw, [cut].into_iter());
                assert_eq!(whole, split, "cut at {cut}: {}", raw.escape_ascii());
            }
            answers += 1;
            if part.name.starts_with("connect") {
                let name = match whole {
                    Told::Open => "open",
                    Told::More => "more",
                    Told::Ended(outcome) => outcome.name(),
                };
                *outcomes.entry(name).or_default() += 1;
            }
        }
    }
    println!(
        "curl: {answers} replies as answers to CONNECT, cut at every place; those to CONNECT: {outcomes:?}"
    );
    assert_eq!(outcomes.into_iter().collect::<Vec<_>>(), CONNECTS);
}
