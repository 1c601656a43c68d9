//! What the crawler knows of itself: latencies, throughput, what it waited for, and the report.
//!
//! ```text
//!  stage thread                         telemetry thread
//!  StageRecorder ──full intervals──►    Source ─┐
//!    (owns one Interval)                        ├─► Collector ──► latency.hlog, status line
//!                ◄──empty intervals──           │       ▲
//!                                               │       └── Gauges (filled by the engine)
//!                                               ▼
//!                                          RunFigures ──► Report ──► report.json, text
//! ```
//!
//! What must hold:
//! * Recording never waits, locks or allocates, and loses nothing: where telemetry is late a stage goes on in the
//!   interval it has.
//! * Telemetry slows nobody down and stops nobody: a log that cannot be written becomes a remark in the report.
//! * Nothing a server sent (host names, media types) reaches a terminal unescaped.
//!
//! Deliberately absent: any clock (`now` and `wall` are parameters), any decision about the crawl, and any total that the
//! frontier owns: the whole crawl's numbers come from the frontier, only this run's distributions come from here.

mod charts;
mod collector;
mod gauges;
mod interval_log;
mod limiter;
mod measure;
mod recorder;
mod report;
mod report_build;
mod report_json;
mod report_tables;
mod report_text;
#[cfg(test)]
mod sample;
mod sheet;
mod status;
mod text;
mod throughput;

pub use collector::{Collector, RunFigures};
pub use gauges::{Gauges, Resident};
pub use interval_log::{IntervalLog, NAME as LATENCY_LOG};
pub use limiter::{Cause, Waits, Whereabouts};
pub use measure::{Counter, Measure};
pub use recorder::{Interval, Source, StageRecorder, channel};
pub use report::{
    Balance, Checkpoints, Distribution, Fetchers, HostRow, Latency, Memory, PlacementRow, Report,
    Restored, Run, Series, Stop, Stored, TypeRow, Urls,
};
pub use report_json::NAME as REPORT_FILE;
pub use report_text::render;
pub use sheet::COLUMNS;
pub use status::{Mode, StatusLine};
pub use text::{escape, harmless, thousands};
