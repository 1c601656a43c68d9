//! What a crawl was asked to do, after the command line and `--config` have been understood.
//!
//! What must hold: a [`Config`] is complete and checked; nothing later parses text that a user typed. Defaults live
//! here and in [`crate::limits`] only.

mod credentials;
mod exposure;
mod proxy;

pub use credentials::{Credentials, SOCKS_PORT, origin_of};
pub use exposure::exposure;
pub use proxy::{Proxy, ProxyKind};

use crate::limits;
use crate::time::{MILLISECOND, SECOND, Tick};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// Which hosts belong to the crawl.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Scope {
    /// The hosts of the seeds.
    #[default]
    Hosts,
    /// The registrable domains of the seeds, by the Public Suffix List.
    Domains,
    /// Every host.
    Any,
}

/// Which assets of a page are fetched along with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Assets {
    /// None.
    None,
    /// Images: `img`, `srcset`, `picture`, icons, posters.
    #[default]
    Images,
    /// Images, stylesheets and what they import, scripts, media, fonts, objects.
    All,
}

/// Whether robots.txt is obeyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Robots {
    /// RFC 9309.
    #[default]
    Obey,
    /// Neither fetched nor obeyed; for sites of one's own.
    Ignore,
}

/// Whether the sitemaps that robots.txt files name are crawled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Sitemaps {
    /// They are discovered like links.
    #[default]
    Follow,
    /// They are not looked at.
    Ignore,
}

/// Which certificate authorities are believed, `--ca` apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Roots {
    /// Mozilla's, compiled in: the same everywhere.
    #[default]
    Webpki,
    /// Those of the system.
    System,
}

/// A `--resolve HOST:PORT:ADDR`: a name (or `*.name` for all below it) that is not looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolveRule {
    /// Lower-case name, without the `*.`.
    pub name: String,
    /// It covers all names below `name`, not `name` itself.
    pub below: bool,
    /// The port it holds for; `None` for all (`*`).
    pub port: Option<u16>,
    /// The address to use.
    pub address: IpAddr,
}

/// A crawl, as asked for.
#[derive(Clone, Debug)]
pub struct Config {
    /// Crawl directory.
    pub dir: PathBuf,
    /// Seed URLs as given, one each, with where they stand (`seeds.txt:3`).
    pub seeds: Vec<(String, String)>,
    /// Stop after this much time in this run.
    pub run_for: Option<Tick>,
    /// Stop after this many pages over the whole crawl.
    pub max_pages: Option<u64>,
    /// Links between a seed and a page at most.
    pub max_depth: Option<u16>,
    /// Which hosts belong to the crawl.
    pub scope: Scope,
    /// Only URLs that match one of these, seeds excepted; empty: all.
    pub include: Vec<String>,
    /// No URL that matches one of these.
    pub exclude: Vec<String>,
    /// User-Agent field; its first product token is matched in robots.txt.
    pub user_agent: String,
    /// Where a webmaster can complain: part of the default User-Agent; the From field where it is a mail address and `from`
    /// is none.
    pub contact: Option<String>,
    /// From field.
    pub from: Option<String>,
    /// Pause between two fetches of one host.
    pub delay: Tick,
    /// Pause between two fetches of one address.
    pub ip_delay: Tick,
    /// Fetches of one host at once.
    pub per_host: u16,
    /// Hosts of one registrable domain at most.
    pub hosts_per_domain: u32,
    /// Whether robots.txt is obeyed.
    pub robots: Robots,
    /// Whether the sitemaps that it names are crawled.
    pub sitemaps: Sitemaps,
    /// Which assets are fetched.
    pub assets: Assets,
    /// Pages on their way at once.
    pub concurrency: usize,
    /// Memory budget, bytes.
    pub memory: u64,
    /// Address ranges opened although they are not globally reachable.
    pub allow_net: Vec<ipnet::IpNet>,
    /// Names that are not looked up.
    pub resolve: Vec<ResolveRule>,
    /// Name servers to ask, in this order; empty: those of the system.
    pub dns: Vec<SocketAddr>,
    /// Addresses of this machine's own interfaces, which are refused unless `allow_net` opens them.
    pub own_addresses: Vec<IpAddr>,
    /// Where this program itself listens; refused whatever is opened.
    pub own_listeners: Vec<SocketAddr>,
    /// It is said who crawls, so public addresses may be crawled.
    pub identified: bool,
    /// Further header fields of every request, each `Name: value`.
    pub headers: Vec<String>,
    /// Names and passwords, by origin.
    pub credentials: Credentials,
    /// What the user should know before the crawl begins, a line each.
    pub warnings: Vec<String>,
    /// Cookies that servers set are sent back to them.
    pub cookies: bool,
    /// The proxy that everything is fetched through.
    pub proxy: Option<Proxy>,
    /// Which certificate authorities are believed.
    pub roots: Roots,
    /// Further certificate authorities, in DER.
    pub authorities: Vec<Vec<u8>>,
    /// Idle connections that one lane keeps at most; the engine lowers it where descriptors are few.
    pub idle_connections: usize,
    /// Ends of a connection that lie in this process: 2 where it crawls a server of its own (the demo), else 1.
    pub connection_ends: usize,
    /// Body bytes stored at most.
    pub max_body: usize,
    /// Most seconds of work that a crash may cost.
    pub checkpoint_every: Tick,
    /// Further copy of report.json.
    pub report: Option<PathBuf>,
    /// Refuse a directory that holds a crawl.
    pub fresh: bool,
    /// Wait where another process has the directory, and go on in its place.
    pub standby: bool,
    /// No status line.
    pub quiet: bool,
    /// Clocks of a fetch.
    pub clocks: FetchClocks,
}

/// Time limits of one fetch.
#[derive(Clone, Copy, Debug)]
pub struct FetchClocks {
    /// Until the connection stands.
    pub connect: Tick,
    /// From there until TLS is agreed on.
    pub tls: Tick,
    /// From the request to the first byte.
    pub first_byte: Tick,
    /// Window over which the minimum rate is measured.
    pub rate_window: Tick,
    /// Slowest acceptable body, bytes a second.
    pub rate_min: u64,
    /// The whole fetch.
    pub total: Tick,
    /// How long a kept connection may lie idle.
    pub idle: Tick,
}

impl Default for FetchClocks {
    fn default() -> Self {
        Self {
            connect: limits::CONNECT_MS * MILLISECOND,
            tls: limits::TLS_MS * MILLISECOND,
            first_byte: limits::FIRST_BYTE_MS * MILLISECOND,
            rate_window: limits::RATE_WINDOW_MS * MILLISECOND,
            rate_min: limits::RATE_BYTES_PER_S_MIN,
            total: limits::TOTAL_MS * MILLISECOND,
            idle: limits::IDLE_CONNECTION_MS * MILLISECOND,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            dir: PathBuf::from("checkpoints"),
            seeds: Vec::new(),
            run_for: None,
            max_pages: None,
            max_depth: None,
            scope: Scope::default(),
            include: Vec::new(),
            exclude: Vec::new(),
            user_agent: default_user_agent(),
            contact: None,
            from: None,
            delay: SECOND,
            ip_delay: 0,
            per_host: 1,
            hosts_per_domain: limits::HOSTS_PER_DOMAIN,
            robots: Robots::default(),
            sitemaps: Sitemaps::default(),
            assets: Assets::default(),
            concurrency: limits::CONCURRENCY_DEFAULT,
            memory: 8 << 30,
            allow_net: Vec::new(),
            resolve: Vec::new(),
            dns: Vec::new(),
            own_addresses: Vec::new(),
            own_listeners: Vec::new(),
            identified: true,
            headers: Vec::new(),
            credentials: Credentials::default(),
            warnings: Vec::new(),
            cookies: false,
            proxy: None,
            roots: Roots::default(),
            authorities: Vec::new(),
            idle_connections: limits::IDLE_CONNECTIONS_MAX,
            connection_ends: 1,
            max_body: limits::BODY_BYTES_DEFAULT,
            checkpoint_every: limits::CHECKPOINT_EVERY_S * SECOND,
            report: None,
            fresh: false,
            standby: false,
            quiet: false,
            clocks: FetchClocks::default(),
        }
    }
}

impl Config {
    /// Value of From (RFC 9110 10.1.2): the address given for it, else the contact where that is a mail address.
    pub fn mailbox(&self) -> Option<&str> {
        let contact = self.contact.as_deref();
        let contact = contact.map(|c| c.strip_prefix("mailto:").unwrap_or(c));
        let written = contact.filter(|c| c.contains('@') && !c.contains("://"));
        self.from.as_deref().or(written)
    }
}

/// `cyclosa/VERSION`.
pub fn default_user_agent() -> String {
    concat!("cyclosa/", env!("CARGO_PKG_VERSION")).to_string()
}

/// Address of a name by the `--resolve` rules; the first that fits.
pub fn resolve_rule(rules: &[ResolveRule], name: &str, port: u16) -> Option<SocketAddr> {
    rules
        .iter()
        .find(|r| {
            r.port.is_none_or(|p| p == port)
                && if r.below {
                    name.strip_suffix(r.name.as_str())
                        .is_some_and(|head| head.ends_with('.') && head.len() > 1)
                } else {
                    name == r.name
                }
        })
        .map(|r| SocketAddr::new(r.address, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_is_what_was_given_for_it_else_a_contact_that_is_an_address() {
        let url = Some("https://example.org/@bot");
        for (from, contact, sent) in [
            (None, None, None),
            (None, url, None),
            (None, Some("mailto:a@b.test"), Some("a@b.test")),
            (None, Some("a@b.test"), Some("a@b.test")),
            (Some("c@d.test"), url, Some("c@d.test")),
            (Some("c@d.test"), Some("a@b.test"), Some("c@d.test")),
            (Some("c@d.test"), None, Some("c@d.test")),
        ] {
            let config = Config {
                from: from.map(str::to_owned),
                contact: contact.map(str::to_owned),
                ..Config::default()
            };
            assert_eq!(config.mailbox(), sent, "{from:?} {contact:?}");
        }
    }

    #[test]
    fn a_wildcard_covers_names_below_and_not_the_name() {
        let rules = [ResolveRule {
            name: "web.test".into(),
            below: true,
            port: Some(8080),
            address: IpAddr::from([127, 0, 0, 1]),
        }];
        assert!(resolve_rule(&rules, "h0.web.test", 8080).is_some());
        assert!(resolve_rule(&rules, "web.test", 8080).is_none());
        assert!(resolve_rule(&rules, "xweb.test", 8080).is_none());
        assert!(resolve_rule(&rules, "h0.web.test", 80).is_none());
    }
}
