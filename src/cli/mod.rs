//! The command line, in two levels: [`args`] is what was typed, [`crate::config::Config`] is what it means.
//!
//! What must hold:
//! * what the first level lets through is well-formed (a duration is a duration), what the second builds is complete
//!   and checked; nothing later parses text that a user typed;
//! * a mistake is one line that names the flag, the file and line, or the URL, and says what to write instead;
//! * exit codes are a contract: 0 done, 1 failed, 2 bad usage, 130 stopped by the user;
//! * results go to standard output, everything else to standard error; a reader that goes away ends the output quietly.
//!
//! Deliberately absent: the work. A command's file holds its arguments and the few lines that call the part that does it.

pub mod args;
pub mod crawl;
pub mod demo;
pub mod export;
pub mod file;
pub mod get;
pub mod listing;
pub mod out;
pub mod proxy;
pub mod report;
pub mod seeds;
pub mod urls;
pub mod values;
pub mod verify;
pub mod web;

use crate::error::Result;
use crate::telemetry::harmless;
use args::{Cli, Command};
use clap::Parser;
use std::process::ExitCode;

/// Runs the program on the process's arguments.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(answer) => {
            // Help and version are results, the rest is bad usage; clap knows which (0 or 2). A closed pipe is no news.
            let _ = answer.print();
            return ExitCode::from(answer.exit_code() as u8);
        }
    };
    outlive_size_limits();
    match run(cli.command) {
        Ok(code) => code,
        Err(error) => {
            // It may repeat a line of a file, a file's name or what a server said.
            eprintln!("cyclosa: {}", harmless(&error.to_string()));
            ExitCode::from(error.exit_code())
        }
    }
}

/// A file that grows beyond `ulimit -f` is an error of the write, with a message, and not the end by SIGXFSZ.
fn outlive_size_limits() {
    let caught = std::sync::Arc::default();
    // Where it cannot be caught the process ends by the signal, which is a crash like any other.
    let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, caught);
}

/// Understands a command and does it.
fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Crawl(typed) => crawl::run(*typed),
        Command::Report(typed) => report::run(&typed),
        Command::Urls(typed) => urls::run(&typed),
        Command::Get(typed) => get::run(&typed),
        Command::Export(typed) => export::run(&typed),
        Command::Verify(typed) => verify::run(&typed),
        Command::Demo(_) => demo::run(),
        Command::Web(typed) => web::run(&typed),
    }
}
