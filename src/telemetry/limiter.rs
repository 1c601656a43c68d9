//! What the fetchers waited for, so that "why is it slow?" has an answer in words.
//!
//! What must hold: every nanosecond that a lane hands in is busy time or idle time with exactly one [`Cause`].
//!
//! A host goes round: wait for its delay, connect, await the answer, parse, commit, store. By Little's law the share of
//! hosts found at a place is the share of the round trip spent there, so the fullest place is what limits the crawl;
//! [`Whereabouts::cause`] says which one it is.

use super::text::{percent, ratio};

/// Busy share from which the fetchers themselves are what limits the crawl.
const SATURATED: f64 = 0.7;

/// Why a lane had nothing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Cause {
    /// Politeness: there is work, but its hosts wait for their delay.
    NoReadyHost,
    /// Nothing is queued.
    FrontierDry,
    /// All pages are on their way, most of them waiting for servers.
    Credits,
    /// Names were being resolved.
    Dns,
    /// Connections were being made.
    Connect,
    /// Servers had not answered yet, or were still sending.
    Server,
    /// Pages lay before the parsers.
    ParseBacklog,
    /// Pages lay before the frontier.
    FrontierBacklog,
    /// Pages lay before the store.
    StoreBacklog,
}

impl Cause {
    /// All, in the order reports show them.
    pub const ALL: [Cause; 9] = [
        Self::NoReadyHost,
        Self::FrontierDry,
        Self::Credits,
        Self::Dns,
        Self::Connect,
        Self::Server,
        Self::ParseBacklog,
        Self::FrontierBacklog,
        Self::StoreBacklog,
    ];
    /// How many there are.
    pub const COUNT: usize = Self::ALL.len();

    /// Stable name: key in the report.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoReadyHost => "no_ready_host",
            Self::FrontierDry => "frontier_dry",
            Self::Credits => "credits",
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Server => "server",
            Self::ParseBacklog => "parse_backlog",
            Self::FrontierBacklog => "frontier_backlog",
            Self::StoreBacklog => "store_backlog",
        }
    }

    /// What limited the crawl, as the object of "limited by".
    fn words(self) -> &'static str {
        match self {
            Self::NoReadyHost => "politeness: its hosts were waiting for their delay",
            Self::FrontierDry => "a lack of URLs: nothing was queued",
            Self::Credits => "its own concurrency: all pages were on their way",
            Self::Dns => "name resolution",
            Self::Connect => "the making of connections",
            Self::Server => "the servers' answers",
            Self::ParseBacklog => "parsing",
            Self::FrontierBacklog => "the frontier",
            Self::StoreBacklog => "the store",
        }
    }

    /// What would help, if anything would.
    fn advice(self) -> &'static str {
        match self {
            Self::NoReadyHost => "more hosts or a shorter --delay would help",
            Self::FrontierDry => "more seeds or a wider --scope would help",
            Self::Credits => "a larger --concurrency would help",
            Self::Dns => "a nearer resolver (--dns) would help",
            Self::Connect => "more hosts at once would help",
            Self::Server => "more hosts, or --per-host on sites of your own, would help",
            Self::ParseBacklog => "more cores would help",
            Self::FrontierBacklog => "a faster core would help",
            Self::StoreBacklog => "a faster disk would help",
        }
    }
}

/// Where hosts and pages are at the moment a lane finds nothing to do; plain counts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Whereabouts {
    /// URLs waiting in queues.
    pub queued: u64,
    /// Hosts with queued URLs that wait for their delay.
    pub hosts_waiting: u64,
    /// Pages that have no order.
    pub credits_free: u64,
    /// Names being resolved.
    pub resolving: u64,
    /// Connections being made.
    pub connecting: u64,
    /// Requests sent and not yet answered in full.
    pub awaiting: u64,
    /// Pages before or in a parser.
    pub parsing: u64,
    /// Pages before the frontier.
    pub deciding: u64,
    /// Pages before or in the store.
    pub storing: u64,
}

impl Whereabouts {
    /// The fullest place; of equals the one nearest to the user's own machine.
    pub fn cause(&self) -> Cause {
        let server = if self.credits_free == 0 && self.queued > 0 {
            Cause::Credits
        } else {
            Cause::Server
        };
        let waiting = if self.queued == 0 {
            0
        } else {
            self.hosts_waiting
        };
        let places = [
            (self.storing, Cause::StoreBacklog),
            (self.deciding, Cause::FrontierBacklog),
            (self.parsing, Cause::ParseBacklog),
            (self.resolving, Cause::Dns),
            (self.connecting, Cause::Connect),
            (self.awaiting, server),
            (waiting, Cause::NoReadyHost),
        ];
        let mut fullest = (0, Cause::FrontierDry);
        for (count, cause) in places {
            if count > fullest.0 {
                fullest = (count, cause);
            }
        }
        if fullest.0 == 0 && self.queued > 0 {
            // Queued, nothing on its way, no host in a delay: orders are about to be given.
            return Cause::FrontierBacklog;
        }
        fullest.1
    }
}

/// Time of fetchers, split. Sums saturate: after 584 years of one thread they stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waits {
    /// Time spent in turns that did work, nanoseconds.
    pub busy_ns: u64,
    idle_ns: [u64; Cause::COUNT],
}

impl Waits {
    /// A lane did no work for `ns` nanoseconds because of `cause`.
    #[inline]
    pub fn idle(&mut self, cause: Cause, ns: u64) {
        let slot = &mut self.idle_ns[cause as usize];
        *slot = slot.saturating_add(ns);
    }

    /// A lane worked for `ns` nanoseconds.
    #[inline]
    pub fn busy(&mut self, ns: u64) {
        self.busy_ns = self.busy_ns.saturating_add(ns);
    }

    /// Adds another lane's or interval's time.
    pub fn add(&mut self, other: &Waits) {
        self.busy(other.busy_ns);
        for cause in Cause::ALL {
            self.idle(cause, other.idle_ns[cause as usize]);
        }
    }

    /// Idle time because of `cause`, nanoseconds.
    pub fn of(&self, cause: Cause) -> u64 {
        self.idle_ns[cause as usize]
    }

    /// All idle time, nanoseconds.
    pub fn idle_total(&self) -> u64 {
        self.idle_ns.iter().fold(0, |sum, &n| sum.saturating_add(n))
    }

    /// Part of the idle time that `cause` has, 0 to 1; 0 where there was none.
    pub fn share(&self, cause: Cause) -> f64 {
        ratio(self.of(cause), self.idle_total())
    }

    /// Part of the whole time that was busy, 0 to 1.
    pub fn busy_share(&self) -> f64 {
        ratio(self.busy_ns, self.busy_ns.saturating_add(self.idle_total()))
    }

    /// What limited the crawl, in one sentence without a full stop.
    pub fn sentence(&self) -> String {
        let largest = Cause::ALL
            .into_iter()
            .rev() // of equals the first of ALL
            .max_by_key(|&c| self.of(c))
            .filter(|&c| self.of(c) > 0);
        match largest {
            None if self.busy_ns == 0 => "what limited the crawl was not measured".to_string(),
            Some(cause) if self.busy_share() < SATURATED => format!(
                "the crawl was limited by {} ({} of the fetchers' idle time, they were busy {}); {}",
                cause.words(),
                percent(self.share(cause)),
                percent(self.busy_share()),
                cause.advice()
            ),
            _ => format!(
                "the crawl was limited by the fetchers' own work (busy {} of the time); more cores would help",
                percent(self.busy_share())
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_idle_time_add_up() {
        let mut waits = Waits::default();
        assert_eq!(waits.share(Cause::Dns), 0.0);
        waits.idle(Cause::Server, 610);
        waits.idle(Cause::Dns, 390);
        waits.busy(1_000);
        let sum: f64 = Cause::ALL.into_iter().map(|c| waits.share(c)).sum();
        assert!((sum - 1.0).abs() < 1e-9);
        assert!((waits.busy_share() - 0.5).abs() < 1e-9);
    }

    #[test]
    fn the_sentence_names_the_largest_share() {
        let mut waits = Waits::default();
        assert!(waits.sentence().contains("not measured"));
        waits.idle(Cause::Server, 61);
        waits.idle(Cause::NoReadyHost, 39);
        assert!(
            waits.sentence().contains("the servers' answers (61"),
            "{}",
            waits.sentence()
        );
        waits.busy(1_000);
        assert!(waits.sentence().contains("own work"));
        waits.idle(Cause::Credits, u64::MAX);
        waits.idle(Cause::Credits, u64::MAX);
        assert!(waits.sentence().contains("concurrency"));
    }

    #[test]
    fn the_fullest_place_is_the_cause() {
        let dry = Whereabouts::default();
        assert_eq!(dry.cause(), Cause::FrontierDry);
        let polite = Whereabouts {
            queued: 10_000,
            hosts_waiting: 90,
            awaiting: 10,
            credits_free: 5,
            ..dry
        };
        assert_eq!(polite.cause(), Cause::NoReadyHost);
        let slow = Whereabouts {
            awaiting: 91,
            ..polite
        };
        assert_eq!(slow.cause(), Cause::Server);
        let full = Whereabouts {
            credits_free: 0,
            ..slow
        };
        assert_eq!(full.cause(), Cause::Credits);
        let jammed = Whereabouts {
            storing: 500,
            ..full
        };
        assert_eq!(jammed.cause(), Cause::StoreBacklog);
        // Hosts in a delay that have nothing to fetch hold up nothing.
        let idle_hosts = Whereabouts {
            hosts_waiting: 3,
            ..dry
        };
        assert_eq!(idle_hosts.cause(), Cause::FrontierDry);
    }
}
