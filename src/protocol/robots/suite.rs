//! Google's robots.txt test cases, each row either as Google has it or listed here with the reason why not.

use super::*;
use crate::protocol::url;
use serde_json::Value;

/// Rows where RFC 9309 says otherwise: (pattern in the file, URL).
const BY_DECISION: &[(&str, &str)] = &[
    // 2.2.2: escaped unreserved octets are unescaped before comparison; Google compares them as they are.
    ("/foo/bar/%62%61%7A", "http://foo.bar/foo/bar/baz"),
];

/// The target as Google's parser takes it from a URL: as it is, `/` where empty.
fn target(url: &str) -> &str {
    let rest = url.split_once("//").map_or(url, |(_, rest)| rest);
    rest.find('/').map_or("/", |slash| &rest[slash..])
}

/// The three rows that are built, not listed: lines longer than Google's limit of 2083 × 8 bytes are cut.
fn long_lines() -> Vec<(String, String, bool)> {
    const LINE_MAX: usize = 2_083 * 8;
    let filled = |field: &str, with: char| {
        let len = LINE_MAX - "/x/".len() - field.len() + 1;
        let mut line = "/x/".to_owned();
        line.extend(std::iter::repeat_n(with, len - line.len()));
        line
    };
    let line = filled("disallow: ", 'a');
    let disallow = format!("user-agent: FooBot\ndisallow: {line}/qux\n");
    let (a, b) = (filled("allow: ", 'a'), filled("allow: ", 'b'));
    let allow = format!("user-agent: FooBot\ndisallow: /\nallow: {a}/qux\nallow: {b}/qux\n");
    vec![
        (disallow, format!("http://foo.bar{line}/fux"), false),
        (allow.clone(), format!("http://foo.bar{a}/qux"), true),
        (allow, format!("http://foo.bar{b}/fux"), true),
    ]
}

#[test]
fn google_cases() {
    for (file, url, want) in long_lines() {
        let rules = Rules::parse(file.as_bytes(), "FooBot");
        assert_eq!(rules.allows(target(&url).as_bytes()), want, "{:.40}", file);
    }
    let Some(suites) = std::env::var_os("CYCLOSA_SUITES") else {
        println!("skipped: CYCLOSA_SUITES is not set (3 built rows as expected)");
        return;
    };
    let path = std::path::Path::new(&suites).join("robots-google/robots_google_cases.json");
    let cases: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let (mut same, mut decided, mut wrong) = (0, 0, Vec::new());
    for case in &cases {
        let field = |name: &str| case[name].as_str().unwrap();
        // The file's bytes are written as Latin-1 characters.
        let file: Vec<u8> = field("robots_txt").chars().map(|c| c as u8).collect();
        let url = field("url");
        let rules = Rules::parse(&file, field("user_agent"));
        let got = rules.allows(target(url).as_bytes());
        let excepted = BY_DECISION
            .iter()
            .any(|(pattern, excepted)| url == *excepted && field("robots_txt").contains(pattern));
        match (got == case["allowed"].as_bool().unwrap(), excepted) {
            (true, false) => same += 1,
            (false, true) => decided += 1,
            _ => wrong.push(case),
        }
    }
    println!(
        "robots_google_cases.json: {same} as Google, {decided} different by decision, 3 built rows as Google"
    );
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(decided, BY_DECISION.len());
}

/// What reaches the matcher in a crawl are canonical URLs: rules must hold for them however the link was written.
#[test]
fn links_cannot_slip_past_by_spelling() {
    let file = "user-agent: *\ndisallow: /private/ツ\ndisallow: /a b\ndisallow: /x{y}|z^\ndisallow: /q?'\"\n";
    let rules = Rules::parse(file.as_bytes(), "FooBot");
    for link in [
        "http://e.org/private/ツ",
        "http://e.org/private/%e3%83%84",
        "http://e.org/%70rivate/%E3%83%84",
        "http://e.org/./private/ツ",
        "http://e.org/a b",
        "http://e.org/a%20b",
        "http://e.org\\a b",
        "http://e.org/x{y}|z^",
        "http://e.org/x%7By%7D%7cz%5E",
        "http://e.org/q?'\"",
        "http://e.org/q?%27%22",
    ] {
        let (canonical, path_at) = url::canonical(link.as_bytes()).unwrap();
        assert!(!rules.allows(&canonical[path_at as usize..]), "{link}");
    }
}
