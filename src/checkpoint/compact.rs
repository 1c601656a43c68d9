//! Compaction of the URL log: what is done leaves it, without the frontier's help.
//!
//! ```text
//! base-01…04  urls-09 … urls-12 │ urls-13 …            the last of them is being written
//! └──────── read ────────────┘
//!       │ hosts, scope, rules, URLs still to do  ─► base-05 …    stands for base-01…04 and urls-09…12
//!       └ excluded, dropped, failed              ─► ended-…      appended to, compressed, read by listings only
//! ```
//!
//! What must hold:
//! * only files are compacted that the newest durable generation needs from end to end, and a URL is left out only if that
//!   generation says that it is done. What is done stays done, so the base is right for every later generation;
//! * nothing that a durable generation names is written to. The base takes effect with the first generation that names
//!   it, after it was synced; the files it stands for are removed when neither generation names them;
//! * a step does little, so that checkpoints are not kept waiting; the directory's URL log is at most about four times
//!   as long as what is still to do, and the bytes written are proportional to those logged (each time as much must
//!   have been logged as the base holds);
//! * a compaction that fails harms nothing: it is dropped with everything it wrote.
//!
//! Deliberately absent: compaction of the log of fingerprints, of which nothing is ever done with.

use super::log::{Log, LogSizes};
use super::manifest::{Base, Generation, LogPosition};
use super::page::Kind;
use super::runs::{Runs, Stopped};
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::event::HostId;
use crate::frontier::InFlight;
use crate::frontier::cut::State;
use crate::frontier::hosts::{HostRecord, RobotsState};
use crate::frontier::log::{Reader, Record};
use crate::limits::ENDED_RUN_BYTES_MAX;
use std::collections::{HashMap, HashSet, VecDeque};

/// Bytes of records looked at in one step.
const STEP_BYTES: usize = 1 << 20;
/// Bytes of records that make a run of the base, and, before compression, of the log of what has ended.
const RUN_BYTES: usize = ENDED_RUN_BYTES_MAX / 2;
/// Effort of the compression; what is compressed is read by listings only.
const LEVEL: i32 = 1;

/// What the newest durable generation knows of the URLs.
pub(super) struct View<'a> {
    /// The host image.
    pub hosts: &'a dyn Fn(HostId) -> Option<HostRecord>,
    /// URLs in flight.
    pub in_flight: &'a HashSet<InFlight>,
}

impl View<'_> {
    fn is_open(&self, host: HostId, seq: u32) -> bool {
        (self.hosts)(host).is_none_or(|record| seq >= record.popped)
            || self.in_flight.contains(&InFlight { host, seq })
    }

    fn has_rules(&self, host: HostId) -> bool {
        (self.hosts)(host).is_none_or(|record| record.robots == RobotsState::Rules)
    }
}

/// URLs in flight, as a state blob says; `None` where it cannot be read.
pub(super) fn in_flight(state: &[u8]) -> Option<HashSet<InFlight>> {
    Some(State::decode(state)?.in_flight.into_iter().collect())
}

/// Whether enough has been logged since the last compaction.
pub(super) fn is_due(durable: &Generation, at_least: u64) -> bool {
    let base = &durable.base;
    let since = durable.urls.payload.saturating_sub(base.replaces.payload);
    durable.urls.file > base.until + 1 && since >= base.end.payload.max(at_least)
}

/// What is done next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Where each host's last rules are.
    Survey,
    Copy,
    Sync,
}

/// A compaction under way.
pub(super) struct Compaction {
    crawl: [u8; 16],
    stage: Stage,
    /// Files to read: kind, number, and where to stop in the last of the base.
    files: VecDeque<(Kind, u64, Option<u64>)>,
    source: Option<Runs>,
    /// It belongs to the old base.
    in_base: bool,
    run: Vec<u8>,
    /// Where reading has come to, payload and chain.
    reached: LogPosition,
    old: Base,
    until: u64,
    /// By host: the number of the record that holds its last rules, among all records of rules in new files.
    rules: HashMap<HostId, u64>,
    /// Records of rules in new files met so far.
    met: u64,
    base: Log,
    first: u64,
    kept: Vec<u8>,
    ended: Vec<u8>,
    packed: Vec<u8>,
    packer: zstd::bulk::Compressor<'static>,
}

impl Compaction {
    /// Begins one for `durable`, the newest durable generation, in which [`is_due`]; base files get numbers from `first`
    /// on.
    ///
    /// # Errors
    /// If there is no memory for a compressor.
    pub fn begin(durable: &Generation, sizes: LogSizes, first: u64) -> Result<Self> {
        let crawl = durable.identity.id;
        let packer = zstd::bulk::Compressor::new(LEVEL)
            .map_err(|e| Error::environment(format!("no memory for zstd: {e}")))?;
        let mut this = Self {
            crawl,
            stage: Stage::Survey,
            files: VecDeque::new(),
            source: None,
            in_base: false,
            run: Vec::new(),
            reached: LogPosition::default(),
            old: durable.base,
            until: durable.urls.file - 1,
            rules: HashMap::new(),
            met: 0,
            base: Log::new(Kind::Base, crawl, sizes).numbered_from(first),
            first,
            kept: Vec::new(),
            ended: Vec::new(),
            packed: Vec::with_capacity(zstd::zstd_safe::compress_bound(ENDED_RUN_BYTES_MAX)),
            packer,
        };
        this.line_up(false);
        Ok(this)
    }

    /// Numbers of the base files written so far.
    pub fn written(&self) -> std::ops::RangeInclusive<u64> {
        self.first..=self.base.position().file
    }

    /// Bytes written to the base so far.
    pub fn bytes(&self) -> u64 {
        self.base.written
    }

    /// Does a little; what it wrote to `ended` counts only once all is done. The base is durable when it is returned.
    ///
    /// # Errors
    /// If a file is damaged, or cannot be read or written.
    pub fn step(
        &mut self,
        disk: &dyn Disk,
        view: &View<'_>,
        ended: &mut Log,
        epoch: u64,
    ) -> Result<Option<Base>> {
        match self.stage {
            Stage::Survey => {
                if !self.survey(disk)? {
                    self.stage = Stage::Copy;
                    self.line_up(true);
                }
            }
            Stage::Copy => {
                if !self.copy(disk, view, ended)? {
                    self.put_kept(disk)?;
                    self.put_ended(disk, ended)?;
                    self.base.cut(epoch)?;
                    ended.cut(epoch)?;
                    self.stage = Stage::Sync;
                }
            }
            Stage::Sync => {
                self.base.sync()?;
                ended.sync()?;
                return Ok(Some(self.result()));
            }
        }
        Ok(None)
    }

    fn result(&self) -> Base {
        let end = self.base.position();
        Base {
            // Nothing may be left of it.
            first: if end.payload > 0 { self.first } else { 0 },
            end: if end.payload > 0 {
                end
            } else {
                LogPosition::default()
            },
            until: self.until,
            replaces: LogPosition {
                payload: self.reached.payload,
                chain: self.reached.chain,
                ..LogPosition::default()
            },
        }
    }

    /// Lines up the files of the log of URLs, behind those of the base where these count too.
    fn line_up(&mut self, base_too: bool) {
        let old = &self.old;
        if base_too && old.first > 0 {
            let last = old.end.file;
            self.files.extend(
                (old.first..=last).map(|n| (Kind::Base, n, (n == last).then_some(old.end.offset))),
            );
        }
        let new = (old.until + 1)..=self.until;
        self.files.extend(new.map(|n| (Kind::Urls, n, None)));
        self.reached = if base_too && old.first > 0 {
            LogPosition::begin(Kind::Base, &self.crawl)
        } else {
            self.behind_the_base()
        };
    }

    /// Where the first new file goes on.
    fn behind_the_base(&self) -> LogPosition {
        match self.old.until {
            0 => LogPosition::begin(Kind::Urls, &self.crawl),
            _ => self.old.replaces,
        }
    }

    /// Opens the next file; false where there is none.
    fn next_file(&mut self, disk: &dyn Disk) -> Result<bool> {
        let Some((kind, number, until)) = self.files.pop_front() else {
            return Ok(false);
        };
        let runs = Runs::open(disk, kind, &self.crawl, number, until).map_err(Stopped::error)?;
        let start = runs.start();
        if (start.payload, start.chain) != (self.reached.payload, self.reached.chain) {
            let why = "does not go on where the file before it ends";
            return Err(runs.flaw(0, why).error());
        }
        self.in_base = kind == Kind::Base;
        self.source = Some(runs);
        Ok(true)
    }

    /// Reads runs for one step and gives each to `each`, or opens the next file; false at the end.
    fn read(
        &mut self,
        disk: &dyn Disk,
        mut each: impl FnMut(&mut Self, &Record<'_>) -> Result<()>,
    ) -> Result<bool> {
        let Some(mut runs) = self.source.take() else {
            return self.next_file(disk);
        };
        let mut run = std::mem::take(&mut self.run);
        let mut looked = 0;
        while looked < STEP_BYTES {
            if !runs.next(&mut run).map_err(Stopped::error)? {
                self.run = run;
                return self.close(&runs).map(|()| true);
            }
            looked += run.len();
            for record in whole(&run)? {
                each(self, &record)?;
            }
        }
        (self.run, self.source) = (run, Some(runs));
        Ok(true)
    }

    /// A file was read to its end, or to where the base ends.
    fn close(&mut self, runs: &Runs) -> Result<()> {
        self.reached = runs.position();
        if self.in_base && self.reached.file == self.old.end.file {
            if self.reached != self.old.end {
                let at = self.reached.offset;
                return Err(runs.flaw(at, "does not match the manifest").error());
            }
            self.reached = self.behind_the_base();
        }
        Ok(())
    }

    /// Notes where the last rules are.
    fn survey(&mut self, disk: &dyn Disk) -> Result<bool> {
        let more = self.read(disk, |this, record| {
            if let Record::Rules { host, .. } = *record {
                this.met += 1;
                this.rules.insert(host, this.met);
            }
            Ok(())
        })?;
        if !more {
            self.met = 0;
        }
        Ok(more)
    }

    fn copy(&mut self, disk: &dyn Disk, view: &View<'_>, ended: &mut Log) -> Result<bool> {
        self.read(disk, |this, record| {
            this.sort_out(record, view);
            if this.kept.len() >= RUN_BYTES {
                this.put_kept(disk)?;
            }
            if this.ended.len() >= RUN_BYTES {
                this.put_ended(disk, ended)?;
            }
            Ok(())
        })
    }

    /// A record stays in the URL log, goes to what has ended, or is left out.
    fn sort_out(&mut self, record: &Record<'_>, view: &View<'_>) {
        match *record {
            Record::Host { .. } | Record::Scope { .. } => record.encode(&mut self.kept),
            Record::Queued { host, seq, .. } => {
                if view.is_open(host, seq) {
                    record.encode(&mut self.kept);
                }
            }
            Record::Rules { host, .. } => {
                let last = self.rules.get(&host);
                // Those in the old base come before all that were surveyed.
                let is_last = if self.in_base {
                    last.is_none()
                } else {
                    self.met += 1;
                    last == Some(&self.met)
                };
                if is_last && view.has_rules(host) {
                    record.encode(&mut self.kept);
                }
            }
            Record::Excluded { .. } | Record::Dropped { .. } | Record::Failed { .. } => {
                record.encode(&mut self.ended);
            }
        }
    }

    fn put_kept(&mut self, disk: &dyn Disk) -> Result<()> {
        self.base.append(disk, &self.kept)?;
        self.kept.clear();
        Ok(())
    }

    fn put_ended(&mut self, disk: &dyn Disk, ended: &mut Log) -> Result<()> {
        if self.ended.is_empty() {
            return Ok(());
        }
        self.packed.clear();
        self.packer
            .compress_to_buffer(&self.ended, &mut self.packed)
            .map_err(|e| {
                Error::environment(format!("a compaction's records do not compress: {e}"))
            })?;
        self.ended.clear();
        ended.append(disk, &self.packed)
    }
}

/// The records of a run, all of which must be understood.
fn whole(run: &[u8]) -> Result<Vec<Record<'_>>> {
    let mut reader = Reader::new(run);
    let records = reader.by_ref().collect();
    match reader.unread() {
        0 => Ok(records),
        n => Err(Error::environment(format!(
            "the URL log holds {n} bytes that are no record; this is a fault of the program"
        ))),
    }
}
