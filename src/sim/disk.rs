//! A disk that loses power.
//!
//! What must hold:
//! * each file has two contents: what was written and what is durable. A sync of a range makes its 512-byte sectors
//!   durable; creation, removal and cutting are durable when they return, as [`Disk`] promises;
//! * [`SimDisk::after_crash`] decides, by seed, for every sector that was written and not synced, whether it kept its
//!   new content, its old one, a torn mixture, or garbage; for an unsynced growth, how much of it there is; and for a
//!   creation that was interrupted, whether there is a file, and how long;
//! * a failed sync leaves its sectors undecided for ever (the kernel calls such pages clean) and poisons the file;
//! * every call on the disk or on its files is one operation. [`Faults`] stops the power at any of them, or lets any of
//!   them fail; after the power is gone every call fails. What is written at that moment counts as written, not synced.
//!
//! Garbage fills whole sectors of mapped files, whose pages are written whole; of appended files only bytes that were
//! written and not synced ("powersafe overwrite", as SQLite calls it).
//!
//! Deliberately absent: reordering of completed syncs, and bit rot (tests flip bits with [`SimDisk::corrupt`]).

use crate::disk::{Access, Disk, DiskFile};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard};

/// What a device writes at once, bytes.
pub const SECTOR_BYTES: usize = 512;

/// What goes wrong, and when. Operations are counted from 0.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// The power fails at this operation; it and all later ones fail.
    pub power_off_at: Option<u64>,
    /// This operation fails with this error, once.
    pub fail_at: Option<(u64, ErrorKind)>,
    /// All allocations beyond this many bytes fail with [`ErrorKind::StorageFull`].
    pub capacity: Option<u64>,
}

/// What one operation did; for messages of failing tests and for asserting on order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Op {
    /// `create`, `open`, `read`, `len`, `remove`, `list`, `write`, `read_at`, `writeback`, `sync` or `truncate`.
    pub what: &'static str,
    /// The file; empty for `list`.
    pub name: String,
    /// Bytes concerned: offset and length.
    pub range: (u64, u64),
}

/// A simulated directory. Clones are the same disk.
#[derive(Clone)]
pub struct SimDisk {
    world: Arc<Mutex<World>>,
}

struct World {
    seed: u64,
    files: BTreeMap<String, Arc<Mutex<Content>>>,
    faults: Faults,
    log: Vec<Op>,
    off: bool,
    /// A creation that the power failed in.
    half_made: Option<(String, u64)>,
}

struct Content {
    access: Access,
    written: Vec<u8>,
    durable: Vec<u8>,
    /// Sectors of `written` that are not in `durable`.
    dirty: BTreeSet<usize>,
    /// Sectors whose sync failed: undecided until they are written and the file is made anew.
    lost: BTreeSet<usize>,
    poisoned: bool,
}

/// Decides what survives; SplitMix64 (Steele, Lea, Flood 2014).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.roll() % n
    }
}

impl SimDisk {
    /// An empty disk without faults.
    pub fn new(seed: u64) -> Self {
        Self {
            world: Arc::new(Mutex::new(World {
                seed,
                files: BTreeMap::new(),
                faults: Faults::default(),
                log: Vec::new(),
                off: false,
                half_made: None,
            })),
        }
    }

    /// Sets what goes wrong from now on; operation numbers go on counting.
    pub fn set_faults(&self, faults: Faults) {
        self.world().faults = faults;
    }

    /// Operations so far.
    pub fn ops(&self) -> u64 {
        self.world().log.len() as u64
    }

    /// What they were.
    pub fn log(&self) -> Vec<Op> {
        self.world().log.clone()
    }

    /// The disk as a machine finds it that starts after the power failed now. One `seed`, one outcome: seed 0 loses all
    /// that was not synced, seed 1 keeps all that was written (as when only the process died), others decide sector by
    /// sector. `self` stays as it is, so many outcomes of one crash can be looked at.
    pub fn after_crash(&self, seed: u64) -> SimDisk {
        let world = self.world();
        let mut dice = Dice(world.seed ^ seed.wrapping_mul(0xd6e8_feb8_6659_fd93));
        let mut files = BTreeMap::new();
        for (name, content) in &world.files {
            let content = lock(content);
            let survived = content.survive(seed, &mut dice);
            files.insert(name.clone(), Arc::new(Mutex::new(survived)));
        }
        if let Some((name, len)) = &world.half_made {
            let len = match (seed, dice.below(3)) {
                (0, _) | (_, 0) => None,
                (_, 1) => Some(0),
                _ => Some(*len),
            };
            if let Some(len) = len {
                let content = Content::new(Access::Mapped, vec![0; len as usize]);
                files.insert(name.clone(), Arc::new(Mutex::new(content)));
            }
        }
        let disk = SimDisk::new(world.seed.wrapping_add(seed));
        disk.world().files = files;
        disk
    }

    /// Flips the bits of `mask` in one byte of a file, in what is written and what is durable; no operation.
    ///
    /// # Panics
    /// If there is no such byte.
    pub fn corrupt(&self, name: &str, offset: u64, mask: u8) {
        let content = self.world().files[name].clone();
        let mut content = lock(&content);
        content.written[offset as usize] ^= mask;
        content.durable[offset as usize] ^= mask;
    }

    /// What was written to a file so far; no operation.
    pub fn peek(&self, name: &str) -> Option<Vec<u8>> {
        let content = self.world().files.get(name).cloned()?;
        let bytes = lock(&content).written.clone();
        Some(bytes)
    }

    fn world(&self) -> MutexGuard<'_, World> {
        lock(&self.world)
    }

    fn find(&self, name: &str) -> io::Result<Arc<Mutex<Content>>> {
        let found = self.world().files.get(name).cloned();
        found.ok_or_else(|| io::Error::new(ErrorKind::NotFound, "no such file"))
    }

    fn file(&self, name: &str, content: Arc<Mutex<Content>>, twin: bool) -> Box<dyn DiskFile> {
        Box::new(SimFile {
            disk: self.clone(),
            name: name.to_owned(),
            content,
            twin,
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// How an operation that is about to happen ends.
enum Fate {
    Succeeds,
    /// The power fails in the middle of it.
    PowerFails,
    Fails(ErrorKind),
}

fn no_power() -> io::Error {
    io::Error::other("the power is off")
}

impl World {
    fn op(&mut self, what: &'static str, name: &str, range: (u64, u64)) -> io::Result<Fate> {
        if self.off {
            return Err(no_power());
        }
        let number = self.log.len() as u64;
        self.log.push(Op {
            what,
            name: name.to_owned(),
            range,
        });
        if self.faults.power_off_at == Some(number) {
            self.off = true;
            return Ok(Fate::PowerFails);
        }
        match self.faults.fail_at {
            Some((at, kind)) if at == number => Ok(Fate::Fails(kind)),
            _ => Ok(Fate::Succeeds),
        }
    }

    /// An operation that has no middle.
    fn simple(&mut self, what: &'static str, name: &str, range: (u64, u64)) -> io::Result<()> {
        match self.op(what, name, range)? {
            Fate::Succeeds => Ok(()),
            Fate::PowerFails => Err(no_power()),
            Fate::Fails(kind) => Err(kind.into()),
        }
    }

    fn allocate(&self, more: u64) -> io::Result<()> {
        let used: u64 = self
            .files
            .values()
            .map(|content| lock(content).written.len() as u64)
            .sum();
        match self.faults.capacity {
            Some(capacity) if used + more > capacity => Err(ErrorKind::StorageFull.into()),
            _ => Ok(()),
        }
    }
}

impl Content {
    fn new(access: Access, bytes: Vec<u8>) -> Self {
        Self {
            access,
            durable: bytes.clone(),
            written: bytes,
            dirty: BTreeSet::new(),
            lost: BTreeSet::new(),
            poisoned: false,
        }
    }

    fn usable(&self) -> io::Result<()> {
        if self.poisoned {
            return Err(io::Error::other("an earlier sync of this file failed"));
        }
        Ok(())
    }

    fn write(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        if self.written.len() < end {
            self.written.resize(end, 0);
        }
        self.written[offset..end].copy_from_slice(bytes);
        self.dirty.extend(sectors(offset, end));
    }

    fn sync(&mut self, from: usize, to: usize) {
        self.durable.resize(self.written.len(), 0);
        for sector in sectors(from, to.min(self.written.len())) {
            if !self.lost.contains(&sector) && self.dirty.remove(&sector) {
                let range = self.range(sector);
                self.durable[range.clone()].copy_from_slice(&self.written[range]);
            }
        }
    }

    /// The sync of a range failed: its pages look clean now, and nobody knows what the device holds.
    fn lose(&mut self, from: usize, to: usize) {
        let range: Vec<usize> = self.dirty.range(from / SECTOR_BYTES..).copied().collect();
        let end = to.div_ceil(SECTOR_BYTES);
        self.lost.extend(range.into_iter().filter(|s| *s < end));
        self.poisoned = true;
    }

    fn range(&self, sector: usize) -> std::ops::Range<usize> {
        let from = sector * SECTOR_BYTES;
        from.min(self.written.len())..(from + SECTOR_BYTES).min(self.written.len())
    }

    /// What is left of the file after a power failure.
    fn survive(&self, seed: u64, dice: &mut Dice) -> Content {
        let mut bytes = self.durable.clone();
        let grown = self.written.len().saturating_sub(bytes.len());
        let kept = match seed {
            0 => 0,
            1 => grown,
            _ => dice.below(grown as u64 + 1) as usize,
        };
        bytes.resize(self.durable.len() + kept, 0);
        for sector in &self.dirty {
            let range = self.range(*sector);
            let range = range.start.min(bytes.len())..range.end.min(bytes.len());
            let fate = match seed {
                0 => 0,
                1 => 1,
                _ => dice.below(4),
            };
            match fate {
                0 => {}
                1 => bytes[range.clone()].copy_from_slice(&self.written[range]),
                2 => {
                    let middle = range.start + dice.below(range.len() as u64 + 1) as usize;
                    bytes[range.start..middle].copy_from_slice(&self.written[range.start..middle]);
                }
                _ => self.garbage(&mut bytes, range, dice),
            }
        }
        Content::new(self.access, bytes)
    }

    fn garbage(&self, bytes: &mut [u8], range: std::ops::Range<usize>, dice: &mut Dice) {
        for at in range {
            let untouched = at < self.durable.len() && self.durable[at] == self.written[at];
            if self.access == Access::Mapped || !untouched {
                bytes[at] = dice.roll() as u8;
            }
        }
    }
}

fn sectors(from: usize, to: usize) -> std::ops::Range<usize> {
    from / SECTOR_BYTES..to.div_ceil(SECTOR_BYTES)
}

impl Disk for SimDisk {
    fn create(&self, name: &str, access: Access, len: u64) -> io::Result<Box<dyn DiskFile>> {
        let content = {
            let mut world = self.world();
            match world.op("create", name, (0, len))? {
                Fate::Succeeds => {}
                Fate::PowerFails => {
                    if !world.files.contains_key(name) {
                        world.half_made = Some((name.to_owned(), len));
                    }
                    return Err(no_power());
                }
                Fate::Fails(kind) => return Err(kind.into()),
            }
            if world.files.contains_key(name) {
                return Err(ErrorKind::AlreadyExists.into());
            }
            world.allocate(len)?;
            let content = Arc::new(Mutex::new(Content::new(access, vec![0; len as usize])));
            world.files.insert(name.to_owned(), content.clone());
            content
        };
        Ok(self.file(name, content, false))
    }

    fn open(&self, name: &str, access: Access) -> io::Result<Box<dyn DiskFile>> {
        self.world().simple("open", name, (0, 0))?;
        let content = self.find(name)?;
        lock(&content).access = access;
        Ok(self.file(name, content, false))
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        self.world().simple("read", name, (0, 0))?;
        let content = self.find(name)?;
        let bytes = lock(&content).written.clone();
        Ok(bytes)
    }

    fn len(&self, name: &str) -> io::Result<Option<u64>> {
        let mut world = self.world();
        world.simple("len", name, (0, 0))?;
        Ok(world
            .files
            .get(name)
            .map(|content| lock(content).written.len() as u64))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut world = self.world();
        world.simple("remove", name, (0, 0))?;
        match world.files.remove(name) {
            Some(_) => Ok(()),
            None => Err(ErrorKind::NotFound.into()),
        }
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut world = self.world();
        world.simple("list", "", (0, 0))?;
        Ok(world.files.keys().cloned().collect())
    }
}

struct SimFile {
    disk: SimDisk,
    name: String,
    content: Arc<Mutex<Content>>,
    twin: bool,
}

impl SimFile {
    fn content(&self) -> MutexGuard<'_, Content> {
        lock(&self.content)
    }

    fn op(&self, what: &'static str, offset: u64, len: u64) -> io::Result<Fate> {
        self.disk.world().op(what, &self.name, (offset, len))
    }

    fn simple(&self, what: &'static str, offset: u64, len: u64) -> io::Result<()> {
        self.disk.world().simple(what, &self.name, (offset, len))
    }
}

impl DiskFile for SimFile {
    fn len(&self) -> u64 {
        self.content().written.len() as u64
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let fate = self.op("write", offset, bytes.len() as u64)?;
        let end = offset + bytes.len() as u64;
        let (access, len) = {
            let content = self.content();
            content.usable()?;
            (content.access, content.written.len() as u64)
        };
        match access {
            Access::Mapped if end > len || self.twin => {
                return Err(ErrorKind::InvalidInput.into());
            }
            Access::Append if end > len => self.disk.world().allocate(end - len)?,
            _ => {}
        }
        match fate {
            Fate::Fails(kind) => Err(kind.into()),
            Fate::Succeeds => {
                self.content().write(offset as usize, bytes);
                Ok(())
            }
            Fate::PowerFails => {
                self.content().write(offset as usize, bytes);
                Err(no_power())
            }
        }
    }

    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.simple("read_at", offset, bytes.len() as u64)?;
        let content = self.content();
        let from = content
            .written
            .get(offset as usize..offset as usize + bytes.len())
            .ok_or(ErrorKind::UnexpectedEof)?;
        bytes.copy_from_slice(from);
        Ok(())
    }

    fn start_writeback(&self, offset: u64, len: u64) -> io::Result<()> {
        self.simple("writeback", offset, len)
    }

    fn sync_range(&mut self, offset: u64, len: u64) -> io::Result<()> {
        let fate = self.op("sync", offset, len)?;
        let mut content = self.content();
        content.usable()?;
        let (from, to) = match content.access {
            Access::Mapped => (offset as usize, (offset + len) as usize),
            Access::Append => (0, content.written.len()),
        };
        match fate {
            Fate::Succeeds => {
                content.sync(from, to);
                Ok(())
            }
            Fate::PowerFails => Err(no_power()),
            Fate::Fails(kind) => {
                content.lose(from, to);
                Err(kind.into())
            }
        }
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.simple("truncate", len, 0)?;
        let mut content = self.content();
        content.usable()?;
        if content.access == Access::Mapped {
            return Err(ErrorKind::Unsupported.into());
        }
        let len = len as usize;
        let all = content.written.len();
        content.written.resize(len, 0);
        content.dirty.retain(|sector| sector * SECTOR_BYTES < len);
        content.durable.truncate(len);
        content.sync(0, all);
        Ok(())
    }

    fn twin(&self) -> io::Result<Box<dyn DiskFile>> {
        Ok(self.disk.file(&self.name, self.content.clone(), true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_synced_survives_every_crash_and_the_rest_may_not() {
        let disk = SimDisk::new(3);
        let mut file = disk.create("a", Access::Mapped, 8192).unwrap();
        file.write_at(0, &[1; 1024]).unwrap();
        file.sync_range(0, 1024).unwrap();
        file.write_at(4096, &[2; 1024]).unwrap();
        let mut outcomes = BTreeSet::new();
        for seed in 0..200 {
            let bytes = disk.after_crash(seed).peek("a").unwrap();
            assert_eq!(bytes[..1024], [1; 1024]);
            assert_eq!(bytes[5120..], [0; 3072]);
            outcomes.insert(bytes[4096..5120].to_vec());
        }
        assert!(outcomes.contains(&vec![0; 1024]) && outcomes.contains(&vec![2; 1024]));
        assert!(outcomes.len() > 50, "torn and garbled ones too");
        assert_eq!(
            disk.after_crash(77).peek("a"),
            disk.after_crash(77).peek("a")
        );
    }

    #[test]
    fn synced_bytes_of_an_appended_file_survive_in_a_shared_sector() {
        let disk = SimDisk::new(3);
        let mut file = disk.create("a", Access::Append, 0).unwrap();
        file.write_at(0, &[1; 100]).unwrap();
        file.twin().unwrap().sync().unwrap();
        file.write_at(100, &[2; 700]).unwrap();
        let mut lens = BTreeSet::new();
        for seed in 0..200 {
            let bytes = disk.after_crash(seed).peek("a").unwrap();
            assert_eq!(bytes[..100], [1; 100]);
            lens.insert(bytes.len());
        }
        assert!(lens.contains(&100) && lens.contains(&800) && lens.len() > 20);
    }

    #[test]
    fn after_a_failed_sync_nothing_is_promised() {
        let disk = SimDisk::new(3);
        let mut file = disk.create("a", Access::Mapped, 4096).unwrap();
        file.write_at(0, &[1; 512]).unwrap();
        disk.set_faults(Faults {
            fail_at: Some((disk.ops(), ErrorKind::Other)),
            ..Faults::default()
        });
        assert!(file.sync().is_err());
        assert!(file.sync().is_err(), "poisoned");
        assert_eq!(disk.after_crash(0).peek("a").unwrap(), [0; 4096]);
    }

    #[test]
    fn without_power_nothing_works_and_capacity_is_honoured() {
        let disk = SimDisk::new(3);
        disk.set_faults(Faults {
            capacity: Some(8192),
            ..Faults::default()
        });
        let mut file = disk.create("a", Access::Mapped, 8192).unwrap();
        let full = disk.create("b", Access::Mapped, 1).err().unwrap();
        assert_eq!(full.kind(), ErrorKind::StorageFull);
        disk.set_faults(Faults {
            power_off_at: Some(disk.ops()),
            ..Faults::default()
        });
        assert!(file.write_at(0, b"x").is_err());
        assert!(file.sync().is_err() && disk.list().is_err() && disk.read("a").is_err());
    }
}
