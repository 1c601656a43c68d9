//! The checkpointer: takes deltas and notes, writes one checkpoint after the other, in small steps.
//!
//! ```text
//! deltas: Seen Urls … Cut e │ Block … Swept e          ┐  segments → logs → image, slice by slice → state
//! notes:  Opened … Mark e                              ┘  → manifest slot → Durable e
//! ```
//!
//! What must hold (besides what [`super`] promises):
//! * log data is written as it comes; blocks are kept with their cut and reach the shadow when its checkpoint is begun,
//!   so the shadow stands still while it is written;
//! * a turn does one step, so that the rings are looked at in between; `Durable` is reported by the turn after the one
//!   that synced the manifest, so that its tick is not before the sync;
//! * if a checkpoint is late (the store has not answered, or the disk is slow) cuts are folded: the older is skipped and
//!   its blocks become part of the newer. Never more than [`limits::CUTS_PENDING_MAX`] cuts are held.
//!
//! Deliberately absent: threads, channels, clocks, retries.

mod compacting;
mod start;
mod steps;

use super::blob::StateFile;
use super::image::{ImageFile, Shadow};
use super::log::{Log, LogSizes};
use super::manifest::{Generation, LogPosition, MANIFEST, Named};
use super::page::PAGE_BYTES;
use crate::disk::{Disk, DiskFile};
use crate::error::{Error, Result};
use crate::event::{BLOCK_BYTES, Cut, Delta, Mark, StoreNote};
use crate::limits;
use crate::time::Tick;
use compacting::Compacting;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// Room in the smallest image file, blocks.
const IMAGE_BLOCKS_MIN: u64 = 64;

/// Sizes of the log files.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Of the log of fingerprints.
    pub seen: LogSizes,
    /// Of the log of URL records and of its base.
    pub urls: LogSizes,
    /// Bytes of URL records that must have been logged since the last compaction for another one.
    pub compact_at: u64,
}

impl Default for Sizes {
    fn default() -> Self {
        Self {
            seen: LogSizes {
                first: limits::SEEN_LOG_FIRST_BYTES,
                max: limits::SEEN_LOG_BYTES,
            },
            urls: LogSizes {
                first: limits::URLS_LOG_FIRST_BYTES,
                max: limits::URLS_LOG_BYTES,
            },
            compact_at: limits::COMPACT_BYTES_MIN,
        }
    }
}

/// A checkpoint became durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Durable {
    /// Its number.
    pub epoch: u64,
    /// Crawl time of its cut.
    pub cut_tick: Tick,
    /// Crawl time by which it was durable.
    pub durable_tick: Tick,
    /// Bytes written for it, segments excluded.
    pub bytes: u64,
    /// From its first step to `durable_tick`, ticks.
    pub duration: Tick,
    /// Bytes written by compactions in this run so far, and how many of them took effect.
    pub compacted: (u64, u64),
}

/// A cut whose checkpoint is not begun.
struct Pending {
    cut: Cut,
    seen: LogPosition,
    urls: LogPosition,
    blocks: BTreeMap<u32, Box<[u8; BLOCK_BYTES]>>,
    swept: bool,
    log_bytes: u64,
}

/// A checkpoint under way.
struct Work {
    generation: Generation,
    cut: Cut,
    mark: Mark,
    step: Step,
    started: Tick,
    bytes: u64,
}

/// What a checkpoint does next, in this order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    Segments,
    Logs,
    Image,
    State,
    Manifest,
    Report,
}

/// Handles for syncing a segment.
struct Twins {
    data: Box<dyn DiskFile>,
    index: Box<dyn DiskFile>,
}

/// Writes checkpoints. See the module's documentation.
pub struct Checkpointer {
    disk: Arc<dyn Disk>,
    manifest: Box<dyn DiskFile>,
    /// Whose checkpoints these are; see [`super::lease`].
    term: u32,
    /// Newest durable generation, the slot it is in, and that slot's checksum.
    durable: Generation,
    slot: u32,
    checksum: u64,
    /// No cut may have this number or a smaller one.
    last_epoch: u64,
    sizes: Sizes,
    seen: Log,
    urls: Log,
    ended: Log,
    compacting: Compacting,
    shadow: Shadow,
    /// By slot.
    images: [Option<ImageFile>; 2],
    states: [Option<StateFile>; 2],
    next_image: u64,
    next_state: u64,
    pending: VecDeque<Pending>,
    marks: VecDeque<Mark>,
    twins: BTreeMap<u32, Twins>,
    /// Segments that are complete and not durable yet.
    sealed: BTreeSet<u32>,
    work: Option<Work>,
    /// Log bytes written up to the newest cut.
    log_bytes: u64,
    /// Cuts that were skipped because the one before was late.
    folded: u64,
    /// Files that nothing names once the next checkpoint is durable, and those that nothing names now.
    doomed: Vec<String>,
    retired: Vec<String>,
    stopping: bool,
    failed: Option<String>,
}

impl Checkpointer {
    /// The same checkpointer, for the holder of this term.
    pub fn in_term(mut self, term: u32) -> Self {
        self.term = term;
        self
    }

    /// Number of the newest durable checkpoint.
    pub fn durable_epoch(&self) -> u64 {
        self.durable.epoch
    }

    /// Cuts that were skipped because the checkpoint before was late.
    pub fn folded(&self) -> u64 {
        self.folded
    }

    /// Whether the next turn has something to do.
    pub fn busy(&self) -> bool {
        self.failed.is_none() && (self.work.is_some() || self.complete().is_some())
    }

    /// Whether [`Delta::Stop`] came and every cut before it is durable.
    pub fn finished(&self) -> bool {
        self.stopping && self.work.is_none() && self.pending.is_empty()
    }

    /// Takes a delta of the frontier.
    ///
    /// # Errors
    /// Fatal: a file could not be written, or deltas are out of order. All later calls fail too.
    pub fn delta(&mut self, delta: Delta) -> Result<()> {
        self.guard(|this| match delta {
            Delta::Seen(seen) => this.seen.append_fingerprints(&*this.disk, &seen),
            Delta::Urls(urls) => this.urls.append(&*this.disk, &urls),
            Delta::Cut(cut) => this.cut(*cut),
            Delta::Block { index, bytes } => this.block(index, bytes),
            Delta::Swept { epoch } => this.swept(epoch),
            Delta::Stop => {
                this.stopping = true;
                Ok(())
            }
        })
    }

    /// Takes a note of the store.
    ///
    /// # Errors
    /// Fatal: marks that nobody asked for. All later calls fail too.
    pub fn note(&mut self, note: StoreNote) -> Result<()> {
        self.guard(|this| match note {
            StoreNote::Opened {
                segment,
                data,
                index,
            } => {
                this.twins.insert(segment, Twins { data, index });
                Ok(())
            }
            StoreNote::Mark(mark) => {
                this.sealed.extend(&mark.sealed);
                this.marks.push_back(mark);
                if this.marks.len() > limits::MARKS_PENDING_MAX {
                    return Err(out_of_order("marks without cuts"));
                }
                Ok(())
            }
        })
    }

    /// Does one step of the checkpoint under way, or begins the next, or tidies up.
    ///
    /// # Errors
    /// Fatal: something could not be made durable. All later calls fail too; the newest durable checkpoint stays.
    pub fn turn(&mut self, now: Tick) -> Result<Option<Durable>> {
        self.guard(|this| match this.work.take() {
            Some(work) => this.step(work, now),
            None => {
                if let Some(through) = this.complete() {
                    this.begin(through, now);
                } else if !this.stopping {
                    this.tidy();
                }
                Ok(None)
            }
        })
    }

    fn guard<T>(&mut self, act: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if let Some(message) = &self.failed {
            return Err(Error::environment(message.clone()));
        }
        act(self).map_err(|e| {
            let intact = self.durable.epoch;
            let message = format!("{e}; no more checkpoints are taken, number {intact} is intact");
            self.work = None;
            self.failed = Some(message.clone());
            Error::environment(message)
        })
    }

    fn cut(&mut self, cut: Cut) -> Result<()> {
        if self.pending.back().is_some_and(|p| !p.swept) {
            return Err(out_of_order("a cut before the last one was swept"));
        }
        if cut.epoch <= self.last_epoch {
            return Err(out_of_order("a cut with a number that was used before"));
        }
        if cut.seen_len * 8 != self.seen.payload_len() || cut.urls_len != self.urls.payload_len() {
            return Err(out_of_order(&format!(
                "the frontier counts {} fingerprints and {} URL bytes, the logs hold {} and {}",
                cut.seen_len,
                cut.urls_len,
                self.seen.payload_len() / 8,
                self.urls.payload_len()
            )));
        }
        self.last_epoch = cut.epoch;
        let (seen, urls) = (self.seen.cut(cut.epoch)?, self.urls.cut(cut.epoch)?);
        let written = self.seen.written + self.urls.written;
        let log_bytes = written - std::mem::replace(&mut self.log_bytes, written);
        if self.pending.len() >= limits::CUTS_PENDING_MAX {
            self.fold();
        }
        self.pending.push_back(Pending {
            cut,
            seen,
            urls,
            blocks: BTreeMap::new(),
            swept: false,
            log_bytes,
        });
        Ok(())
    }

    /// Makes the oldest pending cut part of the next.
    fn fold(&mut self) {
        let Some(old) = self.pending.pop_front() else {
            return;
        };
        if let Some(next) = self.pending.front_mut() {
            next.log_bytes += old.log_bytes;
            for (index, bytes) in old.blocks {
                next.blocks.entry(index).or_insert(bytes);
            }
            self.folded += 1;
        }
    }

    fn block(&mut self, index: u32, bytes: Box<[u8; BLOCK_BYTES]>) -> Result<()> {
        match self.pending.back_mut() {
            Some(p) if !p.swept && index < p.cut.blocks => {
                p.blocks.insert(index, bytes);
                Ok(())
            }
            _ => Err(out_of_order("a block without its cut")),
        }
    }

    fn swept(&mut self, epoch: u64) -> Result<()> {
        match self.pending.back_mut() {
            Some(p) if !p.swept && p.cut.epoch == epoch => {
                p.swept = true;
                Ok(())
            }
            _ => Err(out_of_order("a sweep without its cut")),
        }
    }

    /// The newest pending cut that can be made durable: all blocks and its mark are in.
    fn complete(&self) -> Option<usize> {
        let ready = |p: &Pending| p.swept && self.marks.iter().any(|m| m.epoch == p.cut.epoch);
        self.pending.iter().rposition(ready)
    }

    /// Begins the checkpoint of pending cut `through`; older ones are folded into it.
    fn begin(&mut self, through: usize, now: Tick) {
        for _ in 0..through {
            self.fold();
        }
        let Some(p) = self.pending.pop_front() else {
            return;
        };
        let Some(mark) = self.take_mark(p.cut.epoch) else {
            return;
        };
        let mut changed = BTreeSet::new();
        self.shadow.resize(p.cut.blocks, &mut changed);
        for (index, bytes) in p.blocks {
            if index < p.cut.blocks {
                self.shadow.set(index, &bytes);
                changed.insert(index);
            }
        }
        for image in self.images.iter_mut().flatten() {
            image.behind.extend(&changed);
        }
        let mut generation = Generation {
            term: self.term,
            epoch: p.cut.epoch,
            tick: p.cut.tick,
            wall: p.cut.wall,
            cut_ns: p.cut.cut_ns,
            state_hash: p.cut.state_hash,
            seen_len: p.cut.seen_len,
            urls_len: p.cut.urls_len,
            seen: p.seen,
            urls: p.urls,
            base: self.durable.base,
            ended: self.durable.ended,
            image: Named::default(),
            state: Named::default(),
            mark_epoch: mark.epoch,
            segment: mark.segment,
            segment_len: mark.segment_len,
            index_len: mark.index_len,
            records: mark.records,
            predecessor: self.checksum,
            identity: self.durable.identity,
        };
        if let Some(base) = self.compacting.replacement {
            generation.base = base;
            generation.ended = self.ended.position();
        }
        self.work = Some(Work {
            generation,
            cut: p.cut,
            mark,
            step: Step::Segments,
            started: now,
            bytes: p.log_bytes,
        });
    }

    /// The mark of cut `epoch`, which is in; marks of cuts that were folded into it go with it, later ones stay.
    fn take_mark(&mut self, epoch: u64) -> Option<Mark> {
        let mut mark = None;
        while self.marks.front().is_some_and(|m| m.epoch <= epoch) {
            mark = self.marks.pop_front();
        }
        mark
    }

    /// With nothing else to do: allocates the next log files, removes one file that nothing names, or compacts a little.
    fn tidy(&mut self) {
        if self.seen.prepare(&*self.disk) || self.urls.prepare(&*self.disk) {
            return;
        }
        if let Some(name) = self.retired.pop() {
            let _ = self.disk.remove(&name); // only space is lost, and the next restore finds it
            return;
        }
        self.compact();
    }
}

fn out_of_order(what: &str) -> Error {
    Error::environment(format!(
        "checkpoint out of order: {what}; this is a fault of the program"
    ))
}

fn write_page(manifest: &mut dyn DiskFile, slot: u32, page: &[u8; PAGE_BYTES]) -> Result<()> {
    let at = u64::from(slot) * PAGE_BYTES as u64;
    manifest
        .write_at(at, page)
        .and_then(|()| manifest.sync_range(at, PAGE_BYTES as u64))
        .map_err(|e| Error::io("cannot make durable", MANIFEST, e))
}
