//! What belongs to the crawl: scope, depth, patterns. Pure questions over the configuration.
//!
//! Deliberately absent: robots.txt (known only once a host's turn has come, see [`super::dispatch`]) and addresses.

use super::counters::{Dropped, Excluded};
use crate::budget::Budget;
use crate::config::{Config, Robots, Scope};
use crate::error::{Error, Result};
use crate::event::LinkKind;
use crate::limits;
use crate::protocol::{address, robots, scope, url};
use crate::time::{SECOND, Tick};
use regex::bytes::RegexSet;
use std::collections::HashSet;
use std::net::SocketAddr;

/// A URL that asks to be admitted.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// Canonical URL.
    pub url: &'a [u8],
    /// Where its path starts.
    pub path_at: usize,
    /// Keyed fingerprint.
    pub fingerprint: u64,
    /// How it was found.
    pub kind: LinkKind,
    /// Links between a seed and it.
    pub depth: u16,
    /// Redirects in a row that led to it.
    pub redirects: u8,
    /// Its link says nofollow.
    pub nofollow: bool,
}

impl<'a> Candidate<'a> {
    /// Scheme and authority.
    pub fn origin(&self) -> &'a [u8] {
        &self.url[..self.path_at]
    }

    /// Path and query.
    pub fn target(&self) -> &'a [u8] {
        &self.url[self.path_at..]
    }
}

/// The configuration as the frontier asks it.
pub struct Policy {
    scope: Scope,
    names: HashSet<Box<str>>,
    include: Option<RegexSet>,
    exclude: Option<RegexSet>,
    max_depth: u16,
    /// Product token matched in robots.txt.
    pub product: String,
    /// Whether robots.txt is obeyed.
    pub obey_robots: bool,
    /// Pause between two fetches of one host.
    pub delay: Tick,
    /// Pause between two fetches of one address.
    pub ip_delay: Tick,
    /// Fetches of one host at once.
    pub per_host: u16,
    /// Hosts of one registrable domain, those of seeds beyond it apart.
    pub hosts_per_domain: u32,
    /// Pages to stop after.
    pub max_pages: u64,
    /// Names are looked up by the proxy and not here.
    pub names_by_proxy: bool,
    /// Bytes that queued text may take.
    pub queue_bytes_max: usize,
    addresses: address::Policy,
}

fn patterns(which: &str, given: &[String]) -> Result<Option<RegexSet>> {
    if given.is_empty() {
        return Ok(None);
    }
    RegexSet::new(given)
        .map(Some)
        .map_err(|e| Error::usage(format!("{which}: not a regular expression: {e}")))
}

impl Policy {
    /// From a checked configuration. Fails where a pattern is no regular expression.
    pub fn new(config: &Config) -> Result<Self> {
        Ok(Self {
            scope: config.scope,
            names: HashSet::new(),
            include: patterns("--include", &config.include)?,
            exclude: patterns("--exclude", &config.exclude)?,
            max_depth: config.max_depth.unwrap_or(u16::MAX - 1),
            product: robots::product_token(&config.user_agent).to_string(),
            obey_robots: config.robots == Robots::Obey,
            delay: config.delay,
            ip_delay: config.ip_delay,
            per_host: config.per_host.max(1),
            hosts_per_domain: config.hosts_per_domain,
            max_pages: config.max_pages.unwrap_or(u64::MAX),
            names_by_proxy: config.proxy.as_ref().is_some_and(|p| p.names),
            queue_bytes_max: Budget::of(config.memory).queues(),
            addresses: addresses(config),
        })
    }

    fn scope_name<'h>(&self, host: &'h str) -> &'h str {
        match self.scope {
            Scope::Domains => scope::registrable_domain(host),
            _ => host,
        }
    }

    /// Widens the scope by the host of a seed; the name to remember if it was new.
    pub fn widen(&mut self, origin: &[u8]) -> Option<Box<str>> {
        if self.scope == Scope::Any {
            return None;
        }
        let host = url::origin(origin)?;
        let name: Box<str> = self.scope_name(host.host).into();
        self.names.insert(name.clone()).then_some(name)
    }

    /// Takes a remembered name back.
    pub fn restore_name(&mut self, name: &str) {
        self.names.insert(name.into());
    }

    /// Why `it` is not to be fetched, if so.
    pub fn excludes(&self, it: &Candidate<'_>) -> Option<Excluded> {
        if it.nofollow {
            return Some(Excluded::Nofollow);
        }
        if it.redirects > limits::REDIRECTS_MAX {
            return Some(Excluded::Redirects);
        }
        // A sitemap that nothing may be taken from is not asked for.
        let too_deep = match it.kind {
            LinkKind::Sitemap => it.depth >= self.max_depth,
            _ => it.depth > self.max_depth,
        };
        if too_deep {
            return Some(Excluded::Depth);
        }
        if it.kind != LinkKind::Seed {
            // What belongs to a page belongs to the crawl, wherever it lies.
            let inside = self.scope == Scope::Any
                || it.kind.is_asset()
                || url::origin(it.origin())
                    .is_some_and(|o| self.names.contains(self.scope_name(o.host)));
            if !inside {
                return Some(Excluded::Scope);
            }
            if self.include.as_ref().is_some_and(|p| !p.is_match(it.url)) {
                return Some(Excluded::Pattern);
            }
        }
        if self.exclude.as_ref().is_some_and(|p| p.is_match(it.url)) {
            return Some(Excluded::Pattern);
        }
        if !url::origin(it.origin()).is_some_and(|o| address::port_allowed(o.port)) {
            return Some(Excluded::Port);
        }
        None
    }

    /// Which limit of the URL itself drops `it`, if any.
    pub fn drops(&self, it: &Candidate<'_>) -> Option<Dropped> {
        (it.kind != LinkKind::Seed && scope::path_is_trap(it.target())).then_some(Dropped::Trap)
    }

    /// Whether `address` may be connected to.
    pub fn may_connect(&self, address: SocketAddr) -> bool {
        self.addresses.may_connect(address)
    }

    /// Pause that a robots.txt asks for, milliseconds, within the limit; 0 where it asks for none.
    pub fn crawl_delay_ms(&self, rules: &robots::Rules) -> u32 {
        rules.crawl_delay_s().map_or(0, |s| {
            (s.clamp(0.0, limits::CRAWL_DELAY_MAX_S as f64) * 1_000.0) as u32
        })
    }

    /// How long robots.txt is trusted, in ticks.
    pub fn robots_ttl(&self) -> Tick {
        limits::ROBOTS_TTL_S * SECOND
    }
}

/// What may be connected to: nothing public where it is not said who crawls.
fn addresses(config: &Config) -> address::Policy {
    let policy = address::Policy::new(
        &config.allow_net,
        &config.own_addresses,
        &config.own_listeners,
    );
    match config.identified {
        true => policy,
        false => policy.opened_only(),
    }
}
