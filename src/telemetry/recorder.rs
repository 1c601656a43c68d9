//! What a pinned stage writes, and how it reaches the telemetry thread.
//!
//! Each stage owns one [`Interval`] and a second one exists per stage. At the edge of a second the stage takes the
//! empty one from a queue and sends the full one through another.
//!
//! What must hold:
//! * two intervals per stage, always: full queue + empty queue + in hand = 2, so that no push can find its queue full;
//! * no allocation, lock or wait in `record`, `count`, `tick`;
//! * nothing is lost: where no empty interval has come back, the stage goes on in the one it has.

use super::limiter::{Cause, Waits};
use super::measure::{Counter, Measure};
use crate::event::{Job, Page};
use crate::limits::{LATENCY_NS_MAX, TELEMETRY_EVERY_MS};
use crate::time::{MILLISECOND, Tick};
use crossbeam::queue::ArrayQueue;
use hdrhistogram::Histogram;
use std::sync::Arc;

/// Intervals per stage: one in the stage's hand, one on its way.
const INTERVALS: usize = 2;
/// Length of an interval, ticks.
const EVERY: Tick = TELEMETRY_EVERY_MS * MILLISECOND;
/// Digits that a histogram keeps apart: two make 36 KiB each, three would evict the second-level cache.
const DIGITS: u8 = 2;

/// A histogram of nanoseconds, 1 to [`LATENCY_NS_MAX`].
pub(super) fn latency_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_NS_MAX, DIGITS).expect("constant bounds are valid")
}

/// What one stage recorded between two edges.
#[derive(Debug)]
pub struct Interval {
    histograms: [Option<Histogram<u64>>; Measure::COUNT],
    counters: [u64; Counter::COUNT],
    waits: Waits,
    /// When its first record was made at the earliest.
    pub start: Tick,
    /// When the stage sent it off.
    pub end: Tick,
}

impl Interval {
    fn new(measures: &[Measure], now: Tick) -> Box<Self> {
        let mut interval = Box::new(Self {
            histograms: [const { None }; Measure::COUNT],
            counters: [0; Counter::COUNT],
            waits: Waits::default(),
            start: now,
            end: now,
        });
        for &measure in measures {
            interval.histograms[measure as usize] = Some(latency_histogram());
        }
        interval
    }

    /// Values of `measure`, where the stage records it.
    pub fn histogram(&self, measure: Measure) -> Option<&Histogram<u64>> {
        self.histograms[measure as usize].as_ref()
    }

    /// Value of `counter`.
    pub fn counter(&self, counter: Counter) -> u64 {
        self.counters[counter as usize]
    }

    /// How the stage's time was spent; only lanes tell.
    pub fn waits(&self) -> &Waits {
        &self.waits
    }

    fn clear(&mut self) {
        for histogram in self.histograms.iter_mut().flatten() {
            if !histogram.is_empty() {
                histogram.reset();
            }
        }
        self.counters = [0; Counter::COUNT];
        self.waits = Waits::default();
    }
}

struct Exchange {
    full: ArrayQueue<Box<Interval>>,
    empty: ArrayQueue<Box<Interval>>,
}

/// The stage's end. Dropping it sends off what is left.
pub struct StageRecorder {
    current: Box<Interval>,
    exchange: Arc<Exchange>,
    edge: Tick,
}

/// The telemetry thread's end.
pub struct Source {
    stage: String,
    exchange: Arc<Exchange>,
}

/// Connects the stage called `stage`, which records `measures` and no others, with telemetry.
/// Allocates all that the pair will ever need.
pub fn channel(stage: &str, measures: &[Measure], now: Tick) -> (StageRecorder, Source) {
    let exchange = Arc::new(Exchange {
        full: ArrayQueue::new(INTERVALS),
        empty: ArrayQueue::new(INTERVALS),
    });
    let spare = exchange.empty.push(Interval::new(measures, now));
    debug_assert!(spare.is_ok());
    let recorder = StageRecorder {
        current: Interval::new(measures, now),
        exchange: Arc::clone(&exchange),
        edge: edge_after(now),
    };
    let source = Source {
        stage: stage.to_string(),
        exchange,
    };
    (recorder, source)
}

/// Edges are whole intervals of crawl time, so that all stages send at about the same moment.
fn edge_after(now: Tick) -> Tick {
    (now / EVERY).saturating_add(1).saturating_mul(EVERY)
}

impl StageRecorder {
    /// Records one duration. More than [`LATENCY_NS_MAX`] counts as that, zero as the shortest.
    #[inline]
    pub fn record(&mut self, measure: Measure, ns: u64) {
        match &mut self.current.histograms[measure as usize] {
            Some(histogram) => histogram.saturating_record(ns.max(1)),
            None => debug_assert!(
                false,
                "{} is not among the stage's measures",
                measure.name()
            ),
        }
    }

    /// Counts `n`.
    #[inline]
    pub fn count(&mut self, counter: Counter, n: u64) {
        let slot = &mut self.current.counters[counter as usize];
        *slot = slot.saturating_add(n);
    }

    /// The lane did no work for `ns` nanoseconds because of `cause`.
    #[inline]
    pub fn idle(&mut self, cause: Cause, ns: u64) {
        self.current.waits.idle(cause, ns);
    }

    /// The lane worked for `ns` nanoseconds.
    #[inline]
    pub fn busy(&mut self, ns: u64) {
        self.current.waits.busy(ns);
    }

    /// Records the clocks of a page at its commit: resolve for a resolved name; else connect (new connections only),
    /// first byte, body, fetch, parse and frontier, as far as the page came. The stage needs those measures.
    pub fn record_page(&mut self, page: &Page) {
        let c = &page.clocks;
        if page.job == Job::Resolve {
            self.record_span(Measure::Resolve, c.started, c.done);
            return;
        }
        if c.connected > c.started {
            self.record_span(Measure::Connect, c.started, c.connected);
        }
        self.record_span(Measure::FirstByte, c.connected, c.first_byte);
        self.record_span(Measure::Body, c.first_byte, c.done);
        self.record_span(Measure::Fetch, c.started, c.done);
        self.record_span(Measure::Parse, c.done, c.parsed);
        self.record_span(Measure::Frontier, c.parsed, c.committed);
    }

    /// Records `until - from` where both steps happened (0 means that a step did not).
    #[inline]
    fn record_span(&mut self, measure: Measure, from: Tick, until: Tick) {
        if from != 0 && until >= from {
            self.record(measure, until - from);
        }
    }

    /// Once a turn: at the edge of a second sends off what was recorded, if telemetry has returned the other interval.
    /// Says whether it did.
    #[inline]
    pub fn tick(&mut self, now: Tick) -> bool {
        now >= self.edge && self.swap(now)
    }

    #[cold]
    fn swap(&mut self, now: Tick) -> bool {
        self.edge = edge_after(now);
        let Some(mut next) = self.exchange.empty.pop() else {
            return false; // telemetry is late: go on in this one
        };
        next.start = now;
        self.current.end = now;
        let full = std::mem::replace(&mut self.current, next);
        let sent = self.exchange.full.push(full);
        debug_assert!(sent.is_ok(), "more than two intervals exist");
        true
    }
}

impl Drop for StageRecorder {
    fn drop(&mut self) {
        let last = std::mem::replace(&mut self.current, Interval::new(&[], 0));
        let sent = self.exchange.full.push(last);
        debug_assert!(sent.is_ok(), "more than two intervals exist");
    }
}

impl Source {
    /// Name of the stage.
    pub fn stage(&self) -> &str {
        &self.stage
    }

    /// Hands each full interval to `each`, oldest first, and returns it empty to the stage.
    pub fn drain(&mut self, mut each: impl FnMut(&Interval)) {
        // Bounded: a fast stage cannot hold the telemetry thread here.
        for _ in 0..INTERVALS {
            let Some(mut interval) = self.exchange.full.pop() else {
                break;
            };
            each(&interval);
            interval.clear();
            let returned = self.exchange.empty.push(interval);
            debug_assert!(returned.is_ok(), "more than two intervals exist");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Clocks;
    use crate::time::SECOND;

    #[test]
    fn a_late_telemetry_loses_nothing_and_holds_up_nobody() {
        let (mut recorder, mut source) = channel("parse", &[Measure::Parse], 0);
        for second in 1..=5u64 {
            recorder.record(Measure::Parse, second);
            recorder.count(Counter::Parsed, 1);
            // The first edge finds the spare interval, the others find none.
            assert_eq!(recorder.tick(second * SECOND), second == 1);
        }
        let mut lengths = Vec::new();
        let mut gather = |interval: &Interval| {
            lengths.push((
                interval.histogram(Measure::Parse).map(|h| h.len()),
                interval.counter(Counter::Parsed),
            ));
        };
        source.drain(&mut gather);
        drop(recorder);
        source.drain(&mut gather);
        assert_eq!(lengths, [(Some(1), 1), (Some(4), 4)]);
    }

    #[test]
    fn two_threads_exchange_without_loss() {
        const RECORDS: u64 = 300_000;
        let (mut recorder, mut source) = channel("fetch", &[Measure::Fetch, Measure::Body], 0);
        let (mut records, mut counted, mut idle, mut sum) = (0, 0, 0, 0u64);
        let stage = std::thread::spawn(move || {
            let mut swaps = 0u64;
            for i in 1..=RECORDS {
                recorder.record(Measure::Fetch, i % 100 + 1);
                if i % 3 == 0 {
                    recorder.record(Measure::Body, i);
                }
                recorder.count(Counter::WireBytes, i);
                recorder.idle(Cause::Server, 1);
                // A clock that reaches an edge every seventh record.
                swaps += u64::from(recorder.tick(i * EVERY / 7));
            }
            swaps
        });
        let mut gather = |interval: &Interval| {
            let fetch = interval.histogram(Measure::Fetch).expect("claimed");
            let body = interval.histogram(Measure::Body).expect("claimed");
            records += fetch.len() + body.len();
            sum += fetch
                .iter_recorded()
                .map(|v| v.value_iterated_to() * v.count_at_value())
                .sum::<u64>();
            counted += interval.counter(Counter::WireBytes);
            idle += interval.waits().of(Cause::Server);
        };
        while !stage.is_finished() {
            source.drain(&mut gather);
        }
        let swaps = stage.join().expect("the stage ends");
        source.drain(&mut gather);
        source.drain(&mut gather);
        assert!(swaps > 0);
        assert_eq!(records, RECORDS + RECORDS / 3);
        assert_eq!(counted, RECORDS * (RECORDS + 1) / 2);
        assert_eq!(idle, RECORDS);
        // 1 to 100 are exact with two digits, so that even the values add up.
        assert_eq!(sum, (1..=RECORDS).map(|i| i % 100 + 1).sum::<u64>());
    }

    #[test]
    fn extreme_durations_saturate() {
        let (mut recorder, mut source) = channel("fetch", &[Measure::Fetch], 0);
        recorder.record(Measure::Fetch, 0);
        recorder.record(Measure::Fetch, u64::MAX);
        recorder.count(Counter::WireBytes, u64::MAX);
        recorder.count(Counter::WireBytes, u64::MAX);
        drop(recorder);
        source.drain(|interval| {
            let histogram = interval.histogram(Measure::Fetch).expect("claimed");
            assert_eq!(histogram.len(), 2);
            assert!(histogram.max() >= LATENCY_NS_MAX);
            assert_eq!(interval.counter(Counter::WireBytes), u64::MAX);
        });
    }

    #[test]
    fn a_page_is_recorded_as_far_as_it_came() {
        let all = Measure::ALL;
        let (mut recorder, mut source) = channel("frontier", &all, 0);
        let mut page = Page {
            clocks: Clocks {
                ordered: 5,
                started: 10,
                connected: 30,
                first_byte: 70,
                done: 150,
                parsed: 310,
                committed: 630,
            },
            ..Page::default()
        };
        recorder.record_page(&page);
        page.clocks.connected = page.clocks.started; // a kept connection
        recorder.record_page(&page);
        page.clocks = Clocks {
            started: 10,
            done: 20,
            ..Clocks::default()
        };
        recorder.record_page(&page); // failed to connect
        page.job = Job::Resolve;
        recorder.record_page(&page);
        drop(recorder);
        source.drain(|interval| {
            let counts = all.map(|m| interval.histogram(m).map_or(0, |h| h.len()));
            assert_eq!(counts, [1, 1, 2, 2, 3, 2, 2, 0, 0, 0]);
        });
    }
}
