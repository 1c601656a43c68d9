//! Names to addresses: a client for name servers that a lane drives itself.
//!
//! ```text
//!   ask ──► --resolve rule, address written out, hosts file, special name ──► known
//!    │
//!    ├──► cache ──► known
//!    ├──► the same name is being asked for ──► waits with it
//!    └──► look-up: a socket, two questions (A, AAAA) ──► answers ──► cache, everyone who waits
//!             │ truncated, or the case of letters is wrong: the same over TCP
//!             └ silence, failure, nonsense: the next server, later again the first
//! ```
//!
//! What must hold:
//! * Nothing blocks, and nothing is shared between lanes: each has its own sockets, cache and opinion of the servers.
//! * An answer is believed only if it comes to the port (a fresh, random one a try), from the server, with the identifier
//!   and the mixed case of letters that were asked with; all of these are drawn from the system's generator.
//! * Every look-up ends within [`DNS_TOTAL_MS`](crate::limits::DNS_TOTAL_MS), however many answers, aliases and refusals
//!   come; every list here has a bound in [`crate::limits`].
//! * Whether an address may be connected to is not decided here: the frontier judges every one of an answer.
//!
//! Deliberately absent: search domains (names of URLs are absolute), DNSSEC, DNS over TLS or HTTPS, multicast DNS, and
//! looking again at resolv.conf or the hosts file once the crawl runs.

mod cache;
mod client;
mod hosts_file;
mod link;
mod lookup;
mod random;
mod resolver;
mod servers;

pub(super) use client::{Asked, Client, Done, is_dns_token};
pub use resolver::Resolver;

use std::net::IpAddr;

/// What became of a name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Its addresses, at most [`ADDRESSES_MAX`](crate::limits::ADDRESSES_MAX), the one to try first in front.
    pub addresses: Vec<IpAddr>,
    /// Seconds that this holds. Without addresses 0 says that no server could tell; more, that there are none.
    pub ttl_s: u32,
}

/// What a lane's client has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DnsLoad {
    /// Names looked up from servers.
    pub lookups: u64,
    /// Names that the cache knew.
    pub cached: u64,
    /// Names that waited for a look-up under way.
    pub shared: u64,
    /// Questions sent.
    pub questions: u64,
    /// Of these: over TCP.
    pub over_tcp: u64,
    /// Look-ups that ended with an address.
    pub found: u64,
    /// Look-ups of names that have none or do not exist.
    pub none: u64,
    /// Look-ups that no server could answer.
    pub failed: u64,
    /// Tries that ended in silence.
    pub timeouts: u64,
    /// Answers that said that the server cannot tell.
    pub refusals: u64,
    /// Answers that did not fit in a datagram.
    pub truncated: u64,
    /// Messages that answered something else: late, or forged.
    pub mismatched: u64,
    /// Answers with the letters' case changed: forged, or by a server that rewrites names.
    pub wrong_case: u64,
    /// Answers that were no DNS message, too long, or ran in circles.
    pub malformed: u64,
}

impl DnsLoad {
    /// Its figures by name, as the report has them.
    pub fn figures(&self) -> [(&'static str, u64); 14] {
        [
            ("lookups", self.lookups),
            ("cached", self.cached),
            ("shared", self.shared),
            ("questions", self.questions),
            ("over_tcp", self.over_tcp),
            ("found", self.found),
            ("none", self.none),
            ("failed", self.failed),
            ("timeouts", self.timeouts),
            ("refusals", self.refusals),
            ("truncated", self.truncated),
            ("mismatched", self.mismatched),
            ("wrong_case", self.wrong_case),
            ("malformed", self.malformed),
        ]
    }
}
