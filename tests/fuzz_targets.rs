//! The fuzz targets on the stable toolchain: every seed of `fuzz/corpus`, then mutations of them from a seeded generator,
//! so that all of it can be repeated. Coverage-guided runs of any length: CONTRIBUTING.md, "Fuzzing".
//!
//! * `CYCLOSA_FUZZ_RUNS`: mutations a target (a small number where unset);
//! * `CYCLOSA_FUZZ_SEED`: other mutations (1 where unset);
//! * `CYCLOSA_FUZZ_FILE`: this file alone; it is how a failure is replayed.
//!
//! A run fails where a target panics, asks for more memory than it may at once, or does not come back. The input is
//! written to a file first, and the command that replays it is printed.

#[path = "../fuzz/targets/lib.rs"]
mod targets;

use cyclosa::sim::dice::Dice;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;
use targets::{ALL, LARGEST_REQUEST, Target};

/// Mutations of a target where nobody says otherwise.
const RUNS: u64 = 3_000;
/// What an input may be mutated to, bytes.
const INPUT_BYTES_MAX: usize = 4 << 10;
/// An input that takes so long hangs. It is no measurement: the slowest takes milliseconds.
const HUNG: Duration = Duration::from_secs(100);

/// Keeps the largest request of each thread.
struct Watching;

thread_local! {
    static LARGEST: Cell<usize> = const { Cell::new(0) };
}

fn note(size: usize) {
    LARGEST.set(LARGEST.get().max(size));
}

// SAFETY: every call goes to the system's allocator with the caller's arguments; watching touches no memory of theirs.
unsafe impl GlobalAlloc for Watching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: the caller keeps the contract of `alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`; the block came from `System`.
        unsafe { System.dealloc(ptr, layout) }
    }
    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size);
        // SAFETY: the caller keeps the contract of `realloc`; the block came from `System`.
        unsafe { System.realloc(ptr, layout, size) }
    }
}

#[global_allocator]
static WATCHING: Watching = Watching;

fn number(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Err(_) => default,
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{name}={text} is no number")),
    }
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(name);
    let entries =
        std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|e| e.expect("an entry").path()).collect();
    paths.sort();
    paths
        .iter()
        .map(|p| std::fs::read(p).expect("a seed"))
        .collect()
}

/// Hands `target` what it is to be run on: one file, or the seeds and mutations of them.
fn inputs(name: &str, mut run: impl FnMut(&[u8])) {
    if let Some(path) = std::env::var_os("CYCLOSA_FUZZ_FILE") {
        let path = PathBuf::from(path);
        run(&std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())));
        return;
    }
    let seeds = corpus(name);
    assert!(!seeds.is_empty(), "fuzz/corpus/{name} has no seeds");
    seeds.iter().for_each(|seed| run(seed));
    let mut dice = Dice::new(number("CYCLOSA_FUZZ_SEED", 1));
    for _ in 0..number("CYCLOSA_FUZZ_RUNS", RUNS) {
        run(&mutated(&seeds, &mut dice));
    }
}

/// Runs `target` on its inputs, in a thread of its own so that a hang is noticed.
fn fuzz(name: &'static str, target: Target) {
    let (sender, receiver) = channel::<Vec<u8>>();
    let worker = std::thread::spawn(move || {
        let mut count = 0u64;
        inputs(name, |input| {
            count += 1;
            // Whoever waits is told of each input before it is run.
            let _ = sender.send(input.to_vec());
            LARGEST.set(0);
            target(input);
            let largest = LARGEST.get();
            assert!(
                largest <= LARGEST_REQUEST,
                "{largest} bytes were asked for at once"
            );
        });
        count
    });
    let mut last = Vec::new();
    let hung = loop {
        match receiver.recv_timeout(HUNG) {
            Ok(input) => last = input,
            Err(RecvTimeoutError::Disconnected) => break false,
            Err(RecvTimeoutError::Timeout) => break true,
        }
    };
    if hung {
        replay(name, &last);
        panic!("{name}: an input does not come to an end");
    }
    match worker.join() {
        Ok(count) => println!("{name}: {count} executions"),
        Err(panic) => {
            replay(name, &last);
            std::panic::resume_unwind(panic);
        }
    }
}

/// Keeps the input that failed, and says how it is run again.
fn replay(name: &str, input: &[u8]) {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{name}.bin"));
    std::fs::write(&path, input).expect("room for the input that failed");
    eprintln!(
        "replay: CYCLOSA_FUZZ_FILE={} cargo test --test fuzz_targets {name}",
        path.display()
    );
}

fn pick<'s>(seeds: &'s [Vec<u8>], dice: &mut Dice) -> &'s [u8] {
    &seeds[dice.below(seeds.len() as u64) as usize]
}

/// One of the seeds, changed in one to six places.
fn mutated(seeds: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    let mut it = pick(seeds, dice).to_vec();
    for _ in 0..dice.between(1, 6) {
        let at = dice.below(it.len() as u64 + 1) as usize;
        let most = 1 << dice.below(8);
        let some = (dice.below(most) as usize).min(it.len() - at);
        match dice.below(9) {
            0 | 1 => flip(&mut it, at, dice),
            2 => it.insert(at, dice.roll() as u8),
            3 => {
                it.drain(at..at + some);
            }
            4 => it.truncate(at),
            5 => interesting(&mut it, at, dice),
            6 => {
                let piece = it[at..at + some].to_vec();
                let to = dice.below(it.len() as u64 + 1) as usize;
                it.splice(to..to, piece.repeat(dice.between(1, 20) as usize));
            }
            7 => {
                // The end of another seed.
                let other = pick(seeds, dice);
                let from = dice.below(other.len() as u64 + 1) as usize;
                it.truncate(at);
                it.extend_from_slice(&other[from..]);
            }
            _ => {
                let other = pick(seeds, dice);
                let from = dice.below(other.len() as u64 + 1) as usize;
                let piece = other[from..].iter().take(some).copied();
                it.splice(at..at + some, piece);
            }
        }
        it.truncate(INPUT_BYTES_MAX);
    }
    it
}

fn flip(it: &mut [u8], at: usize, dice: &mut Dice) {
    if let Some(byte) = it.get_mut(at) {
        match dice.below(2) {
            0 => *byte ^= 1 << dice.below(8),
            _ => *byte = dice.roll() as u8,
        }
    }
}

/// Overwrites a number with one that is at the edge of something.
fn interesting(it: &mut [u8], at: usize, dice: &mut Dice) {
    let edge =
        [0, 1, 16, 32, 64, 100, 127, 255, 256, 4_095, 4_096, 65_535][dice.below(12) as usize];
    let number = match dice.below(4) {
        0 => edge,
        1 => u64::MAX - edge,
        2 => (1 << 31) - edge,
        _ => 1 << dice.below(64),
    };
    let bytes = number.to_le_bytes();
    let width = 1 << dice.below(4);
    for (to, from) in it[at..].iter_mut().zip(&bytes[..width]) {
        *to = *from;
    }
}

macro_rules! targets {
    ($($name:ident),*) => {
        $(
            #[test]
            fn $name() {
                fuzz(stringify!($name), targets::$name::run);
            }
        )*

        #[test]
        fn every_target_is_run() {
            assert_eq!(ALL.map(|(name, _)| name), [$(stringify!($name)),*]);
        }
    };
}

targets!(
    charset, checkpoint, decode, dns, html, http1, records, references, robots, segment, url, xml
);
