//! An nginx of the test's own that speaks TLS: a server block a host, all on one port, and one plain port beside it.

use super::certificates::Leaf;
use super::site::nginx;
use std::fmt::Write as _;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;
use tempfile::TempDir;

/// A host that is served, with its certificate chain and key.
#[derive(Clone)]
pub struct Secure {
    pub name: String,
    /// What the client has to believe, where that is not the site's root.
    pub root: Option<String>,
    chain: String,
    key: String,
}

impl Secure {
    pub fn new(name: &str, chain: &str, key: &str) -> Self {
        Self {
            name: name.into(),
            root: None,
            chain: chain.into(),
            key: key.into(),
        }
    }

    /// A certificate that is served without any other.
    pub fn of(name: &str, leaf: &Leaf) -> Self {
        Self::new(name, &leaf.certificate.pem(), &leaf.key.serialize_pem())
    }

    /// What openssl makes and a crawler must not take: `sha1` (signature) or `rsa1024` (key); anything else is sound.
    pub fn weak(name: &str, what: &str) -> Option<Self> {
        let home = tempfile::tempdir().expect("a directory");
        let digest = if what == "sha1" { "-sha1" } else { "-sha256" };
        let bits = if what == "rsa1024" { "1024" } else { "2048" };
        fs::write(
            home.path().join("ext"),
            format!("subjectAltName=DNS:{name}\n"),
        )
        .expect("a file");
        let lines = [
            "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 900 -subj /CN=root"
                .to_string(),
            format!("req -newkey rsa:{bits} -nodes -keyout key.pem -out csr.pem -subj /CN=server"),
            format!(
                "x509 -req -in csr.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 900 {digest} -extfile ext -out leaf.pem"
            ),
        ];
        for line in lines {
            let done = Command::new("openssl")
                .args(line.split(' '))
                .current_dir(home.path())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
            done.ok().filter(|status| status.success())?;
        }
        let read = |name: &str| fs::read_to_string(home.path().join(name)).ok();
        Some(Self {
            root: Some(read("ca.pem")?),
            ..Self::new(name, &read("leaf.pem")?, &read("key.pem")?)
        })
    }
}

/// A request as nginx logged it.
#[derive(Clone, Debug)]
pub struct Logged {
    pub host: String,
    /// Server name of the ClientHello; `-` where there was none.
    pub sni: String,
    pub alpn: String,
    pub version: String,
    pub resumed: bool,
}

impl Logged {
    /// The host without its port.
    pub fn name(&self) -> &str {
        self.host.split(':').next().unwrap_or_default()
    }
}

/// A running nginx; ended when dropped.
pub struct TlsSite {
    nginx: Child,
    home: TempDir,
    pub port: u16,
    /// Without TLS; it redirects to the other.
    pub plain_port: u16,
    /// File of the root certificate.
    pub root: String,
}

impl TlsSite {
    /// Serves `servers`, the first for clients that name none; `more` are lines of every server block. `None`, with a
    /// message, where that cannot be.
    pub fn start(root: &str, servers: &[Secure], more: &str) -> Option<Self> {
        let Some(nginx) = nginx() else {
            println!("skipped: nginx is not installed");
            return None;
        };
        // A port that was free a moment ago may be taken by another test.
        (0..3).find_map(|_| Self::try_start(nginx, root, servers, more))
    }

    fn try_start(nginx: &str, root: &str, servers: &[Secure], more: &str) -> Option<Self> {
        let home = tempfile::tempdir().expect("a directory");
        let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port"));
        let [port, plain_port] = listeners.map(|l| l.local_addr().expect("its address").port());
        let file = |name: &str, content: &[u8]| {
            fs::write(home.path().join(name), content).expect("a file");
        };
        file("root.pem", root.as_bytes());
        for (n, server) in servers.iter().enumerate() {
            file(&format!("{n}.pem"), server.chain.as_bytes());
            file(&format!("{n}.key"), server.key.as_bytes());
        }
        fs::create_dir(home.path().join("www")).expect("a directory");
        file("www/robots.txt", b"User-agent: *\nDisallow: /private/\n");
        let links = ["/page.html", "/big.bin", "/private/x"].map(|t| format!("<a href={t}>x</a>"));
        file("www/index.html", links.concat().as_bytes());
        file("www/page.html", b"<a href=/>back</a>");
        file("www/big.bin", &big());
        let configuration = configuration(home.path(), servers, [port, plain_port], more);
        file("nginx.conf", configuration.as_bytes());
        let child = Command::new(nginx)
            .arg("-p")
            .arg(home.path())
            .args(["-e", "error.log", "-c", "nginx.conf"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nginx starts");
        let root = home.path().join("root.pem");
        let mut site = Self {
            nginx: child,
            port,
            plain_port,
            root: root.to_str().expect("UTF-8").into(),
            home,
        };
        let answers = site.answers();
        if !answers {
            let why = fs::read_to_string(site.home.path().join("error.log"));
            println!("nginx ended: {}", why.unwrap_or_default());
        }
        answers.then_some(site)
    }

    fn answers(&mut self) -> bool {
        for _ in 0..1_000 {
            if self.nginx.try_wait().expect("a child").is_some() {
                return false;
            }
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return true;
            }
            sleep(Duration::from_millis(10));
        }
        false
    }

    /// `https://name:port/path`.
    pub fn url(&self, name: &str, path: &str) -> String {
        format!("https://{name}:{}{path}", self.port)
    }

    /// Content of `/big.bin`.
    pub fn big(&self) -> Vec<u8> {
        big()
    }

    /// The requests over TLS, when nginx has noticed that the crawler is gone.
    pub fn log(&self) -> Vec<Logged> {
        let path = self.home.path().join("access.log");
        let read = || fs::read_to_string(&path).unwrap_or_default();
        let mut text = read();
        loop {
            sleep(Duration::from_millis(30));
            let now = read();
            if now.len() == text.len() {
                break;
            }
            text = now;
        }
        let line = |line: &str| {
            let columns: Vec<&str> = line.split('\t').collect();
            Logged {
                host: columns[0].into(),
                sni: columns[1].into(),
                alpn: columns[2].into(),
                version: columns[3].into(),
                resumed: columns[4] == "r",
            }
        };
        text.lines().map(line).collect()
    }
}

impl Drop for TlsSite {
    fn drop(&mut self) {
        // TERM, so that the master ends its workers too.
        let pid = self.nginx.id().to_string();
        let _ = Command::new("kill").args(["-s", "TERM", &pid]).status();
        let _ = self.nginx.wait();
    }
}

/// A body of many full records.
fn big() -> Vec<u8> {
    (0..3_000_000_u32)
        .map(|n| b'a' + (n % 251 % 26) as u8)
        .collect()
}

fn configuration(home: &Path, servers: &[Secure], ports: [u16; 2], more: &str) -> String {
    // As root, workers would run as a user who may not read the directories of the test.
    let root = rustix::process::geteuid().is_root();
    let user = if root { "user root root;" } else { "" };
    let home = home.display();
    let [port, plain] = ports;
    let mut blocks = String::new();
    for (n, Secure { name, .. }) in servers.iter().enumerate() {
        writeln!(
            blocks,
            "server {{ listen 127.0.0.1:{port} ssl; server_name {name}; root {home}/www; index index.html;\n\
             ssl_certificate {home}/{n}.pem; ssl_certificate_key {home}/{n}.key; {more} }}"
        )
        .expect("a string");
    }
    format!(
        "daemon off; {user} pid {home}/nginx.pid; error_log {home}/error.log; worker_processes 1;\n\
         events {{ worker_connections 1024; }}\n\
         http {{ types {{ text/html html; text/plain txt; }} default_type application/octet-stream;\n\
         client_body_temp_path {home}/t1; proxy_temp_path {home}/t2; fastcgi_temp_path {home}/t3;\n\
         uwsgi_temp_path {home}/t4; scgi_temp_path {home}/t5; tcp_nodelay on; ssl_protocols TLSv1.2 TLSv1.3;\n\
         server_names_hash_bucket_size 128;\n\
         log_format f '$http_host\\t$ssl_server_name\\t$ssl_alpn_protocol\\t$ssl_protocol\\t$ssl_session_reused';\n\
         access_log {home}/access.log f;\n\
         server {{ listen 127.0.0.1:{plain}; access_log off; return 301 https://$host:{port}/; }}\n\
         {blocks}}}\n"
    )
}
