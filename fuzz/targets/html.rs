//! The link scanner against html5ever's tokenizer, which is told of raw text as the tree builder would: `a`, `area`,
//! `iframe` and `frame` have the same references. And any bytes, UTF-8 or not, are scanned within the limits.
//!
//! Not compared: foreign content (only a tree knows where it ends), NUL (which the tokenizer replaces), and documents of
//! which a limit cut the findings.

use cyclosa::limits::{LINKS_PER_PAGE_MAX, REFERENCE_BYTES_MAX};
use cyclosa::protocol::html::{Found, RefKind, Wanted, scan};
use html5ever::TokenizerResult;
use html5ever::tendril::StrTendril;
use html5ever::tokenizer::{
    BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts, states,
};
use std::cell::RefCell;
use std::collections::BTreeSet;

type Refs = BTreeSet<(bool, String)>;

/// Runs one input.
pub fn run(data: &[u8]) {
    let mut found = Found::default();
    for wanted in [Wanted::ALL, Wanted::IMAGES, Wanted::PAGES] {
        found.clear();
        scan(data, wanted, &mut found);
        assert!(found.refs.len() <= LINKS_PER_PAGE_MAX);
        for r in &found.refs {
            assert!(found.text(r, data).len() <= REFERENCE_BYTES_MAX * 6 / 5);
        }
    }
    let text = String::from_utf8_lossy(data);
    let lower = text.to_ascii_lowercase();
    if ["<svg", "<math", "\0"].iter().any(|no| lower.contains(no)) {
        return;
    }
    found.clear();
    scan(text.as_bytes(), Wanted::PAGES, &mut found);
    if found.dropped + found.too_long == 0 {
        assert_eq!(
            scanned(&found, text.as_bytes()),
            tokenized(&text),
            "{text:?}"
        );
    }
}

/// As URL parsing takes it; `None` for a place in the page itself.
fn cleaned(text: &str) -> Option<String> {
    let text: String = text.chars().filter(|c| !"\t\n\r".contains(*c)).collect();
    let text = text.trim_matches(|c| c <= ' ');
    (!text.is_empty() && !text.starts_with('#')).then(|| text.to_owned())
}

fn scanned(found: &Found, html: &[u8]) -> Refs {
    let wanted = |kind| match kind {
        RefKind::Page => Some(false),
        RefKind::Frame => Some(true),
        _ => None,
    };
    let refs = found.refs.iter().filter_map(|r| {
        let text = cleaned(&String::from_utf8_lossy(found.text(r, html)))?;
        Some((wanted(r.kind)?, text))
    });
    refs.collect()
}

/// What html5ever's tokenizer sees.
#[derive(Default)]
struct Sink(RefCell<Refs>);

impl Sink {
    fn element(&self, tag: &Tag) {
        let (frame, name) = match &*tag.name {
            "a" | "area" => (false, "href"),
            "iframe" | "frame" => (true, "src"),
            _ => return,
        };
        let value = tag.attrs.iter().find(|a| &*a.name.local == name);
        if let Some(text) = value.and_then(|a| cleaned(&a.value)) {
            self.0.borrow_mut().insert((frame, text));
        }
    }
}

impl TokenSink for Sink {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        let Token::TagToken(tag) = token else {
            return TokenSinkResult::Continue;
        };
        if tag.kind != TagKind::StartTag {
            return TokenSinkResult::Continue;
        }
        self.element(&tag);
        match &*tag.name {
            "script" => TokenSinkResult::RawData(states::RawKind::ScriptData),
            "title" | "textarea" => TokenSinkResult::RawData(states::RawKind::Rcdata),
            "style" | "iframe" | "xmp" | "noembed" | "noframes" => {
                TokenSinkResult::RawData(states::RawKind::Rawtext)
            }
            "plaintext" => TokenSinkResult::Plaintext,
            _ => TokenSinkResult::Continue,
        }
    }
}

fn tokenized(html: &str) -> Refs {
    let options = TokenizerOpts {
        discard_bom: false,
        ..Default::default()
    };
    let tokenizer = Tokenizer::new(Sink::default(), options);
    let queue = BufferQueue::default();
    queue.push_back(StrTendril::from_slice(html));
    while let TokenizerResult::Script(()) = tokenizer.feed(&queue) {}
    tokenizer.end();
    tokenizer.sink.0.take()
}
