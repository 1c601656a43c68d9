//! `cyclosa report`: its arguments.

use super::out;
use crate::error::Result;
use crate::telemetry::{Report, escape, render, thousands};
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

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

/// Prints the report of the last run, or its JSON.
///
/// # Errors
/// If the directory holds no readable report.
pub fn run(typed: &ReportArgs) -> Result<ExitCode> {
    let report = Report::load(&typed.dir)?;
    if typed.json {
        out::print(|w| writeln!(w, "{}", report.to_json().trim_end()))?;
    } else {
        print(&report)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The result once more, in one line below a long report: pages, time, rate, and where to look next.
pub fn last_line(report: &Report) -> String {
    format!(
        "{} pages in {:.1} s, {} pages/s. `cyclosa report {dir}` shows this again, `cyclosa urls {dir}` lists the URLs.",
        thousands(report.run.pages),
        report.run.elapsed_s,
        thousands(report.run.pages_per_s as u64),
        dir = escape(&report.dir),
    )
}

/// Renders a report to standard output, in colour on a terminal.
///
/// # Errors
/// If standard output cannot be written.
pub fn print(report: &Report) -> Result<()> {
    let colour = std::io::stdout().is_terminal();
    out::print(|w| write!(w, "{}", render(report, colour)))
}
