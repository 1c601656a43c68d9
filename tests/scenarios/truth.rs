//! The link closure of a site, slowly and independently: a browser's tree builder and the `url` crate over the server's
//! own answers. Shares no code with the crawler.

use super::site::Site;
use html5ever::tendril::TendrilSink;
use html5ever::{ParseOpts, parse_document};
use markup5ever_rcdom::{Handle, NodeData, RcDom};
use std::collections::{BTreeSet, VecDeque};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use url::Url;

/// Pages (HTML with status 200) that can be reached from the hub without breaking a robots rule.
pub fn closure(site: &Site) -> BTreeSet<String> {
    let hub = Url::parse(&site.hub()).expect("a URL");
    let mut seen = BTreeSet::from([hub.to_string()]);
    let mut open = VecDeque::from([hub]);
    let mut pages = BTreeSet::new();
    let mut connection = Connection::new(site.port);
    while let Some(url) = open.pop_front() {
        let Some(body) = connection.page(&url) else {
            continue;
        };
        pages.insert(url.to_string());
        for link in links(&body, &url) {
            if inside(site, &link) && seen.insert(link.to_string()) {
                open.push_back(link);
            }
        }
    }
    pages
}

fn inside(site: &Site, url: &Url) -> bool {
    let name = url.host_str().unwrap_or_default();
    url.scheme() == "http"
        && url.port() == Some(site.port)
        && (name == "hub.test"
            || site.hosts.iter().any(|h| {
                h.name == name
                    && (h.forbidden.is_empty() || !url.path().starts_with(h.forbidden.as_str()))
            }))
}

fn links(body: &[u8], url: &Url) -> Vec<Url> {
    let dom = parse_document(RcDom::default(), ParseOpts::default())
        .from_utf8()
        .one(body);
    let mut found = Vec::new();
    let mut base = None;
    walk(&dom.document, &mut found, &mut base);
    let base = base.and_then(|b| url.join(&b).ok()).unwrap_or(url.clone());
    found
        .iter()
        .filter_map(|reference| base.join(reference).ok())
        .map(|mut link| {
            link.set_fragment(None);
            link
        })
        .collect()
}

fn walk(node: &Handle, found: &mut Vec<String>, base: &mut Option<String>) {
    let mut open = vec![node.clone()];
    while let Some(node) = open.pop() {
        if let NodeData::Element { name, attrs, .. } = &node.data {
            let attrs = attrs.borrow();
            let get = |key: &str| {
                attrs
                    .iter()
                    .find(|a| &*a.name.local == key)
                    .map(|a| a.value.to_string())
            };
            let rel = get("rel").unwrap_or_default().to_ascii_lowercase();
            let nofollow = rel.split_ascii_whitespace().any(|r| r == "nofollow");
            match &*name.local {
                "a" | "area" if !nofollow => found.extend(get("href")),
                "iframe" | "frame" => found.extend(get("src")),
                "link" if !rel.contains("stylesheet") && !rel.contains("icon") => {
                    found.extend(get("href"));
                }
                "base" if base.is_none() => *base = get("href"),
                "meta" => found.extend(refresh(get("http-equiv"), get("content"))),
                _ => {}
            }
        }
        open.extend(node.children.borrow().iter().rev().cloned());
    }
}

/// Target of a `meta` refresh, as documentation writes it (`0; url=x`).
fn refresh(kind: Option<String>, content: Option<String>) -> Option<String> {
    kind.filter(|k| k.eq_ignore_ascii_case("refresh"))?;
    let content = content?;
    let at = content.to_ascii_lowercase().find("url=")?;
    Some(content[at + 4..].trim_matches(['\'', '"', ' ']).to_string())
}

/// One plain keep-alive connection.
struct Connection {
    port: u16,
    stream: Option<TcpStream>,
}

impl Connection {
    fn new(port: u16) -> Self {
        Self { port, stream: None }
    }

    /// Body of a URL if it is an HTML page with status 200.
    fn page(&mut self, url: &Url) -> Option<Vec<u8>> {
        for _ in 0..3 {
            if let Some((head, body)) = self.exchange(url) {
                let ok = head.starts_with("http/1.1 200");
                return (ok && head.contains("content-type: text/html")).then_some(body);
            }
            self.stream = None;
        }
        panic!("no answer for {url}");
    }

    fn exchange(&mut self, url: &Url) -> Option<(String, Vec<u8>)> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => none.insert(TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).ok()?),
        };
        let query = url.query().map(|q| format!("?{q}")).unwrap_or_default();
        let host = url.host_str()?;
        let request = format!(
            "GET {}{query} HTTP/1.1\r\nHost: {host}:{}\r\nX-Truth: 1\r\n\r\n",
            url.path(),
            self.port
        );
        stream.write_all(request.as_bytes()).ok()?;
        let mut bytes = Vec::new();
        let mut part = [0; 65_536];
        let head_end = loop {
            if let Some(at) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
            let n = stream.read(&mut part).ok().filter(|n| *n > 0)?;
            bytes.extend_from_slice(&part[..n]);
        };
        let head = String::from_utf8_lossy(&bytes[..head_end]).to_ascii_lowercase();
        let mut body = bytes.split_off(head_end);
        let field = |name: &str| {
            head.lines()
                .find_map(|l| l.strip_prefix(name))
                .map(str::trim)
                .map(str::to_owned)
        };
        if field("transfer-encoding:").is_some() {
            while !body.ends_with(b"0\r\n\r\n") {
                let n = stream.read(&mut part).ok().filter(|n| *n > 0)?;
                body.extend_from_slice(&part[..n]);
            }
            body = without_chunks(&body)?;
        } else {
            let len: usize = field("content-length:")?.parse().ok()?;
            while body.len() < len {
                let n = stream.read(&mut part).ok().filter(|n| *n > 0)?;
                body.extend_from_slice(&part[..n]);
            }
        }
        Some((head, body))
    }
}

fn without_chunks(mut bytes: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = bytes.windows(2).position(|w| w == b"\r\n")?;
        let len = usize::from_str_radix(std::str::from_utf8(&bytes[..end]).ok()?, 16).ok()?;
        if len == 0 {
            return Some(body);
        }
        body.extend_from_slice(bytes.get(end + 2..end + 2 + len)?);
        bytes = bytes.get(end + 4 + len..)?;
    }
}
