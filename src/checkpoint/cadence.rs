//! When a cut is due.
//!
//! What must hold: a cut is taken only when the one before is durable; an interval plus twice the longest time to
//! durable seen so far stays within what was promised, so that a crash at the worst moment, just before a checkpoint is
//! durable, costs no more than that.
//!
//! Deliberately absent: taking the cut, clocks, and what is done where the disk is too slow.

use super::Durable;
use crate::time::{SECOND, Tick};

/// From the first cut of a run to the second; doubled from then on up to what the promise allows. A crawl that is
/// killed early has little to lose, and a small checkpoint costs little.
const FIRST_INTERVAL: Tick = SECOND / 4;

/// The timing of cuts in one run.
#[derive(Clone, Debug)]
pub struct Cadence {
    every: Tick,
    next_cut: Tick,
    /// Between the last cut and the next.
    interval: Tick,
    last_epoch: u64,
    durable_epoch: u64,
    durable_cut: Tick,
    durable_max: Tick,
}

impl Cadence {
    /// `every` is the promise: most work that a crash may cost. `epoch` is the last one of a restored crawl, 0 for a new
    /// one. The first cut is due at once.
    pub fn new(every: Tick, epoch: u64, now: Tick) -> Self {
        Self {
            every,
            next_cut: now,
            interval: 0,
            last_epoch: epoch,
            durable_epoch: epoch,
            durable_cut: now,
            durable_max: 0,
        }
    }

    /// Whether every cut taken so far is durable.
    pub fn is_idle(&self) -> bool {
        self.durable_epoch == self.last_epoch
    }

    /// Whether a cut is to be taken now.
    pub fn is_due(&self, now: Tick) -> bool {
        self.is_idle() && now >= self.next_cut
    }

    /// When the next cut is due, if the last is durable by then.
    pub fn next_cut(&self) -> Tick {
        self.next_cut
    }

    /// A cut was taken.
    pub fn cut(&mut self, epoch: u64, now: Tick) {
        self.last_epoch = epoch;
        let spare = (self.durable_max * 2 + self.every / 20).min(self.every / 2);
        let longest = self.every - spare;
        self.interval = (self.interval * 2)
            .clamp(FIRST_INTERVAL, longest.max(FIRST_INTERVAL))
            .min(longest);
        self.next_cut = now + self.interval;
    }

    /// A checkpoint is durable. Returns how much work a crash could have cost until now, ticks.
    pub fn durable(&mut self, durable: &Durable, now: Tick) -> Tick {
        let at_risk = self.at_risk(now);
        self.durable_epoch = durable.epoch;
        self.durable_cut = durable.cut_tick;
        self.durable_max = self.durable_max.max(now.saturating_sub(durable.cut_tick));
        at_risk
    }

    /// Number of the newest durable checkpoint.
    pub fn durable_epoch(&self) -> u64 {
        self.durable_epoch
    }

    /// Longest time from a cut to its durability in this run, ticks.
    pub fn durable_max(&self) -> Tick {
        self.durable_max
    }

    /// Work that a crash would cost now, ticks.
    pub fn at_risk(&self, now: Tick) -> Tick {
        now.saturating_sub(self.durable_cut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_grow_and_leave_room_for_a_slow_disk() {
        let every = 15 * SECOND;
        for took in [0, SECOND, 3 * SECOND, 60 * SECOND] {
            let (mut cadence, mut now) = (Cadence::new(every, 0, 0), 0);
            for epoch in 1..20 {
                now = now.max(cadence.next_cut());
                assert!(cadence.is_due(now));
                cadence.cut(epoch, now);
                assert!(!cadence.is_due(Tick::MAX), "the last one is not durable");
                let next = cadence.next_cut();
                assert!(next > now && next - now <= every * 19 / 20);
                let durable = Durable {
                    epoch,
                    cut_tick: now,
                    durable_tick: now + took,
                    bytes: 0,
                    duration: took,
                    compacted: (0, 0),
                };
                let at_risk = cadence.durable(&durable, now + took);
                assert!(at_risk <= every || took > 3 * SECOND, "{at_risk} at {took}");
                now += took;
            }
            assert_eq!(cadence.durable_epoch(), 19);
        }
    }
}
