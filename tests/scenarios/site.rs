//! nginx over documentation packages: real pages by a real server, several hosts on one port.
//!
//! Pages come from `CYCLOSA_DOCS` (packages unpacked side by side) or from /usr/share/doc. Robots rules forbid some of
//! them, and a hub links to all hosts.

use super::command::{has, kill};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Package, folder of its pages below `usr/share/doc`, and what its robots.txt forbids.
const PACKAGES: [(&str, &str, &str); 5] = [
    ("python3.11-doc", "python3.11/html", "/_sources/"),
    ("git-doc", "git-doc", "/RelNotes/"),
    ("postgresql-doc-15", "postgresql-doc-15/html", ""),
    ("debian-handbook", "debian-handbook/html", ""),
    ("rust-doc", "rust-doc/html", "/src/"),
];
/// Packages served at most, so that tests stay short.
const HOSTS_MAX: usize = 2;

/// One host: its name and where its pages lie.
#[derive(Clone, Debug)]
pub struct Host {
    pub name: String,
    pub root: PathBuf,
    pub forbidden: String,
}

/// A running nginx; ended with the value.
pub struct Site {
    pub port: u16,
    pub hosts: Vec<Host>,
    pid: u32,
    folder: tempfile::TempDir,
}

/// A request as nginx logged it.
#[derive(Clone, Debug)]
pub struct Request {
    pub url: String,
    pub status: u16,
    pub html: bool,
}

fn packages() -> Vec<Host> {
    let unpacked = std::env::var_os("CYCLOSA_DOCS").map(PathBuf::from);
    let mut hosts = Vec::new();
    for (package, folder, forbidden) in PACKAGES {
        let mut places = vec![Path::new("/usr/share/doc").join(folder)];
        if let Some(base) = &unpacked {
            places.insert(0, base.join(package).join("usr/share/doc").join(folder));
        }
        let root = places.into_iter().filter_map(|p| p.canonicalize().ok());
        if let Some(root) = root.into_iter().find(|p| has_pages(p)) {
            hosts.push(Host {
                name: format!("{}.test", package.replace('.', "-")),
                root,
                forbidden: forbidden.to_string(),
            });
        }
    }
    hosts.truncate(HOSTS_MAX);
    hosts
}

fn has_pages(folder: &Path) -> bool {
    std::fs::read_dir(folder).is_ok_and(|entries| {
        entries
            .flatten()
            .any(|e| e.file_name().to_string_lossy().contains(".htm"))
    })
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("bound").port()
}

fn page(title: &str, links: &[String]) -> String {
    let mut html = format!("<!doctype html><meta charset=utf-8><title>{title}</title><ul>\n");
    for link in links {
        let _ = writeln!(html, "<li><a href=\"{link}\">{link}</a>");
    }
    html.push_str("</ul>\n");
    html
}

/// All HTML files below a folder, as paths from it, gzipped ones without their ending.
pub fn pages_below(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![root.to_path_buf()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            let name = path.strip_prefix(root).expect("below").to_string_lossy();
            let name = name.strip_suffix(".gz").unwrap_or(&name).to_string();
            if name.ends_with(".html") || name.ends_with(".htm") {
                found.push(format!("/{name}"));
            }
        }
    }
    found.sort();
    found.dedup();
    found
}

impl Site {
    /// Starts nginx, or says why not.
    pub fn start() -> Option<Self> {
        if !has("nginx") {
            return None;
        }
        let hosts = packages();
        if hosts.is_empty() {
            eprintln!("skipped: no documentation package is installed (python3.11-doc, git-doc)");
            return None;
        }
        let folder = tempfile::tempdir().expect("a scratch directory");
        // nginx's worker is another user.
        let _ = Command::new("chmod").arg("755").arg(folder.path()).status();
        let mut site = Self {
            port: free_port(),
            hosts,
            pid: 0,
            folder,
        };
        site.write_configuration();
        let status = Command::new("nginx")
            .arg("-c")
            .arg(site.path("nginx.conf"))
            .stderr(Stdio::null())
            .status();
        if !status.is_ok_and(|s| s.success()) {
            eprintln!("skipped: nginx does not start");
            return None;
        }
        site.wait_until_up();
        Some(site)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write_configuration(&self) {
        let base = self.folder.path().display();
        let port = self.port;
        let mut conf = format!(
            "daemon on; pid {base}/nginx.pid; error_log {base}/error.log crit; worker_processes 1;\n\
             events {{ worker_connections 4096; }}\n\
             http {{\n types {{ text/html html htm; text/plain txt; text/css css; application/javascript js; image/png png; }}\n\
             default_type application/octet-stream; access_log {base}/access.log f;\n\
             log_format f '$request_method\\t$http_host$request_uri\\t$status\\t$sent_http_content_type';\n\
             client_body_temp_path {base}/t1; proxy_temp_path {base}/t2; fastcgi_temp_path {base}/t3;\n\
             uwsgi_temp_path {base}/t4; scgi_temp_path {base}/t5;\n\
             keepalive_requests 100000; gzip_static on; gunzip on; server_names_hash_bucket_size 128;\n"
        );
        for host in &self.hosts {
            let own = self.path(&host.name);
            std::fs::create_dir_all(&own).expect("a folder");
            let rules = match host.forbidden.as_str() {
                "" => "User-agent: *\nDisallow:\n".to_string(),
                path => format!("User-agent: *\nDisallow: {path}\n"),
            };
            std::fs::write(own.join("robots.txt"), rules).expect("robots.txt");
            // A front page to every tenth page, so that the packages' own links are needed for the rest.
            let some: Vec<String> = pages_below(&host.root).into_iter().step_by(10).collect();
            std::fs::write(own.join("front.html"), page(&host.name, &some)).expect("a page");
            let _ = writeln!(
                conf,
                " server {{ listen 127.0.0.1:{port}; server_name {}; root {}; disable_symlinks off;\n\
                 location = /robots.txt {{ root {}; }} location = /front.html {{ root {2}; }} }}",
                host.name,
                host.root.display(),
                own.display(),
            );
        }
        let hub = self.path("hub.test");
        std::fs::create_dir_all(&hub).expect("a folder");
        let links: Vec<String> = self
            .hosts
            .iter()
            .map(|h| format!("http://{}:{port}/front.html", h.name))
            .collect();
        std::fs::write(hub.join("index.html"), page("hub", &links)).expect("a page");
        let _ = writeln!(
            conf,
            " server {{ listen 127.0.0.1:{port}; server_name hub.test; root {}; index index.html; }}\n}}",
            hub.display()
        );
        std::fs::write(self.path("nginx.conf"), conf).expect("nginx.conf");
        std::fs::write(self.path("seeds.txt"), format!("{}\n", self.hub())).expect("seeds");
    }

    fn wait_until_up(&mut self) {
        let until = Instant::now() + Duration::from_secs(10);
        while Instant::now() < until {
            let pid = std::fs::read_to_string(self.path("nginx.pid")).unwrap_or_default();
            if let Ok(pid) = pid.trim().parse() {
                self.pid = pid;
                if TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok() {
                    return;
                }
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("nginx does not come up");
    }

    /// URL of the hub page.
    pub fn hub(&self) -> String {
        format!("http://hub.test:{}/", self.port)
    }

    /// A file with the hub as seed.
    pub fn seeds(&self) -> PathBuf {
        self.path("seeds.txt")
    }

    /// What was requested so far, in order.
    pub fn requests(&self) -> Vec<Request> {
        let log = std::fs::read_to_string(self.path("access.log")).unwrap_or_default();
        log.lines()
            .filter_map(|line| {
                let mut columns = line.split('\t').skip(1);
                Some(Request {
                    url: format!("http://{}", columns.next()?),
                    status: columns.next()?.parse().ok()?,
                    html: columns.next()?.starts_with("text/html"),
                })
            })
            .collect()
    }

    /// How often each page was fetched since request number `from`.
    pub fn pages_since(&self, from: usize) -> BTreeMap<String, usize> {
        let mut pages = BTreeMap::new();
        for request in self.requests().into_iter().skip(from) {
            if request.status == 200 && request.html {
                *pages.entry(request.url).or_insert(0) += 1;
            }
        }
        pages
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if self.pid != 0 {
            kill(self.pid, "-TERM");
        }
    }
}
