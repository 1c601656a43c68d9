//! (in progress)

pub mod dedup;
pub mod index;
pub mod plain;
