//! What a body is, by its declared media type and, where that is missing or lies, by its first bytes.
//!
//! The rule, a part of the WHATWG MIME Sniffing Standard: a body without a media type, or declared as `text/plain`,
//! `application/octet-stream` or unknown, is HTML where it begins with a tag of the standard's table and XML where it
//! begins with `<?xml`, `<rss`, `<feed`, `<urlset`, `<sitemapindex` or `<opml` (a byte order mark and blanks before it do
//! not count). A body declared as HTML or XML is not read where it begins as a PDF, PNG, GIF, JPEG, WebP, zip, gzip or
//! WebAssembly file, or holds a binary byte in its first [`SNIFF_BINARY_BYTES`] and does not begin with such a tag.
//!
//! Where the server says `X-Content-Type-Options: nosniff` (Fetch Standard), a body is what its header says: HTML or XML where
//! it is declared so, however it begins, and nothing where its media type is missing or says nothing (MIME Sniffing 7: only
//! types that hold no scripts are then looked for, and HTML and XML are none of them).
//!
//! What must hold: no more than [`SNIFF_BYTES`] or [`SNIFF_BINARY_BYTES`] are looked at. Deliberately absent: the other
//! types of the standard.

use crate::limits::{SNIFF_BINARY_BYTES, SNIFF_BYTES};

/// What a scanner is chosen by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// HTML, or XHTML, which the same scanner reads.
    Html,
    /// Any other XML.
    Xml,
    /// SVG.
    Svg,
    /// A stylesheet.
    Css,
    /// A sitemap that is a list of URLs; nothing is declared or recognised as one.
    List,
    /// Not known: the first bytes decide between HTML, XML and nothing.
    Unknown,
    /// Nothing that holds references.
    Other,
}

/// By the declared media type, in lower case and without parameters; empty where there is none. With `nosniff` a type
/// that says nothing leaves nothing to be found out.
pub fn declared(mime: &[u8], nosniff: bool) -> Kind {
    match mime {
        b"text/html" | b"application/xhtml+xml" => Kind::Html,
        b"text/css" => Kind::Css,
        b"image/svg+xml" => Kind::Svg,
        b"text/xml" | b"application/xml" => Kind::Xml,
        b""
        | b"text/plain"
        | b"application/octet-stream"
        | b"unknown/unknown"
        | b"application/unknown"
            if !nosniff =>
        {
            Kind::Unknown
        }
        _ if mime.ends_with(b"+xml") => Kind::Xml,
        _ => Kind::Other,
    }
}

/// HTML, XML or [`Kind::Other`] by the first bytes of a text in UTF-8.
pub fn markup(text: &[u8]) -> Kind {
    let text = start(text);
    if XML.iter().any(|tag| begins_with_tag(text, tag)) {
        return Kind::Xml;
    }
    let html = HTML.iter().any(|tag| begins_with_tag(text, tag)) || text.starts_with(b"<!--");
    if html { Kind::Html } else { Kind::Other }
}

/// Whether the text of `body`, in whatever encoding, may begin with markup; cheap, as most bodies of unknown type do not.
pub fn may_be_markup(body: &[u8]) -> bool {
    let skipped =
        |b: &u8| b.is_ascii_whitespace() || matches!(b, 0 | 0xEF | 0xBB | 0xBF | 0xFE | 0xFF);
    let first = &body[..body.len().min(2 * SNIFF_BYTES)];
    first.iter().find(|b| !skipped(b)) == Some(&b'<')
}

/// Whether a body that is declared as text is something else: `body` as it came, decoded from its content codings, `text`
/// the same in UTF-8.
pub fn is_binary(body: &[u8], text: &[u8]) -> bool {
    if SIGNATURES.iter().any(|s| body.starts_with(s))
        || body.starts_with(b"RIFF") && body.get(8..14) == Some(b"WEBPVP")
    {
        return true;
    }
    let first = &text[..text.len().min(SNIFF_BINARY_BYTES)];
    first.iter().any(|b| is_binary_byte(*b)) && markup(text) == Kind::Other
}

/// Elements that begin HTML (MIME Sniffing 7.1), behind each a blank or `>`.
const HTML: [&[u8]; 16] = [
    b"<!doctype html",
    b"<html",
    b"<head",
    b"<script",
    b"<iframe",
    b"<h1",
    b"<div",
    b"<font",
    b"<table",
    b"<a",
    b"<style",
    b"<title",
    b"<b",
    b"<body",
    b"<br",
    b"<p",
];

/// What begins XML.
const XML: [&[u8]; 6] = [
    b"<?xml",
    b"<rss",
    b"<feed",
    b"<urlset",
    b"<sitemapindex",
    b"<opml",
];

/// Files that are taken for HTML by careless servers.
const SIGNATURES: [&[u8]; 8] = [
    b"%PDF-",
    b"\x89PNG\r\n\x1a\n",
    b"GIF87a",
    b"GIF89a",
    b"\xff\xd8\xff",
    b"PK\x03\x04",
    b"\x1f\x8b\x08",
    b"\0asm",
];

/// Behind a byte order mark and blanks, of the bytes that are looked at.
fn start(text: &[u8]) -> &[u8] {
    let text = &text[..text.len().min(SNIFF_BYTES)];
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    text.trim_ascii_start()
}

fn begins_with_tag(text: &[u8], tag: &[u8]) -> bool {
    let begins = text
        .get(..tag.len())
        .is_some_and(|t| t.eq_ignore_ascii_case(tag));
    begins
        && text
            .get(tag.len())
            .is_some_and(|b| b.is_ascii_whitespace() || *b == b'>')
}

/// A "binary data byte" of the standard.
fn is_binary_byte(b: u8) -> bool {
    matches!(b, 0..=0x08 | 0x0B | 0x0E..=0x1A | 0x1C..=0x1F)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declared_types() {
        for (mime, kind) in [
            ("text/html", Kind::Html),
            ("application/xhtml+xml", Kind::Html),
            ("application/rss+xml", Kind::Xml),
            ("text/xml", Kind::Xml),
            ("image/svg+xml", Kind::Svg),
            ("text/css", Kind::Css),
            ("", Kind::Unknown),
            ("text/plain", Kind::Unknown),
            ("image/png", Kind::Other),
            ("application/json", Kind::Other),
        ] {
            assert_eq!(declared(mime.as_bytes(), false), kind, "{mime}");
            let said = match kind {
                Kind::Unknown => Kind::Other,
                kind => kind,
            };
            assert_eq!(declared(mime.as_bytes(), true), said, "{mime} and nosniff");
        }
    }

    #[test]
    fn the_first_bytes_tell_markup() {
        for (text, kind) in [
            ("\u{feff} \n<!DOCTYPE HTML>", Kind::Html),
            ("<Html lang=en>", Kind::Html),
            ("<p>", Kind::Html),
            ("<!-- x -->", Kind::Html),
            ("<?xml version='1.0'?>", Kind::Xml),
            ("<RSS version='2.0'>", Kind::Xml),
            ("<urlset\nxmlns='x'>", Kind::Xml),
            ("<pre>", Kind::Other),
            ("<html", Kind::Other),
            ("<xyz>", Kind::Other),
            ("text <html>", Kind::Other),
            ("", Kind::Other),
        ] {
            assert_eq!(markup(text.as_bytes()), kind, "{text:?}");
        }
        let far = [" ".repeat(SNIFF_BYTES).as_bytes(), b"<html>"].concat();
        assert_eq!(markup(&far), Kind::Other);
    }

    #[test]
    fn binary_files_are_told_from_text() {
        let is = |body: &[u8]| is_binary(body, body);
        for body in [
            &b"%PDF-1.7"[..],
            b"\x89PNG\r\n\x1a\n",
            b"GIF89a",
            b"\xff\xd8\xff\xe0",
            b"PK\x03\x04",
            b"\x1f\x8b\x08",
            b"\0asm",
            b"RIFF1234WEBPVP8 ",
            b"some\0text <a href=x>",
        ] {
            assert!(is(body), "{body:?}");
        }
        for body in [
            &b"plain words <a href=x>"[..],
            b"<html>\0<a href=x>",
            b"",
            b"\x1b$B in ISO-2022-JP",
        ] {
            assert!(!is(body), "{body:?}");
        }
        let far = [&[b'x'; SNIFF_BINARY_BYTES][..], b"\0"].concat();
        assert!(!is(&far));
    }
}
