//! What all threads of a crawl share: the wish to stop, the phase, a fatal error, and levels for telemetry.
//!
//! What must hold: phases only advance; the first fatal error is kept, later ones are consequences.

use super::stop::Stop;
use crate::error::Error;
use crate::frontier::seen::Table;
use crate::telemetry::Gauges;
use crossbeam::queue::ArrayQueue;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// How far the crawl is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Phase {
    /// Orders are given.
    Running = 0,
    /// No more orders; what is on its way comes back.
    Draining = 1,
    /// What is still on its way is given back unfinished.
    Abandoning = 2,
    /// Threads end.
    Over = 3,
}

/// The checkpoint thread does not run.
pub const WRITER_ABSENT: u64 = 0;

/// Counts that say where pages are, for the limiter. Written by the frontier's thread once a turn.
#[derive(Debug, Default)]
pub struct Places {
    /// URLs queued.
    pub queued: AtomicU64,
    /// Hosts waiting for their delay.
    pub hosts_waiting: AtomicU64,
    /// Credits left.
    pub credits: AtomicU64,
    /// Bytes of all segments, by the store.
    pub stored: AtomicU64,
}

/// Shared by all threads.
pub struct Control {
    /// The user's wish.
    pub stop: Stop,
    phase: AtomicU8,
    failure: Mutex<Option<Error>>,
    levels: Mutex<Gauges>,
    /// Where pages are.
    pub places: Places,
    /// Buckets of a seen table that the frontier wants; 0: none.
    pub wanted_table: AtomicUsize,
    /// Such a table.
    pub tables: ArrayQueue<Table>,
    /// Turns of the checkpoint thread, so that others see that it gets on; [`WRITER_ABSENT`] before and after.
    pub writer_turns: AtomicU64,
    /// Tables to free.
    pub retired: ArrayQueue<Table>,
    remarks: ArrayQueue<String>,
}

impl Control {
    /// At the beginning of a crawl.
    pub fn new(stop: Stop) -> Arc<Self> {
        Arc::new(Self {
            stop,
            phase: AtomicU8::new(Phase::Running as u8),
            failure: Mutex::new(None),
            levels: Mutex::new(Gauges::default()),
            places: Places::default(),
            wanted_table: AtomicUsize::new(0),
            writer_turns: AtomicU64::new(WRITER_ABSENT),
            tables: ArrayQueue::new(1),
            retired: ArrayQueue::new(2),
            remarks: ArrayQueue::new(64),
        })
    }

    /// How far the crawl is.
    #[inline]
    pub fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Running,
            1 => Phase::Draining,
            2 => Phase::Abandoning,
            _ => Phase::Over,
        }
    }

    /// Goes on to `phase`; never back.
    pub fn advance(&self, phase: Phase) {
        self.phase.fetch_max(phase as u8, Ordering::AcqRel);
    }

    /// A fatal error: keeps the first and ends all threads.
    pub fn fail(&self, error: Error) {
        let mut kept = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get_or_insert(error);
        drop(kept);
        self.advance(Phase::Over);
    }

    /// The fatal error, once.
    pub fn take_failure(&self) -> Option<Error> {
        self.failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// Publishes levels unless a reader is just looking.
    pub fn publish(&self, change: impl FnOnce(&mut Gauges)) {
        if let Ok(mut levels) = self.levels.try_lock() {
            change(&mut levels);
        }
    }

    /// Publishes levels that must not be missed (at the end).
    pub fn publish_surely(&self, change: impl FnOnce(&mut Gauges)) {
        change(&mut self.levels.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// The levels.
    pub fn levels(&self) -> Gauges {
        *self.levels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A remark for the user; beyond the bound the newest are lost.
    pub fn remark(&self, text: String) {
        let _full = self.remarks.push(text);
    }

    /// The next remark.
    pub fn next_remark(&self) -> Option<String> {
        self.remarks.pop()
    }
}
