//! `cyclosa urls`: its arguments.

use std::path::PathBuf;

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

/// Where a URL stands; with `dropped`, which leaves no URL behind, these are all there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum UrlState {
    /// Waits to be fetched (what was in flight at the checkpoint waits again)
    Queued,
    /// Ended with an outcome
    Done,
    /// Does not belong to the crawl
    Excluded,
}
