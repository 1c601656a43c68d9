//! The rings between stages: single-producer, single-consumer channels of owned values, and bells that wake a sleeper.
//!
//! ```text
//!   owner of the Sender                                          owner of the Receiver
//!  ┌────────────────────┐        slots (power of two)           ┌──────────────────────┐
//!  │ send, send_batch ──┼──► [ s0 | s1 | s2 | ... | sN-1 ] ─────┼──► take, recv        │
//!  │ free               │        ▲ produced      ▲ consumed     │    is_empty          │
//!  └─────────┬──────────┘                                       └──────────▲───────────┘
//!            │ after publishing: fence, asleep? ──► Bell ──► unpark / wake │
//!            └─────────────────────────────────────────────────────────────┘
//!  Gauge { produced, consumed } is read by telemetry and by whoever chooses the shorter backlog.
//! ```
//!
//! What must hold:
//! * what is sent is taken once, in order; what is never taken is dropped once, with the ring;
//! * no call waits. A full ring gives the value back ([`Full`]); with one credit per page that is an assertion of the
//!   caller, not a state to wait in;
//! * one fence and at most one wake-up per batch, and neither where no bell is set (both ends on one thread);
//! * this folder is the only user of the `disruptor` crate, and `slot` the only file here with unsafe code.
//!
//! Deliberately absent: a blocking send, several producers or consumers (a ring per pair costs a fifth of a shared
//! one), growing, reading without taking, and handing out references into the ring.

mod bell;
mod channel;
mod gauge;
mod slot;

pub use bell::Bell;
pub use channel::{Full, Receiver, Sender, channel};
pub use gauge::Gauge;
