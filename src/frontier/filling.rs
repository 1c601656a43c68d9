//! Filling a seen set with many fingerprints, as a restore does.
//!
//! What must hold: the set ends up with the same fingerprints, in whatever order; memory beside it is
//! [`FILL_BATCH`] fingerprints twice.
//!
//! One after the other, fingerprints meet a cache line and a page each that nothing else is about to use. They are
//! therefore collected and put into the order of the table's regions first (one pass of a radix sort), and each region is
//! filled while its pages, and the more there are of it its lines too, are at hand.
//!
//! Deliberately absent: answers which were new. A crawl asks [`SeenSet::insert`].

use super::seen::SeenSet;

/// Fingerprints collected before the set is touched (32 MiB).
const FILL_BATCH: usize = 1 << 22;
/// Bytes of a region, as power of two: a part of a second-level cache.
const REGION_BITS: u32 = 19;
/// Regions, as power of two: so many streams are written to at once.
const REGIONS_BITS_MAX: u32 = 10;

/// A set that is being filled.
pub struct Filling<'a> {
    set: &'a mut SeenSet,
    collected: Vec<u64>,
    sorted: Vec<u64>,
    fits: bool,
}

impl<'a> Filling<'a> {
    /// Fills `set` with about `expected` fingerprints.
    pub fn new(set: &'a mut SeenSet, expected: usize) -> Self {
        Self {
            set,
            collected: Vec::with_capacity(expected.min(FILL_BATCH)),
            sorted: Vec::new(),
            fits: true,
        }
    }

    /// Adds `fingerprints`, sooner or later.
    pub fn extend(&mut self, mut fingerprints: &[u64]) {
        while !fingerprints.is_empty() {
            let room = (FILL_BATCH - self.collected.len()).min(fingerprints.len());
            let (now, later) = fingerprints.split_at(room);
            self.collected.extend_from_slice(now);
            if self.collected.len() == FILL_BATCH {
                self.flush();
            }
            fingerprints = later;
        }
    }

    /// Whether all fitted and none was 0.
    pub fn finish(mut self) -> bool {
        self.flush();
        self.fits
    }

    fn flush(&mut self) {
        let bits = self.set.bytes().ilog2().saturating_sub(REGION_BITS);
        let bits = bits.min(REGIONS_BITS_MAX);
        if bits > 0 {
            sort_by_high_bits(&self.collected, bits, &mut self.sorted);
            std::mem::swap(&mut self.collected, &mut self.sorted);
        }
        self.fits = self.fits && self.set.extend(&self.collected);
        self.collected.clear();
    }
}

/// Puts `all` into `sorted` in the order of the highest `bits` bits; 1 to [`REGIONS_BITS_MAX`].
fn sort_by_high_bits(all: &[u64], bits: u32, sorted: &mut Vec<u64>) {
    let shift = u64::BITS - bits;
    let mut ends = [0usize; 1 << REGIONS_BITS_MAX];
    for fingerprint in all {
        ends[(fingerprint >> shift) as usize] += 1;
    }
    let mut begin = 0;
    for end in &mut ends {
        begin += std::mem::replace(end, begin);
    }
    sorted.resize(all.len(), 0);
    for fingerprint in all {
        let end = &mut ends[(fingerprint >> shift) as usize];
        sorted[*end] = *fingerprint;
        *end += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::super::seen::tests::scramble;
    use super::*;

    #[test]
    fn all_are_there_and_in_the_order_of_regions() {
        let values: Vec<u64> = (0..FILL_BATCH as u64 + 300_000).map(scramble).collect();
        let mut set = SeenSet::new(values.len(), 64 << 20);
        let mut filling = Filling::new(&mut set, values.len());
        for piece in values.chunks(100_001) {
            filling.extend(piece);
        }
        assert!(filling.finish());
        assert_eq!(set.len(), values.len());
        assert!(values.iter().all(|v| set.contains(*v)));
        let mut sorted = Vec::new();
        sort_by_high_bits(&values[..1_000], 10, &mut sorted);
        assert!(sorted.is_sorted_by_key(|v| v >> 54));
        let mut twin = values[..1_000].to_vec();
        twin.sort_unstable();
        sorted.sort_unstable();
        assert_eq!(sorted, twin);
    }

    #[test]
    fn zero_and_too_many_are_refused() {
        let mut set = SeenSet::new(10, 1 << 20);
        let mut filling = Filling::new(&mut set, 10);
        filling.extend(&[1, 0, 2]);
        assert!(!filling.finish());
        let mut small = SeenSet::new(1_000, 64 << 10);
        let mut filling = Filling::new(&mut small, 1_000);
        filling.extend(&(0..20_000).map(scramble).collect::<Vec<_>>());
        assert!(!filling.finish());
    }
}
