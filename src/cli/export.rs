//! `cyclosa export`: its arguments.

use std::path::PathBuf;

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
