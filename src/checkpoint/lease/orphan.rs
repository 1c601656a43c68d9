//! Cutting a former holder off from its files: each is replaced by a copy, and what it still writes goes nowhere.
//!
//! What must hold: on return every file that any process may have open for writing, and that a generation of the manifest
//! needs, has been replaced by a durable copy under the same name. The manifest is the first. Content stays as it is: a
//! crash during it leaves some files replaced and others not, which is no difference to a restore.
//!
//! Left alone is what nobody can be writing to: segments and log files before the one that the older generation ends in.
//! Left alone as well are files that no generation needs; a restore removes or replaces those before it uses their names.

use super::UNFINISHED;
use crate::checkpoint::is_crawl_file;
use crate::checkpoint::manifest::{Generation, MANIFEST, Slot};
use crate::error::{Error, Result};
use crate::store::Part;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Histograms that a crawl appends to.
const APPENDED: &str = "latency.hlog";

/// Replaces all files that an earlier holder may write to.
///
/// # Errors
/// If one cannot be copied; those before it are replaced.
pub(super) fn replace_files(dir: &Path, term: u32) -> Result<()> {
    // First of all: the generations that the others are copied for are those of the copy.
    replace(dir, MANIFEST, term)?;
    sync(dir)?;
    let generations = generations(dir)?;
    for name in names(dir)? {
        if name != MANIFEST && may_be_written(&name, &generations) {
            replace(dir, &name, term)?;
        }
    }
    sync(dir)
}

/// Bytes that [`replace_files`] would copy at most.
pub(super) fn bytes_to_replace(dir: &Path) -> Result<u64> {
    let generations = generations(dir)?;
    let wanted = |name: &String| may_be_written(name, &generations);
    let len = |name: String| fs::metadata(dir.join(name)).map_or(0, |meta| meta.len());
    Ok(names(dir)?.into_iter().filter(wanted).map(len).sum())
}

/// Removes what a crash left unfinished.
pub(super) fn sweep(dir: &Path) -> Result<()> {
    for name in names(dir)?.iter().filter(|n| n.starts_with(UNFINISHED)) {
        match fs::remove_file(dir.join(name)) {
            Err(e) if e.kind() != ErrorKind::NotFound => {
                return Err(Error::io("cannot remove", dir.join(name), e));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The newest term that the manifest tells of.
pub(super) fn newest_term(dir: &Path) -> Result<u32> {
    let newest = generations(dir)?.iter().map(|g| g.term).max();
    Ok(newest.unwrap_or(0))
}

fn generations(dir: &Path) -> Result<Vec<Generation>> {
    let path = dir.join(MANIFEST);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == ErrorKind::NotFound => Vec::new(),
        Err(e) => return Err(Error::io("cannot read", &path, e)),
    };
    let slots = [Slot::decode(&bytes, 0), Slot::decode(&bytes, 1)];
    let valid = |slot| match slot {
        Slot::Valid { generation, .. } => Some(*generation),
        _ => None,
    };
    Ok(slots.into_iter().filter_map(valid).collect())
}

fn names(dir: &Path) -> Result<Vec<String>> {
    let failed = |e| Error::io("cannot list", dir, e);
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        names.extend(entry.map_err(failed)?.file_name().into_string());
    }
    Ok(names)
}

/// Whether an earlier holder may have `name` open for writing and a restore needs its content.
fn may_be_written(name: &str, generations: &[Generation]) -> bool {
    if let Some((segment, part)) = Part::of(name) {
        let first = generations.iter().map(|g| g.segment).min().unwrap_or(0);
        let last = generations.iter().map(|g| g.segment).max();
        let needed = segment >= first && segment <= last.unwrap_or(u32::MAX);
        return needed && part != Part::Table; // written once, and of sealed segments only
    }
    let sealed_before = |stem: &str, file: fn(&Generation) -> u64| {
        let number = name.strip_prefix(stem)?.strip_suffix(".log")?;
        let number: u64 = number.parse().ok()?;
        Some(number < generations.iter().map(file).min().unwrap_or(0))
    };
    // Whatever a generation names of the base is never written again.
    let sealed = sealed_before("base-", |_| u64::MAX)
        .or_else(|| sealed_before("seen-", |g| g.seen.file))
        .or_else(|| sealed_before("urls-", |g| g.urls.file))
        .or_else(|| sealed_before("ended-", |g| g.ended.file))
        .unwrap_or(false);
    (is_crawl_file(name) || name == APPENDED) && !sealed
}

/// Replaces one file by a durable copy; the name is durable after the next [`sync`].
fn replace(dir: &Path, name: &str, term: u32) -> Result<()> {
    let from = dir.join(name);
    let copy = dir.join(format!("{UNFINISHED}{term}-copy"));
    let done = (|| -> io::Result<()> {
        let mut old = File::open(&from)?;
        let mut new = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&copy)?;
        // copy_file_range(2): shares the blocks where the file system can.
        io::copy(&mut old, &mut new)?;
        new.set_permissions(old.metadata()?.permissions())?;
        new.sync_all()?;
        fs::rename(&copy, &from)
    })();
    match done {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()), // the former holder removed it before it lost the lease
        other => other.map_err(|e| Error::io("cannot replace by a copy", &from, e)),
    }
}

fn sync(dir: &Path) -> Result<()> {
    let synced = File::open(dir).and_then(|d| d.sync_all());
    synced.map_err(|e| Error::io("cannot sync", dir, e))
}
