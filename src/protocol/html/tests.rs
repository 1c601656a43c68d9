//! Tests of the scanner as a whole: what it extracts, hostile input, and that both search paths agree.

use super::*;
use crate::limits::{LINKS_PER_PAGE_MAX, REFERENCE_BYTES_MAX};
use proptest::prelude::*;

fn found(html: &[u8], wanted: Wanted) -> Found {
    let mut found = Found::default();
    scan(html, wanted, &mut found);
    found
}

fn refs(html: &str, wanted: Wanted) -> Vec<(RefKind, String)> {
    let found = found(html.as_bytes(), wanted);
    let text = |r| String::from_utf8_lossy(found.text(r, html.as_bytes())).into_owned();
    found.refs.iter().map(|r| (r.kind, text(r))).collect()
}

fn pages(html: &str) -> Vec<String> {
    let refs = refs(html, Wanted::PAGES);
    refs.into_iter().map(|(_, text)| text).collect()
}

#[test]
fn anchors_in_document_order() {
    assert_eq!(
        pages(
            "<a href=1><AREA HREF='2'><a class=x href=\" 3&amp;y=&copy=1 \" href=no><a/href=4/><a name=n>"
        ),
        ["1", "2", "3&y=&copy=1", "4/"]
    );
    assert_eq!(
        pages("<a href='a\r\nb\t'><a href='&#x2F;c'><a\nhref\n=\n'd'>"),
        ["ab", "/c", "d"]
    );
    assert_eq!(pages("<a href=x"), [""; 0]);
    assert_eq!(
        pages("<a href='x>y'><a title='<a href=no>' href=z>"),
        ["x>y", "z"]
    );
    assert_eq!(
        pages("<a =href=no href=yes><a b=c=\"d\" href=e><b href=no>"),
        ["yes", "e"]
    );
}

#[test]
fn own_page_references_are_left_out() {
    assert_eq!(
        pages("<a href=#top><a href=''><a href=' #x'><a href=y#z>"),
        ["y#z"]
    );
    assert_eq!(
        pages("<base href=/b/><a href=#top><a href=''><a href=y>"),
        ["#top", "y"]
    );
}

#[test]
fn nofollow_on_links_and_pages() {
    let found = |html: &str| found(html.as_bytes(), Wanted::PAGES);
    let page =
        found("<a href=x rel='noopener NoFollow'><a href=y rel=nofollows><a href=z rel=ugc>");
    assert_eq!(
        page.refs.iter().map(|r| r.nofollow).collect::<Vec<_>>(),
        [true, false, false]
    );
    assert!(!page.nofollow);
    assert!(found("<meta content='noindex,NOFOLLOW' name=Robots>").nofollow);
    assert!(found("<meta name=cyclosa content=none>").nofollow);
    assert!(
        !found("<meta name=googlebot content=none><meta name=robots content='index, follow'>")
            .nofollow
    );
}

#[test]
fn the_first_base_counts() {
    let html = b"<base target=x><base href='/a&amp;b/'><base href=/c/>";
    let page = found(html, Wanted::PAGES);
    assert_eq!(page.base_text(html), Some(&b"/a&b/"[..]));
    assert!(page.refs.is_empty());
}

#[test]
fn links_by_rel() {
    let html = "<link rel=next href=n><link rel='alternate stylesheet' href=s><link rel='Shortcut Icon' href=i>\
        <link rel=preload as=font href=f><link rel=preload as=image href=p imagesrcset='q 1x, r 2x'>\
        <link rel=preconnect href=no><link rel=dns-prefetch href=no><link rel=modulepreload href=m><link href=bare>";
    assert_eq!(pages(html), ["n", "bare"]);
    use RefKind::*;
    let expected = [
        (Link, "n"),
        (Style, "s"),
        (Image, "i"),
        (Font, "f"),
        (Image, "p"),
        (Image, "q"),
        (Image, "r"),
        (Script, "m"),
        (Link, "bare"),
    ];
    assert_eq!(
        refs(html, Wanted::ALL),
        expected.map(|(k, t)| (k, t.to_string()))
    );
}

#[test]
fn images_when_wanted() {
    let html = "<img src=a srcset='b 1x,\n c 2x' srcset=no><picture><source srcset='&#x64; 1x' src=no></picture>\
        <input type=IMAGE src=e><input src=no><video poster=f src=no><td background=g>\
        <svg><image xlink:href=h /><image href=i></svg><a href=page>";
    assert_eq!(pages(html), ["page"]);
    let texts: Vec<_> = refs(html, Wanted::IMAGES)
        .into_iter()
        .map(|(_, t)| t)
        .collect();
    assert_eq!(texts, ["a", "b", "c", "d", "e", "f", "g", "h", "i", "page"]);
}

#[test]
fn everything_when_wanted() {
    use RefKind::*;
    let html = "<html manifest=m><style>@import 's'; a{b:url(c)}</style><p style='b:url(d);e:url(&quot;f&quot;)'>\
        <script src=j>'<a href=no>'</script><video src=v><source src=w><track src=t></video><embed src=e>\
        <object data=o></object><svg><style>g{h:url(k)}</style><use xlink:href=u#x /></svg>";
    let expected = [
        (Object, "m"),
        (Style, "s"),
        (Css, "c"),
        (Css, "d"),
        (Css, "f"),
        (Script, "j"),
        (Media, "v"),
        (Media, "w"),
        (Media, "t"),
        (Object, "e"),
        (Object, "o"),
        (Css, "k"),
        (Object, "u#x"),
    ];
    assert_eq!(
        refs(html, Wanted::ALL),
        expected.map(|(k, t)| (k, t.to_string()))
    );
}

#[test]
fn raw_text_hides_markup_and_noscript_does_not() {
    for name in [
        "script", "style", "textarea", "title", "iframe", "xmp", "noembed", "noframes",
    ] {
        let html = format!("<{name}><a href=no></{name}x><!-- </{name} ><a href=yes>");
        assert_eq!(pages(&html), ["yes"], "{name}");
    }
    assert_eq!(pages("<noscript><a href=yes></noscript>"), ["yes"]);
    assert_eq!(
        pages("<a href=yes><plaintext></plaintext><a href=no>"),
        ["yes"]
    );
    assert_eq!(
        pages("<svg><title><a href=1></title><script><a href=2></script></svg>"),
        ["1", "2"]
    );
    assert_eq!(pages("<svg><path/><p><title><a href=no></title>"), [""; 0]);
}

#[test]
fn script_states() {
    assert_eq!(
        pages("<script><!-- <script> </script> <a href=no> --> </script><a href=1>"),
        ["1"]
    );
    assert_eq!(
        pages("<script><!-- <script> </script> --></script><a href=2>"),
        ["2"]
    );
    assert_eq!(pages("<script><!--></script><a href=3>"), ["3"]);
    assert_eq!(pages("<script><!-- </script><a href=4>"), ["4"]);
    assert_eq!(
        pages("<script><!-- <script></script> </script><a href=5>"),
        ["5"]
    );
    assert_eq!(pages("<script><!-- <scripty></script><a href=6>"), ["6"]);
    assert_eq!(pages("<script><!--<script><a href=no></script>"), [""; 0]);
}

#[test]
fn comments_and_declarations() {
    assert_eq!(
        pages("<!--><a href=1><!---><a href=2><!----><a href=3><!-- x --!><a href=4>"),
        ["1", "2", "3", "4"]
    );
    assert_eq!(pages("<!-- --!-- ><a href=no> --!--><a href=5>"), ["5"]);
    assert_eq!(
        pages("<!doctype html PUBLIC '>'<a href=1><?x '><a href=2></ ><a href=3></><a href=4>"),
        ["1", "2", "3", "4"]
    );
    assert_eq!(
        pages("<![CDATA[><a href=1>]]><svg><![CDATA[><a href=no>]]><a href=2></svg>"),
        ["1", "2"]
    );
    assert_eq!(pages("<!-- <a href=no>"), [""; 0]);
    assert_eq!(pages("<<a href=1>< a href=no><3><a href=2>"), ["1", "2"]);
}

#[test]
fn limits_are_counted() {
    let long = "x".repeat(REFERENCE_BYTES_MAX + 1);
    let html = format!(
        "<a href='{long}'><a href='{}'><a href='data:{long}'>",
        &long[1..]
    );
    let page = found(html.as_bytes(), Wanted::PAGES);
    assert_eq!((page.refs.len(), page.too_long, page.dropped), (1, 1, 0));
    let html = "<a href=x>".repeat(LINKS_PER_PAGE_MAX + 7);
    let page = found(html.as_bytes(), Wanted::PAGES);
    assert_eq!(
        (page.refs.len(), page.too_long, page.dropped),
        (LINKS_PER_PAGE_MAX, 0, 7)
    );
}

#[test]
fn a_second_document_allocates_nothing() {
    let html = "<a href='&amp;1'><a href=2><img srcset='&#97; 1x'><p style='a:url(&quot;x&quot;)'>"
        .repeat(50);
    let mut found = Found::default();
    scan(html.as_bytes(), Wanted::ALL, &mut found);
    let (footprint, refs) = (found.footprint(), found.refs.clone());
    found.clear();
    scan(html.as_bytes(), Wanted::ALL, &mut found);
    assert_eq!((found.footprint(), &found.refs), (footprint, &refs));
}

/// Inputs on which a scanner that looks back or starts again would not end: each is 4 MB or more.
#[test]
fn hostile_documents_end() {
    let many = 1_000_000;
    let attributes: String = (0..many / 4).map(|i| format!(" a{i}=b")).collect();
    let documents = [
        "<b>".repeat(many),
        "<svg>".repeat(many),
        "<svg><title>".repeat(many / 2),
        format!("<a x='{}' href=1>", "y".repeat(64 << 20)),
        format!("<a{attributes} href=1>"),
        "<!--".repeat(many),
        format!("<!--{}", "--!".repeat(many)),
        "<script><!--".repeat(many / 2),
        format!("<script>{}", "<!--<script></script".repeat(many / 4)),
        "<script>".repeat(many),
        "<title></title".repeat(many / 2),
        "<svg><![CDATA[".repeat(many / 2),
        "<a href=\"".repeat(many),
        "<a href='".repeat(many / 2),
        format!("<a href='{}'>", "&".repeat(4 * many)),
        format!(
            "<a href='{}'>",
            "&aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa".repeat(many / 8)
        ),
        format!("<img srcset='{}'>", "a (".repeat(many)),
        format!("<img srcset='{}'>", ",".repeat(4 * many)),
        format!("<p style='{}'>", "url(".repeat(many)),
        format!("<style>{}", "@import '\\".repeat(many / 2)),
        format!("<style>{}", "\\75 \\72 ".repeat(many / 2)),
        format!(
            "<meta http-equiv=refresh content='1{}x'>",
            " ".repeat(4 * many)
        ),
        "<".repeat(4 * many),
        "</".repeat(2 * many),
        "<!".repeat(2 * many),
        "<a ".repeat(2 * many),
        "<a =".repeat(many),
        "\0".repeat(4 * many),
    ];
    for html in documents {
        let page = found(html.as_bytes(), Wanted::ALL);
        assert!(page.refs.len() <= LINKS_PER_PAGE_MAX);
        assert!(
            page.footprint() <= 4 * html.len() + (1 << 20),
            "{}",
            &html[..20]
        );
    }
}

/// Pieces of markup that break scanners, to be put together at random.
pub(super) fn nasty() -> impl Strategy<Value = String> {
    let pieces = [
        "<a href=",
        "<a ",
        "<A\tHREF='",
        "<img src=x srcset='a 1x, b 2x'>",
        "'",
        "\"",
        ">",
        "/>",
        "<",
        "</",
        "</a>",
        "<!--",
        "-->",
        "--!>",
        "--",
        "-",
        "!",
        "<!",
        "<!doctype html>",
        "<?",
        "=",
        "==",
        "href",
        " ",
        "\n",
        "\r\n",
        "\t",
        "\u{c}",
        "\0",
        "x",
        "é",
        "&",
        "&amp;",
        "&copy",
        "&copy=",
        "&#x41;",
        "&#128;",
        ";",
        "<script>",
        "</script>",
        "</script ",
        "<script",
        "<!--<script>",
        "<style>",
        "</style>",
        "<textarea>",
        "</textarea>",
        "<title>",
        "</title>",
        "<iframe src=y>",
        "</iframe>",
        "<xmp>",
        "</xmp>",
        "<noscript>",
        "</noscript>",
        "<plaintext",
        "<base href=/z/>",
        "<area href='q'>",
        "<link rel=next href=n>",
        "<div class=\"c d\">",
        "</div>",
        "<p>",
        "<frame src=f>",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    ];
    prop::collection::vec(prop::sample::select(pieces.to_vec()), 0..60).prop_map(|p| p.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn both_search_paths_find_the_same(html in nasty(), svg in any::<bool>()) {
        let html = if svg { format!("<svg>{html}<![CDATA[</svg><style>url({html}") } else { html };
        let mut portable = Found::default();
        scan_portable(html.as_bytes(), Wanted::ALL, &mut portable);
        let found = found(html.as_bytes(), Wanted::ALL);
        prop_assert_eq!(&found.refs, &portable.refs);
        prop_assert_eq!(found.base, portable.base);
        for r in &found.refs {
            prop_assert_eq!(found.text(r, html.as_bytes()), portable.text(r, html.as_bytes()));
        }
    }

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let page = found(&bytes, Wanted::ALL);
        prop_assert!(page.refs.len() <= bytes.len());
    }
}
