//! Which URLs a crawl has to fetch, found slowly and without any code of the crawler: html5ever's tree, the `url` crate,
//! one request after the other, robots rules by trying all ways to match.

use super::site::Site;
use html5ever::tendril::TendrilSink;
use html5ever::{ParseOpts, parse_document, tree_builder::TreeBuilderOpts};
use markup5ever_rcdom::{NodeData, RcDom};
use std::collections::{BTreeSet, VecDeque};
use std::io::{Read, Write};
use std::net::TcpStream;
use url::Url;

/// What can be reached.
#[derive(Default)]
pub struct Closure {
    /// To be fetched, whatever the status.
    pub fetched: BTreeSet<String>,
    /// Linked, and forbidden by robots.txt.
    pub forbidden: BTreeSet<String>,
    /// Those of `fetched` that are HTML.
    pub pages: usize,
}

/// The closure of the hub of `site`, with images or without.
pub fn closure(site: &Site, images: bool) -> Closure {
    let rules = site.rules();
    let mut found = Closure::default();
    let hub = Url::parse(&site.hub).expect("a URL");
    let mut seen = BTreeSet::from([hub.to_string()]);
    let mut queue = VecDeque::from([(hub, false)]);
    while let Some((url, image)) = queue.pop_front() {
        let host = url.host_str().unwrap_or_default();
        let origin = format!("{host}:{}", url.port().unwrap_or(80));
        let known = rules.get(&origin).copied();
        if known.is_none() && url.as_str() != site.hub {
            continue;
        }
        let target = &url[url::Position::BeforePath..];
        if !allowed(known.unwrap_or_default(), target) {
            found.forbidden.insert(url.to_string());
            continue;
        }
        found.fetched.insert(url.to_string());
        let answer = get(&url);
        let mut links = Vec::new();
        if let Some(location) = answer.location {
            links.extend(url.join(&location).map(|l| (l, image)));
        } else if answer.status == 200 && answer.mime == "text/html" && !image {
            found.pages += 1;
            links = references(&answer.body, &url, images);
        }
        for (mut link, image) in links {
            link.set_fragment(None);
            if link.scheme() == "http" && seen.insert(link.to_string()) {
                queue.push_back((link, image));
            }
        }
    }
    found
}

/// RFC 9309 2.2.2: the longest matching rule wins, allow wins a tie.
pub fn allowed(rules: &[(bool, &str)], target: &str) -> bool {
    let matching = rules
        .iter()
        .filter(|(_, pattern)| matches(pattern.as_bytes(), target.as_bytes()));
    let best = matching.max_by_key(|(allow, pattern)| (pattern.len(), *allow));
    best.is_none_or(|(allow, _)| *allow)
}

fn matches(pattern: &[u8], text: &[u8]) -> bool {
    match pattern {
        [] => true,
        [b'$'] => text.is_empty(),
        [b'*', rest @ ..] => (0..=text.len()).any(|at| matches(rest, &text[at..])),
        [byte, rest @ ..] => text.first() == Some(byte) && matches(rest, &text[1..]),
    }
}

struct Answer {
    status: u16,
    mime: String,
    location: Option<String>,
    body: Vec<u8>,
}

/// HTTP/1.0, so that the body ends with the connection.
fn get(url: &Url) -> Answer {
    let port = url.port().unwrap_or(80);
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the server is there");
    let host = url.host_str().unwrap_or_default();
    let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
    write!(
        stream,
        "GET {target} HTTP/1.0\r\nHost: {host}:{port}\r\nUser-Agent: oracle\r\n\r\n"
    )
    .expect("the request is sent");
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("an answer");
    let end = bytes.windows(4).position(|w| w == b"\r\n\r\n");
    let end = end.expect("a complete head");
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let field = |name: &str| {
        let mut fields = head.lines().skip(1).filter_map(|l| l.split_once(':'));
        let found = fields.find(|(n, _)| n.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim().to_string())
    };
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok());
    let mime = field("content-type").unwrap_or_default();
    Answer {
        status: status.expect("a status"),
        mime: mime.split(';').next().unwrap_or_default().to_string(),
        location: field("location"),
        body: bytes[end + 4..].to_vec(),
    }
}

/// Links, and images (true) where wanted.
pub fn references(html: &[u8], url: &Url, images: bool) -> Vec<(Url, bool)> {
    let opts = ParseOpts {
        tree_builder: TreeBuilderOpts {
            scripting_enabled: false,
            ..Default::default()
        },
        ..Default::default()
    };
    let dom = parse_document(RcDom::default(), opts).from_utf8().one(html);
    let mut stack = vec![dom.document.clone()];
    let mut base = None;
    let mut found: Vec<(String, bool)> = Vec::new();
    while let Some(node) = stack.pop() {
        stack.extend(node.children.borrow().iter().rev().cloned());
        let NodeData::Element { name, attrs, .. } = &node.data else {
            continue;
        };
        let attrs = attrs.borrow();
        let get = |wanted: &str| {
            let found = attrs.iter().find(|a| &*a.name.local == wanted);
            found.map(|a| a.value.to_string())
        };
        let rel = get("rel").unwrap_or_default().to_ascii_lowercase();
        let rel = |wanted: &[&str]| rel.split_ascii_whitespace().any(|r| wanted.contains(&r));
        let mut add = |text: Option<String>, image| found.extend(text.map(|t| (t, image)));
        match &*name.local {
            "base" if base.is_none() => base = get("href").and_then(|b| url.join(&b).ok()),
            "a" | "area" if !rel(&["nofollow"]) => add(get("href"), false),
            "iframe" | "frame" => add(get("src"), false),
            "meta" if get("http-equiv").is_some_and(|e| e.eq_ignore_ascii_case("refresh")) => {
                add(get("content").and_then(|c| refresh(&c)), false);
            }
            "link" if rel(&["icon", "apple-touch-icon", "mask-icon"]) => {
                add(get("href").filter(|_| images), true);
            }
            "link"
                if !rel(&[
                    "stylesheet",
                    "preload",
                    "prefetch",
                    "preconnect",
                    "dns-prefetch",
                ]) =>
            {
                add(get("href"), false);
            }
            "img" if images => add(get("src"), true),
            "body" | "table" | "td" | "th" | "tr" if images => add(get("background"), true),
            _ => {}
        }
    }
    let base = base.as_ref().unwrap_or(url);
    let resolved = found
        .into_iter()
        .filter_map(|(text, image)| Some((base.join(&text).ok()?, image)));
    resolved.collect()
}

fn refresh(content: &str) -> Option<String> {
    let (_, target) = content.split_once([';', ','])?;
    let target = target.trim();
    let target = match target.get(..4) {
        Some(word) if word.eq_ignore_ascii_case("url=") => &target[4..],
        _ => target,
    };
    Some(target.trim_matches(['"', '\'', ' ']).to_string())
}

#[test]
fn rules_match_as_the_rfc_says() {
    let rules: &[(bool, &str)] = &[(false, "/a/"), (true, "/a/b"), (false, "/*.txt$")];
    for (target, expected) in [
        ("/", true),
        ("/a/", false),
        ("/a/x", false),
        ("/a/bc", true),
        ("/x.txt", false),
        ("/x.txt?q", true),
    ] {
        assert_eq!(allowed(rules, target), expected, "{target}");
    }
}
