//! Values of the fields that the crawler understands.
//!
//! What must hold: a malformed value says nothing (or, where framing hangs on it, is an error of the caller's kind);
//! it never fails the page by itself.

use super::date;
use crate::event::{Coding, Facts};
use crate::limits::{CODINGS_MAX, RETRY_AFTER_MAX_S};
use crate::time::Wall;

/// Elements of a comma-separated list (RFC 9110 5.6.1), trimmed, empty ones left out.
pub(super) fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|b| *b == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|e| !e.is_empty())
}

/// One field line of Content-Length: digits only, or a list of equal ones (RFC 9112 6.3). `None`: malformed.
pub(super) fn content_length(value: &[u8]) -> Option<u64> {
    let mut length = None;
    for element in value.split(|b| *b == b',') {
        let n = digits(element.trim_ascii())?;
        if length.is_some_and(|l| l != n) {
            return None;
        }
        length = Some(n);
    }
    length
}

/// A decimal number without sign; `None` where empty, not digits, or beyond 64 bits.
fn digits(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |n, b| {
        let digit = b.is_ascii_digit().then(|| u64::from(b - b'0'))?;
        n.checked_mul(10)?.checked_add(digit)
    })
}

/// Adds one field line of Content-Encoding to the `known` codings of `facts` (RFC 9110 8.4: in the order applied).
/// Returns the new count.
pub(super) fn content_codings(value: &[u8], mut known: usize, facts: &mut Facts) -> usize {
    for name in list(value) {
        let coding = match name.len() {
            8 if name.eq_ignore_ascii_case(b"identity") => continue,
            // No registered coding, but servers that mean identity send it, and browsers and curl take it so.
            4 if name.eq_ignore_ascii_case(b"none") => continue,
            4 if name.eq_ignore_ascii_case(b"gzip") => Coding::Gzip,
            6 if name.eq_ignore_ascii_case(b"x-gzip") => Coding::Gzip,
            7 if name.eq_ignore_ascii_case(b"deflate") => Coding::Deflate,
            2 if name.eq_ignore_ascii_case(b"br") => Coding::Br,
            4 if name.eq_ignore_ascii_case(b"zstd") => Coding::Zstd,
            _ => Coding::Unknown,
        };
        facts.coding_unknown |= coding == Coding::Unknown || known == CODINGS_MAX;
        if known < CODINGS_MAX {
            facts.codings[known] = coding;
            known += 1;
        }
    }
    known
}

/// Seconds to wait that Retry-After asks for (RFC 9110 10.2.3), at most [`RETRY_AFTER_MAX_S`]; 0 where it is
/// malformed or lies in the past.
pub(super) fn retry_after_s(value: &[u8], now: Wall) -> u32 {
    let seconds = if value.first().is_some_and(u8::is_ascii_digit) {
        // Too many digits for a number are a long time all the same.
        value
            .iter()
            .all(u8::is_ascii_digit)
            .then(|| digits(value).unwrap_or(u64::MAX))
    } else {
        date::parse(value).map(|at| at.saturating_sub(now).div_ceil(1_000))
    };
    seconds.unwrap_or(0).min(RETRY_AFTER_MAX_S) as u32
}

/// Whether the first field line of X-Content-Type-Options says nosniff. Its first element decides (Fetch Standard, "determine
/// nosniff"), even where it is empty.
pub(super) fn is_nosniff(value: &[u8]) -> bool {
    let first = value.split(|b| *b == b',').next().unwrap_or_default();
    first.trim_ascii().eq_ignore_ascii_case(b"nosniff")
}

/// Whether one field line of X-Robots-Tag forbids following links, for all robots or for `product`. A name before a
/// colon holds for the rest of the line; directives that take a value are not names.
pub(super) fn robots_tag_nofollow(value: &[u8], product: &[u8]) -> bool {
    const WITH_VALUE: [&[u8]; 4] = [
        b"unavailable_after",
        b"max-snippet",
        b"max-image-preview",
        b"max-video-preview",
    ];
    let mut applies = true;
    for element in list(value) {
        let mut directive = element;
        if let Some(colon) = memchr::memchr(b':', element) {
            let name = element[..colon].trim_ascii();
            // Dates have colons (and commas) of their own; a name has no space in it.
            let is_value = name.contains(&b' ');
            if is_value || WITH_VALUE.iter().any(|d| d.eq_ignore_ascii_case(name)) {
                continue;
            }
            applies = name == b"*" || name.eq_ignore_ascii_case(product);
            directive = element[colon + 1..].trim_ascii();
        }
        let forbids =
            directive.eq_ignore_ascii_case(b"nofollow") || directive.eq_ignore_ascii_case(b"none");
        if applies && forbids {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_digits_only() {
        assert_eq!(content_length(b"0042"), Some(42));
        assert_eq!(content_length(b"5, 5"), Some(5));
        assert_eq!(content_length(b"18446744073709551615"), Some(u64::MAX));
        for bad in [
            "",
            "+5",
            "-1",
            "0x5",
            "5 5",
            "5,6",
            "5,",
            "1e3",
            "5;",
            "18446744073709551616",
        ] {
            assert_eq!(content_length(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn codings_come_in_order_over_several_lines() {
        let mut facts = Facts::default();
        let known = content_codings(b"identity, None, , X-GZIP", 0, &mut facts);
        let known = content_codings(b"br", known, &mut facts);
        assert_eq!(facts.codings, [Coding::Gzip, Coding::Br]);
        assert!(!facts.coding_unknown);
        content_codings(b"gzip", known, &mut facts);
        assert!(facts.coding_unknown, "a third one is not undone");
        let mut facts = Facts::default();
        content_codings(b"compress", 0, &mut facts);
        assert!(facts.coding_unknown && facts.codings[0] == Coding::Unknown);
    }

    #[test]
    fn the_first_option_of_a_content_type_decides() {
        // After the table of the Web Platform Tests, fetch/nosniff/parsing-nosniff.
        for yes in [
            "nosniff",
            "NoSniFF",
            " nosniff\t",
            "nosniff,",
            "nosniff, nosniff",
            "nosniff,x",
        ] {
            assert!(is_nosniff(yes.as_bytes()), "{yes:?}");
        }
        for no in [
            "",
            ",nosniff",
            "x,nosniff",
            "\"nosniff\"",
            "'nosniff'",
            "no sniff",
            "nosniff;x",
            "sniff",
        ] {
            assert!(!is_nosniff(no.as_bytes()), "{no:?}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_capped() {
        let now = 784_111_777_000;
        assert_eq!(retry_after_s(b"120", now), 120);
        assert_eq!(retry_after_s(b"Sun, 06 Nov 1994 08:50:37 GMT", now), 60);
        assert_eq!(retry_after_s(b"Sun, 06 Nov 1994 08:00:00 GMT", now), 0);
        assert_eq!(
            retry_after_s(b"99999999999999999999999", now),
            RETRY_AFTER_MAX_S as u32
        );
        assert_eq!(retry_after_s(b"-5", now), 0);
        assert_eq!(retry_after_s(b"5 minutes", now), 0);
        assert_eq!(retry_after_s(b"", now), 0);
    }

    #[test]
    fn robots_tags_hold_for_all_or_for_us() {
        let tag = |v: &str| robots_tag_nofollow(v.as_bytes(), b"cyclosa");
        assert!(tag("noindex, NOFOLLOW"));
        assert!(tag("none"));
        assert!(tag("Cyclosa: nofollow"));
        assert!(tag("unavailable_after: 25 Jun 2030 15:00:00 PST, nofollow"));
        assert!(tag(
            "unavailable_after: Sat, 25 Jun 2030 15:00:00 GMT, none"
        ));
        assert!(tag("otherbot: noindex, cyclosa: noindex, nofollow"));
        assert!(!tag("otherbot: noindex, nofollow"));
        assert!(!tag("noindex, nofollows"));
        assert!(!tag("cyclosa: noindex, otherbot: none"));
    }
}
