//! Watching a crawl while it runs, and making its report when it is over.

use super::Ended;
use super::control::{Control, Phase};
use super::frontier_stage::{FrontierStage, fill_levels};
use super::stages::StoreStage;
use super::worker::{Crew, Stage, Watch};
use crate::checkpoint::lease::Lease;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::frontier::counters::{Dropped, Excluded};
use crate::frontier::seen::Table;
use crate::telemetry::{
    Checkpoints, Collector, HostRow, IntervalLog, Report, RunFigures, StatusLine, Stop as Reason,
    TypeRow,
};
use crate::time::{MILLISECOND, SECOND, rfc3339, wall_now};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How often the watching thread looks.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Hosts named in the report.
const HOSTS_SHOWN: usize = 50;

/// Watches the crew until the crawl is over, joins it, and writes the report, unless the directory is another's by then.
pub fn finish(config: &Config, crew: Crew, control: &Arc<Control>, lease: &Lease) -> Result<Ended> {
    let Crew {
        workers,
        checkpoint,
        mut watch,
    } = crew;
    let levels = control.levels();
    let log = held(config, lease, || {
        IntervalLog::open(&config.dir, watch.clock.now(), wall_now())
    })?;
    let mut collector = Collector::new(
        std::mem::take(&mut watch.sources),
        Some(log),
        StatusLine::standard(config.quiet),
        &levels,
        watch.clock.now(),
        wall_now(),
    );
    while control.phase() < Phase::Over {
        std::thread::sleep(LOOK_EVERY);
        mind_tables(control);
        while let Some(remark) = control.next_remark() {
            collector.note(&remark);
        }
        collector.turn(watch.clock.now(), &control.levels());
    }
    let mut stages: Vec<Stage> = Vec::new();
    for worker in workers {
        stages.extend(worker.join().unwrap_or_default());
    }
    let checkpoint_ended = checkpoint.join();
    let failure = control.take_failure();
    let report = report(config, stages, collector, &watch, control, failure.as_ref());
    if let Some(error) = failure {
        if let Some(report) = report {
            // The failure is what the user must hear of; a report that cannot be written on top is no news.
            let _ = held(config, lease, || report.save(&config.dir));
        }
        return Err(error);
    }
    let report = report.filter(|_| checkpoint_ended.is_ok()).ok_or_else(|| {
        Error::environment("a thread of the crawler ended early (a defect of cyclosa)")
    })?;
    held(config, lease, || report.save(&config.dir))?;
    if let Some(path) = &config.report {
        report.save_to(path)?;
    }
    if !report.balance.ok {
        return Err(Error::environment(format!(
            "the balance does not add up (a defect of cyclosa): {} URLs discovered, {} accounted for",
            report.urls.discovered, report.balance.sum
        )));
    }
    let interrupted = report.stop == Reason::Interrupted;
    Ok(Ended {
        report,
        interrupted,
    })
}

/// Does what makes or renames files in the crawl directory, while that is this process's.
fn held<T>(config: &Config, lease: &Lease, act: impl FnOnce() -> Result<T>) -> Result<T> {
    let _names = lease
        .hold_names()
        .map_err(|e| Error::io("cannot write to", &config.dir, e))?;
    act()
}

/// Allocating and freeing large tables takes longer than the frontier may stand still.
fn mind_tables(control: &Control) {
    let wanted = control.wanted_table.swap(0, Ordering::Relaxed);
    if wanted > 0 && control.tables.is_empty() {
        let _one_is_enough = control.tables.push(Table::allocate(wanted));
    }
    drop(control.retired.pop());
}

/// Those that are not 0, by name.
fn counted<const N: usize>(names: [&str; N], counts: [u64; N]) -> BTreeMap<String, u64> {
    let named = names.into_iter().zip(counts).filter(|(_, n)| *n > 0);
    named.map(|(name, n)| (name.to_string(), n)).collect()
}

fn report(
    config: &Config,
    stages: Vec<Stage>,
    collector: Collector,
    watch: &Watch,
    control: &Control,
    failure: Option<&Error>,
) -> Option<Report> {
    let mut frontier = None;
    let mut store = None;
    let mut dns = BTreeMap::<String, u64>::new();
    let mut tls = [0; 4];
    let mut cookies = [0; 2];
    for stage in stages {
        match stage {
            Stage::Frontier(stage) => frontier = Some(stage),
            Stage::Store(stage) => store = Some(stage),
            // Dropping a stage sends off what its recorder holds.
            Stage::Fetch(stage) => {
                let load = stage.lane.load();
                for (name, n) in load.dns.figures() {
                    *dns.entry(name.to_string()).or_default() += n;
                }
                tls[0] += load.tls_full;
                tls[1] += load.tls_resumed;
                tls[2] += load.tls_failed;
                tls[3] += load.tls_sessions_dropped;
                cookies[0] += load.cookies_set;
                cookies[1] += load.cookies_dropped;
            }
            Stage::Parse(_) => {}
        }
    }
    let (frontier, store) = (frontier?, store?);
    let mut report = Report {
        command: "crawl".into(),
        dir: config.dir.display().to_string(),
        started: rfc3339(watch.created),
        stop: if failure.is_some() {
            Reason::Failed
        } else {
            frontier.stopped_for
        },
        error: failure.map(ToString::to_string),
        restored: watch.restored.clone(),
        placement: watch.placement.clone(),
        dns,
        tls: counted(["full", "resumed", "failed", "sessions_dropped"], tls),
        cookies: counted(["set", "dropped"], cookies),
        ..Report::default()
    };
    from_frontier(&mut report, &frontier, config, control);
    from_store(&mut report, &store);
    drop((frontier, store));
    let now = watch.clock.now();
    let figures: RunFigures = collector.finish(now, &control.levels());
    report.set_gauges(&control.levels());
    report.set_run(&figures, now);
    report.settle();
    Some(report)
}

fn from_frontier(report: &mut Report, stage: &FrontierStage, config: &Config, control: &Control) {
    let counters = stage.frontier.counters();
    control.publish_surely(|levels| fill_levels(&stage.frontier, levels));
    let named = |name: &str, n: u64| (n > 0).then(|| (name.to_string(), n));
    report.outcomes = crate::event::Outcome::ALL
        .into_iter()
        .zip(counters.outcomes)
        .filter_map(|(outcome, n)| named(outcome.name(), n))
        .collect();
    report.excluded = Excluded::ALL
        .into_iter()
        .zip(counters.excluded)
        .filter_map(|(reason, n)| named(reason.name(), n))
        .collect();
    report.dropped = Dropped::ALL
        .into_iter()
        .zip(counters.dropped)
        .filter_map(|(limit, n)| named(limit.name(), n))
        .collect();
    report.status = counters
        .status
        .iter()
        .enumerate()
        .filter_map(|(code, n)| named(&code.to_string(), *n))
        .collect();
    report.robots = [
        ("fetched", counters.robots_fetched),
        ("excluded", counters.excluded[Excluded::Robots as usize]),
    ]
    .into_iter()
    .map(|(name, n)| (name.to_string(), n))
    .collect();
    report.limits = [
        ("links_per_page", counters.links_dropped),
        ("url_too_long", counters.links_too_long),
        ("seen_full", counters.seen_full),
        ("readmitted", counters.readmitted),
        ("retries", counters.retries),
        ("links", counters.links),
        ("links_invalid", counters.links_invalid),
        ("resolved", counters.resolved),
    ]
    .into_iter()
    .filter_map(|(name, n)| named(name, n))
    .collect();
    report.hosts = stage
        .frontier
        .top_hosts(HOSTS_SHOWN)
        .into_iter()
        .map(|host| HostRow {
            host: host.origin,
            pages: host.pages,
            bytes: host.bytes,
            failed: host.failed,
            queued: host.queued,
        })
        .collect();
    report.types = stage
        .frontier
        .mimes()
        .iter()
        .map(|(mime, (pages, bytes))| TypeRow {
            media_type: String::from_utf8_lossy(mime).into_owned(),
            pages: *pages,
            bytes: *bytes,
        })
        .collect();
    let figures = &stage.figures;
    report.checkpoints = Checkpoints {
        count: figures.count,
        cut_us: 0.0,
        durable_ms: figures.durable_max as f64 / MILLISECOND as f64,
        bytes: figures.bytes,
        redo_bound_s: figures.redo_bound as f64 / SECOND as f64,
        promised_s: config.checkpoint_every as f64 / SECOND as f64,
        compactions: figures.compacted.1,
        compacted_bytes: figures.compacted.0,
    };
}

fn from_store(report: &mut Report, stage: &StoreStage) {
    let counters = stage.store.counters();
    report.stored.records = counters.records;
    report.stored.revisits = counters.revisits;
    report.stored.plain_bytes = counters.plain_bytes.iter().sum();
    report.stored.bytes = counters.stored_bytes.iter().sum();
    report.stored.segments = u64::from(stage.store.segment());
}
