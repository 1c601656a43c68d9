//! Files of the real disk that grow by plain writes: segments and their indexes.
//!
//! What must hold: after a failed sync the file is poisoned for all its handles (the kernel reports a lost write once and
//! then calls the pages clean); a sync covers the length too. Deliberately absent: a file position.

use crate::disk::DiskFile;
use std::fs::File;
use std::io::{self, IoSlice};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

struct Shared {
    file: File,
    poisoned: AtomicBool,
}

/// A growing file.
pub struct PlainFile {
    shared: Arc<Shared>,
}

impl PlainFile {
    /// Takes an open file.
    ///
    /// # Errors
    /// If it is not a regular file.
    pub fn new(file: File) -> io::Result<Self> {
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("not a regular file"));
        }
        Ok(Self {
            shared: Arc::new(Shared {
                file,
                poisoned: AtomicBool::new(false),
            }),
        })
    }

    fn check(&self) -> io::Result<()> {
        if self.shared.poisoned.load(Ordering::Acquire) {
            return Err(io::Error::other(
                "an earlier sync of this file failed, its content is not to be trusted",
            ));
        }
        Ok(())
    }

    fn poison<T>(&self, result: io::Result<T>) -> io::Result<T> {
        result.inspect_err(|_| self.shared.poisoned.store(true, Ordering::Release))
    }
}

/// Starts write-back of a range (`sync_file_range(2)`, `SYNC_FILE_RANGE_WRITE`). A hint: file systems that do not know
/// it are left alone, and write errors are for the sync to report.
pub(super) fn start_writeback(file: &File, offset: u64, len: u64) -> io::Result<()> {
    // rustix has no sync_file_range; fadvise(DONTNEED) begins write-back of the dirty pages of the range as well
    // (mm/fadvise.c calls filemap_flush_range) and frees those that are clean already, which nobody will read again.
    if let Some(len) = std::num::NonZeroU64::new(len) {
        let _ = rustix::fs::fadvise(file, offset, Some(len), rustix::fs::Advice::DontNeed);
    }
    Ok(())
}

impl DiskFile for PlainFile {
    fn len(&self) -> u64 {
        self.shared.file.metadata().map_or(0, |meta| meta.len())
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.check()?;
        self.shared.file.write_all_at(bytes, offset)
    }

    fn write_vectored_at(&mut self, mut offset: u64, parts: &[IoSlice<'_>]) -> io::Result<()> {
        self.check()?;
        let mut parts = parts.to_vec();
        let mut rest = &mut parts[..];
        IoSlice::advance_slices(&mut rest, 0); // drops empty parts in front
        while !rest.is_empty() {
            match rustix::io::pwritev(&self.shared.file, rest, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    offset += n as u64;
                    IoSlice::advance_slices(&mut rest, n);
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }

    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.shared.file.read_exact_at(bytes, offset)
    }

    fn start_writeback(&self, offset: u64, len: u64) -> io::Result<()> {
        start_writeback(&self.shared.file, offset, len)
    }

    fn sync_range(&mut self, _offset: u64, _len: u64) -> io::Result<()> {
        self.check()?;
        // fdatasync: content and length. There is no call for a range that also covers the length.
        self.poison(self.shared.file.sync_data())
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.check()?;
        self.shared.file.set_len(len)?;
        self.poison(self.shared.file.sync_all())
    }

    fn twin(&self) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(PlainFile {
            shared: self.shared.clone(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch() -> (tempfile::TempDir, PlainFile) {
        let dir = tempfile::tempdir().unwrap();
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(dir.path().join("segment"))
            .unwrap();
        (dir, PlainFile::new(file).unwrap())
    }

    #[test]
    fn parts_land_one_after_the_other() {
        let (_dir, mut file) = scratch();
        let many: Vec<[u8; 3]> = (0..2_000u32)
            .map(|i| [i as u8, (i >> 8) as u8, 7])
            .collect();
        let parts: Vec<IoSlice<'_>> = many
            .iter()
            .flat_map(|part| [IoSlice::new(&[]), IoSlice::new(part)])
            .collect();
        for (i, chunk) in parts.chunks(1_000).enumerate() {
            file.write_vectored_at(i as u64 * 1_500, chunk).unwrap();
        }
        let mut back = vec![0; 6_000];
        file.read_at(0, &mut back).unwrap();
        assert_eq!(back, many.concat());
        file.truncate(10).unwrap();
        assert_eq!(file.twin().unwrap().len(), 10);
    }

    #[test]
    fn a_poisoned_file_takes_nothing_more() {
        let (_dir, mut file) = scratch();
        let mut twin = file.twin().unwrap();
        let _ = file.poison::<()>(Err(io::ErrorKind::StorageFull.into()));
        assert!(
            twin.sync().is_err() && file.write_at(0, b"x").is_err() && file.truncate(0).is_err()
        );
    }
}
