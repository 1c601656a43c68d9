//! `kill -9` at many moments, and the same command again: the same pages, none lost, little fetched again.
//!
//! `CYCLOSA_KILLS=200 cargo test --test scenarios kills_as_many -- --nocapture` kills at random moments, a third of them
//! in the first 40 ms of a life, where it restores; `CYCLOSA_KILLS_SEED` repeats a run.

use super::closure::closure;
use super::program::Crawl;
use super::site::{Logged, Site};
use super::tools;
use super::whole_sites::assert_whole;
use std::collections::{BTreeMap, BTreeSet};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

/// Milliseconds after the start: before anything is there, during restores, between and during checkpoints.
const MOMENTS_MS: [u64; 12] = [50, 3, 400, 1_200, 1, 8, 15, 30, 700, 1_700, 5, 1_100];
/// Requests after which it is killed under full load; a run has about 750.
const REQUESTS: [usize; 10] = [1, 300, 5, 40, 100, 2, 200, 20, 400, 10];
/// How long a run may take to make that many, before it is killed all the same.
const PATIENCE: Duration = Duration::from_secs(10);
/// `--checkpoint-every` of the crawl, seconds.
const PROMISED_S: f64 = 1.0;
/// What a loaded machine may take on top of it, seconds.
const SLACK_S: f64 = 4.0;

fn seconds_now() -> f64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.expect("a date after 1970").as_secs_f64()
}

/// The number of pages in "restored checkpoint ... (N URLs known, P pages)"; `None` if it began anew.
fn restored_pages(stderr: &str) -> Option<usize> {
    let line = stderr
        .lines()
        .find(|l| l.starts_with("restored checkpoint"))?;
    let (before, _) = line.split_once(" pages)")?;
    before.rsplit(' ').next()?.parse().ok()
}

fn pages(log: &[Logged]) -> impl Iterator<Item = &Logged> {
    log.iter().filter(|l| !l.url.ends_with("/robots.txt"))
}

/// What one run of the crawl asked for.
struct Run {
    log: Vec<Logged>,
    /// When it was killed, seconds since 1970.
    killed_at: f64,
    restored: Option<usize>,
}

/// What kills have cost.
#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    kills: usize,
    /// Of these, before it had said what it restored.
    in_restore: usize,
    /// Pages fetched again.
    again: usize,
    /// Oldest of these when it was lost, seconds.
    worst_s: f64,
}

/// Asserts for every run that what it fetched again is no more than what was lost with the runs before it.
fn assert_redone_little(runs: &[Run]) -> Cost {
    let mut cost = Cost::default();
    // When a page was fetched last, before the kill of that run.
    let mut seen: BTreeMap<&str, f64> = BTreeMap::new();
    for (n, run) in runs.iter().enumerate() {
        let asked: BTreeSet<&str> = pages(&run.log).map(|l| l.url.as_str()).collect();
        assert_eq!(
            asked.len(),
            pages(&run.log).count(),
            "run {n} fetched a page twice"
        );
        let again: Vec<&str> = asked
            .iter()
            .copied()
            .filter(|u| seen.contains_key(u))
            .collect();
        if let Some(restored) = run.restored {
            let lost = seen.len().saturating_sub(restored);
            assert!(
                again.len() <= lost,
                "run {n} fetched {} pages again; at most {lost} were lost",
                again.len()
            );
        }
        cost.again += again.len();
        cost.kills += usize::from(run.killed_at.is_finite());
        cost.in_restore += usize::from(n > 0 && run.restored.is_none());
        for url in again {
            let age = seen[url];
            cost.worst_s = cost.worst_s.max(age);
            assert!(
                age <= PROMISED_S + SLACK_S,
                "run {n} fetched {url} again, which was there {age} s before a kill"
            );
        }
        seen.extend(pages(&run.log).map(|l| (l.url.as_str(), run.killed_at - l.at)));
    }
    cost
}

/// When a run is killed.
#[derive(Clone, Copy)]
enum Kill {
    After(Duration),
    /// By number of requests, however fast the machine is.
    Requests(usize),
}

impl Kill {
    /// Waits for the moment; `before` requests were logged when the run began.
    fn wait(self, site: &Site, before: usize) {
        match self {
            Self::After(time) => sleep(time),
            Self::Requests(n) => {
                let began = Instant::now();
                while site.log().len() < before + n && began.elapsed() < PATIENCE {
                    sleep(Duration::from_millis(1));
                }
            }
        }
    }
}

/// Runs the crawl once for each of `kills`, and then to the end. `None`: there is no server to crawl.
fn kill_and_finish(packages: usize, pace: &[&str], kills: &[Kill]) -> Option<Cost> {
    let site = Site::start(packages)?;
    let include = site.include();
    let scope = ["--scope", "any", "--include", &include, "--assets", "none"];
    let promise = ["--checkpoint-every", "1s"];
    let more = [&scope[..], &promise, pace].concat();
    let crawl = Crawl::new(std::slice::from_ref(&site.hub), &more);
    let mut runs = Vec::new();
    let mut logged = 0;
    for kill in kills {
        let running = crawl.start();
        kill.wait(&site, logged);
        let ended = running.kill();
        let killed_at = seconds_now();
        let was_killed = ended.signal == Some(9);
        assert!(was_killed || ended.code == Some(0), "{ended:#?}");
        let log = site.settled_log();
        runs.push(Run {
            log: log[logged..].to_vec(),
            killed_at,
            restored: restored_pages(&ended.stderr),
        });
        logged = log.len();
        // A fast machine may be done before the last kills.
        if !was_killed {
            break;
        }
    }
    assert!(runs.len() > 4, "it was over after {} kills", runs.len());
    let ended = crawl.run().expect(0);
    runs.push(Run {
        log: site.settled_log()[logged..].to_vec(),
        killed_at: f64::INFINITY,
        restored: restored_pages(&ended.stderr),
    });
    assert!(runs.iter().any(|r| r.restored.is_some()), "{ended:#?}");
    let cost = assert_redone_little(&runs);
    let expected = closure(&site, false);
    assert_whole(&site, &crawl, &expected);
    tools::assert_readable(&crawl, expected.fetched.len());
    Some(cost)
}

#[test]
fn a_crawl_killed_at_many_moments_loses_nothing_and_redoes_little() {
    let kills = MOMENTS_MS.map(|moment| Kill::After(Duration::from_millis(moment)));
    kill_and_finish(2, &["--delay", "15ms"], &kills);
}

#[test]
fn a_crawl_killed_under_load_loses_nothing_and_redoes_little() {
    let kills = REQUESTS.map(Kill::Requests);
    kill_and_finish(2, &["--per-host", "8"], &kills);
}

#[test]
fn kills_as_many_as_asked_for_lose_nothing() {
    let asked = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let Some(wanted) = asked("CYCLOSA_KILLS") else {
        println!("skipped: CYCLOSA_KILLS says how many");
        return;
    };
    let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let seed = asked("CYCLOSA_KILLS_SEED").unwrap_or(clock.map_or(1, |d| d.as_secs()));
    println!("CYCLOSA_KILLS_SEED={seed}");
    let mut state = seed | 1;
    let mut below = |n: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % n
    };
    let mut all = Cost::default();
    while (all.kills as u64) < wanted {
        let kills: Vec<Kill> = (0..25)
            .map(|_| match below(3) {
                0 => Kill::After(Duration::from_millis(below(40))),
                _ => Kill::After(Duration::from_millis(below(1_500))),
            })
            .collect();
        let Some(cost) = kill_and_finish(2, &["--delay", "40ms"], &kills) else {
            return;
        };
        all.kills += cost.kills;
        all.in_restore += cost.in_restore;
        all.again += cost.again;
        all.worst_s = all.worst_s.max(cost.worst_s);
        println!("{all:?}");
    }
}
