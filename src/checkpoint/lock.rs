//! One process per crawl directory.
//!
//! What must hold: the lock is the kernel's (`flock(2)`) and ends with the process, however that ends; it counts only on
//! the file that the name leads to. The file is never removed. It is replaced only by one that is locked already, when a
//! process takes over from one that holds on to the lock without a sign of life ([`super::lease`]). The process number
//! in it is for people only.

use crate::error::{Error, Result};
use rustix::fs::{FlockOperation, OFlags};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

/// Name of the file.
pub const LOCK: &str = "LOCK";

/// The right to write to a crawl directory, held until dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of `dir`, without waiting.
    ///
    /// # Errors
    /// If another process holds it (the message names the directory and the process), or the file cannot be made.
    pub fn acquire(dir: &Path) -> Result<Self> {
        Self::try_acquire(dir)?.map_err(|holder| Self::held(dir, holder))
    }

    /// The same, with the number of the process that holds it as an answer, where it can be read.
    pub(super) fn try_acquire(dir: &Path) -> Result<std::result::Result<Self, Option<u32>>> {
        let path = dir.join(LOCK);
        loop {
            let mut file = open(&path).map_err(|e| Error::io("cannot open", &path, e))?;
            if !lock(&file).map_err(|e| Error::io("cannot lock", &path, e))? {
                return Ok(Err(number(&mut file)));
            }
            if is_at(&file, &path) {
                sign(&mut file).map_err(|e| Error::io("cannot write", &path, e))?;
                return Ok(Ok(Self { _file: file }));
            }
        }
    }

    /// Puts a locked file in the place of one that somebody else has locked. `temporary` is a name that nobody else uses.
    pub(super) fn replace(dir: &Path, temporary: &str) -> Result<Self> {
        let (path, new) = (dir.join(LOCK), dir.join(temporary));
        let made = (|| {
            let mut file = open(&new)?;
            if !lock(&file)? {
                return Err(io::Error::other("a new file is locked by somebody else"));
            }
            sign(&mut file)?;
            std::fs::rename(&new, &path)?;
            Ok(Self { _file: file })
        })();
        made.map_err(|e| Error::io("cannot replace", &path, e))
    }

    /// What a process is told that wants a directory which `holder` has.
    pub(super) fn held(dir: &Path, holder: Option<u32>) -> Error {
        let holder = match holder {
            Some(pid) => format!("process {pid}"),
            None => "another process".into(),
        };
        Error::environment(format!(
            "{} is in use by {holder}; wait until it ends (--standby does, and goes on after it), or name another \
             directory with --dir",
            dir.display()
        ))
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(OFlags::NOFOLLOW.bits() as i32)
        .open(path)
}

/// Whether it was free.
fn lock(file: &File) -> io::Result<bool> {
    match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

/// Whether `path` still leads to `file`.
fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), std::fs::symlink_metadata(path)) {
        (Ok(mine), Ok(there)) => (mine.dev(), mine.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

fn sign(file: &mut File) -> io::Result<()> {
    let pid = format!("{}\n", std::process::id());
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(pid.as_bytes())
}

fn number(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_told_who_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let first = Lock::acquire(dir.path()).unwrap();
        // A second open file description is what another process would have.
        let message = Lock::acquire(dir.path()).unwrap_err().to_string();
        assert!(
            message.contains(&dir.path().display().to_string()),
            "{message}"
        );
        assert!(
            message.contains(&format!("process {}", std::process::id())),
            "{message}"
        );
        drop(first);
        Lock::acquire(dir.path()).unwrap();
    }

    #[test]
    fn a_replaced_lock_is_held_by_who_replaced_it() {
        let dir = tempfile::tempdir().unwrap();
        let old = Lock::acquire(dir.path()).unwrap();
        let new = Lock::replace(dir.path(), ".new-1-lock").unwrap();
        assert!(Lock::acquire(dir.path()).is_err());
        drop(old);
        assert!(
            Lock::acquire(dir.path()).is_err(),
            "the old one is of no name"
        );
        drop(new);
        Lock::acquire(dir.path()).unwrap();
    }
}
