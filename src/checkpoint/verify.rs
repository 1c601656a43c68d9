//! Checking everything, and saying what a defect means.
//!
//! What must hold: nothing is written; every byte that either generation names is looked at; each defect names the file,
//! the offset, and what can no longer be done because of it. Bytes that no generation names are not judged: the tail of
//! a log behind the newest cut, files allocated ahead, and the image under way when the process died.

use super::logs::Logs;
use super::manifest::{Generation, MANIFEST, Slot};
use super::page::Flaw;
use super::recover::{load, slot_at, slots};
use crate::disk::Disk;
use crate::error::{Error, Result};

/// Something that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defect {
    /// The file.
    pub file: String,
    /// Where in it, bytes; 0 where it concerns the whole.
    pub offset: u64,
    /// What is wrong.
    pub problem: String,
    /// What it means for the crawl; empty while not known.
    pub consequence: String,
}

impl Defect {
    pub(super) fn new(file: &str, (offset, problem): (u64, String)) -> Self {
        Self {
            file: file.to_owned(),
            offset,
            problem,
            consequence: String::new(),
        }
    }
}

impl std::fmt::Display for Defect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, offset {}: {}", self.file, self.offset, self.problem)?;
        if !self.consequence.is_empty() {
            write!(f, " ({})", self.consequence)?;
        }
        Ok(())
    }
}

/// What [`verify`] found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// All that is wrong.
    pub defects: Vec<Defect>,
    /// Numbers of the checkpoints that can be restored, newest first.
    pub restorable: Vec<u64>,
    /// Files looked at, once for each checkpoint that names them.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Checks all files of the checkpoints. Segments are the store's to check.
///
/// # Errors
/// If there is no crawl, if its format is newer, or if the system refuses to read.
pub fn verify(disk: &dyn Disk) -> Result<Report> {
    let slots = slots(disk)?.ok_or_else(|| Error::usage("the directory holds no crawl"))?;
    let mut report = Report::default();
    report.files += 1;
    report.bytes += 2 * slot_at(1);
    let mut order = [0u32, 1];
    order.sort_by_key(|slot| std::cmp::Reverse(slots[*slot as usize].epoch()));
    let first_of_crawl = slots.iter().any(|s| s.epoch() == Some(0));
    for slot in order {
        match &slots[slot as usize] {
            Slot::Valid { generation, .. } => check(disk, generation, &mut report)?,
            Slot::Withdrawn { .. } => {}
            Slot::Flawed(Flaw::Empty) if first_of_crawl => {}
            Slot::Flawed(flaw) => {
                let problem = (slot_at(slot), format!("slot {slot} {flaw}"));
                report.defects.push(Defect::new(MANIFEST, problem));
            }
        }
    }
    let newest = slots.iter().filter_map(Slot::epoch).max().unwrap_or(0);
    for defect in &mut report.defects {
        if defect.consequence.is_empty() {
            defect.consequence = consequence(&report.restorable, newest);
        }
    }
    chain(&slots, &mut report);
    Ok(report)
}

fn check(disk: &dyn Disk, generation: &Generation, report: &mut Report) -> Result<()> {
    let mut defects = match load(disk, generation)? {
        Ok(parts) => {
            report.files += parts.files;
            report.bytes += parts.bytes;
            Vec::new()
        }
        Err(defects) => defects,
    };
    let logs = Logs::new(disk, generation, &|_| {});
    let mut of_logs = logs.finish()?;
    report.files += of_logs.files;
    report.bytes += of_logs.bytes;
    defects.append(&mut of_logs.defects);
    if defects.is_empty() {
        report.restorable.push(generation.epoch);
    }
    // Read last: the crawl goes on without it.
    let logs = Logs::new(disk, generation, &|_| {});
    logs.ended(&mut |_| {});
    let mut of_ended = logs.found()?;
    report.files += of_ended.files;
    report.bytes += of_ended.bytes;
    for defect in &mut of_ended.defects {
        defect.consequence =
            "the crawl can be restored, its list of excluded, dropped and failed URLs is not whole"
                .into();
    }
    defects.append(&mut of_ended.defects);
    for defect in defects {
        if !report.defects.contains(&defect) {
            report.defects.push(defect);
        }
    }
    Ok(())
}

fn consequence(restorable: &[u64], newest: u64) -> String {
    match restorable.first() {
        None => "no checkpoint can be restored".into(),
        Some(n) if *n == newest => {
            format!("checkpoint {n} is whole, an older one to fall back on is not")
        }
        Some(n) => {
            format!("checkpoint {newest} cannot be restored, the next start goes on from {n}")
        }
    }
}

/// Each slot names the checksum of the one before it.
fn chain(slots: &[Slot; 2], report: &mut Report) {
    let [
        Slot::Valid {
            generation: a,
            checksum: of_a,
        },
        Slot::Valid {
            generation: b,
            checksum: of_b,
        },
    ] = slots
    else {
        return;
    };
    let (newer, slot, older, sum) = if a.epoch > b.epoch {
        (a, 0, b, of_b)
    } else {
        (b, 1, a, of_a)
    };
    if newer.predecessor != *sum || newer.identity != older.identity {
        let problem = format!(
            "checkpoint {} was not written after checkpoint {}",
            newer.epoch, older.epoch
        );
        report.defects.push(Defect {
            consequence: "one of them comes from a copy, or the disk lost a write it had confirmed"
                .into(),
            ..Defect::new(MANIFEST, (slot_at(slot), problem))
        });
    }
}
