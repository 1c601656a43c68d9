//! From references on a page to links: resolved, canonical, fingerprinted, duplicates dropped.
//!
//! What must hold:
//! * a link that is dropped here as known was handed to the frontier before, found in the same way (same kind class,
//!   depth and nofollow), so the frontier could only have dropped it too. The frontier does not look at the links of an
//!   answer that it has fetched again, nor takes a robots.txt's redirect for a link, and it knows better than the parser
//!   how deep a robots.txt's sitemaps are: none of them is remembered here;
//! * link text and count of one page are bounded.
//!
//! Deliberately absent: scope and any other policy; the frontier decides.

use crate::event::{Job, Link, LinkKind, Page};
use crate::limits::{LINK_TEXT_BYTES_MAX, LINKS_PER_PAGE_MAX, ROBOTS_SITEMAPS_MAX};
use crate::protocol::url::{self, Base, Fingerprinter, Rejected};

/// Slots of the filter of recently handed links (8 bytes each: half of a first-level cache and a bit).
const RECENT_SLOTS: usize = 8_192;

/// Collects the links of one page after the other.
pub struct Findings {
    fingerprinter: Fingerprinter,
    /// Direct-mapped: what stands here was handed on not long ago.
    recent: Box<[u64; RECENT_SLOTS]>,
}

/// Tells apart the ways in which a URL can be found that matter to the frontier.
fn way(page: &Page, kind: LinkKind, nofollow: bool) -> u64 {
    let class = match kind {
        LinkKind::Seed | LinkKind::Page => 0,
        LinkKind::Redirect => 1,
        LinkKind::Image | LinkKind::Style | LinkKind::Asset => 2,
        // A part of an index is less deep where a robots.txt names the index.
        LinkKind::Sitemap if page.kind == LinkKind::Sitemap => 3,
        LinkKind::Sitemap => 4,
    };
    let bits = u64::from(page.depth) << 8 | class << 1 | u64::from(nofollow);
    (bits + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl Findings {
    /// An empty filter; `fingerprinter` is the crawl's.
    pub fn new(fingerprinter: Fingerprinter) -> Self {
        Self {
            fingerprinter,
            recent: Box::new([0; RECENT_SLOTS]),
        }
    }

    /// Adds one reference of `page` to its links, unless it is no http URL, known, or too much.
    pub fn add(
        &mut self,
        page: &mut Page,
        base: &Base,
        reference: &[u8],
        kind: LinkKind,
        nofollow: bool,
    ) {
        let at = page.link_text.len();
        let full = at > LINK_TEXT_BYTES_MAX || page.links.len() >= LINKS_PER_PAGE_MAX;
        if full {
            page.links_dropped += 1;
            return;
        }
        let path_at = match url::resolve(base, reference, &mut page.link_text) {
            Ok(path_at) => path_at,
            // mailto:, javascript: and the like are no URLs of ours at all.
            Err(Rejected::Scheme) => return,
            Err(Rejected::TooLong) => {
                page.links_too_long += 1;
                return;
            }
            Err(_) => {
                page.links_invalid += 1;
                return;
            }
        };
        let text = &page.link_text[at..];
        let fingerprint = self.fingerprinter.of(text);
        let len = text.len() as u16;
        let key = fingerprint ^ way(page, kind, nofollow);
        if kind != LinkKind::Redirect && page.job != Job::Robots {
            let slot = &mut self.recent[key as usize % RECENT_SLOTS];
            if *slot == key || fingerprint == page.fingerprint {
                page.link_text.truncate(at);
                return;
            }
            if !page.outcome.is_transient() {
                *slot = key;
            }
        }
        page.links.push(Link {
            fingerprint,
            at: at as u32,
            len,
            path_at,
            kind,
            nofollow,
        });
    }

    /// Adds a sitemap that the robots.txt on `page` names, unless it is no absolute http URL (sitemaps.org) or too much.
    pub fn add_sitemap(&mut self, page: &mut Page, base: &Base, named: &[u8]) {
        if !url::is_http(named) {
            page.links_invalid += 1;
        } else if page.links.len() >= ROBOTS_SITEMAPS_MAX {
            page.links_dropped += 1;
        } else {
            self.add(page, base, named, LinkKind::Sitemap, false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Outcome;

    /// Links that a page with one reference hands on.
    fn handed(findings: &mut Findings, from: &str, outcome: Outcome, kind: LinkKind) -> usize {
        let mut page = Page {
            url: from.as_bytes().to_vec(),
            outcome,
            ..Page::default()
        };
        let base = Base::new(&page.url).expect("a URL");
        findings.add(&mut page, &base, b"http://a.test/there", kind, false);
        page.links.len()
    }

    #[test]
    fn links_of_an_answer_that_is_fetched_again_are_handed_on_again() {
        let mut findings = Findings::new(Fingerprinter::new(&[7; 32]));
        let mut add = |outcome| handed(&mut findings, "http://a.test/", outcome, LinkKind::Page);
        assert_eq!(add(Outcome::CutDisconnect), 1);
        assert_eq!(add(Outcome::Fetched), 1, "the frontier has not seen it");
        assert_eq!(add(Outcome::Fetched), 0, "now it has");
        assert_eq!(add(Outcome::CutDisconnect), 0);
    }

    #[test]
    fn sitemaps_are_absolute_and_no_more_than_the_limit() {
        let mut findings = Findings::new(Fingerprinter::new(&[7; 32]));
        let mut page = Page {
            url: b"http://a.test/robots.txt".to_vec(),
            job: Job::Robots,
            outcome: Outcome::Fetched,
            ..Page::default()
        };
        let base = Base::new(&page.url).expect("a URL");
        for odd in [
            "",
            "/s.xml",
            "s.xml",
            "//a.test/s.xml",
            "ftp://a.test/s",
            "http://[",
            "a b",
        ] {
            findings.add_sitemap(&mut page, &base, odd.as_bytes());
        }
        assert_eq!((page.links_invalid, page.links.len()), (7, 0));
        let long = format!("http://a.test/{}", "x".repeat(crate::limits::URL_BYTES_MAX));
        findings.add_sitemap(&mut page, &base, long.as_bytes());
        assert_eq!((page.links_too_long, page.links.len()), (1, 0));
        for n in 0..ROBOTS_SITEMAPS_MAX + 5 {
            let named = format!("HTTPS://B.test:443/{}.xml#x", n % 900);
            findings.add_sitemap(&mut page, &base, named.as_bytes());
        }
        assert_eq!(page.links.len(), ROBOTS_SITEMAPS_MAX);
        assert_eq!((page.links_dropped, page.links_invalid), (5, 7));
        let link = page.links[3];
        let text = &page.link_text[link.at as usize..][..usize::from(link.len)];
        assert_eq!(
            (text, link.kind),
            (&b"https://b.test/3.xml"[..], LinkKind::Sitemap)
        );
    }

    #[test]
    fn a_part_of_an_index_is_handed_on_for_each_way_to_find_it() {
        let mut findings = Findings::new(Fingerprinter::new(&[7; 32]));
        let base = Base::new(b"http://a.test/").expect("a URL");
        let mut parts = |from: LinkKind| {
            let mut page = Page {
                kind: from,
                outcome: Outcome::Fetched,
                ..Page::default()
            };
            let kind = LinkKind::Sitemap;
            findings.add(&mut page, &base, b"http://a.test/part.xml", kind, false);
            page.links.len()
        };
        // The frontier takes the second for less deep than the first.
        assert_eq!(parts(LinkKind::Page), 1);
        assert_eq!(parts(LinkKind::Sitemap), 1);
        assert_eq!(parts(LinkKind::Sitemap), 0);
    }

    #[test]
    fn every_redirect_is_handed_on() {
        let mut findings = Findings::new(Fingerprinter::new(&[7; 32]));
        for robots in ["http://b.test/robots.txt", "http://c.test/robots.txt"] {
            let links = handed(&mut findings, robots, Outcome::Fetched, LinkKind::Redirect);
            assert_eq!(links, 1, "{robots}");
        }
    }
}
