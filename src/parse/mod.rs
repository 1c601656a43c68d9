//! The parser stage: a page in, findings out.
//!
//! What must hold:
//! * a page leaves with its record built (one zstd frame) wherever there is a response, and with its links wherever
//!   there is markup that may be followed;
//! * soft state only: a crash may lose a parser;
//! * nothing is allocated per page once the buffers are warm; time is linear in the decoded bytes, which are bounded, and
//!   what a large page took is given back when it is done.
//!
//! Deliberately absent: a DOM, scripts, and any decision about what is fetched.

pub mod decode;
mod findings;
pub mod record;

use crate::config::{Assets, Sitemaps};
use crate::event::{Coding, CrawlIdentity, Job, LinkKind, Page};
use crate::limits::{DECODE_REST_BYTES_MAX, DECODED_BYTES_MAX, ROBOTS_BYTES_MAX};
use crate::protocol::html::{self, Found, Wanted};
use crate::protocol::sniff::{self, Kind};
use crate::protocol::url::{Base, Fingerprinter};
use crate::protocol::zframe::Level;
use crate::protocol::{charset, css, list, robots, xml};
use decode::{Decoded, Decoder};
use findings::Findings;
use record::RecordWriter;

/// One parser.
pub struct Parser {
    wanted: Wanted,
    styles: bool,
    sitemaps: bool,
    decoder: Decoder,
    records: RecordWriter,
    findings: Findings,
    found: Found,
    base: Base,
    /// Text made UTF-8.
    scratch: String,
    /// Bytes that a body, or its text, becomes at most.
    most: usize,
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
            sitemaps: true,
            decoder: Decoder::new(),
            records: RecordWriter::new(identity.id)?,
            findings: Findings::new(Fingerprinter::new(&identity.key)),
            found: Found::default(),
            base,
            scratch: String::new(),
            most: DECODED_BYTES_MAX,
            location: Vec::new(),
        })
    }

    /// The same parser, which takes the sitemaps that robots.txt files name only where they are followed.
    pub fn with_sitemaps(mut self, sitemaps: Sitemaps) -> Self {
        self.sitemaps = sitemaps == Sitemaps::Follow;
        self
    }

    /// The same, with less memory: bodies, and text made UTF-8, of up to `most` bytes; [`DECODED_BYTES_MAX`] at most.
    pub fn decoding_up_to(mut self, most: usize) -> Self {
        self.most = most.min(DECODED_BYTES_MAX);
        self.decoder = Decoder::up_to(self.most);
        self
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
            self.decoder
                .decode_first(body, &facts.codings, ROBOTS_BYTES_MAX)
                .bytes()
        };
        page.robots
            .extend_from_slice(&plain[..plain.len().min(ROBOTS_BYTES_MAX)]);
        if self.sitemaps && (200..300).contains(&facts.status) && self.set_base(page) {
            let file = std::mem::take(&mut page.robots);
            for named in robots::sitemaps(&file) {
                self.findings.add_sitemap(page, &self.base, named);
            }
            page.robots = file;
        }
    }

    fn markup(&mut self, page: &mut Page) {
        let followed = (200..300).contains(&page.facts.status) && !page.facts.coding_unknown;
        let kind = self.kind_of(page);
        if kind == Kind::Other || !followed || !self.set_base(page) {
            return;
        }
        // The text may lie in the page's own buffer while links are added to the page.
        let buf = std::mem::take(&mut page.buf);
        self.links(page, &buf, kind);
        page.buf = buf;
        self.decoder.rest();
        // Beyond what it holds it was not written, or it would have been given back here before.
        if self.scratch.len() > DECODE_REST_BYTES_MAX {
            self.scratch = String::new();
        }
    }

    fn links(&mut self, page: &mut Page, buf: &[u8], declared: Kind) {
        let facts = page.facts;
        let body = &buf[page.body_at as usize..page.body_end as usize];
        let codings = match is_packed_sitemap(page, body) {
            true => [Coding::Gzip, Coding::Identity],
            false => facts.codings,
        };
        let decoded = self.decoder.decode(body, &codings);
        page.decoding_ended = !matches!(decoded, Decoded::Whole(_));
        let plain = decoded.bytes();
        let list = is_list(page);
        if declared == Kind::Unknown && !sniff::may_be_markup(plain) && !list {
            return;
        }
        let encoding = charset::encoding_of(plain, facts.content_type.of(buf));
        let (text, whole) = charset::to_utf8(plain, encoding, &mut self.scratch, self.most);
        page.decoding_ended |= !whole;
        let kind = match believed(declared, facts.nosniff, plain, text) {
            Kind::Other if list => Kind::List,
            kind => kind,
        };
        // Without a media type nothing was said that could be wrong.
        let expected = match kind {
            Kind::Other => declared == Kind::Unknown,
            Kind::List => true,
            _ => declared != Kind::Unknown,
        };
        page.mislabelled = !page.mime.is_empty() && !expected;
        if kind == Kind::Other {
            return;
        }
        page.parsed = true;
        // Outside of HTML and CSS a query is UTF-8 whatever the document is (RFC 3987 3.1).
        let of_query = matches!(kind, Kind::Html | Kind::Css).then_some(encoding);
        self.base.set_encoding(of_query);
        self.found.clear();
        let wanted = match page.kind {
            // What an image or a stylesheet shows belongs to the page; what it links to does not.
            LinkKind::Image | LinkKind::Style => Wanted {
                pages: false,
                ..self.wanted
            },
            _ => self.wanted,
        };
        scan(kind, text, wanted, &mut self.found);
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
            let text = found.text(reference, text);
            self.findings.add(page, &self.base, text, kind, nofollow);
        }
    }

    /// By the media type, and by what the page was found as.
    fn kind_of(&self, page: &Page) -> Kind {
        let kind = sniff::declared(&page.mime, page.facts.nosniff);
        let packed = is_packed_sitemap(page, page.body());
        match page.kind {
            LinkKind::Seed | LinkKind::Page | LinkKind::Redirect | LinkKind::Sitemap => {
                match kind {
                    Kind::Css => Kind::Other,
                    Kind::Other if is_list(page) => Kind::List,
                    // What the header says, it says of the file that is packed.
                    Kind::Other if packed => Kind::Unknown,
                    kind => kind,
                }
            }
            LinkKind::Style if self.styles && kind == Kind::Css => kind,
            LinkKind::Image if self.styles && kind == Kind::Svg => kind,
            _ => Kind::Other,
        }
    }
}

/// What a body is after all.
fn believed(declared: Kind, nosniff: bool, plain: &[u8], text: &[u8]) -> Kind {
    match declared {
        Kind::Unknown => sniff::markup(text),
        Kind::Html | Kind::Xml | Kind::Svg if !nosniff && sniff::is_binary(plain, text) => {
            Kind::Other
        }
        kind => kind,
    }
}

/// Whether the page may be a sitemap that is a list of URLs.
fn is_list(page: &Page) -> bool {
    page.kind == LinkKind::Sitemap && page.mime == b"text/plain"
}

/// Whether the body is a gzip file with the name of an XML file: sitemaps are served so (sitemaps.org, "Sitemap index
/// files").
fn is_packed_sitemap(page: &Page, body: &[u8]) -> bool {
    let path = page.url.split(|b| *b == b'?').next().unwrap_or_default();
    page.facts.codings[0] == Coding::Identity
        && path.ends_with(b".xml.gz")
        && body.starts_with(b"\x1f\x8b")
}

fn scan(kind: Kind, text: &[u8], wanted: Wanted, found: &mut Found) {
    match kind {
        Kind::Html => html::scan(text, wanted, found),
        Kind::Css => css::scan(text, found),
        Kind::List => list::scan(text, found),
        Kind::Svg => {
            xml::scan_prolog(text, wanted, found);
            html::scan(text, wanted, found);
        }
        // XML of these two is said so by its document element only.
        Kind::Xml => match xml::root(text) {
            b"html" => html::scan(text, wanted, found),
            b"svg" => scan(Kind::Svg, text, wanted, found),
            _ => xml::scan(text, wanted, found),
        },
        Kind::Unknown | Kind::Other => {}
    }
}
