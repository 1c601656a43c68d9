//! The seeded simulator: media and clocks that fail on purpose, under the real code.
//!
//! What must hold: everything drawn comes from a seed, so a failure is repeated by its number. Deliberately absent:
//! anything that touches the real disk, network or clock.

pub mod disk;
