//! The holder's end of a lease: beats, looks, and the right to change names.
//!
//! What must hold: a lease that was lost once stays lost; the answer to "is it still mine" is whether the file of that
//! name is still the one that this process made, which no clock and no later write can change.

use super::record::{Ending, Record, State, peek};
use super::{FENCE, LEASE, UNFINISHED};
use crate::error::{Error, Result};
use crate::limits;
use rustix::fs::{FlockOperation, OFlags, flock};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// Pause between two tries for the lock of `FENCE`.
const FENCE_AGAIN: Duration = Duration::from_millis(2);

/// The lock under which names change.
pub(super) struct Fence {
    file: File,
}

impl Fence {
    /// Opens the file, and makes it where there is none.
    pub fn open(dir: &Path) -> Result<Self> {
        let path = dir.join(FENCE);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(OFlags::NOFOLLOW.bits() as i32)
            .open(&path)
            .map_err(|e| Error::io("cannot open", &path, e))?;
        Ok(Self { file })
    }

    /// Takes the lock if it is free.
    pub fn try_lock(&self) -> io::Result<bool> {
        match flock(&self.file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
            Err(e) => Err(e.into()),
        }
    }

    /// Tries for [`limits::FENCE_WAIT_MS`] at most; whether it has the lock.
    pub fn lock_soon(&self) -> io::Result<bool> {
        let tries = limits::FENCE_WAIT_MS / FENCE_AGAIN.as_millis() as u64;
        for _ in 0..tries {
            if self.try_lock()? {
                return Ok(true);
            }
            std::thread::sleep(FENCE_AGAIN);
        }
        Ok(false)
    }

    pub fn unlock(&self) {
        // It cannot fail for a lock that is held, and closing the file would end it as well.
        let _ = flock(&self.file, FlockOperation::Unlock);
    }
}

/// The right to write to a crawl directory, as long as nobody took it.
pub struct Lease {
    dir: PathBuf,
    /// The file that this process made.
    file: File,
    /// Device and inode of it.
    is: (u64, u64),
    /// Whether others see what is written only after a sync.
    remote: bool,
    record: Mutex<Record>,
    /// One thread at a time changes names; the lock of the file keeps other processes away, not other threads.
    fence: Mutex<Fence>,
    temporaries: AtomicU64,
    lost: OnceLock<String>,
}

/// While it lives, names in the directory may change.
pub struct Names<'a>(MutexGuard<'a, Fence>);

impl Drop for Names<'_> {
    fn drop(&mut self) {
        self.0.unlock();
    }
}

impl Lease {
    /// Begins a term: from here on the holder before finds that it is one no more. The lock of `fence` is held.
    pub(super) fn begin(dir: &Path, fence: Fence, record: Record, remote: bool) -> Result<Self> {
        let path = dir.join(LEASE);
        let failed = |e| Error::io("cannot write", &path, e);
        let new = dir.join(format!("{UNFINISHED}{}-lease", record.term));
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&new)
            .map_err(failed)?;
        file.write_all(&record.encode())
            .and_then(|()| file.sync_all())
            .and_then(|()| std::fs::rename(&new, &path))
            .and_then(|()| File::open(dir)?.sync_all())
            .map_err(failed)?;
        let meta = file.metadata().map_err(failed)?;
        Ok(Self {
            dir: dir.to_owned(),
            is: (meta.dev(), meta.ino()),
            file,
            remote,
            record: Mutex::new(record),
            fence: Mutex::new(fence),
            temporaries: AtomicU64::new(0),
            lost: OnceLock::new(),
        })
    }

    /// Its number.
    pub fn term(&self) -> u32 {
        self.record().term
    }

    /// Ends the beginning: all files of the holder before are replaced. Lets go of the lock of `FENCE`.
    pub(super) fn settle(&self) -> Result<()> {
        self.write(|record| (record.state, record.beat) = (State::Held, record.beat + 1))?;
        let fence = self.fence.lock().unwrap_or_else(PoisonError::into_inner);
        fence.unlock();
        Ok(())
    }

    /// A sign of life, and a look whether it is still held.
    ///
    /// # Errors
    /// If another process took over, or the file cannot be written.
    pub fn renew(&self) -> Result<()> {
        self.write(|record| record.beat += 1)?;
        self.confirm()
    }

    /// Whether it is still held.
    ///
    /// # Errors
    /// If another process took over, or that cannot be told.
    pub fn confirm(&self) -> Result<()> {
        self.look().map_err(|e| match self.lost() {
            Some(lost) => lost,
            None => Error::io("cannot look at", self.dir.join(LEASE), e),
        })
    }

    /// The error that ends a process which lost its lease.
    pub fn lost(&self) -> Option<Error> {
        self.lost.get().cloned().map(Error::environment)
    }

    /// Gives it back; nothing is written by this process after that. Nothing happens where it was lost.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn release(&self, ending: Ending) -> Result<()> {
        self.confirm()?;
        self.write(|record| (record.state, record.beat) = (State::Ended(ending), record.beat + 1))
    }

    /// The right to make, rename and remove names, until the answer is dropped. To be held for a moment only: who is
    /// stopped while it has it cannot be followed by anybody.
    ///
    /// # Errors
    /// If another process took over.
    pub fn hold_names(&self) -> io::Result<Names<'_>> {
        let fence = self.fence.lock().unwrap_or_else(PoisonError::into_inner);
        while !fence.try_lock()? {
            // Whoever takes over has the lock for longer, but has said so before.
            self.look()?;
            std::thread::sleep(FENCE_AGAIN);
        }
        let names = Names(fence);
        self.look()?;
        Ok(names)
    }

    /// Where a file lies until it is whole; no other process and no other call has this name.
    pub fn temporary(&self) -> String {
        let n = self.temporaries.fetch_add(1, Ordering::Relaxed);
        format!("{UNFINISHED}{}-{n}", self.term())
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, change: impl FnOnce(&mut Record)) -> Result<()> {
        let mut record = self.record();
        change(&mut record);
        self.file
            .write_all_at(&record.encode(), 0)
            .and_then(|()| match self.remote {
                true => self.file.sync_data(),
                false => Ok(()),
            })
            .map_err(|e| Error::io("cannot renew", self.dir.join(LEASE), e))
    }

    /// [`Lease::confirm`] for those who do files.
    ///
    /// # Errors
    /// The same.
    pub fn look(&self) -> io::Result<()> {
        if let Some(lost) = self.lost.get() {
            return Err(io::Error::other(lost.clone()));
        }
        let there = File::open(self.dir.join(LEASE)).and_then(|file| file.metadata());
        let why = match there {
            Ok(meta) if (meta.dev(), meta.ino()) == self.is => return Ok(()),
            Ok(_) => self.who_took_over(),
            Err(e) if e.kind() == io::ErrorKind::NotFound => format!(
                "somebody removed LEASE from {}; this process ends, since it cannot tell whether another one took over; \
                 the same command goes on from the last checkpoint",
                self.dir.display()
            ),
            Err(e) => return Err(e),
        };
        let lost = self.lost.get_or_init(|| why);
        Err(io::Error::other(lost.clone()))
    }

    fn who_took_over(&self) -> String {
        let who = match peek(&self.dir) {
            Ok(Some(record)) => format!(" ({}, term {})", record.holder(), record.term),
            _ => String::new(),
        };
        format!(
            "another process took over {}{who}; this one, term {}, was silent for too long, and ends without writing \
             anything more",
            self.dir.display(),
            self.term()
        )
    }
}
