//! Restoring: which generation is whole, and what it holds.
//!
//! What must hold:
//! * nothing is written here: restoring any number of times gives the same;
//! * the newest generation is taken of which every byte matches, else the other, and then it is said why; if files of a
//!   crawl exist and neither is whole, the start is refused. A crawl never begins anew by itself;
//! * a generation counts as damaged where bytes are wrong or missing, or the medium says that it cannot read them. Where
//!   the system refuses for reasons of its own (permissions, descriptors, memory) the start fails instead: that state is
//!   not to be given up.
//!
//! Deliberately absent: repair, and guessing at what lies beyond the newest cut.

use super::blob::{self, state_name};
use super::image::{self, image_name};
use super::log::{Flawed, chain_start, log_name, walk};
use super::manifest::{Generation, LogPosition, MANIFEST, MANIFEST_BYTES, Slot};
use super::page::{Flaw, Kind, PAGE_BYTES, VERSION};
use super::verify::Defect;
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::event::{CrawlIdentity, Cut, Mark};
use std::io::ErrorKind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Log bytes from which files are read on several threads; below, starting the threads costs more than it gains.
const THREADS_BYTES_MIN: u64 = 8 << 20;

/// What a checkpoint holds, checked.
#[derive(Debug)]
pub struct Recovered {
    /// Which crawl, and the key of its fingerprints.
    pub identity: CrawlIdentity,
    /// The frontier's part, state included. Number 0: the crawl was begun and no checkpoint was taken; all else is
    /// empty, and the crawl starts from its seeds under this identity.
    pub cut: Cut,
    /// The store's part: what segments and index must be cut to. With `cut.epoch` 0, to nothing.
    pub mark: Mark,
    /// All fingerprints, in order of discovery, file by file.
    pub seen: Vec<Vec<u64>>,
    /// All URL records, in order, file by file; each chunk holds whole records.
    pub urls: Vec<Vec<u8>>,
    /// The host image, `cut.blocks` blocks.
    pub hosts: Vec<u8>,
    /// Number for the next cut; smaller ones may have been used.
    pub next_epoch: u64,
    /// Why the newer generation was not used, if it was not.
    pub fallback: Option<String>,
    pub(super) root: Root,
}

/// What [`super::Checkpointer::resume`] goes on from.
#[derive(Debug)]
pub(super) struct Root {
    pub generation: Generation,
    pub slot: u32,
    pub checksum: u64,
    pub image_capacity: u64,
    /// The other slot names, or may have named, something newer.
    pub withdraw_other: bool,
}

/// Everything that a generation names.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    pub seen: Vec<Vec<u64>>,
    pub urls: Vec<Vec<u8>>,
    pub hosts: Vec<u8>,
    pub image_capacity: u64,
    pub blob: blob::Blob,
    /// Files looked at.
    pub files: u64,
    /// Bytes looked at.
    pub bytes: u64,
}

/// Finds the checkpoint to go on from. `None`: there is no crawl here.
///
/// # Errors
/// If there are files of a crawl and no generation is whole, if the files are of a newer format, or if the system
/// refuses to read them.
pub fn recover(disk: &dyn Disk) -> Result<Option<Recovered>> {
    let Some(slots) = slots(disk)? else {
        return Ok(None);
    };
    let mut order = [0u32, 1];
    order.sort_by_key(|slot| std::cmp::Reverse(valid(&slots, *slot).map(|g| (g.term, g.epoch))));
    let mut why: Vec<String> = (0..2)
        .filter_map(|slot| match &slots[slot as usize] {
            Slot::Flawed(flaw) => Some(format!("manifest slot {slot} {flaw}")),
            _ => None,
        })
        .collect();
    for slot in order {
        let Slot::Valid {
            generation,
            checksum,
        } = &slots[slot as usize]
        else {
            continue;
        };
        match load(disk, generation)? {
            Ok(loaded) => {
                let root = Root {
                    generation: (**generation).clone(),
                    slot,
                    checksum: *checksum,
                    image_capacity: loaded.image_capacity,
                    withdraw_other: supersedes(&slots[1 - slot as usize], generation.epoch),
                };
                return Ok(Some(assemble(root, loaded, &slots, why)));
            }
            Err(defects) => {
                let first = defects.first().map(ToString::to_string);
                let number = generation.epoch;
                why.push(format!(
                    "checkpoint {number} is damaged: {}",
                    first.unwrap_or_default()
                ));
            }
        }
    }
    Err(Error::environment(format!(
        "no checkpoint can be restored ({}); put the directory back from a copy, or start anew in another with --dir",
        why.join("; ")
    )))
}

fn valid(slots: &[Slot; 2], slot: u32) -> Option<&Generation> {
    match &slots[slot as usize] {
        Slot::Valid { generation, .. } => Some(generation),
        _ => None,
    }
}

/// Whether `other` may once have named a generation newer than `epoch`, so that it has to be withdrawn.
fn supersedes(other: &Slot, epoch: u64) -> bool {
    match other {
        Slot::Valid { generation, .. } => generation.epoch > epoch,
        Slot::Withdrawn { .. } => false,
        Slot::Flawed(Flaw::Empty) => epoch > 0,
        Slot::Flawed(_) => true,
    }
}

fn assemble(root: Root, loaded: Loaded, slots: &[Slot; 2], why: Vec<String>) -> Recovered {
    let generation = &root.generation;
    let newest = slots.iter().filter_map(Slot::epoch).max().unwrap_or(0);
    // A slot that cannot be read may have had the next number.
    let unread = root.withdraw_other && matches!(slots[1 - root.slot as usize], Slot::Flawed(_));
    Recovered {
        identity: generation.identity,
        cut: Cut {
            state: loaded.blob.frontier,
            ..generation.cut()
        },
        mark: Mark {
            state: loaded.blob.store,
            sealed: loaded.blob.sealed,
            ..generation.mark()
        },
        seen: loaded.seen,
        urls: loaded.urls,
        hosts: loaded.hosts,
        next_epoch: newest + 1 + u64::from(unread),
        fallback: (root.withdraw_other && !why.is_empty()).then(|| why.join("; ")),
        root,
    }
}

/// Reads both slots. `None`: there is no crawl here.
pub(super) fn slots(disk: &dyn Disk) -> Result<Option<[Slot; 2]>> {
    let list = disk.list();
    let names = list.map_err(|e| Error::io("cannot list", "the crawl directory", e))?;
    let other = names
        .iter()
        .find(|n| super::is_crawl_file(n) && *n != MANIFEST);
    if !names.iter().any(|n| n == MANIFEST) {
        return match other {
            None => Ok(None),
            Some(name) => Err(Error::environment(format!(
                "the directory holds {name} but no manifest; put it back from a copy, or start anew in another with --dir"
            ))),
        };
    }
    let bytes = disk
        .read(MANIFEST)
        .map_err(|e| Error::io("cannot read", MANIFEST, e))?;
    let slots = [Slot::decode(&bytes, 0), Slot::decode(&bytes, 1)];
    for slot in &slots {
        if let Slot::Flawed(Flaw::Newer(version)) = slot {
            return Err(Error::environment(format!(
                "manifest has format version {version}, this program knows {VERSION}; use the newer program"
            )));
        }
    }
    if slots.iter().all(|slot| matches!(slot, Slot::Flawed(_))) && other.is_none() {
        return Ok(None); // died while it made its very first file
    }
    if bytes.len() as u64 != MANIFEST_BYTES {
        return Err(Error::environment(format!(
            "manifest is {} bytes long instead of {MANIFEST_BYTES}; put it back from a copy, or start anew in another directory with --dir",
            bytes.len()
        )));
    }
    Ok(Some(slots))
}

/// Reads and checks all that a generation names.
///
/// # Errors
/// If the system refuses to read. Damage is no error but a list of defects.
pub(super) fn load(
    disk: &dyn Disk,
    generation: &Generation,
) -> Result<std::result::Result<Loaded, Vec<Defect>>> {
    let crawl = &generation.identity.id;
    let mut out = Loaded::default();
    let mut defects = Vec::new();
    let seen = |bytes: &[u8], runs: Vec<std::ops::Range<usize>>| {
        let len: usize = runs.iter().map(|r| r.len() / 8).sum();
        let mut chunk = Vec::with_capacity(len);
        for run in runs {
            let (numbers, _) = bytes[run].as_chunks::<8>();
            chunk.extend(numbers.iter().map(|n| u64::from_le_bytes(*n)));
        }
        chunk
    };
    let urls = |bytes: &[u8], runs: Vec<std::ops::Range<usize>>| {
        let len: usize = runs.iter().map(ExactSizeIterator::len).sum();
        let mut chunk = Vec::with_capacity(len);
        runs.into_iter()
            .for_each(|run| chunk.extend_from_slice(&bytes[run]));
        chunk
    };
    out.seen = load_log(
        disk,
        Kind::Seen,
        crawl,
        generation.seen,
        seen,
        &mut defects,
        &mut out,
    )?;
    out.urls = load_log(
        disk,
        Kind::Urls,
        crawl,
        generation.urls,
        urls,
        &mut defects,
        &mut out,
    )?;
    load_image(disk, generation, &mut out, &mut defects)?;
    load_state(disk, generation, &mut out, &mut defects)?;
    Ok(if defects.is_empty() {
        Ok(out)
    } else {
        Err(defects)
    })
}

fn load_image(
    disk: &dyn Disk,
    generation: &Generation,
    out: &mut Loaded,
    defects: &mut Vec<Defect>,
) -> Result<()> {
    let named = &generation.image;
    if named.file == 0 {
        return Ok(());
    }
    let name = image_name(named.file);
    match read(disk, &name)? {
        Err(defect) => defects.push(defect),
        Ok(bytes) => {
            out.files += 1;
            out.bytes += bytes.len() as u64;
            match image::check(&bytes, &generation.identity.id, named) {
                Ok((hosts, capacity)) => (out.hosts, out.image_capacity) = (hosts, capacity),
                Err(found) => defects.extend(found.into_iter().map(|f| Defect::new(&name, f))),
            }
        }
    }
    Ok(())
}

fn load_state(
    disk: &dyn Disk,
    generation: &Generation,
    out: &mut Loaded,
    defects: &mut Vec<Defect>,
) -> Result<()> {
    let named = &generation.state;
    if named.file == 0 {
        return Ok(());
    }
    let name = state_name(named.file);
    match read(disk, &name)? {
        Err(defect) => defects.push(defect),
        Ok(bytes) => {
            out.files += 1;
            out.bytes += bytes.len() as u64;
            match blob::check(&bytes, &generation.identity.id, generation.epoch, named) {
                Ok(blob) => out.blob = blob,
                Err(found) => defects.push(Defect::new(&name, found)),
            }
        }
    }
    Ok(())
}

/// What became of one file of a log.
struct LogPart<T> {
    chunk: Option<T>,
    start: LogPosition,
    end: LogPosition,
    bytes: u64,
}

/// Reads and checks a log up to `end`, its files side by side on all cores. `take` turns the payload runs of a file into
/// a chunk.
fn load_log<T: Send>(
    disk: &dyn Disk,
    kind: Kind,
    crawl: &[u8; 16],
    end: LogPosition,
    take: impl Fn(&[u8], Vec<std::ops::Range<usize>>) -> T + Sync,
    defects: &mut Vec<Defect>,
    out: &mut Loaded,
) -> Result<Vec<T>> {
    let numbers: Vec<u64> = (1..=end.file)
        .take_while(|n| disk.len(&log_name(kind, *n)).is_ok_and(|len| len.is_some()))
        .collect();
    if (numbers.len() as u64) < end.file {
        let name = log_name(kind, numbers.len() as u64 + 1);
        match disk.len(&name) {
            Ok(_) => defects.push(Defect::new(&name, (0, "is missing".into()))),
            Err(e) => return Err(Error::io("cannot look for", &name, e)),
        }
    }
    let one = |number: u64| -> Result<std::result::Result<LogPart<T>, Defect>> {
        let name = log_name(kind, number);
        let bytes = match read(disk, &name)? {
            Ok(bytes) => bytes,
            Err(defect) => return Ok(Err(defect)),
        };
        let until = (number == end.file).then_some(end.offset);
        Ok(match walk(&bytes, kind, crawl, number, until) {
            Ok(walk) => Ok(LogPart {
                chunk: Some(take(&bytes, walk.payload)),
                start: walk.start,
                end: walk.end,
                bytes: bytes.len() as u64,
            }),
            Err(flaw) => Err(Defect::new(&name, flaw)),
        })
    };
    let worth_threads = end.payload >= THREADS_BYTES_MIN;
    let mut parts = side_by_side(&numbers, worth_threads, one)?;
    let mut reached = LogPosition {
        chain: chain_start(kind, crawl),
        ..LogPosition::default()
    };
    let mut chunks = Vec::with_capacity(parts.len());
    for (number, part) in numbers.iter().zip(&mut parts) {
        match part {
            Err(defect) => {
                defects.push(defect.clone());
                return Ok(chunks);
            }
            Ok(part) => {
                let flaw = |why: &str| -> Flawed { (0, why.into()) };
                let name = log_name(kind, *number);
                if (part.start.payload, part.start.chain) != (reached.payload, reached.chain) {
                    let why = "does not go on where the file before it ends";
                    defects.push(Defect::new(&name, flaw(why)));
                } else if *number == end.file && part.end != end {
                    let why = "does not match the manifest at the cut";
                    defects.push(Defect::new(&name, (part.end.offset, why.into())));
                }
                reached = part.end;
                out.files += 1;
                out.bytes += part.bytes;
                chunks.extend(part.chunk.take());
            }
        }
    }
    if end.file == 0 && (end.payload, end.offset) != (0, 0) {
        defects.push(Defect::new(
            MANIFEST,
            (0, "names a log without a file".into()),
        ));
    }
    Ok(chunks)
}

/// Does `one` for each number, if it is worth it on as many threads as there are cores, and keeps the order.
fn side_by_side<T: Send>(
    numbers: &[u64],
    worth_threads: bool,
    one: impl Fn(u64) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    if !worth_threads || numbers.len() < 2 || threads < 2 {
        return numbers.iter().map(|n| one(*n)).collect();
    }
    let next = AtomicU64::new(0);
    let done = Mutex::new(Vec::with_capacity(numbers.len()));
    std::thread::scope(|scope| {
        for _ in 0..threads.min(numbers.len()) {
            scope.spawn(|| {
                loop {
                    let i = next.fetch_add(1, Ordering::Relaxed) as usize;
                    let Some(number) = numbers.get(i) else {
                        return;
                    };
                    let result = one(*number);
                    if let Ok(mut done) = done.lock() {
                        done.push((i, result));
                    }
                }
            });
        }
    });
    let mut done = done
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    done.sort_by_key(|(i, _)| *i);
    done.into_iter().map(|(_, result)| result).collect()
}

/// Reads a file that a generation names.
fn read(disk: &dyn Disk, name: &str) -> Result<std::result::Result<Vec<u8>, Defect>> {
    const EIO: i32 = 5;
    match disk.read(name) {
        Ok(bytes) => Ok(Ok(bytes)),
        Err(e) if e.kind() == ErrorKind::NotFound => {
            Ok(Err(Defect::new(name, (0, "is missing".into()))))
        }
        Err(e) if e.raw_os_error() == Some(EIO) => {
            let why = format!("cannot be read from the medium: {e}");
            Ok(Err(Defect::new(name, (0, why))))
        }
        Err(e) => Err(Error::io("cannot read", name, e)),
    }
}

/// Offset of a slot in the manifest.
pub(super) fn slot_at(slot: u32) -> u64 {
    u64::from(slot) * PAGE_BYTES as u64
}
