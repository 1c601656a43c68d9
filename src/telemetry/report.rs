//! What a crawl's report says, as data: the contract of `report.json`.
//!
//! Two kinds of numbers stand side by side. **Totals** (pages, URLs, outcomes, statuses, hosts, types) come from the
//! frontier and go on over restores. **Run figures** (latencies, distributions, course, limiter, checkpoints) come from
//! telemetry and are of the last run; `run` has that run's own pages, bytes and time. Without a restore they agree.
//!
//! What must hold: all numbers are finite; `balance.ok` exactly if the five places of a URL add up to what was
//! discovered; fields are added, never renamed, and a reader takes what is missing as empty.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Version of the format that this build writes and the newest that it reads.
pub(super) const FORMAT: u32 = 1;
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
    /// Times that the URL log was compacted.
    pub compactions: u64,
    /// Bytes written by that.
    pub compacted_bytes: u64,
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
    /// Counts, by [`super::Counter::name`].
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
    /// What the lanes asked name servers in this run and what became of it, by [`crate::fetch::DnsLoad::figures`]; how long
    /// it took is `latency_us.resolve`.
    pub dns: Counts,
    /// Other things that limits dropped (links beyond the per-page limit, for one), by limit; no part of the balance.
    pub limits: Counts,
    /// TLS of the last run: handshakes by kind, and what the limit on remembered sessions dropped; empty without TLS.
    pub tls: Counts,
    /// Cookies of the last run: set by servers, and dropped by limits; empty without `--cookies`.
    pub cookies: Counts,
    /// Hosts known.
    pub hosts_known: u64,
    /// Hosts with the most pages, at most [`crate::limits::REPORT_ROWS_MAX`].
    pub hosts: Vec<HostRow>,
    /// Media types with the most pages, at most [`crate::limits::REPORT_ROWS_MAX`].
    pub types: Vec<TypeRow>,
    /// What is stored.
    pub stored: Stored,

    /// This run on its own.
    pub run: Run,
    /// Share of the fetchers' idle time by cause, 0 to 1, by [`super::Cause::name`].
    pub limiter: BTreeMap<String, f64>,
    /// The same in a sentence.
    pub limited_by: String,
    /// The fetchers' time.
    pub fetchers: Fetchers,
    /// Latencies by [`super::Measure::name`].
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
    /// Full histograms as HdrHistogram V2 with deflate in base64: latencies (nanoseconds) by [`super::Measure::name`],
    /// `pages_per_s`, `bytes_per_s`.
    pub histograms: BTreeMap<String, String>,
}
