//! Threads: each runs its stages in turn, idles as planned, and accounts for the time of its lanes.
//!
//! What must hold: a thread without work looks at its timers within the idle bound; a panic of one thread ends the
//! process (release builds abort; elsewhere the others are told to end).

use super::checkpointing::CheckpointStage;
use super::control::{Control, Phase};
use super::frontier_stage::FrontierStage;
use super::idle::{Idler, Pause};
use super::placement::ThreadPlan;
use super::stages::{FetchStage, ParseStage, StoreStage};
use crate::error::{Error, Result};
use crate::ring::Bell;
use crate::telemetry::{Cause, PlacementRow, Restored, Source};
use crate::time::{Clock, Tick};
use std::sync::Arc;
use std::thread::JoinHandle;

/// A stage on a thread.
#[allow(clippy::large_enum_variant)]
pub enum Stage {
    /// A lane's fetcher.
    Fetch(FetchStage),
    /// A parser.
    Parse(ParseStage),
    /// The frontier.
    Frontier(FrontierStage),
    /// The store.
    Store(StoreStage),
}

impl Stage {
    fn turn(&mut self, now: Tick) -> usize {
        match self {
            Self::Fetch(stage) => stage.turn(now),
            Self::Parse(stage) => stage.turn(now),
            Self::Frontier(stage) => stage.turn(now),
            Self::Store(stage) => stage.turn(now),
        }
    }

    fn has_input(&self) -> bool {
        match self {
            Self::Fetch(stage) => !stage.orders.is_empty(),
            Self::Parse(stage) => !stage.pages.is_empty(),
            Self::Frontier(stage) => {
                !stage.returns.is_empty() || stage.findings.iter().any(|ring| !ring.is_empty())
            }
            Self::Store(stage) => !stage.commits.is_empty(),
        }
    }

    /// What a lane on the same thread waits for while this stage has its turn.
    fn keeps_waiting(&self) -> Option<Cause> {
        match self {
            Self::Fetch(_) => None,
            Self::Parse(_) => Some(Cause::ParseBacklog),
            Self::Frontier(_) => Some(Cause::FrontierBacklog),
            Self::Store(_) => Some(Cause::StoreBacklog),
        }
    }
}

/// One thread of the pipeline.
pub struct Worker {
    pub(super) plan: ThreadPlan,
    pub(super) stages: Vec<Stage>,
    pub(super) bell: Arc<Bell>,
    pub(super) clock: Clock,
    pub(super) control: Arc<Control>,
}

impl Worker {
    /// Runs until the crawl is over; gives the stages back.
    fn run(mut self) -> Vec<Stage> {
        if let Some(warning) = self.plan.settle() {
            self.control.remark(warning);
        }
        let mut idler = Idler::new(self.plan.idle);
        let mut now = self.clock.now();
        while self.control.phase() < Phase::Over {
            let (work, after) = self.turn(now);
            now = match idler.after(work) {
                Pause::None => after,
                pause => self.idle(pause, after),
            };
        }
        self.stages
    }

    /// One turn of every stage. Returns the work done and the time afterwards.
    fn turn(&mut self, mut now: Tick) -> (usize, Tick) {
        let mut work = 0;
        let mut waited = [(Cause::ParseBacklog, 0); 3];
        let mut busy = 0;
        for stage in &mut self.stages {
            let did = stage.turn(now);
            work += did;
            if did == 0 {
                continue;
            }
            let after = self.clock.now();
            match stage.keeps_waiting() {
                None => busy += after - now,
                Some(cause) => {
                    let at = match cause {
                        Cause::ParseBacklog => 0,
                        Cause::FrontierBacklog => 1,
                        _ => 2,
                    };
                    waited[at] = (cause, waited[at].1 + (after - now));
                }
            }
            now = after;
        }
        if work > 0 {
            for stage in &mut self.stages {
                if let Stage::Fetch(fetch) = stage {
                    fetch.recorder.busy(busy);
                    for (cause, ns) in waited {
                        fetch.recorder.idle(cause, ns);
                    }
                }
            }
        }
        (work, now)
    }

    fn idle(&mut self, pause: Pause, now: Tick) -> Tick {
        match pause {
            Pause::None => {}
            Pause::Spin => std::hint::spin_loop(),
            Pause::Yield => std::thread::yield_now(),
            Pause::Park(longest) => self.park(longest),
        }
        let after = self.clock.now();
        for stage in &mut self.stages {
            if let Stage::Fetch(fetch) = stage {
                let cause = fetch.cause();
                fetch.recorder.idle(cause, after.saturating_sub(now));
            }
        }
        after
    }

    /// In `epoll` where the thread has a lane, else on the bell.
    fn park(&mut self, longest: std::time::Duration) {
        // A thread has at most one lane, and it stands first.
        let (lane, others) = match self.stages.split_first_mut() {
            Some((Stage::Fetch(fetch), others)) => (Some(fetch), &*others),
            _ => (None, &*self.stages),
        };
        let others_busy = || others.iter().any(Stage::has_input);
        match lane {
            Some(fetch) => {
                let FetchStage { lane, orders, .. } = fetch;
                self.bell.sleep(
                    || !orders.is_empty() || others_busy(),
                    || lane.park(longest),
                );
            }
            None => {
                self.bell.park(longest, others_busy);
            }
        }
    }
}

/// Threads ready to start.
pub struct Wired {
    pub(super) workers: Vec<Worker>,
    pub(super) checkpoint: CheckpointStage,
    pub(super) watch: Watch,
}

/// What the watching thread (the caller's) needs.
pub struct Watch {
    pub(super) sources: Vec<Source>,
    pub(super) clock: Clock,
    pub(super) placement: Vec<PlacementRow>,
    pub(super) restored: Option<Restored>,
    /// When the crawl began.
    pub(super) created: crate::time::Wall,
}

/// A crawl that runs.
pub struct Crew {
    pub(super) workers: Vec<JoinHandle<Vec<Stage>>>,
    pub(super) checkpoint: JoinHandle<()>,
    pub(super) watch: Watch,
}

/// Starts all threads.
pub fn start(wired: Wired, control: &Arc<Control>) -> Result<Crew> {
    let Wired {
        workers,
        checkpoint,
        watch,
    } = wired;
    let mut handles = Vec::new();
    for worker in workers {
        let name = worker.plan.name.clone();
        handles.push(spawn(&name, control, move || worker.run())?);
    }
    let checkpoint = spawn("checkpoint", control, move || checkpoint.run())?;
    Ok(Crew {
        workers: handles,
        checkpoint,
        watch,
    })
}

/// A thread whose panic ends the crawl instead of leaving the others waiting.
fn spawn<T: Send + 'static>(
    name: &str,
    control: &Arc<Control>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>> {
    struct Guard(Arc<Control>);
    impl Drop for Guard {
        fn drop(&mut self) {
            if std::thread::panicking() {
                self.0.fail(Error::environment(
                    "a thread of the crawler panicked (a defect of cyclosa); run the same command to go on from the \
                     last checkpoint",
                ));
            }
        }
    }
    let guard = Guard(Arc::clone(control));
    std::thread::Builder::new()
        .name(name.to_string())
        .spawn(move || {
            let _guard = guard;
            work()
        })
        .map_err(|e| {
            Error::environment(format!(
                "cannot start thread {name}: {e}; raise the limit on processes"
            ))
        })
}
