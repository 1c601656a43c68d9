//! The proxy of a test: which one curl's command and environment name, and whether it was asked as curl asks it.
//!
//! What must hold: a proxy is given the same logins as by curl, in as many requests, and the same URLs and servers as far
//! as it looks names up; where we look them up, it is given the address for the name.

use super::command::{AUTH, Reason};
use super::replay::Replayed;
use super::script::{Script, unescape};
use cyclosa::config::{Credentials, Proxy, ProxyKind};
use cyclosa::protocol::url::{canonical, origin};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};

/// What is not spoken to.
pub const KIND: Reason =
    "a proxy that is not spoken to (SOCKS 4, TLS, a Unix socket, one behind another)";

/// Options that change only what is sent, or what of TLS is not reached; with a value or without.
const VALUED: [&str; 1] = ["--proxy-header"];
const PLAIN: [&str; 3] = [
    "--proxy-tlsv1",
    "--proxy-basic",
    "--suppress-connect-headers",
];

/// A proxy, as far as it is known without the port of its server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Through {
    pub kind: ProxyKind,
    /// It looks names up: SOCKS because it is told to, HTTP because it is given whole URLs.
    pub names: bool,
    /// Name, colon, password.
    pub login: Option<String>,
    /// Nobody listens where it is said to be.
    pub absent: bool,
}

/// What the options say about proxies.
#[derive(Clone, Debug, Default)]
pub struct Options {
    proxy: Option<String>,
    login: Option<String>,
    tunnel: bool,
    exempt: Option<String>,
}

impl Options {
    /// Takes an option; `None` where it is none of these.
    pub fn take(
        &mut self,
        name: &str,
        value: &mut dyn FnMut() -> Option<String>,
    ) -> Option<Result<(), Reason>> {
        match name {
            "-x" | "--proxy" | "--proxy1.0" => self.proxy = value(),
            "--socks5" => self.proxy = value().map(|v| format!("socks5://{v}")),
            "--socks4" | "--preproxy" => return Some(Err(KIND)),
            "-U" | "--proxy-user" => self.login = value(),
            "-p" | "--proxytunnel" => self.tunnel = true,
            "--noproxy" => self.exempt = value(),
            "--proxy-ntlm" | "--proxy-digest" | "--proxy-anyauth" => return Some(Err(AUTH)),
            _ if VALUED.contains(&name) => drop(value()),
            _ if PLAIN.contains(&name) => {}
            _ => return None,
        }
        Some(Ok(()))
    }

    /// The proxy that `urls` are fetched through, where there is one: that of the options, else that of the environment.
    /// `connect_to`: an option sends them to another server, which curl does by a tunnel.
    pub fn through(
        self,
        script: &Script,
        urls: &[String],
        connect_to: bool,
    ) -> Result<Option<Through>, Reason> {
        let environment = script.lines("client", "setenv");
        let set = |name: &str| {
            let mut all = environment.iter().filter_map(|line| line.split_once('='));
            all.find(|(n, _)| n.eq_ignore_ascii_case(name))
                .map(|(_, value)| value.to_string())
        };
        let proxy = self.proxy.or_else(|| set("http_proxy"));
        let proxy = proxy.or_else(|| set("all_proxy")).unwrap_or_default();
        let exempt = self.exempt.or_else(|| set("no_proxy")).unwrap_or_default();
        if proxy.is_empty() || urls.iter().all(|url| is_exempt(url, &exempt)) {
            return Ok(None);
        }
        let (scheme, rest) = proxy.split_once("://").unwrap_or(("http", &proxy));
        let (kind, names) = match scheme {
            "http" => (ProxyKind::Http, !self.tunnel && !connect_to),
            "socks5" => (ProxyKind::Socks5, false),
            "socks5h" => (ProxyKind::Socks5, true),
            _ => return Err(KIND),
        };
        let (told, host) = match rest.rsplit_once('@') {
            Some((told, host)) => (Some(unescape(told.as_bytes())), host),
            None => (None, rest),
        };
        let told = told.map(|t| String::from_utf8_lossy(&t).into_owned());
        let login = self.login.or(told).map(|login| match login.contains(':') {
            true => login,
            false => login + ":",
        });
        let port = host.trim_end_matches('/').rsplit_once(':').map(|p| p.1);
        Ok(Some(Through {
            kind,
            names,
            login,
            // What stands for `%NOLISTENPORT`.
            absent: port == Some("1"),
        }))
    }
}

/// Whether the host of `url` is on a list of those that are fetched from directly.
fn is_exempt(url: &str, list: &str) -> bool {
    let Ok((url, path_at)) = canonical(url.as_bytes()) else {
        return false;
    };
    let host = origin(&url[..usize::from(path_at)]).map_or("", |o| o.host);
    let host = host.trim_matches(['[', ']']);
    let mut listed = list.split([',', ' ']).filter(|name| !name.is_empty());
    listed.any(|name| {
        let name = name.trim_start_matches('.').trim_matches(['[', ']']);
        let above = host.strip_suffix(name);
        name == "*" || above.is_some_and(|a| a.is_empty() || a.ends_with('.'))
    })
}

impl Through {
    /// How servers are reached by it.
    pub fn way(&self) -> &'static str {
        match (self.kind, self.names) {
            (ProxyKind::Http, true) => "whole URLs",
            (ProxyKind::Http, false) => "CONNECT",
            (ProxyKind::Socks5, _) => "SOCKS 5",
        }
    }

    /// The proxy itself, where it listens on `at`. `None` where its login is one that we refuse.
    pub fn proxy(&self, at: SocketAddr) -> Option<Proxy> {
        let scheme = match self.kind {
            ProxyKind::Http => "http",
            ProxyKind::Socks5 => "socks5",
        };
        let origin = format!("{scheme}://{at}");
        let credentials = match &self.login {
            None => Credentials::default(),
            Some(login) => {
                let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
                writeln!(file, "{origin} {login}").expect("room in it");
                Credentials::read(file.path()).ok()?
            }
        };
        let at = match self.absent {
            true => SocketAddr::from((Ipv4Addr::LOCALHOST, 1)),
            false => at,
        };
        Proxy::new(self.kind, at, self.names, &origin, &credentials).ok()
    }

    /// Where the frontier would say that `origin_text` is: an address as it stands, a name looked up (then it is
    /// `server`), or left to the proxy.
    pub fn address(&self, origin_text: &[u8], server: SocketAddr) -> SocketAddr {
        let origin = origin(origin_text).expect("a canonical URL");
        match origin.address() {
            Some(ip) => SocketAddr::new(ip, origin.port),
            None if self.names => SocketAddr::from((Ipv4Addr::UNSPECIFIED, origin.port)),
            None => server,
        }
    }
}

/// Whether the proxy was asked as by curl; `false` where there is nothing to compare. `Err` says what differs.
pub fn asked_alike(replayed: &Replayed) -> Result<bool, String> {
    let Some(through) = &replayed.plan.through else {
        return Ok(false);
    };
    let script = &replayed.script;
    let mut curl = Vec::new();
    for name in ["proxy", "protocol"] {
        let part = script.part("verify", name).map(|p| p.bytes());
        let text = String::from_utf8_lossy(&part.unwrap_or_default()).into_owned();
        curl.extend(heads(&text));
    }
    let socks = script.lines("verify", "socks");
    if !socks.is_empty() && socks != replayed.heard.socks {
        let ours = &replayed.heard.socks;
        return Err(format!("curl asks for {socks:?}, we for {ours:?}"));
    }
    let heard = replayed.heard.heads.iter();
    let ours: Vec<Head> = heard.flat_map(|head| heads(head)).collect();
    let server = SocketAddr::from((Ipv4Addr::LOCALHOST, replayed.port));
    let said = |heads: &[Head]| -> Vec<(String, String)> {
        let said = heads.iter().filter_map(|head| head.said(through, server));
        said.collect()
    };
    let (curl, ours) = (said(&curl), said(&ours));
    // Some files do not say what curl sends.
    if !curl.is_empty() && curl != ours {
        return Err(format!("curl asks the proxy for {curl:?}, we for {ours:?}"));
    }
    Ok(!socks.is_empty() || !curl.is_empty())
}

/// A request.
struct Head {
    target: String,
    connect: bool,
    login: String,
}

/// The requests in `text`; bodies among them are passed over.
fn heads(text: &str) -> Vec<Head> {
    let mut heads = Vec::<Head>::new();
    for line in text.lines().map(str::trim_end) {
        let mut words = line.split(' ');
        if let (Some(method), Some(target), Some("HTTP/1.0" | "HTTP/1.1"), None) =
            (words.next(), words.next(), words.next(), words.next())
        {
            heads.push(Head {
                target: target.to_string(),
                connect: method == "CONNECT",
                login: String::new(),
            });
        } else if let Some(login) = line.strip_prefix("Proxy-Authorization: ")
            && let Some(head) = heads.last_mut()
        {
            head.login = login.to_string();
        }
    }
    heads
}

impl Head {
    /// What it asks the proxy for, and by which login; `None` where the proxy cannot see it and it says no login.
    fn said(&self, through: &Through, server: SocketAddr) -> Option<(String, String)> {
        let target = &self.target;
        let said = if self.connect {
            let named = origin(format!("https://{target}").as_bytes())?
                .address()
                .is_none();
            match named && !through.names {
                true => server.to_string(),
                false => target.clone(),
            }
        } else if target.starts_with("http:") {
            // As it would be without options that leave dots and capitals in it.
            let url = canonical(target.as_bytes());
            url.map_or(target.clone(), |(url, _)| {
                String::from_utf8_lossy(&url).into_owned()
            })
        } else if self.login.is_empty() {
            return None;
        } else {
            target.clone()
        };
        Some((said, self.login.clone()))
    }
}

#[test]
fn hosts_are_exempt_by_name_or_by_what_is_above_them() {
    for (url, list, exempt) in [
        ("http://a.b.test/", "b.test", true),
        ("http://ab.test/", "b.test", false),
        ("http://b.test:80/", "x, .b.test", true),
        ("http://[::1]:8990/", "::1", true),
        ("http://127.0.0.1/", "", false),
        ("http://any.test/", "*", true),
    ] {
        assert_eq!(is_exempt(url, list), exempt, "{url} {list}");
    }
}
