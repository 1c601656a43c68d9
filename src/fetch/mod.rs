//! The network edge: orders in, answered pages out. One lane is one epoll and the connections of its hosts.
//!
//! ```text
//!            accept                              turn
//!   orders ───────────► start ──► kept connection? ──► send ──► receive ──► finished ──► out
//!                         │              no │           ▲          │
//!                         │                 ▼           │          ▼ (keep-alive)
//!                         │  dial ► tunnel ► handshake ─┘         pool ──► closed when old, full, or spoken on
//!                         └─ Resolve ──► names ──► dns: cache, look-ups ──► finished
//! ```
//!
//! What must hold:
//! * Every page that is accepted comes out exactly once, with one outcome; nothing here decides policy.
//! * A lane never blocks but in `park`, and holds soft state only: a crash may lose all of it.
//! * One request at a time on a connection; a response is read straight into its page.
//! * Work is proportional to events: readiness is edge-triggered and remembered, deadlines sit in a coarse wheel, and
//!   in the steady state nothing is allocated.
//! * A kept connection that was closed before any byte of the answer came is replaced once, silently. Nothing else is
//!   retried here.
//!
//! * `https` is TLS 1.2 or 1.3 on the same thread and the same poller; certificates are always verified.
//! * Through a proxy every fetch has a tunnel to the address that was checked, `http` as well; only where the proxy is to
//!   look names up is it given names, and `http` URLs whole.
//!
//! Deliberately absent: pipelining, HTTP/2, early data (0-RTT), client certificates.

mod connections;
mod cookies;
mod dns;
mod exchange;
mod lane;
mod names;
mod pool;
mod sessions;
mod tls;
mod transport;
mod trust;
mod way;
mod wheel;

pub use cookies::Cookies;
pub use dns::{DnsLoad, Resolver};
pub use lane::Lane;
pub use trust::{Trust, read_authorities};

use crate::budget::{Budget, PageShare};
use crate::config::{Config, Credentials, FetchClocks, Proxy, Roots};
use crate::limits::{BODY_BYTES_DEFAULT, IDLE_CONNECTIONS_MAX};
use crate::time::Clock;

/// What a lane is told once.
#[derive(Clone, Debug)]
pub struct LaneSettings {
    /// Value of User-Agent.
    pub user_agent: String,
    /// Value of From, where it is sent.
    pub from: Option<String>,
    /// Body bytes kept at most.
    pub max_body: usize,
    /// Time limits.
    pub clocks: FetchClocks,
    /// Idle connections kept at most.
    pub idle_max: usize,
    /// Further fields of every request, each `Name: value`.
    pub headers: Vec<String>,
    /// Names and passwords, by origin.
    pub credentials: Credentials,
    /// Cookies, where they are asked for.
    pub cookies: Option<Cookies>,
    /// The proxy that everything is fetched through.
    pub proxy: Option<Proxy>,
    /// Whose certificates are believed.
    pub trust: Trust,
    /// For the clock readings of single pages; a copy of the crawl's clock.
    pub clock: Clock,
    /// What the buffers of all pages may hold; the same for all lanes.
    pub pages: PageShare,
}

impl LaneSettings {
    /// The settings that `config` asks for.
    pub fn of(config: &Config, trust: Trust, cookies: Option<Cookies>, clock: Clock) -> Self {
        Self {
            user_agent: config.user_agent.clone(),
            from: config.mailbox().map(str::to_owned),
            max_body: config.max_body,
            clocks: config.clocks,
            idle_max: config.idle_connections,
            headers: config.headers.clone(),
            credentials: config.credentials.clone(),
            cookies,
            proxy: config.proxy.clone(),
            trust,
            clock,
            pages: PageShare::new(Budget::of(config.memory).pages()),
        }
    }
}

impl Default for LaneSettings {
    fn default() -> Self {
        Self {
            user_agent: crate::config::default_user_agent(),
            from: None,
            max_body: BODY_BYTES_DEFAULT,
            clocks: FetchClocks::default(),
            idle_max: IDLE_CONNECTIONS_MAX,
            headers: Vec::new(),
            credentials: Credentials::default(),
            cookies: None,
            proxy: None,
            trust: Trust::new(Roots::Webpki, &[]).expect("authorities are compiled in"),
            clock: Clock::starting_at(0),
            pages: PageShare::new(usize::MAX),
        }
    }
}

/// What a lane is doing and has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LaneLoad {
    /// Connections open, in whatever state.
    pub open: usize,
    /// Of these: not yet standing, or their proxy has not connected further yet.
    pub dialling: usize,
    /// Of these: standing, and TLS being agreed on.
    pub handshaking: usize,
    /// Of these: request sent or being sent, no byte of the answer yet.
    pub awaiting: usize,
    /// Of these: answer coming in.
    pub reading: usize,
    /// Of these: kept without a request.
    pub idle: usize,
    /// Names being resolved or waiting for it.
    pub resolving: usize,
    /// Orders waiting for a descriptor or a local port.
    pub starved: usize,
    /// Answers that are not read on before other pages have given memory back.
    pub paused: usize,
    /// Connections dialled so far.
    pub dialled: u64,
    /// Requests sent on kept connections so far.
    pub reused: u64,
    /// Kept connections found closed and replaced so far.
    pub redialled: u64,
    /// Connections dialled to a further address of a host because the one before failed, so far.
    pub fell_back: u64,
    /// Idle connections closed for the limit or for want of descriptors so far.
    pub evicted: u64,
    /// Orders given up for want of a descriptor or a local port so far.
    pub no_descriptor: u64,
    /// TLS handshakes completed so far that made a new session.
    pub tls_full: u64,
    /// TLS handshakes completed so far that resumed an earlier session.
    pub tls_resumed: u64,
    /// TLS handshakes that failed so far, for whatever reason.
    pub tls_failed: u64,
    /// Cookies that answers have set so far.
    pub cookies_set: u64,
    /// Cookies that a limit refused or pushed out so far.
    pub cookies_dropped: u64,
    /// Servers whose TLS sessions were forgotten for [`TLS_SESSIONS_MAX`](crate::limits::TLS_SESSIONS_MAX) so far.
    pub tls_sessions_dropped: u64,
    /// Bytes received so far, TLS included.
    pub bytes_in: u64,
    /// Bytes of requests sent so far, TLS not included.
    pub bytes_out: u64,
    /// Of the look-ups.
    pub dns: DnsLoad,
}
