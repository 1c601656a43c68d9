//! HTTP dates (RFC 9110 5.6.7) in their three forms, as milliseconds since 1970.
//!
//! Deliberately absent: other forms that servers invent, and writing dates.

use crate::time::Wall;

const MONTHS: [&[u8]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];

/// Reads an HTTP date; `None` where it is none or lies before 1970. The name of the day is not checked. Two-digit years
/// of the RFC 850 form are taken as 1970 to 2069.
pub(super) fn parse(value: &[u8]) -> Option<Wall> {
    let mut parts = [&value[..0]; 8];
    let mut n = 0;
    let separator = |b: &u8| matches!(b, b' ' | b'\t' | b',' | b'-');
    for part in value.split(separator).filter(|p| !p.is_empty()) {
        *parts.get_mut(n)? = part;
        n += 1;
    }
    match n {
        // Sun Nov  6 08:49:37 1994
        5 if parts[3].contains(&b':') => date(parts[4], parts[1], parts[2], parts[3]),
        // Sun, 06 Nov 1994 08:49:37 GMT, and Sunday, 06-Nov-94 08:49:37 GMT
        6 if parts[5] == b"GMT" || parts[5] == b"UTC" => {
            date(parts[3], parts[2], parts[1], parts[4])
        }
        _ => None,
    }
}

fn date(year: &[u8], month: &[u8], day: &[u8], time: &[u8]) -> Option<Wall> {
    let year = match (year.len(), number(year)?) {
        (2, y) if y < 70 => 2_000 + y,
        (2, y) => 1_900 + y,
        (4, y) if y >= 1_970 => y,
        _ => return None,
    };
    let month = MONTHS.iter().position(|m| *m == month)? as u64 + 1;
    let day = number(day).filter(|d| (1..=31).contains(d))?;
    let mut clock = time.split(|b| *b == b':');
    let hour = number(clock.next()?).filter(|h| *h < 24)?;
    let minute = number(clock.next()?).filter(|m| *m < 60)?;
    let second = number(clock.next()?).filter(|s| *s <= 60)?;
    if clock.next().is_some() {
        return None;
    }
    let seconds = ((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
    Some(seconds * 1_000)
}

/// A number of one to four digits.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 4 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0, |n, d| n * 10 + u64::from(*d - b'0')))
}

/// Days from 1970-01-01 to a date of the Gregorian calendar from 1970 on. Years are counted from March, so that the
/// leap day is their last: month lengths then repeat with period five months, 153 days.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let (y, m) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let before_year = 365 * y + y / 4 - y / 100 + y / 400;
    before_year + (153 * m + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_forms_of_rfc_9110_agree() {
        let expected = Some(784_111_777_000);
        assert_eq!(parse(b"Sun, 06 Nov 1994 08:49:37 GMT"), expected);
        assert_eq!(parse(b"Sunday, 06-Nov-94 08:49:37 GMT"), expected);
        assert_eq!(parse(b"Sun Nov  6 08:49:37 1994"), expected);
    }

    #[test]
    fn leap_days_count() {
        assert_eq!(parse(b"Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(
            parse(b"Tue, 29 Feb 2000 00:00:00 GMT"),
            Some(951_782_400_000)
        );
        assert_eq!(
            parse(b"Sat, 01 Mar 2036 12:00:00 GMT"),
            Some(2_087_985_600_000)
        );
    }

    #[test]
    fn what_is_no_date_is_none() {
        for bad in [
            &b""[..],
            b"120",
            b"Sun, 06 Nov 1994",
            b"Sun, 32 Nov 1994 08:49:37 GMT",
            b"Sun, 06 Nov 1994 24:49:37 GMT",
            b"Sun, 06 Nov 1994 08:49:37:01 GMT",
            b"Sun, 06 Nov 1994 08:49:37 CET",
            b"Sun, 06 Nov 19940 08:49:37 GMT",
            b"Sun, 06 Nov 1969 08:49:37 GMT",
            b"a b c d e f g h i j k",
        ] {
            assert_eq!(parse(bad), None, "{}", bad.escape_ascii());
        }
    }
}
