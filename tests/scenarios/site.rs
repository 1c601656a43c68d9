//! Documentation packages of Debian on an nginx of the test's own: several hosts, a hub that links to them, robots rules.
//!
//! The packages are looked for in `CYCLOSA_DOCS`, unpacked side by side, and where they are installed. Pages that lie
//! gzipped on disk are served from there; `git.test` has a port of its own and is compressed on the fly.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;
use tempfile::TempDir;

/// A documentation package as a host.
struct Package {
    name: &'static str,
    host: &'static str,
    folder: &'static str,
    /// Allow (true) and disallow rules.
    rules: &'static [(bool, &'static str)],
    /// Lines of its server block.
    settings: &'static str,
    own_port: bool,
}

const PACKAGES: [Package; 4] = [
    Package {
        name: "python3.11-doc",
        host: "python.test",
        folder: "python3.11/html",
        rules: &[
            (false, "/_sources/"),
            (true, "/_sources/tutorial/"),
            (false, "/whatsnew/2.*.html$"),
        ],
        settings: "gzip_static always; gunzip on;",
        own_port: false,
    },
    Package {
        name: "git-doc",
        host: "git.test",
        folder: "git-doc",
        rules: &[
            (false, "/*.txt$"),
            (true, "/git-a*.txt$"),
            (false, "/howto/"),
        ],
        settings: "gzip on; gzip_types text/plain; gzip_min_length 0;",
        own_port: true,
    },
    Package {
        name: "postgresql-doc-15",
        host: "postgresql.test",
        folder: "postgresql-doc-15/html",
        rules: &[(false, "/release-9")],
        settings: "gzip_static always; gunzip on;",
        own_port: false,
    },
    Package {
        name: "debian-handbook",
        host: "handbook.test",
        folder: "debian-handbook/html",
        rules: &[
            (true, "/en-US/"),
            (true, "/$"),
            (true, "/index.html"),
            (false, "/"),
        ],
        settings: "",
        own_port: false,
    },
];

/// A host that is served.
pub struct Host {
    pub name: &'static str,
    pub port: u16,
    pub rules: &'static [(bool, &'static str)],
    /// Where its pages lie.
    pub root: PathBuf,
}

/// A request as nginx logged it.
#[derive(Clone, Debug)]
pub struct Logged {
    /// Seconds since 1970.
    pub at: f64,
    pub url: String,
    pub agent: String,
}

/// A running nginx; ended when dropped.
pub struct Site {
    nginx: Child,
    home: TempDir,
    pub hosts: Vec<Host>,
    pub hub: String,
}

/// Where the pages of a package lie, if it is installed.
fn pages_of(package: &Package) -> Option<PathBuf> {
    let installed = Path::new("/usr/share/doc").join(package.folder);
    let unpacked = std::env::var_os("CYCLOSA_DOCS").map(PathBuf::from);
    let unpacked = unpacked.map(|docs| {
        docs.join(package.name)
            .join("usr/share/doc")
            .join(package.folder)
    });
    let places = unpacked.into_iter().chain([installed]);
    places
        .filter_map(|place| place.canonicalize().ok())
        .find(|place| place.is_dir())
}

/// Where nginx lies, if it is installed.
pub fn nginx() -> Option<&'static str> {
    let candidates = ["/usr/sbin/nginx", "/usr/local/sbin/nginx", "/usr/bin/nginx"];
    candidates.into_iter().find(|path| Path::new(path).exists())
}

impl Site {
    /// Serves the first `most` packages that are installed; `None`, with a message, where that cannot be.
    pub fn start(most: usize) -> Option<Self> {
        let Some(nginx) = nginx() else {
            println!("skipped: nginx is not installed");
            return None;
        };
        let there = |p: &'static Package| Some((p, pages_of(p)?));
        let packages: Vec<(&Package, PathBuf)> =
            PACKAGES.iter().filter_map(there).take(most).collect();
        if packages.is_empty() {
            println!("skipped: no documentation package is installed (python3.11-doc, git-doc)");
            return None;
        }
        // A port that was free a moment ago may be taken by another test.
        let found = (0..5).find_map(|_| Self::try_start(nginx, &packages));
        Some(found.expect("nginx starts on a free port"))
    }

    fn try_start(nginx: &str, packages: &[(&Package, PathBuf)]) -> Option<Self> {
        let home = tempfile::tempdir().expect("a directory");
        let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port"));
        let ports = listeners.map(|l| l.local_addr().expect("its address").port());
        let host = |(p, root): &(&Package, PathBuf)| Host {
            name: p.host,
            port: ports[usize::from(p.own_port)],
            rules: p.rules,
            root: root.clone(),
        };
        let hosts: Vec<Host> = packages.iter().map(host).collect();
        write_hub(home.path(), &hosts, ports[0]);
        let mut servers = String::new();
        for ((package, _), host) in packages.iter().zip(&hosts) {
            server(&mut servers, home.path(), package, host);
        }
        fs::write(
            home.path().join("nginx.conf"),
            configuration(home.path(), &servers, ports),
        )
        .expect("a file");
        let child = Command::new(nginx)
            .arg("-p")
            .arg(home.path())
            .args(["-e", "error.log", "-c", "nginx.conf"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nginx starts");
        let mut site = Self {
            nginx: child,
            home,
            hosts,
            hub: format!("http://hub.test:{}/", ports[0]),
        };
        site.answers(ports).then_some(site)
    }

    /// Waits until both ports answer; false if nginx has ended.
    fn answers(&mut self, ports: [u16; 2]) -> bool {
        for _ in 0..1_000 {
            if self.nginx.try_wait().expect("a child").is_some() {
                return false;
            }
            if ports
                .iter()
                .all(|p| TcpStream::connect(("127.0.0.1", *p)).is_ok())
            {
                return true;
            }
            sleep(Duration::from_millis(10));
        }
        false
    }

    /// `--include` for the hosts of this site: the hub links to one more.
    pub fn include(&self) -> String {
        let mut names = vec!["hub"];
        names.extend(self.hosts.iter().map(|h| h.name.trim_end_matches(".test")));
        format!("^http://({})[.]test:", names.join("|"))
    }

    /// The rules of a host, by `name:port`.
    pub fn rules(&self) -> BTreeMap<String, &'static [(bool, &'static str)]> {
        let rules = |h: &Host| (format!("{}:{}", h.name, h.port), h.rules);
        self.hosts.iter().map(rules).collect()
    }

    /// What the crawler requested so far.
    pub fn log(&self) -> Vec<Logged> {
        let text = fs::read_to_string(self.home.path().join("access.log")).unwrap_or_default();
        let line = |line: &str| {
            let columns: Vec<&str> = line.split('\t').collect();
            Some(Logged {
                at: columns.first()?.parse().ok()?,
                url: columns.get(1)?.to_string(),
                agent: columns.get(2)?.to_string(),
            })
        };
        let all = text.lines().filter_map(line);
        all.filter(|l| l.agent.starts_with("cyclosa/")).collect()
    }

    /// The log, when nginx has noticed that the crawler is gone.
    pub fn settled_log(&self) -> Vec<Logged> {
        let mut before = self.log().len();
        loop {
            sleep(Duration::from_millis(30));
            let log = self.log();
            if log.len() == before {
                return log;
            }
            before = log.len();
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // TERM, so that the master ends its workers too.
        let pid = self.nginx.id().to_string();
        let _ = Command::new("kill").args(["-s", "TERM", &pid]).status();
        let _ = self.nginx.wait();
    }
}

fn write_hub(home: &Path, hosts: &[Host], port: u16) {
    let hub = home.join("hub");
    fs::create_dir(&hub).expect("a directory");
    let mut page = String::from("<!doctype html><title>hub</title><h1>hub</h1><ul>\n");
    for host in hosts {
        let Host { name, port, .. } = host;
        writeln!(page, "<li><a href=\"http://{name}:{port}/\">{name}</a>").expect("a string");
    }
    writeln!(page, "<li><a href=//outside.test:{port}/>outside</a></ul>").expect("a string");
    fs::write(hub.join("index.html"), page).expect("a file");
}

fn server(out: &mut String, home: &Path, package: &Package, host: &Host) {
    let Host {
        name, port, root, ..
    } = host;
    let own = home.join(name);
    fs::create_dir(&own).expect("a directory");
    let mut robots = String::from("User-agent: someone-else\nDisallow: /\n\nUser-agent: *\n");
    for (allow, path) in package.rules {
        let word = if *allow { "Allow" } else { "Disallow" };
        writeln!(robots, "{word}: {path}").expect("a string");
    }
    fs::write(own.join("robots.txt"), robots).expect("a file");
    let mut index = String::new();
    if !root.join("index.html").exists() {
        // handbook: a directory per language.
        let mut page = String::from("<!doctype html><title>index</title>\n");
        let languages = fs::read_dir(root).expect("a directory").flatten();
        for entry in languages.filter(|e| e.path().is_dir()) {
            let name = entry.file_name().to_string_lossy().into_owned();
            writeln!(page, "<a href=\"{name}/\">{name}</a>").expect("a string");
        }
        fs::write(own.join("index.html"), page).expect("a file");
        index = format!(
            "location = / {{ root {}; try_files /index.html =404; }}",
            own.display()
        );
    }
    writeln!(
        out,
        "server {{ listen 127.0.0.1:{port}; server_name {name}; root \"{}\"; index index.html;\n\
         {} location = /robots.txt {{ gzip_static off; root {}; }} {index} }}",
        root.display(),
        package.settings,
        own.display()
    )
    .expect("a string");
}

fn configuration(home: &Path, servers: &str, ports: [u16; 2]) -> String {
    // As root, workers would run as a user who may not read the directories of the test.
    let root = rustix::process::geteuid().is_root();
    let user = if root { "user root root;" } else { "" };
    let home = home.display();
    let [first, second] = ports;
    format!(
        "daemon off; {user} pid {home}/nginx.pid; error_log {home}/error.log crit; worker_processes 1;\n\
         events {{ worker_connections 1024; }}\n\
         http {{\n\
         types {{ text/html html htm; text/plain txt; text/css css; application/javascript js; image/png png;\n\
           image/svg+xml svg; image/gif gif; image/x-icon ico; }} default_type application/octet-stream;\n\
         client_body_temp_path {home}/t1; proxy_temp_path {home}/t2; fastcgi_temp_path {home}/t3;\n\
         uwsgi_temp_path {home}/t4; scgi_temp_path {home}/t5;\n\
         tcp_nodelay on; keepalive_timeout 120s; keepalive_requests 100000;\n\
         log_format f '$msec\\thttp://$http_host$request_uri\\t$http_user_agent';\n\
         access_log {home}/access.log f;\n\
         server {{ listen 127.0.0.1:{first} default_server; listen 127.0.0.1:{second} default_server;\n\
           server_name outside.test; return 200 \"outside\"; }}\n\
         server {{ listen 127.0.0.1:{first}; server_name hub.test; root {home}/hub; index index.html; }}\n\
         {servers}}}\n"
    )
}
