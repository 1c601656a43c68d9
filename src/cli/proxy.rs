//! `--proxy`: what it means, and whether it is there.
//!
//! What must hold: a crawl begins only where its proxy was reached and took the login (SOCKS says so before it is asked
//! for a server; an HTTP proxy does not). No password is typed here: it would show in the list of processes.

use crate::config::{
    Config, Credentials, Proxy, ProxyKind, ResolveRule, SOCKS_PORT, origin_of, resolve_rule,
};
use crate::error::{Error, Result};
use crate::limits::PROXY_REACH_MS;
use crate::protocol::tunnel::{Told, Tunnel};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::str::FromStr;
use std::time::Duration;

/// A proxy as typed: `http://HOST:PORT`, `socks5://HOST:PORT`, or `socks5h://HOST:PORT` where it looks names up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyUrl {
    kind: ProxyKind,
    names: bool,
    host: String,
    port: u16,
    origin: String,
    /// It has a name or a password in it.
    telling: bool,
}

impl FromStr for ProxyUrl {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        const FORMS: &str = "write http://HOST:PORT, socks5://HOST:PORT or socks5h://HOST:PORT";
        let url = url::Url::parse(text).map_err(|e| format!("{e}; {FORMS}"))?;
        let telling = !url.username().is_empty() || url.password().is_some();
        if telling {
            // Messages about a flag repeat it, so this is not the place to refuse a password.
            return Ok(Self {
                kind: ProxyKind::Http,
                names: false,
                host: String::new(),
                port: 0,
                origin: String::new(),
                telling,
            });
        }
        let (kind, names, port) = match url.scheme() {
            "http" => (ProxyKind::Http, false, 80),
            "socks5" => (ProxyKind::Socks5, false, SOCKS_PORT),
            "socks5h" => (ProxyKind::Socks5, true, SOCKS_PORT),
            "https" => return Err(format!("TLS to a proxy is not spoken; {FORMS}")),
            other => return Err(format!("`{other}` is no proxy that is spoken to; {FORMS}")),
        };
        let origin = origin_of(text).ok_or_else(|| format!("a proxy has no path; {FORMS}"))?;
        let host = url.host_str().unwrap_or_default().to_ascii_lowercase();
        Ok(Self {
            kind,
            names,
            host,
            port: url.port().unwrap_or(port),
            origin,
            telling,
        })
    }
}

/// Completes `config` by the proxy that was typed, once it is known to be there. `names`: it looks names up.
///
/// # Errors
/// Flags that do not go together, and those of [`ProxyUrl::reach`].
pub fn complete(config: &mut Config, typed: Option<ProxyUrl>, names: bool) -> Result<()> {
    let Some(proxy) = typed else {
        return match names {
            true => Err(Error::usage(
                "--proxy-names: there is no --proxy to look names up",
            )),
            false => Ok(()),
        };
    };
    if proxy.telling {
        return Err(Error::usage(
            "--proxy: a password here shows in the list of processes; write a line \"http://HOST:PORT USER:PASSWORD\" \
             (or socks5://) into a file for --auth",
        ));
    }
    if (names || proxy.names) && !config.identified {
        return Err(Error::usage(
            "a proxy that looks names up may lead anywhere: say where a webmaster can complain, with --contact \
             https://you.example/crawl or a mail address",
        ));
    }
    config.proxy = Some(proxy.reach(names, &config.resolve, &config.credentials)?);
    Ok(())
}

impl ProxyUrl {
    /// Connects to it, over all its addresses until one stands, and tries the login.
    ///
    /// # Errors
    /// Nobody is there, or it does not take us; the message says what to look at.
    pub fn reach(
        &self,
        names: bool,
        rules: &[ResolveRule],
        credentials: &Credentials,
    ) -> Result<Proxy> {
        let mut failed = None;
        for address in self.addresses(rules)? {
            let names = names || self.names;
            let proxy = Proxy::new(self.kind, address, names, &self.origin, credentials)?;
            match self.greet(&proxy) {
                Ok(Told::Open) => return Ok(proxy),
                Ok(_) => return Err(self.unwilling(proxy.login().is_some())),
                Err(e) => failed = failed.or(Some(e)),
            }
        }
        let why = failed.map_or_else(|| "it has no address".to_string(), |e| e.to_string());
        Err(Error::environment(format!(
            "--proxy {}: cannot reach it: {why}; is it running there?",
            self.origin
        )))
    }

    fn unwilling(&self, login: bool) -> Error {
        let what = match login {
            true => "does not take the name and password of --auth, or is no SOCKS 5 proxy",
            false => {
                "wants a name and password (a line for it in the file of --auth), or is no SOCKS 5 proxy"
            }
        };
        Error::environment(format!("--proxy {}: it {what}", self.origin))
    }

    fn addresses(&self, rules: &[ResolveRule]) -> Result<Vec<SocketAddr>> {
        if let Some(address) = resolve_rule(rules, &self.host, self.port) {
            return Ok(vec![address]);
        }
        let bare = self.host.trim_start_matches('[').trim_end_matches(']');
        let found = (bare, self.port).to_socket_addrs();
        found.map(Iterator::collect).map_err(|e| {
            Error::environment(format!(
                "--proxy {}: cannot look {bare} up: {e}; write an address instead",
                self.origin
            ))
        })
    }

    /// Connects, and for SOCKS says who we are.
    fn greet(&self, proxy: &Proxy) -> io::Result<Told> {
        let patience = Duration::from_millis(PROXY_REACH_MS);
        let mut stream = TcpStream::connect_timeout(&proxy.address, patience)?;
        if proxy.kind == ProxyKind::Http {
            return Ok(Told::Open);
        }
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        let mut tunnel = Tunnel::socks5_login(proxy.login());
        let mut piece = [0; 64];
        loop {
            let n = tunnel.unsent().len();
            stream.write_all(tunnel.unsent())?;
            tunnel.sent(n);
            let n = stream.read(&mut piece)?;
            let told = tunnel.received(&piece[..n]);
            if n == 0 || told != Told::More {
                return Ok(told);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_read_as_typed() {
        let read = |text: &str| text.parse::<ProxyUrl>().map(|p| (p.kind, p.names, p.port));
        assert_eq!(
            read("http://p.test:3128"),
            Ok((ProxyKind::Http, false, 3128))
        );
        assert_eq!(read("http://p.test"), Ok((ProxyKind::Http, false, 80)));
        assert_eq!(read("socks5://[::1]"), Ok((ProxyKind::Socks5, false, 1080)));
        assert_eq!(
            read("socks5h://p.test:9050"),
            Ok((ProxyKind::Socks5, true, 9050))
        );
        for (text, word) in [
            ("p.test:3128", "write http://"),
            ("https://p.test", "TLS"),
            ("socks4://p.test", "socks4"),
            ("http://p.test/x", "no path"),
            ("", "write http://"),
        ] {
            let said = read(text).unwrap_err();
            assert!(
                said.contains(word) && !said.contains("hush"),
                "{text}: {said}"
            );
        }
    }
}
