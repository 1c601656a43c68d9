//! `https` with a real nginx: what is fetched, what is refused, and under which name.

use super::certificates::{Authority, Leaf, named, self_signed};
use super::program::Crawl;
use super::tls_site::{Secure, TlsSite};
use rcgen::{BasicConstraints, IsCa, date_time_ymd};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::thread;
use std::time::Duration;

/// An authority below a root, and the chain of a certificate of it.
struct Family {
    root: Authority,
    middle: Authority,
}

impl Family {
    fn new() -> Self {
        let root = Authority::root("the root");
        let middle = root.below("the one in the middle");
        Self { root, middle }
    }

    fn chain(&self, leaf: &Leaf) -> String {
        leaf.certificate.pem() + &self.middle.certificate.pem()
    }

    fn good(&self, name: &str) -> Secure {
        self.served(name, &self.middle.leaf(&[name]))
    }

    fn served(&self, name: &str, leaf: &Leaf) -> Secure {
        Secure::new(name, &self.chain(leaf), &leaf.key.serialize_pem())
    }
}

/// Status by URL of a crawl of `seeds`, robots.txt obeyed, with the site's root believed; and how many handshakes failed.
fn ends(site: &TlsSite, seeds: &[String]) -> (BTreeMap<String, String>, u64) {
    let crawl = Crawl::new(seeds, &["--ca", &site.root, "--quiet"]);
    crawl.run().expect(0);
    crawl.assert_sound();
    let all = crawl.standing().into_iter();
    let failed = crawl.report()["tls"]["failed"].as_u64().unwrap_or(0);
    let ends = all.map(|(url, (_, status))| (url, status)).collect();
    (ends, failed)
}

#[test]
fn every_certificate_ends_as_it_should() {
    let family = Family::new();
    let mut servers = Vec::new();
    let mut expected = Vec::new();
    let mut add = |server: Secure, outcome: &'static str| {
        expected.push((server.name.clone(), outcome));
        servers.push(server);
    };
    add(family.good("good.test"), "200");
    let leaf = |name: &str, change: &dyn Fn(&mut rcgen::CertificateParams)| {
        let leaf = family.middle.leaf_with(&[name], |p| change(p));
        family.served(name, &leaf)
    };
    let past = |p: &mut rcgen::CertificateParams| p.not_after = date_time_ymd(2020, 1, 1);
    add(leaf("expired.test", &past), "tls_expired");
    let future = |p: &mut rcgen::CertificateParams| p.not_before = date_time_ymd(2090, 1, 1);
    add(leaf("early.test", &future), "tls_expired");
    let other = family.middle.leaf(&["other.test"]);
    add(family.served("wrong.test", &other), "tls_wrong_name");
    let common = family
        .middle
        .leaf_with(&[], |p| p.distinguished_name = named("nosan.test"));
    add(family.served("nosan.test", &common), "tls_wrong_name");
    let nul = family.middle.leaf_with(&[], |p| {
        p.distinguished_name = named("nul.test\0.evil.test");
    });
    add(family.served("nul.test", &nul), "tls_wrong_name");
    let alone = self_signed(&["selfsigned.test"], |_| {});
    add(Secure::of("selfsigned.test", &alone), "tls_untrusted");
    let own = self_signed(&["ownca.test"], |p| {
        p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    });
    add(Secure::of("ownca.test", &own), "tls_untrusted");
    let stranger = Authority::root("a stranger").leaf(&["untrusted.test"]);
    add(Secure::of("untrusted.test", &stranger), "tls_untrusted");
    let half = family.middle.leaf(&["incomplete.test"]);
    add(Secure::of("incomplete.test", &half), "tls_untrusted");
    let reversed = family.middle.leaf(&["reversed.test"]);
    let chain = reversed.certificate.pem()
        + &family.root.certificate.pem()
        + &family.middle.certificate.pem();
    let key = reversed.key.serialize_pem();
    add(Secure::new("reversed.test", &chain, &key), "200");
    let client_only = |p: &mut rcgen::CertificateParams| {
        p.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    };
    add(leaf("client.test", &client_only), "tls_bad_certificate");
    let names = |n: usize, name: &str| {
        let mut names: Vec<String> = (0..n).map(|i| format!("name-{i}.of-many.test")).collect();
        names.push(name.to_string());
        names
    };
    let many = names(1_000, "many.test");
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    add(
        family.served("many.test", &family.middle.leaf(&many)),
        "200",
    );
    // More than the 64 KiB that a handshake message may have here.
    let most = names(10_000, "most.test");
    let most: Vec<&str> = most.iter().map(String::as_str).collect();
    add(
        family.served("most.test", &family.middle.leaf(&most)),
        "tls_protocol",
    );
    let wildcard = family.middle.leaf(&["*.wild.test"]);
    add(family.served("a.wild.test", &wildcard), "200");
    add(family.served("a.b.wild.test", &wildcard), "tls_wrong_name");

    let Some(site) = TlsSite::start(&family.root.certificate.pem(), &servers, "") else {
        return;
    };
    let seeds: Vec<String> = servers.iter().map(|s| site.url(&s.name, "/")).collect();
    let (ends, failed) = ends(&site, &seeds);
    // A certificate is met once; what may be an accident of the connection is tried three times.
    let tries = |outcome: &&str| match *outcome {
        "200" => 0,
        "tls_protocol" => 3,
        _ => 1,
    };
    let all: u64 = expected.iter().map(|(_, outcome)| tries(outcome)).sum();
    assert_eq!(failed, all);
    for (name, outcome) in expected {
        let got = &ends[&site.url(&name, "/")];
        assert_eq!(got, outcome, "{name}");
    }
    for logged in site.log() {
        assert_eq!(
            (logged.sni.as_str(), logged.alpn.as_str()),
            (logged.name(), "http/1.1")
        );
    }
}

#[test]
fn a_site_is_crawled_like_any_other() {
    let family = Family::new();
    let good = family.good("good.test");
    let numbers = family.middle.leaf(&["127.0.0.1"]);
    let first = family.served("127.0.0.1", &numbers);
    let Some(site) = TlsSite::start(&family.root.certificate.pem(), &[first, good], "") else {
        return;
    };
    let plain = format!("http://good.test:{}", site.plain_port);
    let seeds = [format!("{plain}/moved"), site.url("127.0.0.1", "/")];
    let crawl = Crawl::new(&seeds, &["--ca", &site.root, "--scope", "any"]);
    crawl.run().expect(0);
    crawl.assert_sound();
    let standing = crawl.standing();
    let status = |url: &str| standing.get(url).map(|s| s.1.as_str());
    assert_eq!(status(&seeds[0]), Some("301"), "{standing:#?}");
    for (path, expected) in [
        ("/", "200"),
        ("/big.bin", "200"),
        ("/page.html", "200"),
        ("/private/x", "robots"),
    ] {
        assert_eq!(
            status(&site.url("good.test", path)),
            Some(expected),
            "{path}: {standing:#?}"
        );
    }
    assert_eq!(status(&site.url("127.0.0.1", "/")), Some("200"));
    let big = crawl
        .ask("get", &[&site.url("good.test", "/big.bin")])
        .expect(0);
    assert!(big.stdout.as_bytes() == site.big(), "large records");
    // SNI holds names only.
    let log = site.log();
    let literal = log.iter().filter(|l| l.name() == "127.0.0.1");
    assert!(
        literal.clone().count() > 0 && literal.clone().all(|l| l.sni == "-"),
        "{log:#?}"
    );
    let named = log.iter().filter(|l| l.name() == "good.test");
    assert!(named.clone().count() > 0 && named.clone().all(|l| l.sni == "good.test"));
    // Connections are kept: one handshake a host. The report shows it.
    assert_eq!(
        crawl.report()["tls"]["full"],
        2,
        "{}",
        crawl.report()["tls"]
    );
    let shown = crawl.ask("report", &[]).expect(0).stdout;
    assert!(shown.contains("TLS handshakes of this run"), "{shown}");
}

#[test]
fn sessions_are_resumed_where_connections_are_not_kept() {
    let family = Family::new();
    for versions in ["TLSv1.2", "TLSv1.3"] {
        let more = format!(
            "ssl_protocols {versions}; ssl_session_cache shared:s:1m; keepalive_timeout 0;"
        );
        let servers = [family.good("good.test")];
        let Some(site) = TlsSite::start(&family.root.certificate.pem(), &servers, &more) else {
            return;
        };
        // A pause between two fetches, as in a polite crawl: the session outlives it.
        let crawl = Crawl::new(
            &[site.url("good.test", "/")],
            &["--ca", &site.root, "--delay", "200ms", "--quiet"],
        );
        crawl.run().expect(0);
        let log = site.log();
        assert!(log.iter().all(|l| l.version == versions), "{log:#?}");
        let resumed = log.iter().filter(|l| l.resumed).count();
        assert_eq!(
            (log.len() - resumed, resumed > 1),
            (1, true),
            "{versions}: {log:#?}"
        );
        let report = crawl.report();
        assert_eq!(
            report["tls"]["resumed"], resumed,
            "{versions}: {}",
            report["tls"]
        );
    }
}

/// A server's first words after the ClientHello, and whether it goes on listening.
fn words(words: &'static [u8], hold: bool) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its address").port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || talk(stream, words, hold));
        }
    });
    port
}

fn talk(mut stream: TcpStream, words: &[u8], hold: bool) {
    let mut hello = [0; 4_096];
    let _ = stream.read(&mut hello);
    let _ = stream.write_all(words);
    while hold && stream.read(&mut hello).is_ok_and(|n| n > 0) {}
    // Otherwise the client reads what was said before it learns of the end.
    thread::sleep(Duration::from_millis(20));
}

/// ServerHello of TLS 1.2 (ECDHE-RSA-AES128-GCM-SHA256), and close_notify.
const HELLO_AND_GOODBYE: &[u8] = &[
    0x16, 3, 3, 0, 42, 2, 0, 0, 38, 3, 3, // record, message, version
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26,
    27, 28, 29, 30, 31, 32, // random
    0, 0xc0, 0x2f, 0, // no session, cipher, no compression
    0x15, 3, 3, 0, 2, 1, 0,
];

#[test]
fn servers_that_speak_no_tls_have_their_outcomes() {
    let http = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
    let refused = &[0x15, 3, 3, 0, 2, 2, 40];
    let servers = [
        (words(b"", false), "tls_closed"),
        (words(HELLO_AND_GOODBYE, false), "tls_closed"),
        (words(&HELLO_AND_GOODBYE[..20], false), "tls_closed"),
        (words(http, true), "tls_protocol"),
        (words(&[0xff; 64], true), "tls_protocol"),
        (words(refused, true), "tls_protocol"),
    ];
    let seed = |port: u16| format!("https://h{port}.test:{port}/");
    let seeds: Vec<String> = servers.iter().map(|(port, _)| seed(*port)).collect();
    let crawl = Crawl::new(&seeds, &["--quiet"]);
    crawl.run().expect(0);
    crawl.assert_sound();
    let standing = crawl.standing();
    for (n, (port, outcome)) in servers.into_iter().enumerate() {
        assert_eq!(standing[&seed(port)].1, outcome, "server {n}");
    }
    // Unlike certificates, connections are tried again.
    assert_eq!(crawl.report()["tls"]["failed"], 3 * 6);
}

#[test]
fn weak_keys_signatures_and_versions_are_refused() {
    let family = Family::new();
    for (what, versions, outcome) in [
        ("sha1", "TLSv1.2", "tls_bad_certificate"),
        ("rsa1024", "TLSv1.2", "tls_bad_certificate"),
        ("tls11", "TLSv1.1", "tls_protocol"),
    ] {
        let name = format!("{what}.test");
        let Some(server) = Secure::weak(&name, what) else {
            println!("skipped: {what}: openssl cannot make it");
            continue;
        };
        let root = server.root.clone().unwrap_or(family.root.certificate.pem());
        let more = format!("ssl_protocols {versions}; ssl_ciphers ALL:@SECLEVEL=0;");
        let Some(site) = TlsSite::start(&root, std::slice::from_ref(&server), &more) else {
            println!("skipped: {what}: nginx or its OpenSSL does not serve it");
            continue;
        };
        let url = site.url(&name, "/");
        assert_eq!(
            ends(&site, std::slice::from_ref(&url)).0[&url],
            outcome,
            "{what}"
        );
    }
}

#[test]
fn a_ca_file_that_is_none_is_bad_usage() {
    let home = tempfile::tempdir().expect("a directory");
    let path = home.path().join("ca.pem");
    std::fs::write(&path, "no certificate").expect("a file");
    let crawl = Crawl::new(
        &["https://a.test/".to_string()],
        &["--ca", path.to_str().expect("UTF-8")],
    );
    let ended = crawl.run().expect(2);
    assert!(ended.only_line().contains("ca.pem"), "{ended:#?}");
}

#[test]
fn without_the_ca_nothing_is_believed() {
    let family = Family::new();
    let servers = [family.good("good.test")];
    let Some(site) = TlsSite::start(&family.root.certificate.pem(), &servers, "") else {
        return;
    };
    let url = site.url("good.test", "/");
    let crawl = Crawl::new(std::slice::from_ref(&url), &["--quiet"]);
    crawl.run().expect(0);
    assert_eq!(crawl.standing()[&url].1, "tls_untrusted");
}

#[test]
fn the_system_s_authorities_are_believed_when_asked_for() {
    let family = Family::new();
    let servers = [family.good("good.test")];
    let Some(site) = TlsSite::start(&family.root.certificate.pem(), &servers, "") else {
        return;
    };
    let home = tempfile::tempdir().expect("a directory");
    let url = site.url("good.test", "/page.html");
    let seeds = home.path().join("seeds.txt");
    std::fs::write(&seeds, url).expect("a file");
    let crawl = |authorities: &str| {
        let dir = home.path().join(authorities.replace('/', "_"));
        Command::new(env!("CARGO_BIN_EXE_cyclosa"))
            .args(["crawl", "--roots", "system", "--max-pages", "1", "--quiet"])
            .args([
                "--allow-net",
                "127.0.0.0/8",
                "--resolve",
                "*.test:*:127.0.0.1",
            ])
            .arg("--dir")
            .arg(dir)
            .arg(&seeds)
            .env("SSL_CERT_FILE", authorities)
            .env_remove("SSL_CERT_DIR")
            .output()
            .expect("the program starts")
    };
    let ended = crawl(&site.root);
    let said = String::from_utf8_lossy(&ended.stdout);
    assert!(
        ended.status.success() && said.contains("fetched"),
        "{ended:?}"
    );
    let ended = crawl("/nowhere");
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(
        said.contains("--roots webpki") && said.lines().count() == 1,
        "{said}"
    );
}
