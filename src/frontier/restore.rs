//! From a checkpoint back to a frontier: rebuild what is derived, requeue what was in flight, compare the state hash.

use super::cut::State;
use super::hosts::{Hosts, RobotsState};
use super::log::{Reader, Record};
use super::queue::Queued;
use super::{Frontier, InFlight, Live, journal};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::event::{CrawlIdentity, Cut};
use crate::protocol::robots::Rules;
use crate::time::Tick;
use std::collections::HashSet;

/// What a restore found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// URLs known.
    pub urls: u64,
    /// URLs that were in flight at the cut and are queued again.
    pub requeued: u64,
}

fn damaged(what: &str) -> Error {
    Error::environment(format!(
        "the checkpoint contradicts itself: {what}; run `cyclosa verify` on the directory"
    ))
}

impl Frontier {
    /// The frontier as it stood at `cut`, with what was in flight back in the queues.
    ///
    /// `seen` and `urls` are the logs up to the cut, in order; `image` is the host image. Fails where they contradict
    /// each other or the cut's state hash.
    pub fn restore(
        config: &Config,
        identity: &CrawlIdentity,
        cut: &Cut,
        image: &[u8],
        seen: &[impl AsRef<[u64]>],
        urls: &[impl AsRef<[u8]>],
        now: Tick,
    ) -> Result<(Self, Restored)> {
        let state = State::decode(&cut.state).ok_or_else(|| damaged("unreadable state"))?;
        let mut frontier = Self::new(config, identity)?;
        frontier.rebuild_seen(seen, cut)?;
        frontier.hosts = Hosts::restore(image, state.hosts as usize);
        frontier.journal.urls_len = cut.urls_len;
        frontier.journal.epoch = cut.epoch;
        frontier.counters = state.counters.clone();
        frontier.mimes = state.mimes.clone();
        let in_flight: HashSet<InFlight> = state.in_flight.iter().copied().collect();
        let again = frontier.rebuild_queues(urls, &in_flight)?;
        frontier.compare(&state, cut, &again)?;
        let restored = Restored {
            urls: frontier.counters.discovered,
            requeued: again.len() as u64,
        };
        frontier.requeue(again, now);
        for host in 0..frontier.live.len() {
            frontier.wake(host as u32, now);
        }
        Ok((frontier, restored))
    }

    fn rebuild_seen(&mut self, seen: &[impl AsRef<[u64]>], cut: &Cut) -> Result<()> {
        let known: usize = seen.iter().map(|chunk| chunk.as_ref().len()).sum();
        if known as u64 != cut.seen_len {
            return Err(damaged("the seen log has another length than the cut says"));
        }
        let bytes_max = self.seen_bytes_max;
        self.seen = super::seen::SeenSet::new(known, bytes_max);
        let mut sum = 0u64;
        for fingerprint in seen.iter().flat_map(|chunk| chunk.as_ref()) {
            if *fingerprint == 0 || self.seen.is_full() {
                return Err(damaged("the seen log holds what it cannot hold"));
            }
            self.seen.insert(*fingerprint);
            sum = sum.wrapping_add(journal::spread(*fingerprint));
        }
        self.journal.seen_sum = sum;
        self.journal.seen_len = known as u64;
        Ok(())
    }

    /// Reads the URL log: names, rules, scope, and the URLs that are still to do. Returns those in flight at the cut.
    fn rebuild_queues(
        &mut self,
        urls: &[impl AsRef<[u8]>],
        in_flight: &HashSet<InFlight>,
    ) -> Result<Vec<(u32, Queued)>> {
        let mut again = Vec::new();
        let mut item = Queued::default();
        for chunk in urls {
            let mut reader = Reader::new(chunk.as_ref());
            for record in reader.by_ref() {
                match record {
                    Record::Host { origin } => {
                        let key = self.fingerprinter.of(origin);
                        if !self.hosts.restore_name(key, origin) {
                            return Err(damaged("more hosts named than recorded"));
                        }
                        self.live.push(Live::default());
                    }
                    Record::Queued { host, .. } | Record::Rules { host, .. }
                        if host as usize >= self.live.len() =>
                    {
                        return Err(damaged("a URL of a host that was not named"));
                    }
                    Record::Queued {
                        host,
                        seq,
                        fingerprint,
                        depth,
                        kind,
                        redirects,
                        tries,
                        target,
                    } => {
                        let on_its_way = in_flight.contains(&InFlight { host, seq });
                        if !on_its_way && seq < self.hosts.get(host).popped {
                            continue;
                        }
                        item.fingerprint = fingerprint;
                        item.depth = depth;
                        item.kind = kind;
                        item.redirects = redirects;
                        item.tries = tries;
                        item.target.clear();
                        item.target.extend_from_slice(target);
                        if on_its_way {
                            again.push((host, item.clone()));
                        } else {
                            let queue = &mut self.live[host as usize].queue;
                            self.queues.push(queue, &item);
                            self.journal.open(fingerprint);
                        }
                    }
                    Record::Rules { host, rules } => {
                        self.live[host as usize].rules = Rules::decode(rules).map(Box::new);
                    }
                    Record::Scope { name } => {
                        self.policy.restore_name(&String::from_utf8_lossy(name));
                    }
                    Record::Excluded { .. } | Record::Dropped { .. } | Record::Failed { .. } => {}
                }
            }
            if reader.unread() > 0 {
                return Err(damaged("a URL log record that is not whole"));
            }
        }
        self.forget_stale_rules();
        Ok(again)
    }

    /// A host whose robots.txt was replaced by one without rules keeps none.
    fn forget_stale_rules(&mut self) {
        for (host, live) in self.live.iter_mut().enumerate() {
            if host < self.hosts.len() && self.hosts.get(host as u32).robots != RobotsState::Rules {
                live.rules = None;
            }
        }
    }

    fn compare(&mut self, state: &State, cut: &Cut, again: &[(u32, Queued)]) -> Result<()> {
        if self.hosts.named() != self.hosts.len() {
            return Err(damaged("hosts without a name"));
        }
        let open = again.iter().fold(self.journal.open_sum, |sum, (_, item)| {
            sum.wrapping_add(journal::spread(item.fingerprint))
        });
        let rebuilt = State {
            seen_sum: self.journal.seen_sum,
            open_sum: open,
            hosts: self.hosts.len() as u32,
            ..state.clone()
        };
        let queued: u64 = self.live.iter().map(|l| u64::from(l.queue.len())).sum();
        if queued != state.counters.queued || again.len() as u64 != state.counters.in_flight {
            return Err(damaged("queues of another length than the counters say"));
        }
        if rebuilt.hash() != cut.state_hash || !state.counters.balances() {
            return Err(damaged("the state hash differs"));
        }
        Ok(())
    }

    /// Queues what was in flight, under new numbers: the old ones lie before the hosts' marks.
    fn requeue(&mut self, again: Vec<(u32, Queued)>, now: Tick) {
        self.counters.in_flight -= again.len() as u64;
        for (host, item) in again {
            self.enqueue(host, &item, now);
        }
    }
}
