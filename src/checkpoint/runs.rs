//! Reading one file of a log, run by run.
//!
//! What must hold: a run is handed on only if its checksum holds, which vouches for everything before it in the file; any
//! bytes are taken without panicking, and memory is bounded by the longest run that fits into the file.
//!
//! Deliberately absent: what a file has to do with the one before it, which is for whoever knows both.

use super::log::{END, RUN, RUN_HEAD_BYTES, SEAL, log_name, run_head};
use super::manifest::LogPosition;
use super::page::{Header, Kind, PAGE_BYTES, le32, le64};
use super::verify::Defect;
use crate::disk::Disk;
use crate::error::Error;
use std::io::{BufReader, ErrorKind, Read};

/// Bytes read ahead to see the head of the next run; payloads are read directly.
const BUFFER_BYTES: usize = PAGE_BYTES;
/// What the medium answers where it cannot be read.
pub(super) const EIO: i32 = 5;

/// A flaw in a file: offset and what is wrong.
pub(super) type Flawed = (u64, String);

/// Why reading ended before the end.
#[derive(Debug)]
pub(super) enum Stopped {
    /// The file is not as it was written.
    Flaw(Defect),
    /// The system refuses to read.
    Refused(Error),
}

impl Stopped {
    /// As an error of the program.
    pub fn error(self) -> Error {
        match self {
            Stopped::Flaw(defect) => Error::environment(defect.to_string()),
            Stopped::Refused(error) => error,
        }
    }
}

/// A file of a log that is read from its start.
pub(super) struct Runs {
    name: String,
    input: BufReader<Box<dyn Read + Send>>,
    file_len: u64,
    /// Where reading ends: the cut, or the end mark, or the end of the file.
    until: Option<u64>,
    start: LogPosition,
    at: LogPosition,
    ended: bool,
}

impl Runs {
    /// Opens file `number` of a log, to be read up to offset `until` (to its end where `None`).
    pub fn open(
        disk: &dyn Disk,
        kind: Kind,
        crawl: &[u8; 16],
        number: u64,
        until: Option<u64>,
    ) -> std::result::Result<Self, Stopped> {
        let name = log_name(kind, number);
        let (input, file_len) = disk.reader(&name).map_err(|e| stopped(&name, 0, e))?;
        let mut input = BufReader::with_capacity(BUFFER_BYTES, input);
        let mut page = vec![0; PAGE_BYTES];
        input
            .read_exact(&mut page)
            .map_err(|e| stopped(&name, 0, e))?;
        let header = Header::of_page(&page, file_len, kind, crawl, number)
            .map_err(|why| Stopped::Flaw(Defect::new(&name, (0, why))))?;
        let at = LogPosition {
            file: number,
            offset: PAGE_BYTES as u64,
            payload: header.start,
            chain: header.chain,
        };
        Ok(Self {
            name,
            input,
            file_len,
            until,
            start: at,
            at,
            ended: false,
        })
    }

    /// What the file says it begins with.
    pub fn start(&self) -> LogPosition {
        self.start
    }

    /// Where reading has come to.
    pub fn position(&self) -> LogPosition {
        self.at
    }

    /// Length of the file, bytes.
    pub fn file_len(&self) -> u64 {
        self.file_len
    }

    /// A flaw of this file.
    pub fn flaw(&self, offset: u64, why: &str) -> Stopped {
        Stopped::Flaw(Defect::new(&self.name, (offset, why.to_owned())))
    }

    /// Reads the next payload into `into`; false at the end.
    pub fn next(&mut self, into: &mut Vec<u8>) -> std::result::Result<bool, Stopped> {
        let end = self.until.unwrap_or(self.file_len);
        while !self.ended && self.at.offset < end {
            let magic = self.run(into)?;
            if magic == RUN {
                return Ok(true);
            }
            if magic == END {
                if self.until.is_some() {
                    return Err(self.flaw(self.at.offset, "the file ends before the cut"));
                }
                self.ended = true;
            }
        }
        if self.until.is_some_and(|until| self.at.offset != until) {
            return Err(self.flaw(self.at.offset, "the cut is not between two runs"));
        }
        Ok(false)
    }

    /// Reads whatever comes next, and what it is.
    fn run(&mut self, into: &mut Vec<u8>) -> std::result::Result<u32, Stopped> {
        let at = self.at;
        let room = self.file_len - at.offset;
        if room < RUN_HEAD_BYTES as u64 {
            return Err(self.flaw(at.offset, "the file ends inside a run"));
        }
        let mut stored = [0; RUN_HEAD_BYTES];
        self.fill(&mut stored)?;
        let (magic, len, epoch) = (le32(&stored), le32(&stored[4..]), le64(&stored[8..]));
        if ![RUN, SEAL, END].contains(&magic) {
            return Err(self.flaw(at.offset, "there is no run where one must be"));
        }
        if u64::from(len) > room - RUN_HEAD_BYTES as u64 {
            return Err(self.flaw(at.offset, "a run is longer than its file"));
        }
        into.resize(len as usize, 0);
        self.fill(into)?;
        let (head, chain) = run_head(magic, epoch, at.payload, into, at.chain);
        if head != stored {
            return Err(self.flaw(at.offset, "a run does not match its checksum"));
        }
        let payload = if magic == RUN { len } else { 0 };
        let Some(payload) = at.payload.checked_add(u64::from(payload)) else {
            return Err(self.flaw(at.offset, "the log is longer than any"));
        };
        self.at.offset += RUN_HEAD_BYTES as u64 + u64::from(len);
        (self.at.chain, self.at.payload) = (chain, payload);
        Ok(magic)
    }

    fn fill(&mut self, into: &mut [u8]) -> std::result::Result<(), Stopped> {
        self.input
            .read_exact(into)
            .map_err(|e| stopped(&self.name, self.at.offset, e))
    }
}

/// What a failed read means: damage where bytes are missing or the medium cannot be read, otherwise the system refuses.
fn stopped(name: &str, offset: u64, error: std::io::Error) -> Stopped {
    let flaw = |why: String| Stopped::Flaw(Defect::new(name, (offset, why)));
    match error.kind() {
        ErrorKind::NotFound => flaw("is missing".into()),
        ErrorKind::UnexpectedEof if offset == 0 => {
            flaw("the header does not match its checksum".into())
        }
        ErrorKind::UnexpectedEof => flaw("the file ends inside a run".into()),
        _ if error.raw_os_error() == Some(EIO) => {
            flaw(format!("cannot be read from the medium: {error}"))
        }
        _ => Stopped::Refused(Error::io("cannot read", name, error)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::log::{Log, LogSizes, chain_start};
    use super::*;
    use crate::disk::Access;
    use crate::sim::disk::SimDisk;
    use proptest::prelude::*;

    /// The payloads of a file, where it starts and where it ends.
    pub(in crate::checkpoint) fn read_all(
        disk: &SimDisk,
        kind: Kind,
        number: u64,
        until: Option<u64>,
    ) -> std::result::Result<(Vec<u8>, LogPosition, LogPosition), Stopped> {
        let mut runs = Runs::open(disk, kind, &[9; 16], number, until)?;
        let (mut all, mut some) = (Vec::new(), Vec::new());
        while runs.next(&mut some)? {
            all.extend_from_slice(&some);
        }
        Ok((all, runs.start(), runs.position()))
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(mut bytes in proptest::collection::vec(any::<u8>(), 4096..9000), until in 0u64..9000) {
            let header = Header { kind: Kind::Urls, crawl: [9; 16], number: 1, epoch: 0, file_len: bytes.len() as u64, start: 0, chain: 5 };
            bytes[..4096].copy_from_slice(&header.encode()[..]);
            let disk = SimDisk::new(1);
            let mut file = disk.create("urls-000001.log", Access::Append, 0).unwrap();
            file.write_at(0, &bytes).unwrap();
            let _ = read_all(&disk, Kind::Urls, 1, Some(until));
            prop_assert!(bytes.len() == 4096 || read_all(&disk, Kind::Urls, 1, None).is_err());
        }
    }

    #[test]
    fn a_flipped_bit_anywhere_before_the_cut_is_found() {
        let disk = SimDisk::new(1);
        let sizes = LogSizes {
            first: 16 << 10,
            max: 16 << 10,
        };
        let mut log = Log::new(Kind::Urls, [9; 16], sizes);
        log.append(&disk, &[5; 700]).unwrap();
        log.append(&disk, &[6; 100]).unwrap();
        let cut = log.cut(1).unwrap();
        log.append(&disk, &[7; 100]).unwrap();
        let name = "urls-000001.log";
        let holds = || {
            read_all(&disk, Kind::Urls, 1, Some(cut.offset)).is_ok_and(|(_, start, end)| {
                end == cut && start.chain == chain_start(Kind::Urls, &[9; 16])
            })
        };
        assert!(holds());
        for bit in 0..cut.offset * 8 {
            disk.corrupt(name, bit / 8, 1 << (bit % 8));
            assert!(!holds(), "bit {bit}");
            disk.corrupt(name, bit / 8, 1 << (bit % 8));
        }
        disk.corrupt(name, cut.offset + 40, 1); // beyond the cut nothing is named
        disk.corrupt(name, (16 << 10) - 1, 1);
        assert!(holds());
    }
}
