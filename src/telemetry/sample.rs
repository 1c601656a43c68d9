//! A report for tests: a restored crawl's minute, gathered the way the engine does it.

use super::collector::Collector;
use super::limiter::Cause;
use super::measure::{Counter, Measure};
use super::recorder::channel;
use super::status::{Mode, StatusLine};
use super::{
    Checkpoints, Gauges, HostRow, PlacementRow, Report, Restored, Stop, Stored, TypeRow, Urls,
};
use crate::time::{MICROSECOND, MILLISECOND, SECOND};
use std::collections::BTreeMap;

/// A minute's crawl, gathered the way the engine does it.
pub(super) fn sample() -> Report {
    let start = 30 * SECOND;
    let (mut recorder, source) = channel("all", &Measure::ALL, start);
    let status = StatusLine::new(Mode::Off, Box::new(std::io::sink()));
    let mut gauges = Gauges {
        pages: 250_000,
        bytes: 6_400_000_000,
        memory_budget: 8 << 30,
        hosts_known: 1_200,
        ..Gauges::default()
    };
    let wall = 1_795_000_000_000;
    let mut collector = Collector::new(vec![source], None, status, &gauges, start, wall);
    for s in 1..=60u64 {
        let now = start + s * SECOND;
        let pages = 9_000 + (s * 37) % 50 * 60 - if s < 6 { 1_500 * (6 - s) } else { 0 };
        for i in 0..200u64 {
            // Bits of a scrambled number: a bell with a tail.
            let mixed = (i * 60 + s).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
            let spread = (1 << (mixed & 0x3ff).count_ones()) + mixed % 3;
            recorder.record(Measure::Fetch, spread * 310 * MICROSECOND);
            recorder.record(Measure::FirstByte, spread * 180 * MICROSECOND);
            recorder.record(Measure::Parse, spread * 23 * MICROSECOND);
            recorder.record(Measure::Frontier, spread * 3 * MICROSECOND);
            recorder.record(Measure::Store, spread * 91 * MICROSECOND);
        }
        if s % 12 == 0 {
            recorder.record(Measure::CheckpointCut, 62 * MICROSECOND);
            recorder.record(Measure::CheckpointDurable, (400 + s) * MILLISECOND);
        }
        recorder.count(Counter::Answers, pages);
        recorder.idle(Cause::Server, 300 * MILLISECOND);
        recorder.idle(Cause::NoReadyHost, 150 * MILLISECOND);
        recorder.idle(Cause::StoreBacklog, 42 * MILLISECOND);
        recorder.busy(450 * MILLISECOND);
        recorder.tick(now);
        gauges.pages += pages;
        gauges.bytes += pages * 25_500;
        collector.turn(now + 60 * MILLISECOND, &gauges);
    }
    drop(recorder);
    let urls = Urls {
        queued: 1_204_117,
        in_flight: 0,
        done: gauges.pages + 1_310,
        excluded: 88_412,
        dropped: 977,
        ..Urls::default()
    };
    gauges.queued = urls.queued;
    gauges.done = urls.done;
    gauges.excluded = urls.excluded;
    gauges.dropped = urls.dropped;
    gauges.discovered = urls.queued + urls.done + urls.excluded + urls.dropped;
    let end = start + 60 * SECOND + 200 * MILLISECOND;
    let figures = collector.finish(end, &gauges);
    let mut report = fixed(gauges.pages);
    report.set_gauges(&gauges);
    report.set_run(&figures, end);
    report.memory.peak_rss = 1_412 << 20;
    report.settle();
    report
}

fn named(rows: &[(&str, u64)]) -> BTreeMap<String, u64> {
    rows.iter().map(|(n, c)| (n.to_string(), *c)).collect()
}

/// What the frontier and the store would have filled in.
fn fixed(pages: u64) -> Report {
    Report {
        command: "cyclosa crawl seeds.txt --for 60s".into(),
        dir: "checkpoints".into(),
        started: "2026-11-18T01:46:10Z".into(),
        stop: Stop::Time,
        outcomes: named(&[
            ("fetched", pages - 40),
            ("cut_length", 40),
            ("connect_timeout", 1_200),
            ("dns_failed", 110),
        ]),
        status: named(&[("200", pages - 9_000), ("404", 6_500), ("301", 2_500)]),
        excluded: named(&[("scope", 80_000), ("robots", 8_412)]),
        dropped: named(&[("trap", 900), ("url_too_long", 77)]),
        dns: named(&[
            ("lookups", 1_250),
            ("found", 1_200),
            ("none", 40),
            ("failed", 10),
            ("cached", 300),
            ("questions", 2_600),
            ("timeouts", 31),
        ]),
        robots: named(&[("read", 1_100), ("absent", 90), ("unreachable", 10)]),
        tls: named(&[("full", 1_180), ("resumed", 320), ("failed", 12)]),
        hosts: (0..25)
            .map(|n| HostRow {
                host: format!("http://h{n}.web.test:8080"),
                pages: pages / (n + 8),
                bytes: pages / (n + 8) * 25_500,
                failed: n % 3 * 17,
                queued: 100,
            })
            .collect(),
        types: [("text/html", 9), ("image/png", 70), ("text/css", 400)]
            .map(|(name, part)| TypeRow {
                media_type: name.into(),
                pages: pages * 8 / part / 8,
                bytes: pages * 20_000 / part,
            })
            .into(),
        stored: Stored {
            records: pages,
            revisits: 41_000,
            segments: 7,
            plain_bytes: 21_000_000_000,
            bytes: 6_900_000_000,
            ratio: 0.0,
        },
        checkpoints: Checkpoints {
            count: 5,
            bytes: 88_000_000,
            redo_bound_s: 13.2,
            promised_s: 15.0,
            compactions: 2,
            compacted_bytes: 140_000_000,
            ..Checkpoints::default()
        },
        restored: Some(Restored {
            epoch: 2,
            age_s: 44.0,
            urls: 402_113,
            requeued: 1_022,
            fallback: None,
        }),
        placement: vec![
            PlacementRow {
                thread: "lane 0".into(),
                core: Some(0),
                stages: vec!["fetch 0".into(), "parse 0".into()],
            },
            PlacementRow {
                thread: "core".into(),
                core: Some(1),
                stages: vec!["frontier".into(), "store".into()],
            },
            PlacementRow {
                thread: "background".into(),
                core: None,
                stages: vec!["checkpoint".into(), "telemetry".into()],
            },
        ],
        ..Report::default()
    }
}
