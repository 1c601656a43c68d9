//! URLs: the canonical form is a fixed point, and where the `url` crate is an oracle (it is not of lengths, punycode in
//! ASCII hosts, and what looks like a drive letter) it is what the crate says, written another way.
//!
//! Input: the base in the first byte, then the reference.

use cyclosa::protocol::url::{Base, Rejected, canonical, origin, resolve};

const BASES: [&str; 5] = [
    "http://e.org/",
    "https://e.org/a/b/c.html?x=1",
    "http://e.org:8080/a//b/",
    "https://127.0.0.1/d/e",
    "http://xn--bcher-kva.de/%2f/?",
];

/// Runs one input.
pub fn run(data: &[u8]) {
    let Some((first, reference)) = data.split_first() else {
        return;
    };
    let text = BASES[usize::from(*first) % BASES.len()];
    let mut base = Base::new(text.as_bytes()).expect("a base");
    let ours = resolved(&base, reference);
    if let Ok(reference) = std::str::from_utf8(reference)
        && ours != Err(Rejected::TooLong)
        && let Some(theirs) = theirs(text, reference)
    {
        assert_eq!(ours.ok(), theirs, "{reference:?}");
    }
    base.set_encoding(Some(encoding_rs::ISO_2022_JP));
    let _ = resolved(&base, reference);
    base.rejoin(reference);
    let _ = resolved(&base, b"../x?y");
}

fn resolved(base: &Base, reference: &[u8]) -> Result<String, Rejected> {
    let mut out = b"kept".to_vec();
    let result = resolve(base, reference, &mut out);
    let url = out.split_off(4);
    assert_eq!(out, b"kept");
    assert!(result.is_ok() || url.is_empty());
    let path_at = result?;
    assert!(url.iter().all(u8::is_ascii_graphic) && url[usize::from(path_at)] == b'/');
    assert!(origin(&url[..usize::from(path_at)]).is_some());
    assert_eq!(canonical(&url), Ok((url.clone(), path_at)), "a fixed point");
    Ok(String::from_utf8(url).expect("ASCII"))
}

/// The `url` crate's answer in our form; inner `None`: no web URL; outer: it is no oracle here.
fn theirs(base: &str, reference: &str) -> Option<Option<String>> {
    let clean: String = reference
        .trim_matches(|c| c <= ' ')
        .chars()
        .filter(|c| !"\t\r\n".contains(*c))
        .collect();
    let slashes = clean.len() - clean.trim_start_matches(['/', '\\']).len();
    let clean = match slashes {
        0..=1 => clean,
        n => format!("//{}", &clean[n..]),
    };
    let drive = |segment: &str| match segment.as_bytes() {
        [.., b':', letter, b':' | b'|'] | [letter, b':' | b'|'] => letter.is_ascii_alphabetic(),
        _ => false,
    };
    if clean.split(['/', '\\', '?', '#']).any(drive) {
        return None;
    }
    match url::Url::parse(base).expect("a base").join(&clean) {
        Err(url::ParseError::IdnaError) if clean.to_ascii_lowercase().contains("xn--") => None,
        Ok(url) if matches!(url.scheme(), "http" | "https") => Some(Some(form(url.as_str()))),
        _ => Some(None),
    }
}

/// A serialised http URL in our canonical form, by rules written differently from those of the module.
fn form(href: &str) -> String {
    let href = &href[..href.find('#').unwrap_or(href.len())];
    let (path, query) = href.split_at(href.find('?').unwrap_or(href.len()));
    let (scheme, rest) = path.split_once("//").expect("an authority");
    let (authority, path) = rest.split_at(rest.find('/').expect("a path"));
    let host = &authority[authority.rfind('@').map_or(0, |at| at + 1)..];
    let text = format!("{scheme}//{host}{}{query}", path.replace('^', "%5E"));
    let mut bytes = text.into_bytes();
    for i in 2..bytes.len() {
        let two = [bytes[i - 1], bytes[i]];
        if bytes[i - 2] == b'%' && two.iter().all(u8::is_ascii_hexdigit) {
            bytes[i - 1..=i].make_ascii_uppercase();
        }
    }
    String::from_utf8(bytes).expect("URLs are ASCII")
}
