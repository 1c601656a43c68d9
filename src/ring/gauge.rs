//! How much lies in a ring, for those who own neither end.
//!
//! The disruptor tells nobody its depth, so each end keeps a counter of its own, on a cache line of its own, and writes
//! it once per batch. Readings are a little old and never decide about correctness.

use crossbeam::utils::CachePadded;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counters of one ring.
#[derive(Debug, Default)]
pub struct Gauge {
    produced: CachePadded<AtomicU64>,
    consumed: CachePadded<AtomicU64>,
}

impl Gauge {
    /// Values sent since the ring was made.
    pub fn produced(&self) -> u64 {
        self.produced.load(Ordering::Relaxed)
    }

    /// Values taken since the ring was made.
    pub fn consumed(&self) -> u64 {
        self.consumed.load(Ordering::Relaxed)
    }

    /// Values in the ring, about: the two counters are not read at one moment.
    pub fn depth(&self) -> u64 {
        // In this order the depth is never understated by what is taken between the two readings.
        let consumed = self.consumed();
        self.produced().saturating_sub(consumed)
    }

    #[inline]
    pub(super) fn set_produced(&self, total: u64) {
        self.produced.store(total, Ordering::Relaxed);
    }

    #[inline]
    pub(super) fn set_consumed(&self, total: u64) {
        self.consumed.store(total, Ordering::Relaxed);
    }
}
