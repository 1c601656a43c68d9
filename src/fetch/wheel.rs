//! Deadlines of connections: a coarse timer wheel.
//!
//! What must hold: each connection has at most one deadline; setting a later one costs a store, an earlier one a few
//! links; nothing is allocated but on growth to a new highest id. A deadline fires up to a [`STEP`] late, never
//! early. Deadlines beyond the horizon wait in the last slot and are put back when it comes round.

use crate::time::Tick;

/// Width of a slot in ticks, 2^25 ns = 34 ms.
pub const STEP: Tick = 1 << STEP_LOG;
const STEP_LOG: u32 = 25;
/// Slots; together 34 s.
const SLOTS: usize = 1_024;
/// No entry.
const NONE: u32 = u32::MAX;
/// The deadline of an entry that has none.
const NEVER: Tick = Tick::MAX;

#[derive(Clone, Copy)]
struct Entry {
    due: Tick,
    /// The slot it is linked into; `NONE` if into none.
    slot: u32,
    /// Number of the step at which the slot comes round.
    step: u64,
    next: u32,
    prev: u32,
}

/// Deadlines by small integers (slots of connections).
pub struct Wheel {
    heads: Box<[u32; SLOTS]>,
    entries: Vec<Entry>,
    /// Steps before this one have fired.
    step: u64,
    linked: usize,
}

impl Wheel {
    /// An empty wheel at `now`.
    pub fn new(now: Tick) -> Self {
        Self {
            heads: Box::new([NONE; SLOTS]),
            entries: Vec::new(),
            step: now >> STEP_LOG,
            linked: 0,
        }
    }

    /// Whether any deadline may be waiting.
    pub fn is_empty(&self) -> bool {
        self.linked == 0
    }

    /// Sets or moves the deadline of `id`.
    pub fn set(&mut self, id: u32, due: Tick) {
        let index = id as usize;
        if index >= self.entries.len() {
            let none = Entry {
                due: NEVER,
                slot: NONE,
                step: 0,
                next: NONE,
                prev: NONE,
            };
            self.entries.resize(index + 1, none);
        }
        self.entries[index].due = due;
        let step = self.step_of(due);
        if self.entries[index].slot != NONE {
            // Fires too early rather than too late; it is put back then.
            if self.entries[index].step <= step {
                return;
            }
            self.unlink(id);
        }
        self.link(id, step);
    }

    /// Forgets the deadline of `id`. It stays linked until its slot comes round, so that the next [`Wheel::set`] is a
    /// store.
    pub fn clear(&mut self, id: u32) {
        if let Some(entry) = self.entries.get_mut(id as usize) {
            entry.due = NEVER;
        }
    }

    /// Appends the ids whose deadline lies before `now` to `fired` and forgets them.
    pub fn expire(&mut self, now: Tick, fired: &mut Vec<u32>) {
        let until = now >> STEP_LOG;
        // After a long sleep one round covers every slot.
        let first = self.step.max(until.saturating_sub(SLOTS as u64));
        for step in first..until {
            self.step = step + 1;
            let mut id = self.heads[step as usize % SLOTS];
            while id != NONE {
                let entry = self.entries[id as usize];
                self.unlink(id);
                if entry.due <= now {
                    self.entries[id as usize].due = NEVER;
                    fired.push(id);
                } else if entry.due != NEVER {
                    // Lies at a later step, so not in what is left of this slot's list.
                    let later = self.step_of(entry.due);
                    self.link(id, later);
                }
                id = entry.next;
            }
        }
        self.step = self.step.max(until);
    }

    /// The step at whose end `due` has passed, within the horizon.
    fn step_of(&self, due: Tick) -> u64 {
        (due >> STEP_LOG).clamp(self.step, self.step + SLOTS as u64 - 1)
    }

    fn link(&mut self, id: u32, step: u64) {
        let slot = step as usize % SLOTS;
        let next = std::mem::replace(&mut self.heads[slot], id);
        if next != NONE {
            self.entries[next as usize].prev = id;
        }
        let entry = &mut self.entries[id as usize];
        (entry.slot, entry.step, entry.next, entry.prev) = (slot as u32, step, next, NONE);
        self.linked += 1;
    }

    fn unlink(&mut self, id: u32) {
        let Entry {
            slot, next, prev, ..
        } = self.entries[id as usize];
        match prev {
            NONE => self.heads[slot as usize] = next,
            p => self.entries[p as usize].next = next,
        }
        if next != NONE {
            self.entries[next as usize].prev = prev;
        }
        self.entries[id as usize].slot = NONE;
        self.linked -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_deadline_fires_once_and_not_early() {
        let mut wheel = Wheel::new(0);
        let mut fired = Vec::new();
        wheel.set(3, 10 * STEP + 5);
        wheel.expire(10 * STEP + 4, &mut fired);
        assert!(fired.is_empty());
        wheel.expire(11 * STEP, &mut fired);
        assert_eq!(fired, [3]);
        wheel.expire(5_000 * STEP, &mut fired);
        assert_eq!(fired, [3]);
        assert!(wheel.is_empty());
    }

    proptest! {
        /// Against a map: what is due must fire within a step, and nothing else may.
        #[test]
        fn it_agrees_with_a_map(
            operations in prop::collection::vec(
                (0u32..3, prop_oneof![0u64..12, 0u64..3_000], 0u8..3),
                1..200,
            ),
        ) {
            let mut wheel = Wheel::new(0);
            let mut naive = BTreeMap::new();
            let mut now = 0;
            for (id, steps, kind) in operations {
                match kind {
                    0 => {
                        let due = now + steps * STEP / 3;
                        wheel.set(id, due);
                        naive.insert(id, due);
                    }
                    1 => {
                        wheel.clear(id);
                        naive.remove(&id);
                    }
                    _ => {
                        now += steps * STEP / 7;
                        let mut fired = Vec::new();
                        wheel.expire(now, &mut fired);
                        for id in fired {
                            let due = naive.remove(&id);
                            prop_assert!(due.is_some_and(|d| d <= now), "{id} fired at {now}, due {due:?}");
                        }
                        let late = naive.values().any(|due| due + STEP <= now);
                        prop_assert!(!late, "missed at {now}: {naive:?}");
                    }
                }
            }
        }
    }
}
