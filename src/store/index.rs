//! The index of a segment: one entry a record, appended as the records are.
//!
//! What must hold: an entry carries a checksum over all of it, so no flipped bit passes; its lengths are bounded by
//! [`ENTRY_BYTES_MAX`], so damage is told from a torn end. All numbers are little-endian.
//!
//! ```text
//! header   magic 8 | version u32 | segment u32 | crawl id 16 | checksum u64
//! entry    checksum u32 | fingerprint u64 | offset u64 | length u32 | plain u64 | kind u8 | outcome u8 | status u16
//!          | wall u64 | body u64 | depth u16 | origin u64 | digest 20 | mime length u8 | url length u16 | mime | url
//! ```
//!
//! Deliberately absent: order. Lookups by URL go through [`super::table`].

use crate::event::Outcome;
use crate::time::Wall;
use std::io::{self, Read};
use xxhash_rust::xxh3::xxh3_64;

/// First bytes of an index.
const MAGIC: [u8; 8] = *b"CYCLOIDX";
/// Format version.
const VERSION: u32 = 1;
/// Length of the header, bytes.
pub const HEADER_BYTES: usize = 40;
/// Length of an entry without its media type and URL, bytes.
pub const FIXED_BYTES: usize = 85;
/// Longest entry, bytes. URLs of robots.txt redirects obey the same limit as all.
pub const ENTRY_BYTES_MAX: usize =
    FIXED_BYTES + crate::parse::record::MIME_BYTES_MAX + crate::limits::URL_BYTES_MAX;

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// A response with its body.
    Response = 1,
    /// A response whose body is that of an earlier record.
    Revisit = 2,
    /// A robots.txt, or what its URL answered.
    Robots = 3,
}

impl Kind {
    /// Stable name, as the commands show it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Response => "response",
            Self::Revisit => "revisit",
            Self::Robots => "robots",
        }
    }

    fn from_u8(n: u8) -> Option<Self> {
        [Self::Response, Self::Revisit, Self::Robots]
            .into_iter()
            .find(|k| *k as u8 == n)
    }
}

/// Where an entry stands: a segment and an offset into its index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position(u64);

impl Position {
    /// Bits of the offset: an index is at most 1 TiB, and there are at most 2^24 segments.
    const SHIFT: u32 = 40;

    /// The entry at byte `at` of the index of `segment` (from 1).
    pub fn new(segment: u32, at: u64) -> Self {
        debug_assert!(segment > 0 && segment < 1 << 24 && at < 1 << Self::SHIFT);
        Self(u64::from(segment) << Self::SHIFT | at)
    }

    /// The same of numbers that may be anything; `None` where no entry can stand there.
    pub fn checked(segment: u32, at: u64) -> Option<Self> {
        (segment > 0 && segment < 1 << 24 && at < 1 << Self::SHIFT).then(|| Self::new(segment, at))
    }

    /// From its stored number; 0 is none.
    pub fn from_u64(n: u64) -> Option<Self> {
        (n >> Self::SHIFT > 0).then_some(Self(n))
    }

    /// Its stored number, never 0.
    pub fn to_u64(self) -> u64 {
        self.0
    }

    /// Number of the segment.
    pub fn segment(self) -> u32 {
        (self.0 >> Self::SHIFT) as u32
    }

    /// Offset into its index, bytes.
    pub fn at(self) -> u64 {
        self.0 & ((1 << Self::SHIFT) - 1)
    }
}

/// What an index knows of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Keyed fingerprint of the URL, as the frontier knows it.
    pub fingerprint: u64,
    /// Where the record's frame begins in the segment, bytes.
    pub offset: u64,
    /// Length of the frame, bytes.
    pub length: u32,
    /// Length of the record before compression, bytes.
    pub plain: u64,
    /// What the record is.
    pub kind: Kind,
    /// How the fetch ended.
    pub outcome: Outcome,
    /// Status code.
    pub status: u16,
    /// When the answer came.
    pub wall: Wall,
    /// Length of the body as received, bytes; for revisits that of the original.
    pub body: u64,
    /// Links between a seed and the URL.
    pub depth: u16,
    /// Of a revisit: the record that has the body.
    pub origin: Option<Position>,
    /// SHA-1 of the body as received.
    pub digest: [u8; 20],
    /// Media type; empty where unknown.
    pub mime: &'a [u8],
    /// Canonical URL.
    pub url: &'a [u8],
}

/// Why there is no entry where one was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// The bytes end before the entry does.
    Torn,
    /// The checksum does not hold or a field has no valid value.
    Corrupt,
}

/// Reads fields one after the other.
struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (head, rest) = self.0.split_first_chunk::<N>().unwrap_or((&[0; N], &[]));
        self.0 = rest;
        *head
    }
    fn u8(&mut self) -> u8 {
        u8::from_le_bytes(self.take())
    }
    fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.take())
    }
    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }
    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }
}

impl<'a> Entry<'a> {
    /// Appends the entry to `out`. Media type and URL are at most as long as their limits; longer ones are cut.
    pub fn write(&self, out: &mut Vec<u8>) {
        let mime = &self.mime[..self.mime.len().min(crate::parse::record::MIME_BYTES_MAX)];
        let url = &self.url[..self.url.len().min(crate::limits::URL_BYTES_MAX)];
        let start = out.len();
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.fingerprint.to_le_bytes());
        out.extend_from_slice(&self.offset.to_le_bytes());
        out.extend_from_slice(&self.length.to_le_bytes());
        out.extend_from_slice(&self.plain.to_le_bytes());
        out.extend_from_slice(&[self.kind as u8, self.outcome as u8]);
        out.extend_from_slice(&self.status.to_le_bytes());
        out.extend_from_slice(&self.wall.to_le_bytes());
        out.extend_from_slice(&self.body.to_le_bytes());
        out.extend_from_slice(&self.depth.to_le_bytes());
        out.extend_from_slice(&self.origin.map_or(0, Position::to_u64).to_le_bytes());
        out.extend_from_slice(&self.digest);
        out.push(mime.len() as u8);
        out.extend_from_slice(&(url.len() as u16).to_le_bytes());
        debug_assert_eq!(out.len() - start, FIXED_BYTES);
        out.extend_from_slice(mime);
        out.extend_from_slice(url);
        let sum = xxh3_64(&out[start + 4..]) as u32;
        out[start..start + 4].copy_from_slice(&sum.to_le_bytes());
    }

    /// Reads the entry that `bytes` begin with, and its length.
    pub fn read(bytes: &'a [u8]) -> Result<(Self, usize), Damage> {
        let fixed = bytes.get(..FIXED_BYTES).ok_or(Damage::Torn)?;
        let mime_len = usize::from(fixed[FIXED_BYTES - 3]);
        let url_len = usize::from(u16::from_le_bytes([
            fixed[FIXED_BYTES - 2],
            fixed[FIXED_BYTES - 1],
        ]));
        if mime_len > crate::parse::record::MIME_BYTES_MAX || url_len > crate::limits::URL_BYTES_MAX
        {
            return Err(Damage::Corrupt);
        }
        let len = FIXED_BYTES + mime_len + url_len;
        let whole = bytes.get(..len).ok_or(Damage::Torn)?;
        let mut fields = Cursor(whole);
        if fields.u32() != xxh3_64(&whole[4..]) as u32 {
            return Err(Damage::Corrupt);
        }
        let (mime, url) = whole[FIXED_BYTES..].split_at(mime_len);
        let entry = Self {
            fingerprint: fields.u64(),
            offset: fields.u64(),
            length: fields.u32(),
            plain: fields.u64(),
            kind: Kind::from_u8(fields.u8()).ok_or(Damage::Corrupt)?,
            outcome: Outcome::from_u8(fields.u8()).ok_or(Damage::Corrupt)?,
            status: fields.u16(),
            wall: fields.u64(),
            body: fields.u64(),
            depth: fields.u16(),
            origin: Position::from_u64(fields.u64()),
            digest: fields.take(),
            mime,
            url,
        };
        Ok((entry, len))
    }

    /// Where its frame ends in the segment, bytes.
    pub fn end(&self) -> u64 {
        self.offset.saturating_add(u64::from(self.length))
    }

    /// Whether later records with the same payload may refer to this one.
    pub fn is_origin(&self) -> bool {
        self.kind == Kind::Response
            && self.outcome == Outcome::Fetched
            && self.status == 200
            && self.body > 0
    }
}

/// The header of the index of `segment`.
pub fn header(crawl: &[u8; 16], segment: u32) -> [u8; HEADER_BYTES] {
    let mut out = [0; HEADER_BYTES];
    out[..8].copy_from_slice(&MAGIC);
    out[8..12].copy_from_slice(&VERSION.to_le_bytes());
    out[12..16].copy_from_slice(&segment.to_le_bytes());
    out[16..32].copy_from_slice(crawl);
    let sum = xxh3_64(&out[..32]);
    out[32..].copy_from_slice(&sum.to_le_bytes());
    out
}

/// Checks the header of the index of `segment` and returns the crawl's id. The error says what is wrong.
pub fn read_header(bytes: &[u8], segment: u32) -> Result<[u8; 16], &'static str> {
    let bytes = bytes
        .get(..HEADER_BYTES)
        .ok_or("the index is shorter than its header")?;
    let mut fields = Cursor(bytes);
    if fields.take::<8>() != MAGIC {
        return Err("the file is no index of a segment");
    }
    let (version, number, crawl, sum) = (fields.u32(), fields.u32(), fields.take(), fields.u64());
    if sum != xxh3_64(&bytes[..32]) {
        return Err("the checksum of the index's header does not hold");
    }
    if version != VERSION {
        return Err("the index was written by another version of the program");
    }
    if number != segment {
        return Err("the index belongs to another segment");
    }
    Ok(crawl)
}

/// Reads the entries of an index one after the other.
pub struct Scan<R> {
    source: R,
    buf: Vec<u8>,
    /// What of `buf` is still to be looked at.
    start: usize,
    /// Offset of `buf[start]` in the index.
    at: u64,
    ended: bool,
}

/// Bytes read from an index at once.
const SCAN_BYTES: usize = 256 << 10;

impl<R: Read> Scan<R> {
    /// Entries from `source`, which stands at byte `at` of the index.
    pub fn new(source: R, at: u64) -> Self {
        Self {
            source,
            buf: Vec::new(),
            start: 0,
            at,
            ended: false,
        }
    }

    /// Offset of the next entry in the index; after damage, of the damage.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// Bytes after the last whole entry, once the end was reached.
    pub fn rest(&self) -> usize {
        self.buf.len() - self.start
    }

    /// The next entry and its offset; `None` at the end. A torn end is [`Damage::Torn`].
    pub fn next_entry(&mut self) -> io::Result<Option<Result<(u64, Entry<'_>), Damage>>> {
        if self.buf.len() - self.start < ENTRY_BYTES_MAX && !self.ended {
            self.fill()?;
        }
        if self.start == self.buf.len() {
            return Ok(None);
        }
        Ok(Some(match Entry::read(&self.buf[self.start..]) {
            Ok((entry, len)) => {
                let at = self.at;
                self.start += len;
                self.at += len as u64;
                Ok((at, entry))
            }
            Err(damage) => Err(damage),
        }))
    }

    fn fill(&mut self) -> io::Result<()> {
        self.buf.drain(..self.start);
        self.start = 0;
        let want = SCAN_BYTES - self.buf.len();
        let got = self
            .source
            .by_ref()
            .take(want as u64)
            .read_to_end(&mut self.buf)?;
        self.ended = got < want;
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn sample<'a>(url: &'a [u8]) -> Entry<'a> {
        Entry {
            fingerprint: 0x1122_3344_5566_7788,
            offset: 999,
            length: 6_000,
            plain: 30_000,
            kind: Kind::Revisit,
            outcome: Outcome::Fetched,
            status: 200,
            wall: 1_700_000_000_000,
            body: 29_000,
            depth: 3,
            origin: Some(Position::new(7, 12_345)),
            digest: [9; 20],
            mime: b"text/html",
            url,
        }
    }

    #[test]
    fn an_entry_is_read_back() {
        let mut bytes = Vec::new();
        let entry = sample(b"http://a.test/x");
        entry.write(&mut bytes);
        bytes.push(1);
        assert_eq!(Entry::read(&bytes), Ok((entry, bytes.len() - 1)));
        assert_eq!(
            entry.origin.map(|o| (o.segment(), o.at())),
            Some((7, 12_345))
        );
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let mut bytes = Vec::new();
        sample(b"http://a.test/x").write(&mut bytes);
        let len = bytes.len();
        bytes.resize(len + ENTRY_BYTES_MAX, 0xaa);
        for bit in 0..len * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Entry::read(&bytes), Err(Damage::Corrupt), "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        for cut in 0..len {
            assert_eq!(Entry::read(&bytes[..cut]), Err(Damage::Torn));
        }
        let good = header(&[5; 16], 3);
        assert_eq!(read_header(&good, 3), Ok([5; 16]));
        assert!(read_header(&good, 4).is_err() && read_header(&good[..39], 3).is_err());
        for bit in 0..HEADER_BYTES * 8 {
            let mut bad = good;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(read_header(&bad, 3).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_scan_finds_all_entries_and_the_torn_end() {
        let mut bytes = Vec::new();
        let urls: Vec<String> = (0..9_000).map(|i| format!("http://a.test/{i}")).collect();
        for url in &urls {
            sample(url.as_bytes()).write(&mut bytes);
        }
        let whole = bytes.len() as u64;
        bytes.extend_from_slice(&bytes.clone()[..70]);
        let mut scan = Scan::new(&bytes[..], 40);
        for url in &urls {
            let (_, entry) = scan
                .next_entry()
                .expect("memory")
                .expect("there")
                .expect("whole");
            assert_eq!(entry.url, url.as_bytes());
        }
        assert_eq!(scan.at(), 40 + whole);
        assert_eq!(scan.next_entry().expect("memory"), Some(Err(Damage::Torn)));
        assert_eq!(scan.rest(), 70);
    }
}
