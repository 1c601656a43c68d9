//! All URLs of a crawl with the state each is in: the newest checkpoint's URL log beside the store's indexes.
//!
//! What must hold: every discovered URL is listed once, in the state that the balance counts it in; a crawl that runs is
//! listed as of its newest durable checkpoint (records stored since then are listed as done).

use crate::checkpoint::{self, DirDisk};
use crate::error::{Error, Result};
use crate::event::Outcome;
use crate::frontier::InFlight;
use crate::frontier::counters::{Dropped, Excluded};
use crate::frontier::cut::State;
use crate::frontier::hosts::{HostRecord, RECORD_BYTES};
use crate::frontier::log::{Reader as LogReader, Record};
use crate::store::{Found, Kind, Reader};
use std::collections::HashSet;
use std::path::Path;

/// Where a URL stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Waiting, or in flight at the checkpoint.
    Queued,
    /// Ended with a stored response.
    Stored(Box<Found>),
    /// Ended without one.
    Failed(Outcome),
    /// Does not belong to the crawl.
    Excluded(Excluded),
    /// Dropped by a limit.
    Dropped(Dropped),
}

/// Calls `each` with every URL and its standing: what is stored first, then the rest in order of discovery. `each`
/// says whether to go on.
///
/// # Errors
/// If the directory holds no crawl, or none that can be read.
pub fn list(dir: &Path, mut each: impl FnMut(&[u8], Standing) -> Result<()>) -> Result<()> {
    let disk = DirDisk::existing(dir)?;
    let recovered = checkpoint::recover(&disk)?.ok_or_else(|| {
        Error::environment(format!(
            "{} holds no crawl; see --dir of `cyclosa crawl`",
            dir.display()
        ))
    })?;
    let stored = list_stored(dir, &mut each)?;
    if recovered.cut.epoch == 0 {
        return Ok(());
    }
    let state = State::decode(&recovered.cut.state).ok_or_else(|| {
        Error::environment("the checkpoint is of another version; use the program that wrote it")
    })?;
    let in_flight: HashSet<InFlight> = state.in_flight.iter().copied().collect();
    let admitted = admitted(&recovered.urls);
    let mut hosts: Vec<&[u8]> = Vec::new();
    let mut url = Vec::new();
    let mut open = HashSet::new();
    for record in recovered
        .urls
        .iter()
        .flat_map(|chunk| LogReader::new(chunk))
    {
        match record {
            Record::Host { origin } => hosts.push(origin),
            Record::Queued {
                host,
                seq,
                fingerprint,
                target,
                ..
            } => {
                let at = host as usize * RECORD_BYTES;
                let popped = recovered
                    .hosts
                    .get(at..at + RECORD_BYTES)
                    .map_or(0, |bytes| HostRecord::decode(bytes).popped);
                let waits = seq >= popped || in_flight.contains(&InFlight { host, seq });
                if waits && !stored.contains(&fingerprint) && open.insert(fingerprint) {
                    url.clear();
                    url.extend_from_slice(hosts.get(host as usize).copied().unwrap_or_default());
                    url.extend_from_slice(target);
                    each(&url, Standing::Queued)?;
                }
            }
            Record::Excluded {
                reason,
                fingerprint,
                url,
            } => {
                // Robots and addresses speak last; the others may have been overruled by a better link.
                let last = matches!(reason, Excluded::Robots | Excluded::Address);
                if last || !admitted.contains(&fingerprint) {
                    each(url, Standing::Excluded(reason))?;
                }
            }
            Record::Dropped { limit, url, .. } => each(url, Standing::Dropped(limit))?,
            Record::Failed { outcome, url, .. } => each(url, Standing::Failed(outcome))?,
            Record::Rules { .. } | Record::Scope { .. } => {}
        }
    }
    Ok(())
}

fn list_stored(
    dir: &Path,
    each: &mut impl FnMut(&[u8], Standing) -> Result<()>,
) -> Result<HashSet<u64>> {
    let mut stored = HashSet::new();
    let reader = Reader::open(dir)?;
    let mut result = Ok(());
    for &segment in reader.segments() {
        reader.scan(segment, |position, entry| {
            if entry.kind != Kind::Robots {
                stored.insert(entry.fingerprint);
                let found = Found::of(position, entry);
                result = each(entry.url, Standing::Stored(Box::new(found)));
            }
            result.is_ok()
        })?;
        std::mem::replace(&mut result, Ok(()))?;
    }
    Ok(stored)
}

/// Fingerprints that were queued or dropped at some time, which overrules an exclusion for how they were found.
fn admitted(urls: &[Vec<u8>]) -> HashSet<u64> {
    let mut any = HashSet::new();
    let mut excluded = HashSet::new();
    for record in urls.iter().flat_map(|chunk| LogReader::new(chunk)) {
        match record {
            Record::Excluded { fingerprint, .. } => {
                excluded.insert(fingerprint);
            }
            Record::Queued { fingerprint, .. } | Record::Dropped { fingerprint, .. }
                if excluded.contains(&fingerprint) =>
            {
                any.insert(fingerprint);
            }
            _ => {}
        }
    }
    any
}
