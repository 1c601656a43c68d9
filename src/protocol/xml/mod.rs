//! References in XML: sitemaps, RSS and Atom feeds, OPML, and whatever else uses `href`, `src` or XLink.
//!
//! ```text
//! bytes ─► scan (markup: tags, text, CDATA, comments, instructions) ─► vocabulary (what is a reference) ─► Found
//! ```
//!
//! What must hold, for any bytes: no panic, linear time, no allocation once the buffers of [`Found`] have grown. Names are
//! matched without their prefix, so that a feed is read whatever prefix its writer gave the namespace. Text is collected
//! from character data and CDATA sections, with the five entities of XML 1.0 section 4.6 and references to characters
//! decoded; every other entity stays as it is. A document that is not well-formed is read on where a reader would stop.
//!
//! `xml:base` counts on the document element; deeper ones are not looked at. Deliberately absent: the declarations of a
//! DTD (the subset is stepped over, so that nothing can be expanded or fetched by it), namespaces proper, and HTML that a
//! feed carries as text.

mod scan;
#[cfg(test)]
mod tests;
mod vocabulary;

use super::html::{Found, RefKind, Wanted};
use super::url;
use crate::limits::REFERENCE_BYTES_MAX;
use scan::{Attributes, Step, Visitor};
use vocabulary::{Content, Element};

/// Appends the references of the document `input` to `found`, which the caller clears between documents.
///
/// `input` is UTF-8; bytes that are not are passed on as they are. What lies beyond 4 GiB is not looked at.
pub fn scan(input: &[u8], wanted: Wanted, found: &mut Found) {
    let input = &input[..input.len().min(u32::MAX as usize)];
    let mut text = found.take_spare();
    text.clear();
    let mut links = Links {
        input,
        wanted,
        found,
        text,
        collects: None,
        in_image: false,
        begun: false,
        in_index: false,
    };
    scan::run(input, &mut links);
    let text = links.text;
    found.give_spare(text);
}

/// Appends the stylesheets that instructions before the document element name (Associating Style Sheets with XML
/// documents 1.0), for documents that another scanner reads.
pub fn scan_prolog(input: &[u8], wanted: Wanted, found: &mut Found) {
    let input = &input[..input.len().min(u32::MAX as usize)];
    scan::run(
        input,
        &mut Prolog {
            input,
            wanted,
            found,
            root: b"",
        },
    );
}

/// The local name of the document element; empty where there is none.
pub fn root(input: &[u8]) -> &[u8] {
    let mut prolog = Prolog {
        input,
        wanted: Wanted::default(),
        found: &mut Found::default(),
        root: b"",
    };
    scan::run(input, &mut prolog);
    prolog.root
}

struct Prolog<'a, 'f> {
    input: &'a [u8],
    wanted: Wanted,
    found: &'f mut Found,
    root: &'a [u8],
}

impl Visitor for Prolog<'_, '_> {
    fn start(&mut self, at: usize, end: usize, _: &Attributes) -> Step {
        self.root = vocabulary::local(&self.input[at..end]);
        Step::Stop
    }

    fn end(&mut self) {}

    fn text(&mut self, _: usize, _: usize, _: bool) {}

    fn instruction(&mut self, name: &[u8], attributes: &Attributes) {
        stylesheet(self.input, self.wanted, self.found, name, attributes);
    }
}

/// Takes `<?xml-stylesheet href=...?>`.
fn stylesheet(
    input: &[u8],
    wanted: Wanted,
    found: &mut Found,
    name: &[u8],
    attributes: &Attributes,
) {
    if wanted.all
        && name == b"xml-stylesheet"
        && let Some(href) = attributes.href
    {
        push(input, found, RefKind::Style, href, false);
    }
}

/// Takes the part of the input as a reference.
fn push(input: &[u8], found: &mut Found, kind: RefKind, (at, end): (usize, usize), nofollow: bool) {
    let needs = memchr::memchr3(b'&', b'\n', b'\t', &input[at..end]).is_some();
    found.push_xml(
        kind,
        nofollow,
        input,
        (at, end),
        needs.then_some(unescape as _),
    );
}

/// Collects the references of a document.
struct Links<'a, 'f> {
    input: &'a [u8],
    wanted: Wanted,
    found: &'f mut Found,
    /// Text of the element that is open, at most a little more than [`REFERENCE_BYTES_MAX`].
    text: Vec<u8>,
    /// What the text of the open element is; `None` where it is nothing, or where an element stands in it.
    collects: Option<Content>,
    /// Within `image` of RSS, whose `url` is an image.
    in_image: bool,
    /// The document element has begun.
    begun: bool,
    /// It is that of a sitemap index.
    in_index: bool,
}

impl Links<'_, '_> {
    fn wants(&self, kind: RefKind) -> bool {
        let Wanted { pages, images, all } = self.wanted;
        match kind {
            RefKind::Page
            | RefKind::Frame
            | RefKind::Link
            | RefKind::Refresh
            | RefKind::Sitemap => pages,
            RefKind::Image => images || all,
            _ => all,
        }
    }

    fn attribute(&mut self, kind: RefKind, value: Option<(usize, usize)>, nofollow: bool) {
        if let Some(value) = value
            && self.wants(kind)
        {
            push(self.input, self.found, kind, value, nofollow);
        }
    }
}

impl Visitor for Links<'_, '_> {
    fn start(&mut self, at: usize, end: usize, attributes: &Attributes) -> Step {
        let name = &self.input[at..end];
        if !self.begun {
            self.begun = true;
            self.in_index = vocabulary::local(name) == b"sitemapindex";
            if let Some((at, end)) = attributes.base {
                self.found.set_base_xml(&self.input[at..end], unescape);
            }
        }
        let element = Element::of(name);
        let value = |range: Option<(usize, usize)>| range.map(|(at, end)| &self.input[at..end]);
        let rel = value(attributes.rel).unwrap_or_default();
        let permalink = value(attributes.permalink);
        let nofollow = vocabulary::has_token(rel, b"nofollow");
        let href = element.href(rel);
        self.attribute(href, attributes.href.or(attributes.xlink), nofollow);
        self.attribute(element.src(), attributes.src, false);
        if let Some(kind) = element.url() {
            self.attribute(kind, attributes.url, false);
        }
        if element == Element::Outline {
            self.attribute(RefKind::Page, attributes.xml_url, false);
            self.attribute(RefKind::Page, attributes.html_url, false);
        }
        self.text.clear();
        self.collects = element.content(permalink, self.in_image, self.in_index);
        match element {
            Element::Image => self.in_image = true,
            Element::Item => self.in_image = false,
            _ => {}
        }
        Step::On
    }

    fn end(&mut self) {
        let Some(content) = self.collects.take() else {
            return;
        };
        let text = self.text.trim_ascii();
        // The text of Atom's `link` is empty.
        if text.is_empty() {
            return;
        }
        if self.wants(content.kind) && (!content.absolute || url::is_http(text)) {
            self.found.push_copied(content.kind, text);
        }
    }

    fn text(&mut self, at: usize, end: usize, cdata: bool) {
        // One byte beyond the limit is enough for it to be counted as too long.
        if self.collects.is_none() || self.text.len() > REFERENCE_BYTES_MAX {
            return;
        }
        let text = &self.input[at..end];
        // A reference to a character is at most twelve bytes but for leading zeros; blanks around the text are no part of it.
        let text = match self.text.is_empty() {
            true => text.trim_ascii_start(),
            false => text,
        };
        let text = &text[..text.len().min(12 * REFERENCE_BYTES_MAX)];
        match cdata {
            true => self.text.extend_from_slice(text),
            false => unescape(text, &mut self.text),
        }
    }

    fn instruction(&mut self, name: &[u8], attributes: &Attributes) {
        stylesheet(self.input, self.wanted, self.found, name, attributes);
    }
}

/// Appends `text` with references decoded; what the URL Standard removes from a reference (tabs, line ends) vanishes.
/// Never longer than `text`.
fn unescape(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some(i) = memchr::memchr2(b'&', b'\n', rest) {
        out.extend_from_slice(&rest[..i]);
        let behind = &rest[i + 1..];
        rest = behind;
        if text[text.len() - behind.len() - 1] == b'\n' {
            continue;
        }
        match reference(behind) {
            Some((c, len)) => {
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                rest = &behind[len..];
            }
            None => out.push(b'&'),
        }
    }
    out.extend_from_slice(rest);
}

/// The character of the reference at the start of `rest` (behind `&`) and its length with `;`.
fn reference(rest: &[u8]) -> Option<(char, usize)> {
    /// Longest reference that is looked at, bytes.
    const LEN_MAX: usize = 16;
    let len = rest.iter().take(LEN_MAX).position(|b| *b == b';')?;
    let name = &rest[..len];
    let c = match name {
        b"amp" => '&',
        b"lt" => '<',
        b"gt" => '>',
        b"quot" => '"',
        b"apos" => '\'',
        [b'#', b'x', digits @ ..] => number(digits, 16)?,
        [b'#', digits @ ..] => number(digits, 10)?,
        _ => return None,
    };
    Some((c, len + 1))
}

fn number(digits: &[u8], radix: u32) -> Option<char> {
    let first = digits.first()?;
    if !first.is_ascii_hexdigit() {
        return None;
    }
    let code = u32::from_str_radix(std::str::from_utf8(digits).ok()?, radix).ok()?;
    char::from_u32(code).filter(|c| *c != '\0')
}
