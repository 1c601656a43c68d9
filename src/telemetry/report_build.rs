//! How a report comes about: from the last levels, from the run's figures, and from what follows of them.
//!
//! What must hold: every number that leaves here is finite and has few enough digits to be read back exactly; tables are
//! within their bounds; the balance is judged here and nowhere else.

use super::collector::RunFigures;
use super::gauges::Gauges;
use super::limiter::Cause;
use super::measure::{Counter, Measure};
use super::report::{Balance, Distribution, FORMAT, Fetchers, Latency, Report, Run, Series, Urls};
use super::text::{finite, ratio};
use super::throughput::Throughput;
use crate::limits::{REPORT_NOTES_MAX, REPORT_ROWS_MAX};
use crate::time::{MILLISECOND, SECOND, Tick, rfc3339};
use data_encoding::BASE64;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};

/// Most bytes of one histogram as text; a full one has about 20,000.
const HISTOGRAM_TEXT_MAX: usize = 256 << 10;

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
            ended: rfc3339(
                figures
                    .started
                    .saturating_add(figures.elapsed / MILLISECOND),
            ),
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
    use super::super::report::HostRow;
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
