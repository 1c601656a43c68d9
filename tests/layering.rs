//! The architecture as a test: which module may use which, where single crates and clocks may appear, where unsafe code
//! may stand, and how long a file may be.
//!
//! The sources are read as text, with comments and strings blanked. Test code is held to the rules about unsafe code and
//! length only. Modules that do not exist are no failure; modules that no rule names are one.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Modules by rank; each may use those of the ranks above its own line. The first rank may use itself.
const RANKS: [&[&str]; 8] = [
    &[
        "limits", "budget", "event", "time", "error", "disk", "config",
    ],
    &["protocol"],
    &["frontier", "parse", "store"],
    &["ring"],
    &["fetch", "checkpoint", "telemetry", "web"],
    &["engine", "sim"],
    &["cli"],
    &["main", "lib"],
];

/// Uses inside one rank that are wanted, with the reason.
const ALSO: [(&str, &str, &str); 1] = [(
    "store",
    "parse",
    "the index keeps the fields that the record writer bounds",
)];

/// What a rank would allow and the design does not.
const NEVER: [(&str, &str, &str); 6] = [
    (
        "web",
        "frontier",
        "the synthetic web is a server, not a part of the crawler",
    ),
    ("web", "store", "as above"),
    ("web", "parse", "as above"),
    ("fetch", "frontier", "the lanes have no policy"),
    ("fetch", "store", "a lane hands pages on and keeps nothing"),
    (
        "ring",
        "frontier",
        "a ring does not know what travels on it",
    ),
];

/// Crates and calls that have a home, and the homes: folders end with a slash.
const HOMES: [(&str, &[&str]); 8] = [
    ("disruptor::", &["src/ring/"]),
    ("mio::", &["src/fetch/", "src/web/", "src/engine/bell.rs"]),
    ("memmap2::", &["src/checkpoint/mapping.rs"]),
    ("simple_dns::", &["src/protocol/dns/"]),
    ("rustls::", &["src/fetch/"]),
    ("webpki::", &["src/fetch/trust.rs"]),
    ("Instant::now", &["src/time.rs"]),
    ("SystemTime::now", &["src/time.rs"]),
];

/// Files with unsafe code, and why.
const UNSAFE: [(&str, &str); 4] = [
    (
        "src/ring/slot.rs",
        "moves values out of ring slots through the shared references that consumers get",
    ),
    ("src/checkpoint/mapping.rs", "maps checkpoint files"),
    (
        "src/protocol/html/avx2.rs",
        "vector instructions of the link scanner",
    ),
    (
        "src/protocol/html/mod.rs",
        "calls the scanner compiled for AVX2 where the processor has it",
    ),
];

/// Longest file, in lines.
const LINES_MAX: usize = 700;

/// A source file: path from the crate's root with forward slashes, and its text.
struct Source {
    path: String,
    text: String,
}

impl Source {
    /// The top-level module it belongs to.
    fn module(&self) -> &str {
        let inside = self.path.strip_prefix("src/").unwrap_or(&self.path);
        inside
            .split('/')
            .next()
            .map_or("", |m| m.strip_suffix(".rs").unwrap_or(m))
    }

    /// Names on the way from the crate's root to it: 2 for `src/ring/slot.rs`, 1 for `src/ring/mod.rs`.
    fn depth(&self) -> usize {
        self.path.split('/').count() - if self.path.ends_with("/mod.rs") { 2 } else { 1 }
    }

    /// Whether all of it is test code.
    fn is_test(&self) -> bool {
        self.path.ends_with("/tests.rs") || self.path.contains("/tests/")
    }

    /// Its code without comments, strings and the tests at its bottom.
    fn code(&self) -> String {
        if self.is_test() {
            return String::new();
        }
        let code = blank(&self.text);
        match code.find("#[cfg(test)]\nmod tests {") {
            Some(at) => code[..at].to_string(),
            None => code,
        }
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.join("src")];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).expect("a source folder");
        let mut entries: Vec<PathBuf> = entries.map(|e| e.expect("an entry").path()).collect();
        entries.sort();
        for path in entries {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let shown = path.strip_prefix(root).expect("below the root");
                found.push(Source {
                    path: shown.to_string_lossy().replace('\\', "/"),
                    text: fs::read_to_string(&path).expect("UTF-8"),
                });
            }
        }
    }
    found
}

/// `text` with the insides of comments, strings and character literals replaced by spaces; lines stay lines.
fn blank(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let len = literal_len(rest, at.checked_sub(1).map(|b| bytes[b]));
        if len == 0 {
            out.push(bytes[at]);
            at += 1;
        } else {
            out.extend(
                rest[..len]
                    .iter()
                    .map(|&b| if b == b'\n' { b'\n' } else { b' ' }),
            );
            at += len;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Length of the comment or literal that starts here; 0 if none does. `before` is the byte in front.
fn literal_len(rest: &[u8], before: Option<u8>) -> usize {
    let in_word = before.is_some_and(is_word);
    match rest {
        [b'/', b'/', ..] => rest.iter().position(|&b| b == b'\n').unwrap_or(rest.len()),
        [b'/', b'*', ..] => block_comment_len(rest),
        [b'"', ..] => quoted_len(rest, 0),
        [b'r', b'"' | b'#', ..] if !in_word || before == Some(b'b') => {
            let hashes = rest[1..].iter().take_while(|&&b| b == b'#').count();
            if rest.get(1 + hashes) == Some(&b'"') {
                raw_len(rest, hashes)
            } else {
                0
            }
        }
        [b'\'', b'\\', ..] => quoted_len(rest, 0),
        // A character of one to four bytes; anything else after a quote is a lifetime.
        [b'\'', ..] => (2..=5)
            .find(|&n| {
                let inside = rest.get(1..n).map(std::str::from_utf8);
                rest.get(n) == Some(&b'\'')
                    && matches!(inside, Some(Ok(c)) if c.chars().count() == 1)
            })
            .map_or(0, |n| n + 1),
        _ => 0,
    }
}

fn block_comment_len(rest: &[u8]) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < rest.len() {
        match &rest[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    at
}

/// Length of a literal that ends with the byte at `open`, escapes honoured.
fn quoted_len(rest: &[u8], open: usize) -> usize {
    let mut at = open + 1;
    while at < rest.len() && rest[at] != rest[open] {
        at += if rest[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

fn raw_len(rest: &[u8], hashes: usize) -> usize {
    let end: Vec<u8> = std::iter::once(b'"')
        .chain(std::iter::repeat_n(b'#', hashes))
        .collect();
    let body = 2 + hashes;
    let found = rest[body..].windows(end.len()).position(|w| w == end);
    found.map_or(rest.len(), |at| body + at + end.len())
}

fn is_word(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_'
}

/// Where `word` stands in `code` as a word of its own.
fn words(code: &str, word: &str) -> Vec<usize> {
    let bytes = code.as_bytes();
    let free = |at: usize| !bytes.get(at).copied().is_some_and(is_word);
    let last_is_word = word.bytes().next_back().is_some_and(is_word);
    code.match_indices(word)
        .map(|(at, _)| at)
        .filter(|&at| at == 0 || free(at - 1))
        .filter(|&at| !last_is_word || free(at + word.len()))
        .collect()
}

/// First name of a path.
fn head(path: &str) -> &str {
    let path = path.trim_start();
    &path[..path.bytes().position(|b| !is_word(b)).unwrap_or(path.len())]
}

/// First names of what follows a `::`: one, or those of a group `{a::b, c}`.
fn heads(after: &str) -> Vec<&str> {
    let after = after.trim_start();
    let Some(group) = after.strip_prefix('{') else {
        return vec![head(after)];
    };
    let mut names = Vec::new();
    let (mut depth, mut start) = (0_usize, 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                names.push(head(&group[start..at]));
                start = at + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    names
}

/// Top-level modules that `code` names, through `crate::`, the crate's name, or `super::` up to the root.
fn uses(code: &str, depth: usize) -> BTreeSet<String> {
    let up = "super::".repeat(depth);
    let mut found = BTreeSet::new();
    for prefix in ["crate::", "cyclosa::", up.as_str()] {
        if prefix.is_empty() {
            continue;
        }
        for at in words(code, prefix) {
            found.extend(
                heads(&code[at + prefix.len()..])
                    .into_iter()
                    .map(String::from),
            );
        }
    }
    found
}

fn rank(module: &str) -> Option<usize> {
    RANKS.iter().position(|rank| rank.contains(&module))
}

/// Whether `user` may use `used`; both are modules with a rank.
fn may_use(user: &str, used: &str) -> bool {
    if user == used || user == "lib" {
        return true;
    }
    let listed = |list: &[(&str, &str, &str)]| list.iter().any(|&(a, b, _)| (a, b) == (user, used));
    match (rank(user), rank(used)) {
        (Some(0), Some(0)) => true,
        (Some(above), Some(below)) => {
            (below < above || (below == above && listed(&ALSO))) && !listed(&NEVER)
        }
        _ => false,
    }
}

fn assert_none(what: &str, found: &[String]) {
    assert!(found.is_empty(), "{what}:\n  {}", found.join("\n  "));
}

#[test]
fn modules_depend_one_way() {
    let mut wrong = Vec::new();
    for source in sources() {
        let module = source.module();
        if rank(module).is_none() {
            wrong.push(format!(
                "{}: no rank for module {module}; give it one in this test",
                source.path
            ));
        }
        for used in uses(&source.code(), source.depth()) {
            // Names that are no module are items of the crate's root or macros.
            if rank(&used).is_some() && !may_use(module, &used) {
                wrong.push(format!("{}: {module} must not use {used}", source.path));
            }
        }
    }
    assert_none("dependencies against the layering", &wrong);
}

#[test]
fn crates_and_clocks_stay_at_home() {
    let mut wrong = Vec::new();
    for source in sources() {
        let code = source.code();
        for (name, homes) in HOMES {
            let at_home = homes.iter().any(|home| match home.ends_with('/') {
                true => source.path.starts_with(home),
                false => source.path == *home,
            });
            if !at_home && !words(&code, name).is_empty() {
                wrong.push(format!(
                    "{}: {name} belongs to {}",
                    source.path,
                    homes.join(", ")
                ));
            }
        }
    }
    assert_none("away from home", &wrong);
}

#[test]
fn unsafe_code_stands_only_where_it_is_listed() {
    let mut wrong = Vec::new();
    for source in sources() {
        let listed = UNSAFE.iter().any(|&(path, _)| path == source.path);
        if !listed && !words(&blank(&source.text), "unsafe").is_empty() {
            wrong.push(format!(
                "{}: unsafe code; list the file here with a reason or do without",
                source.path
            ));
        }
    }
    assert_none("unsafe code", &wrong);
}

#[test]
fn files_are_short() {
    let long = sources().into_iter().filter_map(|source| {
        let lines = source.text.lines().count();
        (lines > LINES_MAX).then(|| format!("{}: {lines} lines, at most {LINES_MAX}", source.path))
    });
    assert_none("too long", &long.collect::<Vec<_>>());
}

/// The rules above are only as good as their reading of the sources.
#[test]
fn the_reader_sees_code_and_nothing_else() {
    let code = blank(
        "use crate::a; // crate::b\n/* crate::c /* crate::d */ crate::e */ let s = \"crate::f \\\" crate::g\";\n\
         let r = r#\"crate::h \" crate::i\"#; let c = '\"'; use crate::j::{k, l}; let l: &'static str = b\"crate::m\";\n\
         use crate::{n, o::p, q::{r, s}}; let e = '\\''; use super::super::t; use super::u; let é = 'é'; crate::v!()",
    );
    let seen: Vec<_> = uses(&code, 2).into_iter().collect();
    assert_eq!(seen, ["a", "j", "n", "o", "q", "t", "v"]);
    assert_eq!(words("unsafe_code unsafe {} xunsafe", "unsafe"), [12]);
}

#[test]
fn the_rules_forbid_what_they_should() {
    for (user, used) in [
        ("frontier", "ring"),
        ("frontier", "fetch"),
        ("protocol", "frontier"),
        ("limits", "protocol"),
        ("fetch", "engine"),
        ("fetch", "frontier"),
        ("web", "frontier"),
        ("parse", "store"),
        ("engine", "cli"),
        ("frontier", "parse"),
    ] {
        assert!(!may_use(user, used), "{user} may use {used}");
    }
    for (user, used) in [
        ("frontier", "protocol"),
        ("event", "limits"),
        ("fetch", "ring"),
        ("store", "parse"),
        ("engine", "fetch"),
        ("main", "cli"),
        ("sim", "checkpoint"),
        ("cli", "web"),
        ("lib", "engine"),
    ] {
        assert!(may_use(user, used), "{user} may not use {used}");
    }
}
