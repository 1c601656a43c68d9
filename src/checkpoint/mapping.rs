//! Files of the real disk that are stored to through a shared map, and the directory that holds them.
//!
//! What must hold:
//! * a mapped file is allocated whole, zero-filled and durable with its name before it is mapped; it is never sparse (a
//!   store to a hole dies of SIGBUS on a full disk), never truncated, and unlinked only after its map is gone;
//! * nobody ever holds a reference into a map: bytes are copied in through the raw pointer, read back with `pread`;
//! * one handle stores, its twins only sync; the crawl directory's [`super::lease`] keeps other processes away: a disk
//!   that has one makes, opens for writing, and removes only while it is held;
//! * after a failed sync the file is poisoned: the kernel may have marked its pages clean without writing them, so every
//!   later store or sync fails.
//!
//! On copy-on-write file systems an allocation is no guarantee for later stores; there a full disk can still kill the
//! process, and the restore then starts from the last checkpoint.
//!
//! The only file with `unsafe` for maps, and the only one that names `memmap2`.

use super::lease::Lease;
use crate::disk::{Access, Disk, DiskFile};
use crate::error::{Error, Result};
use crate::store::plain::{PlainFile, begin_writeback};
use memmap2::{MmapOptions, MmapRaw};
use rustix::fs::{FallocateFlags, OFlags};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Zeros written at a time where the file system cannot allocate.
const ZEROS_BYTES: usize = 1 << 20;
/// `f_type` of file systems that live in memory (`statfs(2)`): tmpfs and ramfs.
const VOLATILE_TYPES: [u64; 2] = [0x0102_1994, 0x8584_58f6];

/// A directory of the real file system.
pub struct DirDisk {
    path: PathBuf,
    dir: File,
    lease: Option<Arc<Lease>>,
}

impl DirDisk {
    /// Opens the directory and makes it where there is none (mode 0700: it will hold the crawl's key).
    ///
    /// # Errors
    /// If it cannot be made, opened or synced.
    pub fn open(path: &Path) -> Result<Self> {
        if !path.exists() {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(path)
                .map_err(|e| Error::io("cannot make the directory", path, e))?;
            let parent = path.parent().filter(|p| !p.as_os_str().is_empty());
            File::open(parent.unwrap_or(Path::new(".")))
                .and_then(|dir| dir.sync_all())
                .map_err(|e| Error::io("cannot sync the directory above", path, e))?;
        }
        Self::existing(path)
    }

    /// Opens a directory that must exist; for commands that only look.
    ///
    /// # Errors
    /// If it is not there or no directory.
    pub fn existing(path: &Path) -> Result<Self> {
        let dir = OpenOptions::new()
            .read(true)
            .custom_flags(OFlags::DIRECTORY.bits() as i32)
            .open(path)
            .map_err(|e| Error::io("cannot open the directory", path, e))?;
        Ok(Self {
            path: path.to_owned(),
            dir,
            lease: None,
        })
    }

    /// The same directory for the holder of `lease`.
    pub fn held_by(self, lease: Arc<Lease>) -> Self {
        Self {
            lease: Some(lease),
            ..self
        }
    }

    /// Gives the whole file at `new` the name `path`, which must be free.
    fn settle(&self, new: &Path, path: &Path) -> io::Result<()> {
        let Some(lease) = &self.lease else {
            return Ok(()); // it has been made under its name
        };
        let _names = lease.hold_names()?;
        match std::fs::symlink_metadata(path) {
            Ok(_) => Err(ErrorKind::AlreadyExists.into()),
            Err(e) if e.kind() == ErrorKind::NotFound => std::fs::rename(new, path),
            Err(e) => Err(e),
        }
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the directory lives in memory only, so that no checkpoint outlives the machine.
    pub fn volatile(&self) -> bool {
        rustix::fs::fstatfs(&self.dir)
            .is_ok_and(|fs| VOLATILE_TYPES.contains(&((fs.f_type as u64) & 0xffff_ffff)))
    }

    /// Where `name` lies. Names are plain: nothing outside the directory can be reached.
    fn at(&self, name: &str) -> io::Result<PathBuf> {
        if name.is_empty() || name.starts_with('.') || name.contains(['/', '\0']) {
            return Err(io::Error::new(ErrorKind::InvalidInput, "not a file name"));
        }
        Ok(self.path.join(name))
    }
}

/// Options that all files are opened with: no link is followed, and only the owner may read.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .mode(0o600)
        .custom_flags(OFlags::NOFOLLOW.bits() as i32);
    options
}

impl Disk for DirDisk {
    fn create(&self, name: &str, access: Access, len: u64) -> io::Result<Box<dyn DiskFile>> {
        let path = self.at(name)?;
        let new = match &self.lease {
            Some(lease) => self.path.join(lease.temporary()),
            None => path.clone(),
        };
        let file = options().write(true).create_new(true).open(&new)?;
        let made = (|| {
            if len > 0 {
                allocate(&file, len)?;
            }
            file.sync_all()?;
            self.settle(&new, &path)?;
            self.dir.sync_all()?;
            wrap(file, access)
        })();
        if made.is_err() {
            let _ = std::fs::remove_file(&new); // the first error is the one that counts
        }
        made
    }

    fn open(&self, name: &str, access: Access) -> io::Result<Box<dyn DiskFile>> {
        let file = options().write(true).open(self.at(name)?)?;
        if let Some(lease) = &self.lease {
            // After the opening: a file that was still ours then is replaced before another one uses it.
            lease.look()?;
        }
        if access == Access::Mapped {
            allocate_holes(&file, file.metadata()?.len())?;
        }
        wrap(file, access)
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        use std::io::Read;
        let mut file = options().open(self.at(name)?)?;
        let mut bytes = Vec::with_capacity(file.metadata()?.len() as usize);
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn reader(&self, name: &str) -> io::Result<(Box<dyn std::io::Read + Send>, u64)> {
        let file = options().open(self.at(name)?)?;
        let len = file.metadata()?.len();
        Ok((Box::new(file), len))
    }

    fn len(&self, name: &str) -> io::Result<Option<u64>> {
        match std::fs::symlink_metadata(self.at(name)?) {
            Ok(meta) => Ok(Some(meta.len())),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        {
            let _names = match &self.lease {
                Some(lease) => Some(lease.hold_names()?),
                None => None,
            };
            std::fs::remove_file(self.at(name)?)?;
        }
        self.dir.sync_all()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.path)? {
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name); // a name that is not UTF-8 is none of ours
            }
        }
        names.sort();
        Ok(names)
    }
}

/// Allocates `len` bytes of zeros, never sparse.
fn allocate(file: &File, len: u64) -> io::Result<()> {
    match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, len) {
        Err(rustix::io::Errno::OPNOTSUPP) => write_zeros(file, len),
        Err(e) => Err(e.into()),
        Ok(()) => Ok(()),
    }
}

/// Makes sure that no page of the file is a hole, as it may be in a directory that was copied. Content stays as it is.
fn allocate_holes(file: &File, len: u64) -> io::Result<()> {
    match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, len) {
        Err(rustix::io::Errno::OPNOTSUPP) => Ok(()), // then it was written with zeros when it was made
        Err(e) => Err(e.into()),
        Ok(()) => Ok(()),
    }
}

fn write_zeros(file: &File, len: u64) -> io::Result<()> {
    let zeros = vec![0; ZEROS_BYTES.min(len as usize)];
    let mut at = 0;
    while at < len {
        let n = zeros.len().min((len - at) as usize);
        file.write_all_at(&zeros[..n], at)?;
        at += n as u64;
    }
    Ok(())
}

fn wrap(file: File, access: Access) -> io::Result<Box<dyn DiskFile>> {
    Ok(match access {
        Access::Append => Box::new(PlainFile::from_file(file)?),
        Access::Mapped => Box::new(MappedFile::new(file)?),
    })
}

/// What the handles of one mapped file share.
struct Shared {
    map: MmapRaw,
    file: File,
    poisoned: AtomicBool,
}

/// A file whose stores go through a shared map.
struct MappedFile {
    shared: Arc<Shared>,
    twin: bool,
}

impl MappedFile {
    fn new(file: File) -> io::Result<Self> {
        let meta = file.metadata()?;
        if meta.len() == 0 {
            return Err(io::Error::new(ErrorKind::InvalidData, "the file is empty"));
        }
        let map = MmapOptions::new().len(meta.len() as usize).map_raw(&file)?;
        Ok(Self {
            shared: Arc::new(Shared {
                map,
                file,
                poisoned: AtomicBool::new(false),
            }),
            twin: false,
        })
    }

    fn check(&self, offset: u64, len: u64) -> io::Result<()> {
        if self.shared.poisoned.load(Ordering::Acquire) {
            return Err(io::Error::other(
                "an earlier sync of this file failed, its content is not to be trusted",
            ));
        }
        if offset
            .checked_add(len)
            .is_none_or(|end| end > self.shared.map.len() as u64)
        {
            return Err(io::Error::new(
                ErrorKind::InvalidInput,
                "beyond the end of a mapped file",
            ));
        }
        Ok(())
    }
}

impl DiskFile for MappedFile {
    fn len(&self) -> u64 {
        self.shared.map.len() as u64
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.check(offset, bytes.len() as u64)?;
        if self.twin {
            return Err(io::Error::new(
                ErrorKind::PermissionDenied,
                "a twin only syncs",
            ));
        }
        // SAFETY: `check` keeps the range inside the map, which lives as long as `shared`. No reference into the map
        // exists anywhere (this file hands none out), so `bytes` cannot overlap it and no one observes the copy; twins
        // never store, so `&mut self` makes this the only writer. Every page is allocated and the file is never
        // truncated while mapped, so the stores reach memory.
        unsafe {
            std::ptr::copy_nonoverlapping(
                bytes.as_ptr(),
                self.shared.map.as_mut_ptr().add(offset as usize),
                bytes.len(),
            );
        }
        Ok(())
    }

    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.shared.file.read_exact_at(bytes, offset)
    }

    fn start_writeback(&self, offset: u64, len: u64) -> io::Result<()> {
        self.check(offset, len)?;
        begin_writeback(&self.shared.file, offset, len)
    }

    fn sync_range(&mut self, offset: u64, len: u64) -> io::Result<()> {
        self.check(offset, len)?;
        if len == 0 {
            return Ok(());
        }
        // msync(MS_SYNC); memmap2 aligns the start down to a page.
        self.shared
            .map
            .flush_range(offset as usize, len as usize)
            .inspect_err(|_| self.shared.poisoned.store(true, Ordering::Release))
    }

    fn truncate(&mut self, _len: u64) -> io::Result<()> {
        Err(io::Error::new(
            ErrorKind::Unsupported,
            "a mapped file is never cut",
        ))
    }

    fn twin(&self) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(MappedFile {
            shared: self.shared.clone(),
            twin: true,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    fn scratch() -> (tempfile::TempDir, DirDisk) {
        let dir = tempfile::tempdir().unwrap();
        let disk = DirDisk::open(dir.path()).unwrap();
        (dir, disk)
    }

    #[test]
    fn a_mapped_file_is_allocated_whole_private_and_readable_after_a_sync() {
        let (dir, disk) = scratch();
        let mut file = disk.create("a.log", Access::Mapped, 1 << 20).unwrap();
        let meta = std::fs::metadata(dir.path().join("a.log")).unwrap();
        assert_eq!(meta.len(), 1 << 20);
        assert!(meta.blocks() * 512 >= 1 << 20, "sparse");
        assert_eq!(meta.permissions().mode() & 0o777, 0o600);
        file.write_at(5_000, b"hello").unwrap();
        file.write_at((1 << 20) - 1, b"!").unwrap();
        file.sync_range(5_000, 5).unwrap();
        file.sync().unwrap();
        let mut back = [0; 5];
        file.read_at(5_000, &mut back).unwrap();
        assert_eq!(&back, b"hello");
        let whole = disk.read("a.log").unwrap();
        assert_eq!(
            (&whole[5_000..5_005], whole[(1 << 20) - 1]),
            (&b"hello"[..], b'!')
        );
        assert_eq!(disk.len("a.log").unwrap(), Some(1 << 20));
        assert_eq!(disk.len("b.log").unwrap(), None);
    }

    #[test]
    fn stores_beyond_the_end_and_through_twins_are_refused() {
        let (_dir, disk) = scratch();
        let mut file = disk.create("a.log", Access::Mapped, 4096).unwrap();
        assert!(file.write_at(4_095, b"ab").is_err());
        assert!(file.write_at(u64::MAX, b"a").is_err());
        let mut twin = file.twin().unwrap();
        assert!(twin.write_at(0, b"a").is_err());
        twin.sync().unwrap();
        assert!(file.truncate(0).is_err());
    }

    #[test]
    fn a_poisoned_file_takes_nothing_more() {
        let (_dir, disk) = scratch();
        let file = options()
            .write(true)
            .create_new(true)
            .open(disk.at("a.log").unwrap())
            .unwrap();
        allocate(&file, 4096).unwrap();
        let mut mapped = MappedFile::new(file).unwrap();
        let mut twin = mapped.twin().unwrap();
        mapped.shared.poisoned.store(true, Ordering::Release);
        assert!(mapped.write_at(0, b"a").is_err());
        assert!(mapped.sync().is_err());
        assert!(twin.sync().is_err());
    }

    #[test]
    fn names_stay_inside_the_directory_and_links_are_not_followed() {
        let (dir, disk) = scratch();
        for name in ["", "..", "../x", "a/b", ".hidden", "a\0b"] {
            assert!(disk.create(name, Access::Mapped, 4096).is_err(), "{name:?}");
        }
        std::fs::write(dir.path().join("target"), b"secret").unwrap();
        std::os::unix::fs::symlink("target", dir.path().join("link")).unwrap();
        assert!(disk.read("link").is_err());
        assert!(disk.open("link", Access::Append).is_err());
        assert!(disk.create("target", Access::Append, 0).is_err());
    }

    #[test]
    fn the_fallback_writes_every_byte() {
        let (_dir, disk) = scratch();
        let file = options()
            .write(true)
            .create_new(true)
            .open(disk.at("z").unwrap())
            .unwrap();
        write_zeros(&file, ZEROS_BYTES as u64 + 4096).unwrap();
        let meta = file.metadata().unwrap();
        assert_eq!(meta.len(), ZEROS_BYTES as u64 + 4096);
        assert!(meta.blocks() * 512 >= meta.len());
    }
}
