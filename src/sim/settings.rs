//! What varies between simulated crawls ("swarm testing": each seed has a few things small, rare or absent).

use super::dice::Dice;
use crate::checkpoint::Sizes;
use crate::checkpoint::log::LogSizes;
use crate::config::{Config, Robots, Scope};
use crate::time::{MICROSECOND, MILLISECOND, SECOND, Tick};

/// The settings of one seed. All sizes are small, so that a crawl of seconds rolls every file several times.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where all of it comes from.
    pub seed: u64,
    /// Hosts of the fake web that have pages.
    pub hosts: u64,
    /// Pages of a host at most.
    pub pages: u64,
    /// Links of a page at most.
    pub links: u64,
    /// Body text of a page at most, bytes.
    pub body: u64,
    /// Longest answer, ticks.
    pub latency: Tick,
    /// Longest time of one sync of the fake disk, ticks.
    pub sync: Tick,
    /// A stage sits out one turn in so many; 0: never.
    pub stall: u64,
    /// Most deltas on their way to the checkpointer.
    pub delta_slots: usize,
    /// What closes early once is a proxy that fails.
    pub proxy_fails: bool,
    /// Segment size at which the store opens the next one, bytes.
    pub segment_bytes: u64,
    /// Files of the logs.
    pub sizes: Sizes,
    /// A polite stop in one of so many runs; 0: never.
    pub stop: u64,
    /// The crawl.
    pub config: Config,
}

impl Settings {
    /// The settings of `seed`.
    pub fn swarm(seed: u64) -> Self {
        let mut dice = Dice::new(seed).apart(1);
        let hosts = dice.between(1, 10);
        let log = |dice: &mut Dice| LogSizes {
            first: 4_096 * dice.between(2, 4),
            max: 4_096 * dice.between(4, 16),
        };
        let sizes = Sizes {
            seen: log(&mut dice),
            urls: log(&mut dice),
            compact_at: [1, 1, 8 << 10, u64::MAX][dice.apart(2).below(4) as usize],
        };
        let any = dice.one_in(3);
        let mut config = Config {
            seeds: (0..hosts)
                .filter(|host| !any || host % 3 == 0)
                .map(|host| (format!("http://h{host}.test/p0"), format!("seed {host}")))
                .collect(),
            scope: if any { Scope::Any } else { Scope::Hosts },
            robots: if dice.one_in(5) {
                Robots::Ignore
            } else {
                Robots::Obey
            },
            delay: [0, 20, 300, 2_000][dice.below(4) as usize] * MILLISECOND,
            ip_delay: [0, 0, 0, 100][dice.below(4) as usize] * MILLISECOND,
            per_host: [1, 1, 2, 4][dice.below(4) as usize],
            concurrency: dice.between(2, 40) as usize,
            memory: 64 << 20,
            ..Config::default()
        };
        let segment_bytes = [3_000, 12_000, 1 << 30][dice.below(3) as usize];
        // Each sealed segment costs a sync; tiny segments on a slow disk would be slower than the crawl.
        let slowest = if segment_bytes < 1 << 20 { 3 } else { 4 };
        let sync = [1, 500, 5_000, 200_000][dice.below(slowest) as usize] * MICROSECOND;
        // With short intervals and slow servers a URL is in flight over several cuts; a slow disk cannot promise them.
        if sync <= 5 * MILLISECOND && dice.apart(3).one_in(2) {
            config.checkpoint_every = 5 * SECOND;
        }
        Self {
            seed,
            hosts,
            pages: dice.between(2, 60),
            links: dice.between(1, 12),
            body: [0, 200, 2_000][dice.below(3) as usize],
            latency: [1, 50, 3_000, 12_000][dice.below(4) as usize] * MILLISECOND,
            sync,
            stall: [0, 0, 2, 3, 8][dice.below(5) as usize],
            delta_slots: [3, 16, 256][dice.below(3) as usize],
            proxy_fails: dice.apart(4).one_in(2),
            segment_bytes,
            sizes,
            stop: [0, 4, 12][dice.below(3) as usize],
            config,
        }
    }

    /// What the crawl promises: most work that a crash may cost, ticks.
    pub fn redo_bound(&self) -> Tick {
        debug_assert!(self.config.checkpoint_every <= 15 * SECOND);
        self.config.checkpoint_every
    }
}
