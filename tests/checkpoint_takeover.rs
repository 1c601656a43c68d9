//! Taking a crawl directory over from a process that still lives: wherever it was stopped, and whatever it does when it
//! wakes, what the new holder writes stays right.
//!
//! Both holders live in this process; for `flock` and for files that makes no difference.

#[path = "common/whole.rs"]
mod whole;

use cyclosa::checkpoint::follow::Follower;
use cyclosa::checkpoint::lease::{Attempt, Ending, Lease, Mode, Tenure, attempt, claim, peek};
use cyclosa::checkpoint::log::LogSizes;
use cyclosa::checkpoint::manifest::Slot;
use cyclosa::checkpoint::{Checkpointer, DirDisk, Sizes, verify};
use cyclosa::disk::{Access, Disk, DiskFile};
use cyclosa::error::{Error, Result};
use cyclosa::event::{BLOCK_BYTES, CrawlIdentity, Cut, Delta, Mark, StoreNote};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use whole::recover;

const ME: CrawlIdentity = CrawlIdentity {
    id: [3; 16],
    key: [5; 32],
    created: 77,
};
/// Small, so that files are full after a few checkpoints.
const SIZES: Sizes = Sizes {
    seen: LogSizes {
        first: 64 << 10,
        max: 128 << 10,
    },
    urls: LogSizes {
        first: 64 << 10,
        max: 128 << 10,
    },
    compact_at: u64::MAX,
};
const BLOCKS: u32 = 4;
const SEGMENT: &str = "segment-00001.warc.zst";

/// A holder that takes one checkpoint after the other, one step at a time.
struct Holder {
    tenure: Tenure,
    to: Checkpointer,
    disk: Arc<DirDisk>,
    /// Appended to as the store does.
    segment: Box<dyn DiskFile>,
    /// Cuts so far, and the number of the next.
    n: u64,
    number: u64,
    durable: u64,
    fed: bool,
}

impl Holder {
    fn begin(tenure: Tenure, dir: &Path) -> Result<Self> {
        let disk = Arc::new(DirDisk::open(dir)?.held_by(tenure.lease.clone()));
        let term = tenure.lease.term();
        let (to, n, number) = match recover(&*disk)? {
            None => (Checkpointer::new(disk.clone(), ME, SIZES)?, 0, 1),
            Some(got) => {
                let n = check(dir);
                let to = Checkpointer::resume(disk.clone(), &got, SIZES)?;
                (to, n, got.next_epoch)
            }
        };
        let segment = segment(&*disk, n).map_err(|e| Error::io("open", SEGMENT, e))?;
        Ok(Self {
            tenure,
            to: to.in_term(term),
            disk,
            segment,
            n,
            number,
            durable: n,
            fed: false,
        })
    }

    fn lease(&self) -> &Lease {
        &self.tenure.lease
    }

    /// The next step as the checkpoint thread does it: a look first.
    fn step(&mut self) -> Result<()> {
        self.lease().confirm()?;
        self.late_step()
    }

    /// The same of a process that was stopped between its look and the step.
    fn late_step(&mut self) -> Result<()> {
        if !self.fed {
            self.fed = true;
            return self.feed();
        }
        if self.to.turn(0)?.is_some() {
            self.durable = self.n;
            self.fed = false;
            // Files that nothing names any more are removed.
            while !self.to.busy() && self.number.is_multiple_of(3) {
                self.number += 1;
                self.to.turn(0)?;
            }
        }
        Ok(())
    }

    fn feed(&mut self) -> Result<()> {
        self.n += 1;
        self.number += 1;
        let (n, to) = (self.n, &mut self.to);
        let appended = self.segment.len();
        self.segment
            .write_at(appended, &[n as u8; 100])
            .map_err(|e| Error::io("append", "segment", e))?;
        to.delta(Delta::Seen(vec![n; 1_000]))?;
        to.delta(Delta::Urls(vec![n as u8; 20_000]))?;
        to.delta(Delta::Cut(Box::new(Cut {
            epoch: self.number,
            seen_len: n * 1_000,
            urls_len: n * 20_000,
            // The image outgrows its file now and then.
            blocks: blocks(n),
            state: vec![n as u8; 100],
            ..Cut::default()
        })))?;
        for index in 0..blocks(n) {
            let bytes = Box::new([n as u8; BLOCK_BYTES]);
            to.delta(Delta::Block { index, bytes })?;
        }
        to.delta(Delta::Swept { epoch: self.number })?;
        to.note(StoreNote::Mark(Mark {
            epoch: self.number,
            segment: 1,
            ..Mark::default()
        }))
    }

    /// Steps until `n` more checkpoints are durable.
    fn checkpoints(&mut self, n: u64) -> Result<()> {
        let until = self.durable + n;
        while self.durable < until {
            self.step()?;
        }
        Ok(())
    }
}

/// In memory where there is such a place: no test here loses power, and thousands of syncs take their time.
fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap()
}

/// As the store does: what no checkpoint names is made anew.
fn segment(disk: &dyn Disk, n: u64) -> std::io::Result<Box<dyn DiskFile>> {
    if n > 0 {
        return disk.open(SEGMENT, Access::Append);
    }
    for name in [SEGMENT, "segment-00001.idx"] {
        if disk.len(name)?.is_some() {
            disk.remove(name)?;
        }
    }
    disk.create("segment-00001.idx", Access::Append, 0)?;
    disk.create(SEGMENT, Access::Append, 0)
}

fn blocks(n: u64) -> u32 {
    BLOCKS + 40 * (n / 2) as u32
}

/// Asserts that the directory holds a state that a holder had at a cut; returns which.
#[track_caller]
fn check(dir: &Path) -> u64 {
    let disk = DirDisk::existing(dir).unwrap();
    let got = recover(&disk).unwrap().expect("a crawl");
    let n = got.cut.seen_len / 1_000;
    let seen: Vec<u64> = (1..=n).flat_map(|e| vec![e; 1_000]).collect();
    assert!(got.seen == seen, "fingerprints of {n}");
    let urls: Vec<u8> = (1..=n).flat_map(|e| vec![e as u8; 20_000]).collect();
    assert!(got.urls == urls, "URLs of {n}");
    assert_eq!(
        got.hosts.len(),
        blocks(n) as usize * BLOCK_BYTES * usize::from(n > 0)
    );
    assert!(got.hosts.iter().all(|b| *b == n as u8), "hosts of {n}");
    n
}

/// What a standby does when the lease is over.
fn take_over(dir: &Path) -> Tenure {
    let sign = peek(dir).unwrap().expect("a lease").sign();
    loop {
        match attempt(dir, Mode::TakeOver(sign)).unwrap() {
            Attempt::Mine(tenure) => return tenure,
            Attempt::Busy => std::thread::yield_now(),
            Attempt::Held(pid) => panic!("held by {pid:?}"),
            Attempt::Over(ending) => panic!("{ending:?}"),
        }
    }
}

#[track_caller]
fn assert_lost(result: Result<()>, term: u32) {
    let message = result.unwrap_err().to_string();
    assert!(message.contains("another process took over"), "{message}");
    assert!(message.contains(&format!("term {term}")), "{message}");
}

/// The old holder is stopped before each of its steps in turn, and wakes at one of three moments.
#[test]
fn a_holder_that_wakes_late_harms_nothing() {
    for stopped_at in 0..60 {
        for wakes in 0..3 {
            let home = scratch();
            let dir = home.path();
            let mut old = Holder::begin(claim(dir).unwrap(), dir).unwrap();
            for _ in 0..stopped_at {
                old.step().unwrap();
            }
            let least = old.durable;
            let mut wake = |now: u64| {
                if now == wakes {
                    // It had looked before; the step fails or goes nowhere.
                    let _ = old.late_step();
                    let _ = old.segment.write_at(0, b"torn by the old one");
                    assert_lost(old.step(), 2);
                    assert_lost(old.lease().renew(), 2);
                    let made = old.disk.create("seen-000099.log", Access::Mapped, 4096);
                    assert!(made.is_err());
                    assert!(old.disk.remove("manifest").is_err());
                    assert!(old.disk.open("manifest", Access::Mapped).is_err());
                }
            };
            let tenure = take_over(dir);
            wake(0);
            let mut new = Holder::begin(tenure, dir).unwrap();
            assert!(new.n >= least, "{} after {least}", new.n);
            wake(1);
            new.checkpoints(1).unwrap();
            wake(2);
            new.checkpoints(3).unwrap();
            let segment = std::fs::read(dir.join(SEGMENT)).unwrap();
            assert!(!segment.starts_with(b"torn"));
            assert_eq!(check(dir), new.n);
            let report = verify(&DirDisk::existing(dir).unwrap()).unwrap();
            assert!(report.defects.is_empty(), "{:?}", report.defects);
            assert_eq!(report.restorable.len(), 2);
        }
    }
}

#[test]
fn a_holder_that_wakes_before_it_opened_anything_opens_nothing() {
    let home = scratch();
    let dir = home.path();
    let mut first = Holder::begin(claim(dir).unwrap(), dir).unwrap();
    first.checkpoints(3).unwrap();
    drop(first);
    let old = claim(dir).unwrap();
    let mut new = Holder::begin(take_over(dir), dir).unwrap();
    new.checkpoints(1).unwrap();
    let message = Holder::begin(old, dir).err().unwrap().to_string();
    assert!(message.contains("another process took over"), "{message}");
    new.checkpoints(2).unwrap();
    assert_eq!(check(dir), new.n);
}

/// Both run at full speed on threads of their own; the copies are made while the old one writes.
#[test]
fn a_holder_that_never_stopped_loses_the_race_and_nothing_else() {
    for round in 0..40 {
        let home = scratch();
        let dir = home.path().to_owned();
        let mut old = Holder::begin(claim(&dir).unwrap(), &dir).unwrap();
        old.checkpoints(1 + round % 5).unwrap();
        let begun = Arc::new(AtomicBool::new(false));
        let told = begun.clone();
        let thread = std::thread::spawn(move || {
            loop {
                told.store(true, Ordering::Release);
                if old.step().is_err() {
                    return old;
                }
            }
        });
        while !begun.load(Ordering::Acquire) {
            std::hint::spin_loop();
        }
        for _ in 0..round * 997 {
            std::hint::spin_loop();
        }
        let mut new = Holder::begin(take_over(&dir), &dir).unwrap();
        let restored = new.n;
        new.checkpoints(2).unwrap();
        let old = thread.join().unwrap();
        assert_lost(old.lease().confirm(), 2);
        new.checkpoints(2).unwrap();
        // The last slot that it wrote may have had no name any more.
        assert!(restored + 1 >= old.durable, "{restored} of {}", old.durable);
        assert_eq!(check(&dir), new.n);
        let report = verify(&DirDisk::existing(&dir).unwrap()).unwrap();
        assert!(report.defects.is_empty(), "{:?}", report.defects);
    }
}

#[test]
fn one_of_several_takes_over() {
    let home = scratch();
    let dir = home.path();
    let mut old = Holder::begin(claim(dir).unwrap(), dir).unwrap();
    old.checkpoints(2).unwrap();
    let sign = peek(dir).unwrap().unwrap().sign();
    let tries: Vec<Attempt> = std::thread::scope(|scope| {
        let one = || scope.spawn(|| attempt(dir, Mode::TakeOver(sign)).unwrap());
        let threads: Vec<_> = (0..8).map(|_| one()).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    let mine = |a: &&Attempt| matches!(a, Attempt::Mine(_));
    assert_eq!(tries.iter().filter(mine).count(), 1);
    // The others judged a lease that is over; the new one is not.
    let again = attempt(dir, Mode::TakeOver(sign)).unwrap();
    assert!(matches!(again, Attempt::Held(Some(pid)) if pid == std::process::id()));
    assert!(claim(dir).is_err());
}

#[test]
fn a_sign_of_life_is_an_answer_to_those_who_judged_before() {
    let home = scratch();
    let dir = home.path();
    let tenure = claim(dir).unwrap();
    let sign = peek(dir).unwrap().unwrap().sign();
    tenure.lease.renew().unwrap();
    let late = attempt(dir, Mode::TakeOver(sign)).unwrap();
    assert!(matches!(late, Attempt::Held(_)));
    // Silent again, but stopped while it changes a name: that has to be waited for.
    let sign = peek(dir).unwrap().unwrap().sign();
    let names = tenure.lease.hold_names().unwrap();
    for mode in [Mode::Start, Mode::Follow, Mode::TakeOver(sign)] {
        assert!(matches!(attempt(dir, mode).unwrap(), Attempt::Busy));
    }
    drop(names);
    tenure.lease.confirm().unwrap();
    let other = attempt(dir, Mode::Follow).unwrap();
    assert!(matches!(other, Attempt::Held(_)));
}

#[test]
fn how_a_lease_ended_decides_who_goes_on() {
    for (ending, over) in [
        (Ending::Finished, true),
        (Ending::Bound, true),
        (Ending::Stopped, false),
    ] {
        let home = scratch();
        let dir = home.path();
        let tenure = claim(dir).unwrap();
        tenure.lease.release(ending).unwrap();
        drop(tenure);
        let next = attempt(dir, Mode::Follow).unwrap();
        assert_eq!(matches!(next, Attempt::Over(e) if e == ending), over);
        assert_eq!(matches!(next, Attempt::Mine(_)), !over);
        drop(next);
        // A start like any other goes on in any case, in a term of its own.
        let term = claim(dir).unwrap().lease.term();
        assert_eq!(term, if over { 2 } else { 3 });
    }
}

#[test]
fn terms_go_on_where_the_manifest_says_if_the_lease_is_gone() {
    let home = scratch();
    let dir = home.path();
    for term in 1..4 {
        let mut holder = Holder::begin(claim(dir).unwrap(), dir).unwrap();
        assert_eq!(holder.lease().term(), term);
        holder.checkpoints(1).unwrap();
    }
    std::fs::remove_file(dir.join("LEASE")).unwrap();
    assert_eq!(claim(dir).unwrap().lease.term(), 4);
}

/// Without working locks an old holder could write a slot after the new one did: it is known by its term.
#[test]
fn a_checkpoint_of_an_older_term_is_given_up_whatever_its_number() {
    let home = scratch();
    let dir = home.path();
    let mut old = Holder::begin(claim(dir).unwrap(), dir).unwrap();
    old.checkpoints(3).unwrap();
    drop(old);
    let mut new = Holder::begin(claim(dir).unwrap(), dir).unwrap();
    new.checkpoints(2).unwrap();
    let manifest = dir.join("manifest");
    let mut bytes = std::fs::read(&manifest).unwrap();
    let slots = [0, 1].map(|slot| match Slot::decode(&bytes, slot) {
        Slot::Valid { generation, .. } => (slot, generation),
        other => panic!("{other:?}"),
    });
    let (slot, mut stale) = slots.into_iter().min_by_key(|(_, g)| g.epoch).unwrap();
    (stale.term, stale.epoch) = (1, 1_000);
    bytes[slot as usize * 4096..][..4096].copy_from_slice(&stale.encode(slot).0[..]);
    std::fs::write(&manifest, bytes).unwrap();
    assert_eq!(check(dir), new.n);
    let got = recover(&DirDisk::existing(dir).unwrap()).unwrap().unwrap();
    assert!(got.next_epoch > 1_000);
}

/// A standby that dies while it replaces files: the next one replaces all of them again, although the lock is free.
#[test]
fn copies_that_were_not_all_made_are_made_again() {
    let home = scratch();
    let dir = home.path();
    let mut old = Holder::begin(claim(dir).unwrap(), dir).unwrap();
    old.checkpoints(2).unwrap();
    // What a death after the new lock and before the copies leaves behind.
    let before = peek(dir).unwrap().unwrap();
    drop(take_over(dir));
    let text = std::fs::read_to_string(dir.join("LEASE")).unwrap();
    let text = text.split(" sum=").next().unwrap();
    let text = text.replace("state=held", "state=fencing");
    assert!(text.contains("state=fencing") && before.term == 1, "{text}");
    let sum = xxhash_rust::xxh3::xxh3_64(text.as_bytes());
    std::fs::write(dir.join("LEASE"), format!("{text} sum={sum:016x}\n")).unwrap();
    let inode = |name: &str| {
        use std::os::unix::fs::MetadataExt;
        std::fs::metadata(dir.join(name)).unwrap().ino()
    };
    let names = ["manifest", "seen-000001.log", SEGMENT];
    let old_inodes = names.map(inode);
    std::fs::write(dir.join(".new-2-copy"), "half a copy").unwrap();
    let mut new = Holder::begin(claim(dir).unwrap(), dir).unwrap();
    for (name, before) in names.iter().zip(old_inodes) {
        assert_ne!(inode(name), before, "{name} was not replaced");
    }
    assert!(!dir.join(".new-2-copy").exists());
    assert_lost(old.step(), 3);
    new.checkpoints(2).unwrap();
    assert_eq!(check(dir), new.n);
}

#[test]
fn a_follower_reads_what_is_new_and_tells_of_damage() {
    let home = scratch();
    let dir = home.path();
    let mut holder = Holder::begin(claim(dir).unwrap(), dir).unwrap();
    let mut follower = Follower::new(dir);
    assert_eq!((follower.turn(0), follower.epoch()), (None, None));
    for now in 1..12 {
        holder.checkpoints(1).unwrap();
        // Two turns: the first may end at its limit.
        assert_eq!((follower.turn(now), follower.turn(now)), (None, None));
        assert_eq!(follower.epoch(), Some((holder.to.durable_epoch(), now)));
        assert_eq!(follower.state(), "read and whole");
    }
    // A new holder goes on: what was followed is still right.
    let mut holder = Holder::begin(take_over(dir), dir).unwrap();
    holder.checkpoints(2).unwrap();
    assert_eq!((follower.turn(20), follower.turn(20)), (None, None));
    assert_eq!(follower.state(), "read and whole");
    for part in ["seen-", "urls-", "hosts-", "state-"] {
        // A file that was made anew is passed over.
        let found = (0..6).any(|_| damage_is_told(&mut holder, &mut follower, dir, part));
        assert!(found, "{part}: nothing is told");
        holder.checkpoints(1).unwrap();
        assert_eq!((follower.turn(40), follower.turn(40)), (None, None));
        assert_eq!(follower.state(), "read and whole");
    }
}

/// Takes a checkpoint, flips a bit of the first byte that it changed in a file, and looks what the follower says.
fn damage_is_told(holder: &mut Holder, follower: &mut Follower, dir: &Path, part: &str) -> bool {
    let read = |file: &std::path::PathBuf| std::fs::read(file).unwrap();
    let before: Vec<_> = files(dir, part).iter().map(read).collect();
    holder.checkpoints(1).unwrap();
    let changed = files(dir, part)
        .into_iter()
        .zip(before)
        .find_map(|(file, old)| {
            let bytes = read(&file);
            let at = bytes.iter().zip(&old).position(|(a, b)| a != b)?;
            (bytes.len() == old.len()).then_some((file, bytes, at))
        });
    let Some((file, bytes, at)) = changed else {
        return false;
    };
    let mut broken = bytes.clone();
    broken[at] ^= 1;
    std::fs::write(&file, &broken).unwrap();
    let told = follower.turn(30).expect("it is told");
    let name = file.file_name().unwrap().to_str().unwrap();
    assert!(told.contains("is damaged") && told.contains(name), "{told}");
    assert_eq!(follower.turn(31), None, "once");
    std::fs::write(&file, &bytes).unwrap();
    true
}

fn files(dir: &Path, stem: &str) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path());
    let mut found: Vec<_> = entries
        .filter(|p| p.file_name().unwrap().to_str().unwrap().starts_with(stem))
        .collect();
    found.sort();
    found
}
