//! The seen set beside hashbrown: time per look-up-or-insert, bytes per URL, and the worst single insert while filling.
//!
//! `cargo bench --bench seen_set [-- MILLIONS...]` (1 and 10 unless given). 85 % of the operations meet a known
//! fingerprint (recent ones more often), 15 % a new one. Larger tables are allocated outside the timing, as the engine
//! does it on another thread. Excluded: hashing of URLs.

use cyclosa::frontier::seen::{SeenSet, Table};
use hashbrown::HashSet;
use std::hash::{BuildHasherDefault, Hasher};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Operations timed after filling.
const OPERATIONS: u64 = 2_000_000;
const PASSES: usize = 5;

/// Fingerprints are hashes already.
#[derive(Default)]
struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _: &[u8]) {}
    fn write_u64(&mut self, n: u64) {
        self.0 = n;
    }
}

type Plain = HashSet<u64, BuildHasherDefault<Identity>>;

fn fingerprint(n: u64) -> u64 {
    let x = (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (x ^ (x >> 31)) | 1
}

trait Set {
    fn insert(&mut self, fingerprint: u64) -> bool;
    fn prepare(&mut self) {}
    fn bytes(&self) -> usize;
}

impl Set for SeenSet {
    fn insert(&mut self, fingerprint: u64) -> bool {
        SeenSet::insert(self, fingerprint)
    }
    fn prepare(&mut self) {
        if let Some(buckets) = self.wanted_table() {
            self.give_table(Table::allocate(buckets));
        }
        drop(self.take_retired());
    }
    fn bytes(&self) -> usize {
        SeenSet::bytes(self)
    }
}

impl Set for Plain {
    fn insert(&mut self, fingerprint: u64) -> bool {
        HashSet::insert(self, fingerprint)
    }
    fn bytes(&self) -> usize {
        self.allocation_size()
    }
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

fn measure(name: &str, n: u64, mut set: impl Set) {
    let mut worst = Duration::ZERO;
    for i in 0..n {
        if i.is_multiple_of(1_024) {
            set.prepare();
        }
        let before = Instant::now();
        set.insert(fingerprint(i));
        worst = worst.max(before.elapsed());
    }
    let bytes = set.bytes() as f64 / n as f64;
    let mut next = n;
    let mut rolls = 88_172_645_463_325_252u64;
    let passes = (0..PASSES).map(|_| {
        let before = Instant::now();
        for _ in 0..OPERATIONS {
            rolls ^= rolls << 13;
            rolls ^= rolls >> 7;
            rolls ^= rolls << 17;
            let value = if rolls % 100 < 15 {
                next += 1;
                next
            } else {
                // Ranks spread evenly over their logarithm: a few URLs are met again and again.
                let bits = (rolls >> 8) % 64 * u64::from(next.ilog2()) / 63;
                next - ((rolls >> 16) % (2 << bits)).min(next)
            };
            black_box(set.insert(fingerprint(value)));
            if rolls.is_multiple_of(1_024) {
                set.prepare();
            }
        }
        before.elapsed().as_nanos() as f64 / OPERATIONS as f64
    });
    let ns = median(passes.collect());
    println!(
        "{:<24} {:>6} M {:>8.1} ns {:>8.1} B/URL {:>12.1} µs",
        name,
        n / 1_000_000,
        ns,
        bytes,
        worst.as_nanos() as f64 / 1e3
    );
}

fn main() {
    let mut sizes: Vec<u64> = std::env::args().filter_map(|a| a.parse().ok()).collect();
    if sizes.is_empty() {
        sizes = vec![1, 10];
    }
    println!(
        "{:<24} {:>8} {:>11} {:>14} {:>15}",
        "", "URLs", "operation", "memory", "worst insert"
    );
    for millions in sizes {
        let n = millions * 1_000_000;
        measure("seen set", n, SeenSet::new(0, 64 << 30));
        measure("hashbrown, growing", n, Plain::default());
        let reserved =
            Plain::with_capacity_and_hasher(n as usize * 2, BuildHasherDefault::default());
        measure("hashbrown, reserved", n, reserved);
    }
}
