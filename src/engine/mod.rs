//! The engine: threads, placement, idling and stopping.
//!
//! What must hold: a stage is a plain struct with `turn(now)`; which thread runs it, on which core, what that thread does
//! without work and when it ends is decided here and nowhere else, from data that is printed at start.
//!
//! Deliberately absent: moving stages between threads while running, and restarting a stage that died (a crash restores).

pub mod cpus;
pub mod idle;
pub mod placement;
pub mod stop;
