//! The thread that keeps the lease of the crawl directory, from before the restore until after the report.
//!
//! What must hold: it renews only while the checkpoint thread gets on (a writer that hangs in the disk loses its lease);
//! a lease that is lost ends the crawl at once, and the directory is not touched again. It does nothing that waits for
//! the disk but the renewal itself.

use super::control::{Control, WRITER_ABSENT};
use crate::checkpoint::lease::{Ending, Lease, Silence, Tenure};
use crate::error::{Error, Result};
use crate::limits;
use crate::telemetry::Stop as Reason;
use crate::time::{Clock, MILLISECOND};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// The lease and the thread that renews it; ends with it.
pub struct Keeper {
    done: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    tenure: Tenure,
}

impl Keeper {
    /// Starts the thread.
    ///
    /// # Errors
    /// If there cannot be one more.
    pub fn start(tenure: Tenure, control: &Arc<Control>) -> Result<Self> {
        let done = Arc::new(AtomicBool::new(false));
        let (lease, control, over) = (tenure.lease.clone(), control.clone(), done.clone());
        let thread = std::thread::Builder::new()
            .name("lease".into())
            .spawn(move || keep(&lease, &control, &over))
            .map_err(|e| {
                Error::environment(format!(
                    "cannot start thread lease: {e}; raise the limit on processes"
                ))
            })?;
        Ok(Self {
            done,
            thread: Some(thread),
            tenure,
        })
    }

    /// What it keeps.
    pub fn lease(&self) -> &Arc<Lease> {
        &self.tenure.lease
    }

    /// Gives the lease back after a clean end, and says why it ended.
    ///
    /// # Errors
    /// If the directory is another's already, or the file cannot be written.
    pub fn release(mut self, why: Reason) -> Result<()> {
        self.end();
        self.tenure.lease.release(match why {
            Reason::Finished => Ending::Finished,
            Reason::Time | Reason::Pages => Ending::Bound,
            Reason::Interrupted | Reason::Failed | Reason::Unknown => Ending::Stopped,
        })
    }

    fn end(&mut self) {
        self.done.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _panicked = thread.join();
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.end();
    }
}

fn keep(lease: &Lease, control: &Control, done: &AtomicBool) {
    let clock = Clock::starting_at(0);
    let mut writer = Silence::default();
    let mut stuck = false;
    while !done.load(Ordering::Acquire) {
        let turns = control.writer_turns.load(Ordering::Relaxed);
        let silent = writer.look(turns, clock.now());
        let was_stuck = std::mem::replace(
            &mut stuck,
            turns != WRITER_ABSENT && silent >= limits::LEASE_STALL_MS * MILLISECOND,
        );
        if stuck && !was_stuck {
            control.remark(format!(
                "the checkpoint thread has been stuck in the disk for {} s: a standby takes over now, if there is one",
                limits::LEASE_STALL_MS / 1_000
            ));
        }
        let kept = if stuck {
            lease.confirm()
        } else {
            lease.renew()
        };
        if let Err(error) = kept {
            return control.fail(error);
        }
        std::thread::park_timeout(Duration::from_millis(limits::LEASE_RENEW_MS));
    }
}
