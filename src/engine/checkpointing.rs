//! The checkpoint thread: the only one that stores to mapped files and waits for syncs.
//!
//! What must hold: it never holds anybody up; what it cannot take yet stays in its rings, and the frontier slows down
//! when they fill. It ends when the crawl is over, and after the first error.

use super::control::{Control, Phase};
use crate::checkpoint::{Checkpointer, Durable};
use crate::event::{Delta, StoreNote};
use crate::ring::{Bell, Receiver, Sender};
use crate::time::{Clock, SECOND, Tick};
use std::sync::Arc;
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
        let (mut deltas, mut notes) = (Vec::new(), Vec::new());
        let mut ahead_at = self.clock.now() + AHEAD_EVERY;
        while self.control.phase() < Phase::Over {
            let now = self.clock.now();
            if now >= ahead_at {
                if let Err(error) = self.checkpointer.sync_ahead() {
                    return self.control.fail(error);
                }
                ahead_at = self.clock.now() + AHEAD_EVERY;
            }
            match self.turn(&mut deltas, &mut notes) {
                Ok(0) => {
                    let (deltas, notes) = (&self.deltas, &self.notes);
                    self.bell
                        .park(PARK, || !deltas.is_empty() || !notes.is_empty());
                }
                Ok(_) => {}
                Err(error) => return self.control.fail(error),
            }
        }
    }

    fn turn(
        &mut self,
        deltas: &mut Vec<Delta>,
        notes: &mut Vec<StoreNote>,
    ) -> crate::error::Result<usize> {
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
        if let Some(durable) = self.checkpointer.turn(self.clock.now())? {
            work += 1;
            if self.durables.send(durable).is_err() {
                unreachable!("one checkpoint is under way at a time");
            }
        }
        Ok(work)
    }
}
