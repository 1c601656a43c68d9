//! The store and its reader together, on a directory of plain files.

mod disk;

use disk::DirDisk;

use super::export::Exported;
use super::reader::{Found, Reader};
use super::*;
use crate::event::Coding;
use crate::limits::HEADROOM_BYTES;
use crate::parse::record::RecordWriter;
use crate::parse::record::tests::page as fetched;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::Ordering;

pub(super) const CRAWL: CrawlIdentity = CrawlIdentity {
    id: [7; 16],
    key: [8; 32],
    created: 1_600_000_000_000,
};

fn settings(segment_bytes: u64) -> Settings {
    Settings {
        segment_bytes,
        ..Settings::of(&Config::default())
    }
}

fn gz(plain: &[u8]) -> Vec<u8> {
    let mut enc = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    enc.write_all(plain).expect("memory");
    enc.finish().expect("memory")
}

const HTML: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n";

/// Makes the `i`th page of a varied crawl: all kinds of heads, codings, copies, failures and hostile bytes.
fn varied(writer: &mut RecordWriter, i: u64) -> Box<Page> {
    let body = format!("<p>page {i} WARC/1.1\r\nWARC-Type: warcinfo\r\n\r\n</p>")
        .repeat(1 + i as usize % 40);
    let body = body.as_bytes();
    let url = format!("http://h{}.test/{i}", i % 3);
    let plain = format!("{HTML}\r\n");
    let mut page = match i % 12 {
        0 => fetched(&url, format!("{HTML}Transfer-Encoding: chunked\r\n\r\n").as_bytes(), body, HEADROOM_BYTES),
        1 => fetched(&url, format!("{HTML}Content-Encoding: gzip\r\n\r\n").as_bytes(), &gz(body), HEADROOM_BYTES),
        2 | 3 => fetched(&url, plain.as_bytes(), b"a page that many URLs show", HEADROOM_BYTES),
        4 => fetched(&url, b"HTTP/1.1 301 Moved\r\nLocation: /x\r\nTransfer-Encoding: chunked\r\n\r\n", b"", 0),
        5 => fetched(
            &format!("{url}\r\nWARC-Type: warcinfo\r\n\r\n<\u{2028}>\"\0"),
            b"HTTP/1.1 200\r\nX:\x01\xff\x80 y\r\n folded\r\nno colon\r\n: empty\r\nContent-Length: 99999999\r\n\r\n",
            body,
            HEADROOM_BYTES,
        ),
        6 => fetched(&url, b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n\r\n", b"\x89PNG\r\n\r\n", 10),
        7 => {
            let mut page = fetched("http://h0.test/robots.txt", plain.as_bytes(), b"User-agent: *\n", HEADROOM_BYTES);
            page.job = Job::Robots;
            page
        }
        8 => fetched(&url, b"HTTP/1.0 404 Not Found\nServer: bare\n\n", b"a page that many URLs show", HEADROOM_BYTES),
        _ => fetched(&url, plain.as_bytes(), body, HEADROOM_BYTES),
    };
    page.facts.status = match i % 12 {
        4 => 301,
        8 => 404,
        _ => 200,
    };
    page.fetched_at = 1_700_000_000_000 + i * 1_000;
    if i % 12 == 9 {
        page.outcome = Outcome::CutDisconnect;
    }
    if i % 12 == 10 {
        page.outcome = Outcome::ConnectFailed;
        return page;
    }
    writer.response(&mut page, Level::Normal);
    page
}

/// Commits pages `from..to`, taking a turn after every `turn`th, and returns the mark taken at the end.
fn crawl(store: &mut Store, from: u64, to: u64, turn: u64) -> Mark {
    let mut writer = RecordWriter::new(CRAWL.id).expect("memory");
    for i in from..to {
        store.commit(Commit::Page(varied(&mut writer, i)), 0);
        if i % turn == 0 {
            store.turn(0).expect("a turn");
        }
    }
    store.commit(Commit::Marker { epoch: 1 }, 0);
    store.turn(0).expect("a turn");
    let back = store.returned().count() as u64;
    assert_eq!(back, to - from, "every page comes back");
    let marks = store.notes().filter_map(|note| match note {
        StoreNote::Mark(mark) => Some(mark),
        StoreNote::Opened { .. } => None,
    });
    marks.last().expect("a mark")
}

fn create(dir: &Path, segment_bytes: u64) -> Store {
    Store::create(DirDisk::new(dir), &CRAWL, settings(segment_bytes)).expect("a store")
}

fn scratch() -> tempfile::TempDir {
    tempfile::tempdir().expect("a scratch directory")
}

/// All files of a directory with their content.
fn content(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let disk = DirDisk::new(dir);
    let names = disk.list().expect("a list");
    names
        .into_iter()
        .map(|n| (n.clone(), disk.read(&n).expect("a file")))
        .collect()
}

fn all(reader: &Reader) -> Vec<Found> {
    let mut positions = Vec::new();
    reader
        .each(|position, _| positions.push(position))
        .expect("entries");
    positions
        .into_iter()
        .map(|p| reader.entry(p).expect("an entry"))
        .collect()
}

#[test]
fn what_was_stored_is_read_back() {
    let dir = scratch();
    let mut store = create(dir.path(), 20_000);
    let mark = crawl(&mut store, 0, 240, 7);
    let counters = store.counters().clone();
    assert_eq!(counters.records, 220);
    assert_eq!((counters.robots, counters.revisits), (20, 58));
    assert!(mark.segment > 3 && mark.sealed == (1..mark.segment).collect::<Vec<_>>());
    let reader = Reader::open(dir.path()).expect("a reader");
    let verified = reader.verify().expect("readable");
    assert_eq!(verified.defects, []);
    assert_eq!(
        (verified.records, verified.pages, verified.revisits),
        (220, 200, 58)
    );
    assert_eq!(
        verified.stored_bytes,
        counters.stored_bytes.iter().sum::<u64>()
    );
    let found = all(&reader);
    assert_eq!(found.len(), 220);
    let mut writer = RecordWriter::new(CRAWL.id).expect("memory");
    for i in (0..240).filter(|i| i % 12 != 10) {
        let page = varied(&mut writer, i);
        let newest = reader.find(&page.url).expect("readable").expect("stored");
        assert_eq!(newest.digest, page.digest);
        assert_eq!(reader.payload(&newest).expect("a payload"), page.body());
        let body = reader.body(&newest).expect("a body");
        assert_eq!(body.defect, None);
        if page.facts.codings[0] == Coding::Gzip {
            assert!(body.bytes.starts_with(b"<p>page "));
        } else {
            assert_eq!(body.bytes, page.body());
        }
        if page.job != Job::Robots {
            assert_eq!(
                reader.find_fingerprint(page.fingerprint).expect("readable"),
                Some(newest.clone())
            );
            assert_eq!(
                (newest.status, newest.wall),
                (page.facts.status, page.fetched_at)
            );
        }
        assert!(
            reader
                .head(&newest)
                .expect("a head")
                .starts_with(b"HTTP/1.")
        );
    }
    assert_eq!(reader.find(b"http://h0.test/none").expect("readable"), None);
}

#[test]
fn the_same_commits_make_the_same_bytes() {
    let (a, b) = (scratch(), scratch());
    crawl(&mut create(a.path(), 30_000), 0, 300, 1);
    crawl(&mut create(b.path(), 30_000), 0, 300, 299);
    assert!(content(a.path()) == content(b.path()));
}

#[test]
fn reopening_cuts_to_the_mark_and_goes_on_as_if_nothing_had_been() {
    for (segment_bytes, first) in [(1 << 30, 100), (15_000, 100), (15_000, 0)] {
        let (a, b) = (scratch(), scratch());
        let mut store = create(a.path(), segment_bytes);
        let mark = crawl(&mut store, 0, first, 5);
        let before = content(a.path());
        crawl(&mut store, first, 250, 5); // lost: after the mark
        drop(store);
        for _ in 0..2 {
            let again = Store::reopen(
                DirDisk::new(a.path()),
                &CRAWL,
                settings(segment_bytes),
                &mark,
            )
            .expect("reopened");
            assert_eq!(again.counters().records, mark.records);
            assert!(
                content(a.path()) == before,
                "reopening twice is reopening once"
            );
        }
        let mut again = Store::reopen(
            DirDisk::new(a.path()),
            &CRAWL,
            settings(segment_bytes),
            &mark,
        )
        .expect("reopened");
        assert!(
            matches!(again.notes().next(), Some(StoreNote::Opened { segment, .. }) if segment == mark.segment)
        );
        crawl(&mut again, first, 400, 9);
        let mut straight = create(b.path(), segment_bytes);
        crawl(&mut straight, 0, first, 5);
        crawl(&mut straight, first, 400, 9);
        assert!(content(a.path()) == content(b.path()));
        assert_eq!(again.counters(), straight.counters());
    }
}

#[test]
fn reopening_refuses_what_does_not_fit_and_changes_nothing() {
    let dir = scratch();
    let mark = crawl(&mut create(dir.path(), 15_000), 0, 200, 5);
    let before = content(dir.path());
    let reopen = |mark: &Mark| {
        let error = Store::reopen(DirDisk::new(dir.path()), &CRAWL, settings(15_000), mark).err();
        error.map(|e| e.to_string()).unwrap_or_default()
    };
    assert_eq!(reopen(&mark), "");
    let longer = Mark {
        segment_len: mark.segment_len + 1,
        ..mark.clone()
    };
    assert!(reopen(&longer).contains(&format!("{} has", Part::Data.name(mark.segment))));
    let longer = Mark {
        index_len: mark.index_len + 1,
        ..mark.clone()
    };
    assert!(reopen(&longer).contains(&format!("{} has", Part::Index.name(mark.segment))));
    assert!(
        reopen(&Mark {
            state: vec![1],
            ..mark.clone()
        })
        .contains("another version")
    );
    assert!(
        reopen(&Mark {
            segment: 0,
            ..mark.clone()
        })
        .contains("no segment")
    );
    let name = dir.path().join(Part::Index.name(2));
    let mut bytes = std::fs::read(&name).expect("an index");
    bytes[100] ^= 4;
    std::fs::write(&name, &bytes).expect("written");
    assert!(reopen(&mark).contains("segment-00002.idx is damaged at byte 40"));
    bytes[100] ^= 4;
    std::fs::write(&name, &bytes).expect("written");
    let name = dir.path().join(Part::Data.name(1));
    let bytes = std::fs::read(&name).expect("a segment");
    std::fs::write(&name, &bytes[..bytes.len() - 1]).expect("written");
    assert!(reopen(&mark).contains("segment-00001.warc.zst has"));
    std::fs::write(&name, &bytes).expect("written");
    let other = CrawlIdentity {
        id: [9; 16],
        ..CRAWL
    };
    let error = Store::reopen(DirDisk::new(dir.path()), &other, settings(15_000), &mark).err();
    assert!(error.is_some_and(|e| e.to_string().contains("another crawl")));
    assert!(content(dir.path()) == before);
}

#[test]
fn a_new_crawl_does_not_overwrite_records() {
    let dir = scratch();
    drop(create(dir.path(), 1 << 20));
    let mut store = create(dir.path(), 1 << 20); // a segment without records is no loss
    crawl(&mut store, 0, 10, 1);
    drop(store);
    let before = content(dir.path());
    let error = Store::create(DirDisk::new(dir.path()), &CRAWL, settings(1 << 20))
        .err()
        .expect("refused");
    assert!(
        error
            .to_string()
            .contains("segment-00001.idx holds records"),
        "{error}"
    );
    assert!(content(dir.path()) == before);
}

#[test]
fn a_write_error_is_fatal_and_stays() {
    let dir = scratch();
    let disk = DirDisk::new(dir.path());
    let mut store = Store::create(disk.clone(), &CRAWL, settings(1 << 20)).expect("a store");
    crawl(&mut store, 0, 10, 1);
    for writes in [0, 1] {
        let before = content(dir.path());
        disk.writes_left.store(writes, Ordering::Relaxed);
        let mut writer = RecordWriter::new(CRAWL.id).expect("memory");
        store.commit(Commit::Page(varied(&mut writer, 11)), 0);
        let error = store.turn(0).expect_err("no space").to_string();
        let file = if writes == 0 {
            "segment-00001.warc.zst"
        } else {
            "segment-00001.idx"
        };
        assert!(
            error.starts_with(&format!("cannot write {file}: "))
                && error.contains("free some space"),
            "{error}"
        );
        disk.writes_left.store(u64::MAX, Ordering::Relaxed);
        assert_eq!(store.turn(0).expect_err("still").to_string(), error);
        if writes == 0 {
            assert!(
                content(dir.path()) == before,
                "nothing is written after an error"
            );
            let fresh = scratch();
            let mark = crawl(&mut create(fresh.path(), 1 << 20), 0, 10, 1);
            store =
                Store::reopen(disk.clone(), &CRAWL, settings(1 << 20), &mark).expect("reopened");
        }
    }
}

#[test]
fn every_flipped_bit_of_the_files_is_reported_or_changes_nothing() {
    let dir = scratch();
    crawl(&mut create(dir.path(), 2_500), 0, 12, 1);
    let plain = || {
        let mut plain = Vec::new();
        let reader = Reader::open(dir.path()).expect("a reader");
        let each = |_, record: Result<Vec<u8>>| {
            plain.extend(record.expect("whole"));
            Ok(())
        };
        reader.records(each).expect("readable");
        plain
    };
    let sound = plain();
    let verify = || Reader::open(dir.path()).map(|r| r.verify().expect("readable").defect_count);
    assert_eq!(verify().expect("sound"), 0);
    let mut flips = 0;
    for (name, bytes) in content(dir.path()) {
        let path = dir.path().join(&name);
        for at in (0..bytes.len()).step_by(if name.ends_with(".idx") { 1 } else { 3 }) {
            let mut bad = bytes.clone();
            bad[at] ^= 1 << (at % 8);
            std::fs::write(&path, &bad).expect("written");
            match verify() {
                // A few bits of a compressed block mean nothing.
                Ok(0) if name.ends_with(".zst") => assert!(plain() == sound, "{name}: byte {at}"),
                Ok(0) => panic!("{name}: a flip at byte {at} passed"),
                Ok(_) => {}
                Err(e) => assert!(e.to_string().contains("another crawl"), "{e}"),
            }
            flips += 1;
        }
        std::fs::write(&path, &bytes).expect("written");
    }
    assert!(flips > 2_000);
}

#[test]
fn torn_tails_are_reported_and_read_over_and_cut() {
    let dir = scratch();
    let mark = crawl(&mut create(dir.path(), 1 << 30), 0, 30, 1);
    let whole = content(dir.path());
    for (part, tail) in [(Part::Data, 5_000), (Part::Index, 50)] {
        let path = dir.path().join(part.name(1));
        let mut bytes = std::fs::read(&path).expect("a file");
        let (end, whole_file) = (bytes.len(), bytes.clone());
        bytes.extend_from_within(end - tail..);
        std::fs::write(&path, &bytes).expect("written");
        let reader = Reader::open(dir.path()).expect("a reader");
        assert_eq!(all(&reader).len() as u64, mark.records, "read over");
        let verified = reader.verify().expect("readable");
        assert_eq!(verified.defect_count, 1);
        assert_eq!(
            (verified.defects[0].file.as_str(), verified.records),
            (part.name(1).as_str(), mark.records)
        );
        assert!(
            verified.defects[0]
                .what
                .contains("the next run of the crawl cuts")
        );
        let to_mark = reader.verify_to(Some(&mark)).expect("readable");
        assert_eq!(
            (to_mark.defect_count, to_mark.behind, to_mark.kept),
            (0, 1, mark.records),
            "what a kill leaves behind the mark is no damage"
        );
        bytes.truncate(end - tail);
        std::fs::write(&path, &bytes).expect("written");
        let short = reader.verify_to(Some(&mark)).expect("readable");
        assert!(short.defect_count > 0 || short.kept < mark.records);
        std::fs::write(&path, [&whole_file[..], b"torn"].concat()).expect("written");
        Store::reopen(DirDisk::new(dir.path()), &CRAWL, settings(1 << 30), &mark)
            .expect("reopened");
        assert!(content(dir.path()) == whole);
    }
}

#[test]
fn a_running_crawl_is_read_up_to_what_is_whole() {
    let dir = scratch();
    let mut store = create(dir.path(), 1 << 30);
    let mark = crawl(&mut store, 0, 30, 1);
    let index = dir.path().join(Part::Index.name(1));
    let bytes = std::fs::read(&index).expect("an index");
    let mut seen = 0;
    for cut in 0..bytes.len() {
        std::fs::write(&index, &bytes[..cut]).expect("written");
        let found = all(&Reader::open(dir.path()).expect("a reader"));
        assert!(found.len() as u64 <= mark.records && found.len() >= seen);
        seen = found.len();
    }
    assert_eq!(seen as u64, mark.records - 1);
}

#[test]
fn tables_are_only_shortcuts() {
    let dir = scratch();
    crawl(&mut create(dir.path(), 5_000), 0, 200, 1);
    let reader = Reader::open(dir.path()).expect("a reader");
    let url = b"http://h0.test/9";
    let by_table = reader.find(url).expect("readable").expect("stored");
    assert_eq!(by_table.position.segment(), 1, "old enough to be sealed");
    let path = dir.path().join(Part::Table.name(1));
    let mut bytes = std::fs::read(&path).expect("a table");
    bytes[40] ^= 1;
    std::fs::write(&path, &bytes).expect("written");
    assert_eq!(reader.find(url).expect("readable"), Some(by_table.clone()));
    assert_eq!(reader.verify().expect("readable").defect_count, 1);
    std::fs::remove_file(&path).expect("removed");
    assert_eq!(reader.find(url).expect("readable"), Some(by_table));
    assert_eq!(reader.verify().expect("readable").defect_count, 0);
}

#[test]
fn beyond_the_limit_copies_are_stored_whole() {
    let dir = scratch();
    let few = Settings {
        payloads_max: 1,
        ..settings(1 << 30)
    };
    let mut store = Store::create(DirDisk::new(dir.path()), &CRAWL, few).expect("a store");
    crawl(&mut store, 0, 48, 1);
    assert_eq!(store.counters().revisits, 0);
    assert!(store.counters().dedup_full > 20);
    assert_eq!(
        Reader::open(dir.path())
            .expect("a reader")
            .verify()
            .expect("readable")
            .defects,
        []
    );
}

#[test]
fn revisits_refer_across_segments_and_after_a_restore() {
    let dir = scratch();
    let mut store = create(dir.path(), 1_000);
    let mark = crawl(&mut store, 0, 150, 1);
    drop(store);
    let mut store =
        Store::reopen(DirDisk::new(dir.path()), &CRAWL, settings(1_000), &mark).expect("reopened");
    crawl(&mut store, 150, 300, 1);
    let reader = Reader::open(dir.path()).expect("a reader");
    let found = all(&reader);
    let revisits: Vec<_> = found.iter().filter(|f| f.kind == Kind::Revisit).collect();
    assert_eq!(revisits.len(), 73);
    let far = revisits.iter().filter(|f| {
        f.origin
            .is_some_and(|o| o.segment() + 20 < f.position.segment())
    });
    assert!(far.count() > 30);
    for revisit in revisits {
        let body = reader.body(revisit).expect("a body").bytes;
        let image: &[u8] = b"\x89PNG\r\n\r\n";
        assert_eq!(
            body,
            if revisit.mime == b"image/png" {
                image
            } else {
                b"a page that many URLs show"
            }
        );
    }
}

/// Runs a tool; `None` where it is not installed.
fn tool(command: &mut Command) -> Option<std::process::Output> {
    match command.output() {
        Ok(output) => Some(output),
        Err(e) => {
            println!("skipped: {:?} cannot be run ({e})", command.get_program());
            None
        }
    }
}

#[test]
fn other_tools_read_what_was_stored() {
    let dir = scratch();
    crawl(&mut create(dir.path(), 25_000), 0, 240, 5);
    let reader = Reader::open(dir.path()).expect("a reader");
    let exported = dir.path().join("all.warc.gz");
    let Exported {
        records, skipped, ..
    } = reader.export_warc(&exported).expect("exported");
    assert_eq!(
        (records, skipped),
        (220 + reader.segments().len() as u64, 0)
    );
    let mut plain = Vec::new();
    for &segment in reader.segments() {
        let path = reader.path(Part::Data, segment);
        let Some(output) = tool(Command::new("zstd").arg("-t").arg(&path)) else {
            return;
        };
        assert!(output.status.success(), "{output:?}");
        let Some(output) = tool(Command::new("zstd").arg("-dc").arg(&path)) else {
            return;
        };
        plain.extend_from_slice(&output.stdout);
    }
    let unpacked = dir.path().join("all.warc");
    std::fs::write(&unpacked, &plain).expect("written");
    for file in [&unpacked, &exported] {
        let Some(output) = tool(Command::new("warcio").arg("check").arg("-v").arg(file)) else {
            return;
        };
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said} {output:?}");
        assert_eq!(
            said.matches("digest pass").count(),
            162,
            "every response has a digest that holds: {said}"
        );
        let mut index = Command::new("warcio");
        let fields = "warc-type,warc-target-uri,http:status";
        let Some(output) = tool(index.arg("index").arg("-f").arg(fields).arg(file)) else {
            return;
        };
        assert!(output.status.success(), "{output:?}");
        let lines = String::from_utf8_lossy(&output.stdout);
        assert_eq!(lines.lines().count() as u64, records);
        assert_eq!(lines.matches("\"revisit\"").count(), 58);
    }
}

#[test]
fn an_export_replaces_nothing_and_leaves_out_what_is_damaged() {
    let dir = scratch();
    crawl(&mut create(dir.path(), 1 << 30), 0, 24, 5);
    let reader = Reader::open(dir.path()).expect("a reader");
    let out = dir.path().join("out.warc.gz");
    std::fs::write(&out, b"mine").expect("written");
    let error = reader.export_warc(&out).expect_err("refused");
    assert!(
        error.to_string().contains("exists already")
            && std::fs::read(&out).expect("kept") == b"mine"
    );
    let victim = &all(&reader)[3];
    let path = reader.path(Part::Data, 1);
    let mut bytes = std::fs::read(&path).expect("a segment");
    bytes[victim.offset as usize + 40] ^= 1;
    std::fs::write(&path, &bytes).expect("written");
    let other = dir.path().join("other.warc.gz");
    let exported = reader.export_warc(&other).expect("exported");
    assert_eq!((exported.records, exported.skipped), (22, 1));
    assert!(
        exported
            .first_defect
            .is_some_and(|d| d.contains(&format!("byte {}", victim.offset)))
    );
    assert!(
        content(dir.path())
            .iter()
            .all(|(name, _)| !name.contains(".part-"))
    );
    let path = reader.path(Part::Index, 1);
    let later = all(&reader)[9].position.at() as usize;
    let mut bytes = std::fs::read(&path).expect("an index");
    bytes[later] ^= 1;
    std::fs::write(&path, &bytes).expect("written");
    let third = dir.path().join("third.warc.gz");
    let exported = reader.export_warc(&third).expect("exported");
    assert_eq!(
        (exported.records, exported.skipped),
        (9, 2),
        "up to the damage"
    );
    let error = Reader::open(&dir.path().join("none"))
        .err()
        .expect("no directory")
        .to_string();
    assert!(error.contains("cannot open the crawl directory"), "{error}");
}
