//! Crashes simulated crawls for as long as asked, and says what was survived.
//!
//! `cargo run --release --example simulate -- [--seconds N] [--from SEED] [--seed SEED]`
//!
//! With `--seed` one seed is done, each operation of it photographed; that is how a failure is repeated. Ends with 1
//! and the command that repeats it at the first failure.

use cyclosa::sim::{Effort, Figures, replay, simulate};
use cyclosa::time::{Clock, SECOND};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

/// Each operation is photographed, and three storms come over each seed.
const EFFORT: Effort = Effort {
    picture_one_in: 1,
    storms: 3,
};

/// The seed at work, for the message of a panic.
static SEED: AtomicU64 = AtomicU64::new(0);

fn main() -> ExitCode {
    let (mut seconds, mut from, mut only) = (10, 0, None);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let number = words.next().and_then(|n| n.parse::<u64>().ok());
        match (word.as_str(), number) {
            ("--seconds", Some(n)) => seconds = n,
            ("--from", Some(n)) => from = n,
            ("--seed", Some(n)) => only = Some(n),
            _ => {
                eprintln!("usage: simulate [--seconds N] [--from SEED] [--seed SEED]");
                return ExitCode::from(2);
            }
        }
    }
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        usual(info);
        eprintln!("replay: {}", replay(SEED.load(Ordering::Relaxed)));
    }));
    let clock = Clock::starting_at(0);
    let mut sum = Figures::default();
    for seed in only.unwrap_or(from).. {
        SEED.store(seed, Ordering::Relaxed);
        match simulate(seed, EFFORT) {
            Ok(figures) => sum.add(&figures),
            Err(failure) => {
                eprintln!("{failure}");
                println!(
                    "failed after {} s, {} crash points",
                    clock.now() / SECOND,
                    sum.crash_points
                );
                return ExitCode::FAILURE;
            }
        }
        if only.is_some() || clock.now() >= seconds * SECOND {
            break;
        }
    }
    let wall = clock.now() as f64 / SECOND as f64;
    print!("{sum}");
    let hours = sum.simulated as f64 / SECOND as f64 / 3_600.0;
    println!(
        "{wall:.1} s: {:.0} crash points a second, {:.2} simulated hours a second",
        sum.crash_points as f64 / wall,
        hours / wall
    );
    ExitCode::SUCCESS
}
