//! The directory of a small crawl, made once: the real frontier, parser, store and checkpointer on the simulator's disk,
//! stopped in the middle, with both manifest slots in use and the URL log compacted.

use cyclosa::checkpoint::Sizes;
use cyclosa::checkpoint::log::LogSizes;
use cyclosa::config::{Config, Robots, Scope};
use cyclosa::disk::{Access, Disk};
use cyclosa::event::CrawlIdentity;
use cyclosa::sim::dice::Dice;
use cyclosa::sim::disk::SimDisk;
use cyclosa::sim::network::Network;
use cyclosa::sim::open::{Terms, open};
use cyclosa::sim::oracle::Oracle;
use cyclosa::sim::process::{Outside, Process};
use cyclosa::sim::settings::Settings;
use cyclosa::time::{MILLISECOND, SECOND};
use std::collections::BTreeMap;

/// Files by name.
pub type Files = BTreeMap<String, Vec<u8>>;

/// Which crawl it is.
pub const IDENTITY: CrawlIdentity = CrawlIdentity {
    id: [3; 16],
    key: [5; 32],
    created: 77,
};
/// Rounds of the simulator at most; a tenth is enough.
const TURNS_MAX: usize = 1_000_000;

fn sizes() -> LogSizes {
    LogSizes {
        first: 8 << 10,
        max: 32 << 10,
    }
}

/// How the small crawl was asked for; what it holds fits into `memory` bytes many times.
pub fn config(memory: u64) -> Config {
    Config {
        seeds: (0..HOSTS)
            .map(|host| (format!("http://h{host}.test/p0"), format!("seed {host}")))
            .collect(),
        scope: Scope::Hosts,
        robots: Robots::Obey,
        delay: 20 * MILLISECOND,
        concurrency: 16,
        memory,
        checkpoint_every: SECOND,
        ..Config::default()
    }
}

const HOSTS: u64 = 6;

fn settings() -> Settings {
    Settings {
        hosts: HOSTS,
        pages: 60,
        links: 12,
        body: 200,
        latency: 50 * MILLISECOND,
        sync: MILLISECOND,
        stall: 0,
        delta_slots: 256,
        segment_bytes: 12_000,
        sizes: Sizes {
            seen: sizes(),
            urls: sizes(),
            compact_at: 1,
        },
        stop: 0,
        config: config(64 << 20),
        ..Settings::swarm(11)
    }
}

/// Runs the crawl until the URL log was compacted twice and there are segments that are full.
pub fn disk() -> SimDisk {
    let settings = settings();
    let disk = SimDisk::new(1);
    let mut oracle = Oracle::default();
    let anew = Terms {
        may_be_empty: true,
        fallback: false,
        exactly: None,
    };
    let pieces = open(&disk, &settings, &IDENTITY, &oracle, anew).expect("an empty disk");
    oracle.begin();
    let (mut network, mut elapsed) = (Network::new(&settings), 0);
    let mut outside = Outside {
        settings: &settings,
        network: &mut network,
        oracle: &mut oracle,
        elapsed: &mut elapsed,
    };
    let mut process = Process::new(pieces, &IDENTITY, &mut outside, Dice::new(3));
    for _ in 0..TURNS_MAX {
        process.turn(&mut outside).expect("no fault was set");
        let names = disk.list().expect("no fault was set");
        let has = |start: &str| names.iter().any(|name| name.starts_with(start));
        let full = has("segment-00003") && has("base-") && has("ended-") && has("state-000002");
        if full && process.compactions >= 2 && !process.is_over() {
            return disk;
        }
        assert!(!process.is_over(), "{names:?}");
    }
    panic!("the small crawl does not come so far");
}

/// Its files.
pub fn files() -> Files {
    let disk = disk();
    let names = disk.list().expect("no fault was set");
    let read = |name: String| disk.peek(&name).map(|bytes| (name, bytes));
    names.into_iter().filter_map(read).collect()
}

/// A disk with these files.
pub fn disk_of(files: &Files) -> SimDisk {
    let disk = SimDisk::new(1);
    for (name, bytes) in files {
        let mut file = disk.create(name, Access::Append, 0).expect("a new file");
        file.write_at(0, bytes).expect("a good disk");
    }
    disk
}
