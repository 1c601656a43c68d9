//! Checkpoints in a real directory: other processes, kill -9, and a full file system.
//!
//! The other process is this test binary, started again with `CYCLOSA_CHILD` saying what to be.

#[path = "common/whole.rs"]
mod whole;

use cyclosa::checkpoint::log::LogSizes;
use cyclosa::checkpoint::{Checkpointer, DirDisk, Lock, Sizes, verify};
use cyclosa::event::{BLOCK_BYTES, CrawlIdentity, Cut, Delta, Mark, StoreNote};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use whole::{Whole, recover};

const ME: CrawlIdentity = CrawlIdentity {
    id: [3; 16],
    key: [5; 32],
    created: 77,
};
const SIZES: Sizes = Sizes {
    seen: LogSizes {
        first: 64 << 10,
        max: 256 << 10,
    },
    urls: LogSizes {
        first: 64 << 10,
        max: 256 << 10,
    },
    compact_at: u64::MAX,
};

/// Goes on in `dir`, one checkpoint after the other, and tells each that is durable; until killed, or `Err`.
fn crawl(dir: &Path) -> cyclosa::error::Result<()> {
    let _lock = Lock::acquire(dir)?;
    let disk = Arc::new(DirDisk::open(dir)?);
    let (mut to, mut n, mut number) = match recover(&*disk)? {
        None => (Checkpointer::new(disk, ME, SIZES)?, 0, 1),
        Some(got) => {
            let n = check(&got);
            (Checkpointer::resume(disk, &got, SIZES)?, n, got.next_epoch)
        }
    };
    loop {
        n += 1;
        to.delta(Delta::Seen(vec![n; 1_000]))?;
        to.delta(Delta::Urls(vec![n as u8; 20_000]))?;
        to.delta(Delta::Cut(Box::new(Cut {
            epoch: number,
            seen_len: n * 1_000,
            urls_len: n * 20_000,
            blocks: 4,
            ..Cut::default()
        })))?;
        let bytes = Box::new([n as u8; BLOCK_BYTES]);
        let index = (n % 4) as u32;
        to.delta(Delta::Block { index, bytes })?;
        to.delta(Delta::Swept { epoch: number })?;
        to.note(StoreNote::Mark(Mark {
            epoch: number,
            ..Mark::default()
        }))?;
        while to.turn(0)?.is_none() {}
        println!("durable {n}");
        std::io::stdout().flush().unwrap();
        to.turn(0)?;
        number += 1;
    }
}

/// Checks that this is a state which `crawl` had, and returns how many cuts went before it.
fn check(got: &Whole) -> u64 {
    let n = got.cut.seen_len / 1_000;
    let seen: Vec<u64> = (1..=n).flat_map(|e| vec![e; 1_000]).collect();
    assert!(got.seen == seen);
    let urls: Vec<u8> = (1..=n).flat_map(|e| vec![e as u8; 20_000]).collect();
    assert!(got.urls == urls);
    for (block, index) in got.hosts.chunks(BLOCK_BYTES).zip(0u64..) {
        let newest = (1..=n).rev().find(|e| e % 4 == index).unwrap_or(0);
        assert!(block.iter().all(|b| *b == newest as u8));
    }
    n
}

/// What the binary does when it is started as another process. As a test of its own it has nothing to do.
#[test]
fn another_process() {
    let Some(dir) = std::env::var_os("CYCLOSA_CHILD").map(PathBuf::from) else {
        return;
    };
    if let Err(e) = crawl(&dir) {
        println!("stopped {e}");
        if let Some(got) = recover(&DirDisk::open(&dir).unwrap()).unwrap() {
            println!("intact {}", check(&got));
        }
    }
}

fn child(dir: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "another_process", "--nocapture"])
        .env("CYCLOSA_CHILD", dir)
        .stdout(Stdio::piped());
    command
}

#[test]
fn kill_9_loses_nothing_that_was_durable_and_the_lock_ends_with_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let mut durable = 0u64;
    for round in 0..12 {
        let mut process = child(dir.path()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        for line in lines.by_ref() {
            let line = line.unwrap();
            assert!(!line.starts_with("stopped"), "{line}");
            if let Some((_, n)) = line.split_once("durable ") {
                durable = n.parse().unwrap();
                if durable % 7 >= round % 7 {
                    break;
                }
            }
        }
        if round == 3 {
            let message = Lock::acquire(dir.path()).unwrap_err().to_string();
            let holder = format!("process {}", process.id());
            assert!(message.contains(&holder), "{message}");
            assert!(message.contains(dir.path().to_str().unwrap()), "{message}");
        }
        process.kill().unwrap();
        process.wait().unwrap();
        for line in lines.map_while(Result::ok) {
            if let Some((_, n)) = line.split_once("durable ") {
                durable = n.parse().unwrap();
            }
        }
        let disk = DirDisk::open(dir.path()).unwrap();
        let got = recover(&disk).unwrap().unwrap();
        let n = check(&got);
        assert!(n >= durable, "{n} after {durable}");
        assert!(verify(&disk).unwrap().restorable.contains(&got.cut.epoch));
    }
    assert!(durable >= 12);
}

#[test]
fn a_full_file_system_stops_the_crawl_with_its_checkpoint_intact() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().display();
    let setup = format!("mount -t tmpfs -o size=16m tmpfs '{path}' && exec \"$@\"");
    let mut inner = child(dir.path());
    let mut command = Command::new("unshare");
    command
        .args(["-m", "sh", "-c", &setup, "sh"])
        .arg(inner.get_program())
        .args(inner.get_args())
        .env("CYCLOSA_CHILD", dir.path());
    let probe = Command::new("unshare")
        .args([
            "-m",
            "sh",
            "-c",
            &format!("mount -t tmpfs -o size=16m tmpfs '{path}'"),
        ])
        .output();
    if !probe.is_ok_and(|out| out.status.success()) {
        println!("skipped: a file system of its own needs root");
        return;
    }
    inner.stdout(Stdio::null());
    let out = command.output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(
        out.status.success(),
        "no SIGBUS, no panic: {:?} {text}",
        out.status
    );
    let last = text
        .lines()
        .rev()
        .find_map(|l| l.split_once("durable "))
        .unwrap()
        .1;
    let stopped = text.lines().find(|l| l.contains("stopped ")).unwrap();
    assert!(stopped.contains("free some space"), "{stopped}");
    assert!(
        stopped.contains(&format!("number {last} is intact")),
        "{stopped}"
    );
    assert!(text.contains(&format!("intact {last}\n")), "{text}");
}
