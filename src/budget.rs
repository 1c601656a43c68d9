//! How `--memory` is divided, and the bytes that pages on their way hold together.
//!
//! | share | what | where it drops, and the count |
//! |---|---|---|
//! | [`QUEUES_PERCENT`] | URLs that wait | `frontier_memory` |
//! | [`SEEN_PERCENT`] | the table of known URLs | `frontier_memory` |
//! | [`DECODED_PERCENT`] | scratch of the parsers: bodies without their codings, text made UTF-8 | `decoding_ended` |
//! | [`PAGES_PERCENT`] | buffers of pages, on their way and at rest ([`PAGES_REST_PERCENT`]) | nothing: large bodies wait |
//! | the rest | tables of fixed limits, rings, stacks, the program | each its own |
//!
//! What must hold: whatever servers send, the process holds at most `--memory`, [`BESIDE_BYTES`], [`BESIDE_PARSER_BYTES`]
//! for each parser and [`PAGE_FREE_BYTES`] for each page on its way. Deliberately absent: asking the system how much is
//! used. The bounds are sums of bounds, so they hold on any allocator.
//!
//! [`BESIDE_BYTES`]: crate::limits::BESIDE_BYTES
//! [`BESIDE_PARSER_BYTES`]: crate::limits::BESIDE_PARSER_BYTES

use crate::limits::{
    DECODED_BYTES_MAX, DECODED_FREE_BYTES, DECODED_PERCENT, PAGE_FREE_BYTES, PAGE_POOL_BYTES_MAX,
    PAGES_PERCENT, PAGES_REST_PERCENT, QUEUES_PERCENT, SEEN_PERCENT,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Scratch buffers of a parser that are large at the same time: two layers of codings, or one and its text.
const LARGE_SCRATCHES: usize = 2;

/// A memory budget.
#[derive(Clone, Copy, Debug)]
pub struct Budget(u64);

impl Budget {
    /// Of this many bytes: `--memory`.
    pub fn of(memory: u64) -> Self {
        Self(memory)
    }

    fn share(self, percent: u64) -> usize {
        usize::try_from(self.0 / 100 * percent).unwrap_or(usize::MAX)
    }

    /// Bytes of queued URLs.
    pub fn queues(self) -> usize {
        self.share(QUEUES_PERCENT)
    }

    /// Bytes of the table of known URLs.
    pub fn seen(self) -> usize {
        self.share(SEEN_PERCENT)
    }

    /// Bytes that one body becomes at most where so many parsers share what there is: never more than
    /// [`DECODED_BYTES_MAX`], never less than [`DECODED_FREE_BYTES`].
    pub fn decoded(self, parsers: usize) -> usize {
        (self.share(DECODED_PERCENT) / (parsers.max(1) * LARGE_SCRATCHES))
            .clamp(DECODED_FREE_BYTES, DECODED_BYTES_MAX)
    }

    /// Buffer bytes of all pages beyond [`PAGE_FREE_BYTES`] each.
    pub fn pages(self) -> usize {
        self.share(PAGES_PERCENT)
    }

    /// Buffer bytes of the pages at rest.
    pub fn pages_at_rest(self) -> usize {
        self.share(PAGES_REST_PERCENT).min(PAGE_POOL_BYTES_MAX)
    }
}

/// What all pages hold together beyond [`PAGE_FREE_BYTES`] each; shared by the lanes.
#[derive(Clone, Debug)]
pub struct PageShare(Arc<Held>);

#[derive(Debug)]
struct Held {
    bytes: AtomicUsize,
    most: usize,
}

impl PageShare {
    /// A share of at most `most` bytes.
    pub fn new(most: usize) -> Self {
        let bytes = AtomicUsize::new(0);
        Self(Arc::new(Held { bytes, most }))
    }

    /// Whether so much more may be held.
    pub fn has(&self, bytes: usize) -> bool {
        self.0.bytes.load(Ordering::Relaxed).saturating_add(bytes) <= self.0.most
    }
}

/// What one page has of the share. Given back when it is dropped.
#[derive(Debug, Default)]
pub struct Holding {
    bytes: usize,
    of: Option<PageShare>,
}

impl Holding {
    /// Makes it the holding of a page with a buffer of `buffer` bytes and a record of the like. False, and nothing
    /// changes, where the share has not that much left; `surely` takes it all the same.
    pub fn grow(&mut self, buffer: usize, share: &PageShare, surely: bool) -> bool {
        let wanted = buffer.saturating_mul(2).saturating_sub(PAGE_FREE_BYTES);
        let more = wanted.saturating_sub(self.bytes);
        if more == 0 {
            return true;
        }
        // Two lanes may pass the test at once; then the share is exceeded by one growth.
        if !surely && !share.has(more) {
            return false;
        }
        share.0.bytes.fetch_add(more, Ordering::Relaxed);
        self.bytes += more;
        self.of.get_or_insert_with(|| share.clone());
        true
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        if let Some(share) = &self.of {
            share.0.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::MEMORY_BYTES_MIN;

    #[test]
    fn the_shares_are_less_than_the_whole_and_none_is_nothing() {
        for memory in [MEMORY_BYTES_MIN, 256 << 20, 8 << 30, u64::MAX / 2] {
            let budget = Budget::of(memory);
            for parsers in [1, 2, 6] {
                let decoded = budget.decoded(parsers) * LARGE_SCRATCHES * parsers;
                let all = [budget.queues(), budget.seen(), decoded, budget.pages()];
                let sum: u64 = all.iter().map(|n| *n as u64).sum();
                assert!(sum < memory / 10 * 9 + (8 << 20), "{memory} {parsers}");
                assert!(all.iter().all(|n| *n >= 1 << 20));
            }
            assert!(budget.pages_at_rest() < budget.pages());
        }
        assert_eq!(Budget::of(8 << 30).decoded(6), DECODED_BYTES_MAX);
        assert_eq!(Budget::of(64 << 20).decoded(64), DECODED_FREE_BYTES);
    }

    #[test]
    fn what_pages_hold_is_given_back() {
        let share = PageShare::new(10 * PAGE_FREE_BYTES);
        let (mut one, mut other) = (Holding::default(), Holding::default());
        assert!(one.grow(PAGE_FREE_BYTES / 2, &share, false));
        assert!(share.has(10 * PAGE_FREE_BYTES), "the first bytes are free");
        assert!(one.grow(4 * PAGE_FREE_BYTES, &share, false));
        assert!(one.grow(3 * PAGE_FREE_BYTES, &share, false), "it has that");
        assert!(!other.grow(4 * PAGE_FREE_BYTES, &share, false));
        assert!(other.grow(4 * PAGE_FREE_BYTES, &share, true));
        assert!(!share.has(0));
        drop(one);
        assert!(share.has(3 * PAGE_FREE_BYTES) && !share.has(3 * PAGE_FREE_BYTES + 1));
        drop(other);
        assert!(share.has(10 * PAGE_FREE_BYTES));
    }
}
