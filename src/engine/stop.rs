//! Stopping: the first Ctrl-C or SIGTERM asks politely, the second ends the process at once with exit code 130.
//!
//! What must hold: the polite stop is one flag that the engine looks at between turns; nothing else happens in a signal
//! handler. The second signal leaves nothing behind that a restore cannot deal with: it is a crash like any other.
//!
//! Deliberately absent: waking parked threads (their parks are bounded by [`crate::limits::IDLE_PARK_US_MAX`]).

use crate::error::{Error, Result};
use signal_hook::consts::{SIGINT, SIGTERM};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Exit code of a run that the user stopped.
pub const EXIT_STOPPED: u8 = 130;

/// A request to stop, shared by all threads.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    asked: Arc<AtomicBool>,
}

impl Stop {
    /// A request that only [`Stop::request`] raises; for tests and for crawls inside a larger program.
    pub fn new() -> Self {
        Self::default()
    }

    /// A request that signals raise. Call once per process.
    pub fn on_signals() -> Result<Self> {
        let stop = Self::new();
        for signal in [SIGINT, SIGTERM] {
            // In this order: the handler that exits must see the flag as it was before this very signal.
            signal_hook::flag::register_conditional_shutdown(
                signal,
                i32::from(EXIT_STOPPED),
                Arc::clone(&stop.asked),
            )
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&stop.asked)))
            .map_err(|e| Error::environment(format!("cannot handle signal {signal}: {e}")))?;
        }
        Ok(stop)
    }

    /// Asks for a polite stop.
    pub fn request(&self) {
        self.asked.store(true, Ordering::Relaxed);
    }

    /// Whether a stop was asked for.
    #[inline]
    pub fn is_requested(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_share_the_request() {
        let stop = Stop::new();
        let copy = stop.clone();
        assert!(!copy.is_requested());
        stop.request();
        assert!(copy.is_requested());
    }

    /// The process of this test ends by design, so it is a child: the test program running this one test again.
    #[test]
    fn the_first_signal_asks_and_the_second_ends_the_process() {
        const CHILD: &str = "CYCLOSA_TEST_STOP";
        if std::env::var_os(CHILD).is_some() {
            let stop = Stop::on_signals().unwrap();
            assert!(!stop.is_requested());
            signal_hook::low_level::raise(SIGTERM).unwrap();
            assert!(stop.is_requested());
            signal_hook::low_level::raise(SIGINT).unwrap();
            panic!("the second signal did not end the process");
        }
        let test = "engine::stop::tests::the_first_signal_asks_and_the_second_ends_the_process";
        let child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test])
            .env(CHILD, "1")
            .output()
            .unwrap();
        let shown = String::from_utf8_lossy(&child.stdout);
        let code = Some(i32::from(EXIT_STOPPED));
        assert_eq!(child.status.code(), code, "{shown}");
    }
}
