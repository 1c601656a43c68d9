//! `cyclosa export`: its arguments.

use super::listing;
use super::out;
use crate::error::{Error, Result};
use crate::store::{Reader, beside, publish};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  cyclosa export checkpoints --warc crawl.warc.gz
  cyclosa export checkpoints --urls -";

/// `cyclosa export`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct ExportArgs {
    /// Crawl directory
    pub dir: PathBuf,
    /// What to write, and where
    #[command(flatten)]
    pub to: ExportTo,
}

/// Formats; at least one.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = true)]
pub struct ExportTo {
    /// All records as one .warc.gz; - for standard output
    #[arg(long, value_name = "OUT.warc.gz")]
    pub warc: Option<PathBuf>,
    /// All URLs, one a line; - for standard output
    #[arg(long, value_name = "OUT")]
    pub urls: Option<PathBuf>,
}

/// Writes what was asked for.
///
/// # Errors
/// If the directory holds no readable crawl, an output exists already, or cannot be written.
pub fn run(typed: &ExportArgs) -> Result<ExitCode> {
    let mut sound = true;
    if let Some(to) = &typed.to.warc {
        sound &= warc(&typed.dir, to)?;
    }
    if let Some(to) = &typed.to.urls {
        urls(&typed.dir, to)?;
    }
    Ok(if sound {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn is_stdout(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Whether every record was whole.
fn warc(dir: &Path, to: &Path) -> Result<bool> {
    let reader = Reader::open(dir)?;
    let exported = if is_stdout(to) {
        reader.write_warc(&mut std::io::stdout().lock(), Path::new("standard output"))?
    } else {
        reader.export_warc(to)?
    };
    eprintln!("{} records, {} bytes", exported.records, exported.bytes);
    if let Some(defect) = &exported.first_defect {
        eprintln!(
            "cyclosa: {} damaged records were left out, the first: {defect}; see `cyclosa verify`",
            exported.skipped
        );
    }
    Ok(exported.skipped == 0)
}

fn urls(dir: &Path, to: &Path) -> Result<()> {
    if is_stdout(to) {
        let mut failed = None;
        out::print(|out| {
            match write_urls(dir, out) {
                Err(UrlsError::Out(error)) => return Err(error),
                Err(UrlsError::Crawl(error)) => failed = Some(error),
                Ok(()) => {}
            }
            Ok(())
        })?;
        return failed.map_or(Ok(()), Err);
    }
    let part = beside(to)?;
    let file = File::create(&part).map_err(|e| Error::io("cannot create", &part, e))?;
    let mut file = BufWriter::new(file);
    match write_urls(dir, &mut file) {
        Err(UrlsError::Out(error)) => return Err(Error::io("cannot write", &part, error)),
        Err(UrlsError::Crawl(error)) => return Err(error),
        Ok(()) => {}
    }
    file.into_inner()
        .map_err(std::io::IntoInnerError::into_error)
        .and_then(|file| file.sync_all())
        .map_err(|e| Error::io("cannot write", &part, e))?;
    publish(&part, to)
}

/// What can go wrong while writing URLs.
enum UrlsError {
    Out(std::io::Error),
    Crawl(Error),
}

fn write_urls(dir: &Path, out: &mut dyn Write) -> std::result::Result<(), UrlsError> {
    let mut failed = None;
    let listed = listing::list(dir, |url, _| {
        out.write_all(url)
            .and_then(|()| out.write_all(b"\n"))
            .map_err(|error| {
                failed = Some(error);
                Error::environment("the output cannot be written")
            })
    });
    match (listed, failed) {
        (_, Some(error)) => Err(UrlsError::Out(error)),
        (Err(error), None) => Err(UrlsError::Crawl(error)),
        (Ok(()), None) => Ok(()),
    }
}
