//! Every checksum, every record: what `cyclosa verify` says about the segments.
//!
//! What must hold: every byte of segments and indexes is looked at; each defect is reported with its file, its offset
//! and what it means for the user; a defect in one record does not hide those of others. Nothing is changed. What lies
//! behind a checkpoint's mark is no part of the crawl, the next run cuts it: a kill may leave it in any state.

use super::index::{self, Damage, Entry, HEADER_BYTES, Kind, Position, Scan};
use super::names::Part;
use super::reader::{Reader, unframe};
use super::table::Table;
use crate::error::{Error, Result};
use crate::event::Mark;
use crate::protocol::warc::{self, IDENTICAL_PAYLOAD, Record};
use sha1::{Digest, Sha1};
use std::fs::File;
use std::os::unix::fs::FileExt;

/// Defects that are described; all are counted.
pub const DEFECTS_SHOWN_MAX: usize = 1_000;

/// One defect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defect {
    /// File in the crawl directory.
    pub file: String,
    /// Where, bytes.
    pub offset: u64,
    /// What is wrong and what it means.
    pub what: String,
}

impl std::fmt::Display for Defect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at byte {}: {}", self.file, self.offset, self.what)
    }
}

/// What was verified.
#[derive(Debug, Default)]
pub struct Verified {
    /// Segments.
    pub segments: u64,
    /// Records that are whole, `warcinfo` not among them.
    pub records: u64,
    /// Of these, responses and revisits.
    pub pages: u64,
    /// Of these, revisits.
    pub revisits: u64,
    /// Robots records.
    pub robots: u64,
    /// Bytes of records before compression.
    pub plain_bytes: u64,
    /// Bytes of frames.
    pub stored_bytes: u64,
    /// Defects found.
    pub defect_count: u64,
    /// The first [`DEFECTS_SHOWN_MAX`] of them.
    pub defects: Vec<Defect>,
    /// Index entries up to the mark; all, where none was given.
    pub kept: u64,
    /// Defects behind the mark, which are none of the crawl's.
    pub behind: u64,
    /// Segment, its length and that of its index, bytes, at the mark.
    mark: Option<(u32, u64, u64)>,
}

impl Verified {
    /// Whether something at `offset` is part of the crawl.
    fn keeps(&self, part: Part, segment: u32, offset: u64) -> bool {
        self.mark.is_none_or(|(last, data_len, index_len)| {
            let len = match part {
                Part::Data => data_len,
                Part::Index => index_len,
                Part::Table => 0,
            };
            segment < last || segment == last && offset < len
        })
    }

    fn defect(&mut self, part: Part, segment: u32, offset: u64, what: impl Into<String>) {
        if !self.keeps(part, segment, offset) {
            self.behind += 1;
            return;
        }
        self.defect_count += 1;
        if self.defects.len() < DEFECTS_SHOWN_MAX {
            self.defects.push(Defect {
                file: part.name(segment),
                offset,
                what: what.into(),
            });
        }
    }
}

impl Reader {
    /// Verifies all segments. Only what keeps it from reading at all is an error; what it finds is in the result.
    pub fn verify(&self) -> Result<Verified> {
        self.verify_to(None)
    }

    /// The same; what lies behind `mark`, if there is one, is looked at and not held against the crawl.
    ///
    /// # Errors
    /// As [`Self::verify`].
    pub fn verify_to(&self, mark: Option<&Mark>) -> Result<Verified> {
        let mut verified = Verified {
            mark: mark.map(|m| (m.segment, m.segment_len, m.index_len)),
            ..Verified::default()
        };
        let last = self.segments().last().copied().unwrap_or(0);
        let last = last.max(mark.map_or(0, |m| m.segment));
        for segment in 1..=last {
            if self.segments().contains(&segment) {
                self.verify_segment(segment, segment == last, &mut verified)?;
            } else {
                verified.defect(
                    Part::Index,
                    segment,
                    0,
                    "it is missing; the segment's records cannot be found",
                );
            }
        }
        Ok(verified)
    }

    fn verify_segment(&self, segment: u32, live: bool, verified: &mut Verified) -> Result<()> {
        verified.segments += 1;
        let path = self.path(Part::Data, segment);
        let Ok(data) = File::open(&path) else {
            verified.defect(
                Part::Data,
                segment,
                0,
                "it is missing or cannot be opened; its records are lost",
            );
            return Ok(());
        };
        let len = data
            .metadata()
            .map_err(|e| Error::io("cannot read", &path, e))?
            .len();
        let path = self.path(Part::Index, segment);
        let index = File::open(&path).map_err(|e| Error::io("cannot open", &path, e))?;
        let mut header = [0; HEADER_BYTES];
        if let Err(what) = index
            .read_exact_at(&mut header, 0)
            .map_err(|_| "it has no header")
            .and_then(|()| index::read_header(&header, segment).map(|_| ()))
        {
            verified.defect(
                Part::Index,
                segment,
                0,
                format!("{what}; the segment's records cannot be found"),
            );
            return Ok(());
        }
        let mut scan = Scan::new(
            AtOffset {
                file: &index,
                at: HEADER_BYTES as u64,
            },
            HEADER_BYTES as u64,
        );
        let mut end = None;
        let mut entries = 0;
        loop {
            let at = scan.at();
            match scan
                .next_entry()
                .map_err(|e| Error::io("cannot read", &path, e))?
            {
                None => break,
                Some(Ok((at, entry))) => {
                    let expected = match end {
                        Some(end) => end,
                        None => self.verify_info(&data, segment, entry.offset, verified),
                    };
                    if entry.offset != expected {
                        let what = format!(
                            "the record is said to lie at {}, the one before ends at {expected}",
                            entry.offset
                        );
                        verified.defect(Part::Index, segment, at, what);
                    }
                    end = Some(entry.end());
                    entries += 1;
                    verified.kept += u64::from(verified.keeps(Part::Index, segment, at));
                    self.verify_record(&data, Position::new(segment, at), &entry, verified);
                }
                Some(Err(damage)) => {
                    let rest = scan.rest();
                    verified.defect(Part::Index, segment, at, index_damage(damage, live, rest));
                    return Ok(());
                }
            }
        }
        self.verify_end(&data, segment, live, (end, len), verified);
        self.verify_table(segment, live, entries, verified);
        Ok(())
    }

    /// Checks the record before the first that the index names; returns where that one must begin.
    fn verify_info(&self, data: &File, segment: u32, first: u64, verified: &mut Verified) -> u64 {
        let checked = u32::try_from(first)
            .map_err(|_| "it does not begin with a warcinfo record")
            .and_then(|length| read_frame(data, 0, length))
            .and_then(|frame| unframe(&frame, None))
            .and_then(|plain| {
                Record::read(&plain).map(|r| r.field(b"warc-type") == Some(b"warcinfo"))
            });
        match checked {
            Ok(true) => {}
            Ok(false) => verified.defect(
                Part::Data,
                segment,
                0,
                "it does not begin with a warcinfo record",
            ),
            Err(what) => {
                verified.defect(
                    Part::Data,
                    segment,
                    0,
                    format!("{what}; what describes the crawl is lost"),
                );
            }
        }
        first
    }

    fn verify_record(
        &self,
        data: &File,
        position: Position,
        entry: &Entry<'_>,
        verified: &mut Verified,
    ) {
        let whole = read_frame(data, entry.offset, entry.length)
            .and_then(|frame| unframe(&frame, Some(entry.plain)))
            .and_then(|plain| check_record(&plain, entry));
        let whole = whole
            .map_err(str::to_owned)
            .and_then(|()| match (entry.kind, entry.origin) {
                (Kind::Revisit, None) => Err("the revisit names no original".into()),
                (Kind::Revisit, Some(origin)) => self.check_origin(origin, entry),
                (_, Some(_)) => Err("a record that is no revisit names an original".into()),
                (_, None) => Ok(()),
            });
        match whole {
            Ok(()) => {
                verified.records += 1;
                verified.pages += u64::from(entry.kind != Kind::Robots);
                verified.revisits += u64::from(entry.kind == Kind::Revisit);
                verified.robots += u64::from(entry.kind == Kind::Robots);
                verified.plain_bytes += entry.plain;
                verified.stored_bytes += u64::from(entry.length);
            }
            Err(what) => {
                let url = String::from_utf8_lossy(entry.url);
                let what = format!(
                    "{what}; what was stored for {url} is lost, all other records are not affected"
                );
                verified.defect(Part::Data, position.segment(), entry.offset, what);
            }
        }
    }

    fn check_origin(&self, origin: Position, entry: &Entry<'_>) -> std::result::Result<(), String> {
        match self.entry(origin) {
            Ok(original) if original.digest == entry.digest && original.kind == Kind::Response => {
                Ok(())
            }
            Ok(_) => Err("the original of the revisit has another payload".into()),
            Err(_) => Err("the original of the revisit is missing".into()),
        }
    }

    /// Checks that the segment ends where its index does.
    fn verify_end(
        &self,
        data: &File,
        segment: u32,
        live: bool,
        (end, len): (Option<u64>, u64),
        verified: &mut Verified,
    ) {
        let end = match end {
            Some(end) => end,
            None => self.verify_info(data, segment, len, verified),
        };
        if len > end {
            let rest = len - end;
            let what = if live {
                format!(
                    "{rest} bytes follow the last record of the index; the next run of the crawl cuts them (normal while one runs or after it was killed)"
                )
            } else {
                format!("{rest} bytes follow the last record of the index; they cannot be found")
            };
            verified.defect(Part::Data, segment, end, what);
        }
    }

    fn verify_table(&self, segment: u32, live: bool, entries: usize, verified: &mut Verified) {
        if live {
            return;
        }
        let Ok(bytes) = std::fs::read(self.path(Part::Table, segment)) else {
            return;
        };
        if Table::read(bytes, segment).is_none_or(|table| table.len() != entries) {
            let what = "it is damaged; lookups scan the index instead, remove the file";
            verified.defect(Part::Table, segment, 0, what);
        }
    }
}

fn index_damage(damage: Damage, live: bool, rest: usize) -> String {
    match damage {
        Damage::Torn if live => format!(
            "the last entry is cut ({rest} bytes); the next run of the crawl cuts them (normal while one runs or after it was killed)"
        ),
        Damage::Torn => "the last entry is cut; its record cannot be found".into(),
        Damage::Corrupt => {
            "the entry's checksum does not hold; its record and those after it in this segment cannot be found".into()
        }
    }
}

fn read_frame(data: &File, offset: u64, length: u32) -> std::result::Result<Vec<u8>, &'static str> {
    let len = data.metadata().map_or(0, |m| m.len());
    if offset.saturating_add(u64::from(length)) > len {
        return Err("the segment ends before the record does");
    }
    let mut frame = vec![0; length as usize];
    data.read_exact_at(&mut frame, offset)
        .map_err(|_| "the record cannot be read")?;
    Ok(frame)
}

/// Compares a record with its index entry.
fn check_record(plain: &[u8], entry: &Entry<'_>) -> std::result::Result<(), &'static str> {
    let record = Record::read(plain)?;
    let (kind, body) = match entry.kind {
        Kind::Response | Kind::Robots => (&b"response"[..], entry.body),
        Kind::Revisit => (&b"revisit"[..], 0),
    };
    if record.field(b"warc-type") != Some(kind) {
        return Err("the record's type is not what the index says");
    }
    let mut url = Vec::new();
    warc::escape(entry.url, &mut url);
    if record.field(b"warc-target-uri") != Some(&url) {
        return Err("the record's URL is not what the index says");
    }
    if record.field(b"warc-truncated").map(|v| v.to_vec()) != expected_cut(entry) {
        return Err("the record's WARC-Truncated is not what the index says");
    }
    let mut label = b"sha1:".to_vec();
    label.extend_from_slice(data_encoding::BASE32.encode(&entry.digest).as_bytes());
    if record.field(b"warc-payload-digest") != Some(&label) {
        return Err("the record's payload digest is not what the index says");
    }
    if entry.kind == Kind::Revisit {
        if record.field(b"warc-profile") != Some(IDENTICAL_PAYLOAD.as_bytes()) {
            return Err("the revisit's profile is not known");
        }
        return Ok(());
    }
    let body = usize::try_from(body).unwrap_or(usize::MAX);
    let Some(head) = record.block.len().checked_sub(body) else {
        return Err("the body is shorter than the index says");
    };
    if Sha1::digest(&record.block[head..])[..] != entry.digest {
        return Err("the body's digest does not hold");
    }
    Ok(())
}

fn expected_cut(entry: &Entry<'_>) -> Option<Vec<u8>> {
    let reason = match entry.kind {
        Kind::Revisit => Some("length"),
        _ => entry.outcome.truncated(),
    };
    reason.map(|r| r.as_bytes().to_vec())
}

/// Reads a file from an offset on without moving its position.
struct AtOffset<'f> {
    file: &'f File,
    at: u64,
}

impl std::io::Read for AtOffset<'_> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let n = self.file.read_at(buf, self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}
