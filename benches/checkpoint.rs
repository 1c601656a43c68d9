//! What a checkpoint costs with 1, 10 and 50 million URLs known and the same rate of crawling, and how fast a restore is.
//!
//! `cargo bench --bench checkpoint [-- MILLIONS …]`. The real frontier, checkpointer and disk. First as many URLs are made
//! known as the row says, on 100,000 hosts; then 5,000 pages a second come in for half a minute, each with 76
//! links of which 5 % are new (19,000 new URLs a second), and every half second a cut is taken. A turn of the frontier
//! handles what came in, hands over a slice of host blocks, gives orders and passes on; its time is the thread's own CPU
//! time, so that other programs do not count. Last, everything is restored from the files, three times.
//!
//! Excluded: fetching, parsing and the store (its mark answers at once), and reading from a cold cache.
//! `CYCLOSA_BENCH_DIR` names the directory to work below; the default is the system's for temporary files, which must
//! not be a tmpfs. `CYCLOSA_BENCH_CRAWL_S` sets how long pages come in, seconds.

mod links;

use cyclosa::checkpoint::{Cadence, Checkpointer, DirDisk, Durable, Sizes, recover_into};
use cyclosa::event::{Commit, Delta, Job, Mark, Outcome, Page, StoreNote};
use cyclosa::frontier::Frontier;
use cyclosa::protocol::url::Fingerprinter;
use cyclosa::time::{Clock, MILLISECOND, SECOND, Tick};
use links::{IDENTITY, config, fill, grow, mind_the_table};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, TryRecvError, channel, sync_channel};
use std::time::Duration;

const PAGES_PER_S: u64 = 5_000;
const LINKS: u64 = 76;
const NEW_OF_100: u64 = 5;
const CRAWL: Tick = 30 * SECOND;
const CUT_EVERY: Tick = SECOND / 2;
/// As the engine has it.
const DELTAS_MAX: usize = 256;

/// The checkpoint thread, as the engine runs it.
fn checkpoints(
    mut to: Checkpointer,
    deltas: &Receiver<Delta>,
    marks: &Receiver<u64>,
    durables: &Sender<Durable>,
    clock: Clock,
) {
    let mut ahead_at = clock.now() + SECOND;
    loop {
        let mut work = 0;
        for epoch in marks.try_iter() {
            let mark = Mark {
                epoch,
                ..Mark::default()
            };
            to.note(StoreNote::Mark(mark)).expect("a mark");
        }
        loop {
            match deltas.try_recv() {
                Ok(delta) => to.delta(delta).expect("a delta is written"),
                Err(TryRecvError::Disconnected) => return,
                Err(TryRecvError::Empty) => break,
            }
            work += 1;
            if work == 64 {
                break;
            }
        }
        if clock.now() >= ahead_at {
            to.sync_ahead().expect("a sync");
            ahead_at = clock.now() + SECOND;
        }
        if let Some(durable) = to.turn(clock.now()).expect("a checkpoint") {
            let _ = durables.send(durable);
            work += 1;
        }
        if let Some(remark) = to.take_remark() {
            println!("{remark}");
        }
        if work == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// CPU time of this thread, nanoseconds.
fn cpu() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as u64 * SECOND + time.tv_nsec as u64
}

fn part(sorted: &[u64], of_1000: usize) -> f64 {
    let at = (sorted.len() * of_1000 / 1000).min(sorted.len().saturating_sub(1));
    sorted.get(at).map_or(0.0, |ns| *ns as f64)
}

/// Passes everything on, and waits for the checkpointer where it must.
fn pass_on(frontier: &mut Frontier, deltas: &SyncSender<Delta>, marks: &Sender<u64>, wait: bool) {
    while let Some(commit) = frontier.next_commit() {
        match commit {
            Commit::Page(page) => frontier.returned(page),
            Commit::Marker { epoch } => marks.send(epoch).expect("the checkpoint thread lives"),
        }
    }
    while let Some(delta) = frontier.next_delta() {
        if wait {
            deltas.send(delta).expect("the checkpoint thread lives");
        } else if let Err(e) = deltas.try_send(delta) {
            match e {
                std::sync::mpsc::TrySendError::Full(delta) => frontier.undo_delta(delta),
                std::sync::mpsc::TrySendError::Disconnected(_) => panic!("no checkpoint thread"),
            }
            break;
        }
    }
}

#[derive(Default)]
struct Seen {
    turns: Vec<u64>,
    cuts: Vec<u64>,
    durables: Vec<Durable>,
    pages: u64,
}

/// A constant rate of pages, with cuts.
fn crawl(
    frontier: &mut Frontier,
    known: u64,
    hosts: u64,
    clock: Clock,
    deltas: &SyncSender<Delta>,
    marks: &Sender<u64>,
    durables: &Receiver<Durable>,
) -> Seen {
    let prints = Fingerprinter::new(&IDENTITY.key);
    let mut seen = Seen::default();
    let start = clock.now();
    let mut cadence = Cadence::new(15 * SECOND, 0, start);
    let (mut next_new, mut rolls, mut next_cut) = (known * 2, 1u64, start);
    let mut away: Vec<Box<Page>> = Vec::new();
    let crawl = std::env::var("CYCLOSA_BENCH_CRAWL_S").map(|s| s.parse().expect("seconds"));
    let end = start + crawl.map_or(CRAWL, |s: u64| s * SECOND);
    while clock.now() < end {
        let due = (clock.now() - start) * PAGES_PER_S / SECOND - seen.pages;
        for page in away.iter_mut().take(due as usize) {
            let numbers = (0..LINKS).map(|_| {
                rolls = rolls
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                if (rolls >> 33) % 100 < NEW_OF_100 {
                    next_new += 1;
                    next_new
                } else {
                    (rolls >> 20) % known
                }
            });
            let numbers: Vec<u64> = numbers.collect();
            fill(page, numbers.into_iter(), hosts, &prints);
            page.facts.status = 200;
        }
        let now = clock.now();
        let before = cpu();
        for page in away.drain(..(due as usize).min(away.len())) {
            seen.pages += 1;
            frontier.handle(page, now);
        }
        frontier.sweep();
        if now >= next_cut && cadence.is_idle() && frontier.may_cut() {
            let before = cpu();
            let epoch = frontier.cut(now, 0);
            seen.cuts.push(cpu() - before);
            cadence.cut(epoch, now);
            next_cut = now + CUT_EVERY;
        }
        if frontier.deltas_waiting() < DELTAS_MAX && away.len() < 1_000 {
            frontier.dispatch(now);
        }
        pass_on(frontier, deltas, marks, false);
        seen.turns.push(cpu() - before);
        for mut page in frontier.orders().collect::<Vec<_>>() {
            page.outcome = Outcome::Fetched;
            if page.job == Job::Resolve {
                page.addresses = vec![[127, 0, 0, 1].into()];
                frontier.handle(page, now);
            } else {
                away.push(page);
            }
        }
        for durable in durables.try_iter() {
            cadence.durable(&durable, clock.now());
            seen.durables.push(durable);
        }
        mind_the_table(frontier);
        std::thread::sleep(Duration::from_micros(500));
    }
    for page in away {
        frontier.handle(page, clock.now());
    }
    seen
}

fn row(millions: u64, below: &std::path::Path) {
    let dir = tempfile::tempdir_in(below).expect("a directory");
    let disk = Arc::new(DirDisk::open(dir.path()).expect("a disk"));
    let clock = Clock::starting_at(0);
    let (known, hosts) = (millions * 1_000_000, 100_000);
    let to = Checkpointer::new(disk.clone(), IDENTITY, Sizes::default()).expect("a crawl");
    let (delta_to, deltas) = sync_channel(1_024);
    let (mark_to, marks) = channel();
    let (durable_to, durables) = channel();
    let thread = std::thread::spawn(move || checkpoints(to, &deltas, &marks, &durable_to, clock));
    let mut frontier = Frontier::new(&config(), &IDENTITY).expect("a frontier");
    let prints = Fingerprinter::new(&IDENTITY.key);
    grow(&mut frontier, known, hosts, &prints, |frontier| {
        while let Some(delta) = frontier.next_delta() {
            delta_to.send(delta).expect("the checkpoint thread lives");
        }
    });
    // The first checkpoints write everything, to both generations.
    for _ in 0..3 {
        frontier.cut(clock.now(), 0);
        while frontier.sweep() {}
        pass_on(&mut frontier, &delta_to, &mark_to, true);
        durables.recv().expect("a checkpoint");
    }
    let mut seen = crawl(
        &mut frontier,
        known,
        hosts,
        clock,
        &delta_to,
        &mark_to,
        &durables,
    );
    let epoch = frontier.cut(clock.now(), 0);
    while frontier.sweep() {}
    pass_on(&mut frontier, &delta_to, &mark_to, true);
    while durables.recv().expect("a checkpoint").epoch < epoch {}
    let hash = frontier.state_hash();
    drop((delta_to, frontier));
    thread.join().expect("the checkpoint thread");
    print(millions, &mut seen);
    restore(&disk, hash, clock);
}

fn print(millions: u64, seen: &mut Seen) {
    let ms = |ticks: u64| ticks as f64 / MILLISECOND as f64;
    seen.turns.sort_unstable();
    seen.cuts.sort_unstable();
    let mut bytes: Vec<u64> = seen.durables.iter().map(|d| d.bytes).collect();
    let took = seen.durables.iter().map(|d| d.durable_tick - d.cut_tick);
    let mut took: Vec<u64> = took.collect();
    bytes.sort_unstable();
    took.sort_unstable();
    println!(
        "{millions:>3} million  cut median {:.1} µs, most {:.1} µs ({})  durable median {:.0} ms, most {:.0} ms  {:.2} MB each",
        part(&seen.cuts, 500) / 1e3,
        part(&seen.cuts, 1000) / 1e3,
        seen.cuts.len(),
        ms(part(&took, 500) as u64),
        ms(part(&took, 1000) as u64),
        part(&bytes, 500) / 1e6,
    );
    println!(
        "             turn median {:.1} µs, 99.9 % {:.0} µs, most {:.0} µs of {}; {} pages; compactions {:?}",
        part(&seen.turns, 500) / 1e3,
        part(&seen.turns, 999) / 1e3,
        part(&seen.turns, 1000) / 1e3,
        seen.turns.len(),
        seen.pages,
        seen.durables.last().map_or((0, 0), |d| d.compacted),
    );
}

fn restore(disk: &DirDisk, hash: u64, clock: Clock) {
    for _ in 0..3 {
        let start = clock.now();
        let cpu_before = process_cpu();
        let found = recover_into(disk, &|_| {}, |it, logs| {
            let (identity, cut) = (&it.identity, &it.cut);
            Frontier::restore(&config(), identity, cut, &it.hosts, logs, cut.tick)
        });
        let (_, (mut frontier, restored)) = found.expect("it restores").expect("a crawl");
        let rebuilt = clock.now() - start;
        assert_eq!(frontier.state_hash(), hash);
        frontier.dispatch(clock.now());
        assert!(frontier.orders().next().is_some());
        let cpu = process_cpu() - cpu_before;
        println!(
            "             restore {:.2} s, {:.1} million URLs a second, {:.1} a second of CPU; peak memory {} MiB",
            rebuilt as f64 / SECOND as f64,
            restored.urls as f64 / rebuilt as f64 * 1e3,
            restored.urls as f64 / cpu as f64 * 1e3,
            peak_mib(),
        );
    }
}

fn process_cpu() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as u64 * SECOND + time.tv_nsec as u64
}

fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    kib.and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) / 1024
}

fn main() {
    let below = std::env::var_os("CYCLOSA_BENCH_DIR")
        .map_or_else(std::env::temp_dir, std::path::PathBuf::from);
    let probe = tempfile::tempdir_in(&below).expect("a directory");
    if DirDisk::open(probe.path()).expect("a disk").volatile() {
        println!("the directory is in memory: the figures say nothing about a disk");
    }
    let asked: Vec<u64> = std::env::args().filter_map(|a| a.parse().ok()).collect();
    for millions in if asked.is_empty() {
        vec![1, 10, 50]
    } else {
        asked
    } {
        row(millions, &below);
    }
}
