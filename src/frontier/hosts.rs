//! Host records: the small dense mutable array of the frontier, copied out block by block at a cut.
//!
//! What must hold:
//! * a record is written only through [`Hosts::edit`], which saves the block's image first if a sweep has not passed it;
//! * the image of a block that a sweep sends is the block as it stood at the cut;
//! * `pushed - popped` of a host is the length of its queue: whatever was queued first was popped first, so two counters
//!   say which URLs of the log are still to do.

use super::chunked::Chunked;
use super::names::Names;
use crate::event::{BLOCK_BYTES, HostId};

/// Bytes of a record in the image.
pub const RECORD_BYTES: usize = 64;
/// Records in a block of the image.
pub const BLOCK_RECORDS: usize = BLOCK_BYTES / RECORD_BYTES;

/// What is known of a host's robots.txt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum RobotsState {
    /// Not asked yet.
    #[default]
    Unknown = 0,
    /// Everything may be fetched (4xx, or a file without a rule for us).
    AllowAll = 1,
    /// Rules are kept.
    Rules = 2,
    /// 5xx or no answer: nothing may be fetched.
    Unreachable = 3,
}

/// The durable part of a host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostRecord {
    /// Not fetched before, in ticks.
    pub next_at: u64,
    /// When robots.txt was fetched, in ticks.
    pub robots_at: u64,
    /// Body bytes received.
    pub bytes: u64,
    /// URLs ever queued (wraps never: bounded by HOST_QUEUE_MAX and retries).
    pub pushed: u32,
    /// URLs ever taken from the queue.
    pub popped: u32,
    /// Pages stored.
    pub pages: u32,
    /// URLs that ended without a response.
    pub failed: u32,
    /// Pause between fetches, milliseconds, where robots.txt asks for more than the crawl's.
    pub delay_ms: u32,
    /// Failures in a row that are the host's fault.
    pub failures: u16,
    /// State of robots.txt.
    pub robots: RobotsState,
}

impl HostRecord {
    fn encode(&self, out: &mut [u8]) {
        out.fill(0);
        out[0..8].copy_from_slice(&self.next_at.to_le_bytes());
        out[8..16].copy_from_slice(&self.robots_at.to_le_bytes());
        out[16..24].copy_from_slice(&self.bytes.to_le_bytes());
        out[24..28].copy_from_slice(&self.pushed.to_le_bytes());
        out[28..32].copy_from_slice(&self.popped.to_le_bytes());
        out[32..36].copy_from_slice(&self.pages.to_le_bytes());
        out[36..40].copy_from_slice(&self.failed.to_le_bytes());
        out[40..44].copy_from_slice(&self.delay_ms.to_le_bytes());
        out[44..46].copy_from_slice(&self.failures.to_le_bytes());
        out[46] = self.robots as u8;
    }

    /// Whether its queue has `queued` URLs, and its counts leave room to go on.
    pub(super) fn fits(&self, queued: u32) -> bool {
        self.pushed.checked_sub(self.popped) == Some(queued)
            && self.pushed.max(self.pages) <= u32::MAX / 2
            && self.bytes <= u64::MAX / 2
    }

    /// From [`RECORD_BYTES`] bytes of an image.
    pub fn decode(bytes: &[u8]) -> Self {
        let wide = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"));
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes"));
        Self {
            next_at: wide(0),
            robots_at: wide(8),
            bytes: wide(16),
            pushed: word(24),
            popped: word(28),
            pages: word(32),
            failed: word(36),
            delay_ms: word(40),
            failures: u16::from_le_bytes([bytes[44], bytes[45]]),
            robots: match bytes[46] {
                1 => RobotsState::AllowAll,
                2 => RobotsState::Rules,
                3 => RobotsState::Unreachable,
                _ => RobotsState::Unknown,
            },
        }
    }
}

/// One bit per block.
#[derive(Default)]
struct Bits {
    words: Vec<u64>,
    set: usize,
}

impl Bits {
    fn insert(&mut self, n: usize) {
        let (word, bit) = (n / 64, 1u64 << (n % 64));
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        self.set += usize::from(self.words[word] & bit == 0);
        self.words[word] |= bit;
    }

    fn remove(&mut self, n: usize) -> bool {
        let (word, bit) = (n / 64, 1u64 << (n % 64));
        let there = self.words.get(word).is_some_and(|w| w & bit != 0);
        if there {
            self.words[word] &= !bit;
            self.set -= 1;
        }
        there
    }
}

/// All host records, their names, and the state of a running sweep.
pub struct Hosts {
    records: Chunked<HostRecord>,
    names: Names,
    /// Blocks written since the last cut.
    dirty: Bits,
    /// Blocks of the running sweep that have not been sent.
    unsent: Bits,
    sweep_at: usize,
    /// Images waiting to be sent.
    images: Vec<(u32, Box<[u8; BLOCK_BYTES]>)>,
}

impl Hosts {
    /// No hosts.
    pub fn new() -> Self {
        Self {
            records: Chunked::default(),
            names: Names::default(),
            dirty: Bits::default(),
            unsent: Bits::default(),
            sweep_at: 0,
            images: Vec::new(),
        }
    }

    /// Number of hosts.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Bytes held, roughly.
    pub fn bytes(&self) -> usize {
        self.records.bytes() + self.names.bytes()
    }

    /// The host with this fingerprint of its origin.
    pub fn find(&self, key: u64) -> Option<HostId> {
        self.names.find(key)
    }

    /// Adds a host; the caller has looked for it.
    pub fn add(&mut self, key: u64, origin: &[u8]) -> HostId {
        let host = self.records.len() as HostId;
        self.touch(host);
        self.records.push(HostRecord::default());
        self.names.add(key, origin)
    }

    /// Scheme and authority of a host.
    pub fn origin(&self, host: HostId) -> &[u8] {
        self.names.get(host)
    }

    /// A record, for reading.
    pub fn get(&self, host: HostId) -> &HostRecord {
        &self.records[host as usize]
    }

    /// A record, for writing.
    pub fn edit(&mut self, host: HostId) -> &mut HostRecord {
        self.touch(host);
        &mut self.records[host as usize]
    }

    /// Pre-image first, then the dirty mark.
    fn touch(&mut self, host: HostId) {
        let block = host as usize / BLOCK_RECORDS;
        if self.unsent.set > 0 && self.unsent.remove(block) {
            let image = self.image(block);
            self.images.push((block as u32, image));
        }
        self.dirty.insert(block);
    }

    fn image(&self, block: usize) -> Box<[u8; BLOCK_BYTES]> {
        let mut bytes = Box::new([0u8; BLOCK_BYTES]);
        let from = block * BLOCK_RECORDS;
        let to = (from + BLOCK_RECORDS).min(self.records.len());
        for (at, out) in (from..to).zip(bytes.chunks_exact_mut(RECORD_BYTES)) {
            self.records[at].encode(out);
        }
        bytes
    }

    /// Blocks of the image as it stands.
    pub fn blocks(&self) -> u32 {
        self.records.len().div_ceil(BLOCK_RECORDS) as u32
    }

    /// Begins a sweep over what was written since the last one. Constant time; a sweep must not be under way.
    pub fn begin_sweep(&mut self) {
        assert_eq!(self.unsent.set, 0, "a sweep begins when the last has ended");
        std::mem::swap(&mut self.dirty, &mut self.unsent);
        self.sweep_at = 0;
    }

    /// Sends at most `limit` blocks, in no particular order; false once the sweep is complete.
    pub fn sweep(
        &mut self,
        limit: usize,
        mut send: impl FnMut(u32, Box<[u8; BLOCK_BYTES]>),
    ) -> bool {
        for (block, image) in self.images.drain(..) {
            send(block, image);
        }
        let mut sent = 0;
        while self.unsent.set > 0 && sent < limit {
            let word = self.unsent.words[self.sweep_at];
            if word == 0 {
                self.sweep_at += 1;
                continue;
            }
            let block = self.sweep_at * 64 + word.trailing_zeros() as usize;
            self.unsent.remove(block);
            send(block as u32, self.image(block));
            sent += 1;
        }
        self.unsent.set > 0
    }

    /// Takes over the records of an image; names follow with [`Hosts::restore_name`]. Nothing is dirty afterwards.
    pub fn restore(image: &[u8], count: usize) -> Self {
        let mut hosts = Self::new();
        hosts.records = image
            .chunks_exact(RECORD_BYTES)
            .take(count)
            .map(HostRecord::decode)
            .collect();
        hosts
    }

    /// Names the next host, in order. False if there are more names than records.
    pub fn restore_name(&mut self, key: u64, origin: &[u8]) -> bool {
        let host = self.names.add(key, origin);
        (host as usize) < self.records.len()
    }

    /// Hosts that have a name.
    pub fn named(&self) -> usize {
        self.names.len()
    }
}

impl Default for Hosts {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(n: u64) -> Hosts {
        let mut hosts = Hosts::new();
        for i in 0..n {
            hosts.add(i + 1, format!("http://h{i}.test").as_bytes());
        }
        hosts
    }

    fn whole_sweep(hosts: &mut Hosts, image: &mut [u8]) {
        while hosts.sweep(3, |n, bytes| {
            let at = n as usize * BLOCK_BYTES;
            image[at..at + BLOCK_BYTES].copy_from_slice(&bytes[..]);
        }) {}
    }

    #[test]
    fn a_sweep_sends_the_state_at_the_cut_whatever_is_written_meanwhile() {
        let mut h = hosts(1_000);
        let mut image = vec![0u8; h.blocks() as usize * BLOCK_BYTES];
        for i in 0..1_000 {
            h.edit(i).pushed = i + 1;
        }
        h.begin_sweep();
        h.sweep(2, |n, bytes| {
            let at = n as usize * BLOCK_BYTES;
            image[at..at + BLOCK_BYTES].copy_from_slice(&bytes[..]);
        });
        for i in 0..1_000 {
            h.edit(i).pushed = 0;
        }
        h.add(5_000, b"http://late.test");
        whole_sweep(&mut h, &mut image);
        let back = Hosts::restore(&image, 1_000);
        assert!((0..1_000).all(|i| back.get(i).pushed == i + 1));
        // What was written during the sweep belongs to the next cut.
        h.begin_sweep();
        let mut image = vec![0u8; h.blocks() as usize * BLOCK_BYTES];
        whole_sweep(&mut h, &mut image);
        assert_eq!(Hosts::restore(&image, 1_001).get(7).pushed, 0);
    }

    #[test]
    fn only_written_blocks_are_sent() {
        let mut h = hosts(64 * 100);
        h.begin_sweep();
        while h.sweep(1_000, |_, _| {}) {}
        h.edit(64 * 50).pages = 1;
        h.begin_sweep();
        let mut sent = Vec::new();
        while h.sweep(1_000, |n, _| sent.push(n)) {}
        assert_eq!(sent, [50]);
    }

    #[test]
    fn records_survive_their_encoding() {
        let record = HostRecord {
            next_at: 1,
            robots_at: 2,
            bytes: 3,
            pushed: 4,
            popped: 5,
            pages: 6,
            failed: 7,
            delay_ms: 8,
            failures: 9,
            robots: RobotsState::Unreachable,
        };
        let mut bytes = [0u8; RECORD_BYTES];
        record.encode(&mut bytes);
        assert_eq!(HostRecord::decode(&bytes), record);
    }
}
