//! A plain file that the store appends to.
//!
//! What must hold: all handles of one file share one open file description, so that a write-back error is seen by
//! whichever of them syncs (the kernel reports it once a description). Short writes are continued, errors are returned
//! and never retried. Deliberately absent: buffering, and `O_APPEND` (with it Linux ignores the offset of a `pwrite`).

use crate::disk::DiskFile;
use rustix::fs::{Advice, fadvise, fdatasync};
use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice};
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Most parts that one system call takes (`IOV_MAX` of Linux).
const PARTS_MAX: usize = 1_024;

/// An open plain file.
pub struct PlainFile {
    file: File,
    /// Shared by the twins, so that the one that syncs knows the length.
    len: Arc<AtomicU64>,
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
        })
    }

    /// Opens the existing file `path`.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let len = file.metadata()?.len();
        Ok(Self {
            file,
            len: Arc::new(AtomicU64::new(len)),
        })
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

impl DiskFile for PlainFile {
    fn len(&self) -> u64 {
        self.len.load(Ordering::Acquire)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)?;
        self.len
            .fetch_max(offset + bytes.len() as u64, Ordering::AcqRel);
        Ok(())
    }

    fn write_vectored_at(&mut self, offset: u64, parts: &[IoSlice<'_>]) -> io::Result<()> {
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

    /// `POSIX_FADV_DONTNEED` begins write-back on Linux and drops what of the range is clean: right for a log that is
    /// only appended to. (`sync_file_range` has no safe wrapper among the dependencies.)
    fn start_writeback(&self, offset: u64, len: u64) -> io::Result<()> {
        match NonZeroU64::new(len) {
            Some(len) => Ok(fadvise(&self.file, offset, Some(len), Advice::DontNeed)?),
            None => Ok(()),
        }
    }

    /// The range is ignored: `fdatasync` covers the file.
    fn sync_range(&mut self, _offset: u64, _len: u64) -> io::Result<()> {
        Ok(fdatasync(&self.file)?)
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.file.set_len(len)?;
        self.len.store(len, Ordering::Release);
        self.file.sync_all()
    }

    fn twin(&self) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(Self {
            file: self.file.try_clone()?,
            len: Arc::clone(&self.len),
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
}
