//! What must hold after every crash, checked without help from the code under test where that is possible.
//!
//! The oracle writes down what the crawl did in its lifetime: every cut with its state hash, every commit in order, and
//! which cut was last reported durable. Of a directory that a crash left it demands ([`Oracle::check`]):
//! * what is restored is one of the cuts, with its hash and time, and not older than the newest durable one;
//! * the store holds exactly the commits before that cut, in order, each with a whole frame: nothing lost, nothing twice;
//! * every URL of the log is in exactly one place: still to do, stored, failed, excluded or dropped; the counters say the
//!   same, and they balance;
//! * a compacted log says what the log said that the frontier wrote: all hosts, all that is to do, all that has ended, in
//!   the same order.
//!
//! Deliberately absent: bodies. A frame's own checksum vouches for what is in it.

use super::disk::{Eyes, SimDisk};
use crate::checkpoint::Recovered;
use crate::disk::Disk;
use crate::event::{Delta, Job, Mark, Outcome, Page};
use crate::frontier::Frontier;
use crate::frontier::cut::State;
use crate::frontier::hosts::{HostRecord, RECORD_BYTES, RobotsState};
use crate::frontier::log::{Reader, Record};
use crate::frontier::restore::Logs as _;
use crate::protocol::zframe::Header;
use crate::store::index::{HEADER_BYTES, Scan};
use crate::store::{Kind, Part};
use crate::time::Tick;
use std::collections::{BTreeMap, HashMap, HashSet};
use xxhash_rust::xxh3::xxh3_64;

/// A complaint: what does not hold.
pub type Complaint = String;

/// Where a URL ended; what two crawls of the same web must agree on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Stored, with outcome and status.
    Stored(Outcome, u16),
    /// Without a response.
    Failed(Outcome),
    /// Not fetched, for this reason.
    Excluded(&'static str),
    /// Dropped by this limit.
    Dropped(&'static str),
}

/// Ends by URL.
pub type Ends = BTreeMap<Vec<u8>, End>;

/// A cut as it was taken.
#[derive(Clone, Copy, Debug)]
struct CutFacts {
    hash: u64,
    tick: Tick,
    /// Commits that belong to it.
    commits: usize,
    /// Bytes of URL records that belong to it.
    urls: usize,
}

/// A commit that has something to store.
struct Committed {
    url: Vec<u8>,
    fingerprint: u64,
    robots: bool,
}

/// The memory of a simulated crawl. It outlives the crawler's crashes.
#[derive(Default)]
pub struct Oracle {
    cuts: BTreeMap<u64, CutFacts>,
    durable: u64,
    commits: Vec<Committed>,
    /// URLs among the commits, robots.txt apart.
    stored: HashSet<Vec<u8>>,
    /// All URL records, as the frontier wrote them.
    url_log: Vec<u8>,
    /// Whether the crawl's identity was reported durable.
    begun: bool,
}

/// What a check found.
#[derive(Default)]
pub struct Checked {
    /// Ends of all URLs that have ended.
    pub ends: Ends,
    /// URLs that are still to do.
    pub open: usize,
}

impl Oracle {
    /// The crawl's directory was made.
    pub fn begin(&mut self) {
        self.begun = true;
    }

    /// Whether a directory without a crawl is right.
    pub fn may_be_empty(&self) -> bool {
        !self.begun
    }

    /// A cut was taken.
    pub fn cut(&mut self, epoch: u64, hash: u64, tick: Tick) {
        let facts = CutFacts {
            hash,
            tick,
            commits: usize::MAX,
            urls: usize::MAX,
        };
        self.cuts.insert(epoch, facts);
    }

    /// The marker of a cut went to the store.
    pub fn marker(&mut self, epoch: u64) {
        if let Some(facts) = self.cuts.get_mut(&epoch) {
            facts.commits = self.commits.len();
        }
    }

    /// A delta went to the checkpointer.
    pub fn delta(&mut self, delta: &Delta) {
        match delta {
            Delta::Urls(records) => self.url_log.extend_from_slice(records),
            Delta::Cut(cut) => {
                if let Some(facts) = self.cuts.get_mut(&cut.epoch) {
                    facts.urls = self.url_log.len();
                }
            }
            _ => {}
        }
    }

    /// A page went to the store.
    pub fn commit(&mut self, page: &Page) -> Result<(), Complaint> {
        let robots = page.job == Job::Robots;
        if !robots && !self.stored.insert(page.url.clone()) {
            return Err(format!("{} is stored twice", text(&page.url)));
        }
        self.commits.push(Committed {
            url: page.url.clone(),
            fingerprint: page.fingerprint,
            robots,
        });
        Ok(())
    }

    /// An order was given.
    pub fn order(&self, page: &Page) -> Result<(), Complaint> {
        if page.job == Job::Fetch && self.stored.contains(&page.url) {
            return Err(format!("{} is ordered again", text(&page.url)));
        }
        Ok(())
    }

    /// Number of the newest checkpoint that was reported durable.
    pub fn newest_durable(&self) -> u64 {
        self.durable
    }

    /// A checkpoint was reported durable.
    pub fn durable(&mut self, epoch: u64) {
        self.durable = epoch;
    }

    /// The crawl goes on from cut `epoch`: what came later is forgotten. Returns how many commits that was.
    pub fn back_to(&mut self, epoch: u64) -> usize {
        self.cuts.retain(|e, _| *e <= epoch);
        self.durable = epoch;
        let facts = self.cuts.get(&epoch);
        let kept = facts.map_or(0, |facts| facts.commits);
        self.url_log.truncate(facts.map_or(0, |facts| facts.urls));
        let redone = self.commits.split_off(kept);
        for commit in redone.iter().filter(|c| !c.robots) {
            self.stored.remove(&commit.url);
        }
        redone.len()
    }

    /// Whether this is a cut that may be restored. `fallback`: an older one was taken because a read failed.
    pub fn check_epoch(&self, recovered: &Recovered, fallback: bool) -> Result<(), Complaint> {
        let epoch = recovered.cut.epoch;
        if epoch < self.durable && !fallback {
            return Err(format!(
                "checkpoint {epoch} is restored, {} was reported durable ({})",
                self.durable,
                recovered.fallback.as_deref().unwrap_or("no reason given")
            ));
        }
        match self.cuts.get(&epoch) {
            _ if epoch == 0 => Ok(()),
            None => Err(format!("checkpoint {epoch} is restored, it was never cut")),
            Some(facts) if facts.tick != recovered.cut.tick => {
                Err(format!("checkpoint {epoch} is restored with another time"))
            }
            Some(_) => Ok(()),
        }
    }

    /// Whether a restored frontier and what the store holds are those of the cut.
    pub fn check(
        &self,
        disk: &SimDisk,
        recovered: &Recovered,
        frontier: &Frontier,
    ) -> Result<Checked, Complaint> {
        let epoch = recovered.cut.epoch;
        let facts = self.cuts.get(&epoch).ok_or("no such cut")?;
        if frontier.state_hash() != facts.hash {
            return Err(format!("checkpoint {epoch}: another state than was cut"));
        }
        let ends = self.check_store(disk, &recovered.mark, facts.commits)?;
        let written = self.url_log.get(..facts.urls).ok_or("no such log")?;
        let checked = check_urls(recovered, written, ends)?;
        check_logs(disk, recovered, written)?;
        check_counters(frontier, &checked)?;
        Ok(checked)
    }

    /// Whether the store holds these commits, and no others.
    fn check_store(&self, disk: &SimDisk, mark: &Mark, commits: usize) -> Result<Ends, Complaint> {
        let mut expected = self.commits.iter().take(commits);
        let mut ends = Ends::new();
        for segment in 1..=mark.segment {
            let read = |part: Part| {
                let name = part.name(segment);
                disk.peek(&name).ok_or(format!("{name} is missing"))
            };
            let (data, index) = (read(Part::Data)?, read(Part::Index)?);
            let mut scan = Scan::new(&index[HEADER_BYTES.min(index.len())..], 0);
            let mut end = 0;
            while let Some(next) = scan.next_entry().map_err(|e| e.to_string())? {
                let (at, entry) =
                    next.map_err(|e| format!("segment {segment}: an entry is {e:?}"))?;
                let Some(commit) = expected.next() else {
                    return Err(format!("{} is stored beyond the cut", text(entry.url)));
                };
                let robots = entry.kind == Kind::Robots;
                if (entry.url, entry.fingerprint, robots)
                    != (&commit.url, commit.fingerprint, commit.robots)
                {
                    return Err(format!(
                        "{} is stored where {} was committed",
                        text(entry.url),
                        text(&commit.url)
                    ));
                }
                let whole = data
                    .get(entry.offset as usize..entry.end() as usize)
                    .is_some_and(|frame| is_whole(frame, entry.plain));
                if !whole {
                    return Err(format!(
                        "segment {segment}: the record of {} (entry at {at}) is not readable",
                        text(entry.url)
                    ));
                }
                end = entry.end();
                if !robots {
                    let stored = End::Stored(entry.outcome, entry.status);
                    if ends.insert(entry.url.to_vec(), stored).is_some() {
                        return Err(format!("{} is stored twice", text(entry.url)));
                    }
                }
            }
            if end > 0 && data.len() as u64 != end {
                return Err(format!(
                    "segment {segment} does not end with its last record"
                ));
            }
        }
        match expected.next() {
            Some(lost) => Err(format!(
                "{} was committed and is not stored",
                text(&lost.url)
            )),
            None => Ok(ends),
        }
    }
}

/// Follows every URL of the log to where it is.
fn check_urls(recovered: &Recovered, written: &[u8], mut ends: Ends) -> Result<Checked, Complaint> {
    let is_open = open_urls(recovered)?;
    let mut names: Vec<Vec<u8>> = Vec::new();
    let mut open: HashSet<Vec<u8>> = HashSet::new();
    let mut queued: HashSet<Vec<u8>> = HashSet::new();
    // Excluded for how it was found; to be admitted later, if it is found in another way.
    let mut early: HashMap<Vec<u8>, &'static str> = HashMap::new();
    let mut put = |url: &[u8], end: End| match ends.insert(url.to_vec(), end) {
        None => Ok(()),
        Some(before) => Err(format!("{} has two ends, one is {before:?}", text(url))),
    };
    for record in Reader::new(written) {
        match record {
            Record::Host { origin } => names.push(origin.to_vec()),
            Record::Queued {
                host, seq, target, ..
            } => {
                let name = names.get(host as usize).ok_or("a URL of no host")?;
                let url = [name, target].concat();
                early.remove(&url);
                if is_open(host, seq) && !open.insert(url.clone()) {
                    return Err(format!("{} is to do twice", text(&url)));
                }
                queued.insert(url);
            }
            Record::Excluded { reason, url, .. } => {
                if queued.contains(url) {
                    put(url, End::Excluded(reason.name()))?;
                } else {
                    early.insert(url.to_vec(), reason.name());
                }
            }
            Record::Dropped { limit, url, .. } => put(url, End::Dropped(limit.name()))?,
            Record::Failed { outcome, url, .. } => put(url, End::Failed(outcome))?,
            Record::Rules { .. } | Record::Scope { .. } => {}
        }
    }
    for url in &queued {
        match (open.contains(url), ends.get(url)) {
            (false, None) => return Err(format!("{} is lost", text(url))),
            (true, Some(end)) => return Err(format!("{} is to do and {end:?}", text(url))),
            _ => {}
        }
    }
    if let Some((url, _)) = ends
        .iter()
        .find(|(url, end)| matches!(end, End::Stored(..)) && !queued.contains(*url))
    {
        return Err(format!("{} is stored and was never queued", text(url)));
    }
    for (url, reason) in early {
        ends.insert(url, End::Excluded(reason));
    }
    Ok(Checked {
        ends,
        open: open.len(),
    })
}

/// Which URL of which host is to do at a checkpoint.
fn open_urls(recovered: &Recovered) -> Result<impl Fn(u32, u32) -> bool, Complaint> {
    let state = State::decode(&recovered.cut.state).ok_or("the state cannot be read")?;
    let in_flight: HashSet<(u32, u32)> = state.in_flight.iter().map(|i| (i.host, i.seq)).collect();
    Ok(move |host, seq| {
        let record = record_of(recovered, host);
        seq >= record.map_or(0, |it| it.popped) || in_flight.contains(&(host, seq))
    })
}

fn record_of(recovered: &Recovered, host: u32) -> Option<HostRecord> {
    let at = host as usize * RECORD_BYTES;
    let record = recovered.hosts.get(at..at + RECORD_BYTES)?;
    Some(HostRecord::decode(record))
}

/// Whether the logs as restored say what was written, whatever a compaction left out.
fn check_logs(disk: &SimDisk, recovered: &Recovered, written: &[u8]) -> Result<(), Complaint> {
    let eyes = Eyes(disk);
    let logs = recovered.logs(&eyes);
    let (mut ended, mut urls) = (Vec::new(), Vec::new());
    let whole = logs.ended(&mut |piece| ended.extend_from_slice(piece))
        && logs.urls(&mut |piece| urls.extend_from_slice(piece));
    if !whole {
        return Err("the logs cannot be read a second time".into());
    }
    let is_open = open_urls(recovered)?;
    let stays = |record: &Record<'_>| match *record {
        Record::Host { .. } | Record::Scope { .. } => true,
        Record::Queued { host, seq, .. } => is_open(host, seq),
        _ => false,
    };
    let is_end = |record: &Record<'_>| {
        matches!(
            record,
            Record::Excluded { .. } | Record::Dropped { .. } | Record::Failed { .. }
        )
    };
    if !Reader::new(written)
        .filter(stays)
        .eq(Reader::new(&urls).filter(stays))
    {
        return Err("another frontier in the compacted log than was written".into());
    }
    if !(Reader::new(written).filter(is_end))
        .eq(Reader::new(&ended).chain(Reader::new(&urls).filter(is_end)))
    {
        return Err("another list of what has ended than was written".into());
    }
    let rules = |log: &[u8]| -> HashMap<u32, Vec<u8>> {
        Reader::new(log)
            .filter_map(|record| match record {
                Record::Rules { host, rules } => Some((host, rules.to_vec())),
                _ => None,
            })
            .filter(|(host, _)| {
                record_of(recovered, *host).is_some_and(|it| it.robots == RobotsState::Rules)
            })
            .collect()
    };
    if rules(written) != rules(&urls) {
        return Err("other robots rules than were written".into());
    }
    Ok(())
}

/// Whether the counters say what the log and the store say.
fn check_counters(frontier: &Frontier, checked: &Checked) -> Result<(), Complaint> {
    let counters = frontier.counters();
    if !counters.balances() {
        return Err(format!("the balance does not add up: {counters:?}"));
    }
    let count = |which: fn(&End) -> bool| checked.ends.values().filter(|e| which(e)).count() as u64;
    let stored = count(|e| matches!(e, End::Stored(..)));
    let failed = count(|e| matches!(e, End::Failed(_)));
    let excluded = count(|e| matches!(e, End::Excluded(_)));
    let dropped = count(|e| matches!(e, End::Dropped(_)));
    let found = [
        ("queued", counters.queued, checked.open as u64),
        ("in flight", counters.in_flight, 0),
        ("pages", counters.pages, stored),
        ("done", counters.done(), stored + failed),
        ("excluded", counters.excluded_now(), excluded),
        ("dropped", counters.dropped_now(), dropped),
    ];
    match found.iter().find(|(_, counted, there)| counted != there) {
        None => Ok(()),
        Some((what, counted, there)) => Err(format!("{what}: counted {counted}, found {there}")),
    }
}

/// Whether the bytes are one frame of that content length whose checksum holds.
fn is_whole(frame: &[u8], plain: u64) -> bool {
    thread_local! {
        static CONTEXT: std::cell::RefCell<zstd::bulk::Decompressor<'static>> =
            std::cell::RefCell::new(zstd::bulk::Decompressor::new().expect("memory"));
    }
    let Some(header) = Header::read(frame) else {
        return false;
    };
    header.defect().is_none()
        && header.content == Some(plain)
        && CONTEXT.with_borrow_mut(|context| {
            let plain = usize::try_from(plain).unwrap_or(0);
            context
                .decompress(frame, plain)
                .is_ok_and(|bytes| bytes.len() == plain)
        })
}

/// A hash of all that the store wrote: the same crawl must make the same.
pub fn store_hash(disk: &SimDisk) -> u64 {
    let mut all = Vec::new();
    for name in disk.list().unwrap_or_default() {
        if Part::of(&name).is_some() {
            all.extend_from_slice(name.as_bytes());
            all.extend_from_slice(&disk.read(&name).unwrap_or_default());
        }
    }
    xxh3_64(&all)
}

/// A URL for a complaint.
fn text(url: &[u8]) -> String {
    String::from_utf8_lossy(url).into_owned()
}
