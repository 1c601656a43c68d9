//! All URLs of a crawl with the state each is in: the newest checkpoint's URL log beside the store's indexes.
//!
//! What must hold: every discovered URL is listed once, in the state that the balance counts it in; a crawl that runs is
//! listed as of its newest durable checkpoint (records stored since then are listed as done).

use crate::checkpoint::{self, DirDisk, Logs};
use crate::error::{Error, Result};
use crate::event::Outcome;
use crate::frontier::InFlight;
use crate::frontier::counters::{Dropped, Excluded};
use crate::frontier::cut::State;
use crate::frontier::hosts::{HostRecord, RECORD_BYTES};
use crate::frontier::log::{Reader as LogReader, Record};
use crate::frontier::restore::Logs as _;
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

/// Calls `each` with every URL and its standing: what is stored first, then the rest. `each` says whether to go on.
///
/// # Errors
/// If the directory holds no crawl, or none that can be read.
pub fn list(dir: &Path, mut each: impl FnMut(&[u8], Standing) -> Result<()>) -> Result<()> {
    let disk = DirDisk::existing(dir)?;
    // The first reading checks everything, and learns which exclusions were overruled later.
    let found = checkpoint::recover_into(&disk, &|_| {}, |_, logs| Ok(Overruled::of(logs)))?;
    let Some((recovered, mut overruled)) = found else {
        return Err(Error::environment(format!(
            "{} holds no crawl; see --dir of `cyclosa crawl`",
            dir.display()
        )));
    };
    let stored = list_stored(dir, &mut each)?;
    if recovered.cut.epoch == 0 {
        return Ok(());
    }
    overruled.0.extend(&stored);
    let state = State::decode(&recovered.cut.state).ok_or_else(|| {
        Error::environment("the checkpoint is of another version; use the program that wrote it")
    })?;
    let mut lister = Lister {
        image: &recovered.hosts,
        in_flight: state.in_flight.iter().copied().collect(),
        stored,
        overruled,
        hosts: Vec::new(),
        open: HashSet::new(),
        url: Vec::new(),
        each: &mut each,
    };
    let logs = recovered.logs(&disk);
    let mut result = Ok(());
    let mut take = |piece: &[u8]| {
        if result.is_ok() {
            result = lister.piece(piece);
        }
    };
    let whole = logs.ended(&mut take) && logs.urls(&mut take);
    result?;
    if !whole {
        return Err(Error::environment(format!(
            "the list is not whole; run `cyclosa verify {}`",
            dir.display()
        )));
    }
    Ok(())
}

/// Lists what the records of the URL log say.
struct Lister<'a> {
    image: &'a [u8],
    in_flight: HashSet<InFlight>,
    stored: HashSet<u64>,
    overruled: Overruled,
    /// Origins by number.
    hosts: Vec<Vec<u8>>,
    open: HashSet<u64>,
    url: Vec<u8>,
    each: &'a mut dyn FnMut(&[u8], Standing) -> Result<()>,
}

impl Lister<'_> {
    fn piece(&mut self, piece: &[u8]) -> Result<()> {
        LogReader::new(piece).try_for_each(|record| self.record(&record))
    }

    fn record(&mut self, record: &Record<'_>) -> Result<()> {
        match *record {
            Record::Host { origin } => {
                self.hosts.push(origin.to_vec());
                Ok(())
            }
            Record::Queued {
                host,
                seq,
                fingerprint,
                target,
                ..
            } => self.queued(InFlight { host, seq }, fingerprint, target),
            Record::Excluded {
                reason,
                fingerprint,
                url,
            } => {
                // Robots and addresses speak last; the others may have been overruled by a better link.
                let last = matches!(reason, Excluded::Robots | Excluded::Address);
                if last || !self.overruled.0.contains(&fingerprint) {
                    (self.each)(url, Standing::Excluded(reason))?;
                }
                Ok(())
            }
            Record::Dropped { limit, url, .. } => (self.each)(url, Standing::Dropped(limit)),
            Record::Failed { outcome, url, .. } => (self.each)(url, Standing::Failed(outcome)),
            Record::Rules { .. } | Record::Scope { .. } => Ok(()),
        }
    }

    fn queued(&mut self, it: InFlight, fingerprint: u64, target: &[u8]) -> Result<()> {
        let at = it.host as usize * RECORD_BYTES;
        let record = self.image.get(at..at + RECORD_BYTES);
        let popped = record.map_or(0, |bytes| HostRecord::decode(bytes).popped);
        let waits = it.seq >= popped || self.in_flight.contains(&it);
        if waits && !self.stored.contains(&fingerprint) && self.open.insert(fingerprint) {
            let origin = self.hosts.get(it.host as usize);
            self.url.clear();
            self.url
                .extend_from_slice(origin.map_or(&[], Vec::as_slice));
            self.url.extend_from_slice(target);
            (self.each)(&self.url, Standing::Queued)?;
        }
        Ok(())
    }
}

/// Fingerprints that were excluded for how they were found, and found in a better way later.
struct Overruled(HashSet<u64>);

impl Overruled {
    /// Flaws of the logs are for the caller to find.
    fn of(logs: &Logs<'_>) -> Self {
        let (mut excluded, mut admitted) = (HashSet::new(), HashSet::new());
        let mut take = |piece: &[u8]| {
            for record in LogReader::new(piece) {
                match record {
                    Record::Excluded { fingerprint, .. } => {
                        excluded.insert(fingerprint);
                    }
                    Record::Queued { fingerprint, .. }
                    | Record::Dropped { fingerprint, .. }
                    | Record::Failed { fingerprint, .. }
                        if excluded.contains(&fingerprint) =>
                    {
                        admitted.insert(fingerprint);
                    }
                    _ => {}
                }
            }
        };
        let _ = logs.ended(&mut take) && logs.urls(&mut take);
        Self(admitted)
    }
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
