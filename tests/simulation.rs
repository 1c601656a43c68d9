//! A bounded number of simulated crawls and crashes; `cargo run --release --example simulate` does as many as wanted.

use cyclosa::sim::{Effort, Failure, Figures, replay, simulate};

/// Says which seed was at work when something panicked.
struct Replay(u64);

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("replay: {}", replay(self.0));
        }
    }
}

fn seeds(seeds: impl IntoIterator<Item = u64>, effort: Effort) -> Figures {
    let mut sum = Figures::default();
    for seed in seeds {
        let _replay = Replay(seed);
        let figures = simulate(seed, effort).unwrap_or_else(|failure: Failure| panic!("{failure}"));
        sum.add(&figures);
    }
    println!("{sum}");
    sum
}

#[test]
fn a_power_failure_at_any_operation_of_a_crawl_loses_nothing() {
    let every = Effort {
        picture_one_in: 1,
        storms: 0,
    };
    let sum = seeds(0..16, every);
    assert!(sum.crash_points > 1_000, "{sum}");
    assert!(
        sum.in_restore > 100 && sum.restores_of_nothing > 100,
        "{sum}"
    );
    for operation in ["create", "remove", "sync", "truncate", "write"] {
        assert!(
            sum.by_operation.contains_key(operation),
            "{operation}: {sum}"
        );
    }
}

#[test]
fn crawls_end_the_same_with_and_without_crashes_and_faults() {
    let stormy = Effort {
        picture_one_in: 40,
        storms: 3,
    };
    let sum = seeds(1_000..1_100, stormy);
    for fault in ["power failure", "EIO", "short write", "disk full"] {
        assert!(sum.faults.contains_key(fault), "{fault}: {sum}");
    }
    assert!(sum.redone > 0 && sum.clean_stops > 0, "{sum}");
}
