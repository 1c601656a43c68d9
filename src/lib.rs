//! Cyclosa: a web crawler that stays on one machine.
//!
//! ```text
//!         orders (a Page each: the credit comes with it)
//!  ┌───────────────────────────────────────────────────────────┐
//!  ▼                                                           │
//! FETCH i ──pages──► PARSE j ──findings──► FRONTIER ──commits──► STORE
//!                                             ▲  │                │
//!                                             └──┼──── returns ───┤
//!                                           deltas                marks
//!                                                ▼                ▼
//!                                              CHECKPOINT (files; manifest switched last)
//! ```
//!
//! What must hold, in one line each:
//! * the frontier and the store alone hold state that a crash may not lose;
//! * the frontier is a function of (state, now, input);
//! * every discovered URL is in exactly one of queued, in flight, done, excluded, dropped;
//! * what a checkpoint calls done is durable in a segment;
//! * everything is bounded by a name in [`limits`].
//!
//! Modules depend one way: limits, event, time, error ← protocol ← frontier, parse, store ← ring ← fetch, checkpoint,
//! telemetry ← engine ← main.

pub mod budget;
pub mod checkpoint;
pub mod cli;
pub mod config;
pub mod disk;
pub mod engine;
pub mod error;
pub mod event;
pub mod fetch;
pub mod frontier;
pub mod limits;
pub mod parse;
pub mod protocol;
pub mod ring;
pub mod sim;
pub mod store;
pub mod telemetry;
pub mod time;
pub mod web;
