//! Two made-up pages of the sizes that real ones have (docs: 26 KB, 76 links; web: 108 KB, 81 links, long inline scripts).

use std::fmt::Write;

/// A page of API documentation: short text, many classes, little script.
pub fn docs_page() -> String {
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
pub fn web_page() -> String {
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
