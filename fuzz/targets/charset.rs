//! Charset detection: any label and any body give an encoding; the text is bounded, and UTF-8 where it was converted.
//!
//! Input: a Content-Type up to the first line end, then the body.

use cyclosa::protocol::charset;

/// Bytes of text at most.
const MOST: usize = 1 << 10;

/// Runs one input.
pub fn run(data: &[u8]) {
    let end = data.iter().position(|b| *b == b'\n');
    let (content_type, body) = data.split_at(end.unwrap_or(0));
    let encoding = charset::encoding_of(body, content_type);
    let again = charset::encoding_of(body, content_type);
    assert_eq!(encoding, again);
    let mut scratch = String::new();
    let (text, whole) = charset::to_utf8(body, encoding, &mut scratch, MOST);
    assert!(text.len() <= body.len() * 3, "at most three bytes for one");
    assert!(whole || text.len() <= MOST, "and no more than asked for");
    if encoding != encoding_rs::UTF_8 {
        assert!(std::str::from_utf8(text).is_ok(), "{}", encoding.name());
    }
}
