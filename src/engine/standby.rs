//! Waiting for a crawl directory that another process has, ready to go on in its place.
//!
//! What must hold: while it waits it writes nothing but the lock of `FENCE`; a crawl that is done is not begun again; a
//! lease is judged only by looks of this process at its own clock.

use super::Announce;
use super::stop::Stop;
use crate::checkpoint::follow::Follower;
use crate::checkpoint::lease::{Attempt, Ending, Mode, Record, Silence, Tenure, attempt, peek};
use crate::config::Config;
use crate::error::Result;
use crate::limits;
use crate::telemetry::StatusLine;
use crate::time::{Clock, SECOND, Tick};
use std::time::Duration;

/// How the waiting ended.
pub enum Turn {
    /// The directory is ours: crawl.
    Mine(Tenure),
    /// The crawl is over; what to say.
    Over(String),
    /// The user does not want to wait any longer.
    Stopped,
}

/// Waits until the directory of `config` is ours, the crawl is over, or the user asks to stop. If nobody has it, it is
/// ours at once.
///
/// # Errors
/// If the system refuses to read or to lock something, or the files cannot be taken over.
pub fn wait(config: &Config, stop: &Stop, announce: &mut dyn Announce) -> Result<Turn> {
    let clock = Clock::starting_at(0);
    let mut waiting = Waiting {
        config,
        announce,
        silence: Silence::default(),
        follower: Follower::new(&config.dir),
        line: StatusLine::standard(config.quiet),
        told: None,
        blocked: 0,
    };
    let mut mode = Mode::Start;
    loop {
        match attempt(&config.dir, mode)? {
            Attempt::Mine(tenure) => {
                waiting.line.clear();
                waiting.tell_mine(mode, &tenure);
                return Ok(Turn::Mine(tenure));
            }
            Attempt::Over(ending) => {
                waiting.line.clear();
                return Ok(Turn::Over(over(config, ending)));
            }
            Attempt::Held(_) => waiting.blocked = 0,
            Attempt::Busy => waiting.mind_the_blocked(mode),
        }
        if stop.is_requested() {
            return Ok(Turn::Stopped);
        }
        std::thread::sleep(Duration::from_millis(limits::STANDBY_POLL_MS));
        mode = waiting.look(&clock)?;
    }
}

fn over(config: &Config, ending: Ending) -> String {
    let dir = config.dir.display();
    match ending {
        Ending::Finished => format!("the crawl in {dir} is finished: nothing is left to take over"),
        Ending::Bound | Ending::Stopped => format!(
            "the crawl in {dir} has reached the end that was asked for (--for or --max-pages): nothing is left to take over"
        ),
    }
}

struct Waiting<'a> {
    config: &'a Config,
    announce: &'a mut dyn Announce,
    silence: Silence<(u32, u64, crate::checkpoint::lease::State)>,
    follower: Follower,
    line: StatusLine,
    /// The holder that was told of.
    told: Option<Record>,
    /// Tries in a row that found names being changed although the lease is over.
    blocked: u32,
}

impl Waiting<'_> {
    /// Looks at the lease and follows the checkpoints; returns what to try next.
    fn look(&mut self, clock: &Clock) -> Result<Mode> {
        let now = clock.now();
        let Some(record) = peek(&self.config.dir)? else {
            self.silence.blind(now);
            return Ok(Mode::Follow);
        };
        if self.told.as_ref().map(|t| t.term) != Some(record.term) {
            self.line.clear();
            self.announce.line(&format!(
                "standby: {} has {} (term {}); this process goes on in its place when it ends",
                record.holder(),
                self.config.dir.display(),
                record.term
            ));
            self.told = Some(record.clone());
        }
        let sign = record.sign();
        if self.silence.look(sign, now) >= record.duration() {
            return Ok(Mode::TakeOver(sign));
        }
        self.follow(now);
        Ok(Mode::Follow)
    }

    fn follow(&mut self, now: Tick) {
        if let Some(damage) = self.follower.turn(now) {
            self.line.say(&format!("standby: {damage}"));
        }
        let follower = &self.follower;
        self.line.show_text(now, || match follower.epoch() {
            None => "standby: no checkpoint yet".into(),
            Some((epoch, seen_at)) => format!(
                "standby: checkpoint {epoch}, seen {} s ago; {}",
                now.saturating_sub(seen_at) / SECOND,
                follower.state()
            ),
        });
    }

    fn tell_mine(&mut self, mode: Mode, tenure: &Tenure) {
        let Some(before) = &self.told else {
            return; // nobody had it: a start like any other
        };
        let why = match mode {
            Mode::TakeOver(_) => "has shown no sign of life for the time of its lease",
            _ => "has ended",
        };
        self.announce.line(&format!(
            "standby: {} {why}; this process goes on (term {})",
            before.holder(),
            tenure.lease.term()
        ));
    }

    /// A process that was stopped in the very moment of changing a name cannot be followed; that is said once.
    fn mind_the_blocked(&mut self, mode: Mode) {
        if !matches!(mode, Mode::TakeOver(_)) {
            return;
        }
        self.blocked += 1;
        let tries = limits::LEASE_MS / limits::STANDBY_POLL_MS;
        if u64::from(self.blocked) == tries
            && let Some(holder) = &self.told
        {
            let (who, pid) = (holder.holder(), holder.pid);
            self.line.say(&format!(
                "standby: {who} was stopped while it changed a name in the directory, or another standby is taking over; \
                 in the first case end it (kill -9 {pid})"
            ));
        }
    }
}
