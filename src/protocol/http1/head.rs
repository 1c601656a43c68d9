//! A complete response head: how its body is framed (RFC 9112 6.3), whether the connection lives on, and the facts.

use super::fields;
use super::response::Terms;
use crate::event::{Facts, Outcome, Span};
use crate::limits::HEAD_FIELDS_MAX;
use std::mem::MaybeUninit;

/// How the end of a body is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// There is none (1xx, 204, 304).
    Empty,
    /// So many bytes.
    Length(u64),
    /// Chunked transfer coding.
    Chunked,
    /// All until the connection ends.
    UntilClose,
}

/// What a head says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub facts: Facts,
    pub framing: Framing,
    /// The connection may carry another request once the body is through.
    pub keep_alive: bool,
}

/// What is gathered while walking the fields.
#[derive(Default)]
struct Seen {
    facts: Facts,
    codings: usize,
    length: Option<u64>,
    transfer: Transfer,
    /// There was an X-Content-Type-Options.
    options: bool,
    close: bool,
    keep_alive: bool,
}

/// Transfer-Encoding over all its lines.
#[derive(Default)]
struct Transfer {
    present: bool,
    /// How often `chunked` occurs.
    chunked: u32,
    /// The last coding is `chunked`.
    last: bool,
    /// Another coding occurs.
    other: bool,
}

impl Transfer {
    fn add(&mut self, value: &[u8]) {
        for coding in fields::list(value) {
            if coding.eq_ignore_ascii_case(b"identity") {
                self.last = false;
                continue;
            }
            self.present = true;
            self.last = coding.eq_ignore_ascii_case(b"chunked");
            self.chunked += u32::from(self.last);
            self.other |= !self.last;
        }
    }
}

/// Reads a head that ends with its empty line and starts at `head_at` of the page's buffer.
///
/// # Errors
/// [`Outcome::BadResponse`], or [`Outcome::HeadTooLarge`] where there are more fields than [`HEAD_FIELDS_MAX`].
pub(super) fn parse(head: &[u8], head_at: u32, terms: &Terms<'_>) -> Result<Head, Outcome> {
    if memchr::memchr(0, head).is_some() {
        return Err(Outcome::BadResponse);
    }
    // Once as it should be; only then as browsers take it, so that a sloppy head is known for one.
    tokenise(head, head_at, terms, false).or_else(|_| {
        let mut head = tokenise(head, head_at, terms, true)?;
        head.keep_alive = false;
        Ok(head)
    })
}

fn tokenise(head: &[u8], head_at: u32, terms: &Terms<'_>, lenient: bool) -> Result<Head, Outcome> {
    let mut room = [const { MaybeUninit::uninit() }; HEAD_FIELDS_MAX];
    let mut response = httparse::Response::new(&mut []);
    let parsed = httparse::ParserConfig::default()
        .allow_multiple_spaces_in_response_status_delimiters(true)
        .allow_spaces_after_header_name_in_responses(lenient)
        .allow_obsolete_multiline_headers_in_responses(lenient)
        .ignore_invalid_headers_in_responses(lenient)
        .parse_response_with_uninit_headers(&mut response, head, &mut room);
    match parsed {
        Ok(httparse::Status::Complete(n)) if n == head.len() => {}
        Err(httparse::Error::TooManyHeaders) => return Err(Outcome::HeadTooLarge),
        _ => return Err(Outcome::BadResponse),
    }
    let (Some(version), Some(status)) = (response.version, response.code) else {
        return Err(Outcome::BadResponse);
    };
    if status < 100 || status == 101 {
        return Err(Outcome::BadResponse);
    }
    let mut seen = Seen::default();
    seen.facts.status = status;
    for field in response.headers.iter() {
        let name = field.name.as_bytes();
        if matches!(name.len(), 14 | 17) && !is_exact(head, name, field.value) {
            return Err(Outcome::BadResponse);
        }
        seen.field(name, field.value, (head, head_at), terms)?;
    }
    seen.conclude(version)
}

/// Whether a framing field is written without space before its colon and without folding; fields with other names may
/// have both.
fn is_exact(head: &[u8], name: &[u8], value: &[u8]) -> bool {
    if !name.eq_ignore_ascii_case(b"content-length")
        && !name.eq_ignore_ascii_case(b"transfer-encoding")
    {
        return true;
    }
    let behind_name = offset(head, name) + name.len();
    let value_at = offset(head, value);
    // An empty value may point anywhere behind the colon; it is no number and no coding anyway.
    let between = head.get(behind_name + 1..value_at).unwrap_or_default();
    head.get(behind_name) == Some(&b':')
        && !between.contains(&b'\n')
        && memchr::memchr(b'\n', value).is_none()
}

/// Where `part`, a piece of `whole`, starts in it.
fn offset(whole: &[u8], part: &[u8]) -> usize {
    (part.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize)
}

impl Seen {
    fn field(
        &mut self,
        name: &[u8],
        value: &[u8],
        (head, head_at): (&[u8], u32),
        terms: &Terms<'_>,
    ) -> Result<(), Outcome> {
        let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
        let span = || Span {
            at: head_at + offset(head, value) as u32,
            len: value.len() as u32,
        };
        match name.len() {
            8 if is(b"location") && self.facts.location.len == 0 => {
                self.facts.location = span();
            }
            10 if is(b"connection") => {
                for token in fields::list(value) {
                    self.close |= token.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= token.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            11 if is(b"retry-after") => {
                self.facts.retry_after_s = fields::retry_after_s(value, terms.wall);
            }
            // The last one counts, as in the Fetch Standard ("extract a MIME type").
            12 if is(b"content-type") => self.facts.content_type = span(),
            12 if is(b"x-robots-tag") => {
                self.facts.nofollow |= fields::robots_tag_nofollow(value, terms.product);
            }
            14 if is(b"content-length") => {
                let length = fields::content_length(value).ok_or(Outcome::BadResponse)?;
                if self.length.is_some_and(|l| l != length) {
                    return Err(Outcome::BadResponse);
                }
                self.length = Some(length);
            }
            16 if is(b"content-encoding") => {
                self.codings = fields::content_codings(value, self.codings, &mut self.facts);
            }
            17 if is(b"transfer-encoding") => self.transfer.add(value),
            22 if is(b"x-content-type-options") && !self.options => {
                self.options = true;
                self.facts.nosniff = fields::is_nosniff(value);
            }
            _ => {}
        }
        Ok(())
    }

    /// RFC 9112 6.3 (message body length) and 9.3 (persistence).
    fn conclude(mut self, minor_version: u8) -> Result<Head, Outcome> {
        let mut keep_alive = !self.close && (minor_version >= 1 || self.keep_alive);
        if self.transfer.chunked > 1 {
            return Err(Outcome::BadResponse);
        }
        let status = self.facts.status;
        let framing = if status < 200 || status == 204 || status == 304 {
            Framing::Empty
        } else if self.transfer.present {
            // Length and coding together, or a coding in HTTP/1.0, is how responses are smuggled.
            keep_alive &= self.length.is_none() && minor_version >= 1;
            self.facts.coding_unknown |= self.transfer.other || !self.transfer.last;
            if self.transfer.last {
                self.facts.chunked = true;
                Framing::Chunked
            } else {
                Framing::UntilClose
            }
        } else {
            self.length.map_or(Framing::UntilClose, Framing::Length)
        };
        keep_alive &= framing != Framing::UntilClose;
        Ok(Head {
            facts: self.facts,
            framing,
            keep_alive,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: Terms<'static> = Terms {
        body_max: 1_000,
        product: b"cyclosa",
        wall: 0,
    };

    fn of(fields: &str) -> Result<Head, Outcome> {
        let head = format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
        parse(head.as_bytes(), 0, &TERMS)
    }

    fn framing(fields: &str) -> Result<(Framing, bool), Outcome> {
        of(fields).map(|h| (h.framing, h.keep_alive))
    }

    #[test]
    fn the_length_is_one_or_none() {
        assert_eq!(
            framing("Content-Length: 5\r\ncontent-length: 05\r\n"),
            Ok((Framing::Length(5), true))
        );
        assert_eq!(framing(""), Ok((Framing::UntilClose, false)));
        for bad in ["+5", "-1", "0x5", "", "5, 6", "18446744073709551616"] {
            let got = framing(&format!("Content-Length: {bad}\r\n"));
            assert_eq!(got, Err(Outcome::BadResponse), "{bad:?}");
        }
        let differing = framing("Content-Length: 5\r\nContent-Length: 6\r\n");
        assert_eq!(differing, Err(Outcome::BadResponse));
    }

    #[test]
    fn chunked_wins_and_ends_the_connection() {
        let te = "Transfer-Encoding: Chunked\r\n";
        assert_eq!(framing(te), Ok((Framing::Chunked, true)));
        let both = format!("Content-Length: 5\r\n{te}");
        assert_eq!(framing(&both), Ok((Framing::Chunked, false)));
        assert_eq!(framing(&format!("{te}{te}")), Err(Outcome::BadResponse));
        let old = parse(
            format!("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n{te}\r\n").as_bytes(),
            0,
            &TERMS,
        );
        assert!(old.is_ok_and(|h| h.framing == Framing::Chunked && !h.keep_alive));
    }

    #[test]
    fn other_transfer_codings_run_to_the_end() {
        let last = of("Transfer-Encoding: chunked, deflate\r\n").unwrap();
        assert!(last.framing == Framing::UntilClose && last.facts.coding_unknown);
        let first = of("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n").unwrap();
        assert!(first.framing == Framing::Chunked && first.facts.coding_unknown);
        let undone = of("Transfer-Encoding: chunked, identity\r\n").unwrap();
        assert!(undone.framing == Framing::UntilClose && undone.facts.coding_unknown);
        assert_eq!(
            framing("Transfer-Encoding: identity\r\nContent-Length: 3\r\n"),
            Ok((Framing::Length(3), true))
        );
    }

    #[test]
    fn persistence_follows_the_version() {
        let old = |fields: &str| {
            let head = format!("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n{fields}\r\n");
            parse(head.as_bytes(), 0, &TERMS).unwrap().keep_alive
        };
        assert!(!old(""));
        assert!(old("Connection: Keep-Alive\r\n"));
        assert!(!old("Connection: keep-alive, close\r\n"));
        assert_eq!(
            framing("Content-Length: 1\r\nConnection: x, Close\r\n"),
            Ok((Framing::Length(1), false))
        );
    }

    #[test]
    fn sloppy_fields_are_taken_but_not_trusted() {
        for sloppy in [
            "X-Powered by: us\r\n",
            "no colon here\r\n",
            "Server : x\r\n",
            "X-Long: a\r\n b\r\n",
        ] {
            let got = framing(&format!("{sloppy}Content-Length: 2\r\n"));
            assert_eq!(got, Ok((Framing::Length(2), false)), "{sloppy:?}");
        }
        for bad in [
            "Content-Length : 2\r\n",
            "Content-Length: 2\r\n 3\r\n",
            "Content-Length:\r\n 3\r\n",
            "Transfer-Encoding:\r\n chunked\r\n",
            "Transfer-Encoding\t: chunked\r\n",
            "A: b\rC: d\r\n",
            "A: b\0\r\n",
        ] {
            assert_eq!(framing(bad), Err(Outcome::BadResponse), "{bad:?}");
        }
    }

    #[test]
    fn facts_point_into_the_buffer() {
        let head = b"....HTTP/1.1 301 Moved\nContent-Type:  text/html \nLocation: /a\nLocation: /b\nRetry-After: 7\n\n";
        let got = parse(&head[4..], 4, &TERMS).unwrap();
        assert_eq!(got.facts.status, 301);
        assert_eq!(got.facts.content_type.of(head), b"text/html");
        assert_eq!(got.facts.location.of(head), b"/a");
        assert_eq!(got.facts.retry_after_s, 7);
    }

    #[test]
    fn too_many_fields_are_too_large() {
        let many = "A: b\r\n".repeat(HEAD_FIELDS_MAX + 1);
        assert_eq!(of(&many).err(), Some(Outcome::HeadTooLarge));
        let full = "A: b\r\n".repeat(HEAD_FIELDS_MAX);
        assert!(of(&full).is_ok());
    }

    #[test]
    fn only_http_1_is_read() {
        for bad in [
            "HTTP/2.0 200 OK\r\n\r\n",
            "HTTP/1.1 20 OK\r\n\r\n",
            "HTTP/1.1 099 OK\r\n\r\n",
            "HTTP/1.1 101 Switching Protocols\r\n\r\n",
            "HTTP/1.1\t200 OK\r\n\r\n",
        ] {
            let got = parse(bad.as_bytes(), 0, &TERMS).err();
            assert_eq!(got, Some(Outcome::BadResponse), "{bad:?}");
        }
    }
}
