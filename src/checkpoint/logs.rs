//! Reading the logs of a generation: file by file, checked, and handed on piece by piece.
//!
//! ```text
//! fingerprints   seen-000001 … seen-n, up to the cut
//! URL records    base files (what a compaction kept of the older URL files), then urls files behind them, up to the cut
//! ended          ended-000001 … ended-n: what a compaction took out of the URL files and a listing wants; compressed
//! ```
//!
//! What must hold:
//! * nothing is written; no more than two files of a log are in memory at a time;
//! * a piece is handed on only if its file is whole; the file that ends at the cut is checked against the manifest before
//!   any of it is handed on;
//! * the first flaw ends the reading of its log and is kept for [`Logs::finish`]: what was handed on before must be
//!   thrown away then.
//!
//! Deliberately absent: choosing a generation ([`super::recover`]).

use super::log::{log_name, walk};
use super::manifest::{Generation, LogPosition};
use super::page::Kind;
use super::recover::read;
use super::verify::Defect;
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::frontier::restore;
use crate::limits::ENDED_RUN_BYTES_MAX;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Mutex, PoisonError};

/// Log bytes from which files are read ahead on a thread; below, starting it costs more than it gains.
const THREADS_BYTES_MIN: u64 = 8 << 20;

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

/// A file, checked.
struct Part {
    bytes: Vec<u8>,
    runs: Vec<Range<usize>>,
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
        let mut plain = Vec::new();
        let mut unpack = match zstd::bulk::Decompressor::new() {
            Ok(unpack) => unpack,
            Err(e) => {
                self.fail(Error::environment(format!("no memory for zstd: {e}")));
                return false;
            }
        };
        let mut whole = true;
        let read = self.parts(&stretch, &mut |part| {
            for run in &part.runs {
                plain.clear();
                plain.reserve(ENDED_RUN_BYTES_MAX);
                match unpack.decompress_to_buffer(&part.bytes[run.clone()], &mut plain) {
                    Ok(_) => take(&plain),
                    Err(_) => whole = false, // its checksum holds: it was written so
                }
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

    fn flaw(&self, defect: Defect) {
        let defects = self.defects.lock();
        defects.unwrap_or_else(PoisonError::into_inner).push(defect);
    }

    fn fail(&self, error: Error) {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.get_or_insert(error);
    }

    /// Hands on the files of a stretch; false where one of them is not whole.
    fn parts(&self, stretch: &Stretch, take: &mut dyn FnMut(&Part)) -> bool {
        let end = stretch.end;
        if end.file == 0 {
            if (end.payload, end.offset) != (0, 0) {
                let why = "names a log without a file".to_owned();
                self.flaw(Defect::new(super::manifest::MANIFEST, (0, why)));
                return false;
            }
            return true;
        }
        let numbers = stretch.first..=end.file;
        let mut reached = stretch.start;
        let payload = end.payload.saturating_sub(stretch.start.payload);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        if payload < THREADS_BYTES_MIN || cores < 2 {
            return numbers.into_iter().all(|number| {
                let part = self.part(stretch, number, &mut reached);
                part.inspect(|part| take(part)).is_some()
            });
        }
        std::thread::scope(|scope| {
            // Nothing is buffered: while one file is taken in, the next is read.
            let (ready, parts) = sync_channel(0);
            let reader = scope.spawn(move || {
                numbers.into_iter().all(|number| {
                    let part = self.part(stretch, number, &mut reached);
                    part.is_some_and(|part| ready.send(part).is_ok())
                })
            });
            parts.iter().for_each(|part| take(&part));
            reader.join().unwrap_or(false)
        })
    }

    /// Reads and checks one file, which must go on where `reached` says.
    fn part(&self, stretch: &Stretch, number: u64, reached: &mut LogPosition) -> Option<Part> {
        let name = log_name(stretch.kind, number);
        let bytes = match read(self.disk, &name) {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(defect)) => {
                self.flaw(defect);
                return None;
            }
            Err(error) => {
                self.fail(error);
                return None;
            }
        };
        let end = stretch.end;
        let crawl = &self.generation.identity.id;
        let until = (number == end.file).then_some(end.offset);
        let walk = match walk(&bytes, stretch.kind, crawl, number, until) {
            Ok(walk) => walk,
            Err(flaw) => {
                self.flaw(Defect::new(&name, flaw));
                return None;
            }
        };
        if (walk.start.payload, walk.start.chain) != (reached.payload, reached.chain) {
            let why = "does not go on where the file before it ends".to_owned();
            self.flaw(Defect::new(&name, (0, why)));
            return None;
        }
        if number == end.file && walk.end != end {
            let why = "does not match the manifest at the cut".to_owned();
            self.flaw(Defect::new(&name, (walk.end.offset, why)));
            return None;
        }
        self.files.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        let read = walk.end.payload - walk.start.payload;
        let done = self.done.fetch_add(read, Ordering::Relaxed) + read;
        let total = self.generation.logged();
        (self.on_progress)(Progress { done, total });
        *reached = walk.end;
        Some(Part {
            bytes,
            runs: walk.payload,
        })
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
        self.parts(&stretch, &mut |part| {
            for run in &part.runs {
                let (eights, _) = part.bytes[run.clone()].as_chunks::<8>();
                numbers.clear();
                numbers.extend(eights.iter().map(|n| u64::from_le_bytes(*n)));
                take(&numbers);
            }
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
            first: base.until + 1,
            start: match base.until {
                0 => LogPosition::begin(Kind::Urls, crawl),
                _ => base.replaces,
            },
            end: self.generation.urls,
        };
        let mut runs = |part: &Part| {
            part.runs
                .iter()
                .for_each(|run| take(&part.bytes[run.clone()]));
        };
        self.parts(&old, &mut runs) && self.parts(&new, &mut runs)
    }
}
