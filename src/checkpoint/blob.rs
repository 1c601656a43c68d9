//! The state blob of a generation: the opaque bytes of frontier and store.
//!
//! ```text
//! state-000002.bin   header page │ frontier u32 + bytes │ store u32 + bytes │ sealed u32 + u32 each
//! ```
//!
//! What must hold: as with the images there are two, and the one that the newest durable generation names is not
//! written. Length and hash lie in the manifest.

use super::log::make;
use super::manifest::Named;
use super::page::{Header, Kind, PAGE_BYTES, le32, whole_pages};
use super::runs::Flawed;
use crate::disk::{Access, Disk, DiskFile};
use crate::error::{Error, Result};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Room in the smallest state file, bytes.
const ROOM_BYTES_MIN: u64 = 64 << 10;

/// Name of a state file.
pub fn state_name(number: u64) -> String {
    format!("state-{number:06}.bin")
}

/// What a state file holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Blob {
    /// [`crate::event::Cut::state`].
    pub frontier: Vec<u8>,
    /// [`crate::event::Mark::state`].
    pub store: Vec<u8>,
    /// [`crate::event::Mark::sealed`].
    pub sealed: Vec<u32>,
}

impl Blob {
    /// As it is stored.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(12 + self.frontier.len() + self.store.len());
        for part in [&self.frontier, &self.store] {
            out.extend_from_slice(&(part.len() as u32).to_le_bytes());
            out.extend_from_slice(part);
        }
        out.extend_from_slice(&(self.sealed.len() as u32).to_le_bytes());
        out.extend(self.sealed.iter().flat_map(|n| n.to_le_bytes()));
        out
    }

    /// From stored bytes; `None` where they are no blob.
    pub fn decode(bytes: &[u8]) -> Option<Blob> {
        let part = |from: &mut &[u8], width: usize| -> Option<Vec<u8>> {
            let (len, rest) = from.split_at_checked(4)?;
            let (part, rest) = rest.split_at_checked((le32(len) as usize).checked_mul(width)?)?;
            *from = rest;
            Some(part.to_vec())
        };
        let mut rest = bytes;
        let (frontier, store) = (part(&mut rest, 1)?, part(&mut rest, 1)?);
        let sealed = part(&mut rest, 4)?;
        rest.is_empty().then(|| Blob {
            frontier,
            store,
            sealed: sealed.chunks_exact(4).map(le32).collect(),
        })
    }
}

/// Hash of an encoded blob of `epoch`.
pub fn blob_hash(epoch: u64, bytes: &[u8]) -> u64 {
    xxh3_64_with_seed(bytes, epoch)
}

/// One of the two state files, open for writing.
pub struct StateFile {
    /// Number in its name.
    pub number: u64,
    file: Box<dyn DiskFile>,
}

impl StateFile {
    /// Makes a state file with room for `bytes` and as much again.
    ///
    /// # Errors
    /// If it cannot be allocated or written.
    pub fn create(
        disk: &dyn Disk,
        crawl: [u8; 16],
        number: u64,
        epoch: u64,
        bytes: u64,
    ) -> Result<Self> {
        let name = state_name(number);
        let room = whole_pages(bytes.saturating_mul(2).max(ROOM_BYTES_MIN));
        let len = PAGE_BYTES as u64 + room;
        let mut file =
            make(disk, &name, len).map_err(|e| Error::io("cannot allocate", &name, e))?;
        let header = Header {
            kind: Kind::State,
            crawl,
            number,
            epoch,
            file_len: len,
            start: room,
            chain: 0,
        };
        file.write_at(0, &header.encode()[..])
            .map_err(|e| Error::io("cannot write", &name, e))?;
        Ok(Self { number, file })
    }

    /// Opens the state of a restored generation.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn open(disk: &dyn Disk, number: u64) -> Result<Self> {
        let name = state_name(number);
        let file = disk
            .open(&name, Access::Mapped)
            .map_err(|e| Error::io("cannot open", &name, e))?;
        Ok(Self { number, file })
    }

    /// Whether `bytes` bytes fit.
    pub fn fits(&self, bytes: u64) -> bool {
        PAGE_BYTES as u64 + bytes <= self.file.len()
    }

    /// Replaces the content and makes it durable.
    ///
    /// # Errors
    /// If the write or the sync fails; the file must not be used after that.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let name = state_name(self.number);
        self.file
            .write_at(PAGE_BYTES as u64, bytes)
            .map_err(|e| Error::io("cannot write", &name, e))?;
        self.file
            .sync_range(0, (PAGE_BYTES + bytes.len()) as u64)
            .map_err(|e| Error::io("cannot make durable", &name, e))
    }
}

/// Checks a state file against the manifest and reads it. A defect is an offset and what is wrong.
pub(super) fn check(
    bytes: &[u8],
    crawl: &[u8; 16],
    epoch: u64,
    named: &Named,
) -> std::result::Result<Blob, Flawed> {
    Header::decode(bytes, Kind::State, crawl, named.file).map_err(|why| (0, why))?;
    let content = usize::try_from(named.len)
        .ok()
        .and_then(|len| bytes[PAGE_BYTES..].get(..len))
        .ok_or((0, "is shorter than the manifest says".to_owned()))?;
    if blob_hash(epoch, content) != named.hash {
        let why = "the content does not match the manifest";
        return Err((PAGE_BYTES as u64, why.into()));
    }
    Blob::decode(content).ok_or((PAGE_BYTES as u64, "the content is no state blob".into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_blob_survives_the_round_trip(frontier: Vec<u8>, store: Vec<u8>, sealed: Vec<u32>) {
            let blob = Blob { frontier, store, sealed };
            prop_assert_eq!(Blob::decode(&blob.encode()), Some(blob));
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
            if let Some(blob) = Blob::decode(&bytes) {
                prop_assert_eq!(blob.encode(), bytes);
            }
        }
    }
}
