//! The candidates of a `srcset` attribute (HTML Standard 4.8.4.3.10, "parse a srcset attribute").
//!
//! What must hold: linear, no allocation; a candidate with contradictory descriptors is left out as browsers leave it
//! out. Descriptors that are not known (`foo`, `1.5w`, `-1x`) are passed over, as the Web Platform Tests expect.
//! Deliberately absent: choosing among the candidates; a crawler takes them all.

use super::find::{self, SPACE};

/// Calls `take` with the range of each candidate's URL in `s`.
pub(super) fn candidates(s: &[u8], mut take: impl FnMut(usize, usize)) {
    let mut at = 0;
    loop {
        at += count(&s[at..], |b| find::is(b, SPACE) || b == b',');
        if at == s.len() {
            return;
        }
        let url = at;
        at += count(&s[at..], |b| !find::is(b, SPACE));
        let commas = s[url..at].iter().rev().take_while(|&&b| b == b',').count();
        if commas > 0 {
            take(url, at - commas);
            continue;
        }
        let end = at;
        let mut seen = Descriptors::default();
        at = descriptors(s, at, &mut seen);
        if seen.are_valid() {
            take(url, end);
        }
    }
}

fn count(s: &[u8], matches: impl Fn(u8) -> bool) -> usize {
    s.iter().take_while(|&&b| matches(b)).count()
}

/// The descriptor tokenizer: reads up to the comma that ends the candidate and returns the place behind it.
fn descriptors(s: &[u8], mut at: usize, seen: &mut Descriptors) -> usize {
    let mut start = at;
    let mut in_parens = false;
    while let Some(&b) = s.get(at) {
        if in_parens {
            in_parens = b != b')';
        } else if find::is(b, SPACE) {
            seen.add(&s[start..at]);
            start = at + 1;
        } else if b == b',' {
            seen.add(&s[start..at]);
            return at + 1;
        } else if b == b'(' {
            in_parens = true;
        }
        at += 1;
    }
    seen.add(&s[start..]);
    at
}

/// What the descriptors of one candidate said.
#[derive(Default)]
struct Descriptors {
    width: bool,
    density: bool,
    height: bool,
    wrong: bool,
}

impl Descriptors {
    fn add(&mut self, descriptor: &[u8]) {
        let Some((&unit, number)) = descriptor.split_last() else {
            return;
        };
        match unit {
            b'w' if is_integer(number) => {
                self.wrong |= self.width || self.density || is_zero(number);
                self.width = true;
            }
            b'x' if is_float(number) => {
                self.wrong |= self.width || self.density || self.height;
                self.density = true;
            }
            b'h' if is_integer(number) => {
                self.wrong |= self.height || self.density || is_zero(number);
                self.height = true;
            }
            _ => {}
        }
    }

    fn are_valid(&self) -> bool {
        !self.wrong && (self.width || !self.height)
    }
}

/// "Valid non-negative integer".
fn is_integer(s: &[u8]) -> bool {
    !s.is_empty() && s.iter().all(u8::is_ascii_digit)
}

fn is_zero(integer: &[u8]) -> bool {
    integer.iter().all(|&b| b == b'0')
}

/// "Valid floating-point number" that is not below zero.
fn is_float(s: &[u8]) -> bool {
    let negative = s.first() == Some(&b'-');
    let s = &s[usize::from(negative)..];
    let (mantissa, exponent) = match s.iter().position(|b| matches!(b, b'e' | b'E')) {
        Some(i) => (&s[..i], Some(&s[i + 1..])),
        None => (s, None),
    };
    let (whole, fraction) = match mantissa.iter().position(|&b| b == b'.') {
        Some(i) => (&mantissa[..i], Some(&mantissa[i + 1..])),
        None => (mantissa, None),
    };
    let exponent = exponent.map(|e| match e.first() {
        Some(b'+' | b'-') => &e[1..],
        _ => e,
    });
    let zero = mantissa.iter().all(|b| matches!(b, b'0' | b'.'));
    (is_integer(whole) || (whole.is_empty() && fraction.is_some()))
        && fraction.is_none_or(is_integer)
        && exponent.is_none_or(is_integer)
        && (!negative || zero)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(s: &str) -> Vec<&str> {
        let mut out = Vec::new();
        candidates(s.as_bytes(), |at, end| out.push(&s[at..end]));
        out
    }

    #[test]
    fn all_candidates_are_taken() {
        assert_eq!(all("a.png 1x, b.png 2x,c.png"), ["a.png", "b.png", "c.png"]);
        assert_eq!(
            all(",,, a,b.png 100w,\n\td.png 200w\n"),
            ["a,b.png", "d.png"]
        );
        assert_eq!(all("a (,) 1x, b"), ["a", "b"]);
        assert_eq!(all("a 1x 1w, b 1h, c 0w"), [""; 0]);
    }

    #[test]
    fn numbers() {
        for good in ["1", "0.5", ".5", "1e3", "1E-3", "-0", "00"] {
            assert!(is_float(good.as_bytes()), "{good}");
        }
        for bad in ["", "-1", "1.", ".", "1e", "+1", "1e1.5", "NaN", "-"] {
            assert!(!is_float(bad.as_bytes()), "{bad}");
        }
    }
}
