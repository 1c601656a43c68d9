//! Kept connections without a request.
//!
//! What must hold: a connection is in at most two lists, that of its host and that of all by age, both threaded
//! through one array; putting, taking and removing are constant time but for the walk over one host's few connections.
//! Of a host the most recently used is taken first: it is the least likely to have been closed by the server.

use crate::event::HostId;
use std::collections::HashMap;
use std::net::SocketAddr;

const NONE: u32 = u32::MAX;

#[derive(Clone, Copy)]
struct Links {
    host: HostId,
    address: SocketAddr,
    host_next: u32,
    host_prev: u32,
    newer: u32,
    older: u32,
}

/// Idle connections by host, and by age.
#[derive(Default)]
pub struct Pool {
    links: Vec<Option<Links>>,
    hosts: HashMap<HostId, u32>,
    newest: Option<u32>,
    oldest: Option<u32>,
    len: usize,
}

impl Pool {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Adds connection `id`, as the newest. It must not be in the pool.
    pub fn put(&mut self, id: u32, host: HostId, address: SocketAddr) {
        let index = id as usize;
        if index >= self.links.len() {
            self.links.resize(index + 1, None);
        }
        debug_assert!(self.links[index].is_none());
        let host_next = self.hosts.insert(host, id).unwrap_or(NONE);
        self.with(host_next, |l| l.host_prev = id);
        let older = self.newest.replace(id).unwrap_or(NONE);
        self.with(older, |l| l.newer = id);
        self.oldest.get_or_insert(id);
        self.links[index] = Some(Links {
            host,
            address,
            host_next,
            host_prev: NONE,
            newer: NONE,
            older,
        });
        self.len += 1;
    }

    /// Takes the most recently used connection to `address` for `host` out of the pool.
    pub fn take(&mut self, host: HostId, address: SocketAddr) -> Option<u32> {
        let mut id = *self.hosts.get(&host)?;
        while id != NONE {
            let links = self.links[id as usize]?;
            if links.address == address {
                self.remove(id);
                return Some(id);
            }
            id = links.host_next;
        }
        None
    }

    /// The one that has been idle for longest.
    pub fn oldest(&self) -> Option<u32> {
        self.oldest
    }

    /// Takes `id` out if it is in.
    pub fn remove(&mut self, id: u32) {
        let Some(links) = self.links.get_mut(id as usize).and_then(Option::take) else {
            return;
        };
        if links.host_prev == NONE {
            if links.host_next == NONE {
                self.hosts.remove(&links.host);
            } else {
                self.hosts.insert(links.host, links.host_next);
            }
        }
        self.with(links.host_prev, |l| l.host_next = links.host_next);
        self.with(links.host_next, |l| l.host_prev = links.host_prev);
        self.with(links.newer, |l| l.older = links.older);
        self.with(links.older, |l| l.newer = links.newer);
        let known = |id: u32| (id != NONE).then_some(id);
        if self.newest == Some(id) {
            self.newest = known(links.older);
        }
        if self.oldest == Some(id) {
            self.oldest = known(links.newer);
        }
        self.len -= 1;
    }

    fn with(&mut self, id: u32, change: impl FnOnce(&mut Links)) {
        if let Some(Some(links)) = self.links.get_mut(id as usize) {
            change(links);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn address(n: u8) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, n], 80))
    }

    proptest! {
        /// Against a plain vector, oldest first.
        #[test]
        fn it_agrees_with_a_vector(operations in prop::collection::vec((0u8..4, 0u32..6, 0u32..3, 0u8..2), 1..120)) {
            let mut pool = Pool::default();
            let mut naive: Vec<(u32, HostId, u8)> = Vec::new();
            for (kind, id, host, at) in operations {
                match kind {
                    0 | 1 if naive.iter().all(|n| n.0 != id) => {
                        pool.put(id, host, address(at));
                        naive.push((id, host, at));
                    }
                    2 => {
                        let found = naive.iter().rposition(|n| n.1 == host && n.2 == at);
                        let expected = found.map(|i| naive.remove(i).0);
                        prop_assert_eq!(pool.take(host, address(at)), expected);
                    }
                    _ => {
                        pool.remove(id);
                        naive.retain(|n| n.0 != id);
                    }
                }
                prop_assert_eq!(pool.oldest(), naive.first().map(|n| n.0));
                prop_assert_eq!(pool.len(), naive.len());
            }
        }
    }
}
