//! WARC/1.1 records (ISO 28500:2017): headers written and read, and the HTTP head inside rewritten for storage.
//!
//! What must hold: no byte from outside ends a field or begins one. URLs are written with control characters, spaces,
//! non-ASCII, `<`, `>` and `"` percent-encoded and without angle brackets; all other values are made here. Lengths are
//! counted, never taken from a head. Deliberately absent: segmentation (`continuation`) and folded fields in what is
//! written; both are legal in what is read.

use crate::event::Span;
use crate::time::Wall;
use std::io::Write;
use std::time::{Duration, UNIX_EPOCH};
use xxhash_rust::xxh3::xxh3_128;

/// First line of a record.
pub const VERSION: &[u8] = b"WARC/1.1\r\n";
/// What ends a record.
pub const END: &[u8] = b"\r\n\r\n";
/// Content type of the block of a response or revisit.
pub const HTTP_RESPONSE: &str = "application/http;msgtype=response";
/// Profile of revisit records (WARC/1.1 6.7.2).
pub const IDENTICAL_PAYLOAD: &str =
    "http://netpreserve.org/warc/1.1/revisit/identical-payload-digest";
/// What is put before fields that described the transfer and not what is stored, as Common Crawl does.
pub const REWRITTEN: &[u8] = b"X-Crawler-";
/// 9999-12-31T23:59:59Z in milliseconds; later instants have no WARC-Date.
const WALL_MAX: Wall = 253_402_300_799_000;

/// Writes the header of one record behind what is in a buffer.
pub struct Fields<'b> {
    out: &'b mut Vec<u8>,
}

impl<'b> Fields<'b> {
    /// Begins a record of type `kind`.
    pub fn begin(out: &'b mut Vec<u8>, kind: &str, id: [u8; 16], date: Wall) -> Self {
        out.extend_from_slice(VERSION);
        let mut fields = Self { out };
        fields.text("WARC-Type", kind);
        fields.name("WARC-Record-ID");
        fields.out.extend_from_slice(b"<urn:uuid:");
        for (i, byte) in id.iter().enumerate() {
            if matches!(i, 4 | 6 | 8 | 10) {
                fields.out.push(b'-');
            }
            fields.out.push(b"0123456789abcdef"[usize::from(byte >> 4)]);
            fields.out.push(b"0123456789abcdef"[usize::from(byte & 15)]);
        }
        fields.out.extend_from_slice(b">\r\n");
        fields.date("WARC-Date", date);
        fields
    }

    fn name(&mut self, name: &str) {
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b": ");
    }

    /// A field with a value of our own making. Control characters become spaces.
    pub fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        let clean = |b: u8| if b < 32 || b == 127 { b' ' } else { b };
        self.out.extend(value.bytes().map(clean));
        self.out.extend_from_slice(b"\r\n");
    }

    /// A field with a URL from outside, escaped.
    pub fn url(&mut self, name: &str, url: &[u8]) {
        self.name(name);
        escape(url, self.out);
        self.out.extend_from_slice(b"\r\n");
    }

    /// A field with an instant, whole seconds, UTC.
    pub fn date(&mut self, name: &str, wall: Wall) {
        self.name(name);
        let at = UNIX_EPOCH + Duration::from_millis(wall.min(WALL_MAX));
        // Writing to memory cannot fail, nor can the formatter before the year 10,000.
        let _ = write!(self.out, "{}\r\n", humantime::format_rfc3339_seconds(at));
    }

    /// A field with a number or an address.
    pub fn display(&mut self, name: &str, value: impl std::fmt::Display) {
        self.name(name);
        let _ = write!(self.out, "{value}\r\n");
    }

    /// A SHA-1 in Base32, as archives label it.
    pub fn sha1(&mut self, name: &str, digest: &[u8; 20]) {
        self.name(name);
        self.out.extend_from_slice(b"sha1:");
        let at = self.out.len();
        self.out.resize(at + 32, 0);
        data_encoding::BASE32.encode_mut(digest, &mut self.out[at..]);
        self.out.extend_from_slice(b"\r\n");
    }

    /// Ends the header: the block of `len` bytes follows.
    pub fn end(mut self, content_type: &str, len: usize) {
        self.text("Content-Type", content_type);
        self.display("Content-Length", len);
        self.out.extend_from_slice(b"\r\n");
    }
}

/// Appends `url` with every byte percent-encoded that RFC 3986 nowhere allows and that could end a field or a token.
pub fn escape(url: &[u8], out: &mut Vec<u8>) {
    for &b in url {
        if b <= b' ' || b >= 127 || matches!(b, b'<' | b'>' | b'"') {
            out.push(b'%');
            out.push(b"0123456789ABCDEF"[usize::from(b >> 4)]);
            out.push(b"0123456789ABCDEF"[usize::from(b & 15)]);
        } else {
            out.push(b);
        }
    }
}

/// A record's UUID: a hash of what tells it from all others, with the bits of version 8 ("custom", RFC 9562 5.8).
pub fn record_id(parts: &[u8]) -> [u8; 16] {
    let mut id = xxh3_128(parts).to_be_bytes();
    id[6] = id[6] & 0x0f | 0x80;
    id[8] = id[8] & 0x3f | 0x80;
    id
}

/// Appends the HTTP `head` of a response that came chunked as it is stored without the chunks: `Transfer-Encoding` and
/// `Content-Length` get the prefix [`REWRITTEN`], and a `Content-Length` of the stored body is added as the last field.
/// A head without `Transfer-Encoding` (already rewritten) is copied. `spans` are offsets into `head` and are moved to
/// where their bytes are in what was appended.
pub fn rewrite_chunked(head: &[u8], body_len: usize, spans: &mut [&mut Span], out: &mut Vec<u8>) {
    let start = out.len();
    if !lines(head).any(|(_, line)| is_field(line, b"transfer-encoding")) {
        out.extend_from_slice(head);
        return;
    }
    let mut added = false;
    spans.sort_unstable_by_key(|span| span.at);
    let mut next = 0;
    for (at, line) in lines(head) {
        if matches!(line, b"\r\n" | b"\n") && !added {
            added = true;
            let _ = write!(out, "Content-Length: {body_len}\r\n");
        }
        if is_field(line, b"transfer-encoding") || is_field(line, b"content-length") {
            out.extend_from_slice(REWRITTEN);
        }
        let shift = (out.len() - start - at) as u32;
        while next < spans.len() && (spans[next].at as usize) < at + line.len() {
            spans[next].at += shift;
            next += 1;
        }
        out.extend_from_slice(line);
    }
}

/// Lines of a head with their offsets and terminators.
fn lines(head: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut at = 0;
    head.split_inclusive(|b| *b == b'\n').map(move |line| {
        let start = at;
        at += line.len();
        (start, line)
    })
}

/// Whether `line` is the field `name` (lower case).
fn is_field(line: &[u8], name: &[u8]) -> bool {
    line.get(..name.len())
        .is_some_and(|n| n.eq_ignore_ascii_case(name))
        && line[name.len()..].trim_ascii_start().first() == Some(&b':')
}

/// Value of the field `name` (lower case) in a head or a record header, without white space around it; the first of
/// several. Lines that continue it (folding) belong to it, line ends included.
pub fn field<'a>(head: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    fields(head, name).next()
}

/// Values of all fields `name` (lower case), in order.
pub fn fields<'a>(head: &'a [u8], name: &[u8]) -> impl Iterator<Item = &'a [u8]> {
    lines(head).skip(1).filter_map(move |(at, line)| {
        if !is_field(line, name) {
            return None;
        }
        let folded = |(_, l): &(usize, &[u8])| matches!(l.first(), Some(b' ' | b'\t'));
        let rest = &head[at + line.len()..];
        let more: usize = lines(rest).take_while(folded).map(|(_, l)| l.len()).sum();
        let value = &head[at..at + line.len() + more];
        let colon = memchr::memchr(b':', value)?;
        Some(value[colon + 1..].trim_ascii())
    })
}

/// A record taken apart.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Version line, fields and the empty line.
    pub header: &'a [u8],
    /// What Content-Length counts.
    pub block: &'a [u8],
}

impl<'a> Record<'a> {
    /// Takes apart the one record that `plain` holds. The error names what is wrong.
    pub fn read(plain: &'a [u8]) -> Result<Self, &'static str> {
        if !plain.starts_with(VERSION) {
            return Err("the record does not begin with WARC/1.1");
        }
        let end = memchr::memmem::find(plain, END).ok_or("the record's header does not end")?;
        let (header, rest) = plain.split_at(end + END.len());
        let len: usize = field(header, b"content-length")
            .and_then(|v| std::str::from_utf8(v).ok())
            .and_then(|v| v.parse().ok())
            .ok_or("the record has no Content-Length")?;
        let block = rest
            .get(..len)
            .ok_or("the record is shorter than its Content-Length")?;
        if &rest[len..] != END {
            return Err("the record does not end where its Content-Length says");
        }
        Ok(Self { header, block })
    }

    /// Value of a field of the record's header; `name` in lower case.
    pub fn field(&self, name: &[u8]) -> Option<&'a [u8]> {
        field(self.header, name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(url: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut fields = Fields::begin(&mut out, "response", record_id(b"x"), 1_000_999);
        fields.url("WARC-Target-URI", url);
        fields.sha1("WARC-Payload-Digest", &[0; 20]);
        fields.text("X", "a\r\nWARC-Type: evil\u{7f}");
        fields.end(HTTP_RESPONSE, 3);
        out
    }

    #[test]
    fn a_header_is_read_back() {
        let mut plain = header(b"http://a.test/x?y=1|2");
        plain.extend_from_slice(b"abc\r\n\r\n");
        let record = Record::read(&plain).expect("a record");
        assert_eq!(record.block, b"abc");
        assert_eq!(
            record.field(b"warc-date"),
            Some(&b"1970-01-01T00:16:40Z"[..])
        );
        assert_eq!(
            record.field(b"warc-target-uri"),
            Some(&b"http://a.test/x?y=1|2"[..])
        );
        assert_eq!(
            record.field(b"warc-payload-digest"),
            Some(&b"sha1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"[..])
        );
        let id = record.field(b"warc-record-id").expect("an id");
        assert_eq!(
            (id.len(), id[24], &id[..10]),
            (47, b'8', &b"<urn:uuid:"[..])
        );
        for cut in 0..plain.len() {
            assert!(Record::read(&plain[..cut]).is_err());
        }
    }

    #[test]
    fn nothing_from_outside_makes_a_field() {
        let evil = "http://a.test/\r\nWARC-Type: warcinfo\n \u{85}\u{2028}<>\"\0\u{7f}";
        let out = header(evil.as_bytes());
        let text = String::from_utf8(out).expect("ASCII");
        assert_eq!(text.matches("\r\n").count(), 10);
        assert_eq!(text.matches('\n').count(), 10);
        assert!(
            text.contains("%0D%0AWARC-Type:%20warcinfo%0A%20%C2%85%E2%80%A8%3C%3E%22%00%7F\r\n")
        );
        assert!(text.contains("\r\nX: a  WARC-Type: evil \r\n"));
    }

    #[test]
    fn dates_beyond_the_calendar_do_not_fail() {
        let mut out = Vec::new();
        Fields::begin(&mut out, "response", [0; 16], Wall::MAX).end("a/b", 0);
        assert_eq!(
            field(&out, b"warc-date"),
            Some(&b"9999-12-31T23:59:59Z"[..])
        );
    }

    #[test]
    fn a_chunked_head_is_rewritten_and_spans_follow() {
        let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\ntransfer-encoding : chunked\r\n\
            Content-Length: 7\r\nLocation: /x\r\nTransfer-Encodings: no\r\n\r\n";
        let find = |hay: &[u8], needle: &[u8]| Span {
            at: memchr::memmem::find(hay, needle).expect("there") as u32,
            len: needle.len() as u32,
        };
        let (mut kind, mut location) = (find(head, b"text/html"), find(head, b"/x"));
        let mut out = b"before".to_vec();
        rewrite_chunked(head, 42, &mut [&mut location, &mut kind], &mut out);
        let new = &out[6..];
        assert_eq!(
            new,
            b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nX-Crawler-transfer-encoding : chunked\r\n\
            X-Crawler-Content-Length: 7\r\nLocation: /x\r\nTransfer-Encodings: no\r\nContent-Length: 42\r\n\r\n"
        );
        assert_eq!(kind.of(new), b"text/html");
        assert_eq!(location.of(new), b"/x");
        let mut again = Vec::new();
        rewrite_chunked(new, 42, &mut [], &mut again);
        assert_eq!(again, new, "rewriting twice changes nothing");
    }

    #[test]
    fn fields_fold_and_repeat() {
        let head = b"HTTP/1.1 200 OK\r\nA: 1\r\nB: x\r\n y\r\n\tz\r\na:2\r\n\r\n";
        assert_eq!(field(head, b"b"), Some(&b"x\r\n y\r\n\tz"[..]));
        assert_eq!(fields(head, b"a").collect::<Vec<_>>(), [b"1", b"2"]);
        assert_eq!(field(head, b"c"), None);
    }
}
