//! Character references in attribute values (HTML Standard 13.2.5.72 to 13.2.5.80).
//!
//! What must hold: decoding is linear in the value and never fails; what is no reference stays as it is. In an attribute a
//! name without `;` counts only if neither `=` nor a letter or digit follows (`?a=1&copy=2` keeps its `&copy`), so a name
//! is always the whole run of letters and digits behind `&`: no prefix matching is needed. Deliberately absent: the rules
//! for text, where no reference can stand.

use super::entities::{BARE, NAMED};

/// Longest name in the table, bytes (`CounterClockwiseContourIntegral`).
const NAME_BYTES_MAX: usize = 31;

/// What becomes of tabs and line ends in a value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum LineEnds {
    /// CR and CR LF become LF, as in any attribute value.
    Normalise,
    /// Tab, CR and LF vanish, as the URL Standard removes them from a reference.
    Remove,
}

/// Appends `value` to `out` with references decoded and NUL replaced by U+FFFD.
pub(super) fn decode(value: &[u8], line_ends: LineEnds, out: &mut Vec<u8>) {
    let mut at = 0;
    while let Some(&b) = value.get(at) {
        at += 1;
        match b {
            b'&' => at = reference(value, at, out),
            0 => out.extend_from_slice("\u{FFFD}".as_bytes()),
            b'\t' | b'\n' | b'\r' if line_ends == LineEnds::Remove => {}
            b'\r' => {
                out.push(b'\n');
                at += usize::from(value.get(at) == Some(&b'\n'));
            }
            _ => out.push(b),
        }
    }
}

/// Decodes the reference whose `&` lies just before `at`; returns where to go on.
fn reference(value: &[u8], at: usize, out: &mut Vec<u8>) -> usize {
    let rest = &value[at..];
    if rest.first() == Some(&b'#') {
        return match numeric(&rest[1..]) {
            Some((c, len)) => {
                push_char(c, out);
                at + 1 + len
            }
            None => {
                out.push(b'&');
                at
            }
        };
    }
    if let Some((text, len)) = named(rest) {
        out.extend_from_slice(text.as_bytes());
        return at + len;
    }
    out.push(b'&');
    at
}

fn push_char(c: char, out: &mut Vec<u8>) {
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

/// The text of the named reference at the start of `rest` (behind `&`) and its length, `;` included.
fn named(rest: &[u8]) -> Option<(&'static str, usize)> {
    if rest.starts_with(b"amp;") {
        return Some(("&", 4));
    }
    let len = rest
        .iter()
        .take(NAME_BYTES_MAX + 1)
        .take_while(|b| b.is_ascii_alphanumeric())
        .count();
    let name = &rest[..len];
    let closed = rest.get(len) == Some(&b';');
    let known = closed
        || (rest.get(len) != Some(&b'=')
            && BARE.binary_search_by(|n| n.as_bytes().cmp(name)).is_ok());
    if !known {
        return None;
    }
    let i = NAMED
        .binary_search_by(|(n, _)| n.as_bytes().cmp(name))
        .ok()?;
    Some((NAMED[i].1, len + usize::from(closed)))
}

/// The character of the numeric reference at the start of `rest` (behind `&#`) and its length, `;` included.
fn numeric(rest: &[u8]) -> Option<(char, usize)> {
    let hex = matches!(rest.first(), Some(b'x' | b'X'));
    let start = usize::from(hex);
    let radix = if hex { 16 } else { 10 };
    let mut code = 0u32;
    let mut at = start;
    while let Some(digit) = rest.get(at).and_then(|&b| char::from(b).to_digit(radix)) {
        code = code.saturating_mul(radix).saturating_add(digit);
        at += 1;
    }
    if at == start {
        return None;
    }
    at += usize::from(rest.get(at) == Some(&b';'));
    Some((scalar(code), at))
}

/// 13.2.5.80: what a number stands for; the C1 range means windows-1252.
fn scalar(code: u32) -> char {
    match code {
        0 => '\u{FFFD}',
        0x80..=0x9F => WINDOWS_1252[code as usize - 0x80],
        _ => char::from_u32(code).unwrap_or('\u{FFFD}'),
    }
}

/// What numbers 0x80 to 0x9F stand for (the five undefined ones stay controls).
#[rustfmt::skip]
const WINDOWS_1252: [char; 32] = [
    '\u{20AC}', '\u{81}', '\u{201A}', '\u{192}', '\u{201E}', '\u{2026}', '\u{2020}', '\u{2021}',
    '\u{2C6}', '\u{2030}', '\u{160}', '\u{2039}', '\u{152}', '\u{8D}', '\u{17D}', '\u{8F}',
    '\u{90}', '\u{2018}', '\u{2019}', '\u{201C}', '\u{201D}', '\u{2022}', '\u{2013}', '\u{2014}',
    '\u{2DC}', '\u{2122}', '\u{161}', '\u{203A}', '\u{153}', '\u{9D}', '\u{17E}', '\u{178}',
];

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(value: &str) -> String {
        let mut out = Vec::new();
        decode(value.as_bytes(), LineEnds::Normalise, &mut out);
        String::from_utf8(out).expect("UTF-8 in, UTF-8 out")
    }

    #[test]
    fn tables_are_sorted_and_complete() {
        assert!(NAMED.windows(2).all(|w| w[0].0 < w[1].0));
        assert!(BARE.windows(2).all(|w| w[0] < w[1]));
        assert_eq!(NAMED.len() + BARE.len(), 2_231);
        assert!(NAMED.iter().all(|(n, _)| n.len() <= NAME_BYTES_MAX));
        for bare in BARE {
            assert!(NAMED.binary_search_by(|(n, _)| (*n).cmp(bare)).is_ok());
        }
        for (name, text) in NAMED {
            assert_eq!(decoded(&format!("<&{name};>")), format!("<{text}>"));
        }
    }

    #[test]
    fn attribute_rules() {
        assert_eq!(decoded("?a=1&copy=2&amp;b=3"), "?a=1&copy=2&b=3");
        assert_eq!(
            decoded("&copy&copy;&copyx &notit; &notin; &"),
            "©©&copyx &notit; ∉ &"
        );
        assert_eq!(decoded("&nosuch; &#; &#x; &#xg"), "&nosuch; &#; &#x; &#xg");
        assert_eq!(decoded("&#65&#x42;&#X43C"), "AB\u{43C}");
        assert_eq!(
            decoded("&#x80;&#0;&#xD800;&#x110000;&#99999999999999;"),
            "€\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}"
        );
        assert_eq!(decoded("a\r\nb\rc\0d"), "a\nb\nc\u{FFFD}d");
    }

    #[test]
    fn references_to_urls_lose_their_line_ends() {
        let mut out = Vec::new();
        decode(b"/a\r\n\tb?x&#10;y", LineEnds::Remove, &mut out);
        assert_eq!(out, b"/ab?x\ny");
    }
}
