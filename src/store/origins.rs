//! What a revisit says of its original: looked up in the indexes, a few kept at hand.
//!
//! What must hold: memory is bounded by [`DEDUP_ORIGINS_CACHED`] entries and [`DEDUP_INDEXES_OPEN`] files; nothing is
//! taken from an entry whose checksum does not hold.

use super::Live;
use super::index::{ENTRY_BYTES_MAX, Entry, Position};
use super::names::Part;
use crate::disk::{Access, Disk, DiskFile};
use crate::error::{Error, Result};
use crate::limits::{DEDUP_INDEXES_OPEN, DEDUP_ORIGINS_CACHED};
use crate::time::Wall;
use std::collections::VecDeque;

/// A record that others refer to.
#[derive(Clone, Debug, Default)]
pub(super) struct Origin {
    position: Option<Position>,
    /// Its URL.
    pub url: Vec<u8>,
    /// Its date.
    pub wall: Wall,
    /// Its whole digest.
    pub digest: [u8; 20],
}

/// Originals at hand and the indexes they come from.
pub(super) struct Origins {
    cached: Vec<Origin>,
    open: VecDeque<(u32, Box<dyn DiskFile>)>,
    scratch: Vec<u8>,
}

impl Origins {
    pub(super) fn new() -> Self {
        Self {
            cached: vec![Origin::default(); DEDUP_ORIGINS_CACHED],
            open: VecDeque::new(),
            scratch: Vec::new(),
        }
    }

    /// The original at `position`.
    pub(super) fn get(
        &mut self,
        disk: &dyn Disk,
        live: &Live,
        position: Position,
    ) -> Result<&Origin> {
        let hash = position.to_u64().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let slot = hash as usize % DEDUP_ORIGINS_CACHED;
        if self.cached[slot].position != Some(position) {
            self.load(disk, live, position)?;
            let name = || Part::Index.name(position.segment());
            let (entry, _) = Entry::read(&self.scratch).map_err(|_| {
                Error::environment(format!(
                    "{} is damaged at byte {}; run `cyclosa verify` on the directory",
                    name(),
                    position.at()
                ))
            })?;
            let origin = &mut self.cached[slot];
            origin.position = Some(position);
            origin.url.clear();
            origin.url.extend_from_slice(entry.url);
            origin.wall = entry.wall;
            origin.digest = entry.digest;
        }
        Ok(&self.cached[slot])
    }

    /// Reads the bytes at `position` into `scratch`.
    fn load(&mut self, disk: &dyn Disk, live: &Live, position: Position) -> Result<()> {
        self.scratch.clear();
        if position.segment() == live.segment && position.at() >= live.index_written {
            let from = (position.at() - live.index_written) as usize;
            let pending = live.entries.get(from..).unwrap_or(&[]);
            self.scratch
                .extend_from_slice(&pending[..pending.len().min(ENTRY_BYTES_MAX)]);
            return Ok(());
        }
        let failed = |e| Error::io("cannot read", Part::Index.name(position.segment()), e);
        if position.segment() == live.segment {
            let len = live.index_written - position.at();
            self.scratch
                .resize(len.min(ENTRY_BYTES_MAX as u64) as usize, 0);
            return live
                .index
                .read_at(position.at(), &mut self.scratch)
                .map_err(failed);
        }
        let known = self
            .open
            .iter()
            .position(|(segment, _)| *segment == position.segment());
        let at = match known {
            Some(at) => at,
            None => {
                let name = Part::Index.name(position.segment());
                let file = disk.open(&name, Access::Append).map_err(failed)?;
                if self.open.len() >= DEDUP_INDEXES_OPEN {
                    self.open.pop_front();
                }
                self.open.push_back((position.segment(), file));
                self.open.len() - 1
            }
        };
        let file = &self.open[at].1;
        let len = file.len().saturating_sub(position.at());
        self.scratch
            .resize(len.min(ENTRY_BYTES_MAX as u64) as usize, 0);
        file.read_at(position.at(), &mut self.scratch)
            .map_err(failed)
    }
}
