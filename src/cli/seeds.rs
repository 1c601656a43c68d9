//! The seed file: one URL a line, blank lines and lines that start with `#` left out.
//!
//! What must hold: every line is read as a bounded piece; a line that is no URL stops the program before anything is
//! fetched, with its place and what to write instead; a file without any URL is a mistake, not an empty crawl.

use crate::config::{Config, resolve_rule};
use crate::error::{Error, Result};
use crate::limits::{SEEDS_MAX, URL_BYTES_MAX};
use crate::protocol::address::{Policy, name_is_private};
use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::net::IpAddr;
use std::path::Path;

/// Longest line that is read, bytes: whatever is longer can only be a mistake.
const LINE_BYTES_MAX: u64 = 64 << 10;

/// The seeds in the file at `path`, or on `stdin` for `-`: each as given, with its place (`seeds.txt:3`).
pub fn read(path: &Path, stdin: &mut dyn BufRead) -> Result<Vec<(String, String)>> {
    if path == Path::new("-") {
        return lines(stdin, "stdin");
    }
    let file = File::open(path).map_err(|e| unreadable(path, &e))?;
    lines(&mut BufReader::new(file), &path.display().to_string())
}

/// What SEEDS is, for those who gave something else.
const SEEDS_ARE: &str = "SEEDS is a file with one URL a line, or - for standard input";

fn unreadable(path: &Path, error: &io::Error) -> Error {
    let shown = path.display();
    let text = path.to_string_lossy();
    let hint = if error.kind() == io::ErrorKind::NotFound && looks_like_a_url(&text) {
        let url = if text.contains("://") {
            text.to_string()
        } else {
            format!("http://{text}")
        };
        format!("; SEEDS is a file: put the URL in one, or: echo {url} | cyclosa crawl -")
    } else {
        format!("; {SEEDS_ARE}")
    };
    Error::usage(format!("cannot read the seeds {shown}: {error}{hint}"))
}

/// Whether a user may have meant `text` as a URL.
fn looks_like_a_url(text: &str) -> bool {
    let host = text.split(['/', ':']).next().unwrap_or_default();
    let file_like = [".txt", ".lst", ".list", ".csv", ".tsv", ".urls", ".seeds"];
    text.contains("://")
        || host == "localhost"
        || (host.contains('.')
            && !host.starts_with('.')
            && !file_like.iter().any(|end| host.ends_with(end)))
}

fn lines(from: &mut dyn BufRead, name: &str) -> Result<Vec<(String, String)>> {
    let mut seeds = Vec::new();
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let mut bounded = (&mut *from).take(LINE_BYTES_MAX);
        let read = bounded.read_until(b'\n', &mut line);
        if read
            .map_err(|e| Error::usage(format!("cannot read the seeds {name}: {e}; {SEEDS_ARE}")))?
            == 0
        {
            break;
        }
        let place = format!("{name}:{number}");
        if line.len() as u64 == LINE_BYTES_MAX && line.last() != Some(&b'\n') {
            return Err(Error::usage(format!(
                "{place}: the line is longer than {LINE_BYTES_MAX} bytes; write one URL a line"
            )));
        }
        let text = std::str::from_utf8(&line).map_err(|_| {
            Error::usage(format!("{place}: not UTF-8; write one URL a line as text"))
        })?;
        // Some editors put a byte order mark first.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text).trim();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        if let Err(why) = check(text) {
            return Err(Error::usage(format!("{place}: {why}")));
        }
        if seeds.len() == SEEDS_MAX {
            return Err(Error::usage(format!(
                "{place}: more than {SEEDS_MAX} seeds; split the file and crawl the parts into directories of their own"
            )));
        }
        seeds.push((text.to_string(), place));
    }
    if seeds.is_empty() {
        return Err(Error::usage(format!(
            "{name} holds no URL; write one a line, for example http://example.org/"
        )));
    }
    Ok(seeds)
}

/// Refuses seeds on the public Internet where it is not said who crawls.
///
/// # Errors
/// Names the first such seed, and what to write.
pub fn ask_who_crawls(config: &Config) -> Result<()> {
    if config.identified {
        return Ok(());
    }
    let public = |(text, _): &&(String, String)| may_be_public(text, config);
    match config.seeds.iter().find(public) {
        None => Ok(()),
        Some((text, place)) => {
            let shown: String = without_password(text).chars().take(100).collect();
            Err(Error::usage(format!(
                "{place}: {shown} is on the public Internet: say where a webmaster can complain, with --contact \
                 https://you.example/crawl or a mail address"
            )))
        }
    }
}

/// Whether a URL leads to an address that is not private, as far as can be told without asking a name server.
fn may_be_public(text: &str, config: &Config) -> bool {
    let Ok(url) = url::Url::parse(text) else {
        return false;
    };
    let port = url.port_or_known_default().unwrap_or(80);
    let address = match url.host() {
        Some(url::Host::Ipv4(ip)) => Some(IpAddr::V4(ip)),
        Some(url::Host::Ipv6(ip)) => Some(IpAddr::V6(ip)),
        Some(url::Host::Domain(name)) => {
            let rule = resolve_rule(&config.resolve, name, port);
            if rule.is_none() && name_is_private(name) {
                return false;
            }
            rule.map(|address| address.ip())
        }
        None => return false,
    };
    // Nothing but what is opened: what is public then, has been named by the user.
    let opened = Policy::new(&config.allow_net, &[], &[]);
    address.is_none_or(|ip| opened.allows(ip) && !opened.clone().opened_only().allows(ip))
}

/// Whether `text` is a URL that can be fetched; else what to write instead.
fn check(text: &str) -> std::result::Result<(), String> {
    let named = without_password(text);
    let shown: String = named.chars().take(100).collect();
    if text.len() > URL_BYTES_MAX {
        return Err(format!(
            "`{shown}...` is longer than {URL_BYTES_MAX} bytes, the longest URL that is fetched"
        ));
    }
    if !text.contains("://") {
        return Err(without_slashes(&named, &shown));
    }
    match url::Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(()),
        Ok(url) => Err(format!(
            "`{shown}`: {} is not fetched; write an http:// or https:// URL",
            url.scheme()
        )),
        Err(why) => Err(format!(
            "`{shown}` is not a URL ({why}); write one such as http://example.org/"
        )),
    }
}

/// `text` as a message may repeat it: messages end up in logs, where a password has no business. What stands between the
/// slashes and the last `@` is taken for a name with a password where there is a colon in it.
fn without_password(text: &str) -> Cow<'_, str> {
    let start = match text.split_once(':') {
        Some(("mailto", _)) => return text.into(),
        Some((scheme, rest))
            if rest.starts_with("//")
                || scheme.eq_ignore_ascii_case("http")
                || scheme.eq_ignore_ascii_case("https") =>
        {
            text.len() - rest.trim_start_matches(['/', '\\']).len()
        }
        _ => 0,
    };
    match text[start..].rfind('@') {
        Some(at) if text[start..start + at].contains(':') => {
            format!("{}***{}", &text[..start], &text[start + at..]).into()
        }
        _ => text.into(),
    }
}

/// What to write instead of a line without `://`. The text is looked at before the parser sees it: to the parser,
/// `example.org:8080/` has the scheme `example.org`.
fn without_slashes(text: &str, shown: &str) -> String {
    let (scheme, rest) = text.split_once(':').unwrap_or(("", text));
    match scheme.to_ascii_lowercase().as_str() {
        scheme @ ("http" | "https") => {
            let rest = rest.trim_start_matches(['/', '\\']);
            format!("`{shown}` is not a URL; write {scheme}://{rest}")
        }
        scheme @ ("mailto" | "javascript" | "data" | "tel" | "file") => {
            format!("`{shown}`: {scheme} is not fetched; write an http:// or https:// URL")
        }
        _ if url::Url::parse(&format!("http://{text}")).is_ok() => {
            format!("`{shown}` has no scheme; write http://{shown}")
        }
        _ => format!("`{shown}` is not a URL; write one such as http://example.org/"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seeds(text: &[u8]) -> Result<Vec<(String, String)>> {
        lines(&mut &text[..], "seeds.txt")
    }

    #[test]
    fn comments_blank_lines_and_spaces_are_left_out_and_places_kept() {
        let found =
            seeds(b"\xef\xbb\xbf# ours\r\n\r\n  http://a.test/ \r\nhttps://b.test/x?y#z").unwrap();
        let expected = [
            ("http://a.test/", "seeds.txt:3"),
            ("https://b.test/x?y#z", "seeds.txt:4"),
        ];
        let expected = expected.map(|(a, b)| (a.to_string(), b.to_string()));
        assert_eq!(found, expected);
    }

    #[test]
    fn mistakes_name_the_line_and_say_what_to_write() {
        for (text, parts) in [
            (
                "http://a.test/\nexample.org\n",
                ["seeds.txt:2", "http://example.org"],
            ),
            (
                "example.org:8080/x",
                ["seeds.txt:1", "http://example.org:8080/x"],
            ),
            ("localhost:80", ["no scheme", "http://localhost:80"]),
            ("http:/a.test/x", ["seeds.txt:1", "write http://a.test/x"]),
            ("mailto:a@b.test", ["mailto is not fetched", "http://"]),
            ("ftp://a.test/", ["ftp is not fetched", "http://"]),
            ("http://", ["not a URL", "http://example.org/"]),
            ("two words", ["seeds.txt:1", "http://example.org/"]),
            ("", ["holds no URL", "http://example.org/"]),
            ("# only this\n\n", ["seeds.txt holds no URL", "one a line"]),
        ] {
            let error = seeds(text.as_bytes()).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            for part in parts {
                assert!(error.to_string().contains(part), "`{part}` in `{error}`");
            }
        }
    }

    #[test]
    fn passwords_are_not_repeated() {
        for text in [
            "http://u:hush@[/",
            "ftp://u:hush@a.test/",
            "u:hush@a.test/",
            "HTTP:/u:hush@a.test",
            "https://u:hu/sh@a.test:x/",
            "x://:hush@a",
        ] {
            let error = seeds(text.as_bytes()).unwrap_err().to_string();
            assert!(!error.contains("hu"), "{error}");
        }
        assert_eq!(without_password("mailto:a@b.test"), "mailto:a@b.test");
        assert_eq!(without_password("http://a.test/@me"), "http://a.test/@me");
    }

    #[test]
    fn hostile_files_are_refused_without_reading_them_whole() {
        assert!(
            seeds(b"http://a.test/\xff")
                .unwrap_err()
                .to_string()
                .contains("UTF-8")
        );
        let endless = io::repeat(b'a');
        let error = lines(&mut BufReader::new(endless), "x").unwrap_err();
        assert!(error.to_string().contains("longer than"), "{error}");
        let long = format!("http://a.test/{}", "a".repeat(URL_BYTES_MAX));
        let error = seeds(long.as_bytes()).unwrap_err().to_string();
        assert!(
            error.contains("longest URL") && error.len() < 300,
            "{error}"
        );
    }

    #[test]
    fn a_url_in_place_of_a_file_is_recognised() {
        let nothing: &mut dyn BufRead = &mut io::empty();
        for typed in ["http://no.test/", "no.test", "www.no.test/a"] {
            let error = read(Path::new(typed), nothing).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            let shown = error.to_string();
            assert!(
                shown.contains("| cyclosa crawl -") && shown.contains("echo http://"),
                "{shown}"
            );
        }
        let error = read(Path::new("no-such-seeds.txt"), nothing)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("one URL a line") && !error.contains("echo"),
            "{error}"
        );
    }
}
