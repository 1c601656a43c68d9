//! The XML scanner against itself: any bytes are scanned within the limits, a comment in front changes nothing, and the
//! input's text, escaped as `loc` of a sitemap, comes back as it was. The sniffer reads the same bytes.

use cyclosa::limits::{LINKS_PER_PAGE_MAX, REFERENCE_BYTES_MAX};
use cyclosa::protocol::html::{Found, RefKind, Wanted};
use cyclosa::protocol::sniff::{self, Kind};
use cyclosa::protocol::xml::{root, scan, scan_prolog};

/// Runs one input.
pub fn run(data: &[u8]) {
    let all = scanned(data, Wanted::ALL);
    for wanted in [Wanted::IMAGES, Wanted::PAGES] {
        let fewer = scanned(data, wanted);
        assert!(fewer.len() <= all.len());
    }
    let commented = [b"<!-- ' \" <a href=x> -->", data].concat();
    assert_eq!(scanned(&commented, Wanted::ALL), all);
    let _ = root(data);
    scan_prolog(data, Wanted::ALL, &mut Found::default());
    assert!(!matches!(sniff::markup(data), Kind::Css | Kind::Svg));
    let _ = sniff::is_binary(data, data);
    text_comes_back(data);
}

fn scanned(xml: &[u8], wanted: Wanted) -> Vec<(RefKind, bool, Vec<u8>)> {
    let mut found = Found::default();
    scan(xml, wanted, &mut found);
    assert!(found.refs.len() <= LINKS_PER_PAGE_MAX);
    let refs = found.refs.iter().map(|r| {
        let text = found.text(r, xml);
        assert!(text.len() <= REFERENCE_BYTES_MAX);
        (r.kind, r.nofollow, text.to_vec())
    });
    refs.collect()
}

/// What is escaped as XML asks is found as it was.
fn text_comes_back(data: &[u8]) {
    let text: Vec<u8> = data.iter().copied().filter(|b| *b > b' ').collect();
    if text.is_empty() || text[0] == b'#' || text.len() > REFERENCE_BYTES_MAX {
        return;
    }
    let mut xml = b"<urlset><url><loc>".to_vec();
    for b in &text {
        match b {
            b'&' => xml.extend_from_slice(b"&amp;"),
            b'<' => xml.extend_from_slice(b"&#x3C;"),
            b'>' => xml.extend_from_slice(b"&gt;"),
            b'"' => xml.extend_from_slice(b"&#34;"),
            b => xml.push(*b),
        }
    }
    xml.extend_from_slice(b"</loc></url></urlset>");
    let found = scanned(&xml, Wanted::PAGES);
    assert_eq!(found, [(RefKind::Page, false, text)]);
}
