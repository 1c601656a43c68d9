//! Going on from a checkpoint: segment and index are cut to the mark, what is derived is rebuilt.
//!
//! What must hold: it is idempotent (a crash during it changes nothing for the next try); a file that is shorter than
//! the mark, of another crawl or damaged is refused with its name before anything is changed.

use super::dedup::Payloads;
use super::index::{self, Damage, Position, Scan};
use super::names::Part;
use super::{Counters, Live, Settings, Store, broken, opened, table};
use crate::disk::{Access, Disk};
use crate::error::{Error, Result};
use crate::event::{CrawlIdentity, Mark};
use std::sync::Arc;

/// Bytes of indexes from which they are read on several threads; below, starting the threads costs more than it gains.
const THREADS_BYTES_MIN: u64 = 8 << 20;

/// Refuses a directory whose segments hold records; segments that hold none are removed.
pub(super) fn refuse_records(disk: &dyn Disk) -> Result<()> {
    let names = disk
        .list()
        .map_err(|e| Error::io("cannot list", "the crawl directory", e))?;
    let parts: Vec<_> = names
        .iter()
        .filter_map(|n| Part::of(n).map(|p| (n, p)))
        .collect();
    for (name, (_, part)) in &parts {
        let len = disk.len(name).map_err(|e| broken(name, e))?.unwrap_or(0);
        if *part == Part::Table || *part == Part::Index && len > index::HEADER_BYTES as u64 {
            return Err(Error::environment(format!(
                "{name} holds records but the directory has no checkpoint; move the segment-* files away or choose another --dir"
            )));
        }
    }
    for (name, _) in parts {
        disk.remove(name).map_err(|e| broken(name, e))?;
    }
    Ok(())
}

/// Removes all segments with their indexes and tables.
pub(super) fn discard(disk: &dyn Disk) -> Result<()> {
    let names = disk
        .list()
        .map_err(|e| Error::io("cannot list", "the crawl directory", e))?;
    for name in names.iter().filter(|n| Part::of(n).is_some()) {
        disk.remove(name).map_err(|e| broken(name, e))?;
    }
    Ok(())
}

/// What one index yields.
#[derive(Default)]
struct Rebuilt {
    payloads: Vec<(u64, Position)>,
    slots: Vec<(u64, u64)>,
    records: u64,
    /// Where the last frame ends in the segment.
    end: u64,
}

impl Store {
    /// Goes on where `mark` was given: removes what came after it and rebuilds what is derived.
    pub fn reopen(
        disk: Arc<dyn Disk>,
        crawl: &CrawlIdentity,
        settings: Settings,
        mark: &Mark,
    ) -> Result<Self> {
        let counters = Counters::decode(&mark.state).filter(|c| c.records == mark.records).ok_or_else(|| {
            Error::environment("the checkpoint's record counters are of another version; run the program that wrote it")
        })?;
        let index_bytes = check_lengths(disk.as_ref(), mark)?;
        let threads = match index_bytes {
            0..THREADS_BYTES_MIN => 1,
            _ => std::thread::available_parallelism().map_or(1, usize::from),
        };
        let mut payloads = Payloads::new(settings.payloads_max, super::payload_key(crawl));
        let slots = rebuild(disk.as_ref(), crawl, mark, threads, &mut payloads)?;
        remove_later(disk.as_ref(), mark.segment)?;
        let mut live = cut(disk.as_ref(), mark)?;
        live.slots = slots;
        let note = opened(mark.segment, live.data.as_ref(), live.index.as_ref())?;
        let mut store = Self::assemble(disk, crawl, settings, live)?;
        store.payloads = payloads;
        store.counters = counters;
        store.notes.push_back(note);
        Ok(store)
    }
}

/// Fills the table of payloads from the indexes, `threads` at a time; returns the slots of the last one.
fn rebuild(
    disk: &dyn Disk,
    crawl: &CrawlIdentity,
    mark: &Mark,
    threads: usize,
    payloads: &mut Payloads,
) -> Result<Vec<(u64, u64)>> {
    let segments: Vec<u32> = (1..=mark.segment).collect();
    let mut records = 0;
    let mut slots = Vec::new();
    for some in segments.chunks(threads) {
        let several: Vec<Result<Rebuilt>> = if let [one] = some {
            vec![read_index(disk, &crawl.id, mark, *one)]
        } else {
            std::thread::scope(|scope| {
                let run = |n: &u32| {
                    let n = *n;
                    scope.spawn(move || read_index(disk, &crawl.id, mark, n))
                };
                let threads: Vec<_> = some.iter().map(run).collect();
                threads
                    .into_iter()
                    .map(|t| t.join().unwrap_or_else(|_| Err(lost())))
                    .collect()
            })
        };
        for rebuilt in several {
            let rebuilt = rebuilt?;
            for (tag, position) in rebuilt.payloads {
                payloads.insert(tag, position);
            }
            records += rebuilt.records;
            slots = rebuilt.slots;
        }
    }
    if records != mark.records {
        return Err(Error::environment(format!(
            "the indexes hold {records} records, the checkpoint {}; restore the segment-*.idx files from a copy",
            mark.records
        )));
    }
    Ok(slots)
}

fn lost() -> Error {
    Error::environment("a thread that read an index ended early; run the same command again")
}

/// Refuses files that are missing or shorter than the mark says. Returns the bytes of all indexes.
fn check_lengths(disk: &dyn Disk, mark: &Mark) -> Result<u64> {
    let mut index_bytes = 0;
    if mark.segment == 0 {
        return Err(Error::environment(
            "the checkpoint names no segment; restore it from a copy",
        ));
    }
    for segment in 1..=mark.segment {
        let last = segment == mark.segment;
        for (part, least) in [
            (Part::Data, mark.segment_len),
            (Part::Index, mark.index_len),
        ] {
            let name = part.name(segment);
            let least = if last { least } else { 1 };
            match disk
                .len(&name)
                .map_err(|e| Error::io("cannot read", &name, e))?
            {
                None => return Err(short(&name, "is missing")),
                Some(len) if len < least => {
                    let what = format!("has {len} bytes, the checkpoint says {least}");
                    return Err(short(&name, &what));
                }
                Some(len) if part == Part::Index => index_bytes += len,
                Some(_) => {}
            }
        }
    }
    Ok(index_bytes)
}

fn short(name: &str, what: &str) -> Error {
    Error::environment(format!(
        "{name} {what}; restore it from a copy, or start anew in another --dir"
    ))
}

/// Removes segments after `last`, and the table of `last` itself: it is written to again.
fn remove_later(disk: &dyn Disk, last: u32) -> Result<()> {
    let names = disk
        .list()
        .map_err(|e| Error::io("cannot list", "the crawl directory", e))?;
    for name in names {
        if let Some((segment, part)) = Part::of(&name)
            && (segment > last || segment == last && part == Part::Table)
        {
            disk.remove(&name)
                .map_err(|e| Error::io("cannot remove", &name, e))?;
        }
    }
    Ok(())
}

/// Opens segment and index of the mark, cut to it.
fn cut(disk: &dyn Disk, mark: &Mark) -> Result<Live> {
    let open = |part: Part, len: u64| {
        let name = part.name(mark.segment);
        let mut file = disk
            .open(&name, Access::Append)
            .map_err(|e| broken(&name, e))?;
        if file.len() > len {
            file.truncate(len).map_err(|e| broken(&name, e))?;
        }
        Ok(file)
    };
    Ok(Live {
        segment: mark.segment,
        data: open(Part::Data, mark.segment_len)?,
        index: open(Part::Index, mark.index_len)?,
        len: mark.segment_len,
        written: mark.segment_len,
        index_written: mark.index_len,
        entries: Vec::new(),
        slots: Vec::new(),
    })
}

/// Reads one whole index. Slots are kept of the marked segment only.
fn read_index(disk: &dyn Disk, crawl: &[u8; 16], mark: &Mark, segment: u32) -> Result<Rebuilt> {
    let name = Part::Index.name(segment);
    let damaged = |what: &str, at: u64| {
        Error::environment(format!(
            "{name} is damaged at byte {at} ({what}); restore it from a copy"
        ))
    };
    let mut bytes = disk
        .read(&name)
        .map_err(|e| Error::io("cannot read", &name, e))?;
    if segment == mark.segment {
        bytes.truncate(usize::try_from(mark.index_len).unwrap_or(usize::MAX));
    }
    let id = index::read_header(&bytes, segment).map_err(|what| damaged(what, 0))?;
    if id != *crawl {
        return Err(Error::environment(format!(
            "{name} belongs to another crawl; restore it from a copy"
        )));
    }
    let mut rebuilt = Rebuilt::default();
    let mut scan = Scan::new(&bytes[index::HEADER_BYTES..], index::HEADER_BYTES as u64);
    while let Some(next) = scan
        .next_entry()
        .map_err(|e| Error::io("cannot read", &name, e))?
    {
        let (at, entry) = match next {
            Ok(found) => found,
            Err(Damage::Torn) => return Err(damaged("its last entry is cut", scan.at())),
            Err(Damage::Corrupt) => return Err(damaged("a checksum does not hold", scan.at())),
        };
        if entry.is_origin() {
            let tag = Payloads::tag(&entry.digest);
            rebuilt.payloads.push((tag, Position::new(segment, at)));
        }
        if segment == mark.segment {
            rebuilt.slots.push((table::hash(entry.url), at));
        }
        rebuilt.records += 1;
        rebuilt.end = entry.end();
    }
    check_end(disk, mark, segment, rebuilt.end)?;
    Ok(rebuilt)
}

/// Refuses a segment that ends before the last frame its index names.
fn check_end(disk: &dyn Disk, mark: &Mark, segment: u32, end: u64) -> Result<()> {
    let name = Part::Data.name(segment);
    let len = if segment == mark.segment {
        Some(mark.segment_len)
    } else {
        disk.len(&name)
            .map_err(|e| Error::io("cannot read", &name, e))?
    };
    match len {
        Some(len) if len >= end => Ok(()),
        _ => Err(short(
            &name,
            &format!("has {} bytes, its index says {end}", len.unwrap_or(0)),
        )),
    }
}
