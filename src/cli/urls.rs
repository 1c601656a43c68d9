//! `cyclosa urls`: its arguments.

use super::listing::{self, Standing};
use super::out;
use crate::error::{Error, Result};
use crate::telemetry::escape;
use crate::time::rfc3339;
use data_encoding::BASE32;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  cyclosa urls checkpoints
  cyclosa urls checkpoints --state done | cut -f1,3 | sort -k2";

/// `cyclosa urls`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct UrlsArgs {
    /// Crawl directory
    pub dir: PathBuf,
    /// Only URLs in this state
    #[arg(long, value_name = "STATE")]
    pub state: Option<UrlState>,
}

/// Where a URL stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum UrlState {
    /// Waits to be fetched (what was in flight at the checkpoint waits again)
    Queued,
    /// Ended with an outcome
    Done,
    /// Does not belong to the crawl
    Excluded,
    /// Dropped by a limit
    Dropped,
}

/// Prints a line per URL: url, state, status (or outcome, or reason), type, bytes, time, digest.
///
/// # Errors
/// If the directory holds no readable crawl, or standard output cannot be written.
pub fn run(typed: &UrlsArgs) -> Result<ExitCode> {
    let mut failure = None;
    out::print(|out| {
        let printed = print(&typed.dir, typed.state, out);
        match printed {
            Err(Printing::Pipe(error)) => Err(error),
            Err(Printing::Crawl(error)) => {
                failure = Some(error);
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    })?;
    match failure {
        Some(error) => Err(error),
        None => Ok(ExitCode::SUCCESS),
    }
}

/// What can go wrong while printing.
enum Printing {
    Pipe(io::Error),
    Crawl(Error),
}

fn print(
    dir: &Path,
    only: Option<UrlState>,
    out: &mut dyn Write,
) -> std::result::Result<(), Printing> {
    let mut pipe = None;
    let listed = listing::list(dir, |url, standing| {
        if only.is_none_or(|state| state == state_of(&standing)) {
            line(url, &standing, out).map_err(|error| {
                pipe = Some(error);
                Error::environment("standard output was closed")
            })?;
        }
        Ok(())
    });
    match (listed, pipe) {
        (_, Some(error)) => Err(Printing::Pipe(error)),
        (Err(error), None) => Err(Printing::Crawl(error)),
        (Ok(()), None) => Ok(()),
    }
}

fn state_of(standing: &Standing) -> UrlState {
    match standing {
        Standing::Queued => UrlState::Queued,
        Standing::Stored(_) | Standing::Failed(_) => UrlState::Done,
        Standing::Excluded(_) => UrlState::Excluded,
        Standing::Dropped(_) => UrlState::Dropped,
    }
}

/// Canonical URLs hold no tab and no line end; media types come from servers and are escaped.
fn line(url: &[u8], standing: &Standing, out: &mut dyn Write) -> io::Result<()> {
    let url = String::from_utf8_lossy(url);
    match standing {
        Standing::Queued => writeln!(out, "{url}\tqueued\t\t\t\t\t"),
        Standing::Stored(it) => writeln!(
            out,
            "{url}\tdone\t{}\t{}\t{}\t{}\tsha1:{}",
            it.status,
            escape(&String::from_utf8_lossy(&it.mime)),
            it.body,
            rfc3339(it.wall),
            BASE32.encode(&it.digest),
        ),
        Standing::Failed(outcome) => writeln!(out, "{url}\tdone\t{}\t\t\t\t", outcome.name()),
        Standing::Excluded(reason) => {
            writeln!(out, "{url}\texcluded\t{}\t\t\t\t", reason.name())
        }
        Standing::Dropped(limit) => writeln!(out, "{url}\tdropped\t{}\t\t\t\t", limit.name()),
    }
}
