//! The seeded simulator: the real crawler on a fake clock, a fake network and a fake disk, in one thread.
//!
//! ```text
//!            ┌───────────────────────────── process: one life of the crawler ─────────────────────────────┐
//! network ──►│ parser ─► frontier ─► store ─► checkpointer        real code, taking turns as the dice say │──► disk
//!   fake     └────────────────────────────────────────────────────────────────────────────────────────────┘    fake
//!    └── keeps its own log          oracle: what was cut, committed, reported durable ◄── checks ── what a crash leaves
//! ```
//!
//! Real: [`crate::frontier`], [`crate::parse`], [`crate::store`], [`crate::checkpoint`] (recovery and the timing of cuts
//! included), the formats, the compression, and the order in which a directory is opened.
//!
//! Fake: time (a number that jumps to the next event), threads (the dice decide whose turn it is and who is held up),
//! rings (queues with the engine's bounds), the fetcher (answers come as it would hand them on), DNS, servers, and the
//! disk, which keeps what was written apart from what was synced.
//!
//! What must hold: everything drawn comes from the seed, so a failure is repeated by its number; no real clock is read,
//! no file and no socket is opened, no thread is started. [`campaign`] says what is done with a seed, [`oracle`] what
//! must hold after every crash, [`disk`] what a crash may leave.
//!
//! Deliberately absent: the engine's threads and its lock file, mapped memory itself (a store to a map is a write here),
//! bit rot (tests/checkpoint_damage.rs flips bits), and a device that lies about flushes.

pub mod campaign;
mod content;
pub mod dice;
pub mod disk;
pub mod network;
pub mod open;
pub mod oracle;
pub mod process;
pub mod settings;

pub use campaign::{Effort, Failure, Figures, replay, simulate};
