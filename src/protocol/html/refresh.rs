//! The reference in `<meta http-equiv=refresh content=...>` (HTML Standard 4.2.5.3, shared declarative refresh steps).
//!
//! What must hold: the same URL as the standard's steps, as a range of the value. Deliberately absent: the delay (a
//! crawler follows the link whatever it is) and the refresh of the page itself.

use super::find::{self, SPACE};

/// The range of the URL in `content`; `None` where there is none or the value is no refresh.
pub(super) fn target(content: &[u8]) -> Option<(usize, usize)> {
    let get = |at: usize| content.get(at).copied().unwrap_or(0);
    let spaces = |mut at: usize| {
        while find::is(get(at), SPACE) {
            at += 1;
        }
        at
    };
    let mut at = spaces(0);
    if !get(at).is_ascii_digit() && get(at) != b'.' {
        return None;
    }
    while get(at).is_ascii_digit() || get(at) == b'.' {
        at += 1;
    }
    if !matches!(get(at), b';' | b',') && !find::is(get(at), SPACE) {
        return None;
    }
    at = spaces(at);
    if matches!(get(at), b';' | b',') {
        at += 1;
    }
    at = spaces(at);
    if at >= content.len() {
        return None;
    }
    // `url =` in front of the URL; where it is not complete it belongs to the URL.
    if let Some(word) = content.get(at..at + 3) {
        if word.eq_ignore_ascii_case(b"url") {
            let behind = spaces(at + 3);
            if get(behind) != b'=' {
                return Some((at, content.len()));
            }
            at = spaces(behind + 1);
        } else if matches!(word[0], b'u' | b'U') {
            return Some((at, content.len()));
        }
    }
    let quote = get(at);
    if !matches!(quote, b'"' | b'\'') {
        return Some((at, content.len()));
    }
    at += 1;
    let len = memchr::memchr(quote, content.get(at..)?).unwrap_or(content.len() - at);
    Some((at, at + len))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(content: &str) -> Option<&str> {
        target(content.as_bytes()).map(|(at, end)| &content[at..end])
    }

    #[test]
    fn forms() {
        assert_eq!(url("0;url=/next"), Some("/next"));
        assert_eq!(url(" 5.5 ; URL = '/a b' tail"), Some("/a b"));
        assert_eq!(url("1 \"x"), Some("x"));
        assert_eq!(url("1; u"), Some("u"));
        assert_eq!(url("30"), None);
        assert_eq!(url("30;"), None);
        assert_eq!(url(".; x"), Some("x"));
        assert_eq!(url("x; url=y"), None);
    }
}
