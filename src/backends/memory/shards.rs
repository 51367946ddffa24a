//! The shards of a table behind their locks, and what is known of each without its lock. Knows
//! nothing of records.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::shard::Shard;

/// Many, so that growing one (which moves all of its entries) is short.
pub const SHARDS: usize = 128;

pub struct Shards {
    locks: [RwLock<Shard>; SHARDS],
    /// No record of the shard is due before this second. Changed under its write lock only, so
    /// that lowering and raising one never cross.
    first_due: [AtomicU32; SHARDS],
}

impl Default for Shards {
    fn default() -> Self {
        Shards {
            locks: std::array::from_fn(|_| RwLock::default()),
            first_due: std::array::from_fn(|_| AtomicU32::new(u32::MAX)),
        }
    }
}

impl Shards {
    /// The shard that a hash belongs to.
    pub fn index(hash: u64) -> usize {
        // hashbrown looks at the lowest and the highest bits.
        (hash >> 32) as usize % SHARDS
    }

    pub fn lock(&self, index: usize) -> &RwLock<Shard> {
        &self.locks[index]
    }

    pub fn read(&self, hash: u64) -> RwLockReadGuard<'_, Shard> {
        self.locks[Self::index(hash)].read()
    }

    pub fn write(&self, hash: u64) -> RwLockWriteGuard<'_, Shard> {
        self.locks[Self::index(hash)].write()
    }

    /// See the field.
    pub fn first_due(&self, index: usize) -> u32 {
        self.first_due[index].load(Relaxed)
    }

    /// A record was added or moved. Under the shard's write lock.
    pub fn lower_first_due(&self, index: usize, due: u32) {
        let first = &self.first_due[index];
        if due < first.load(Relaxed) {
            first.store(due, Relaxed);
        }
    }

    /// The shard was looked through. Under its write lock.
    pub fn raise_first_due(&self, index: usize, shard: &Shard) {
        self.first_due[index].store(shard.first_due().unwrap_or(u32::MAX), Relaxed);
    }

    /// Empties all of them; `leaves` hears of each under its lock.
    pub fn take(&self, leaves: impl Fn(&Shard)) -> Vec<Shard> {
        let take = |lock: &RwLock<Shard>| {
            let mut shard = lock.write();
            leaves(&shard);
            std::mem::take(&mut *shard)
        };
        self.locks.iter().map(take).collect()
    }
}
