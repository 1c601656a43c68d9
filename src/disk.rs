//! The durable medium as the store and the checkpointer see it.
//!
//! What must hold: a name that [`Disk::create`] returned survives a crash; bytes survive only after a sync that covers
//! them returned success; after any failed sync the file is not to be trusted again. The real disk is
//! [`crate::checkpoint::mapping`] for mapped files and [`crate::store::plain`] for plain ones; the simulator has one that tears, drops and reorders.
//! Deliberately absent: reading through a map, renames, and any retry.

use std::io::{self, Cursor, IoSlice, Read};

/// The file that makes a directory that of a crawl; the first to be made.
pub const CRAWL_FILE: &str = "manifest";

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Appended to by the store with plain writes; grows.
    Append,
    /// Stored to through a shared map; its whole length is allocated beforehand (a sparse file under a map dies of
    /// SIGBUS on a full disk).
    Mapped,
}

/// A directory of files.
pub trait Disk: Send + Sync {
    /// Creates `name` with `len` allocated bytes (zeros; 0 for [`Access::Append`]), fails if it exists.
    /// File and directory entry are durable on return.
    fn create(&self, name: &str, access: Access, len: u64) -> io::Result<Box<dyn DiskFile>>;
    /// Opens an existing file for writing.
    fn open(&self, name: &str, access: Access) -> io::Result<Box<dyn DiskFile>>;
    /// Reads a whole file. Used at restore only.
    fn read(&self, name: &str) -> io::Result<Vec<u8>>;
    /// A file to be read from its start, once, and its length. Used at restore and for compaction.
    fn reader(&self, name: &str) -> io::Result<(Box<dyn Read + Send>, u64)> {
        let bytes = self.read(name)?;
        let len = bytes.len() as u64;
        Ok((Box::new(Cursor::new(bytes)), len))
    }
    /// Length of a file, `None` where there is none.
    fn len(&self, name: &str) -> io::Result<Option<u64>>;
    /// Removes a file; durable on return.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Names of all files, sorted.
    fn list(&self) -> io::Result<Vec<String>>;
}

/// An open file.
pub trait DiskFile: Send {
    /// Current length, bytes.
    fn len(&self) -> u64;
    /// Whether it is empty.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Writes all of `bytes` at `offset`; a mapped file must be long enough, a plain one grows.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Writes all of `parts` one after the other from `offset`.
    fn write_vectored_at(&mut self, offset: u64, parts: &[IoSlice<'_>]) -> io::Result<()> {
        let mut at = offset;
        for part in parts {
            self.write_at(at, part)?;
            at += part.len() as u64;
        }
        Ok(())
    }
    /// Fills `bytes` from `offset`.
    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()>;
    /// Asks the system to begin writing a range back; no promise.
    fn start_writeback(&self, offset: u64, len: u64) -> io::Result<()>;
    /// Makes a range durable, length included.
    fn sync_range(&mut self, offset: u64, len: u64) -> io::Result<()>;
    /// Makes everything durable.
    fn sync(&mut self) -> io::Result<()> {
        self.sync_range(0, self.len())
    }
    /// Cuts a plain file to `len`; durable on return. Mapped files are never cut.
    fn truncate(&mut self, len: u64) -> io::Result<()>;
    /// A second handle for syncing from another thread; shares the file, not the position.
    fn twin(&self) -> io::Result<Box<dyn DiskFile>>;
}
