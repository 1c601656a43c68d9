//! The store: the last stage of the pipeline, single writer of the segments.
//!
//! ```text
//! commit ──► queue ──turn──► place: roll? copy of a known payload? index entry ──► batch ──one vectored write──►
//!              │                                                              segment-00001.warc.zst
//!              └── marker: write the batch, answer with a Mark                segment-00001.idx (one write a batch)
//! ```
//!
//! What must hold:
//! * Frames are written before the index entries that name them, so a reader that follows the index finds whole frames.
//! * What a [`Mark`] counts is written (not synced) when the mark is given; syncing is the checkpointer's work, through
//!   the twins that travel in [`StoreNote::Opened`].
//! * The same commits make the same bytes: no clock is read and no random number drawn.
//! * A write error is fatal and final: after it every turn fails, and the files are not touched again.
//!
//! Deliberately absent: retries, syncs of what is appended, and compression of responses (the parsers do that).

mod counters;
pub mod dedup;
pub mod export;
pub mod index;
mod names;
mod origins;
pub mod plain;
pub mod reader;
mod records;
mod reopen;
pub mod table;
pub mod verify;

pub use counters::Counters;
pub use export::{beside, publish};
pub use index::Kind;
pub use names::Part;
pub use reader::{Found, Reader};
pub use records::About;

use crate::config::Config;
use crate::disk::{Access, Disk, DiskFile};
use crate::error::{Error, Result};
use crate::event::{Commit, CrawlIdentity, Job, Mark, Outcome, Page, StoreNote};
use crate::limits::{DEDUP_PAYLOADS_MAX, SEGMENT_BYTES, STORE_BATCH_RECORDS};
use crate::protocol::zframe::{Framer, Level};
use crate::time::{Tick, Wall};
use dedup::Payloads;
use index::{Entry, Position};
use origins::Origins;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::Arc;

/// What may differ between stores.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What `warcinfo` records say.
    pub about: About,
    /// Segment size at which the next one is opened, bytes.
    pub segment_bytes: u64,
    /// Payloads remembered for revisits.
    pub payloads_max: usize,
}

impl Settings {
    /// From what the user asked for, with the limits of [`crate::limits`].
    pub fn of(config: &Config) -> Self {
        Self {
            about: About::of(config),
            segment_bytes: SEGMENT_BYTES,
            payloads_max: DEDUP_PAYLOADS_MAX,
        }
    }
}

/// The segment that is being written.
struct Live {
    segment: u32,
    data: Box<dyn DiskFile>,
    index: Box<dyn DiskFile>,
    /// Bytes of the segment, those of the batch included.
    len: u64,
    /// Bytes of the segment that are in the file.
    written: u64,
    /// Bytes of the index that are in the file.
    index_written: u64,
    /// Index entries of the batch.
    entries: Vec<u8>,
    /// For the table: 16 bytes a record of this segment.
    slots: Vec<(u64, u64)>,
}

impl Live {
    fn index_len(&self) -> u64 {
        self.index_written + self.entries.len() as u64
    }
}

/// The store stage.
pub struct Store {
    disk: Arc<dyn Disk>,
    crawl: CrawlIdentity,
    settings: Settings,
    queue: VecDeque<Commit>,
    batch: Vec<Box<Page>>,
    returned: VecDeque<Box<Page>>,
    notes: VecDeque<StoreNote>,
    live: Live,
    /// Sealed since the last mark.
    sealed: Vec<u32>,
    counters: Counters,
    payloads: Payloads,
    origins: Origins,
    framer: Framer,
    plain: Vec<u8>,
    head: Vec<u8>,
    failed: Option<String>,
}

impl Store {
    /// Opens the first segment of a new crawl. A directory that holds records is refused.
    pub fn create(disk: Arc<dyn Disk>, crawl: &CrawlIdentity, settings: Settings) -> Result<Self> {
        reopen::refuse_records(disk.as_ref())?;
        let (live, note, info) = open(disk.as_ref(), crawl, &settings, 1, crawl.created)?;
        let mut store = Self::assemble(disk, crawl, settings, live)?;
        store.counters.info_bytes = info;
        store.notes.push_back(note);
        Ok(store)
    }

    fn assemble(
        disk: Arc<dyn Disk>,
        crawl: &CrawlIdentity,
        settings: Settings,
        live: Live,
    ) -> Result<Self> {
        Ok(Self {
            disk,
            crawl: *crawl,
            queue: VecDeque::new(),
            batch: Vec::with_capacity(STORE_BATCH_RECORDS),
            returned: VecDeque::new(),
            notes: VecDeque::new(),
            live,
            sealed: Vec::new(),
            counters: Counters::default(),
            payloads: Payloads::new(settings.payloads_max, payload_key(crawl)),
            origins: Origins::new(),
            framer: framer()?,
            plain: Vec::new(),
            head: Vec::new(),
            failed: None,
            settings,
        })
    }

    /// Takes a commit; it is written by the next [`Store::turn`].
    pub fn commit(&mut self, commit: Commit, _now: Tick) {
        self.queue.push_back(commit);
    }

    /// Writes what is gathered. Returns how many commits were dealt with; an error is fatal, and stays.
    pub fn turn(&mut self, _now: Tick) -> Result<usize> {
        if let Some(message) = &self.failed {
            return Err(Error::environment(message.clone()));
        }
        let work = self.queue.len();
        self.drain()
            .inspect_err(|e| self.failed = Some(e.to_string()))?;
        Ok(work)
    }

    /// Pages whose bytes are written, in the order of their commits.
    pub fn returned(&mut self) -> impl Iterator<Item = Box<Page>> {
        self.returned.drain(..)
    }

    /// What the checkpointer must know, in order.
    pub fn notes(&mut self) -> impl Iterator<Item = StoreNote> {
        self.notes.drain(..)
    }

    /// Number of the segment that is being written.
    pub fn segment(&self) -> u32 {
        self.live.segment
    }

    /// Removes all segments: those of a crawl that no checkpoint names.
    ///
    /// # Errors
    /// If the system refuses to.
    pub fn discard(disk: &dyn Disk) -> Result<()> {
        reopen::discard(disk)
    }

    /// What was counted so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Bytes of memory that the table of payloads holds.
    pub fn payloads_footprint(&self) -> usize {
        self.payloads.footprint()
    }

    fn drain(&mut self) -> Result<()> {
        while let Some(commit) = self.queue.pop_front() {
            match commit {
                Commit::Page(mut page) => {
                    if page.outcome.has_response() && !page.record.is_empty() {
                        self.place(&mut page)?;
                    } else {
                        page.record.clear();
                    }
                    self.batch.push(page);
                    if self.batch.len() == STORE_BATCH_RECORDS {
                        self.write()?;
                    }
                }
                Commit::Marker { epoch } => {
                    self.write()?;
                    self.mark(epoch);
                }
            }
        }
        self.write()
    }

    /// Gives a page its place in the segment: decides whether it is a revisit and adds its index entry.
    fn place(&mut self, page: &mut Page) -> Result<()> {
        if self.live.len >= self.settings.segment_bytes {
            self.roll(page.fetched_at)?;
        }
        let robots = page.job == Job::Robots;
        let origin = if robots { None } else { self.origin(page)? };
        let kind = match origin {
            Some(_) => Kind::Revisit,
            None if robots => Kind::Robots,
            None => Kind::Response,
        };
        let length = u32::try_from(page.record.len()).map_err(|_| {
            Error::environment(
                "a record is longer than 4 GiB; lower --max-body and run the same command again",
            )
        })?;
        let position = Position::new(self.live.segment, self.live.index_len());
        let entry = Entry {
            fingerprint: page.fingerprint,
            offset: self.live.len,
            length,
            plain: page.record_plain_len,
            kind,
            outcome: page.outcome,
            status: page.facts.status,
            wall: page.fetched_at,
            body: page.body_len() as u64,
            depth: page.depth,
            origin,
            digest: page.digest,
            mime: &page.mime,
            url: &page.url,
        };
        entry.write(&mut self.live.entries);
        self.live
            .slots
            .push((table::hash(&page.url), position.at()));
        self.live.len += u64::from(length);
        self.counters
            .count(kind, page.record_plain_len, u64::from(length));
        if entry.is_origin() && !self.payloads.insert(Payloads::tag(&page.digest), position) {
            self.counters.dedup_full += 1;
        }
        Ok(())
    }

    /// Where the payload of this page was stored before; its record becomes a revisit then.
    fn origin(&mut self, page: &mut Page) -> Result<Option<Position>> {
        let eligible =
            page.outcome == Outcome::Fetched && page.facts.status == 200 && page.body_len() > 0;
        let Some(position) = self
            .payloads
            .get(Payloads::tag(&page.digest))
            .filter(|_| eligible)
        else {
            return Ok(None);
        };
        let origin = self.origins.get(self.disk.as_ref(), &self.live, position)?;
        if origin.digest != page.digest {
            return Ok(None);
        }
        let original = (origin.url.as_slice(), origin.wall);
        records::revisit(&self.crawl, page, original, &mut self.head, &mut self.plain);
        self.framer
            .frame(&self.plain, Level::Fast, &mut page.record);
        page.record_plain_len = self.plain.len() as u64;
        Ok(Some(position))
    }

    /// Writes the batch and gives its pages back.
    fn write(&mut self) -> Result<()> {
        let live = &mut self.live;
        if live.len > live.written {
            let mut parts = [IoSlice::new(&[]); STORE_BATCH_RECORDS];
            let frames = self.batch.iter().filter(|page| !page.record.is_empty());
            let mut count = 0;
            for (part, page) in parts.iter_mut().zip(frames) {
                *part = IoSlice::new(&page.record);
                count += 1;
            }
            live.data
                .write_vectored_at(live.written, &parts[..count])
                .map_err(|e| broken(&Part::Data.name(live.segment), e))?;
            live.written = live.len;
            live.index
                .write_at(live.index_written, &live.entries)
                .map_err(|e| broken(&Part::Index.name(live.segment), e))?;
            live.index_written += live.entries.len() as u64;
            live.entries.clear();
        }
        self.returned.extend(self.batch.drain(..));
        Ok(())
    }

    /// Seals the segment and opens the next one. Costs a few milliseconds a [`SEGMENT_BYTES`]: three files are made.
    fn roll(&mut self, wall: Wall) -> Result<()> {
        self.write()?;
        let old = self.live.segment;
        let table = table::encode(old, &mut self.live.slots);
        let name = Part::Table.name(old);
        self.disk
            .create(&name, Access::Append, 0)
            .and_then(|mut file| file.write_at(0, &table))
            .map_err(|e| broken(&name, e))?;
        let (live, note, info) = open(
            self.disk.as_ref(),
            &self.crawl,
            &self.settings,
            old + 1,
            wall,
        )?;
        self.live = live;
        self.notes.push_back(note);
        self.counters.info_bytes += info;
        self.sealed.push(old);
        Ok(())
    }

    fn mark(&mut self, epoch: u64) {
        self.notes.push_back(StoreNote::Mark(Mark {
            epoch,
            segment: self.live.segment,
            segment_len: self.live.written,
            index_len: self.live.index_written,
            records: self.counters.records,
            state: self.counters.encode(),
            sealed: std::mem::take(&mut self.sealed),
        }));
    }
}

/// Creates a segment with its `warcinfo` and its index: the files, the note for the checkpointer, and the bytes of the
/// `warcinfo` frame. The twins are made before the first write.
fn open(
    disk: &dyn Disk,
    crawl: &CrawlIdentity,
    settings: &Settings,
    segment: u32,
    wall: Wall,
) -> Result<(Live, StoreNote, u64)> {
    let name = Part::Data.name(segment);
    let index_name = Part::Index.name(segment);
    let mut data = disk
        .create(&name, Access::Append, 0)
        .map_err(|e| broken(&name, e))?;
    let mut index = disk
        .create(&index_name, Access::Append, 0)
        .map_err(|e| broken(&index_name, e))?;
    let note = opened(segment, data.as_ref(), index.as_ref())?;
    let (mut plain, mut frame) = (Vec::new(), Vec::new());
    records::warcinfo(crawl, &settings.about, segment, &name, wall, &mut plain);
    framer()?.frame(&plain, Level::Deep, &mut frame);
    data.write_at(0, &frame).map_err(|e| broken(&name, e))?;
    let header = index::header(&crawl.id, segment);
    index
        .write_at(0, &header)
        .map_err(|e| broken(&index_name, e))?;
    let len = frame.len() as u64;
    let live = Live {
        segment,
        data,
        index,
        len,
        written: len,
        index_written: header.len() as u64,
        entries: Vec::new(),
        slots: Vec::new(),
    };
    Ok((live, note, len))
}

/// Key of the table of payloads.
fn payload_key(crawl: &CrawlIdentity) -> u64 {
    xxhash_rust::xxh3::xxh3_64(&crawl.key)
}

fn opened(segment: u32, data: &dyn DiskFile, index: &dyn DiskFile) -> Result<StoreNote> {
    Ok(StoreNote::Opened {
        segment,
        data: data
            .twin()
            .map_err(|e| broken(&Part::Data.name(segment), e))?,
        index: index
            .twin()
            .map_err(|e| broken(&Part::Index.name(segment), e))?,
    })
}

fn framer() -> Result<Framer> {
    Framer::new().map_err(|e| {
        Error::environment(format!("cannot set up compression: {e}; free some memory"))
    })
}

/// A fatal error on a file of the store.
fn broken(name: &str, e: io::Error) -> Error {
    let error = match e.kind() {
        io::ErrorKind::AlreadyExists => Error::environment(format!(
            "cannot write {name}: {e}; move it away or choose another --dir"
        )),
        _ => Error::io("cannot write", name, e),
    };
    Error::environment(format!("{error}; the last checkpoint is intact"))
}

#[cfg(test)]
mod tests;
