//! Reading what was stored from damaged segments, indexes and tables: nothing panics, hangs or grows, and while no
//! checksum was repaired, whatever is handed out for a URL is what was stored for it.
//!
//! Input: first byte: 0 no checksum is repaired, 1 those of indexes and tables, 2 the rest is a record in a whole frame,
//! 3 the rest is a frame (modulo 4). Then edits ([`super::edits`]), or the record, or the frame.

use super::small_crawl::{Files, IDENTITY, files};
use super::{edits, seal};
use cyclosa::event::Outcome;
use cyclosa::protocol::zframe::{Framer, Level};
use cyclosa::store::index::{self, Entry, Position};
use cyclosa::store::{Found, Kind, Part, Reader};
use std::collections::HashMap;
use std::path::Path;
use std::sync::OnceLock;
use tempfile::TempDir;

/// Records looked at closely in one run.
const LOOKED_AT: usize = 24;

struct Sound {
    files: Files,
    /// Bodies as received, by where their entries stand.
    bodies: HashMap<Position, Vec<u8>>,
}

fn sound() -> &'static Sound {
    static SOUND: OnceLock<Sound> = OnceLock::new();
    SOUND.get_or_init(|| {
        let mut files = files();
        files.retain(|name, _| Part::of(name).is_some());
        let dir = directory(&files);
        let reader = Reader::open(dir.path()).expect("a crawl");
        let mut bodies = HashMap::new();
        for found in all(&reader) {
            bodies.insert(found.position, reader.payload(&found).expect("sound"));
        }
        assert!(bodies.len() > 50, "{} records", bodies.len());
        Sound { files, bodies }
    })
}

fn directory(files: &Files) -> TempDir {
    let memory = Path::new("/dev/shm");
    let dir = if memory.is_dir() {
        tempfile::tempdir_in(memory)
    } else {
        tempfile::tempdir()
    };
    let dir = dir.expect("a temporary directory");
    for (name, bytes) in files {
        std::fs::write(dir.path().join(name), bytes).expect("room for a few KiB");
    }
    dir
}

fn all(reader: &Reader) -> Vec<Found> {
    let mut all = Vec::new();
    // A damaged segment ends the reading of it.
    for segment in reader.segments() {
        let _ = reader.scan(*segment, |position, entry| {
            all.push(Found::of(position, entry));
            true
        });
    }
    all
}

/// Runs one input.
pub fn run(data: &[u8]) {
    let Some((how, rest)) = data.split_first() else {
        return;
    };
    let sound = sound();
    let mut files = sound.files.clone();
    match how % 4 {
        0 => edits::apply(&mut files, rest, |_| true),
        1 => {
            edits::apply(&mut files, rest, |_| true);
            seal::segments(&mut files);
        }
        2 => {
            let mut frame = Vec::new();
            let mut framer = Framer::new().expect("memory");
            framer.frame(rest, Level::Fast, &mut frame);
            files = one(&frame, rest.len() as u64);
        }
        _ => files = one(rest, rest.len() as u64),
    }
    let dir = directory(&files);
    let Ok(reader) = Reader::open(dir.path()) else {
        return;
    };
    let verified = reader.verify().expect("an open directory");
    assert!(verified.defects.len() as u64 <= verified.defect_count);
    let _ = reader.records(|_, _| Ok(()));
    let _ = reader.find(b"http://h0.test/p0");
    let _ = reader.find(b"http://h3.test/p1");
    for found in all(&reader).iter().take(LOOKED_AT) {
        let _ = reader.head(found);
        let _ = reader.body(found);
        let Ok(payload) = reader.payload(found) else {
            continue;
        };
        if how % 4 == 0 && files.keys().all(|name| seal_is_untouched(name, &files)) {
            let stored = sound.bodies.get(&found.position);
            assert_eq!(stored, Some(&payload), "another body than was stored");
        }
    }
}

/// Whether the header of an index says that it is the index of the segment that its name says, of this crawl.
fn seal_is_untouched(name: &str, files: &Files) -> bool {
    match Part::of(name) {
        Some((segment, Part::Index)) => {
            index::read_header(&files[name], segment).is_ok_and(|id| seal::is_ours(&id))
        }
        _ => true,
    }
}

/// A segment of one record.
fn one(frame: &[u8], plain: u64) -> Files {
    let entry = Entry {
        fingerprint: 1,
        offset: 0,
        length: frame.len() as u32,
        plain,
        kind: Kind::Response,
        outcome: Outcome::Fetched,
        status: 200,
        wall: 0,
        body: plain.min(5),
        depth: 0,
        origin: None,
        digest: [0; 20],
        mime: b"",
        url: b"http://h0.test/p0",
    };
    let mut index = index::header(&IDENTITY.id, 1).to_vec();
    entry.write(&mut index);
    Files::from([
        (Part::Data.name(1), frame.to_vec()),
        (Part::Index.name(1), index),
    ])
}
