//! The checkpoint thread: the only one that stores to mapped files and waits for syncs.
//!
//! What must hold: before each step of a checkpoint it looks whether the directory is still this process's (see
//! [`crate::checkpoint::lease`] for what rests on that); it never holds anybody up; what it cannot take yet stays in its rings, and the frontier slows down
//! when they fill. It ends when the crawl is over, and after the first error.

use super::control::{Control, Phase, WRITER_ABSENT};
use crate::checkpoint::lease::Lease;
use crate::checkpoint::{Checkpointer, Durable};
use crate::error::Result;
use crate::event::{Delta, StoreNote};
use crate::ring::{Bell, Receiver, Sender};
use crate::time::{Clock, SECOND, Tick};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Deltas taken in one go.
const DELTAS_PER_TURN: usize = 64;
/// Notes taken in one go.
const NOTES_PER_TURN: usize = 64;
/// Longest sleep.
const PARK: Duration = Duration::from_millis(5);

/// Between two syncs of what has been written since the last cut.
const AHEAD_EVERY: Tick = SECOND;

/// The checkpointer with its rings.
pub struct CheckpointStage {
    pub(super) checkpointer: Checkpointer,
    pub(super) lease: Arc<Lease>,
    pub(super) deltas: Receiver<Delta>,
    pub(super) notes: Receiver<StoreNote>,
    pub(super) durables: Sender<Durable>,
    pub(super) bell: Arc<Bell>,
    pub(super) clock: Clock,
    pub(super) control: Arc<Control>,
}

impl CheckpointStage {
    /// Runs until the crawl is over.
    pub fn run(mut self) {
        if let Err(error) = self.work() {
            self.control.fail(error);
        }
        self.control
            .writer_turns
            .store(WRITER_ABSENT, Ordering::Relaxed);
    }

    fn work(&mut self) -> Result<()> {
        let (mut deltas, mut notes) = (Vec::new(), Vec::new());
        let mut ahead_at = self.clock.now() + AHEAD_EVERY;
        let turns = &Arc::clone(&self.control).writer_turns;
        while self.control.phase() < Phase::Over {
            turns.fetch_add(1, Ordering::Relaxed);
            if self.clock.now() >= ahead_at {
                self.checkpointer.sync_ahead()?;
                ahead_at = self.clock.now() + AHEAD_EVERY;
            }
            if self.turn(&mut deltas, &mut notes)? == 0 {
                let (deltas, notes) = (&self.deltas, &self.notes);
                self.bell
                    .park(PARK, || !deltas.is_empty() || !notes.is_empty());
            }
        }
        Ok(())
    }

    fn turn(&mut self, deltas: &mut Vec<Delta>, notes: &mut Vec<StoreNote>) -> Result<usize> {
        let mut work = self.notes.take(NOTES_PER_TURN, notes);
        for note in notes.drain(..) {
            self.checkpointer.note(note)?;
        }
        work += self.deltas.take(DELTAS_PER_TURN, deltas);
        for delta in deltas.drain(..) {
            self.checkpointer.delta(delta)?;
        }
        if let Some(remark) = self.checkpointer.take_remark() {
            self.control.remark(remark);
        }
        if self.checkpointer.busy() {
            self.lease.confirm()?;
        }
        if let Some(durable) = self.checkpointer.turn(self.clock.now())? {
            work += 1;
            if self.durables.send(durable).is_err() {
                unreachable!("one checkpoint is under way at a time");
            }
        }
        Ok(work)
    }
}
