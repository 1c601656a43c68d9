//! Links per page: our scanner beside lol_html and the html5ever tokenizer, on two made-up pages of the sizes that real
//! ones have (docs: 26 KB, 76 links; web: 108 KB, 81 links, long inline scripts).
//!
//! All three report the `href` of `a` and `area` and the `src` of `iframe` and `frame`. Excluded: resolution, UTF-8
//! checks, I/O. Read the ratios of one run, not the absolute figures of two.

mod pages;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use cyclosa::protocol::html::{Found, Wanted, scan};
use html5ever::TokenizerResult;
use html5ever::tendril::StrTendril;
use html5ever::tokenizer::{
    BufferQueue, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts, states,
};
use lol_html::{HtmlRewriter, Settings, element};
use pages::{docs_page, web_page};
use std::cell::Cell;
use std::hint::black_box;

fn ours(html: &str, found: &mut Found) -> usize {
    found.clear();
    scan(html.as_bytes(), Wanted::PAGES, found);
    found
        .refs
        .iter()
        .map(|r| found.text(r, html.as_bytes()).len())
        .sum()
}

fn lol(html: &str) -> usize {
    let total = Cell::new(0);
    let add = |value: Option<String>| total.set(total.get() + value.map_or(0, |v| v.len()));
    let settings = Settings::new()
        .with_strict(false)
        .append_element_content_handler(element!("a[href], area[href]", |e| {
            add(e.get_attribute("href"));
            Ok(())
        }))
        .append_element_content_handler(element!("iframe[src], frame[src]", |e| {
            add(e.get_attribute("src"));
            Ok(())
        }));
    let mut rewriter = HtmlRewriter::new(settings, |_: &[u8]| {});
    let written = rewriter.write(html.as_bytes());
    assert!(written.is_ok() && rewriter.end().is_ok());
    total.get()
}

/// Sums the lengths of the references it is shown.
#[derive(Default)]
struct Sum(Cell<usize>);

impl TokenSink for Sum {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        let Token::TagToken(tag) = token else {
            return TokenSinkResult::Continue;
        };
        if tag.kind != TagKind::StartTag {
            return TokenSinkResult::Continue;
        }
        let wanted = match &*tag.name {
            "a" | "area" => "href",
            "iframe" | "frame" => "src",
            "script" => return TokenSinkResult::RawData(states::RawKind::ScriptData),
            "style" => return TokenSinkResult::RawData(states::RawKind::Rawtext),
            "title" | "textarea" => return TokenSinkResult::RawData(states::RawKind::Rcdata),
            _ => return TokenSinkResult::Continue,
        };
        if let Some(a) = tag.attrs.iter().find(|a| &*a.name.local == wanted) {
            self.0.set(self.0.get() + a.value.len());
        }
        TokenSinkResult::Continue
    }
}

fn html5ever_tokens(html: &str) -> usize {
    let tokenizer = Tokenizer::new(Sum::default(), TokenizerOpts::default());
    let queue = BufferQueue::default();
    queue.push_back(StrTendril::from_slice(html));
    while let TokenizerResult::Script(()) = tokenizer.feed(&queue) {}
    tokenizer.end();
    tokenizer.sink.0.get()
}

fn benches(c: &mut Criterion) {
    for (name, html) in [("docs", docs_page()), ("web", web_page())] {
        let mut found = Found::default();
        let expected = html5ever_tokens(&html);
        assert_eq!(ours(&html, &mut found), expected, "the same references");
        println!("{name}: {} bytes, {} links", html.len(), found.refs.len());
        let mut group = c.benchmark_group(format!("links/{name}"));
        group.throughput(Throughput::Bytes(html.len() as u64));
        group.bench_function("cyclosa", |b| b.iter(|| ours(black_box(&html), &mut found)));
        group.bench_function("lol_html", |b| b.iter(|| lol(black_box(&html))));
        group.bench_function("html5ever_tokenizer", |b| {
            b.iter(|| assert_eq!(html5ever_tokens(black_box(&html)), expected))
        });
        group.finish();
    }
}

criterion_group! {
    name = links;
    config = Criterion::default().sample_size(30);
    targets = benches
}
criterion_main!(links);
