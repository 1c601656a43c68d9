//! The fake network: a small web that a seed describes, and the server's own log.
//!
//! What must hold: how a URL ends is a function of the seed, the URL and its try (and, for look-ups and robots.txt, of
//! how often was asked before), never of time or order. So a crawl with crashes and one without must end with the same
//! sets, whatever is redone. Of transient failures there are so few a host that no host is given up by bad luck.
//!
//! A host has one of: pages and a robots.txt with rules, none, one on another host, one that first fails, one that never
//! comes; or no address, an address that first is not found, or an address that nobody may connect to.
//!
//! Deliberately absent: HTTP on the wire (the fetcher's answer is built at once), time limits, and content codings.

use super::dice::Dice;
use super::settings::Settings;
use crate::event::{Job, Outcome, Page, Span};
use crate::limits::HEADROOM_BYTES;
use crate::time::Tick;
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plan {
    Html,
    /// The same body at many URLs.
    Copy,
    Missing,
    Redirect,
    /// Fails without a response so often, then is HTML.
    Closes(u8),
    /// 503 so often, then HTML.
    Overloaded(u8),
    /// The first answer ends in the middle.
    CutOnce,
    /// A body without links and of another type.
    Image,
}

/// What is wrong with a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Good,
    /// Not found so often, then found.
    LateName(u64),
    NoName,
    /// Resolves to an address of this machine, which is refused.
    Inside,
    /// robots.txt fails so often, then is there.
    LateRobots(u64),
    NoRobotsEver,
    /// robots.txt is a redirect to the one of host 0.
    SharedRobots,
    /// No robots.txt.
    Open,
}

/// One answered request, as the server saw it.
#[derive(Clone, Debug)]
pub struct Served {
    /// Host and path.
    pub url: Vec<u8>,
    /// When the order arrived, in the time of the outside world.
    pub at: Tick,
    /// Its try, as the crawler counts.
    pub tries: u8,
    /// What was asked for.
    pub job: Job,
}

/// The web and its memory, which no crash of the crawler touches.
pub struct Network {
    seed: Dice,
    hosts: u64,
    pages: u64,
    links: u64,
    body: u64,
    proxy_fails: bool,
    /// Look-ups and robots.txt requests answered, by host.
    asked: Vec<(u64, u64)>,
    /// All requests, in order.
    pub log: Vec<Served>,
}

/// Hosts beyond those with pages that links may name.
const STRANGERS: u64 = 3;
/// What robots.txt forbids, where there is one with rules.
const FORBIDDEN: &[u8] = b"/private";

impl Network {
    /// The web of these settings.
    pub fn new(settings: &Settings) -> Self {
        Self {
            seed: Dice::new(settings.seed).apart(2),
            hosts: settings.hosts,
            pages: settings.pages,
            links: settings.links,
            body: settings.body,
            proxy_fails: settings.proxy_fails,
            asked: vec![(0, 0); (settings.hosts + STRANGERS) as usize],
            log: Vec::new(),
        }
    }

    fn health(&self, host: u64) -> Health {
        if host >= self.hosts {
            return Health::NoName;
        }
        let mut dice = self.seed.apart(1_000 + host);
        let times = dice.between(1, 2);
        match dice.below(12) {
            _ if host == 0 => Health::Good,
            0 => Health::LateName(times),
            1 => Health::NoName,
            2 => Health::Inside,
            3 => Health::LateRobots(times),
            4 => Health::NoRobotsEver,
            5..8 => Health::SharedRobots,
            8 => Health::Open,
            _ => Health::Good,
        }
    }

    fn plan(&self, host: u64, page: u64) -> Plan {
        // Together at most seven failures in a row: at eight a host is given up.
        match page {
            0 => return Plan::Html,
            3 => return Plan::Closes(1),
            4 => return Plan::Overloaded(2),
            5 => return Plan::CutOnce,
            6 if host.is_multiple_of(2) => return Plan::Closes(u8::MAX),
            6 => return Plan::Overloaded(u8::MAX),
            _ => {}
        }
        match self.seed.apart(host << 32 | page).below(20) {
            0 | 1 => Plan::Copy,
            2 => Plan::Missing,
            3 | 4 => Plan::Redirect,
            5 => Plan::Image,
            _ => Plan::Html,
        }
    }

    /// Whether robots.txt forbids this path.
    pub fn forbids(&self, url: &[u8]) -> bool {
        let (host, path) = parts(url);
        let ruled = matches!(
            self.health(host),
            Health::Good | Health::SharedRobots | Health::LateRobots(_) | Health::LateName(_)
        );
        ruled && path.starts_with(FORBIDDEN)
    }

    /// Fills the answer to an order, as the fetcher would.
    pub fn answer(&mut self, page: &mut Page, at: Tick) {
        let inside = |ip: &IpAddr| ip.is_loopback();
        if page.job != Job::Resolve {
            let first = page.address.map(|a| a.ip());
            let any_inside = first.iter().chain(&page.addresses).any(inside);
            assert!(
                first.is_some() && !any_inside,
                "an order may lead to this machine"
            );
        }
        self.log.push(Served {
            url: page.url.clone(),
            at,
            tries: page.tries,
            job: page.job,
        });
        match page.job {
            Job::Resolve => self.resolve(page),
            Job::Robots => self.robots(page),
            Job::Fetch => self.fetch(page),
        }
    }

    fn resolve(&mut self, page: &mut Page) {
        let (host, _) = parts(&page.url);
        let asked = &mut self.asked[host as usize].0;
        *asked += 1;
        let asked = *asked;
        page.outcome = Outcome::DnsFailed;
        let address = match self.health(host) {
            Health::NoName => return,
            Health::LateName(times) if asked <= times => return,
            Health::Inside => Ipv4Addr::LOCALHOST,
            // Two hosts share each address.
            _ => Ipv4Addr::new(8, 8, 4, 1 + (host / 2) as u8),
        };
        page.outcome = Outcome::Fetched;
        page.addresses.push(IpAddr::V4(address));
        // A second address, of the other family, that every other fetch falls back to; and one that nobody may use.
        if host % 2 == 1 && address != Ipv4Addr::LOCALHOST {
            page.addresses.insert(0, IpAddr::V6(Ipv6Addr::LOCALHOST));
            page.addresses.push(other_address(host));
        }
        page.address_ttl_s = (host * 50) as u32;
    }

    fn robots(&mut self, page: &mut Page) {
        let (host, path) = parts(&page.url);
        let shared = path == b"/shared.txt";
        let asked = &mut self.asked[host as usize].1;
        *asked += 1;
        let asked = *asked;
        // Sitemaps, as far as the frontier is concerned: pages that nothing links to, here and next door.
        let (lone, next) = (self.pages + 8, (host + 1) % (self.hosts + STRANGERS));
        let rules = format!(
            "User-agent: *\nDisallow: /private\nSitemap: http://h{host}.test/p{lone}\n\
             Sitemap: http://h{next}.test/p{lone}\nSitemap: /p{lone}\n"
        );
        let rules = rules.as_bytes();
        match self.health(host) {
            _ if shared => respond(page, 200, "Content-Type: text/plain\r\n", rules),
            Health::LateRobots(times) if asked <= times => respond(page, 500, "", b"not yet"),
            Health::NoRobotsEver => page.outcome = Outcome::ConnectFailed,
            Health::SharedRobots => {
                respond(page, 301, "Location: http://h0.test/shared.txt\r\n", b"");
            }
            Health::Open => respond(page, 404, "", b"none"),
            _ => respond(page, 200, "Content-Type: text/plain\r\n", rules),
        }
    }

    fn fetch(&mut self, page: &mut Page) {
        const HTML: &str = "Content-Type: text/html\r\n";
        let (host, path) = parts(&page.url);
        let number = path_number(path);
        let tries = page.tries;
        if !number.is_multiple_of(2) && !page.addresses.is_empty() {
            let port = page.address.map_or(80, |a| a.port());
            page.address = Some(SocketAddr::new(page.addresses.remove(0), port));
        }
        match self.plan(host, number) {
            Plan::Closes(1) if tries == 0 && self.proxy_fails => {
                page.outcome = Outcome::ProxyFailed;
            }
            Plan::Closes(times) if tries < times => page.outcome = Outcome::ClosedEarly,
            Plan::Overloaded(times) if tries < times => {
                let wait = 1 + self.seed.apart(number).below(20);
                let head = format!("Retry-After: {wait}\r\n{HTML}");
                respond(page, 503, &head, b"busy");
                page.facts.retry_after_s = wait as u32;
            }
            Plan::CutOnce if tries == 0 => {
                let body = self.html(host, number);
                respond(page, 200, HTML, &body.as_bytes()[..body.len() * 3 / 4]);
                page.outcome = Outcome::CutDisconnect;
            }
            Plan::Missing => respond(page, 404, HTML, b"<p>nothing here"),
            Plan::Copy => respond(
                page,
                200,
                HTML,
                b"<p>the same everywhere <a href=/p1>one</a>",
            ),
            Plan::Image => respond(page, 200, "Content-Type: image/png\r\n", b"\x89PNG"),
            Plan::Redirect => {
                let to = self.seed.apart(number).apart(host).below(self.pages);
                respond(page, 302, &format!("Location: /p{to}\r\n"), b"");
            }
            _ => respond(page, 200, HTML, self.html(host, number).as_bytes()),
        }
    }

    /// A page with its links: most of them near, some on other hosts, a few forbidden, unwanted or strange.
    fn html(&self, host: u64, number: u64) -> String {
        let mut dice = self.seed.apart(host << 32 | number).apart(3);
        let mut html = format!("<title>{number} of {host}</title>");
        for _ in 0..dice.below(self.links + 1) {
            let to = match dice.below(10) {
                0 => dice.below(self.pages),
                // A few pages are linked from everywhere.
                1 | 2 => dice.below(8),
                _ => (number + 1 + dice.below(6)) % self.pages,
            };
            let _ = match dice.below(16) {
                0 => write!(html, "<a href='/private/p{to}'>no</a>"),
                1 => write!(html, "<a rel=nofollow href='/p{to}'>perhaps</a>"),
                2..6 => {
                    let there = dice.below(self.hosts + STRANGERS);
                    write!(html, "<a href='http://h{there}.test/p{to}'>there</a>")
                }
                6 => write!(html, "<a href='mailto:x'>x</a><a href='http://['>y</a>"),
                _ => write!(html, "<a href='/p{to}'>next</a>"),
            };
        }
        for _ in 0..dice.below(self.body + 1) / 8 {
            let _ = write!(html, "{:x} ", dice.below(1 << 28));
        }
        html
    }
}

/// The IPv6 address of a host that has one.
fn other_address(host: u64) -> IpAddr {
    Ipv6Addr::new(0x2606, 0x4700, 0, 0, 0, 0, 0, host as u16).into()
}

/// Number of the host and the path of `http://h7.test/path`.
fn parts(url: &[u8]) -> (u64, &[u8]) {
    let rest = url.strip_prefix(b"http://h").unwrap_or(url);
    let dot = rest.iter().position(|b| *b == b'.').unwrap_or(0);
    let slash = rest.iter().position(|b| *b == b'/').unwrap_or(rest.len());
    (number(&rest[..dot]), &rest[slash..])
}

/// The number of `/p7`; forbidden paths have numbers of their own.
fn path_number(path: &[u8]) -> u64 {
    match path.strip_prefix(b"/private/p") {
        Some(digits) => 1_000_000 + number(digits),
        None => number(path.strip_prefix(b"/p").unwrap_or(path)),
    }
}

fn number(digits: &[u8]) -> u64 {
    std::str::from_utf8(digits)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(0)
}

/// Lays head and body into the page's buffer, as the fetcher leaves them.
fn respond(page: &mut Page, status: u16, fields: &str, body: &[u8]) {
    let head = format!("HTTP/1.1 {status} X\r\n{fields}\r\n");
    page.buf.clear();
    page.buf.resize(HEADROOM_BYTES, 0);
    page.buf.extend_from_slice(head.as_bytes());
    page.buf.extend_from_slice(body);
    let at = HEADROOM_BYTES as u32;
    page.head_at = at;
    page.body_at = at + head.len() as u32;
    page.body_end = page.buf.len() as u32;
    let value = |name: &str| {
        let from = head.find(name)? + name.len();
        let len = head[from..].find('\r')?;
        Some(Span {
            at: at + from as u32,
            len: len as u32,
        })
    };
    page.facts.status = status;
    page.facts.content_type = value("Content-Type: ").unwrap_or_default();
    page.facts.location = value("Location: ").unwrap_or_default();
    page.outcome = Outcome::Fetched;
    page.wire_bytes = (head.len() + body.len()) as u64;
}
