//! `cyclosa get`: its arguments.

use super::out;
use crate::error::{Error, Result};
use crate::protocol::url;
use crate::store::Reader;
use crate::telemetry::harmless;
use std::path::PathBuf;
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  cyclosa get checkpoints http://example.org/ > page.html
  cyclosa get checkpoints http://example.org/ --head";

/// `cyclosa get`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct GetArgs {
    /// Crawl directory
    pub dir: PathBuf,
    /// The page's URL
    pub url: String,
    /// Print the response head instead of the body
    #[arg(long, conflicts_with = "record")]
    pub head: bool,
    /// Print the whole WARC record
    #[arg(long)]
    pub record: bool,
}

/// Prints what is stored for a URL.
///
/// # Errors
/// If the URL is none or not stored, or the record is damaged.
pub fn run(typed: &GetArgs) -> Result<ExitCode> {
    let (canonical, _) = url::canonical(typed.url.as_bytes())
        .map_err(|why| Error::usage(format!("{} is no http or https URL ({why})", typed.url)))?;
    let reader = Reader::open(&typed.dir)?;
    let found = reader.find(&canonical)?.ok_or_else(|| {
        Error::environment(format!(
            "{} is not stored in {}; `cyclosa urls {1}` lists what is",
            String::from_utf8_lossy(&canonical),
            typed.dir.display()
        ))
    })?;
    let bytes = if typed.record {
        reader.record(&found)?
    } else if typed.head {
        reader.head(&found)?
    } else {
        let body = reader.body(&found)?;
        if let Some(defect) = body.defect {
            eprintln!("cyclosa: {}: {defect}", harmless(&typed.url));
        }
        body.bytes
    };
    out::print(|out| out.write_all(&bytes))?;
    Ok(ExitCode::SUCCESS)
}
