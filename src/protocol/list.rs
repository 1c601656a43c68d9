//! A sitemap as plain text: one absolute URL a line and nothing else (sitemaps.org, "Other Sitemap formats").
//!
//! What must hold: lines that are no http URL give no link, so that text which is something else gives none. Deliberately
//! absent: finding URLs in prose.

use super::html::{Found, RefKind};
use super::url::is_http;

/// Adds the URLs of `text` to `found`.
pub fn scan(text: &[u8], found: &mut Found) {
    let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
    for line in text.split(|b| matches!(b, b'\r' | b'\n')) {
        let line = line.trim_ascii();
        if is_http(line) && !line.iter().any(u8::is_ascii_whitespace) {
            found.push_copied(RefKind::Page, line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_urls_are_links() {
        let text = b"\xEF\xBB\xBFhttp://a.test/1\r\n  HTTPS://a.test/2\t\n\n# http://a.test/3\n/4\nhttp://a.test/5 and more\nftp://a.test/6\nhttp://a.test/7";
        let mut found = Found::default();
        scan(text, &mut found);
        let links = found.refs.iter().map(|r| found.text(r, text));
        let links: Vec<_> = links.map(|l| l.escape_ascii().to_string()).collect();
        assert_eq!(
            links,
            ["http://a.test/1", "HTTPS://a.test/2", "http://a.test/7"]
        );
    }
}
