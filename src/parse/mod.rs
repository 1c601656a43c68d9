//! The parser stage: a page in, findings out.
//!
//! What must hold:
//! * a page leaves with its record built (one zstd frame) wherever there is a response, and with its links wherever
//!   there is markup that may be followed;
//! * soft state only: a crash may lose a parser;
//! * nothing is allocated per page once the buffers are warm; time is linear in the decoded bytes, which are bounded.
//!
//! Deliberately absent: a DOM, scripts, and any decision about what is fetched.

pub mod decode;
mod findings;
pub mod record;

use crate::config::Assets;
use crate::event::{CrawlIdentity, Job, LinkKind, Page};
use crate::limits::ROBOTS_BYTES_MAX;
use crate::protocol::html::{self, Found, Wanted};
use crate::protocol::url::{Base, Fingerprinter};
use crate::protocol::zframe::Level;
use crate::protocol::{charset, css};
use decode::Decoder;
use findings::Findings;
use record::RecordWriter;

/// What a parser does with the markup of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Markup {
    Html,
    Css,
    None,
}

/// One parser.
pub struct Parser {
    wanted: Wanted,
    styles: bool,
    decoder: Decoder,
    records: RecordWriter,
    findings: Findings,
    found: Found,
    base: Base,
    scratch: String,
    location: Vec<u8>,
}

impl Parser {
    /// A parser for a crawl.
    ///
    /// # Errors
    /// Where no compression context can be had (no memory).
    pub fn new(identity: &CrawlIdentity, assets: Assets) -> std::io::Result<Self> {
        let base = Base::new(b"http://invalid/").map_err(|_| std::io::ErrorKind::InvalidInput)?;
        Ok(Self {
            wanted: Wanted {
                pages: true,
                images: assets != Assets::None,
                all: assets == Assets::All,
            },
            styles: assets == Assets::All,
            decoder: Decoder::new(),
            records: RecordWriter::new(identity.id)?,
            findings: Findings::new(Fingerprinter::new(&identity.key)),
            found: Found::default(),
            base,
            scratch: String::new(),
            location: Vec::new(),
        })
    }

    /// Fills the findings of `page`; compresses at `level`.
    pub fn parse(&mut self, page: &mut Page, level: Level) {
        if page.job == Job::Resolve || !page.outcome.has_response() {
            return;
        }
        self.records.response(page, level);
        if (300..400).contains(&page.facts.status) && page.facts.location.len > 0 {
            return self.redirect(page);
        }
        match page.job {
            Job::Robots => self.robots(page),
            _ => self.markup(page),
        }
    }

    fn set_base(&mut self, page: &Page) -> bool {
        self.base.set(&page.url).is_ok()
    }

    fn redirect(&mut self, page: &mut Page) {
        if !self.set_base(page) {
            return;
        }
        let location = page.facts.location.of(&page.buf);
        // Fields are bytes; what is not UTF-8 is percent-encoded like any other odd byte.
        self.location.clear();
        self.location.extend_from_slice(location);
        self.findings
            .add(page, &self.base, &self.location, LinkKind::Redirect, false);
    }

    fn robots(&mut self, page: &mut Page) {
        let facts = page.facts;
        let body = &page.buf[page.body_at as usize..page.body_end as usize];
        let plain = if facts.coding_unknown {
            &[]
        } else {
            self.decoder.decode(body, &facts.codings).bytes()
        };
        page.robots
            .extend_from_slice(&plain[..plain.len().min(ROBOTS_BYTES_MAX)]);
    }

    fn markup(&mut self, page: &mut Page) {
        let markup = self.markup_of(page);
        let followed = (200..300).contains(&page.facts.status) && !page.facts.coding_unknown;
        if markup == Markup::None || !followed || !self.set_base(page) {
            return;
        }
        page.parsed = true;
        // The text may lie in the page's own buffer while links are added to the page.
        let buf = std::mem::take(&mut page.buf);
        self.links(page, &buf, markup);
        page.buf = buf;
    }

    fn links(&mut self, page: &mut Page, buf: &[u8], markup: Markup) {
        let facts = page.facts;
        let body = &buf[page.body_at as usize..page.body_end as usize];
        let plain = self.decoder.decode(body, &facts.codings).bytes();
        let encoding = charset::encoding_of(plain, facts.content_type.of(buf));
        let text = charset::to_utf8(plain, encoding, &mut self.scratch);
        self.base.set_encoding(Some(encoding));
        self.found.clear();
        match markup {
            Markup::Html => html::scan(text, self.wanted, &mut self.found),
            Markup::Css => css::scan(text, &mut self.found),
            Markup::None => {}
        }
        if let Some(base) = self.found.base_text(text) {
            self.base.rejoin(base);
        }
        let page_nofollow = facts.nofollow || self.found.nofollow;
        let found = &self.found;
        page.links_dropped += found.dropped;
        page.links_too_long += found.too_long;
        for reference in &found.refs {
            let kind = reference.kind.link_kind();
            let nofollow = !kind.is_asset() && (page_nofollow || reference.nofollow);
            self.findings.add(
                page,
                &self.base,
                found.text(reference, text),
                kind,
                nofollow,
            );
        }
    }

    /// By the media type; without one by the first byte that is no white space.
    fn markup_of(&self, page: &Page) -> Markup {
        let document = matches!(
            page.kind,
            LinkKind::Seed | LinkKind::Page | LinkKind::Redirect
        );
        match &page.mime[..] {
            b"text/html" | b"application/xhtml+xml" if document => Markup::Html,
            b"text/css" if self.styles && page.kind == LinkKind::Style => Markup::Css,
            b"" if document && page.facts.codings[0] == crate::event::Coding::Identity => {
                let first = page.body().iter().find(|b| !b.is_ascii_whitespace());
                if first == Some(&b'<') {
                    Markup::Html
                } else {
                    Markup::None
                }
            }
            _ => Markup::None,
        }
    }
}
