//! What the telemetry thread does, once a second: gather, write the log, draw the line.
//!
//! What must hold: [`Collector::turn`] does a bounded amount of work and never fails the crawl; a log that can no longer
//! be written becomes a remark. Memory is two histograms per measure, however long the run.

use super::gauges::{Gauges, Resident};
use super::interval_log::IntervalLog;
use super::limiter::Waits;
use super::measure::{Counter, Measure};
use super::recorder::{Interval, Source, latency_histogram};
use super::status::StatusLine;
use super::throughput::Throughput;
use crate::limits::{HLOG_COARSE_S, HLOG_FINE_BYTES, REPORT_NOTES_MAX, TELEMETRY_EVERY_MS};
use crate::time::{MILLISECOND, SECOND, Tick, Wall};
use hdrhistogram::Histogram;

/// Ticks between two rounds.
const EVERY: Tick = TELEMETRY_EVERY_MS * MILLISECOND;
/// How long after the stages' common edge a round comes: they have sent by then.
const BEHIND: Tick = EVERY / 20;

/// Gathers what the stages record. Belongs to the telemetry thread.
pub struct Collector {
    sources: Vec<Source>,
    gathered: Gathered,
    throughput: Throughput,
    log: Option<IntervalLog>,
    logged: Tick,
    status: StatusLine,
    notes: Vec<String>,
    notes_dropped: u64,
    resident: Resident,
    began: (Tick, Wall, Gauges),
    next: Tick,
}

/// Sums of all stages.
struct Gathered {
    /// Since the last line of the log.
    recent: Vec<Histogram<u64>>,
    /// Of the whole run.
    run: Vec<Histogram<u64>>,
    counters: [u64; Counter::COUNT],
    waits: Waits,
}

impl Gathered {
    fn new() -> Self {
        let all = || Measure::ALL.map(|_| latency_histogram()).into();
        Self {
            recent: all(),
            run: all(),
            counters: [0; Counter::COUNT],
            waits: Waits::default(),
        }
    }

    fn add(&mut self, interval: &Interval) {
        for measure in Measure::ALL {
            if let Some(histogram) = interval.histogram(measure).filter(|h| !h.is_empty()) {
                for sum in [
                    &mut self.recent[measure as usize],
                    &mut self.run[measure as usize],
                ] {
                    sum.add(histogram)
                        .expect("all latencies have the same bounds");
                }
            }
        }
        for counter in Counter::ALL {
            let slot = &mut self.counters[counter as usize];
            *slot = slot.saturating_add(interval.counter(counter));
        }
        self.waits.add(interval.waits());
    }

    fn forget_recent(&mut self) {
        for histogram in self.recent.iter_mut().filter(|h| !h.is_empty()) {
            histogram.reset();
        }
    }
}

/// What telemetry knows of this run.
#[derive(Clone, Debug)]
pub struct RunFigures {
    /// When the run began.
    pub started: Wall,
    /// How long it has been going, ticks.
    pub elapsed: Tick,
    /// Responses committed in it.
    pub pages: u64,
    /// Bytes received in it.
    pub bytes: u64,
    /// Latencies in nanoseconds, by [`Measure`].
    pub latencies: Vec<Histogram<u64>>,
    /// Counts, by [`Counter`].
    pub counters: [u64; Counter::COUNT],
    /// What the fetchers waited for.
    pub waits: Waits,
    /// Memory of the process.
    pub resident: Resident,
    /// Remarks for the report.
    pub notes: Vec<String>,
    /// Remarks beyond [`REPORT_NOTES_MAX`].
    pub notes_dropped: u64,
    pub(super) throughput: Throughput,
}

impl Collector {
    /// Begins a run at `now`. `gauges` holds the totals of earlier runs; `log` is `None` where none is wanted.
    pub fn new(
        sources: Vec<Source>,
        log: Option<IntervalLog>,
        status: StatusLine,
        gauges: &Gauges,
        now: Tick,
        wall: Wall,
    ) -> Self {
        Self {
            sources,
            gathered: Gathered::new(),
            throughput: Throughput::new(now, gauges.pages, gauges.bytes),
            log,
            logged: now,
            status,
            notes: Vec::new(),
            notes_dropped: 0,
            resident: Resident::default(),
            began: (now, wall, *gauges),
            next: round_after(now),
        }
    }

    /// When the next round is due.
    pub fn due(&self) -> Tick {
        self.next
    }

    /// One round, if it is due; says whether it was.
    pub fn turn(&mut self, now: Tick, gauges: &Gauges) -> bool {
        if now < self.next {
            return false;
        }
        self.next = round_after(now);
        self.gather();
        let rates = self.throughput.sample(now, gauges.pages, gauges.bytes);
        self.resident = Resident::read();
        self.write_log(now, false);
        let run = now.saturating_sub(self.began.0);
        self.status.show(run, gauges, rates, self.resident);
        true
    }

    /// Ends the run: gathers the rest (recorders dropped before this call have sent theirs), writes it, takes the status line away.
    pub fn finish(mut self, now: Tick, gauges: &Gauges) -> RunFigures {
        self.gather();
        self.throughput.close(now, gauges.pages, gauges.bytes);
        self.resident = Resident::read();
        self.write_log(now, true);
        self.status.clear();
        self.figures(now, gauges)
    }

    /// The run so far.
    pub fn figures(&self, now: Tick, gauges: &Gauges) -> RunFigures {
        let (tick, wall, before) = &self.began;
        RunFigures {
            started: *wall,
            elapsed: now.saturating_sub(*tick),
            pages: gauges.pages.saturating_sub(before.pages),
            bytes: gauges.bytes.saturating_sub(before.bytes),
            latencies: self.gathered.run.clone(),
            counters: self.gathered.counters,
            waits: self.gathered.waits,
            resident: self.resident,
            notes: self.notes.clone(),
            notes_dropped: self.notes_dropped,
            throughput: self.throughput.clone(),
        }
    }

    /// Prints a remark above the status line and keeps it for the report.
    pub fn note(&mut self, remark: &str) {
        self.status.say(remark);
        self.keep(remark);
    }

    /// Keeps a remark for the report only.
    fn keep(&mut self, remark: &str) {
        if self.notes.len() < REPORT_NOTES_MAX {
            self.notes.push(remark.to_string());
        } else {
            self.notes_dropped += 1;
        }
    }

    fn gather(&mut self) {
        for source in &mut self.sources {
            source.drain(|interval| self.gathered.add(interval));
        }
    }

    fn write_log(&mut self, now: Tick, last: bool) {
        let Some(log) = &mut self.log else {
            return;
        };
        let coarse = log.len() >= HLOG_FINE_BYTES;
        if coarse && !last && now.saturating_sub(self.logged) < HLOG_COARSE_S * SECOND {
            return;
        }
        let lines = Measure::ALL
            .into_iter()
            .map(|m| (m.name(), &self.gathered.recent[m as usize]));
        let remark = match log.write(self.logged, now, lines) {
            Ok(true) => None,
            Ok(false) => Some("the latency log has its full length and ends here".to_string()),
            Err(e) => Some(format!(
                "the latency log cannot be written ({e}); it ends here, the crawl goes on"
            )),
        };
        self.logged = now;
        self.gathered.forget_recent();
        if let Some(remark) = remark {
            self.log = None;
            // Where the disk is full the crawl says so itself, in the one line that matters.
            self.keep(&remark);
        }
    }
}

/// The next edge that is at least half an interval away: rates over less would be noise.
fn round_after(now: Tick) -> Tick {
    ((now + EVERY / 2).saturating_sub(BEHIND) / EVERY + 1) * EVERY + BEHIND
}

#[cfg(test)]
mod tests {
    use super::super::recorder::channel;
    use super::super::status::Mode;
    use super::*;

    fn quiet() -> StatusLine {
        StatusLine::new(Mode::Off, Box::new(std::io::sink()))
    }

    #[test]
    fn stages_are_summed_and_earlier_runs_are_not() {
        let dir = tempfile::tempdir().expect("a directory");
        let start = 40 * SECOND;
        let before = Gauges {
            pages: 1_000,
            bytes: 5_000,
            ..Gauges::default()
        };
        let (mut a, source_a) = channel("fetch 0", &[Measure::Fetch], start);
        let (mut b, source_b) = channel("fetch 1", &[Measure::Fetch], start);
        let log = IntervalLog::open(dir.path(), start, 0).expect("opens");
        let sources = vec![source_a, source_b];
        let mut collector = Collector::new(sources, Some(log), quiet(), &before, start, 0);
        let mut gauges = before;
        assert!(!collector.turn(start + SECOND / 2, &gauges));
        for s in 1..=3u64 {
            let now = start + s * SECOND;
            for recorder in [&mut a, &mut b] {
                recorder.record(Measure::Fetch, 1_000);
                recorder.count(Counter::Answers, 1);
                recorder.busy(10);
                recorder.tick(now);
            }
            gauges.pages += 10;
            assert!(collector.turn(now + BEHIND, &gauges));
            assert!(!collector.turn(now + BEHIND + 1, &gauges));
        }
        a.record(Measure::Fetch, 2_000);
        drop((a, b));
        gauges.pages += 1;
        let run = collector.finish(start + 3 * SECOND + 100 * MILLISECOND, &gauges);
        assert_eq!(run.pages, 31);
        assert_eq!(run.bytes, 0);
        assert_eq!(run.latencies[Measure::Fetch as usize].len(), 7);
        assert_eq!(run.counters[Counter::Answers as usize], 6);
        assert_eq!(run.waits.busy_ns, 60);
        assert_eq!(run.throughput.pages_per_s.len(), 3);
        let text = std::fs::read_to_string(dir.path().join(super::super::LATENCY_LOG))
            .expect("the log exists");
        assert_eq!(text.matches("Tag=fetch,").count(), 4);
    }

    #[test]
    fn remarks_are_bounded() {
        let mut collector = Collector::new(Vec::new(), None, quiet(), &Gauges::default(), 0, 0);
        for _ in 0..REPORT_NOTES_MAX + 7 {
            collector.note("again");
        }
        let run = collector.finish(0, &Gauges::default());
        assert_eq!(run.notes.len(), REPORT_NOTES_MAX);
        assert_eq!(run.notes_dropped, 7);
    }
}
