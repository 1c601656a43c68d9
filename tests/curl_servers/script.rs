//! curl's test files (FILEFORMAT in curl's `tests/`): sections of parts between tags, one tag a line, with variables.
//!
//! What must hold: the bytes of a part are what curl's own server would send and curl's own runner would compare with.
//! Deliberately absent: what only other protocols and libcurl's own programs use.

use std::path::{Path, PathBuf};

/// What conditions of `%if` are true of: none of the features of curl's build matters for what a server sends.
const FEATURES: [&str; 4] = ["manual", "large-time", "!wolfssl", "!rustls"];

/// A part: `<name attributes>` to `</name>`.
#[derive(Debug)]
pub struct Part {
    section: String,
    /// Name of the tag.
    pub name: String,
    attributes: String,
    bytes: Vec<u8>,
}

impl Part {
    /// Whether the tag says `attribute="yes"`.
    pub fn is(&self, attribute: &str) -> bool {
        self.attributes.contains(&format!("{attribute}=\"yes\""))
    }

    /// Value of an attribute.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        let (_, rest) = self.attributes.split_once(&format!("{name}=\""))?;
        rest.split('"').next()
    }

    /// The bytes it stands for.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        if self.is("base64") {
            bytes.retain(|b| !b.is_ascii_whitespace());
            bytes = data_encoding::BASE64
                .decode(&bytes)
                .expect("base64 in a test file");
        }
        if self.is("nonewline") && bytes.last() == Some(&b'\n') {
            bytes.pop();
        }
        bytes
    }
}

/// A test file.
#[derive(Debug)]
pub struct Script {
    /// Number of the test.
    pub number: u32,
    parts: Vec<Part>,
}

/// The test files of a folder, by number.
pub fn numbers(folder: &Path) -> Vec<u32> {
    let listing = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut all: Vec<u32> = listing
        .flatten()
        .filter_map(|entry| {
            entry
                .file_name()
                .to_str()?
                .strip_prefix("test")?
                .parse()
                .ok()
        })
        .collect();
    all.sort_unstable();
    all
}

/// The folder of test files, where `CYCLOSA_SUITES` names one.
pub fn folder() -> Option<PathBuf> {
    let Some(suites) = std::env::var_os("CYCLOSA_SUITES") else {
        println!("CYCLOSA_SUITES is not set: curl's server scripts skipped");
        return None;
    };
    Some(PathBuf::from(suites).join("curl/tests/data"))
}

impl Script {
    /// Reads test `number` as it is for a server on `port` of loopback.
    pub fn load(folder: &Path, number: u32, port: u16) -> Option<Self> {
        let text = std::fs::read(folder.join(format!("test{number}"))).ok()?;
        Some(Self::parse(&text, number, port))
    }

    fn parse(text: &[u8], number: u32, port: u16) -> Self {
        let mut script = Self {
            number,
            parts: Vec::new(),
        };
        let (mut section, mut open) = (String::new(), None::<Part>);
        let (mut conditions, mut after_field) = (Vec::new(), false);
        for line in text.split_inclusive(|b| *b == b'\n') {
            if let Some(condition) = line.strip_prefix(b"%if ") {
                let name = String::from_utf8_lossy(condition);
                conditions.push(FEATURES.contains(&name.trim()));
                continue;
            }
            match line.trim_ascii_end() {
                b"%else" => {
                    let last = conditions.last_mut().expect("%else behind %if");
                    *last = !*last;
                    continue;
                }
                b"%endif" => {
                    conditions.pop();
                    continue;
                }
                _ if conditions.contains(&false) => continue,
                _ => {}
            }
            let line = substitute(line, number, port);
            let tag = tag(&line);
            if let Some(part) = &mut open {
                if tag
                    .as_ref()
                    .is_some_and(|t| t.0 == format!("/{}", part.name))
                {
                    script.parts.extend(open.take());
                } else if part.is("crlf") {
                    part.bytes.extend(with_crlf(&line, &mut after_field));
                } else {
                    part.bytes.extend(line);
                }
                continue;
            }
            match tag {
                Some((name, _)) if name.starts_with('/') || name == "testcase" => section.clear(),
                Some((name, _)) if section.is_empty() => section = name,
                Some((name, attributes)) => {
                    after_field = false;
                    open = Some(Part {
                        section: section.clone(),
                        name,
                        attributes,
                        bytes: Vec::new(),
                    });
                }
                None => {}
            }
        }
        script
    }

    /// All parts of a section.
    pub fn section<'a>(&'a self, section: &'a str) -> impl Iterator<Item = &'a Part> {
        self.parts.iter().filter(move |p| p.section == section)
    }

    /// The part `name` of `section`.
    pub fn part(&self, section: &str, name: &str) -> Option<&Part> {
        self.parts
            .iter()
            .find(|p| p.section == section && p.name == name)
    }

    /// The part as trimmed lines; none where it is absent.
    pub fn lines(&self, section: &str, name: &str) -> Vec<String> {
        let bytes = self
            .part(section, name)
            .map(Part::bytes)
            .unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let lines = text.lines().map(str::trim).filter(|l| !l.is_empty());
        lines.map(String::from).collect()
    }

    /// Everything a server may send: `data`, `data1` … and `connect` …
    pub fn replies(&self) -> impl Iterator<Item = &Part> {
        self.section("reply").filter(|p| {
            let kind = p.name.trim_end_matches(|c: char| c.is_ascii_digit());
            matches!(kind, "data" | "connect")
        })
    }

    /// Whether a server of it speaks HTTP in some way.
    pub fn is_http(&self) -> bool {
        let servers = self.lines("client", "server");
        servers.iter().any(|s| s.starts_with("http"))
    }
}

/// Name and attributes of a line that is a tag.
fn tag(line: &[u8]) -> Option<(String, String)> {
    let line = std::str::from_utf8(line).ok()?.trim();
    let inner = line.strip_prefix('<')?.strip_suffix('>')?;
    let (name, attributes) = inner.split_once(' ').unwrap_or((inner, ""));
    let fits = name
        .trim_start_matches('/')
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    fits.then(|| (name.to_string(), attributes.to_string()))
}

/// `crlf="yes"`: lines that look like those of a head end with CRLF, and so does an empty one behind them.
fn with_crlf(line: &[u8], after_field: &mut bool) -> Vec<u8> {
    let Some(bare) = line.strip_suffix(b"\n") else {
        return line.to_vec();
    };
    let is_status = ["HTTP/1.1 ", "HTTP/1.0 ", "HTTP/2 ", "HTTP/3 "]
        .iter()
        .any(|v| {
            let rest = bare.strip_prefix(v.as_bytes());
            rest.is_some_and(|r| r.first().is_some_and(|b| (b'1'..=b'5').contains(b)))
        });
    let name = bare.split(|b| *b == b':').next().unwrap_or_default();
    let is_field = !name.is_empty()
        && bare[name.len()..].starts_with(b": ")
        && name
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    let is_empty = bare.is_empty() && *after_field;
    *after_field = (is_status || is_field) && !bare.ends_with(b"\r");
    if *after_field || is_empty {
        [bare, b"\r\n"].concat()
    } else {
        line.to_vec()
    }
}

/// Replaces variables and instructions in a line.
fn substitute(line: &[u8], number: u32, port: u16) -> Vec<u8> {
    let mut line = line.to_vec();
    for (name, value) in [
        // curl's server learns from the host which test it is; ours knows, and WHATWG allows no such host.
        (".%TESTNUMBER", format!(".t{number}")),
        ("%TESTNUMBER", number.to_string()),
        ("%HOSTIP", "127.0.0.1".into()),
        ("%HOST6IP", "[::1]".into()),
        ("%CLIENTIP", "127.0.0.1".into()),
        ("%HTTPPORT", port.to_string()),
        ("%HTTP6PORT", port.to_string()),
        ("%PROXYPORT", port.to_string()),
        ("%SOCKSPORT", port.to_string()),
        ("%NOLISTENPORT", "1".into()),
        ("%VERSION", "8.14.1".into()),
        ("%LOGDIR", "log".into()),
        ("%PWD", "/pwd".into()),
        ("%DEV_NULL", "/dev/null".into()),
    ] {
        line = replace(&line, name.as_bytes(), value.as_bytes());
    }
    line = instruction(line, b"%b64[", b"]b64%", |inner| {
        data_encoding::BASE64.encode(&unescape(inner)).into_bytes()
    });
    line = instruction(line, b"%hex[", b"]hex%", unescape);
    line = instruction(line, b"%repeat[", b"]%", |inner| {
        let text = String::from_utf8_lossy(inner).into_owned();
        let (count, what) = text.split_once(" x ").expect("%repeat[n x text]%");
        unescape(what.as_bytes()).repeat(count.parse().expect("a count"))
    });
    instruction(line, b"%days[", b"]", |_| b"1999-01-01".to_vec())
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|w| w == what)
}

fn replace(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), text);
    while let Some(at) = find(rest, from) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(to);
        rest = &rest[at + from.len()..];
    }
    out.extend_from_slice(rest);
    out
}

/// Replaces what stands between `open` and `close` by what `by` makes of it.
fn instruction(line: Vec<u8>, open: &[u8], close: &[u8], by: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), line.as_slice());
    while let Some(at) = find(rest, open) {
        let inner = &rest[at + open.len()..];
        let Some(len) = find(inner, close) else { break };
        out.extend_from_slice(&rest[..at]);
        out.extend(by(&inner[..len]));
        rest = &inner[len + close.len()..];
    }
    out.extend_from_slice(rest);
    out
}

/// Undoes `%0d` and the like.
pub fn unescape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let digits = text.get(at + 1..at + 3).filter(|_| text[at] == b'%');
        let byte = digits
            .and_then(|d| std::str::from_utf8(d).ok())
            .and_then(|d| u8::from_str_radix(d, 16).ok());
        out.push(byte.unwrap_or(text[at]));
        at += if byte.is_some() { 3 } else { 1 };
    }
    out
}

#[test]
fn test_files_are_read_as_the_runner_of_curl_reads_them() {
    let text = b"<testcase>\n<reply>\n<data crlf=\"yes\" nonewline=\"yes\">\nHTTP/1.1 200 OK\nA: %TESTNUMBER0002\n\n\
        <h1>\n%if win32\nB: c\n%else\n%hex[%41%2c]hex%%repeat[3 x %62]%\n%endif\n</data>\n<data1 base64=\"yes\">\nYWJj\n</data1>\n\
        </reply>\n<client>\n<server>\nhttp\n</server>\n</client>\n</testcase>\n";
    let script = Script::parse(text, 7, 80);
    let data = script.part("reply", "data").map(Part::bytes);
    let expected = b"HTTP/1.1 200 OK\r\nA: 70002\r\n\r\n<h1>\nA,bbb";
    assert_eq!(data.as_deref(), Some(&expected[..]));
    let second = script.part("reply", "data1").map(Part::bytes);
    assert_eq!(second.as_deref(), Some(&b"abc"[..]));
    assert!(script.is_http());
    assert_eq!(script.replies().count(), 2);
}
