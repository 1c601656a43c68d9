//! Placement as data: which stage runs on which thread, and which thread on which core.
//!
//! What must hold, on every machine:
//! * exactly one frontier and one store; lanes 0..n, each with one fetcher and at least one parser;
//! * no more threads than processors that may run at once;
//! * pinned only if every thread has a physical core of its own and no quota rations them (cores under a quota belong to
//!   others too, and all programs would pin to the same first ones); busy only if, besides, some core is left.
//!
//! The shape follows from what a page costs: about 14 µs of fetching, 77 to 118 of parsing, 15 to 20 of the frontier, 15
//! of the store. So parsers get most of the machine, and the cheap stages take a parser in until they are busy by
//! themselves:
//!
//! ```text
//!   cores   threads
//!   1       [ fetch parse frontier store ]
//!   2       [ fetch parse ] [ frontier store parse ]
//!   3       [ fetch parse ] [ frontier store ] [ parse ]
//!   4 – 8   [ fetch parse ] [ frontier ] [ store parse ] [ parse ] ...
//!   9 –     [ frontier ] [ store ] [ fetch ] ... [ parse ] ...
//! ```
//!
//! From 8 cores one is left to the checkpoint, telemetry and resolver threads. A fetcher routes each page to the parser
//! with the shorter backlog, so a parser that shares its thread simply gets fewer. SMT siblings count as cores on machines
//! of less than 8 physical cores (nothing is pinned then); on larger ones they are left to the kernel.
//!
//! Deliberately absent: moving stages while running, and NUMA.

use super::cpus::{self, Cpus};
use super::idle::Idle;
use crate::limits::PARSERS_PER_LANE;
use std::fmt;

/// Cores from which one is left to the threads outside the pipeline.
const SPARE_FROM: usize = 8;
/// Threads from which fetchers, frontier and store run no parser besides.
const OWN_CORES_FROM: usize = 8;

/// A stage of the pipeline. Numbers count from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StageRole {
    /// The fetcher of this lane.
    Fetch(usize),
    /// This parser; its lane is `Placement::parsers[n]`.
    Parse(usize),
    /// The frontier.
    Frontier,
    /// The store.
    Store,
}

impl fmt::Display for StageRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fetch(n) => write!(f, "fetch-{n}"),
            Self::Parse(n) => write!(f, "parse-{n}"),
            Self::Frontier => f.write_str("frontier"),
            Self::Store => f.write_str("store"),
        }
    }
}

/// One thread of the pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThreadPlan {
    /// Its name, at most 15 bytes (the kernel shows no more).
    pub name: String,
    /// Logical processor it is pinned to.
    pub core: Option<usize>,
    /// Its stages, which take turns in this order.
    pub stages: Vec<StageRole>,
    /// What it does without work.
    pub idle: Idle,
}

impl ThreadPlan {
    /// Pins the calling thread as planned. A refusal costs speed only, so it is a warning: one line for the user.
    pub fn settle(&self) -> Option<String> {
        let core = self.core?;
        let error = cpus::pin(core).err()?;
        let name = &self.name;
        Some(format!(
            "cannot pin thread {name} to processor {core}: {error}; it goes on unpinned"
        ))
    }
}

/// Where everything runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Fetch lanes, at least 1.
    pub lanes: usize,
    /// The lane of each parser.
    pub parsers: Vec<usize>,
    /// The threads.
    pub threads: Vec<ThreadPlan>,
    /// The machine it was made for.
    cpus: Cpus,
}

impl Placement {
    /// The placement for a machine. A function of `cpus` alone.
    pub fn plan(cpus: &Cpus) -> Self {
        let (lanes, parsers, stages) = shape(workers(cpus));
        let count = stages.len();
        let own_cores = count <= cpus.physical() && !cpus.is_rationed() && count > 1;
        let spare = cpus.physical().saturating_sub(count);
        let idle = if own_cores && spare > 0 {
            Idle::Spin
        } else {
            Idle::Backoff
        };
        // Interrupts tend to go to the first processor, so that is the one to leave free.
        let first = spare.min(1);
        let threads = stages
            .into_iter()
            .enumerate()
            .map(|(n, stages)| ThreadPlan {
                name: name(&stages),
                core: own_cores.then(|| cpus.cores()[first + n][0]),
                stages,
                idle,
            });
        Self {
            lanes,
            parsers,
            threads: threads.collect(),
            cpus: cpus.clone(),
        }
    }

    /// Whether threads are pinned.
    pub fn is_pinned(&self) -> bool {
        self.threads.iter().any(|t| t.core.is_some())
    }
}

/// Processors to plan for.
fn workers(cpus: &Cpus) -> usize {
    let physical = cpus.quota().min(cpus.physical());
    if physical >= SPARE_FROM {
        physical
    } else {
        cpus.quota()
    }
}

/// Lanes, the lane of each parser, and the stages of each thread, for `n` processors.
fn shape(n: usize) -> (usize, Vec<usize>, Vec<Vec<StageRole>>) {
    use StageRole::{Fetch, Frontier, Parse, Store};
    let threads = if n >= SPARE_FROM { n - 1 } else { n };
    let shared = match threads {
        0 | 1 => vec![vec![Fetch(0), Parse(0), Frontier, Store]],
        2 => vec![vec![Fetch(0), Parse(0)], vec![Frontier, Store, Parse(1)]],
        3 => vec![
            vec![Fetch(0), Parse(0)],
            vec![Frontier, Store],
            vec![Parse(1)],
        ],
        _ if threads < OWN_CORES_FROM => {
            let mut stages = vec![
                vec![Fetch(0), Parse(0)],
                vec![Frontier],
                vec![Store, Parse(1)],
            ];
            stages.extend((2..threads - 1).map(|p| vec![Parse(p)]));
            stages
        }
        _ => return wide(threads),
    };
    let parsers = shared.iter().flatten();
    let parsers = parsers.filter(|s| matches!(s, Parse(_))).map(|_| 0);
    (1, parsers.collect(), shared)
}

/// The shape of large machines: a core for each stage, and as many lanes as it takes to feed the parsers.
fn wide(threads: usize) -> (usize, Vec<usize>, Vec<Vec<StageRole>>) {
    let rest = threads - 2;
    let lanes = rest.div_ceil(PARSERS_PER_LANE + 1);
    let count = rest - lanes;
    // Parsers of one lane lie on neighbouring cores.
    let parsers: Vec<_> = (0..count).map(|p| p * lanes / count).collect();
    let mut stages = vec![vec![StageRole::Frontier], vec![StageRole::Store]];
    for lane in 0..lanes {
        stages.push(vec![StageRole::Fetch(lane)]);
        let own = (0..count).filter(|&p| parsers[p] == lane);
        stages.extend(own.map(|p| vec![StageRole::Parse(p)]));
    }
    (lanes, parsers, stages)
}

/// A thread is named after its first stage, a lone one after all.
fn name(stages: &[StageRole]) -> String {
    match stages {
        [_, _, _, _, ..] => "pipeline".to_string(),
        [first, ..] => first.to_string(),
        [] => "idle".to_string(),
    }
}

impl fmt::Display for Placement {
    /// The table that is printed at start.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
        write!(
            f,
            "{} on {} ({}",
            plural(self.threads.len(), "thread"),
            plural(self.cpus.physical(), "core"),
            plural(self.cpus.logical(), "processor"),
        )?;
        if self.cpus.is_rationed() {
            write!(f, ", quota of {}", self.cpus.quota())?;
        }
        writeln!(
            f,
            "), {}, {}",
            plural(self.lanes, "lane"),
            plural(self.parsers.len(), "parser")
        )?;
        writeln!(f, "  {:<10} {:>4}  {:<4}  stages", "thread", "core", "idle")?;
        for thread in &self.threads {
            let core = thread.core.map_or("-".to_string(), |c| c.to_string());
            write!(f, "  {:<10} {core:>4}  {:<4} ", thread.name, thread.idle)?;
            for stage in &thread.stages {
                write!(f, " {stage}")?;
                if let StageRole::Parse(p) = stage
                    && self.lanes > 1
                {
                    write!(f, " (lane {})", self.parsers[*p])?;
                }
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::StageRole::*;
    use super::*;
    use std::collections::BTreeSet;

    /// `n` cores without SMT and without a quota.
    fn plain(n: usize) -> Cpus {
        Cpus::new((0..n).map(|c| (c, c)), n)
    }

    /// `n` cores of two siblings each, numbered as Linux does on x86.
    fn smt(n: usize) -> Cpus {
        Cpus::new((0..2 * n).map(|c| (c, c % n)), 2 * n)
    }

    fn stages(placement: &Placement) -> Vec<Vec<StageRole>> {
        placement.threads.iter().map(|t| t.stages.clone()).collect()
    }

    /// What must hold on every machine.
    fn check(cpus: &Cpus) -> Placement {
        let p = Placement::plan(cpus);
        let all: Vec<_> = stages(&p).concat();
        let distinct: BTreeSet<_> = all.iter().copied().collect();
        assert_eq!(all.len(), distinct.len(), "each stage once: {p}");
        let mut expected: BTreeSet<_> = (0..p.lanes).map(Fetch).collect();
        expected.extend((0..p.parsers.len()).map(Parse));
        expected.extend([Frontier, Store]);
        assert_eq!(distinct, expected, "{p}");
        for lane in 0..p.lanes {
            let fed = p.parsers.iter().filter(|&&l| l == lane).count();
            assert!((1..=PARSERS_PER_LANE).contains(&fed), "{p}");
        }
        assert!(p.parsers.iter().all(|&l| l < p.lanes));
        assert!(p.threads.len() <= cpus.quota(), "{p}");
        let cores: BTreeSet<_> = p.threads.iter().filter_map(|t| t.core).collect();
        if p.is_pinned() {
            assert_eq!(cores.len(), p.threads.len(), "a core each: {p}");
            assert!(p.threads.len() <= cpus.physical() && !cpus.is_rationed());
        }
        let spins = p.threads.iter().filter(|t| t.idle == Idle::Spin).count();
        assert!(
            spins == 0 || (p.is_pinned() && p.threads.len() < cpus.physical()),
            "{p}"
        );
        assert!(
            p.threads
                .iter()
                .all(|t| t.name.len() <= 15 && !t.stages.is_empty())
        );
        p
    }

    #[test]
    fn one_core_takes_turns_on_one_unpinned_thread() {
        let p = check(&plain(1));
        assert_eq!(stages(&p), [[Fetch(0), Parse(0), Frontier, Store]]);
        assert_eq!((p.lanes, p.is_pinned()), (1, false));
    }

    #[test]
    fn two_cores_share_the_parsing() {
        let p = check(&plain(2));
        assert_eq!(
            stages(&p),
            [vec![Fetch(0), Parse(0)], vec![Frontier, Store, Parse(1)]]
        );
        assert_eq!(p.parsers, [0, 0]);
        assert!(p.is_pinned() && p.threads.iter().all(|t| t.idle == Idle::Backoff));
    }

    #[test]
    fn three_cores_give_a_parser_its_own() {
        let p = check(&plain(3));
        assert_eq!(
            stages(&p),
            [
                vec![Fetch(0), Parse(0)],
                vec![Frontier, Store],
                vec![Parse(1)]
            ]
        );
    }

    #[test]
    fn from_four_cores_the_frontier_is_alone() {
        for n in 4..=64 {
            let p = check(&plain(n));
            assert!(stages(&p).contains(&vec![Frontier]), "{p}");
        }
        assert_eq!(check(&plain(4)).parsers.len(), 3);
    }

    #[test]
    fn eight_cores_leave_the_first_to_the_control_threads_and_spin() {
        let p = check(&plain(8));
        assert_eq!(p.threads.len(), 7);
        assert!(
            p.threads
                .iter()
                .all(|t| t.core != Some(0) && t.idle == Idle::Spin)
        );
        assert_eq!(p.parsers.len(), 6);
    }

    #[test]
    fn large_machines_have_a_core_for_each_stage_and_lanes_enough() {
        let p = check(&plain(16));
        assert_eq!((p.lanes, p.parsers.len(), p.threads.len()), (2, 11, 15));
        let p = check(&plain(64));
        assert_eq!((p.lanes, p.parsers.len(), p.threads.len()), (9, 52, 63));
        assert!(p.threads.iter().all(|t| t.stages.len() == 1));
    }

    #[test]
    fn more_cores_never_mean_fewer_parsers() {
        let mut last = 0;
        for n in 1..=256 {
            let now = check(&plain(n)).parsers.len();
            // At 9 cores fetcher and store stop parsing, and at each further lane a core goes to it.
            assert!(now + 1 >= last, "{n} cores: {now} parsers after {last}");
            last = now;
        }
    }

    #[test]
    fn siblings_count_on_small_machines_and_rest_on_large_ones() {
        let p = check(&smt(1));
        assert_eq!((p.threads.len(), p.is_pinned()), (2, false));
        let p = check(&smt(4));
        assert_eq!((p.threads.len(), p.is_pinned()), (7, false));
        let p = check(&smt(16));
        assert_eq!((p.threads.len(), p.is_pinned()), (15, true));
        assert!(p.threads.iter().all(|t| t.core.is_some_and(|c| c < 16)));
        assert_eq!(p.threads[0].idle, Idle::Spin);
    }

    #[test]
    fn under_a_quota_nothing_is_pinned_or_spins() {
        for quota in 1..16 {
            let p = check(&Cpus::new((0..16).map(|c| (c, c)), quota));
            assert!(!p.is_pinned());
            assert!(p.threads.iter().all(|t| t.idle == Idle::Backoff));
        }
    }

    #[test]
    fn processors_keep_the_numbers_of_the_mask() {
        let p = check(&Cpus::new([(5, 5), (9, 9)], 2));
        let cores: Vec<_> = p.threads.iter().map(|t| t.core).collect();
        assert_eq!(cores, [Some(5), Some(9)]);
    }

    #[test]
    fn the_table_names_every_thread_and_stage() {
        let table = check(&plain(2)).to_string();
        assert_eq!(
            table,
            "2 threads on 2 cores (2 processors), 1 lane, 2 parsers\n\
             \x20 thread     core  idle  stages\n\
             \x20 fetch-0       0  park  fetch-0 parse-0\n\
             \x20 frontier      1  park  frontier store parse-1\n"
        );
        let table = check(&Cpus::new((0..4).map(|c| (c, c)), 1)).to_string();
        assert!(
            table.starts_with("1 thread on 4 cores (4 processors, quota of 1), 1 lane, 1 parser\n")
        );
        assert!(table.contains("pipeline      -  park  fetch-0 parse-0 frontier store"));
    }
}
