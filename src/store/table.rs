//! From a URL to its index entries in a sealed segment, without scanning: a sorted table of (hash of the URL, offset).
//!
//! What must hold: a table is only a shortcut. It is used where its length and checksum hold, else the index is
//! scanned; it can be removed at any time. The hash is not keyed, so that a directory can be searched without the
//! crawl's secret; URLs that collide share a run of slots, and the index entry decides.
//!
//! ```text
//! header  magic 8 | version u32 | segment u32 | entries u64 | checksum of all other bytes u64
//! slot    hash u64 | offset into the index u64
//! ```

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

const MAGIC: [u8; 8] = *b"CYCLOFPS";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 32;
const SLOT_BYTES: usize = 16;

/// The hash that a URL is found by.
pub fn hash(url: &[u8]) -> u64 {
    xxh3_64(url)
}

/// The table of `segment`; `slots` are sorted here.
pub fn encode(segment: u32, slots: &mut [(u64, u64)]) -> Vec<u8> {
    slots.sort_unstable();
    let mut out = Vec::with_capacity(HEADER_BYTES + slots.len() * SLOT_BYTES);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&segment.to_le_bytes());
    out.extend_from_slice(&(slots.len() as u64).to_le_bytes());
    out.extend_from_slice(&[0; 8]);
    for (hash, at) in slots {
        out.extend_from_slice(&hash.to_le_bytes());
        out.extend_from_slice(&at.to_le_bytes());
    }
    let sum = checksum(&out);
    out[24..HEADER_BYTES].copy_from_slice(&sum.to_le_bytes());
    out
}

fn checksum(bytes: &[u8]) -> u64 {
    let mut state = Xxh3::new();
    state.update(&bytes[..24]);
    state.update(&bytes[HEADER_BYTES..]);
    state.digest()
}

/// A table that was checked.
pub struct Table {
    bytes: Vec<u8>,
}

impl Table {
    /// Checks the bytes of the table of `segment`; `None` where they are not to be trusted.
    pub fn read(bytes: Vec<u8>, segment: u32) -> Option<Self> {
        let word = |at: usize| {
            let chunk = bytes.get(at..)?.first_chunk::<8>()?;
            Some(u64::from_le_bytes(*chunk))
        };
        let head = u64::from(VERSION) | u64::from(segment) << 32;
        let slots = usize::try_from(word(16)?).ok()?;
        let len = slots.checked_mul(SLOT_BYTES)?.checked_add(HEADER_BYTES)?;
        let sound = bytes.starts_with(&MAGIC)
            && word(8)? == head
            && bytes.len() == len
            && word(24)? == checksum(&bytes);
        sound.then_some(Self { bytes })
    }

    fn slots(&self) -> &[[u8; SLOT_BYTES]] {
        self.bytes[HEADER_BYTES..].as_chunks::<SLOT_BYTES>().0
    }

    /// Offsets of the entries that may be those of the URL with this hash, oldest first.
    pub fn find(&self, hash: u64) -> impl Iterator<Item = u64> {
        let halves = |slot: &[u8; SLOT_BYTES]| {
            let wide = u128::from_le_bytes(*slot);
            (wide as u64, (wide >> 64) as u64)
        };
        let from = self.slots().partition_point(|s| halves(s).0 < hash);
        self.slots()[from..]
            .iter()
            .map(halves)
            .take_while(move |s| s.0 == hash)
            .map(|s| s.1)
    }

    /// Entries in it.
    pub fn len(&self) -> usize {
        self.slots().len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_in_is_found_and_damage_is_noticed() {
        let mut slots: Vec<(u64, u64)> = (0..1_000u64)
            .map(|i| (hash(&(i / 2).to_le_bytes()), 40 + i))
            .collect();
        let bytes = encode(3, &mut slots);
        let table = Table::read(bytes.clone(), 3).expect("sound");
        assert_eq!(table.len(), 1_000);
        for i in 0..500u64 {
            let found: Vec<u64> = table.find(hash(&i.to_le_bytes())).collect();
            assert_eq!(found, [40 + 2 * i, 41 + 2 * i]);
        }
        assert_eq!(table.find(1).count(), 0);
        assert!(Table::read(bytes.clone(), 4).is_none());
        assert!(Table::read(bytes[..bytes.len() - 1].to_vec(), 3).is_none());
        for bit in (0..bytes.len() * 8).step_by(7).chain(0..HEADER_BYTES * 8) {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(Table::read(bad, 3).is_none(), "bit {bit}");
        }
        assert!(Table::read(encode(1, &mut []), 1).is_some_and(|t| t.is_empty()));
    }
}
