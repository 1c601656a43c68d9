//! `cyclosa verify`: its arguments.

use super::out;
use crate::checkpoint::{self, DirDisk};
use crate::config::Config;
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::event::Mark;
use crate::frontier::Frontier;
use crate::store::Reader;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const EXAMPLE: &str = "\
Example:
  cyclosa verify checkpoints && echo sound";

/// `cyclosa verify`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct VerifyArgs {
    /// Crawl directory
    pub dir: PathBuf,
}

/// Checks every checksum and every record, restores the checkpoint in memory, and compares state hash and balance.
///
/// # Errors
/// If there is no crawl, or it cannot be read at all. Defects are printed and make the exit code 1.
pub fn run(typed: &VerifyArgs) -> Result<ExitCode> {
    let disk = DirDisk::existing(&typed.dir)?;
    let names = disk
        .list()
        .map_err(|e| Error::io("cannot list", &typed.dir, e))?;
    if !names.iter().any(|name| checkpoint::is_crawl_file(name)) {
        return Err(no_crawl(&typed.dir));
    }
    let checkpoints = checkpoint::verify(&disk)?;
    let (state, mark) = match state(&disk, &typed.dir) {
        Ok((line, mark)) => (line, Some(mark)),
        Err(error) => (error.to_string(), None),
    };
    let records = Reader::open(&typed.dir)?.verify_to(mark.as_ref())?;
    let missing = mark
        .as_ref()
        .map_or(0, |m| m.records.saturating_sub(records.kept));
    let balanced = mark.is_some() && missing == 0;
    let sound = checkpoints.defects.is_empty() && records.defect_count == 0 && balanced;
    out::print(|out| {
        for defect in &checkpoints.defects {
            writeln!(out, "{defect}")?;
        }
        for defect in &records.defects {
            writeln!(out, "{defect}")?;
        }
        let hidden = records.defect_count - records.defects.len() as u64;
        if hidden > 0 {
            writeln!(out, "{hidden} further defects in segments")?;
        }
        if missing > 0 {
            writeln!(
                out,
                "{missing} records that the checkpoint counts are missing"
            )?;
        }
        writeln!(
            out,
            "checkpoints: {} files, {} bytes, restorable: {:?}",
            checkpoints.files, checkpoints.bytes, checkpoints.restorable
        )?;
        writeln!(
            out,
            "segments: {} with {} records ({} pages, {} of them revisits), {} bytes",
            records.segments,
            records.records,
            records.pages,
            records.revisits,
            records.stored_bytes
        )?;
        if records.behind > 0 {
            writeln!(
                out,
                "behind the checkpoint: something is not whole; the next run cuts it (normal while one runs or after it was killed)"
            )?;
        }
        writeln!(out, "state: {state}")?;
        writeln!(out, "{}", if sound { "sound" } else { "DAMAGED" })
    })?;
    Ok(if sound {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn no_crawl(dir: &Path) -> Error {
    Error::environment(format!(
        "{} holds no crawl; name the directory given to `cyclosa crawl --dir`",
        dir.display()
    ))
}

/// Restores the newest checkpoint in memory, which compares its state hash, and compares its pages with the store's.
/// Returns what the store has to have for it.
fn state(disk: &DirDisk, dir: &Path) -> Result<(String, Mark)> {
    // Policy does not matter for what is checked; the memory budget must not be what fails.
    let config = Config {
        concurrency: 1,
        memory: u64::MAX / 2,
        ..Config::default()
    };
    let found = checkpoint::recover_into(disk, &|_| {}, |it, logs| {
        let (identity, cut) = (&it.identity, &it.cut);
        (cut.epoch > 0)
            .then(|| Frontier::restore(&config, identity, cut, &it.hosts, logs, cut.tick))
            .transpose()
    })?;
    let Some((recovered, frontier)) = found else {
        return Err(no_crawl(dir));
    };
    let Some((frontier, _)) = frontier else {
        return Ok(("no checkpoint was taken yet".into(), recovered.mark));
    };
    let counters = frontier.counters();
    let stored = crate::store::Counters::decode(&recovered.mark.state);
    if stored.is_some_and(|s| s.pages != counters.pages) {
        return Err(Error::environment(format!(
            "the frontier counts {} pages, the store another number: records are missing",
            counters.pages
        )));
    }
    let line = format!(
        "checkpoint {} restores: {} discovered = {} queued + {} in flight + {} done + {} excluded + {} dropped",
        recovered.cut.epoch,
        counters.discovered,
        counters.queued,
        counters.in_flight,
        counters.done(),
        counters.excluded_now(),
        counters.dropped_now(),
    );
    Ok((line, recovered.mark))
}
