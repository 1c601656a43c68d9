//! The URL module against the standard's own cases and against the `url` crate.

use super::*;
use proptest::prelude::*;
use serde_json::Value;

/// A serialised http URL of somebody else in our canonical form, by rules written differently from those of the module.
fn expected(href: &str) -> String {
    let href = &href[..href.find('#').unwrap_or(href.len())];
    let (path, query) = href.split_at(href.find('?').unwrap_or(href.len()));
    let (scheme, rest) = path.split_once("//").expect("an authority");
    let (authority, path) = rest.split_at(rest.find('/').expect("a path"));
    let host = &authority[authority.rfind('@').map_or(0, |at| at + 1)..];
    let text = format!("{scheme}//{host}{}{query}", path.replace('^', "%5E"));
    let mut bytes = text.into_bytes();
    for i in 2..bytes.len() {
        if bytes[i - 2] == b'%' && bytes[i - 1].is_ascii_hexdigit() && bytes[i].is_ascii_hexdigit()
        {
            bytes[i - 1..=i].make_ascii_uppercase();
        }
    }
    String::from_utf8(bytes).expect("URLs are ASCII")
}

fn ours(base: Option<&str>, input: &str) -> Result<String, Rejected> {
    let mut out = Vec::new();
    let base = base.map(|b| Base::new(b.as_bytes())).transpose()?;
    let path_at = resolve_in(base.as_ref(), input.as_bytes(), &mut out)?;
    assert_eq!(out[path_at], b'/');
    assert!(out.iter().all(u8::is_ascii_graphic));
    let again = canonical(&out).expect("a canonical URL is a URL");
    assert_eq!((&again.0, again.1 as usize), (&out, path_at), "fixed point");
    assert!(origin(&out[..path_at]).is_some());
    Ok(String::from_utf8(out).expect("ASCII"))
}

#[derive(Default, Debug)]
struct Tally {
    equal: usize,
    failures: usize,
    other_schemes: usize,
    other_bases: usize,
    different: Vec<String>,
}

fn run_cases(file: &std::path::Path) -> Tally {
    let text = std::fs::read_to_string(file).expect("the suite has this file");
    let cases: Vec<Value> = serde_json::from_str(&text).expect("the suite is JSON");
    let mut tally = Tally::default();
    for case in cases.iter().filter(|case| case.is_object()) {
        let Some(input) = case["input"].as_str() else {
            continue;
        };
        let base = case["base"].as_str();
        let web_base = base.is_none_or(|b| b.starts_with("http:") || b.starts_with("https:"));
        let result = match (web_base, case["href"].as_str()) {
            // Only an absolute input can be ours against a base that is not.
            (false, _) => {
                tally.other_bases += 1;
                ours(None, input)
            }
            (true, _) => ours(base, input),
        };
        let (want, counter) = match case["href"].as_str() {
            Some(href) if href.starts_with("http:") || href.starts_with("https:") => {
                (Some(expected(href)), &mut tally.equal)
            }
            Some(_) => (None, &mut tally.other_schemes),
            None => (None, &mut tally.failures),
        };
        let wrong_reason = web_base
            && want.is_none()
            && case["href"].is_string()
            && result != Err(Rejected::Scheme);
        if result.clone().ok() == want && !wrong_reason {
            *counter += 1;
        } else {
            tally.different.push(format!("{case} gave {result:?}"));
        }
    }
    tally
}

#[test]
fn web_platform_tests() {
    let Some(suites) = std::env::var_os("CYCLOSA_SUITES") else {
        println!("skipped: CYCLOSA_SUITES is not set");
        return;
    };
    let folder = std::path::Path::new(&suites).join("wpt-url");
    for file in [
        "tests/wpt/urltestdata.json",
        "tests/wpt/ada_extra_urltestdata.json",
        "tests/wpt/ada_long_urltestdata.json",
    ] {
        let tally = run_cases(&folder.join(file));
        println!("{file}: {tally:?}");
        assert!(
            tally.equal + tally.failures + tally.other_schemes > 0,
            "{file}"
        );
        assert!(tally.different.is_empty(), "{file}: {:#?}", tally.different);
    }
}

/// Pieces that have tripped URL parsers, to be strung together at random.
const PIECES: &[&str] = &[
    "/",
    "//",
    "///",
    "\\",
    "/\\",
    ".",
    "..",
    "./",
    "../",
    "/.",
    "/..",
    "%2e",
    "%2E",
    "/%2e%2e/",
    ".%2e",
    "...",
    "a",
    "B",
    "index.html",
    "a.b",
    "?",
    "?q=1&r=",
    "#",
    "#f",
    "%",
    "%2",
    "%2f",
    "%zz",
    "%e3%83%84",
    "%00",
    "é",
    "日本",
    "\u{7f}",
    " ",
    "\t",
    "\n",
    "\r",
    "\u{0}",
    "\u{1f}",
    "'",
    "\"",
    "<",
    ">",
    "`",
    "{",
    "}",
    "^",
    "|",
    "[",
    "]",
    "~",
    "!",
    "$",
    "&",
    "(",
    ")",
    "*",
    "+",
    ",",
    ";",
    "=",
    "@",
    ":",
    "::",
    ":80",
    ":443",
    ":8080",
    ":0080",
    ":65535",
    ":65536",
    ":x",
    "-",
    "_",
    "http:",
    "https:",
    "HTTP://",
    "http://",
    "https://",
    "hTTps:/",
    "http:\\\\",
    "ftp://",
    "mailto:",
    "javascript:",
    "x:",
    "e.org",
    "E.Org",
    "e.org.",
    "xn--",
    "xn--bcher-kva.de",
    "bücher.de",
    "127.0.0.1",
    "0x7f.1",
    "1.2.3",
    "256.1.1.1",
    "1.2.3.04",
    "[::1]",
    "[::",
    "user@",
    "user:pw@",
    "@@",
    "localhost",
    "a..b",
    ".a",
    "a-.b",
    "ß.de",
    "\u{ad}",
    "\u{2028}",
    "\u{fffd}",
    "\u{10ffff}",
    "%41",
    "%C0%80",
    "\u{3002}",
    "\u{ff0e}",
    "１",
];

const BASES: &[&str] = &[
    "http://e.org/",
    "https://e.org/a/b/c.html?x=1",
    "http://e.org:8080/a//b/",
    "https://127.0.0.1/d/e",
    "http://xn--bcher-kva.de/%2f/?",
];

fn reference() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        8 => proptest::sample::select(PIECES).prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
        1 => "[ -~]{0,6}",
    ];
    proptest::collection::vec(piece, 0..9).prop_map(|pieces| pieces.concat())
}

/// The `url` crate's answer, slashes collapsed as the standard has it: `Ok(None)` for what is no web URL, an error where
/// the crate is no oracle: it validates punycode in ASCII hosts, and `..` does not remove what looks like a drive letter.
fn theirs(base: &str, reference: &str) -> Result<Option<String>, ()> {
    let clean = trimmed(reference.as_bytes())
        .iter()
        .filter(|b| !b"\t\r\n".contains(b));
    let clean = String::from_utf8(clean.copied().collect()).expect("whole characters are left");
    let slashes = clean.len() - clean.trim_start_matches(['/', '\\']).len();
    let clean = match slashes {
        0..=1 => clean,
        n => format!("//{}", &clean[n..]),
    };
    let url = ::url::Url::parse(base).expect("a base").join(&clean);
    let drive = |segment: &str| match segment.as_bytes() {
        [.., b':', letter, b':' | b'|'] | [letter, b':' | b'|'] => letter.is_ascii_alphabetic(),
        _ => false,
    };
    if clean.split(['/', '\\', '?', '#']).any(drive) {
        return Err(());
    }
    match url {
        Err(::url::ParseError::IdnaError) if clean.to_ascii_lowercase().contains("xn--") => Err(()),
        Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(Some(expected(url.as_str()))),
        _ => Ok(None),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(
        std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(20_000)
    ))]

    #[test]
    fn same_as_the_url_crate(base in proptest::sample::select(BASES), reference in reference()) {
        let ours = ours(Some(base), &reference);
        if let Ok(theirs) = theirs(base, &reference) {
            prop_assert_eq!(ours.ok(), theirs, "{:?}", reference);
        }
    }

    #[test]
    fn any_bytes(base in proptest::sample::select(BASES), reference in proptest::collection::vec(any::<u8>(), 0..40)) {
        let mut base = Base::new(base.as_bytes()).expect("a base");
        base.set_encoding(Some(encoding_rs::ISO_2022_JP));
        let mut out = Vec::new();
        if let Ok(path_at) = resolve(&base, &reference, &mut out) {
            let again = canonical(&out).expect("a canonical URL is a URL");
            prop_assert_eq!(again, (out, path_at));
        }
    }
}

/// On well-formed references the `url` crate is not needed: that is what makes the path fast.
#[test]
fn common_references_stay_on_the_fast_path() {
    let base = Base::new(b"https://e.org/a/b/c.html?x=1").expect("a base");
    for reference in [
        "",
        "#top",
        "?page=2",
        "d.html",
        "./d.html",
        "../../d/#e",
        "/d/e.png?v=1.2",
        "//cdn.e.org/x.js",
        "http://127.0.0.1:8080/",
        "HTTPS://WWW.Example.ORG:443/A%2fb/..",
        "/a b/é?q='é'",
        "a\\b",
    ] {
        let mut out = Vec::new();
        assert!(
            fast::resolve(Some(&base), reference.as_bytes(), &mut out).is_ok(),
            "{reference}"
        );
    }
}
