//! From a placement to threads with stages and rings between them.
//!
//! What must hold: every ring that pages travel on has a slot for each of them (and the commit ring for markers too);
//! every sender rings the bell of the thread that its receiver lives on, and none where both live on one thread.

use super::Announce;
use super::checkpointing::CheckpointStage;
use super::control::Control;
use super::cpus::Cpus;
use super::frontier_stage::{CheckpointFigures, FrontierStage, Timing, fill_levels};
use super::open::Opened;
use super::placement::{Placement, StageRole};
use super::stages::{FetchStage, ParseStage, StoreStage};
use super::worker::{Stage, Watch, Wired, Worker};
use crate::budget::{Budget, PageShare};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::event::Page;
use crate::fetch::{Cookies, Lane, LaneSettings, Resolver, Trust};
use crate::parse::Parser;
use crate::ring::{self, Bell, Receiver, Sender};
use crate::telemetry::{self, Measure, PlacementRow, Source, StageRecorder, Stop as Reason};
use crate::time::Clock;
use std::sync::Arc;

/// Slots for markers on the commit ring besides those for pages.
const MARKER_SLOTS: usize = 16;
/// Slots for deltas; beyond it the frontier keeps them.
const DELTA_SLOTS: usize = 256;
/// Slots for notes of the store.
const NOTE_SLOTS: usize = 64;
/// Slots for finished checkpoints; one is under way at a time.
const DURABLE_SLOTS: usize = 4;

/// The two ends of a ring.
type Ends = (Option<Sender<Box<Page>>>, Option<Receiver<Box<Page>>>);

/// The two ends of all rings by stage number, taken out as stages are built.
struct Rings {
    orders: Vec<Ends>,
    pages: Vec<Ends>,
    findings: Vec<Ends>,
}

fn rings(n: usize, capacity: usize) -> Vec<Ends> {
    (0..n)
        .map(|_| {
            let (sender, receiver) = ring::channel(capacity);
            (Some(sender), Some(receiver))
        })
        .collect()
}

/// Builds everything; starts nothing.
pub fn wire(
    config: &Config,
    opened: Opened,
    control: &Arc<Control>,
    announce: &mut dyn Announce,
) -> Result<Wired> {
    let placement = Placement::plan(&Cpus::allowed());
    announce.line(placement.to_string().trim_end());
    control.publish_surely(|levels| {
        fill_levels(&opened.frontier, levels);
        levels.memory_budget = config.memory;
    });
    Builder {
        config,
        control,
        clock: opened.clock,
        sources: Vec::new(),
    }
    .build(placement, opened)
}

struct Builder<'a> {
    config: &'a Config,
    control: &'a Arc<Control>,
    clock: Clock,
    sources: Vec<Source>,
}

fn system(what: &str) -> impl Fn(std::io::Error) -> Error + '_ {
    move |e| Error::environment(format!("cannot set up {what}: {e}"))
}

impl Builder<'_> {
    fn recorder(&mut self, role: StageRole, measures: &[Measure]) -> StageRecorder {
        let (recorder, source) = telemetry::channel(&role.to_string(), measures, self.clock.now());
        self.sources.push(source);
        recorder
    }

    fn build(mut self, placement: Placement, opened: Opened) -> Result<Wired> {
        let capacity = self.config.concurrency;
        let mut rings = Rings {
            orders: rings(placement.lanes, capacity),
            pages: rings(placement.parsers.len(), capacity),
            findings: rings(placement.parsers.len(), capacity),
        };
        let (mut commits, taken_commits) = ring::channel(capacity + MARKER_SLOTS);
        let (mut returns, taken_returns) = ring::channel(capacity);
        let (mut deltas, taken_deltas) = ring::channel(DELTA_SLOTS);
        let (mut notes, taken_notes) = ring::channel(NOTE_SLOTS);
        let (durables, taken_durables) = ring::channel(DURABLE_SLOTS);

        let lanes = self.lanes(&placement)?;
        let bells = bells(&placement, &lanes);
        let thread_of = |role: StageRole| {
            placement
                .threads
                .iter()
                .position(|t| t.stages.contains(&role))
                .expect("a placement has every stage")
        };
        // A sender to a stage on another thread rings that thread's bell.
        let connect = |sender: &mut Sender<Box<Page>>, from: StageRole, to: StageRole| {
            let (from, to) = (thread_of(from), thread_of(to));
            if from != to {
                sender.set_bell(Arc::clone(&bells[to]));
            }
        };
        for (n, (sender, _)) in rings.orders.iter_mut().enumerate() {
            let sender = sender.as_mut().expect("not taken yet");
            connect(sender, StageRole::Frontier, StageRole::Fetch(n));
        }
        for (n, lane) in placement.parsers.iter().enumerate() {
            let sender = rings.pages[n].0.as_mut().expect("not taken yet");
            connect(sender, StageRole::Fetch(*lane), StageRole::Parse(n));
            let sender = rings.findings[n].0.as_mut().expect("not taken yet");
            connect(sender, StageRole::Parse(n), StageRole::Frontier);
        }
        connect(&mut returns, StageRole::Store, StageRole::Frontier);
        let (frontier_on, store_on) = (thread_of(StageRole::Frontier), thread_of(StageRole::Store));
        if frontier_on != store_on {
            commits.set_bell(Arc::clone(&bells[store_on]));
        }
        let checkpoint_bell = Bell::for_thread();
        deltas.set_bell(Arc::clone(&checkpoint_bell));
        notes.set_bell(Arc::clone(&checkpoint_bell));

        let mut stages: Vec<(StageRole, Stage)> = Vec::new();
        for (n, lane) in lanes.into_iter().enumerate() {
            let stage = self.fetch(n, lane, &placement, &mut rings);
            stages.push((StageRole::Fetch(n), Stage::Fetch(stage)));
        }
        for n in 0..placement.parsers.len() {
            let stage = self.parse(n, &opened, &mut rings)?;
            stages.push((StageRole::Parse(n), Stage::Parse(stage)));
        }
        let now = self.clock.now();
        let epoch = opened.epoch;
        let frontier = FrontierStage {
            frontier: opened.frontier,
            findings: rings
                .findings
                .iter_mut()
                .filter_map(|r| r.1.take())
                .collect(),
            returns: taken_returns,
            lanes: rings.orders.iter_mut().filter_map(|r| r.0.take()).collect(),
            commits,
            deltas,
            durables: taken_durables,
            recorder: self.recorder(
                StageRole::Frontier,
                &[
                    Measure::Frontier,
                    Measure::CheckpointCut,
                    Measure::CheckpointDurable,
                ],
            ),
            clock: self.clock,
            control: Arc::clone(self.control),
            timing: Timing::new(
                self.config.checkpoint_every,
                self.config.run_for,
                epoch,
                now,
            ),
            taken: Vec::with_capacity(capacity),
            stopped_for: Reason::Unknown,
            figures: CheckpointFigures::default(),
        };
        stages.push((StageRole::Frontier, Stage::Frontier(frontier)));
        let store = StoreStage {
            store: opened.store,
            commits: taken_commits,
            returns,
            notes,
            recorder: self.recorder(StageRole::Store, &[Measure::Store]),
            clock: self.clock,
            control: Arc::clone(self.control),
            taken: Vec::with_capacity(capacity),
        };
        stages.push((StageRole::Store, Stage::Store(store)));

        let rows = placement.threads.iter().map(row).collect();
        let workers = placement
            .threads
            .into_iter()
            .zip(&bells)
            .map(|(plan, bell)| Worker {
                stages: plan
                    .stages
                    .iter()
                    .map(|role| take_stage(&mut stages, *role))
                    .collect(),
                plan,
                bell: Arc::clone(bell),
                clock: self.clock,
                control: Arc::clone(self.control),
            })
            .collect();
        Ok(Wired {
            workers,
            checkpoint: CheckpointStage {
                checkpointer: opened.checkpointer,
                lease: opened.lease,
                deltas: taken_deltas,
                notes: taken_notes,
                durables,
                bell: checkpoint_bell,
                clock: self.clock,
                control: Arc::clone(self.control),
            },
            watch: Watch {
                sources: self.sources,
                clock: self.clock,
                placement: rows,
                restored: opened.restored,
                created: opened.identity.created,
            },
        })
    }

    fn lanes(&self, placement: &Placement) -> Result<Vec<Lane>> {
        let resolver = Resolver::new(&self.config.resolve, &self.config.dns);
        let trust = Trust::new(self.config.roots, &self.config.authorities)?;
        let cookies = self.config.cookies.then(Cookies::default);
        let pages = PageShare::new(Budget::of(self.config.memory).pages());
        (0..placement.lanes)
            .map(|_| {
                let (trust, cookies) = (trust.clone(), cookies.clone());
                let mut settings = LaneSettings::of(self.config, trust, cookies, self.clock);
                settings.pages = pages.clone();
                Lane::new(settings, resolver.clone()).map_err(system("a fetch lane"))
            })
            .collect()
    }

    fn fetch(
        &mut self,
        n: usize,
        lane: Lane,
        placement: &Placement,
        rings: &mut Rings,
    ) -> FetchStage {
        let parsers = placement
            .parsers
            .iter()
            .zip(&mut rings.pages)
            .filter(|(of, _)| **of == n)
            .map(|(_, (sender, _))| {
                let sender = sender.take().expect("one lane feeds a parser");
                let gauge = sender.gauge();
                (sender, gauge)
            })
            .collect();
        FetchStage {
            lane,
            orders: rings.orders[n].1.take().expect("one fetcher a lane"),
            parsers,
            recorder: self.recorder(
                StageRole::Fetch(n),
                &[
                    Measure::Resolve,
                    Measure::Connect,
                    Measure::FirstByte,
                    Measure::Body,
                    Measure::Fetch,
                ],
            ),
            control: Arc::clone(self.control),
            taken: Vec::with_capacity(self.config.concurrency),
            done: Vec::with_capacity(self.config.concurrency),
        }
    }

    fn parse(&mut self, n: usize, opened: &Opened, rings: &mut Rings) -> Result<ParseStage> {
        let parsers = rings.pages.len();
        let pages = rings.pages[n].1.take().expect("one parser a ring");
        Ok(ParseStage {
            parser: Parser::new(&opened.identity, self.config.assets)
                .map_err(system("a parser"))?
                .with_sitemaps(self.config.sitemaps)
                .decoding_up_to(Budget::of(self.config.memory).decoded(parsers)),
            backlog: pages.gauge(),
            pages,
            findings: rings.findings[n].0.take().expect("one parser a ring"),
            recorder: self.recorder(StageRole::Parse(n), &[Measure::Parse]),
            clock: self.clock,
            taken: Vec::with_capacity(self.config.concurrency),
            fruitless: 0,
        })
    }
}

/// A bell a thread: the poll's waker where the thread has a lane (it stands first), else one that unparks.
fn bells(placement: &Placement, lanes: &[Lane]) -> Vec<Arc<Bell>> {
    placement
        .threads
        .iter()
        .map(|thread| match thread.stages.first() {
            Some(StageRole::Fetch(n)) => {
                let waker = lanes[*n].bell();
                // A waker that fails leaves the park to its bound.
                Bell::custom(Arc::new(move || drop(waker.wake())))
            }
            _ => Bell::for_thread(),
        })
        .collect()
}

fn take_stage(stages: &mut Vec<(StageRole, Stage)>, role: StageRole) -> Stage {
    let at = stages
        .iter()
        .position(|(r, _)| *r == role)
        .expect("a placement names every stage once");
    stages.swap_remove(at).1
}

fn row(thread: &super::placement::ThreadPlan) -> PlacementRow {
    PlacementRow {
        thread: thread.name.clone(),
        core: thread.core.map(|core| core as u32),
        stages: thread.stages.iter().map(ToString::to_string).collect(),
    }
}
