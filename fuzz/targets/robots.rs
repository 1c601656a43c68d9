//! robots.txt: any file gives rules within the limits that survive their encoding; any bytes are decoded to nothing or
//! to rules that are encoded as they were. The sitemaps that a file names are parts of its lines.

use cyclosa::limits::{CRAWL_DELAY_MAX_S, ROBOTS_LINE_BYTES_MAX};
use cyclosa::protocol::robots::{Rules, sitemaps};

const TARGETS: [&[u8]; 6] = [
    b"/",
    b"/a",
    b"/a/b.html?x=1",
    b"/%7Ea/b",
    b"/private/secret.pdf",
    b"/robots.txt",
];

/// Runs one input.
pub fn run(data: &[u8]) {
    for token in ["cyclosa", "foo"] {
        let rules = Rules::parse(data, token);
        check(&rules, data);
        let mut bytes = Vec::new();
        rules.encode(&mut bytes);
        assert_eq!(Rules::decode(&bytes).as_ref(), Some(&rules));
    }
    for named in sitemaps(data) {
        assert!(named.len() < ROBOTS_LINE_BYTES_MAX && named.trim_ascii() == named);
        assert!(!named.iter().any(|b| matches!(b, b'\n' | b'\r' | b'#')));
    }
    if let Some(rules) = Rules::decode(data) {
        check(&rules, data);
        let mut bytes = Vec::new();
        rules.encode(&mut bytes);
        assert_eq!(bytes, data);
    }
}

fn check(rules: &Rules, data: &[u8]) {
    assert!(rules.allows(b"/robots.txt"));
    assert!(
        rules
            .crawl_delay_s()
            .is_none_or(|s| s >= 0.0 && s <= CRAWL_DELAY_MAX_S as f64)
    );
    // A pattern's bytes may each be escaped to three, and each line has one rule of twelve bytes at most.
    assert!(rules.heap_bytes() <= data.len() * 12 + 64);
    for target in TARGETS {
        assert!(rules.allows(target) || !rules.is_allow_all());
    }
    // The file itself and parts of it, as a path.
    let path: Vec<u8> = b"/".iter().chain(data.iter().take(300)).copied().collect();
    rules.allows(&path);
}
