//! One life of the crawler: the real frontier, parser, store and checkpointer, taking turns in one thread.
//!
//! What must hold: stages hand over what the engine's hand over, in the same order and through queues with the same
//! bounds; within its turn the frontier does what [`crate::engine`]'s does (answers, returns, durables, the end, sweep,
//! cut, dispatch, orders, commits, deltas). Which stage has its turn when, and how much it takes, is drawn: that is
//! what threads would decide. The clock jumps to the next thing that happens.
//!
//! The checkpointer is busy while the fake disk syncs; the store's writes and the parser cost no time.

use super::dice::Dice;
use super::network::Network;
use super::open::Pieces;
use super::oracle::{Complaint, Oracle};
use super::settings::Settings;
use crate::checkpoint::{Cadence, Checkpointer, Durable};
use crate::error::Error;
use crate::event::{Commit, CrawlIdentity, Delta, Job, Outcome, Page, StoreNote};
use crate::frontier::Frontier;
use crate::parse::Parser;
use crate::protocol::zframe::Level;
use crate::store::Store;
use crate::time::{MICROSECOND, MILLISECOND, SECOND, Tick};
use std::collections::{BTreeMap, VecDeque};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Between two syncs of what has been written since the last cut, as the checkpoint stage does.
const AHEAD_EVERY: Tick = SECOND;
/// How long a polite stop waits for what is on its way.
const GRACE: Tick = 3 * SECOND;
/// Deltas that may wait before no more orders are given.
const DELTAS_MAX: usize = 256;
/// A turn of the loop, ticks, at least.
const TURN: Tick = 10 * MICROSECOND;

/// Longest jump after a turn that a stage sat out.
const STALLED: Tick = 5 * MILLISECOND;

/// Why a life ended.
#[derive(Debug)]
pub enum Death {
    /// A call on the disk failed: the crawler stopped by itself.
    Disk(Error),
    /// Something does not hold.
    Wrong(Complaint),
}

impl From<Error> for Death {
    fn from(error: Error) -> Self {
        Self::Disk(error)
    }
}

/// What the world outside has, whatever becomes of the crawler.
pub struct Outside<'a> {
    /// The settings.
    pub settings: &'a Settings,
    /// The fake network.
    pub network: &'a mut Network,
    /// The memory of the crawl.
    pub oracle: &'a mut Oracle,
    /// Time outside, ticks since the simulation began.
    pub elapsed: &'a mut Tick,
}

#[derive(Clone, Copy, Debug)]
enum Ending {
    No,
    Draining { since: Tick },
    LastCut { epoch: u64 },
    Over,
}

/// A running crawler.
pub struct Process {
    frontier: Frontier,
    store: Store,
    checkpointer: Checkpointer,
    parser: Parser,
    cadence: Cadence,
    dice: Dice,
    now: Tick,
    started: Tick,
    /// Time outside at `started`.
    outside: Tick,
    /// Pages on the network by when they are answered.
    away: BTreeMap<(Tick, u64), Box<Page>>,
    sent: u64,
    findings: VecDeque<Box<Page>>,
    returns: VecDeque<Box<Page>>,
    commits: VecDeque<Commit>,
    deltas: VecDeque<Delta>,
    /// Compactions of this life that took effect.
    pub compactions: u64,
    notes: VecDeque<StoreNote>,
    durables: VecDeque<Durable>,
    /// Until when the checkpointer syncs.
    syncs_until: Tick,
    ahead_at: Tick,
    /// A polite stop at this time.
    stop_at: Tick,
    ending: Ending,
    /// Whether a stage sat out the last turn: what was due for it is still due.
    stalled: bool,
    /// When a host may be asked next, by politeness.
    polite: BTreeMap<Vec<u8>, Tick>,
    /// Hash over all orders and checkpoints so far.
    trace: u64,
}

impl Process {
    /// Starts with what was opened; the seeds are in.
    pub fn new(
        pieces: Pieces,
        identity: &CrawlIdentity,
        outside: &mut Outside<'_>,
        dice: Dice,
    ) -> Self {
        let settings = outside.settings;
        let mut dice = dice;
        let now = pieces.tick;
        let stop_at = if dice.one_in(settings.stop) {
            now + dice.below(40 * SECOND)
        } else {
            Tick::MAX
        };
        Self {
            parser: Parser::new(identity, settings.config.assets)
                .expect("memory for a parser")
                .with_sitemaps(settings.config.sitemaps),
            cadence: Cadence::new(settings.config.checkpoint_every, pieces.epoch, now),
            frontier: pieces.frontier,
            store: pieces.store,
            checkpointer: pieces.checkpointer,
            dice,
            now,
            started: now,
            outside: *outside.elapsed,
            away: BTreeMap::new(),
            sent: 0,
            findings: VecDeque::new(),
            returns: VecDeque::new(),
            commits: VecDeque::new(),
            deltas: VecDeque::new(),
            compactions: 0,
            notes: VecDeque::new(),
            durables: VecDeque::new(),
            syncs_until: 0,
            ahead_at: now + AHEAD_EVERY,
            stop_at,
            ending: Ending::No,
            stalled: false,
            polite: BTreeMap::new(),
            trace: 0,
        }
    }

    /// Whether the crawl ended cleanly.
    pub fn is_over(&self) -> bool {
        matches!(self.ending, Ending::Over)
    }

    /// Whether nothing was left to do when it did.
    pub fn is_finished(&self) -> bool {
        self.is_over() && self.frontier.is_dry()
    }

    /// Crawl time.
    pub fn now(&self) -> Tick {
        self.now
    }

    /// Hash over all orders and durable checkpoints: equal seeds, equal traces.
    pub fn trace(&self) -> u64 {
        self.trace
    }

    /// One round: time passes, and each stage that is not held up has a turn.
    pub fn turn(&mut self, outside: &mut Outside<'_>) -> Result<(), Death> {
        self.pass_time();
        *outside.elapsed = self.outside + (self.now - self.started);
        self.answer(outside);
        let first = self.dice.below(3);
        self.stalled = false;
        for stage in 0..3 {
            if self.dice.one_in(outside.settings.stall) {
                self.stalled = true;
                continue;
            }
            match (first + stage) % 3 {
                0 => self.frontier_turn(outside)?,
                1 => self.store_turn()?,
                _ => self.checkpoint_turn(outside)?,
            }
        }
        let at_risk = self.cadence.at_risk(self.now);
        if at_risk > outside.settings.redo_bound() {
            return Err(Death::Wrong(format!(
                "a crash now would cost {} ms of work ({:?})",
                at_risk / MILLISECOND,
                self.ending
            )));
        }
        Ok(())
    }

    fn note_trace(&mut self, what: &[u8], number: u64) {
        self.trace = xxh3_64_with_seed(what, self.trace ^ number.rotate_left(17));
    }

    /// To the next thing that happens; a little where something waits in a queue.
    fn pass_time(&mut self) {
        let later = self.now + TURN + self.dice.below(100) * MICROSECOND;
        let gauge = self.frontier.gauge();
        let may_order = gauge.may_order && matches!(self.ending, Ending::No);
        let stages_wait = !(self.findings.is_empty()
            && self.returns.is_empty()
            && self.commits.is_empty()
            && self.durables.is_empty()
            && self.frontier.may_cut())
            || may_order && self.frontier.deltas_waiting() < DELTAS_MAX;
        let disk_waits = self.checkpointer.busy()
            || self.frontier.deltas_waiting() > 0
            || !self.deltas.is_empty()
            || !self.notes.is_empty();
        if stages_wait || disk_waits && self.syncs_until <= later {
            self.now = later;
            return;
        }
        let events = [
            self.away.keys().next().map(|(at, _)| *at),
            self.frontier.next_tick(),
            self.cadence.is_idle().then(|| self.cadence.next_cut()),
            Some(self.syncs_until),
            Some(self.ahead_at),
            Some(self.stop_at),
        ];
        let ahead = events.into_iter().flatten().filter(|at| *at > self.now);
        let next = ahead.min().unwrap_or(self.now + SECOND);
        let most = if self.stalled { STALLED } else { SECOND };
        self.now = next.min(self.now + most).max(later);
    }

    /// Answers that are due arrive and are parsed.
    fn answer(&mut self, outside: &mut Outside<'_>) {
        let late = matches!(self.ending, Ending::Draining { since } if self.now > since + GRACE);
        while let Some(entry) = self.away.first_entry() {
            if entry.key().0 > self.now && !late {
                break;
            }
            let due = entry.key().0;
            let mut page = entry.remove();
            if due > self.now {
                // The lane was stopped: what is on its way comes back unfinished.
                page.outcome = Outcome::Pending;
            } else {
                outside.network.answer(&mut page, *outside.elapsed);
            }
            page.fetched_at = 1_700_000_000_000 + *outside.elapsed / MILLISECOND;
            page.clocks.done = self.now;
            self.parser.parse(&mut page, Level::Fast);
            self.findings.push_back(page);
        }
    }

    fn frontier_turn(&mut self, outside: &mut Outside<'_>) -> Result<(), Death> {
        let now = self.now;
        let some = self.dice.between(1, 64) as usize;
        for page in self.findings.drain(..some.min(self.findings.len())) {
            let pause = outside
                .settings
                .config
                .delay
                .max(Tick::from(page.facts.retry_after_s) * SECOND);
            if page.job == Job::Fetch && outside.settings.config.per_host == 1 {
                let next = now + pause;
                if page.outcome != Outcome::Pending {
                    self.polite.insert(page.origin().to_vec(), next);
                }
            }
            self.frontier.handle(page, now);
        }
        for page in self.returns.drain(..) {
            self.frontier.returned(page);
        }
        while let Some(durable) = self.durables.pop_front() {
            self.cadence.durable(&durable, now);
        }
        self.mind_the_end(outside);
        self.frontier.sweep();
        let last = matches!(self.ending, Ending::LastCut { .. } | Ending::Over);
        if !last && self.frontier.may_cut() && self.cadence.is_due(now) {
            self.cut(outside);
        }
        if self.frontier.deltas_waiting() < DELTAS_MAX {
            self.frontier.dispatch(now);
        }
        self.pass_on(outside)
    }

    fn cut(&mut self, outside: &mut Outside<'_>) -> u64 {
        let hash = self.frontier.state_hash();
        let wall = 1_700_000_000_000 + *outside.elapsed / MILLISECOND;
        let epoch = self.frontier.cut(self.now, wall);
        outside.oracle.cut(epoch, hash, self.now);
        self.cadence.cut(epoch, self.now);
        epoch
    }

    fn mind_the_end(&mut self, outside: &mut Outside<'_>) {
        match self.ending {
            Ending::No => {
                let dry = self.frontier.is_dry() && self.frontier.is_settled();
                if dry || self.now >= self.stop_at {
                    self.frontier.stop();
                    self.ending = Ending::Draining { since: self.now };
                }
            }
            Ending::Draining { .. } => {
                let idle = self.cadence.is_idle() && self.frontier.may_cut();
                if self.frontier.is_settled() && idle {
                    let epoch = self.cut(outside);
                    self.ending = Ending::LastCut { epoch };
                }
            }
            Ending::LastCut { epoch } => {
                if self.cadence.durable_epoch() >= epoch {
                    self.ending = Ending::Over;
                }
            }
            Ending::Over => {}
        }
    }

    /// Orders to the network, commits to the store, deltas to the checkpointer.
    fn pass_on(&mut self, outside: &mut Outside<'_>) -> Result<(), Death> {
        let orders: Vec<Box<Page>> = self.frontier.orders().collect();
        for page in orders {
            self.check_order(&page, outside).map_err(Death::Wrong)?;
            self.note_trace(
                &page.url,
                self.now ^ u64::from(page.slot) << 40 ^ u64::from(page.tries),
            );
            let due = self.now + 1 + self.dice.below(outside.settings.latency);
            self.sent += 1;
            self.away.insert((due, self.sent), page);
        }
        while let Some(commit) = self.frontier.next_commit() {
            match &commit {
                Commit::Page(page) => outside.oracle.commit(page).map_err(Death::Wrong)?,
                Commit::Marker { epoch } => outside.oracle.marker(*epoch),
            }
            self.commits.push_back(commit);
        }
        while self.deltas.len() < outside.settings.delta_slots {
            let Some(delta) = self.frontier.next_delta() else {
                break;
            };
            outside.oracle.delta(&delta);
            self.deltas.push_back(delta);
        }
        Ok(())
    }

    /// Nothing stored is fetched again, nothing forbidden is fetched, and hosts are left in peace.
    fn check_order(&self, page: &Page, outside: &Outside<'_>) -> Result<(), Complaint> {
        outside.oracle.order(page)?;
        if page.job != Job::Fetch {
            return Ok(());
        }
        let url = String::from_utf8_lossy(&page.url);
        let obey = outside.settings.config.robots == crate::config::Robots::Obey;
        if obey && outside.network.forbids(&page.url) {
            return Err(format!("{url} is ordered, robots.txt forbids it"));
        }
        match self.polite.get(page.origin()) {
            Some(next) if self.now < *next => Err(format!("{url} is ordered too soon")),
            _ => Ok(()),
        }
    }

    fn store_turn(&mut self) -> Result<(), Death> {
        let some = self.dice.between(1, 128) as usize;
        let some = some.min(self.commits.len());
        if some == 0 {
            return Ok(());
        }
        for commit in self.commits.drain(..some) {
            self.store.commit(commit, self.now);
        }
        self.store.turn(self.now)?;
        self.returns.extend(self.store.returned());
        self.notes.extend(self.store.notes());
        Ok(())
    }

    fn checkpoint_turn(&mut self, outside: &mut Outside<'_>) -> Result<(), Death> {
        if self.now < self.syncs_until {
            return Ok(());
        }
        if self.now >= self.ahead_at {
            self.checkpointer.sync_ahead()?;
            self.ahead_at = self.now + AHEAD_EVERY;
        }
        let some = self.dice.between(1, 64) as usize;
        for note in self.notes.drain(..some.min(self.notes.len())) {
            self.checkpointer.note(note)?;
        }
        for delta in self.deltas.drain(..some.min(self.deltas.len())) {
            self.checkpointer.delta(delta)?;
        }
        let busy = self.checkpointer.busy();
        if let Some(durable) = self.checkpointer.turn(self.now)? {
            outside.oracle.durable(durable.epoch);
            self.compactions = durable.compacted.1;
            self.note_trace(b"durable", durable.epoch ^ durable.durable_tick);
            self.durables.push_back(durable);
        }
        if busy {
            self.syncs_until = self.now + self.dice.below(outside.settings.sync);
        }
        Ok(())
    }
}
