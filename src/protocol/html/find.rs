//! Searches the tokenizer is made of, behind a trait so that one tokenizer serves every instruction set.
//!
//! What must hold: every implementation of [`Find`] gives the same answers on any bytes; a test compares them. A search
//! looks at each byte at most once and answers the length of the input where nothing is found. Deliberately absent:
//! anything that knows of tags.

/// Tab, LF, FF, CR.
const CONTROL_SPACE: u8 = 1;
/// Space.
const BLANK: u8 = 2;
/// `/`.
const SLASH: u8 = 4;
/// `>`.
const CLOSE: u8 = 8;
/// `=`.
const EQUALS: u8 = 16;
/// `&`.
const AMPERSAND: u8 = 32;
/// NUL, tab, LF, CR.
const CHANGED: u8 = 64;

/// ASCII whitespace as HTML has it.
pub(super) const SPACE: u8 = CONTROL_SPACE | BLANK;
/// Ends a tag name.
pub(super) const NAME_END: u8 = SPACE | SLASH | CLOSE;
/// Ends an attribute name.
pub(super) const ATTRIBUTE_END: u8 = NAME_END | EQUALS;
/// Ends an attribute value without quotes.
pub(super) const UNQUOTED_END: u8 = SPACE | CLOSE;
/// What may stand between attributes.
pub(super) const BETWEEN: u8 = SPACE | SLASH;
/// Makes that a value is not used as it is written.
pub(super) const SPECIAL: u8 = AMPERSAND | CHANGED;

/// Classes of each byte.
static CLASS: [u8; 256] = {
    let mut table = [0; 256];
    let mut b = 0;
    while b < 256 {
        table[b] = classes_of(b as u8);
        b += 1;
    }
    table
};

/// The classes of `b`. No class spans two high nibbles in a way that a nibble look-up could not tell (tested).
pub(super) const fn classes_of(b: u8) -> u8 {
    match b {
        0 => CHANGED,
        b'\t' | b'\n' | b'\r' => CONTROL_SPACE | CHANGED,
        0x0C => CONTROL_SPACE,
        b' ' => BLANK,
        b'/' => SLASH,
        b'>' => CLOSE,
        b'=' => EQUALS,
        b'&' => AMPERSAND,
        _ => 0,
    }
}

/// Whether `b` belongs to one of the classes `set`.
#[inline(always)]
pub(super) fn is(b: u8, set: u8) -> bool {
    CLASS[b as usize] & set != 0
}

/// Forward searches in `s` from `from` (at most `s.len()`); `s.len()` means not found.
pub(super) trait Find: Copy {
    /// How far [`Find::open`] has come.
    type Opens: Default;
    /// The next `<` at or after `at`. Called with growing `at` only, each beyond the last answer.
    ///
    /// Apart from `byte`, so that an implementation may know of the next `<` before the end of the current tag is known:
    /// then one tag is parsed while the next is found.
    fn open(self, s: &[u8], opens: &mut Self::Opens, at: usize) -> usize;
    /// The first `b`.
    fn byte(self, s: &[u8], from: usize, b: u8) -> usize;
    /// The first byte of one of the classes `SET`. Expected to be near.
    fn set<const SET: u8>(self, s: &[u8], from: usize) -> usize;
    /// The first `quote`, and whether no [`SPECIAL`] byte lies before it.
    fn quote(self, s: &[u8], from: usize, quote: u8) -> (usize, bool);
    /// The first `a` that is followed by `b` or `c`.
    fn pair(self, s: &[u8], from: usize, a: u8, b: u8, c: u8) -> usize;
}

/// Works everywhere: `memchr` for what may be far, table look-ups for what is near.
#[derive(Clone, Copy)]
pub(super) struct Portable;

impl Find for Portable {
    type Opens = ();

    #[inline]
    fn open(self, s: &[u8], (): &mut (), at: usize) -> usize {
        self.byte(s, at, b'<')
    }

    #[inline]
    fn byte(self, s: &[u8], from: usize, b: u8) -> usize {
        memchr::memchr(b, &s[from..]).map_or(s.len(), |i| from + i)
    }

    #[inline]
    fn set<const SET: u8>(self, s: &[u8], from: usize) -> usize {
        s[from..]
            .iter()
            .position(|&b| is(b, SET))
            .map_or(s.len(), |i| from + i)
    }

    #[inline]
    fn quote(self, s: &[u8], from: usize, quote: u8) -> (usize, bool) {
        let end = self.byte(s, from, quote);
        let plain = !s[from..end].iter().any(|&b| is(b, SPECIAL));
        (end, plain)
    }

    #[inline]
    fn pair(self, s: &[u8], mut from: usize, a: u8, b: u8, c: u8) -> usize {
        loop {
            let at = self.byte(s, from, a);
            match s.get(at + 1) {
                Some(&next) if next == b || next == c => return at,
                Some(_) => from = at + 1,
                None => return s.len(),
            }
        }
    }
}
