//! Append-only logs: fingerprints and URL records, in numbered files of fixed size.
//!
//! ```text
//! seen-000001.log   header page │ run │ run │ seal to the page's end ║ run │ … │ end
//! seen-000002.log   header page │ run │ …                            ║ = a cut
//! run = magic u32, payload length u32, newest cut before it u64, payload bytes before it u64, chain hash u64, payload
//! ```
//!
//! What must hold:
//! * chain hash of a run = hash(its first 24 bytes, hash(payload, chain before), chain before). So the chain at a cut,
//!   which the manifest keeps, vouches for every byte of the log up to there, and for their order;
//! * a cut falls on a page boundary: the bytes that a generation needs share no page with later ones, so a torn write
//!   can never reach them;
//! * a run lies whole in one file; a file is ended by an end mark, or where no more fits; each file's header repeats
//!   length and chain at its start, so that files can be checked side by side;
//! * bytes beyond the newest cut mean nothing: a restore writes over them.
//!
//! Deliberately absent: reading while writing, and deletion (logs grow until the crawl's directory is given up).

use super::manifest::LogPosition;
use super::page::{Header, Kind, PAGE_BYTES, le32, le64, whole_pages};
use crate::disk::{Access, Disk, DiskFile};
use crate::error::{Error, Result};
use std::io::IoSlice;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Bytes in front of a payload.
pub(super) const RUN_HEAD_BYTES: usize = 32;
pub(super) const RUN: u32 = u32::from_le_bytes(*b"RUN\0");
pub(super) const SEAL: u32 = u32::from_le_bytes(*b"SEAL");
pub(super) const END: u32 = u32::from_le_bytes(*b"END\0");
/// Appended bytes after which write-back is begun, so that a cut finds little left to do.
const WRITEBACK_BYTES: u64 = 4 << 20;
/// Longest payload of one run; its length is stored in 32 bits.
pub const RUN_BYTES_MAX: usize = 1 << 30;

/// Sizes of the files of a log, bytes; whole pages. Each file is twice as long as the one before, up to `max`.
#[derive(Clone, Copy, Debug)]
pub struct LogSizes {
    /// First file.
    pub first: u64,
    /// Largest file; a single larger run gets a file of its own.
    pub max: u64,
}

impl LogSizes {
    fn of(&self, number: u64) -> u64 {
        let doublings = (number - 1).min(32) as u32;
        whole_pages(self.first.saturating_mul(1 << doublings).min(self.max))
    }
}

/// Name of a file of a log.
pub fn log_name(kind: Kind, number: u64) -> String {
    let stem = if kind == Kind::Seen { "seen" } else { "urls" };
    format!("{stem}-{number:06}.log")
}

/// Chain hash of an empty log of this crawl; files of another crawl cannot continue it.
pub fn chain_start(kind: Kind, crawl: &[u8; 16]) -> u64 {
    xxh3_64_with_seed(crawl, kind as u64)
}

/// The 24 bytes that open a run, and the chain hash behind it.
pub(super) fn run_head(
    magic: u32,
    epoch: u64,
    before: u64,
    payload: &[u8],
    chain: u64,
) -> ([u8; RUN_HEAD_BYTES], u64) {
    let mut head = [0; RUN_HEAD_BYTES];
    head[..4].copy_from_slice(&magic.to_le_bytes());
    head[4..8].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    head[8..16].copy_from_slice(&epoch.to_le_bytes());
    head[16..24].copy_from_slice(&before.to_le_bytes());
    head[24..].copy_from_slice(&xxh3_64_with_seed(payload, chain).to_le_bytes());
    let chain = xxh3_64_with_seed(&head, chain);
    head[24..].copy_from_slice(&chain.to_le_bytes());
    (head, chain)
}

/// A file of the log that is being or was just written.
struct LogFile {
    name: String,
    file: Box<dyn DiskFile>,
    /// First byte that is not durable yet.
    synced: u64,
    /// Bytes whose write-back has been begun.
    started: u64,
}

/// The writing end of a log.
pub struct Log {
    kind: Kind,
    crawl: [u8; 16],
    sizes: LogSizes,
    /// Where the next run goes.
    position: LogPosition,
    /// Newest cut.
    epoch: u64,
    current: Option<LogFile>,
    /// Full files whose last bytes are not durable yet.
    full: Vec<LogFile>,
    /// The next file, allocated while there was nothing else to do.
    ahead: Option<(u64, Box<dyn DiskFile>)>,
    /// An attempt to allocate ahead failed; the next one is made when the file is needed.
    ahead_failed: bool,
    /// Bytes written so far, headers included.
    pub written: u64,
}

impl Log {
    /// An empty log; no file is made before there is something to write.
    pub fn new(kind: Kind, crawl: [u8; 16], sizes: LogSizes) -> Self {
        let position = LogPosition {
            chain: chain_start(kind, &crawl),
            ..LogPosition::default()
        };
        Self {
            kind,
            crawl,
            sizes,
            position,
            epoch: 0,
            current: None,
            full: Vec::new(),
            ahead: None,
            ahead_failed: false,
            written: 0,
        }
    }

    /// Goes on at `position`, which a durable generation names.
    ///
    /// # Errors
    /// If its file cannot be opened.
    pub fn resume(mut self, disk: &dyn Disk, position: LogPosition, epoch: u64) -> Result<Self> {
        self.epoch = epoch;
        if position.file == 0 {
            return Ok(self);
        }
        self.position = position;
        let name = log_name(self.kind, position.file);
        let file = disk
            .open(&name, Access::Mapped)
            .map_err(|e| Error::io("cannot open", &name, e))?;
        self.current = Some(LogFile {
            name,
            file,
            synced: position.offset,
            started: position.offset,
        });
        Ok(self)
    }

    /// Payload bytes in the log.
    pub fn payload_len(&self) -> u64 {
        self.position.payload
    }

    /// Bytes of payload that the current file has room for, an end mark behind it.
    fn room(&self) -> u64 {
        self.current.as_ref().map_or(0, |current| {
            current
                .file
                .len()
                .saturating_sub(self.position.offset + 2 * RUN_HEAD_BYTES as u64)
        })
    }

    /// Appends `payload`, which stays in one file, as one run.
    ///
    /// # Errors
    /// If a file cannot be made or written; the log must not be used after that.
    pub fn append(&mut self, disk: &dyn Disk, payload: &[u8]) -> Result<()> {
        if payload.is_empty() {
            return Ok(());
        }
        if payload.len() > RUN_BYTES_MAX {
            return Err(Error::environment(format!(
                "a run of {} bytes is too long for a log; this is a fault of the program",
                payload.len()
            )));
        }
        if self.room() < payload.len() as u64 {
            self.roll(disk, payload.len() as u64)?;
        }
        self.put(RUN, payload)
    }

    /// Appends fingerprints; they may be divided between files.
    ///
    /// # Errors
    /// As [`Log::append`].
    pub fn append_fingerprints(&mut self, disk: &dyn Disk, mut seen: &[u64]) -> Result<()> {
        let mut payload = Vec::new();
        while !seen.is_empty() {
            let room = (self.room() / 8) as usize;
            // A file is filled up unless what fits is not worth a run.
            let most = if room >= seen.len().min(64) {
                room
            } else {
                RUN_BYTES_MAX / 8
            };
            let fresh_file = (self.sizes.max as usize - PAGE_BYTES) / 8 - RUN_HEAD_BYTES;
            let (now, later) = seen.split_at(seen.len().min(most).min(fresh_file.max(1)));
            payload.clear();
            payload.extend(now.iter().flat_map(|f| f.to_le_bytes()));
            self.append(disk, &payload)?;
            seen = later;
        }
        Ok(())
    }

    /// Marks the cut of `epoch`: what came before it lies in pages of its own. Returns where the cut is.
    ///
    /// # Errors
    /// As [`Log::append`].
    pub fn cut(&mut self, epoch: u64) -> Result<LogPosition> {
        if !self.position.offset.is_multiple_of(PAGE_BYTES as u64) {
            let after_head = self.position.offset + RUN_HEAD_BYTES as u64;
            let pad = whole_pages(after_head) - after_head;
            self.put(SEAL, &[0; PAGE_BYTES][..pad as usize])?;
        }
        self.epoch = epoch;
        Ok(self.position)
    }

    /// Makes everything written so far durable.
    ///
    /// # Errors
    /// If a sync fails; nothing of this log may be trusted or written after that.
    pub fn sync(&mut self) -> Result<()> {
        for file in &mut self.full {
            let (from, len) = (file.synced, file.file.len());
            sync(file, from, len - from)?;
        }
        self.full.clear();
        if let Some(current) = &mut self.current
            && current.synced < self.position.offset
        {
            let from = current.synced;
            sync(current, from, self.position.offset - from)?;
            // The page that the log goes on in may be written again.
            current.synced = self.position.offset / PAGE_BYTES as u64 * PAGE_BYTES as u64;
        }
        Ok(())
    }

    /// Allocates the next file before it is needed; returns whether there was something to do. Failing is no error: the
    /// disk may have room again when the file is needed.
    pub fn prepare(&mut self, disk: &dyn Disk) -> bool {
        let half_full = self
            .current
            .as_ref()
            .is_some_and(|current| self.position.offset > current.file.len() / 2);
        if !half_full || self.ahead.is_some() || self.ahead_failed {
            return false;
        }
        let number = self.position.file + 1;
        match make(disk, &log_name(self.kind, number), self.sizes.of(number)) {
            Ok(file) => self.ahead = Some((number, file)),
            Err(_) => self.ahead_failed = true,
        }
        true
    }

    /// Ends the current file and begins the next, with room for a run of `need` bytes.
    fn roll(&mut self, disk: &dyn Disk, need: u64) -> Result<()> {
        if self
            .current
            .as_ref()
            .is_some_and(|c| self.position.offset < c.file.len())
        {
            self.put(END, &[])?;
        }
        let number = self.position.file + 1;
        let name = log_name(self.kind, number);
        let need = whole_pages(PAGE_BYTES as u64 + need + 2 * RUN_HEAD_BYTES as u64);
        let ahead = self.ahead.take().filter(|(n, _)| *n == number);
        let mut file = match ahead {
            Some((_, file)) if file.len() >= need => file,
            other => {
                drop(other); // too short: unmapped before it is removed
                let len = self.sizes.of(number).max(need);
                make(disk, &name, len).map_err(|e| Error::io("cannot allocate", &name, e))?
            }
        };
        self.ahead_failed = false;
        let header = Header {
            kind: self.kind,
            crawl: self.crawl,
            number,
            epoch: self.epoch,
            file_len: file.len(),
            start: self.position.payload,
            chain: self.position.chain,
        };
        file.write_at(0, &header.encode()[..])
            .map_err(|e| Error::io("cannot write", &name, e))?;
        self.written += PAGE_BYTES as u64;
        self.full.extend(self.current.take());
        self.current = Some(LogFile {
            name,
            file,
            synced: 0,
            started: 0,
        });
        self.position.file = number;
        self.position.offset = PAGE_BYTES as u64;
        Ok(())
    }

    /// Writes one run at the position and moves it.
    fn put(&mut self, magic: u32, payload: &[u8]) -> Result<()> {
        let at = &mut self.position;
        let (head, chain) = run_head(magic, self.epoch, at.payload, payload, at.chain);
        let current = self.current.as_mut().expect("a run is put into a file");
        current
            .file
            .write_vectored_at(at.offset, &[IoSlice::new(&head), IoSlice::new(payload)])
            .map_err(|e| Error::io("cannot write", &current.name, e))?;
        let len = (RUN_HEAD_BYTES + payload.len()) as u64;
        at.offset += len;
        at.chain = chain;
        if magic == RUN {
            at.payload += payload.len() as u64;
        }
        self.written += len;
        if at.offset - current.started >= WRITEBACK_BYTES {
            // Whole pages only: the last one will be written again.
            let end = at.offset / PAGE_BYTES as u64 * PAGE_BYTES as u64;
            current
                .file
                .start_writeback(current.started, end - current.started)
                .map_err(|e| Error::io("cannot write back", &current.name, e))?;
            current.started = end;
        }
        Ok(())
    }
}

fn sync(file: &mut LogFile, from: u64, len: u64) -> Result<()> {
    file.file
        .sync_range(from, len)
        .map_err(|e| Error::io("cannot make durable", &file.name, e))
}

/// Makes a mapped file, in place of one of the same name that no generation names.
pub(super) fn make(disk: &dyn Disk, name: &str, len: u64) -> std::io::Result<Box<dyn DiskFile>> {
    if disk.len(name)?.is_some() {
        disk.remove(name)?;
    }
    disk.create(name, Access::Mapped, len)
}

/// What a walk through one file of a log found.
#[derive(Debug, Default)]
pub(super) struct Walk {
    /// Where it ended.
    pub end: LogPosition,
    /// What the file says it begins with.
    pub start: LogPosition,
    /// Payloads of its runs, in place.
    pub payload: Vec<std::ops::Range<usize>>,
}

/// A flaw in a file of a log: offset and what is wrong.
pub(super) type Flawed = (u64, String);

/// Checks `bytes`, the whole of file `number`, up to `until` (an offset; the end of the file where `None`).
pub(super) fn walk(
    bytes: &[u8],
    kind: Kind,
    crawl: &[u8; 16],
    number: u64,
    until: Option<u64>,
) -> std::result::Result<Walk, Flawed> {
    let header = Header::decode(bytes, kind, crawl, number).map_err(|why| (0, why))?;
    let mut at = LogPosition {
        file: number,
        offset: PAGE_BYTES as u64,
        payload: header.start,
        chain: header.chain,
    };
    let mut walk = Walk {
        start: at,
        ..Walk::default()
    };
    let end = until.unwrap_or(bytes.len() as u64);
    while at.offset < end {
        let offset = at.offset;
        let flawed = |why: &str| (offset, why.to_owned());
        let rest = bytes
            .get(at.offset as usize..)
            .filter(|rest| rest.len() >= RUN_HEAD_BYTES)
            .ok_or_else(|| flawed("the file ends inside a run"))?;
        let (magic, len, epoch) = (le32(rest), le32(&rest[4..]) as usize, le64(&rest[8..]));
        if ![RUN, SEAL, END].contains(&magic) {
            return Err(flawed("there is no run where one must be"));
        }
        let payload = rest
            .get(RUN_HEAD_BYTES..RUN_HEAD_BYTES + len)
            .ok_or_else(|| flawed("a run is longer than its file"))?;
        let (head, chain) = run_head(magic, epoch, at.payload, payload, at.chain);
        if head != rest[..RUN_HEAD_BYTES] {
            return Err(flawed("a run does not match its checksum"));
        }
        let from = at.offset as usize + RUN_HEAD_BYTES;
        at.offset += (RUN_HEAD_BYTES + len) as u64;
        at.chain = chain;
        if magic == RUN {
            at.payload += len as u64;
            walk.payload.push(from..from + len);
        }
        if magic == END {
            if until.is_some() {
                return Err(flawed("the file ends before the cut"));
            }
            break;
        }
    }
    if until.is_some_and(|until| at.offset != until) {
        return Err((at.offset, "the cut is not between two runs".into()));
    }
    walk.end = at;
    Ok(walk)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::disk::SimDisk;
    use proptest::prelude::*;

    const SIZES: LogSizes = LogSizes {
        first: 8 << 10,
        max: 16 << 10,
    };

    fn all(disk: &SimDisk, kind: Kind, end: LogPosition) -> Vec<u8> {
        let mut out = Vec::new();
        let mut last = chain_start(kind, &[9; 16]);
        for number in 1..=end.file {
            let bytes = disk.read(&log_name(kind, number)).unwrap();
            let until = (number == end.file).then_some(end.offset);
            let walk = walk(&bytes, kind, &[9; 16], number, until).unwrap();
            assert_eq!(
                (walk.start.chain, walk.start.payload),
                (last, out.len() as u64)
            );
            last = walk.end.chain;
            for range in walk.payload {
                out.extend_from_slice(&bytes[range]);
            }
        }
        assert_eq!(last, end.chain);
        out
    }

    proptest! {
        #[test]
        fn what_is_appended_is_found_whatever_the_sizes(
            runs in proptest::collection::vec((0usize..9_000, any::<bool>(), any::<bool>()), 1..30)
        ) {
            let disk = SimDisk::new(1);
            let mut log = Log::new(Kind::Urls, [9; 16], SIZES);
            let mut expected = Vec::new();
            for (epoch, (len, cut, prepare)) in runs.into_iter().enumerate() {
                let run: Vec<u8> = (0..len).map(|i| (i * 7 + epoch) as u8).collect();
                log.append(&disk, &run).unwrap();
                expected.extend_from_slice(&run);
                if cut {
                    let position = log.cut(epoch as u64).unwrap();
                    prop_assert!(position.offset.is_multiple_of(4096));
                    prop_assert_eq!(all(&disk, Kind::Urls, position), expected.clone());
                    let again = log.cut(epoch as u64).unwrap();
                    prop_assert_eq!(position, again);
                    log.sync().unwrap();
                    if epoch % 3 == 0 {
                        log = Log::new(Kind::Urls, [9; 16], SIZES).resume(&disk, position, 1).unwrap();
                    }
                }
                if prepare { log.prepare(&disk); }
            }
        }

        #[test]
        fn fingerprints_are_divided_between_files_without_loss(lens in proptest::collection::vec(0usize..3_000, 1..12)) {
            let disk = SimDisk::new(1);
            let mut log = Log::new(Kind::Seen, [9; 16], SIZES);
            let mut expected = Vec::new();
            for len in lens {
                let some: Vec<u64> = (0..len as u64).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
                log.append_fingerprints(&disk, &some).unwrap();
                expected.extend(some.iter().flat_map(|f| f.to_le_bytes()));
            }
            let position = log.cut(1).unwrap();
            prop_assert_eq!(all(&disk, Kind::Seen, position), expected);
        }

        #[test]
        fn any_bytes_are_walked_without_panic(mut bytes in proptest::collection::vec(any::<u8>(), 4096..9000), until in 0u64..9000) {
            let header = Header { kind: Kind::Urls, crawl: [9; 16], number: 1, epoch: 0, file_len: bytes.len() as u64, start: 0, chain: 5 };
            bytes[..4096].copy_from_slice(&header.encode()[..]);
            let _ = walk(&bytes, Kind::Urls, &[9; 16], 1, Some(until));
            prop_assert!(bytes.len() == 4096 || walk(&bytes, Kind::Urls, &[9; 16], 1, None).is_err());
        }
    }

    #[test]
    fn a_flipped_bit_anywhere_before_the_cut_is_found() {
        let disk = SimDisk::new(1);
        let sizes = LogSizes {
            first: 16 << 10,
            ..SIZES
        };
        let mut log = Log::new(Kind::Urls, [9; 16], sizes);
        log.append(&disk, &[5; 700]).unwrap();
        log.append(&disk, &[6; 100]).unwrap();
        let cut = log.cut(1).unwrap();
        log.append(&disk, &[7; 100]).unwrap();
        let mut bytes = disk.read("urls-000001.log").unwrap();
        let holds = |bytes: &[u8]| {
            walk(bytes, Kind::Urls, &[9; 16], 1, Some(cut.offset))
                .is_ok_and(|w| w.end == cut && w.start.chain == chain_start(Kind::Urls, &[9; 16]))
        };
        assert!(holds(&bytes));
        for bit in 0..cut.offset as usize * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(!holds(&bytes), "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        let last = bytes.len() - 1;
        bytes[cut.offset as usize + 40] ^= 1; // beyond the cut nothing is named
        bytes[last] ^= 1;
        assert!(holds(&bytes));
    }
}
