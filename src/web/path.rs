//! What lies behind a path, and which path leads to it.
//!
//! What must hold: every target of a host has exactly one path, and `parse(write(target)) == target`; every other path
//! is not found. So a crawler that makes a URL wrong sees a 404, and two URLs never show the same page.

use super::draw::{Draw, mix};
use super::words::{WORD_BITS, Words};

/// Page numbers lie below this, also on an endless host.
pub const PAGE_NUMBERS: u64 = 1 << 48;
/// Images of one host; even numbers are PNG, odd ones SVG.
pub const IMAGES: u32 = 64;
/// Month that the calendar trap begins with: November 2026.
pub const CALENDAR_START: u64 = 2026 * 12 + 10;
/// Growing paths stop being generated at this depth, far beyond any sensible limit of a crawler.
pub const DEEP_MAX: u32 = 2_000;

/// Something that a host answers with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// An ordinary page; 0 is `/`.
    Page(u64),
    /// A further redirect of a page that redirects; hop 0 is the page itself.
    Hop(u64, u32),
    /// A page that robots.txt forbids where it has rules.
    Private(u64),
    /// A page that robots.txt allows below what it forbids.
    Open(u64),
    /// An image.
    Image(u32),
    /// The stylesheet.
    Style,
    /// The script.
    Script,
    /// robots.txt.
    Robots,
    /// Trap: a month of an endless calendar, counted from year 0.
    Calendar(u64),
    /// Trap: `/trap/a/b/a/b/...`, so deep.
    Deep(u32),
    /// Trap: a page with a session id that changes with every link.
    Session(u64, u64),
}

/// Writes targets as paths and finds them again. Holds what paths are made of.
#[derive(Debug)]
pub struct Paths {
    seed: u64,
    words: Words,
}

const STYLES: u64 = 0x7374_796c;
const SLUG: u64 = 0x736c_7567;

impl Paths {
    /// The paths of the web of `seed`.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            words: Words::new(seed),
        }
    }

    /// The vocabulary.
    pub fn words(&self) -> &Words {
        &self.words
    }

    /// Which of sixteen path styles a page has.
    #[inline]
    fn style(&self, host: u32, page: u64) -> u64 {
        mix(self.seed ^ (u64::from(host) << 20) ^ page.wrapping_mul(0x9e37_79b9) ^ STYLES) & 15
    }

    fn slug(&self, host: u32, page: u64, out: &mut Vec<u8>) {
        let bits = Draw::of(self.seed, host, page, SLUG).bits();
        for bits in [bits, bits >> WORD_BITS] {
            out.extend_from_slice(self.words.any(bits).as_bytes());
            out.push(b'-');
        }
    }

    /// Appends the path (and query) of `target` in canonical form: UTF-8 percent-encoded.
    pub fn write(&self, host: u32, target: Target, out: &mut Vec<u8>) {
        match target {
            Target::Page(page) => self.write_page(host, page, out),
            Target::Hop(page, hop) => numbered(out, b"/r/", page, b'/', hop.into(), b""),
            Target::Private(n) => one(out, b"/private/", n, b""),
            Target::Open(n) => one(out, b"/private/open/", n, b""),
            Target::Image(n) => {
                let extension: &[u8] = if n % 2 == 0 { b".png" } else { b".svg" };
                one(out, b"/i/", n.into(), extension);
            }
            Target::Style => out.extend_from_slice(b"/s.css"),
            Target::Script => out.extend_from_slice(b"/s.js"),
            Target::Robots => out.extend_from_slice(b"/robots.txt"),
            Target::Calendar(month) => numbered(
                out,
                b"/trap/calendar/",
                month / 12,
                b'/',
                month % 12 + 1,
                b"",
            ),
            Target::Deep(depth) => {
                out.extend_from_slice(b"/trap/");
                for level in 0..depth {
                    out.extend_from_slice(if level % 2 == 0 { b"a/" } else { b"b/" });
                }
            }
            Target::Session(page, sid) => {
                one(out, b"/trap/session?page=", page, b"&sid=");
                decimal(out, sid);
            }
        }
    }

    fn write_page(&self, host: u32, page: u64, out: &mut Vec<u8>) {
        if page == 0 {
            return out.push(b'/');
        }
        match self.style(host, page) {
            0..=6 => one(out, b"/p/", page, b""),
            7..=9 => numbered(out, b"/docs/", page >> 10, b'/', page, b".html"),
            10 | 11 => one(out, b"/view?id=", page, b"&lang=en"),
            12 | 13 => {
                out.extend_from_slice(b"/t/");
                self.slug(host, page, out);
                decimal(out, page);
            }
            14 => one(out, b"/c/", page, b"/"),
            _ => one(out, b"/caf%C3%A9/", page, b""),
        }
    }

    /// What `path` (with its query) leads to on `host`; `None`: not found.
    pub fn parse(&self, host: u32, path: &[u8], scratch: &mut Vec<u8>) -> Option<Target> {
        let target = guess(path)?;
        scratch.clear();
        self.write(host, target, scratch);
        (scratch == path).then_some(target)
    }
}

/// The only target that `path` can be the path of; whether it is has to be checked by writing it again.
fn guess(path: &[u8]) -> Option<Target> {
    match path {
        b"/" => return Some(Target::Page(0)),
        b"/s.css" => return Some(Target::Style),
        b"/s.js" => return Some(Target::Script),
        b"/robots.txt" => return Some(Target::Robots),
        _ => {}
    }
    if let Some(rest) = path.strip_prefix(b"/trap/") {
        return guess_trap(rest);
    }
    if let Some(rest) = path.strip_prefix(b"/private/open/") {
        return Some(Target::Open(page_number(rest)?));
    }
    if let Some(rest) = path.strip_prefix(b"/private/") {
        return Some(Target::Private(page_number(rest)?));
    }
    if let Some(rest) = path.strip_prefix(b"/i/") {
        let n = u32::try_from(number(rest).0?).ok()?;
        return (n < IMAGES).then_some(Target::Image(n));
    }
    if let Some(rest) = path.strip_prefix(b"/r/") {
        let (page, rest) = number(rest);
        let hop = number(rest.strip_prefix(b"/")?).0?;
        return Some(Target::Hop(page?, u32::try_from(hop).ok()?));
    }
    // All styles of a page: the last group of digits is its number.
    let end = path.iter().rposition(u8::is_ascii_digit)? + 1;
    let start = path[..end]
        .iter()
        .rposition(|c| !c.is_ascii_digit())
        .map_or(0, |at| at + 1);
    Some(Target::Page(page_number(&path[start..end])?))
}

fn guess_trap(rest: &[u8]) -> Option<Target> {
    if let Some(rest) = rest.strip_prefix(b"calendar/") {
        let (year, rest) = number(rest);
        let month = number(rest.strip_prefix(b"/")?).0?;
        return Some(Target::Calendar(
            year?.checked_mul(12)? + month.checked_sub(1)?.min(11),
        ));
    }
    if let Some(rest) = rest.strip_prefix(b"session?page=") {
        let (page, rest) = number(rest);
        return Some(Target::Session(
            page?,
            number(rest.strip_prefix(b"&sid=")?).0?,
        ));
    }
    let depth = u32::try_from(rest.len() / 2).ok()?;
    (depth <= DEEP_MAX).then_some(Target::Deep(depth))
}

/// The decimal number that `text` begins with (below 2^60), and what follows.
fn number(text: &[u8]) -> (Option<u64>, &[u8]) {
    let digits = text.iter().take_while(|c| c.is_ascii_digit()).count();
    let (head, rest) = text.split_at(digits);
    if digits == 0 || digits > 18 {
        return (None, rest);
    }
    let value = head.iter().fold(0, |n, c| n * 10 + u64::from(c - b'0'));
    (Some(value), rest)
}

fn page_number(text: &[u8]) -> Option<u64> {
    number(text).0.filter(|n| *n < PAGE_NUMBERS)
}

/// Appends `n` in decimal.
#[inline]
pub fn decimal(out: &mut Vec<u8>, mut n: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (n % 10) as u8;
        n /= 10;
        if n == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

#[inline]
fn one(out: &mut Vec<u8>, before: &[u8], n: u64, after: &[u8]) {
    out.extend_from_slice(before);
    decimal(out, n);
    out.extend_from_slice(after);
}

fn numbered(out: &mut Vec<u8>, before: &[u8], a: u64, between: u8, b: u64, after: &[u8]) {
    one(out, before, a, &[between]);
    decimal(out, b);
    out.extend_from_slice(after);
}

/// The host number of an authority such as `h12.web.test:8080`, in any case; `None` for other names.
pub fn host_number(authority: &[u8]) -> Option<u32> {
    let name = authority.split(|c| *c == b':').next()?;
    let (label, domain) = name.split_at_checked(name.iter().position(|c| *c == b'.')?)?;
    if !domain.eq_ignore_ascii_case(DOMAIN.as_bytes())
        || !label.first()?.eq_ignore_ascii_case(&b'h')
    {
        return None;
    }
    let digits = &label[1..];
    let canonical = digits == b"0" || digits.first().is_some_and(|c| *c != b'0');
    match number(digits) {
        (Some(n), []) if canonical => u32::try_from(n).ok(),
        _ => None,
    }
}

/// What follows `h12` in a host name.
pub const DOMAIN: &str = ".web.test";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_is_found_again_by_its_path() {
        let paths = Paths::new(1);
        let (mut path, mut scratch) = (Vec::new(), Vec::new());
        let mut targets: Vec<Target> = (0..3_000).map(Target::Page).collect();
        targets.extend([
            Target::Page(PAGE_NUMBERS - 1),
            Target::Hop(77, 2),
            Target::Private(0),
            Target::Open(9),
            Target::Image(0),
            Target::Image(63),
            Target::Style,
            Target::Script,
            Target::Robots,
            Target::Calendar(CALENDAR_START),
            Target::Calendar(CALENDAR_START + 1),
            Target::Deep(0),
            Target::Deep(7),
            Target::Session(3, 999_999),
        ]);
        let mut all = std::collections::HashSet::new();
        for target in targets {
            path.clear();
            paths.write(5, target, &mut path);
            assert_eq!(paths.parse(5, &path, &mut scratch), Some(target));
            assert!(all.insert(path.clone()), "two targets share a path");
        }
    }

    #[test]
    fn other_paths_are_not_found() {
        let paths = Paths::new(1);
        let long = [b'9'; 4_000];
        for path in [
            &b""[..],
            b"*",
            b"/p/",
            b"/p/01",
            b"/p/-1",
            b"//",
            b"/trap/b/",
            b"/trap/a",
            b"/trap/calendar/2026/13",
            b"/trap/calendar/2026/0",
            b"/trap/session?page=1&sid=",
            b"/i/64.png",
            b"/i/1.png",
            b"/fake/1",
            b"/r/1",
            b"/p/281474976710656",
            b"/p/99999999999999999999999",
            &long,
        ] {
            let found = paths.parse(0, path, &mut Vec::new());
            assert_eq!(found, None, "{}", String::from_utf8_lossy(path));
        }
    }

    #[test]
    fn hosts_are_known_by_name_alone() {
        assert_eq!(host_number(b"h0.web.test"), Some(0));
        assert_eq!(host_number(b"H12.Web.Test:8080"), Some(12));
        for other in [
            &b"h01.web.test"[..],
            b"h.web.test",
            b"x1.web.test",
            b"h1.web.test.evil",
            b"a.h1.web.test",
            b"h99999999999.web.test",
            b"",
            b".",
        ] {
            assert_eq!(host_number(other), None);
        }
    }
}
