//! The hand-written path: one look at each byte of a reference, whole runs copied at once.
//!
//! What must hold: for every reference the result is that of the standard, or [`Miss::Fallback`]. On a miss whatever was
//! appended to `out` is garbage that the caller cuts off.
//!
//! Deliberately absent, left to the fallback: userinfo, tabs and line ends inside a reference, hosts other than plain
//! ASCII names and dotted quads, `http:` without slashes, bytes that are not UTF-8, non-ASCII queries of legacy pages.

use super::{Base, Rejected};
use crate::limits::{HOST_BYTES_MAX, REFERENCE_BYTES_MAX};
use std::net::Ipv4Addr;

/// Why the fast path has no result.
pub(super) enum Miss {
    /// The reference is for the `url` crate.
    Fallback,
    /// There is certainly no URL.
    Rejected(Rejected),
}

/// `/`. One bit below [`DOT`], so that "a dot after a slash" is a shift and an and.
const SLASH: u8 = 1 << 0;
/// `.`
const DOT: u8 = 1 << 1;
/// `?`, `#`: the end of a path.
const PATH_END: u8 = 1 << 2;
/// Not copied as it is in a path (escape, separator to normalise, hex to check, control).
const PATH_ODD: u8 = 1 << 3;
/// Not copied as it is in a query.
const QUERY_ODD: u8 = 1 << 4;
/// Letters, digits, `-`, `_`, `.`: the bytes of a host name that needs no IDNA.
const HOST: u8 = 1 << 5;
/// Letters, digits, `+`, `-`, `.`: the bytes of a scheme.
const SCHEME: u8 = 1 << 6;
/// Upper-case letters.
const UPPER: u8 = 1 << 7;

/// What each byte is. WHATWG URL 1.3 (percent-encode sets), 3.5 (host code points), 4.4 (scheme state).
const CLASS: [u8; 256] = {
    let mut table = [0u8; 256];
    let mut i = 0;
    while i < 256 {
        let b = i as u8;
        let mut class = 0;
        if b.is_ascii_alphanumeric() {
            class |= HOST | SCHEME;
        }
        if b.is_ascii_uppercase() {
            class |= UPPER;
        }
        match b {
            b'/' => class |= SLASH,
            b'.' => class |= DOT | HOST | SCHEME,
            b'-' => class |= HOST | SCHEME,
            b'+' => class |= SCHEME,
            b'_' => class |= HOST,
            b'?' => class |= PATH_END,
            b'#' => class |= PATH_END | QUERY_ODD,
            b'\\' | b'`' | b'{' | b'}' | b'^' => class |= PATH_ODD,
            b'\'' => class |= QUERY_ODD,
            b'%' | b'"' | b'<' | b'>' | 0..=b' ' | 0x7f.. => class |= PATH_ODD | QUERY_ODD,
            _ => {}
        }
        table[i] = class;
        i += 1;
    }
    table
};

#[inline(always)]
fn class(byte: u8) -> u8 {
    CLASS[byte as usize]
}

/// Resolves a trimmed reference. Returns the index in `out` where the path starts.
pub(super) fn resolve(
    base: Option<&Base>,
    reference: &[u8],
    out: &mut Vec<u8>,
) -> Result<usize, Miss> {
    let scheme = scheme_len(reference);
    if let Some(len) = scheme {
        let https = scheme_is_https(&reference[..len]).ok_or(Miss::Rejected(Rejected::Scheme))?;
        limit(reference)?;
        let [b'/', b'/', rest @ ..] = &reference[len + 1..] else {
            return Err(Miss::Fallback);
        };
        let legacy = base.is_some_and(|base| base.encoding.is_some());
        return authority(https, rest, legacy, out);
    }
    let Some(base) = base else {
        // With a tab inside, "ht\ttp:" may still be a scheme.
        let why = if reference.is_empty() {
            Rejected::Empty
        } else {
            Rejected::Syntax
        };
        let tabs = reference
            .iter()
            .take(REFERENCE_BYTES_MAX)
            .any(|b| b"\t\r\n".contains(b));
        return Err(if tabs {
            Miss::Fallback
        } else {
            Miss::Rejected(why)
        });
    };
    relative(base, reference, out)
}

/// Resolves a reference that has no scheme. Returns the index in `out` where the path starts.
pub(super) fn relative(base: &Base, reference: &[u8], out: &mut Vec<u8>) -> Result<usize, Miss> {
    let start = out.len();
    let root = start + base.path_at;
    let legacy = base.encoding.is_some();
    match reference {
        [] | [b'#', ..] => out.extend_from_slice(&base.text),
        _ if reference.len() > REFERENCE_BYTES_MAX => limit(reference)?,
        [b'/' | b'\\', b'/' | b'\\', rest @ ..] => {
            return authority(base.is_https(), rest, legacy, out);
        }
        [b'/' | b'\\', rest @ ..] => {
            out.reserve(base.path_at + reference.len());
            out.extend_from_slice(&base.text[..base.path_at]);
            out.push(b'/');
            path(root, rest, legacy, out)?;
        }
        [b'?', ..] => {
            out.extend_from_slice(&base.text[..base.path_end]);
            query(reference, legacy, out)?;
        }
        _ => {
            out.reserve(base.directory_end + reference.len());
            out.extend_from_slice(&base.text[..base.directory_end]);
            path(root, reference, legacy, out)?;
        }
    }
    Ok(root)
}

fn limit(reference: &[u8]) -> Result<(), Miss> {
    if reference.len() > REFERENCE_BYTES_MAX {
        return Err(Miss::Rejected(Rejected::TooLong));
    }
    Ok(())
}

/// Length of the scheme before its `:`, where the reference has one.
pub(super) fn scheme_len(reference: &[u8]) -> Option<usize> {
    if !reference.first()?.is_ascii_alphabetic() {
        return None;
    }
    let len = reference.iter().position(|&b| class(b) & SCHEME == 0)?;
    (reference[len] == b':').then_some(len)
}

/// Whether a scheme is https (`true`) or http (`false`); `None` for any other.
pub(super) fn scheme_is_https(scheme: &[u8]) -> Option<bool> {
    if scheme.eq_ignore_ascii_case(b"https") {
        return Some(true);
    }
    scheme.eq_ignore_ascii_case(b"http").then_some(false)
}

/// Appends `scheme://authority`, path and query; `rest` follows the two slashes. `legacy` here and below: non-ASCII
/// queries are in an encoding other than UTF-8, which only the fallback knows.
fn authority(https: bool, rest: &[u8], legacy: bool, out: &mut Vec<u8>) -> Result<usize, Miss> {
    out.reserve(rest.len() + 12);
    out.extend_from_slice(scheme(https));
    let host = host(rest, out)?;
    after_host(https, &rest[host..], legacy, out)
}

/// `http://` or `https://`.
pub(super) fn scheme(https: bool) -> &'static [u8] {
    if https { b"https://" } else { b"http://" }
}

/// Appends port, path and query. Returns the index in `out` where the path starts.
pub(super) fn after_host(
    https: bool,
    mut rest: &[u8],
    legacy: bool,
    out: &mut Vec<u8>,
) -> Result<usize, Miss> {
    if let [b':', digits @ ..] = rest {
        rest = port(https, digits, out)?;
    }
    let root = out.len();
    out.push(b'/');
    match rest {
        [b'/' | b'\\', rest @ ..] => path(root, rest, legacy, out)?,
        [] | [b'#', ..] => {}
        [b'?', ..] => query(rest, legacy, out)?,
        _ => return Err(Miss::Fallback),
    }
    Ok(root)
}

/// Appends the host at the start of `rest` in lower case and returns its length.
fn host(rest: &[u8], out: &mut Vec<u8>) -> Result<usize, Miss> {
    let mut seen = 0;
    let mut label = 0;
    let mut len = rest.len();
    for (i, &b) in rest.iter().enumerate() {
        let class = class(b);
        if class & HOST == 0 {
            len = i;
            break;
        }
        seen |= class;
        if b == b'.' {
            if i == label {
                return Err(Miss::Fallback);
            }
            label = i + 1;
        }
    }
    let host = &rest[..len];
    // No host, a trailing dot, or too long for a host: it may be userinfo yet.
    if label == len || len > HOST_BYTES_MAX {
        return Err(Miss::Fallback);
    }
    // The last label decides whether a host is an IPv4 address (WHATWG URL 3.5 "ends in a number"). Punycode is not
    // looked into: an ASCII domain never fails (3.3 "domain to ASCII").
    if host[label].is_ascii_digit() && !is_dotted_quad(host) {
        return Err(Miss::Fallback);
    }
    let at = out.len();
    out.extend_from_slice(host);
    if seen & UPPER != 0 {
        out[at..].make_ascii_lowercase();
    }
    Ok(len)
}

fn is_dotted_quad(host: &[u8]) -> bool {
    std::str::from_utf8(host).is_ok_and(|text| text.parse::<Ipv4Addr>().is_ok())
}

/// Appends `:port` unless it is the scheme's own; returns what follows the digits.
fn port<'a>(https: bool, digits: &'a [u8], out: &mut Vec<u8>) -> Result<&'a [u8], Miss> {
    let len = digits.iter().take_while(|b| b.is_ascii_digit()).count();
    let (digits, after) = digits.split_at(len);
    let zeros = digits.iter().take_while(|&&b| b == b'0').count();
    let number = &digits[zeros.min(len.saturating_sub(1))..];
    if number.is_empty() {
        return Ok(after);
    }
    let value = number
        .iter()
        .take(6)
        .fold(0u32, |n, b| n * 10 + u32::from(b - b'0'));
    // Not certainly wrong: an `@` may follow.
    if value > 65_535 {
        return Err(Miss::Fallback);
    }
    if value != if https { 443 } else { 80 } {
        out.push(b':');
        out.extend_from_slice(number);
    }
    Ok(after)
}

/// Appends a path whose start is at a segment boundary (`out` ends with `/`), and the query after it. `root` is the
/// index of the path's first `/`; no `..` climbs above it.
fn path(root: usize, bytes: &[u8], legacy: bool, out: &mut Vec<u8>) -> Result<(), Miss> {
    let mut odd = 0;
    let mut before = SLASH;
    let mut len = bytes.len();
    for (i, &b) in bytes.iter().enumerate() {
        let class = class(b);
        if class & PATH_END != 0 {
            len = i;
            break;
        }
        odd |= (class & PATH_ODD) | (class & (before << 1) & DOT);
        before = class;
    }
    let (path, after) = bytes.split_at(len);
    if odd == 0 {
        out.extend_from_slice(path);
    } else {
        odd_path(root, path, out)?;
    }
    match after {
        [b'?', ..] => query(after, legacy, out),
        _ => Ok(()),
    }
}

/// As [`path`], for paths with dot segments or bytes that change.
fn odd_path(root: usize, path: &[u8], out: &mut Vec<u8>) -> Result<(), Miss> {
    if !path.is_ascii() && simdutf8::basic::from_utf8(path).is_err() {
        return Err(Miss::Fallback);
    }
    let mut i = dot_segments(root, path, 0, out);
    let mut run = i;
    while i < path.len() {
        let b = path[i];
        i += 1;
        if class(b) & (PATH_ODD | SLASH) == 0 {
            continue;
        }
        match b {
            b'/' => {
                if !matches!(path.get(i), Some(b'.' | b'%')) {
                    continue;
                }
                out.extend_from_slice(&path[run..i]);
                i = dot_segments(root, path, i, out);
            }
            b'\\' => {
                out.extend_from_slice(&path[run..i - 1]);
                out.push(b'/');
                i = dot_segments(root, path, i, out);
            }
            _ => {
                out.extend_from_slice(&path[run..i - 1]);
                i = escape(path, i - 1, out)?;
            }
        }
        run = i;
    }
    out.extend_from_slice(&path[run..]);
    Ok(())
}

/// Takes the dot segments at `path[at..]`, which starts a segment; returns where the next other segment starts.
/// WHATWG URL 4.4 "path state"; `%2e` counts as a dot (4.1).
fn dot_segments(root: usize, path: &[u8], mut at: usize, out: &mut Vec<u8>) -> usize {
    loop {
        let (dots, len) = match dots(&path[at..]) {
            Some(found) => found,
            None => return at,
        };
        if dots == 2 && out.len() > root + 1 {
            out.pop();
            let parent = memchr::memrchr(b'/', &out[root..]).unwrap_or(0);
            out.truncate(root + parent + 1);
        }
        at = (at + len + 1).min(path.len());
    }
}

/// Number of dots (1 or 2) and bytes of a dot segment at the start of `bytes`.
fn dots(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut rest = bytes;
    let mut count = 0;
    while count < 2 {
        rest = match rest {
            [b'.', rest @ ..] | [b'%', b'2', b'e' | b'E', rest @ ..] => rest,
            _ => break,
        };
        count += 1;
    }
    let ended = matches!(rest, [] | [b'/' | b'\\', ..]);
    (count > 0 && ended).then_some((count, bytes.len() - rest.len()))
}

/// Appends `?query` up to a `#`.
fn query(bytes: &[u8], legacy: bool, out: &mut Vec<u8>) -> Result<(), Miss> {
    let len = match bytes.iter().position(|&b| class(b) & QUERY_ODD != 0) {
        None => {
            out.extend_from_slice(bytes);
            return Ok(());
        }
        Some(odd) if bytes[odd] == b'#' => {
            out.extend_from_slice(&bytes[..odd]);
            return Ok(());
        }
        Some(_) => memchr::memchr(b'#', bytes).unwrap_or(bytes.len()),
    };
    let query = &bytes[..len];
    // Some legacy encoders do not map all controls to themselves.
    let plain = |b: &u8| (b' '..0x7f).contains(b);
    let ours = if legacy {
        query.iter().all(plain)
    } else {
        query.is_ascii() || simdutf8::basic::from_utf8(query).is_ok()
    };
    if ours {
        odd_query(query, out)
    } else {
        Err(Miss::Fallback)
    }
}

/// Appends a query with bytes that change, whatever their encoding.
pub(super) fn odd_query(query: &[u8], out: &mut Vec<u8>) -> Result<(), Miss> {
    let mut i = 0;
    let mut run = 0;
    while i < query.len() {
        if class(query[i]) & QUERY_ODD == 0 {
            i += 1;
            continue;
        }
        out.extend_from_slice(&query[run..i]);
        i = escape(query, i, out)?;
        run = i;
    }
    out.extend_from_slice(&query[run..]);
    Ok(())
}

/// Appends the byte at `at` escaped, or an escape that is there already in upper case; returns the index after it.
fn escape(bytes: &[u8], at: usize, out: &mut Vec<u8>) -> Result<usize, Miss> {
    let b = bytes[at];
    match b {
        b'%' => Ok(at + upper_escape(&bytes[at..], out)),
        b'\t' | b'\r' | b'\n' => Err(Miss::Fallback),
        _ => {
            push_escaped(b, out);
            Ok(at + 1)
        }
    }
}

/// Appends the escape that starts `bytes` (a `%`) in upper case, or the `%` alone where no two hex digits follow.
/// Returns the bytes taken.
fn upper_escape(bytes: &[u8], out: &mut Vec<u8>) -> usize {
    match bytes {
        [_, high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
            out.extend_from_slice(&[b'%', high.to_ascii_uppercase(), low.to_ascii_uppercase()]);
            3
        }
        _ => {
            out.push(b'%');
            1
        }
    }
}

/// Appends `byte` as an escape.
fn push_escaped(byte: u8, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let (high, low) = (byte >> 4, byte & 15);
    out.extend_from_slice(&[b'%', HEX[high as usize], HEX[low as usize]]);
}
