//! Damage at rest in the directory of a small real crawl: bits flipped one at a time in what a compaction wrote, and in
//! segments, indexes and lookup tables. What is restored is what was checkpointed, or it is refused; `verify` names the
//! file; what verification does not find is no damage: every record reads as before.
//!
//! The other files of a checkpoint: tests/checkpoint_damage.rs.

#[path = "../fuzz/targets/small_crawl.rs"]
#[allow(dead_code)]
mod small_crawl;

use cyclosa::checkpoint::manifest::{Generation, MANIFEST, Slot};
use cyclosa::checkpoint::page::PAGE_BYTES;
use cyclosa::checkpoint::{recover_into, verify};
use cyclosa::disk::Disk;
use cyclosa::frontier::restore::InMemory;
use cyclosa::sim::disk::SimDisk;
use cyclosa::store::{Found, Part, Reader, table};
use small_crawl::Files;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// Everything of the checkpoint that is restored, `ended` log included where it is whole; and its number.
fn restored(disk: &SimDisk) -> Option<(u64, String, bool)> {
    let found = recover_into(disk, &|_| {}, |_, logs| Ok(InMemory::of(logs)));
    let (it, logs) = found.ok()??;
    let mut ended = Vec::new();
    let whole = it
        .logs(disk)
        .ended(&mut |piece| ended.extend_from_slice(piece));
    let all = format!(
        "{:?} {:?} {:?} {:?} {logs:?}",
        it.identity, it.cut, it.mark, it.hosts
    );
    Some((
        it.cut.epoch,
        if whole {
            format!("{all} {ended:?}")
        } else {
            all
        },
        whole,
    ))
}

/// The bits to flip in a file of pages: all of the header's fields and checksum, some of its padding, one of each byte
/// behind it.
fn bits(len: u64) -> impl Iterator<Item = (u64, u8)> {
    (0..len).flat_map(|at| {
        let page = PAGE_BYTES as u64;
        let (field, padding) = (at < 96 || (page - 8..page).contains(&at), at < page);
        let count = match (field, padding) {
            (true, _) => 8,
            (false, true) => u8::from(at % 16 == 0),
            (false, false) => u8::from(at % 3 == 0),
        };
        (0..count).map(move |bit| (at, 1 << ((u64::from(bit) + at) % 8)))
    })
}

#[test]
fn no_flipped_bit_of_what_a_compaction_wrote_is_believed() {
    let disk = small_crawl::disk();
    let [_, before] = small_crawl::generations(&disk).expect("a manifest");
    let newest = restored(&disk).expect("a sound crawl");
    disk.corrupt("manifest", (newest.0 & 1) * PAGE_BYTES as u64, 1);
    let older = restored(&disk).expect("two checkpoints");
    disk.corrupt("manifest", (newest.0 & 1) * PAGE_BYTES as u64, 1);
    assert!(older.0 < newest.0 && newest.2 && older.2);
    let names = disk.list().expect("a good disk").into_iter();
    let names = names.filter(|n| n.starts_with("base-") || n.starts_with("ended-"));
    for name in names.collect::<Vec<_>>() {
        let len = disk.peek(&name).expect("listed").len() as u64;
        let (mut flipped, mut refused, mut fell_back, mut unnamed) = (0, 0, 0, 0);
        for (at, mask) in bits(len) {
            disk.corrupt(&name, at, mask);
            let (got, report) = (restored(&disk), verify(&disk).expect("a crawl"));
            disk.corrupt(&name, at, mask);
            flipped += 1;
            let of_it = report.defects.iter().filter(|d| d.file == name).count();
            assert_eq!(
                of_it,
                report.defects.len(),
                "{name}, {at}: {:?}",
                report.defects
            );
            match got {
                None => refused += 1,
                Some(got) if got.0 == older.0 => {
                    assert_eq!(got, older, "{name}, {at}");
                    fell_back += 1;
                }
                // A list of what has ended may be cut short, and then it says so; all else is as it was.
                Some(got) if !got.2 => assert!(newest.1.starts_with(&got.1) && of_it > 0),
                Some(got) => assert_eq!(got, newest, "{name}, {at}"),
            }
            unnamed += u32::from(of_it == 0);
        }
        println!(
            "{name}: {flipped} bits flipped, {} found; {refused} refused, {fell_back} fell back, {unnamed} lie where \
             nothing is named",
            flipped - unnamed
        );
        let old = name == format!("base-{:06}.log", before.base.first);
        assert!(flipped > 2_000 && unnamed < flipped / 20);
        assert!(
            name.starts_with("ended-") || old || fell_back > 1_900,
            "the newest base"
        );
    }
}

/// Changes what both slots of the manifest say, with checksums that hold.
fn with_slots(change: impl Fn(&mut Generation)) -> SimDisk {
    let mut files = small_crawl::files();
    let manifest = files.get_mut(MANIFEST).expect("a crawl has one");
    for slot in 0..2 {
        let Slot::Valid { mut generation, .. } = Slot::decode(manifest, slot) else {
            panic!("both slots are in use");
        };
        change(&mut generation);
        let at = slot as usize * PAGE_BYTES;
        manifest[at..at + PAGE_BYTES].copy_from_slice(&generation.encode(slot).0[..]);
    }
    small_crawl::disk_of(&files)
}

#[test]
fn a_manifest_that_contradicts_its_files_is_not_believed() {
    type Change = fn(&mut Generation);
    let changes: [(&str, Change); 5] = [
        ("number of fingerprints", |it| it.seen_len += 1),
        ("ends before the log does", |it| {
            (it.seen_len, it.seen.payload) = (1 << 40, 8 << 40);
        }),
        ("ends before its first file", |it| {
            it.base.until = it.urls.file
        }),
        ("was never written|checksum", |it| it.base.until = u64::MAX),
        ("is missing", |it| it.seen.file += 1),
    ];
    for (expected, change) in changes {
        let disk = with_slots(change);
        let error = recover_into(&disk, &|_| {}, |_, logs| Ok(InMemory::of(logs)));
        let error = error.expect_err(expected).to_string();
        assert!(
            expected.split('|').any(|e| error.contains(e)),
            "{expected}: {error}"
        );
        let report = verify(&disk).expect("a crawl");
        assert_eq!(report.restorable, [] as [u64; 0], "{expected}");
        assert!(!report.defects.is_empty(), "{expected}");
    }
    assert_eq!(
        verify(&with_slots(|_| {}))
            .expect("a crawl")
            .restorable
            .len(),
        2
    );
}

#[test]
fn a_table_that_names_no_place_is_damage() {
    let mut files = small_crawl::files();
    files.retain(|name, _| Part::of(name).is_some());
    let url = b"http://h0.test/p0";
    for at in [u64::MAX, 1 << 40, (1 << 40) - 1] {
        let table = table::encode(1, &mut [(table::hash(url), at)]);
        files.insert(Part::Table.name(1), table);
        let dir = directory(&files);
        let reader = Reader::open(dir.path()).expect("a crawl");
        let found = reader.find(url);
        assert!(found.is_err() || found.is_ok_and(|f| f.is_some_and(|f| f.position.segment() > 1)));
        assert!(reader.verify().expect("readable").defect_count > 0);
    }
}

fn directory(files: &Files) -> TempDir {
    let dir = tempfile::tempdir().expect("a temporary directory");
    for (name, bytes) in files {
        std::fs::write(dir.path().join(name), bytes).expect("room for a few KiB");
    }
    dir
}

/// All that the directory gives, by URL and place.
fn records(reader: &Reader) -> Vec<(Found, Vec<u8>)> {
    let mut found = Vec::new();
    let whole = reader.each(|position, entry| found.push(Found::of(position, entry)));
    whole.expect("indexes without a defect");
    let read = |f: Found| {
        let record = reader.record(&f).expect("a record without a defect");
        (f, record)
    };
    found.into_iter().map(read).collect()
}

/// Flips bits of a file in place.
fn flip(path: &Path, at: u64, mask: u8) {
    let file = std::fs::File::options().read(true).write(true).open(path);
    let file = file.expect("a file of the crawl");
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).expect("in the file");
    file.write_all_at(&[byte[0] ^ mask], at)
        .expect("in the file");
}

#[test]
fn no_flipped_bit_of_segments_indexes_and_tables_goes_unnoticed() {
    let mut files = small_crawl::files();
    files.retain(|name, _| Part::of(name).is_some());
    let dir = directory(&files);
    let reader = Reader::open(dir.path()).expect("a crawl");
    assert_eq!(reader.verify().expect("readable").defects, []);
    let sound = records(&reader);
    assert!(sound.len() > 50);
    for (name, bytes) in &files {
        let path = dir.path().join(name);
        let (_, part) = Part::of(name).expect("the store's");
        let every = if part == Part::Data { 7 } else { 1 };
        let (mut flipped, mut harmless) = (0, 0);
        for at in (0..bytes.len()).step_by(every) {
            // All bits where a file begins, one of each byte after that.
            let bits = if at < 48 { 0..8 } else { at % 8..at % 8 + 1 };
            for bit in bits {
                flip(&path, at as u64, 1 << bit);
                let verified = reader.verify().expect("readable");
                flipped += 1;
                if verified.defect_count == 0 {
                    assert_eq!(records(&reader), sound, "{name}, {at}, bit {bit}");
                    harmless += 1;
                } else {
                    let named = verified.defects.iter().any(|d| d.file == *name);
                    assert!(named, "{name}, {at}: {:?}", verified.defects);
                }
                flip(&path, at as u64, 1 << bit);
            }
        }
        println!(
            "{name}: {flipped} bits flipped, {} found, {harmless} change nothing",
            flipped - harmless
        );
        // Frames have bits that a reader must ignore.
        assert!(part == Part::Data || harmless == 0);
        assert!(harmless * 50 < flipped);
    }
    assert_eq!(records(&reader), sound, "all is as it was");
}

#[test]
fn the_command_says_which_file_and_exits_with_1() {
    let files = small_crawl::files();
    let dir = directory(&files);
    let verify = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cyclosa"));
        let ended = command.arg("verify").arg(dir.path()).output();
        let ended = ended.expect("the program starts");
        let said = String::from_utf8_lossy(&ended.stdout).into_owned();
        (ended.status.code(), said)
    };
    let (code, said) = verify();
    assert_eq!((code, said.ends_with("sound\n")), (Some(0), true), "{said}");
    for name in files.keys() {
        // Byte 20 is part of a header in every kind of file, and of the first frame's content in a segment.
        flip(&dir.path().join(name), 20, 4);
        let (code, said) = verify();
        flip(&dir.path().join(name), 20, 4);
        assert_eq!(code, Some(1), "{name}: {said}");
        assert!(
            said.contains(name.as_str()) && said.ends_with("DAMAGED\n"),
            "{name}: {said}"
        );
    }
}
