//! The report as people read it in a terminal.
//!
//! What must hold: no line wider than [`super::COLUMNS`]; nothing foreign unescaped; it can be drawn of any report that
//! can be loaded, an empty one and a nonsensical one too. Deliberately absent: any number that is not in `report.json`.

use super::charts::{bar, histogram, pad, plot};
use super::limiter::Cause;
use super::measure::Measure;
use super::report::{Latency, Report, Stop};
use super::report_tables::{balance, counts, tops};
use super::sheet::{COLUMNS, HALF, Sheet};
use super::text::{
    bytes, duration, escape, finite, fit, memory, percent, seconds, thousands, three_digits,
};

/// Columns of the plot over time.
const PLOT_WIDTH: usize = 78;
/// Rows of it.
const PLOT_HEIGHT: usize = 5;
/// Latencies that are drawn as histograms, two and two; the table has all.
const DRAWN: [(Measure, &str); 6] = [
    (Measure::Fetch, "fetch, whole"),
    (Measure::FirstByte, "first byte"),
    (Measure::Parse, "parse, wait included"),
    (Measure::Frontier, "frontier, wait included"),
    (Measure::Store, "store, wait included"),
    (Measure::CheckpointDurable, "checkpoint, cut to durable"),
];

/// The report as text. `colour` only for a terminal.
pub fn render(report: &Report, colour: bool) -> String {
    let mut sheet = Sheet::new(colour);
    headline(&mut sheet, report);
    course(&mut sheet, report);
    balance(&mut sheet, report);
    counts(&mut sheet, report);
    tops(&mut sheet, report);
    limiter(&mut sheet, report);
    latencies(&mut sheet, report);
    checkpoints(&mut sheet, report);
    resources(&mut sheet, report);
    notes(&mut sheet, report);
    sheet.finish()
}

/// Result first: how much, how fast, why it ended, what limited it.
fn headline(sheet: &mut Sheet, report: &Report) {
    let ended = match report.stop {
        Stop::Finished => "finished, nothing is left to fetch",
        Stop::Time => "stopped, its time was up (--for)",
        Stop::Pages => "stopped, it has its pages (--max-pages)",
        Stop::Interrupted => "stopped by the user",
        Stop::Failed => "FAILED; the last checkpoint holds",
        Stop::Unknown => "not ended",
    };
    sheet.heading(&format!("Crawl {}: {ended}", fit(&report.dir, 40)));
    if let Some(error) = &report.error {
        sheet.alarm(&escape(error));
    }
    sheet.line(&result(report.pages, report.bytes, report.elapsed_s));
    if let Some(from) = &report.restored {
        let run = &report.run;
        sheet.line(&format!(
            "this run: {}",
            result(run.pages, run.bytes, run.elapsed_s)
        ));
        sheet.paragraph(&format!(
            "restored from checkpoint {} ({} old): {} URLs, {} of them in flight and queued again",
            thousands(from.epoch),
            seconds(from.age_s),
            thousands(from.urls),
            thousands(from.requeued)
        ));
        if let Some(why) = &from.fallback {
            sheet.paragraph(&format!(
                "a newer checkpoint could not be used: {}",
                escape(why)
            ));
        }
    }
    if !report.limited_by.is_empty() {
        sheet.paragraph(&escape(&report.limited_by));
    }
    if !report.run.started.is_empty() {
        sheet.line(&format!(
            "{} to {}, cyclosa {}",
            fit(&report.run.started, 24),
            fit(&report.run.ended, 24),
            fit(&report.version, 24)
        ));
    }
}

fn result(pages: u64, size: u64, elapsed_s: f64) -> String {
    let elapsed_s = finite(elapsed_s);
    let per_s = |n: f64| if elapsed_s > 0.0 { n / elapsed_s } else { 0.0 };
    format!(
        "{} pages, {} in {}: {} pages/s, {} MB/s",
        thousands(pages),
        bytes(size),
        seconds(elapsed_s),
        three_digits(per_s(pages as f64)),
        three_digits(per_s(size as f64 / 1e6))
    )
}

/// Throughput over time and its distribution.
fn course(sheet: &mut Sheet, report: &Report) {
    let series = &report.series;
    if !series.pages_per_s.is_empty() {
        sheet.heading("Pages a second over time");
        let top = series
            .pages_per_s
            .iter()
            .map(|&v| finite(v))
            .fold(0.0, f64::max);
        let rows = plot(&series.pages_per_s, PLOT_WIDTH, PLOT_HEIGHT);
        for (i, row) in rows.iter().enumerate() {
            let label = if i == 0 {
                three_digits(top)
            } else {
                String::new()
            };
            sheet.line(&format!("{label:>12} │{row}"));
        }
        sheet.line(&format!("{:>12} └{}", "0", "─".repeat(PLOT_WIDTH)));
        let end = seconds(series.step_s * series.pages_per_s.len() as f64);
        sheet.line(&format!("{:>14}{end:>PLOT_WIDTH$}", ""));
    }
    let pages = report.histogram("pages_per_s");
    let rate = report.histogram("bytes_per_s");
    if pages.is_none() && rate.is_none() {
        return;
    }
    sheet.heading("Throughput of single seconds");
    let block = |title: &str, d: &super::Distribution, h: Option<&_>, label: fn(u64) -> String| {
        let mut lines = vec![
            title.to_string(),
            format!(
                "p10 {}  p50 {}  p90 {}  max {}",
                three_digits(d.p10),
                three_digits(d.p50),
                three_digits(d.p90),
                three_digits(d.max)
            ),
        ];
        lines.extend(h.map_or_else(Vec::new, |h| histogram(h, HALF, label)));
        lines
    };
    sheet.beside(
        &block(
            "pages/s",
            &report.pages_per_s_dist,
            pages.as_ref(),
            thousands,
        ),
        &block(
            "MB/s",
            &report.mb_per_s_dist,
            rate.as_ref(),
            |bytes_per_s| three_digits(bytes_per_s as f64 / 1e6),
        ),
    );
}

/// What the fetchers waited for.
fn limiter(sheet: &mut Sheet, report: &Report) {
    let fetchers = &report.fetchers;
    if finite(fetchers.busy_s) + finite(fetchers.idle_s) <= 0.0 {
        return;
    }
    sheet.heading("What the fetchers waited for");
    sheet.line(&format!(
        "busy {} of the time; of their idle time ({}):",
        percent(fetchers.busy_share),
        seconds(fetchers.idle_s)
    ));
    let mut rows: Vec<_> = Cause::ALL
        .into_iter()
        .map(|c| (c, report.limiter.get(c.name()).copied().unwrap_or(0.0)))
        .filter(|(_, share)| *share > 0.0)
        .collect();
    rows.sort_by(|a, b| b.1.total_cmp(&a.1));
    for (cause, share) in rows {
        sheet.line(&format!(
            "{} {:>7}  {}",
            pad(cause.name(), 18),
            percent(share),
            bar(share, 40)
        ));
    }
}

/// Percentiles of all stages, histograms of the main ones.
fn latencies(sheet: &mut Sheet, report: &Report) {
    let measured = |m: &Measure| report.latency_us.get(m.name()).filter(|l| l.count > 0);
    if !Measure::ALL.iter().any(|m| measured(m).is_some()) {
        return;
    }
    sheet.heading("Latencies of this run");
    let head = ["p50", "p90", "p99", "p99.9", "max"].map(|h| format!("{h:>10}"));
    sheet.line(&format!(
        "{} {:>14} {}",
        pad("", 18),
        "count",
        head.join(" ")
    ));
    for measure in Measure::ALL {
        if let Some(latency) = measured(&measure) {
            sheet.line(&latency_row(measure.name(), latency));
        }
    }
    let blocks: Vec<_> = DRAWN
        .iter()
        .filter_map(|(measure, title)| {
            let drawn = report.histogram(measure.name())?;
            let mut lines = vec![title.to_string()];
            lines.extend(histogram(&drawn, HALF, duration));
            Some(lines)
        })
        .collect();
    for pair in blocks.chunks(2) {
        sheet.line("");
        sheet.beside(&pair[0], pair.get(1).map_or(&[], Vec::as_slice));
    }
}

fn latency_row(name: &str, latency: &Latency) -> String {
    let quantiles = [
        latency.p50,
        latency.p90,
        latency.p99,
        latency.p999,
        latency.max,
    ]
    .map(|us| format!("{:>10}", seconds(us / 1e6)));
    format!(
        "{} {:>14} {}",
        pad(name, 18),
        thousands(latency.count),
        quantiles.join(" ")
    )
}

fn checkpoints(sheet: &mut Sheet, report: &Report) {
    let made = &report.checkpoints;
    sheet.heading("Checkpoints of this run");
    if made.count == 0 {
        sheet.line("none");
        return;
    }
    sheet.line(&format!(
        "{} durable, {} written; cut at most {}, durable at most {} after it",
        thousands(made.count),
        bytes(made.bytes),
        seconds(made.cut_us / 1e6),
        seconds(made.durable_ms / 1e3)
    ));
    let bound = format!(
        "a crash would have cost at most {} of work; promised are {}",
        seconds(made.redo_bound_s),
        seconds(made.promised_s)
    );
    if made.redo_bound_s > made.promised_s && made.promised_s > 0.0 {
        sheet.alarm(&format!("PROMISE NOT KEPT: {bound}"));
    } else {
        sheet.line(&bound);
    }
    if made.compactions > 0 {
        sheet.line(&format!(
            "the URL log was compacted {}, {} written",
            times(made.compactions),
            bytes(made.compacted_bytes)
        ));
    }
}

fn times(n: u64) -> String {
    match n {
        1 => "once".into(),
        n => format!("{} times", thousands(n)),
    }
}

/// Storage, memory, threads.
fn resources(sheet: &mut Sheet, report: &Report) {
    sheet.heading("Storage, memory, threads");
    let stored = &report.stored;
    sheet.line(&format!(
        "stored   {} in {} segments, {} before compression ({} : 1)",
        bytes(stored.bytes),
        thousands(stored.segments),
        bytes(stored.plain_bytes),
        three_digits(stored.ratio),
    ));
    sheet.line(&format!(
        "records  {}, {} of them revisits",
        thousands(stored.records),
        thousands(stored.revisits),
    ));
    let mem = &report.memory;
    let over = if mem.peak_rss > mem.budget && mem.budget > 0 {
        "  (MORE THAN THE BUDGET)"
    } else {
        ""
    };
    sheet.line(&format!(
        "memory   {} at most, of a budget of {}{over}",
        memory(mem.peak_rss),
        memory(mem.budget)
    ));
    for row in &report.placement {
        let core = row
            .core
            .map_or("not pinned".to_string(), |c| format!("core {c}"));
        let stages = row
            .stages
            .iter()
            .map(|s| fit(s, 24))
            .collect::<Vec<_>>()
            .join(", ");
        sheet.line(&format!(
            "thread   {} {} {stages}",
            pad(&fit(&row.thread, 16), 16),
            pad(&core, 11)
        ));
    }
}

fn notes(sheet: &mut Sheet, report: &Report) {
    if report.notes.is_empty() {
        return;
    }
    sheet.heading("Remarks");
    for note in &report.notes {
        sheet.paragraph(&format!("• {}", fit(note, 4 * COLUMNS)));
    }
}

#[cfg(test)]
mod tests {
    use super::super::collector::Collector;
    use super::super::gauges::Gauges;
    use super::super::sample::sample;
    use super::super::status::{Mode, StatusLine};
    use super::*;

    fn check(text: &str) {
        for line in text.lines() {
            assert!(line.chars().count() <= COLUMNS, "{line}");
            assert!(!line.chars().any(char::is_control), "{line:?}");
            assert!(!line.contains("NaN") && !line.contains("inf "), "{line}");
        }
    }

    #[test]
    fn the_sample_has_all_that_was_promised() {
        let report = sample();
        let text = render(&report, false);
        println!("{text}"); // `--nocapture` shows what a report looks like
        check(&text);
        for part in [
            "stopped, its time was up",
            "restored from checkpoint 2 (44.0 s old): 402,113 URLs",
            "limited by the servers' answers (61.0 %",
            "It adds up.",
            "queued                      1,204,117",
            "connect_timeout",
            "Hosts with the most pages, of 1,200 known",
            "server              61.0 %",
            "no_ready_host       30.5 %",
            "≥ 1.00 ms",
            "promised are 15.0 s",
            "1.4 GiB at most, of a budget of 8.0 GiB",
            "not pinned",
        ] {
            assert!(text.contains(part), "{part} is missing");
        }
    }

    #[test]
    fn an_empty_run_has_a_report() {
        let mut report = Report::default();
        report.settle();
        let text = render(&report, false);
        check(&text);
        assert!(text.contains("0 pages, 0 B in 0 ns: 0 pages/s"), "{text}");
        assert!(text.contains("It adds up."));
        let gauges = Gauges::default();
        let status = StatusLine::new(Mode::Off, Box::new(std::io::sink()));
        let figures = Collector::new(Vec::new(), None, status, &gauges, 0, 0).finish(0, &gauges);
        report.set_run(&figures, 0);
        report.settle();
        check(&render(&report, false));
        assert!(report.to_json().contains("\"pages_per_s\": 0.0"));
    }

    #[test]
    fn hostile_names_and_numbers_are_tamed() {
        let evil = "\u{1b}[2J\u{202e}\r\n\u{9b}".to_string() + &"x".repeat(10_000);
        let mut report = sample();
        report.dir = evil.clone();
        report.error = Some(evil.clone());
        report.limited_by = evil.clone();
        report.notes = vec![evil.clone(); 3];
        report.hosts[0].host = evil.clone();
        report.types[0].media_type = evil.clone();
        report.outcomes.insert(evil.clone(), u64::MAX);
        report.status.insert(evil.clone(), u64::MAX);
        report.placement[0].thread = evil.clone();
        report.histograms.insert("fetch".into(), evil);
        report.pages = u64::MAX;
        report.bytes = u64::MAX;
        report.elapsed_s = f64::MIN_POSITIVE;
        report.series.step_s = f64::MAX;
        report.series.pages_per_s = vec![f64::MAX, f64::MAX, -1.0, 0.0];
        report.limiter.insert("server".into(), f64::MAX);
        report.checkpoints.cut_us = f64::MAX;
        report.checkpoints.redo_bound_s = 99.0;
        report.urls.discovered = u64::MAX;
        report.settle();
        let text = render(&report, false);
        check(&text);
        assert!(text.contains("IT DOES NOT ADD UP"));
        assert!(text.contains("PROMISE NOT KEPT"));
    }
}
