//! Which host is next: a ring of hosts that may be fetched from now, and a heap of those that must wait.
//!
//! What must hold: a host is at one place at a time; hosts that become ready at the same tick leave in the order of
//! their numbers; derived state, rebuilt at a restore.

use crate::event::HostId;
use crate::time::Tick;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

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

/// Ready ring and timer heap.
#[derive(Default)]
pub struct Schedule {
    ready: VecDeque<HostId>,
    waiting: BinaryHeap<Reverse<(Tick, HostId)>>,
}

impl Schedule {
    /// Appends a host to the ready ring.
    pub fn ready(&mut self, host: HostId) {
        self.ready.push_back(host);
    }

    /// Lets a host wait until `at`.
    pub fn wait(&mut self, host: HostId, at: Tick) {
        self.waiting.push(Reverse((at, host)));
    }

    /// The next ready host.
    pub fn next_ready(&mut self) -> Option<HostId> {
        self.ready.pop_front()
    }

    /// The next host whose time has come.
    pub fn next_due(&mut self, now: Tick) -> Option<HostId> {
        let Reverse((at, _)) = self.waiting.peek()?;
        if *at > now {
            return None;
        }
        self.waiting.pop().map(|Reverse((_, host))| host)
    }

    /// When the next waiting host is due.
    pub fn next_tick(&self) -> Option<Tick> {
        self.waiting.peek().map(|Reverse((at, _))| *at)
    }

    /// Hosts in the ready ring.
    pub fn ready_len(&self) -> usize {
        self.ready.len()
    }

    /// Hosts in the heap.
    pub fn waiting_len(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
