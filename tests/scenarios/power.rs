//! Power cuts: what was not synced is gone, which `kill -9` cannot show.
//!
//! The crawl lies on an ext4 in an image file. At a random moment the crawler is stopped, the image is copied as the block
//! device has it at that moment, and the crawler is killed. The copy holds what was synced and what the kernel happened to
//! write by itself; what lay in the page cache only is lost, as with a machine that loses its power. The copy is mounted
//! (its journal is replayed), and the same command goes on, until the next cut.
//!
//! `CYCLOSA_POWER_CUTS=50 cargo test --test scenarios power -- --nocapture` cuts so often; `CYCLOSA_POWER_SEED` repeats a
//! run. Needs root and loop devices, else it skips. Not shown: a disk that reorders what it was told to flush, which is
//! the simulator's part.

use super::program::Crawl;
use super::synthetic::Web;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, SystemTime};

/// Cuts where nothing else is asked for.
const CUTS: u64 = 4;
/// Size of the image, megabytes; it is sparse.
const IMAGE_MEGABYTES: u32 = 512;

/// An image that is mounted in a namespace of its own; unmounted when dropped.
struct Mounted {
    holder: Child,
    place: tempfile::TempDir,
}

impl Mounted {
    fn new(image: &Path) -> Option<Self> {
        let place = tempfile::tempdir().expect("a directory");
        let script = format!(
            "mount -o loop '{}' '{}' && echo mounted && exec sleep 3600",
            image.display(),
            place.path().display()
        );
        let mut holder = Command::new("unshare")
            .args(["-m", "sh", "-c", &script])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut line = String::new();
        let pipe = holder.stdout.take().expect("a pipe");
        let _ = BufReader::new(pipe).read_line(&mut line);
        let mounted = Self { holder, place };
        (line.trim() == "mounted").then_some(mounted)
    }

    fn path(&self) -> PathBuf {
        let inside = self.place.path().strip_prefix("/").expect("absolute");
        PathBuf::from(format!("/proc/{}/root", self.holder.id())).join(inside)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

fn run(words: &[&str]) -> bool {
    let tried = Command::new(words[0])
        .args(&words[1..])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    tried.is_ok_and(|status| status.success())
}

/// How often each URL was answered.
fn answers(log: &Path) -> BTreeMap<String, u64> {
    let mut all = BTreeMap::new();
    for line in std::fs::read_to_string(log).expect("a log").lines() {
        let columns: Vec<&str> = line.split('\t').collect();
        if columns.len() > 2 && !columns[2].ends_with("/robots.txt") {
            *all.entry(format!("{}{}", columns[1], columns[2]))
                .or_insert(0) += 1;
        }
    }
    all
}

#[test]
fn power_cuts_lose_nothing_that_was_durable() {
    let home = tempfile::tempdir().expect("a directory");
    let image = home.path().join("disk.img");
    let name = image.to_str().expect("UTF-8");
    let made = run(&["truncate", "-s", &format!("{IMAGE_MEGABYTES}M"), name])
        && run(&["mkfs.ext4", "-q", name]);
    let Some(mut disk) = made.then(|| Mounted::new(&image)).flatten() else {
        println!("skipped: an ext4 image cannot be made and mounted here");
        return;
    };
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let cuts = number("CYCLOSA_POWER_CUTS").unwrap_or(CUTS);
    let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let seed = number("CYCLOSA_POWER_SEED").unwrap_or(clock.map_or(1, |d| d.as_secs()));
    println!("CYCLOSA_POWER_SEED={seed}");
    let mut state = seed | 1;
    let mut below = |n: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % n
    };

    let log = home.path().join("web.log");
    // Long enough for all cuts: about 60 pages a second.
    let pages = (40 + cuts * 12).to_string();
    let web = Web::start(&[
        "--hosts",
        "10",
        "--pages",
        &pages,
        "--far",
        "0",
        "--log",
        log.to_str().expect("UTF-8"),
    ]);
    let seeds: Vec<String> = (0..10)
        .map(|n| format!("http://h{n}.web.test:{}/", web.port))
        .collect();
    let more = ["--checkpoint-every", "1s", "--delay", "150ms"];
    let mut crawl = Crawl::new(&seeds, &more).in_dir(&disk.path().join("crawl"));
    let (mut restored, mut begun_again, mut in_restore) = (0, 0, 0);
    for cut in 0..cuts {
        let running = crawl.start();
        // A quarter falls into the first moments, where it restores.
        let quick = cut % 4 == 3;
        sleep(Duration::from_millis(below(if quick { 40 } else { 2_500 })));
        running.signal("STOP");
        let next = home.path().join(format!("disk-{cut}.img"));
        let copied = run(&["cp", "--sparse=always", name, next.to_str().expect("UTF-8")]);
        assert!(copied, "no room for a copy");
        let ended = running.kill();
        match ended.stderr.contains("restored checkpoint") {
            true => restored += 1,
            false if ended.stderr.contains("begins with its seeds") => begun_again += 1,
            false if cut > 0 => in_restore += 1,
            false => {}
        }
        drop(disk);
        std::fs::rename(&next, &image).expect("the same directory");
        disk = Mounted::new(&image).expect("the copy mounts: its journal is whole");
        crawl = crawl.in_dir(&disk.path().join("crawl"));
        if crawl.dir().join("manifest").exists() {
            crawl.ask("verify", &[]).expect(0);
        }
    }
    crawl.run().expect(0);
    crawl.assert_sound();
    let asked = answers(&log);
    let again: u64 = asked.values().map(|n| n - 1).sum();
    println!(
        "{cuts} power cuts: {restored} lives after a restore, {in_restore} cut before they had restored, {begun_again} before \
         the first checkpoint; {} pages, {again} asked for again",
        asked.len()
    );

    let other = Crawl::new(&seeds, &["--quiet"]);
    other.run().expect(0);
    let done = |crawl: &Crawl| -> BTreeSet<String> { crawl.urls_in("done") };
    assert_eq!(done(&crawl), done(&other));
}
