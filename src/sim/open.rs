//! Opening a simulated directory, in the order of [`crate::engine`]'s own opening (the lock aside), with the checks in
//! between.

use super::disk::{Shot, SimDisk};
use super::oracle::{Checked, Complaint, Oracle};
use super::process::Death;
use super::settings::Settings;
use crate::checkpoint::{self, Checkpointer, Recovered};
use crate::disk::Disk;
use crate::event::CrawlIdentity;
use crate::frontier::Frontier;
use crate::frontier::restore::Restored;
use crate::protocol::url;
use crate::store::{self, Store};
use crate::time::Tick;
use std::sync::Arc;

/// A crawl, ready to go on.
pub struct Pieces {
    /// The seeds are in.
    pub frontier: Frontier,
    /// As created or reopened.
    pub store: Store,
    /// As created or resumed.
    pub checkpointer: Checkpointer,
    /// Crawl time to go on from.
    pub tick: Tick,
    /// Number of the newest cut that may have been taken.
    pub epoch: u64,
    /// What was restored; `None` for a new crawl.
    pub restored: Option<u64>,
    /// URLs that were in flight.
    pub requeued: u64,
    /// The restored state, checked.
    pub checked: Checked,
    /// Pictures taken before the crawl's identity was durable.
    pub unborn: Vec<Shot>,
}

/// How strict to be.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// The directory may hold no crawl.
    pub may_be_empty: bool,
    /// A read failed: an older checkpoint may be taken.
    pub fallback: bool,
    /// Only this checkpoint is right.
    pub exactly: Option<u64>,
}

/// Opens `disk` and checks what is restored.
///
/// # Errors
/// [`Death::Disk`] where the crawler refuses (the caller knows whether it had a reason), [`Death::Wrong`] where
/// something does not hold.
pub fn open(
    disk: &SimDisk,
    settings: &Settings,
    identity: &CrawlIdentity,
    oracle: &Oracle,
    terms: Terms,
) -> Result<Pieces, Death> {
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let wrong = |complaint: Complaint| Death::Wrong(complaint);
    let found = checkpoint::recover_into(disk, &|_| {}, |it, logs| {
        let (identity, cut) = (&it.identity, &it.cut);
        (cut.epoch > 0)
            .then(|| Frontier::restore(&settings.config, identity, cut, &it.hosts, logs, cut.tick))
            .transpose()
    })?;
    let mut pieces = match found {
        None if !terms.may_be_empty => {
            return Err(wrong("the crawl is gone: the directory looks new".into()));
        }
        None => create(disk, shared, settings, identity)?,
        Some((recovered, rebuilt)) => {
            let epoch = recovered.cut.epoch;
            if recovered.identity != *identity {
                return Err(wrong("another identity is restored".into()));
            }
            if terms.exactly.is_some_and(|exactly| exactly != epoch) {
                return Err(wrong(format!("now checkpoint {epoch} is restored")));
            }
            oracle
                .check_epoch(&recovered, terms.fallback)
                .map_err(wrong)?;
            match rebuilt {
                None => begin_again(shared, settings, &recovered)?,
                Some(rebuilt) => go_on(disk, shared, settings, oracle, &recovered, rebuilt)?,
            }
        }
    };
    for (text, _) in &settings.config.seeds {
        let (canonical, path_at) = url::canonical(text.as_bytes()).expect("a seed of the swarm");
        pieces.frontier.seed(&canonical, path_at, pieces.tick);
    }
    Ok(pieces)
}

fn of_store(settings: &Settings) -> store::Settings {
    store::Settings {
        segment_bytes: settings.segment_bytes,
        ..store::Settings::of(&settings.config)
    }
}

fn create(
    disk: &SimDisk,
    shared: Arc<dyn Disk>,
    settings: &Settings,
    identity: &CrawlIdentity,
) -> Result<Pieces, Death> {
    let frontier = Frontier::new(&settings.config, identity)?;
    let checkpointer = Checkpointer::new(Arc::clone(&shared), *identity, settings.sizes)?;
    let unborn = disk.shots();
    Ok(Pieces {
        frontier,
        checkpointer,
        store: Store::create(shared, identity, of_store(settings))?,
        tick: 0,
        epoch: 0,
        restored: None,
        requeued: 0,
        checked: Checked::default(),
        unborn,
    })
}

fn begin_again(
    shared: Arc<dyn Disk>,
    settings: &Settings,
    recovered: &Recovered,
) -> Result<Pieces, Death> {
    let identity = &recovered.identity;
    let mut frontier = Frontier::new(&settings.config, identity)?;
    frontier.number_cuts_from(recovered.next_epoch);
    let checkpointer = Checkpointer::resume(Arc::clone(&shared), recovered, settings.sizes)?;
    Store::discard(&*shared)?;
    Ok(Pieces {
        frontier,
        checkpointer,
        store: Store::create(shared, identity, of_store(settings))?,
        tick: 0,
        epoch: recovered.next_epoch - 1,
        restored: Some(0),
        requeued: 0,
        checked: Checked::default(),
        unborn: Vec::new(),
    })
}

fn go_on(
    disk: &SimDisk,
    shared: Arc<dyn Disk>,
    settings: &Settings,
    oracle: &Oracle,
    recovered: &Recovered,
    (mut frontier, found): (Frontier, Restored),
) -> Result<Pieces, Death> {
    let (identity, cut) = (&recovered.identity, &recovered.cut);
    frontier.number_cuts_from(recovered.next_epoch);
    let checkpointer = Checkpointer::resume(Arc::clone(&shared), recovered, settings.sizes)?;
    let store = Store::reopen(shared, identity, of_store(settings), &recovered.mark)?;
    let checked = oracle
        .check(disk, recovered, &frontier)
        .map_err(Death::Wrong)?;
    Ok(Pieces {
        frontier,
        checkpointer,
        store,
        tick: cut.tick,
        epoch: recovered.next_epoch - 1,
        restored: Some(cut.epoch),
        requeued: found.requeued,
        checked,
        unborn: Vec::new(),
    })
}
