//! The proxy that all fetches go through, where there is one.
//!
//! What must hold: it has been reached, and its login (where it can be tried without asking for a server) was taken; its
//! password is never shown. The environment (`http_proxy` and the like) is not read: a crawl says itself how it goes.

use super::Credentials;
use crate::error::{Error, Result};
use std::fmt;
use std::net::SocketAddr;

/// Bytes of a name or a password that SOCKS can say (RFC 1929 2).
const SOCKS_LOGIN_PART_MAX: usize = 255;

/// What a proxy speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyKind {
    /// HTTP: CONNECT (RFC 9110 9.3.6), and requests in absolute form (RFC 9112 3.2.2) where it looks names up.
    Http,
    /// SOCKS 5 (RFC 1928).
    Socks5,
}

/// A proxy.
#[derive(Clone)]
pub struct Proxy {
    /// What it speaks.
    pub kind: ProxyKind,
    /// Where it listens.
    pub address: SocketAddr,
    /// It looks names up, and decides by itself which addresses it connects to.
    pub names: bool,
    /// Name and password for it.
    login: Option<(Vec<u8>, Vec<u8>)>,
    /// The line that says them to an HTTP proxy, with its end; empty where there are none.
    authorization: Vec<u8>,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("kind", &self.kind)
            .field("address", &self.address)
            .field("names", &self.names)
            .field("login", &self.login.is_some())
            .finish()
    }
}

impl Proxy {
    /// A proxy at `address`, whose origin (`socks5://host:port`) may have a login among `credentials`.
    ///
    /// # Errors
    /// A login that SOCKS cannot say; the message does not show it.
    pub fn new(
        kind: ProxyKind,
        address: SocketAddr,
        names: bool,
        origin: &str,
        credentials: &Credentials,
    ) -> Result<Self> {
        let login = credentials.login(origin.as_bytes());
        let fits = |part: &[u8]| (1..=SOCKS_LOGIN_PART_MAX).contains(&part.len());
        let sayable = |(name, password): &(Vec<u8>, Vec<u8>)| fits(name) && fits(password);
        if kind == ProxyKind::Socks5 && !login.as_ref().is_none_or(sayable) {
            return Err(Error::usage(format!(
                "--auth: name and password for {origin} must each have 1 to {SOCKS_LOGIN_PART_MAX} bytes (RFC 1929)"
            )));
        }
        let authorization = match credentials.line(origin.as_bytes()) {
            [] => Vec::new(),
            line => [b"Proxy-", line].concat(),
        };
        Ok(Self {
            kind,
            address,
            names,
            login,
            authorization,
        })
    }

    /// Name and password, where it has them.
    pub fn login(&self) -> Option<(&[u8], &[u8])> {
        let (name, password) = self.login.as_ref()?;
        Some((name, password))
    }

    /// The `Proxy-Authorization` line (RFC 9110 11.7.2) with its end, or nothing.
    pub fn authorization(&self) -> &[u8] {
        &self.authorization
    }

    /// Requests for `http` URLs are sent to the proxy as they are, with the whole URL, instead of through a tunnel.
    pub fn takes_whole_urls(&self) -> bool {
        self.names && self.kind == ProxyKind::Http
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_for_the_proxy_and_never_shown() {
        let credentials = Credentials::of(
            "http://p.test:3128 me:hush\nsocks5://s.test u:v\nsocks5://t.test:99 :v\n",
        )
        .unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], 3128));
        let made = |kind, origin| Proxy::new(kind, address, false, origin, &credentials);
        let http = made(ProxyKind::Http, "http://p.test:3128").unwrap();
        assert_eq!(
            http.authorization(),
            b"Proxy-Authorization: Basic bWU6aHVzaA==\r\n"
        );
        assert!(!format!("{http:?}").contains("hush"));
        let socks = made(ProxyKind::Socks5, "socks5://s.test:1080").unwrap();
        assert_eq!(socks.login(), Some((&b"u"[..], &b"v"[..])));
        assert!(made(ProxyKind::Socks5, "socks5://t.test:99").is_err());
        let other = made(ProxyKind::Http, "http://q.test:3128").unwrap();
        assert_eq!((other.login(), other.authorization()), (None, &b""[..]));
    }
}
