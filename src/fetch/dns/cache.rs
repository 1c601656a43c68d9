//! What became of names, for as long as it holds.
//!
//! What must hold: at most `room` names; what no longer holds is never given out; a name that is put again replaces what
//! was there. When it is full, a hand goes round: a stale entry near it goes, else the one at the hand, the oldest there.

use super::Found;
use crate::protocol::dns::Name;
use crate::time::{SECOND, Tick};
use std::collections::HashMap;

/// Entries that the hand looks at before one has to go.
const LOOKS: usize = 8;

struct Entry {
    name: Name,
    found: Found,
    until: Tick,
}

/// A cache of answers, positive and negative.
pub struct Cache {
    by_name: HashMap<Name, u32>,
    entries: Vec<Entry>,
    hand: usize,
    room: usize,
}

impl Cache {
    /// An empty cache for `room` names.
    pub fn new(room: usize) -> Self {
        Self {
            by_name: HashMap::new(),
            entries: Vec::new(),
            hand: 0,
            room: room.max(1),
        }
    }

    /// What is known of `name`, with the time to live that is left of it.
    pub fn get(&self, name: &Name, now: Tick) -> Option<Found> {
        let entry = &self.entries[*self.by_name.get(name)? as usize];
        let left = entry.until.checked_sub(now).filter(|left| *left > 0)?;
        Some(Found {
            addresses: entry.found.addresses.clone(),
            ttl_s: entry.found.ttl_s.min(left.div_ceil(SECOND) as u32),
        })
    }

    /// Remembers `found` for `ttl_s` seconds.
    pub fn put(&mut self, name: Name, found: Found, ttl_s: u32, now: Tick) {
        let until = now + Tick::from(ttl_s) * SECOND;
        let entry = Entry { name, found, until };
        if let Some(&at) = self.by_name.get(&entry.name) {
            self.entries[at as usize] = entry;
        } else if self.entries.len() < self.room {
            self.by_name
                .insert(entry.name.clone(), self.entries.len() as u32);
            self.entries.push(entry);
        } else {
            let at = self.give_way(now);
            self.by_name.remove(&self.entries[at].name);
            self.by_name.insert(entry.name.clone(), at as u32);
            self.entries[at] = entry;
        }
    }

    /// The place of the entry that goes: a stale one near the hand, else the one at the hand, which came in first.
    fn give_way(&mut self, now: Tick) -> usize {
        let places = (0..LOOKS).map(|n| (self.hand + n) % self.entries.len());
        let mut stale = places.filter(|at| self.entries[*at].until <= now);
        let at = stale.next().unwrap_or(self.hand);
        self.hand = (at + 1) % self.entries.len();
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    fn name(n: usize) -> Name {
        Name::parse(&format!("n{n}.test")).unwrap()
    }

    fn found(last: u8) -> Found {
        Found {
            addresses: vec![IpAddr::from([192, 0, 2, last])],
            ttl_s: 60,
        }
    }

    #[test]
    fn an_answer_holds_for_its_time_and_no_longer() {
        let mut cache = Cache::new(10);
        cache.put(name(1), found(1), 60, 5 * SECOND);
        assert_eq!(cache.get(&name(1), 5 * SECOND), Some(found(1)));
        assert_eq!(cache.get(&name(1), 35 * SECOND).unwrap().ttl_s, 30);
        assert_eq!(cache.get(&name(1), 65 * SECOND), None);
        assert_eq!(cache.get(&name(2), 5 * SECOND), None);
        cache.put(name(1), found(2), 60, 70 * SECOND);
        assert_eq!(
            cache.get(&name(1), 71 * SECOND).unwrap().addresses,
            found(2).addresses
        );
    }

    #[test]
    fn it_stays_within_its_room_and_stale_names_go_first() {
        let mut cache = Cache::new(100);
        for n in 0..100 {
            cache.put(name(n), found(1), if n % 2 == 0 { 1 } else { 1_000 }, 0);
        }
        for n in 100..150 {
            cache.put(name(n), found(2), 1_000, 10 * SECOND);
        }
        assert_eq!((cache.entries.len(), cache.by_name.len()), (100, 100));
        let live = (0..150).filter(|n| cache.get(&name(*n), 20 * SECOND).is_some());
        assert_eq!(live.count(), 100);
        for n in 150..1_000 {
            cache.put(name(n), found(3), 1_000, 20 * SECOND);
        }
        assert_eq!((cache.entries.len(), cache.by_name.len()), (100, 100));
        // Of names that all hold, those that came last are there.
        let kept = (900..1_000).filter(|n| cache.get(&name(*n), 20 * SECOND).is_some());
        assert_eq!(kept.count(), 100);
    }
}
