//! The only place that reads a clock.
//!
//! Everything else takes `now` as a parameter, so that the frontier is a function of its inputs and the simulator
//! can run the same code on a clock of its own. Two scales, never mixed:
//! * [`Tick`]: nanoseconds since the crawl began, monotonic, continued across restores. Decides politeness and timeouts.
//! * [`Wall`]: milliseconds since the Unix epoch, UTC. Only for what people and archives read.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Nanoseconds of crawl time. Restores continue from the checkpoint's value.
pub type Tick = u64;

/// Milliseconds since 1970-01-01T00:00:00Z.
pub type Wall = u64;

/// One second in ticks.
pub const SECOND: Tick = 1_000_000_000;
/// One millisecond in ticks.
pub const MILLISECOND: Tick = 1_000_000;
/// One microsecond in ticks.
pub const MICROSECOND: Tick = 1_000;

/// A running clock: a monotonic origin plus the crawl time that lay before it.
///
/// Copies agree with each other, so every thread can hold its own.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
    before: Tick,
}

impl Clock {
    /// A clock that reads `before` now. A new crawl passes 0, a restored one the crawl time of its checkpoint.
    pub fn starting_at(before: Tick) -> Self {
        Self {
            origin: Instant::now(),
            before,
        }
    }

    /// Crawl time now.
    pub fn now(&self) -> Tick {
        self.before + self.origin.elapsed().as_nanos() as Tick
    }

    /// Wall-clock time now; 0 if the system's clock stands before 1970.
    pub fn wall(&self) -> Wall {
        wall_now()
    }
}

/// Wall-clock time now; 0 if the system's clock stands before 1970.
pub fn wall_now() -> Wall {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_millis() as Wall)
}

/// `wall` as RFC 3339 in UTC with whole seconds (`2026-11-21T03:22:00Z`), the form WARC-Date takes.
pub fn rfc3339(wall: Wall) -> String {
    let at = UNIX_EPOCH + std::time::Duration::from_millis(wall);
    humantime::format_rfc3339_seconds(at).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restored_clock_goes_on_where_it_was() {
        let clock = Clock::starting_at(7 * SECOND);
        let first = clock.now();
        assert!(first >= 7 * SECOND);
        assert!(clock.now() >= first);
    }

    #[test]
    fn dates_are_utc_with_whole_seconds() {
        assert_eq!(rfc3339(1_000_999), "1970-01-01T00:16:40Z");
    }
}
