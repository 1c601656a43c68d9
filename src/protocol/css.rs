//! References in stylesheets: `url()`, `@import` and the strings of `image-set()`.
//!
//! What must hold: tokens as in CSS Syntax Level 3, as far as references need them (comments, strings, escapes, bad
//! strings and bad URLs), linear time and no panic on any bytes. A reference without escapes is a range of the input.
//! Deliberately absent: rules and selectors (`url()` counts wherever it stands but in `@namespace`), `image("...")` and
//! `attr()`, which no browser fetches, source maps in comments.

use super::html::{Found, RefKind, Unescape};
use memchr::memmem;

/// Appends the references of the stylesheet `input` to `found`: `@import` as [`RefKind::Style`], the rest as
/// [`RefKind::Css`]. What lies beyond 4 GiB is not looked at.
pub fn scan(input: &[u8], found: &mut Found) {
    let end = input.len().min(u32::MAX as usize);
    scan_part(input, 0, end, found);
}

/// The same for `input[at..end]`, a part of the document that `found` belongs to.
pub(super) fn scan_part(input: &[u8], at: usize, end: usize, found: &mut Found) {
    Scanner {
        s: &input[..end],
        at,
        copied: false,
        set_depth: 0,
        found,
    }
    .run();
}

/// The same for text that is no part of the document: all references are copied.
pub(super) fn scan_copy(text: &[u8], found: &mut Found) {
    Scanner {
        s: text,
        at: 0,
        copied: true,
        set_depth: 0,
        found,
    }
    .run();
}

struct Scanner<'a> {
    s: &'a [u8],
    at: usize,
    copied: bool,
    /// Open parentheses from `image-set(` on; its strings count at depth 1.
    set_depth: u32,
    found: &'a mut Found,
}

impl Scanner<'_> {
    fn run(&mut self) {
        let mut previous = self.at;
        while let Some(b) = self.peek(0) {
            if !MATTERS[b as usize] {
                self.at += 1;
                continue;
            }
            match b {
                b'/' if self.peek(1) == Some(b'*') => self.comment(),
                b'"' | b'\'' => self.lone_string(),
                b'(' => self.function(previous),
                b')' => {
                    self.set_depth = self.set_depth.saturating_sub(1);
                    self.at += 1;
                }
                b'@' => self.at_rule(),
                b'\\' => self.escape(previous),
                _ => self.at += 1,
            }
            // Identifiers are not looked for before the last thing that was understood.
            previous = self.at;
        }
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.s.get(self.at + ahead).copied()
    }

    fn push(&mut self, kind: RefKind, at: usize, end: usize) {
        let escaped = memchr::memchr(b'\\', &self.s[at..end]).is_some();
        let unescape = escaped.then_some(unescape as Unescape);
        self.found
            .push_css(kind, self.s, (at, end), self.copied, unescape);
    }

    /// Behind the comment at the cursor.
    fn comment(&mut self) {
        let text = &self.s[self.at + 2..];
        self.at = memmem::find(text, b"*/").map_or(self.s.len(), |i| self.at + i + 4);
    }

    /// Behind whitespace and comments.
    fn blanks(&mut self) {
        loop {
            match self.peek(0) {
                Some(b) if is_space(b) => self.at += 1,
                Some(b'/') if self.peek(1) == Some(b'*') => self.comment(),
                _ => return,
            }
        }
    }

    fn spaces(&mut self) {
        while self.peek(0).is_some_and(is_space) {
            self.at += 1;
        }
    }

    /// The text of the string at the cursor, which ends behind it; `None` for one that a line end breaks off.
    fn string(&mut self) -> Option<(usize, usize)> {
        let quote = self.peek(0)?;
        let start = self.at + 1;
        self.at = start;
        while let Some(b) = self.peek(0) {
            match b {
                b'\\' => self.at = (self.at + 2).min(self.s.len()),
                b'\n' | b'\r' | 0x0C => return None,
                _ if b == quote => {
                    self.at += 1;
                    return Some((start, self.at - 1));
                }
                _ => self.at += 1,
            }
        }
        Some((start, self.s.len()))
    }

    fn lone_string(&mut self) {
        let in_set = self.set_depth == 1;
        if let Some((at, end)) = self.string()
            && in_set
        {
            self.push(RefKind::Css, at, end);
        }
    }

    /// The `(` at the cursor; the name of the function may stand before it, not before `since`.
    fn function(&mut self, since: usize) {
        let name = &self.s[since..self.at];
        self.at += 1;
        if ends_in(name, b"url") {
            self.url(RefKind::Css);
        } else if ends_in(name, b"image-set") || ends_in(name, b"-webkit-image-set") {
            self.set_depth = 1;
        } else if self.set_depth > 0 {
            self.set_depth = self.set_depth.saturating_add(1);
        }
    }

    /// The argument of `url(`, from behind the parenthesis to behind the closing one.
    fn url(&mut self, kind: RefKind) {
        self.spaces();
        if let Some(b'"' | b'\'') = self.peek(0) {
            if let Some((at, end)) = self.string() {
                self.push(kind, at, end);
            }
            return self.past_parenthesis();
        }
        let start = self.at;
        while let Some(b) = self.peek(0) {
            match b {
                b')' => break,
                b'\\' if self.peek(1).is_some_and(|b| !is_line_end(b)) => {
                    self.at = (self.at + 2).min(self.s.len());
                }
                b'"' | b'\'' | b'(' | b'\\' | 0..=8 | 0x0B | 0x0E..=0x1F | 0x7F => {
                    return self.past_parenthesis();
                }
                _ if is_space(b) => {
                    let end = self.at;
                    self.spaces();
                    if matches!(self.peek(0), None | Some(b')')) {
                        self.push(kind, start, end);
                    }
                    return self.past_parenthesis();
                }
                _ => self.at += 1,
            }
        }
        self.push(kind, start, self.at);
        self.at = (self.at + 1).min(self.s.len());
    }

    /// Behind the next `)` that is not escaped.
    fn past_parenthesis(&mut self) {
        while let Some(i) = memchr::memchr2(b')', b'\\', &self.s[self.at..]) {
            self.at += i;
            if self.s[self.at] == b')' {
                self.at += 1;
                return;
            }
            self.at = (self.at + 2).min(self.s.len());
        }
        self.at = self.s.len();
    }

    fn at_rule(&mut self) {
        self.at += 1;
        if let Some(end) = self.word(self.at, b"import") {
            self.at = end;
            self.blanks();
            self.import();
        } else if let Some(end) = self.word(self.at, b"namespace") {
            let rest = &self.s[end..];
            self.at = memchr::memchr2(b';', b'{', rest).map_or(self.s.len(), |i| end + i);
        }
    }

    fn import(&mut self) {
        match self.peek(0) {
            Some(b'"' | b'\'') => {
                if let Some((at, end)) = self.string() {
                    self.push(RefKind::Style, at, end);
                }
            }
            _ => {
                if let Some(end) = self.word(self.at, b"url")
                    && self.s.get(end) == Some(&b'(')
                {
                    self.at = end + 1;
                    self.url(RefKind::Style);
                }
            }
        }
    }

    /// The `\` at the cursor: it may belong to an escaped `url(`.
    fn escape(&mut self, since: usize) {
        let before = &self.s[since..self.at];
        let letters = before.iter().rev().take_while(|&&b| is_name(b)).count();
        if letters < 3
            && let Some(end) = self.word(self.at - letters, b"url")
            && self.s.get(end) == Some(&b'(')
        {
            self.at = end + 1;
            return self.url(RefKind::Css);
        }
        // The rest of the identifier cannot begin another.
        while let Some(b) = self.peek(0) {
            match b {
                b'\\' => self.at = (self.at + 2).min(self.s.len()),
                _ if is_name(b) => self.at += 1,
                _ => break,
            }
        }
    }

    /// Where the identifier at `at` ends, if it is `word` (in lower case), escapes decoded.
    fn word(&self, mut at: usize, word: &[u8]) -> Option<usize> {
        for &expected in word {
            let (c, next) = match self.s.get(at)? {
                b'\\' => escaped(self.s, at + 1)?,
                &b => (char::from(b), at + 1),
            };
            if !c.eq_ignore_ascii_case(&char::from(expected)) {
                return None;
            }
            at = next;
        }
        let more = self.s.get(at).is_some_and(|&b| is_name(b) || b == b'\\');
        (!more).then_some(at)
    }
}

/// The bytes that may begin something.
static MATTERS: [bool; 256] = {
    let mut table = [false; 256];
    let bytes = b"/\"'()@\\";
    let mut i = 0;
    while i < bytes.len() {
        table[bytes[i] as usize] = true;
        i += 1;
    }
    table
};

fn is_space(b: u8) -> bool {
    matches!(b, b' ' | b'\t' | b'\n' | b'\r' | 0x0C)
}

fn is_line_end(b: u8) -> bool {
    matches!(b, b'\n' | b'\r' | 0x0C)
}

/// Whether `b` continues an identifier.
fn is_name(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | 0x80..)
}

/// Whether `text` ends in the identifier `name`, in any case.
fn ends_in(text: &[u8], name: &[u8]) -> bool {
    let Some(start) = text.len().checked_sub(name.len()) else {
        return false;
    };
    text[start..].eq_ignore_ascii_case(name) && !(start > 0 && is_name(text[start - 1]))
}

/// The character of the escape whose `\` lies before `at`, and where to go on (CSS Syntax 4.3.7).
fn escaped(s: &[u8], at: usize) -> Option<(char, usize)> {
    let digits = s[at.min(s.len())..]
        .iter()
        .take(6)
        .take_while(|b| b.is_ascii_hexdigit())
        .count();
    if digits == 0 {
        let first = *s.get(at)?;
        // Other bytes of the character follow as they are.
        return (!is_line_end(first)).then_some((char::from(first), at + 1));
    }
    let code = s[at..at + digits].iter().fold(0, |code, &b| {
        code * 16 + char::from(b).to_digit(16).unwrap_or(0)
    });
    let c = match char::from_u32(code) {
        Some(c) if c != '\0' => c,
        _ => '\u{FFFD}',
    };
    let mut end = at + digits;
    if s[end..].starts_with(b"\r\n") {
        end += 2;
    } else if s.get(end).is_some_and(|&b| is_space(b)) {
        end += 1;
    }
    Some((c, end))
}

/// Appends `text` to `out` with escapes decoded; an escaped line end vanishes.
fn unescape(text: &[u8], out: &mut Vec<u8>) {
    let mut at = 0;
    while let Some(&b) = text.get(at) {
        at += 1;
        if b != b'\\' {
            out.push(b);
            continue;
        }
        match text.get(at) {
            Some(&first) if first >= 0x80 => {}
            Some(&b) if is_line_end(b) => {
                at += if text[at..].starts_with(b"\r\n") {
                    2
                } else {
                    1
                };
            }
            _ => {
                if let Some((c, next)) = escaped(text, at) {
                    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                    at = next;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn refs(css: &str) -> Vec<(RefKind, String)> {
        let mut found = Found::default();
        scan(css.as_bytes(), &mut found);
        let text = |r| String::from_utf8_lossy(found.text(r, css.as_bytes())).into_owned();
        found.refs.iter().map(|r| (r.kind, text(r))).collect()
    }

    fn urls(css: &str) -> Vec<String> {
        refs(css).into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn urls_quoted_or_not() {
        assert_eq!(
            urls("a{b:url(x.png);c:URL( 'y z.png' ),d:url(\"w\" ) url()}"),
            ["x.png", "y z.png", "w"]
        );
        assert_eq!(
            urls("a{b:xurl(no);c:-url(no);d:url(a b);e:url(a\"b);f:url(ok)}"),
            ["ok"]
        );
        assert_eq!(urls("url(unclosed"), ["unclosed"]);
        assert_eq!(urls("url('unclosed"), ["unclosed"]);
    }

    #[test]
    fn imports_are_stylesheets() {
        assert_eq!(
            refs("@import 'a.css';@IMPORT/**/url(b.css) print;@import\turl(\"c.css\");d{e:url(f)}"),
            [
                (RefKind::Style, "a.css".into()),
                (RefKind::Style, "b.css".into()),
                (RefKind::Style, "c.css".into()),
                (RefKind::Css, "f".into()),
            ]
        );
        assert_eq!(
            urls("@important 'no'; @namespace url(http://no); @media{a{b:url(c)}}"),
            ["c"]
        );
    }

    #[test]
    fn comments_and_strings_hide() {
        assert_eq!(
            urls("/* url(no) */ a{content:'url(no)';b:url(yes)} /* url(no)"),
            ["yes"]
        );
        assert_eq!(urls("a{b:'broken\n;c:url(yes)}"), ["yes"]);
        assert_eq!(urls("a{b:'it\\'s url(no)'}"), [""; 0]);
    }

    #[test]
    fn escapes_in_names_and_values() {
        assert_eq!(
            urls("\\75 \\72 \\6C (a) \\000075\\000072\\00006C(b) u\\72l(c)"),
            ["a", "b", "c"]
        );
        assert_eq!(
            urls("url(a\\)b) url('c\\26 d') url(\"e\\\nf\") \\"),
            ["a)b", "c&d", "ef"]
        );
        assert_eq!(urls("@\\69mport 'x'"), ["x"]);
    }

    #[test]
    fn image_sets() {
        assert_eq!(
            urls("a{b:image-set('a.png' 1x type('image/png'), url(b.png) 2x) 'no'}"),
            ["a.png", "b.png"]
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(pieces in prop::collection::vec(prop::sample::select(
            &["url(", "@import", "'", "\"", "\\", "/*", "*/", ")", "(", "\n", "u", "\\75", "é", " ", "image-set(", ";"][..]
        ), 0..60)) {
            let css = pieces.concat();
            let mut found = Found::default();
            scan(css.as_bytes(), &mut found);
            for r in &found.refs {
                prop_assert!(!found.text(r, css.as_bytes()).contains(&b'\\') || css.contains("\\\\") || css.contains("\\5"));
            }
        }
    }
}
