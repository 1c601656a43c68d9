//! The hosts' queues: first in, first out, URL text included, in memory.
//!
//! What must hold:
//! * memory is proportional to what is queued: a queue is a chain of small blocks, given back as they are read;
//! * pushing and popping move bytes only; nothing is allocated per URL once the pool has grown;
//! * derived state: never saved, rebuilt from the URL log.
//!
//! Deliberately absent: looking into a queue further than its first depth, removal from the middle, priorities.

/// Bytes of a block that carry text; with the link to the next block it fills four cache lines.
const BLOCK_TEXT: usize = 252;
/// Blocks allocated at once (128 KiB): growing the pool never copies, and clearing a chunk takes some 50 µs.
const CHUNK_BLOCKS: usize = 512;
/// No block.
const NONE: u32 = u32::MAX;

/// Text, then the number of the next block.
type Block = [u8; BLOCK_TEXT + 4];

fn next_of(block: &Block) -> u32 {
    let [.., a, b, c, d] = *block;
    u32::from_le_bytes([a, b, c, d])
}

fn set_next(block: &mut Block, next: u32) {
    block[BLOCK_TEXT..].copy_from_slice(&next.to_le_bytes());
}

/// A queued URL without its origin, which the host knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Queued {
    /// Keyed fingerprint of the URL.
    pub fingerprint: u64,
    /// Links between a seed and it.
    pub depth: u16,
    /// How it was found ([`crate::event::LinkKind`] as a number).
    pub kind: u8,
    /// Redirects that led to it in a row.
    pub redirects: u8,
    /// Tries so far.
    pub tries: u8,
    /// Path and query.
    pub target: Vec<u8>,
}

/// The same, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct Item<'a> {
    /// Keyed fingerprint of the URL.
    pub fingerprint: u64,
    /// Links between a seed and it.
    pub depth: u16,
    /// How it was found.
    pub kind: u8,
    /// Redirects that led to it in a row.
    pub redirects: u8,
    /// Tries so far.
    pub tries: u8,
    /// Path and query.
    pub target: &'a [u8],
}

impl Queued {
    /// Borrowed.
    pub fn item(&self) -> Item<'_> {
        Item {
            fingerprint: self.fingerprint,
            depth: self.depth,
            kind: self.kind,
            redirects: self.redirects,
            tries: self.tries,
            target: &self.target,
        }
    }
}

impl Item<'_> {
    /// What stands before its target: fingerprint; depth, kind, redirects, tries and length, seven bytes.
    #[inline]
    fn head(&self) -> (u64, u64) {
        let second = u64::from(self.depth)
            | u64::from(self.kind) << 16
            | u64::from(self.redirects) << 24
            | u64::from(self.tries) << 32
            | u64::from(self.target.len() as u16) << 40;
        (self.fingerprint, second)
    }

    /// Owned.
    pub fn to_queued(&self) -> Queued {
        Queued {
            fingerprint: self.fingerprint,
            depth: self.depth,
            kind: self.kind,
            redirects: self.redirects,
            tries: self.tries,
            target: self.target.to_vec(),
        }
    }
}

/// Bytes in front of a target: fingerprint, depth, kind, redirects, tries, length.
const HEAD: usize = 8 + 2 + 1 + 1 + 1 + 2;

/// One host's queue; all its text lies in a [`Pool`].
#[derive(Clone, Copy, Debug)]
pub struct Queue {
    first: u32,
    last: u32,
    read_at: u16,
    write_at: u16,
    len: u32,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            first: NONE,
            last: NONE,
            read_at: 0,
            write_at: 0,
            len: 0,
        }
    }
}

impl Queue {
    /// Queued URLs.
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Whether nothing is queued.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// The blocks of all queues.
#[derive(Default)]
pub struct Pool {
    chunks: Vec<Box<[Block]>>,
    /// First of the blocks that were given back; each names the next.
    free: Option<u32>,
    /// Blocks that were ever used: those behind them are as they were made.
    touched: u32,
    used: usize,
}

impl Pool {
    /// Bytes in use by queues.
    pub fn bytes_used(&self) -> usize {
        self.used * size_of::<Block>()
    }

    /// Adds a URL at the end of `queue`.
    pub fn push(&mut self, queue: &mut Queue, item: &Item<'_>) {
        queue.len += 1;
        let (first, second) = item.head();
        let (at, len) = (usize::from(queue.write_at), HEAD + item.target.len());
        if queue.last != NONE && at + len <= BLOCK_TEXT {
            let text = &mut self.block(queue.last)[at..at + len];
            // Two overlapping words straight from registers; a copy out of an array would wait for its bytes.
            text[HEAD - 8..HEAD].copy_from_slice(&(second << 8 | first >> 56).to_le_bytes());
            text[..8].copy_from_slice(&first.to_le_bytes());
            text[HEAD..].copy_from_slice(item.target);
            queue.write_at += len as u16;
            return;
        }
        let mut head = [0u8; HEAD];
        head[..8].copy_from_slice(&first.to_le_bytes());
        head[8..].copy_from_slice(&second.to_le_bytes()[..HEAD - 8]);
        self.write(queue, &head);
        self.write(queue, item.target);
    }

    /// Bytes of the two cache lines that `queue` is appended to next, for nothing but having them in the cache.
    #[inline]
    pub fn touch(&self, queue: &Queue) -> u8 {
        let (n, at) = (queue.last as usize, usize::from(queue.write_at));
        self.chunks.get(n / CHUNK_BLOCKS).map_or(0, |chunk| {
            let block = &chunk[n % CHUNK_BLOCKS];
            block[at.min(BLOCK_TEXT)] ^ block[(at + 63).min(BLOCK_TEXT)]
        })
    }

    /// Takes the first URL of `queue` into `item`, reusing its buffer; false if there is none.
    pub fn pop(&mut self, queue: &mut Queue, item: &mut Queued) -> bool {
        if queue.len == 0 {
            return false;
        }
        let mut head = [0u8; HEAD];
        self.read(queue, &mut head);
        let word = |at: usize| u16::from_le_bytes([head[at], head[at + 1]]);
        item.fingerprint = u64::from_le_bytes(head[..8].try_into().expect("eight bytes"));
        item.depth = word(8);
        item.kind = head[10];
        item.redirects = head[11];
        item.tries = head[12];
        item.target.clear();
        item.target.resize(usize::from(word(13)), 0);
        let mut target = std::mem::take(&mut item.target);
        self.read(queue, &mut target);
        item.target = target;
        queue.len -= 1;
        if queue.len == 0 {
            self.release(queue.first);
            *queue = Queue::default();
        }
        true
    }

    /// Depth of the first URL of `queue`; `None` if there is none.
    pub fn first_depth(&self, queue: &Queue) -> Option<u16> {
        let block = |n: u32| &self.chunks[n as usize / CHUNK_BLOCKS][n as usize % CHUNK_BLOCKS];
        let byte = |at: usize| {
            let (first, at) = (block(queue.first), usize::from(queue.read_at) + at);
            match at < BLOCK_TEXT {
                true => first[at],
                false => block(next_of(first))[at - BLOCK_TEXT],
            }
        };
        (queue.len > 0).then(|| u16::from_le_bytes([byte(8), byte(9)]))
    }

    fn block(&mut self, n: u32) -> &mut Block {
        &mut self.chunks[n as usize / CHUNK_BLOCKS][n as usize % CHUNK_BLOCKS]
    }

    fn take_block(&mut self) -> u32 {
        self.used += 1;
        if let Some(n) = self.free {
            let next = next_of(self.block(n));
            self.free = (next != NONE).then_some(next);
            set_next(self.block(n), NONE);
            return n;
        }
        if self.touched as usize == self.chunks.len() * CHUNK_BLOCKS {
            // Zeros straight from the system: pages are given out as they are written.
            let chunk = vec![[0; BLOCK_TEXT + 4]; CHUNK_BLOCKS];
            self.chunks.push(chunk.into_boxed_slice());
        }
        let n = self.touched;
        self.touched += 1;
        set_next(self.block(n), NONE);
        n
    }

    fn release(&mut self, n: u32) {
        self.used -= 1;
        let next = self.free.replace(n).unwrap_or(NONE);
        set_next(self.block(n), next);
    }

    fn write(&mut self, queue: &mut Queue, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if queue.last == NONE {
                queue.first = self.take_block();
                queue.last = queue.first;
                (queue.read_at, queue.write_at) = (0, 0);
            } else if usize::from(queue.write_at) == BLOCK_TEXT {
                let next = self.take_block();
                set_next(self.block(queue.last), next);
                (queue.last, queue.write_at) = (next, 0);
            }
            let at = usize::from(queue.write_at);
            let n = bytes.len().min(BLOCK_TEXT - at);
            self.block(queue.last)[at..at + n].copy_from_slice(&bytes[..n]);
            queue.write_at += n as u16;
            bytes = &bytes[n..];
        }
    }

    fn read(&mut self, queue: &mut Queue, mut into: &mut [u8]) {
        while !into.is_empty() {
            if usize::from(queue.read_at) == BLOCK_TEXT {
                let done = queue.first;
                queue.first = next_of(self.block(done));
                queue.read_at = 0;
                self.release(done);
            }
            let at = usize::from(queue.read_at);
            let n = into.len().min(BLOCK_TEXT - at);
            into[..n].copy_from_slice(&self.block(queue.first)[at..at + n]);
            queue.read_at += n as u16;
            into = &mut into[n..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    fn item(n: u64, len: usize) -> Queued {
        Queued {
            fingerprint: n,
            depth: n as u16,
            kind: n as u8,
            redirects: 1,
            tries: 2,
            target: (0..len).map(|i| (n as usize + i) as u8).collect(),
        }
    }

    proptest! {
        #[test]
        fn queues_agree_with_deques(ops in prop::collection::vec((0usize..3, any::<bool>(), 0usize..700), 1..400)) {
            let mut pool = Pool::default();
            let mut queues = [Queue::default(); 3];
            let mut twins: [VecDeque<Queued>; 3] = Default::default();
            let mut got = Queued::default();
            for (n, (which, push, len)) in ops.into_iter().enumerate() {
                if push {
                    let it = item(n as u64, len);
                    pool.push(&mut queues[which], &it.item());
                    twins[which].push_back(it);
                } else {
                    let some = pool.pop(&mut queues[which], &mut got);
                    let want = twins[which].pop_front();
                    prop_assert_eq!(some.then(|| got.clone()), want);
                }
                prop_assert_eq!(queues[which].len() as usize, twins[which].len());
                let first = twins[which].front().map(|it| it.depth);
                prop_assert_eq!(pool.first_depth(&queues[which]), first);
            }
        }
    }

    #[test]
    fn read_blocks_are_given_back() {
        let mut pool = Pool::default();
        let mut queue = Queue::default();
        let mut got = Queued::default();
        for round in 0..50 {
            for n in 0..200 {
                pool.push(&mut queue, &item(n, 100).item());
            }
            for n in 0..200 {
                assert!(pool.pop(&mut queue, &mut got), "round {round}, item {n}");
            }
            assert_eq!(pool.bytes_used(), 0);
        }
        assert!(pool.chunks.len() <= 1 + 200 * 115 / (CHUNK_BLOCKS * BLOCK_TEXT) + 1);
    }
}
