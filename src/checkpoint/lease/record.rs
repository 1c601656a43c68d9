//! What `LEASE` says: one line for programs and people, of fixed length.
//!
//! What must hold: a record is written whole in one call and carries a checksum; one that was read in the middle of that
//! is no record, not a wrong one.

use super::LEASE;
use crate::error::{Error, Result};
use crate::limits;
use crate::time::{MILLISECOND, Tick};
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;
use xxhash_rust::xxh3::xxh3_64;

/// Length of the file, bytes: one sector.
pub(super) const RECORD_BYTES: usize = 512;
/// Longest host name that is kept, bytes.
const HOST_BYTES_MAX: usize = 64;
const MAGIC: &str = "cyclosa-lease-1";

/// Why a holder gave the lease back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Nothing is left to fetch.
    Finished,
    /// `--for` or `--max-pages` is reached.
    Bound,
    /// The user stopped it.
    Stopped,
}

/// What the holder does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It replaces the files of the holder before; they are not all replaced yet.
    Fencing,
    /// It crawls.
    Held,
    /// It has given the lease back, and writes nothing more.
    Ended(Ending),
}

const STATES: [(&str, State); 5] = [
    ("fencing", State::Fencing),
    ("held", State::Held),
    ("finished", State::Ended(Ending::Finished)),
    ("bound", State::Ended(Ending::Bound)),
    ("stopped", State::Ended(Ending::Stopped)),
];

/// A lease as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Counted up by one with every holder.
    pub term: u32,
    /// Counted up with every renewal.
    pub beat: u64,
    /// What the holder does.
    pub state: State,
    /// Its process number.
    pub pid: u32,
    /// Its machine, for people.
    pub host: String,
    /// How long it may be silent, milliseconds.
    pub lease_ms: u64,
}

impl Record {
    /// A lease of this process.
    pub(super) fn mine(term: u32, state: State) -> Self {
        let name = rustix::system::uname();
        let host = name.nodename().to_string_lossy();
        let plain = |c: &char| c.is_ascii_alphanumeric() || ['-', '.', '_'].contains(c);
        let host: String = host.chars().filter(plain).take(HOST_BYTES_MAX).collect();
        Self {
            term,
            beat: 0,
            state,
            pid: std::process::id(),
            host: if host.is_empty() { "-".into() } else { host },
            lease_ms: limits::LEASE_MS,
        }
    }

    /// How long the holder may be silent before another one takes over.
    pub fn duration(&self) -> Tick {
        let told = self.lease_ms;
        told.clamp(limits::LEASE_MS, limits::LEASE_STALL_MS) * MILLISECOND
    }

    /// What changes with every sign of life.
    pub fn sign(&self) -> (u32, u64, State) {
        (self.term, self.beat, self.state)
    }

    /// Who holds it, for people.
    pub fn holder(&self) -> String {
        format!("process {} on {}", self.pid, self.host)
    }

    /// The file's content.
    pub(super) fn encode(&self) -> [u8; RECORD_BYTES] {
        let state = STATES.iter().find(|(_, state)| *state == self.state);
        let text = format!(
            "{MAGIC} term={} beat={} state={} pid={} host={} lease_ms={}",
            self.term,
            self.beat,
            state.map_or("held", |(name, _)| name),
            self.pid,
            self.host,
            self.lease_ms
        );
        let line = format!("{text} sum={:016x}", xxh3_64(text.as_bytes()));
        let mut out = [b' '; RECORD_BYTES];
        out[..line.len()].copy_from_slice(line.as_bytes());
        out[RECORD_BYTES - 1] = b'\n';
        out
    }

    /// From the file's content; `None` where it is none.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?.trim_end();
        let (text, sum) = text.split_once(" sum=")?;
        if sum != format!("{:016x}", xxh3_64(text.as_bytes())) {
            return None;
        }
        let mut words = text.split(' ');
        if words.next() != Some(MAGIC) {
            return None;
        }
        let mut field = |name: &str| words.next()?.strip_prefix(name)?.strip_prefix('=');
        Some(Self {
            term: field("term")?.parse().ok()?,
            beat: field("beat")?.parse().ok()?,
            state: {
                let word = field("state")?;
                STATES.iter().find(|(name, _)| *name == word)?.1
            },
            pid: field("pid")?.parse().ok()?,
            host: field("host")?.to_owned(),
            lease_ms: field("lease_ms")?.parse().ok()?,
        })
    }
}

/// The lease of `dir` as it is written now; `None` where there is none, or none that can be read at this moment.
///
/// # Errors
/// If the system refuses to read it.
pub fn peek(dir: &Path) -> Result<Option<Record>> {
    let path = dir.join(LEASE);
    let mut bytes = Vec::with_capacity(RECORD_BYTES);
    // Opened anew each time: only that makes a network file system look at what others wrote.
    let read = File::open(&path).and_then(|f| f.take(RECORD_BYTES as u64).read_to_end(&mut bytes));
    match read {
        Ok(_) => Ok(Record::decode(&bytes)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::io("cannot read", &path, e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_record_survives_the_round_trip_and_no_byte_can_change(
            term: u32, beat: u64, pid: u32, lease_ms: u64, state in 0..STATES.len(), at in 0..RECORD_BYTES, bit in 0u8..8
        ) {
            let mut record = Record::mine(term, STATES[state].1);
            (record.beat, record.pid, record.lease_ms) = (beat, pid, lease_ms);
            let mut bytes = record.encode();
            prop_assert_eq!(Record::decode(&bytes), Some(record.clone()));
            bytes[at] ^= 1 << bit;
            // White space at the end means nothing.
            let read = Record::decode(&bytes);
            prop_assert!(read.is_none() || read == Some(record), "{:?}", read);
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
            prop_assert_eq!(Record::decode(&bytes), None);
        }
    }

    #[test]
    fn the_longest_record_fits() {
        let record = Record {
            term: u32::MAX,
            beat: u64::MAX,
            pid: u32::MAX,
            host: "h".repeat(HOST_BYTES_MAX),
            lease_ms: u64::MAX,
            state: State::Ended(Ending::Finished),
        };
        assert_eq!(Record::decode(&record.encode()), Some(record));
    }
}
