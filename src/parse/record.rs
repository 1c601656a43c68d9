//! A page as it is archived: one WARC/1.1 response record in one zstd frame.
//!
//! What must hold:
//! * The block is what came over the wire, without the transfer coding: content codings are kept. A chunked response's
//!   head is rewritten as Common Crawl does ([`crate::protocol::warc::rewrite_chunked`]), so that readers that know
//!   nothing of it read the right body.
//! * The payload digest is the SHA-1 of the body as received, without transfer coding.
//! * What is compressed already is framed in raw blocks: no second compression.
//!
//! The record is made contiguous in the page's own buffer, whose first [`HEADROOM_BYTES`] are free for it; where they
//! do not suffice it is put together elsewhere. Deliberately absent: request records and block digests.
//!
//! [`HEADROOM_BYTES`]: crate::limits::HEADROOM_BYTES

use crate::event::{Coding, Job, Page, Span};
use crate::limits::RECORD_SCRATCH_BYTES_MAX;
use crate::protocol::warc::{END, Fields, HTTP_RESPONSE, record_id, rewrite_chunked};
use crate::protocol::zframe::{self, Framer};
use sha1::{Digest, Sha1};
use std::io;

pub use crate::protocol::zframe::Level;

/// Longest media type that is kept, bytes.
pub const MIME_BYTES_MAX: usize = 64;

/// Makes records; one per parser.
pub struct RecordWriter {
    crawl: [u8; 16],
    framer: Framer,
    header: Vec<u8>,
    head: Vec<u8>,
    whole: Vec<u8>,
}

impl RecordWriter {
    /// A writer for the crawl with this id; fails only where memory is short.
    pub fn new(crawl: [u8; 16]) -> io::Result<Self> {
        Ok(Self {
            crawl,
            framer: Framer::new()?,
            header: Vec::new(),
            head: Vec::new(),
            whole: Vec::new(),
        })
    }

    /// Fills `digest`, `mime`, `record` and `record_plain_len` of a page that has a response. What lies in `buf` before
    /// the body changes; the spans of its facts are moved along.
    pub fn response(&mut self, page: &mut Page, level: Level) {
        page.digest = Sha1::digest(page.body()).into();
        media_type(page.facts.content_type.of(&page.buf), &mut page.mime);
        let moved = self.stored_head(page);
        self.response_header(page);
        let before = self.header.len() + self.head.len();
        let body = page.body_at as usize;
        page.record_plain_len = (before + page.body_len() + END.len()) as u64;
        let packed = page.facts.coding_unknown
            || page.facts.codings.iter().any(|c| *c != Coding::Identity)
            || is_packed(&page.mime);
        let framer = &mut self.framer;
        let mut frame = |plain: &[u8], record: &mut Vec<u8>| {
            if packed && plain.len() <= zframe::RAW_CONTENT_MAX {
                record.clear();
                zframe::raw(plain, record);
            } else {
                framer.frame(plain, level, record);
            }
        };
        if before > body {
            self.whole.clear();
            self.whole.extend_from_slice(&self.header);
            self.whole.extend_from_slice(&self.head);
            self.whole.extend_from_slice(page.body());
            self.whole.extend_from_slice(END);
            frame(&self.whole, &mut page.record);
            if self.whole.capacity() > RECORD_SCRATCH_BYTES_MAX {
                self.whole = Vec::new();
            }
            return;
        }
        let head_at = body - self.head.len();
        page.buf[body - before..head_at].copy_from_slice(&self.header);
        if let Some((content_type, location)) = moved {
            page.buf[head_at..body].copy_from_slice(&self.head);
            page.head_at = head_at as u32;
            page.facts.content_type = from(content_type, head_at);
            page.facts.location = from(location, head_at);
        }
        in_place(page, body - before, frame);
    }

    /// Puts the head as it is stored into `self.head`; where it was rewritten, the spans relative to it.
    fn stored_head(&mut self, page: &Page) -> Option<(Span, Span)> {
        self.head.clear();
        if !page.facts.chunked {
            self.head.extend_from_slice(page.head());
            return None;
        }
        let mut content_type = to(page.facts.content_type, page.head_at);
        let mut location = to(page.facts.location, page.head_at);
        rewrite_chunked(
            page.head(),
            page.body_len(),
            &mut [&mut content_type, &mut location],
            &mut self.head,
        );
        Some((content_type, location))
    }

    /// Puts the WARC header into `self.header`.
    fn response_header(&mut self, page: &Page) {
        self.header.clear();
        let id = page_record_id(&self.crawl, page);
        let mut fields = Fields::begin(&mut self.header, "response", id, page.fetched_at);
        page_fields(&mut fields, page);
        if let Some(reason) = page.outcome.truncated() {
            fields.text("WARC-Truncated", reason);
        }
        fields.end(HTTP_RESPONSE, self.head.len() + page.body_len());
    }
}

/// Fields that a response and its revisit have in common.
pub fn page_fields(fields: &mut Fields<'_>, page: &Page) {
    fields.url("WARC-Target-URI", &page.url);
    // A proxy that looks names up does not say where they led.
    if let Some(address) = page.address.filter(|a| !a.ip().is_unspecified()) {
        fields.display("WARC-IP-Address", address.ip());
    }
    fields.sha1("WARC-Payload-Digest", &page.digest);
}

/// Record id of a page: a hash of the crawl and the fetch, so that the same commits make the same bytes.
pub fn page_record_id(crawl: &[u8; 16], page: &Page) -> [u8; 16] {
    let mut parts = [0; 34];
    parts[..16].copy_from_slice(crawl);
    parts[16..24].copy_from_slice(&page.fingerprint.to_le_bytes());
    parts[24..32].copy_from_slice(&page.fetched_at.to_le_bytes());
    parts[32] = page.tries;
    parts[33] = u8::from(page.job == Job::Robots);
    record_id(&parts)
}

/// Frames what lies in the page's buffer from `at` to the body's end, with [`END`] put behind it for the while.
fn in_place(page: &mut Page, at: usize, frame: impl FnOnce(&[u8], &mut Vec<u8>)) {
    let (len, body_end) = (page.buf.len(), page.body_end as usize);
    let end = body_end + END.len();
    if len < end {
        page.buf.resize(end, 0);
    }
    let mut behind = [0; END.len()];
    behind.copy_from_slice(&page.buf[body_end..end]);
    page.buf[body_end..end].copy_from_slice(END);
    frame(&page.buf[at..end], &mut page.record);
    page.buf[body_end..end].copy_from_slice(&behind);
    page.buf.truncate(len);
}

/// A span of the buffer as a span of the head that begins at `head_at`; absent ones stay absent.
fn to(span: Span, head_at: u32) -> Span {
    Span {
        at: span.at.saturating_sub(head_at),
        len: span.len,
    }
}

/// The way back.
fn from(span: Span, head_at: usize) -> Span {
    Span {
        at: if span.len == 0 {
            0
        } else {
            span.at + head_at as u32
        },
        len: span.len,
    }
}

/// Replaces `out` by the media type of a Content-Type value: lower case, without parameters. Empty where the value is
/// none (RFC 9110 8.3.1) or longer than [`MIME_BYTES_MAX`].
pub fn media_type(value: &[u8], out: &mut Vec<u8>) {
    out.clear();
    let end = memchr::memchr2(b';', b',', value).unwrap_or(value.len());
    let essence = value[..end].trim_ascii();
    let token = |b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b);
    let mut halves = essence.splitn(2, |b| *b == b'/');
    let valid = essence.len() <= MIME_BYTES_MAX
        && halves
            .next()
            .is_some_and(|h| !h.is_empty() && h.iter().all(token))
        && halves
            .next()
            .is_some_and(|h| !h.is_empty() && h.iter().all(token));
    if valid {
        out.extend(essence.iter().map(u8::to_ascii_lowercase));
    }
}

/// Whether bodies of this media type are compressed by their format.
pub fn is_packed(mime: &[u8]) -> bool {
    let starts = |p: &[u8]| mime.starts_with(p);
    match mime {
        b"image/svg+xml" | b"image/bmp" | b"image/x-ms-bmp" => false,
        b"application/zip"
        | b"application/gzip"
        | b"application/x-gzip"
        | b"application/zstd"
        | b"application/x-bzip2"
        | b"application/x-xz"
        | b"application/x-7z-compressed"
        | b"application/x-rar-compressed"
        | b"application/vnd.rar"
        | b"application/java-archive"
        | b"application/epub+zip"
        | b"application/x-zip-compressed"
        | b"application/ogg"
        | b"application/font-woff" => true,
        _ => {
            starts(b"image/")
                || starts(b"video/")
                || starts(b"audio/")
                || starts(b"font/woff")
                || starts(b"application/vnd.openxmlformats-")
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::event::Outcome;
    use crate::limits::HEADROOM_BYTES;
    use crate::protocol::warc::Record;
    use crate::protocol::zframe::Header;

    /// A page as the fetcher leaves it, with `room` free bytes before the head.
    pub(crate) fn page(url: &str, head: &[u8], body: &[u8], room: usize) -> Box<Page> {
        let mut page = Box::new(Page {
            url: url.as_bytes().to_vec(),
            fingerprint: xxhash_rust::xxh3::xxh3_64(url.as_bytes()),
            outcome: Outcome::Fetched,
            fetched_at: 1_700_000_000_000,
            address: Some(([127, 0, 0, 1], 80).into()),
            ..Page::default()
        });
        page.buf = vec![b'#'; room];
        page.buf.extend_from_slice(head);
        page.buf.extend_from_slice(body);
        page.buf.extend_from_slice(b"leftover");
        page.head_at = room as u32;
        page.body_at = (room + head.len()) as u32;
        page.body_end = page.body_at + body.len() as u32;
        page.facts.status = 200;
        let span = |needle: &[u8]| {
            let at = memchr::memmem::find(head, needle)? + needle.len();
            let len = memchr::memchr(b'\r', &head[at..])?;
            Some(Span {
                at: (room + at) as u32,
                len: len as u32,
            })
        };
        page.facts.content_type = span(b"Content-Type: ").unwrap_or_default();
        page.facts.location = span(b"Location: ").unwrap_or_default();
        page.facts.chunked = memchr::memmem::find(head, b"chunked").is_some();
        if memchr::memmem::find(head, b"Content-Encoding: gzip").is_some() {
            page.facts.codings[0] = Coding::Gzip;
        }
        page
    }

    fn plain(page: &Page) -> Vec<u8> {
        let header = Header::read(&page.record).expect("a frame");
        assert_eq!(header.defect(), None);
        assert_eq!(header.content, Some(page.record_plain_len));
        zstd::bulk::decompress(&page.record, page.record_plain_len as usize).expect("a frame")
    }

    const HTML: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: Text/HTML; charset=utf-8\r\n\r\n";
    const CHUNKED: &[u8] = b"HTTP/1.1 301 Moved\r\nTransfer-Encoding: chunked\r\nLocation: /there\r\nContent-Type: text/html\r\n\r\n";

    #[test]
    fn a_page_becomes_a_record() {
        let mut writer = RecordWriter::new([1; 16]).expect("memory");
        let body = b"<p>WARC/1.1\r\nWARC-Type: warcinfo\r\n\r\n</p>".repeat(100);
        let mut page = page("http://a.test/x", HTML, &body, HEADROOM_BYTES);
        page.outcome = Outcome::CutTime;
        let before = page.buf.len();
        writer.response(&mut page, Level::Normal);
        let plain = plain(&page);
        let record = Record::read(&plain).expect("a record");
        assert_eq!(record.block, [HTML, &body].concat());
        assert_eq!(
            record.field(b"warc-target-uri"),
            Some(&b"http://a.test/x"[..])
        );
        assert_eq!(record.field(b"warc-ip-address"), Some(&b"127.0.0.1"[..]));
        assert_eq!(record.field(b"warc-truncated"), Some(&b"time"[..]));
        assert_eq!(page.mime, b"text/html");
        assert_eq!(page.body(), body);
        assert_eq!(page.buf.len(), before);
        assert!(page.buf.ends_with(b"leftover"));
        assert!(page.record.len() < body.len() / 4);
    }

    #[test]
    fn a_chunked_head_is_rewritten_with_and_without_room() {
        let mut writer = RecordWriter::new([1; 16]).expect("memory");
        let mut records = Vec::new();
        for room in [HEADROOM_BYTES, 200, 0] {
            let mut page = page("http://a.test/x", CHUNKED, b"gone", room);
            writer.response(&mut page, Level::Normal);
            let plain = plain(&page);
            let record = Record::read(&plain).expect("a record");
            let head = memchr::memmem::find(
                record.block,
                b"\r\nX-Crawler-Transfer-Encoding: chunked\r\n",
            );
            assert!(head.is_some(), "{room}");
            assert!(record.block.ends_with(b"\r\nContent-Length: 4\r\n\r\ngone"));
            assert_eq!(page.facts.location.of(&page.buf), b"/there");
            assert_eq!(page.facts.content_type.of(&page.buf), b"text/html");
            assert_eq!(page.body(), b"gone");
            records.push(page.record);
        }
        assert!(
            records.windows(2).all(|w| w[0] == w[1]),
            "the bytes do not depend on the room"
        );
    }

    #[test]
    fn what_is_compressed_is_framed_raw() {
        let mut writer = RecordWriter::new([1; 16]).expect("memory");
        let body = [b'x'; 5_000];
        for head in [
            &b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Type: text/html\r\n\r\n"[..],
            b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n\r\n",
        ] {
            let mut page = page("http://a.test/x", head, &body, HEADROOM_BYTES);
            writer.response(&mut page, Level::Normal);
            assert!(page.record.len() > body.len());
            assert!(plain(&page).ends_with(b"xxxx\r\n\r\n"));
        }
        let svg = b"HTTP/1.1 200 OK\r\nContent-Type: image/svg+xml\r\n\r\n";
        let mut page = page("http://a.test/x", svg, &body, HEADROOM_BYTES);
        writer.response(&mut page, Level::Normal);
        assert!(page.record.len() < 1_000);
    }

    #[test]
    fn ids_differ_by_fetch_and_bytes_do_not_by_writer() {
        let make = |tries| {
            let mut page = page("http://a.test/x", HTML, b"body", HEADROOM_BYTES);
            page.tries = tries;
            let mut writer = RecordWriter::new([1; 16]).expect("memory");
            writer.response(&mut page, Level::Normal);
            page.record
        };
        assert_eq!(make(0), make(0));
        assert_ne!(make(0), make(1));
    }

    #[test]
    fn media_types_are_tokens() {
        let mut out = Vec::new();
        for (value, mime) in [
            (&b"Text/HTML;charset=x"[..], &b"text/html"[..]),
            (b" image/png ", b"image/png"),
            (b"text/html, text/plain", b"text/html"),
            (b"text", b""),
            (b"a/b/c", b""),
            (b"te\x1bxt/html", b""),
            (b"/html", b""),
            (b"", b""),
        ] {
            media_type(value, &mut out);
            assert_eq!(out, mime, "{value:?}");
        }
        media_type(&[b"a/".to_vec(), vec![b'b'; 63]].concat(), &mut out);
        assert!(out.is_empty());
    }
}
