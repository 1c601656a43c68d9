//! The response reader against cases that others wrote: llhttp's (whose verdicts are compared) and the malformed heads
//! of the Web Platform Tests (which no split may change and no byte may crash on).
//!
//! The data is read from the folder `CYCLOSA_SUITES`; where that is unset the tests say so and pass.

#[path = "common/split.rs"]
mod split;

use split::read_all_ways;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Cases on which we differ from llhttp, and why.
const DECISIONS: [(&str, &str); 16] = [
    (
        "HTTP/1.1 with keep-alive disabled and 204 status",
        "later bytes end the connection, not the response",
    ),
    (
        "HTTP/1.1 with keep-alive disabled, content-length",
        "later bytes end the connection, not the response",
    ),
    (
        "Bare CR after response line (lenient)",
        "a bare CR is an error in every mode",
    ),
    (
        "Extra space between HTTP version and status code",
        "several spaces are taken",
    ),
    (
        "Only LFs present and no body",
        "LF alone ends a line (RFC 9112 2.2)",
    ),
    ("Only LFs present", "LF alone ends a line (RFC 9112 2.2)"),
    ("No carriage ret", "LF alone ends a line (RFC 9112 2.2)"),
    (
        "Invalid HTTP version (lenient)",
        "only 1.0 and 1.1 are read",
    ),
    ("RTSP response", "not HTTP"),
    ("ICE response", "not HTTP"),
    ("HTTP version 0.9", "only 1.0 and 1.1 are read"),
    (
        "Spaces in header name",
        "the line is no field and is skipped, as browsers do",
    ),
    (
        "Trailing space on chunked body",
        "space behind a chunk size is passed over",
    ),
    (
        "No extension after semicolon",
        "chunk extensions are bounded, not read",
    ),
    (
        "Unbalanced chunk extensions quoting",
        "chunk extensions are bounded, not read",
    ),
    (
        "Invalid OBS fold after chunked value",
        "no folding in framing fields",
    ),
];

fn suite(path: &str) -> Option<serde_json::Value> {
    let Some(folder) = std::env::var_os("CYCLOSA_SUITES") else {
        println!("CYCLOSA_SUITES is not set: {path} skipped");
        return None;
    };
    let file = PathBuf::from(folder).join(path);
    let text = std::fs::read(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    Some(serde_json::from_slice(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display())))
}

/// The bytes that a block of llhttp's Markdown stands for.
fn unescape(block: &str) -> Vec<u8> {
    let block = block.strip_suffix('\n').unwrap_or(block);
    let lines = block.replace("\\\n", "").replace('\n', "\r\n");
    let text = lines
        .replace("\\r", "\r")
        .replace("\\n", "\n")
        .replace("\\t", "\t")
        .replace("\\f", "\u{c}");
    let mut bytes = Vec::new();
    let mut rest = text.as_str();
    while let Some(at) = rest.find("\\x") {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        let digits = rest
            .get(at + 2..at + 4)
            .and_then(|d| u8::from_str_radix(d, 16).ok());
        bytes.push(digits.expect("two hexadecimal digits behind \\x"));
        rest = &rest[at + 4..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

fn unquoted(text: &str) -> &str {
    let inner = text.strip_prefix('"').and_then(|t| t.strip_suffix('"'));
    inner.unwrap_or(text)
}

/// The body of the first message that is not interim, in llhttp's log of events.
fn logged_body(log: &str) -> Vec<u8> {
    let mut body = Vec::new();
    let mut interim = false;
    for line in log.lines() {
        if let Some((_, status)) = line.split_once("headers complete status=") {
            interim = status.starts_with('1');
        }
        if line.ends_with("message complete") && !interim {
            break;
        }
        match line.split_once("span[body]=").map(|(_, span)| span) {
            Some("cr") => body.push(b'\r'),
            Some("lf") => body.push(b'\n'),
            Some(quoted) => body.extend_from_slice(unquoted(quoted).as_bytes()),
            None => {}
        }
    }
    body
}

#[test]
fn llhttp_agrees_but_for_our_decisions() {
    let Some(cases) = suite("llhttp/response_cases.json") else {
        return;
    };
    let (mut agree, mut bodies) = (0, 0);
    let mut different = BTreeMap::new();
    for case in cases.as_array().expect("an array of cases") {
        let text = |key: &str| case[key].as_str().unwrap_or_default();
        // One case has swallowed the one behind it, fences and log and all.
        let (raw, log) = match text("raw_md").split_once("```") {
            Some((raw, more)) => (raw, more.split("```").nth(1).unwrap_or_default()),
            None => (text("raw_md"), text("log")),
        };
        // A parser told that there is no body is another parser.
        if text("meta").contains("skipBody") {
            continue;
        }
        let (outcome, body) = read_all_ways(&unescape(raw));
        let refused = !outcome.has_response();
        if refused == case["error"].is_string() {
            agree += 1;
            if !refused {
                let logged = logged_body(log);
                let shown = |b: &[u8]| b.escape_ascii().to_string();
                assert_eq!(shown(&body), shown(&logged), "{}", text("name"));
                bodies += 1;
            }
        } else {
            different.insert(
                text("name").to_string(),
                (outcome, text("error").to_string()),
            );
        }
    }
    for (name, (outcome, theirs)) in &different {
        let theirs = if theirs.is_empty() { "taken" } else { theirs };
        let why = DECISIONS
            .iter()
            .find(|d| d.0 == name)
            .map_or("NOT DECIDED", |d| d.1);
        println!("{name}: ours {}, llhttp {theirs}: {why}", outcome.name());
    }
    println!(
        "llhttp: {agree} agree ({bodies} bodies equal), {} differ by decision",
        different.len()
    );
    let decided: Vec<&str> = different.keys().map(String::as_str).collect();
    let mut expected: Vec<&str> = DECISIONS.iter().map(|d| d.0).collect();
    expected.sort_unstable();
    assert_eq!(decided, expected);
}

#[test]
fn malformed_heads_of_wpt_are_classified() {
    let Some(matrix) = suite("wpt-html/h1_parsing_matrix.json") else {
        return;
    };
    let names = |key: &str| -> Vec<String> {
        let list = matrix[key].as_array().expect("a list of names");
        list.iter()
            .filter_map(|n| n.as_str().map(String::from))
            .collect()
    };
    const HEAD: &str = "{first}HT{in-http}TP{before-slash}/{after-slash}1{before-dot}.{after-dot}1{after-ver} \
        {before-num}200{after-num} {before-reason}OK{after-reason}\r\n{leading}Content-{in-name}Length{before-colon}:\
        {after-colon} 1{in-value}0{after-value}\r\n\r\n0123456789";
    let (mut refused, mut taken) = (0, Vec::new());
    for position in names("positions") {
        let place = format!("{{{position}}}");
        assert!(HEAD.contains(&place), "unknown position {position}");
        for name in names("chars") {
            let char = match name.as_str() {
                "LF" => "\n",
                "CR" => "\r",
                "TAB" => "\t",
                "SPACE" => " ",
                "NULL" => "\0",
                "COLON" => ":",
                other => panic!("unknown character {other}"),
            };
            let mut raw = HEAD.replace(&place, char);
            for other in names("positions") {
                raw = raw.replace(&format!("{{{other}}}"), "");
            }
            let (outcome, body) = read_all_ways(raw.as_bytes());
            if outcome.has_response() {
                assert!(char != "\0", "{position}: NUL is never taken");
                taken.push(format!("{position} {name} ({} bytes)", body.len()));
            } else {
                refused += 1;
            }
        }
    }
    println!(
        "wpt: {refused} refused, {} taken: {}",
        taken.len(),
        taken.join(", ")
    );
    assert_eq!(refused + taken.len(), 102);
}
