//! What the tests see the web with: a client that believes nothing, and a browser's parser.

use super::super::{LinkKind, Web};
use html5ever::tendril::TendrilSink;
use html5ever::{ParseOpts, parse_document};
use markup5ever_rcdom::{Handle, NodeData, RcDom};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A connection, and the bytes received but not looked at.
pub struct Client(pub TcpStream, pub Vec<u8>);

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
    /// Whether the body ended as its framing says.
    pub whole: bool,
}

impl Answer {
    pub fn field(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|l| l.split_once(": "));
        lines
            .filter(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v)
            .next()
    }
}

impl Client {
    pub fn new(web: &Web) -> Self {
        let stream = TcpStream::connect(web.addr()).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        Self(stream, Vec::new())
    }

    pub fn send(&mut self, host: u32, path: &str, fields: &str) {
        let text = format!("GET {path} HTTP/1.1\r\nHost: h{host}.web.test\r\n{fields}\r\n");
        self.0.write_all(text.as_bytes()).unwrap();
    }

    /// More bytes; false at the end.
    pub fn more(&mut self) -> bool {
        let mut bytes = [0; 65_536];
        let n = self.0.read(&mut bytes).unwrap();
        self.1.extend_from_slice(&bytes[..n]);
        n > 0
    }

    pub fn answer(&mut self) -> Option<Answer> {
        let end = loop {
            if let Some(at) = memchr::memmem::find(&self.1, b"\r\n\r\n") {
                break at + 4;
            }
            if !self.more() {
                return None;
            }
        };
        let head: Vec<u8> = self.1.drain(..end).collect();
        let head = String::from_utf8_lossy(&head).into_owned();
        let mut answer = Answer {
            status: head
                .split(' ')
                .nth(1)
                .and_then(|s| s.parse().ok())
                .unwrap_or(0),
            head,
            body: Vec::new(),
            whole: true,
        };
        if answer.field("Transfer-Encoding") == Some("chunked") {
            answer.whole = self.chunks(&mut answer.body);
        } else {
            let length: usize = answer
                .field("Content-Length")
                .map_or(0, |l| l.parse().unwrap());
            while self.1.len() < length && self.more() {}
            answer.whole = self.1.len() >= length;
            answer.body = self.1.drain(..length.min(self.1.len())).collect();
        }
        Some(answer)
    }

    fn chunks(&mut self, body: &mut Vec<u8>) -> bool {
        loop {
            let size = match httparse::parse_chunk_size(&self.1).unwrap() {
                httparse::Status::Complete((at, size)) => {
                    self.1.drain(..at);
                    size as usize
                }
                httparse::Status::Partial if self.more() => continue,
                httparse::Status::Partial => return false,
            };
            while self.1.len() < size + 2 {
                if !self.more() {
                    return false;
                }
            }
            body.extend(self.1.drain(..size));
            assert_eq!(self.1.drain(..2).collect::<Vec<_>>(), b"\r\n");
            if size == 0 {
                return true;
            }
        }
    }

    pub fn get(&mut self, host: u32, path: &str) -> Answer {
        self.send(host, path, "");
        self.answer().unwrap()
    }
}

/// The links of a document by html5ever (without scripting, as a crawler is) and the `url` crate, in document order.
pub fn links_in(document: &[u8], url: &str) -> Vec<(LinkKind, String)> {
    let mut options = ParseOpts::default();
    options.tree_builder.scripting_enabled = false;
    let dom = parse_document(RcDom::default(), options)
        .from_utf8()
        .one(document);
    let (mut found, mut base) = (Vec::new(), None);
    walk(&dom.document, &mut found, &mut base);
    let mut from = url::Url::parse(url).unwrap();
    if let Some(base) = base {
        from = from.join(&base).unwrap();
    }
    let resolved = found.into_iter().map(|(kind, text)| {
        let mut url = from.join(&text).unwrap();
        url.set_fragment(None);
        (kind, url.to_string())
    });
    resolved.collect()
}

fn walk(node: &Handle, found: &mut Vec<(LinkKind, String)>, base: &mut Option<String>) {
    if let NodeData::Element { name, attrs, .. } = &node.data {
        let attrs = attrs.borrow();
        let value = |wanted: &str| {
            attrs
                .iter()
                .find(|a| &*a.name.local == wanted)
                .map(|a| a.value.to_string())
        };
        let candidate = |s: String| s.split_whitespace().next().unwrap_or_default().to_string();
        let link = match &*name.local {
            "base" => {
                *base = base.take().or_else(|| value("href"));
                None
            }
            "a" => value("href").map(|v| (LinkKind::Page, v)),
            "link" => value("href").map(|v| (LinkKind::Style, v)),
            "script" => value("src").map(|v| (LinkKind::Script, v)),
            "img" => value("src")
                .or_else(|| value("srcset").map(candidate))
                .map(|v| (LinkKind::Image, v)),
            _ => None,
        };
        found.extend(link);
    }
    for child in node.children.borrow().iter() {
        walk(child, found, base);
    }
}

/// The body without its gzip coding.
pub fn unpacked(answer: &Answer) -> Vec<u8> {
    if answer.field("Content-Encoding") != Some("gzip") {
        return answer.body.clone();
    }
    let mut plain = Vec::new();
    let mut decoder = flate2::bufread::GzDecoder::new(&answer.body[..]);
    decoder.read_to_end(&mut plain).unwrap();
    assert!(decoder.into_inner().is_empty(), "one gzip member");
    plain
}
