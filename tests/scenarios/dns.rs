//! Name service of the whole program: a real resolver, broken servers, and what the report says of it.

use super::name_server::{A, Ask, NameServer};
use super::program::{Crawl, cyclosa};
use super::scripted::{Answer, Server};
use std::fs;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;
use tempfile::TempDir;

fn page(_: &str, target: &str) -> Answer {
    match target {
        "/robots.txt" => Answer::not_found(),
        _ => Answer::html("fine"),
    }
}

fn crawl(seeds: &[String], servers: &[String], more: &[&str]) -> Crawl {
    let mut words = vec![
        "--contact",
        "crawl@example.org",
        "--allow-net",
        "127.0.0.0/8",
        "--delay",
        "0s",
        "--memory",
        "256MiB",
    ];
    for server in servers {
        words.extend(["--dns", server]);
    }
    words.extend(more);
    Crawl::bare(seeds, &words)
}

/// Unbound on a port of its own, killed when dropped.
struct Unbound {
    child: Child,
    address: String,
    _home: TempDir,
}

impl Drop for Unbound {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Unbound {
    /// Answers from `lines` of local data and nothing else; `None` where it is not installed.
    fn start(lines: &str) -> Option<Self> {
        let program = [
            "/usr/sbin/unbound",
            "/usr/local/sbin/unbound",
            "/usr/bin/unbound",
        ]
        .into_iter()
        .find(|path| fs::metadata(path).is_ok());
        let Some(program) = program else {
            println!("skipped: unbound is not installed");
            return None;
        };
        let home = tempfile::tempdir().expect("a directory");
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|l| l.local_addr())
            .expect("a port")
            .port();
        let dir = home.path().display();
        let config = format!(
            "server:\n directory: \"{dir}\"\n chroot: \"\"\n username: \"\"\n pidfile: \"{dir}/pid\"\n use-syslog: no\n \
             logfile: \"{dir}/log\"\n interface: 127.0.0.1@{port}\n do-ip6: no\n max-udp-size: 512\n \
             do-not-query-localhost: no\n module-config: \"iterator\"\n num-threads: 1\n local-zone: \"test.\" static\n \
             {lines}\nremote-control:\n control-enable: no\nforward-zone:\n name: \".\"\n forward-addr: 127.0.0.1@1\n"
        );
        let file = home.path().join("unbound.conf");
        fs::write(&file, config).expect("a file");
        let child = Command::new(program)
            .args(["-d", "-p", "-c"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("unbound starts");
        let it = Self {
            child,
            address: format!("127.0.0.1:{port}"),
            _home: home,
        };
        for _ in 0..200 {
            if TcpStream::connect(&it.address).is_ok() {
                return Some(it);
            }
            sleep(Duration::from_millis(50));
        }
        panic!(
            "unbound does not answer: {:?}",
            fs::read_to_string(it._home.path().join("log"))
        );
    }
}

#[test]
fn a_real_resolver_answers_for_a_whole_crawl() {
    let mut lines = String::new();
    for n in 0..200 {
        lines += &format!("local-data: \"h{n}.test. {} IN A 127.0.0.1\"\n ", n * 10);
    }
    // Too many for a datagram, and all of them lead to the server.
    for n in 0..60 {
        lines += &format!("local-data: \"big.test. 60 IN A 127.0.1.{n}\"\n ");
    }
    lines += "local-data: \"alias.test. 60 IN CNAME h7.test.\"\n \
              local-data: \"both.test. 60 IN AAAA ::1\"\n local-data: \"both.test. 60 IN A 127.0.0.1\"\n \
              local-data: \"text.test. 60 IN TXT none\"\n";
    let Some(unbound) = Unbound::start(&lines) else {
        return;
    };
    let server = Server::over(TcpListener::bind("0.0.0.0:0").expect("a port"), page);
    let mut seeds: Vec<String> = (0..200)
        .map(|n| server.url(&format!("h{n}.test"), "/"))
        .collect();
    for name in [
        "big.test",
        "alias.test",
        "both.test",
        "text.test",
        "gone.test",
        "elsewhere.example",
    ] {
        seeds.push(server.url(name, "/"));
    }
    let crawl = crawl(
        &seeds,
        std::slice::from_ref(&unbound.address),
        &["--allow-net", "::1"],
    );
    let ended = crawl.run().expect(0);
    let standing = crawl.standing();
    for url in &seeds {
        let failed = ["text.test", "gone.test", "elsewhere.example"]
            .iter()
            .any(|n| url.contains(n));
        let expected = if failed { "dns_failed" } else { "200" };
        assert_eq!(standing[url].1, expected, "{url}");
    }
    let report = crawl.report();
    let dns = &report["dns"];
    let of = |name: &str| dns[name].as_u64().expect("a count");
    assert_eq!(of("found"), 203, "{dns:#}");
    assert!(of("truncated") >= 1 && of("over_tcp") >= 1, "{dns:#}");
    assert!(of("none") >= 2 && of("failed") >= 1, "{dns:#}");
    assert_eq!((of("wrong_case"), of("malformed")), (0, 0), "{dns:#}");
    assert_eq!(
        report["latency_us"]["resolve"]["count"],
        of("lookups") + of("cached") + of("shared")
    );
    assert!(ended.stdout.contains("names looked up"), "{}", ended.stdout);
    crawl.assert_sound();
}

#[test]
fn a_good_server_behind_broken_ones_is_enough() {
    let silent = NameServer::start(|_| Vec::new());
    let failing = NameServer::start(|ask: &Ask| vec![ask.reply().rcode(2).bytes()]);
    let forger = NameServer::start(|ask: &Ask| {
        let mut forged = ask.reply().address(&ask.spelling, "127.0.0.66");
        forged.id = !ask.id;
        vec![forged.bytes(); 3]
    });
    let nonsense =
        NameServer::start(|ask: &Ask| vec![[&ask.reply().bytes()[..7], b"\x09rest"].concat()]);
    let good = NameServer::start(|ask: &Ask| ask.with(&["127.0.0.1"]));
    let server = Server::start(page);
    let seeds: Vec<String> = (0..20)
        .map(|n| server.url(&format!("h{n}.test"), "/"))
        .collect();
    let servers = [&failing, &nonsense, &silent, &forger, &good].map(|s| s.address.to_string());
    let crawl = crawl(&seeds, &servers, &[]);
    crawl.run().expect(0);
    assert!(crawl.standing().values().all(|(_, status)| status == "200"));
    let dns = crawl.report()["dns"].clone();
    for name in ["timeouts", "refusals", "mismatched", "malformed"] {
        assert!(
            dns[name].as_u64().is_some_and(|n| n > 0),
            "{name} in {dns:#}"
        );
    }
    crawl.assert_sound();
}

#[test]
fn names_that_cannot_be_resolved_fail_and_the_crawl_ends() {
    let dns = NameServer::start(|ask: &Ask| match ask.name.as_str() {
        "loop.test" => vec![ask.reply().alias(&ask.spelling, "loop.test").bytes()],
        "gone.test" => vec![ask.reply().rcode(3).none().bytes()],
        "failing.test" => vec![ask.reply().rcode(2).bytes()],
        "giant.test" if ask.tcp => {
            let fill = |reply: super::name_server::Reply, n: u32| {
                reply.address(&ask.spelling, &format!("127.0.0.{}", n % 250))
            };
            vec![(0..2_000).fold(ask.reply(), fill).bytes()]
        }
        "giant.test" => vec![ask.reply().truncated().bytes()],
        _ => ask.with(&["127.0.0.1"]),
    });
    let server = Server::start(page);
    let names = [
        "loop.test",
        "gone.test",
        "failing.test",
        "giant.test",
        "good.test",
    ];
    let seeds: Vec<String> = names.iter().map(|name| server.url(name, "/")).collect();
    let crawl = crawl(&seeds, &[dns.address.to_string()], &[]);
    crawl.run().expect(0);
    for (url, (state, status)) in crawl.standing() {
        let expected = if url.contains("good.test") {
            "200"
        } else {
            "dns_failed"
        };
        assert_eq!(
            (state.as_str(), status.as_str()),
            ("done", expected),
            "{url}"
        );
    }
    crawl.assert_sound();
}

#[test]
fn an_address_that_refuses_leads_to_the_next_and_the_archive_names_it() {
    let server = Server::start(|_, target| match target {
        "/" => Answer::links(&["/a", "/b"]).and_close(),
        _ => page("", target).and_close(),
    });
    let dns = NameServer::start(|ask: &Ask| ask.with(&["127.0.0.9", "::1", "127.0.0.1"]));
    let crawl = crawl(
        &[server.url("a.test", "/")],
        &[dns.address.to_string()],
        &["--allow-net", "::1"],
    );
    crawl.run().expect(0);
    assert!(crawl.standing().values().all(|(_, status)| status == "200"));
    let record = crawl
        .ask("get", &[&server.url("a.test", "/a"), "--record"])
        .expect(0);
    assert!(
        record.stdout.contains("WARC-IP-Address: 127.0.0.1"),
        "{}",
        record.stdout
    );
    assert_eq!(
        dns.asked_for("a.test")
            .iter()
            .filter(|a| a.kind == A)
            .count(),
        1
    );
    crawl.assert_sound();
}

#[test]
fn a_name_server_that_is_no_address_is_bad_usage() {
    for (given, says) in [
        ("x", "write 9.9.9.9"),
        ("9.9.9.9:0", "write 9.9.9.9"),
        ("dns.test", "not an address"),
    ] {
        let ended = cyclosa(&["crawl", "seeds.txt", "--dns", given]).expect(2);
        assert!(
            ended.stderr.contains("--dns") && ended.stderr.contains(says),
            "{ended:#?}"
        );
    }
}

#[test]
fn without_any_answer_the_crawl_says_so_and_ends() {
    let hole = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let closed = hole.local_addr().expect("an address").to_string();
    drop(hole);
    let crawl = crawl(&["http://a.test/".to_string()], &[closed], &[]);
    let ended = crawl.run().expect(0);
    assert_eq!(crawl.report()["outcomes"]["dns_failed"], 1);
    assert!(ended.stdout.contains("dns_failed"), "{}", ended.stdout);
    crawl.assert_sound();
}
