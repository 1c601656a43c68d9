//! Which host is next: two rings of hosts that may be fetched from now, and a heap of those that must wait.
//!
//! Hosts on trial, which have not answered promptly yet or lately did not, have a ring of their own: where they hold all
//! the credits that they may, the others pass them. As long as both may be fetched from, the rings take turns.
//!
//! What must hold: a host is at one place at a time; hosts that become ready at the same tick leave in the order of
//! their numbers, within their ring; growing copies nothing ([`Chunked`]); derived state, rebuilt at a restore.

use super::chunked::Chunked;
use crate::event::HostId;
use crate::time::Tick;
use std::collections::VecDeque;

/// Hosts in a block of the ready ring.
const BLOCK: usize = 4_096;
/// Children of a node of the heap: four ticks lie in one or two cache lines.
const ARITY: usize = 4;

/// Where a host stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Place {
    /// Nothing to do, or an answer is awaited that will wake it.
    #[default]
    Nowhere,
    /// In the ready ring.
    Ready,
    /// In the heap.
    Waiting,
}

/// Hosts in the order in which they came.
#[derive(Default)]
struct Ring {
    /// Blocks in order; hosts leave the first and join the last.
    blocks: VecDeque<VecDeque<HostId>>,
    /// An emptied block, for the next one.
    spare: VecDeque<HostId>,
    len: usize,
}

/// Ready rings and timer heap.
#[derive(Default)]
pub struct Schedule {
    prompt: Ring,
    on_trial: Ring,
    /// Whose turn it is where both rings may go.
    trial_turn: bool,
    /// A heap: no element is larger than its children.
    waiting: Chunked<(Tick, HostId)>,
}

impl Ring {
    fn push(&mut self, host: HostId) {
        if self.blocks.back().is_none_or(|block| block.len() >= BLOCK) {
            let mut block = std::mem::take(&mut self.spare);
            block.reserve(BLOCK);
            self.blocks.push_back(block);
        }
        if let Some(block) = self.blocks.back_mut() {
            block.push_back(host);
            self.len += 1;
        }
    }

    fn pop(&mut self) -> Option<HostId> {
        let block = self.blocks.front_mut()?;
        let host = block.pop_front();
        if block.is_empty() && self.blocks.len() > 1 {
            self.spare = self.blocks.pop_front().unwrap_or_default();
        }
        self.len -= usize::from(host.is_some());
        host
    }
}

impl Schedule {
    /// Appends a host to its ready ring.
    pub fn ready(&mut self, host: HostId, on_trial: bool) {
        match on_trial {
            true => self.on_trial.push(host),
            false => self.prompt.push(host),
        }
    }

    /// Lets a host wait until `at`.
    pub fn wait(&mut self, host: HostId, at: Tick) {
        let mut n = self.waiting.len();
        self.waiting.push((at, host));
        while n > 0 {
            let parent = (n - 1) / ARITY;
            if self.waiting[parent] <= self.waiting[n] {
                break;
            }
            self.swap(parent, n);
            n = parent;
        }
    }

    /// The next ready host; one that is not on trial where those may not go.
    pub fn next_ready(&mut self, trials_too: bool) -> Option<HostId> {
        if !trials_too {
            return self.prompt.pop();
        }
        self.trial_turn = !self.trial_turn;
        let (first, then) = match self.trial_turn {
            true => (&mut self.on_trial, &mut self.prompt),
            false => (&mut self.prompt, &mut self.on_trial),
        };
        first.pop().or_else(|| then.pop())
    }

    /// The next host whose time has come.
    pub fn next_due(&mut self, now: Tick) -> Option<HostId> {
        if self.next_tick()? > now {
            return None;
        }
        let last = self.waiting.pop()?;
        if self.waiting.is_empty() {
            return Some(last.1);
        }
        let (_, host) = std::mem::replace(&mut self.waiting[0], last);
        self.sink();
        Some(host)
    }

    /// Lets the first element of the heap sink to where it belongs.
    fn sink(&mut self) {
        let (mut n, len) = (0, self.waiting.len());
        loop {
            let children = (n * ARITY + 1)..(n * ARITY + 1 + ARITY).min(len);
            let Some(least) = children.min_by_key(|child| self.waiting[*child]) else {
                return;
            };
            if self.waiting[n] <= self.waiting[least] {
                return;
            }
            self.swap(n, least);
            n = least;
        }
    }

    fn swap(&mut self, a: usize, b: usize) {
        let of_a = self.waiting[a];
        self.waiting[a] = std::mem::replace(&mut self.waiting[b], of_a);
    }

    /// When the next waiting host is due.
    pub fn next_tick(&self) -> Option<Tick> {
        (!self.waiting.is_empty()).then(|| self.waiting[0].0)
    }

    /// Whether [`Schedule::next_ready`] has a host.
    pub fn has_ready(&self, trials_too: bool) -> bool {
        self.prompt.len > 0 || trials_too && self.on_trial.len > 0
    }

    /// Hosts in the ready rings.
    pub fn ready_len(&self) -> usize {
        self.prompt.len + self.on_trial.len
    }

    /// Hosts in the heap.
    pub fn waiting_len(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::cmp::Reverse;
    use std::collections::BinaryHeap;

    #[test]
    fn hosts_leave_the_heap_in_the_order_of_their_ticks() {
        let mut s = Schedule::default();
        for (host, at) in [(1, 50), (2, 10), (3, 50), (4, 99)] {
            s.wait(host, at);
        }
        assert_eq!(s.next_tick(), Some(10));
        let due: Vec<_> = std::iter::from_fn(|| s.next_due(60)).collect();
        assert_eq!(due, [2, 1, 3]);
        assert_eq!(s.waiting_len(), 1);
    }

    proptest! {
        #[test]
        fn heap_and_ring_agree_with_the_library(ops in prop::collection::vec((0u32..3, 0u64..50, any::<u16>()), 1..600)) {
            let mut s = Schedule::default();
            let (mut heap, mut ring) = (BinaryHeap::new(), VecDeque::new());
            for (op, at, host) in ops {
                let host = HostId::from(host);
                match op {
                    0 => {
                        s.wait(host, at);
                        heap.push(Reverse((at, host)));
                        s.ready(host, false);
                        ring.push_back(host);
                    }
                    1 => {
                        let due = heap.peek().is_some_and(|Reverse((t, _))| *t <= at);
                        let want = due.then(|| heap.pop().map(|Reverse((_, h))| h)).flatten();
                        prop_assert_eq!(s.next_due(at), want);
                    }
                    _ => prop_assert_eq!(s.next_ready(true), ring.pop_front()),
                }
                prop_assert_eq!((s.waiting_len(), s.ready_len()), (heap.len(), ring.len()));
                prop_assert_eq!(s.next_tick(), heap.peek().map(|Reverse((t, _))| *t));
            }
        }
    }

    #[test]
    fn the_ring_keeps_its_order_over_many_blocks() {
        let mut s = Schedule::default();
        let many = BLOCK as u32 * 3 + 7;
        (0..many).for_each(|host| s.ready(host, true));
        assert!((0..many).all(|host| s.next_ready(true) == Some(host)));
        assert_eq!((s.next_ready(true), s.ready_len()), (None, 0));
    }

    #[test]
    fn hosts_on_trial_take_turns_with_the_others_and_are_passed_where_they_must_wait() {
        let mut s = Schedule::default();
        (0..4).for_each(|host| s.ready(host, true));
        (4..7).for_each(|host| s.ready(host, false));
        let both: Vec<_> = (0..2).filter_map(|_| s.next_ready(true)).collect();
        assert_eq!(both, [0, 4]);
        assert_eq!(
            [s.next_ready(false), s.next_ready(false)],
            [Some(5), Some(6)]
        );
        assert_eq!((s.next_ready(false), s.ready_len()), (None, 3));
        assert_eq!(s.next_ready(true), Some(1));
    }
}
