//! What a stage's thread does when a turn found no work: spin, then yield, then park.
//!
//! What must hold: the policy reads no clock and knows no thread; it maps fruitless turns in a row to the next step,
//! and one turn with work starts it over. Parks grow from [`limits::IDLE_PARK_US_MIN`] by doubling and never exceed
//! [`limits::IDLE_PARK_US_MAX`], so a thread looks at its timers and the stop flag that often at least.
//!
//! Deliberately absent: the waiting itself. A fetcher parks in `epoll`, others on their [`crate::ring::Bell`].

use crate::limits;
use std::time::Duration;

/// How a thread idles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idle {
    /// Never gives its core away. Only where every thread has a physical core of its own and some are left: with more
    /// threads than cores it was measured 60 to 100 times slower than yielding.
    Spin,
    /// Spins briefly, yields, then parks with a bound.
    Backoff,
}

impl std::fmt::Display for Idle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Spin => "spin",
            Self::Backoff => "park",
        })
    }
}

/// The next thing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// Take the next turn at once.
    None,
    /// One spin-loop hint.
    Spin,
    /// Give the rest of the time slice away.
    Yield,
    /// Wait for the bell, at most this long.
    Park(Duration),
}

/// Counts the fruitless turns of one thread.
#[derive(Clone, Debug)]
pub struct Idler {
    policy: Idle,
    fruitless: u32,
}

impl Idler {
    /// A counter at zero.
    pub fn new(policy: Idle) -> Self {
        Self {
            policy,
            fruitless: 0,
        }
    }

    /// What to do after a turn that did `work` units.
    #[inline]
    pub fn after(&mut self, work: usize) -> Pause {
        if work > 0 {
            self.fruitless = 0;
            return Pause::None;
        }
        self.fruitless = self.fruitless.saturating_add(1);
        match self.policy {
            Idle::Spin => Pause::Spin,
            Idle::Backoff => self.back_off(),
        }
    }

    fn back_off(&self) -> Pause {
        const YIELDS_FROM: u32 = limits::IDLE_SPINS;
        const PARKS_FROM: u32 = YIELDS_FROM + limits::IDLE_YIELDS;
        let n = self.fruitless - 1;
        if n < YIELDS_FROM {
            Pause::Spin
        } else if n < PARKS_FROM {
            Pause::Yield
        } else {
            let doublings = (n - PARKS_FROM).min(31);
            let micros = limits::IDLE_PARK_US_MIN.saturating_mul(1 << doublings);
            Pause::Park(Duration::from_micros(micros.min(limits::IDLE_PARK_US_MAX)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backing_off_spins_then_yields_then_parks_longer_up_to_the_bound() {
        let mut idler = Idler::new(Idle::Backoff);
        for _ in 0..limits::IDLE_SPINS {
            assert_eq!(idler.after(0), Pause::Spin);
        }
        for _ in 0..limits::IDLE_YIELDS {
            assert_eq!(idler.after(0), Pause::Yield);
        }
        let mut last = Duration::ZERO;
        for _ in 0..100 {
            let Pause::Park(time) = idler.after(0) else {
                panic!("parks from here on");
            };
            assert!(time >= last && time <= Duration::from_micros(limits::IDLE_PARK_US_MAX));
            last = time;
        }
        assert_eq!(last, Duration::from_micros(limits::IDLE_PARK_US_MAX));
        assert_eq!(idler.after(1), Pause::None);
        assert_eq!(idler.after(0), Pause::Spin, "work starts it over");
    }

    #[test]
    fn spinning_never_gives_the_core_away() {
        let mut idler = Idler::new(Idle::Spin);
        assert!((0..10_000).all(|_| idler.after(0) == Pause::Spin));
        idler.fruitless = u32::MAX;
        assert_eq!(idler.after(0), Pause::Spin);
    }

    #[test]
    fn counting_does_not_overflow() {
        let mut idler = Idler::new(Idle::Backoff);
        idler.fruitless = u32::MAX;
        assert!(matches!(idler.after(0), Pause::Park(_)));
    }
}
