//! `cyclosa web`: the synthetic web in the foreground. Its flags are [`crate::web::args::Args`].

use crate::error::Result;
use crate::web;
use std::process::ExitCode;

/// Serves until Ctrl-C.
///
/// # Errors
/// If the settings contradict each other or the address cannot be served on.
pub fn run(typed: &web::args::Args) -> Result<ExitCode> {
    web::run(typed.settings(), typed.listen)?;
    Ok(ExitCode::SUCCESS)
}
