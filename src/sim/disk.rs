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

use super::content::Content;
use super::dice::Dice;
use crate::disk::{Access, Disk, DiskFile};
use std::collections::BTreeMap;
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
    /// This operation fails with `EIO`, once: the medium cannot do it.
    pub medium_at: Option<u64>,
    /// This operation, if it is a write, does a part of its work and fails with [`ErrorKind::StorageFull`], once.
    pub short_at: Option<u64>,
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

impl Op {
    /// Whether it changes the directory or a file, or makes a change durable.
    pub fn changes(&self) -> bool {
        changes(self.what)
    }
}

fn changes(what: &str) -> bool {
    ["create", "remove", "write", "sync", "truncate"].contains(&what)
}

/// What a power failure at one operation would have left.
pub struct Shot {
    /// Number of the operation; it did not happen, or only in part.
    pub op: u64,
    /// What it would have done.
    pub what: &'static str,
    /// To which file.
    pub name: String,
    /// Decided what survived; see [`SimDisk::after_crash`].
    pub outcome: u64,
    /// The directory as the next start finds it.
    pub disk: SimDisk,
}

/// Which operations a picture is taken before.
struct Camera {
    dice: Dice,
    one_in: u64,
    shots: Vec<Shot>,
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
    camera: Option<Camera>,
    /// How many faults other than power failures happened.
    faults_hit: u64,
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
                camera: None,
                faults_hit: 0,
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

    /// Whether the power failed.
    pub fn is_off(&self) -> bool {
        self.world().off
    }

    /// How many faults other than a power failure were met.
    pub fn faults_hit(&self) -> u64 {
        self.world().faults_hit
    }

    /// Which fault is set, by name.
    pub fn fault_kind(&self) -> &'static str {
        match self.world().faults {
            Faults {
                capacity: Some(_), ..
            } => "disk full",
            Faults {
                short_at: Some(_), ..
            } => "short write",
            _ => "EIO",
        }
    }

    /// The last operation, by name.
    pub fn last_op(&self) -> &'static str {
        self.world().log.last().map_or("none", |op| op.what)
    }

    /// Bytes that all files hold.
    pub fn used(&self) -> u64 {
        self.world().used()
    }

    /// Before one in `one_in` operations that change something, keeps what a power failure in it would leave: all
    /// unsynced bytes lost, all kept, or decided sector by sector. 0 ends it. Nothing else changes by it.
    pub fn photograph(&self, seed: u64, one_in: u64) {
        self.world().camera = (one_in > 0).then(|| Camera {
            dice: Dice::new(seed),
            one_in,
            shots: Vec::new(),
        });
    }

    /// The pictures taken since the last call.
    pub fn shots(&self) -> Vec<Shot> {
        match &mut self.world().camera {
            Some(camera) => std::mem::take(&mut camera.shots),
            None => Vec::new(),
        }
    }

    /// What they were.
    pub fn log(&self) -> Vec<Op> {
        self.world().log.clone()
    }

    /// The disk as a machine finds it that starts after the power failed now. One `seed`, one outcome: seed 0 loses all
    /// that was not synced, seed 1 keeps all that was written (as when only the process died), others decide sector by
    /// sector. `self` stays as it is, so many outcomes of one crash can be looked at.
    pub fn after_crash(&self, seed: u64) -> SimDisk {
        self.world().survivors(seed)
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
    Fails(io::Error),
    /// A write that does a part of its work.
    Short(u64),
}

/// The system's number for an error of the medium.
const EIO: i32 = 5;

fn no_power() -> io::Error {
    io::Error::other("the power is off")
}

impl World {
    fn survivors(&self, seed: u64) -> SimDisk {
        let mut dice = Dice::new(self.seed ^ seed.wrapping_mul(0xd6e8_feb8_6659_fd93));
        let mut files = BTreeMap::new();
        for (name, content) in &self.files {
            let content = lock(content);
            let survived = content.survive(seed, &mut dice);
            files.insert(name.clone(), Arc::new(Mutex::new(survived)));
        }
        if let Some((name, len)) = &self.half_made {
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
        let disk = SimDisk::new(self.seed.wrapping_add(seed));
        disk.world().files = files;
        disk
    }

    fn used(&self) -> u64 {
        self.files
            .values()
            .map(|content| lock(content).written.len() as u64)
            .sum()
    }

    /// Takes a picture, if it is the turn of this operation.
    fn photograph(&mut self, what: &'static str, name: &str, len: u64) {
        let Some(mut camera) = self.camera.take() else {
            return;
        };
        if changes(what) && camera.dice.one_in(camera.one_in) {
            let outcome = match camera.dice.below(5) {
                n @ (0 | 1) => n,
                _ => 2 + camera.dice.below(1 << 32),
            };
            if what == "create" && !self.files.contains_key(name) {
                self.half_made = Some((name.to_owned(), len));
            }
            let disk = self.survivors(outcome);
            self.half_made = None;
            camera.shots.push(Shot {
                op: self.log.len() as u64,
                what,
                name: name.to_owned(),
                outcome,
                disk,
            });
        }
        self.camera = Some(camera);
    }

    fn op(&mut self, what: &'static str, name: &str, range: (u64, u64)) -> io::Result<Fate> {
        if self.off {
            return Err(no_power());
        }
        self.photograph(what, name, range.1);
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
        let fate = match self.faults {
            Faults {
                fail_at: Some((at, kind)),
                ..
            } if at == number => Fate::Fails(kind.into()),
            Faults { medium_at, .. } if medium_at == Some(number) => {
                Fate::Fails(io::Error::from_raw_os_error(EIO))
            }
            Faults { short_at, .. } if short_at == Some(number) && what == "write" => {
                Fate::Short(number)
            }
            _ => Fate::Succeeds,
        };
        self.faults_hit += u64::from(!matches!(fate, Fate::Succeeds));
        Ok(fate)
    }

    /// An operation that has no middle.
    fn simple(&mut self, what: &'static str, name: &str, range: (u64, u64)) -> io::Result<()> {
        match self.op(what, name, range)? {
            Fate::Succeeds => Ok(()),
            Fate::PowerFails => Err(no_power()),
            Fate::Fails(e) => Err(e),
            Fate::Short(_) => unreachable!("only writes are short"),
        }
    }

    fn allocate(&mut self, more: u64) -> io::Result<()> {
        match self.faults.capacity {
            Some(capacity) if self.used() + more > capacity => {
                self.faults_hit += 1;
                Err(ErrorKind::StorageFull.into())
            }
            _ => Ok(()),
        }
    }
}

/// The files as written so far, for looking: no operations, no faults.
pub struct Eyes<'a>(pub &'a SimDisk);

impl Disk for Eyes<'_> {
    fn create(&self, _: &str, _: Access, _: u64) -> io::Result<Box<dyn DiskFile>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn open(&self, _: &str, _: Access) -> io::Result<Box<dyn DiskFile>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        self.0
            .peek(name)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn len(&self, name: &str) -> io::Result<Option<u64>> {
        Ok(self.0.peek(name).map(|bytes| bytes.len() as u64))
    }

    fn remove(&self, _: &str) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Err(io::ErrorKind::Unsupported.into())
    }
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
                Fate::Fails(e) => return Err(e),
                Fate::Short(_) => unreachable!("only writes are short"),
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
            Fate::Fails(e) => Err(e),
            Fate::Short(number) => {
                let part = number as usize * 7_919 % bytes.len().max(1);
                self.content().write(offset as usize, &bytes[..part]);
                Err(ErrorKind::StorageFull.into())
            }
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
            Fate::Fails(e) => {
                content.lose(from, to);
                Err(e)
            }
            Fate::Short(_) => unreachable!("only writes are short"),
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
    use std::collections::BTreeSet;

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

    #[test]
    fn a_short_write_leaves_a_part_and_pictures_show_what_was_there_before() {
        let disk = SimDisk::new(3);
        disk.photograph(5, 1);
        let mut file = disk.create("a", Access::Append, 0).unwrap();
        disk.set_faults(Faults {
            short_at: Some(disk.ops()),
            ..Faults::default()
        });
        let full = file.write_at(0, &[1; 3_000]).unwrap_err();
        assert_eq!(full.kind(), ErrorKind::StorageFull);
        assert!((1..3_000).contains(&file.len()), "{}", file.len());
        assert_eq!(disk.faults_hit(), 1);
        file.sync().unwrap();
        disk.list().unwrap();
        let shots = disk.shots();
        let what: Vec<&str> = shots.iter().map(|shot| shot.what).collect();
        assert_eq!(what, ["create", "write", "sync"]);
        assert_eq!(shots[1].disk.peek("a").unwrap(), b"");
        assert!(disk.shots().is_empty());
    }
}
