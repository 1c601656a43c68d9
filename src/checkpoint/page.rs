//! The 4-KiB page that opens every file of a checkpoint and is each slot of the manifest.
//!
//! What must hold: magic, format version and checksum lie where they lie for all future versions, so that a file of a
//! newer program is told from a damaged one. The checksum covers all other bytes of the page, padding included: any
//! flipped bit makes the page [`Flaw::Damaged`].
//!
//! Versions: a program writes [`VERSION`], reads all from [`VERSION_OLDEST`] on, and refuses others by name, newer and older:
//! a crawl is finished by a program that knows its format, and never begun anew instead. Within what is read, fields are
//! only ever added at the end of a page, where older pages hold zeros, and zero means "not there".
//!
//! * 1: before the first release; not read any more.
//! * 2: a base and a log of what has ended; the number of the term; outcomes counted by number.
//!
//! Deliberately absent: field names and optional fields.

use xxhash_rust::xxh3::xxh3_64;

/// Length of a page, bytes; the unit in which files are allocated and positions at cuts are aligned.
pub const PAGE_BYTES: usize = 4_096;
/// Version of all files of a checkpoint.
pub const VERSION: u32 = 2;
/// Oldest version that is read.
pub const VERSION_OLDEST: u32 = 2;
/// Opens every page.
const MAGIC: [u8; 8] = *b"CYCLOSA\0";
/// The checksum takes the last eight bytes.
const CHECKSUM_AT: usize = PAGE_BYTES - 8;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Kind {
    /// A slot of the manifest.
    Manifest = 1,
    /// Log of fingerprints.
    Seen = 2,
    /// Log of URL records.
    Urls = 3,
    /// Image of the hosts.
    Image = 4,
    /// State blob of a generation.
    State = 5,
    /// What a compaction kept of the log of URL records.
    Base = 6,
    /// Log of what has ended: what a compaction took out.
    Ended = 7,
}

/// Why a page cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// All zeros: allocated and never written.
    Empty,
    /// Torn, flipped, overwritten or short.
    Damaged,
    /// Whole, but of another kind of file.
    WrongKind,
    /// Whole, but of this newer format version.
    Newer(u32),
    /// Whole, but of this older format version, which is not read any more.
    Older(u32),
}

impl std::fmt::Display for Flaw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Flaw::Empty => f.write_str("was never written"),
            Flaw::Damaged => f.write_str("does not match its checksum"),
            Flaw::WrongKind => f.write_str("belongs to another kind of file"),
            Flaw::Newer(v) => write!(f, "has format version {v}, newer than {VERSION}"),
            Flaw::Older(v) => write!(f, "has format version {v}, older than {VERSION_OLDEST}"),
        }
    }
}

/// Composes a page field by field.
pub struct PageWriter {
    bytes: Box<[u8; PAGE_BYTES]>,
    at: usize,
}

impl PageWriter {
    /// A page of `kind` without fields.
    pub fn new(kind: Kind) -> Self {
        let mut page = Self {
            bytes: Box::new([0; PAGE_BYTES]),
            at: 0,
        };
        page.bytes(&MAGIC);
        page.u32(VERSION);
        page.u32(kind as u32);
        page
    }

    /// Appends raw bytes.
    pub fn bytes(&mut self, bytes: &[u8]) {
        assert!(self.at + bytes.len() <= CHECKSUM_AT);
        self.bytes[self.at..self.at + bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
    }

    /// Appends a number, little-endian.
    pub fn u32(&mut self, n: u32) {
        self.bytes(&n.to_le_bytes());
    }

    /// Appends a number, little-endian.
    pub fn u64(&mut self, n: u64) {
        self.bytes(&n.to_le_bytes());
    }

    /// The page with its checksum, and the checksum.
    pub fn seal(mut self) -> (Box<[u8; PAGE_BYTES]>, u64) {
        let sum = xxh3_64(&self.bytes[..CHECKSUM_AT]);
        self.bytes[CHECKSUM_AT..].copy_from_slice(&sum.to_le_bytes());
        (self.bytes, sum)
    }
}

/// Reads the fields of a page whose checksum holds, in the order they were written.
#[derive(Debug)]
pub struct PageReader<'a> {
    rest: &'a [u8],
    /// Checksum of the page.
    pub checksum: u64,
}

impl<'a> PageReader<'a> {
    /// Checks the first page of `file`.
    ///
    /// # Errors
    /// [`Flaw`] where it cannot be used.
    pub fn open(file: &'a [u8], kind: Kind) -> Result<Self, Flaw> {
        let page = file.get(..PAGE_BYTES).ok_or(Flaw::Damaged)?;
        if page.iter().all(|b| *b == 0) {
            return Err(Flaw::Empty);
        }
        let checksum = le64(&page[CHECKSUM_AT..]);
        if page[..8] != MAGIC || xxh3_64(&page[..CHECKSUM_AT]) != checksum {
            return Err(Flaw::Damaged);
        }
        let mut reader = Self {
            rest: &page[8..CHECKSUM_AT],
            checksum,
        };
        let version = reader.u32();
        if version > VERSION {
            return Err(Flaw::Newer(version));
        }
        if version < VERSION_OLDEST {
            return Err(Flaw::Older(version));
        }
        if reader.u32() != kind as u32 {
            return Err(Flaw::WrongKind);
        }
        Ok(reader)
    }

    /// The next `N` bytes; zeros past the end, which no page reaches.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        if let Some((head, tail)) = self.rest.split_at_checked(N) {
            out.copy_from_slice(head);
            self.rest = tail;
        }
        out
    }

    /// The next number.
    pub fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.bytes())
    }

    /// The next number.
    pub fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.bytes())
    }
}

/// Little-endian number from the first eight bytes of `bytes`; 0 where there are fewer.
pub fn le64(bytes: &[u8]) -> u64 {
    bytes
        .first_chunk()
        .map_or(0, |eight| u64::from_le_bytes(*eight))
}

/// Little-endian number from the first four bytes of `bytes`; 0 where there are fewer.
pub fn le32(bytes: &[u8]) -> u32 {
    bytes
        .first_chunk()
        .map_or(0, |four| u32::from_le_bytes(*four))
}

/// `n` rounded up to whole pages.
pub fn whole_pages(n: u64) -> u64 {
    n.next_multiple_of(PAGE_BYTES as u64)
}

/// First page of a log, image or state file: which crawl and file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What the file holds.
    pub kind: Kind,
    /// [`crate::event::CrawlIdentity::id`].
    pub crawl: [u8; 16],
    /// Number in the file's name.
    pub number: u64,
    /// Newest cut when the file was begun.
    pub epoch: u64,
    /// Length of the file, bytes.
    pub file_len: u64,
    /// Logs: payload bytes in all files before. Images: blocks there is room for. States: bytes there is room for.
    pub start: u64,
    /// Logs: the chain hash where the file begins; otherwise 0.
    pub chain: u64,
}

impl Header {
    /// The page that holds it.
    pub fn encode(&self) -> Box<[u8; PAGE_BYTES]> {
        let mut page = PageWriter::new(self.kind);
        page.bytes(&self.crawl);
        for field in [
            self.number,
            self.epoch,
            self.file_len,
            self.start,
            self.chain,
        ] {
            page.u64(field);
        }
        page.seal().0
    }

    /// Reads the header of `file`, the whole file, and checks it against what the parent says.
    ///
    /// # Errors
    /// What is wrong, to be put behind the file's name.
    pub fn decode(
        file: &[u8],
        kind: Kind,
        crawl: &[u8; 16],
        number: u64,
    ) -> Result<Header, String> {
        Self::of_page(file, file.len() as u64, kind, crawl, number)
    }

    /// The same of a file of `file_len` bytes, of which `page` is at least the first page.
    ///
    /// # Errors
    /// As [`Header::decode`].
    pub fn of_page(
        page: &[u8],
        file_len: u64,
        kind: Kind,
        crawl: &[u8; 16],
        number: u64,
    ) -> Result<Header, String> {
        let mut page = PageReader::open(page, kind).map_err(|flaw| format!("the header {flaw}"))?;
        let header = Header {
            kind,
            crawl: page.bytes(),
            number: page.u64(),
            epoch: page.u64(),
            file_len: page.u64(),
            start: page.u64(),
            chain: page.u64(),
        };
        if header.crawl != *crawl {
            return Err("belongs to another crawl".into());
        }
        if header.number != number {
            return Err(format!(
                "is file number {} under a wrong name",
                header.number
            ));
        }
        if header.file_len != file_len {
            return Err(format!(
                "is {file_len} bytes long instead of {}",
                header.file_len
            ));
        }
        Ok(header)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header() -> Header {
        Header {
            kind: Kind::Seen,
            crawl: [7; 16],
            number: 3,
            epoch: 12,
            file_len: 8192,
            start: 99,
            chain: 0x1234_5678,
        }
    }

    #[test]
    fn every_flipped_bit_of_a_page_is_found() {
        let mut file = header().encode().to_vec();
        file.resize(8192, 0);
        assert_eq!(Header::decode(&file, Kind::Seen, &[7; 16], 3), Ok(header()));
        for bit in 0..PAGE_BYTES * 8 {
            file[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(
                PageReader::open(&file, Kind::Seen).err(),
                Some(Flaw::Damaged),
                "bit {bit}"
            );
            file[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn another_version_is_told_from_damage() {
        let mut page = header().encode();
        for (version, flaw) in [(9, Flaw::Newer(9)), (1, Flaw::Older(1))] {
            page[8] = version;
            let sum = xxh3_64(&page[..CHECKSUM_AT]);
            page[CHECKSUM_AT..].copy_from_slice(&sum.to_le_bytes());
            assert_eq!(PageReader::open(&page[..], Kind::Seen).err(), Some(flaw));
        }
    }

    proptest! {
        #[test]
        fn headers_survive_the_round_trip(crawl: [u8; 16], number: u64, epoch: u64, start: u64, chain: u64, pages in 1u64..4) {
            let header = Header { kind: Kind::Image, crawl, number, epoch, file_len: pages * 4096, start, chain };
            let mut file = header.encode().to_vec();
            file.resize(header.file_len as usize, 0);
            prop_assert_eq!(Header::decode(&file, Kind::Image, &crawl, number), Ok(header));
            prop_assert!(Header::decode(&file, Kind::Urls, &crawl, number).is_err());
            prop_assert!(Header::decode(&file, Kind::Image, &crawl, number.wrapping_add(1)).is_err());
        }

        #[test]
        fn any_bytes_are_refused_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..5000)) {
            prop_assert!(Header::decode(&bytes, Kind::State, &[0; 16], 1).is_err());
        }
    }
}
