//! `cyclosa report`: its arguments.

use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  cyclosa report checkpoints
  cyclosa report checkpoints --json | jq .pages_per_s";

/// `cyclosa report`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct ReportArgs {
    /// Crawl directory
    pub dir: PathBuf,
    /// Print report.json instead of tables
    #[arg(long)]
    pub json: bool,
}
