//! The frontier as a stage, and the timing of cuts and of the end.
//!
//! What must hold:
//! * a cut is taken only when the one before is durable; cut-to-cut plus the time to durable stays within
//!   `--checkpoint-every`, and where it does not a remark says so;
//! * the end: no more orders, everything on its way comes back (unfinished after a grace), one last cut, and only when
//!   it is durable do the threads end. So after a clean stop nothing is redone.

use super::control::{Control, Phase};
use super::stages::send;
use crate::checkpoint::{Cadence, Durable};
use crate::event::{Commit, Delta, Page};
use crate::frontier::Frontier;
use crate::ring::{Receiver, Sender};
use crate::telemetry::{Gauges, Measure, StageRecorder, Stop as Reason};
use crate::time::{Clock, MILLISECOND, SECOND, Tick, wall_now};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Answers handled from one parser in one turn.
const ANSWERS_PER_TURN: usize = 64;
/// Pages taken back in one turn.
const RETURNS_PER_TURN: usize = 1_024;
/// How long a polite stop waits for what is on its way.
const GRACE: Tick = 3 * SECOND;
/// Deltas that may wait for the checkpointer before no more orders are given.
const DELTAS_MAX: usize = 256;
/// Between two publications of levels.
const PUBLISH_EVERY: Tick = 50 * MILLISECOND;

/// Checkpoint figures of this run.
#[derive(Clone, Copy, Debug, Default)]
pub struct CheckpointFigures {
    /// Durable checkpoints.
    pub count: u64,
    /// Bytes written for them.
    pub bytes: u64,
    /// Most work that a crash could have cost at any moment, ticks.
    pub redo_bound: Tick,
    /// Longest time from a cut to its durability, ticks.
    pub durable_max: Tick,
    /// Bytes written by compactions, and how many took effect.
    pub compacted: (u64, u64),
}

/// Why and since when the crawl is ending.
#[derive(Clone, Copy, Debug)]
enum Ending {
    No,
    Draining { since: Tick },
    LastCut { epoch: u64 },
}

/// The frontier with its rings.
pub struct FrontierStage {
    pub(super) frontier: Frontier,
    pub(super) findings: Vec<Receiver<Box<Page>>>,
    pub(super) returns: Receiver<Box<Page>>,
    pub(super) lanes: Vec<Sender<Box<Page>>>,
    pub(super) commits: Sender<Commit>,
    pub(super) deltas: Sender<Delta>,
    pub(super) durables: Receiver<Durable>,
    pub(super) recorder: StageRecorder,
    pub(super) clock: Clock,
    pub(super) control: Arc<Control>,
    pub(super) timing: Timing,
    pub(super) taken: Vec<Box<Page>>,
    pub(super) stopped_for: Reason,
    pub(super) figures: CheckpointFigures,
}

/// When things are due.
pub struct Timing {
    every: Tick,
    ends_at: Tick,
    cadence: Cadence,
    next_publish: Tick,
    alarmed: bool,
    ending: Ending,
}

impl Timing {
    /// `every` is the promise; `run_for` bounds this run; `epoch` is the last one of a restored crawl.
    pub fn new(every: Tick, run_for: Option<Tick>, epoch: u64, now: Tick) -> Self {
        Self {
            every,
            ends_at: run_for.map_or(Tick::MAX, |t| now.saturating_add(t)),
            cadence: Cadence::new(every, epoch, now),
            next_publish: 0,
            alarmed: false,
            ending: Ending::No,
        }
    }
}

impl FrontierStage {
    /// Answers in, decisions out, and the cut when it is due.
    pub fn turn(&mut self, now: Tick) -> usize {
        let mut work = self.take_answers(now);
        work += self.returns.take(RETURNS_PER_TURN, &mut self.taken);
        for page in self.taken.drain(..) {
            self.frontier.returned(page);
        }
        self.take_durables(now);
        self.mind_the_end(now);
        self.mind_the_cut(now);
        if self.frontier.deltas_waiting() < DELTAS_MAX {
            work += self.frontier.dispatch(now);
        }
        work += self.pass_on();
        self.publish(now);
        self.recorder.tick(now);
        work
    }

    fn take_answers(&mut self, now: Tick) -> usize {
        let mut work = 0;
        for ring in &mut self.findings {
            work += ring.take(ANSWERS_PER_TURN, &mut self.taken);
        }
        if work > 0 {
            let mut before = self.clock.now();
            for page in self.taken.drain(..) {
                self.frontier.handle(page, now);
                let after = self.clock.now();
                self.recorder.record(Measure::Frontier, after - before);
                before = after;
            }
        }
        work
    }

    fn pass_on(&mut self) -> usize {
        let mut work = 0;
        let lanes = self.lanes.len() as u32;
        for page in self.frontier.orders() {
            send(&mut self.lanes[(page.host % lanes) as usize], page);
            work += 1;
        }
        while let Some(commit) = self.frontier.next_commit() {
            send(&mut self.commits, commit);
            work += 1;
        }
        while let Some(delta) = self.frontier.next_delta() {
            if let Err(full) = self.deltas.send(delta) {
                // The checkpointer is busy syncing; it is asked again in the next turn.
                self.frontier.undo_delta(full.0);
                break;
            }
            work += 1;
        }
        work
    }

    fn take_durables(&mut self, now: Tick) {
        while let Some(durable) = self.durables.recv() {
            let at_risk = self.timing.cadence.durable(&durable, now);
            let took = now.saturating_sub(durable.cut_tick);
            self.recorder.record(Measure::CheckpointDurable, took);
            let figures = &mut self.figures;
            figures.count += 1;
            figures.bytes += durable.bytes;
            figures.compacted = durable.compacted;
            figures.redo_bound = figures.redo_bound.max(at_risk);
            figures.durable_max = self.timing.cadence.durable_max();
            self.timing.alarmed = false;
        }
        let at_risk = self.timing.cadence.at_risk(now);
        if at_risk > self.timing.every + SECOND && !self.timing.alarmed {
            self.timing.alarmed = true;
            self.figures.redo_bound = self.figures.redo_bound.max(at_risk);
            self.control.remark(format!(
                "the last durable checkpoint is {} s old, promised are {} s: the disk is slower than the crawl",
                at_risk / SECOND,
                self.timing.every / SECOND
            ));
        }
    }

    fn mind_the_cut(&mut self, now: Tick) {
        self.frontier.sweep();
        // A polite stop takes seconds: until its own cut the others go on.
        let last = matches!(self.timing.ending, Ending::LastCut { .. });
        if !last && self.frontier.may_cut() && self.timing.cadence.is_due(now) {
            self.cut(now);
        }
    }

    fn cut(&mut self, now: Tick) -> u64 {
        let before = self.clock.now();
        let epoch = self.frontier.cut(now, wall_now());
        self.recorder
            .record(Measure::CheckpointCut, self.clock.now() - before);
        self.timing.cadence.cut(epoch, now);
        epoch
    }

    fn reason_to_end(&self, now: Tick) -> Option<Reason> {
        if self.control.stop.is_requested() {
            Some(Reason::Interrupted)
        } else if self.frontier.is_dry() && self.frontier.is_settled() {
            Some(Reason::Finished)
        } else if self.frontier.reached_max_pages() {
            Some(Reason::Pages)
        } else if now >= self.timing.ends_at {
            Some(Reason::Time)
        } else {
            None
        }
    }

    fn mind_the_end(&mut self, now: Tick) {
        match self.timing.ending {
            Ending::No => {
                if let Some(reason) = self.reason_to_end(now) {
                    self.stopped_for = reason;
                    self.frontier.stop();
                    self.control.advance(Phase::Draining);
                    self.timing.ending = Ending::Draining { since: now };
                }
            }
            Ending::Draining { since } => {
                if now > since + GRACE {
                    self.control.advance(Phase::Abandoning);
                }
                let idle = self.timing.cadence.is_idle();
                if self.frontier.is_settled() && idle && self.frontier.may_cut() {
                    let epoch = self.cut(now);
                    self.timing.ending = Ending::LastCut { epoch };
                }
            }
            Ending::LastCut { epoch } => {
                if self.timing.cadence.durable_epoch() >= epoch {
                    self.publish_now(now);
                    self.control.advance(Phase::Over);
                }
            }
        }
    }

    fn publish(&mut self, now: Tick) {
        let places = &self.control.places;
        let counters = self.frontier.counters();
        let gauge = self.frontier.gauge();
        places.queued.store(counters.queued, Ordering::Relaxed);
        places
            .hosts_waiting
            .store(gauge.waiting as u64, Ordering::Relaxed);
        // Where those that are left are not for the hosts that are ready, credits are what is missing.
        let none_fits = gauge.ready > 0 && !gauge.may_order;
        let credits = if none_fits { 0 } else { gauge.credits };
        places.credits.store(credits as u64, Ordering::Relaxed);
        if now >= self.timing.next_publish {
            self.timing.next_publish = now + PUBLISH_EVERY;
            self.publish_now(now);
            self.mind_the_table();
        }
    }

    /// A larger seen table is allocated by the telemetry thread, and a retired one freed there.
    fn mind_the_table(&mut self) {
        let wanted = self.frontier.wanted_table().unwrap_or(0);
        self.control.wanted_table.store(wanted, Ordering::Relaxed);
        if let Some(table) = self.control.tables.pop() {
            self.frontier.give_table(table);
        }
        if let Some(table) = self.frontier.take_retired_table() {
            let _freed_here_if_full = self.control.retired.push(table);
        }
    }

    fn publish_now(&self, now: Tick) {
        let timing = &self.timing;
        let stored = self.control.places.stored.load(Ordering::Relaxed);
        self.control.publish(|levels| {
            fill_levels(&self.frontier, levels);
            levels.stored_bytes = stored;
            levels.checkpoint_age_ms = Some(timing.cadence.at_risk(now) / MILLISECOND);
            levels.durable_epoch = timing.cadence.durable_epoch();
        });
    }
}

/// What the frontier knows of the levels.
pub(super) fn fill_levels(frontier: &Frontier, levels: &mut Gauges) {
    let counters = frontier.counters();
    let gauge = frontier.gauge();
    levels.pages = counters.pages;
    levels.bytes = counters.wire_bytes;
    levels.discovered = counters.discovered;
    levels.queued = counters.queued;
    levels.in_flight = counters.in_flight;
    levels.done = counters.done();
    levels.excluded = counters.excluded_now();
    levels.dropped = counters.dropped_now();
    levels.hosts_known = gauge.hosts as u64;
    levels.hosts_ready = gauge.ready as u64;
    levels.hosts_waiting = gauge.waiting as u64;
    levels.proxy_fails = gauge.proxy_fails;
}
