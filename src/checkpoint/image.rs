//! Images of the dense host array, and the shadow they are written from.
//!
//! ```text
//! hosts-000002.img   header page │ table: one hash a block, whole pages │ blocks
//! ```
//!
//! What must hold:
//! * there are two image files; a checkpoint writes the one that the newest durable generation does not name;
//! * the shadow is the image as of the newest cut that a checkpoint was begun for. Each file knows the blocks in which
//!   it is behind the shadow: those changed since it was last written, which is the union of two epochs. Only they are
//!   written; a new or larger file is behind in all;
//! * the hash of a block depends on its index (a block in the wrong place is found); the hash of the table is the root
//!   that the manifest keeps.

use super::log::make;
use super::manifest::Named;
use super::page::{Header, Kind, PAGE_BYTES, le64, whole_pages};
use super::runs::Flawed;
use crate::disk::{Access, Disk, DiskFile};
use crate::error::{Error, Result};
use crate::event::{BLOCK_BYTES, HostId};
use crate::frontier::hosts::{HostRecord, RECORD_BYTES};
use std::collections::BTreeSet;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// Blocks that are stored between two looks at the rings.
const SLICE_BLOCKS: usize = 256;
/// Table entries in a page.
const ENTRIES: usize = PAGE_BYTES / 8;

/// Name of an image file.
pub fn image_name(number: u64) -> String {
    format!("hosts-{number:06}.img")
}

/// Hash of block `index`.
pub(super) fn block_hash(index: u32, block: &[u8]) -> u64 {
    xxh3_64_with_seed(block, u64::from(index) + 1)
}

/// Where the blocks begin in a file with room for `capacity` of them.
pub(super) fn blocks_at(capacity: u64) -> u64 {
    PAGE_BYTES as u64 + whole_pages(capacity * 8)
}

/// The image in memory, with the hash of each block as it is stored.
#[derive(Default)]
pub struct Shadow {
    bytes: Vec<u8>,
    table: Vec<u8>,
}

impl Shadow {
    /// From a restored image.
    pub fn new(bytes: Vec<u8>) -> Self {
        let table = bytes
            .chunks_exact(BLOCK_BYTES)
            .zip(0..)
            .flat_map(|(block, i)| block_hash(i, block).to_le_bytes())
            .collect();
        Self { bytes, table }
    }

    /// Number of blocks.
    pub fn blocks(&self) -> u32 {
        (self.table.len() / 8) as u32
    }

    /// Gives it `blocks` blocks; new ones are zeros and are added to `changed`.
    pub fn resize(&mut self, blocks: u32, changed: &mut BTreeSet<u32>) {
        let before = self.blocks();
        self.bytes.resize(blocks as usize * BLOCK_BYTES, 0);
        self.table.resize(blocks as usize * 8, 0);
        for i in before..blocks {
            self.set(i, &[0; BLOCK_BYTES]);
            changed.insert(i);
        }
    }

    /// Replaces a block. The index is below [`Shadow::blocks`].
    pub fn set(&mut self, index: u32, block: &[u8; BLOCK_BYTES]) {
        let i = index as usize;
        self.bytes[i * BLOCK_BYTES..][..BLOCK_BYTES].copy_from_slice(block);
        self.table[i * 8..][..8].copy_from_slice(&block_hash(index, block).to_le_bytes());
    }

    /// The record of a host; `None` for hosts that came later.
    pub fn host(&self, host: HostId) -> Option<HostRecord> {
        let at = host as usize * RECORD_BYTES;
        let record = self.bytes.get(at..at + RECORD_BYTES)?;
        Some(HostRecord::decode(record))
    }

    /// Hash of the table.
    pub fn root(&self) -> u64 {
        xxh3_64(&self.table)
    }
}

/// One of the two image files, open for writing.
pub struct ImageFile {
    /// Number in its name.
    pub number: u64,
    file: Box<dyn DiskFile>,
    capacity: u64,
    /// Blocks in which it is behind the shadow.
    pub behind: BTreeSet<u32>,
    /// Pages of the table that go with the blocks of the write under way.
    table_pages: BTreeSet<u32>,
}

impl ImageFile {
    /// Makes an image file with room for `capacity` blocks.
    ///
    /// # Errors
    /// If it cannot be allocated or written.
    pub fn create(
        disk: &dyn Disk,
        crawl: [u8; 16],
        number: u64,
        epoch: u64,
        capacity: u64,
    ) -> Result<Self> {
        let name = image_name(number);
        let len = blocks_at(capacity) + capacity * BLOCK_BYTES as u64;
        let mut file =
            make(disk, &name, len).map_err(|e| Error::io("cannot allocate", &name, e))?;
        let header = Header {
            kind: Kind::Image,
            crawl,
            number,
            epoch,
            file_len: len,
            start: capacity,
            chain: 0,
        };
        file.write_at(0, &header.encode()[..])
            .map_err(|e| Error::io("cannot write", &name, e))?;
        Ok(Self {
            number,
            file,
            capacity,
            behind: BTreeSet::new(),
            table_pages: BTreeSet::new(),
        })
    }

    /// Opens the image of a restored generation, which is as the shadow is.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn open(disk: &dyn Disk, number: u64, capacity: u64) -> Result<Self> {
        let name = image_name(number);
        let file = disk
            .open(&name, Access::Mapped)
            .map_err(|e| Error::io("cannot open", &name, e))?;
        Ok(Self {
            number,
            file,
            capacity,
            behind: BTreeSet::new(),
            table_pages: BTreeSet::new(),
        })
    }

    /// Whether `blocks` blocks fit.
    pub fn fits(&self, blocks: u32) -> bool {
        u64::from(blocks) <= self.capacity
    }

    /// Writes some of what is behind; returns the bytes written, 0 when blocks and table are as the shadow.
    ///
    /// # Errors
    /// If a write fails.
    pub fn write_slice(&mut self, shadow: &Shadow) -> Result<u64> {
        let mut written = 0;
        for _ in 0..SLICE_BLOCKS {
            let Some(index) = self.behind.pop_first() else {
                break;
            };
            if index >= shadow.blocks() {
                continue; // the image has become smaller
            }
            self.table_pages.insert(index / ENTRIES as u32);
            let block = &shadow.bytes[index as usize * BLOCK_BYTES..][..BLOCK_BYTES];
            let at = blocks_at(self.capacity) + u64::from(index) * BLOCK_BYTES as u64;
            self.write(at, block)?;
            written += block.len() as u64;
        }
        if written > 0 {
            return Ok(written);
        }
        while let Some(page) = self.table_pages.pop_first() {
            let from = page as usize * PAGE_BYTES;
            let entries = &shadow.table[from..(from + PAGE_BYTES).min(shadow.table.len())];
            self.write((PAGE_BYTES + from) as u64, entries)?;
            written += entries.len() as u64;
        }
        Ok(written)
    }

    /// Makes the file durable.
    ///
    /// # Errors
    /// If the sync fails; the file must not be used after that.
    pub fn sync(&mut self) -> Result<()> {
        self.file
            .sync()
            .map_err(|e| Error::io("cannot make durable", image_name(self.number), e))
    }

    fn write(&mut self, at: u64, bytes: &[u8]) -> Result<()> {
        self.file
            .write_at(at, bytes)
            .map_err(|e| Error::io("cannot write", image_name(self.number), e))
    }
}

/// Checks an image file against the manifest, and hands over the image and the room the file has, blocks. Each defect is
/// an offset and what is wrong.
pub(super) fn check(
    bytes: &[u8],
    crawl: &[u8; 16],
    named: &Named,
) -> std::result::Result<(Vec<u8>, u64), Vec<Flawed>> {
    let header =
        Header::decode(bytes, Kind::Image, crawl, named.file).map_err(|why| vec![(0, why)])?;
    let fits = |n: u64| n <= header.start && header.start <= bytes.len() as u64;
    let at = match blocks_at(header.start.min(bytes.len() as u64)) {
        at if fits(named.len) && at + header.start * BLOCK_BYTES as u64 == bytes.len() as u64 => {
            at as usize
        }
        _ => return Err(vec![(0, "is too short for its blocks".into())]),
    };
    let table = &bytes[PAGE_BYTES..PAGE_BYTES + named.len as usize * 8];
    let blocks = &bytes[at..at + named.len as usize * BLOCK_BYTES];
    let mut defects = Vec::new();
    if xxh3_64(table) != named.hash {
        defects.push((
            PAGE_BYTES as u64,
            "the table of checksums does not match the manifest".into(),
        ));
    }
    for (i, (block, entry)) in blocks
        .chunks_exact(BLOCK_BYTES)
        .zip(table.chunks_exact(8))
        .enumerate()
    {
        if block_hash(i as u32, block) != le64(entry) {
            let offset = (at + i * BLOCK_BYTES) as u64;
            defects.push((offset, format!("block {i} does not match its checksum")));
        }
    }
    if defects.is_empty() {
        Ok((blocks.to_vec(), header.start))
    } else {
        Err(defects)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::disk::SimDisk;

    #[test]
    fn only_what_changed_is_written_and_every_flipped_bit_is_found() {
        let disk = SimDisk::new(1);
        let mut file = ImageFile::create(&disk, [4; 16], 1, 1, 8).unwrap();
        let mut shadow = Shadow::default();
        shadow.resize(3, &mut file.behind);
        shadow.set(1, &[9; BLOCK_BYTES]);
        let mut all = 0;
        while let n @ 1.. = file.write_slice(&shadow).unwrap() {
            all += n;
        }
        assert_eq!(all, 3 * 4096 + 24);
        shadow.set(2, &[8; BLOCK_BYTES]);
        file.behind.insert(2);
        assert_eq!(file.write_slice(&shadow).unwrap(), 4096);
        assert_eq!(file.write_slice(&shadow).unwrap(), 24);
        assert_eq!(file.write_slice(&shadow).unwrap(), 0);

        let named = Named {
            file: 1,
            len: 3,
            hash: shadow.root(),
        };
        let mut bytes = disk.read("hosts-000001.img").unwrap();
        let (image, capacity) = check(&bytes, &[4; 16], &named).unwrap();
        assert_eq!((image, capacity), (shadow.bytes.clone(), 8));
        let covered = (0..4096 + 24).chain(8192..8192 + 3 * 4096);
        for at in covered {
            let bit = 1 << (at % 8);
            bytes[at] ^= bit;
            assert!(check(&bytes, &[4; 16], &named).is_err(), "byte {at}");
            bytes[at] ^= bit;
        }
        // Two blocks exchanged, their table entries too.
        let (a, b) = (8192, 8192 + 4096);
        for i in 0..4096 {
            bytes.swap(a + i, b + i);
        }
        for i in 0..8 {
            bytes.swap(4096 + i, 4104 + i);
        }
        assert!(check(&bytes, &[4; 16], &named).is_err());
    }
}
