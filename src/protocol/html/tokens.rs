//! The tokenizer: finds tags and hands their parts to a visitor.
//!
//! What must hold: start tags and their attributes are those of the HTML Standard's tokenizer (13.2.5), in order, for any
//! bytes, given what the visitor says of raw text and foreign content. Time is linear: no construct is looked at twice,
//! and one that is never closed runs to the end of the input, as the standard says. A tag that the input ends in is
//! dropped. Deliberately absent: text, comments and doctypes as tokens, parse errors, line numbers.

use super::find::{self, ATTRIBUTE_END, Find, NAME_END, SPACE, SPECIAL, UNQUOTED_END};
use super::names::{self, Tag};

/// An attribute value as it is written, quotes excluded.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Value {
    /// Where it starts.
    pub at: usize,
    /// Where it ends.
    pub end: usize,
    /// No `&`, NUL, tab or line end lies in it.
    pub plain: bool,
}

/// What follows a start tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// Tags and text.
    Markup,
    /// Text up to the end tag of this name (RCDATA and RAWTEXT differ in references only).
    Text(&'static [u8]),
    /// Text with the script states.
    Script,
    /// The rest of the input is text.
    Plaintext,
}

/// Takes what the tokenizer finds. Offsets are into the input.
pub(super) trait Visitor {
    /// A start tag begins. Says whether its attributes are wanted.
    fn start(&mut self, tag: Tag, at: usize, end: usize) -> bool;
    /// An attribute of a start tag that is wanted; duplicates are not removed.
    fn attribute(&mut self, at: usize, end: usize, value: Value);
    /// The start tag is complete and ended before `after`. Says how to read on.
    fn started(&mut self, tag: Tag, self_closing: bool, after: usize) -> Content;
    /// The text of the element last started, where that is not markup.
    fn text(&mut self, at: usize, end: usize);
    /// An end tag; attributes on it are skipped.
    fn ended(&mut self, at: usize, end: usize);
    /// Whether `<![CDATA[` opens a section here, as it does in foreign content.
    fn cdata(&self) -> bool;
}

/// Goes through `s` once.
#[inline(always)]
pub(super) fn run<F: Find, V: Visitor>(f: F, s: &[u8], v: &mut V) {
    let mut opens = F::Opens::default();
    let mut at = 0;
    loop {
        at = f.open(s, &mut opens, at);
        let Some(&next) = s.get(at + 1) else { return };
        at = match next {
            b'a'..=b'z' | b'A'..=b'Z' => start_tag(f, s, at + 1, v),
            b'/' => end_tag(f, s, at + 2, v),
            b'!' => declaration(f, s, at + 2, v.cdata()),
            b'?' => past(f.byte(s, at + 2, b'>'), 1, s),
            _ => at + 1,
        };
    }
}

/// `at + len`, at most the end of the input.
#[inline(always)]
fn past(at: usize, len: usize, s: &[u8]) -> usize {
    (at + len).min(s.len())
}

/// A start tag whose name is at `at`; returns where to go on.
#[inline(always)]
fn start_tag<F: Find, V: Visitor>(f: F, s: &[u8], at: usize, v: &mut V) -> usize {
    let name_end = f.set::<NAME_END>(s, at);
    let tag = names::tag(s, at, name_end);
    let wanted = v.start(tag, at, name_end);
    let (after, self_closing) = match s.get(name_end) {
        Some(b'>') => (name_end + 1, false),
        _ => {
            let end = match wanted {
                true => attributes::<true, F, V>(f, s, name_end, v),
                false => attributes::<false, F, V>(f, s, name_end, v),
            };
            match end {
                Some(end) => end,
                None => return s.len(),
            }
        }
    };
    let end = match v.started(tag, self_closing, after) {
        Content::Markup => return after,
        Content::Text(name) => text_end(f, s, after, name),
        Content::Script => script_end(f, s, after),
        Content::Plaintext => s.len(),
    };
    v.text(after, end);
    end
}

/// An end tag whose name is at `at`; returns where to go on.
#[inline(always)]
fn end_tag<F: Find, V: Visitor>(f: F, s: &[u8], at: usize, v: &mut V) -> usize {
    match s.get(at) {
        Some(b) if b.is_ascii_alphabetic() => {}
        // `</>` is nothing, anything else a bogus comment.
        _ => return past(f.byte(s, at.min(s.len()), b'>'), 1, s),
    }
    let name_end = f.set::<NAME_END>(s, at);
    let after = match s.get(name_end) {
        Some(b'>') => name_end + 1,
        _ => match attributes::<false, F, V>(f, s, name_end, v) {
            Some((after, _)) => after,
            None => return s.len(),
        },
    };
    v.ended(at, name_end);
    after
}

/// Attributes from behind a tag name. Where the tag ends and whether by `/>`; `None` where the input ends in it.
#[inline(always)]
fn attributes<const WANTED: bool, F: Find, V: Visitor>(
    f: F,
    s: &[u8],
    mut at: usize,
    v: &mut V,
) -> Option<(usize, bool)> {
    loop {
        let mut b = *s.get(at)?;
        while find::is(b, find::BETWEEN) {
            let slash = b == b'/';
            at += 1;
            b = *s.get(at)?;
            if slash && b == b'>' {
                return Some((at + 1, true));
            }
        }
        if b == b'>' {
            return Some((at + 1, false));
        }
        // A name may begin with `=`.
        let name = at;
        let name_end = f.set::<ATTRIBUTE_END>(s, at + usize::from(b == b'='));
        at = spaces(s, name_end);
        if *s.get(at)? != b'=' {
            if WANTED {
                v.attribute(
                    name,
                    name_end,
                    Value {
                        at,
                        end: at,
                        plain: true,
                    },
                );
            }
            continue;
        }
        at = spaces(s, at + 1);
        let (value, after) = value::<WANTED, F>(f, s, at)?;
        if WANTED {
            v.attribute(name, name_end, value);
        }
        at = after;
    }
}

/// The first byte that is no space.
#[inline(always)]
fn spaces(s: &[u8], mut at: usize) -> usize {
    while let Some(&b) = s.get(at) {
        if !find::is(b, SPACE) {
            break;
        }
        at += 1;
    }
    at
}

/// The value at `at` and where to go on; `None` where the input ends in it.
#[inline(always)]
fn value<const WANTED: bool, F: Find>(f: F, s: &[u8], at: usize) -> Option<(Value, usize)> {
    let b = *s.get(at)?;
    if b == b'"' || b == b'\'' {
        let (end, plain) = match WANTED {
            true => f.quote(s, at + 1, b),
            false => (f.byte(s, at + 1, b), true),
        };
        return (end < s.len()).then_some((
            Value {
                at: at + 1,
                end,
                plain,
            },
            end + 1,
        ));
    }
    // `a=>` has the empty value, and so does the search.
    let end = f.set::<UNQUOTED_END>(s, at);
    if end == s.len() {
        return None;
    }
    let plain = !WANTED || f.set::<SPECIAL>(&s[..end], at) == end;
    Some((Value { at, end, plain }, end))
}

/// What `<!` opened; `at` is behind it. Comments, CDATA sections, doctypes, bogus comments.
#[inline(always)]
fn declaration<F: Find>(f: F, s: &[u8], at: usize, cdata: bool) -> usize {
    let rest = s.get(at..).unwrap_or_default();
    if rest.starts_with(b"--") {
        return comment_end(f, s, at + 2);
    }
    if cdata && rest.starts_with(b"[CDATA[") {
        return memchr::memmem::find(rest, b"]]>").map_or(s.len(), |i| at + i + 3);
    }
    // The identifiers of a doctype cannot hide a `>`: it ends there too.
    past(f.byte(s, at.min(s.len()), b'>'), 1, s)
}

/// Where a comment ends whose text starts at `at`: behind `-->`, `--!>`, or at once for `<!-->` and `<!--->`.
#[inline(always)]
fn comment_end<F: Find>(f: F, s: &[u8], mut at: usize) -> usize {
    let rest = &s[at..];
    if rest.starts_with(b">") {
        return at + 1;
    }
    if rest.starts_with(b"->") {
        return at + 2;
    }
    loop {
        at = f.pair(s, at, b'-', b'-', b'-');
        at = dashes(s, at);
        match (s.get(at), s.get(at + 1)) {
            (Some(b'>'), _) => return at + 1,
            (Some(b'!'), Some(b'>')) => return at + 2,
            (None, _) => return s.len(),
            _ => {}
        }
    }
}

/// The end of the run of dashes at `at`.
#[inline(always)]
fn dashes(s: &[u8], at: usize) -> usize {
    let run = s[at..].iter().take_while(|&&b| b == b'-').count();
    at + run
}

/// Whether `</name` and a byte that ends a tag name stand at `at`.
#[inline(always)]
fn closes(s: &[u8], at: usize, name: &[u8]) -> bool {
    let behind = at + 2 + name.len();
    s.get(at..at + 2) == Some(b"</")
        && s.get(at + 2..behind)
            .is_some_and(|n| n.eq_ignore_ascii_case(name))
        && s.get(behind).is_some_and(|&b| find::is(b, NAME_END))
}

/// Where the end tag of a raw text element starts.
#[inline(always)]
fn text_end<F: Find>(f: F, s: &[u8], mut at: usize, name: &[u8]) -> usize {
    loop {
        at = f.pair(s, at, b'<', b'/', b'/');
        if at == s.len() || closes(s, at, name) {
            return at;
        }
        at += 2;
    }
}

/// Where the end tag of a script starts (13.2.5.4 and 13.2.5.15 to 13.2.5.31).
#[inline(always)]
fn script_end<F: Find>(f: F, s: &[u8], mut at: usize) -> usize {
    loop {
        at = f.pair(s, at, b'<', b'/', b'!');
        if at == s.len() || closes(s, at, b"script") {
            return at;
        }
        if !s[at..].starts_with(b"<!--") {
            at += 2;
            continue;
        }
        match escaped_script(s, at + 2) {
            Escaped::Ended(at) => return at,
            Escaped::Left(next) => at = next,
        }
    }
}

enum Escaped {
    /// The script ends here (its end tag, or the end of the input).
    Ended(usize),
    /// `-->` was found; ordinary script goes on here.
    Left(usize),
}

/// Script text behind `<!`, from the two dashes on: the escaped and double escaped states.
#[cold]
#[inline(never)]
fn escaped_script(s: &[u8], mut at: usize) -> Escaped {
    let mut double = false;
    while let Some(i) = memchr::memchr2(b'-', b'<', s.get(at..).unwrap_or_default()) {
        at += i;
        if s[at] == b'-' {
            let run_end = dashes(s, at);
            if run_end - at >= 2 && s.get(run_end) == Some(&b'>') {
                return Escaped::Left(run_end + 1);
            }
            at = run_end;
        } else if closes(s, at, b"script") {
            if !double {
                return Escaped::Ended(at);
            }
            double = false;
            at += b"</script".len();
        } else if !double && opens_script(s, at) {
            double = true;
            at += b"<script".len();
        } else {
            at += 1;
        }
    }
    Escaped::Ended(s.len())
}

/// Whether `<script` and a byte that ends a tag name stand at `at`.
fn opens_script(s: &[u8], at: usize) -> bool {
    s.get(at..at + 7)
        .is_some_and(|n| n.eq_ignore_ascii_case(b"<script"))
        && s.get(at + 7).is_some_and(|&b| find::is(b, NAME_END))
}
