//! The engine: threads, placement, idling, stopping. Stages know none of it.

pub mod cpus;
pub mod idle;
pub mod placement;
pub mod stop;
