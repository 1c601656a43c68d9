//! The pages at rest: the frontier's credits.
//!
//! Hosts that drip must not stop the others, however many they are, nor new hosts that come later. So all but one in
//! [`CREDITS_KEPT_ONE_IN`] credits are for hosts that answer promptly alone; a credit that another host has held for
//! longer than a prompt answer takes, or that a slow one holds, is *stuck*; of what these leave, new hosts leave one in so
//! many again. Wherever a burst of hosts that drip takes all it may, some is left after that time for those behind it.
//!
//! What must hold: pages at rest plus pages on their way are `--concurrency`; credits of hosts that are not prompt are
//! fresh or stuck, and no more than their share; the page used last is given out first (its buffers are warm); buffers at
//! rest hold at most their share of `--memory` ([`Budget::pages_at_rest`](crate::budget::Budget::pages_at_rest)) together.

use crate::event::{Pace, Page};
use crate::limits::{CREDITS_KEPT_ONE_IN, CREDITS_SLOW_ONE_IN, PAGE_REST_BYTES_MAX, PROMPT_MS};
use crate::time::{SECOND, Tick};

/// Seconds, the current one included, of which a credit given in one of them is fresh.
const FRESH_S: u64 = PROMPT_MS.div_ceil(1_000) + 1;

/// Pages at rest. Boxed, because a page travels the rings by its address.
pub struct PagePool {
    rest: Vec<Box<Page>>,
    bytes: usize,
    bytes_max: usize,
    total: usize,
    /// Pages on their way for new hosts by the second in which they were ordered, in turn.
    fresh: [usize; FRESH_S as usize],
    /// The second up to which these are kept.
    second: u64,
    /// Pages on their way for slow hosts, and those for new ones that are no longer fresh.
    stuck: usize,
}

impl PagePool {
    /// `total` pages without buffers, which keep `bytes_max` bytes at rest.
    pub fn new(total: usize, bytes_max: usize) -> Self {
        Self {
            rest: (0..total).map(|_| Box::default()).collect(),
            bytes: 0,
            bytes_max,
            total,
            fresh: [0; FRESH_S as usize],
            second: 0,
            stuck: 0,
        }
    }

    /// Whether a credit is left for a host of this pace.
    pub fn has(&self, pace: Pace) -> bool {
        let fresh: usize = self.fresh.iter().sum();
        let for_trials = all_but_one_in(CREDITS_KEPT_ONE_IN, self.total);
        let left = for_trials.saturating_sub(self.stuck);
        !self.rest.is_empty()
            && match pace {
                Pace::Prompt => true,
                Pace::New => fresh < all_but_one_in(CREDITS_KEPT_ONE_IN, left),
                Pace::Slow => {
                    self.stuck < self.total.div_ceil(CREDITS_SLOW_ONE_IN)
                        && fresh + self.stuck < for_trials
                }
            }
    }

    /// Lets what is no longer fresh be stuck.
    pub fn age(&mut self, now: Tick) {
        let second = now / SECOND;
        self.second = self.second.max(second.saturating_sub(FRESH_S));
        while self.second < second {
            self.second += 1;
            self.stuck += std::mem::take(&mut self.fresh[(self.second % FRESH_S) as usize]);
        }
    }

    /// When there may be something for [`PagePool::age`] next.
    pub fn next_aging(&self) -> Option<Tick> {
        let some = self.fresh.iter().any(|n| *n > 0);
        some.then(|| (self.second + 1) * SECOND)
    }

    /// A page to send for a host of this pace, if a credit is left.
    pub fn take(&mut self, pace: Pace, now: Tick) -> Option<Box<Page>> {
        self.age(now);
        if !self.has(pace) {
            return None;
        }
        let mut page = self.rest.pop()?;
        self.bytes -= page.footprint();
        page.reset();
        page.pace = pace;
        page.clocks.ordered = now;
        *self.account(&page) += usize::from(pace != Pace::Prompt);
        Some(page)
    }

    /// Where a page on its way for a host that is not prompt is counted.
    fn account(&mut self, page: &Page) -> &mut usize {
        let second = page.clocks.ordered / SECOND;
        match page.pace == Pace::New && second + FRESH_S > self.second {
            true => &mut self.fresh[(second % FRESH_S) as usize],
            false => &mut self.stuck,
        }
    }

    /// Takes a page back.
    pub fn put(&mut self, mut page: Box<Page>) {
        *self.account(&page) -= usize::from(page.pace != Pace::Prompt);
        let bytes = page.footprint();
        if bytes > PAGE_REST_BYTES_MAX || self.bytes + bytes > self.bytes_max {
            page.shrink();
        }
        self.bytes += page.footprint();
        self.rest.push(page);
        debug_assert!(self.rest.len() <= self.total);
    }

    /// Credits left.
    pub fn left(&self) -> usize {
        self.rest.len()
    }

    /// Pages on their way.
    pub fn away(&self) -> usize {
        self.total - self.rest.len()
    }
}

fn all_but_one_in(n: usize, of: usize) -> usize {
    of - of / n
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_warmest_page_goes_first_and_huge_buffers_are_given_back() {
        let mut pool = PagePool::new(3, usize::MAX);
        let mut page = pool.take(Pace::Prompt, 0).unwrap();
        page.buf = Vec::with_capacity(1000);
        pool.put(page);
        let mut page = pool.take(Pace::Prompt, 0).unwrap();
        assert!(page.buf.capacity() >= 1000);
        page.buf = Vec::with_capacity(PAGE_REST_BYTES_MAX + 1);
        assert_eq!(pool.away(), 1);
        pool.put(page);
        assert_eq!(pool.take(Pace::Prompt, 0).unwrap().buf.capacity(), 0);
    }

    #[test]
    fn pages_at_rest_keep_their_share_and_no_more() {
        let mut pool = PagePool::new(3, 2_500);
        let mut away: Vec<_> = std::iter::from_fn(|| pool.take(Pace::Prompt, 0)).collect();
        for page in &mut away {
            page.buf = Vec::with_capacity(1_000);
        }
        away.into_iter().for_each(|page| pool.put(page));
        let kept: Vec<_> = std::iter::from_fn(|| pool.take(Pace::Prompt, 0))
            .map(|page| page.buf.capacity())
            .collect();
        assert_eq!(kept, [0, 1_000, 1_000]);
    }

    fn all(pool: &mut PagePool, pace: Pace, now: Tick) -> Vec<Box<Page>> {
        std::iter::from_fn(|| pool.take(pace, now)).collect()
    }

    #[test]
    fn new_hosts_leave_a_share_to_others_and_to_those_behind_them() {
        let mut pool = PagePool::new(1_024, usize::MAX);
        let mut held = Vec::new();
        // 5,000 hosts that drip are found at once; each holds its credit for 20 s.
        for (at, more) in [
            (0, 576),
            (3, 0),
            (6, 144),
            (12, 36),
            (18, 9),
            (24, 3),
            (30, 0),
        ] {
            held.push(all(&mut pool, Pace::New, at * SECOND));
            assert_eq!(held[held.len() - 1].len(), more, "{at} s");
        }
        assert_eq!(pool.left(), 1_024 / 4);
        assert_eq!(all(&mut pool, Pace::Slow, 31 * SECOND).len(), 0);
        let prompt = all(&mut pool, Pace::Prompt, 31 * SECOND);
        assert_eq!((prompt.len(), pool.left()), (256, 0));
        prompt.into_iter().for_each(|page| pool.put(page));
        held.into_iter().flatten().for_each(|page| pool.put(page));
        assert_eq!((pool.stuck, pool.fresh), (0, [0; FRESH_S as usize]));
    }

    #[test]
    fn slow_hosts_leave_a_share_to_new_ones() {
        let mut pool = PagePool::new(1_024, usize::MAX);
        let slow = all(&mut pool, Pace::Slow, 0);
        assert_eq!(slow.len(), 512);
        assert_eq!(all(&mut pool, Pace::New, 0).len(), 192);
        assert_eq!(pool.next_aging(), Some(SECOND));
    }

    #[test]
    fn few_credits_cannot_be_shared_and_nobody_is_locked_out() {
        for total in 1..5 {
            for pace in Pace::ALL {
                let mut pool = PagePool::new(total, usize::MAX);
                for now in [0, 1, 100] {
                    let page = pool.take(pace, now * SECOND).expect("a credit");
                    pool.put(page);
                }
            }
        }
    }

    proptest! {
        #[test]
        fn every_credit_is_counted_once(
            total in 1usize..40,
            steps in prop::collection::vec((0usize..5, 0u64..9), 0..300),
        ) {
            let mut pool = PagePool::new(total, usize::MAX);
            let (mut held, mut now) = (Vec::new(), 0);
            for (what, n) in steps {
                match what {
                    0..3 => held.extend(pool.take(Pace::ALL[what], now)),
                    3 => now += n * SECOND,
                    _ if held.is_empty() => {}
                    _ => {
                        let page = held.swap_remove(n as usize % held.len());
                        pool.put(page);
                    }
                }
                pool.age(now);
                let trials: Vec<_> = held.iter().filter(|p| p.pace != Pace::Prompt).collect();
                let old = |p: &Page| p.pace == Pace::Slow
                    || p.clocks.ordered / SECOND + FRESH_S <= now / SECOND;
                prop_assert_eq!(pool.stuck, trials.iter().filter(|p| old(p)).count());
                prop_assert_eq!(pool.fresh.iter().sum::<usize>() + pool.stuck, trials.len());
                prop_assert!(trials.len() <= total - total / CREDITS_KEPT_ONE_IN);
                prop_assert_eq!(pool.left() + held.len(), total);
            }
        }
    }
}
