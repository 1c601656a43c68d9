//! A long crawl of a web with every fault, watched from outside: memory, descriptors and threads must not creep up.
//!
//! `CYCLOSA_SOAK_S` says for how many seconds (a short run where unset); `CYCLOSA_SOAK_DELAY_MS` how slowly each host is
//! asked. The table that it prints is the proof; what is judged is said at [`judge`].

use super::program::{Crawl, Running};
use super::synthetic::Web;
use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Hosts of the web; also how many connections may come and go between two samples.
const HOSTS: u64 = 20;
/// Samples of a run, however long it is.
const SAMPLES: u64 = 40;
/// What memory may grow by in the second half whatever is found: buffers that see their first large page.
const GROWTH_FREE_KIB: u64 = 12 << 10;
/// What each further known URL may cost, bytes: its record, its hash, its place in a queue, in memory and in mapped files.
const GROWTH_PER_URL: u64 = 1_024;
/// Faults of the web: all that it knows.
const FAULTS: &str = "--errors 5% --broken 5% --redirects 8% --redirect-loops 20% --slow 0.5% --slow-period 20ms \
    --large 1% --large-size 1MB --robots-rules 30% --robots-missing 20% --robots-failing 5% --traps 20% --retry-after 1 \
    --latency 5ms --jitter 3ms --mean-size 8KB";

/// What /proc and the status line say of the crawler at one time.
#[derive(Clone, Copy, Debug, Default)]
struct Sample {
    at_s: u64,
    pages: u64,
    known: u64,
    rss_kib: u64,
    anonymous_kib: u64,
    descriptors: u64,
    threads: u64,
}

fn setting(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Err(_) => default,
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{name}={text} is no number")),
    }
}

/// The number before `what` in a status line, its separators taken out.
fn number_before(line: &str, what: &str) -> Option<u64> {
    let (before, _) = line.split_once(what)?;
    let word = before.split(' ').next_back()?;
    word.replace(',', "").parse().ok()
}

/// `None` where the process has just ended.
fn sample(running: &Running, at_s: u64) -> Option<Sample> {
    let proc = format!("/proc/{}", running.pid());
    let status = fs::read_to_string(format!("{proc}/status")).ok()?;
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    };
    let said = running.stderr();
    let line = said.lines().rfind(|line| line.contains(" pages  "));
    let number = |what| line.and_then(|line| number_before(line, what)).unwrap_or(0);
    let pages = number(" pages ");
    Some(Sample {
        at_s,
        pages,
        known: pages + number(" in flight") + number(" queued"),
        rss_kib: field("VmRSS:")?,
        anonymous_kib: field("RssAnon:")?,
        descriptors: fs::read_dir(format!("{proc}/fd")).ok()?.count() as u64,
        threads: field("Threads:")?,
    })
}

/// Samples until the crawl is over.
fn watch(running: &mut Running, seconds: u64) -> Vec<Sample> {
    let began = Instant::now();
    let pause = Duration::from_secs_f64(seconds as f64 / SAMPLES as f64);
    let mut samples = Vec::new();
    println!("    s     pages     known   RSS KiB  anon KiB    fd  threads");
    while running.is_running() {
        let elapsed = began.elapsed().as_secs();
        assert!(elapsed < seconds + 120, "it does not stop");
        if let Some(s) = sample(running, elapsed) {
            println!(
                "{:>5} {:>9} {:>9} {:>9} {:>9} {:>5} {:>8}",
                s.at_s, s.pages, s.known, s.rss_kib, s.anonymous_kib, s.descriptors, s.threads
            );
            samples.push(s);
        }
        sleep(pause);
    }
    samples
}

/// The greatest of a figure over some samples.
fn most(samples: &[Sample], figure: impl Fn(&Sample) -> u64) -> u64 {
    samples.iter().map(figure).max().unwrap_or(0)
}

/// In the last quarter nothing may be more than in the one before, but for what newly known URLs cost and the connections
/// that happen to be open.
#[track_caller]
fn judge(samples: &[Sample]) {
    assert!(samples.len() as u64 >= SAMPLES / 4, "it ended too early");
    let (third, last) = {
        let n = samples.len();
        (&samples[n / 2..n * 3 / 4], &samples[n * 3 / 4..])
    };
    let newly_known = most(last, |s| s.known).saturating_sub(most(third, |s| s.known));
    let allowed = GROWTH_FREE_KIB + newly_known * GROWTH_PER_URL / 1_024;
    let figures: [fn(&Sample) -> u64; 2] = [|s| s.rss_kib, |s| s.anonymous_kib];
    for figure in figures {
        let (before, after) = (most(third, figure), most(last, figure));
        assert!(
            after <= before + allowed,
            "memory grew from {before} to {after} KiB; {newly_known} URLs may cost {allowed} KiB"
        );
    }
    let descriptors = |s: &Sample| s.descriptors;
    assert!(most(last, descriptors) <= most(third, descriptors) + HOSTS);
    let threads = |s: &Sample| s.threads;
    assert!(most(last, threads) <= most(third, threads));
}

#[test]
fn memory_descriptors_and_threads_do_not_creep_up() {
    let seconds = setting("CYCLOSA_SOAK_S", 12);
    let delay_ms = setting("CYCLOSA_SOAK_DELAY_MS", 100).max(1);
    // More than can be fetched in that time, and known early: then memory has no reason to grow.
    let pages = (seconds * 1_000 / delay_ms * 5 / 4).to_string();
    let shape = [
        "--hosts",
        &HOSTS.to_string(),
        "--pages",
        &pages,
        "--degree",
        "6",
    ];
    let web = Web::start(&[&FAULTS.split_whitespace().collect::<Vec<_>>(), &shape[..]].concat());
    let seed = format!("http://h0.web.test:{}/", web.port);
    let (time, delay) = (format!("{seconds}s"), format!("{delay_ms}ms"));
    let bounds = ["--scope", "any", "--for", &time, "--delay", &delay];
    let crawl = Crawl::new(
        &[seed],
        &[&bounds[..], &["--checkpoint-every", "5s"]].concat(),
    );
    let mut running = crawl.start();
    let samples = watch(&mut running, seconds);
    running.wait().expect(0);
    crawl.assert_sound();
    judge(&samples);
}
