//! The chunked transfer coding (RFC 9112 7.1), undone in place.
//!
//! What must hold: every byte is looked at once and nothing is kept of it but counters, so the result cannot depend
//! on how the bytes were split. Sizes are hexadecimal digits only and checked for overflow; lines, extensions and
//! trailers are bounded. Trailer fields are passed over, never interpreted.

use crate::limits::{
    CHUNK_EXTENSION_BYTES_MAX, CHUNK_LINE_BYTES_MAX, HEAD_FIELDS_MAX, TRAILER_BYTES_MAX,
};

/// Which byte is expected next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
enum At {
    /// First digit of a chunk size.
    #[default]
    SizeStart,
    /// Further digits, or what ends them.
    Size,
    /// Space behind a size.
    SizeSpace,
    /// A chunk extension.
    Extension,
    /// LF of a chunk-size line.
    SizeLf,
    /// Data of a chunk.
    Data,
    /// CR or LF behind the data.
    DataEnd,
    /// LF behind the data.
    DataLf,
    /// Start of a trailer line, or the end of the trailers.
    TrailerStart,
    /// Inside a trailer line.
    Trailer,
    /// LF of a trailer line.
    TrailerLf,
    /// LF of the last, empty line.
    LastLf,
}

/// What came of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// All were taken, more are needed.
    All,
    /// The body is complete; so many of the bytes belonged to it.
    End(usize),
    /// The body goes on beyond the limit; what fits is there.
    Full,
    /// They are not chunked coding, or beyond the limits.
    Bad,
}

/// State between two pieces of a chunked body.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Chunked {
    at: At,
    /// Bytes of the current chunk that are to come.
    left: u64,
    line: usize,
    extensions: usize,
    trailer: usize,
    trailer_fields: usize,
}

impl Chunked {
    /// Whether the last chunk has been announced, so that nothing but trailers is missing.
    pub fn is_whole(&self) -> bool {
        matches!(
            self.at,
            At::TrailerStart | At::Trailer | At::TrailerLf | At::LastLf
        )
    }

    /// Takes the raw bytes `buf[raw..filled]` and moves their data down to `*end`, which grows to at most `max`.
    /// `*end <= raw` holds before and after.
    pub fn take(
        &mut self,
        buf: &mut [u8],
        mut raw: usize,
        filled: usize,
        end: &mut usize,
        max: usize,
    ) -> Taken {
        let first = raw;
        while raw < filled {
            if self.at == At::Data {
                let n = (self.left.min((filled - raw) as u64) as usize).min(max - *end);
                if n == 0 {
                    return Taken::Full;
                }
                buf.copy_within(raw..raw + n, *end);
                *end += n;
                raw += n;
                self.left -= n as u64;
                if self.left == 0 {
                    self.at = At::DataEnd;
                } else if *end == max {
                    return Taken::Full;
                }
                continue;
            }
            let byte = buf[raw];
            raw += 1;
            match self.step(byte) {
                Some(true) => return Taken::End(raw - first),
                Some(false) => {}
                None => return Taken::Bad,
            }
            if self.at == At::Data && *end == max {
                return Taken::Full;
            }
        }
        Taken::All
    }

    /// One byte outside chunk data. `None`: malformed or too long. `Some(true)`: it was the last one.
    fn step(&mut self, byte: u8) -> Option<bool> {
        self.count()?;
        self.at = match (self.at, byte) {
            (At::SizeStart | At::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = u64::from((byte as char).to_digit(16)?);
                self.left = self.left.checked_mul(16)?.checked_add(digit)?;
                At::Size
            }
            (At::Size | At::SizeSpace, b' ' | b'\t') => At::SizeSpace,
            (At::Size | At::SizeSpace, b';') => At::Extension,
            (At::Size | At::SizeSpace | At::Extension, b'\r') => At::SizeLf,
            (At::Size | At::SizeSpace | At::Extension | At::SizeLf, b'\n') => self.line_end(),
            (At::Extension, b'\t' | b' '..=b'~' | 0x80..) => At::Extension,
            (At::DataEnd, b'\r') => At::DataLf,
            (At::DataEnd | At::DataLf, b'\n') => {
                self.line = 0;
                At::SizeStart
            }
            (At::TrailerStart, b'\r') => At::LastLf,
            (At::TrailerStart | At::LastLf, b'\n') => return Some(true),
            (At::Trailer, b'\r') => At::TrailerLf,
            (At::Trailer | At::TrailerLf, b'\n') => {
                self.trailer_fields += 1;
                if self.trailer_fields > HEAD_FIELDS_MAX {
                    return None;
                }
                At::TrailerStart
            }
            (At::TrailerStart | At::Trailer, b'\t' | b' '..=b'~' | 0x80..) => At::Trailer,
            _ => return None,
        };
        Some(false)
    }

    /// Counts one byte against the limit it falls under.
    fn count(&mut self) -> Option<()> {
        let (counter, max) = match self.at {
            At::TrailerStart | At::Trailer | At::TrailerLf | At::LastLf => {
                (&mut self.trailer, TRAILER_BYTES_MAX)
            }
            _ => (&mut self.line, CHUNK_LINE_BYTES_MAX),
        };
        *counter += 1;
        let fits = *counter <= max;
        if self.at == At::Extension {
            self.extensions += 1;
        }
        (fits && self.extensions <= CHUNK_EXTENSION_BYTES_MAX).then_some(())
    }

    fn line_end(&mut self) -> At {
        self.line = 0;
        if self.left == 0 {
            At::TrailerStart
        } else {
            At::Data
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(raw: &[u8], max: usize) -> (Taken, Vec<u8>) {
        let mut buf = raw.to_vec();
        let mut end = 0;
        let taken = Chunked::default().take(&mut buf, 0, raw.len(), &mut end, max);
        (taken, buf[..end].to_vec())
    }

    #[test]
    fn data_moves_together() {
        let raw = b"5\r\nhello\r\n6;a=\"b;c\"\r\n world\r\n0\r\nX: y\r\n\r\nrest";
        assert_eq!(
            decode(raw, 100),
            (Taken::End(raw.len() - 4), b"hello world".to_vec())
        );
    }

    #[test]
    fn a_line_may_end_with_lf_and_a_size_with_space() {
        let raw = b"5  \nhello\n0\n\n";
        assert_eq!(decode(raw, 9), (Taken::End(raw.len()), b"hello".to_vec()));
    }

    #[test]
    fn sizes_are_strict() {
        for bad in [
            "\r\n",
            "-1\r\n",
            "+1\r\n",
            "0x1\r\na",
            " 1\r\na",
            "1 1\r\na",
            "g\r\n",
            "1\r\nab",
            "1\r\na\rb",
            "1\ra",
            "FFFFFFFFFFFFFFFFF\r\n",
            "1;\0\r\na",
        ] {
            assert_eq!(decode(bad.as_bytes(), 100).0, Taken::Bad, "{bad:?}");
        }
        let zeros = format!("{}1\r\na\r\n0\r\n\r\n", "0".repeat(1_000));
        assert_eq!(
            decode(zeros.as_bytes(), 100),
            (Taken::End(zeros.len()), b"a".to_vec())
        );
    }

    #[test]
    fn the_limit_cuts_only_what_goes_beyond() {
        let raw = b"3\r\nabc\r\n0\r\n\r\n";
        assert_eq!(decode(raw, 3), (Taken::End(raw.len()), b"abc".to_vec()));
        assert_eq!(decode(raw, 2), (Taken::Full, b"ab".to_vec()));
        assert_eq!(
            decode(b"3\r\nabc\r\n1\r\n", 3),
            (Taken::Full, b"abc".to_vec())
        );
        assert_eq!(decode(b"ffffffffffffffff\r\nabcd", 3).0, Taken::Full);
    }

    #[test]
    fn lines_extensions_and_trailers_are_bounded() {
        let line = format!("1;{}", "x".repeat(CHUNK_LINE_BYTES_MAX));
        assert_eq!(decode(line.as_bytes(), 9).0, Taken::Bad);
        let extension = format!("1;{}\r\na\r\n", "x".repeat(CHUNK_LINE_BYTES_MAX - 8));
        let many = extension.repeat(CHUNK_EXTENSION_BYTES_MAX / CHUNK_LINE_BYTES_MAX + 2);
        assert_eq!(decode(many.as_bytes(), 1_000).0, Taken::Bad);
        let trailer = format!("0\r\n{}", "A: b\r\n".repeat(HEAD_FIELDS_MAX + 1));
        assert_eq!(decode(trailer.as_bytes(), 9).0, Taken::Bad);
        let long = format!("0\r\nA: {}", "b".repeat(TRAILER_BYTES_MAX));
        assert_eq!(decode(long.as_bytes(), 9).0, Taken::Bad);
    }
}
