//! Repairs checksums after a mutation, from leaves to root, so that what was mutated is looked at behind them: that is
//! what finds trust in a field because its checksum holds.
//!
//! Written from the format as the heads of the modules describe it, without the crate's own writers of checksums where
//! they are not public. Nothing here panics, whatever the files hold.

use super::small_crawl::{Files, IDENTITY};
use cyclosa::checkpoint::blob::{Blob, blob_hash, state_name};
use cyclosa::checkpoint::image::image_name;
use cyclosa::checkpoint::log::log_name;
use cyclosa::checkpoint::manifest::{Generation, LogPosition, MANIFEST, Named, Slot};
use cyclosa::checkpoint::page::{Kind, PAGE_BYTES, le32, le64};
use cyclosa::event::BLOCK_BYTES;
use cyclosa::frontier::cut::State;
use cyclosa::store::index::{ENTRY_BYTES_MAX, FIXED_BYTES, HEADER_BYTES};
use xxhash_rust::xxh3::{Xxh3, xxh3_64, xxh3_64_with_seed};

/// Length of a page.
pub const PAGE: usize = PAGE_BYTES;
/// Bytes in front of a run's payload.
const RUN_HEAD: usize = 32;
/// Fields of a header page: length of the file, start, chain.
const FILE_LEN_AT: usize = 48;
const START_AT: usize = 56;
const CHAIN_AT: usize = 64;

fn put64(bytes: &mut [u8], at: usize, n: u64) {
    if let Some(room) = bytes.get_mut(at..at + 8) {
        room.copy_from_slice(&n.to_le_bytes());
    }
}

/// The checksum of the page at `at`, if the file is so long.
pub fn page(file: &mut [u8], at: usize) {
    if let Some(page) = file.get_mut(at..at + PAGE) {
        let sum = xxh3_64(&page[..PAGE - 8]);
        put64(page, PAGE - 8, sum);
    }
}

/// The checksums of all pages that stand on their own.
pub fn pages(files: &mut Files) {
    for (name, file) in files {
        if !name.starts_with("segment-") {
            page(file, 0);
        }
        if name == MANIFEST {
            page(file, PAGE);
        }
    }
}

/// Every checksum of a checkpoint, and the state hash.
pub fn checkpoint(files: &mut Files) {
    pages(files);
    let Some(mut manifest) = files.remove(MANIFEST) else {
        return;
    };
    for slot in 0..2 {
        if let Slot::Valid { generation, .. } = Slot::decode(&manifest, slot) {
            let mut it = *generation;
            repair(files, &mut it);
            let at = slot as usize * PAGE;
            manifest[at..at + PAGE].copy_from_slice(&it.encode(slot).0[..]);
        }
    }
    files.insert(MANIFEST.into(), manifest);
}

fn repair(files: &mut Files, it: &mut Generation) {
    let crawl = it.identity.id;
    let begin = |kind| LogPosition::begin(kind, &crawl);
    log(files, Kind::Seen, 1, begin(Kind::Seen), &mut it.seen);
    log(
        files,
        Kind::Base,
        it.base.first,
        begin(Kind::Base),
        &mut it.base.end,
    );
    let (first, start) = match it.base.until {
        0 => (1, begin(Kind::Urls)),
        n => (n.saturating_add(1), it.base.replaces),
    };
    log(files, Kind::Urls, first, start, &mut it.urls);
    log(files, Kind::Ended, 1, begin(Kind::Ended), &mut it.ended);
    if let Some(file) = files.get_mut(&image_name(it.image.file)) {
        image(file, &mut it.image);
    }
    if let Some(file) = files.get_mut(&state_name(it.state.file)) {
        header(file);
        let Some(content) = taken(file, PAGE, it.state.len) else {
            return;
        };
        it.state.hash = blob_hash(it.epoch, content);
        let state = Blob::decode(content).and_then(|blob| State::decode(&blob.frontier));
        if let Some(state) = state {
            it.state_hash = state.hash();
        }
    }
}

fn taken(file: &[u8], at: usize, len: u64) -> Option<&[u8]> {
    file.get(at..)?.get(..usize::try_from(len).ok()?)
}

fn header(file: &mut [u8]) {
    let len = file.len() as u64;
    put64(file, FILE_LEN_AT, len);
    page(file, 0);
}

/// Chains the runs of a log anew, from `start` to where `end` says.
fn log(files: &mut Files, kind: Kind, first: u64, start: LogPosition, end: &mut LogPosition) {
    if end.file == 0 {
        return;
    }
    let (mut payload, mut chain) = (start.payload, start.chain);
    for number in first..=end.file {
        let Some(file) = files.get_mut(&log_name(kind, number)) else {
            return;
        };
        put64(file, START_AT, payload);
        put64(file, CHAIN_AT, chain);
        header(file);
        let last = number == end.file;
        let until = if last { end.offset } else { file.len() as u64 };
        let mut at = PAGE;
        while (at as u64) < until && at + RUN_HEAD <= file.len() {
            let magic = le32(&file[at..]);
            let len = le32(&file[at + 4..]) as usize;
            let Some(content) = file[at + RUN_HEAD..].get(..len) else {
                return;
            };
            let sum = xxh3_64_with_seed(content, chain);
            put64(file, at + 16, payload);
            put64(file, at + 24, sum);
            chain = xxh3_64_with_seed(&file[at..at + RUN_HEAD], chain);
            put64(file, at + 24, chain);
            at += RUN_HEAD + len;
            if magic == u32::from_le_bytes(*b"RUN\0") {
                payload = payload.wrapping_add(len as u64);
            }
            if magic == u32::from_le_bytes(*b"END\0") {
                break;
            }
        }
        if last {
            (end.payload, end.chain) = (payload, chain);
        }
    }
}

fn image(file: &mut [u8], named: &mut Named) {
    header(file);
    let room = le64(file.get(START_AT..).unwrap_or_default()).min(1 << 20) as usize;
    let at = PAGE + (room * 8).next_multiple_of(PAGE);
    for i in 0..named.len.min(room as u64) as usize {
        let Some(block) = file
            .get(at + i * BLOCK_BYTES..)
            .and_then(|b| b.get(..BLOCK_BYTES))
        else {
            break;
        };
        let sum = xxh3_64_with_seed(block, i as u64 + 1);
        put64(file, PAGE + i * 8, sum);
    }
    if let Some(table) = taken(file, PAGE, named.len.saturating_mul(8)) {
        named.hash = xxh3_64(table);
    }
}

/// The checksums of index entries from byte `at` on.
pub fn entries(index: &mut [u8], at: usize) {
    let mut rest = index.get_mut(at..).unwrap_or_default();
    while rest.len() >= FIXED_BYTES {
        let mime = usize::from(rest[FIXED_BYTES - 3]);
        let url = usize::from(u16::from_le_bytes([
            rest[FIXED_BYTES - 2],
            rest[FIXED_BYTES - 1],
        ]));
        let len = FIXED_BYTES + mime + url;
        if len > ENTRY_BYTES_MAX || len > rest.len() {
            return;
        }
        let sum = xxh3_64(&rest[4..len]) as u32;
        rest[..4].copy_from_slice(&sum.to_le_bytes());
        rest = &mut rest[len..];
    }
}

/// All checksums of an index.
pub fn index(bytes: &mut [u8]) {
    if bytes.len() >= HEADER_BYTES {
        let sum = xxh3_64(&bytes[..32]);
        put64(bytes, 32, sum);
        entries(bytes, HEADER_BYTES);
    }
}

/// The checksum of a lookup table.
pub fn table(bytes: &mut [u8]) {
    if bytes.len() >= 32 {
        let mut state = Xxh3::new();
        state.update(&bytes[..24]);
        state.update(&bytes[32..]);
        put64(bytes, 24, state.digest());
    }
}

/// All checksums of indexes and tables.
pub fn segments(files: &mut Files) {
    for (name, file) in files {
        if name.ends_with(".idx") {
            index(file);
        } else if name.ends_with(".fps") {
            table(file);
        }
    }
}

/// That the crawl is still the one that the files were made by.
pub fn is_ours(id: &[u8; 16]) -> bool {
    *id == IDENTITY.id
}
