//! How long something has shown no sign of life, by the observer's own clock.
//!
//! What must hold: only time in which the observer looked counts. Of a pause between two looks at most
//! [`limits::LEASE_STEP_MS`] is counted, so an observer that was stopped itself, together with what it observes or alone,
//! gives it time to show itself before it judges.

use crate::limits;
use crate::time::{MILLISECOND, Tick};

/// What was seen last, and for how long it has been the same.
#[derive(Clone, Debug)]
pub struct Silence<T> {
    last: Option<T>,
    looked_at: Tick,
    silent: Tick,
}

impl<T> Default for Silence<T> {
    fn default() -> Self {
        Self {
            last: None,
            looked_at: 0,
            silent: 0,
        }
    }
}

impl<T: PartialEq> Silence<T> {
    /// Takes a look at `now` that showed `sign`; returns for how long it has been the same.
    pub fn look(&mut self, sign: T, now: Tick) -> Tick {
        let step = now.saturating_sub(self.looked_at);
        self.looked_at = now;
        if self.last.as_ref() == Some(&sign) {
            self.silent += step.min(limits::LEASE_STEP_MS * MILLISECOND);
        } else {
            self.last = Some(sign);
            self.silent = 0;
        }
        self.silent
    }

    /// Takes a look that showed nothing, neither life nor silence.
    pub fn blind(&mut self, now: Tick) {
        self.looked_at = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::SECOND;

    const POLL: Tick = limits::STANDBY_POLL_MS * MILLISECOND;
    const LEASE: Tick = limits::LEASE_MS * MILLISECOND;

    #[test]
    fn a_beat_a_second_is_never_silent_for_long() {
        let mut silence = Silence::default();
        for now in (0..1_000 * POLL).step_by(POLL as usize) {
            assert!(silence.look(now / SECOND, now) < SECOND);
        }
    }

    #[test]
    fn silence_is_the_time_since_the_last_change_was_seen() {
        let mut silence = Silence::default();
        let mut now = 7 * SECOND;
        for beat in 0..3 {
            assert_eq!(silence.look(beat, now), 0);
            now += POLL;
        }
        let mut looks = 0;
        while silence.look(2, now) < LEASE {
            now += POLL;
            looks += 1;
        }
        assert_eq!(looks, LEASE / POLL - 1);
        assert_eq!(silence.look(3, now + POLL), 0, "it lives again");
    }

    #[test]
    fn an_observer_that_was_stopped_judges_nothing_by_its_own_pause() {
        let mut silence = Silence::default();
        silence.look(1, 0);
        // An hour in which neither ran: one step counts, and then the beat comes.
        let hour = 3_600 * SECOND;
        assert!(silence.look(1, hour) < LEASE);
        assert_eq!(silence.look(2, hour + POLL), 0);
        // Without a beat it takes several looks.
        let mut looks = 0;
        for n in 2.. {
            looks += 1;
            if silence.look(2, n * hour) >= LEASE {
                break;
            }
        }
        assert!(looks >= 3, "{looks}");
    }

    #[test]
    fn a_look_that_shows_nothing_counts_for_neither() {
        let mut silence = Silence::default();
        silence.look(1, 0);
        let seen = silence.look(1, POLL);
        for n in 2..100 {
            silence.blind(n * POLL);
        }
        assert_eq!(silence.look(1, 100 * POLL), seen + POLL);
    }
}
