//! `cyclosa verify`: its arguments.

use std::path::PathBuf;

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
