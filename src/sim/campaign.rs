//! What is done with one seed.
//!
//! * *Calm*: the crawl runs to its end without a crash (polite stops happen). How its URLs end is the yardstick.
//! * *Pictures*: the same again, bit for bit; before each operation on the disk that changes something (or a share of
//!   them) a picture is taken of what a power failure in it would leave. Each picture is restored in full and checked,
//!   and so are pictures of that restore.
//! * *Storm*: the crawl runs with power failures, `EIO`, short writes and full disks at random operations, also while it
//!   restores, and goes on each time. At its end every URL must have ended as in the calm.

use super::dice::Dice;
use super::disk::{Faults, Shot, SimDisk};
use super::network::Network;
use super::open::{Pieces, Terms, open};
use super::oracle::{Complaint, Ends, Oracle, store_hash};
use super::process::{Death, Outside, Process};
use super::settings::Settings;
use crate::event::CrawlIdentity;
use crate::time::{MILLISECOND, SECOND, Tick};
use std::collections::BTreeMap;
use std::fmt;

/// Crashes of one storm; then the weather clears.
const CRASHES_MAX: u64 = 40;
/// Turns of one crawl, crashes included, after which it counts as never ending.
const TURNS_MAX: u64 = 3_000_000;
/// Restores of pictures are photographed once in so many operations.
const NESTED_ONE_IN: u64 = 12;

/// What was tried and survived.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Seeds done.
    pub seeds: u64,
    /// Crawls run to their end.
    pub crawls: u64,
    /// Power failures and deaths tried, each at one operation with one outcome, and survived.
    pub crash_points: u64,
    /// Of these, while a restore was under way.
    pub in_restore: u64,
    /// Crash points by operation.
    pub by_operation: BTreeMap<&'static str, u64>,
    /// Restores checked.
    pub restores: u64,
    /// Restores that found a crawl without a checkpoint.
    pub restores_of_nothing: u64,
    /// Restores that took an older checkpoint because the newer could not be read (`EIO`).
    pub fallbacks: u64,
    /// Compactions of the URL log that took effect.
    pub compactions: u64,
    /// Faults that were met, by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// Clean stops after which nothing was redone.
    pub clean_stops: u64,
    /// Pages stored again after a crash.
    pub redone: u64,
    /// Most crawl time that a crash cost, ticks.
    pub redo_worst: Tick,
    /// Crawl time simulated.
    pub simulated: Tick,
    /// Pages and robots.txt files served.
    pub served: u64,
}

impl Figures {
    /// Adds those of another seed.
    pub fn add(&mut self, other: &Figures) {
        self.seeds += other.seeds;
        self.crawls += other.crawls;
        self.crash_points += other.crash_points;
        self.in_restore += other.in_restore;
        self.restores += other.restores;
        self.restores_of_nothing += other.restores_of_nothing;
        self.fallbacks += other.fallbacks;
        self.compactions += other.compactions;
        self.clean_stops += other.clean_stops;
        self.redone += other.redone;
        self.redo_worst = self.redo_worst.max(other.redo_worst);
        self.simulated += other.simulated;
        self.served += other.served;
        for (what, n) in &other.by_operation {
            *self.by_operation.entry(what).or_default() += n;
        }
        for (what, n) in &other.faults {
            *self.faults.entry(what).or_default() += n;
        }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn list(f: &mut fmt::Formatter<'_>, counts: &BTreeMap<&'static str, u64>) -> fmt::Result {
            for (what, n) in counts {
                write!(f, " {what} {n}")?;
            }
            writeln!(f)
        }
        writeln!(
            f,
            "{} seeds, {} crawls run to their end, {} requests served",
            self.seeds, self.crawls, self.served
        )?;
        writeln!(
            f,
            "{} crash points tried and survived, {} of them during a restore",
            self.crash_points, self.in_restore
        )?;
        write!(f, "crash points by operation:")?;
        list(f, &self.by_operation)?;
        write!(f, "faults that ended a run:")?;
        list(f, &self.faults)?;
        writeln!(
            f,
            "{} restores checked, {} before the first checkpoint, {} of an older one after EIO; {} clean stops without redone work",
            self.restores, self.restores_of_nothing, self.fallbacks, self.clean_stops
        )?;
        writeln!(
            f,
            "{} compactions; {} pages redone, {:.2} s of work at the worst; {:.1} h of crawl time",
            self.compactions,
            self.redone,
            self.redo_worst as f64 / SECOND as f64,
            self.simulated as f64 / SECOND as f64 / 3_600.0
        )
    }
}

/// Something did not hold.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The seed that shows it.
    pub seed: u64,
    /// What.
    pub what: Complaint,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "seed {}: {}\nreplay: {}",
            self.seed,
            self.what,
            replay(self.seed)
        )
    }
}

impl std::error::Error for Failure {}

/// The command that repeats a seed.
pub fn replay(seed: u64) -> String {
    format!("cargo run --release --example simulate -- --seed {seed}")
}

/// How much is done with a seed.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Pictures at one in so many operations; 1 is all of them, 0 none.
    pub picture_one_in: u64,
    /// Storms.
    pub storms: u64,
}

/// Does everything with `seed`.
///
/// # Errors
/// The first thing that does not hold.
pub fn simulate(seed: u64, effort: Effort) -> Result<Figures, Failure> {
    let mut campaign = Campaign {
        settings: Settings::swarm(seed),
        identity: CrawlIdentity {
            id: (u128::from(seed) << 64 | 0x5eed).to_le_bytes(),
            key: [seed as u8 ^ 0x5a; 32],
            created: 1_700_000_000_000,
        },
        figures: Figures::default(),
    };
    let what = campaign.run(effort);
    campaign.figures.seeds = 1;
    what.map(|()| campaign.figures)
        .map_err(|what| Failure { seed, what })
}

struct Campaign {
    settings: Settings,
    identity: CrawlIdentity,
    figures: Figures,
}

/// What a crawl that ran to its end left.
struct Finished {
    ends: Ends,
    trace: u64,
    store: u64,
}

/// One crawl over all its lives.
struct Crawl {
    network: Network,
    oracle: Oracle,
    elapsed: Tick,
    disk: SimDisk,
    dice: Dice,
    trace: u64,
    /// A read failed on purpose since the last restore.
    fallback: bool,
    /// Crawl time at which the last life ended.
    died: Option<Tick>,
    stopped_cleanly: bool,
    turns: u64,
    crashes: u64,
}

/// What may go wrong in a crawl.
#[derive(Clone, Copy)]
enum Weather {
    Calm,
    /// Pictures at one in so many operations.
    Pictures(u64),
    /// The number of the storm.
    Storm(u64),
}

impl Campaign {
    fn run(&mut self, effort: Effort) -> Result<(), Complaint> {
        let calm = self.crawl(Weather::Calm)?;
        if effort.picture_one_in > 0 {
            let again = self.crawl(Weather::Pictures(effort.picture_one_in))?;
            if (again.trace, again.store) != (calm.trace, calm.store) {
                return Err("the same seed took another course the second time".into());
            }
        }
        for storm in 0..effort.storms {
            let end = self.crawl(Weather::Storm(storm))?;
            compare(&calm.ends, &end.ends).map_err(|e| format!("storm {storm}: {e}"))?;
        }
        Ok(())
    }

    /// Runs the crawl to its end, whatever comes.
    fn crawl(&mut self, weather: Weather) -> Result<Finished, Complaint> {
        let number = match weather {
            Weather::Storm(n) => 100 + n,
            _ => 10,
        };
        let dice = Dice::new(self.settings.seed).apart(number);
        let mut crawl = Crawl {
            network: Network::new(&self.settings),
            oracle: Oracle::default(),
            elapsed: 0,
            disk: SimDisk::new(self.settings.seed ^ number),
            dice,
            trace: 0,
            fallback: false,
            died: None,
            stopped_cleanly: false,
            turns: 0,
            crashes: 0,
        };
        loop {
            self.prepare(&mut crawl, weather);
            let opened = self.open(&mut crawl)?;
            let Some(pieces) = opened else {
                continue;
            };
            if self.live(&mut crawl, pieces)? {
                break;
            }
        }
        self.figures.crawls += 1;
        self.figures.simulated += crawl.elapsed;
        self.figures.served += crawl.network.log.len() as u64;
        self.finish(&crawl)
    }

    /// Sets what goes wrong in the next life.
    fn prepare(&mut self, crawl: &mut Crawl, weather: Weather) {
        match weather {
            Weather::Calm => {}
            Weather::Pictures(one_in) => crawl.disk.photograph(self.settings.seed, one_in),
            Weather::Storm(_) if crawl.crashes >= CRASHES_MAX => {
                crawl.disk.set_faults(Faults::default());
            }
            Weather::Storm(_) => {
                let far = [10, 60, 400, 3_000][crawl.dice.below(4) as usize];
                let at = crawl.disk.ops() + crawl.dice.below(far);
                let mut faults = Faults::default();
                match crawl.dice.below(10) {
                    0 | 1 => faults.medium_at = Some(at),
                    2 => faults.short_at = Some(at),
                    3 => faults.capacity = Some(crawl.disk.used() + crawl.dice.below(200_000)),
                    _ => faults.power_off_at = Some(at),
                }
                // What the crawler gets over, or a restore that falls back, is followed by a power failure.
                if crawl.dice.one_in(2) {
                    faults.power_off_at = Some(at + crawl.dice.below(far));
                }
                crawl.disk.set_faults(faults);
            }
        }
    }

    /// Opens the directory; `None` where a fault ended that.
    fn open(&mut self, crawl: &mut Crawl) -> Result<Option<Pieces>, Complaint> {
        let terms = Terms {
            may_be_empty: crawl.oracle.may_be_empty(),
            // Whether a fault hits a read is known only afterwards.
            fallback: true,
            exactly: None,
        };
        let opened = open(
            &crawl.disk,
            &self.settings,
            &self.identity,
            &crawl.oracle,
            terms,
        );
        crawl.fallback |= crawl.disk.faults_hit() > 0;
        let mut pieces = match opened {
            Ok(pieces) => pieces,
            Err(Death::Wrong(complaint)) => return Err(complaint),
            Err(Death::Disk(error)) => {
                self.figures.in_restore += 1;
                self.crash(crawl, &error.to_string())?;
                return Ok(None);
            }
        };
        let newest = crawl.oracle.newest_durable();
        if pieces.restored.unwrap_or(0) < newest && !crawl.fallback {
            return Err(format!(
                "checkpoint {:?} is restored, {newest} was reported durable",
                pieces.restored
            ));
        }
        for shot in std::mem::take(&mut pieces.unborn) {
            self.restore_picture(&shot, &crawl.oracle, true, None)?;
        }
        crawl.oracle.begin();
        self.note_restore(crawl, &pieces)?;
        crawl.fallback = false;
        Ok(Some(pieces))
    }

    fn note_restore(&mut self, crawl: &mut Crawl, pieces: &Pieces) -> Result<(), Complaint> {
        let Some(epoch) = pieces.restored else {
            return Ok(());
        };
        self.figures.restores += 1;
        self.figures.restores_of_nothing += u64::from(epoch == 0);
        self.figures.fallbacks += u64::from(epoch < crawl.oracle.newest_durable());
        let redone = crawl.oracle.back_to(epoch);
        self.figures.redone += redone as u64;
        if std::mem::take(&mut crawl.stopped_cleanly) && !crawl.fallback {
            if redone > 0 || pieces.requeued > 0 {
                return Err(format!("{redone} pages are redone after a clean stop"));
            }
            self.figures.clean_stops += 1;
        }
        if let Some(died) = crawl.died.take() {
            let cost = died.saturating_sub(pieces.tick);
            // With a newer checkpoint that cannot be read there is no bound.
            if !crawl.fallback {
                if cost > self.settings.redo_bound() {
                    return Err(format!("the crash costs {} ms of work", cost / MILLISECOND));
                }
                self.figures.redo_worst = self.figures.redo_worst.max(cost);
            }
        }
        Ok(())
    }

    /// One life; true where the crawl ended by itself, with nothing left to do.
    fn live(&mut self, crawl: &mut Crawl, pieces: Pieces) -> Result<bool, Complaint> {
        let life = crawl.dice.roll();
        let mut outside = Outside {
            settings: &self.settings,
            network: &mut crawl.network,
            oracle: &mut crawl.oracle,
            elapsed: &mut crawl.elapsed,
        };
        let mut process = Process::new(pieces, &self.identity, &mut outside, Dice::new(life));
        let mut compactions = 0;
        while !process.is_over() {
            self.figures.compactions += process.compactions - compactions;
            compactions = process.compactions;
            crawl.turns += 1;
            if crawl.turns > TURNS_MAX {
                return Err("the crawl does not end".into());
            }
            let mut outside = Outside {
                settings: &self.settings,
                network: &mut crawl.network,
                oracle: &mut crawl.oracle,
                elapsed: &mut crawl.elapsed,
            };
            let turned = process.turn(&mut outside);
            for shot in crawl.disk.shots() {
                self.restore_picture(&shot, &crawl.oracle, false, None)?;
            }
            match turned {
                Ok(()) => {}
                Err(Death::Wrong(complaint)) => return Err(complaint),
                Err(Death::Disk(error)) => {
                    crawl.died = Some(process.now());
                    self.crash(crawl, &error.to_string())?;
                    return Ok(false);
                }
            }
        }
        crawl.trace ^= process.trace().rotate_left(1);
        crawl.stopped_cleanly = true;
        Ok(process.is_finished())
    }

    /// The crawler died of a fault: the directory is what the next start finds.
    fn crash(&mut self, crawl: &mut Crawl, error: &str) -> Result<(), Complaint> {
        let off = crawl.disk.is_off();
        if !off && crawl.disk.faults_hit() == 0 {
            return Err(format!("the crawler gave up for no reason: {error}"));
        }
        let last = crawl.disk.last_op();
        self.count(last);
        let kind = if off {
            "power failure"
        } else {
            crawl.disk.fault_kind()
        };
        *self.figures.faults.entry(kind).or_default() += 1;
        crawl.crashes += 1;
        crawl.stopped_cleanly = false;
        // After an error the machine goes on, or it fails as well.
        let outcome = if off || crawl.dice.one_in(2) {
            crawl.dice.below(6) * crawl.dice.below(1 << 40)
        } else {
            1
        };
        crawl.disk = crawl.disk.after_crash(outcome);
        Ok(())
    }

    fn count(&mut self, what: &'static str) {
        self.figures.crash_points += 1;
        *self.figures.by_operation.entry(what).or_default() += 1;
    }

    /// Restores from a picture, and from pictures of that.
    fn restore_picture(
        &mut self,
        shot: &Shot,
        oracle: &Oracle,
        unborn: bool,
        exactly: Option<u64>,
    ) -> Result<(), Complaint> {
        let nested = exactly.is_some();
        if !nested {
            shot.disk.photograph(shot.outcome, NESTED_ONE_IN);
        }
        let terms = Terms {
            may_be_empty: unborn,
            fallback: false,
            exactly,
        };
        let context = |complaint: Complaint| {
            format!(
                "power failure{} at operation {} ({} {}, outcome {}): {complaint}",
                if nested { " in a restore" } else { "" },
                shot.op,
                shot.what,
                shot.name,
                shot.outcome
            )
        };
        let opened = open(&shot.disk, &self.settings, &self.identity, oracle, terms);
        let pieces = opened.map_err(|death| match death {
            Death::Wrong(complaint) => context(complaint),
            Death::Disk(error) => context(error.to_string()),
        })?;
        self.count(shot.what);
        self.figures.in_restore += u64::from(nested);
        self.figures.restores += u64::from(pieces.restored.is_some());
        self.figures.restores_of_nothing += u64::from(pieces.restored == Some(0));
        if let (false, Some(epoch)) = (nested, pieces.restored) {
            for inner in shot.disk.shots() {
                self.restore_picture(&inner, oracle, false, Some(epoch))
                    .map_err(context)?;
            }
        }
        Ok(())
    }

    /// The last restore, of a crawl that has ended: nothing is left to do.
    fn finish(&mut self, crawl: &Crawl) -> Result<Finished, Complaint> {
        let store = store_hash(&crawl.disk.after_crash(1));
        let disk = crawl.disk.after_crash(0);
        let terms = Terms {
            may_be_empty: false,
            fallback: false,
            exactly: None,
        };
        let pieces = open(&disk, &self.settings, &self.identity, &crawl.oracle, terms)
            .map_err(|death| format!("after its end: {death:?}"))?;
        if pieces.checked.open > 0 {
            return Err(format!(
                "{} URLs are left after the end",
                pieces.checked.open
            ));
        }
        Ok(Finished {
            ends: pieces.checked.ends,
            trace: crawl.trace,
            store,
        })
    }
}

/// The ends of two crawls of the same web.
fn compare(calm: &Ends, storm: &Ends) -> Result<(), Complaint> {
    for (url, end) in calm {
        let name = String::from_utf8_lossy(url);
        match storm.get(url) {
            None => return Err(format!("{name} is lost; without crashes it ends {end:?}")),
            Some(other) if other != end => {
                return Err(format!("{name} ends {other:?}; without crashes {end:?}"));
            }
            Some(_) => {}
        }
    }
    match storm.keys().find(|url| !calm.contains_key(*url)) {
        Some(url) => Err(format!(
            "{} is there only after crashes",
            String::from_utf8_lossy(url)
        )),
        None => Ok(()),
    }
}
