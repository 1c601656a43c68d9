//! Crawls through tinyproxy and microsocks. Both connect further from 127.0.0.2, so a server sees who came by itself.

use super::certificates::Authority;
use super::program::Crawl;
use super::scripted::{Answer, Server};
use super::tls_site::{Secure, TlsSite};
use super::tools::assert_readable;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;
use tempfile::TempDir;

const FURTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

/// Which proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Tinyproxy,
    Microsocks,
}

/// A proxy that asks for a name and a password; killed when dropped.
struct Proxy {
    kind: Kind,
    port: u16,
    child: Child,
    home: TempDir,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Proxy {
    /// `None`, with a message, where it is not installed.
    fn start(kind: Kind) -> Option<Self> {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr());
        let port = free.expect("a port").port();
        let home = tempfile::tempdir().expect("a directory");
        let Some(child) = spawn(kind, port, &home) else {
            println!("skipped: {kind:?} is not installed");
            return None;
        };
        let it = Self {
            kind,
            port,
            child,
            home,
        };
        it.wait();
        Some(it)
    }

    fn wait(&self) {
        for _ in 0..500 {
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return;
            }
            sleep(Duration::from_millis(10));
        }
        panic!("{:?} does not listen", self.kind);
    }

    /// Kills it.
    fn down(&mut self) {
        self.child.kill().expect("its own child");
        self.child.wait().expect("a child");
    }

    /// Starts it again.
    fn up(&mut self) {
        self.child = spawn(self.kind, self.port, &self.home).expect("it was there before");
        self.wait();
    }

    fn url(&self) -> String {
        let scheme = match self.kind {
            Kind::Tinyproxy => "http",
            Kind::Microsocks => "socks5",
        };
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    /// A file for `--auth` with this password for it.
    fn auth(&self, password: &str) -> PathBuf {
        let path = self.home.path().join(format!("{password}.auth"));
        let line = format!("{} reader:{password}\n", self.url());
        fs::write(&path, line).expect("a file");
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("it is ours");
        path
    }

    /// The flags that crawl through it.
    fn flags(&self, password: &str) -> Vec<String> {
        let auth = self.auth(password).display().to_string();
        ["--proxy", &self.url(), "--auth", &auth]
            .map(String::from)
            .into()
    }
}

fn spawn(kind: Kind, port: u16, home: &TempDir) -> Option<Child> {
    let number = port.to_string();
    let mut command = match kind {
        Kind::Tinyproxy => {
            let file = home.path().join("tinyproxy.conf");
            let lines = format!(
                "Port {port}\nListen 127.0.0.1\nBind {FURTHER}\nBasicAuth reader hush-77\nMaxClients 20\nTimeout 60\n\
                 LogLevel Error\n"
            );
            fs::write(&file, lines).expect("a file");
            let mut command = Command::new("tinyproxy");
            command.args(["-d", "-c"]).arg(file);
            command
        }
        Kind::Microsocks => {
            let mut command = Command::new("microsocks");
            command.args(["-i", "127.0.0.1", "-p", &number, "-b", "127.0.0.2"]);
            command.args(["-u", "reader", "-P", "hush-77"]);
            command
        }
    };
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null());
    quiet.stderr(Stdio::null()).spawn().ok()
}

fn words(flags: &[String]) -> Vec<&str> {
    flags.iter().map(String::as_str).collect()
}

/// Ten pages, each linked from the one before.
fn chain(_: &str, target: &str) -> Answer {
    let number = target.trim_start_matches('/').parse::<u32>();
    match (target, number) {
        ("/", _) => Answer::links(&["/1"]),
        (_, Ok(n)) if n < 10 => Answer::links(&[format!("/{}", n + 1)]),
        _ => Answer::not_found(),
    }
}

#[test]
fn plain_and_secure_sites_are_crawled_through_real_proxies() {
    let root = Authority::root("the root");
    let leaf = root.leaf(&["good.test"]);
    for kind in [Kind::Tinyproxy, Kind::Microsocks] {
        let Some(proxy) = Proxy::start(kind) else {
            continue;
        };
        let served = [Secure::of("good.test", &leaf)];
        // Whoever comes by itself is turned away.
        let only = format!("allow {FURTHER}; deny all;");
        let Some(site) = TlsSite::start(&root.certificate.pem(), &served, &only) else {
            return;
        };
        let server = Server::start(chain);
        let seeds = [server.url("a.test", "/"), site.url("good.test", "/")];
        let mut flags = proxy.flags("hush-77");
        flags.extend(["--ca".to_string(), site.root.clone()]);
        let crawl = Crawl::new(&seeds, &words(&flags));
        crawl.run().expect(0);
        crawl.assert_sound();
        let standing = crawl.standing();
        let status = |url: &str| standing.get(url).map(|s| s.1.as_str());
        for n in 1..=9 {
            assert_eq!(status(&server.url("a.test", &format!("/{n}"))), Some("200"));
        }
        for (path, expected) in [
            ("/big.bin", "200"),
            ("/page.html", "200"),
            ("/private/x", "robots"),
        ] {
            let got = status(&site.url("good.test", path));
            assert_eq!(got, Some(expected), "{kind:?} {path}: {standing:#?}");
        }
        assert!(server.asked().iter().all(|a| a.peer == FURTHER), "{kind:?}");
        // robots.txt, the start page and ten more; of the site the start page and two more.
        assert_eq!(server.asked().len(), 12);
        assert_readable(&crawl, 14);
        let big = crawl
            .ask("get", &[&site.url("good.test", "/big.bin")])
            .expect(0);
        assert_eq!(big.stdout.into_bytes(), site.big());
        crawl.ask("verify", &[]).expect(0);
    }
}

#[test]
fn nothing_begins_without_the_proxy_or_with_a_wrong_password() {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr());
    let at = format!("http://{}", free.expect("a port"));
    let refused = |flags: &[&str], code: i32, word: &str| {
        let crawl = Crawl::new(&["http://a.test/".to_string()], flags);
        let ended = crawl.run().expect(code);
        let said = ended.stderr.lines().next().expect("a message");
        assert!(said.contains(word), "{said}");
        assert!(!ended.stderr.contains("hush"), "{ended:#?}");
        assert!(!crawl.dir().exists(), "nothing was begun");
    };
    refused(&["--proxy", &at], 1, &at);
    refused(&["--proxy", "http://me:hush@127.0.0.1:1"], 2, "--auth");
    refused(&["--proxy", "ftp://127.0.0.1:1"], 2, "socks5://");
    refused(&["--proxy-names"], 2, "--proxy");
    refused(&["--proxy", "socks5h://127.0.0.1:1"], 2, "--contact");
    if let Some(proxy) = Proxy::start(Kind::Microsocks) {
        refused(&words(&proxy.flags("hush-78")), 1, "--auth");
        refused(&["--proxy", &proxy.url()], 1, "--auth");
    }
}

#[test]
fn no_url_is_lost_while_a_proxy_is_down() {
    for kind in [Kind::Tinyproxy, Kind::Microsocks] {
        let Some(mut proxy) = Proxy::start(kind) else {
            continue;
        };
        let server = Server::start(chain);
        let names = ["a.test", "b.test", "c.test"];
        let seeds = names.map(|name| server.url(name, "/"));
        let mut flags = proxy.flags("hush-77");
        flags.extend(["--delay".to_string(), "200ms".to_string()]);
        let crawl = Crawl::new(&seeds, &words(&flags));
        let running = crawl.start();
        while server.asked().len() < 9 {
            sleep(Duration::from_millis(20));
        }
        proxy.down();
        // Longer than three tries of a page would last.
        sleep(Duration::from_secs(8));
        let before = server.asked().len();
        proxy.up();
        running.wait().expect(0);
        crawl.assert_sound();
        assert!(server.asked().len() > before);
        assert_eq!(
            crawl.report()["outcomes"]["proxy_failed"],
            serde_json::Value::Null
        );
        let standing = crawl.standing();
        for name in names {
            for n in 1..=10 {
                let expected = if n == 10 { "404" } else { "200" };
                let url = server.url(name, &format!("/{n}"));
                assert_eq!(standing[&url].1, expected, "{kind:?} {url}");
            }
        }
        assert_eq!(crawl.urls_in("done").len(), 3 * 11);
    }
}

#[test]
fn a_proxy_that_takes_few_connections_is_shared_by_many_hosts() {
    // tinyproxy leaves whoever comes beyond its limit of 20 waiting, without a word.
    let Some(proxy) = Proxy::start(Kind::Tinyproxy) else {
        return;
    };
    let server = Server::start(|_, target| match target {
        "/" => Answer::links(&["/1", "/2"]),
        "/1" | "/2" => Answer::html("end"),
        _ => Answer::not_found(),
    });
    let seeds: Vec<String> = (0..60)
        .map(|n| server.url(&format!("h{n}.test"), "/"))
        .collect();
    let mut flags = proxy.flags("hush-77");
    // Connections lie idle during the pauses, so they would all be taken by the first hosts.
    flags.extend(["--delay", "300ms", "--concurrency", "16"].map(String::from));
    let crawl = Crawl::new(&seeds, &words(&flags));
    crawl.run().expect(0);
    crawl.assert_sound();
    assert_eq!(crawl.report()["outcomes"]["fetched"], 3 * 60);
}

#[test]
fn a_proxy_may_look_names_up() {
    // An HTTP proxy as simple as they come: it answers for every host.
    let proxy = Server::start(|host, target| match target {
        "http://h0.web/" => Answer::links(&[
            "/page",
            "http://h1.web/",
            "http://localhost/inward",
            "http://10.0.0.1/inward",
            "http://x.invalid/inward",
            "https://h0.web/secure",
        ]),
        "h0.web:443" => Answer::new("403 Forbidden", "", "no"),
        _ if target.ends_with("/robots.txt") => Answer::not_found(),
        _ if host == "h1.web" => Answer::html("the other"),
        _ => Answer::html("a page"),
    });
    let at = format!("http://127.0.0.1:{}", proxy.port);
    let flags = [
        "--proxy",
        &at,
        "--proxy-names",
        "--contact",
        "crawl@example.org",
        "--scope",
        "any",
        "--delay",
        "0s",
        "--memory",
        "256MiB",
    ];
    let crawl = Crawl::bare(&["http://h0.web/".to_string()], &flags);
    crawl.run().expect(0);
    crawl.assert_sound();
    let standing = crawl.standing();
    for (url, expected) in [
        ("http://h0.web/", "200"),
        ("http://h0.web/page", "200"),
        ("http://h1.web/", "200"),
        ("https://h0.web/secure", "proxy_refused"),
        ("http://10.0.0.1/inward", "address"),
        ("http://localhost/inward", "address"),
        ("http://x.invalid/inward", "dns_failed"),
    ] {
        assert_eq!(standing[url].1, expected, "{url}");
    }
    let inward = |a: &super::scripted::Asked| a.target.contains("inward");
    assert!(!proxy.asked().iter().any(inward));
    assert_readable(&crawl, 3);
}
