//! Fetch, parse and store as stages: each takes from its rings, does a bounded amount, and passes on.
//!
//! What must hold: a send never finds its ring full (every page is a credit, every ring has a slot for each); a turn
//! never blocks, the store's writes apart.

use super::control::{Control, Phase};
use crate::event::{Commit, Job, LinkKind, Page, StoreNote};
use crate::fetch::Lane;
use crate::parse::Parser;
use crate::protocol::zframe::Level;
use crate::ring::{Gauge, Receiver, Sender};
use crate::store::Store;
use crate::telemetry::{Cause, Counter, Measure, StageRecorder, Whereabouts};
use crate::time::{Clock, Tick, wall_now};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Orders taken in one turn.
const ORDERS_PER_TURN: usize = 256;
/// Pages parsed in one turn: small, so that stages on the same thread get their turns.
const PAGES_PER_TURN: usize = 8;
/// Commits taken in one turn.
const COMMITS_PER_TURN: usize = 128;
/// Pages before a parser beyond which it compresses faster instead of better.
const BACKLOG_FAST: u64 = 256;
/// Turns without a page after which a parser has time to compress better.
const IDLE_DEEP: u32 = 128;

/// A credit lies behind every page, so a full ring means that pages were made up.
pub(super) fn send<T: Send + 'static>(ring: &mut Sender<T>, value: T) {
    if ring.send(value).is_err() {
        unreachable!("a ring has a slot for every page");
    }
}

/// One lane's fetcher.
pub struct FetchStage {
    pub(super) lane: Lane,
    pub(super) orders: Receiver<Box<Page>>,
    pub(super) parsers: Vec<(Sender<Box<Page>>, Arc<Gauge>)>,
    pub(super) recorder: StageRecorder,
    pub(super) control: Arc<Control>,
    pub(super) taken: Vec<Box<Page>>,
    pub(super) done: Vec<Box<Page>>,
}

impl FetchStage {
    /// Takes orders, moves bytes, hands finished pages to the parser with the shortest backlog.
    pub fn turn(&mut self, now: Tick) -> usize {
        self.orders.take(ORDERS_PER_TURN, &mut self.taken);
        let mut work = self.taken.len();
        for page in self.taken.drain(..) {
            self.lane.accept(page, now);
        }
        if self.control.phase() >= Phase::Abandoning {
            self.lane.stop();
        }
        work += self.lane.turn(now, wall_now(), &mut self.done);
        for page in self.done.drain(..) {
            self.recorder.record_page(&page);
            self.recorder.count(Counter::WireBytes, page.wire_bytes);
            let shortest = self
                .parsers
                .iter_mut()
                .min_by_key(|(_, gauge)| gauge.depth());
            let (ring, _) = shortest.expect("a lane feeds at least one parser");
            send(ring, page);
        }
        self.recorder.tick(now);
        work
    }

    /// What the lane waits for right now.
    pub fn cause(&self) -> Cause {
        let load = self.lane.load();
        let places = &self.control.places;
        let before_parsers: u64 = self.parsers.iter().map(|(_, g)| g.depth()).sum();
        Whereabouts {
            queued: places.queued.load(Ordering::Relaxed),
            hosts_waiting: places.hosts_waiting.load(Ordering::Relaxed),
            credits_free: places.credits.load(Ordering::Relaxed),
            resolving: load.resolving as u64,
            connecting: (load.dialling + load.handshaking) as u64,
            awaiting: (load.awaiting + load.reading) as u64,
            parsing: before_parsers,
            deciding: 0,
            storing: 0,
        }
        .cause()
    }
}

/// One parser.
pub struct ParseStage {
    pub(super) parser: Parser,
    pub(super) pages: Receiver<Box<Page>>,
    pub(super) backlog: Arc<Gauge>,
    pub(super) findings: Sender<Box<Page>>,
    pub(super) recorder: StageRecorder,
    pub(super) clock: Clock,
    pub(super) taken: Vec<Box<Page>>,
    /// Turns in a row without a page.
    pub(super) fruitless: u32,
}

impl ParseStage {
    /// Parses a few pages.
    pub fn turn(&mut self, now: Tick) -> usize {
        let work = self.pages.take(PAGES_PER_TURN, &mut self.taken);
        if work > 0 {
            let level = match self.backlog.depth() {
                0 if self.fruitless >= IDLE_DEEP => Level::Deep,
                0..BACKLOG_FAST => Level::Normal,
                _ => Level::Fast,
            };
            self.fruitless = 0;
            let mut before = self.clock.now();
            for mut page in self.taken.drain(..) {
                self.parser.parse(&mut page, level);
                let after = self.clock.now();
                if page.outcome.has_response() {
                    self.recorder.record(Measure::Parse, after - before);
                    self.recorder.count(Counter::Parsed, u64::from(page.parsed));
                    self.recorder.count(Counter::Links, page.links.len() as u64);
                    if page.job == Job::Robots {
                        let sitemaps = page.links.iter().filter(|l| l.kind == LinkKind::Sitemap);
                        self.recorder
                            .count(Counter::Sitemaps, sitemaps.count() as u64);
                        self.recorder
                            .count(Counter::SitemapsDropped, u64::from(page.links_dropped));
                    }
                    for (counter, so) in [
                        (Counter::Mislabelled, page.mislabelled),
                        (Counter::DecodingEnded, page.decoding_ended),
                    ] {
                        self.recorder.count(counter, u64::from(so));
                    }
                }
                before = after;
                send(&mut self.findings, page);
            }
        } else {
            self.fruitless = self.fruitless.saturating_add(1);
        }
        self.recorder.tick(now);
        work
    }
}

/// The store.
pub struct StoreStage {
    pub(super) store: Store,
    pub(super) commits: Receiver<Commit>,
    pub(super) returns: Sender<Box<Page>>,
    pub(super) notes: Sender<StoreNote>,
    pub(super) recorder: StageRecorder,
    pub(super) clock: Clock,
    pub(super) control: Arc<Control>,
    pub(super) taken: Vec<Commit>,
}

impl StoreStage {
    /// Writes what was committed and gives the pages back.
    pub fn turn(&mut self, now: Tick) -> usize {
        let work = self.commits.take(COMMITS_PER_TURN, &mut self.taken);
        if work > 0 {
            let before = self.clock.now();
            if let Err(error) = self.write(now) {
                self.control.fail(error);
                return 0;
            }
            let each = (self.clock.now() - before) / work as u64;
            for _ in 0..work {
                self.recorder.record(Measure::Store, each);
            }
        }
        self.recorder.tick(now);
        work
    }

    fn write(&mut self, now: Tick) -> crate::error::Result<()> {
        for commit in self.taken.drain(..) {
            if let Commit::Page(page) = &commit {
                self.recorder.count(Counter::Records, 1);
                self.recorder
                    .count(Counter::RecordBytes, page.record.len() as u64);
                self.recorder
                    .count(Counter::RecordPlainBytes, page.record_plain_len);
            }
            self.store.commit(commit, now);
        }
        self.store.turn(now)?;
        for page in self.store.returned() {
            send(&mut self.returns, page);
        }
        let stored: u64 = self.store.counters().stored_bytes.iter().sum();
        self.control.places.stored.store(stored, Ordering::Relaxed);
        for note in self.store.notes() {
            send(&mut self.notes, note);
        }
        Ok(())
    }
}
