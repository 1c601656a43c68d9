//! (in progress)

pub mod decode;
pub mod record;
