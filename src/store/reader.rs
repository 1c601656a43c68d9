//! Reading what a crawl stored, while it runs or after.
//!
//! What must hold: nothing is written; a directory that a crawl is writing to is read up to the last whole index entry,
//! whose frame is whole because frames are written first. No allocation is made on the word of a file whose checksum
//! was not checked. Bodies are decoded by the same limits as when they were parsed.
//!
//! Deliberately absent: repair. A torn end is cut when the crawl goes on.

use super::index::{self, Damage, ENTRY_BYTES_MAX, Entry, HEADER_BYTES, Kind, Position, Scan};
use super::names::Part;
use super::table::{self, Table};
use crate::disk::CRAWL_FILE;
use crate::error::{Error, Result};
use crate::event::{Coding, Outcome};
use crate::limits::CODINGS_MAX;
use crate::parse::decode::{Decoded, Decoder};
use crate::protocol::warc::{self, Record};
use crate::protocol::zframe::Header;
use crate::time::Wall;
use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use zstd::zstd_safe::DCtx;

/// A crawl directory, opened for reading.
pub struct Reader {
    dir: PathBuf,
    segments: Vec<u32>,
    crawl: Option<[u8; 16]>,
}

/// An index entry that stands on its own, with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where the entry stands.
    pub position: Position,
    /// Keyed fingerprint of the URL.
    pub fingerprint: u64,
    /// Offset of the frame in the segment, bytes.
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
    /// Length of the body as received, bytes.
    pub body: u64,
    /// Links between a seed and the URL.
    pub depth: u16,
    /// Of a revisit: the record that has the body.
    pub origin: Option<Position>,
    /// SHA-1 of the body as received.
    pub digest: [u8; 20],
    /// Media type; empty where unknown.
    pub mime: Vec<u8>,
    /// Canonical URL.
    pub url: Vec<u8>,
}

impl Found {
    /// A copy of `entry`.
    pub fn of(position: Position, entry: &Entry<'_>) -> Self {
        Self {
            position,
            fingerprint: entry.fingerprint,
            offset: entry.offset,
            length: entry.length,
            plain: entry.plain,
            kind: entry.kind,
            outcome: entry.outcome,
            status: entry.status,
            wall: entry.wall,
            body: entry.body,
            depth: entry.depth,
            origin: entry.origin,
            digest: entry.digest,
            mime: entry.mime.to_vec(),
            url: entry.url.to_vec(),
        }
    }
}

/// A body as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    /// Without content codings, as far as they could be undone.
    pub bytes: Vec<u8>,
    /// Why it is not the whole body, or not decoded.
    pub defect: Option<&'static str>,
}

impl Reader {
    /// Opens the crawl directory `dir`. Fails where it holds no crawl or segments of several crawls; a crawl that was
    /// killed before its first segment is one without records.
    pub fn open(dir: &Path) -> Result<Self> {
        let (mut segments, mut begun) = (Vec::new(), false);
        for item in std::fs::read_dir(dir)
            .map_err(|e| Error::io("cannot open the crawl directory", dir, e))?
        {
            let item = item.map_err(|e| Error::io("cannot list", dir, e))?;
            begun |= item.file_name() == CRAWL_FILE;
            if let Some((segment, Part::Index)) = item.file_name().to_str().and_then(Part::of) {
                segments.push(segment);
            }
        }
        segments.sort_unstable();
        let mut reader = Self {
            dir: dir.to_owned(),
            segments,
            crawl: None,
        };
        if reader.segments.is_empty() && !begun {
            return Err(Error::environment(format!(
                "{} holds no crawl (no segment-*.idx); name the directory given to `cyclosa crawl --dir`",
                dir.display()
            )));
        }
        for segment in reader.segments.clone() {
            // Damage is for those to report who need this segment.
            let Ok((_, id)) = reader.index(segment) else {
                continue;
            };
            if id.is_some() && reader.crawl.is_some() && reader.crawl != id {
                return Err(reader.damaged(
                    Part::Index,
                    segment,
                    0,
                    "it belongs to another crawl than the first",
                ));
            }
            reader.crawl = reader.crawl.or(id);
        }
        Ok(reader)
    }

    /// Numbers of the segments, oldest first.
    pub fn segments(&self) -> &[u32] {
        &self.segments
    }

    /// Id of the crawl; `None` where the crawl has only just begun.
    pub fn crawl(&self) -> Option<[u8; 16]> {
        self.crawl
    }

    /// Path of a file of the store.
    pub fn path(&self, part: Part, segment: u32) -> PathBuf {
        self.dir.join(part.name(segment))
    }

    fn is_live(&self, segment: u32) -> bool {
        self.segments.last() == Some(&segment)
    }

    fn damaged(&self, part: Part, segment: u32, at: u64, what: &str) -> Error {
        let path = self.path(part, segment);
        Error::environment(format!(
            "{} is damaged at byte {at}: {what}; run `cyclosa verify` on the directory",
            path.display()
        ))
    }

    /// The index of a segment, behind its header, and the crawl it belongs to. The newest may have no header yet.
    fn index(&self, segment: u32) -> Result<(File, Option<[u8; 16]>)> {
        let path = self.path(Part::Index, segment);
        let mut file = File::open(&path).map_err(|e| Error::io("cannot open", &path, e))?;
        let mut header = [0; HEADER_BYTES];
        match file.read_exact_at(&mut header, 0) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof && self.is_live(segment) => {
                return Ok((file, None));
            }
            Err(e) => return Err(Error::io("cannot read", &path, e)),
        }
        let id = index::read_header(&header, segment)
            .map_err(|what| self.damaged(Part::Index, segment, 0, what))?;
        file.seek(SeekFrom::Start(HEADER_BYTES as u64))
            .map_err(|e| Error::io("cannot read", &path, e))?;
        Ok((file, Some(id)))
    }

    /// Calls `each` with every entry of one segment, in order, until it returns `false`.
    pub fn scan(
        &self,
        segment: u32,
        mut each: impl FnMut(Position, &Entry<'_>) -> bool,
    ) -> Result<()> {
        let (file, id) = self.index(segment)?;
        if id.is_none() {
            return Ok(());
        }
        let path = self.path(Part::Index, segment);
        let mut scan = Scan::new(file, HEADER_BYTES as u64);
        loop {
            let at = scan.at();
            match scan
                .next_entry()
                .map_err(|e| Error::io("cannot read", &path, e))?
            {
                None => return Ok(()),
                Some(Ok((at, entry))) => {
                    if !each(Position::new(segment, at), &entry) {
                        return Ok(());
                    }
                }
                Some(Err(Damage::Torn)) if self.is_live(segment) => return Ok(()),
                Some(Err(Damage::Torn)) => {
                    return Err(self.damaged(Part::Index, segment, at, "it is cut"));
                }
                Some(Err(Damage::Corrupt)) => {
                    return Err(self.damaged(Part::Index, segment, at, "a checksum does not hold"));
                }
            }
        }
    }

    /// Calls `each` with every entry of all segments, oldest first.
    pub fn each(&self, mut each: impl FnMut(Position, &Entry<'_>)) -> Result<()> {
        for &segment in &self.segments {
            self.scan(segment, |position, entry| {
                each(position, entry);
                true
            })?;
        }
        Ok(())
    }

    /// The entry at `position`.
    pub fn entry(&self, position: Position) -> Result<Found> {
        let path = self.path(Part::Index, position.segment());
        let file = File::open(&path).map_err(|e| Error::io("cannot open", &path, e))?;
        let mut bytes = vec![0; ENTRY_BYTES_MAX];
        let len = read_up_to(&file, &mut bytes, position.at())
            .map_err(|e| Error::io("cannot read", &path, e))?;
        let what = "no entry stands there";
        let (entry, _) = Entry::read(&bytes[..len])
            .map_err(|_| self.damaged(Part::Index, position.segment(), position.at(), what))?;
        Ok(Found::of(position, &entry))
    }

    /// The newest page or robots.txt stored for the canonical `url`. Sealed segments are looked up in their tables. A
    /// damaged segment is an error only where no other has the URL.
    pub fn find(&self, url: &[u8]) -> Result<Option<Found>> {
        self.newest(|segment| match self.table(segment) {
            Some(table) => self.find_in_table(segment, &table, url),
            None => self.last(segment, |entry| entry.url == url),
        })
    }

    /// The newest entry with this keyed fingerprint; scans the indexes.
    pub fn find_fingerprint(&self, fingerprint: u64) -> Result<Option<Found>> {
        self.newest(|segment| self.last(segment, |entry| entry.fingerprint == fingerprint))
    }

    /// What `find` finds in the newest segment that has it.
    fn newest(&self, find: impl Fn(u32) -> Result<Option<Found>>) -> Result<Option<Found>> {
        let mut damage = None;
        for &segment in self.segments.iter().rev() {
            match find(segment) {
                Ok(None) => {}
                Ok(found) => return Ok(found),
                Err(e) => damage = damage.or(Some(e)),
            }
        }
        damage.map_or(Ok(None), Err)
    }

    fn last(&self, segment: u32, fits: impl Fn(&Entry<'_>) -> bool) -> Result<Option<Found>> {
        let mut found = None;
        self.scan(segment, |position, entry| {
            if fits(entry) {
                found = Some(Found::of(position, entry));
            }
            true
        })?;
        Ok(found)
    }

    fn table(&self, segment: u32) -> Option<Table> {
        if self.is_live(segment) {
            return None;
        }
        let bytes = std::fs::read(self.path(Part::Table, segment)).ok()?;
        Table::read(bytes, segment)
    }

    fn find_in_table(&self, segment: u32, table: &Table, url: &[u8]) -> Result<Option<Found>> {
        let mut newest = None;
        for at in table.find(table::hash(url)) {
            let position = Position::checked(segment, at).ok_or_else(|| {
                self.damaged(
                    Part::Table,
                    segment,
                    0,
                    "it names a place that no index has",
                )
            })?;
            let found = self.entry(position)?;
            if found.url == url {
                newest = Some(found);
            }
        }
        Ok(newest)
    }

    /// The whole record, uncompressed: WARC header and block.
    pub fn record(&self, found: &Found) -> Result<Vec<u8>> {
        let segment = found.position.segment();
        let path = self.path(Part::Data, segment);
        let file = File::open(&path).map_err(|e| Error::io("cannot open", &path, e))?;
        self.record_in(
            &file,
            segment,
            found.offset,
            found.length,
            Some(found.plain),
        )
    }

    /// The record whose frame lies at `offset` of an open segment; `plain` is what the index says of its length.
    pub(super) fn record_in(
        &self,
        file: &File,
        segment: u32,
        offset: u64,
        length: u32,
        plain: Option<u64>,
    ) -> Result<Vec<u8>> {
        let path = self.path(Part::Data, segment);
        let left = file
            .metadata()
            .map_or(0, |m| m.len())
            .saturating_sub(offset);
        if u64::from(length) > left {
            return Err(self.damaged(
                Part::Data,
                segment,
                offset,
                "the segment ends before the record does",
            ));
        }
        let mut frame = vec![0; length as usize];
        file.read_exact_at(&mut frame, offset)
            .map_err(|e| Error::io("cannot read", &path, e))?;
        unframe(&frame, plain).map_err(|what| self.damaged(Part::Data, segment, offset, what))
    }

    /// The response's head as stored (of a revisit: its own).
    pub fn head(&self, found: &Found) -> Result<Vec<u8>> {
        let plain = self.record(found)?;
        let block = self.block(found, &plain)?;
        let body = if found.kind == Kind::Revisit {
            0
        } else {
            found.body
        };
        let head = block.len() - usize::try_from(body).unwrap_or(usize::MAX).min(block.len());
        Ok(block[..head].to_vec())
    }

    fn block<'a>(&self, found: &Found, plain: &'a [u8]) -> Result<&'a [u8]> {
        let record = Record::read(plain).map_err(|what| {
            self.damaged(Part::Data, found.position.segment(), found.offset, what)
        })?;
        Ok(record.block)
    }

    /// The body as received (content codings on it); of a revisit, that of its original.
    pub fn payload(&self, found: &Found) -> Result<Vec<u8>> {
        let original = match found.origin {
            Some(position) if found.kind == Kind::Revisit => Some(self.entry(position)?),
            _ => None,
        };
        let of = original.as_ref().unwrap_or(found);
        if of.digest != found.digest || of.kind == Kind::Revisit && found.body > 0 {
            let what = "the record that the revisit refers to has another payload";
            return Err(self.damaged(
                Part::Index,
                found.position.segment(),
                found.position.at(),
                what,
            ));
        }
        let mut plain = self.record(of)?;
        let block = self.block(of, &plain)?;
        let len = usize::try_from(of.body)
            .ok()
            .filter(|len| *len <= block.len())
            .ok_or_else(|| {
                self.damaged(
                    Part::Data,
                    of.position.segment(),
                    of.offset,
                    "the body is shorter than its index says",
                )
            })?;
        let end = plain.len() - warc::END.len();
        plain.truncate(end);
        plain.drain(..end - len);
        Ok(plain)
    }

    /// The body without content codings, by what its own head says of them.
    pub fn body(&self, found: &Found) -> Result<Body> {
        let head = self.head(found)?;
        let payload = self.payload(found)?;
        let (codings, unknown) = codings(&head);
        if unknown {
            return Ok(Body {
                bytes: payload,
                defect: Some("its content coding is not known; these are the bytes as received"),
            });
        }
        let mut decoder = Decoder::new();
        Ok(match decoder.decode(&payload, &codings) {
            Decoded::Whole(bytes) => Body {
                bytes: bytes.to_vec(),
                defect: None,
            },
            Decoded::Partial(bytes, why) => Body {
                bytes: bytes.to_vec(),
                defect: Some(why.name()),
            },
            Decoded::Failed(why) => Body {
                bytes: payload,
                defect: Some(why.name()),
            },
        })
    }
}

/// Uncompresses one frame. `plain` is what the index says of its length; the error says what is wrong.
pub(super) fn unframe(
    frame: &[u8],
    plain: Option<u64>,
) -> std::result::Result<Vec<u8>, &'static str> {
    let header = Header::read(frame).ok_or("there is no zstd frame")?;
    if let Some(defect) = header.defect() {
        return Err(defect);
    }
    let size = header.content.ok_or("the frame has no content size")?;
    if plain.is_some_and(|plain| plain != size) {
        return Err("the record's length is not what the index says");
    }
    // No block becomes more than 128 KiB, and each takes four bytes at least (three of header, one of content).
    if size > (frame.len() as u64 / 4 + 1) << 17 {
        return Err("the frame is too short for its content size");
    }
    let size = usize::try_from(size).map_err(|_| "the record does not fit into memory")?;
    let mut out = Vec::new();
    out.try_reserve_exact(size)
        .map_err(|_| "the record does not fit into memory")?;
    let n = DCtx::create()
        .decompress(&mut out, frame)
        .map_err(|_| "the frame cannot be uncompressed or its checksum does not hold")?;
    if n != size {
        return Err("the frame's content is shorter than its header says");
    }
    Ok(out)
}

/// Fills `bytes` from `at` as far as the file goes.
fn read_up_to(file: &File, bytes: &mut [u8], at: u64) -> io::Result<usize> {
    let mut n = 0;
    while n < bytes.len() {
        match file.read_at(&mut bytes[n..], at + n as u64) {
            Ok(0) => break,
            Ok(more) => n += more,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(n)
}

/// Content codings of a stored head in the order applied, and whether there are some that are not undone.
fn codings(head: &[u8]) -> ([Coding; CODINGS_MAX], bool) {
    let mut codings = [Coding::Identity; CODINGS_MAX];
    let mut count = 0;
    let names = warc::fields(head, b"content-encoding").flat_map(|v| v.split(|b| *b == b','));
    for name in names {
        let coding = match name.trim_ascii().to_ascii_lowercase().as_slice() {
            b"" | b"identity" => continue,
            b"gzip" | b"x-gzip" => Coding::Gzip,
            b"deflate" => Coding::Deflate,
            b"br" => Coding::Br,
            b"zstd" => Coding::Zstd,
            _ => return (codings, true),
        };
        match codings.get_mut(count) {
            Some(slot) => *slot = coding,
            None => return (codings, true),
        }
        count += 1;
    }
    (codings, false)
}
