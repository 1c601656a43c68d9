//! Documents that are no HTML, and documents that are not what their server says: which URLs a crawl finds in them.

use super::program::Crawl;
use super::scripted::{Answer, Server};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

fn gzip(body: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body.as_bytes()).expect("a vector");
    encoder.finish().expect("a vector")
}

fn typed(mime: &str, body: impl AsRef<[u8]>) -> Answer {
    Answer::new("200 OK", &format!("Content-Type: {mime}\r\n"), body)
}

/// A crawl from `/`, which links to `documents`; the targets that were asked for beyond these, sorted.
#[track_caller]
fn found(documents: Vec<(&str, Answer)>, assets: &str) -> (Crawl, Vec<String>) {
    let names: Vec<String> = documents.iter().map(|(t, _)| t.to_string()).collect();
    let mut pages: BTreeMap<String, Answer> = documents
        .into_iter()
        .map(|(target, answer)| (target.to_string(), answer))
        .collect();
    pages.insert("/".into(), Answer::links(&names));
    let server = Server::start(move |_, target| {
        pages.get(target).cloned().unwrap_or_else(Answer::not_found)
    });
    let crawl = Crawl::new(&[server.url("a.test", "/")], &["--assets", assets]);
    crawl.run().expect(0);
    crawl.assert_sound();
    let mut targets = server.targets("a.test");
    targets.retain(|t| t != "/" && !names.contains(t));
    targets.sort();
    (crawl, targets)
}

const ATOM: &str = "<?xml version='1.0' encoding='utf-8'?><feed xmlns='http://www.w3.org/2005/Atom' \
    xml:base='/blog/'><link href='atom-home'/><link rel='self' href='/atom'/><entry><title>&lt;a href=/no></title>\
    <link rel='alternate' href='atom-1?a=1&amp;b=2'/><link rel='enclosure' href='/atom.mp3'/>\
    <content type='text/html' src='atom-content'/><id>http://a.test/atom-no</id></entry></feed>";
const RSS: &str = "<?xml version='1.0'?><rss version='2.0'><channel><link>/rss-home</link>\
    <image><url>/not-absolute.png</url><link>/rss-image-link</link></image>\
    <item><link><![CDATA[/rss-1?x&y]]></link><guid>rss-guid-no</guid><enclosure url='/rss.mp3' type='audio/mpeg'/>\
    <description><![CDATA[<a href=/rss-no>x</a>]]></description></item></channel></rss>";
const INDEX: &str = "<?xml version='1.0'?><sitemapindex xmlns='http://www.sitemaps.org/schemas/sitemap/0.9'>\
    <sitemap><loc>/map-1.xml</loc></sitemap><sitemap><loc>/map-2.xml.gz</loc></sitemap></sitemapindex>";
const SVG: &str = "<?xml version='1.0'?><?xml-stylesheet href='/svg.css'?><svg xmlns='http://www.w3.org/2000/svg'>\
    <a href='/svg-a'><text/></a><a xlink:href='/svg-b'/><image href='/svg.png'/></svg>";

fn urlset(target: &str) -> String {
    format!("<?xml version='1.0'?><urlset><url><loc> {target} </loc></url></urlset>")
}

#[test]
fn feeds_sitemaps_and_images_of_markup_give_their_links() {
    let coded = "Content-Type: text/xml\r\nContent-Encoding: gzip\r\n";
    let documents = || {
        vec![
            ("/atom", typed("application/atom+xml; charset=utf-8", ATOM)),
            ("/rss", typed("application/rss+xml", RSS)),
            ("/index.xml", typed("application/xml", INDEX)),
            (
                "/map-1.xml",
                Answer::new("200 OK", coded, gzip(&urlset("/in-map-1"))),
            ),
            (
                "/map-2.xml.gz",
                typed("application/gzip", gzip(&urlset("/in-map-2"))),
            ),
            ("/a.svg", typed("image/svg+xml", SVG)),
        ]
    };
    let pages = [
        "/blog/atom-1?a=1&b=2",
        "/blog/atom-content",
        "/blog/atom-home",
        "/in-map-1",
        "/in-map-2",
        "/rss-1?x&y",
        "/rss-home",
        "/rss-image-link",
        "/svg-a",
        "/svg-b",
    ];
    assert_eq!(found(documents(), "none").1, pages);
    let mut all = pages.map(String::from).to_vec();
    all.extend(["/atom.mp3", "/rss.mp3", "/svg.css", "/svg.png"].map(String::from));
    all.sort();
    assert_eq!(found(documents(), "all").1, all);
}

#[test]
fn documents_are_read_as_what_they_are_where_the_header_lies() {
    let html = |name: &str| format!("\n<!DOCTYPE html><a href=/in-{name}>x</a>");
    let (crawl, targets) = found(
        vec![
            ("/plain", typed("text/plain", html("plain"))),
            ("/bytes", typed("application/octet-stream", html("bytes"))),
            ("/untyped", Answer::new("200 OK", "", html("untyped"))),
            ("/feed", typed("text/plain", urlset("/in-feed"))),
            (
                "/xhtml",
                typed(
                    "text/xml",
                    "<?xml version='1.0'?><html><a href='/in-xhtml'/></html>",
                ),
            ),
            ("/words", typed("text/plain", "see <a href=/no-words>")),
            ("/json", typed("application/json", html("no-json"))),
            ("/pdf", typed("text/html", "%PDF-1.4\n<a href=/no-pdf>")),
            (
                "/png",
                typed("text/html", b"\x89PNG\r\n\x1a\n<a href=/no-png>"),
            ),
            ("/nul", typed("text/html", b"abc\0 <a href=/no-nul>")),
            (
                "/html-nul",
                typed("text/html", b"<html>\0<a href=/in-html-nul>"),
            ),
        ],
        "none",
    );
    let expected = [
        "/in-bytes",
        "/in-feed",
        "/in-html-nul",
        "/in-plain",
        "/in-untyped",
        "/in-xhtml",
    ];
    assert_eq!(targets, expected);
    // Three pages and a feed that said less than they are, three files that said they are pages.
    assert_eq!(crawl.report()["run"]["counters"]["mislabelled"], 6);
}

#[test]
fn documents_are_what_their_header_says_where_the_server_asks_for_that() {
    let nosniff = |mime: &str, option: &str, body: &[u8]| {
        let mime = match mime {
            "" => String::new(),
            mime => format!("Content-Type: {mime}\r\n"),
        };
        let fields = format!("{mime}{option}\r\n");
        Answer::new("200 OK", &fields, body)
    };
    const YES: &str = "X-Content-Type-Options: nosniff";
    let html = |name: &str| format!("<!DOCTYPE html><a href=/in-{name}>x</a>").into_bytes();
    let (crawl, targets) = found(
        vec![
            // Not looked into.
            ("/plain", nosniff("text/plain", YES, &html("no-plain"))),
            (
                "/bytes",
                nosniff("application/octet-stream", YES, &html("no-bytes")),
            ),
            (
                "/untyped",
                nosniff(
                    "",
                    "x-content-type-options:NOSNIFF , x",
                    &html("no-untyped"),
                ),
            ),
            (
                "/feed",
                nosniff("text/plain", YES, urlset("/no-feed").as_bytes()),
            ),
            // Believed, whatever it looks like.
            ("/html", nosniff("text/html", YES, &html("html"))),
            (
                "/pdf",
                nosniff("text/html", YES, b"%PDF-1.4\n<a href=/in-pdf>"),
            ),
            ("/nul", nosniff("text/html", YES, b"abc\0 <a href=/in-nul>")),
            (
                "/xml",
                nosniff("application/xml", YES, urlset("/in-xml").as_bytes()),
            ),
            // The sitemap is what was packed, not what is declared.
            (
                "/map.xml.gz",
                nosniff("application/gzip", YES, &gzip(&urlset("/in-map"))),
            ),
            // Only the first option of the first line counts.
            (
                "/late",
                nosniff(
                    "text/plain",
                    "X-Content-Type-Options: x, nosniff",
                    &html("late"),
                ),
            ),
            (
                "/later",
                nosniff(
                    "text/plain",
                    "X-Content-Type-Options:\r\nX-Content-Type-Options: nosniff",
                    &html("later"),
                ),
            ),
        ],
        "none",
    );
    let expected = [
        "/in-html",
        "/in-late",
        "/in-later",
        "/in-map",
        "/in-nul",
        "/in-pdf",
        "/in-xml",
    ];
    assert_eq!(targets, expected);
    let counters = &crawl.report()["run"]["counters"];
    assert_eq!(counters["mislabelled"], 3, "the last two, and the map's");
}

#[test]
fn xml_declares_its_encoding() {
    let body = "<?xml version='1.0' encoding='ISO-8859-1'?><urlset><url><loc>/caf\u{e9}?\u{e9}</loc></url></urlset>";
    let latin: Vec<u8> = body.chars().map(|c| c as u8).collect();
    let utf16: Vec<u8> = "\u{feff}<urlset><url><loc>/wide</loc></url></urlset>"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let (_, targets) = found(
        vec![
            ("/latin", typed("application/xml", latin)),
            ("/utf16", typed("text/xml", utf16)),
        ],
        "none",
    );
    assert_eq!(targets, ["/caf%C3%A9?%C3%A9", "/wide"]);
}

/// `body` through a compressor of this machine; `None` where there is none, which is said.
fn tool(command: &[&str], body: &[u8]) -> Option<Vec<u8>> {
    let started = Command::new(command[0])
        .args(&command[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut child) = started else {
        println!("skipped: {} is not installed", command[0]);
        return None;
    };
    let mut input = child.stdin.take().expect("a pipe");
    let body = body.to_vec();
    let writer = std::thread::spawn(move || input.write_all(&body));
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("no panic").expect("it reads all");
    assert!(output.status.success(), "{command:?}");
    Some(output.stdout)
}

#[test]
fn bodies_that_real_tools_coded_are_read_and_what_cannot_be_is_counted() {
    let page = |name: &str| {
        let filler: String = (0..40_000_u32)
            .map(|i| format!("<p>{}", i.wrapping_mul(2_654_435_761)))
            .collect();
        format!("<!doctype html><a href=/first-{name}>x</a>{filler}<a href=/last-{name}>y</a>")
    };
    let coded = |coding: &str, body: Vec<u8>| {
        let fields = format!("Content-Type: text/html\r\nContent-Encoding: {coding}\r\n");
        Answer::new("200 OK", &fields, body)
    };
    let half = |mut body: Vec<u8>| {
        body.truncate(body.len() / 2);
        body
    };
    let gzip = |name: &str| tool(&["gzip", "-9", "-c"], page(name).as_bytes());
    let zstd = |name: &str, more: &str| tool(&["zstd", "-q", more, "-c"], page(name).as_bytes());
    let (Some(whole), Some(cut), Some(members)) = (gzip("gz"), gzip("cut"), gzip("members")) else {
        return;
    };
    let mut documents = vec![
        ("/gz", coded("gzip", whole)),
        ("/cut", coded("gzip", half(cut))),
        (
            "/members",
            coded("gzip", [self::gzip("<p>"), members].concat()),
        ),
    ];
    let mut expected = vec![
        "/first-cut",
        "/first-gz",
        "/last-gz",
        "/first-members",
        "/last-members",
    ];
    let mut ended = 1;
    if let (Some(zst), Some(cut), Some(wide)) = (
        zstd("zst", "-19"),
        zstd("zcut", "-3"),
        zstd("wide", "--long=27"),
    ) {
        let twice =
            tool(&["gzip", "-c"], &zstd("twice", "-3").unwrap_or_default()).unwrap_or_default();
        let thrice = self::gzip("not looked at");
        documents.push(("/zst", coded("zstd", zst)));
        documents.push(("/zcut", coded("zstd", half(cut))));
        documents.push(("/wide", coded("zstd", wide)));
        documents.push(("/twice", coded("zstd, gzip", twice)));
        documents.push(("/thrice", coded("gzip, gzip, gzip", thrice)));
        expected.extend([
            "/first-zst",
            "/last-zst",
            "/first-zcut",
            "/first-twice",
            "/last-twice",
        ]);
        // Cut, and a window of 128 MiB.
        ended += 2;
    }
    expected.sort_unstable();
    let (crawl, targets) = found(documents, "none");
    assert_eq!(targets, expected);
    assert_eq!(crawl.report()["run"]["counters"]["decoding_ended"], ended);
    let said = crawl.ask("report", &[]).expect(0).stdout;
    assert!(said.contains("decoding_ended"), "{said}");
}
