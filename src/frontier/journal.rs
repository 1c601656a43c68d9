//! What the frontier hands to the checkpointer: logs in chunks, and two running sums that identify the state.
//!
//! What must hold:
//! * the order of deltas is the order of events; a cut stands behind everything that belongs to it;
//! * a chunk holds whole records;
//! * `seen_sum` and `open_sum` depend on the sets alone, not on the order, so a restore can compute them again.

use super::log::Record;
use crate::event::Delta;
use std::collections::VecDeque;

/// Bytes of URL records that are handed over at once.
const URLS_CHUNK: usize = 256 << 10;
/// Fingerprints that are handed over at once.
const SEEN_CHUNK: usize = 32 << 10;

/// A bijection that spreads fingerprints, so that sums of them identify sets.
pub fn spread(fingerprint: u64) -> u64 {
    let x = (fingerprint ^ (fingerprint >> 32)).wrapping_mul(0x9fb2_1c65_1e98_df25);
    (x ^ (x >> 29)).wrapping_mul(0xd6e8_feb8_6659_fd93)
}

/// Logs on their way to the checkpointer.
#[derive(Default)]
pub struct Journal {
    seen: Vec<u64>,
    urls: Vec<u8>,
    deltas: VecDeque<Delta>,
    /// Fingerprints logged over the whole crawl.
    pub seen_len: u64,
    /// Bytes of URL records logged over the whole crawl.
    pub urls_len: u64,
    /// Sum over known fingerprints.
    pub seen_sum: u64,
    /// Sum over URLs that are queued or in flight.
    pub open_sum: u64,
    /// Number of the last cut.
    pub epoch: u64,
    /// Whether host blocks of the last cut are still being sent.
    pub sweeping: bool,
}

impl Journal {
    /// Logs a known fingerprint.
    pub fn seen(&mut self, fingerprint: u64) {
        self.seen.push(fingerprint);
        self.seen_len += 1;
        self.seen_sum = self.seen_sum.wrapping_add(spread(fingerprint));
        if self.seen.len() >= SEEN_CHUNK {
            self.flush_seen();
        }
    }

    /// Logs a URL record.
    pub fn url(&mut self, record: &Record<'_>) {
        let before = self.urls.len();
        record.encode(&mut self.urls);
        self.urls_len += (self.urls.len() - before) as u64;
        if self.urls.len() >= URLS_CHUNK {
            self.flush_urls();
        }
    }

    /// A URL is queued.
    pub fn open(&mut self, fingerprint: u64) {
        self.open_sum = self.open_sum.wrapping_add(spread(fingerprint));
    }

    /// A URL is neither queued nor in flight any more.
    pub fn close(&mut self, fingerprint: u64) {
        self.open_sum = self.open_sum.wrapping_sub(spread(fingerprint));
    }

    fn flush_seen(&mut self) {
        if !self.seen.is_empty() {
            let chunk = std::mem::replace(&mut self.seen, Vec::with_capacity(SEEN_CHUNK));
            self.deltas.push_back(Delta::Seen(chunk));
        }
    }

    fn flush_urls(&mut self) {
        if !self.urls.is_empty() {
            let room = URLS_CHUNK + 4_096;
            let chunk = std::mem::replace(&mut self.urls, Vec::with_capacity(room));
            self.deltas.push_back(Delta::Urls(chunk));
        }
    }

    /// Hands over what has gathered.
    pub fn flush(&mut self) {
        self.flush_seen();
        self.flush_urls();
    }

    /// Appends a delta behind what was logged so far.
    pub fn push(&mut self, delta: Delta) {
        self.deltas.push_back(delta);
    }

    /// The next delta to hand over.
    pub fn next_delta(&mut self) -> Option<Delta> {
        self.deltas.pop_front()
    }

    /// Puts back what could not be handed over.
    pub fn undo_delta(&mut self, delta: Delta) {
        self.deltas.push_front(delta);
    }

    /// Deltas that wait.
    pub fn waiting(&self) -> usize {
        self.deltas.len()
    }
}
