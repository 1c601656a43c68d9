//! One place of a ring: an owned value that the consumer can move out through a shared reference.
//!
//! The disruptor hands its consumers `&E` only. A slot therefore keeps its value in an [`UnsafeCell`]. Why nobody ever
//! sees a slot that another thread is touching:
//! * a ring has one producer and one poller, both unclonable and private to `channel`, and both take `&mut self`;
//! * the producer gets `&mut Slot` only for sequences that lie a whole ring behind nothing unread: it has acquired the
//!   poller's cursor, which the poller released after its last access to that slot;
//! * the poller gets `&Slot` only for sequences up to the producer's cursor, which the producer released after its last
//!   access; and until its guard is dropped the producer cannot come round.
//!
//! So at any time at most one side may reach a slot, and each hand-over is a release/acquire pair.

use disruptor::EventGuard;
use std::cell::UnsafeCell;

/// A value on its way, or nothing.
pub(super) struct Slot<T>(UnsafeCell<Option<T>>);

// SAFETY: a `&Slot` is used by the ring's one poller only (see the head of this file), so sharing the slot between
// threads amounts to moving the value from the producer's thread to the poller's, which `T: Send` allows.
unsafe impl<T: Send> Sync for Slot<T> {}

impl<T> Slot<T> {
    /// An empty slot.
    pub(super) fn empty() -> Self {
        Self(UnsafeCell::new(None))
    }

    /// Puts a value in. One that was skipped by an unwinding consumer is dropped here.
    #[inline]
    pub(super) fn put(&mut self, value: T) {
        *self.0.get_mut() = Some(value);
    }
}

/// Moves all values that a poll covers to the end of `out`, in order. The guard stands for the exclusive access that the
/// head of this file speaks of; dropping it afterwards frees the slots together.
#[inline]
pub(super) fn drain<T, B>(mut guard: EventGuard<'_, Slot<T>, B>, out: &mut Vec<T>) {
    let covered = &mut guard;
    out.reserve(covered.len());
    for slot in covered {
        // SAFETY: only the ring's one poller makes guards, and this one covers `slot` until the end of the function. The
        // reference into the cell ends with the expression, and moving a value out runs no foreign code.
        out.extend(unsafe { (*slot.0.get()).take() });
    }
}

/// Moves the first value out that a poll covers. The rest of what it covers is skipped, so it should cover one.
#[inline]
pub(super) fn first<T, B>(mut guard: EventGuard<'_, Slot<T>, B>) -> Option<T> {
    let slot = (&mut guard).next()?;
    // SAFETY: as in `drain`.
    unsafe { (*slot.0.get()).take() }
}
