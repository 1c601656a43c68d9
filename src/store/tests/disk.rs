//! A disk over a directory, for appended files only, that can be made to fail.

use crate::disk::{Access, Disk, DiskFile};
use crate::store::plain::PlainFile;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A directory; writes fail once `writes_left` is used up.
pub(super) struct DirDisk {
    dir: PathBuf,
    pub(super) writes_left: Arc<AtomicU64>,
}

struct Failing {
    file: PlainFile,
    writes_left: Arc<AtomicU64>,
}

impl DirDisk {
    pub(super) fn new(dir: &Path) -> Arc<Self> {
        Arc::new(Self {
            dir: dir.to_owned(),
            writes_left: Arc::new(AtomicU64::new(u64::MAX)),
        })
    }

    fn wrap(&self, file: PlainFile) -> Box<dyn DiskFile> {
        Box::new(Failing {
            file,
            writes_left: Arc::clone(&self.writes_left),
        })
    }
}

impl Failing {
    fn spend(&self) -> io::Result<()> {
        if self.writes_left.load(Ordering::Relaxed) == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.writes_left.fetch_sub(1, Ordering::Relaxed);
        Ok(())
    }
}

impl DiskFile for Failing {
    fn len(&self) -> u64 {
        self.file.len()
    }
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.spend()?;
        self.file.write_at(offset, bytes)
    }
    fn write_vectored_at(&mut self, offset: u64, parts: &[IoSlice<'_>]) -> io::Result<()> {
        self.spend()?;
        self.file.write_vectored_at(offset, parts)
    }
    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.file.read_at(offset, bytes)
    }
    fn start_writeback(&self, offset: u64, len: u64) -> io::Result<()> {
        self.file.start_writeback(offset, len)
    }
    fn sync_range(&mut self, offset: u64, len: u64) -> io::Result<()> {
        self.file.sync_range(offset, len)
    }
    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.file.truncate(len)
    }
    fn twin(&self) -> io::Result<Box<dyn DiskFile>> {
        self.file.twin()
    }
}

impl Disk for DirDisk {
    fn create(&self, name: &str, access: Access, _len: u64) -> io::Result<Box<dyn DiskFile>> {
        assert_eq!(access, Access::Append);
        Ok(self.wrap(PlainFile::create(&self.dir.join(name))?))
    }
    fn open(&self, name: &str, access: Access) -> io::Result<Box<dyn DiskFile>> {
        assert_eq!(access, Access::Append);
        Ok(self.wrap(PlainFile::open(&self.dir.join(name))?))
    }
    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        std::fs::read(self.dir.join(name))
    }
    fn len(&self, name: &str) -> io::Result<Option<u64>> {
        match std::fs::metadata(self.dir.join(name)) {
            Ok(m) => Ok(Some(m.len())),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.dir.join(name))
    }
    fn list(&self) -> io::Result<Vec<String>> {
        let mut names: Vec<String> = std::fs::read_dir(&self.dir)?
            .map(|item| Ok(item?.file_name().to_string_lossy().into_owned()))
            .collect::<io::Result<_>>()?;
        names.sort();
        Ok(names)
    }
}
