//! Payload digests that were stored, each with the record that has the body.
//!
//! What must hold: at most 24 bytes a payload at any number of them, because tables grow by a quarter between a load of
//! 0.7 and 0.875; no insert moves more than one of [`SHARDS`] tables; beyond the limit nothing more is remembered, which
//! only costs space in the segments. The 64 bits that are kept are no proof: the caller compares the whole digest with
//! the index entry. Deliberately absent: removal.

use super::index::Position;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Tables; each grows on its own, so a growth moves this share of the map.
const SHARDS: usize = 256;

/// Digest bits and position; position 0 is an empty slot.
type Slot = (u64, u64);

/// A map from 64 bits of a digest to a position.
pub struct Payloads {
    shards: Vec<Vec<Slot>>,
    lens: Vec<usize>,
    len: usize,
    limit: usize,
    key: u64,
}

impl Payloads {
    /// An empty map for at most `limit` payloads. `key` is secret, so that nobody can make payloads that collide here.
    pub fn new(limit: usize, key: u64) -> Self {
        Self {
            shards: vec![Vec::new(); SHARDS],
            lens: vec![0; SHARDS],
            len: 0,
            limit,
            key,
        }
    }

    /// The bits of a digest that are kept.
    pub fn tag(digest: &[u8; 20]) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = *digest;
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }

    /// Payloads remembered.
    pub fn count(&self) -> usize {
        self.len
    }

    /// Bytes that the map holds.
    pub fn footprint(&self) -> usize {
        self.shards
            .iter()
            .map(|s| s.len() * size_of::<Slot>())
            .sum()
    }

    /// Shard and a hash whose high bits place the tag in it.
    fn place(&self, tag: u64) -> (usize, u64) {
        let hash = xxh3_64_with_seed(&tag.to_le_bytes(), self.key);
        (hash as usize % SHARDS, hash)
    }

    /// Slot of `tag` in `shard`, or the empty slot where it belongs. `shard` has an empty slot.
    fn slot(shard: &[Slot], hash: u64, tag: u64) -> usize {
        let mut at = ((u128::from(hash) * shard.len() as u128) >> 64) as usize;
        while shard[at].1 != 0 && shard[at].0 != tag {
            at = if at + 1 == shard.len() { 0 } else { at + 1 };
        }
        at
    }

    /// Position of the payload with these digest bits.
    pub fn get(&self, tag: u64) -> Option<Position> {
        let (i, hash) = self.place(tag);
        let shard = &self.shards[i];
        if shard.is_empty() {
            return None;
        }
        Position::from_u64(shard[Self::slot(shard, hash, tag)].1)
    }

    /// Remembers a payload unless one with these bits is known. `false` where the limit forbids it.
    pub fn insert(&mut self, tag: u64, position: Position) -> bool {
        if self.get(tag).is_some() {
            return true;
        }
        if self.len >= self.limit {
            return false;
        }
        let (i, hash) = self.place(tag);
        if (self.lens[i] + 1) * 8 > self.shards[i].len() * 7 {
            self.grow(i);
        }
        let shard = &mut self.shards[i];
        let at = Self::slot(shard, hash, tag);
        shard[at] = (tag, position.to_u64());
        self.lens[i] += 1;
        self.len += 1;
        true
    }

    fn grow(&mut self, i: usize) {
        let old = std::mem::take(&mut self.shards[i]);
        let mut new = vec![(0, 0); old.len() + old.len() / 4 + 4];
        for slot in old.into_iter().filter(|s| s.1 != 0) {
            let (_, hash) = self.place(slot.0);
            let at = Self::slot(&new, hash, slot.0);
            new[at] = slot;
        }
        self.shards[i] = new;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn it_agrees_with_a_hash_map_and_stays_small() {
        let mut map = Payloads::new(usize::MAX, 77);
        let mut twin = HashMap::new();
        let mut random = 9u64;
        for i in 0..200_000u64 {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            // Few distinct ones, sequential low bits, and zeros among them.
            let tag = if i % 3 == 0 { random >> 44 } else { i / 2 };
            let position = Position::new(1 + (i % 9) as u32, i);
            assert_eq!(map.get(tag), twin.get(&tag).copied());
            assert!(map.insert(tag, position));
            twin.entry(tag).or_insert(position);
            if i > 20_000 {
                assert!(
                    map.footprint() <= map.count() * 24,
                    "{} for {}",
                    map.footprint(),
                    map.count()
                );
            }
        }
        assert_eq!(map.count(), twin.len());
        assert!(
            twin.iter()
                .all(|(tag, position)| map.get(*tag) == Some(*position))
        );
    }

    #[test]
    fn beyond_the_limit_nothing_more_is_remembered() {
        let mut map = Payloads::new(2, 0);
        let at = Position::new(1, 40);
        assert!(map.insert(1, at) && map.insert(2, at));
        assert!(!map.insert(3, at));
        assert!(map.insert(1, Position::new(2, 40)), "known ones stay");
        assert_eq!((map.get(3), map.get(1)), (None, Some(at)));
    }
}
