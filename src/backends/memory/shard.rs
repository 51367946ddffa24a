//! One shard of the table: records in numbered slots, found by the hash of their sid, ordered by
//! the second they are due. Knows nothing of locks, other shards or bounds.
//!
//! Slots rather than a map of records, because a walk can then go on from a number however the
//! table has changed, and the expiry index needs 4 bytes for a record instead of its sid.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap},
};

use hashbrown::HashTable;

use super::cell::{Cell, Content, NEVER, due_second};
use crate::record::Millis;

/// Hashes a sid; the same for all shards of a table.
pub type Hasher<'a> = &'a dyn Fn(&[u8]) -> u64;

/// What a record costs of the budget of a walk, where an empty slot costs 1.
pub const RECORD_COST: u32 = 32;
/// Below this many there is no room worth giving back.
const SMALL: usize = 64;

#[derive(Default)]
pub struct Shard {
    table: HashTable<u32>,
    slots: Vec<Option<Cell>>,
    /// Empty slots, the lowest first, so that the end empties. May name slots beyond the end; those
    /// before it come first.
    free: BinaryHeap<Reverse<u32>>,
    /// `(due second, slot)` of every record. A record that is touched to a later time stays where
    /// it is until that second has come.
    due: BTreeSet<(u32, u32)>,
    bytes: usize,
}

impl Shard {
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Bytes of all records.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The record in a slot of which [`Shard::slot`] has told.
    pub fn cell(&self, slot: u32) -> &Cell {
        cell_in(&self.slots, slot)
    }

    /// The record in a slot, if there is one.
    pub fn cell_at(&self, slot: u32) -> Option<&Cell> {
        self.slots.get(slot as usize)?.as_ref()
    }

    /// The slot of a sid.
    pub fn slot(&self, hash: u64, sid: &[u8]) -> Option<u32> {
        self.table.find(hash, |slot| self.cell(*slot).sid() == sid).copied()
    }

    /// As [`Shard::slot`], for a record whose payload is read next.
    pub fn slot_and_payload(&self, hash: u64, sid: &[u8]) -> Option<u32> {
        let is_it = |slot: &u32| {
            let cell = self.cell(*slot);
            cell.fetch();
            cell.sid() == sid
        };
        self.table.find(hash, is_it).copied()
    }

    /// The record whose sid has this hash.
    pub fn find_hash(&self, hash: u64, hasher: Hasher<'_>) -> Option<&Cell> {
        self.table
            .find(hash, |slot| hasher(self.cell(*slot).sid()) == hash)
            .map(|slot| self.cell(*slot))
    }

    /// Makes the record in a slot what a save has made of it. Returns the old one, if that is another
    /// piece of memory.
    pub fn replace(&mut self, slot: u32, content: &Content<'_>) -> Option<Cell> {
        let cell = self.slots[slot as usize].as_mut()?;
        let mut old = None;
        if !cell.rewrite(content) {
            let new = Cell::new(cell.sid(), content);
            new.set_hits(cell.hits());
            new.set_due(cell.due());
            self.bytes += new.bytes();
            self.bytes -= cell.bytes();
            old = Some(std::mem::replace(cell, new));
        }
        self.due_earlier(slot);
        old
    }

    /// Puts a record of a sid that has none. Returns its slot.
    pub fn insert(&mut self, hash: u64, cell: Cell, hasher: Hasher<'_>) -> u32 {
        self.bytes += cell.bytes();
        let due = cell.due();
        let slot = match self.free.pop() {
            Some(Reverse(slot)) if (slot as usize) < self.slots.len() => {
                self.slots[slot as usize] = Some(cell);
                slot
            }
            _ => {
                self.free.clear();
                self.slots.push(Some(cell));
                (self.slots.len() - 1) as u32
            }
        };
        self.due.insert((due, slot));
        let slots = &self.slots;
        self.table.insert_unique(hash, slot, |slot| hash_of(slots, *slot, hasher));
        slot
    }

    pub fn remove(&mut self, hash: u64, sid: &[u8], hasher: Hasher<'_>) -> Option<Cell> {
        let slot = self.slot(hash, sid)?;
        self.remove_slot(hash, slot, hasher)
    }

    fn remove_slot(&mut self, hash: u64, slot: u32, hasher: Hasher<'_>) -> Option<Cell> {
        self.due.remove(&(self.cell(slot).due(), slot));
        if let Ok(entry) = self.table.find_entry(hash, |other| *other == slot) {
            entry.remove();
        }
        let cell = self.slots[slot as usize].take()?;
        self.bytes -= cell.bytes();
        self.free.push(Reverse(slot));
        self.shrink(hasher);
        Some(cell)
    }

    /// Gives the room of a flood back. A record keeps its slot for good, because a walk goes by
    /// it: only the empty end can go.
    fn shrink(&mut self, hasher: Hasher<'_>) {
        while let Some(None) = self.slots.last() {
            self.slots.pop();
        }
        let (len, capacity) = (self.slots.len(), self.slots.capacity());
        if capacity > SMALL && len * 4 < capacity {
            self.slots.shrink_to(len * 2);
            self.free.retain(|Reverse(slot)| (*slot as usize) < len);
            self.free.shrink_to(len * 2);
        }
        // Late, because others wait while this looks at every record that is left, and while the
        // allocator tidies up after so large a block.
        let (len, capacity) = (self.table.len(), self.table.capacity());
        if capacity > SMALL && len * 16 < capacity {
            let slots = &self.slots;
            self.table.shrink_to(len * 2, |slot| hash_of(slots, *slot, hasher));
        }
    }

    /// After a record was moved, maybe to before the second its index entry stands at.
    pub fn due_earlier(&mut self, slot: u32) {
        let Some(cell) = self.slots.get(slot as usize).and_then(Option::as_ref) else { return };
        let due = due_second(cell.expires());
        if due < cell.due() {
            self.due.remove(&(cell.due(), slot));
            cell.set_due(due);
            self.due.insert((due, slot));
        }
    }

    /// The earliest second at which something is due.
    pub fn first_due(&self) -> Option<u32> {
        self.due.first().map(|(due, _)| *due)
    }

    fn due_by(&self, now: Millis) -> impl Iterator<Item = &(u32, u32)> {
        self.due.range(..=(due_second(now), u32::MAX))
    }

    /// Records that are over but still here. Looks only at those due by now.
    pub fn overdue(&self, now: Millis) -> Overdue {
        let mut overdue = Overdue::default();
        for (_, slot) in self.due_by(now) {
            overdue.looked_at += 1;
            overdue.over += usize::from(!self.cell(*slot).is_live(now));
        }
        overdue
    }

    /// Removes records that are over, looking at no more than `looks` of those due by now; those
    /// that were touched meanwhile get their new place in the index.
    pub fn prune(&mut self, now: Millis, mut looks: usize, hasher: Hasher<'_>) -> Pruned {
        let mut removed = Vec::new();
        while let Some(&(due, slot)) = self.due.first()
            && due != NEVER
            && u64::from(due) * 1000 <= now
        {
            if looks == 0 {
                return Pruned { removed, more: true, looks };
            }
            looks -= 1;
            let cell = self.cell(slot).clone();
            if cell.is_live(now) {
                self.due.pop_first();
                cell.set_due(due_second(cell.expires()));
                self.due.insert((cell.due(), slot));
            } else {
                removed.extend(self.remove_slot(hasher(cell.sid()), slot, hasher));
            }
        }
        // Of the second that has begun, only some are over.
        let mut over = Vec::new();
        for (_, slot) in self.due_by(now).take(looks) {
            looks -= 1;
            if !self.cell(*slot).is_live(now) {
                over.push(*slot);
            }
        }
        let more = looks == 0 && !over.is_empty();
        for slot in over {
            let hash = hasher(self.cell(slot).sid());
            removed.extend(self.remove_slot(hash, slot, hasher));
        }
        Pruned { removed, more, looks }
    }

    /// Live records from a slot on, and the slot to go on from, where the budget ended it.
    pub fn walk(&self, from: u32, budget: &mut u32, now: Millis) -> (Vec<Cell>, Option<u32>) {
        let mut cells = Vec::new();
        for slot in from as usize..self.slots.len() {
            if *budget == 0 {
                return (cells, Some(slot as u32));
            }
            let cell = self.slots[slot].as_ref();
            *budget = budget.saturating_sub(cell.map_or(1, |_| RECORD_COST));
            cells.extend(cell.filter(|cell| cell.is_live(now)).cloned());
        }
        (cells, None)
    }
}

fn cell_in(slots: &[Option<Cell>], slot: u32) -> &Cell {
    slots[slot as usize].as_ref().expect("a slot in the table holds a record")
}

fn hash_of(slots: &[Option<Cell>], slot: u32, hasher: Hasher<'_>) -> u64 {
    hasher(cell_in(slots, slot).sid())
}

/// See [`Shard::overdue`].
#[derive(Default)]
pub struct Overdue {
    pub over: usize,
    pub looked_at: usize,
}

/// See [`Shard::prune`].
pub struct Pruned {
    pub removed: Vec<Cell>,
    /// There was no look left, and the next ones will find more to do.
    pub more: bool,
    /// Looks that are left.
    pub looks: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAR: Millis = 5_000_000_000_000;

    fn hash(sid: &[u8]) -> u64 {
        sid.iter().fold(7, |hash: u64, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x9E37_79B9_7F4A_7C15)
        })
    }

    fn put(shard: &mut Shard, sid: &str, expires: Millis) {
        let content = Content { payload: b"{}", version: 1, expires, moved: false };
        let cell = Cell::new(sid.as_bytes(), &content);
        shard.insert(hash(sid.as_bytes()), cell, &hash);
    }

    fn remove(shard: &mut Shard, sid: &str) {
        shard.remove(hash(sid.as_bytes()), sid.as_bytes(), &hash).unwrap();
    }

    #[test]
    fn what_ends_later_than_the_index_can_tell_does_not_hold_pruning_up() {
        let mut shard = Shard::default();
        put(&mut shard, "live", FAR + 1);
        put(&mut shard, "over", FAR);
        assert!(shard.first_due() == Some(NEVER));
        let pruned = shard.prune(FAR, 64, &hash);
        assert!(!pruned.more);
        assert_eq!((pruned.removed.len(), shard.len()), (1, 1));
        assert_eq!(shard.overdue(FAR + 1).over, 1);
    }

    #[test]
    fn pruning_looks_at_no_more_than_it_may() {
        let mut shard = Shard::default();
        for n in 0..1000 {
            put(&mut shard, &format!("s{n}"), 5_990);
        }
        assert_eq!(shard.prune(5_500, 10, &hash).looks, 0);
        assert_eq!(shard.len(), 1000, "the second has begun, and nothing is over");
        let pruned = shard.prune(6_000, 10, &hash);
        assert!(pruned.more && pruned.removed.len() == 10);
    }

    #[test]
    fn the_room_of_a_flood_is_given_back() {
        let mut shard = Shard::default();
        for n in 0..10_000 {
            put(&mut shard, &format!("s{n}"), 5_000);
        }
        for n in (0..10_000).filter(|n| n % 50 != 7 || *n > 2_500) {
            remove(&mut shard, &format!("s{n}"));
        }
        assert_eq!(shard.len(), 50);
        assert!(shard.slots.capacity() < 10_000 && shard.free.capacity() < 10_000);
        assert!(shard.table.capacity() < 500);
        // New ones go to the front, and the end empties with those that stand there.
        for n in 0..50 {
            put(&mut shard, &format!("new{n}"), 5_000);
        }
        for n in (0..2_500).filter(|n| n % 50 == 7) {
            remove(&mut shard, &format!("s{n}"));
        }
        assert_eq!(shard.len(), 50);
        assert!(shard.slots.len() <= 51 && shard.slots.capacity() <= 250);
    }

    #[test]
    fn a_walk_meets_each_that_stays_once_while_the_shard_shrinks() {
        let mut shard = Shard::default();
        for n in 0..2_000 {
            put(&mut shard, &format!("s{n}"), 5_000);
        }
        let (mut met, mut from, mut next) = (Vec::new(), Some(0), 0..2_000);
        while let Some(slot) = from {
            let (cells, end) = shard.walk(slot, &mut (5 * RECORD_COST), 0);
            met.extend(cells.iter().map(|cell| cell.sid().to_vec()));
            from = end;
            for n in next.by_ref().take(40).filter(|n| n % 50 != 0) {
                remove(&mut shard, &format!("s{n}"));
            }
        }
        for n in (0..2_000).step_by(50) {
            let sid = format!("s{n}").into_bytes();
            assert_eq!(met.iter().filter(|other| **other == sid).count(), 1);
        }
    }
}
