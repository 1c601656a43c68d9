//! A network of a test's own, in which addresses may look public. Needs root and `ip`.

use std::fs::File;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A network namespace with loopback up; gone when dropped.
pub struct Namespace {
    name: String,
}

fn ip(words: &[&str]) -> bool {
    let ran = Command::new("ip")
        .args(words)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    ran.is_ok_and(|status| status.success())
}

impl Namespace {
    /// `None`, and a word about it, where none can be made.
    pub fn new() -> Option<Self> {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("cyclosa-test-{}-{number}", std::process::id());
        if !ip(&["netns", "add", &name]) {
            println!("skipped: no network namespace can be made (root and ip are needed)");
            return None;
        }
        let it = Self { name };
        if !it.ip(&["link", "set", "lo", "up"]) {
            println!("skipped: loopback cannot be brought up in a network namespace");
            return None;
        }
        Some(it)
    }

    /// Runs `ip` inside.
    pub fn ip(&self, words: &[&str]) -> bool {
        ip(&[&["-n", &self.name], words].concat())
    }

    /// The words that run a command inside.
    pub fn words(&self) -> [&str; 4] {
        ["ip", "netns", "exec", &self.name]
    }

    /// Runs `make` on a thread inside. Sockets that it makes stay inside, wherever they are used.
    pub fn inside<T: Send>(&self, make: impl FnOnce() -> T + Send) -> T {
        let file = File::open(format!("/run/netns/{}", self.name)).expect("it was made");
        thread::scope(|scope| {
            let there = scope.spawn(move || {
                rustix::thread::move_into_link_name_space(
                    std::os::fd::AsFd::as_fd(&file),
                    Some(rustix::thread::LinkNameSpaceType::Network),
                )
                .expect("root may enter");
                make()
            });
            there.join().expect("no panic inside")
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        ip(&["netns", "del", &self.name]);
    }
}
