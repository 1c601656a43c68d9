//! Damage at rest: every bit of the manifest and of every header, and samples of all bodies, flipped one at a time. What
//! is restored must be a state that was checkpointed, or the restore must refuse; `verify` must name the file.

#[path = "common/whole.rs"]
mod whole;

use cyclosa::checkpoint::log::LogSizes;
use cyclosa::checkpoint::page::PAGE_BYTES;
use cyclosa::checkpoint::{Checkpointer, Sizes, verify};
use cyclosa::disk::{Access, Disk};
use cyclosa::event::{BLOCK_BYTES, CrawlIdentity, Cut, Delta, Mark, StoreNote};
use cyclosa::sim::disk::SimDisk;
use std::sync::Arc;
use whole::{Whole, recover};

const ME: CrawlIdentity = CrawlIdentity {
    id: [3; 16],
    key: [5; 32],
    created: 77,
};
const SIZES: Sizes = Sizes {
    seen: LogSizes {
        first: 16 << 10,
        max: 16 << 10,
    },
    urls: LogSizes {
        first: 16 << 10,
        max: 16 << 10,
    },
    compact_at: u64::MAX,
};
/// Files that the damaged directory holds.
const FILES: [&str; 9] = [
    "seen-000001.log",
    "seen-000002.log",
    "urls-000001.log",
    "urls-000002.log",
    "urls-000003.log",
    "hosts-000001.img",
    "hosts-000002.img",
    "state-000001.bin",
    "state-000002.bin",
];

/// Sends one whole checkpoint and turns until it is durable.
fn checkpoint(to: &mut Checkpointer, epoch: u64, total: (u64, u64), blocks: u32) {
    let cut = Cut {
        epoch,
        tick: epoch,
        wall: epoch,
        seen_len: total.0,
        urls_len: total.1,
        blocks,
        state: vec![epoch as u8; 100],
        state_hash: epoch,
        cut_ns: 0,
    };
    to.delta(Delta::Cut(Box::new(cut))).unwrap();
    for index in 0..blocks {
        let bytes = Box::new([epoch as u8; BLOCK_BYTES]);
        to.delta(Delta::Block { index, bytes }).unwrap();
    }
    to.delta(Delta::Swept { epoch }).unwrap();
    let mark = Mark {
        epoch,
        ..Mark::default()
    };
    to.note(StoreNote::Mark(mark)).unwrap();
    for _ in 0..100 {
        if to.turn(epoch).unwrap().is_some() {
            return;
        }
    }
    panic!("checkpoint {epoch} does not become durable");
}

/// A directory with `count` checkpoints.
fn crawl(count: u64) -> SimDisk {
    crawl_with(count, 2)
}

/// The same with any number of blocks in the image; without any there is no image file.
fn crawl_with(count: u64, blocks: u32) -> SimDisk {
    let disk = SimDisk::new(5);
    let mut to = Checkpointer::new(Arc::new(disk.clone()), ME, SIZES).unwrap();
    for epoch in 1..=count {
        to.delta(Delta::Seen(vec![epoch; 700])).unwrap();
        to.delta(Delta::Urls(vec![epoch as u8; 9_000])).unwrap();
        checkpoint(&mut to, epoch, (epoch * 700, epoch * 9_000), blocks);
    }
    disk
}

/// Whether this is the state of one of `crawl`'s checkpoints, byte for byte.
fn is_true(got: &Whole) -> bool {
    let epoch = got.cut.epoch;
    let seen: Vec<u64> = (1..=epoch).flat_map(|e| vec![e; 700]).collect();
    let urls: Vec<u8> = (1..=epoch).flat_map(|e| vec![e as u8; 9_000]).collect();
    let blob = if epoch > 0 { 100 } else { 0 };
    got.identity == ME
        && got.seen == seen
        && got.urls == urls
        && got.hosts == vec![epoch as u8; got.cut.blocks as usize * BLOCK_BYTES]
        && (got.cut.blocks <= 2)
        && got.cut.state == vec![epoch as u8; blob]
        && (got.cut.tick, got.cut.state_hash, got.mark.epoch) == (epoch, epoch, epoch)
}

/// Flips one bit, restores, and flips it back. Returns the restored checkpoint, `None` if it was refused.
fn with_flipped(disk: &SimDisk, name: &str, at: u64, mask: u8) -> Option<Whole> {
    disk.corrupt(name, at, mask);
    let got = recover(disk);
    disk.corrupt(name, at, mask);
    let got = got.ok()??;
    assert!(is_true(&got), "{name}, byte {at}: a wrong state was taken");
    Some(got)
}

#[test]
fn no_flipped_bit_of_the_manifest_is_believed() {
    let disk = crawl_with(3, 0);
    let (mut newest, mut older) = (0, 0);
    for bit in 0..2 * PAGE_BYTES as u64 * 8 {
        let got = with_flipped(&disk, "manifest", bit / 8, 1 << (bit % 8)).unwrap();
        if bit / 8 < PAGE_BYTES as u64 {
            // Slot 0 holds checkpoint 2: the newer one is not touched by it.
            assert_eq!(got.cut.epoch, 3, "bit {bit}");
            newest += 1;
        } else {
            assert_eq!(got.cut.epoch, 2, "bit {bit}");
            assert!(got.fallback.as_ref().unwrap().contains("slot 1"));
            older += 1;
        }
    }
    println!("{newest} flips left the newest checkpoint, {older} fell back");
    assert_eq!((newest, older), (32_768, 32_768));
}

#[test]
fn no_flipped_bit_of_a_header_is_believed() {
    let disk = crawl(3);
    let mut refused = 0;
    for name in FILES {
        // The fields and the checksum bit by bit, the padding between byte by byte (page.rs flips all its bits).
        for at in 0..PAGE_BYTES as u64 {
            let field = !(96..PAGE_BYTES as u64 - 8).contains(&at);
            for mask in (0..8).map(|b| 1 << b).take(if field { 8 } else { 1 }) {
                if at % 16 > 0 && !field {
                    continue;
                }
                match with_flipped(&disk, name, at, mask) {
                    None => refused += 1,
                    Some(got) => assert_eq!(expected_after(name), Some(got.cut.epoch), "{name}"),
                }
            }
        }
    }
    println!("{refused} flips made the restore refuse");
    assert!(refused > 0);
}

/// Which checkpoint is left when a header is damaged; `None`: none, for both need the file.
fn expected_after(name: &str) -> Option<u64> {
    match name {
        // The first checkpoint made number 1 in slot 1, the second number 2 in slot 0, the third used number 1 again.
        "hosts-000001.img" | "state-000001.bin" => Some(2),
        "hosts-000002.img" | "state-000002.bin" => Some(3),
        // The second files of the log of fingerprints and the third of the URLs belong to the third checkpoint only.
        "urls-000003.log" => Some(2),
        "seen-000002.log" => Some(2),
        _ => None,
    }
}

#[test]
fn no_flipped_byte_of_a_body_is_believed_and_verify_names_its_file() {
    let disk = crawl(3);
    let (mut found, mut unnamed) = (0, 0);
    for name in FILES {
        let len = disk.peek(name).unwrap().len() as u64;
        for at in (PAGE_BYTES as u64..len).step_by(61) {
            let mask = 1 << (at % 8);
            let got = with_flipped(&disk, name, at, mask);
            disk.corrupt(name, at, mask);
            let report = verify(&disk).unwrap();
            disk.corrupt(name, at, mask);
            // A byte that no generation names may be anything, and then nothing at all is wrong.
            if report.defects.is_empty() {
                assert_eq!(got.unwrap().cut.epoch, 3, "{name}, {at}");
                unnamed += 1;
            } else {
                assert!(
                    report.defects.iter().all(|d| d.file == name),
                    "{name}, {at}"
                );
                assert!(report.defects.iter().all(|d| !d.consequence.is_empty()));
                assert_eq!(report.restorable.first().copied(), got.map(|g| g.cut.epoch));
                found += 1;
            }
        }
    }
    println!("{found} flips found, {unnamed} in bytes that nothing names");
    assert!(found > 800 && unnamed > 100);
}

#[test]
fn a_missing_or_short_file_is_named() {
    for name in FILES {
        let disk = crawl(3);
        disk.remove(name).unwrap();
        match recover(&disk) {
            Ok(got) => assert!(is_true(&got.unwrap()), "{name}"),
            Err(e) => assert!(e.to_string().contains(name), "{e}"),
        }
        let report = verify(&disk).unwrap();
        assert!(report.defects.iter().any(|d| d.file == name), "{name}");
        let mut short = disk.create(name, Access::Append, 0).unwrap();
        short.write_at(0, &[0; 700]).unwrap();
        if let Ok(got) = recover(&disk) {
            assert!(is_true(&got.unwrap()), "{name}");
        }
    }
}

#[test]
fn a_directory_without_a_manifest_is_refused_and_an_empty_one_is_none() {
    let disk = crawl(2);
    disk.remove("manifest").unwrap();
    let message = recover(&disk).unwrap_err().to_string();
    assert!(
        message.contains("hosts-000001.img") && message.contains("--dir"),
        "{message}"
    );
    assert!(Checkpointer::new(Arc::new(disk), ME, SIZES).is_err());

    let empty = SimDisk::new(1);
    empty.create("README.md", Access::Append, 0).unwrap();
    assert!(recover(&empty).unwrap().is_none());
    assert!(verify(&empty).is_err());
    // Died inside its very first call: nothing was lost, and the next start begins.
    empty.create("manifest", Access::Mapped, 0).unwrap();
    assert!(recover(&empty).unwrap().is_none());
    Checkpointer::new(Arc::new(empty.clone()), ME, SIZES).unwrap();
    let begun = recover(&empty).unwrap().unwrap();
    assert_eq!(
        (begun.identity, begun.cut.epoch, begun.next_epoch),
        (ME, 0, 1)
    );
    assert!(
        Checkpointer::new(Arc::new(empty), ME, SIZES).is_err(),
        "a crawl is never overwritten"
    );
}

#[test]
fn both_slots_damaged_is_refused_with_both_reasons() {
    let disk = crawl(3);
    disk.corrupt("manifest", 100, 1);
    disk.corrupt("manifest", 4_196, 1);
    let message = recover(&disk).unwrap_err().to_string();
    assert!(
        message.contains("slot 0") && message.contains("slot 1"),
        "{message}"
    );
}

#[test]
fn a_generation_that_was_given_up_stays_given_up() {
    let disk = crawl(3);
    // The newest image cannot be read for once, and comes back later.
    let lost = disk.read("hosts-000001.img").unwrap();
    disk.corrupt("hosts-000001.img", 8_192, 1);
    let got = recover(&disk).unwrap().unwrap();
    assert_eq!((got.cut.epoch, got.next_epoch), (2, 4));
    assert!(
        got.fallback.as_ref().unwrap().contains("hosts-000001.img"),
        "{:?}",
        got.fallback
    );
    assert_eq!(
        recover(&disk).unwrap().unwrap().fallback,
        got.fallback,
        "reading changes nothing"
    );
    let mut to = Checkpointer::resume(Arc::new(disk.clone()), &got, SIZES).unwrap();
    disk.corrupt("hosts-000001.img", 8_192, 1);
    assert_eq!(disk.read("hosts-000001.img").unwrap(), lost);
    let again = recover(&disk).unwrap().unwrap();
    assert_eq!(
        (again.cut.epoch, again.next_epoch),
        (2, 4),
        "another history has begun"
    );
    assert!(
        to.delta(Delta::Cut(Box::new(Cut {
            epoch: 3,
            ..again.cut.clone()
        })))
        .is_err()
    );
    drop(to);

    let mut to = Checkpointer::resume(Arc::new(disk.clone()), &again, SIZES).unwrap();
    to.delta(Delta::Seen(vec![9; 3])).unwrap();
    to.delta(Delta::Urls(vec![9; 30_000])).unwrap();
    checkpoint(&mut to, 4, (1_403, 48_000), 2);
    let got = recover(&disk).unwrap().unwrap();
    assert_eq!((got.cut.epoch, got.fallback.clone()), (4, None));
    assert_eq!(got.seen[1_400..], [9; 3]);
    assert_eq!(verify(&disk).unwrap().defects, []);
    // What only the old history named is removed now.
    for _ in 0..10 {
        to.turn(5).unwrap();
    }
    assert_eq!(disk.len("hosts-000001.img").unwrap(), None);
    assert_eq!(recover(&disk).unwrap().unwrap().cut.epoch, 4);
}

#[test]
fn files_of_another_crawl_are_not_taken() {
    let disk = crawl(3);
    let other = SimDisk::new(5);
    let you = CrawlIdentity { id: [4; 16], ..ME };
    let mut to = Checkpointer::new(Arc::new(other.clone()), you, SIZES).unwrap();
    for epoch in 1..=3u64 {
        to.delta(Delta::Seen(vec![epoch; 700])).unwrap();
        to.delta(Delta::Urls(vec![epoch as u8; 9_000])).unwrap();
        checkpoint(&mut to, epoch, (epoch * 700, epoch * 9_000), 2);
    }
    for name in FILES {
        let (ours, theirs) = (disk.peek(name).unwrap(), other.peek(name).unwrap());
        let mut file = disk.open(name, Access::Mapped).unwrap();
        file.write_at(0, &theirs).unwrap();
        if let Ok(got) = recover(&disk) {
            assert!(is_true(&got.unwrap()), "{name}");
        }
        let report = verify(&disk).unwrap();
        let defect = report.defects.iter().find(|d| d.file == name).unwrap();
        assert!(defect.problem.contains("another crawl"), "{defect}");
        file.write_at(0, &ours).unwrap();
    }
}
