//! Cookies over real sockets: sent back where they belong when asked for, and never otherwise.

use super::program::Crawl;
use super::scripted::{Answer, Server};

fn shop() -> Server {
    Server::start(|host, target| match (host, target) {
        ("shop.test", "/") => Answer::new(
            "200 OK",
            "Content-Type: text/html\r\nSet-Cookie: session=a1b2; Path=/\r\nset-cookie: deep=1; Path=/in\r\n",
            "<a href=/in/side>x</a><a href=/out>x</a><a href=/elsewhere>x</a>",
        ),
        ("shop.test", "/elsewhere") => {
            Answer::new("302 Found", "Location: /end\r\nSet-Cookie: moved=1\r\n", "")
        }
        (_, "/robots.txt") => Answer::not_found(),
        _ => Answer::html("end"),
    })
}

/// The Cookie field of the request for each target, in alphabetical order.
fn sent(server: &Server) -> Vec<(String, String)> {
    let cookie = |head: &str| {
        let mut lines = head.lines().filter_map(|l| l.strip_prefix("Cookie: "));
        lines.next().unwrap_or_default().to_owned()
    };
    let asked = server.asked().into_iter();
    let mut sent: Vec<_> = asked.map(|a| (a.target, cookie(&a.head))).collect();
    sent.sort();
    sent
}

fn crawl(flags: &[&str]) -> (Vec<(String, String)>, serde_json::Value) {
    let server = shop();
    let seed = server.url("shop.test", "/");
    let crawl = Crawl::new(&[seed], flags);
    crawl.run().expect(0);
    crawl.assert_sound();
    (sent(&server), crawl.report())
}

#[test]
fn cookies_go_back_where_they_belong() {
    let (sent, report) = crawl(&["--cookies"]);
    let of = |target: &str| {
        let found = sent.iter().find(|(t, _)| t == target);
        found
            .unwrap_or_else(|| panic!("{target} was asked for"))
            .1
            .clone()
    };
    assert_eq!(of("/robots.txt"), "");
    assert_eq!(of("/"), "");
    assert_eq!(of("/in/side"), "deep=1; session=a1b2");
    assert_eq!(of("/out"), "session=a1b2");
    assert!(of("/end").contains("moved=1"), "{sent:?}");
    assert_eq!(report["cookies"]["set"], 3);
}

#[test]
fn without_the_flag_none_is_sent() {
    let (sent, report) = crawl(&[]);
    assert!(
        sent.len() >= 5 && sent.iter().all(|(_, cookie)| cookie.is_empty()),
        "{sent:?}"
    );
    assert!(report["cookies"].as_object().is_none_or(|c| c.is_empty()));
}
