//! The root of a checkpoint: a file of two pages, each of which names a whole generation.
//!
//! What must hold:
//! * a slot is written only after everything it names was synced, and never the slot of the newest durable generation;
//! * checksums live in the parent: a slot holds the chain hash of each log at the cut, the root hash of the image, and
//!   the hash of the state blob, so a generation is accepted only if all of it is what was written;
//! * a slot whose generation was given up at a restore is withdrawn, durably, before anything it names may change;
//! * numbers that no crawl counts to are not taken, whatever the checksum says: whoever adds to one need not look again.
//!
//! In normal running epochs alternate between the slots (`epoch & 1`); after a restore that fell back the writer goes on
//! in the slot that was not restored, whatever the epoch's parity.

use super::page::{Flaw, Kind, PAGE_BYTES, PageReader, PageWriter};
use crate::event::{CrawlIdentity, Cut, Mark};

/// Name of the file.
pub const MANIFEST: &str = crate::disk::CRAWL_FILE;
/// Largest count, length, number or time in a slot; a crawl of 100 years has none so large.
const NUMBER_MAX: u64 = 1 << 62;

/// Length of the file, bytes.
pub const MANIFEST_BYTES: u64 = 2 * PAGE_BYTES as u64;

/// Where a log stood at a cut. Always on a page boundary, so that no later write touches a page it needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogPosition {
    /// Number of the file; 0 while the log is empty and has none.
    pub file: u64,
    /// Offset in the file, bytes.
    pub offset: u64,
    /// Payload bytes in the whole log.
    pub payload: u64,
    /// Chain hash over the whole log.
    pub chain: u64,
}

impl LogPosition {
    /// Before the first byte of a log of this crawl.
    pub fn begin(kind: Kind, crawl: &[u8; 16]) -> Self {
        Self {
            chain: super::log::chain_start(kind, crawl),
            ..Self::default()
        }
    }
}

/// What a compaction put in place of the older files of the URL log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Base {
    /// Number of the first base file; 0: nothing was compacted yet.
    pub first: u64,
    /// Where the base ends.
    pub end: LogPosition,
    /// The last URL file that it stands for.
    pub until: u64,
    /// Where that file ended: payload and chain hash with which the next one begins. File and offset are 0.
    pub replaces: LogPosition,
}

/// A file whose content a slot vouches for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// Number of the file; 0 if there is none.
    pub file: u64,
    /// Images: blocks. States: bytes.
    pub len: u64,
    /// Images: hash of the table of block hashes. States: hash of the content.
    pub hash: u64,
}

/// All that a slot says of one checkpoint. The blobs of `cut` and `mark` lie in the state file and are empty here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generation {
    /// Which crawl.
    pub identity: CrawlIdentity,
    /// Which holder of the directory wrote it, counted up with each ([`super::lease`]); 0 before there were terms.
    pub term: u32,
    /// Number of the checkpoint; 0 for the generation that only says that the crawl exists.
    pub epoch: u64,
    /// Crawl time of the cut.
    pub tick: u64,
    /// Wall-clock time of the cut.
    pub wall: u64,
    /// Duration of the cut, nanoseconds.
    pub cut_ns: u64,
    /// Hash of the logical state.
    pub state_hash: u64,
    /// Fingerprints, as the frontier counted them.
    pub seen_len: u64,
    /// URL bytes, as the frontier counted them.
    pub urls_len: u64,
    /// The log of fingerprints.
    pub seen: LogPosition,
    /// The log of URL records.
    pub urls: LogPosition,
    /// What stands for its older files.
    pub base: Base,
    /// The log of what has ended, as far as it was taken out of the URL log.
    pub ended: LogPosition,
    /// The image of the hosts.
    pub image: Named,
    /// The state blob.
    pub state: Named,
    /// Epoch that the store answered to.
    pub mark_epoch: u64,
    /// Segment at the mark.
    pub segment: u32,
    /// Its length, bytes.
    pub segment_len: u64,
    /// Length of its index, bytes.
    pub index_len: u64,
    /// Records in all segments.
    pub records: u64,
    /// Checksum of the slot that was the newest when this one was written; 0 for the first.
    pub predecessor: u64,
}

impl Generation {
    /// The first generation: a crawl that exists and has nothing.
    pub fn genesis(identity: CrawlIdentity) -> Self {
        Self {
            identity,
            term: 0,
            epoch: 0,
            tick: 0,
            wall: identity.created,
            cut_ns: 0,
            state_hash: 0,
            seen_len: 0,
            urls_len: 0,
            seen: LogPosition::default(),
            urls: LogPosition::default(),
            base: Base::default(),
            ended: LogPosition::default(),
            image: Named::default(),
            state: Named::default(),
            mark_epoch: 0,
            segment: 0,
            segment_len: 0,
            index_len: 0,
            records: 0,
            predecessor: 0,
        }
    }

    /// The frontier's part, without its blob.
    pub fn cut(&self) -> Cut {
        Cut {
            epoch: self.epoch,
            tick: self.tick,
            wall: self.wall,
            seen_len: self.seen_len,
            urls_len: self.urls_len,
            blocks: self.image.len as u32,
            state: Vec::new(),
            state_hash: self.state_hash,
            cut_ns: self.cut_ns,
        }
    }

    /// The store's part, without its blob.
    pub fn mark(&self) -> Mark {
        Mark {
            epoch: self.mark_epoch,
            segment: self.segment,
            segment_len: self.segment_len,
            index_len: self.index_len,
            records: self.records,
            state: Vec::new(),
            sealed: Vec::new(),
        }
    }

    /// Whether all its numbers (hashes aside) are such as a crawl may have.
    fn is_plausible(&self) -> bool {
        let log = |it: &LogPosition| it.file.max(it.offset).max(it.payload);
        let named = |it: &Named| it.file.max(it.len);
        [
            self.epoch,
            self.tick,
            self.wall,
            self.seen_len,
            self.urls_len,
            log(&self.seen),
            log(&self.urls),
            log(&self.base.end),
            log(&self.base.replaces),
            log(&self.ended),
            self.base.first,
            self.base.until,
            named(&self.image),
            named(&self.state),
            self.mark_epoch,
            self.segment_len,
            self.index_len,
            self.records,
        ]
        .iter()
        .all(|n| *n <= NUMBER_MAX)
    }

    /// Payload bytes of the logs that a restore reads.
    pub fn logged(&self) -> u64 {
        let urls = self.urls.payload - self.base.replaces.payload.min(self.urls.payload);
        self.seen
            .payload
            .saturating_add(self.base.end.payload)
            .saturating_add(urls)
    }

    /// The page for slot `slot`, and its checksum.
    pub fn encode(&self, slot: u32) -> (Box<[u8; PAGE_BYTES]>, u64) {
        let mut page = start(slot, Status::Valid, &self.identity, self.epoch);
        for n in [
            self.tick,
            self.wall,
            self.cut_ns,
            self.state_hash,
            self.seen_len,
            self.urls_len,
        ] {
            page.u64(n);
        }
        for log in [self.seen, self.urls] {
            for n in [log.file, log.offset, log.payload, log.chain] {
                page.u64(n);
            }
        }
        for named in [self.image, self.state] {
            for n in [named.file, named.len, named.hash] {
                page.u64(n);
            }
        }
        page.u32(self.segment);
        page.u32(self.term);
        for n in [
            self.mark_epoch,
            self.segment_len,
            self.index_len,
            self.records,
            self.predecessor,
        ] {
            page.u64(n);
        }
        // Since version 2; in pages of version 1 there are zeros here, which say the same: nothing was compacted.
        let base = &self.base;
        for n in [base.first, base.until] {
            page.u64(n);
        }
        for log in [base.end, base.replaces, self.ended] {
            for n in [log.file, log.offset, log.payload, log.chain] {
                page.u64(n);
            }
        }
        page.seal()
    }
}

/// What a slot is for.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
enum Status {
    Valid = 1,
    Withdrawn = 2,
}

/// Fields that both kinds of slot begin with.
fn start(slot: u32, status: Status, identity: &CrawlIdentity, epoch: u64) -> PageWriter {
    let mut page = PageWriter::new(Kind::Manifest);
    page.u32(slot);
    page.u32(status as u32);
    page.bytes(&identity.id);
    page.bytes(&identity.key);
    page.u64(identity.created);
    page.u64(epoch);
    page
}

/// The page that withdraws whatever slot `slot` named; `epoch` is the newest number that must not be used again.
pub fn withdrawal(slot: u32, identity: &CrawlIdentity, epoch: u64) -> Box<[u8; PAGE_BYTES]> {
    start(slot, Status::Withdrawn, identity, epoch).seal().0
}

/// A slot as read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Slot {
    /// Names a generation; whether its files hold is another question.
    Valid {
        /// What it says.
        generation: Box<Generation>,
        /// Checksum of the page.
        checksum: u64,
    },
    /// Given up at a restore.
    Withdrawn {
        /// The newest number that must not be used again.
        epoch: u64,
    },
    /// Not to be used.
    Flawed(Flaw),
}

impl Slot {
    /// Reads slot `slot` of `file`, the whole manifest.
    pub fn decode(file: &[u8], slot: u32) -> Slot {
        let page = file.get(slot as usize * PAGE_BYTES..).unwrap_or_default();
        match PageReader::open(page, Kind::Manifest) {
            Ok(page) => Self::fields(page, slot),
            Err(flaw) => Slot::Flawed(flaw),
        }
    }

    fn fields(mut page: PageReader<'_>, slot: u32) -> Slot {
        let (number, status) = (page.u32(), page.u32());
        let identity = CrawlIdentity {
            id: page.bytes(),
            key: page.bytes(),
            created: page.u64(),
        };
        let epoch = page.u64();
        if number != slot {
            return Slot::Flawed(Flaw::Damaged); // written to the wrong place
        }
        if status == Status::Withdrawn as u32 && epoch <= NUMBER_MAX {
            return Slot::Withdrawn { epoch };
        }
        if status != Status::Valid as u32 {
            return Slot::Flawed(Flaw::Damaged);
        }
        let [tick, wall, cut_ns, state_hash, seen_len, urls_len] = numbers(&mut page);
        let (seen, urls) = (position(&mut page), position(&mut page));
        let mut named = || {
            let [file, len, hash] = numbers(&mut page);
            Named { file, len, hash }
        };
        let (image, state) = (named(), named());
        let (segment, term) = (page.u32(), page.u32());
        let [mark_epoch, segment_len, index_len, records, predecessor] = numbers(&mut page);
        let [first, until] = numbers(&mut page);
        let base = Base {
            first,
            until,
            end: position(&mut page),
            replaces: position(&mut page),
        };
        let ended = position(&mut page);
        let checksum = page.checksum;
        let generation = Box::new(Generation {
            identity,
            term,
            epoch,
            tick,
            wall,
            cut_ns,
            state_hash,
            seen_len,
            urls_len,
            seen,
            urls,
            base,
            ended,
            image,
            state,
            mark_epoch,
            segment,
            segment_len,
            index_len,
            records,
            predecessor,
        });
        if !generation.is_plausible() {
            return Slot::Flawed(Flaw::Damaged);
        }
        Slot::Valid {
            generation,
            checksum,
        }
    }

    /// The newest epoch that the slot tells of.
    pub fn epoch(&self) -> Option<u64> {
        match self {
            Slot::Valid { generation, .. } => Some(generation.epoch),
            Slot::Withdrawn { epoch } => Some(*epoch),
            Slot::Flawed(_) => None,
        }
    }
}

/// The next `N` numbers of a page.
fn position(page: &mut PageReader<'_>) -> LogPosition {
    let [file, offset, payload, chain] = numbers(page);
    LogPosition {
        file,
        offset,
        payload,
        chain,
    }
}

fn numbers<const N: usize>(page: &mut PageReader<'_>) -> [u64; N] {
    let mut out = [0; N];
    for n in &mut out {
        *n = page.u64();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ME: CrawlIdentity = CrawlIdentity {
        id: [1; 16],
        key: [2; 32],
        created: 3,
    };

    proptest! {
        #[test]
        fn a_slot_survives_the_round_trip(n in prop::array::uniform32(0..=NUMBER_MAX), segment: u32, term: u32, slot in 0u32..2) {
            let log = |i: usize| LogPosition { file: n[i], offset: n[i + 1], payload: n[i + 2], chain: n[i + 3] };
            let named = |i: usize| Named { file: n[i], len: n[i + 1], hash: n[i + 2] };
            let generation = Generation {
                identity: ME, term, epoch: n[0], tick: n[1], wall: n[2], cut_ns: n[3], state_hash: n[4], seen_len: n[5],
                urls_len: n[6], seen: log(7), urls: log(11),
                base: Base { first: n[26], until: n[27], end: log(28), replaces: log(1) }, ended: log(24), image: named(15), state: named(18), mark_epoch: n[21],
                segment, segment_len: n[22], index_len: n[23], records: n[24], predecessor: n[25],
            };
            let (page, checksum) = generation.encode(slot);
            let mut file = vec![0; MANIFEST_BYTES as usize];
            file[slot as usize * PAGE_BYTES..][..PAGE_BYTES].copy_from_slice(&page[..]);
            prop_assert_eq!(Slot::decode(&file, slot), Slot::Valid { generation: Box::new(generation), checksum });
            prop_assert_eq!(Slot::decode(&file, 1 - slot), Slot::Flawed(Flaw::Empty));
        }
    }

    #[test]
    fn a_slot_in_the_other_place_is_refused() {
        let (page, _) = Generation::genesis(ME).encode(1);
        assert_eq!(Slot::decode(&page[..], 0), Slot::Flawed(Flaw::Damaged));
    }

    #[test]
    fn numbers_that_no_crawl_counts_to_are_not_taken() {
        let genesis = Generation::genesis(ME);
        let large = |change: fn(&mut Generation, u64), n: u64| {
            let mut it = genesis.clone();
            change(&mut it, n);
            Slot::decode(&it.encode(0).0[..], 0)
        };
        let changes: [fn(&mut Generation, u64); 4] = [
            |it, n| it.epoch = n,
            |it, n| it.tick = n,
            |it, n| it.base.until = n,
            |it, n| it.base.replaces.payload = n,
        ];
        for change in changes {
            assert!(matches!(large(change, NUMBER_MAX), Slot::Valid { .. }));
            for n in [NUMBER_MAX + 1, u64::MAX] {
                assert_eq!(large(change, n), Slot::Flawed(Flaw::Damaged));
            }
        }
        let page = withdrawal(0, &ME, u64::MAX);
        assert_eq!(Slot::decode(&page[..], 0), Slot::Flawed(Flaw::Damaged));
    }

    #[test]
    fn a_withdrawal_keeps_the_epoch() {
        let page = withdrawal(0, &ME, 41);
        assert_eq!(Slot::decode(&page[..], 0), Slot::Withdrawn { epoch: 41 });
    }
}
