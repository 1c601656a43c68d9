//! The request: one GET, always the same fields in the same order.
//!
//! What must hold: no byte of a URL can end a line or the request line early (request splitting). Canonical URLs have
//! neither controls nor spaces, and every byte is checked again here, where it would do harm.

use std::fmt;

/// A byte that must not stand in a request: the URL is not in canonical form, or a field value holds a control.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotCanonical;

impl fmt::Display for NotCanonical {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("control character, space or empty part where a request takes none")
    }
}

impl std::error::Error for NotCanonical {}

/// Writes requests that differ in target and host only.
#[derive(Clone, Debug)]
pub struct RequestWriter {
    /// Everything behind the value of Host.
    tail: Vec<u8>,
}

impl RequestWriter {
    /// A writer that identifies itself with `user_agent` and, where it is given, the mail address `from` (RFC 9110
    /// 10.1.2); `fields` are further ones, each `Name: value`, and one of a name that is sent anyway
    /// (Accept) stands in its place.
    ///
    /// # Errors
    /// [`NotCanonical`] where one of them holds a control character or is empty.
    pub fn new(
        user_agent: &str,
        from: Option<&str>,
        fields: &[String],
    ) -> Result<Self, NotCanonical> {
        let clean = |s: &str| !s.is_empty() && !s.chars().any(char::is_control);
        let fields_clean = fields.iter().all(|f| clean(f));
        if !clean(user_agent) || from.is_some_and(|c| !clean(c)) || !fields_clean {
            return Err(NotCanonical);
        }
        let given = |name: &str| {
            let mut names = fields.iter().filter_map(|f| f.split_once(':'));
            names.any(|(given, _)| given.eq_ignore_ascii_case(name))
        };
        let mut tail = Vec::with_capacity(256);
        tail.extend_from_slice(b"\r\nUser-Agent: ");
        tail.extend_from_slice(user_agent.as_bytes());
        if !given("accept") {
            tail.extend_from_slice(b"\r\nAccept: text/html, application/xhtml+xml, */*;q=0.8");
        }
        tail.extend_from_slice(b"\r\nAccept-Encoding: zstd, gzip, br");
        if let Some(from) = from {
            tail.extend_from_slice(b"\r\nFrom: ");
            tail.extend_from_slice(from.as_bytes());
        }
        for field in fields {
            tail.extend_from_slice(b"\r\n");
            tail.extend_from_slice(field.as_bytes());
        }
        tail.extend_from_slice(b"\r\n\r\n");
        Ok(Self { tail })
    }

    /// Appends the request for `target` (path and query, from `/`) of `authority` (host and port) to `out`.
    ///
    /// # Errors
    /// [`NotCanonical`] where a part is empty or holds anything but visible ASCII; `out` is as before.
    pub fn write(
        &self,
        target: &[u8],
        authority: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), NotCanonical> {
        self.write_form(b"", target, authority, out)
    }

    /// The same in absolute form (RFC 9112 3.2.2), for a proxy that is to fetch an `http` URL.
    ///
    /// # Errors
    /// As for [`RequestWriter::write`].
    pub fn write_absolute(
        &self,
        target: &[u8],
        authority: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), NotCanonical> {
        self.write_form(b"http://", target, authority, out)
    }

    /// `scheme` is empty, or the target is preceded by it and the authority.
    fn write_form(
        &self,
        scheme: &[u8],
        target: &[u8],
        authority: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), NotCanonical> {
        let visible = |part: &[u8]| part.iter().all(u8::is_ascii_graphic);
        if target.first() != Some(&b'/') || authority.is_empty() {
            return Err(NotCanonical);
        }
        if !visible(target) || !visible(authority) {
            return Err(NotCanonical);
        }
        out.extend_from_slice(b"GET ");
        if !scheme.is_empty() {
            out.extend_from_slice(scheme);
            out.extend_from_slice(authority);
        }
        out.extend_from_slice(target);
        out.extend_from_slice(b" HTTP/1.1\r\nHost: ");
        out.extend_from_slice(authority);
        out.extend_from_slice(&self.tail);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_one_line_and_its_fields() {
        let writer = RequestWriter::new("cyclosa/1", Some("crawl@example.org"), &[]).unwrap();
        let mut out = Vec::new();
        writer.write(b"/a?b=c", b"h.test:8080", &mut out).unwrap();
        assert_eq!(
            out,
            b"GET /a?b=c HTTP/1.1\r\nHost: h.test:8080\r\nUser-Agent: cyclosa/1\r\n\
              Accept: text/html, application/xhtml+xml, */*;q=0.8\r\nAccept-Encoding: zstd, gzip, br\r\n\
              From: crawl@example.org\r\n\r\n"
        );
    }

    #[test]
    fn a_proxy_is_asked_for_the_whole_url() {
        let writer = RequestWriter::new("cyclosa/1", None, &[]).unwrap();
        let mut out = Vec::new();
        writer
            .write_absolute(b"/a?b=c", b"h.test:8080", &mut out)
            .unwrap();
        let line = b"GET http://h.test:8080/a?b=c HTTP/1.1\r\nHost: h.test:8080\r\n";
        assert!(out.starts_with(line));
    }

    #[test]
    fn further_fields_are_sent_and_accept_can_be_replaced() {
        let fields = ["X-Team: a".to_owned(), "accept: text/html".to_owned()];
        let writer = RequestWriter::new("cyclosa/1", None, &fields).unwrap();
        let mut out = Vec::new();
        writer.write(b"/", b"h", &mut out).unwrap();
        let sent = String::from_utf8(out).unwrap();
        assert!(
            sent.ends_with("\r\nX-Team: a\r\naccept: text/html\r\n\r\n"),
            "{sent}"
        );
        assert!(!sent.contains("Accept: "));
    }

    #[test]
    fn nothing_can_split_a_request() {
        let writer = RequestWriter::new("cyclosa/1", None, &[]).unwrap();
        let mut out = b"kept".to_vec();
        for bad in 0..=u8::MAX {
            if bad.is_ascii_graphic() {
                continue;
            }
            assert!(writer.write(&[b'/', bad], b"h", &mut out).is_err());
            assert!(writer.write(b"/", &[b'h', bad], &mut out).is_err());
        }
        assert!(writer.write(b"", b"h", &mut out).is_err());
        assert!(writer.write(b"/", b"", &mut out).is_err());
        assert_eq!(out, b"kept");
        assert!(RequestWriter::new("a\r\nb", None, &[]).is_err());
        assert!(RequestWriter::new("a", Some("b\n"), &[]).is_err());
        assert!(RequestWriter::new("a", None, &["X: y\r\nZ: 1".to_owned()]).is_err());
    }
}
