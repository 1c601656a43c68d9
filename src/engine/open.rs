//! Opening a crawl directory: a new crawl, or the one that lies there.
//!
//! What must hold: one process at a time (the directory's lease is kept from before the opening to the end); a crawl is never overwritten and never begun
//! anew in silence; what was restored, how old it is and what is redone is said.

use super::Announce;
use crate::checkpoint::lease::Lease;
use crate::checkpoint::{self, Checkpointer, DirDisk, Progress, Recovered, Sizes};
use crate::config::Config;
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::event::CrawlIdentity;
use crate::frontier::{self, Frontier};
use crate::protocol::url;
use crate::store::{Settings, Store};
use crate::telemetry::Restored;
use crate::time::{Clock, SECOND, Tick, wall_now};
use std::sync::{Arc, Mutex, PoisonError};

/// A crawl, ready to be wired.
pub struct Opened {
    pub(super) identity: CrawlIdentity,
    pub(super) frontier: Frontier,
    pub(super) store: Store,
    pub(super) checkpointer: Checkpointer,
    pub(super) clock: Clock,
    pub(super) epoch: u64,
    pub(super) restored: Option<Restored>,
    pub(super) lease: Arc<Lease>,
}

/// Opens the directory of `config`, which this process holds, and puts the seeds in.
pub fn open(config: &Config, lease: &Arc<Lease>, announce: &mut dyn Announce) -> Result<Opened> {
    let lease = Arc::clone(lease);
    let disk: Arc<dyn Disk> = Arc::new(DirDisk::open(&config.dir)?.held_by(Arc::clone(&lease)));
    let mut opened = match rebuild(config, &*disk, announce)? {
        None => create(config, disk, lease)?,
        Some((recovered, None)) => begin_again(config, disk, lease, &recovered, announce)?,
        Some((recovered, Some(rebuilt))) => {
            go_on(config, disk, lease, &recovered, rebuilt, announce)?
        }
    };
    seed(config, &mut opened)?;
    Ok(opened)
}

fn create(config: &Config, disk: Arc<dyn Disk>, lease: Arc<Lease>) -> Result<Opened> {
    let identity = new_identity()?;
    let frontier = Frontier::new(config, &identity)?;
    let checkpointer =
        Checkpointer::new(Arc::clone(&disk), identity, Sizes::default())?.in_term(lease.term());
    Ok(Opened {
        frontier,
        store: Store::create(disk, &identity, Settings::of(config))?,
        checkpointer,
        clock: Clock::starting_at(0),
        epoch: 0,
        restored: None,
        identity,
        lease,
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

/// A frontier with its clock, and what was found.
type Rebuilt = (Frontier, Clock, frontier::restore::Restored);

/// Rebuilds the frontier of the crawl that lies there. Nothing in the outer option: there is none; nothing in the inner
/// one: it has no checkpoint yet.
fn rebuild(
    config: &Config,
    disk: &dyn Disk,
    announce: &mut dyn Announce,
) -> Result<Option<(Recovered, Option<Rebuilt>)>> {
    let watch = Watch::new(announce);
    checkpoint::recover_into(disk, &|progress| watch.tell(progress), |found, logs| {
        if config.fresh {
            return Err(Error::usage(format!(
                "--fresh: {} holds a crawl already; name another --dir, or leave --fresh out to go on with it",
                config.dir.display()
            )));
        }
        if found.cut.epoch == 0 {
            return Ok(None);
        }
        let clock = Clock::starting_at(found.cut.tick);
        let (identity, now) = (&found.identity, clock.now());
        let (frontier, restored) =
            Frontier::restore(config, identity, &found.cut, &found.hosts, logs, now)?;
        Ok(Some((frontier, clock, restored)))
    })
}

/// Tells how far a long restore is, at most once a second.
struct Watch<'a> {
    clock: Clock,
    told: Mutex<(Tick, &'a mut (dyn Announce + 'a))>,
}

impl<'a> Watch<'a> {
    fn new(announce: &'a mut (dyn Announce + 'a)) -> Self {
        Self {
            clock: Clock::starting_at(0),
            told: Mutex::new((0, announce)),
        }
    }

    fn tell(&self, progress: Progress) {
        let now = self.clock.now();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if now >= told.0 + SECOND {
            told.0 = now;
            let percent = progress.done * 100 / progress.total.max(1);
            told.1.line(&format!(
                "restoring: {percent} % of {}",
                bytesize::ByteSize(progress.total).display().iec()
            ));
        }
    }
}

fn go_on(
    config: &Config,
    disk: Arc<dyn Disk>,
    lease: Arc<Lease>,
    recovered: &Recovered,
    (mut frontier, clock, found): Rebuilt,
    announce: &mut dyn Announce,
) -> Result<Opened> {
    let identity = recovered.identity;
    let cut = &recovered.cut;
    frontier.number_cuts_from(recovered.next_epoch);
    let checkpointer =
        Checkpointer::resume(Arc::clone(&disk), recovered, Sizes::default())?.in_term(lease.term());
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
        lease,
    })
}

/// The crawl ended before its first checkpoint was durable: it begins with its seeds once more, as the same crawl.
fn begin_again(
    config: &Config,
    disk: Arc<dyn Disk>,
    lease: Arc<Lease>,
    recovered: &Recovered,
    announce: &mut dyn Announce,
) -> Result<Opened> {
    announce.line("the crawl ended before its first checkpoint; it begins with its seeds again");
    let identity = recovered.identity;
    let mut frontier = Frontier::new(config, &identity)?;
    frontier.number_cuts_from(recovered.next_epoch);
    let checkpointer =
        Checkpointer::resume(Arc::clone(&disk), recovered, Sizes::default())?.in_term(lease.term());
    Store::discard(&*disk)?;
    Ok(Opened {
        frontier,
        store: Store::create(disk, &identity, Settings::of(config))?,
        checkpointer,
        clock: Clock::starting_at(0),
        epoch: recovered.next_epoch - 1,
        restored: None,
        identity,
        lease,
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
