//! One interval's checkpoint on the real disk, and the restore of everything.
//!
//! Shape: 15 s at 20,000 new URLs a second, as the design assumes: 300,000 fingerprints, 25 MB of URL text and 1,000
//! changed blocks of the host image, after a crawl that already knows 1 or 10 million URLs (60 bytes each). The image
//! has 20,000 blocks in both cases. Two checkpoints warm up both image files; medians of nine follow. The probe above
//! the table is the floor: as many bytes stored to one mapped file and synced.
//!
//! Excluded: the frontier, segments, and reading from a cold cache (the restore reads what was just written).
//! `CYCLOSA_BENCH_DIR` names the directory to work below; the default is the system's for temporary files, which must
//! not be a tmpfs.

use cyclosa::checkpoint::{Checkpointer, DirDisk, Sizes, recover};
use cyclosa::disk::{Access, Disk};
use cyclosa::event::{BLOCK_BYTES, CrawlIdentity, Cut, Delta, Mark, StoreNote};
use cyclosa::time::{Clock, MILLISECOND};
use std::sync::Arc;

const ME: CrawlIdentity = CrawlIdentity {
    id: [3; 16],
    key: [5; 32],
    created: 77,
};
const SEEN: u64 = 300_000;
const URLS: usize = 25_000_000;
const CHANGED: u32 = 1_000;
const BLOCKS: u32 = 20_000;
const CHUNK: usize = 1 << 20;
const ROUNDS: usize = 9;

struct Feed {
    clock: Clock,
    epoch: u64,
    seen: u64,
    urls: u64,
}

impl Feed {
    fn logs(&mut self, to: &mut Checkpointer, seen: u64, urls: usize) {
        let mut left = seen;
        while left > 0 {
            let n = left.min(CHUNK as u64 / 8);
            let from = self.seen;
            let chunk = (from..from + n).map(|i| (i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
            to.delta(Delta::Seen(chunk.collect())).unwrap();
            self.seen += n;
            left -= n;
        }
        let mut left = urls;
        while left > 0 {
            let n = left.min(CHUNK);
            to.delta(Delta::Urls(vec![self.seen as u8; n])).unwrap();
            self.urls += n as u64;
            left -= n;
        }
    }

    /// Cuts, sends `blocks`, and turns until durable; returns bytes written.
    fn checkpoint(&mut self, to: &mut Checkpointer, blocks: impl Iterator<Item = u32>) -> u64 {
        self.epoch += 1;
        let cut = Cut {
            epoch: self.epoch,
            seen_len: self.seen,
            urls_len: self.urls,
            blocks: BLOCKS,
            state: vec![1; 300_000],
            ..Cut::default()
        };
        to.delta(Delta::Cut(Box::new(cut))).unwrap();
        for index in blocks {
            let bytes = Box::new([self.epoch as u8; BLOCK_BYTES]);
            to.delta(Delta::Block { index, bytes }).unwrap();
        }
        to.delta(Delta::Swept { epoch: self.epoch }).unwrap();
        let mark = Mark {
            epoch: self.epoch,
            ..Mark::default()
        };
        to.note(StoreNote::Mark(mark)).unwrap();
        loop {
            if let Some(durable) = to.turn(self.clock.now()).unwrap() {
                return durable.bytes;
            }
        }
    }
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}

fn ms(from: u64, to: u64) -> f64 {
    (to - from) as f64 / MILLISECOND as f64
}

/// Stores `len` bytes to a fresh mapped file and syncs it, the least that the same bytes can cost.
fn floor(disk: &DirDisk, clock: Clock, len: usize) -> f64 {
    let bytes = vec![7u8; len];
    let times = (0..ROUNDS).map(|i| {
        let name = format!("floor-{i}");
        let mut file = disk.create(&name, Access::Mapped, len as u64).unwrap();
        let start = clock.now();
        file.write_at(0, &bytes).unwrap();
        file.sync().unwrap();
        let took = ms(start, clock.now());
        drop(file);
        disk.remove(&name).unwrap();
        took
    });
    median(times.collect())
}

fn case(below: &std::path::Path, known: u64) {
    let dir = tempfile::tempdir_in(below).unwrap();
    let clock = Clock::starting_at(0);
    let disk = Arc::new(DirDisk::open(dir.path()).unwrap());
    let mut to = Checkpointer::new(disk.clone(), ME, Sizes::default()).unwrap();
    let mut feed = Feed {
        clock,
        epoch: 0,
        seen: 0,
        urls: 0,
    };
    feed.logs(&mut to, known, known as usize * 60);
    feed.checkpoint(&mut to, 0..BLOCKS);
    feed.checkpoint(&mut to, 0..CHANGED);
    let (mut append, mut durable, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS as u32 {
        for _ in 0..4 {
            to.turn(clock.now()).unwrap(); // idle: log files are allocated ahead
        }
        let start = clock.now();
        feed.logs(&mut to, SEEN, URLS);
        let cut = clock.now();
        let changed = (0..CHANGED).map(|i| (i * 19 + round * 7) % BLOCKS);
        bytes.push(feed.checkpoint(&mut to, changed) as f64);
        append.push(ms(start, cut));
        durable.push(ms(cut, clock.now()));
    }
    drop(to);
    let start = clock.now();
    let got = recover(&*disk).unwrap().unwrap();
    let took = ms(start, clock.now());
    let seen = got.cut.seen_len as usize;
    let total = (seen * 8 + got.hosts.len()) as f64 + got.cut.urls_len as f64;
    println!(
        "{known:>10}  {:>9.1}  {:>12.1}  {:>11.0}  {:>9} fingerprints in {took:>6.0} ms: {:.1} M/s, {:.2} GB/s",
        median(append),
        median(durable),
        median(bytes),
        seen,
        seen as f64 / took / 1e3,
        total / took / 1e6,
    );
    fingerprints_only(below, known);
}

/// The restore where nothing but fingerprints was logged.
fn fingerprints_only(below: &std::path::Path, known: u64) {
    let dir = tempfile::tempdir_in(below).unwrap();
    let clock = Clock::starting_at(0);
    let disk = Arc::new(DirDisk::open(dir.path()).unwrap());
    let mut to = Checkpointer::new(disk.clone(), ME, Sizes::default()).unwrap();
    let mut feed = Feed {
        clock,
        epoch: 0,
        seen: 0,
        urls: 0,
    };
    feed.logs(&mut to, known, 0);
    feed.checkpoint(&mut to, 0..0);
    drop(to);
    let times = (0..5).map(|_| {
        let start = clock.now();
        let got = recover(&*disk).unwrap().unwrap();
        assert_eq!(got.cut.seen_len, known);
        ms(start, clock.now())
    });
    let took = median(times.collect());
    println!(
        "            fingerprints only (and an image of {BLOCKS} blocks): {took:.1} ms, {:.1} M/s",
        known as f64 / took / 1e3
    );
}

fn main() {
    let below = std::env::var_os("CYCLOSA_BENCH_DIR")
        .map_or_else(std::env::temp_dir, std::path::PathBuf::from);
    let probe = tempfile::tempdir_in(&below).unwrap();
    let disk = DirDisk::open(probe.path()).unwrap();
    if disk.volatile() {
        println!("the directory is in memory: the figures say nothing about a disk");
    }
    let len = URLS + SEEN as usize * 8 + 2 * CHANGED as usize * BLOCK_BYTES;
    let clock = Clock::starting_at(0);
    println!(
        "floor: {len} bytes to one mapped file and synced in {:.1} ms",
        floor(&disk, clock, len)
    );
    println!("     known  append ms  cut→durable ms  bytes written  restore");
    for known in [1_000_000, 10_000_000] {
        case(&below, known);
    }
}
