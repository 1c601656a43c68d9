//! What a crawl's report says, as data: the contract of `report.json`.
//!
//! Two kinds of numbers stand side by side. **Totals** (pages, URLs, outcomes, statuses, hosts, types) come from the
//! frontier and go on over restores. **Run figures** (latencies, distributions, course, limiter, checkpoints) come from
//! telemetry and are of the last run; `run` has that run's own pages, bytes and time. Without a restore they agree.
//!
//! What must hold: all numbers are finite; `balance.ok` exactly if the five places of a URL add up to what was
//! discovered; fields are added, never renamed, and a reader takes what is missing as empty.

use super::collector::RunFigures;
use super::gauges::Gauges;
use super::limiter::Cause;
use super::measure::{Counter, Measure};
use super::text::{finite, ratio};
use super::throughput::Throughput;
use crate::limits::{REPORT_NOTES_MAX, REPORT_ROWS_MAX};
use crate::time::{SECOND, Tick, rfc3339};
use data_encoding::BASE64;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Version of the format that this build writes and the newest that it reads.
pub(super) const FORMAT: u32 = 1;
/// Most bytes of one histogram as text; a full one has about 20,000.
const HISTOGRAM_TEXT_MAX: usize = 256 << 10;

/// Counts by name.
pub type Counts = BTreeMap<String, u64>;

/// Why a run ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// Nothing is left to fetch.
    Finished,
    /// `--for` is over.
    Time,
    /// `--max-pages` is reached.
    Pages,
    /// The user stopped it.
    Interrupted,
    /// A fatal error did.
    Failed,
    /// It is still going, or a newer version wrote a reason that this one does not know.
    #[default]
    #[serde(other)]
    Unknown,
}

/// The places a URL can be in.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Urls {
    /// All.
    pub discovered: u64,
    /// Waiting in a host's queue.
    pub queued: u64,
    /// On their way round the pipeline.
    pub in_flight: u64,
    /// With an outcome.
    pub done: u64,
    /// Kept out, with a reason.
    pub excluded: u64,
    /// Dropped by a limit.
    pub dropped: u64,
}

/// Whether every discovered URL is in exactly one place.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Balance {
    /// Sum of the places.
    pub sum: u64,
    /// It equals what was discovered, and reasons add up to their places.
    pub ok: bool,
}

/// Time of the fetchers of this run, summed over lanes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Fetchers {
    /// In turns that did work, seconds.
    pub busy_s: f64,
    /// In turns that did none, seconds.
    pub idle_s: f64,
    /// Busy part of the whole, 0 to 1.
    pub busy_share: f64,
}

/// Latency of one stage, microseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Latency {
    /// How many were measured.
    pub count: u64,
    /// Mean.
    pub mean: f64,
    /// Median.
    pub p50: f64,
    /// 90 of 100 are at most this.
    pub p90: f64,
    /// 99 of 100 are at most this.
    pub p99: f64,
    /// 999 of 1,000 are at most this.
    pub p999: f64,
    /// Largest.
    pub max: f64,
}

/// Quantiles of a rate over the seconds of the run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Distribution {
    /// One second in ten was at most this.
    pub p10: f64,
    /// Median second.
    pub p50: f64,
    /// Nine seconds in ten were at most this.
    pub p90: f64,
    /// Best second.
    pub max: f64,
}

/// Throughput over time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Series {
    /// Seconds that a point covers.
    pub step_s: f64,
    /// Pages a second.
    pub pages_per_s: Vec<f64>,
    /// Megabytes (10^6) a second.
    pub mb_per_s: Vec<f64>,
}

/// Checkpoints of this run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Checkpoints {
    /// How many became durable.
    pub count: u64,
    /// Longest that the frontier stood still for a cut, microseconds. Its distribution is `latency_us.checkpoint_cut`.
    pub cut_us: f64,
    /// Longest from a cut to its durability, milliseconds. Its distribution is `latency_us.checkpoint_durable`.
    pub durable_ms: f64,
    /// Bytes written for them, segments excepted.
    pub bytes: u64,
    /// Most seconds of work that a crash would have cost at any moment: cut to cut plus time to durable.
    pub redo_bound_s: f64,
    /// What was promised (`--checkpoint-every`), seconds.
    pub promised_s: f64,
}

/// What a restored run started from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Restored {
    /// Number of the checkpoint.
    pub epoch: u64,
    /// Its age at the restore, seconds.
    pub age_s: f64,
    /// URLs it knew.
    pub urls: u64,
    /// URLs that were in flight and went back to their queues.
    pub requeued: u64,
    /// Why a newer generation was not used, where there was one.
    pub fallback: Option<String>,
}

/// Memory, bytes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// `--memory`.
    pub budget: u64,
    /// Largest resident set.
    pub peak_rss: u64,
}

/// What lies in the segments.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Stored {
    /// Records.
    pub records: u64,
    /// Those that refer to an equal payload stored before.
    pub revisits: u64,
    /// Segments.
    pub segments: u64,
    /// Bytes of the records before compression.
    pub plain_bytes: u64,
    /// Bytes on disk.
    pub bytes: u64,
    /// Plain bytes per byte on disk; 0 where nothing is stored. Filled by [`Report::settle`].
    pub ratio: f64,
}

/// A host.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HostRow {
    /// Scheme, name and port.
    pub host: String,
    /// Responses from it.
    pub pages: u64,
    /// Bytes received from it.
    pub bytes: u64,
    /// URLs of it that ended without a response.
    pub failed: u64,
    /// URLs waiting in its queue.
    pub queued: u64,
}

/// A media type.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TypeRow {
    /// As servers called it.
    pub media_type: String,
    /// Responses of it.
    pub pages: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A thread of the placement table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PlacementRow {
    /// Name of the thread.
    pub thread: String,
    /// Core it is pinned to.
    pub core: Option<u32>,
    /// Stages it runs.
    pub stages: Vec<String>,
}

/// The last run on its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Run {
    /// When it began, RFC 3339.
    pub started: String,
    /// When it ended, RFC 3339.
    pub ended: String,
    /// Responses in it.
    pub pages: u64,
    /// Bytes received in it.
    pub bytes: u64,
    /// How long it took, seconds.
    pub elapsed_s: f64,
    /// Pages by time.
    pub pages_per_s: f64,
    /// Counts, by [`Counter::name`].
    pub counters: Counts,
}

/// The report of a crawl.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// Version of the format.
    pub format: u32,
    /// Version of the program.
    pub version: String,
    /// Command line.
    pub command: String,
    /// Crawl directory.
    pub dir: String,
    /// When the crawl began (its first run), RFC 3339.
    pub started: String,
    /// Why the last run ended.
    pub stop: Stop,
    /// What went wrong, where it failed.
    pub error: Option<String>,

    /// Responses committed, of any status; robots.txt not among them.
    pub pages: u64,
    /// Bytes received on the wire for them.
    pub bytes: u64,
    /// Crawl time over all runs, seconds.
    pub elapsed_s: f64,
    /// Pages by time.
    pub pages_per_s: f64,
    /// Where the URLs are.
    pub urls: Urls,
    /// Whether they add up.
    pub balance: Balance,
    /// Outcomes of done URLs, by [`crate::event::Outcome::name`].
    pub outcomes: Counts,
    /// Responses by status code.
    pub status: Counts,
    /// Excluded URLs by reason.
    pub excluded: Counts,
    /// Dropped URLs by limit.
    pub dropped: Counts,
    /// robots.txt files by what became of them.
    pub robots: Counts,
    /// Other things that limits dropped (links beyond the per-page limit, for one), by limit; no part of the balance.
    pub limits: Counts,
    /// Hosts known.
    pub hosts_known: u64,
    /// Hosts with the most pages, at most [`REPORT_ROWS_MAX`].
    pub hosts: Vec<HostRow>,
    /// Media types with the most pages, at most [`REPORT_ROWS_MAX`].
    pub types: Vec<TypeRow>,
    /// What is stored.
    pub stored: Stored,

    /// This run on its own.
    pub run: Run,
    /// Share of the fetchers' idle time by cause, 0 to 1, by [`Cause::name`].
    pub limiter: BTreeMap<String, f64>,
    /// The same in a sentence.
    pub limited_by: String,
    /// The fetchers' time.
    pub fetchers: Fetchers,
    /// Latencies by [`Measure::name`].
    pub latency_us: BTreeMap<String, Latency>,
    /// Pages a second over the seconds of the run.
    pub pages_per_s_dist: Distribution,
    /// Megabytes (10^6) a second over the seconds of the run.
    pub mb_per_s_dist: Distribution,
    /// Throughput over time.
    pub series: Series,
    /// Checkpoints.
    pub checkpoints: Checkpoints,
    /// What the run was restored from.
    pub restored: Option<Restored>,
    /// Memory.
    pub memory: Memory,
    /// Which thread ran what.
    pub placement: Vec<PlacementRow>,
    /// Remarks made during the run.
    pub notes: Vec<String>,
    /// Full histograms as HdrHistogram V2 with deflate in base64: latencies (nanoseconds) by [`Measure::name`],
    /// `pages_per_s`, `bytes_per_s`.
    pub histograms: BTreeMap<String, String>,
}

impl Report {
    /// Takes the places of URLs, totals and the memory budget from the last levels.
    pub fn set_gauges(&mut self, gauges: &Gauges) {
        self.pages = gauges.pages;
        self.bytes = gauges.bytes;
        self.urls = Urls {
            discovered: gauges.discovered,
            queued: gauges.queued,
            in_flight: gauges.in_flight,
            done: gauges.done,
            excluded: gauges.excluded,
            dropped: gauges.dropped,
        };
        self.hosts_known = gauges.hosts_known;
        self.memory.budget = gauges.memory_budget;
    }

    /// Takes what telemetry knows of the run. `crawl` is the crawl time at its end, earlier runs included.
    pub fn set_run(&mut self, figures: &RunFigures, crawl: Tick) {
        self.elapsed_s = in_seconds(crawl);
        let elapsed_s = in_seconds(figures.elapsed);
        self.run = Run {
            started: rfc3339(figures.started),
            ended: rfc3339(figures.started.saturating_add(figures.elapsed / 1_000_000)),
            pages: figures.pages,
            bytes: figures.bytes,
            elapsed_s,
            pages_per_s: per(figures.pages, elapsed_s),
            counters: Counter::ALL
                .into_iter()
                .map(|c| (c.name().to_string(), figures.counters[c as usize]))
                .collect(),
        };
        self.set_limiter(figures);
        self.set_latencies(figures);
        self.set_throughput(&figures.throughput);
        self.memory.peak_rss = figures.resident.peak;
        self.notes.extend(figures.notes.iter().cloned());
        self.notes.truncate(REPORT_NOTES_MAX);
        if figures.notes_dropped > 0 {
            let more = figures.notes_dropped;
            self.notes.push(format!("{more} further remarks"));
        }
    }

    fn set_limiter(&mut self, figures: &RunFigures) {
        let waits = &figures.waits;
        self.limiter = Cause::ALL
            .into_iter()
            .map(|cause| (cause.name().to_string(), rounded(waits.share(cause))))
            .collect();
        self.limited_by = waits.sentence();
        self.fetchers = Fetchers {
            busy_s: in_seconds(waits.busy_ns),
            idle_s: in_seconds(waits.idle_total()),
            busy_share: rounded(waits.busy_share()),
        };
    }

    fn set_latencies(&mut self, figures: &RunFigures) {
        for (measure, histogram) in Measure::ALL.into_iter().zip(&figures.latencies) {
            let name = measure.name().to_string();
            if !histogram.is_empty() {
                self.histograms.insert(name.clone(), encode(histogram));
            }
            self.latency_us.insert(name, latency(histogram));
        }
        // Checkpoints are rare; their worst cases are here even where the engine gives none.
        let worst = |m: Measure| figures.latencies[m as usize].max() as f64;
        let made = &mut self.checkpoints;
        made.cut_us = made.cut_us.max(worst(Measure::CheckpointCut) / 1e3);
        made.durable_ms = made.durable_ms.max(worst(Measure::CheckpointDurable) / 1e6);
    }

    fn set_throughput(&mut self, throughput: &Throughput) {
        let (pages, bytes) = (&throughput.pages_per_s, &throughput.bytes_per_s);
        self.pages_per_s_dist = distribution(pages, 1.0);
        self.mb_per_s_dist = distribution(bytes, 1e6);
        for (name, histogram) in [("pages_per_s", pages), ("bytes_per_s", bytes)] {
            if !histogram.is_empty() {
                self.histograms.insert(name.to_string(), encode(histogram));
            }
        }
        let course = &throughput.course;
        self.series = Series {
            step_s: course.step_s(),
            pages_per_s: course.pages_per_s().map(rounded).collect(),
            mb_per_s: course.bytes_per_s().map(|b| rounded(b / 1e6)).collect(),
        };
    }

    /// Derives what follows from the rest (rates, ratio, balance) and brings tables into their order and bounds.
    /// Call it last.
    pub fn settle(&mut self) {
        self.format = FORMAT;
        self.version = env!("CARGO_PKG_VERSION").to_string();
        self.pages_per_s = per(self.pages, self.elapsed_s);
        self.stored.ratio = rounded(ratio(self.stored.plain_bytes, self.stored.bytes));
        self.balance = balance(self);
        self.hosts
            .sort_by(|a, b| b.pages.cmp(&a.pages).then_with(|| a.host.cmp(&b.host)));
        self.hosts.truncate(REPORT_ROWS_MAX);
        self.types.sort_by(|a, b| {
            b.pages
                .cmp(&a.pages)
                .then_with(|| a.media_type.cmp(&b.media_type))
        });
        self.types.truncate(REPORT_ROWS_MAX);
    }

    /// The full histogram called `name`, where there is one and it is whole.
    pub fn histogram(&self, name: &str) -> Option<Histogram<u64>> {
        decode(self.histograms.get(name)?)
    }
}

/// The five places must add up, and so must outcomes, reasons and limits where they are given.
fn balance(report: &Report) -> Balance {
    let urls = &report.urls;
    let places = [
        urls.queued,
        urls.in_flight,
        urls.done,
        urls.excluded,
        urls.dropped,
    ];
    let sum = places.into_iter().fold(0, u64::saturating_add);
    let parts = [
        (&report.outcomes, urls.done),
        (&report.excluded, urls.excluded),
        (&report.dropped, urls.dropped),
    ];
    let parts_ok = parts
        .into_iter()
        .all(|(counts, whole)| counts.values().copied().fold(0, u64::saturating_add) == whole);
    Balance {
        sum,
        ok: sum == urls.discovered && parts_ok,
    }
}

fn per(n: u64, seconds: f64) -> f64 {
    if seconds > 0.0 {
        rounded(n as f64 / seconds)
    } else {
        0.0
    }
}

/// Six decimals: enough for any share or rate, and few enough digits to be read back exactly.
fn rounded(x: f64) -> f64 {
    let x = finite(x);
    if x.abs() < 1e9 {
        (x * 1e6).round() / 1e6
    } else {
        x.round()
    }
}

/// Ticks as seconds.
fn in_seconds(ns: u64) -> f64 {
    rounded(ns as f64 / SECOND as f64)
}

fn latency(histogram: &Histogram<u64>) -> Latency {
    if histogram.is_empty() {
        return Latency::default();
    }
    let us = |ns: u64| ns as f64 / 1e3;
    let at = |q: f64| us(histogram.value_at_quantile(q).min(histogram.max()));
    Latency {
        count: histogram.len(),
        mean: rounded(finite(histogram.mean()) / 1e3),
        p50: at(0.5),
        p90: at(0.9),
        p99: at(0.99),
        p999: at(0.999),
        max: us(histogram.max()),
    }
}

fn distribution(histogram: &Histogram<u64>, unit: f64) -> Distribution {
    if histogram.is_empty() {
        return Distribution::default();
    }
    let at = |q: f64| rounded(histogram.value_at_quantile(q) as f64 / unit);
    Distribution {
        p10: at(0.1),
        p50: at(0.5),
        p90: at(0.9),
        max: rounded(histogram.max() as f64 / unit),
    }
}

fn encode(histogram: &Histogram<u64>) -> String {
    let mut bytes = Vec::new();
    match V2DeflateSerializer::new().serialize(histogram, &mut bytes) {
        Ok(_) => BASE64.encode(&bytes),
        Err(_) => String::new(), // cannot happen when writing to memory
    }
}

fn decode(text: &str) -> Option<Histogram<u64>> {
    if text.len() > HISTOGRAM_TEXT_MAX {
        return None;
    }
    let bytes = BASE64.decode(text.as_bytes()).ok()?;
    let histogram = Deserializer::new()
        .deserialize(&mut bytes.as_slice())
        .ok()?;
    Some(histogram).filter(|h: &Histogram<u64>| !h.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_balance_needs_places_and_reasons_to_add_up() {
        let mut report = Report::default();
        report.settle();
        assert!(report.balance.ok);
        report.urls = Urls {
            discovered: 10,
            queued: 1,
            in_flight: 2,
            done: 3,
            excluded: 3,
            dropped: 1,
        };
        report.outcomes.insert("fetched".into(), 3);
        report.excluded.insert("robots".into(), 3);
        report.dropped.insert("hosts_full".into(), 1);
        report.settle();
        assert!(report.balance.ok && report.balance.sum == 10);
        report.excluded.insert("scope".into(), 1);
        report.settle();
        assert!(!report.balance.ok);
        report.excluded.remove("scope");
        report.urls.queued = u64::MAX;
        report.settle();
        assert!(!report.balance.ok);
    }

    #[test]
    fn histograms_survive_as_text_and_junk_does_not() {
        let mut histogram = super::super::recorder::latency_histogram();
        for i in 0..10_000u64 {
            histogram.saturating_record(i * i);
        }
        let text = encode(&histogram);
        assert!(text.len() < HISTOGRAM_TEXT_MAX);
        let back = decode(&text).expect("whole");
        assert_eq!(back.len(), histogram.len());
        assert_eq!(
            back.value_at_quantile(0.9),
            histogram.value_at_quantile(0.9)
        );
        for junk in ["", "HIST", "!!!", "AAAA", &text[..text.len() / 2]] {
            assert!(decode(junk).is_none(), "{junk}");
        }
    }

    #[test]
    fn tables_are_bounded_and_ordered() {
        let mut report = Report {
            hosts: (0..200u64)
                .map(|pages| HostRow {
                    host: format!("http://h{pages}.web.test"),
                    pages,
                    ..HostRow::default()
                })
                .collect(),
            ..Report::default()
        };
        report.settle();
        assert_eq!(report.hosts.len(), REPORT_ROWS_MAX);
        assert_eq!(report.hosts[0].pages, 199);
    }
}
