//! A page as HTML: the model's links in the many ways people write them, between shared blocks of text.
//!
//! What must hold: a right parser finds exactly the model's links, in their order, whichever form each has. What is
//! written per page is its head, its links and little else; the rest are blocks of the pool.

use super::blocks::TIERS;
use super::draw::Draw;
use super::links::{Link, LinkKind, Place};
use super::model::Model;
use super::path::Target;
use super::response::Response;
use super::words::WORD_BITS;

/// Bytes that a link takes in its page, about; for meeting the asked-for size.
const LINK_BYTES: usize = 85;
/// Bytes of head, title and frame, about.
const FRAME_BYTES: usize = 560;

/// Renders pages; holds scratch space only.
#[derive(Debug, Default)]
pub struct Renderer {
    links: Vec<Link>,
    path: Vec<u8>,
}

/// How references of the page at hand are written.
struct Page<'a> {
    model: &'a Model,
    host: u32,
    /// Directories in the path that relative references start from.
    depth: usize,
    draw: Draw,
}

impl Renderer {
    /// Writes the document at `target` as body of `size` bytes, about; leaves the run closed.
    pub fn document(
        &mut self,
        model: &Model,
        (host, target): (u32, Target),
        size: usize,
        out: &mut Response,
    ) {
        model.links(host, target, &mut self.links);
        self.path.clear();
        model.paths().write(host, target, &mut self.path);
        let path = self.path.split(|c| *c == b'?').next().unwrap_or_default();
        let slashes = path.iter().filter(|c| **c == b'/').count();
        let mut page = Page {
            model,
            host,
            depth: slashes.saturating_sub(1),
            draw: model.body_draw(host, item(target)),
        };
        let links = std::mem::take(&mut self.links);
        let mut rest = &links[..];
        page.head(out.text(), target);
        while let Some((link, after)) = rest.split_first()
            && matches!(link.place, Place::Head | Place::Nav)
        {
            page.top(link, after.first(), out.text(), &mut self.path);
            rest = after;
        }
        if !links.iter().any(|l| l.place == Place::Nav) {
            out.text().extend_from_slice(b"</head><body>\n");
        }
        out.text().extend_from_slice(b"<main class=\"body\"><h1>");
        page.words(2, out.text());
        out.text().extend_from_slice(b"</h1>\n");
        let body = rest.iter().take_while(|l| l.place == Place::Body).count();
        let (body, foot) = rest.split_at(body);
        let room = size.saturating_sub(FRAME_BYTES + links.len() * LINK_BYTES);
        page.body(body, room, out, &mut self.path);
        out.text().extend_from_slice(b"</main><footer>\n");
        for link in foot {
            page.link(link, out.text(), &mut self.path);
        }
        out.text()
            .extend_from_slice(b"<p>Served from memory.</p></footer></body></html>\n");
        out.close_run();
        self.links = links;
    }
}

/// Number that a document's words are drawn from.
fn item(target: Target) -> u64 {
    match target {
        Target::Page(n) => n,
        Target::Private(n) => n ^ 1 << 50,
        Target::Open(n) => n ^ 1 << 51,
        Target::Calendar(n) => n ^ 1 << 52,
        Target::Deep(n) => u64::from(n) ^ 1 << 53,
        Target::Session(n, sid) => n ^ sid.rotate_left(32) ^ 1 << 54,
        _ => 1 << 55,
    }
}

impl Page<'_> {
    /// Up to five words.
    fn words(&mut self, n: u32, out: &mut Vec<u8>) {
        let mut bits = self.draw.bits();
        for i in 0..n {
            if i > 0 {
                out.push(b' ');
            }
            out.extend_from_slice(self.model.paths().words().any(bits).as_bytes());
            bits >>= WORD_BITS;
        }
    }

    fn head(&mut self, out: &mut Vec<u8>, target: Target) {
        out.extend_from_slice(
            b"<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n<title>",
        );
        self.words(3, out);
        out.extend_from_slice(b" &amp; ");
        self.words(1, out);
        out.extend_from_slice(b"</title>\n");
        if !matches!(target, Target::Page(n) if n != 0) {
            return;
        }
        match self.draw.below(32) {
            0 => {
                out.extend_from_slice(b"<base href=\"/b/\">\n");
                self.depth = 1;
            }
            1 => {
                out.extend_from_slice(b"<base href='http://");
                self.model.write_authority(self.host, out);
                out.extend_from_slice(b"/x/y/z.html'>\n");
                self.depth = 2;
            }
            _ => {}
        }
    }

    /// A link of the head or the navigation; the body begins before the first of the latter.
    fn top(&mut self, link: &Link, next: Option<&Link>, out: &mut Vec<u8>, path: &mut Vec<u8>) {
        match link.kind {
            LinkKind::Style => {
                out.extend_from_slice(b"<link rel=\"stylesheet\" href=\"");
                self.reference(link, out, path);
                out.extend_from_slice(b"\">\n");
            }
            LinkKind::Script => {
                out.extend_from_slice(b"<script src=\"");
                self.reference(link, out, path);
                out.extend_from_slice(b"\"></script>\n");
            }
            _ => self.link(link, out, path),
        }
        let last = |place| link.place == place && next.is_none_or(|n| n.place != place);
        if last(Place::Head) && next.is_some_and(|n| n.place == Place::Nav) {
            out.extend_from_slice(b"</head><body>\n<nav>\n");
        }
        if last(Place::Nav) {
            out.extend_from_slice(b"</nav>\n");
        }
    }

    /// Blocks with the links spread between them.
    fn body(&mut self, links: &[Link], room: usize, out: &mut Response, path: &mut Vec<u8>) {
        let mut left = room;
        let counts = TIERS.map(|(_, size)| {
            let count = left / size;
            left %= size;
            count
        });
        let all: usize = counts.iter().sum();
        let start = self.draw.bits() as usize;
        // An odd stride visits every block of a tier before it comes to one again.
        let stride = (start >> 32) | 1;
        let (mut first, mut at, mut done) = (0, 0, 0);
        for ((pool, _), count) in TIERS.into_iter().zip(counts) {
            for i in 0..count {
                let index = start.wrapping_add(i.wrapping_mul(stride)) % pool;
                out.block((first + index) as u16);
                at += 1;
                let until = at * links.len() / all;
                for link in &links[done..until] {
                    self.link(link, out.text(), path);
                    out.close_long_run();
                }
                done = until;
            }
            first += pool;
        }
        for link in &links[done..] {
            self.link(link, out.text(), path);
            out.close_long_run();
        }
    }

    /// A link with what stands around it.
    fn link(&mut self, link: &Link, out: &mut Vec<u8>, path: &mut Vec<u8>) {
        match (link.kind, link.place) {
            (LinkKind::Image, Place::Foot) => {
                out.extend_from_slice(b"<noscript><img width=1 src=\"");
                self.reference(link, out, path);
                out.extend_from_slice(b"\" alt=\"\"></noscript>\n");
            }
            (LinkKind::Image, _) => self.picture(link, out, path),
            _ => self.anchor(link, out, path),
        }
    }

    fn picture(&mut self, link: &Link, out: &mut Vec<u8>, path: &mut Vec<u8>) {
        if link.form >> 28 == 0 {
            out.extend_from_slice(b"<img alt=\"\" srcset=\"");
            self.reference(link, out, path);
            out.extend_from_slice(b" 2x\">\n");
            return;
        }
        out.extend_from_slice(b"<figure><img src=\"");
        self.reference(link, out, path);
        out.extend_from_slice(b"\" width=\"8\" height=\"8\" alt=\"");
        self.words(1, out);
        out.extend_from_slice(b"\"></figure>\n");
    }

    fn anchor(&mut self, link: &Link, out: &mut Vec<u8>, path: &mut Vec<u8>) {
        let form = link.form >> 24;
        let (before, after): (&[u8], &[u8]) = match form {
            0..=7 => (b"<li><A HREF='", b"' >"),
            8..=15 => (b"<li><a\n  title=\"a > b\" href = \" ", b"\n\">"),
            16..=127 => (b"<li><a href=\"", b"\">"),
            _ => (b"<li><a class=\"reference internal\" href=\"", b"\">"),
        };
        out.extend_from_slice(before);
        self.reference(link, out, path);
        out.extend_from_slice(after);
        self.words(1 + (link.form >> 20) % 3, out);
        out.extend_from_slice(b"</a></li>\n");
    }

    /// The attribute's value.
    fn reference(&mut self, link: &Link, out: &mut Vec<u8>, path: &mut Vec<u8>) {
        path.clear();
        self.model.paths().write(link.host, link.target, path);
        let mut form = link.form & 15;
        if link.host != self.host {
            // Another host needs its name.
            form = if form < 12 { 10 } else { 12 };
        }
        match form {
            0..=6 => escaped(path, form, out),
            7..=9 => {
                for _ in 0..self.depth {
                    out.extend_from_slice(b"../");
                }
                if self.depth == 0 {
                    out.extend_from_slice(b"./");
                }
                escaped(&path[1..], form, out);
            }
            10 | 11 => self.absolute(b"http:", link.host, form, out, path),
            12 => self.absolute(b"", link.host, form, out, path),
            13 => {
                escaped(path, form, out);
                out.extend_from_slice(b"#s3");
            }
            14 => {
                out.extend_from_slice(b"&#x2f;");
                escaped(&path[1..], form, out);
            }
            _ => {
                // Dot segments go away when the reference is resolved (RFC 3986 5.2.4).
                out.extend_from_slice(b"/./x/..");
                escaped(path, form, out);
            }
        }
    }

    fn absolute(&self, scheme: &[u8], host: u32, form: u32, out: &mut Vec<u8>, path: &[u8]) {
        out.extend_from_slice(scheme);
        out.extend_from_slice(b"//");
        self.model.write_authority(host, out);
        escaped(path, form, out);
    }
}

/// Writes a canonical path as people do: `&` as a character reference (or bare, in some forms), letters beyond ASCII
/// as they are.
#[inline]
fn escaped(path: &[u8], form: u32, out: &mut Vec<u8>) {
    let mut rest = path;
    while let Some(at) = memchr::memchr2(b'&', b'%', rest) {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at..];
        if let (Some(after), true) = (rest.strip_prefix(b"%C3%A9"), form.is_multiple_of(2)) {
            out.extend_from_slice("\u{e9}".as_bytes());
            rest = after;
        } else {
            let bare = rest[0] != b'&' || form == 3;
            out.extend_from_slice(if bare { &rest[..1] } else { b"&amp;" });
            rest = &rest[1..];
        }
    }
    out.extend_from_slice(rest);
}
