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

use super::blob::{Blob, StateFile, blob_hash, state_name};
use super::image::{ImageFile, Shadow, image_name};
use super::log::{Log, LogSizes};
use super::manifest::{Generation, LogPosition, MANIFEST, MANIFEST_BYTES, Named, Slot, withdrawal};
use super::page::{Flaw, Kind, PAGE_BYTES};
use super::recover::Recovered;
use crate::disk::{Access, Disk, DiskFile};
use crate::error::{Error, Result};
use crate::event::{BLOCK_BYTES, CrawlIdentity, Cut, Delta, Mark, StoreNote};
use crate::limits;
use crate::time::Tick;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// Room in the smallest image file, blocks.
const IMAGE_BLOCKS_MIN: u64 = 64;

/// Sizes of the log files.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Of the log of fingerprints.
    pub seen: LogSizes,
    /// Of the log of URL records.
    pub urls: LogSizes,
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
    /// Newest durable generation, the slot it is in, and that slot's checksum.
    durable: Generation,
    slot: u32,
    checksum: u64,
    /// No cut may have this number or a smaller one.
    last_epoch: u64,
    seen: Log,
    urls: Log,
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
    /// Begins the checkpoints of a new crawl: the directory holds its identity when this returns. To be called before
    /// the store makes its first file.
    ///
    /// # Errors
    /// If the directory holds a crawl already, or the manifest cannot be made durable.
    pub fn new(disk: Arc<dyn Disk>, identity: CrawlIdentity, sizes: Sizes) -> Result<Self> {
        refuse_used(&*disk)?;
        let mut manifest = disk
            .create(MANIFEST, Access::Mapped, MANIFEST_BYTES)
            .map_err(|e| Error::io("cannot make", MANIFEST, e))?;
        let durable = Generation::genesis(identity);
        let (page, checksum) = durable.encode(0);
        write_page(&mut *manifest, 0, &page)?;
        let seen = Log::new(Kind::Seen, identity.id, sizes.seen);
        let urls = Log::new(Kind::Urls, identity.id, sizes.urls);
        Ok(Self::with(disk, manifest, durable, checksum, seen, urls))
    }

    /// Goes on after [`super::recover`]; to be called before the store is reopened. A newer generation that was not
    /// restored is withdrawn first. Cuts must have numbers from [`Recovered::next_epoch`] on.
    ///
    /// # Errors
    /// If a file cannot be opened or written.
    pub fn resume(disk: Arc<dyn Disk>, from: &Recovered, sizes: Sizes) -> Result<Self> {
        let root = &from.root;
        let mut manifest = disk
            .open(MANIFEST, Access::Mapped)
            .map_err(|e| Error::io("cannot open", MANIFEST, e))?;
        let durable = root.generation.clone();
        let (epoch, id) = (durable.epoch, durable.identity.id);
        if root.withdraw_other {
            let page = withdrawal(1 - root.slot, &durable.identity, from.next_epoch - 1);
            write_page(&mut *manifest, 1 - root.slot, &page)?;
        }
        let seen = Log::new(Kind::Seen, id, sizes.seen).resume(&*disk, durable.seen, epoch)?;
        let urls = Log::new(Kind::Urls, id, sizes.urls).resume(&*disk, durable.urls, epoch)?;
        let (image, state) = (durable.image, durable.state);
        let mut this = Self::with(disk, manifest, durable, root.checksum, seen, urls);
        this.slot = root.slot;
        this.last_epoch = from.next_epoch - 1;
        this.shadow = Shadow::new(from.hosts.clone());
        let slot = root.slot as usize;
        if image.file > 0 {
            let file = ImageFile::open(&*this.disk, image.file, root.image_capacity)?;
            this.images[slot] = Some(file);
        }
        if state.file > 0 {
            this.states[slot] = Some(StateFile::open(&*this.disk, state.file)?);
        }
        this.doom_strays()?;
        Ok(this)
    }

    fn with(
        disk: Arc<dyn Disk>,
        manifest: Box<dyn DiskFile>,
        durable: Generation,
        checksum: u64,
        seen: Log,
        urls: Log,
    ) -> Self {
        Self {
            disk,
            manifest,
            last_epoch: durable.epoch,
            durable,
            slot: 0,
            checksum,
            seen,
            urls,
            shadow: Shadow::default(),
            images: [None, None],
            states: [None, None],
            next_image: 1,
            next_state: 1,
            pending: VecDeque::new(),
            marks: VecDeque::new(),
            twins: BTreeMap::new(),
            sealed: BTreeSet::new(),
            work: None,
            log_bytes: 0,
            folded: 0,
            doomed: Vec::new(),
            retired: Vec::new(),
            stopping: false,
            failed: None,
        }
    }

    /// Marks for removal, once a checkpoint of this run is durable, all files that the restored generation does not name.
    fn doom_strays(&mut self) -> Result<()> {
        let names = self
            .disk
            .list()
            .map_err(|e| Error::io("cannot list", "the crawl directory", e))?;
        let number = |name: &str| -> u64 {
            let digits = name.split(['-', '.']).nth(1).unwrap_or_default();
            digits.parse().unwrap_or(0)
        };
        let named = [
            image_name(self.durable.image.file),
            state_name(self.durable.state.file),
        ];
        for name in names.into_iter().filter(|n| super::is_crawl_file(n)) {
            let n = number(&name);
            let stray = if name.starts_with("hosts-") {
                self.next_image = self.next_image.max(n.saturating_add(1));
                !named.contains(&name)
            } else if name.starts_with("state-") {
                self.next_state = self.next_state.max(n.saturating_add(1));
                !named.contains(&name)
            } else {
                false // logs: the numbers come up again, the files are replaced then
            };
            if stray {
                self.doomed.push(name);
            }
        }
        Ok(())
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
        if cut.seen_len * 8 != self.seen.len() || cut.urls_len != self.urls.len() {
            return Err(out_of_order(&format!(
                "the frontier counts {} fingerprints and {} URL bytes, the logs hold {} and {}",
                cut.seen_len,
                cut.urls_len,
                self.seen.len() / 8,
                self.urls.len()
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
        let (Some(p), Some(mark)) = (self.pending.pop_front(), self.take_mark()) else {
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
        let generation = Generation {
            epoch: p.cut.epoch,
            tick: p.cut.tick,
            wall: p.cut.wall,
            cut_ns: p.cut.cut_ns,
            state_hash: p.cut.state_hash,
            seen_len: p.cut.seen_len,
            urls_len: p.cut.urls_len,
            seen: p.seen,
            urls: p.urls,
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
        self.work = Some(Work {
            generation,
            cut: p.cut,
            mark,
            step: Step::Segments,
            started: now,
            bytes: p.log_bytes,
        });
    }

    /// The mark of the cut that was just taken from `pending`: the newest that no remaining cut waits for.
    fn take_mark(&mut self) -> Option<Mark> {
        let next = self.pending.front().map_or(u64::MAX, |p| p.cut.epoch);
        let mut mark = None;
        while self.marks.front().is_some_and(|m| m.epoch < next) {
            mark = self.marks.pop_front();
        }
        mark
    }

    fn step(&mut self, mut work: Work, now: Tick) -> Result<Option<Durable>> {
        let done = match work.step {
            Step::Segments => self.sync_segments(&work.mark)?,
            Step::Logs => {
                self.seen.sync()?;
                self.urls.sync()?;
                true
            }
            Step::Image => self.write_image(&mut work)?,
            Step::State => {
                self.write_state(&mut work)?;
                true
            }
            Step::Manifest => {
                self.write_manifest(&mut work)?;
                true
            }
            Step::Report => {
                return Ok(Some(Durable {
                    epoch: work.cut.epoch,
                    cut_tick: work.cut.tick,
                    durable_tick: now,
                    bytes: work.bytes,
                    duration: now.saturating_sub(work.started),
                }));
            }
        };
        if done {
            work.step = match work.step {
                Step::Segments => Step::Logs,
                Step::Logs => Step::Image,
                Step::Image => Step::State,
                Step::State => Step::Manifest,
                Step::Manifest | Step::Report => Step::Report,
            };
        }
        self.work = Some(work);
        Ok(None)
    }

    /// Syncs one sealed segment, or at last the current one; returns whether that was all.
    fn sync_segments(&mut self, mark: &Mark) -> Result<bool> {
        if let Some(segment) = self.sealed.iter().copied().find(|s| *s != mark.segment) {
            self.sync_segment(segment, 0, 0)?;
            self.sealed.remove(&segment);
            self.twins.remove(&segment);
            return Ok(false);
        }
        if mark.segment_len > 0 || mark.index_len > 0 {
            self.sync_segment(mark.segment, mark.segment_len, mark.index_len)?;
        }
        Ok(true)
    }

    fn sync_segment(&mut self, segment: u32, data_len: u64, index_len: u64) -> Result<()> {
        let Some(twins) = self.twins.get_mut(&segment) else {
            return Err(out_of_order(&format!(
                "segment {segment} was never announced"
            )));
        };
        if twins.data.len() < data_len || twins.index.len() < index_len {
            return Err(Error::environment(format!(
                "segment {segment} is shorter than the store wrote it; another program changed it"
            )));
        }
        for (file, what) in [
            (&mut twins.data, "segment"),
            (&mut twins.index, "index of segment"),
        ] {
            file.sync()
                .map_err(|e| Error::io("cannot make durable", format!("{what} {segment}"), e))?;
        }
        Ok(())
    }

    /// Writes a slice of the image, or syncs it; returns whether it is durable.
    fn write_image(&mut self, work: &mut Work) -> Result<bool> {
        let slot = 1 - self.slot as usize;
        let blocks = self.shadow.blocks();
        if blocks == 0 {
            return Ok(true);
        }
        let image = match &mut self.images[slot] {
            Some(image) if image.fits(blocks) => image,
            place => {
                if let Some(old) = place.take() {
                    self.doomed.push(image_name(old.number));
                }
                let capacity = (u64::from(blocks) * 3 / 2).max(IMAGE_BLOCKS_MIN);
                let id = self.durable.identity.id;
                let (number, epoch) = (self.next_image, work.cut.epoch);
                let mut image = ImageFile::create(&*self.disk, id, number, epoch, capacity)?;
                work.bytes += PAGE_BYTES as u64;
                image.behind.extend(0..blocks);
                self.next_image += 1;
                place.insert(image)
            }
        };
        let written = image.write_slice(&self.shadow)?;
        work.bytes += written;
        if written > 0 {
            return Ok(false);
        }
        image.sync()?;
        work.generation.image = Named {
            file: image.number,
            len: u64::from(blocks),
            hash: self.shadow.root(),
        };
        Ok(true)
    }

    fn write_state(&mut self, work: &mut Work) -> Result<()> {
        let blob = Blob {
            frontier: std::mem::take(&mut work.cut.state),
            store: std::mem::take(&mut work.mark.state),
            sealed: std::mem::take(&mut work.mark.sealed),
        };
        let bytes = blob.encode();
        let len = bytes.len() as u64;
        let place = &mut self.states[1 - self.slot as usize];
        let state = match place {
            Some(state) if state.fits(len) => state,
            place => {
                if let Some(old) = place.take() {
                    self.doomed.push(state_name(old.number));
                }
                let id = self.durable.identity.id;
                let (number, epoch) = (self.next_state, work.cut.epoch);
                self.next_state += 1;
                work.bytes += PAGE_BYTES as u64;
                place.insert(StateFile::create(&*self.disk, id, number, epoch, len)?)
            }
        };
        state.write(&bytes)?;
        work.bytes += len;
        work.generation.state = Named {
            file: state.number,
            len,
            hash: blob_hash(work.generation.epoch, &bytes),
        };
        Ok(())
    }

    fn write_manifest(&mut self, work: &mut Work) -> Result<()> {
        let slot = 1 - self.slot;
        let (page, checksum) = work.generation.encode(slot);
        write_page(&mut *self.manifest, slot, &page)?;
        work.bytes += PAGE_BYTES as u64;
        self.durable = work.generation.clone();
        self.slot = slot;
        self.checksum = checksum;
        self.retired.append(&mut self.doomed);
        Ok(())
    }

    /// With nothing else to do: allocates the next log files, removes one file that nothing names.
    fn tidy(&mut self) {
        if self.seen.prepare(&*self.disk) || self.urls.prepare(&*self.disk) {
            return;
        }
        if let Some(name) = self.retired.pop() {
            let _ = self.disk.remove(&name); // only space is lost, and the next restore finds it
        }
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

/// Refuses a directory that holds a crawl. A manifest alone in which nothing was ever written is no crawl: the process
/// died before it had begun.
fn refuse_used(disk: &dyn Disk) -> Result<()> {
    let list = disk.list();
    let names = list.map_err(|e| Error::io("cannot list", "the crawl directory", e))?;
    if let Some(name) = names
        .iter()
        .find(|n| super::is_crawl_file(n) && *n != MANIFEST)
    {
        return Err(Error::usage(format!(
            "the directory holds a crawl already ({name}); name another with --dir"
        )));
    }
    if names.iter().any(|n| n == MANIFEST) {
        let bytes = disk
            .read(MANIFEST)
            .map_err(|e| Error::io("cannot read", MANIFEST, e))?;
        for slot in 0..2 {
            match Slot::decode(&bytes, slot) {
                Slot::Flawed(Flaw::Newer(_)) | Slot::Valid { .. } | Slot::Withdrawn { .. } => {
                    return Err(Error::usage(
                        "the directory holds a crawl already (manifest); name another with --dir",
                    ));
                }
                Slot::Flawed(_) => {}
            }
        }
        disk.remove(MANIFEST)
            .map_err(|e| Error::io("cannot remove", MANIFEST, e))?;
    }
    Ok(())
}
