//! The head of a request, as far as a server that never reads bodies needs it.
//!
//! What must hold: any bytes give an answer, more bytes wanted, or a status to refuse with; nothing is looked at twice
//! that could be large. Requests with a body are refused, since where they end would have to be believed.

use super::site::Request;
use crate::limits;

/// What the bytes so far are.
#[derive(Debug)]
pub enum Parsed<'a> {
    /// A request, and how many bytes it took.
    Whole(Request<'a>, usize),
    /// Not yet a whole head.
    Partial,
    /// No request that is answered: refuse with this status and close.
    Refused(u16),
}

/// Parses the head that `bytes` begin with.
pub fn parse(bytes: &[u8]) -> Parsed<'_> {
    let mut fields = [httparse::EMPTY_HEADER; limits::WEB_REQUEST_FIELDS_MAX];
    let mut head = httparse::Request::new(&mut fields);
    let used = match head.parse(bytes) {
        Ok(httparse::Status::Complete(used)) => used,
        Ok(httparse::Status::Partial) if bytes.len() < limits::WEB_REQUEST_BYTES_MAX => {
            return Parsed::Partial;
        }
        Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
            return Parsed::Refused(431);
        }
        Err(_) => return Parsed::Refused(400),
    };
    let head_only = match head.method {
        Some("GET") => false,
        Some("HEAD") => true,
        _ => return Parsed::Refused(405),
    };
    let recent = head.version == Some(1);
    let mut request = Request {
        authority: b"",
        path: head.path.unwrap_or_default().as_bytes(),
        head_only,
        gzip: false,
        chunks: recent,
        keep: recent,
    };
    for field in head.headers.iter() {
        // By length first: names that nobody asks for cost nothing.
        match field.name.len() {
            4 if field.name.eq_ignore_ascii_case("host") => request.authority = field.value,
            10 if field.name.eq_ignore_ascii_case("connection") => {
                if has_token(field.value, b"close") {
                    request.keep = false;
                } else if has_token(field.value, b"keep-alive") {
                    request.keep = true;
                }
            }
            15 if field.name.eq_ignore_ascii_case("accept-encoding") => {
                request.gzip = accepts_gzip(field.value);
            }
            14 if field.name.eq_ignore_ascii_case("content-length") && field.value != b"0" => {
                return Parsed::Refused(413);
            }
            17 if field.name.eq_ignore_ascii_case("transfer-encoding") => {
                return Parsed::Refused(413);
            }
            _ => {}
        }
    }
    // Absolute form, as sent to a proxy (RFC 9112 3.2.2): the authority in it counts.
    if let Some(rest) = request.path.strip_prefix(b"http://") {
        let end = rest
            .iter()
            .position(|c| matches!(c, b'/' | b'?'))
            .unwrap_or(rest.len());
        (request.authority, request.path) = rest.split_at(end);
        if request.path.is_empty() {
            request.path = b"/";
        }
    }
    Parsed::Whole(request, used)
}

fn has_token(list: &[u8], token: &[u8]) -> bool {
    list.split(|c| *c == b',')
        .any(|t| t.trim_ascii().eq_ignore_ascii_case(token))
}

/// Whether `gzip` (or `*`) is in an Accept-Encoding without being refused (RFC 9110 12.5.3).
fn accepts_gzip(list: &[u8]) -> bool {
    list.split(|c| *c == b',').any(|entry| {
        let mut words = entry.split(|c| *c == b';').map(<[u8]>::trim_ascii);
        let name = words.next().unwrap_or_default();
        let named = [&b"gzip"[..], b"x-gzip", b"*"]
            .iter()
            .any(|n| name.eq_ignore_ascii_case(n));
        named && !words.any(|w| matches!(w, b"q=0" | b"q=0.0" | b"q=0.00" | b"q=0.000"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(bytes: &[u8]) -> Request<'_> {
        match parse(bytes) {
            Parsed::Whole(request, used) => {
                assert_eq!(used, bytes.len());
                request
            }
            other => panic!("{other:?}"),
        }
    }

    fn refused(bytes: &[u8]) -> u16 {
        match parse(bytes) {
            Parsed::Refused(status) => status,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_matters_is_understood() {
        let r = whole(
            b"GET /p/1 HTTP/1.1\r\nHOST: h1.web.test\r\nAccept-Encoding: br, gzip;q=0.5\r\n\r\n",
        );
        assert_eq!((r.path, r.authority), (&b"/p/1"[..], &b"h1.web.test"[..]));
        assert!(r.gzip && r.keep && r.chunks && !r.head_only);
        let r = whole(b"HEAD / HTTP/1.0\r\nAccept-Encoding: gzip;q=0, br\r\n\r\n");
        assert!(!r.gzip && !r.keep && !r.chunks && r.head_only);
        let r = whole(
            b"GET http://h2.web.test:1?x HTTP/1.1\r\nHost: other\r\nConnection: foo, Close\r\n\r\n",
        );
        assert_eq!((r.path, r.authority), (&b"?x"[..], &b"h2.web.test:1"[..]));
        assert!(!r.keep);
    }

    #[test]
    fn every_beginning_is_partial_and_long_ones_are_refused() {
        let bytes = b"GET /p/1 HTTP/1.1\r\nHost: h1.web.test\r\n\r\n";
        for end in 0..bytes.len() {
            assert!(matches!(parse(&bytes[..end]), Parsed::Partial), "{end}");
        }
        let long = [&b"GET /"[..], &[b'a'; limits::WEB_REQUEST_BYTES_MAX]].concat();
        assert_eq!(refused(&long), 431);
        let many = [
            &b"GET / HTTP/1.1\r\n"[..],
            &b"a: b\r\n".repeat(100),
            b"\r\n",
        ]
        .concat();
        assert_eq!(refused(&many), 431);
    }

    #[test]
    fn others_are_refused() {
        assert_eq!(refused(b"POST / HTTP/1.1\r\n\r\n"), 405);
        assert_eq!(
            refused(b"GET / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello"),
            413
        );
        assert_eq!(
            refused(b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"),
            413
        );
        assert_eq!(refused(b"\x16\x03\x01\x02\x00\x01\x00"), 400);
        assert_eq!(refused(b"GET / HTTP/9.9\r\n\r\n"), 400);
    }
}
