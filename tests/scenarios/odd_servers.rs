//! Servers that do what servers do: redirects, encodings, broken answers, robots.txt of all kinds. What is asked for is
//! compared with what should be, request by request.

use super::program::Crawl;
use super::scripted::{Answer, Server};
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

type Pages = BTreeMap<String, Answer>;

/// A host `a.test` (and any other) that serves `pages` and nothing else.
fn serve(pages: Pages) -> Server {
    Server::start(move |_, target| pages.get(target).cloned().unwrap_or_else(Answer::not_found))
}

fn pages<const N: usize>(pages: [(&str, Answer); N]) -> Pages {
    pages.map(|(t, a)| (t.to_string(), a)).into()
}

/// Crawls `http://a.test/` to the end and gives the targets that were asked for, sorted.
#[track_caller]
fn crawl(server: &Server, more: &[&str]) -> (Crawl, Vec<String>) {
    let crawl = Crawl::new(&[server.url("a.test", "/")], more);
    crawl.run().expect(0);
    crawl.assert_sound();
    let mut targets = server.targets("a.test");
    targets.sort();
    (crawl, targets)
}

fn standing(crawl: &Crawl, server: &Server, target: &str) -> (String, String) {
    let all = crawl.standing();
    let url = server.url("a.test", target);
    all.get(&url)
        .cloned()
        .unwrap_or_else(|| panic!("{url} in {all:?}"))
}

#[test]
fn redirects_are_urls_of_their_own_and_loops_end() {
    let mut all = pages([
        (
            "/",
            Answer::links(&["/301", "/loop/1", "/self", "/chain/0", "/none", "/out"]),
        ),
        ("/301", Answer::redirect("301 Moved Permanently", "/302")),
        ("/302", Answer::redirect("302 Found", "303?q#fragment")),
        (
            "/303?q",
            Answer::redirect("303 See Other", "//a.test:PORT/307"),
        ),
        ("/307", Answer::redirect("307 Temporary Redirect", "./308")),
        ("/308", Answer::redirect("308 Permanent Redirect", "/end")),
        ("/end", Answer::html("end")),
        ("/loop/1", Answer::redirect("302 Found", "/loop/2")),
        ("/loop/2", Answer::redirect("302 Found", "/loop/1")),
        ("/self", Answer::redirect("302 Found", "/self")),
        ("/none", Answer::new("302 Found", "", "")),
        ("/out", Answer::redirect("302 Found", "http://other.test/")),
    ]);
    for n in 0..20 {
        let next = format!("/chain/{}", n + 1);
        all.insert(format!("/chain/{n}"), Answer::redirect("302 Found", &next));
    }
    // The port is known only when the server runs; a protocol-relative target without it is another host.
    all.insert(
        "/303?q".into(),
        Answer::redirect("303 See Other", "\t/307 "),
    );
    let server = serve(all);
    let (crawl, targets) = crawl(&server, &[]);
    let mut expected: Vec<String> = [
        "/", "/301", "/302", "/303?q", "/307", "/308", "/end", "/loop/1", "/loop/2", "/none",
        "/out", "/self",
    ]
    .map(String::from)
    .into();
    // Ten redirects in a row are followed.
    expected.extend((0..=10).map(|n| format!("/chain/{n}")));
    expected.sort();
    assert_eq!(targets, expected);
    let excluded = ("excluded".to_string(), "redirects".to_string());
    assert_eq!(standing(&crawl, &server, "/chain/11"), excluded);
    let outside = crawl.standing()["http://other.test/"].clone();
    assert_eq!(outside, ("excluded".into(), "scope".into()));
}

fn written<W: Write>(mut encoder: W, body: &[u8], finish: impl FnOnce(W) -> Vec<u8>) -> Vec<u8> {
    encoder.write_all(body).expect("a vector takes all");
    finish(encoder)
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let encoder = GzEncoder::new(Vec::new(), Compression::default());
    written(encoder, body, |e| e.finish().expect("a vector"))
}

fn encoded(coding: &str, body: &[u8]) -> Answer {
    Answer::new(
        "200 OK",
        &format!("Content-Type: text/html\r\nContent-Encoding: {coding}\r\n"),
        body,
    )
}

fn chunked(body: &[u8], size: usize) -> Answer {
    let mut bytes =
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n"
            .to_vec();
    for chunk in body.chunks(size) {
        bytes.extend(format!("{:x};name=value\r\n", chunk.len()).into_bytes());
        bytes.extend(chunk);
        bytes.extend(b"\r\n");
    }
    bytes.extend(b"0\r\nTrailer: x\r\n\r\n");
    Answer::raw(bytes)
}

#[test]
fn links_are_found_in_bodies_of_every_coding_and_framing() {
    let link = |name: &str| format!("<p>filler</p><a href=/in-{name}>x</a>").into_bytes();
    let zlib = ZlibEncoder::new(Vec::new(), Compression::default());
    let raw = DeflateEncoder::new(Vec::new(), Compression::default());
    let zstd = zstd::bulk::compress(&link("zstd"), 3).expect("it compresses");
    // One uncompressed metablock (RFC 7932 9.2): no encoder is at hand.
    let body = link("br");
    let len = body.len() as u32 - 1;
    let header = 1_u32 << 20 | len << 4;
    let br = [
        &[header as u8, (header >> 8) as u8, (header >> 16) as u8][..],
        &body,
        &[3],
    ];
    let names = [
        "gzip",
        "x-gzip",
        "zlib",
        "deflate",
        "zstd",
        "br",
        "chunked",
        "chunked-gzip",
        "close",
        "two-members",
    ];
    let mut seed = String::new();
    for name in names {
        seed += &format!("<a href=/{name}>x</a>");
    }
    let chunked_gzip = {
        let body = gzip(&link("chunked-gzip"));
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n";
        let head = format!("{head}{:X}\r\n", body.len());
        Answer::raw([head.as_bytes(), &body, b"\r\n0\r\n\r\n"].concat())
    };
    let until_close = [
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n".as_slice(),
        &link("close"),
    ];
    let two_members = [gzip(b"<p>first"), gzip(&link("two-members"))].concat();
    let server = serve(pages([
        ("/", Answer::html(&seed)),
        ("/gzip", encoded("gzip", &gzip(&link("gzip")))),
        ("/x-gzip", encoded("X-GZIP", &gzip(&link("x-gzip")))),
        (
            "/zlib",
            encoded(
                "deflate",
                &written(zlib, &link("zlib"), |e| e.finish().expect("a vector")),
            ),
        ),
        (
            "/deflate",
            encoded(
                "deflate",
                &written(raw, &link("deflate"), |e| e.finish().expect("a vector")),
            ),
        ),
        ("/zstd", encoded("zstd", &zstd)),
        ("/br", encoded("br", &br.concat())),
        ("/chunked", chunked(&link("chunked"), 7)),
        ("/chunked-gzip", chunked_gzip),
        ("/close", Answer::raw(until_close.concat()).and_close()),
        ("/two-members", encoded("gzip", &two_members)),
    ]));
    let (crawl, targets) = crawl(&server, &[]);
    for name in names {
        let found = format!("/in-{name}");
        assert!(targets.contains(&found), "{found} in {targets:?}");
        // The stored body is given decoded.
        let url = server.url("a.test", &format!("/{name}"));
        let body = crawl.ask("get", &[&url]).expect(0).stdout;
        assert!(
            body.ends_with(&format!("<a href=/in-{name}>x</a>")),
            "{name}: {body:?}"
        );
    }
    assert_eq!(targets.len(), 1 + 2 * names.len());
}

#[test]
fn answers_that_break_off_or_never_were_http_have_their_outcome() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 1000\r\n\r\n";
    let server = serve(pages([
        (
            "/",
            Answer::links(&["/cut", "/nothing", "/half-head", "/smtp", "/slow", "/large"]),
        ),
        (
            "/cut",
            Answer::raw(format!("{head}<a href=/in-cut>x</a>")).and_close(),
        ),
        ("/nothing", Answer::raw("").and_close()),
        (
            "/half-head",
            Answer::raw("HTTP/1.1 200 OK\r\nContent-").and_close(),
        ),
        ("/smtp", Answer::raw("220 mail ready\r\n\r\n").and_close()),
        (
            "/slow",
            Answer::links(&["/in-slow"]).after(Duration::from_millis(1_500)),
        ),
        (
            "/large",
            Answer::raw(format!(
                "HTTP/1.1 200 OK\r\nX: {}\r\n\r\n",
                "x".repeat(100_000)
            ))
            .and_close(),
        ),
    ]));
    let (crawl, targets) = crawl(&server, &[]);
    let asked = |target: &str| targets.iter().filter(|t| *t == target).count();
    for (target, status, times) in [
        ("/cut", "200", 3),
        ("/nothing", "closed_early", 3),
        ("/half-head", "closed_early", 3),
        ("/smtp", "bad_response", 1),
        ("/large", "head_too_large", 1),
        ("/slow", "200", 1),
        ("/in-slow", "404", 1),
    ] {
        assert_eq!(
            standing(&crawl, &server, target),
            ("done".into(), status.into()),
            "{target}"
        );
        assert_eq!(asked(target), times, "{target}");
    }
    assert_eq!(crawl.report()["outcomes"]["cut_disconnect"], 1);
    // What came is kept and read.
    assert_eq!(asked("/in-cut"), 1);
}

#[test]
fn pages_say_where_links_lead_and_which_not_to_follow() {
    let nofollow = "Content-Type: text/html\r\nX-Robots-Tag: nofollow\r\n";
    let server = serve(pages([
        (
            "/",
            Answer::links(&[
                "/base", "/refresh", "/meta", "/tag", "/rel", "/frames", "/hidden", "/odd",
            ]),
        ),
        (
            "/base",
            Answer::html("<base href=/deep/er/><a href=page>x</a><a href=../up>y</a>"),
        ),
        (
            "/refresh",
            Answer::html("<meta http-equiv=Refresh content=\"5; URL='/refreshed'\">"),
        ),
        (
            "/meta",
            Answer::html("<meta name=robots content='index, NOFOLLOW'><a href=/not-1>x</a>"),
        ),
        (
            "/tag",
            Answer::new("200 OK", nofollow, "<a href=/not-2>x</a>"),
        ),
        (
            "/rel",
            Answer::html(
                "<a rel='external nofollow' href=/not-3>x</a><a rel=next href=/yes-rel>y</a>",
            ),
        ),
        (
            "/frames",
            Answer::html(
                "<frameset><frame src=/frame></frameset><iframe src=/iframe></iframe><map><area href=/area></map>",
            ),
        ),
        (
            "/hidden",
            Answer::html(
                "<!-- <a href=/not-4> --><script>'<a href=/not-5>'</script><textarea><a href=/not-6></textarea>\
             <style>a{}<a href=/not-7></style><noscript><a href=/yes-noscript>x</a></noscript><title><a href=/not-8></title>",
            ),
        ),
        (
            "/odd",
            Answer::html(
                "<A HREF = '/a&amp;b'>x</A><a href=\" /sp ace \">y</a><a href='/odd#part'>z</a><a href='mailto:a@b.test'>m</a>\
             <a href='javascript:void(0)'>j</a><a href='/%7euser/./x/../y'>p</a><a href=http:/one-slash>s</a><a href=\\back>b</a>",
            ),
        ),
    ]));
    let (crawl, targets) = crawl(&server, &["--assets", "none"]);
    let mut expected = vec![
        "/",
        "/base",
        "/refresh",
        "/meta",
        "/tag",
        "/rel",
        "/frames",
        "/hidden",
        "/odd",
        "/deep/er/page",
        "/deep/up",
        "/refreshed",
        "/yes-rel",
        "/frame",
        "/iframe",
        "/area",
        "/yes-noscript",
        "/a&b",
        "/sp%20ace",
        "/one-slash",
        "/back",
        "/%7Euser/y",
    ];
    expected.sort();
    assert_eq!(targets, expected);
    assert_eq!(
        standing(&crawl, &server, "/not-3"),
        ("excluded".into(), "nofollow".into())
    );
}

#[test]
fn assets_are_fetched_as_far_as_wanted() {
    let page = "<link rel=stylesheet href=/s.css><link rel='shortcut icon' href=/i.ico><script src=/s.js></script>\
                <img src=/1.png srcset='/2.png 1x, /3.png 2x'><picture><source srcset=/4.png></picture>\
                <video poster=/5.png src=/v.mp4></video><audio src=/a.mp3></audio><embed src=/e.swf><object data=/o.pdf></object>\
                <a href=/page>x</a>";
    let css = "@import '/t.css'; body { background: url(/6.png) }";
    let font = "@font-face { src: url('/f.woff2') }";
    let style = |body| Answer::new("200 OK", "Content-Type: text/css\r\n", body);
    let images = ["/1.png", "/2.png", "/3.png", "/4.png", "/5.png", "/i.ico"];
    let rest = [
        "/6.png", "/a.mp3", "/e.swf", "/f.woff2", "/o.pdf", "/s.css", "/s.js", "/t.css", "/v.mp4",
    ];
    for (wanted, assets) in [
        ("none", vec![]),
        ("images", images.to_vec()),
        ("all", [&images[..], &rest].concat()),
    ] {
        let server = serve(pages([
            ("/", Answer::html(page)),
            ("/page", Answer::html("a page")),
            ("/s.css", style(css)),
            ("/t.css", style(font)),
        ]));
        let (_, targets) = crawl(&server, &["--assets", wanted]);
        let mut expected = [&["/", "/page"][..], &assets].concat();
        expected.sort();
        assert_eq!(targets, expected, "--assets {wanted}");
    }
}

#[test]
fn robots_files_of_all_kinds_are_obeyed() {
    let mut long = "# filler\n".repeat(1_000);
    long += "User-agent: *\nDisallow: /secret\nAllow: /secret/open\n";
    let own = "User-agent: cyclosa\nDisallow: /secret\n\nUser-agent: *\nDisallow: /\n";
    let all = "User-agent: *\nDisallow: /\n";
    for (name, robots, allowed, forbidden) in [
        (
            "404",
            Answer::not_found(),
            &["/", "/secret", "/secret/open"][..],
            None,
        ),
        (
            "403",
            Answer::new("403 Forbidden", "", ""),
            &["/", "/secret", "/secret/open"],
            None,
        ),
        (
            "long",
            Answer::text(&long),
            &["/", "/secret/open"],
            Some("/secret"),
        ),
        ("own group", Answer::text(own), &["/"], Some("/secret")),
        ("all", Answer::text(all), &[], Some("/")),
        (
            "gzip",
            encoded("gzip", &gzip(all.as_bytes())),
            &[],
            Some("/"),
        ),
        (
            "moved",
            Answer::redirect("301 Moved", "/robots-there"),
            &[],
            Some("/"),
        ),
        (
            "html",
            Answer::html("<!doctype html>\n<p>not found"),
            &["/", "/secret", "/secret/open"],
            None,
        ),
    ] {
        let server = serve(pages([
            ("/robots.txt", robots),
            ("/robots-there", Answer::text(all)),
            ("/", Answer::links(&["/secret", "/secret/open"])),
            ("/secret", Answer::html("x")),
            ("/secret/open", Answer::html("y")),
        ]));
        let (crawl, mut targets) = crawl(&server, &[]);
        targets.retain(|t| t != "/robots-there");
        assert_eq!(targets, allowed, "{name}");
        if let Some(target) = forbidden {
            let excluded = ("excluded".to_string(), "robots".to_string());
            assert_eq!(standing(&crawl, &server, target), excluded, "{name}");
        }
    }
}

#[test]
fn a_robots_file_that_cannot_be_had_forbids_everything() {
    for robots in [
        Answer::new("500 Oops", "", ""),
        Answer::new("503 Busy", "", ""),
        Answer::raw("").and_close(),
    ] {
        let server = serve(pages([("/robots.txt", robots), ("/", Answer::html("x"))]));
        let (crawl, targets) = crawl(&server, &[]);
        assert!(targets.is_empty(), "{targets:?}");
        let outcome = ("done".to_string(), "robots_unreachable".to_string());
        assert_eq!(standing(&crawl, &server, "/"), outcome);
    }
}

#[test]
fn robots_files_are_left_alone_where_they_are_to_be_ignored() {
    let server = serve(pages([
        ("/robots.txt", Answer::text("User-agent: *\nDisallow: /\n")),
        ("/", Answer::html("x")),
    ]));
    let (_, targets) = crawl(&server, &["--robots", "ignore"]);
    assert_eq!(targets, ["/"]);
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn depth_patterns_and_scope_bound_a_crawl() {
    let server = serve(pages([
        (
            "/",
            Answer::links(&["/1", "/private/x", "http://b.test/", "http://127.0.0.1:22/"]),
        ),
        ("/1", Answer::links(&["/2"])),
        ("/2", Answer::links(&["/3"])),
    ]));
    let (crawl, targets) = crawl(&server, &["--max-depth", "2", "--exclude", "/private/"]);
    assert_eq!(targets, ["/", "/1", "/2"]);
    for (target, reason) in [("/3", "depth"), ("/private/x", "pattern")] {
        let excluded = ("excluded".to_string(), reason.to_string());
        assert_eq!(standing(&crawl, &server, target), excluded);
    }
    let other = crawl.standing()["http://b.test/"].clone();
    assert_eq!(other, ("excluded".into(), "scope".into()));
}
