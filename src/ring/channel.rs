//! The two ends of a ring.
//!
//! What must hold, given the hazards of the crate underneath:
//! * only `try_publish` and `try_batch_publish` are used: `publish` spins without end on a full ring;
//! * an event guard acknowledges everything it covers when it is dropped, read or not, also while unwinding. So values
//!   are moved out into a vector before any code of the caller sees them, and a guard never covers more than is taken;
//! * dropping a poller does not unregister it. So each end leaves a flag behind, and a sender whose receiver is gone
//!   runs full rather than losing values in silence.

use super::bell::Bell;
use super::gauge::Gauge;
use super::slot::{self, Slot};
use disruptor::{
    BusySpin, EventPoller, MissingFreeSlots, Producer, SingleConsumerBarrier, SingleProducer,
    SingleProducerBarrier, build_single_producer,
};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A value that did not fit.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Full<T>(pub T);

impl<T> fmt::Debug for Full<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Full(..)")
    }
}

impl<T> fmt::Display for Full<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the ring is full")
    }
}

impl<T> std::error::Error for Full<T> {}

/// What both ends and their observers share.
#[derive(Default)]
struct Ends {
    sender_gone: AtomicBool,
    receiver_gone: AtomicBool,
}

/// The sending end.
pub struct Sender<T> {
    producer: SingleProducer<Slot<T>, SingleConsumerBarrier>,
    capacity: usize,
    sent: u64,
    gauge: Arc<Gauge>,
    bell: Option<Arc<Bell>>,
    ends: Arc<Ends>,
}

/// The receiving end.
pub struct Receiver<T> {
    poller: EventPoller<Slot<T>, SingleProducerBarrier>,
    taken: u64,
    gauge: Arc<Gauge>,
    ends: Arc<Ends>,
}

/// A ring with room for at least `capacity` values (rounded up to a power of two, at least 2).
pub fn channel<T: Send + 'static>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let capacity = capacity.next_power_of_two().max(2);
    // The wait strategy is for handlers that the crate runs itself; pollers never use it.
    let builder = build_single_producer(capacity, Slot::empty, BusySpin);
    let (poller, builder) = builder.new_event_poller();
    let gauge = Arc::new(Gauge::default());
    let ends = Arc::new(Ends::default());
    let sender = Sender {
        producer: builder.build(),
        capacity,
        sent: 0,
        gauge: Arc::clone(&gauge),
        bell: None,
        ends: Arc::clone(&ends),
    };
    let receiver = Receiver {
        poller,
        taken: 0,
        gauge,
        ends,
    };
    (sender, receiver)
}

impl<T: Send + 'static> Sender<T> {
    /// Sends one value, or gives it back if the ring is full. Rings the bell.
    #[inline]
    pub fn send(&mut self, value: T) -> Result<(), Full<T>> {
        let mut value = Some(value);
        let published = self.producer.try_publish(|slot| {
            if let Some(value) = value.take() {
                slot.put(value);
            }
        });
        match (published, value) {
            (Err(_), Some(value)) => Err(Full(value)),
            _ => {
                self.published(1);
                Ok(())
            }
        }
    }

    /// Sends as many values from the front of `values` as fit, in order, with one publication and one ring of the bell.
    /// What does not fit stays in `values`. Returns how many went.
    pub fn send_batch(&mut self, values: &mut Vec<T>) -> usize {
        let mut count = values.len();
        // At most two rounds: the consumer only ever adds free slots.
        while count > 0 {
            match self.producer.try_batch_publish(count, |slots| {
                for (slot, value) in slots.zip(values.drain(..count)) {
                    slot.put(value);
                }
            }) {
                Ok(_) => {
                    self.published(count as u64);
                    break;
                }
                Err(MissingFreeSlots(missing)) => count -= (missing as usize).min(count),
            }
        }
        count
    }

    /// Slots that are free now; only the receiver can make it more, only this sender less.
    pub fn free(&mut self) -> usize {
        // One more than the ring holds never fits, and the refusal says how much is missing.
        let asked = self.capacity + 1;
        match self.producer.try_batch_publish(asked, |_| ()) {
            Err(MissingFreeSlots(missing)) => asked - (missing as usize).min(asked),
            Ok(_) => unreachable!("a ring has no more slots than it was made with"),
        }
    }

    /// Slots of the ring.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// The bell to ring after publishing: that of the thread that owns the receiver. None is needed where sender and
    /// receiver live on one thread.
    pub fn set_bell(&mut self, bell: Arc<Bell>) {
        self.bell = Some(bell);
    }

    /// The counters of this ring.
    pub fn gauge(&self) -> Arc<Gauge> {
        Arc::clone(&self.gauge)
    }

    /// Whether the receiver is gone: what is sent from now on is dropped with the ring.
    pub fn is_closed(&self) -> bool {
        self.ends.receiver_gone.load(Ordering::Acquire)
    }

    #[inline]
    fn published(&mut self, count: u64) {
        self.sent += count;
        self.gauge.set_produced(self.sent);
        if let Some(bell) = &self.bell {
            bell.ring();
        }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.ends.sender_gone.store(true, Ordering::Release);
        if let Some(bell) = &self.bell {
            bell.ring();
        }
    }
}

impl<T: Send + 'static> Receiver<T> {
    /// Moves at most `limit` values to the end of `out`, oldest first, and frees their slots together. Returns how many.
    #[inline]
    pub fn take(&mut self, limit: usize, out: &mut Vec<T>) -> usize {
        let before = out.len();
        // An error means nothing there, for now or for ever; `is_closed` tells the two apart.
        if let Ok(covered) = self.poller.take(limit as u64) {
            slot::drain(covered, out);
        }
        let count = out.len() - before;
        if count > 0 {
            self.consumed(count as u64);
        }
        count
    }

    /// Moves one value out; `None` where there is none now.
    #[inline]
    pub fn recv(&mut self) -> Option<T> {
        let value = slot::first(self.poller.take(1).ok()?);
        self.consumed(1);
        value
    }

    /// Whether nothing can be taken now. Also the second look before sleeping ([`Bell::park`]).
    #[inline]
    pub fn is_empty(&self) -> bool {
        !self.poller.has_available()
    }

    /// Whether nothing can be taken now or ever: the sender is gone and the ring is drained.
    pub fn is_closed(&self) -> bool {
        // In this order: what the sender published lies before its flag.
        self.ends.sender_gone.load(Ordering::Acquire) && self.is_empty()
    }

    /// The counters of this ring.
    pub fn gauge(&self) -> Arc<Gauge> {
        Arc::clone(&self.gauge)
    }

    #[inline]
    fn consumed(&mut self, count: u64) {
        self.taken += count;
        self.gauge.set_consumed(self.taken);
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.ends.receiver_gone.store(true, Ordering::Release);
    }
}

#[cfg(test)]
mod tests;
