//! The pages at rest: the frontier's credits.
//!
//! What must hold: pages at rest plus pages on their way are `--concurrency`; the page used last is given out first
//! (its buffers are warm); buffers at rest hold at most [`PAGE_POOL_BYTES_MAX`] bytes together.

use crate::event::Page;
use crate::limits::{PAGE_POOL_BYTES_MAX, PAGE_REST_BYTES_MAX};

/// Pages at rest. Boxed, because a page travels the rings by its address.
pub struct PagePool {
    rest: Vec<Box<Page>>,
    bytes: usize,
    total: usize,
}

impl PagePool {
    /// `total` pages without buffers.
    pub fn new(total: usize) -> Self {
        Self {
            rest: (0..total).map(|_| Box::default()).collect(),
            bytes: 0,
            total,
        }
    }

    /// A page to send, if a credit is left.
    pub fn take(&mut self) -> Option<Box<Page>> {
        let mut page = self.rest.pop()?;
        self.bytes -= page.footprint();
        page.reset();
        Some(page)
    }

    /// Takes a page back.
    pub fn put(&mut self, mut page: Box<Page>) {
        let bytes = page.footprint();
        if bytes > PAGE_REST_BYTES_MAX || self.bytes + bytes > PAGE_POOL_BYTES_MAX {
            page.shrink();
        }
        self.bytes += page.footprint();
        self.rest.push(page);
        debug_assert!(self.rest.len() <= self.total);
    }

    /// Credits left.
    pub fn len(&self) -> usize {
        self.rest.len()
    }

    /// Whether no credit is left.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
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
        let mut pool = PagePool::new(3);
        let mut page = pool.take().unwrap();
        page.buf = Vec::with_capacity(1000);
        pool.put(page);
        let mut page = pool.take().unwrap();
        assert!(page.buf.capacity() >= 1000);
        page.buf = Vec::with_capacity(PAGE_REST_BYTES_MAX + 1);
        assert_eq!(pool.away(), 1);
        pool.put(page);
        assert_eq!(pool.take().unwrap().buf.capacity(), 0);
    }
}
