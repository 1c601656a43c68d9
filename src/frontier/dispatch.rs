//! From a ready host to an order: address first, then robots.txt, then the queue.

use super::counters::Excluded;
use super::hosts::RobotsState;
use super::log::Record;
use super::queue::Queued;
use super::schedule::Place;
use super::{Ending, Frontier, InFlight};
use crate::event::{HostId, Job, LinkKind, Pace, Page};
use crate::limits::{ADDRESS_TTL_MAX_S, ADDRESS_TTL_MIN_S, ADDRESSES_MAX, ADDRESSES_TRIED_MAX};
use crate::protocol::address::name_is_private;
use crate::protocol::url;
use crate::time::{SECOND, Tick};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// URLs taken from one host's queue in one go without an order coming of it (forbidden, or the host is given up).
const POPS_PER_TURN: usize = 64;
/// Hosts looked at in one call.
const HOSTS_PER_TURN: usize = 256;
/// Addresses remembered for `--ip-delay`; beyond it those whose pause is over are forgotten.
const IP_PAUSES_MAX: usize = 1 << 18;

impl Frontier {
    /// Gives orders while hosts are ready and credits are left. Returns how many hosts were looked at; bounded.
    pub fn dispatch(&mut self, now: Tick) -> usize {
        for _ in 0..HOSTS_PER_TURN {
            let Some(host) = self.schedule.next_due(now) else {
                break;
            };
            self.live[host as usize].place = Place::Nowhere;
            self.wake(host, now);
        }
        if !self.stopped && !self.detours.is_empty() {
            self.advance_detours(now);
        }
        self.pool.age(now);
        let mut looked = 0;
        while looked < HOSTS_PER_TURN && !self.stopped && self.pool.has(Pace::Prompt) {
            let on_the_way = self.counters.pages + self.counters.in_flight;
            if on_the_way >= self.policy.max_pages {
                break;
            }
            let Some(host) = self.schedule.next_ready(|pace| self.pool.has(pace)) else {
                break;
            };
            looked += 1;
            self.live[host as usize].place = Place::Nowhere;
            self.advance(host, now);
            self.wake(host, now);
        }
        looked
    }

    /// Takes the next step for a host whose turn it is.
    fn advance(&mut self, host: HostId, now: Tick) {
        let live = &self.live[host as usize];
        if live.job || live.queue.is_empty() || self.hosts.get(host).next_at > now {
            return;
        }
        if let Some(ending) = live.ending {
            return self.end_some(host, ending);
        }
        if live.addresses.is_empty() || live.address_until <= now {
            return self.find_address(host, now);
        }
        if self.policy.obey_robots && !self.robots_known(host, now) {
            return self.order_robots(host, now);
        }
        if self.hosts.get(host).robots == RobotsState::Unreachable && self.policy.obey_robots {
            let ending = Ending::Failed(crate::event::Outcome::RobotsUnreachable);
            return self.end_some(host, ending);
        }
        if !self.address_is_free(host, now) {
            return;
        }
        self.order_url(host, now);
    }

    fn robots_known(&self, host: HostId, now: Tick) -> bool {
        let record = self.hosts.get(host);
        record.robots != RobotsState::Unknown
            && record.robots_at.saturating_add(self.policy.robots_ttl()) > now
    }

    /// Ends a bounded number of URLs of a host that is given up.
    fn end_some(&mut self, host: HostId, ending: Ending) {
        let mut item = std::mem::take(&mut self.popped);
        for _ in 0..POPS_PER_TURN {
            if self.pop(host, &mut item).is_none() {
                break;
            }
            match ending {
                Ending::Failed(outcome) => self.fail(host, &item, outcome),
                Ending::Refused => self.exclude_queued(host, &item, Excluded::Address),
            }
        }
        self.popped = item;
    }

    /// A URL ends without a response.
    pub(super) fn fail(&mut self, host: HostId, item: &Queued, outcome: crate::event::Outcome) {
        self.counters.end(outcome);
        self.hosts.edit(host).failed += 1;
        self.journal.close(item.fingerprint);
        let whole = [self.hosts.origin(host), &item.target].concat();
        self.journal.url(&Record::Failed {
            outcome,
            fingerprint: item.fingerprint,
            url: &whole,
        });
    }

    fn exclude_queued(&mut self, host: HostId, item: &Queued, reason: Excluded) {
        self.counters.excluded[reason as usize] += 1;
        self.journal.close(item.fingerprint);
        let whole = [self.hosts.origin(host), &item.target].concat();
        self.journal.url(&Record::Excluded {
            reason,
            fingerprint: item.fingerprint,
            url: &whole,
        });
    }

    /// Takes the first URL of a host; its number in the queue.
    fn pop(&mut self, host: HostId, item: &mut Queued) -> Option<u32> {
        if !self.queues.pop(&mut self.live[host as usize].queue, item) {
            return None;
        }
        self.counters.queued -= 1;
        let record = self.hosts.edit(host);
        let seq = record.popped;
        record.popped += 1;
        Some(seq)
    }

    /// A literal address needs no look-up; a name gets a job.
    fn find_address(&mut self, host: HostId, now: Tick) {
        if self.is_left_to_proxy(host) {
            return self.advance(host, now);
        }
        let Some((literal, port)) = literal_address(self.hosts.origin(host)) else {
            return self.order_resolve(host, now);
        };
        let live = &mut self.live[host as usize];
        if self.policy.may_connect(SocketAddr::new(literal, port)) {
            live.addresses = Box::new([literal]);
            live.port = port;
            live.address_until = Tick::MAX;
            self.advance(host, now);
        } else {
            live.ending = Some(Ending::Refused);
            self.end_some(host, Ending::Refused);
        }
    }

    /// Whether a host goes by its name, which the proxy looks up; then its address counts as known, and is nobody's.
    /// Literal addresses and names that are never public are judged here all the same: the proxy may well stand where
    /// the crawler does.
    pub(super) fn is_left_to_proxy(&mut self, host: HostId) -> bool {
        let origin = url::origin(self.hosts.origin(host));
        let Some(origin) = origin.filter(|_| self.policy.names_by_proxy) else {
            return false;
        };
        if origin.address().is_some() || name_is_private(origin.host) {
            return false;
        }
        let live = &mut self.live[host as usize];
        live.port = origin.port;
        live.addresses = Box::new([Ipv4Addr::UNSPECIFIED.into()]);
        live.address_until = Tick::MAX;
        true
    }

    pub(super) fn order_resolve(&mut self, host: HostId, now: Tick) {
        let Some(mut page) = self.pool.take(self.pace(host), now) else {
            return;
        };
        page.job = Job::Resolve;
        self.fill_host(&mut page, host, b"/", now);
        self.open_job(host, page);
    }

    /// Orders a host's robots.txt from its own address.
    fn order_robots(&mut self, host: HostId, now: Tick) {
        let Some(mut page) = self.pool.take(self.pace(host), now) else {
            return;
        };
        page.job = Job::Robots;
        self.fill_host(&mut page, host, b"/robots.txt", now);
        self.fill_addresses(&mut page, host);
        self.open_job(host, page);
    }

    fn fill_host(&self, page: &mut Page, host: HostId, target: &[u8], now: Tick) {
        let origin = self.hosts.origin(host);
        page.host = host;
        page.url.extend_from_slice(origin);
        page.url.extend_from_slice(target);
        page.path_at = origin.len() as u16;
        page.fingerprint = self.fingerprinter.of(&page.url);
        page.clocks.ordered = now;
    }

    /// The addresses that a fetch of `host` may use.
    pub(super) fn fill_addresses(&self, page: &mut Page, host: HostId) {
        let live = &self.live[host as usize];
        page.address = live.address();
        let others = live.addresses.iter().take(ADDRESSES_TRIED_MAX).skip(1);
        page.addresses.clear();
        page.addresses.extend(others);
    }

    pub(super) fn open_job(&mut self, host: HostId, page: Box<Page>) {
        self.live[host as usize].job = true;
        self.jobs += 1;
        self.orders.push(page);
    }

    /// Whether the pause of the host's address is over. Takes a place in the address's line where it is not.
    fn address_is_free(&mut self, host: HostId, now: Tick) -> bool {
        if self.policy.ip_delay == 0 {
            return true;
        }
        let live = &mut self.live[host as usize];
        if live.ip_turn != 0 && live.ip_turn <= now {
            live.ip_turn = 0;
            return true;
        }
        let ip = live.addresses[0];
        if ip.is_unspecified() {
            return true;
        }
        let next = self.ip_next.entry(ip).or_insert(0);
        let turn = (*next).max(now);
        *next = turn + self.policy.ip_delay;
        if self.ip_next.len() > self.ip_next_swept.max(IP_PAUSES_MAX) {
            self.ip_next.retain(|_, at| *at > now);
            // Where few pauses are over, the next sweep has to wait until it is worth its time.
            self.ip_next_swept = self.ip_next.len() * 2;
        }
        if turn > now {
            live.ip_turn = turn;
        }
        turn <= now
    }

    /// Orders the first URL of the queue that robots.txt allows.
    fn order_url(&mut self, host: HostId, now: Tick) {
        let Some(mut page) = self.pool.take(self.pace(host), now) else {
            return;
        };
        let mut item = std::mem::take(&mut self.popped);
        for _ in 0..POPS_PER_TURN {
            let Some(seq) = self.pop(host, &mut item) else {
                break;
            };
            if !self.allowed_by_robots(host, &item.target) {
                self.exclude_queued(host, &item, Excluded::Robots);
                continue;
            }
            self.fill_host(&mut page, host, &item.target, now);
            page.job = Job::Fetch;
            page.fingerprint = item.fingerprint;
            page.depth = item.depth;
            page.kind = LinkKind::from_u8(item.kind);
            page.redirects = item.redirects;
            page.tries = item.tries;
            self.fill_addresses(&mut page, host);
            page.slot = self.ledger.enter(InFlight { host, seq });
            self.counters.in_flight += 1;
            self.live[host as usize].in_flight += 1;
            let pause = self.pause(host);
            if pause > 0 {
                self.hosts.edit(host).next_at = now + pause;
            }
            self.orders.push(page);
            self.popped = item;
            return;
        }
        self.popped = item;
        self.pool.put(page);
    }

    fn allowed_by_robots(&self, host: HostId, target: &[u8]) -> bool {
        if !self.policy.obey_robots {
            return true;
        }
        match self.hosts.get(host).robots {
            RobotsState::AllowAll => true,
            RobotsState::Rules => self.live[host as usize]
                .rules
                .as_ref()
                .is_none_or(|rules| rules.allows(target)),
            RobotsState::Unknown | RobotsState::Unreachable => false,
        }
    }

    /// Pause between two fetches of a host: the crawl's or what robots.txt asks for, the longer.
    pub(super) fn pause(&self, host: HostId) -> Tick {
        let asked = Tick::from(self.hosts.get(host).delay_ms) * crate::time::MILLISECOND;
        self.policy.delay.max(asked)
    }

    /// Keeps the allowed addresses of an answer, in its order. False if none is allowed.
    pub(super) fn keep_addresses(&mut self, host: HostId, answer: &Page, now: Tick) -> bool {
        let port = url::origin(self.hosts.origin(host)).map_or(80, |o| o.port);
        // One bad address among good ones may be a rebinding trick, or a mistake: it is never connected to either way.
        let good = |ip: &IpAddr| self.policy.may_connect(SocketAddr::new(*ip, port));
        let mut addresses = Vec::with_capacity(answer.addresses.len().min(ADDRESSES_MAX));
        addresses.extend(
            answer
                .addresses
                .iter()
                .copied()
                .filter(good)
                .take(ADDRESSES_MAX),
        );
        let live = &mut self.live[host as usize];
        // What worked before works again sooner than what comes first by chance.
        let last = live.addresses.first();
        if let Some(at) = addresses.iter().position(|ip| Some(ip) == last) {
            addresses[..=at].rotate_right(1);
        }
        let ttl_s = answer
            .address_ttl_s
            .clamp(ADDRESS_TTL_MIN_S, ADDRESS_TTL_MAX_S);
        live.addresses = addresses.into();
        live.port = port;
        live.address_until = now + Tick::from(ttl_s) * SECOND;
        !live.addresses.is_empty()
    }

    /// No server could say anything: addresses that are there serve on for the shortest time (RFC 8767 4). False if there
    /// are none, or the servers did say that there are none.
    pub(super) fn keep_stale(&mut self, host: HostId, answer: &Page, now: Tick) -> bool {
        let live = &mut self.live[host as usize];
        if live.addresses.is_empty() || answer.address_ttl_s > 0 {
            return false;
        }
        live.address_until = now + Tick::from(ADDRESS_TTL_MIN_S) * SECOND;
        true
    }

    /// A fetch got through at one of the further addresses: that is the one to use first from now on.
    pub(super) fn prefer_address(&mut self, host: HostId, worked: Option<SocketAddr>) {
        let live = &mut self.live[host as usize];
        let at = live
            .addresses
            .iter()
            .position(|ip| worked == Some(SocketAddr::new(*ip, live.port)));
        if let Some(at) = at {
            live.addresses[..=at].rotate_right(1);
        }
    }
}

fn literal_address(origin: &[u8]) -> Option<(IpAddr, u16)> {
    let origin = url::origin(origin)?;
    let bare = origin.host.trim_start_matches('[').trim_end_matches(']');
    Some((bare.parse().ok()?, origin.port))
}
