//! Sitemaps that robots.txt files name: which URLs a crawl asks for, and what becomes of lines that name none.

use super::program::Crawl;
use super::scripted::{Answer, Server};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::TcpListener;

fn gzip(body: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body.as_bytes()).expect("a vector");
    encoder.finish().expect("a vector")
}

fn xml(body: &str) -> Answer {
    let body = format!("<?xml version='1.0' encoding='UTF-8'?>\n{body}");
    Answer::new("200 OK", "Content-Type: text/xml\r\n", body)
}

fn urlset(locations: &[String]) -> String {
    let mut set = String::from("<urlset xmlns='http://www.sitemaps.org/schemas/sitemap/0.9'>");
    for location in locations {
        write!(set, "<url><loc>{location}</loc></url>").expect("a string");
    }
    set + "</urlset>"
}

/// A server whose answers know its port.
fn serve(answer: impl Fn(u16, &str, &str) -> Answer + Send + Sync + 'static) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its address").port();
    Server::over(listener, move |host, target| answer(port, host, target))
}

/// `a.test` links to `/linked` only. Its robots.txt, found behind a redirect to `b.test`, names an index; the index names
/// a packed sitemap; that names pages that nothing links to.
fn site() -> Server {
    serve(|port, host, target| {
        let at = |host: &str, target: &str| format!("http://{host}:{port}{target}");
        match (host, target) {
            ("a.test", "/robots.txt") => {
                Answer::redirect("301 Moved", &at("b.test", "/shared/robots.txt"))
            }
            ("b.test", "/shared/robots.txt") => Answer::text(&format!(
                "Sitemap: {index}\nUser-agent: *\nDisallow: /private\nsitemap: {forbidden}\n\n\
                 User-agent: somebody-else\nDisallow: /\nSITEMAP : {index}#again # twice\n\
                 Sitemap: {foreign}\nSitemap: /relative.xml\nSitemap: http://[broken/\nSitemap:\n\
                 Sitemap: ftp://a.test/map.xml\nSitemap: {long}\n",
                index = at("a.test", "/index.xml"),
                forbidden = at("a.test", "/private/map.xml"),
                foreign = at("b.test", "/map.xml"),
                long = at("a.test", &format!("/{}", "x".repeat(4_000))),
            )),
            ("a.test", "/") => Answer::links(&["/linked"]),
            ("a.test", "/index.xml") => xml(&format!(
                "<sitemapindex><sitemap><loc>{}</loc></sitemap><sitemap><loc>{}</loc></sitemap></sitemapindex>",
                at("a.test", "/map-1.xml.gz"),
                at("b.test", "/map-2.xml"),
            )),
            ("a.test", "/map-1.xml.gz") => {
                let pages = ["/only-1", "/only-2", "/linked", "/private/only"];
                let mut all: Vec<String> = pages.iter().map(|page| at("a.test", page)).collect();
                all.push(at("b.test", "/elsewhere"));
                let packed = gzip(&urlset(&all));
                Answer::new("200 OK", "Content-Type: application/x-gzip\r\n", packed)
            }
            ("a.test", "/only-1") => Answer::links(&["/next"]),
            ("a.test", "/next") => Answer::links(&["/last"]),
            _ => Answer::html("end"),
        }
    })
}

/// What a crawl of [`site`] asked of a.test, sorted.
fn asked(flags: &[&str]) -> (Crawl, Vec<String>) {
    let server = site();
    let crawl = Crawl::new(&[server.url("a.test", "/")], flags);
    crawl.run().expect(0);
    crawl.assert_sound();
    let of_b = server.targets("b.test");
    assert!(of_b.iter().all(|t| t == "/shared/robots.txt"), "{of_b:?}");
    let mut targets = server.targets("a.test");
    targets.sort();
    (crawl, targets)
}

const MAPS: [&str; 2] = ["/index.xml", "/map-1.xml.gz"];

#[test]
fn pages_that_only_a_sitemap_names_are_crawled() {
    let pages = ["/", "/last", "/linked", "/next", "/only-1", "/only-2"];
    for flags in [&[][..], &["--assets", "none"]] {
        let (crawl, targets) = asked(flags);
        let mut expected = [&pages[..], &MAPS].concat();
        expected.sort_unstable();
        assert_eq!(targets, expected, "{flags:?}");
        let report = crawl.report();
        // The foreign map, the index's foreign part, the foreign page; the forbidden map and page.
        assert_eq!(report["excluded"]["scope"], 3, "{report:#}");
        assert_eq!(report["excluded"]["robots"], 2);
        assert_eq!(report["urls"]["discovered"], 8 + 5);
        // Relative, broken, empty, of another scheme; too long.
        assert_eq!(report["limits"]["links_invalid"], 4);
        assert_eq!(report["limits"]["url_too_long"], 1);
        let counters = &report["run"]["counters"];
        assert_eq!(counters["sitemaps"], 4, "the index is named twice");
        assert_eq!(counters["sitemaps_dropped"], 0);
    }
}

#[test]
fn pages_of_a_sitemap_are_one_link_away_from_the_seed() {
    let (crawl, targets) = asked(&["--max-depth", "1"]);
    let mut expected = [&["/", "/linked", "/only-1", "/only-2"][..], &MAPS].concat();
    expected.sort_unstable();
    assert_eq!(targets, expected);
    assert_eq!(crawl.report()["excluded"]["depth"], 1);
    let (crawl, targets) = asked(&["--max-depth", "0"]);
    assert_eq!(targets, ["/"]);
    // The link and the three maps: it does not come to their other reasons.
    assert_eq!(crawl.report()["excluded"]["depth"], 4);
}

#[test]
fn patterns_hold_for_sitemaps() {
    let (_, targets) = asked(&["--exclude", "/map-1", "--max-depth", "1"]);
    assert_eq!(targets, ["/", "/index.xml", "/linked"]);
    let (_, targets) = asked(&["--include", "/linked$"]);
    assert_eq!(targets, ["/", "/linked"]);
}

#[test]
fn sitemaps_are_left_alone_where_that_is_asked_for() {
    let (crawl, targets) = asked(&["--sitemaps", "ignore"]);
    assert_eq!(targets, ["/", "/linked"]);
    assert_eq!(crawl.report()["urls"]["discovered"], 2);
    let (_, targets) = asked(&["--robots", "ignore"]);
    assert_eq!(targets, ["/", "/linked"]);
    let home = tempfile::tempdir().expect("a directory");
    let file = home.path().join("crawl.toml");
    std::fs::write(&file, "sitemaps = \"ignore\"\n").expect("a file");
    let path = file.to_str().expect("UTF-8");
    assert_eq!(asked(&["--config", path]).1, ["/", "/linked"]);
    // The command line wins.
    let (_, targets) = asked(&["--config", path, "--sitemaps", "follow"]);
    assert_eq!(targets.len(), 8);
    let crawl = Crawl::new(&["http://a.test/".to_owned()], &["--sitemaps", "some"]);
    let said = crawl.run().expect(2).stderr;
    assert!(
        said.contains("--sitemaps") && said.contains("follow"),
        "{said}"
    );
}

#[test]
fn a_file_of_ten_thousand_sitemaps_is_cut_and_the_rest_counted() {
    const LINES: usize = 10_000;
    const TAKEN: usize = 1_000;
    let server = serve(|port, _, target| match target {
        "/robots.txt" => {
            let mut file = String::new();
            for n in 0..LINES {
                writeln!(file, "Sitemap: http://a.test:{port}/{n}.xml").expect("a string");
            }
            Answer::text(&file)
        }
        "/" => Answer::html("nothing"),
        map => xml(&urlset(&[format!(
            "http://a.test:{port}/of{}",
            &map[..map.len() - 4]
        )])),
    });
    // Each map names one page, /of/N; max-depth 0 would not ask for maps, 1 takes both.
    let crawl = Crawl::new(
        &[server.url("a.test", "/")],
        &["--max-depth", "1", "--per-host", "8"],
    );
    let ended = crawl.run().expect(0);
    crawl.assert_sound();
    let mut expected: Vec<String> = (0..TAKEN)
        .flat_map(|n| [format!("/{n}.xml"), format!("/of/{n}")])
        .collect();
    expected.push("/".into());
    expected.sort();
    let mut targets = server.targets("a.test");
    targets.sort();
    assert_eq!(targets, expected);
    let report = crawl.report();
    let counters = &report["run"]["counters"];
    assert_eq!(counters["sitemaps"], TAKEN);
    assert_eq!(counters["sitemaps_dropped"], LINES - TAKEN);
    assert_eq!(report["limits"]["links_per_page"], LINES - TAKEN);
    assert!(ended.stdout.contains("sitemaps_dropped"), "{ended:#?}");
}

#[test]
fn a_sitemap_may_be_a_list_in_plain_text() {
    let server = serve(|port, _, target| {
        let at = |target: &str| format!("http://a.test:{port}{target}");
        match target {
            "/robots.txt" => Answer::text(&format!(
                "Sitemap: {}\nSitemap: {}\n",
                at("/map.txt"),
                at("/named.txt")
            )),
            "/map.txt" => Answer::text(&format!(
                "{}\r\n{}\nnot {}\n",
                at("/1"),
                at("/2"),
                at("/no")
            )),
            // XML that is called text is still XML.
            "/named.txt" => Answer::text(&urlset(&[at("/3")])),
            // What is no sitemap is not read as one.
            "/" => Answer::links(&["/plain.txt"]),
            "/plain.txt" => Answer::text(&at("/no")),
            _ => Answer::html("end"),
        }
    });
    let crawl = Crawl::new(&[server.url("a.test", "/")], &[]);
    crawl.run().expect(0);
    crawl.assert_sound();
    let mut targets = server.targets("a.test");
    targets.sort();
    let expected = [
        "/",
        "/1",
        "/2",
        "/3",
        "/map.txt",
        "/named.txt",
        "/plain.txt",
    ];
    assert_eq!(targets, expected);
    assert_eq!(crawl.report()["run"]["counters"]["mislabelled"], 1);
}
