//! A plain file that the store appends to.
//!
//! What must hold:
//! * all handles of one file share one open file description, so that a write-back error is seen by whichever of them
//!   syncs (the kernel reports it once a description);
//! * after a failed sync the file is poisoned for all its handles: the kernel then calls lost pages clean;
//! * short writes are continued, errors are returned and never retried.
//!
//! Deliberately absent: buffering, and `O_APPEND` (with it Linux ignores the offset of a `pwrite`).

use crate::disk::DiskFile;
use rustix::fs::{Advice, fadvise, fdatasync};
use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice};
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Most parts that one system call takes (`IOV_MAX` of Linux).
const PARTS_MAX: usize = 1_024;

/// An open plain file.
pub struct PlainFile {
    file: File,
    /// Shared by the twins, so that the one that syncs knows the length.
    len: Arc<AtomicU64>,
    poisoned: Arc<AtomicBool>,
}

impl PlainFile {
    /// Creates `path`, which must not exist. The directory entry is not durable until the directory is synced.
    pub fn create(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(path)?;
        Ok(Self {
            file,
            len: Arc::default(),
            poisoned: Arc::default(),
        })
    }

    /// Opens the existing file `path`.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::from_file(OpenOptions::new().read(true).write(true).open(path)?)
    }

    /// Takes a file that is open for reading and writing.
    ///
    /// # Errors
    /// If it is no regular file.
    pub fn from_file(file: File) -> io::Result<Self> {
        let meta = file.metadata()?;
        if !meta.is_file() {
            return Err(io::Error::other("not a regular file"));
        }
        Ok(Self {
            file,
            len: Arc::new(AtomicU64::new(meta.len())),
            poisoned: Arc::default(),
        })
    }

    fn check(&self) -> io::Result<()> {
        if self.poisoned.load(Ordering::Acquire) {
            return Err(io::Error::other(
                "an earlier sync of this file failed, its content is not to be trusted",
            ));
        }
        Ok(())
    }

    fn poison<T>(&self, result: io::Result<T>) -> io::Result<T> {
        result.inspect_err(|_| self.poisoned.store(true, Ordering::Release))
    }

    /// Writes parts that one system call takes; returns how many bytes.
    fn write_some(&mut self, offset: u64, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let total: usize = parts.iter().map(|p| p.len()).sum();
        let mut done = 0;
        while done == 0 && total > 0 {
            done = match rustix::io::pwritev(&self.file, parts, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => n,
                Err(rustix::io::Errno::INTR) => 0,
                Err(e) => return Err(e.into()),
            };
        }
        // A short write: the rest part by part.
        let mut before = 0;
        for part in parts {
            let end = before + part.len();
            if end > done {
                let from = done.max(before);
                self.file
                    .write_all_at(&part[from - before..], offset + from as u64)?;
            }
            before = end;
        }
        Ok(total)
    }
}

/// Begins write-back of a range; a hint, no promise. `POSIX_FADV_DONTNEED` does that on Linux and drops what of the
/// range is clean: right for files that are only appended to. (`sync_file_range` has no safe wrapper among the
/// dependencies.)
pub fn begin_writeback(file: &File, offset: u64, len: u64) -> io::Result<()> {
    match NonZeroU64::new(len) {
        Some(len) => Ok(fadvise(file, offset, Some(len), Advice::DontNeed)?),
        None => Ok(()),
    }
}

impl DiskFile for PlainFile {
    fn len(&self) -> u64 {
        self.len.load(Ordering::Acquire)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.check()?;
        self.file.write_all_at(bytes, offset)?;
        self.len
            .fetch_max(offset + bytes.len() as u64, Ordering::AcqRel);
        Ok(())
    }

    fn write_vectored_at(&mut self, offset: u64, parts: &[IoSlice<'_>]) -> io::Result<()> {
        self.check()?;
        let mut at = offset;
        for parts in parts.chunks(PARTS_MAX) {
            at += self.write_some(at, parts)? as u64;
            self.len.fetch_max(at, Ordering::AcqRel);
        }
        Ok(())
    }

    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(bytes, offset)
    }

    fn start_writeback(&self, offset: u64, len: u64) -> io::Result<()> {
        begin_writeback(&self.file, offset, len)
    }

    /// The range is ignored: `fdatasync` covers the file.
    fn sync_range(&mut self, _offset: u64, _len: u64) -> io::Result<()> {
        self.check()?;
        self.poison(fdatasync(&self.file).map_err(Into::into))
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.check()?;
        self.file.set_len(len)?;
        self.len.store(len, Ordering::Release);
        self.poison(self.file.sync_all())
    }

    fn twin(&self) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(Self {
            file: self.file.try_clone()?,
            len: Arc::clone(&self.len),
            poisoned: Arc::clone(&self.poisoned),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectored_writes_land_in_order_and_twins_see_them() {
        let dir = tempfile::tempdir().expect("a scratch directory");
        let path = dir.path().join("file");
        let mut file = PlainFile::create(&path).expect("create");
        assert!(PlainFile::create(&path).is_err(), "it exists");
        let mut twin = file.twin().expect("twin");
        let parts: Vec<Vec<u8>> = (0..3_000u32)
            .map(|i| i.to_le_bytes().repeat(i as usize % 5))
            .collect();
        let slices: Vec<IoSlice<'_>> = parts.iter().map(|p| IoSlice::new(p)).collect();
        file.write_at(0, b"head").expect("write");
        file.write_vectored_at(4, &slices).expect("write");
        let whole = [b"head".to_vec(), parts.concat()].concat();
        assert_eq!(twin.len(), whole.len() as u64);
        let mut back = vec![0; whole.len()];
        twin.read_at(0, &mut back).expect("read");
        assert!(back == whole);
        file.start_writeback(0, 4).expect("write-back");
        twin.sync().expect("sync");
        file.truncate(2).expect("truncate");
        assert_eq!(
            (twin.len(), std::fs::read(&path).expect("read")),
            (2, b"he".to_vec())
        );
        assert!(file.read_at(1, &mut [0; 2]).is_err());
        assert_eq!(PlainFile::open(&path).expect("open").len(), 2);
    }

    #[test]
    fn a_poisoned_file_takes_nothing_more() {
        let dir = tempfile::tempdir().expect("a scratch directory");
        let mut file = PlainFile::create(&dir.path().join("file")).expect("create");
        let mut twin = file.twin().expect("twin");
        let failed = file.poison::<()>(Err(io::ErrorKind::StorageFull.into()));
        assert!(failed.is_err() && twin.sync().is_err());
        assert!(file.write_at(0, b"x").is_err() && file.truncate(0).is_err());
    }
}
