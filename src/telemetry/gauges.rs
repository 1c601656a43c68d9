//! Levels: plain numbers that the engine fills from the frontier, the store and the checkpointer once a second.
//!
//! Deliberately absent: sharing and atomics. How the numbers come across threads is the engine's business.

/// Where the crawl stands. Totals are of the whole crawl, earlier runs included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Responses committed.
    pub pages: u64,
    /// Bytes received on the wire for them.
    pub bytes: u64,
    /// URLs discovered.
    pub discovered: u64,
    /// URLs waiting in a host's queue.
    pub queued: u64,
    /// URLs on their way round the pipeline.
    pub in_flight: u64,
    /// URLs with an outcome.
    pub done: u64,
    /// URLs kept out by scope, robots.txt or a filter.
    pub excluded: u64,
    /// URLs dropped by a limit.
    pub dropped: u64,
    /// Hosts known.
    pub hosts_known: u64,
    /// Hosts that may be fetched from now.
    pub hosts_ready: u64,
    /// Hosts with queued URLs that wait for their delay, an answer or an address.
    pub hosts_waiting: u64,
    /// The proxy has failed since anything came through it.
    pub proxy_fails: bool,
    /// Time since the newest durable checkpoint's cut, milliseconds; `None` before the first.
    pub checkpoint_age_ms: Option<u64>,
    /// Number of the newest durable checkpoint, 0 before the first.
    pub durable_epoch: u64,
    /// Bytes in segments.
    pub stored_bytes: u64,
    /// `--memory`, bytes.
    pub memory_budget: u64,
}

/// Memory of this process as the system counts it, bytes; zeros where `/proc` does not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resident {
    /// Resident set now.
    pub now: u64,
    /// Largest resident set so far.
    pub peak: u64,
}

impl Resident {
    /// Asks the system (`/proc/self/status`: VmRSS and VmHWM).
    pub fn read() -> Self {
        std::fs::read_to_string("/proc/self/status")
            .map(|text| Self::parse(&text))
            .unwrap_or_default()
    }

    fn parse(status: &str) -> Self {
        let field = |name: &str| {
            status
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .and_then(|rest| rest.split_whitespace().next())
                .and_then(|kib| kib.parse::<u64>().ok())
                .map_or(0, |kib| kib.saturating_mul(1_024))
        };
        Self {
            now: field("VmRSS:"),
            peak: field("VmHWM:"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_read_from_the_status_file() {
        let text = "Name:\tcyclosa\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n";
        let resident = Resident::parse(text);
        assert_eq!(resident.now, 1 << 20);
        assert_eq!(resident.peak, 2 << 20);
        assert_eq!(Resident::parse("VmRSS: lots"), Resident::default());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_memory() {
        let resident = Resident::read();
        assert!(resident.now > 0 && resident.peak >= resident.now / 2);
    }
}
