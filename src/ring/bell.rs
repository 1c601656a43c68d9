//! Waking a thread that has gone to sleep over its rings.
//!
//! What must hold: a value sent to a thread that sleeps, or is about to, wakes it. The two sides meet in this order:
//!
//! ```text
//!   sleeper                               sender
//!   1 asleep = true                       1 publish
//!   2 fence SeqCst                        2 fence SeqCst
//!   3 look at the rings again             3 asleep? then clear it and wake
//!   4 wait (bounded) if they are empty
//! ```
//!
//! One of the two fences comes first, so either the sleeper sees the value in step 3 or the sender sees the flag in its
//! step 3. The wait is bounded all the same: timers and signals do not ring.
//!
//! Deliberately absent: counting rings, and bells shared by several sleepers.

use crossbeam::utils::CachePadded;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};
use std::time::Duration;

/// How a sleeper is woken.
enum Wake {
    /// Unpark the thread that first slept on this bell.
    Thread(OnceLock<Thread>),
    /// Anything else, such as an event on a `mio` poll.
    Custom(Arc<dyn Fn() + Send + Sync>),
}

/// The bell of one thread; all senders to that thread ring the same one.
pub struct Bell {
    asleep: CachePadded<AtomicBool>,
    wake: Wake,
}

impl std::fmt::Debug for Bell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let asleep = self.asleep.load(Ordering::Relaxed);
        f.debug_struct("Bell").field("asleep", &asleep).finish()
    }
}

impl Bell {
    /// A bell for a thread that parks. It belongs to the thread that first calls [`Bell::park`], so it can be made and
    /// given to senders before that thread exists.
    pub fn for_thread() -> Arc<Self> {
        Self::with(Wake::Thread(OnceLock::new()))
    }

    /// A bell for a thread that waits elsewhere, in `epoll` for example: `wake` must end that wait, or the next one if
    /// the thread is not waiting yet.
    pub fn custom(wake: Arc<dyn Fn() + Send + Sync>) -> Arc<Self> {
        Self::with(Wake::Custom(wake))
    }

    fn with(wake: Wake) -> Arc<Self> {
        Arc::new(Self {
            asleep: CachePadded::new(AtomicBool::new(false)),
            wake,
        })
    }

    /// The sleeper's side: waits by `wait` unless `ready` finds something in the rings. `wait` must be bounded and must
    /// end when the bell's wake function is called. Returns whether it waited.
    pub fn sleep(&self, ready: impl FnOnce() -> bool, wait: impl FnOnce()) -> bool {
        self.asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let waits = !ready();
        if waits {
            wait();
        }
        self.asleep.store(false, Ordering::Relaxed);
        waits
    }

    /// Parks the calling thread for at most `longest` unless `ready` finds something in the rings. May return early.
    /// Only for bells made by [`Bell::for_thread`], and only ever from one thread.
    pub fn park(&self, longest: Duration, ready: impl FnOnce() -> bool) -> bool {
        if let Wake::Thread(owner) = &self.wake {
            let owner = owner.get_or_init(thread::current);
            debug_assert_eq!(owner.id(), thread::current().id(), "one bell, one thread");
        }
        self.sleep(ready, || thread::park_timeout(longest))
    }

    /// The sender's side, after publishing: wakes the sleeper if it sleeps. Costs a fence and a load where it does not.
    #[inline]
    pub fn ring(&self) {
        fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::AcqRel) {
            self.wake();
        }
    }

    #[cold]
    fn wake(&self) {
        match &self.wake {
            Wake::Thread(owner) => {
                // Set before `asleep` by the same thread; the fences order the two.
                if let Some(thread) = owner.get() {
                    thread.unpark();
                }
            }
            Wake::Custom(wake) => wake(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU32;

    #[test]
    fn a_bell_wakes_once_and_only_a_sleeper() {
        let rung = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&rung);
        let bell = Bell::custom(Arc::new(move || {
            count.fetch_add(1, Ordering::Relaxed);
        }));
        bell.ring();
        assert_eq!(rung.load(Ordering::Relaxed), 0, "nobody sleeps");
        let waited = bell.sleep(
            || false,
            || {
                bell.ring();
                bell.ring();
            },
        );
        assert!(waited);
        assert_eq!(rung.load(Ordering::Relaxed), 1);
        bell.ring();
        assert_eq!(rung.load(Ordering::Relaxed), 1, "awake again");
    }

    #[test]
    fn work_found_on_the_second_look_prevents_the_wait() {
        let bell = Bell::for_thread();
        assert!(!bell.sleep(|| true, || panic!("must not wait")));
        // A generous bound: only a bell that parks in spite of work would take that long, and hang the test.
        assert!(!bell.park(Duration::from_secs(3_600), || true));
    }
}
