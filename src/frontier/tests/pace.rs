//! New hosts beside thousands that drip: how soon they have their first two answers.

use super::*;
use crate::limits::{CONCURRENCY_DEFAULT, PROMPT_MS, RATE_WINDOW_MS};
use crate::time::MILLISECOND;

/// Hosts that drip.
const DRIPS: usize = 5_000;
/// What a host that drips holds its credit for: the window of the minimum rate.
const DRIP: Tick = RATE_WINDOW_MS * MILLISECOND;
/// What an answer of another one takes.
const ANSWER: Tick = 100 * MILLISECOND;
/// How finely time is cut.
const STEP: Tick = 50 * MILLISECOND;

/// A frontier, and what is on its way with when it comes back.
struct Outside {
    frontier: Frontier,
    away: Vec<(Tick, Box<Page>)>,
    now: Tick,
}

impl Outside {
    fn new(concurrency: usize) -> Self {
        let config = Config {
            concurrency,
            ..config()
        };
        let mut frontier = Frontier::new(&config, &IDENTITY).unwrap();
        for n in 0..DRIPS {
            seed(&mut frontier, &format!("http://h{n}.drip.test/"));
        }
        Self {
            frontier,
            away: Vec::new(),
            now: 0,
        }
    }

    /// One step of time: answers that are due, then orders. Returns the hosts that answered.
    fn step(&mut self) -> Vec<String> {
        let mut answered = Vec::new();
        let (due, away) = std::mem::take(&mut self.away)
            .into_iter()
            .partition(|(at, _)| *at <= self.now);
        self.away = away;
        let due: Vec<_> = due;
        for (_, mut page) in due {
            page.clocks.done = self.now;
            let host = String::from_utf8_lossy(page.origin()).into_owned();
            match page.job {
                Job::Resolve => {
                    page.outcome = Outcome::Fetched;
                    page.addresses = vec![Ipv4Addr::LOCALHOST.into()];
                }
                _ if host.ends_with(".drip.test") => page.outcome = Outcome::FirstByteTimeout,
                _ => {
                    answer_status(&mut page, 404);
                    answered.push(host);
                }
            }
            self.frontier.handle(page, self.now);
        }
        for mut page in orders(&mut self.frontier, self.now) {
            page.clocks.started = self.now;
            let drips = page.origin().ends_with(b".drip.test") && page.job != Job::Resolve;
            let took = if drips { DRIP } else { ANSWER };
            self.away.push((self.now + took, page));
        }
        self.now += STEP;
        answered
    }

    fn until(&mut self, at: Tick) {
        while self.now < at {
            self.step();
        }
    }

    /// How long a host that is found now waits for the first two answers.
    fn newcomer(&mut self, n: usize) -> Tick {
        let found = self.now;
        let url = format!("http://n{n}.new.test/");
        seed(&mut self.frontier, &url);
        let mut answers = 0;
        while answers < 2 {
            let host = url.trim_end_matches('/');
            answers += self.step().iter().filter(|h| *h == host).count();
            assert!(self.now < found + 600 * SECOND, "it never had its turn");
        }
        self.now - found
    }
}

/// Seconds that hosts found at different times wait, sorted.
fn waits(concurrency: usize, from: Tick) -> Vec<f64> {
    let mut outside = Outside::new(concurrency);
    outside.until(from);
    let mut waits: Vec<f64> = (0..12)
        .map(|n| {
            let next = outside.now + 3_300 * MILLISECOND;
            let wait = outside.newcomer(n);
            outside.until(next);
            wait as f64 / SECOND as f64
        })
        .collect();
    waits.sort_by(f64::total_cmp);
    waits
}

#[test]
fn a_new_host_does_not_wait_for_thousands_that_drip() {
    let bound = 2.0 * (PROMPT_MS as f64 / 1e3 + 1.0);
    for concurrency in [CONCURRENCY_DEFAULT, 8 * CONCURRENCY_DEFAULT] {
        // While nothing is known of those that drip, and when all have dripped.
        for from in [SECOND, 400 * SECOND] {
            let waits = waits(concurrency, from);
            println!(
                "--concurrency {concurrency}, from {} s: {waits:.1?}",
                from / SECOND
            );
            let (median, most) = (waits[waits.len() / 2], waits[waits.len() - 1]);
            assert!(most <= bound, "{most} s of {bound}");
            assert!(from == SECOND || median < 1.0, "{median} s");
        }
    }
}
