//! From a checkpoint back to a frontier: rebuild what is derived, requeue what was in flight, compare the state hash.
//!
//! What must hold:
//! * the logs are taken in piece by piece and never lie in memory whole, so a restore needs no more memory than the crawl;
//! * fingerprints and queues are rebuilt side by side (they share nothing), with the same result as one after the other;
//! * what is rebuilt has the state hash of the cut, or there is no frontier.
//!
//! Deliberately absent: files and their checksums, which are the business of whoever implements [`Logs`].

use super::cut::State;
use super::domains::domain_of;
use super::filling::Filling;
use super::hosts::{Hosts, RobotsState};
use super::log::{Reader, Record};
use super::queue::{Item, Queued};
use super::seen::SeenSet;
use super::{Frontier, InFlight, Live, journal};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::event::{CrawlIdentity, Cut, HostId};
use crate::protocol::robots::Rules;
use crate::time::Tick;
use std::collections::HashSet;

/// Known URLs from which a second thread is worth its start.
const THREADS_URLS_MIN: u64 = 1 << 18;
/// Queued URLs whose hosts are looked up together.
const BATCH: usize = 64;

/// Where a restore takes the logs from.
pub trait Logs: Sync {
    /// Hands all fingerprints to `take`, in order of discovery, in pieces. False: the log could not be read to its end.
    fn seen(&self, take: &mut dyn FnMut(&[u64])) -> bool;
    /// Hands all URL records to `take`, in order, in pieces of whole records. False: the log could not be read to its
    /// end.
    fn urls(&self, take: &mut dyn FnMut(&[u8])) -> bool;
}

/// Logs that lie in memory.
#[derive(Clone, Debug, Default)]
pub struct InMemory {
    /// Fingerprints.
    pub seen: Vec<Vec<u64>>,
    /// URL records.
    pub urls: Vec<Vec<u8>>,
}

impl InMemory {
    /// A copy of `logs`; `None` where they could not be read.
    pub fn of(logs: &dyn Logs) -> Option<Self> {
        let mut all = Self::default();
        let whole = logs.seen(&mut |piece| all.seen.push(piece.to_vec()))
            && logs.urls(&mut |piece| all.urls.push(piece.to_vec()));
        whole.then_some(all)
    }
}

impl Logs for InMemory {
    fn seen(&self, take: &mut dyn FnMut(&[u64])) -> bool {
        self.seen.iter().for_each(|piece| take(piece));
        true
    }

    fn urls(&self, take: &mut dyn FnMut(&[u8])) -> bool {
        self.urls.iter().for_each(|piece| take(piece));
        true
    }
}

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
    /// The frontier as it stood at `cut`, with what was in flight back in the queues. `logs` end at the cut; `image` is
    /// the host image.
    ///
    /// # Errors
    /// Where they contradict each other or the cut's state hash, or could not be read.
    pub fn restore(
        config: &Config,
        identity: &CrawlIdentity,
        cut: &Cut,
        image: &[u8],
        logs: &dyn Logs,
        now: Tick,
    ) -> Result<(Self, Restored)> {
        let state = State::decode(&cut.state).ok_or_else(|| damaged("unreadable state"))?;
        let mut frontier = Self::new(config, identity)?;
        frontier.hosts = Hosts::restore(image, state.hosts as usize);
        frontier.journal.urls_len = cut.urls_len;
        frontier.journal.epoch = cut.epoch;
        frontier.counters = state.counters.clone();
        frontier.mimes = state.mimes.clone();
        let bytes_max = frontier.seen_bytes_max;
        let mut rebuild = Rebuild::new(&mut frontier, &state);
        let (seen, queues) = if cut.seen_len >= THREADS_URLS_MIN {
            std::thread::scope(|scope| {
                let seen = scope.spawn(|| rebuild_seen(logs, cut.seen_len, bytes_max));
                let queues = rebuild.run(logs);
                let seen = seen.join().unwrap_or_else(|panic| {
                    std::panic::resume_unwind(panic);
                });
                (seen, queues)
            })
        } else {
            (
                rebuild_seen(logs, cut.seen_len, bytes_max),
                rebuild.run(logs),
            )
        };
        let again = rebuild.again;
        queues?;
        (frontier.seen, frontier.journal.seen_sum) = seen?;
        frontier.journal.seen_len = cut.seen_len;
        frontier.forget_stale_rules();
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
        let fits = |(host, live): (usize, &Live)| {
            let record = self.hosts.get(host as HostId);
            record.fits(live.queue.len())
        };
        if !self.live.iter().enumerate().all(fits) {
            return Err(damaged("a host's record that does not fit its queue"));
        }
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

/// The seen set of `known` fingerprints, and their sum.
fn rebuild_seen(logs: &dyn Logs, known: u64, bytes_max: usize) -> Result<(SeenSet, u64)> {
    let mut set = SeenSet::new(known as usize, bytes_max);
    let mut filling = Filling::new(&mut set, known as usize);
    let (mut sum, mut len) = (0u64, 0u64);
    let whole = logs.seen(&mut |piece| {
        len += piece.len() as u64;
        filling.extend(piece);
        sum = piece
            .iter()
            .fold(sum, |sum, f| sum.wrapping_add(journal::spread(*f)));
    });
    if !filling.finish() {
        return Err(damaged(
            "the seen log holds what it cannot hold, or more than fits into a fifth of --memory",
        ));
    }
    if !whole || len != known {
        return Err(damaged("the seen log has another length than the cut says"));
    }
    Ok((set, sum))
}

/// Reads the URL log: names, rules, scope, and the URLs that are still to do.
struct Rebuild<'a> {
    frontier: &'a mut Frontier,
    in_flight: HashSet<InFlight>,
    /// Those in flight at the cut.
    again: Vec<(u32, Queued)>,
}

impl<'a> Rebuild<'a> {
    fn new(frontier: &'a mut Frontier, state: &State) -> Self {
        Self {
            frontier,
            in_flight: state.in_flight.iter().copied().collect(),
            again: Vec::new(),
        }
    }

    fn run(&mut self, logs: &dyn Logs) -> Result<()> {
        let mut flaw = None;
        let whole = logs.urls(&mut |piece| {
            if flaw.is_none() {
                flaw = self.piece(piece).err();
            }
        });
        match flaw {
            Some(flaw) => Err(flaw),
            None if !whole => Err(damaged("the URL log cannot be read")),
            None => Ok(()),
        }
    }

    fn piece(&mut self, piece: &[u8]) -> Result<()> {
        let mut waiting = Vec::with_capacity(BATCH);
        let mut reader = Reader::new(piece);
        for record in reader.by_ref() {
            match record {
                Record::Host { origin } => {
                    let key = self.frontier.fingerprinter.of(origin);
                    if !self.frontier.hosts.restore_name(key, origin) {
                        return Err(damaged("more hosts named than recorded"));
                    }
                    let domain = domain_of(origin).as_bytes();
                    let domain = self.frontier.fingerprinter.of(domain);
                    self.frontier.domains.admit(domain, u32::MAX);
                    self.frontier.live.push(Live::default());
                }
                Record::Queued { host, .. } | Record::Rules { host, .. }
                    if host as usize >= self.frontier.live.len() =>
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
                    let it = Item {
                        fingerprint,
                        depth,
                        kind,
                        redirects,
                        tries,
                        target,
                    };
                    if seq >= self.frontier.hosts.get(host).popped {
                        waiting.push((host, it));
                        if waiting.len() == BATCH {
                            self.queue(&mut waiting);
                        }
                    } else if self.in_flight.contains(&InFlight { host, seq }) {
                        self.again.push((host, it.to_queued()));
                    }
                }
                Record::Rules { host, rules } => {
                    self.frontier.live[host as usize].rules = Rules::decode(rules).map(Box::new);
                }
                Record::Scope { name } => {
                    self.frontier
                        .policy
                        .restore_name(&String::from_utf8_lossy(name));
                }
                Record::Excluded { .. } | Record::Dropped { .. } | Record::Failed { .. } => {}
            }
        }
        self.queue(&mut waiting);
        match reader.unread() {
            0 => Ok(()),
            _ => Err(damaged("a URL log record that is not whole")),
        }
    }

    /// Queues a batch. The ends of all its queues are touched first, so that the waits for memory overlap.
    fn queue(&mut self, waiting: &mut Vec<(HostId, Item<'_>)>) {
        let Frontier {
            live,
            queues,
            journal,
            ..
        } = &mut *self.frontier;
        let touched = waiting.iter().fold(0, |sum, (host, _)| {
            sum ^ queues.touch(&live[*host as usize].queue)
        });
        std::hint::black_box(touched);
        for (host, it) in waiting.drain(..) {
            queues.push(&mut live[host as usize].queue, &it);
            journal.open(it.fingerprint);
        }
    }
}
