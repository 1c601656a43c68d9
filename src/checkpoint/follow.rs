//! Following the checkpoints of another process: what is new of each is read when it is durable.
//!
//! What must hold:
//! * what is read is proportional to what is new (and everything once), and a turn reads little more than
//!   [`limits::STANDBY_READ_BYTES`]; nothing is written. So the pages that a restore needs lie in memory, and damage is
//!   told while another process still has the truth in its own;
//! * a flaw counts only if the manifest still names the same checkpoint afterwards: files of older ones are written to.
//!
//! Deliberately absent: a restore in advance. It would cost as much memory as the crawl itself.

use super::blob::{self, state_name};
use super::image::{block_hash, blocks_at, image_name};
use super::log::{END, RUN, RUN_HEAD_BYTES, SEAL, log_name, run_head};
use super::manifest::{Generation, LogPosition, MANIFEST, Slot};
use super::page::{Header, Kind, PAGE_BYTES, le32, le64};
use super::runs::Flawed;
use crate::event::BLOCK_BYTES;
use crate::limits;
use crate::store::Part;
use crate::time::Tick;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::xxh3_64;

/// What stops a turn: the bytes of this turn are used up, or something is wrong with a file.
enum Halt {
    Later,
    Flaw(String),
}

type Step = Result<(), Halt>;

/// A directory that is only read, and the bytes that may still be read in this turn.
struct Reader {
    dir: PathBuf,
    budget: u64,
    read: u64,
    scratch: Vec<u8>,
}

impl Reader {
    fn open(&self, name: &str) -> Result<File, Halt> {
        File::open(self.dir.join(name)).map_err(|e| flaw(name, (0, e.to_string())))
    }

    /// The next `len` bytes, in one piece.
    fn bytes(&mut self, file: &File, name: &str, at: u64, len: usize) -> Result<&[u8], Halt> {
        if self.budget == 0 {
            return Err(Halt::Later);
        }
        self.budget = self.budget.saturating_sub(len as u64);
        self.read += len as u64;
        self.scratch.resize(len, 0);
        match file.read_exact_at(&mut self.scratch, at) {
            Ok(()) => Ok(&self.scratch),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                Err(flaw(name, (at, "ends too early".into())))
            }
            Err(e) => Err(flaw(name, (at, e.to_string()))),
        }
    }

    fn header(
        &mut self,
        file: &File,
        name: &str,
        crawl: &[u8; 16],
        (kind, number): (Kind, u64),
    ) -> Result<Header, Halt> {
        let len = file.metadata().map_or(0, |meta| meta.len());
        let page = self.bytes(file, name, 0, PAGE_BYTES)?;
        Header::of_page(page, len, kind, crawl, number).map_err(|why| flaw(name, (0, why)))
    }
}

fn flaw(name: &str, (offset, why): Flawed) -> Halt {
    Halt::Flaw(format!("{name}, offset {offset}: {why}"))
}

/// How far a log was read and found right.
struct LogCursor {
    kind: Kind,
    at: LogPosition,
}

impl LogCursor {
    fn new(kind: Kind) -> Self {
        Self {
            kind,
            at: LogPosition::default(),
        }
    }

    /// `from` is what the log begins with: payload and chain, and the number before that of its first file.
    fn advance(
        &mut self,
        reader: &mut Reader,
        crawl: &[u8; 16],
        from: LogPosition,
        to: LogPosition,
    ) -> Step {
        let behind = |at: &LogPosition| (at.file, at.offset) <= (to.file, to.offset);
        if self.at.file <= from.file || !behind(&self.at) || self.at.payload > to.payload {
            self.at = from; // the log was cut, written anew or compacted
        }
        if to.file == 0 {
            return Ok(());
        }
        while self.at.file < to.file || self.at.offset < to.offset {
            if self.at.file == from.file {
                self.enter(reader, crawl, from.file + 1)?;
            } else if !self.run(reader, to)? {
                self.enter(reader, crawl, self.at.file + 1)?;
            }
        }
        if self.at != to {
            let name = log_name(self.kind, to.file);
            return Err(flaw(
                &name,
                (to.offset, "does not match the manifest".into()),
            ));
        }
        Ok(())
    }

    /// Goes on in the file `number`.
    fn enter(&mut self, reader: &mut Reader, crawl: &[u8; 16], number: u64) -> Step {
        let name = log_name(self.kind, number);
        let file = reader.open(&name)?;
        let header = reader.header(&file, &name, crawl, (self.kind, number))?;
        if (header.start, header.chain) != (self.at.payload, self.at.chain) {
            let why = "does not go on where the file before it ends";
            return Err(flaw(&name, (0, why.into())));
        }
        (self.at.file, self.at.offset) = (number, PAGE_BYTES as u64);
        Ok(())
    }

    /// Reads runs up to `to`; false at the end of the file.
    fn run(&mut self, reader: &mut Reader, to: LogPosition) -> Result<bool, Halt> {
        let name = log_name(self.kind, self.at.file);
        let file = reader.open(&name)?;
        let len = file.metadata().map_or(0, |meta| meta.len());
        let end = if self.at.file == to.file {
            to.offset
        } else {
            len
        };
        while self.at.offset < end {
            let at = &mut self.at;
            let wrong = |why: &str| flaw(&name, (at.offset, why.into()));
            let head = reader.bytes(&file, &name, at.offset, RUN_HEAD_BYTES)?;
            let head: [u8; RUN_HEAD_BYTES] = std::array::from_fn(|i| head[i]);
            let (magic, size) = (le32(&head), u64::from(le32(&head[4..])));
            let next = at.offset + RUN_HEAD_BYTES as u64 + size;
            if ![RUN, SEAL, END].contains(&magic) || next > len {
                return Err(wrong("there is no run where one must be"));
            }
            let from = at.offset + RUN_HEAD_BYTES as u64;
            // Its head was paid for: a run is read whole, whatever is left of the budget.
            reader.budget = reader.budget.max(1);
            let payload = reader.bytes(&file, &name, from, size as usize)?;
            let (expected, chain) =
                run_head(magic, le64(&head[8..]), at.payload, payload, at.chain);
            if expected != head {
                return Err(wrong("a run does not match its checksum"));
            }
            (at.offset, at.chain) = (next, chain);
            match magic {
                RUN => at.payload += size,
                END => return Ok(false),
                _ => {}
            }
        }
        Ok(self.at.file == to.file)
    }
}

/// The blocks of the image that were read and found right, by their checksums.
#[derive(Default)]
struct ImageCursor {
    known: Vec<u64>,
}

impl ImageCursor {
    fn advance(&mut self, reader: &mut Reader, generation: &Generation) -> Step {
        let named = &generation.image;
        if named.file == 0 {
            return Ok(());
        }
        let name = image_name(named.file);
        let file = reader.open(&name)?;
        let crawl = &generation.identity.id;
        let header = reader.header(&file, &name, crawl, (Kind::Image, named.file))?;
        if named.len > header.start || blocks_at(header.start) > header.file_len {
            return Err(flaw(&name, (0, "is too short for its blocks".into())));
        }
        reader.budget = reader.budget.max(1);
        let table = reader.bytes(&file, &name, PAGE_BYTES as u64, named.len as usize * 8)?;
        if xxh3_64(table) != named.hash {
            let why = "the table of checksums does not match the manifest";
            return Err(flaw(&name, (PAGE_BYTES as u64, why.into())));
        }
        let table: Vec<u64> = table.chunks_exact(8).map(le64).collect();
        // No checksum is 0 for sure, but then a block is read once more, or found late.
        self.known.resize(table.len(), 0);
        for (i, (sum, known)) in table.iter().zip(&mut self.known).enumerate() {
            if sum == known {
                continue;
            }
            let at = blocks_at(header.start) + (i * BLOCK_BYTES) as u64;
            let block = reader.bytes(&file, &name, at, BLOCK_BYTES)?;
            if block_hash(i as u32, block) != *sum {
                let why = format!("block {i} does not match its checksum");
                return Err(flaw(&name, (at, why)));
            }
            *known = *sum;
        }
        Ok(())
    }
}

/// How far the indexes of the segments were read; they are not checked here.
#[derive(Default)]
struct IndexCursor {
    segment: u32,
    at: u64,
}

impl IndexCursor {
    const PIECE: u64 = 1 << 20;

    fn advance(&mut self, reader: &mut Reader, generation: &Generation) -> Step {
        if self.segment > generation.segment {
            *self = Self::default();
        }
        while self.segment < generation.segment || self.at < generation.index_len {
            let name = Part::Index.name(self.segment.max(1));
            let file = reader.open(&name)?;
            let end = match self.segment == generation.segment {
                true => generation.index_len,
                false => file.metadata().map_or(0, |meta| meta.len()),
            };
            while self.segment > 0 && self.at < end {
                let piece = Self::PIECE.min(end - self.at);
                reader.bytes(&file, &name, self.at, piece as usize)?;
                self.at += piece;
            }
            if self.segment < generation.segment {
                (self.segment, self.at) = (self.segment + 1, 0);
            }
        }
        Ok(())
    }
}

/// Reads along. See the module's documentation.
pub struct Follower {
    reader: Reader,
    newest: Option<Generation>,
    seen_at: Tick,
    /// The newest one was read to its end, or given up for a flaw.
    done: bool,
    damaged: bool,
    seen: LogCursor,
    base: LogCursor,
    urls: LogCursor,
    ended: LogCursor,
    image: ImageCursor,
    index: IndexCursor,
}

impl Follower {
    /// Follows what lies in `dir`.
    pub fn new(dir: &Path) -> Self {
        Self {
            reader: Reader {
                dir: dir.to_owned(),
                budget: 0,
                read: 0,
                scratch: Vec::new(),
            },
            newest: None,
            seen_at: 0,
            done: true,
            damaged: false,
            seen: LogCursor::new(Kind::Seen),
            base: LogCursor::new(Kind::Base),
            urls: LogCursor::new(Kind::Urls),
            ended: LogCursor::new(Kind::Ended),
            image: ImageCursor::default(),
            index: IndexCursor::default(),
        }
    }

    /// Looks for a new checkpoint and reads some of it. Returns what to tell of a flaw that was found.
    pub fn turn(&mut self, now: Tick) -> Option<String> {
        self.look(now);
        if self.done {
            return None;
        }
        self.reader.budget = limits::STANDBY_READ_BYTES;
        match self.read() {
            Ok(()) => self.done = true,
            Err(Halt::Later) => {}
            Err(Halt::Flaw(what)) => {
                let epoch = self.epoch();
                self.look(now);
                if self.epoch() == epoch {
                    (self.done, self.damaged) = (true, true);
                    let epoch = epoch.map_or(0, |(epoch, _)| epoch);
                    return Some(format!("checkpoint {epoch} is damaged: {what}"));
                }
            }
        }
        None
    }

    /// The newest checkpoint, and when it was first seen.
    pub fn epoch(&self) -> Option<(u64, Tick)> {
        let newest = self.newest.as_ref().filter(|g| g.epoch > 0);
        newest.map(|g| (g.epoch, self.seen_at))
    }

    /// How far it is read, for people.
    pub fn state(&self) -> String {
        match (self.done, self.damaged) {
            (true, false) => "read and whole".into(),
            (true, true) => "damaged".into(),
            (false, _) => format!("reading, {} MB so far", self.reader.read >> 20),
        }
    }

    fn look(&mut self, now: Tick) {
        // What cannot be read at this moment is looked at in the next turn.
        let bytes = std::fs::read(self.reader.dir.join(MANIFEST)).unwrap_or_default();
        let valid = |slot| match Slot::decode(&bytes, slot) {
            Slot::Valid { generation, .. } => Some(*generation),
            _ => None,
        };
        let newest = (0..2).filter_map(valid).max_by_key(|g| (g.term, g.epoch));
        if newest.is_some() && newest != self.newest {
            self.newest = newest;
            self.seen_at = now;
            (self.done, self.damaged) = (false, false);
        }
    }

    fn read(&mut self) -> Step {
        let Some(generation) = &self.newest else {
            return Ok(());
        };
        let (reader, crawl) = (&mut self.reader, &generation.identity.id);
        let (base, begin) = (&generation.base, |kind| LogPosition::begin(kind, crawl));
        let before_base = LogPosition {
            file: base.first.saturating_sub(1),
            ..begin(Kind::Base)
        };
        let before_urls = LogPosition {
            file: base.until,
            ..match base.until {
                0 => begin(Kind::Urls),
                _ => base.replaces,
            }
        };
        (self.seen).advance(reader, crawl, begin(Kind::Seen), generation.seen)?;
        (self.base).advance(reader, crawl, before_base, base.end)?;
        (self.urls).advance(reader, crawl, before_urls, generation.urls)?;
        (self.ended).advance(reader, crawl, begin(Kind::Ended), generation.ended)?;
        self.image.advance(reader, generation)?;
        self.index.advance(reader, generation)?;
        read_state(reader, generation)
    }
}

/// The state is small and new every time.
fn read_state(reader: &mut Reader, generation: &Generation) -> Step {
    let named = &generation.state;
    if named.file == 0 {
        return Ok(());
    }
    let name = state_name(named.file);
    let file = reader.open(&name)?;
    let len = file.metadata().map_or(0, |meta| meta.len());
    let bytes = reader.bytes(&file, &name, 0, len as usize)?;
    let (crawl, epoch) = (&generation.identity.id, generation.epoch);
    match blob::check(bytes, crawl, epoch, named) {
        Ok(_) => Ok(()),
        Err(found) => Err(flaw(&name, found)),
    }
}
