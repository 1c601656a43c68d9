//! A compacted crawl: it restores, its old files go, and no flipped bit of the new ones is believed.

use cyclosa::checkpoint::log::LogSizes;
use cyclosa::checkpoint::{Checkpointer, Recovered, Sizes, recover, recover_into, verify};
use cyclosa::config::{Config, Robots, Scope};
use cyclosa::disk::Disk;
use cyclosa::event::{Commit, CrawlIdentity, Facts, Job, Mark, Outcome, StoreNote};
use cyclosa::frontier::Frontier;
use cyclosa::sim::disk::SimDisk;
use std::sync::Arc;

const ME: CrawlIdentity = CrawlIdentity {
    id: [3; 16],
    key: [5; 32],
    created: 77,
};
const LOG: LogSizes = LogSizes {
    first: 8 << 10,
    max: 16 << 10,
};
const SIZES: Sizes = Sizes {
    seen: LOG,
    urls: LOG,
    compact_at: 1,
};
const CHECKPOINTS: u64 = 16;

fn config() -> Config {
    Config {
        scope: Scope::Any,
        delay: 0,
        robots: Robots::Ignore,
        exclude: vec!["/private".into()],
        allow_net: vec!["127.0.0.0/8".parse().expect("a net")],
        ..Config::default()
    }
}

/// Answers all that is ordered at this moment.
fn answer(frontier: &mut Frontier, now: u64) {
    frontier.dispatch(now);
    for mut page in frontier.orders().collect::<Vec<_>>() {
        page.outcome = Outcome::Fetched;
        if page.job == Job::Resolve {
            page.addresses = vec![[127, 0, 0, 1].into()];
        } else {
            page.facts = Facts {
                status: 200,
                ..Facts::default()
            };
        }
        frontier.handle(page, now);
    }
}

/// A crawl with many checkpoints, most of what it found done, and compactions in between. Its state hash goes with it.
fn crawl() -> (SimDisk, u64, u64) {
    let disk = SimDisk::new(1);
    let mut to = Checkpointer::new(Arc::new(disk.clone()), ME, SIZES).expect("a crawl");
    let mut frontier = Frontier::new(&config(), &ME).expect("a frontier");
    let mut compactions = 0;
    for epoch in 1..=CHECKPOINTS {
        for n in epoch * 100..epoch * 100 + 80 {
            let path = if n % 4 == 0 { "private" } else { "page" };
            let url = format!("http://h{}.test/{path}-{n}-with-some-text-behind-it", n % 5);
            let path_at = url.rfind('/').expect("a path") as u16;
            frontier.seed(url.as_bytes(), path_at, epoch);
        }
        (0..20).for_each(|_| answer(&mut frontier, epoch));
        frontier.cut(epoch, 0);
        while frontier.sweep() {}
        while let Some(commit) = frontier.next_commit() {
            match commit {
                Commit::Page(page) => frontier.returned(page),
                Commit::Marker { epoch } => {
                    let mark = Mark {
                        epoch,
                        ..Mark::default()
                    };
                    to.note(StoreNote::Mark(mark)).expect("a mark");
                }
            }
        }
        while let Some(delta) = frontier.next_delta() {
            to.delta(delta).expect("a delta");
        }
        while to.durable_epoch() < epoch || to.busy() {
            if let Some(durable) = to.turn(epoch).expect("a checkpoint") {
                compactions = durable.compacted.1;
            }
        }
        (0..50).for_each(|_| assert!(to.turn(epoch).expect("a compaction").is_none()));
        assert_eq!(to.take_remark(), None);
    }
    (disk, frontier.state_hash(), compactions)
}

fn names(disk: &SimDisk, stem: &str) -> Vec<String> {
    let all = disk.list().expect("a list").into_iter();
    all.filter(|name| name.starts_with(stem)).collect()
}

#[test]
fn a_compacted_crawl_restores_and_its_old_files_are_gone() {
    let (disk, hash, compactions) = crawl();
    assert!(compactions > 1, "{compactions} compactions");
    assert!(!names(&disk, "urls-").contains(&"urls-000001.log".into()));
    let found = recover_into(&disk, &|_| {}, |it: &Recovered, logs| {
        Frontier::restore(
            &config(),
            &it.identity,
            &it.cut,
            &it.hosts,
            logs,
            it.cut.tick,
        )
    });
    let (recovered, (frontier, _)) = found.expect("it restores").expect("a crawl");
    assert_eq!(
        (recovered.cut.epoch, frontier.state_hash()),
        (CHECKPOINTS, hash)
    );
    assert_eq!(verify(&disk).expect("readable").defects, []);
}

#[test]
fn no_flipped_bit_of_a_base_or_of_what_has_ended_is_believed() {
    let (disk, _, _) = crawl();
    let (mut flipped, mut found) = (0, 0);
    for name in [names(&disk, "base-"), names(&disk, "ended-")].concat() {
        let bytes = disk.peek(&name).expect("it is there");
        // All of the header's fields and its checksum, and samples of the rest.
        let header = (0..88).chain(4_088..4_096);
        let rest = (88..bytes.len()).step_by(97);
        for bit in header
            .chain(rest)
            .flat_map(|at| (0..8).map(move |bit| at * 8 + bit))
        {
            let (at, mask) = ((bit / 8) as u64, 1 << (bit % 8));
            disk.corrupt(&name, at, mask);
            flipped += 1;
            let report = verify(&disk).expect("readable");
            let named = report.defects.iter().any(|defect| defect.file == name);
            found += u64::from(named);
            let restored = recover(&disk).ok().flatten();
            let newest = restored.is_some_and(|it| it.cut.epoch == CHECKPOINTS);
            if name.starts_with("base-") {
                // A newest checkpoint that restores does not name the byte.
                assert!(
                    !newest || !report.restorable.is_empty(),
                    "{name}, byte {at}"
                );
                assert_eq!(
                    newest,
                    report.restorable.contains(&CHECKPOINTS),
                    "{name}, byte {at}"
                );
                assert!(named || newest, "{name}, byte {at}");
            } else {
                assert!(
                    newest,
                    "{name}, byte {at}: a listing's file keeps nobody from going on"
                );
            }
            if at < 4_096 && report.files > 0 {
                let needed = named || !newest || restorable_without(&disk, &name);
                assert!(needed, "{name}, byte {at} of the header");
            }
            disk.corrupt(&name, at, mask);
        }
    }
    println!(
        "{flipped} bits flipped, {found} of them named by verify; the others belong to no checkpoint"
    );
    assert!(found * 4 > flipped, "{found} of {flipped}");
}

/// Whether neither checkpoint needs `name`: what is not needed may be damaged.
fn restorable_without(disk: &SimDisk, name: &str) -> bool {
    let copy = disk.after_crash(1);
    copy.remove(name).expect("it is there");
    verify(&copy).expect("readable").defects.is_empty()
}
