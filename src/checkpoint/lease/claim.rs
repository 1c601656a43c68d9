//! Claiming a directory: as its first holder, after one that ended, or from one that has gone silent.
//!
//! What must hold:
//! * everything happens under the lock of `FENCE`, so of several that try one succeeds, and the others find its term;
//! * in this order: the new term, the new `LOCK` where the old one is still locked, the copies, and the state that says
//!   that all copies are made. Who finds it unsaid makes them again;
//! * before the term begins nothing is changed, and it does not begin where the copies would not fit.

use super::holder::{Fence, Lease};
use super::record::{Ending, Record, State, peek};
use super::{UNFINISHED, orphan};
use crate::checkpoint::lock::Lock;
use crate::error::{Error, Result};
use std::fs::{File, create_dir_all};
use std::path::Path;
use std::sync::Arc;

/// `f_type` (`statfs(2)`) of file systems that one kernel alone writes to, so that a lock there ends only with its
/// holder: ext2/3/4, XFS, Btrfs, tmpfs, ramfs, F2FS, overlayfs, ZFS, bcachefs.
const LOCAL_TYPES: [u64; 9] = [
    0xef53,
    0x5846_5342,
    0x9123_683e,
    0x0102_1994,
    0x8584_58f6,
    0xf2f5_2010,
    0x794c_7630,
    0x2fc1_2fc1,
    0xca45_1a4e,
];

/// A directory that this process may write to.
pub struct Tenure {
    /// The lease, for those who beat and look.
    pub lease: Arc<Lease>,
    /// Tells others at once when this process has died. Dropped last.
    _lock: Lock,
}

/// On what conditions a directory is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// If nobody has it.
    Start,
    /// After another one, unless that has done all there is to do.
    Follow,
    /// The same, and also if it has shown nothing but this sign for the duration of its lease.
    TakeOver((u32, u64, State)),
}

/// What came of it.
pub enum Attempt {
    /// It is ours.
    Mine(Tenure),
    /// A process has it; its number, if it can be read.
    Held(Option<u32>),
    /// Somebody is just claiming it, or was stopped while it changed a name in it.
    Busy,
    /// The one before has ended, and nothing is to be done after it.
    Over(Ending),
}

/// Tries once.
///
/// # Errors
/// If the system refuses something. Files may have been replaced then, none has lost content.
pub fn attempt(dir: &Path, mode: Mode) -> Result<Attempt> {
    create_dir_all(dir).map_err(|e| Error::io("cannot create the crawl directory", dir, e))?;
    let fence = Fence::open(dir)?;
    let failed = |e| Error::io("cannot lock", dir.join(super::FENCE), e);
    let locked = match mode {
        Mode::Start => fence.lock_soon(),
        Mode::Follow | Mode::TakeOver(_) => fence.try_lock(),
    };
    if !locked.map_err(failed)? {
        return Ok(Attempt::Busy);
    }
    // From here on the lock of the fence ends with the file's handle, whatever happens.
    let lock = Lock::try_acquire(dir)?;
    let before = peek(dir)?;
    let ended = match &before {
        Some(Record {
            state: State::Ended(ending),
            ..
        }) => Some(*ending),
        _ => None,
    };
    if let Some(ending) = ended.filter(|e| mode != Mode::Start && *e != Ending::Stopped) {
        return Ok(Attempt::Over(ending));
    }
    let lock = match lock {
        Ok(lock) => Some(lock),
        Err(holder) => {
            let silent = before.as_ref().map(|b| Mode::TakeOver(b.sign()));
            if silent != Some(mode) {
                return Ok(Attempt::Held(holder));
            }
            None
        }
    };
    let local = is_local(dir);
    let replace = match (&lock, &before) {
        (None, _) => true,
        (Some(_), None) => !local,
        (Some(_), Some(before)) => before.state == State::Fencing || ended.is_none() && !local,
    };
    let term = before.as_ref().map_or(0, |b| b.term);
    let term = term.max(orphan::newest_term(dir)?).saturating_add(1);
    take(dir, fence, lock, term, replace, !local).map(Attempt::Mine)
}

/// Begins a term. The lock of `fence` is held.
fn take(
    dir: &Path,
    fence: Fence,
    lock: Option<Lock>,
    term: u32,
    replace: bool,
    remote: bool,
) -> Result<Tenure> {
    orphan::sweep(dir)?;
    if replace {
        assert_room(dir)?;
    }
    let state = if replace { State::Fencing } else { State::Held };
    let lease = Lease::begin(dir, fence, Record::mine(term, state), remote)?;
    let lock = match lock {
        Some(lock) => lock,
        None => Lock::replace(dir, &format!("{UNFINISHED}{term}-lock"))?,
    };
    if replace {
        orphan::replace_files(dir, term)?;
    }
    lease.settle()?;
    Ok(Tenure {
        lease: Arc::new(lease),
        _lock: lock,
    })
}

/// Takes a directory that nobody has.
///
/// # Errors
/// If a process has it (the message names it), or the system refuses something.
pub fn claim(dir: &Path) -> Result<Tenure> {
    match attempt(dir, Mode::Start)? {
        Attempt::Mine(tenure) => Ok(tenure),
        Attempt::Held(holder) => Err(Lock::held(dir, holder)),
        Attempt::Busy | Attempt::Over(_) => {
            let holder = peek(dir)?.map_or("another process".into(), |r| r.holder());
            Err(Error::environment(format!(
                "{} is in use: {holder} is just making or replacing files in it; wait until that is done, or name another \
                 directory with --dir",
                dir.display()
            )))
        }
    }
}

/// Refuses to begin what a full disk would end half-way.
fn assert_room(dir: &Path) -> Result<()> {
    let needed = orphan::bytes_to_replace(dir)?;
    let Ok(fs) = rustix::fs::statvfs(dir) else {
        return Ok(());
    };
    let free = fs.f_bavail.saturating_mul(fs.f_frsize);
    // The old files go when their holder does.
    if free < needed {
        return Err(Error::environment(format!(
            "cannot take over {}: {} MB have to be copied and {} MB are free; free some space and run the same command again",
            dir.display(),
            needed >> 20,
            free >> 20
        )));
    }
    Ok(())
}

/// Whether a lock in this directory ends with its holder and not before.
fn is_local(dir: &Path) -> bool {
    let kind = File::open(dir).and_then(|d| Ok(rustix::fs::fstatfs(&d)?.f_type as u64));
    kind.is_ok_and(|kind| LOCAL_TYPES.contains(&(kind & 0xffff_ffff)))
}
