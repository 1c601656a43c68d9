//! Between checkpoints: the compaction of the URL log, a step at a time.
//!
//! What must hold: a compaction looks at the newest durable generation only, and never while a checkpoint is under way
//! (the shadow is that generation's image then); its result is named by the next checkpoint; a failed compaction is no
//! error of the crawl, is remarked once, and none is tried again in this run.

use super::Checkpointer;
use crate::checkpoint::compact::{self, Compaction, View};
use crate::checkpoint::log::log_name;
use crate::checkpoint::manifest::Base;
use crate::checkpoint::page::Kind;
use crate::error::Result;
use crate::frontier::InFlight;
use std::collections::HashSet;

/// What the compactions of a checkpointer are about.
#[derive(Default)]
pub(super) struct Compacting {
    /// Log bytes from which a compaction pays.
    at_least: u64,
    /// Number for the next base file.
    pub next_base: u64,
    work: Option<Compaction>,
    /// Durable, and to be named by the next checkpoint.
    pub replacement: Option<Base>,
    /// State of the newest durable generation, and what it says once that was asked for.
    state: Vec<u8>,
    in_flight: Option<HashSet<InFlight>>,
    off: bool,
    remark: Option<String>,
    /// Bytes written, and compactions that took effect.
    pub bytes: u64,
    pub count: u64,
}

impl Compacting {
    /// None yet. `at_least`: log bytes from which one pays.
    pub fn new(at_least: u64) -> Self {
        Self {
            at_least,
            next_base: 1,
            ..Self::default()
        }
    }

    /// A checkpoint became durable with this state of the frontier.
    pub fn durable(&mut self, state: Vec<u8>) {
        self.state = state;
        self.in_flight = None;
    }
}

impl Checkpointer {
    /// Something a person should know, once.
    pub fn take_remark(&mut self) -> Option<String> {
        self.compacting.remark.take()
    }

    /// Does a step of a compaction, or begins one that is due.
    pub(super) fn compact(&mut self) {
        if self.compacting.off || self.compacting.replacement.is_some() {
            return;
        }
        if let Err(error) = self.try_compact() {
            let dropped = self.compacting.work.take();
            if let Some(work) = dropped {
                let names = work.written().map(|n| log_name(Kind::Base, n));
                self.retired.extend(names);
            }
            self.compacting.off = true;
            self.compacting.remark = Some(format!(
                "the URL log is not compacted any more in this run, the crawl goes on: {error}"
            ));
        }
    }

    fn try_compact(&mut self) -> Result<()> {
        let compacting = &mut self.compacting;
        let Some(work) = &mut compacting.work else {
            if compact::is_due(&self.durable, compacting.at_least) {
                let first = compacting.next_base;
                let work = Compaction::begin(&self.durable, self.sizes.urls, first)?;
                compacting.work = Some(work);
            }
            return Ok(());
        };
        if compacting.in_flight.is_none() {
            compacting.in_flight = compact::in_flight(&compacting.state);
        }
        let Some(in_flight) = &compacting.in_flight else {
            return Err(super::out_of_order("the state is of another version"));
        };
        let view = View {
            hosts: &|host| self.shadow.host(host),
            in_flight,
        };
        let before = work.bytes() + self.ended.written;
        let base = work.step(&*self.disk, &view, &mut self.ended, self.durable.epoch);
        compacting.next_base = work.written().end() + 1;
        compacting.bytes += work.bytes() + self.ended.written - before;
        if let Some(base) = base? {
            compacting.work = None;
            compacting.replacement = Some(base);
        }
        Ok(())
    }

    /// The newest durable generation names another base than the one before: the files of that go once the older slot
    /// is written again.
    pub(super) fn doom_compacted(&mut self, old: &Base) {
        let new = self.durable.base;
        self.compacting.replacement = None;
        self.compacting.count += 1;
        let urls = (old.until + 1..=new.until).map(|n| log_name(Kind::Urls, n));
        self.doomed.extend(urls);
        if old.first > 0 {
            let base = (old.first..=old.end.file).map(|n| log_name(Kind::Base, n));
            self.doomed.extend(base);
        }
    }
}
