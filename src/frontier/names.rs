//! The names of all hosts, and which host has which.
//!
//! What must hold: growing copies little (text lies in chunks that never move; the look-up is divided into [`SHARDS`], of
//! which one grows at a time); a name has its number for good. Deliberately absent: removal.

use super::chunked::Chunked;
use crate::event::HostId;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Bytes of text in a chunk; a name lies in one chunk.
const CHUNK_BYTES: usize = 1 << 20;
/// Parts of the look-up. At 16 million hosts one part holds four thousand.
const SHARDS: usize = 4_096;

/// Keys are keyed fingerprints: they need no further hashing.
#[derive(Default)]
struct Fingerprint(u64);

impl Hasher for Fingerprint {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("only whole numbers are keys");
    }

    fn write_u64(&mut self, n: u64) {
        self.0 = n;
    }
}

type Shard = HashMap<u64, HostId, BuildHasherDefault<Fingerprint>>;

/// Names by number, numbers by fingerprint.
pub struct Names {
    text: Vec<Vec<u8>>,
    /// Where each name lies: chunk, offset and length, packed.
    places: Chunked<u64>,
    by_key: Vec<Shard>,
}

impl Default for Names {
    fn default() -> Self {
        Self {
            text: Vec::new(),
            places: Chunked::default(),
            by_key: (0..SHARDS).map(|_| Shard::default()).collect(),
        }
    }
}

/// Bits 40 to 51: neither those that a table looks at first nor its tags.
fn shard(key: u64) -> usize {
    (key >> 40) as usize % SHARDS
}

impl Names {
    /// Number of names.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Bytes held, roughly.
    pub fn bytes(&self) -> usize {
        self.text.len() * CHUNK_BYTES + self.places.bytes() + self.places.len() * 20
    }

    /// The host with this fingerprint of its name.
    pub fn find(&self, key: u64) -> Option<HostId> {
        self.by_key[shard(key)].get(&key).copied()
    }

    /// Names the next host.
    pub fn add(&mut self, key: u64, name: &[u8]) -> HostId {
        let host = self.places.len() as HostId;
        let full = |chunk: &Vec<u8>| chunk.len() + name.len() > CHUNK_BYTES;
        if self.text.last().is_none_or(full) {
            let bytes = CHUNK_BYTES.max(name.len());
            self.text.push(Vec::with_capacity(bytes));
        }
        let number = self.text.len() - 1;
        let chunk = &mut self.text[number];
        let place = (number as u64) << 40 | (chunk.len() as u64) << 16 | name.len() as u64;
        chunk.extend_from_slice(name);
        self.places.push(place);
        self.by_key[shard(key)].insert(key, host);
        host
    }

    /// The name of a host.
    pub fn get(&self, host: HostId) -> &[u8] {
        let place = self.places[host as usize];
        let chunk = &self.text[(place >> 40) as usize];
        let at = (place >> 16) as usize & 0xff_ffff;
        &chunk[at..at + (place & 0xffff) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_by_number_and_by_key() {
        let mut names = Names::default();
        let name = |n: u64| format!("http://h{n}.{}.test", "x".repeat(n as usize % 200));
        let key = |n: u64| (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for n in 0..30_000 {
            assert_eq!(names.find(key(n)), None);
            assert_eq!(names.add(key(n), name(n).as_bytes()), n as HostId);
        }
        assert!(names.text.len() > 1);
        for n in 0..30_000 {
            assert_eq!(names.find(key(n)), Some(n as HostId));
            assert_eq!(names.get(n as HostId), name(n).as_bytes());
        }
        assert_eq!(names.len(), 30_000);
    }
}
