//! `cyclosa get`: its arguments.

use std::path::PathBuf;

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
