//! Patterns and targets in one normal form, and the matcher.
//!
//! In the normal form (RFC 9309 2.2.2) unreserved characters are never escaped, anything else that is not reserved always
//! is. `*`, `$` and `'` are unescaped too: the first two because a pattern writes them `%2A` and `%24` (2.2.3), the last
//! because canonical URLs have it escaped in queries and as it is in paths.

use super::Rule;
use crate::limits::URL_BYTES_MAX;

/// A wildcard in a normal pattern. A NUL of the file itself is escaped.
pub(super) const WILD: u8 = 0;

/// Appends the normal form of a pattern and tells whether it ended with `$`, which is left out.
pub(super) fn normalise(pattern: &[u8], out: &mut Vec<u8>) -> bool {
    let (pattern, anchored) = match pattern.strip_suffix(b"$") {
        Some(rest) => (rest, true),
        None => (pattern, false),
    };
    let mut rest = pattern;
    while let [byte, after @ ..] = rest {
        rest = after;
        if *byte == b'*' {
            out.push(WILD);
        } else {
            rest = push_normal(*byte, after, true, |bytes| out.extend_from_slice(bytes));
        }
    }
    anchored
}

/// Calls `then` with the normal form of a target: the target itself in most cases, else a copy on the stack.
pub(super) fn with_normal_target<T>(target: &[u8], then: impl FnOnce(&[u8]) -> T) -> T {
    if target.iter().all(|&b| b != b'%' && is_literal(b)) {
        return then(target);
    }
    // Canonical URLs are short enough; the heap is for callers that are not bound by the limit.
    let mut stack = [0; URL_BYTES_MAX * 3];
    let mut heap = Vec::new();
    let room = if target.len() <= URL_BYTES_MAX {
        &mut stack[..]
    } else {
        heap.resize(target.len() * 3, 0);
        &mut heap[..]
    };
    let mut len = 0;
    let mut rest = target;
    while let [byte, after @ ..] = rest {
        rest = push_normal(*byte, after, false, |bytes| {
            room[len..len + bytes.len()].copy_from_slice(bytes);
            len += bytes.len();
        });
    }
    then(&room[..len])
}

/// Pushes the normal form of `byte`, which `after` follows, and returns what is left of `after`. Bytes beyond ASCII are
/// escaped in patterns only: in a target they are not canonical and must not match.
fn push_normal(byte: u8, after: &[u8], pattern: bool, mut push: impl FnMut(&[u8])) -> &[u8] {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let escaped = |b: u8| [b'%', HEX[usize::from(b >> 4)], HEX[usize::from(b & 15)]];
    if byte == b'%' {
        let value = match after {
            [high, low, ..] => hex(*high).zip(hex(*low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        let Some(value) = value else {
            push(b"%");
            return after;
        };
        if is_unescaped(value) {
            push(&[value]);
        } else {
            push(&escaped(value));
        }
        return &after[2..];
    }
    if is_literal(byte) || (!pattern && byte >= 0x80) {
        push(&[byte]);
    } else {
        push(&escaped(byte));
    }
    after
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

/// Stands unescaped in the normal form even where the file escapes it.
fn is_unescaped(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~*$'".contains(&byte)
}

/// Reserved or unreserved (RFC 3986 2.2, 2.3): stays as it is.
fn is_literal(byte: u8) -> bool {
    is_unescaped(byte) || b":/?#[]@!&()+,;=".contains(&byte)
}

/// Whether a normal pattern matches a normal target. Takes each literal piece at its first place, which is enough, since
/// a later place leaves less for the pieces after it; only the last piece of an anchored pattern is bound to the end.
/// Linear in the target for each call, as every search goes on where the last one ended.
pub(super) fn matches(pattern: &[u8], rule: &Rule, target: &[u8]) -> bool {
    if !rule.wild {
        return target.starts_with(pattern) && (!rule.anchored || target.len() == pattern.len());
    }
    let mut pieces = pattern.split(|&b| b == WILD);
    let Some(mut rest) = pieces.next().and_then(|first| target.strip_prefix(first)) else {
        return false;
    };
    let mut pieces = pieces.peekable();
    while let Some(piece) = pieces.next() {
        if rule.anchored && pieces.peek().is_none() {
            return rest.ends_with(piece);
        }
        match memchr::memmem::find(rest, piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    true
}
