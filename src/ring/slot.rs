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

    /// Moves the value out; `None` where there is none.
    ///
    /// # Safety
    ///
    /// The caller is the only one with access to this slot: the ring's one poller, between acquiring the producer's
    /// cursor past this slot and releasing its own.
    #[inline]
    pub(super) unsafe fn take(&self) -> Option<T> {
        // SAFETY: by the contract above no other reference into the cell exists while this one does; it ends with this
        // expression and no foreign code runs in between (moving a value out runs no destructor).
        unsafe { (*self.0.get()).take() }
    }
}
