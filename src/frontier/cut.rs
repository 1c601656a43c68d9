//! The cut: between two inputs the frontier says "everything so far belongs to checkpoint n" and goes on.
//!
//! What must hold: a cut's cost does not depend on how much is known (log lengths, counters and the in-flight ledger,
//! which `--concurrency` bounds); the host records follow in slices with their content at the cut; the marker for the
//! store stands behind everything committed before.

use super::counters::Counters;
use super::{Frontier, InFlight};
use crate::event::{Commit, Cut, Delta};
use crate::time::{Tick, Wall};
use std::collections::HashMap;
use xxhash_rust::xxh3::xxh3_64;

/// Version of the state blob. Others are refused by name.
const STATE_VERSION: u8 = 2;
/// Host blocks (4 KiB each) copied in one turn.
const SWEEP_BLOCKS: usize = 16;

/// The frontier's scalars, as saved in a cut.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// All counters.
    pub counters: Counters,
    /// Sum over known fingerprints.
    pub seen_sum: u64,
    /// Sum over URLs queued or in flight.
    pub open_sum: u64,
    /// Hosts known.
    pub hosts: u32,
    /// URLs in flight.
    pub in_flight: Vec<InFlight>,
    /// Pages and body bytes by media type.
    pub mimes: HashMap<Vec<u8>, (u64, u64)>,
}

impl State {
    /// Bytes of the state blob.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(1_024 + self.in_flight.len() * 8);
        out.push(STATE_VERSION);
        out.extend_from_slice(&self.seen_sum.to_le_bytes());
        out.extend_from_slice(&self.open_sum.to_le_bytes());
        out.extend_from_slice(&self.hosts.to_le_bytes());
        self.counters.encode(&mut out);
        out.extend_from_slice(&(self.in_flight.len() as u32).to_le_bytes());
        for it in &self.in_flight {
            out.extend_from_slice(&it.host.to_le_bytes());
            out.extend_from_slice(&it.seq.to_le_bytes());
        }
        let mut mimes: Vec<_> = self.mimes.iter().collect();
        mimes.sort();
        out.extend_from_slice(&(mimes.len() as u16).to_le_bytes());
        for (mime, (pages, bytes)) in mimes {
            out.push(mime.len() as u8);
            out.extend_from_slice(mime);
            out.extend_from_slice(&pages.to_le_bytes());
            out.extend_from_slice(&bytes.to_le_bytes());
        }
        out
    }

    /// From a state blob; `None` if it is not whole or of another version.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        fn take<'a>(bytes: &mut &'a [u8], n: usize) -> Option<&'a [u8]> {
            let (head, rest) = bytes.split_at_checked(n)?;
            *bytes = rest;
            Some(head)
        }
        fn wide(bytes: &mut &[u8]) -> Option<u64> {
            Some(u64::from_le_bytes(take(bytes, 8)?.try_into().ok()?))
        }
        fn word(bytes: &mut &[u8]) -> Option<u32> {
            Some(u32::from_le_bytes(take(bytes, 4)?.try_into().ok()?))
        }
        let mut rest = bytes;
        if take(&mut rest, 1)? != [STATE_VERSION] {
            return None;
        }
        let mut state = Self {
            seen_sum: wide(&mut rest)?,
            open_sum: wide(&mut rest)?,
            hosts: word(&mut rest)?,
            counters: Counters::decode(&mut rest)?,
            ..Self::default()
        };
        for _ in 0..word(&mut rest)? {
            state.in_flight.push(InFlight {
                host: word(&mut rest)?,
                seq: word(&mut rest)?,
            });
        }
        let mimes = u16::from_le_bytes(take(&mut rest, 2)?.try_into().ok()?);
        for _ in 0..mimes {
            let len = usize::from(take(&mut rest, 1)?[0]);
            let mime = take(&mut rest, len)?.to_vec();
            let counts = (wide(&mut rest)?, wide(&mut rest)?);
            state.mimes.insert(mime, counts);
        }
        rest.is_empty().then_some(state)
    }

    /// What a restore must arrive at: the known set, the open set, and the counters with in-flight URLs counted as queued.
    pub fn hash(&self) -> u64 {
        let mut counters = self.counters.clone();
        counters.queued += counters.in_flight;
        counters.in_flight = 0;
        let mut bytes = Vec::with_capacity(1_024);
        bytes.extend_from_slice(&self.seen_sum.to_le_bytes());
        bytes.extend_from_slice(&self.open_sum.to_le_bytes());
        bytes.extend_from_slice(&self.hosts.to_le_bytes());
        counters.encode(&mut bytes);
        xxh3_64(&bytes)
    }
}

impl Frontier {
    pub(super) fn state(&self) -> State {
        State {
            counters: self.counters.clone(),
            seen_sum: self.journal.seen_sum,
            open_sum: self.journal.open_sum,
            hosts: self.hosts.len() as u32,
            in_flight: self.ledger.iter().collect(),
            mimes: self.mimes.clone(),
        }
    }

    /// Hash of the state as it stands; the same after a restore of a cut taken now.
    pub fn state_hash(&self) -> u64 {
        self.state().hash()
    }

    /// Cuts get numbers from `next` on; smaller ones may have been used by a checkpoint that was given up.
    pub fn number_cuts_from(&mut self, next: u64) {
        self.journal.epoch = next - 1;
    }

    /// Whether the last cut's host blocks are all handed over, so that another cut may be taken.
    pub fn may_cut(&self) -> bool {
        !self.journal.sweeping
    }

    /// Takes a cut; its number. [`Frontier::may_cut`] must hold. Orders that were given but not taken out by
    /// [`Frontier::orders`] are in flight all the same.
    pub fn cut(&mut self, now: Tick, wall: Wall) -> u64 {
        assert!(self.may_cut(), "one cut at a time");
        self.journal.flush();
        self.journal.epoch += 1;
        let epoch = self.journal.epoch;
        let state = self.state();
        let cut = Cut {
            epoch,
            tick: now,
            wall,
            seen_len: self.journal.seen_len,
            urls_len: self.journal.urls_len,
            blocks: self.hosts.blocks(),
            state_hash: state.hash(),
            state: state.encode(),
            cut_ns: 0,
        };
        self.journal.push(Delta::Cut(Box::new(cut)));
        self.hosts.begin_sweep();
        self.journal.sweeping = true;
        self.commits.push_back(Commit::Marker { epoch });
        epoch
    }

    /// Hands over the next slice of host blocks; whether there was something to do.
    pub fn sweep(&mut self) -> bool {
        if !self.journal.sweeping {
            return false;
        }
        let journal = &mut self.journal;
        let more = self.hosts.sweep(SWEEP_BLOCKS, |index, bytes| {
            journal.push(Delta::Block { index, bytes });
        });
        if !more {
            let epoch = self.journal.epoch;
            self.journal.push(Delta::Swept { epoch });
            self.journal.sweeping = false;
        }
        true
    }

    /// Hands over what has been logged, between cuts, so that little is left to write at the cut.
    pub fn flush(&mut self) {
        self.journal.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_survives_its_encoding_and_no_prefix_of_it_does() {
        let state = State {
            seen_sum: 1,
            open_sum: 2,
            hosts: 3,
            in_flight: vec![InFlight { host: 4, seq: 5 }],
            mimes: HashMap::from([(b"text/html".to_vec(), (6, 7))]),
            ..State::default()
        };
        let bytes = state.encode();
        assert_eq!(State::decode(&bytes), Some(state));
        for len in 0..bytes.len() {
            assert_eq!(State::decode(&bytes[..len]), None, "prefix of {len} bytes");
        }
    }
}
