//! The frontier: the single writer that decides what is fetched when.
//!
//! The life of a URL: a link (or seed, or redirect) is *discovered* once, by its fingerprint. It is excluded or dropped
//! for a counted reason, or it joins its host's queue. A host with something queued is *waiting* for its delay or
//! *ready*; a ready host first gets its address, then its robots.txt, then one URL after the other is *ordered*: it is in
//! flight until its page comes back, and then done with one outcome, or queued again for another try.
//!
//! ```text
//! discovered ─► admit ─► queue ─► dispatch ─► (fetch, parse) ─► answer ─► commit ─► store
//!                 │                  │                            │
//!              excluded           excluded (robots)            queued again, or failed
//!              dropped
//! ```
//!
//! What must hold:
//! * determinism: a function of (state, now, input); no clock, no file, no thread, no unseeded number;
//! * balance: [`Counters::balances`] after every call;
//! * everything a crash may not lose is in the journal ([`journal`]) or in the host records ([`hosts`]); queues, seen
//!   table, schedule and look-ups are rebuilt from them; addresses, open jobs and pauses per address are forgotten;
//! * at most one robots or resolve job per host is under way.
//!
//! Deliberately absent: parsing, sockets, files, and waiting of any kind.

mod admit;
mod answer;
mod chunked;
pub mod counters;
pub mod cut;
mod dispatch;
mod domains;
mod filling;
pub mod hosts;
pub mod journal;
pub mod log;
#[cfg(test)]
mod naive;
mod names;
pub mod policy;
pub mod pool;
pub mod queue;
pub mod restore;
pub mod schedule;
pub mod seen;
#[cfg(test)]
mod tests;

use crate::budget::Budget;
use crate::config::Config;
use crate::error::Result;
use crate::event::{Commit, CrawlIdentity, Delta, HostId, Pace, Page};
use crate::limits::TRIAL_ANSWERS;
use crate::protocol::robots::Rules;
use crate::protocol::url::Fingerprinter;
use crate::time::Tick;
use chunked::Chunked;
use counters::Counters;
use domains::{Domains, domain_of};
use hosts::Hosts;
use journal::Journal;
use policy::Policy;
use pool::PagePool;
use queue::{Pool, Queue, Queued};
use schedule::{Place, Schedule};
use seen::SeenSet;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};

/// Media types counted one by one; further ones count together.
const MIMES_MAX: usize = 256;

/// The soft part of a host: rebuilt or forgotten at a restore.
#[derive(Default)]
struct Live {
    queue: Queue,
    place: Place,
    in_flight: u16,
    /// A resolve or robots job for this host is under way.
    job: bool,
    /// Tries of the current job so far.
    job_tries: u8,
    /// Prompt answers in a row.
    prompt_answers: u8,
    /// The last answer that was not prompt has not been made good by [`TRIAL_ANSWERS`] that were.
    was_slow: bool,
    /// When the host's turn for its address comes; 0: not asked.
    ip_turn: Tick,
    /// Checked addresses, the one to use first in front.
    addresses: Box<[IpAddr]>,
    port: u16,
    address_until: Tick,
    /// Kept where robots.txt has rules for us.
    rules: Option<Box<Rules>>,
    /// Everything queued here ends this way.
    ending: Option<Ending>,
}

impl Live {
    /// The address to connect to.
    fn address(&self) -> Option<SocketAddr> {
        Some(SocketAddr::new(*self.addresses.first()?, self.port))
    }
}

/// Why a host is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// Its URLs end with this outcome.
    Failed(crate::event::Outcome),
    /// It has no address that we may connect to.
    Refused,
}

/// A robots.txt on its way, where it redirected to another host.
struct RobotsDetour {
    url: Vec<u8>,
    path_at: u16,
    target: HostId,
    redirects: u8,
}

/// A URL in flight: enough to find it in the log again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InFlight {
    /// Its host.
    pub host: HostId,
    /// Its number in the host's queue.
    pub seq: u32,
}

/// Slots of URLs in flight; a page carries its slot's number.
#[derive(Default)]
struct Ledger {
    slots: Vec<Option<InFlight>>,
    free: Vec<u32>,
}

impl Ledger {
    fn enter(&mut self, it: InFlight) -> u32 {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() as u32 - 1
        });
        self.slots[slot as usize] = Some(it);
        slot
    }

    fn leave(&mut self, slot: u32) -> InFlight {
        self.free.push(slot);
        self.slots[slot as usize]
            .take()
            .expect("a fetched page left from this slot")
    }

    fn iter(&self) -> impl Iterator<Item = InFlight> + '_ {
        self.slots.iter().flatten().copied()
    }
}

/// Figures for the status line.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gauge {
    /// Hosts known.
    pub hosts: usize,
    /// Hosts that may be fetched from now.
    pub ready: usize,
    /// Hosts that wait for their delay.
    pub waiting: usize,
    /// Resolve and robots jobs under way.
    pub jobs: usize,
    /// Pages on their way, jobs included.
    pub away: usize,
    /// Credits left.
    pub credits: usize,
    /// A credit is left for a host that is ready.
    pub may_order: bool,
    /// The proxy has failed since anything came through it.
    pub proxy_fails: bool,
    /// Bytes of queued text, seen set and host records.
    pub bytes: usize,
}

/// A host in the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostFigures {
    /// Scheme and authority.
    pub origin: String,
    /// Pages stored.
    pub pages: u64,
    /// Their body bytes.
    pub bytes: u64,
    /// URLs that ended without a response.
    pub failed: u64,
    /// URLs waiting.
    pub queued: u64,
}

/// The frontier. See the module's page.
pub struct Frontier {
    policy: Policy,
    fingerprinter: Fingerprinter,
    seen: SeenSet,
    hosts: Hosts,
    domains: Domains,
    live: Chunked<Live>,
    queues: Pool,
    schedule: Schedule,
    ledger: Ledger,
    pool: PagePool,
    journal: Journal,
    counters: Counters,
    /// Pages and body bytes by media type.
    mimes: HashMap<Vec<u8>, (u64, u64)>,
    /// In order of hosts: which goes first must not depend on chance.
    detours: BTreeMap<HostId, RobotsDetour>,
    ip_next: HashMap<IpAddr, Tick>,
    /// Entries from which those whose pause is over are looked for.
    ip_next_swept: usize,
    jobs: usize,
    /// The proxy has failed since anything came through it.
    proxy_fails: bool,
    stopped: bool,
    seen_bytes_max: usize,
    orders: Vec<Box<Page>>,
    commits: VecDeque<Commit>,
    /// Reused by dispatch.
    popped: Queued,
}

impl Frontier {
    /// An empty frontier.
    pub fn new(config: &Config, identity: &CrawlIdentity) -> Result<Self> {
        let seen_bytes = Budget::of(config.memory).seen();
        Ok(Self {
            policy: Policy::new(config)?,
            fingerprinter: Fingerprinter::new(&identity.key),
            seen: SeenSet::new(1 << 16, seen_bytes),
            hosts: Hosts::new(),
            domains: Domains::default(),
            live: Chunked::default(),
            queues: Pool::default(),
            schedule: Schedule::default(),
            ledger: Ledger::default(),
            pool: PagePool::new(
                config.concurrency,
                Budget::of(config.memory).pages_at_rest(),
            ),
            journal: Journal::default(),
            counters: Counters::default(),
            mimes: HashMap::new(),
            detours: BTreeMap::new(),
            ip_next: HashMap::new(),
            ip_next_swept: 0,
            jobs: 0,
            proxy_fails: false,
            stopped: false,
            seen_bytes_max: seen_bytes,
            orders: Vec::new(),
            commits: VecDeque::new(),
            popped: Queued::default(),
        })
    }

    /// Takes a page back from the store.
    pub fn returned(&mut self, page: Box<Page>) {
        self.pool.put(page);
    }

    /// Orders given since the last call, for the lanes.
    pub fn orders(&mut self) -> std::vec::Drain<'_, Box<Page>> {
        self.orders.drain(..)
    }

    /// The next commit for the store, in order.
    pub fn next_commit(&mut self) -> Option<Commit> {
        self.commits.pop_front()
    }

    /// The next delta for the checkpointer, in order.
    pub fn next_delta(&mut self) -> Option<Delta> {
        self.journal.next_delta()
    }

    /// Puts a delta back that could not be handed over.
    pub fn undo_delta(&mut self, delta: Delta) {
        self.journal.undo_delta(delta);
    }

    /// Deltas that wait to be handed over.
    pub fn deltas_waiting(&self) -> usize {
        self.journal.waiting()
    }

    /// Gives no more orders. What is on its way comes back and is committed.
    pub fn stop(&mut self) {
        self.stopped = true;
    }

    /// Whether nothing is on its way any more (answers, commits and returns all in).
    pub fn is_settled(&self) -> bool {
        self.pool.away() == 0 && self.commits.is_empty() && self.orders.is_empty()
    }

    /// Whether every discovered URL has ended.
    pub fn is_dry(&self) -> bool {
        self.counters.queued == 0 && self.counters.in_flight == 0 && self.jobs == 0
    }

    /// Whether `--max-pages` is reached.
    pub fn reached_max_pages(&self) -> bool {
        self.counters.pages >= self.policy.max_pages
    }

    /// The counters.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Pages and body bytes by media type.
    pub fn mimes(&self) -> &HashMap<Vec<u8>, (u64, u64)> {
        &self.mimes
    }

    /// The hosts with the most pages, most first.
    pub fn top_hosts(&self, most: usize) -> Vec<HostFigures> {
        let mut by_pages: Vec<HostId> = (0..self.hosts.len() as HostId).collect();
        by_pages.sort_by_key(|h| (std::cmp::Reverse(self.hosts.get(*h).pages), *h));
        by_pages
            .into_iter()
            .take(most)
            .filter(|h| self.hosts.get(*h).pages > 0)
            .map(|h| {
                let record = self.hosts.get(h);
                HostFigures {
                    origin: String::from_utf8_lossy(self.hosts.origin(h)).into_owned(),
                    pages: u64::from(record.pages),
                    bytes: record.bytes,
                    failed: u64::from(record.failed),
                    queued: u64::from(self.live[h as usize].queue.len()),
                }
            })
            .collect()
    }

    /// Figures for the status line.
    pub fn gauge(&self) -> Gauge {
        Gauge {
            hosts: self.hosts.len(),
            ready: self.schedule.ready_len(),
            waiting: self.schedule.waiting_len(),
            jobs: self.jobs,
            away: self.pool.away(),
            credits: self.pool.left(),
            proxy_fails: self.proxy_fails,
            may_order: self.schedule.has_ready(|pace| self.pool.has(pace)),
            bytes: self.seen.bytes() + self.queues.bytes_used() + self.hosts.bytes(),
        }
    }

    /// When a waiting host is due next, or one that is ready may get a credit.
    pub fn next_tick(&self) -> Option<Tick> {
        let aged = self.pool.next_aging();
        let aged = aged.filter(|_| self.schedule.ready_len() > 0);
        self.schedule.next_tick().into_iter().chain(aged).min()
    }

    /// Buckets of the seen table that should be allocated elsewhere, if any.
    pub fn wanted_table(&self) -> Option<usize> {
        self.seen.wanted_table()
    }

    /// Hands in such a table.
    pub fn give_table(&mut self, table: seen::Table) {
        self.seen.give_table(table);
    }

    /// A table to be freed elsewhere.
    pub fn take_retired_table(&mut self) -> Option<seen::Table> {
        self.seen.take_retired()
    }

    /// Puts a host where it belongs: nowhere, among the ready, or among the waiting.
    fn wake(&mut self, host: HostId, now: Tick) {
        let pace = self.pace(host);
        let live = &mut self.live[host as usize];
        if live.place != Place::Nowhere
            || live.job
            || live.queue.is_empty()
            || live.in_flight >= self.policy.per_host
        {
            return;
        }
        let at = self.hosts.get(host).next_at.max(live.ip_turn);
        if at <= now {
            live.place = Place::Ready;
            self.schedule.ready(host, pace, !live.addresses.is_empty());
        } else {
            live.place = Place::Waiting;
            self.schedule.wait(host, at);
        }
    }

    /// What is known of how soon a host answers.
    fn pace(&self, host: HostId) -> Pace {
        let live = &self.live[host as usize];
        match live.prompt_answers {
            TRIAL_ANSWERS.. => Pace::Prompt,
            _ if live.was_slow => Pace::Slow,
            _ => Pace::New,
        }
    }

    /// The host of an origin, added if need be; `None` where the table of hosts is full, or (but for `seed`s) its domain
    /// has as many hosts as it may.
    fn intern(&mut self, origin: &[u8], seed: bool) -> Option<HostId> {
        let key = self.fingerprinter.of(origin);
        if let Some(host) = self.hosts.find(key) {
            return Some(host);
        }
        if self.hosts.len() >= crate::limits::HOSTS_MAX {
            return None;
        }
        let most = match seed {
            true => u32::MAX,
            false => self.policy.hosts_per_domain,
        };
        let domain = self.fingerprinter.of(domain_of(origin).as_bytes());
        if !self.domains.admit(domain, most) {
            return None;
        }
        self.journal.url(&log::Record::Host { origin });
        self.live.push(Live::default());
        Some(self.hosts.add(key, origin))
    }
}
