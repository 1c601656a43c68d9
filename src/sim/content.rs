//! One file of the simulated disk: what was written, what is durable, and what a power failure leaves of it.
//!
//! What must hold: a byte is durable only by a sync of its sector that succeeded, or because its file was made or cut
//! (which is durable on return); what survives is decided sector by sector.

use super::dice::Dice;
use super::disk::SECTOR_BYTES;
use crate::disk::Access;
use std::collections::BTreeSet;
use std::io;

/// Both contents of one file.
pub(super) struct Content {
    pub access: Access,
    pub written: Vec<u8>,
    pub durable: Vec<u8>,
    /// Sectors of `written` that are not in `durable`.
    pub dirty: BTreeSet<usize>,
    /// Sectors whose sync failed: undecided until they are written and the file is made anew.
    lost: BTreeSet<usize>,
    poisoned: bool,
}

impl Content {
    pub fn new(access: Access, bytes: Vec<u8>) -> Self {
        Self {
            access,
            durable: bytes.clone(),
            written: bytes,
            dirty: BTreeSet::new(),
            lost: BTreeSet::new(),
            poisoned: false,
        }
    }

    pub fn usable(&self) -> io::Result<()> {
        if self.poisoned {
            return Err(io::Error::other("an earlier sync of this file failed"));
        }
        Ok(())
    }

    pub fn write(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        if self.written.len() < end {
            self.written.resize(end, 0);
        }
        self.written[offset..end].copy_from_slice(bytes);
        self.dirty.extend(sectors(offset, end));
    }

    pub fn sync(&mut self, from: usize, to: usize) {
        self.durable.resize(self.written.len(), 0);
        for sector in sectors(from, to.min(self.written.len())) {
            if !self.lost.contains(&sector) && self.dirty.remove(&sector) {
                let range = self.range(sector);
                self.durable[range.clone()].copy_from_slice(&self.written[range]);
            }
        }
    }

    /// The sync of a range failed: its pages look clean now, and nobody knows what the device holds.
    pub fn lose(&mut self, from: usize, to: usize) {
        let range: Vec<usize> = self.dirty.range(from / SECTOR_BYTES..).copied().collect();
        let end = to.div_ceil(SECTOR_BYTES);
        self.lost.extend(range.into_iter().filter(|s| *s < end));
        self.poisoned = true;
    }

    fn range(&self, sector: usize) -> std::ops::Range<usize> {
        let from = sector * SECTOR_BYTES;
        from.min(self.written.len())..(from + SECTOR_BYTES).min(self.written.len())
    }

    /// What is left of the file after a power failure.
    pub fn survive(&self, seed: u64, dice: &mut Dice) -> Content {
        let mut bytes = self.durable.clone();
        let grown = self.written.len().saturating_sub(bytes.len());
        let kept = match seed {
            0 => 0,
            1 => grown,
            _ => dice.below(grown as u64 + 1) as usize,
        };
        bytes.resize(self.durable.len() + kept, 0);
        for sector in &self.dirty {
            let range = self.range(*sector);
            let range = range.start.min(bytes.len())..range.end.min(bytes.len());
            let fate = match seed {
                0 => 0,
                1 => 1,
                _ => dice.below(4),
            };
            match fate {
                0 => {}
                1 => bytes[range.clone()].copy_from_slice(&self.written[range]),
                2 => {
                    let middle = range.start + dice.below(range.len() as u64 + 1) as usize;
                    bytes[range.start..middle].copy_from_slice(&self.written[range.start..middle]);
                }
                _ => self.garbage(&mut bytes, range, dice),
            }
        }
        Content::new(self.access, bytes)
    }

    fn garbage(&self, bytes: &mut [u8], range: std::ops::Range<usize>, dice: &mut Dice) {
        for at in range {
            let untouched = at < self.durable.len() && self.durable[at] == self.written[at];
            if self.access == Access::Mapped || !untouched {
                bytes[at] = dice.roll() as u8;
            }
        }
    }
}

fn sectors(from: usize, to: usize) -> std::ops::Range<usize> {
    from / SECTOR_BYTES..to.div_ceil(SECTOR_BYTES)
}
