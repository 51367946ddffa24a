//! Keeps a table within `max` and `maxBytes`: first what is over leaves, then what [`evict`]
//! names. Knows nothing of payloads.

use std::sync::atomic::Ordering::Relaxed;

use super::{
    Memory,
    cell::{Cell, due_second},
    evict,
    shards::{SHARDS, Shards},
};
use crate::{
    error::{Error, Kind, Result},
    record::Millis,
};

/// Due records that one save looks at in search of one that is over.
const EXPIRED_LOOKS: usize = 64;
/// ... and how many of one shard.
const SHARD_LOOKS: usize = 16;

/// The bounds of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Most records.
    pub max: Option<usize>,
    /// Most bytes of records.
    pub max_bytes: Option<usize>,
}

impl std::fmt::Display for Bounds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = |bound: Option<usize>| bound.map_or("none".into(), |bound| bound.to_string());
        write!(f, "max {} and maxBytes {}", text(self.max), text(self.max_bytes))
    }
}

impl Memory {
    pub(super) fn is_bounded(&self) -> bool {
        self.bounds.max.is_some() || self.bounds.max_bytes.is_some()
    }

    /// Refuses a record that would not fit if it were alone.
    pub(super) fn check_size(&self, sid: &[u8], payload: &[u8]) -> Result<()> {
        let bytes = Cell::bytes_of(sid.len() + payload.len());
        match self.bounds.max_bytes {
            Some(max) if bytes > max => Err(Error::new(
                Kind::TooLarge,
                format!("this session takes {bytes} bytes, and \"maxBytes\" allows {max} for all"),
            )),
            _ => Ok(()),
        }
    }

    /// Tells the eviction of a new record, and brings the table back within its bounds.
    pub(super) fn make_room(&self, hash: u64, is_new: bool, now: Millis) -> Vec<Box<[u8]>> {
        let mut evicted = Vec::new();
        if !self.is_bounded() {
            return evicted;
        }
        let mut queues = self.queues.lock();
        if is_new {
            queues.admit(hash, self);
        }
        while self.is_over() {
            if self.remove_expired(hash, now) {
                continue;
            }
            let Some(victim) = queues.victim(hash, self) else { break };
            evicted.extend(self.evict(victim));
        }
        evicted
    }

    fn is_over(&self) -> bool {
        self.bounds.max.is_some_and(|max| self.count.load(Relaxed) > max)
            || self.bounds.max_bytes.is_some_and(|max| self.bytes.load(Relaxed) > max)
    }

    fn evict(&self, victim: u64) -> Option<Box<[u8]>> {
        let mut shard = self.shards().write(victim);
        let sid: Box<[u8]> = shard.find_hash(victim, &|sid| self.hash(sid))?.sid().into();
        let cell = shard.remove(victim, &sid, &|sid| self.hash(sid))?;
        self.forget(&cell);
        self.evicted.fetch_add(1, Relaxed);
        Some(sid)
    }

    /// Removes a few records that are over, if a few looks find any. The shard to begin with
    /// follows from `hash`, so that each save looks elsewhere.
    fn remove_expired(&self, hash: u64, now: Millis) -> bool {
        let mut looks = EXPIRED_LOOKS;
        for step in 0..SHARDS {
            let index = (Shards::index(hash) + step) % SHARDS;
            if self.shards().first_due(index) > due_second(now) {
                continue;
            }
            let allowed = looks.min(SHARD_LOOKS);
            let pruned = self.prune_shard(index, now, allowed);
            if !pruned.removed.is_empty() {
                return true;
            }
            looks -= allowed - pruned.looks;
            if looks == 0 {
                break;
            }
        }
        false
    }
}

impl evict::Table for Memory {
    fn hits(&self, hash: u64) -> Option<u8> {
        self.shards().read(hash).find_hash(hash, &|sid| self.hash(sid)).map(Cell::hits)
    }

    fn set_hits(&self, hash: u64, hits: u8) {
        if let Some(cell) = self.shards().read(hash).find_hash(hash, &|sid| self.hash(sid)) {
            cell.set_hits(hits);
        }
    }

    fn len(&self) -> usize {
        self.count.load(Relaxed)
    }
}
