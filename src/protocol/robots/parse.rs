//! Reads a robots.txt into [`Rules`]: lines, groups, and the choice of the group that applies. Reads the sitemaps that it
//! names, which belong to no group.

use super::pattern::{self, WILD};
use super::{Rule, Rules, is_token_byte};
use crate::limits::{
    CRAWL_DELAY_MAX_S, ROBOTS_BYTES_MAX, ROBOTS_LINE_BYTES_MAX, ROBOTS_WILDCARDS_MAX,
};

/// What a line says, as far as it concerns us.
enum Line<'a> {
    Agent(&'a [u8]),
    Rule { pattern: &'a [u8], allow: bool },
    Delay(&'a [u8]),
    Sitemap(&'a [u8]),
    Other,
}

/// The rules gathered for one of the two candidates, our name and `*`.
#[derive(Default)]
struct Gathered {
    text: Vec<u8>,
    rules: Vec<Rule>,
    delay_ms: Option<u32>,
    wildcards: usize,
    simplified: u32,
    /// A group names it, even if without rules.
    named: bool,
    /// The current list of agents has it.
    current: bool,
}

pub(super) fn parse(file: &[u8], product_token: &str) -> Rules {
    let (mut ours, mut everyones) = (Gathered::default(), Gathered::default());
    let mut agents_over = false;
    for line in lines(file) {
        match read(line) {
            Line::Agent(value) => {
                if std::mem::take(&mut agents_over) {
                    ours.current = false;
                    everyones.current = false;
                }
                let named = if is_everyone(value) {
                    &mut everyones
                } else {
                    &mut ours
                };
                if is_everyone(value) || names(value, product_token) {
                    named.current = true;
                    named.named = true;
                }
            }
            Line::Rule { pattern, allow } => {
                agents_over = true;
                for group in [&mut ours, &mut everyones] {
                    group.rule(pattern, allow);
                }
            }
            Line::Delay(value) => {
                for group in [&mut ours, &mut everyones] {
                    group.delay(value);
                }
            }
            Line::Sitemap(_) | Line::Other => {}
        }
    }
    if ours.named {
        ours.finish()
    } else {
        everyones.finish()
    }
}

pub(super) fn sitemaps(file: &[u8]) -> impl Iterator<Item = &[u8]> {
    lines(file).filter_map(|line| match read(line) {
        Line::Sitemap(value) => Some(value),
        _ => None,
    })
}

/// The lines that count, each as far as it counts.
fn lines(file: &[u8]) -> impl Iterator<Item = &[u8]> {
    let file = &file[..file.len().min(ROBOTS_BYTES_MAX)];
    let file = file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file);
    file.split(|&b| b == b'\n' || b == b'\r')
        .map(|line| &line[..line.len().min(ROBOTS_LINE_BYTES_MAX)])
}

/// A line's field and value, less comment and white space. RFC 9309 2.2; without a colon two words do (Google).
fn read(line: &[u8]) -> Line<'_> {
    let line = &line[..memchr::memchr(b'#', line).unwrap_or(line.len())];
    let line = line.trim_ascii();
    let (key, value) = match memchr::memchr(b':', line) {
        Some(colon) => (
            line[..colon].trim_ascii_end(),
            line[colon + 1..].trim_ascii_start(),
        ),
        None => {
            let Some(space) = line.iter().position(u8::is_ascii_whitespace) else {
                return Line::Other;
            };
            let value = line[space..].trim_ascii_start();
            if value.iter().any(u8::is_ascii_whitespace) {
                return Line::Other;
            }
            (&line[..space], value)
        }
    };
    let is = |names: &[&str]| {
        names
            .iter()
            .any(|name| key.eq_ignore_ascii_case(name.as_bytes()))
    };
    // The misspellings are those that Google's parser found to be frequent.
    if is(&[
        "disallow",
        "dissallow",
        "dissalow",
        "disalow",
        "diasllow",
        "disallaw",
    ]) {
        Line::Rule {
            pattern: value,
            allow: false,
        }
    } else if is(&["allow"]) {
        Line::Rule {
            pattern: value,
            allow: true,
        }
    } else if is(&["user-agent", "useragent", "user agent"]) {
        Line::Agent(value)
    } else if is(&["crawl-delay", "crawldelay", "crawl delay"]) {
        Line::Delay(value)
    } else if is(&["sitemap", "site-map"]) {
        Line::Sitemap(value)
    } else {
        Line::Other
    }
}

fn is_everyone(value: &[u8]) -> bool {
    match value {
        [b'*'] => true,
        [b'*', next, ..] => next.is_ascii_whitespace(),
        _ => false,
    }
}

/// Whether the value of a user-agent line means `product_token`. RFC 9309 2.2.1 compares the letters, `-` and `_` that
/// it starts with; with digits counted too, names such as `360Spider` can be meant.
fn names(value: &[u8], product_token: &str) -> bool {
    let strict = |b: &u8| b.is_ascii_alphabetic() || *b == b'-' || *b == b'_';
    let lenient = |b: &u8| is_token_byte(*b);
    let prefix = |len: usize| &value[..len];
    let strict = prefix(value.iter().take_while(|b| strict(b)).count());
    let lenient = prefix(value.iter().take_while(|b| lenient(b)).count());
    let token = product_token.as_bytes();
    !token.is_empty() && (strict.eq_ignore_ascii_case(token) || lenient.eq_ignore_ascii_case(token))
}

impl Gathered {
    /// An allow or disallow line. Empty values and values that are no path say nothing.
    fn rule(&mut self, value: &[u8], allow: bool) {
        if !self.current || !matches!(value.first(), Some(b'/' | b'*')) {
            return;
        }
        self.pattern(value, allow);
        // Google: allowing a directory's index page allows the directory.
        let file = value.iter().rposition(|&b| b == b'/');
        if let Some(slash) =
            file.filter(|&slash| allow && value[slash..].starts_with(b"/index.htm"))
        {
            let directory = [&value[..=slash], b"$"].concat();
            self.pattern(&directory, true);
        }
    }

    fn pattern(&mut self, value: &[u8], allow: bool) {
        let at = self.text.len();
        let mut anchored = pattern::normalise(value, &mut self.text);
        let wildcards = self.text[at..].iter().filter(|&&b| b == WILD).count();
        if self.wildcards + wildcards > ROBOTS_WILDCARDS_MAX {
            self.simplified += 1;
            let literal = memchr::memchr(WILD, &self.text[at..]).unwrap_or(0);
            self.text.truncate(at + if allow { 0 } else { literal });
            anchored = false;
            if allow {
                return;
            }
        } else {
            self.wildcards += wildcards;
        }
        let wild = self.text[at..].contains(&WILD);
        let (at, len) = (at as u32, (self.text.len() - at) as u16);
        self.rules.push(Rule {
            at,
            len,
            allow,
            anchored,
            wild,
        });
    }

    fn delay(&mut self, value: &[u8]) {
        let seconds = std::str::from_utf8(value)
            .ok()
            .and_then(|text| text.parse::<f64>().ok());
        if let Some(seconds) = seconds.filter(|s| self.current && s.is_finite() && *s >= 0.0) {
            let ms = (seconds.min(CRAWL_DELAY_MAX_S as f64) * 1_000.0) as u32;
            self.delay_ms = self.delay_ms.max(Some(ms));
        }
    }

    /// The rules in the order in which they decide, with their patterns in the same order and each only once.
    fn finish(mut self) -> Rules {
        let text = &self.text;
        let of = |rule: &Rule| &text[rule.at as usize..rule.at as usize + rule.len as usize];
        self.rules
            .sort_by(|a, b| b.rank().cmp(&a.rank()).then_with(|| of(a).cmp(of(b))));
        self.rules
            .dedup_by(|a, b| (a.allow, a.anchored) == (b.allow, b.anchored) && of(a) == of(b));
        let mut ordered = Vec::with_capacity(self.rules.iter().map(|rule| rule.len as usize).sum());
        let rules = self.rules.iter().map(|rule| {
            let at = ordered.len() as u32;
            ordered.extend_from_slice(of(rule));
            Rule { at, ..*rule }
        });
        let rules = rules.collect();
        Rules {
            rules,
            text: ordered.into(),
            delay_ms: self.delay_ms,
            simplified: self.simplified,
        }
    }
}
