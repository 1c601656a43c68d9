//! The seen set: which fingerprints are known.
//!
//! What must hold:
//! * exact for 64-bit fingerprints: `insert` answers true once per value; 0 is not a fingerprint (it marks a free slot);
//! * no operation stalls: growth copies [`STEP_BUCKETS`] buckets per insert into a table twice as large that somebody
//!   else allocated and touched beforehand ([`SeenSet::wanted_table`], [`SeenSet::give_table`]);
//! * derived state: never saved, rebuilt from the seen log.
//!
//! A table is an array of cache-line buckets of eight fingerprints; the home bucket comes from the high bits (so that
//! copying runs sequentially), a full bucket spills into the next. Deliberately absent: removal, values, iteration.

/// Fingerprints in a bucket: one cache line.
const LANES: usize = 8;
/// Buckets copied per insert while growing. Two suffice: the copy ends after half as many inserts as there are buckets.
const STEP_BUCKETS: usize = 2;
/// A larger table is asked for beyond this load, in 64ths.
const GROW_AT: usize = 42;
/// Without a larger table the set grows by itself beyond this load, in 64ths.
const FORCE_AT: usize = 54;
/// A table at its final size takes fingerprints up to this load, in 64ths.
const FULL_AT: usize = 58;

/// Fingerprints whose buckets are fetched together when many are added at once.
const BATCH: usize = 64;

/// One cache line of fingerprints.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Bucket([u64; LANES]);

/// Memory for a table, zeroed and touched. Allocate it off the frontier's thread.
pub struct Table(Vec<Bucket>);

impl Table {
    /// A table of `buckets` buckets (a power of two), 64 bytes each, every page touched.
    pub fn allocate(buckets: usize) -> Self {
        assert!(buckets.is_power_of_two());
        Self(vec![Bucket([0; LANES]); buckets])
    }

    /// Bytes it holds.
    pub fn bytes(&self) -> usize {
        self.0.len() * size_of::<Bucket>()
    }

    fn home(&self, fingerprint: u64) -> usize {
        // High bits; a table of one bucket needs the guard against a shift by 64.
        let bits = self.0.len().trailing_zeros();
        if bits == 0 {
            0
        } else {
            (fingerprint >> (64 - bits)) as usize
        }
    }

    #[inline]
    fn find(&self, fingerprint: u64) -> Place {
        let mask = self.0.len() - 1;
        let mut at = self.home(fingerprint);
        loop {
            let lanes = &self.0[at].0;
            // All lanes without a branch: which one it is cannot be predicted, that it is none or one mostly can.
            let mut hit = false;
            let mut used = 0;
            for lane in lanes {
                hit |= *lane == fingerprint;
                used += usize::from(*lane != 0);
            }
            if hit {
                return Place::Present;
            }
            // Lanes fill from the first on, so the number of used ones is the first free one.
            if used < LANES {
                return Place::Free(at, used);
            }
            at = (at + 1) & mask;
        }
    }

    #[inline]
    fn put(&mut self, fingerprint: u64) -> bool {
        match self.find(fingerprint) {
            Place::Present => false,
            Place::Free(at, lane) => {
                self.0[at].0[lane] = fingerprint;
                true
            }
        }
    }
}

enum Place {
    Present,
    Free(usize, usize),
}

/// A set of 64-bit fingerprints that grows without stalling.
pub struct SeenSet {
    table: Table,
    /// While growing: the former table and how many of its buckets have been copied.
    old: Option<(Table, usize)>,
    /// Given but not yet needed.
    spare: Option<Table>,
    /// No longer needed; freeing a large table takes a while, so somebody else does it.
    retired: Option<Table>,
    len: usize,
    buckets_max: usize,
}

impl SeenSet {
    /// An empty set that expects `expected` fingerprints soon and never takes more than `bytes_max` bytes for a table.
    pub fn new(expected: usize, bytes_max: usize) -> Self {
        let buckets_max = (bytes_max / size_of::<Bucket>()).max(1);
        let buckets_max = 1 << (usize::BITS - 1 - buckets_max.leading_zeros());
        // Just below the load at which a larger table is asked for.
        let wanted = expected / (LANES * GROW_AT) * 64 + 1;
        let wanted = wanted.next_power_of_two().max(1 << 10);
        Self {
            table: Table::allocate(wanted.min(buckets_max)),
            old: None,
            spare: None,
            retired: None,
            len: 0,
            buckets_max,
        }
    }

    /// Known fingerprints.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is known yet.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes held by tables.
    pub fn bytes(&self) -> usize {
        self.table.bytes()
            + self.old.as_ref().map_or(0, |(t, _)| t.bytes())
            + self.spare.as_ref().map_or(0, Table::bytes)
    }

    /// Whether `insert` would refuse new fingerprints.
    pub fn is_full(&self) -> bool {
        self.table.0.len() >= self.buckets_max && self.load_at_least(FULL_AT)
    }

    fn load_at_least(&self, sixtyfourths: usize) -> bool {
        self.len * 64 >= self.table.0.len() * LANES * sixtyfourths
    }

    /// Whether `fingerprint` is known.
    #[inline]
    pub fn contains(&self, fingerprint: u64) -> bool {
        if let Place::Present = self.table.find(fingerprint) {
            return true;
        }
        match &self.old {
            Some((old, _)) => matches!(old.find(fingerprint), Place::Present),
            None => false,
        }
    }

    /// Adds `fingerprint` (not 0); false if it was known. Panics when [`SeenSet::is_full`]: ask first.
    pub fn insert(&mut self, fingerprint: u64) -> bool {
        debug_assert_ne!(fingerprint, 0);
        if let Some((old, _)) = &self.old
            && let Place::Present = old.find(fingerprint)
        {
            return false;
        }
        if !self.table.put(fingerprint) {
            return false;
        }
        self.len += 1;
        self.grow();
        true
    }

    /// Adds many fingerprints, as a restore does; false, and some are missing, where one is 0 or the set is full. Each
    /// batch first touches its buckets, so that the waits for memory overlap: about three times as fast as one by one.
    pub fn extend(&mut self, fingerprints: &[u64]) -> bool {
        for some in fingerprints.chunks(BATCH) {
            let touched = some.iter().fold(0, |words, fingerprint| {
                words ^ self.table.0[self.table.home(*fingerprint)].0[0]
            });
            std::hint::black_box(touched);
            let roomy = self.old.is_none() && !self.load_at_least(GROW_AT);
            if roomy && !some.contains(&0) {
                // Far from growing: nothing but the bucket is looked at.
                self.len += some.iter().filter(|f| self.table.put(**f)).count();
                continue;
            }
            for &fingerprint in some {
                if fingerprint == 0 || self.is_full() {
                    return false;
                }
                self.insert(fingerprint);
            }
        }
        true
    }

    /// Buckets of the table that the set would like to be given, if any.
    pub fn wanted_table(&self) -> Option<usize> {
        let next = self.table.0.len() * 2;
        (self.old.is_none()
            && self.spare.is_none()
            && next <= self.buckets_max
            && self.load_at_least(GROW_AT))
        .then_some(next)
    }

    /// Hands in a table of the wanted size. Others are ignored.
    pub fn give_table(&mut self, table: Table) {
        if self.wanted_table() == Some(table.0.len()) {
            self.spare = Some(table);
        }
    }

    /// A table that is no longer needed, for freeing elsewhere.
    pub fn take_retired(&mut self) -> Option<Table> {
        self.retired.take()
    }

    fn grow(&mut self) {
        if let Some((old, copied)) = &mut self.old {
            let end = (*copied + STEP_BUCKETS).min(old.0.len());
            for bucket in &old.0[*copied..end] {
                for &fingerprint in bucket.0.iter().filter(|f| **f != 0) {
                    self.table.put(fingerprint);
                }
            }
            *copied = end;
            if end == old.0.len() {
                self.retired = self.old.take().map(|(t, _)| t);
            }
            return;
        }
        let next = self.table.0.len() * 2;
        if self.spare.is_none() {
            if !self.load_at_least(FORCE_AT) || next > self.buckets_max {
                return;
            }
            // Nobody gave us a table in time; small tables in tests and at the start of a crawl come here.
            self.spare = Some(Table::allocate(next));
        }
        if let Some(larger) = self.spare.take() {
            let old = std::mem::replace(&mut self.table, larger);
            self.old = Some((old, 0));
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::collections::HashSet;

    /// The fingerprint of test URL `n`.
    pub fn scramble(n: u64) -> u64 {
        (n + 1)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(29)
            .wrapping_mul(0xbf58_476d_1ce4_e5b9)
            | 1
    }

    #[test]
    fn agrees_with_a_hash_set_while_growing() {
        let mut set = SeenSet::new(0, 64 << 20);
        let mut twin = HashSet::new();
        for n in 0..300_000u64 {
            // Every third value repeats an earlier one.
            let value = scramble(if n % 3 == 0 { n / 5 } else { n });
            assert_eq!(set.insert(value), twin.insert(value), "at {n}");
            if let (Some(buckets), true) = (set.wanted_table(), n % 7 == 0) {
                set.give_table(Table::allocate(buckets));
            }
        }
        assert_eq!(set.len(), twin.len());
        assert!(twin.iter().all(|v| set.contains(*v)));
        assert!((300_000..310_000).all(|n| !set.contains(scramble(n))));
    }

    #[test]
    fn many_at_once_are_all_there_and_zero_is_refused() {
        let values: Vec<u64> = (0..100_000).map(scramble).collect();
        let mut set = SeenSet::new(values.len(), 64 << 20);
        let buckets = set.table.0.len();
        assert!(set.extend(&values) && set.extend(&values[..10]));
        assert_eq!((set.len(), set.table.0.len()), (values.len(), buckets));
        assert!(values.iter().all(|v| set.contains(*v)));
        assert!(!set.extend(&[1, 0]));
    }

    #[test]
    fn neighbours_in_one_bucket_spill_and_are_found() {
        let mut set = SeenSet::new(0, 1 << 20);
        // Same high bits: all at home in the last bucket, spilling over the end of the table.
        let values: Vec<u64> = (0..40).map(|n| u64::MAX << 10 | n).collect();
        for v in &values {
            assert!(set.insert(*v));
        }
        assert!(values.iter().all(|v| set.contains(*v) && !set.insert(*v)));
    }

    #[test]
    fn a_full_set_says_so_and_stays_within_its_bytes() {
        let mut set = SeenSet::new(0, 128 << 10);
        let mut n = 0;
        while !set.is_full() {
            set.insert(scramble(n));
            n += 1;
        }
        assert!(set.table.bytes() <= 128 << 10);
        assert!(n > 1_000);
    }
}
