//! What the web counts, and the log of what was asked for.
//!
//! What must hold: the server's thread is the only writer, so counting is a plain load and store; readers see each
//! counter by itself, not all at one instant.

use super::settings::RequestLog;
use super::site::Served;
use crate::error::{Error, Result};
use crate::limits;
use crate::time::{MILLISECOND, Tick};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// Statuses 0 to 599 are counted by themselves.
const STATUSES: usize = 600;

/// Counters of a running web.
#[derive(Debug)]
pub struct Stats {
    statuses: [AtomicU64; STATUSES],
    requests: AtomicU64,
    bytes: AtomicU64,
    violations: AtomicU64,
    fakes: AtomicU64,
    traps: AtomicU64,
    unlogged: AtomicU64,
    pub(super) accepted: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) accept_failures: AtomicU64,
}

/// The counters at some moment.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct StatsSnapshot {
    /// Requests answered (or deliberately not).
    pub requests: u64,
    /// Answers by status, ascending; status 0 are those without one.
    pub by_status: Vec<(u16, u64)>,
    /// Bytes sent, heads included.
    pub bytes: u64,
    /// Requests for what the host's robots.txt forbids.
    pub violations: u64,
    /// Requests for what only looks like a link.
    pub fakes: u64,
    /// Requests into traps.
    pub traps: u64,
    /// Connections accepted.
    pub accepted: u64,
    /// Connections closed at once since [`limits::WEB_CONNECTIONS_MAX`] were open.
    pub refused: u64,
    /// Failures to accept, such as no file descriptors left.
    pub accept_failures: u64,
    /// Requests that did not fit into the log.
    pub unlogged: u64,
}

impl StatsSnapshot {
    /// Answers with `status`.
    pub fn status(&self, status: u16) -> u64 {
        self.by_status
            .iter()
            .find(|(s, _)| *s == status)
            .map_or(0, |(_, n)| *n)
    }
}

/// Adds to a counter that has one writer.
pub(super) fn add(counter: &AtomicU64, n: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(n), Relaxed);
}

impl Stats {
    fn new() -> Self {
        Self {
            statuses: [const { AtomicU64::new(0) }; STATUSES],
            requests: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            violations: AtomicU64::new(0),
            fakes: AtomicU64::new(0),
            traps: AtomicU64::new(0),
            unlogged: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            accept_failures: AtomicU64::new(0),
        }
    }

    fn snapshot(&self) -> StatsSnapshot {
        let read = |c: &AtomicU64| c.load(Relaxed);
        let by_status = self.statuses.iter().enumerate();
        StatsSnapshot {
            requests: read(&self.requests),
            by_status: by_status
                .map(|(status, n)| (status as u16, read(n)))
                .filter(|(_, n)| *n > 0)
                .collect(),
            bytes: read(&self.bytes),
            violations: read(&self.violations),
            fakes: read(&self.fakes),
            traps: read(&self.traps),
            accepted: read(&self.accepted),
            refused: read(&self.refused),
            accept_failures: read(&self.accept_failures),
            unlogged: read(&self.unlogged),
        }
    }
}

/// A request as logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// Milliseconds since the web began.
    pub millisecond: u64,
    /// Host number; `None` for a foreign name.
    pub host: Option<u32>,
    /// Path and query.
    pub path: String,
    /// Status of the answer, 0 where none was sent.
    pub status: u16,
}

/// What the server's thread and the handle share.
#[derive(Debug)]
pub(super) struct Shared {
    pub stats: Stats,
    pub stop: AtomicBool,
    log: Mutex<Vec<LogEntry>>,
}

impl Shared {
    pub fn new() -> Self {
        Self {
            stats: Stats::new(),
            stop: AtomicBool::new(false),
            log: Mutex::new(Vec::new()),
        }
    }

    pub fn snapshot(&self) -> StatsSnapshot {
        self.stats.snapshot()
    }

    pub fn sent(&self, bytes: usize) {
        add(&self.stats.bytes, bytes as u64);
    }

    /// The log so far; it starts empty again.
    pub fn take_log(&self) -> Vec<LogEntry> {
        std::mem::take(&mut self.log.lock().unwrap_or_else(|e| e.into_inner()))
    }
}

/// The server's side of the log.
#[derive(Debug)]
pub(super) enum Logger {
    Off,
    Memory(usize),
    File(BufWriter<File>),
}

impl Logger {
    pub fn open(log: &RequestLog) -> Result<Self> {
        Ok(match log {
            RequestLog::Off => Self::Off,
            RequestLog::Memory(most) => Self::Memory((*most).min(limits::WEB_LOG_ENTRIES_MAX)),
            RequestLog::File(path) => {
                Self::File(BufWriter::new(File::create(path).map_err(|e| {
                    Error::io("cannot create the request log", path, e)
                })?))
            }
        })
    }

    /// Counts and logs an answer.
    pub fn record(&mut self, shared: &Shared, served: &Served, path: &[u8], now: Tick) {
        let stats = &shared.stats;
        add(&stats.requests, 1);
        add(
            &stats.statuses[usize::from(served.status).min(STATUSES - 1)],
            1,
        );
        for (counter, hit) in [
            (&stats.violations, served.violation),
            (&stats.fakes, served.fake),
            (&stats.traps, served.trap),
        ] {
            if hit {
                add(counter, 1);
            }
        }
        let millisecond = now / MILLISECOND;
        match self {
            Self::Off => {}
            Self::Memory(most) => {
                let mut log = shared.log.lock().unwrap_or_else(|e| e.into_inner());
                if log.len() >= *most {
                    return add(&stats.unlogged, 1);
                }
                log.push(LogEntry {
                    millisecond,
                    host: served.host,
                    path: String::from_utf8_lossy(path).into_owned(),
                    status: served.status,
                });
            }
            Self::File(file) => {
                let host = served.host.map_or("-".to_string(), |h| h.to_string());
                let path = path.escape_ascii();
                if writeln!(file, "{millisecond}\t{host}\t{path}\t{}", served.status).is_err() {
                    add(&stats.unlogged, 1);
                }
            }
        }
    }

    /// Hands a file's buffer to the system.
    pub fn flush(&mut self) {
        if let Self::File(file) = self {
            // What could not be written is counted with the next record.
            let _ = file.flush();
        }
    }
}
