//! Links per page: our scanner beside lol_html and the html5ever tokenizer, on two made-up pages of the sizes that real
//! ones have (docs: 26 KB, 76 links; web: 108 KB, 81 links, long inline scripts).
//!
//! All three report the `href` of `a` and `area` and the `src` of `iframe` and `frame`. Excluded: resolution, UTF-8
//! checks, I/O. Read the ratios of one run, not the absolute figures of two.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use cyclosa::protocol::html::{Found, Wanted, scan};
use html5ever::TokenizerResult;
use html5ever::tendril::StrTendril;
use html5ever::tokenizer::{
    BufferQueue, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts, states,
};
use lol_html::{HtmlRewriter, Settings, element};
use std::cell::Cell;
use std::fmt::Write;
use std::hint::black_box;

/// A page of API documentation: short text, many classes, little script.
fn docs_page() -> String {
    let mut html = head("Struct std::made::Up - Rust", 3);
    let _ = write!(
        html,
        "<style>.a{{color:red}}</style></head><body class=\"rustdoc struct\"><main><div class=\"width-limiter\">"
    );
    for i in 0..74 {
        let _ = write!(
            html,
            "<section id=\"method.m{i}\" class=\"method\"><span class=\"rightside\"><span class=\"since\" title=\"Stable since 1.{i}.0\">1.{i}.0</span></span>\
             <h4 class=\"code-header\">pub fn <a href=\"../../made/struct.Up.html#method.m{i}\" class=\"fn\">m{i}</a>(&amp;self) -&gt; <b>usize</b></h4></section>\n\
             <div class=\"docblock\"><p>Returns what was asked for, <code>{i}</code> at most.</p></div>\n",
        );
    }
    html.push_str("</div></main><a href='/help.html'>Help</a> <a href=/settings.html>Settings</a></body></html>");
    html
}

/// A page of a news site: long inline scripts, long class lists, tracking attributes.
fn web_page() -> String {
    let mut html = head("Things that happened & why", 40);
    html.push_str("</head><body data-page='{\"kind\":\"article\"}'>");
    for i in 0..9 {
        script(&mut html, 7_000, i);
        for j in 0..9 {
            let n = i * 9 + j;
            let _ = write!(
                html,
                "<div class=\"card card--wide js-track u-mb-4\" data-id=\"{n}\" data-track='{{\"pos\":{n}}}'>\n  <a class=\"card__link\" href=\"https://www.example.com/2026/05/story-{n}?utm_source=home&amp;utm_pos={n}\" target=\"_blank\" rel=\"noopener\">\
                 <img loading=\"lazy\" alt=\"\" width=\"320\" height=\"180\" src=\"https://img.example.com/{n}/320x180.webp\"/><span class=\"card__title\">A headline of ordinary length, number {n}</span></a>\n  <p class=\"card__text\">Some sentences that say what the story is about, and then a few more words of it so that the paragraph has a usual length.</p>\n</div>\n<!-- ad slot {n} -->\n",
            );
        }
    }
    html.push_str("</body></html>");
    html
}

fn head(title: &str, metas: usize) -> String {
    let mut html = format!(
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>"
    );
    for i in 0..metas {
        let _ = writeln!(
            html,
            "<meta property=\"og:thing{i}\" content=\"A value of some length, say {i} words\">"
        );
    }
    html
}

/// `bytes` of what minified scripts look like: comparisons, and markup in strings.
fn script(html: &mut String, bytes: usize, seed: usize) {
    html.push_str("<script>");
    let end = html.len() + bytes;
    let mut i = seed;
    while html.len() < end {
        let _ = write!(
            html,
            "function f{i}(e,t){{for(var n=0;n<t.length;n++)if(e[n]>=t[n]&&!r.call(e,\"k{i}\"))return e.innerHTML='<b class=\"x\">'+t[n]+\"</b>\";window.dataLayer=window.dataLayer||[];window.dataLayer.push({{event:\"view{i}\",value:{i}}});}}",
        );
        i += 1;
    }
    html.push_str("</script>\n");
}

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
