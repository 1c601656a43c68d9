//! What the fast path leaves: references with tabs or broken UTF-8 inside, userinfo, odd hosts, queries of legacy pages.
//! Slow and allocating; real pages need it for less than one link in a hundred.
//!
//! Hosts are parsed by the `url` crate (IDNA, IPv4 in all its spellings, IPv6). The rest is cleaned and goes through the
//! fast path's own code, so that there is one implementation of paths.

use super::fast::{self, Miss, scheme_is_https, scheme_len};
use super::{Base, Rejected};
use crate::limits::HOST_BYTES_MAX;
use encoding_rs::{EncoderResult, Encoding};

/// Resolves a trimmed reference. Returns the index in `out` where the path starts.
pub(super) fn resolve(
    base: Option<&Base>,
    reference: &[u8],
    out: &mut Vec<u8>,
) -> Result<usize, Rejected> {
    let text = String::from_utf8_lossy(reference).replace(['\t', '\r', '\n'], "");
    let Some(encoding) = base.and_then(|base| base.encoding) else {
        return resolve_clean(base, &text, out);
    };
    let text = &text[..text.find('#').unwrap_or(text.len())];
    let Some(mark) = text.find('?') else {
        return resolve_clean(base, text, out);
    };
    let (before, query) = text.split_at(mark + 1);
    let root = resolve_clean(base, before, out)?;
    fast::odd_query(&encode(query, encoding), out).map_err(reason)?;
    Ok(root)
}

/// As [`resolve`], for text without tabs and line ends, and without a query where the page has a legacy encoding.
fn resolve_clean(base: Option<&Base>, text: &str, out: &mut Vec<u8>) -> Result<usize, Rejected> {
    let (https, rest) = match scheme_len(text.as_bytes()) {
        Some(len) => {
            let https = scheme_is_https(&text.as_bytes()[..len]).ok_or(Rejected::Scheme)?;
            (Some(https), &text[len + 1..])
        }
        None => (None, text),
    };
    let after_slashes = rest.trim_start_matches(['/', '\\']);
    let slashes = rest.len() - after_slashes.len();
    match (base, https) {
        (None, None) => Err(Rejected::Syntax),
        (None, Some(https)) => absolute(https, after_slashes, out),
        // WHATWG URL 4.4, "special relative or authority state": `http:path` is relative to a base of the same scheme.
        (Some(base), _) if slashes < 2 && https.is_none_or(|https| https == base.is_https()) => {
            fast::relative(base, rest.as_bytes(), out).map_err(reason)
        }
        (Some(base), _) => absolute(https.unwrap_or(base.is_https()), after_slashes, out),
    }
}

/// `rest` is authority, path and query; any number of slashes before it is gone ("special authority ignore slashes").
fn absolute(https: bool, rest: &str, out: &mut Vec<u8>) -> Result<usize, Rejected> {
    let len = rest.find(['/', '\\', '?', '#']).unwrap_or(rest.len());
    let host_at = rest[..len].rfind('@').map_or(0, |at| at + 1);
    let authority = &rest[host_at..len];
    // The colons of an IPv6 address lie inside its brackets.
    let bracket = if authority.starts_with('[') {
        authority.find(']').unwrap_or(0)
    } else {
        0
    };
    let host_len = authority[bracket..]
        .find(':')
        .map_or(authority.len(), |colon| bracket + colon);
    let host = host(&authority[..host_len])?;
    if host.len() > HOST_BYTES_MAX {
        return Err(Rejected::Host);
    }
    out.extend_from_slice(fast::scheme(https));
    out.extend_from_slice(host.as_bytes());
    let after_host = &rest.as_bytes()[host_at + host_len..];
    fast::after_host(https, after_host, false, out).map_err(reason)
}

/// The canonical host. An ASCII domain never fails IDNA (WHATWG URL 3.3 "domain to ASCII" with beStrict false, since
/// 2026), which the crate does not know yet.
fn host(text: &str) -> Result<String, Rejected> {
    let mut ascii = unescaped(text);
    ascii.make_ascii_lowercase();
    let allowed = |b: &u8| b.is_ascii_graphic() && !b"#/:<>?@[\\]^|%".contains(b);
    let last = ascii
        .strip_suffix(b".")
        .unwrap_or(&ascii)
        .rsplit(|&b| b == b'.')
        .next();
    let name =
        last.is_some_and(|last| !last.iter().all(u8::is_ascii_digit) && !last.starts_with(b"0x"));
    if name && ascii.iter().all(allowed) {
        return String::from_utf8(ascii).map_err(|_| Rejected::Host);
    }
    let host = ::url::Host::parse(text).map_err(|_| Rejected::Host)?;
    Ok(host.to_string())
}

fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [b, after @ ..] = rest {
        let escaped = match (b, after) {
            (b'%', [high, low, after @ ..]) => hex(*high)
                .zip(hex(*low))
                .map(|(high, low)| (high << 4 | low, after)),
            _ => None,
        };
        let (byte, after) = escaped.unwrap_or((*b, after));
        bytes.push(byte);
        rest = after;
    }
    bytes
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

/// A query in a legacy encoding. Characters that it lacks become escaped character references (WHATWG URL 1.3
/// "percent-encode after encoding"); the other bytes are still to be escaped.
fn encode(query: &str, encoding: &'static Encoding) -> Vec<u8> {
    let mut encoder = encoding.new_encoder();
    let mut bytes = Vec::with_capacity(query.len() * 2 + 16);
    let mut rest = query;
    loop {
        let (result, read) =
            encoder.encode_from_utf8_to_vec_without_replacement(rest, &mut bytes, true);
        rest = &rest[read..];
        match result {
            EncoderResult::InputEmpty => return bytes,
            EncoderResult::OutputFull => bytes.reserve(rest.len() * 2 + 16),
            EncoderResult::Unmappable(c) => {
                let reference = format!("%26%23{}%3B", u32::from(c));
                bytes.extend_from_slice(reference.as_bytes());
            }
        }
    }
}

/// After cleaning, what the fast path still cannot read is a port that is no number or too large.
fn reason(miss: Miss) -> Rejected {
    match miss {
        Miss::Fallback => Rejected::Syntax,
        Miss::Rejected(why) => why,
    }
}
