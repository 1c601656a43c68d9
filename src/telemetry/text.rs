//! Numbers and names as people read them.
//!
//! What must hold: nothing returned contains a control character or text that changes its direction; every function is
//! total, also for infinities, NaN and the largest numbers.

use crate::time::{MICROSECOND, MILLISECOND, SECOND};
use bytesize::ByteSize;

/// `part / whole`, 0 where there is no whole.
pub(super) fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

/// `x`, or 0 where JSON has no number for it.
pub(super) fn finite(x: f64) -> f64 {
    if x.is_finite() { x } else { 0.0 }
}

/// `1234567` as `1,234,567`.
pub fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Three significant digits, or all digits before the point.
pub(super) fn three_digits(x: f64) -> String {
    // Not beyond what u64 holds: longer numbers help nobody.
    let x = finite(x).clamp(0.0, 1e18);
    match x {
        _ if x >= 99.95 => thousands(x.round() as u64),
        _ if x >= 9.995 => format!("{x:.1}"),
        _ if x == 0.0 => "0".to_string(),
        _ => format!("{x:.2}"),
    }
}

/// A share of 0 to 1 as `12.3 %`.
pub(super) fn percent(share: f64) -> String {
    let x = (finite(share) * 100.0).clamp(0.0, 999.0);
    match x {
        _ if x == 0.0 => "0 %".to_string(),
        _ if x < 0.05 => "<0.1 %".to_string(),
        _ => format!("{x:.1} %"),
    }
}

/// A size in powers of a thousand (`31.2 GB`): traffic and files.
pub(super) fn bytes(n: u64) -> String {
    ByteSize(n).display().si().to_string()
}

/// A size in powers of 1,024 (`8.0 GiB`): memory.
pub(super) fn memory(n: u64) -> String {
    ByteSize(n).display().iec().to_string()
}

/// A duration in nanoseconds, in its natural unit.
pub(super) fn duration(ns: u64) -> String {
    let in_unit = |unit: u64| three_digits(ns as f64 / unit as f64);
    match ns {
        _ if ns < MICROSECOND => format!("{ns} ns"),
        _ if ns < MILLISECOND => format!("{} µs", in_unit(MICROSECOND)),
        _ if ns < SECOND => format!("{} ms", in_unit(MILLISECOND)),
        _ if ns < 120 * SECOND => format!("{} s", in_unit(SECOND)),
        _ => long_duration(ns / SECOND),
    }
}

fn long_duration(s: u64) -> String {
    match s {
        _ if s < 3_600 => format!("{} min {} s", s / 60, s % 60),
        _ if s < 86_400 => format!("{} h {} min", s / 3_600, s / 60 % 60),
        _ => format!("{} d {} h", thousands(s / 86_400), s / 3_600 % 24),
    }
}

/// A duration in seconds, in its natural unit.
pub(super) fn seconds(s: f64) -> String {
    duration((finite(s).max(0.0) * SECOND as f64) as u64) // the cast saturates
}

/// Text of foreign origin with everything but printable ASCII and letters escaped.
pub fn escape(foreign: &str) -> String {
    let mut out = String::with_capacity(foreign.len());
    for c in foreign.chars() {
        if c == ' ' || c.is_ascii_graphic() || (!c.is_ascii() && c.is_alphanumeric()) {
            out.push(c);
        } else {
            out.extend(c.escape_default());
        }
    }
    out
}

/// Our own words with something foreign among them, such as a message that repeats a line of a file: what could steer a
/// terminal, end the line or turn its direction is escaped, all else stays readable.
pub fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if steers(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// Control characters, line and paragraph separators, and the marks of the bidirectional algorithm (Unicode 6.3 and
/// later: UAX #9, 2).
fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// [`escape`], cut to `width` characters with an ellipsis.
pub(super) fn fit(foreign: &str, width: usize) -> String {
    // A character takes at least one column: more of them are never shown.
    let start: String = foreign.chars().take(width + 1).collect();
    clip(&escape(&start), width)
}

/// The first `width` characters of `text`; the last becomes an ellipsis where there are more.
pub(super) fn clip(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_string();
    }
    let mut out: String = text.chars().take(width.saturating_sub(1)).collect();
    out.push('…');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_separators() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1_000), "1,000");
        assert_eq!(thousands(u64::MAX), "18,446,744,073,709,551,615");
        assert_eq!(three_digits(9_497.4), "9,497");
        assert_eq!(three_digits(31.24), "31.2");
        assert_eq!(three_digits(0.5), "0.50");
    }

    #[test]
    fn no_number_is_too_odd() {
        for x in [
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::MAX,
            -1.0,
            0.0,
        ] {
            for shown in [three_digits(x), percent(x), seconds(x)] {
                assert!(!shown.contains("NaN") && !shown.contains("inf"), "{shown}");
                assert!(shown.len() < 32, "{shown}");
            }
        }
    }

    #[test]
    fn durations_have_their_natural_unit() {
        assert_eq!(duration(830), "830 ns");
        assert_eq!(duration(12_300), "12.3 µs");
        assert_eq!(duration(1_240_000), "1.24 ms");
        assert_eq!(duration(14_200_000_000), "14.2 s");
        assert_eq!(duration(130 * SECOND), "2 min 10 s");
        assert_eq!(duration(3 * 3_600 * SECOND), "3 h 0 min");
        assert_eq!(seconds(200_000.0), "2 d 7 h");
        assert_eq!(percent(0.61), "61.0 %");
        assert_eq!(percent(1e-9), "<0.1 %");
    }

    #[test]
    fn messages_stay_readable_and_cannot_steer_the_terminal() {
        let said =
            "seeds.txt:3: `ü…\u{1b}]0;x\u{7}\u{9b}1m\u{202e}\u{2067}\u{2028}\r\n` — not a URL";
        let shown = harmless(said);
        assert!(!shown.chars().any(steers), "{shown}");
        assert!(shown.starts_with("seeds.txt:3: `ü…\\u{1b}]0;x\\u{7}"));
        assert!(shown.ends_with("\\r\\n` — not a URL"));
    }

    #[test]
    fn foreign_text_cannot_steer_the_terminal() {
        let hostile = "a\u{1b}[2J\u{202e}\u{9b}31m\r\n\u{7f}\u{200b}ü";
        let shown = escape(hostile);
        assert!(shown.chars().all(|c| !c.is_control()));
        assert!(!shown.contains('\u{202e}') && !shown.contains('\u{200b}'));
        assert!(shown.ends_with('ü'));
        assert_eq!(fit(&"x".repeat(1 << 20), 10).chars().count(), 10);
        assert_eq!(fit("short", 10), "short");
    }
}
