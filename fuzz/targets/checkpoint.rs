//! The loader of checkpoints on a damaged directory: nothing panics, hangs or grows; a frontier has the state hash of
//! its cut and counts that balance, or there is none; while no checksum was repaired, what is restored is one of the
//! checkpoints that were taken; and what is restored can be gone on with.
//!
//! Input: first byte: 0 no checksum is repaired, 1 those of single pages, 2 all, 3 all and those of the segments' indexes
//! (modulo 4). Then edits ([`super::edits`]).

use super::small_crawl::{Files, IDENTITY, config, disk_of, files};
use super::{edits, seal};
use cyclosa::checkpoint::{Checkpointer, Recovered, Sizes, recover_into, verify};
use cyclosa::disk::Disk;
use cyclosa::frontier::Frontier;
use cyclosa::frontier::restore::InMemory;
use cyclosa::sim::disk::SimDisk;
use cyclosa::store::{Settings, Store};
use cyclosa::time::SECOND;
use std::sync::{Arc, OnceLock};
use xxhash_rust::xxh3::xxh3_64;

struct Sound {
    files: Files,
    /// What its checkpoints hold.
    contents: Vec<u64>,
}

/// The directory before it is damaged.
fn sound() -> &'static Sound {
    static SOUND: OnceLock<Sound> = OnceLock::new();
    SOUND.get_or_init(|| {
        let files = files();
        let mut contents = Vec::new();
        for slot in 0..2 {
            let mut one = files.clone();
            let manifest = one.get_mut("manifest").expect("a crawl has one");
            manifest[(1 - slot) * seal::PAGE] ^= 1;
            let disk = disk_of(&one);
            let found =
                recover_into(&disk, &|_| {}, |_, _| Ok(())).expect("the other slot is whole");
            contents.push(content(&found.expect("a crawl").0, &disk));
        }
        assert_ne!(contents[0], contents[1]);
        Sound { files, contents }
    })
}

/// A hash over everything that a checkpoint holds.
fn content(it: &Recovered, disk: &SimDisk) -> u64 {
    let logs = InMemory::of(&it.logs(disk)).expect("they were read before");
    let mut ended = Vec::new();
    it.logs(disk)
        .ended(&mut |piece| ended.extend_from_slice(piece));
    let text = format!(
        "{:?} {:?} {:?} {:?} {:?}",
        it.identity, it.cut, it.mark, it.hosts, logs
    );
    xxh3_64(text.as_bytes())
}

/// Runs one input.
pub fn run(data: &[u8]) {
    let Some((level, program)) = data.split_first() else {
        return;
    };
    let sound = sound();
    let mut files = sound.files.clone();
    edits::apply(&mut files, program, |_| true);
    match level % 4 {
        0 => {}
        1 => seal::pages(&mut files),
        more => {
            seal::checkpoint(&mut files);
            if more == 3 {
                seal::segments(&mut files);
            }
        }
    }
    let disk = disk_of(&files);
    // As `cyclosa verify` does; the budget must not be what fails.
    let config = config(u64::MAX / 2);
    let found = recover_into(&disk, &|_| {}, |it, logs| {
        let (identity, cut) = (&it.identity, &it.cut);
        (cut.epoch > 0)
            .then(|| Frontier::restore(&config, identity, cut, &it.hosts, logs, cut.tick))
            .transpose()
    });
    let report = verify(&disk);
    match found {
        Err(error) => assert!(!error.to_string().contains('\n')),
        Ok(None) => assert!(report.is_err()),
        Ok(Some((recovered, rebuilt))) => {
            let restorable = report.expect("a crawl").restorable;
            assert!(restorable.contains(&recovered.cut.epoch));
            if level % 4 == 0 {
                let content = content(&recovered, &disk);
                assert!(sound.contents.contains(&content), "a wrong state was taken");
                assert_eq!(recovered.identity, IDENTITY);
            }
            if let Some((frontier, _)) = rebuilt {
                assert_eq!(frontier.state_hash(), recovered.cut.state_hash);
                assert!(frontier.counters().balances());
                go_on(disk, &recovered, frontier, Settings::of(&config));
            }
        }
    }
}

/// Takes up the crawl for a moment, as far as the directory lets it.
fn go_on(disk: SimDisk, from: &Recovered, mut frontier: Frontier, settings: Settings) {
    let disk: Arc<dyn Disk> = Arc::new(disk);
    let Ok(mut checkpointer) = Checkpointer::resume(Arc::clone(&disk), from, Sizes::default())
    else {
        return;
    };
    let _ = Store::reopen(disk, &from.identity, settings, &from.mark);
    frontier.number_cuts_from(from.next_epoch);
    for second in 0..4 {
        let now = from.cut.tick + second * SECOND;
        frontier.dispatch(now);
        let orders: Vec<_> = frontier.orders().collect();
        for page in orders {
            frontier.handle(page, now);
        }
        while frontier.next_commit().is_some() {}
    }
    frontier.cut(from.cut.tick + 4 * SECOND, from.cut.wall);
    while frontier.sweep() {}
    while let Some(delta) = frontier.next_delta() {
        if checkpointer.delta(delta).is_err() {
            return;
        }
    }
}
