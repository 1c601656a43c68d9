//! A full disk: the crawl stops with one line, what is stored stays whole, and after room is made the same command goes on.
//!
//! The disk is a tmpfs, or an ext4 in a file, in a mount namespace of the test's own, held open by a sleeping process and
//! reached through its root in /proc; that needs root, else the test skips.

use super::program::Crawl;
use super::scripted::{Answer, Server};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// A file system of bounded size; gone when dropped.
struct Disk {
    holder: Child,
    place: tempfile::TempDir,
    kind: Kind,
}

/// What is mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Tmpfs,
    Ext4,
}

/// Size of the ext4, megabytes; a file takes what is too much.
const EXT4_MEGABYTES: u32 = 600;

impl Disk {
    /// A disk with so much room.
    fn new(kind: Kind, megabytes: u32) -> Option<Self> {
        let place = tempfile::tempdir().expect("a directory");
        let at = place.path().display();
        let mount = match kind {
            Kind::Tmpfs => format!("mount -t tmpfs -o size={megabytes}m none '{at}'"),
            Kind::Ext4 => format!(
                "truncate -s {EXT4_MEGABYTES}M '{at}.img' && mkfs.ext4 -q -m 0 '{at}.img' && \
                 mount -o loop '{at}.img' '{at}' && rm '{at}.img' && \
                 room=$(df --output=avail -m '{at}' | tail -1) && \
                 fallocate -l $((room - {megabytes}))M '{at}/ballast'"
            ),
        };
        let script = format!("{mount} && echo mounted && exec sleep 600");
        let spawned = Command::new("unshare")
            .args(["-m", "sh", "-c", &script])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let Ok(mut holder) = spawned else {
            println!("skipped: unshare is not installed");
            return None;
        };
        let mut line = String::new();
        let pipe = holder.stdout.take().expect("a pipe");
        let _ = BufReader::new(pipe).read_line(&mut line);
        let disk = Self {
            holder,
            place,
            kind,
        };
        if line.trim() != "mounted" {
            println!("skipped: {kind:?} cannot be mounted here");
            return None;
        }
        Some(disk)
    }

    fn path(&self) -> PathBuf {
        let inside = self.place.path().strip_prefix("/").expect("absolute");
        PathBuf::from(format!("/proc/{}/root", self.holder.id())).join(inside)
    }

    fn grow(&self, megabytes: u32) {
        if self.kind == Kind::Ext4 {
            std::fs::remove_file(self.path().join("ballast")).expect("it is there");
            return;
        }
        let grown = Command::new("nsenter")
            .args(["-t", &self.holder.id().to_string(), "-m", "mount", "-o"])
            .arg(format!("remount,size={megabytes}m"))
            .arg(self.place.path())
            .status();
        assert!(grown.expect("nsenter runs").success());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// Text that does not compress.
fn noise(n: u64) -> String {
    let mut state = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut text = String::with_capacity(40_000);
    while text.len() < 40_000 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        text += &data_encoding::BASE64.encode(&state.to_le_bytes());
    }
    text
}

/// 2,000 pages in a tree, 60 MB altogether.
fn large_site() -> Server {
    Server::start(|_, target| {
        let number = target.strip_prefix("/").unwrap_or_default();
        let n = match number {
            "" => 0,
            digits => digits.parse().unwrap_or(u64::MAX),
        };
        if n >= 2_000 {
            return Answer::not_found();
        }
        let children = [2 * n + 1, 2 * n + 2].map(|c| {
            let there = c < 2_000;
            if there {
                format!("<a href=/{c}>x</a>")
            } else {
                String::new()
            }
        });
        Answer::html(format!(
            "<title>{n}</title>{}{}",
            children.concat(),
            noise(n)
        ))
    })
}

#[test]
fn a_full_disk_stops_the_crawl_and_costs_nothing_that_was_stored() {
    let tmpfs = [1, 4, 9, 16, 32, 48].map(|megabytes| (Kind::Tmpfs, megabytes));
    let ext4 = [3, 20].map(|megabytes| (Kind::Ext4, megabytes));
    for (kind, megabytes) in tmpfs.into_iter().chain(ext4) {
        let Some(disk) = Disk::new(kind, megabytes) else {
            continue;
        };
        let server = large_site();
        let more = ["--checkpoint-every", "1s", "--per-host", "4", "--quiet"];
        let crawl = Crawl::new(&[server.url("a.test", "/")], &more);
        let crawl = crawl.in_dir(&disk.path().join("crawl"));
        let ended = crawl.run().expect(1);
        let line = ended.only_line();
        assert!(line.contains("space"), "{kind:?}, {megabytes} MiB: {line}");
        let full = crawl.run().expect(1);
        assert!(full.only_line().contains("space"), "again: {full:?}");
        disk.grow(512);
        let ended = crawl.run().expect(0);
        let done = crawl.urls_in("done");
        let expected: BTreeSet<String> = (1..2_000)
            .map(|n| server.url("a.test", &format!("/{n}")))
            .chain([server.url("a.test", "/")])
            .collect();
        assert_eq!(done, expected, "{kind:?}, {megabytes} MiB: {ended:?}");
        crawl.assert_sound();
    }
}
