//! A restored checkpoint with its logs in memory, for tests that compare every byte.

use cyclosa::checkpoint::{Recovered, recover_into};
use cyclosa::disk::Disk;
use cyclosa::error::{Error, Result};
use cyclosa::frontier::restore::InMemory;
use std::ops::Deref;

/// All that was restored.
#[derive(Debug)]
pub struct Whole {
    it: Recovered,
    /// All fingerprints.
    pub seen: Vec<u64>,
    /// All URL records.
    pub urls: Vec<u8>,
}

impl Deref for Whole {
    type Target = Recovered;

    fn deref(&self) -> &Recovered {
        &self.it
    }
}

/// As [`cyclosa::checkpoint::recover()`], with the logs.
pub fn recover(disk: &dyn Disk) -> Result<Option<Whole>> {
    let found = recover_into(disk, &|_| {}, |_, logs| {
        InMemory::of(logs).ok_or_else(|| Error::environment("unreadable logs"))
    })?;
    Ok(found.map(|(it, logs)| Whole {
        it,
        seen: logs.seen.concat(),
        urls: logs.urls.concat(),
    }))
}
