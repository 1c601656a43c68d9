//! The pages at rest: the frontier's credits.
//!
//! What must hold: pages at rest plus pages on their way are `--concurrency`; hosts on trial hold all but one in
//! [`CREDITS_KEPT_ONE_IN`] of them at most, so that thousands of hosts that drip do not stop the others; the page used
//! last is given out first (its buffers are warm); buffers at rest hold at most their share of `--memory`
//! ([`Budget::pages_at_rest`](crate::budget::Budget::pages_at_rest)) together.

use crate::event::Page;
use crate::limits::{CREDITS_KEPT_ONE_IN, PAGE_REST_BYTES_MAX};

/// Pages at rest. Boxed, because a page travels the rings by its address.
pub struct PagePool {
    rest: Vec<Box<Page>>,
    bytes: usize,
    bytes_max: usize,
    total: usize,
    /// Pages on their way for hosts on trial.
    on_trial: usize,
}

impl PagePool {
    /// `total` pages without buffers, which keep `bytes_max` bytes at rest.
    pub fn new(total: usize, bytes_max: usize) -> Self {
        Self {
            rest: (0..total).map(|_| Box::default()).collect(),
            bytes: 0,
            bytes_max,
            total,
            on_trial: 0,
        }
    }

    /// Whether a credit is left, for a host on trial or for another.
    pub fn has(&self, on_trial: bool) -> bool {
        let for_trials = self.total - self.total / CREDITS_KEPT_ONE_IN;
        !self.rest.is_empty() && (!on_trial || self.on_trial < for_trials)
    }

    /// A page to send, if a credit is left.
    pub fn take(&mut self, on_trial: bool) -> Option<Box<Page>> {
        if !self.has(on_trial) {
            return None;
        }
        let mut page = self.rest.pop()?;
        self.bytes -= page.footprint();
        page.reset();
        page.on_trial = on_trial;
        self.on_trial += usize::from(on_trial);
        Some(page)
    }

    /// Takes a page back.
    pub fn put(&mut self, mut page: Box<Page>) {
        self.on_trial -= usize::from(std::mem::take(&mut page.on_trial));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_warmest_page_goes_first_and_huge_buffers_are_given_back() {
        let mut pool = PagePool::new(3, usize::MAX);
        let mut page = pool.take(false).unwrap();
        page.buf = Vec::with_capacity(1000);
        pool.put(page);
        let mut page = pool.take(false).unwrap();
        assert!(page.buf.capacity() >= 1000);
        page.buf = Vec::with_capacity(PAGE_REST_BYTES_MAX + 1);
        assert_eq!(pool.away(), 1);
        pool.put(page);
        assert_eq!(pool.take(false).unwrap().buf.capacity(), 0);
    }

    #[test]
    fn pages_at_rest_keep_their_share_and_no_more() {
        let mut pool = PagePool::new(3, 2_500);
        let mut away: Vec<_> = std::iter::from_fn(|| pool.take(false)).collect();
        for page in &mut away {
            page.buf = Vec::with_capacity(1_000);
        }
        away.into_iter().for_each(|page| pool.put(page));
        let kept: Vec<_> = std::iter::from_fn(|| pool.take(false))
            .map(|page| page.buf.capacity())
            .collect();
        assert_eq!(kept, [0, 1_000, 1_000]);
    }

    #[test]
    fn hosts_on_trial_leave_a_share_to_the_others() {
        let mut pool = PagePool::new(8, usize::MAX);
        let mut held: Vec<_> = std::iter::from_fn(|| pool.take(true)).collect();
        assert_eq!((held.len(), pool.left()), (6, 2));
        assert!(pool.take(false).is_some());
        pool.put(held.pop().unwrap());
        assert!(pool.take(true).is_some());
        // Few credits cannot be shared; nobody is locked out.
        assert!(PagePool::new(1, usize::MAX).take(true).is_some());
    }
}
