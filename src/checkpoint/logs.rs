//! Reading the logs of a generation: file by file, checked, and handed on piece by piece.
//!
//! ```text
//! fingerprints   seen-000001 … seen-n, up to the cut
//! URL records    base files (what a compaction kept of the older URL files), then urls files behind them, up to the cut
//! ended          ended-000001 … ended-n: what a compaction took out of the URL files and a listing wants; compressed
//! ```
//!
//! What must hold:
//! * nothing is written; a few runs of a log are in memory at a time, not its files;
//! * a run is handed on only if its checksum holds and its file goes on where the one before it ends;
//! * the first flaw ends the reading of its log and is kept for [`Logs::finish`]: what was handed on before must be
//!   thrown away then.
//!
//! Deliberately absent: choosing a generation ([`super::recover()`]).

use super::manifest::{Generation, LogPosition, MANIFEST};
use super::page::Kind;
use super::runs::{Runs, Stopped};
use super::verify::Defect;
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::frontier::restore;
use crate::limits::ENDED_RUN_BYTES_MAX;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{channel, sync_channel};
use std::sync::{Mutex, PoisonError};

/// Log bytes from which reading is done ahead on a thread; below, starting it costs more than it gains.
const THREADS_BYTES_MIN: u64 = 8 << 20;
/// Runs that are read ahead.
const AHEAD: usize = 4;

/// How far the reading of the logs has come, payload bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Read, checked and handed on.
    pub done: u64,
    /// Of so many.
    pub total: u64,
}

/// Told of each file that was read, from several threads.
pub type OnProgress<'a> = &'a (dyn Fn(Progress) + Sync);

/// The logs of one generation.
pub struct Logs<'a> {
    disk: &'a dyn Disk,
    generation: &'a Generation,
    on_progress: OnProgress<'a>,
    done: AtomicU64,
    files: AtomicU64,
    bytes: AtomicU64,
    seen_read: AtomicBool,
    urls_read: AtomicBool,
    defects: Mutex<Vec<Defect>>,
    failure: Mutex<Option<Error>>,
}

/// Consecutive files of one log.
#[derive(Clone, Copy)]
struct Stretch {
    kind: Kind,
    first: u64,
    /// Payload and chain hash where the first file begins.
    start: LogPosition,
    end: LogPosition,
}

/// What reading a generation's logs came to.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub defects: Vec<Defect>,
    /// Files looked at, and their bytes.
    pub files: u64,
    pub bytes: u64,
}

impl<'a> Logs<'a> {
    pub(super) fn new(
        disk: &'a dyn Disk,
        generation: &'a Generation,
        on_progress: OnProgress<'a>,
    ) -> Self {
        Self {
            disk,
            generation,
            on_progress,
            done: AtomicU64::new(0),
            files: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            seen_read: AtomicBool::new(false),
            urls_read: AtomicBool::new(false),
            defects: Mutex::new(Vec::new()),
            failure: Mutex::new(None),
        }
    }

    /// What was excluded, dropped or has failed and is not in the URL log any more: hands the records to `take`, in
    /// order, in pieces of whole records. False: the log could not be read to its end.
    pub fn ended(&self, take: &mut dyn FnMut(&[u8])) -> bool {
        let stretch = Stretch {
            kind: Kind::Ended,
            first: 1,
            start: LogPosition::begin(Kind::Ended, &self.generation.identity.id),
            end: self.generation.ended,
        };
        let mut plain = Vec::with_capacity(ENDED_RUN_BYTES_MAX);
        let mut unpack = match zstd::bulk::Decompressor::new() {
            Ok(unpack) => unpack,
            Err(e) => {
                self.stop(Stopped::Refused(Error::environment(format!(
                    "no memory for zstd: {e}"
                ))));
                return false;
            }
        };
        let mut whole = true;
        let read = self.stretch(&stretch, &mut |run| {
            plain.clear();
            match unpack.decompress_to_buffer(run, &mut plain) {
                Ok(_) => take(&plain),
                Err(_) => whole = false, // its checksum holds: it was written so
            }
        });
        read && whole
    }

    /// Reads whatever was not read yet, and tells what was found.
    ///
    /// # Errors
    /// If the system refuses to read.
    pub(super) fn finish(&self) -> Result<Outcome> {
        use restore::Logs as _;
        if !self.seen_read.load(Ordering::Relaxed) {
            self.seen(&mut |_| {});
        }
        if !self.urls_read.load(Ordering::Relaxed) {
            self.urls(&mut |_| {});
        }
        self.found()
    }

    /// What was found so far.
    ///
    /// # Errors
    /// If the system refused to read.
    pub(super) fn found(&self) -> Result<Outcome> {
        let failure = self.failure.lock();
        if let Some(failure) = failure.unwrap_or_else(PoisonError::into_inner).take() {
            return Err(failure);
        }
        let defects = self.defects.lock();
        Ok(Outcome {
            defects: std::mem::take(&mut *defects.unwrap_or_else(PoisonError::into_inner)),
            files: self.files.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
        })
    }

    fn stop(&self, why: Stopped) {
        match why {
            Stopped::Flaw(defect) => {
                let defects = self.defects.lock();
                defects.unwrap_or_else(PoisonError::into_inner).push(defect);
            }
            Stopped::Refused(error) => {
                let failure = self.failure.lock();
                failure
                    .unwrap_or_else(PoisonError::into_inner)
                    .get_or_insert(error);
            }
        }
    }

    /// Hands on the runs of a stretch; false where it is not whole.
    fn stretch(&self, stretch: &Stretch, take: &mut dyn FnMut(&[u8])) -> bool {
        let end = stretch.end;
        if end.file == 0 {
            let whole = (end.payload, end.offset) == (0, 0);
            if !whole {
                let why = "names a log without a file".to_owned();
                self.stop(Stopped::Flaw(Defect::new(MANIFEST, (0, why))));
            }
            return whole;
        }
        if stretch.first > end.file {
            let why = "names a log that ends before its first file".to_owned();
            self.stop(Stopped::Flaw(Defect::new(MANIFEST, (0, why))));
            return false;
        }
        let payload = end.payload.saturating_sub(stretch.start.payload);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let read = if payload < THREADS_BYTES_MIN || cores < 2 {
            let mut run = Vec::new();
            self.read(stretch, &mut |runs| {
                while runs.next(&mut run)? {
                    take(&run);
                }
                Ok(true)
            })
        } else {
            self.read_ahead(stretch, take)
        };
        read.map_err(|why| self.stop(why)).is_ok()
    }

    /// Reads and checks on a thread of its own, a few runs ahead.
    fn read_ahead(
        &self,
        stretch: &Stretch,
        take: &mut dyn FnMut(&[u8]),
    ) -> std::result::Result<(), Stopped> {
        std::thread::scope(|scope| {
            let (full, filled) = sync_channel::<Vec<u8>>(AHEAD);
            let (empty, emptied) = channel::<Vec<u8>>();
            let reader = scope.spawn(move || {
                self.read(stretch, &mut |runs| {
                    loop {
                        let mut run = emptied.try_recv().unwrap_or_default();
                        if !runs.next(&mut run)? {
                            return Ok(true);
                        }
                        if full.send(run).is_err() {
                            return Ok(false);
                        }
                    }
                })
            });
            for run in filled {
                take(&run);
                let _ = empty.send(run); // nobody is left to take it at the end
            }
            reader
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Lets `each` read one file after the other, until it says no.
    fn read(
        &self,
        stretch: &Stretch,
        each: &mut dyn FnMut(&mut Runs) -> std::result::Result<bool, Stopped>,
    ) -> std::result::Result<(), Stopped> {
        let (crawl, end) = (&self.generation.identity.id, stretch.end);
        let mut reached = stretch.start;
        for number in stretch.first..=end.file {
            let until = (number == end.file).then_some(end.offset);
            let mut runs = Runs::open(self.disk, stretch.kind, crawl, number, until)?;
            let start = runs.start();
            if (start.payload, start.chain) != (reached.payload, reached.chain) {
                return Err(runs.flaw(0, "does not go on where the file before it ends"));
            }
            if !each(&mut runs)? {
                return Ok(());
            }
            reached = runs.position();
            if number == end.file && reached != end {
                return Err(runs.flaw(reached.offset, "does not match the manifest at the cut"));
            }
            self.files.fetch_add(1, Ordering::Relaxed);
            self.bytes.fetch_add(runs.file_len(), Ordering::Relaxed);
            let read = reached.payload - start.payload;
            let done = self.done.fetch_add(read, Ordering::Relaxed) + read;
            let total = self.generation.logged();
            (self.on_progress)(Progress { done, total });
        }
        Ok(())
    }
}

impl restore::Logs for Logs<'_> {
    fn seen(&self, take: &mut dyn FnMut(&[u64])) -> bool {
        self.seen_read.store(true, Ordering::Relaxed);
        let stretch = Stretch {
            kind: Kind::Seen,
            first: 1,
            start: LogPosition::begin(Kind::Seen, &self.generation.identity.id),
            end: self.generation.seen,
        };
        let mut numbers = Vec::new();
        self.stretch(&stretch, &mut |run| {
            let (eights, _) = run.as_chunks::<8>();
            numbers.clear();
            numbers.extend(eights.iter().map(|n| u64::from_le_bytes(*n)));
            take(&numbers);
        })
    }

    fn urls(&self, take: &mut dyn FnMut(&[u8])) -> bool {
        self.urls_read.store(true, Ordering::Relaxed);
        let base = &self.generation.base;
        let crawl = &self.generation.identity.id;
        let old = Stretch {
            kind: Kind::Base,
            first: base.first,
            start: LogPosition::begin(Kind::Base, crawl),
            end: base.end,
        };
        let new = Stretch {
            kind: Kind::Urls,
            first: base.until.saturating_add(1),
            start: match base.until {
                0 => LogPosition::begin(Kind::Urls, crawl),
                _ => base.replaces,
            },
            end: self.generation.urls,
        };
        self.stretch(&old, take) && self.stretch(&new, take)
    }
}
