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
use crate::time::{Clock, MILLISECOND, Tick};
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

/// What is known of the checkpoint thread.
#[derive(Default)]
struct Writer {
    silence: Silence<u64>,
    stuck: bool,
}

/// What is to be done about the lease.
#[derive(Debug, PartialEq, Eq)]
enum Duty {
    Renew,
    /// The checkpoint thread does not get on; the first time that is worth a word.
    Lapse {
        first: bool,
    },
}

impl Writer {
    fn look(&mut self, turns: u64, now: Tick) -> Duty {
        let silent = self.silence.look(turns, now);
        let stuck = turns != WRITER_ABSENT && silent >= limits::LEASE_STALL_MS * MILLISECOND;
        let before = std::mem::replace(&mut self.stuck, stuck);
        match stuck {
            true => Duty::Lapse { first: !before },
            false => Duty::Renew,
        }
    }
}

fn keep(lease: &Lease, control: &Control, done: &AtomicBool) {
    let clock = Clock::starting_at(0);
    let mut writer = Writer::default();
    while !done.load(Ordering::Acquire) {
        let turns = control.writer_turns.load(Ordering::Relaxed);
        let kept = match writer.look(turns, clock.now()) {
            Duty::Renew => lease.renew(),
            Duty::Lapse { first } => {
                if first {
                    control.remark(format!(
                        "the checkpoint thread has been stuck in the disk for {} s; a standby, if there is one, takes over",
                        limits::LEASE_STALL_MS / 1_000
                    ));
                }
                lease.confirm()
            }
        };
        if let Err(error) = kept {
            return control.fail(error);
        }
        std::thread::park_timeout(Duration::from_millis(limits::LEASE_RENEW_MS));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::SECOND;

    const STALL_S: u64 = limits::LEASE_STALL_MS / 1_000;

    #[test]
    fn a_writer_that_does_not_get_on_lets_the_lease_lapse_until_it_does() {
        let mut writer = Writer::default();
        for s in 0..100 {
            assert_eq!(writer.look(1 + s / 20, s * SECOND), Duty::Renew);
        }
        for s in 0..STALL_S {
            assert_eq!(writer.look(9, (100 + s) * SECOND), Duty::Renew);
        }
        let later = |s: u64| (100 + STALL_S + s) * SECOND;
        assert_eq!(writer.look(9, later(0)), Duty::Lapse { first: true });
        assert_eq!(writer.look(9, later(1)), Duty::Lapse { first: false });
        assert_eq!(writer.look(10, later(2)), Duty::Renew);
    }

    #[test]
    fn before_and_after_the_writer_runs_nothing_is_asked_of_it() {
        let mut writer = Writer::default();
        for s in 0..10 * STALL_S {
            assert_eq!(writer.look(WRITER_ABSENT, s * SECOND), Duty::Renew);
        }
    }

    /// A process that was stopped as a whole has no stuck writer.
    #[test]
    fn the_time_in_which_this_thread_was_stopped_too_does_not_count() {
        let mut writer = Writer::default();
        assert_eq!(writer.look(5, 0), Duty::Renew);
        assert_eq!(writer.look(5, 3_600 * SECOND), Duty::Renew);
    }
}
