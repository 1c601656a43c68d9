//! `cyclosa demo`: its arguments, of which there are none.

const EXAMPLE: &str = "\
Example:
  cyclosa demo";

/// `cyclosa demo`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct DemoArgs {}
