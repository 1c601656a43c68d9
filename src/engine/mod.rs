//! The engine: wires the stages with rings, gives them threads, and ends the crawl in one way only.
//!
//! ```text
//!   claim ─► open (restore or create) ─► wiring ─► workers run ─► drain ─► last cut durable ─► join ─► report
//! ```
//!
//! What must hold:
//! * stages are plain structs with a turn; threads, pinning, idling and clocks of turns exist only here;
//! * Ctrl-C, `--for`, `--max-pages` and a dry frontier end in the same clean stop, after which nothing is redone;
//! * a fatal error of one stage ends all threads; the last durable checkpoint stays as it is.
//!
//! Deliberately absent: any decision about URLs.

mod checkpointing;
mod control;
pub mod cpus;
mod descriptors;
mod finish;
mod frontier_stage;
pub mod idle;
mod keeper;
mod open;
pub mod placement;
mod stages;
pub mod standby;
pub mod stop;
mod wiring;
mod worker;

use crate::checkpoint::lease::{self, Tenure};
use crate::config::Config;
use crate::error::Result;
use crate::telemetry::Report;
use control::Control;
use cpus::Cpus;
use keeper::Keeper;
use placement::Placement;
use std::net::IpAddr;
use stop::Stop;

pub use open::Opened;

/// How a crawl ended, with its report.
pub struct Ended {
    /// Everything that is worth knowing about it; already written to the crawl directory.
    pub report: Report,
    /// The user stopped it (exit code 130).
    pub interrupted: bool,
}

/// What is told while a crawl begins.
pub trait Announce: Send {
    /// One line for the user.
    fn line(&mut self, text: &str);
}

impl<F: FnMut(&str) + Send> Announce for F {
    fn line(&mut self, text: &str) {
        self(text);
    }
}

/// Runs a crawl to its end: a new one, or the one that the directory holds.
///
/// # Errors
/// Everything fatal: an unusable directory, seeds that are no URLs, a checkpoint that contradicts itself, a disk that
/// does not take what is written.
pub fn run(config: &Config, stop: &Stop, announce: &mut dyn Announce) -> Result<Ended> {
    run_in(lease::claim(&config.dir)?, config, stop, announce)
}

/// The same in a directory that is claimed already; see [`standby::wait`].
///
/// # Errors
/// As [`run`], and if another process takes over meanwhile: then nothing in the directory is touched any more.
pub fn run_in(
    tenure: Tenure,
    config: &Config,
    stop: &Stop,
    announce: &mut dyn Announce,
) -> Result<Ended> {
    let lanes = Placement::plan(&Cpus::allowed()).lanes;
    let share = descriptors::claim(config, lanes, announce)?;
    let config = &Config {
        concurrency: share.concurrency,
        idle_connections: share.idle,
        own_addresses: own_addresses(announce),
        ..config.clone()
    };
    let control = Control::new(stop.clone());
    let keeper = Keeper::start(tenure, &control)?;
    let opened = open::open(config, keeper.lease(), announce);
    let wired = opened.and_then(|opened| wiring::wire(config, opened, &control, announce));
    let crew = wired.and_then(|wired| worker::start(wired, &control));
    // What fails after the lease is lost fails because of that.
    let ended = crew.and_then(|crew| finish::finish(config, crew, &control, keeper.lease()));
    let ended = ended.map_err(|error| keeper.lease().lost().unwrap_or(error))?;
    keeper.release(ended.report.stop)?;
    Ok(ended)
}

/// Addresses of the machine's interfaces: no page may lead the crawler to them.
fn own_addresses(announce: &mut dyn Announce) -> Vec<IpAddr> {
    match if_addrs::get_if_addrs() {
        Ok(interfaces) => interfaces.iter().map(|interface| interface.ip()).collect(),
        Err(e) => {
            announce.line(&format!(
                "the addresses of this machine cannot be listed ({e}): public ones among them are not refused"
            ));
            Vec::new()
        }
    }
}
