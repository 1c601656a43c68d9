//! Power failures, failing calls and flipped bits against the real checkpointer on the simulated disk.
//!
//! A model frontier makes deltas from a seed and remembers the whole state at each cut. After every failure the restored
//! state must be that of some cut, not older than the newest that was reported durable, and the segment must hold what
//! the mark says. The messages of failing assertions name seed and operation.

#[path = "common/whole.rs"]
mod whole;

use cyclosa::checkpoint::log::LogSizes;
use cyclosa::checkpoint::{Checkpointer, Sizes, verify};
use cyclosa::disk::{Access, Disk, DiskFile};
use cyclosa::event::{BLOCK_BYTES, CrawlIdentity, Cut, Delta, Mark, StoreNote};
use cyclosa::sim::disk::{Faults, SimDisk};
use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::sync::Arc;
use whole::{Whole, recover};

const ME: CrawlIdentity = CrawlIdentity {
    id: [3; 16],
    key: [5; 32],
    created: 77,
};

/// Small files, so that a short run crosses many of them.
const SIZES: Sizes = Sizes {
    seen: LogSizes {
        first: 8 << 10,
        max: 16 << 10,
    },
    urls: LogSizes {
        first: 8 << 10,
        max: 24 << 10,
    },
    compact_at: u64::MAX,
};

/// Everything that a cut must bring back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct State {
    seen: Vec<u64>,
    urls: Vec<u8>,
    hosts: Vec<u8>,
    counters: Vec<u8>,
    segment: u32,
    segment_bytes: Vec<u8>,
}

/// Frontier and store of the model.
struct Model {
    dice: u64,
    now: State,
    dirty: BTreeSet<u32>,
    epoch: u64,
    /// State at each cut.
    cuts: BTreeMap<u64, State>,
    /// Newest cut that was reported durable.
    durable: u64,
    /// Segments that were sealed since the last mark.
    sealed: Vec<u32>,
    segment: Option<(Box<dyn DiskFile>, Box<dyn DiskFile>)>,
}

impl Model {
    fn new(seed: u64) -> Self {
        Self {
            dice: seed,
            now: State::default(),
            dirty: BTreeSet::new(),
            epoch: 0,
            cuts: BTreeMap::from([(0, State::default())]),
            durable: 0,
            sealed: Vec::new(),
            segment: None,
        }
    }

    /// What the model knows after its process died, for one of many outcomes.
    fn remembered(&self) -> Self {
        Self {
            dice: self.dice,
            epoch: self.epoch,
            cuts: self.cuts.clone(),
            durable: self.durable,
            ..Self::new(0)
        }
    }

    fn roll(&mut self, below: u64) -> u64 {
        self.dice = self
            .dice
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.dice >> 33) % below
    }

    /// Opens the next segment, or at a restore cuts the present one to its mark.
    fn open_segment(
        &mut self,
        disk: &SimDisk,
        to: &mut Checkpointer,
    ) -> Result<(), Box<dyn std::error::Error>> {
        let n = self.now.segment;
        let open = |name: String, len: u64| -> std::io::Result<Box<dyn DiskFile>> {
            if disk.len(&name)?.is_none() {
                return disk.create(&name, Access::Append, 0);
            }
            let mut file = disk.open(&name, Access::Append)?;
            file.truncate(len)?;
            Ok(file)
        };
        let data = open(
            format!("x-{n:06}.warc.zst"),
            self.now.segment_bytes.len() as u64,
        )?;
        let index = open(format!("x-{n:06}.idx"), 0)?;
        to.note(StoreNote::Opened {
            segment: n,
            data: data.twin()?,
            index: index.twin()?,
        })?;
        self.segment = Some((data, index));
        Ok(())
    }

    /// One interval: log data, pages stored, a cut, its blocks; late marks and early ones; turns in between.
    fn interval(
        &mut self,
        disk: &SimDisk,
        to: &mut Checkpointer,
    ) -> Result<(), Box<dyn std::error::Error>> {
        for _ in 0..1 + self.roll(3) {
            self.work(disk, to)?;
            if self.roll(3) == 0 {
                self.turn(to)?;
            }
        }
        self.epoch += 1;
        let early = self.roll(2) == 0;
        if early {
            to.note(StoreNote::Mark(self.mark()))?;
            for _ in 0..self.roll(3) {
                self.turn(to)?;
            }
        }
        let mark = self.mark();
        self.cuts.insert(self.epoch, self.now.clone());
        to.delta(Delta::Cut(Box::new(Cut {
            epoch: self.epoch,
            tick: self.epoch * 100,
            wall: 1_000 + self.epoch,
            seen_len: self.now.seen.len() as u64,
            urls_len: self.now.urls.len() as u64,
            blocks: (self.now.hosts.len() / BLOCK_BYTES) as u32,
            state: self.now.counters.clone(),
            state_hash: self.epoch ^ 0xabcd,
            cut_ns: 5,
        })))?;
        for index in std::mem::take(&mut self.dirty) {
            let mut bytes = Box::new([0; BLOCK_BYTES]);
            let at = index as usize * BLOCK_BYTES;
            bytes.copy_from_slice(&self.cuts[&self.epoch].hosts[at..at + BLOCK_BYTES]);
            to.delta(Delta::Block { index, bytes })?;
            if self.roll(4) == 0 {
                self.turn(to)?;
            }
        }
        to.delta(Delta::Swept { epoch: self.epoch })?;
        if !early {
            for _ in 0..self.roll(2) {
                self.work(disk, to)?;
            }
            to.note(StoreNote::Mark(mark))?;
        }
        self.sealed.clear();
        if self.roll(4) > 0 {
            for _ in 0..self.roll(14) {
                self.turn(to)?;
            }
        }
        Ok(())
    }

    fn mark(&self) -> Mark {
        Mark {
            epoch: self.epoch,
            segment: self.now.segment,
            segment_len: self.now.segment_bytes.len() as u64,
            index_len: 0,
            records: self.epoch * 3,
            state: vec![self.epoch as u8; 9],
            sealed: self.sealed.clone(),
        }
    }

    fn work(
        &mut self,
        disk: &SimDisk,
        to: &mut Checkpointer,
    ) -> Result<(), Box<dyn std::error::Error>> {
        let seen: Vec<u64> = (0..self.roll(900))
            .map(|_| self.roll(u64::MAX) | 1)
            .collect();
        self.now.seen.extend_from_slice(&seen);
        to.delta(Delta::Seen(seen))?;
        let fill = self.roll(256) as u8;
        let urls = vec![fill; self.roll(5_000) as usize];
        self.now.urls.extend_from_slice(&urls);
        to.delta(Delta::Urls(urls))?;
        if self.roll(3) == 0 {
            let blocks = self.now.hosts.len() / BLOCK_BYTES;
            let more = blocks + self.roll(30) as usize;
            self.now.hosts.resize(more * BLOCK_BYTES, 0);
        }
        let blocks = (self.now.hosts.len() / BLOCK_BYTES) as u64;
        for _ in 0..self.roll(6).min(blocks) {
            let index = self.roll(blocks);
            self.now.hosts[index as usize * BLOCK_BYTES + self.dice as usize % BLOCK_BYTES] ^= 1;
            self.dirty.insert(index as u32);
        }
        let len = 1 + self.roll(40_000) as usize;
        self.now.counters = vec![fill; len];
        if self.segment.is_none() {
            self.now.segment = 1;
            self.open_segment(disk, to)?;
        } else if self.roll(9) == 0 {
            self.sealed.push(self.now.segment);
            self.now.segment += 1;
            self.now.segment_bytes.clear();
            self.open_segment(disk, to)?;
        }
        let page = vec![fill; 1 + self.roll(3_000) as usize];
        let (data, _) = self.segment.as_mut().unwrap();
        data.write_at(self.now.segment_bytes.len() as u64, &page)?;
        self.now.segment_bytes.extend_from_slice(&page);
        Ok(())
    }

    fn turn(&mut self, to: &mut Checkpointer) -> Result<(), Box<dyn std::error::Error>> {
        let now = self.epoch * 100 + 50;
        if let Some(durable) = to.turn(now)? {
            assert!(durable.epoch > self.durable && durable.epoch <= self.epoch);
            assert_eq!(durable.cut_tick, durable.epoch * 100);
            self.durable = durable.epoch;
        }
        Ok(())
    }

    /// Checks a restored state against the cut that it claims to be, and goes on from it.
    fn adopt(&mut self, disk: &SimDisk, got: &Whole, context: &str) {
        let epoch = got.cut.epoch;
        assert!(
            epoch >= self.durable,
            "{context}: {epoch} is older than {}",
            self.durable
        );
        let expected = self
            .cuts
            .get(&epoch)
            .unwrap_or_else(|| panic!("{context}: no cut {epoch}"));
        assert_eq!(got.identity, ME, "{context}");
        assert!(got.seen == expected.seen, "{context}: seen");
        assert!(got.urls == expected.urls, "{context}: urls");
        assert!(got.hosts == expected.hosts, "{context}: hosts");
        assert!(got.cut.state == expected.counters, "{context}: counters");
        assert!(got.next_epoch > epoch, "{context}");
        if epoch > 0 {
            assert_eq!(got.cut.state_hash, epoch ^ 0xabcd, "{context}");
            assert_eq!(got.cut.wall, 1_000 + epoch, "{context}");
            assert_eq!(got.mark.epoch, epoch, "{context}");
            assert_eq!(got.mark.state, vec![epoch as u8; 9], "{context}");
            assert_eq!(got.mark.segment, expected.segment, "{context}");
        }
        if expected.segment > 0 {
            let len = got.mark.segment_len as usize;
            let bytes = disk
                .peek(&format!("x-{:06}.warc.zst", got.mark.segment))
                .unwrap();
            assert!(
                bytes[..len] == expected.segment_bytes[..],
                "{context}: segment"
            );
        }
        self.now = expected.clone();
        self.epoch = got.next_epoch - 1;
        self.durable = epoch;
        self.cuts.retain(|n, _| *n <= epoch);
        self.dirty.clear();
        self.sealed.clear();
        self.segment = None;
    }

    /// From wherever the disk stands through `intervals` intervals; the first error ends it.
    fn run(
        &mut self,
        disk: &SimDisk,
        from: Option<&Whole>,
        intervals: usize,
    ) -> Result<(), Box<dyn std::error::Error>> {
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        let mut to = match from {
            None => Checkpointer::new(shared, ME, SIZES)?,
            Some(from) => Checkpointer::resume(shared, from, SIZES)?,
        };
        if self.now.segment > 0 {
            self.open_segment(disk, &mut to)?;
        }
        for _ in 0..intervals {
            self.interval(disk, &mut to)?;
        }
        to.delta(Delta::Stop)?;
        while !to.finished() {
            self.turn(&mut to)?;
        }
        assert_eq!(to.durable_epoch(), self.epoch);
        Ok(())
    }
}

/// A run without faults; returns its disk, model and number of operations.
fn whole_run(seed: u64, intervals: usize) -> (SimDisk, Model, u64) {
    let (disk, mut model) = (SimDisk::new(seed), Model::new(seed));
    model.run(&disk, None, intervals).unwrap();
    assert_eq!(model.durable, model.epoch);
    let ops = disk.ops();
    (disk, model, ops)
}

#[test]
fn a_crawl_without_faults_comes_back_as_it_was() {
    for seed in 0..40 {
        let (disk, mut model, _) = whole_run(seed, 9);
        let got = recover(&disk).unwrap().unwrap();
        assert_eq!((got.cut.epoch, &got.fallback), (model.epoch, &None));
        let report = verify(&disk).unwrap();
        assert_eq!(report.defects, [], "seed {seed}");
        assert_eq!(report.restorable.len(), 2);
        model.adopt(&disk, &got, "whole");
        // A second life, and a third that changes nothing.
        model.run(&disk, Some(&got), 4).unwrap();
        let before: Vec<_> = disk.list().unwrap().iter().map(|n| disk.peek(n)).collect();
        for _ in 0..2 {
            let got = recover(&disk).unwrap().unwrap();
            model.adopt(&disk, &got, "third life");
            Checkpointer::resume(Arc::new(disk.clone()), &got, SIZES).unwrap();
        }
        let after: Vec<_> = disk.list().unwrap().iter().map(|n| disk.peek(n)).collect();
        assert!(before == after, "restoring changed a file");
    }
}

#[test]
fn power_may_fail_at_any_operation_with_any_outcome() {
    let (mut points, mut outcomes, mut fell_back, mut lives) = (0, 0, 0, 0);
    for seed in 0..16 {
        let (_, _, ops) = whole_run(seed, 6);
        for op in 0..ops {
            let (disk, mut model) = (SimDisk::new(seed), Model::new(seed));
            disk.set_faults(Faults {
                power_off_at: Some(op),
                ..Faults::default()
            });
            let _ = model.run(&disk, None, 6);
            points += 1;
            for outcome in 0..5 {
                let context = format!("seed {seed}, operation {op}, outcome {outcome}");
                let after = disk.after_crash(outcome);
                outcomes += 1;
                let Some(got) = recover(&after).unwrap_or_else(|e| panic!("{context}: {e}")) else {
                    assert_eq!(model.durable, 0, "{context}: everything was lost");
                    continue;
                };
                let mut model = model.remembered();
                model.adopt(&after, &got, &context);
                fell_back += u32::from(got.fallback.is_some());
                if (op + outcome) % 7 == 0 {
                    lives += second_life(after, model, got, &context, op * 31 + outcome);
                }
            }
        }
    }
    println!(
        "{points} crash points, {outcomes} outcomes, {fell_back} restored from the older generation, {lives} second lives"
    );
    assert!(points > 3_000 && lives > 1_000 && fell_back > 50);
}

/// The restored crawl goes on, loses power again, and is restored again.
fn second_life(disk: SimDisk, mut model: Model, got: Whole, context: &str, dice: u64) -> u32 {
    let at = dice.wrapping_mul(0x9e37_79b9) % 150;
    disk.set_faults(Faults {
        power_off_at: Some(disk.ops() + at),
        ..Faults::default()
    });
    let _ = model.run(&disk, Some(&got), 3);
    for outcome in 0..4 {
        let context = format!("{context}, second life until {at}, outcome {outcome}");
        let after = disk.after_crash(outcome);
        let got = recover(&after)
            .unwrap_or_else(|e| panic!("{context}: {e}"))
            .unwrap_or_else(|| panic!("{context}: nothing left"));
        let mut model = model.remembered();
        model.adopt(&after, &got, &context);
        // And a third, to its end.
        if outcome == 2 {
            model.run(&after, Some(&got), 2).unwrap();
            let got = recover(&after).unwrap().unwrap();
            assert_eq!(got.cut.epoch, model.epoch);
            model.adopt(&after, &got, &context);
        }
    }
    1
}

#[test]
fn any_call_may_fail_and_the_newest_checkpoint_stays() {
    let (mut stopped, mut went_on) = (0, 0);
    for (seed, kind) in (0..6).zip(
        [ErrorKind::StorageFull, ErrorKind::Other]
            .into_iter()
            .cycle(),
    ) {
        let (_, _, ops) = whole_run(seed, 6);
        for op in 0..ops {
            let (disk, mut model) = (SimDisk::new(seed), Model::new(seed));
            disk.set_faults(Faults {
                fail_at: Some((op, kind)),
                ..Faults::default()
            });
            match model.run(&disk, None, 6) {
                Ok(()) => went_on += 1,
                Err(_) => stopped += 1,
            }
            for outcome in 0..4 {
                let context = format!("seed {seed}, {kind} at {op}, outcome {outcome}");
                let after = disk.after_crash(outcome);
                match recover(&after).unwrap_or_else(|e| panic!("{context}: {e}")) {
                    None => assert_eq!(model.durable, 0, "{context}"),
                    Some(got) => {
                        let mut model = model.remembered();
                        model.adopt(&after, &got, &context);
                    }
                }
            }
        }
    }
    println!("{stopped} failing calls stopped the run, {went_on} did not matter");
    assert!(stopped > 1_000 && went_on > 10);
}
