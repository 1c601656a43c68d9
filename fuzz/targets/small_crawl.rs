//! The directory of a small crawl, made once: the real frontier, parser, store and checkpointer on the simulator's disk,
//! stopped in the middle, with both manifest slots in use and the URL log compacted.

use cyclosa::checkpoint::Sizes;
use cyclosa::checkpoint::log::LogSizes;
use cyclosa::checkpoint::manifest::{Generation, MANIFEST, Slot};
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
        max: 16 << 10,
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
        concurrency: 8,
        memory,
        checkpoint_every: SECOND,
        ..Config::default()
    }
}

const HOSTS: u64 = 6;

fn settings(seed: u64) -> Settings {
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
        ..Settings::swarm(seed)
    }
}

/// The two generations of the manifest, the newer one first.
pub fn generations(disk: &SimDisk) -> Option<[Box<Generation>; 2]> {
    let manifest = disk.peek(MANIFEST)?;
    let valid = |slot| match Slot::decode(&manifest, slot) {
        Slot::Valid { generation, .. } => Some(generation),
        _ => None,
    };
    let mut both = [valid(0)?, valid(1)?];
    both.sort_by_key(|it| std::cmp::Reverse(it.epoch));
    Some(both)
}

/// Whether the directory has what its readers look for: enough records; a newest base that the older generation can do
/// without; no file that was made ahead and has nothing in it yet; and nothing of a compaction that is under way.
fn is_telling(disk: &SimDisk, names: &[String]) -> bool {
    let Some([newer, older]) = generations(disk) else {
        return false;
    };
    let newest = |kind: &str, number: u64| {
        let last = names.iter().filter(|name| name.starts_with(kind)).max();
        last.is_some_and(|name| *name == format!("{kind}{number:06}.log"))
    };
    let length = |name: &str| disk.peek(name).map_or(0, |bytes| bytes.len() as u64);
    newer.records > RECORDS_MIN
        && older.base.first > 0
        && newer.base.first != older.base.first
        && newest("seen-", newer.seen.file)
        && newest("urls-", newer.urls.file)
        && newest("base-", newer.base.end.file)
        && newest("ended-", newer.ended.file)
        && length(&format!("ended-{:06}.log", newer.ended.file)) == newer.ended.offset
        && length(&format!("base-{:06}.log", newer.base.end.file)) == newer.base.end.offset
}

/// Records in its segments, at least.
const RECORDS_MIN: u64 = 50;
/// Compactions of its URL log: with two there are an old base and a new one, and the crawl is still small.
const COMPACTIONS: u64 = 2;

/// Runs the crawl until its directory is a telling one, with segments that are full.
pub fn disk() -> SimDisk {
    let crawls = (11..).take(SEEDS_MAX);
    let mut telling = crawls.filter_map(|seed| run(&settings(seed)));
    telling.next().expect("one of the crawls comes so far")
}

/// Crawls that are tried.
const SEEDS_MAX: usize = 50;

fn run(settings: &Settings) -> Option<SimDisk> {
    let disk = SimDisk::new(1);
    let mut oracle = Oracle::default();
    let anew = Terms {
        may_be_empty: true,
        fallback: false,
        exactly: None,
    };
    let pieces = open(&disk, settings, &IDENTITY, &oracle, anew).expect("an empty disk");
    oracle.begin();
    let (mut network, mut elapsed) = (Network::new(settings), 0);
    let mut outside = Outside {
        settings,
        network: &mut network,
        oracle: &mut oracle,
        elapsed: &mut elapsed,
    };
    let mut process = Process::new(pieces, &IDENTITY, &mut outside, Dice::new(3));
    for _ in 0..TURNS_MAX {
        process.turn(&mut outside).expect("no fault was set");
        if process.is_over() || process.compactions > COMPACTIONS {
            return None;
        }
        if process.compactions < COMPACTIONS {
            continue;
        }
        let names = disk.list().expect("no fault was set");
        let has = |start: &str| names.iter().any(|name| name.starts_with(start));
        if has("segment-00003") && has("state-000002") && is_telling(&disk, &names) {
            return Some(disk);
        }
    }
    None
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
