//! One shard of the table: records in numbered slots, found by the hash of their sid, ordered by
//! the second they are due. Knows nothing of locks, other shards or bounds.
//!
//! Slots rather than a map of records, because a walk can then go on from a number however the
//! table has changed, and the expiry index needs 4 bytes for a record instead of its sid.

use std::collections::BTreeSet;

use hashbrown::HashTable;

use super::cell::{Cell, due_second};
use crate::record::Millis;

/// Hashes a sid; the same for all shards of a table.
pub type Hasher<'a> = &'a dyn Fn(&[u8]) -> u64;

#[derive(Default)]
pub struct Shard {
    table: HashTable<u32>,
    slots: Vec<Option<Cell>>,
    free: Vec<u32>,
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

    fn cell(&self, slot: u32) -> &Cell {
        self.slots[slot as usize].as_ref().expect("a slot in the table holds a record")
    }

    fn slot(&self, hash: u64, sid: &[u8]) -> Option<u32> {
        self.table.find(hash, |slot| self.cell(*slot).sid() == sid).copied()
    }

    /// The record of a sid, expired or not.
    pub fn find(&self, hash: u64, sid: &[u8]) -> Option<&Cell> {
        self.slot(hash, sid).map(|slot| self.cell(slot))
    }

    /// The record whose sid has this hash.
    pub fn find_hash(&self, hash: u64, hasher: Hasher<'_>) -> Option<&Cell> {
        self.table
            .find(hash, |slot| hasher(self.cell(*slot).sid()) == hash)
            .map(|slot| self.cell(*slot))
    }

    /// Puts a record in place of the one its sid has, which is returned.
    pub fn put(&mut self, hash: u64, cell: Cell, hasher: Hasher<'_>) -> Option<Cell> {
        self.bytes += cell.bytes();
        if let Some(slot) = self.slot(hash, cell.sid()) {
            cell.set_hits(self.cell(slot).hits());
            cell.set_due(self.cell(slot).due());
            let old = self.slots[slot as usize].replace(cell)?;
            self.bytes -= old.bytes();
            self.due_earlier(slot);
            return Some(old);
        }
        let due = cell.due();
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = Some(cell);
                slot
            }
            None => {
                self.slots.push(Some(cell));
                (self.slots.len() - 1) as u32
            }
        };
        self.due.insert((due, slot));
        let slots = &self.slots;
        self.table.insert_unique(hash, slot, |slot| {
            hasher(
                slots[*slot as usize].as_ref().expect("a slot in the table holds a record").sid(),
            )
        });
        None
    }

    pub fn remove(&mut self, hash: u64, sid: &[u8]) -> Option<Cell> {
        let slot = self.slot(hash, sid)?;
        self.due.remove(&(self.cell(slot).due(), slot));
        self.vacate(hash, slot)
    }

    fn vacate(&mut self, hash: u64, slot: u32) -> Option<Cell> {
        if let Ok(entry) = self.table.find_entry(hash, |other| *other == slot) {
            entry.remove();
        }
        let cell = self.slots[slot as usize].take()?;
        self.bytes -= cell.bytes();
        if self.table.is_empty() {
            // Give the room of a flood back.
            *self = Shard::default();
        } else {
            self.free.push(slot);
        }
        Some(cell)
    }

    /// After a touch that moved a record to before the second its index entry stands at.
    pub fn reindex(&mut self, hash: u64, sid: &[u8]) {
        if let Some(slot) = self.slot(hash, sid) {
            self.due_earlier(slot);
        }
    }

    fn due_earlier(&mut self, slot: u32) {
        let cell = self.cell(slot).clone();
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

    /// Records that are over but still here. Looks only at those due by now.
    pub fn overdue(&self, now: Millis) -> Overdue {
        let mut overdue = Overdue::default();
        for (_, slot) in self.due.range(..=(due_second(now), u32::MAX)) {
            overdue.looked_at += 1;
            overdue.over += usize::from(!self.cell(*slot).is_live(now));
        }
        overdue
    }

    /// Removes records that are over into `removed`, looking at no more than `limit` of those due
    /// by now; those that were touched meanwhile get their new place in the index. `true` when
    /// the limit ended it.
    pub fn prune(
        &mut self,
        now: Millis,
        limit: usize,
        removed: &mut Vec<Cell>,
        hasher: Hasher<'_>,
    ) -> bool {
        for _ in 0..limit {
            let Some(&(due, slot)) = self.due.first() else { return false };
            if u64::from(due) * 1000 > now {
                return false;
            }
            self.due.pop_first();
            let cell = self.cell(slot).clone();
            if cell.is_live(now) {
                cell.set_due(due_second(cell.expires()));
                self.due.insert((cell.due(), slot));
            } else {
                self.vacate(hasher(cell.sid()), slot);
                removed.push(cell);
            }
        }
        true
    }

    /// A record that is over, to the millisecond, if there is one.
    pub fn first_over(&self, now: Millis) -> Option<&Cell> {
        let due_by_now = self.due.range(..=(due_second(now), u32::MAX));
        due_by_now.map(|(_, slot)| self.cell(*slot)).find(|cell| !cell.is_live(now))
    }

    /// Live records from a slot on, and the slot to go on from. Ends after `limit` slots.
    pub fn walk(&self, from: u32, limit: u32, now: Millis) -> (Vec<Cell>, Option<u32>) {
        let from = (from as usize).min(self.slots.len());
        let end = self.slots.len().min(from + limit as usize);
        let cells = self.slots[from..end].iter().flatten().filter(|cell| cell.is_live(now));
        (cells.cloned().collect(), (end < self.slots.len()).then_some(end as u32))
    }
}

/// See [`Shard::overdue`].
#[derive(Default)]
pub struct Overdue {
    pub over: usize,
    pub looked_at: usize,
}
