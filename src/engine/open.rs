//! Opening a crawl directory: a new crawl, or the one that lies there.
//!
//! What must hold: one process at a time (the lock is held to the end); a crawl is never overwritten and never begun
//! anew in silence; what was restored, how old it is and what is redone is said.

use super::Announce;
use crate::checkpoint::{self, Checkpointer, DirDisk, Lock, Recovered, Sizes};
use crate::config::Config;
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::event::CrawlIdentity;
use crate::frontier::Frontier;
use crate::protocol::url;
use crate::store::{Settings, Store};
use crate::telemetry::Restored;
use crate::time::{Clock, wall_now};
use std::sync::Arc;

/// A crawl, ready to be wired.
pub struct Opened {
    pub(super) identity: CrawlIdentity,
    pub(super) frontier: Frontier,
    pub(super) store: Store,
    pub(super) checkpointer: Checkpointer,
    pub(super) clock: Clock,
    pub(super) epoch: u64,
    pub(super) restored: Option<Restored>,
    pub(super) lock: Lock,
}

/// Opens the directory of `config` and puts the seeds in.
pub fn open(config: &Config, announce: &mut dyn Announce) -> Result<Opened> {
    std::fs::create_dir_all(&config.dir)
        .map_err(|e| Error::io("cannot create the crawl directory", &config.dir, e))?;
    let lock = Lock::acquire(&config.dir)?;
    let disk: Arc<dyn Disk> = Arc::new(DirDisk::open(&config.dir)?);
    let mut opened = match checkpoint::recover(&*disk)? {
        None => create(config, disk, lock)?,
        Some(_) if config.fresh => {
            return Err(Error::usage(format!(
                "--fresh: {} holds a crawl already; name another --dir, or leave --fresh out to go on with it",
                config.dir.display()
            )));
        }
        Some(recovered) => restore(config, disk, lock, recovered, announce)?,
    };
    seed(config, &mut opened)?;
    Ok(opened)
}

fn create(config: &Config, disk: Arc<dyn Disk>, lock: Lock) -> Result<Opened> {
    let identity = new_identity()?;
    let frontier = Frontier::new(config, &identity)?;
    let checkpointer = Checkpointer::new(Arc::clone(&disk), identity, Sizes::default())?;
    Ok(Opened {
        frontier,
        store: Store::create(disk, &identity, Settings::of(config))?,
        checkpointer,
        clock: Clock::starting_at(0),
        epoch: 0,
        restored: None,
        identity,
        lock,
    })
}

fn new_identity() -> Result<CrawlIdentity> {
    let mut id = [0; 16];
    let mut key = [0; 32];
    getrandom::fill(&mut id)
        .and_then(|()| getrandom::fill(&mut key))
        .map_err(|e| {
            Error::environment(format!(
                "the system gives no random numbers for a new crawl: {e}"
            ))
        })?;
    Ok(CrawlIdentity {
        id,
        key,
        created: wall_now(),
    })
}

fn restore(
    config: &Config,
    disk: Arc<dyn Disk>,
    lock: Lock,
    recovered: Recovered,
    announce: &mut dyn Announce,
) -> Result<Opened> {
    let identity = recovered.identity;
    let cut = &recovered.cut;
    if cut.epoch == 0 {
        return begin_again(config, disk, lock, &recovered, announce);
    }
    let clock = Clock::starting_at(cut.tick);
    let (mut frontier, found) = Frontier::restore(
        config,
        &identity,
        cut,
        &recovered.hosts,
        &recovered.seen,
        &recovered.urls,
        clock.now(),
    )?;
    frontier.number_cuts_from(recovered.next_epoch);
    let checkpointer = Checkpointer::resume(Arc::clone(&disk), &recovered, Sizes::default())?;
    let store = Store::reopen(disk, &identity, Settings::of(config), &recovered.mark)?;
    let age_s = wall_now().saturating_sub(cut.wall) as f64 / 1_000.0;
    let restored = Restored {
        epoch: cut.epoch,
        age_s,
        urls: found.urls,
        requeued: found.requeued,
        fallback: recovered.fallback.clone(),
    };
    announce.line(&format!(
        "restored checkpoint {} of {} ({} URLs known, {} pages); {} URLs were on their way and are fetched again, and so \
         is what came after the checkpoint",
        cut.epoch,
        age(age_s),
        found.urls,
        frontier.counters().pages,
        found.requeued,
    ));
    if let Some(why) = &recovered.fallback {
        announce.line(&format!("an older checkpoint was used: {why}"));
    }
    Ok(Opened {
        epoch: recovered.next_epoch - 1,
        frontier,
        store,
        checkpointer,
        clock,
        restored: Some(restored),
        identity,
        lock,
    })
}

/// The crawl ended before its first checkpoint was durable: it begins with its seeds once more, as the same crawl.
fn begin_again(
    config: &Config,
    disk: Arc<dyn Disk>,
    lock: Lock,
    recovered: &Recovered,
    announce: &mut dyn Announce,
) -> Result<Opened> {
    announce.line("the crawl ended before its first checkpoint; it begins with its seeds again");
    let identity = recovered.identity;
    let mut frontier = Frontier::new(config, &identity)?;
    frontier.number_cuts_from(recovered.next_epoch);
    let checkpointer = Checkpointer::resume(Arc::clone(&disk), recovered, Sizes::default())?;
    Store::discard(&*disk)?;
    Ok(Opened {
        frontier,
        store: Store::create(disk, &identity, Settings::of(config))?,
        checkpointer,
        clock: Clock::starting_at(0),
        epoch: recovered.next_epoch - 1,
        restored: None,
        identity,
        lock,
    })
}

fn age(seconds: f64) -> String {
    if seconds < 120.0 {
        format!("{seconds:.1} s ago")
    } else {
        let rounded = std::time::Duration::from_secs(seconds as u64);
        format!("{} ago", humantime::format_duration(rounded))
    }
}

fn seed(config: &Config, opened: &mut Opened) -> Result<()> {
    let now = opened.clock.now();
    for (text, place) in &config.seeds {
        let (canonical, path_at) = url::canonical(text.as_bytes()).map_err(|why| {
            Error::usage(format!("{place}: {text} is no http or https URL ({why:?})"))
        })?;
        opened.frontier.seed(&canonical, path_at, now);
    }
    Ok(())
}
