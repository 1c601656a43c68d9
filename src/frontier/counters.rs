//! What the frontier counts, and the balance.
//!
//! ```text
//! discovered = queued + in_flight + done + excluded + dropped
//! done       = sum(outcomes)
//! excluded   = sum(excluded by reason) - readmitted
//! ```
//! A URL that was excluded for how it was found (nofollow, too deep, beyond the scope) and is found again in a way that
//! admits it moves from excluded to queued and counts as readmitted.

use crate::event::Outcome;

/// Why a URL is not fetched although it was discovered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Excluded {
    /// Its host is outside the scope.
    Scope = 0,
    /// Too many links away from the seeds.
    Depth = 1,
    /// `--include` or `--exclude` says no.
    Pattern = 2,
    /// Only found by links that say nofollow.
    Nofollow = 3,
    /// robots.txt forbids it.
    Robots = 4,
    /// No address of its host is one we may connect to.
    Address = 5,
    /// A port that HTTP does not use (Fetch standard, bad ports).
    Port = 6,
    /// Too many redirects in a row.
    Redirects = 7,
}

impl Excluded {
    /// All reasons, by number.
    pub const ALL: [Excluded; 8] = [
        Self::Scope,
        Self::Depth,
        Self::Pattern,
        Self::Nofollow,
        Self::Robots,
        Self::Address,
        Self::Port,
        Self::Redirects,
    ];

    /// Stable name.
    pub fn name(self) -> &'static str {
        [
            "scope",
            "depth",
            "pattern",
            "nofollow",
            "robots",
            "address",
            "port",
            "redirects",
        ][self as usize]
    }

    /// From its stored number.
    pub fn from_u8(n: u8) -> Option<Self> {
        Self::ALL.get(usize::from(n)).copied()
    }
}

/// Which limit dropped a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Dropped {
    /// More queued URLs than [`crate::limits::HOST_QUEUE_MAX`] on its host.
    HostQueueFull = 0,
    /// The queues' share of `--memory` is used up.
    FrontierMemory = 1,
    /// More hosts than [`crate::limits::HOSTS_MAX`], or of one registrable domain than `--hosts-per-domain`.
    HostsFull = 2,
    /// A path that looks like a trap.
    Trap = 3,
}

impl Dropped {
    /// All limits, by number.
    pub const ALL: [Dropped; 4] = [
        Self::HostQueueFull,
        Self::FrontierMemory,
        Self::HostsFull,
        Self::Trap,
    ];

    /// Stable name.
    pub fn name(self) -> &'static str {
        ["host_queue_full", "frontier_memory", "hosts_full", "trap"][self as usize]
    }

    /// From its stored number.
    pub fn from_u8(n: u8) -> Option<Self> {
        Self::ALL.get(usize::from(n)).copied()
    }
}

/// Status codes that are counted one by one; others count as 0.
pub const STATUS_CODES: usize = 600;

/// Everything that is counted over the whole crawl, restores included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counters {
    /// URLs that entered the frontier.
    pub discovered: u64,
    /// URLs waiting in queues.
    pub queued: u64,
    /// URLs on their way.
    pub in_flight: u64,
    /// URLs that ended, by outcome.
    pub outcomes: [u64; Outcome::ALL.len()],
    /// URLs excluded, by reason.
    pub excluded: [u64; Excluded::ALL.len()],
    /// Excluded URLs that were admitted later.
    pub readmitted: u64,
    /// URLs dropped, by limit.
    pub dropped: [u64; Dropped::ALL.len()],
    /// Responses by status code.
    pub status: Box<[u64; STATUS_CODES]>,
    /// Responses stored (any status), robots.txt apart.
    pub pages: u64,
    /// Body bytes of them as received.
    pub body_bytes: u64,
    /// Bytes on the wire, heads and robots.txt included.
    pub wire_bytes: u64,
    /// Pages that were parsed for links.
    pub parsed: u64,
    /// Links seen on pages, page duplicates removed, and sitemaps that robots.txt files name.
    pub links: u64,
    /// Links beyond the per-page limit, sitemaps beyond that of a robots.txt.
    pub links_dropped: u64,
    /// References that are no http URL.
    pub links_invalid: u64,
    /// References whose URL is too long.
    pub links_too_long: u64,
    /// Links not taken because the seen set is at its limit (they may repeat, so they are not discovered URLs).
    pub seen_full: u64,
    /// Tries beyond the first.
    pub retries: u64,
    /// robots.txt fetches answered.
    pub robots_fetched: u64,
    /// Look-ups answered.
    pub resolved: u64,
}

/// Largest count that is taken from a file; bytes of a crawl stay below it too.
const COUNT_MAX: u64 = 1 << 56;

impl Default for Counters {
    fn default() -> Self {
        Self {
            discovered: 0,
            queued: 0,
            in_flight: 0,
            outcomes: Default::default(),
            excluded: Default::default(),
            readmitted: 0,
            dropped: Default::default(),
            status: Box::new([0; STATUS_CODES]),
            pages: 0,
            body_bytes: 0,
            wire_bytes: 0,
            parsed: 0,
            links: 0,
            links_dropped: 0,
            links_invalid: 0,
            links_too_long: 0,
            seen_full: 0,
            retries: 0,
            robots_fetched: 0,
            resolved: 0,
        }
    }
}

impl Counters {
    /// URLs that ended with an outcome.
    pub fn done(&self) -> u64 {
        self.outcomes.iter().sum()
    }

    /// URLs excluded now.
    pub fn excluded_now(&self) -> u64 {
        self.excluded.iter().sum::<u64>() - self.readmitted
    }

    /// URLs dropped by limits.
    pub fn dropped_now(&self) -> u64 {
        self.dropped.iter().sum()
    }

    /// Right side of the balance.
    pub fn accounted(&self) -> u64 {
        self.queued + self.in_flight + self.done() + self.excluded_now() + self.dropped_now()
    }

    /// Whether every discovered URL is accounted for.
    pub fn balances(&self) -> bool {
        self.discovered == self.accounted()
    }

    /// Counts an end.
    pub fn end(&mut self, outcome: Outcome) {
        let at = Outcome::ALL
            .iter()
            .position(|o| *o == outcome)
            .expect("a URL ends with one of Outcome::ALL");
        self.outcomes[at] += 1;
    }

    fn scalars(&mut self) -> [&mut u64; 16] {
        [
            &mut self.discovered,
            &mut self.queued,
            &mut self.in_flight,
            &mut self.readmitted,
            &mut self.pages,
            &mut self.body_bytes,
            &mut self.wire_bytes,
            &mut self.parsed,
            &mut self.links,
            &mut self.links_dropped,
            &mut self.links_invalid,
            &mut self.links_too_long,
            &mut self.seen_full,
            &mut self.retries,
            &mut self.robots_fetched,
            &mut self.resolved,
        ]
    }

    /// Appends all counters; outcomes and statuses by their number, and only where not 0, so that later versions may
    /// know more of them.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut copy = self.clone();
        for n in copy.scalars() {
            out.extend_from_slice(&n.to_le_bytes());
        }
        let ended = || {
            Outcome::ALL
                .iter()
                .zip(self.outcomes)
                .filter(|(_, n)| *n != 0)
        };
        out.push(ended().count() as u8);
        for (outcome, n) in ended() {
            out.push(*outcome as u8);
            out.extend_from_slice(&n.to_le_bytes());
        }
        for n in self.excluded.iter().chain(&self.dropped) {
            out.extend_from_slice(&n.to_le_bytes());
        }
        let seen = self.status.iter().filter(|n| **n != 0).count() as u32;
        out.extend_from_slice(&seen.to_le_bytes());
        for (code, n) in self.status.iter().enumerate().filter(|(_, n)| **n != 0) {
            out.extend_from_slice(&(code as u16).to_le_bytes());
            out.extend_from_slice(&n.to_le_bytes());
        }
    }

    /// Whether sums of these cannot overflow and none is below zero.
    fn is_plausible(&mut self) -> bool {
        let small = |n: &u64| *n <= COUNT_MAX;
        self.scalars().iter().all(|n| small(n))
            && self.outcomes.iter().all(small)
            && self.excluded.iter().chain(&self.dropped).all(small)
            && self.status.iter().all(small)
            && self.readmitted <= self.excluded.iter().sum()
    }

    /// Reads what [`Counters::encode`] wrote and moves `bytes` behind it; `None` if it is not whole, or holds numbers that
    /// no crawl counts to.
    pub fn decode(bytes: &mut &[u8]) -> Option<Self> {
        fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
            let (head, rest) = bytes.split_first_chunk::<N>()?;
            *bytes = rest;
            Some(*head)
        }
        let mut it = Self::default();
        for n in it.scalars() {
            *n = u64::from_le_bytes(take(bytes)?);
        }
        let [ended] = take(bytes)?;
        for _ in 0..ended {
            let [number] = take(bytes)?;
            let at = Outcome::ALL.iter().position(|o| *o as u8 == number)?;
            it.outcomes[at] = u64::from_le_bytes(take(bytes)?);
        }
        for n in it.excluded.iter_mut().chain(&mut it.dropped) {
            *n = u64::from_le_bytes(take(bytes)?);
        }
        for _ in 0..u32::from_le_bytes(take(bytes)?) {
            let code = usize::from(u16::from_le_bytes(take(bytes)?));
            *it.status.get_mut(code)? = u64::from_le_bytes(take(bytes)?);
        }
        it.is_plausible().then_some(it)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_survive_their_encoding() {
        let mut c = Counters {
            discovered: 10,
            queued: 3,
            ..Counters::default()
        };
        c.end(Outcome::DnsFailed);
        c.outcomes[Outcome::ALL.len() - 1] = 3;
        c.discovered += 3;
        c.status[404] = 17;
        c.dropped[Dropped::Trap as usize] = 6;
        assert!(c.balances());
        let mut bytes = Vec::new();
        c.encode(&mut bytes);
        assert_eq!(Counters::decode(&mut &bytes[..]), Some(c));
        assert_eq!(Counters::decode(&mut &bytes[..bytes.len() - 1]), None);
    }

    #[test]
    fn counts_that_no_crawl_comes_to_are_not_taken() {
        let decoded = |c: &Counters| {
            let mut bytes = Vec::new();
            c.encode(&mut bytes);
            Counters::decode(&mut &bytes[..])
        };
        let mut c = Counters {
            discovered: COUNT_MAX,
            ..Counters::default()
        };
        assert!(decoded(&c).is_some());
        c.queued = COUNT_MAX + 1;
        assert_eq!(decoded(&c), None);
        c.queued = 0;
        c.readmitted = 1;
        assert_eq!(decoded(&c), None, "more readmitted than excluded");
    }

    #[test]
    fn numbers_and_names_belong_together() {
        for (n, reason) in Excluded::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, n);
            assert!(!reason.name().is_empty());
        }
        for (n, limit) in Dropped::ALL.into_iter().enumerate() {
            assert_eq!(limit as usize, n);
            assert!(!limit.name().is_empty());
        }
    }
}
