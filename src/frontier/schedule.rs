//! Which host is next: rings of hosts that may be fetched from now, one for each [`Pace`], and a heap of those that must
//! wait.
//!
//! Where hosts of one pace hold all the credits that they may, the others pass them; as long as several may be fetched
//! from, the rings take turns. New hosts leave from both ends in turn: one that was just found does not wait behind
//! thousands that nothing is known of, and these get their turns all the same. Those that have an address go before: they
//! are no more than have had a turn, so the way of a new host to its first page has one wait.
//!
//! What must hold: a host is at one place at a time; hosts that become ready at the same tick leave in the order of
//! their numbers, within their ring, new ones apart; growing copies nothing ([`Chunked`]); derived state, rebuilt at a
//! restore.

use super::chunked::Chunked;
use crate::event::{HostId, Pace};
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
    /// By [`Pace`].
    rings: [Ring; Pace::ALL.len()],
    /// New hosts that have an address.
    begun: Ring,
    /// The ring whose turn it is.
    turn: usize,
    /// The last new host was the first of its ring, not the last.
    oldest_went: bool,
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

    fn pop_last(&mut self) -> Option<HostId> {
        let block = self.blocks.back_mut()?;
        let host = block.pop_back();
        if block.is_empty() && self.blocks.len() > 1 {
            self.spare = self.blocks.pop_back().unwrap_or_default();
        }
        self.len -= usize::from(host.is_some());
        host
    }
}

impl Schedule {
    /// Appends a host to its ready ring; `begun`: it has an address.
    pub fn ready(&mut self, host: HostId, pace: Pace, begun: bool) {
        match pace == Pace::New && begun {
            true => self.begun.push(host),
            false => self.rings[pace as usize].push(host),
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

    /// The next ready host of a pace that `may` go.
    pub fn next_ready(&mut self, may: impl Fn(Pace) -> bool) -> Option<HostId> {
        for n in 0..Pace::ALL.len() {
            let at = (self.turn + n) % Pace::ALL.len();
            let pace = Pace::ALL[at];
            if self.len_of(pace) == 0 || !may(pace) {
                continue;
            }
            self.turn = at + 1;
            return match pace {
                Pace::New => self.next_new(),
                Pace::Prompt | Pace::Slow => self.rings[at].pop(),
            };
        }
        None
    }

    fn next_new(&mut self) -> Option<HostId> {
        if self.begun.len > 0 {
            return self.begun.pop();
        }
        self.oldest_went = !self.oldest_went;
        let ring = &mut self.rings[Pace::New as usize];
        match self.oldest_went {
            true => ring.pop(),
            false => ring.pop_last(),
        }
    }

    fn len_of(&self, pace: Pace) -> usize {
        let begun = if pace == Pace::New { self.begun.len } else { 0 };
        self.rings[pace as usize].len + begun
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
    pub fn has_ready(&self, may: impl Fn(Pace) -> bool) -> bool {
        Pace::ALL
            .into_iter()
            .any(|pace| self.len_of(pace) > 0 && may(pace))
    }

    /// Hosts in the ready rings.
    pub fn ready_len(&self) -> usize {
        self.rings.iter().map(|ring| ring.len).sum::<usize>() + self.begun.len
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
                        s.ready(host, Pace::Slow, true);
                        ring.push_back(host);
                    }
                    1 => {
                        let due = heap.peek().is_some_and(|Reverse((t, _))| *t <= at);
                        let want = due.then(|| heap.pop().map(|Reverse((_, h))| h)).flatten();
                        prop_assert_eq!(s.next_due(at), want);
                    }
                    _ => prop_assert_eq!(s.next_ready(|_| true), ring.pop_front()),
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
        (0..many).for_each(|host| s.ready(host, Pace::Prompt, true));
        assert!((0..many).all(|host| s.next_ready(|_| true) == Some(host)));
        assert_eq!((s.next_ready(|_| true), s.ready_len()), (None, 0));
    }

    #[test]
    fn new_hosts_leave_from_both_ends_over_many_blocks() {
        let mut s = Schedule::default();
        let many = BLOCK as u32 * 3 + 8;
        (0..many).for_each(|host| s.ready(host, Pace::New, false));
        for n in 0..many / 2 {
            assert_eq!(s.next_ready(|_| true), Some(n));
            assert_eq!(s.next_ready(|_| true), Some(many - 1 - n));
        }
        assert_eq!((s.next_ready(|_| true), s.ready_len()), (None, 0));
        (1..4).for_each(|host| s.ready(host, Pace::New, host == 2));
        let all: Vec<_> = std::iter::from_fn(|| s.next_ready(|_| true)).collect();
        assert_eq!((all, s.ready_len()), (vec![2, 1, 3], 0));
    }

    #[test]
    fn paces_take_turns_and_are_passed_where_they_must_wait() {
        let mut s = Schedule::default();
        (0..4).for_each(|host| s.ready(host, Pace::Slow, true));
        (4..7).for_each(|host| s.ready(host, Pace::Prompt, true));
        (7..9).for_each(|host| s.ready(host, Pace::New, false));
        let all: Vec<_> = (0..4).filter_map(|_| s.next_ready(|_| true)).collect();
        assert_eq!(all, [4, 7, 0, 5]);
        let prompt = |pace| pace == Pace::Prompt;
        assert_eq!(
            (s.next_ready(prompt), s.next_ready(prompt)),
            (Some(6), None)
        );
        assert!(!s.has_ready(prompt) && s.has_ready(|pace| pace == Pace::New));
        assert_eq!(s.next_ready(|pace| pace != Pace::New), Some(1));
        assert_eq!(s.ready_len(), 3);
    }
}
