//! What a crawl says of itself: who crawls, further header fields, and passwords for the origins they belong to.

use super::program::Crawl;
use super::scripted::{Answer, Server};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

fn refused(seed: &str, flags: &[&str]) -> String {
    let crawl = Crawl::bare(&[seed.to_owned()], flags);
    let said = crawl.run().expect(2).stderr;
    assert!(!crawl.dir().exists(), "nothing was begun");
    said
}

#[test]
fn nothing_public_is_crawled_without_a_contact() {
    for seed in [
        "http://crawl-me.org/",
        "https://93.184.215.14/",
        "http://[2606:2800::1]/",
    ] {
        let said = refused(seed, &["--scope", "any"]);
        assert!(said.contains("--contact") && said.contains(seed), "{said}");
    }
    // A rule says where a name leads; a public address does not become private by a name.
    let said = refused("http://h.test/", &["--resolve", "h.test:*:93.184.215.14"]);
    assert!(said.contains("--contact"), "{said}");
}

#[test]
fn private_crawls_need_none_and_do_not_leave() {
    let server = Server::start(|_, target| match target {
        "/robots.txt" => Answer::not_found(),
        _ => Answer::links(&["http://93.184.215.14/", "http://[2606:2800::1]/"]),
    });
    let flags = ["--scope", "any"];
    let crawl = Crawl::new(&[server.url("a.test", "/")], &flags);
    crawl.run().expect(0);
    assert_eq!(crawl.report()["excluded"]["address"], 2);
    crawl.assert_sound();
}

/// Fields of the request for `target` of `host`, in lower case.
fn fields(server: &Server, target: &str) -> Vec<String> {
    let asked = server.asked();
    let asked = asked.iter().find(|a| a.target == target);
    let head = &asked
        .unwrap_or_else(|| panic!("{target} was asked for"))
        .head;
    head.lines().map(str::to_owned).collect()
}

#[test]
fn further_fields_go_with_every_request() {
    let server = Server::start(|_, target| match target {
        "/" => Answer::links(&["/second"]),
        _ => Answer::not_found(),
    });
    let flags = [
        "--header",
        "Accept-Language: de, en;q=0.5",
        "--contact",
        "mailto:crawl@example.org",
    ];
    let crawl = Crawl::new(&[server.url("a.test", "/")], &flags);
    crawl.run().expect(0);
    for target in ["/robots.txt", "/", "/second"] {
        let fields = fields(&server, target);
        assert!(
            fields.contains(&"Accept-Language: de, en;q=0.5".to_owned()),
            "{fields:?}"
        );
        assert!(
            fields.contains(&"From: crawl@example.org".to_owned()),
            "{fields:?}"
        );
    }
    for (field, word) in [
        ("Host: b.test", "Host"),
        ("Authorization: Basic x", "--auth"),
        ("X", "NAME: VALUE"),
        ("X y: z", "field name"),
        ("X: a\r\nY: b", "printable"),
    ] {
        let said = refused("http://a.test/", &["--header", field]);
        assert!(said.contains(word), "{said}");
    }
}

#[test]
fn a_page_and_a_mail_address_are_sent_together() {
    let page = "https://your.example/crawl";
    let sent = |flags: &[&str]| {
        let server = Server::start(|_, _| Answer::html("end"));
        let crawl = Crawl::new(&[server.url("a.test", "/")], flags);
        crawl.run().expect(0);
        let all = ["/robots.txt", "/"].map(|target| {
            let all = fields(&server, target).into_iter();
            let told = |field: &String| {
                ["From: ", "User-Agent: "]
                    .iter()
                    .any(|f| field.starts_with(f))
            };
            all.filter(told).collect::<Vec<_>>()
        });
        assert_eq!(all[0], all[1]);
        all[0].clone()
    };
    let agent = format!(
        "User-Agent: cyclosa/{} (+{page})",
        env!("CARGO_PKG_VERSION")
    );
    let from = "From: crawl@your.example".to_owned();
    let both = ["--contact", page, "--from", "crawl@your.example"];
    assert_eq!(sent(&both), [agent.clone(), from.clone()]);
    assert_eq!(sent(&["--contact", page]), std::slice::from_ref(&agent));
    // An address of its own goes before that of the contact.
    let two = [
        "--contact",
        "mailto:other@your.example",
        "--from",
        "crawl@your.example",
    ];
    assert_eq!(sent(&two)[1..], *std::slice::from_ref(&from));
    let home = tempfile::tempdir().expect("a directory");
    let file = home.path().join("crawl.toml");
    fs::write(&file, "from = \"crawl@your.example\"\n").expect("a file");
    let path = file.to_str().expect("UTF-8");
    assert_eq!(sent(&["--contact", page, "--config", path]), [agent, from]);
}

#[test]
fn a_mail_address_says_who_crawls_and_must_be_one() {
    // A public address, and a port that nothing is fetched from.
    let seed = "http://93.184.215.14:25/";
    assert!(refused(seed, &[]).contains("--contact"));
    let crawl = Crawl::bare(&[seed.to_owned()], &["--from", "crawl@your.example"]);
    crawl.run().expect(0);
    assert_eq!(crawl.report()["excluded"]["port"], 1);
    for bad in ["crawl", "Crawl <crawl@your.example>", "a@b.example\r\nX: y"] {
        let said = refused("http://a.test/", &["--from", bad]);
        assert!(said.contains("--from"), "{said}");
    }
    let said = refused("http://a.test/", &["--header", "From: crawl@your.example"]);
    assert!(said.contains("--from MAIL"), "{said}");
}

fn set_mode(file: &Path, mode: u32) {
    fs::set_permissions(file, fs::Permissions::from_mode(mode)).expect("it is ours");
}

#[test]
fn a_file_of_passwords_that_others_can_read_is_no_error_and_a_warning() {
    let server = Server::start(|_, _| Answer::html("end"));
    let home = tempfile::tempdir().expect("a directory");
    let file = home.path().join("auth.txt");
    let line = format!("http://a.test:{} reader:hush\n", server.port);
    fs::write(&file, line).expect("a file");
    let path = file.to_str().expect("UTF-8");
    for (mode, warned) in [(0o600, 0), (0o640, 1), (0o644, 1)] {
        set_mode(&file, mode);
        let flags = ["--auth", path, "--quiet"];
        let crawl = Crawl::new(&[server.url("a.test", "/")], &flags);
        let said = crawl.run().expect(0).stderr;
        let lines: Vec<&str> = said.lines().filter(|l| l.contains(path)).collect();
        assert_eq!(lines.len(), warned, "{mode:o}: {said}");
        for line in lines {
            assert!(line.starts_with("warning: --auth "), "{line}");
            assert!(line.ends_with(&format!("chmod 600 {path}")), "{line}");
            assert!(!line.contains("hush"), "{line}");
        }
    }
}

#[test]
fn a_password_goes_to_its_origin_and_is_found_nowhere_after() {
    let server = Server::start(|host, target| match (host, target) {
        (_, "/robots.txt") => Answer::not_found(),
        ("a.test", "/") => Answer::redirect("302 Found", "/in"),
        ("a.test", "/in") => Answer::links(&["http://b.test:PORT/there"]),
        _ => Answer::html("end"),
    });
    let port = server.port;
    let home = tempfile::tempdir().expect("a directory");
    let file = home.path().join("auth.txt");
    fs::write(
        &file,
        format!("# staging\nhttp://a.test:{port} reader:hush-9f3c\n"),
    )
    .expect("a file");
    set_mode(&file, 0o600);
    let flags = ["--scope", "any", "--auth", file.to_str().expect("a path")];
    let seeds = [server.url("a.test", "/"), server.url("b.test", "/there")];
    let crawl = Crawl::new(&seeds, &flags);
    let ended = crawl.run().expect(0);
    let line = "Authorization: Basic cmVhZGVyOmh1c2gtOWYzYw==".to_owned();
    for target in ["/", "/in"] {
        assert!(fields(&server, target).contains(&line), "{target}");
    }
    assert!(!fields(&server, "/there").contains(&line));
    let told = format!("{}{}", ended.stdout, ended.stderr);
    assert!(!told.contains("chmod"), "the file is for its owner only");
    let mut all = vec![told.into_bytes()];
    for entry in fs::read_dir(crawl.dir()).expect("a directory") {
        all.push(fs::read(entry.expect("an entry").path()).expect("a file"));
    }
    for secret in [&b"hush-9f3c"[..], b"cmVhZGVyOmh1c2gtOWYzYw"] {
        assert!(
            all.iter()
                .all(|text| !text.windows(secret.len()).any(|w| w == secret))
        );
    }
    let export = crawl.ask(
        "export",
        &["--warc", home.path().join("out").to_str().expect("a path")],
    );
    assert!(export.code.is_some());
}
