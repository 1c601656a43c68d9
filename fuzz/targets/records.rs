//! What is read back from a directory, one encoding at a time: URL-log records, state blobs, manifest slots, host
//! records, record counters, WARC records, zstd frame headers, index entries. Any bytes are taken; what is understood
//! is written again as it was.
//!
//! Input: which of them in the first byte, then the bytes.

use cyclosa::checkpoint::blob::Blob;
use cyclosa::checkpoint::manifest::Slot;
use cyclosa::frontier::cut::State;
use cyclosa::frontier::hosts::{HostRecord, RECORD_BYTES};
use cyclosa::frontier::log::Reader;
use cyclosa::protocol::warc::{Record, fields};
use cyclosa::protocol::zframe::Header;
use cyclosa::store::index::{Entry, Scan};
use cyclosa::store::table::Table;
use cyclosa::store::{Counters, index};

use super::seal;

/// Runs one input.
pub fn run(data: &[u8]) {
    let Some((which, bytes)) = data.split_first() else {
        return;
    };
    match which % 9 {
        0 => url_records(bytes),
        1 => state(bytes),
        2 => slots(bytes),
        3 => host(bytes),
        4 => counters(bytes),
        5 => warc(bytes),
        6 => frame(bytes),
        7 => entries(bytes),
        _ => table(bytes),
    }
}

fn url_records(bytes: &[u8]) {
    let mut reader = Reader::new(bytes);
    let mut again = Vec::new();
    reader.by_ref().for_each(|record| record.encode(&mut again));
    let read = bytes.len() - reader.unread();
    // What the fields of other kinds leave unused is not kept.
    assert_eq!(again.len(), read);
    let mut twice = Vec::new();
    Reader::new(&again).for_each(|record| record.encode(&mut twice));
    assert_eq!(again, twice);
}

fn state(bytes: &[u8]) {
    if let Some(state) = State::decode(bytes) {
        state.hash();
        assert_eq!(State::decode(&state.encode()), Some(state));
    }
    if let Some(blob) = Blob::decode(bytes) {
        assert_eq!(blob.encode(), bytes);
    }
}

fn slots(bytes: &[u8]) {
    let mut file = bytes.to_vec();
    for (slot, at) in [(0, 0), (1, seal::PAGE)] {
        seal::page(&mut file, at);
        if let Slot::Valid { generation, .. } = Slot::decode(&file, slot) {
            let (page, _) = generation.encode(slot);
            let mut again = vec![0; 2 * seal::PAGE];
            again[at..at + seal::PAGE].copy_from_slice(&page[..]);
            let Slot::Valid {
                generation: same, ..
            } = Slot::decode(&again, slot)
            else {
                panic!("a slot is lost in its encoding");
            };
            assert_eq!(same, generation);
            generation.logged();
        }
    }
}

fn host(bytes: &[u8]) {
    if let Some(bytes) = bytes.first_chunk::<RECORD_BYTES>() {
        assert_eq!(HostRecord::decode(bytes), HostRecord::decode(bytes));
    }
}

fn counters(bytes: &[u8]) {
    if let Some(counters) = Counters::decode(bytes) {
        assert_eq!(counters.encode(), bytes);
    }
}

fn warc(bytes: &[u8]) {
    if let Ok(record) = Record::read(bytes) {
        assert!(record.block.len() <= bytes.len());
        record.field(b"warc-type");
    }
    assert!(fields(bytes, b"content-encoding").count() <= bytes.len());
}

fn frame(bytes: &[u8]) {
    if let Some(header) = Header::read(bytes) {
        header.defect();
    }
}

fn entries(bytes: &[u8]) {
    let mut bytes = bytes.to_vec();
    seal::entries(&mut bytes, 0);
    let mut scan = Scan::new(&bytes[..], 0);
    let mut reached = 0;
    while let Ok(Some(Ok((at, entry)))) = scan.next_entry() {
        assert_eq!(at, reached);
        let mut again = Vec::new();
        entry.write(&mut again);
        assert_eq!(Entry::read(&again), Ok((entry, again.len())));
        reached += again.len() as u64;
        entry.end();
    }
    let _ = Entry::read(&bytes);
    let _ = index::read_header(&bytes, 1);
}

fn table(bytes: &[u8]) {
    let mut bytes = bytes.to_vec();
    seal::table(&mut bytes);
    for segment in 0..2 {
        if let Some(table) = Table::read(bytes.clone(), segment) {
            assert!(table.find(0).count() <= table.len());
        }
    }
}
