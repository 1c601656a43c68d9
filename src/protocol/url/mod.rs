//! URLs: resolution against a base, and the one canonical form that everything else uses.
//!
//! What must hold:
//! * There is one parser for scope, politeness, names, dedup and records: no other module looks into a URL's syntax.
//! * The canonical form is the `href` of the WHATWG URL Standard, less fragment and userinfo (never stored, never sent),
//!   with the hex digits of percent-escapes in upper case. It is printable ASCII without spaces, and a fixed point:
//!   `canonical(canonical(x)) == canonical(x)`.
//! * The result is that of the `url` crate but for the departures that the tests list; they compare the two on hostile
//!   references, and with the standard's own cases.
//! * On the fast path nothing is allocated per link; all of it is linear in the length of the reference.
//!
//! Deliberately absent: schemes other than http and https ([`Rejected::Scheme`]), removal of "useless" query parameters
//! or index pages (another URL is another resource), decoding of escapes beyond what the standard does.
//!
//! `fast` has the hand-written pass, `fallback` what it leaves (odd hosts by the `url` crate), `fingerprint` the 64-bit identity of a URL.

mod fallback;
mod fast;
mod fingerprint;
#[cfg(test)]
mod oracle;

pub use fingerprint::Fingerprinter;

use crate::limits::{REFERENCE_BYTES_MAX, URL_BYTES_MAX};
use encoding_rs::Encoding;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// Why a reference gave no URL. One counter each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rejected {
    /// Not a URL: no scheme and no base, a bad port, or anything else the standard calls a failure.
    Syntax,
    /// A scheme other than http and https.
    Scheme,
    /// Longer than [`URL_BYTES_MAX`], or a reference longer than [`REFERENCE_BYTES_MAX`].
    TooLong,
    /// The host is empty, not a domain name, an impossible address, or too long.
    Host,
    /// Nothing but white space where an absolute URL is needed.
    Empty,
}

impl Rejected {
    /// All reasons, in the order reports show them.
    pub const ALL: [Rejected; 5] = [
        Self::Syntax,
        Self::Scheme,
        Self::TooLong,
        Self::Host,
        Self::Empty,
    ];

    /// Name of the counter in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Syntax => "url_syntax",
            Self::Scheme => "url_scheme",
            Self::TooLong => "url_too_long",
            Self::Host => "url_host",
            Self::Empty => "url_empty",
        }
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Syntax => "not a URL",
            Self::Scheme => "neither http nor https",
            Self::TooLong => "longer than the limit",
            Self::Host => "no valid host name or address",
            Self::Empty => "empty",
        })
    }
}

impl std::error::Error for Rejected {}

/// A base URL, measured once for the many references of one page. All buffers are kept from page to page.
#[derive(Clone, Debug)]
pub struct Base {
    /// The canonical base.
    text: Vec<u8>,
    /// Length of `scheme://authority` in `text`.
    path_at: usize,
    /// Length up to and with the last `/` of the path.
    directory_end: usize,
    /// Length up to the end of the path, before any query.
    path_end: usize,
    /// Encoding of queries in a page of a legacy encoding; `None` for UTF-8.
    encoding: Option<&'static Encoding>,
    /// Where the next base is built.
    scratch: Vec<u8>,
}

impl Base {
    /// A base from an absolute URL.
    ///
    /// # Errors
    /// Where `url` is no http or https URL within the limits.
    pub fn new(url: &[u8]) -> Result<Base, Rejected> {
        let mut base = Base {
            text: Vec::new(),
            path_at: 0,
            directory_end: 0,
            path_end: 0,
            encoding: None,
            scratch: Vec::new(),
        };
        base.set(url)?;
        Ok(base)
    }

    /// Takes another absolute URL as the base, in the same buffers, with UTF-8 queries.
    ///
    /// # Errors
    /// Where `url` is no http or https URL within the limits; the base is then as before.
    pub fn set(&mut self, url: &[u8]) -> Result<(), Rejected> {
        let mut next = std::mem::take(&mut self.scratch);
        next.clear();
        let result = resolve_in(None, url, &mut next);
        self.scratch = next;
        let path_at = result?;
        self.encoding = None;
        self.take_scratch(path_at);
        Ok(())
    }

    /// `<base href>`: the base becomes `reference` resolved against it. One that gives no http or https URL is ignored
    /// (HTML 4.2.3 does so for failures and `data:`; for other schemes this keeps links that a browser would lose).
    pub fn rejoin(&mut self, reference: &[u8]) {
        let mut next = std::mem::take(&mut self.scratch);
        next.clear();
        let result = resolve_in(Some(self), reference, &mut next);
        self.scratch = next;
        if let Ok(path_at) = result {
            self.take_scratch(path_at);
        }
    }

    /// Encoding in which non-ASCII characters of queries are escaped: that of the page (WHATWG URL 4.4 "query state").
    /// Paths are always UTF-8. `None`, UTF-8, UTF-16 and `replacement` all mean UTF-8.
    pub fn set_encoding(&mut self, encoding: Option<&'static Encoding>) {
        self.encoding = encoding
            .map(Encoding::output_encoding)
            .filter(|&e| e != encoding_rs::UTF_8);
    }

    /// The canonical base URL.
    pub fn as_bytes(&self) -> &[u8] {
        &self.text
    }

    /// Length of `scheme://authority` in [`Base::as_bytes`].
    pub fn path_at(&self) -> usize {
        self.path_at
    }

    fn take_scratch(&mut self, path_at: usize) {
        std::mem::swap(&mut self.text, &mut self.scratch);
        let path = &self.text[path_at..];
        let path_len = memchr::memchr(b'?', path).unwrap_or(path.len());
        let directory_len = memchr::memrchr(b'/', &path[..path_len]).map_or(0, |slash| slash + 1);
        self.path_at = path_at;
        self.path_end = path_at + path_len;
        self.directory_end = path_at + directory_len;
    }

    fn is_https(&self) -> bool {
        self.text.get(4) == Some(&b's')
    }
}

/// Resolves `reference` (the raw value of an attribute or header, UTF-8 with errors tolerated, character references
/// already decoded) against `base` and appends the canonical URL to `out`. Returns the length of its
/// `scheme://authority`. The empty reference is the base itself.
///
/// # Errors
/// Why there is no URL; `out` is then as before.
pub fn resolve(base: &Base, reference: &[u8], out: &mut Vec<u8>) -> Result<u16, Rejected> {
    resolve_in(Some(base), reference, out).map(|path_at| path_at as u16)
}

/// The canonical form of an absolute URL, and the length of its `scheme://authority`.
///
/// # Errors
/// Why `input` is no http or https URL within the limits.
pub fn canonical(input: &[u8]) -> Result<(Vec<u8>, u16), Rejected> {
    let mut out = Vec::with_capacity(input.len().min(URL_BYTES_MAX) + 1);
    let path_at = resolve_in(None, input, &mut out)?;
    Ok((out, path_at as u16))
}

fn resolve_in(base: Option<&Base>, reference: &[u8], out: &mut Vec<u8>) -> Result<usize, Rejected> {
    let start = out.len();
    let reference = trimmed(reference);
    let result = match fast::resolve(base, reference, out) {
        Ok(path_at) => Ok(path_at),
        Err(fast::Miss::Rejected(why)) => Err(why),
        Err(fast::Miss::Fallback) if reference.len() > REFERENCE_BYTES_MAX => {
            Err(Rejected::TooLong)
        }
        Err(fast::Miss::Fallback) => {
            out.truncate(start);
            fallback::resolve(base, reference, out)
        }
    };
    match result {
        Ok(path_at) if out.len() - start <= URL_BYTES_MAX => Ok(path_at - start),
        Ok(_) => {
            out.truncate(start);
            Err(Rejected::TooLong)
        }
        Err(why) => {
            out.truncate(start);
            Err(why)
        }
    }
}

/// Without leading and trailing C0 controls and spaces (WHATWG URL 4.4, "basic URL parser" step 1).
fn trimmed(mut bytes: &[u8]) -> &[u8] {
    while let [0..=b' ', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., 0..=b' '] = bytes {
        bytes = rest;
    }
    bytes
}

/// Whether `text` begins as an absolute http or https URL does.
pub fn is_http(text: &[u8]) -> bool {
    let starts = |scheme: &[u8]| {
        text.get(..scheme.len())
            .is_some_and(|s| s.eq_ignore_ascii_case(scheme))
    };
    starts(b"http://") || starts(b"https://")
}

/// The parts of a canonical URL's `scheme://authority`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Origin<'a> {
    /// Whether the scheme is https.
    pub https: bool,
    /// Host in lower case; an IPv6 address keeps its brackets.
    pub host: &'a str,
    /// Port, the scheme's own where the URL names none.
    pub port: u16,
}

impl Origin<'_> {
    /// The address, where the host is one and not a name.
    pub fn address(&self) -> Option<IpAddr> {
        match self.host.strip_prefix('[') {
            Some(rest) => {
                let v6: Ipv6Addr = rest.strip_suffix(']')?.parse().ok()?;
                Some(IpAddr::V6(v6))
            }
            None => self.host.parse().ok().map(IpAddr::V4),
        }
    }
}

/// Splits `canonical[..path_at]`. `None` for bytes that no canonical URL starts with.
pub fn origin(prefix: &[u8]) -> Option<Origin<'_>> {
    let text = std::str::from_utf8(prefix).ok()?;
    let (https, authority) = match text.strip_prefix("https://") {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix("http://")?),
    };
    // The colons of an IPv6 address lie inside its brackets.
    let (host, port) = match authority.rfind(':') {
        Some(colon) if !authority.ends_with(']') => {
            let digits = &authority[colon + 1..];
            (&authority[..colon], digits.parse().ok()?)
        }
        _ => (authority, if https { 443 } else { 80 }),
    };
    let plausible = !host.is_empty() && !host.contains(['/', '?', '#', '@', '\\']);
    plausible.then_some(Origin { https, host, port })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(base: &str, reference: &str) -> Result<String, Rejected> {
        let base = Base::new(base.as_bytes()).unwrap();
        let mut out = b"before".to_vec();
        let result = resolve(&base, reference.as_bytes(), &mut out);
        assert!(out.starts_with(b"before"));
        match result {
            Ok(path_at) => {
                let url = String::from_utf8(out.split_off(6)).unwrap();
                let root = url.as_bytes()[path_at as usize];
                assert_eq!(root, b'/', "{url}");
                Ok(url)
            }
            Err(why) => {
                assert_eq!(out, b"before", "a failure leaves nothing behind");
                Err(why)
            }
        }
    }

    #[test]
    fn references_resolve_as_rfc_3986_5_4_says() {
        // The examples of RFC 3986 5.4, with http's slash in place of the RFC's path parameters' odd cases.
        let base = "http://a/b/c/d;p?q";
        for (reference, want) in [
            ("g", "http://a/b/c/g"),
            ("./g", "http://a/b/c/g"),
            ("g/", "http://a/b/c/g/"),
            ("/g", "http://a/g"),
            ("//g", "http://g/"),
            ("?y", "http://a/b/c/d;p?y"),
            ("g?y", "http://a/b/c/g?y"),
            ("#s", "http://a/b/c/d;p?q"),
            ("g#s", "http://a/b/c/g"),
            ("g?y#s", "http://a/b/c/g?y"),
            (";x", "http://a/b/c/;x"),
            ("", "http://a/b/c/d;p?q"),
            (".", "http://a/b/c/"),
            ("./", "http://a/b/c/"),
            ("..", "http://a/b/"),
            ("../g", "http://a/b/g"),
            ("../..", "http://a/"),
            ("../../../g", "http://a/g"),
            ("/./g", "http://a/g"),
            ("/../g", "http://a/g"),
            ("g.", "http://a/b/c/g."),
            ("..g", "http://a/b/c/..g"),
            ("./../g", "http://a/b/g"),
            ("g/./h", "http://a/b/c/g/h"),
            ("g/../h", "http://a/b/c/h"),
            ("g?y/../x", "http://a/b/c/g?y/../x"),
            ("g#s/../x", "http://a/b/c/g"),
        ] {
            assert_eq!(joined(base, reference).as_deref(), Ok(want), "{reference}");
        }
    }

    #[test]
    fn canonical_form() {
        for (input, want) in [
            ("HTTP://Example.COM", "http://example.com/"),
            ("https://e.org:443?q#f", "https://e.org/?q"),
            ("http://e.org:443/", "http://e.org:443/"),
            ("http://e.org:0080/", "http://e.org/"),
            ("http://e.org:00008081/", "http://e.org:8081/"),
            ("http://u:p@e.org/", "http://e.org/"),
            ("http://e.org/%2f%zz%e2", "http://e.org/%2F%zz%E2"),
            ("http://e.org/a/%2e%2E/b", "http://e.org/b"),
            (
                "http://e.org/a b\"<>`{}^|'",
                "http://e.org/a%20b%22%3C%3E%60%7B%7D%5E|'",
            ),
            (
                "http://e.org/?a b\"<>`{}^|'",
                "http://e.org/?a%20b%22%3C%3E`{}^|%27",
            ),
            ("http://e.org/é?é", "http://e.org/%C3%A9?%C3%A9"),
            ("http://bücher.example/", "http://xn--bcher-kva.example/"),
            ("http://0x7f.1/", "http://127.0.0.1/"),
            ("http://127.0.0.1:8080/x", "http://127.0.0.1:8080/x"),
            ("http://e.org./", "http://e.org./"),
            ("http://[::0001]:8080/", "http://[::1]:8080/"),
            ("http:\\\\e.org\\a\\..\\b", "http://e.org/b"),
            ("ht\ntp://e.org/a\tb", "http://e.org/ab"),
            ("http:e.org", "http://e.org/"),
            ("http://XN--pokxncvks/", "http://xn--pokxncvks/"),
            ("http://u@XN--pokxncvks:80/", "http://xn--pokxncvks/"),
            (" \0http://e.org/ \r\n", "http://e.org/"),
        ] {
            let (url, _) = canonical(input.as_bytes()).unwrap();
            assert_eq!(std::str::from_utf8(&url), Ok(want), "{input}");
        }
    }

    #[test]
    fn rejections_by_reason() {
        let long = format!("http://e.org/{}", "a".repeat(URL_BYTES_MAX));
        let long_host = format!("http://{}.org/", "a.".repeat(130));
        let long_data = format!("data:image/png;base64,{}", "A".repeat(100_000));
        let long_fragment = format!("\t#{}", "a".repeat(REFERENCE_BYTES_MAX));
        for (reference, want) in [
            ("mailto:a@b", Rejected::Scheme),
            ("JavaScript:void(0)", Rejected::Scheme),
            ("ja\tvascript:x", Rejected::Scheme),
            (long_data.as_str(), Rejected::Scheme),
            ("ftp://e.org/", Rejected::Scheme),
            ("http://", Rejected::Host),
            ("//", Rejected::Host),
            ("http://a b/", Rejected::Host),
            ("http://1.2.3.4.5/", Rejected::Host),
            ("http://256.1.1.1/", Rejected::Host),
            ("http://u@xn--pokxncvks.0x1/", Rejected::Host),
            (long_host.as_str(), Rejected::Host),
            ("http://e.org:65536/", Rejected::Syntax),
            ("http://e.org:8x/", Rejected::Syntax),
            (long.as_str(), Rejected::TooLong),
        ] {
            assert_eq!(joined("http://a/", reference), Err(want), "{reference}");
        }
        assert_eq!(
            joined("http://a/", &long_fragment[1..]),
            Ok("http://a/".into())
        );
        let long_user = format!("http://{}@e.org/", "a".repeat(1_000));
        assert_eq!(joined("http://a/", &long_user), Ok("http://e.org/".into()));
        assert_eq!(canonical(b" \n").unwrap_err(), Rejected::Empty);
        assert_eq!(canonical(b"/a").unwrap_err(), Rejected::Syntax);
    }

    #[test]
    fn queries_of_legacy_pages() {
        let mut base = Base::new(b"http://e.org/d/").unwrap();
        let mut out = Vec::new();
        let mut query = |label: Option<&[u8]>, reference: &str| {
            base.set_encoding(label.map(|l| Encoding::for_label(l).unwrap()));
            out.clear();
            resolve(&base, reference.as_bytes(), &mut out).unwrap();
            String::from_utf8(out.clone()).unwrap()
        };
        assert_eq!(query(None, "é?é"), "http://e.org/d/%C3%A9?%C3%A9");
        assert_eq!(
            query(Some(b"windows-1252"), "é?é"),
            "http://e.org/d/%C3%A9?%E9"
        );
        assert_eq!(
            query(Some(b"shift_jis"), "?q=日"),
            "http://e.org/d/?q=%93%FA"
        );
        assert_eq!(
            query(Some(b"latin1"), "?q=日"),
            "http://e.org/d/?q=%26%2326085%3B"
        );
        assert_eq!(query(Some(b"utf-16le"), "?é"), "http://e.org/d/?%C3%A9");
    }

    #[test]
    fn bases_change_in_place() {
        let mut base = Base::new(b"http://e.org/a/b?q#f").unwrap();
        assert_eq!(base.as_bytes(), b"http://e.org/a/b?q");
        base.rejoin(b"mailto:x");
        assert_eq!(base.as_bytes(), b"http://e.org/a/b?q");
        base.rejoin(b"../c/d");
        assert_eq!(base.as_bytes(), b"http://e.org/c/d");
        let mut out = Vec::new();
        resolve(&base, b"\xff\t", &mut out).unwrap();
        assert_eq!(out, b"http://e.org/c/%EF%BF%BD");
        assert_eq!(base.set(b"nonsense"), Err(Rejected::Syntax));
        assert_eq!(base.as_bytes(), b"http://e.org/c/d");
        base.set(b"https://xn--pokxncvks").unwrap();
        out.clear();
        // Through the fallback, with a base that the `url` crate would refuse.
        resolve(&base, b"x\ty", &mut out).unwrap();
        assert_eq!(out, b"https://xn--pokxncvks/xy");
    }

    #[test]
    fn origins() {
        let of = |prefix: &'static str| origin(prefix.as_bytes());
        let got = of("https://e.org").unwrap();
        assert_eq!((got.https, got.host, got.port), (true, "e.org", 443));
        let got = of("http://[::1]:8080").unwrap();
        assert_eq!((got.https, got.host, got.port), (false, "[::1]", 8080));
        assert_eq!(got.address(), Some(IpAddr::V6(Ipv6Addr::LOCALHOST)));
        assert_eq!(of("http://[::1]").unwrap().port, 80);
        assert_eq!(of("http://e.org").unwrap().address(), None);
        assert!(of("http://127.0.0.1").unwrap().address().is_some());
        for bad in [
            "",
            "http://",
            "ftp://e.org",
            "http://e.org:x",
            "http://e.org/",
            "http://u@e",
        ] {
            assert_eq!(of(bad), None, "{bad}");
        }
    }
}
