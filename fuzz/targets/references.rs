//! Stylesheets, `srcset` and `meta` refresh: any bytes are read within the limits, and a stylesheet in an element says
//! what it says in a file.
//!
//! Input: what it is in the first byte, then its text.

use cyclosa::limits::{LINKS_PER_PAGE_MAX, REFERENCE_BYTES_MAX};
use cyclosa::protocol::css;
use cyclosa::protocol::html::{Found, Wanted, scan};

/// Runs one input.
pub fn run(data: &[u8]) {
    let Some((what, text)) = data.split_first() else {
        return;
    };
    match what % 4 {
        0 => stylesheet(text),
        1 => attribute("<img srcset=\"", text),
        2 => attribute("<meta http-equiv=refresh content=\"", text),
        _ => attribute("<p style=\"", text),
    }
}

fn stylesheet(text: &[u8]) {
    let mut found = Found::default();
    css::scan(text, &mut found);
    bounded(&found, text);
    // In an element it is the same, where nothing in it ends the element or begins a comment of the markup.
    if text.contains(&b'<') {
        return;
    }
    let html = [b"<style>", text, b"</style>"].concat();
    let mut inside = Found::default();
    scan(&html, Wanted::ALL, &mut inside);
    let of = |found: &Found, input: &[u8]| -> Vec<Vec<u8>> {
        let texts = found.refs.iter().map(|r| found.text(r, input).to_vec());
        texts.collect()
    };
    assert_eq!(of(&found, text), of(&inside, &html));
}

fn attribute(start: &str, value: &[u8]) {
    let mut html = start.as_bytes().to_vec();
    html.extend(value.iter().filter(|b| **b != b'"'));
    html.extend_from_slice(b"\">");
    let mut found = Found::default();
    scan(&html, Wanted::ALL, &mut found);
    bounded(&found, &html);
}

fn bounded(found: &Found, input: &[u8]) {
    assert!(found.refs.len() <= LINKS_PER_PAGE_MAX);
    for r in &found.refs {
        assert!(found.text(r, input).len() <= REFERENCE_BYTES_MAX * 6 / 5);
    }
}
