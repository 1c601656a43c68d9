//! Restoring: which generation is whole, and what it holds.
//!
//! What must hold:
//! * nothing is written here: restoring any number of times gives the same;
//! * the logs are read once, while the state is rebuilt from them; where a flaw is found in them, what was rebuilt is
//!   thrown away and the next generation is tried;
//! * the newest generation is taken of which every byte matches, else the other, and then it is said why; if files of a
//!   crawl exist and neither is whole, the start is refused. A crawl never begins anew by itself;
//! * a generation counts as damaged where bytes are wrong or missing, or the medium says that it cannot read them. Where
//!   the system refuses for reasons of its own (permissions, descriptors, memory) the start fails instead: that state is
//!   not to be given up.
//!
//! Deliberately absent: repair, and guessing at what lies beyond the newest cut.

use super::blob::{self, state_name};
use super::image::{self, image_name};
use super::log::log_name;
use super::logs::{Logs, OnProgress};
use super::manifest::{Generation, MANIFEST, MANIFEST_BYTES, Slot};
use super::page::{Flaw, Kind, PAGE_BYTES, VERSION, VERSION_OLDEST};
use super::runs::EIO;
use super::verify::Defect;
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::event::{CrawlIdentity, Cut, Mark};
use std::io::ErrorKind;

/// What a checkpoint holds besides its logs, checked.
#[derive(Debug)]
pub struct Recovered {
    /// Which crawl, and the key of its fingerprints.
    pub identity: CrawlIdentity,
    /// The frontier's part, state included. Number 0: the crawl was begun and no checkpoint was taken; all else is
    /// empty, and the crawl starts from its seeds under this identity.
    pub cut: Cut,
    /// The store's part: what segments and index must be cut to. With `cut.epoch` 0, to nothing.
    pub mark: Mark,
    /// The host image, `cut.blocks` blocks.
    pub hosts: Vec<u8>,
    /// Number for the next cut; smaller ones may have been used.
    pub next_epoch: u64,
    /// Why the newer generation was not used, if it was not.
    pub fallback: Option<String>,
    pub(super) root: Root,
}

impl Recovered {
    /// Its logs, to be read (again).
    pub fn logs<'a>(&'a self, disk: &'a dyn Disk) -> Logs<'a> {
        Logs::new(disk, &self.root.generation, &|_| {})
    }
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

/// What a generation names besides its logs.
#[derive(Debug, Default)]
pub(super) struct Parts {
    pub hosts: Vec<u8>,
    pub image_capacity: u64,
    pub blob: blob::Blob,
    /// Files looked at.
    pub files: u64,
    /// Bytes looked at.
    pub bytes: u64,
}

/// Finds the checkpoint to go on from and reads all of it. `None`: there is no crawl here.
///
/// # Errors
/// As [`recover_into`].
pub fn recover(disk: &dyn Disk) -> Result<Option<Recovered>> {
    let found = recover_into(disk, &|_| {}, |_, _| Ok(()))?;
    Ok(found.map(|(recovered, ())| recovered))
}

/// Finds the checkpoint to go on from and lets `rebuild` take in its logs. `None`: there is no crawl here. `rebuild` is
/// called once for each generation that is tried; what it made of a damaged one is dropped.
///
/// # Errors
/// If there are files of a crawl and no generation is whole, if the files are of a newer format, if the system refuses
/// to read them, or if `rebuild` fails on a generation that is whole.
pub fn recover_into<R>(
    disk: &dyn Disk,
    on_progress: OnProgress<'_>,
    mut rebuild: impl FnMut(&Recovered, &Logs<'_>) -> Result<R>,
) -> Result<Option<(Recovered, R)>> {
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
        let damaged = |defects: &[Defect]| {
            let first = defects.first().map(ToString::to_string);
            let number = generation.epoch;
            format!(
                "checkpoint {number} is damaged: {}",
                first.unwrap_or_default()
            )
        };
        let parts = match load(disk, generation)? {
            Ok(parts) => parts,
            Err(defects) => {
                why.push(damaged(&defects));
                continue;
            }
        };
        let root = Root {
            generation: (**generation).clone(),
            slot,
            checksum: *checksum,
            image_capacity: parts.image_capacity,
            withdraw_other: supersedes(&slots[1 - slot as usize], generation.epoch),
        };
        let recovered = assemble(root, parts, &slots, &why);
        let logs = Logs::new(disk, generation, on_progress);
        let rebuilt = rebuild(&recovered, &logs);
        let defects = logs.finish()?.defects;
        if defects.is_empty() {
            return Ok(Some((recovered, rebuilt?)));
        }
        why.push(damaged(&defects));
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

fn assemble(root: Root, parts: Parts, slots: &[Slot; 2], why: &[String]) -> Recovered {
    let generation = &root.generation;
    let newest = slots.iter().filter_map(Slot::epoch).max().unwrap_or(0);
    // A slot that cannot be read may have had the next number.
    let unread = root.withdraw_other && matches!(slots[1 - root.slot as usize], Slot::Flawed(_));
    Recovered {
        identity: generation.identity,
        cut: Cut {
            state: parts.blob.frontier,
            ..generation.cut()
        },
        mark: Mark {
            state: parts.blob.store,
            sealed: parts.blob.sealed,
            ..generation.mark()
        },
        hosts: parts.hosts,
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
        if let Slot::Flawed(Flaw::Older(version)) = slot {
            return Err(Error::environment(format!(
                "manifest has format version {version}, too old for this program ({VERSION_OLDEST} and newer); finish the crawl with the program that began it"
            )));
        }
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

/// Reads and checks what a generation names besides its logs.
///
/// # Errors
/// If the system refuses to read. Damage is no error but a list of defects.
pub(super) fn load(
    disk: &dyn Disk,
    generation: &Generation,
) -> Result<std::result::Result<Parts, Vec<Defect>>> {
    let mut out = Parts::default();
    let mut defects = Vec::new();
    check_seen(disk, generation, &mut defects)?;
    load_image(disk, generation, &mut out, &mut defects)?;
    load_state(disk, generation, &mut out, &mut defects)?;
    Ok(if defects.is_empty() {
        Ok(out)
    } else {
        Err(defects)
    })
}

/// Room is made for as many fingerprints as the manifest says before the first is read, so their files must be long
/// enough for them.
fn check_seen(disk: &dyn Disk, generation: &Generation, defects: &mut Vec<Defect>) -> Result<()> {
    let named = &generation.seen;
    if generation.seen_len.checked_mul(8) != Some(named.payload) {
        let why = "names another number of fingerprints than their log holds".to_owned();
        defects.push(Defect::new(MANIFEST, (0, why)));
        return Ok(());
    }
    let mut room = 0u64;
    for number in 1..=named.file {
        let name = log_name(Kind::Seen, number);
        let len = disk.len(&name);
        match len.map_err(|e| Error::io("cannot read", &name, e))? {
            Some(len) => room = room.saturating_add(len),
            None => {
                defects.push(Defect::new(&name, (0, "is missing".into())));
                return Ok(());
            }
        }
    }
    if named.payload > room {
        let name = log_name(Kind::Seen, named.file);
        let why = "ends before the log does that the manifest names".to_owned();
        defects.push(Defect::new(&name, (room, why)));
    }
    Ok(())
}

fn load_image(
    disk: &dyn Disk,
    generation: &Generation,
    out: &mut Parts,
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
    out: &mut Parts,
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

/// Reads a file that a generation names.
fn read(disk: &dyn Disk, name: &str) -> Result<std::result::Result<Vec<u8>, Defect>> {
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
