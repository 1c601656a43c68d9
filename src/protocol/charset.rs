//! Which encoding a body is in, and its text in UTF-8.
//!
//! What must hold: the order is byte order mark, Content-Type, the HTML Standard's prescan of the first 1,024 bytes, UTF-8
//! where the whole body is valid, a `meta` further down, and only then a guess from a prefix of 4 KiB (guessing over a
//! whole page costs more than all the rest of the pipeline). UTF-8 is never copied, nor is ASCII in an encoding that extends it; a body that says
//! UTF-8 and is not is passed on as it is, for the scanner works on bytes. Deliberately absent: encodings that the
//! Encoding Standard does not know, and changing one's mind while parsing.

use crate::limits::{CHARSET_GUESS_BYTES, CHARSET_LATE_META_BYTES};
use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{
    CoderResult, Encoding, ISO_2022_JP, REPLACEMENT, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252,
    X_USER_DEFINED,
};

/// Bytes that the prescan looks at (HTML Standard 13.2.3.2).
const PRESCAN_BYTES: usize = 1_024;
/// Room that a step of making UTF-8 asks for at least.
const STEP_BYTES: usize = 64;
/// Scratch beyond this is reserved whole, bytes.
const WHOLE_BYTES: usize = 1 << 20;

/// The encoding of `body`, whose Content-Type (may be empty) is `content_type`.
pub fn encoding_of(body: &[u8], content_type: &[u8]) -> &'static Encoding {
    if let Some((encoding, _)) = Encoding::for_bom(body) {
        return encoding;
    }
    if let Some(encoding) = charset_in(content_type, true).and_then(Encoding::for_label) {
        return encoding;
    }
    if let Some(encoding) = prescan(&body[..body.len().min(PRESCAN_BYTES)]) {
        return encoding;
    }
    if simdutf8::basic::from_utf8(body).is_ok() {
        return UTF_8;
    }
    // Browsers change their mind when the parser meets a late `meta`; here it is enough to look further.
    prescan(&body[..body.len().min(CHARSET_LATE_META_BYTES)]).unwrap_or_else(|| guess(body))
}

/// The text of `body` in UTF-8, without a byte order mark: a part of `body` where that is already so, else in `scratch`.
///
/// What grows beyond `most` bytes is cut there; the flag says that nothing was.
pub fn to_utf8<'a>(
    body: &'a [u8],
    encoding: &'static Encoding,
    scratch: &'a mut String,
    most: usize,
) -> (&'a [u8], bool) {
    let body = match Encoding::for_bom(body) {
        Some((marked, len)) if marked == encoding => &body[len..],
        _ => body,
    };
    if encoding == UTF_8 || is_ascii(body, encoding) {
        return (body, true);
    }
    scratch.clear();
    let mut decoder = encoding.new_decoder_without_bom_handling();
    let mut rest = body;
    loop {
        // One byte becomes three at most; text of one byte each is had at once.
        let wanted = (scratch.len() + rest.len() + STEP_BYTES).max(2 * scratch.len());
        let room = wanted.min(most.max(STEP_BYTES));
        // Where it is much it is reserved whole, so that it is never moved: that would hold it twice.
        let room = if room > WHOLE_BYTES { most } else { room };
        scratch.reserve_exact(room - scratch.len());
        let (result, read, _) = decoder.decode_to_string(rest, scratch, true);
        rest = &rest[read..];
        if result == CoderResult::InputEmpty {
            return (scratch.as_bytes(), true);
        }
        if scratch.len() + STEP_BYTES > most {
            // Where the decoder stops depends on its steps; the same body must always give the same text.
            let mut end = most.saturating_sub(STEP_BYTES);
            while !scratch.is_char_boundary(end) {
                end -= 1;
            }
            scratch.truncate(end);
            return (scratch.as_bytes(), false);
        }
    }
}

/// Whether `body` is ASCII and means the same in `encoding`.
fn is_ascii(body: &[u8], encoding: &'static Encoding) -> bool {
    encoding.is_ascii_compatible() && Encoding::ascii_valid_up_to(body) == body.len()
        || encoding == ISO_2022_JP && Encoding::iso_2022_jp_ascii_valid_up_to(body) == body.len()
}

/// A guess from a prefix.
fn guess(body: &[u8]) -> &'static Encoding {
    // The prefix may be ASCII although the body is not: begin near the first other byte.
    let first = Encoding::ascii_valid_up_to(body);
    let start = first.saturating_sub(CHARSET_GUESS_BYTES / 4);
    let prefix = &body[start..body.len().min(start + CHARSET_GUESS_BYTES)];
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    detector.feed(prefix, start + prefix.len() == body.len());
    // The body as a whole is no UTF-8, but one broken byte far behind must not make it Latin.
    let utf8 = match std::str::from_utf8(prefix) {
        Ok(_) => true,
        Err(e) => e.error_len().is_none() && start + prefix.len() < body.len(),
    };
    if utf8 {
        return UTF_8;
    }
    detector.guess(None, Utf8Detection::Deny)
}

/// The label behind `charset=`, as "extract a character encoding from a meta element" finds it (HTML Standard 2.6.5). In a
/// header field (`parameters`) it must be a parameter, so `;` or a blank goes before it.
fn charset_in(value: &[u8], parameters: bool) -> Option<&[u8]> {
    const NAME: &[u8] = b"charset";
    let mut at = 0;
    loop {
        at += value
            .get(at..)?
            .windows(NAME.len())
            .position(|w| w.eq_ignore_ascii_case(NAME))?;
        let begins = at == 0 || matches!(value[at - 1], b';' | b' ' | b'\t' | b',');
        at += NAME.len();
        let behind = at + spaces(&value[at..]);
        if value.get(behind) != Some(&b'=') || (parameters && !begins) {
            continue;
        }
        let label = &value[behind + 1..];
        let label = &label[spaces(label)..];
        let (&first, rest) = label.split_first()?;
        if first == b'"' || first == b'\'' {
            let end = rest.iter().position(|&b| b == first)?;
            return Some(&rest[..end]);
        }
        let end = label
            .iter()
            .position(|&b| is_space(b) || b == b';')
            .unwrap_or(label.len());
        return Some(&label[..end]);
    }
}

/// "Prescan a byte stream to determine its encoding" (HTML Standard 13.2.3.2) over all of `s`.
fn prescan(s: &[u8]) -> Option<&'static Encoding> {
    if s.starts_with(b"<\0?\0x\0") {
        return Some(UTF_16LE);
    }
    if s.starts_with(b"\0<\0?\0x") {
        return Some(UTF_16BE);
    }
    let mut scan = Prescan { s, at: 0 };
    scan.meta().or_else(|| xml_encoding(s))
}

/// What a `meta` may name: UTF-16 cannot be true where its bytes were read as ASCII.
fn named(label: &[u8]) -> Option<&'static Encoding> {
    let encoding = Encoding::for_label(label)?;
    Some(if encoding == UTF_16BE || encoding == UTF_16LE {
        UTF_8
    } else if encoding == X_USER_DEFINED {
        WINDOWS_1252
    } else {
        encoding
    })
}

/// "Get an XML encoding": the encoding of an XML declaration at the start.
fn xml_encoding(s: &[u8]) -> Option<&'static Encoding> {
    let declaration = s.strip_prefix(b"<?xml")?;
    let end = declaration.iter().position(|&b| b == b'>')?;
    let declaration = &declaration[..end];
    let name = b"encoding";
    let at = declaration.windows(name.len()).position(|w| w == name)?;
    let rest = trim_controls(&declaration[at + name.len()..]);
    let rest = trim_controls(rest.strip_prefix(b"=")?);
    let (&quote, rest) = rest.split_first()?;
    if !matches!(quote, b'"' | b'\'') {
        return None;
    }
    let label = &rest[..rest.iter().position(|&b| b == quote)?];
    if label.iter().any(|&b| b <= b' ') {
        return None;
    }
    named(label).filter(|&e| e != REPLACEMENT)
}

fn trim_controls(s: &[u8]) -> &[u8] {
    &s[s.iter().take_while(|&&b| b <= b' ').count()..]
}

fn is_space(b: u8) -> bool {
    matches!(b, b' ' | b'\t' | b'\n' | b'\r' | 0x0C)
}

fn spaces(s: &[u8]) -> usize {
    s.iter().take_while(|&&b| is_space(b)).count()
}

/// Name and value.
type Attribute<'a> = (&'a [u8], &'a [u8]);

/// The prescan's cursor. `None` everywhere means that the bytes ran out.
struct Prescan<'a> {
    s: &'a [u8],
    at: usize,
}

impl<'a> Prescan<'a> {
    /// The encoding of the first `meta` that names one.
    fn meta(&mut self) -> Option<&'static Encoding> {
        loop {
            self.at += memchr::memchr(b'<', self.s.get(self.at..)?)?;
            let rest = &self.s[self.at..];
            let second = rest.get(1).copied();
            if rest.starts_with(b"<!--") {
                // The dashes of `<!-->` count twice.
                self.at += 2 + memchr::memmem::find(&rest[2..], b"-->")? + 3;
            } else if rest.len() > 5
                && rest[1..5].eq_ignore_ascii_case(b"meta")
                && (is_space(rest[5]) || rest[5] == b'/')
            {
                self.at += 5;
                if let Some(encoding) = self.meta_element()? {
                    return Some(encoding);
                }
            } else if second.is_some_and(|b| b.is_ascii_alphabetic())
                || second == Some(b'/') && rest.get(2).is_some_and(u8::is_ascii_alphabetic)
            {
                self.at += rest.iter().position(|&b| is_space(b) || b == b'>')?;
                while self.attribute()?.is_some() {}
            } else if matches!(second, Some(b'!' | b'/' | b'?')) {
                self.at += memchr::memchr(b'>', rest)?;
            } else {
                self.at += 1;
            }
        }
    }

    /// The attributes of a `meta` element; the encoding it names, if it does.
    fn meta_element(&mut self) -> Option<Option<&'static Encoding>> {
        let mut pragma = false;
        let mut need_pragma = None;
        let mut charset = None;
        let (mut had_equiv, mut had_content, mut had_charset) = (false, false, false);
        while let Some((name, value)) = self.attribute()? {
            if name.eq_ignore_ascii_case(b"http-equiv") && !had_equiv {
                had_equiv = true;
                pragma = value.eq_ignore_ascii_case(b"content-type");
            } else if name.eq_ignore_ascii_case(b"content") && !had_content {
                had_content = true;
                let named = charset_in(value, false).and_then(named);
                if named.is_some() && charset.is_none() {
                    charset = named;
                    need_pragma = Some(true);
                }
            } else if name.eq_ignore_ascii_case(b"charset") && !had_charset {
                had_charset = true;
                charset = named(value);
                need_pragma = Some(false);
            }
        }
        Some(match need_pragma {
            Some(needed) if !needed || pragma => charset,
            _ => None,
        })
    }

    fn peek(&self) -> Option<u8> {
        self.s.get(self.at).copied()
    }

    fn skip(&mut self, matches: impl Fn(u8) -> bool) -> Option<()> {
        while matches(self.peek()?) {
            self.at += 1;
        }
        Some(())
    }

    /// "Get an attribute": inner `None` where the tag has no more.
    fn attribute(&mut self) -> Option<Option<Attribute<'a>>> {
        let s = self.s;
        self.skip(|b| is_space(b) || b == b'/')?;
        if self.peek()? == b'>' {
            return Some(None);
        }
        let start = self.at;
        self.at += usize::from(self.peek()? == b'=');
        self.skip(|b| !is_space(b) && !matches!(b, b'=' | b'/' | b'>'))?;
        let name = &s[start..self.at];
        self.skip(is_space)?;
        if self.peek()? != b'=' {
            return Some(Some((name, b"")));
        }
        self.at += 1;
        self.skip(is_space)?;
        let first = self.peek()?;
        let start = self.at;
        if first == b'"' || first == b'\'' {
            self.at += 1;
            self.skip(|b| b != first)?;
            self.at += 1;
            return Some(Some((name, &s[start + 1..self.at - 1])));
        }
        self.skip(|b| !is_space(b) && b != b'>')?;
        Some(Some((name, &s[start..self.at])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use encoding_rs::{BIG5, ISO_8859_2, KOI8_R, SHIFT_JIS, WINDOWS_1251};

    fn utf8(body: &[u8], encoding: &'static Encoding) -> String {
        let mut scratch = String::new();
        String::from_utf8_lossy(to_utf8(body, encoding, &mut scratch, 1 << 20).0).into_owned()
    }

    #[test]
    fn precedence() {
        let meta = b"<meta charset=koi8-r>\xC1";
        assert_eq!(encoding_of(meta, b""), KOI8_R);
        assert_eq!(encoding_of(meta, b"text/html; Charset=\"big5\""), BIG5);
        assert_eq!(encoding_of(meta, b"text/html;charset=nosuch"), KOI8_R);
        assert_eq!(
            encoding_of(
                b"\xEF\xBB\xBF<meta charset=koi8-r>",
                b"text/html; charset=big5"
            ),
            UTF_8
        );
        assert_eq!(encoding_of(b"\xFF\xFEa\0", b""), UTF_16LE);
        assert_eq!(encoding_of("д".as_bytes(), b"text/html"), UTF_8);
        assert_eq!(
            encoding_of(b"text/html; xcharset=koi8-r", b"text/html; xcharset=koi8-r"),
            UTF_8
        );
        assert_eq!(
            encoding_of(b"<?xml version='1.0' encoding='iso-8859-2'?><a>\xC1", b""),
            ISO_8859_2
        );
    }

    #[test]
    fn a_guess_needs_no_whole_page() {
        let (text, _, _) =
            WINDOWS_1251.encode("Съешь же ещё этих мягких французских булок, да выпей чаю. ");
        let mut body = b"<p>plain</p>\n".repeat(2_000);
        body.extend(text.repeat(20));
        assert_eq!(encoding_of(&body, b""), WINDOWS_1251);
        let mut broken = "müßig ".repeat(2_000).into_bytes();
        broken.push(0xFF);
        assert_eq!(encoding_of(&broken, b""), UTF_8);
    }

    #[test]
    fn text_that_grows_is_cut_at_the_limit_whatever_the_scratch_was() {
        let body = b"\xE9 caf\xE9 \x80".repeat(1_000_000);
        let most = 2 << 20;
        let mut fresh = String::new();
        let (text, whole) = to_utf8(&body, WINDOWS_1252, &mut fresh, most);
        assert!(!whole && text.len() <= most && text.len() + 2 * STEP_BYTES > most);
        assert!(text.starts_with("é café €é café €".as_bytes()));
        for before in [100, 3_000, 1 << 20] {
            let mut used = String::with_capacity(before);
            assert!(to_utf8(&body, WINDOWS_1252, &mut used, most).0 == text);
            assert!(used.capacity() <= most);
        }
        let (some, whole) = to_utf8(&body[..10_000], WINDOWS_1252, &mut fresh, most);
        assert!(whole && some.len() > 10_000);
    }

    #[test]
    fn text_is_borrowed_where_it_can_be() {
        let mut scratch = String::new();
        let body = b"\xEF\xBB\xBFabc \xFF";
        let most = 1 << 20;
        assert_eq!(to_utf8(body, UTF_8, &mut scratch, most).0, b"abc \xFF");
        assert_eq!(to_utf8(b"abc", SHIFT_JIS, &mut scratch, most).0, b"abc");
        assert_eq!(scratch.capacity(), 0);
        assert_eq!(utf8(b"\xFF\xFEa\0\x42\x04", UTF_16LE), "aт");
        assert_eq!(utf8(b"\x80 caf\xE9", WINDOWS_1252), "€ café");
        assert_eq!(
            utf8(&b"\x95\x5C".repeat(1_000), SHIFT_JIS),
            "表".repeat(1_000)
        );
    }

    /// html5lib's cases, with windows-1252 where nothing is declared.
    #[test]
    fn html5lib_encoding_cases() {
        let Some(suites) = std::env::var_os("CYCLOSA_SUITES") else {
            println!("skipped: CYCLOSA_SUITES is not set");
            return;
        };
        let folder = std::path::Path::new(&suites).join("html5lib/encoding");
        let (mut same, mut different) = (0, Vec::new());
        for file in ["tests1.dat", "tests2.dat", "test-yahoo-jp.dat"] {
            let text = std::fs::read(folder.join(file)).expect("suite file");
            for case in split(&text, b"#data\n") {
                let Some(at) = memchr::memmem::find(case, b"\n#encoding\n") else {
                    continue;
                };
                let label = case[at + 11..]
                    .split(|&b| b == b'\n')
                    .next()
                    .unwrap_or_default();
                let expected = Encoding::for_label(label).expect("known label");
                let data = &case[..at];
                let bom = Encoding::for_bom(data).map(|(encoding, _)| encoding);
                let found = bom
                    .or_else(|| prescan(&data[..data.len().min(PRESCAN_BYTES)]))
                    .or_else(|| prescan(&data[..data.len().min(CHARSET_LATE_META_BYTES)]))
                    .unwrap_or(WINDOWS_1252);
                if found == expected {
                    same += 1;
                } else {
                    different.push(format!(
                        "{file}: {} not {}: {}",
                        found.name(),
                        expected.name(),
                        String::from_utf8_lossy(data)
                    ));
                }
            }
        }
        println!(
            "html5lib encoding: {same} as expected, {} different\n{}",
            different.len(),
            different.join("\n---\n")
        );
        assert_eq!((same, different.len()), (82, 0));
    }

    fn split<'a>(text: &'a [u8], mark: &'a [u8]) -> Vec<&'a [u8]> {
        let starts: Vec<_> = memchr::memmem::find_iter(text, mark).collect();
        let ends = starts.iter().skip(1).copied().chain([text.len()]);
        starts
            .iter()
            .zip(ends)
            .map(|(&at, end)| &text[at + mark.len()..end])
            .collect()
    }
}
