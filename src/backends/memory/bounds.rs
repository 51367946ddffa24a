//! Keeps a table within `max` and `maxBytes`: first what is over leaves, then what [`evict`]
//! names. Knows nothing of payloads.

use std::sync::atomic::Ordering::Relaxed;

use super::{
    Memory,
    cell::{Cell, due_second},
    evict,
};
use crate::{
    error::{Error, Kind, Result},
    record::Millis,
};

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
            if self.remove_expired(now) {
                continue;
            }
            let Some(victim) = queues.victim(hash, self) else { break };
            let mut shard = self.shard(victim).write();
            let sid = shard.find_hash(victim, &|sid| self.hash(sid)).map(|cell| cell.sid().into());
            let sid: Box<[u8]> = sid.unwrap_or_default();
            if let Some(cell) = shard.remove(victim, &sid) {
                self.forget(&cell);
                self.evicted.fetch_add(1, Relaxed);
                evicted.push(sid);
            }
        }
        evicted
    }

    fn is_over(&self) -> bool {
        self.bounds.max.is_some_and(|max| self.count.load(Relaxed) > max)
            || self.bounds.max_bytes.is_some_and(|max| self.bytes.load(Relaxed) > max)
    }

    /// Removes one record that is over, if there is one.
    fn remove_expired(&self, now: Millis) -> bool {
        if self.first_due.load(Relaxed) > due_second(now) {
            return false;
        }
        self.first_due.store(u32::MAX, Relaxed);
        let mut removed = false;
        for shard in &self.shards {
            let mut shard = shard.write();
            if let Some(cell) = shard.first_over(now).cloned().filter(|_| !removed) {
                shard.remove(self.hash(cell.sid()), cell.sid());
                self.forget(&cell);
                self.expired.fetch_add(1, Relaxed);
                removed = true;
            }
            self.first_due.fetch_min(shard.first_due().unwrap_or(u32::MAX), Relaxed);
        }
        removed
    }
}

impl evict::Table for Memory {
    fn hits(&self, hash: u64) -> Option<u8> {
        self.shard(hash).read().find_hash(hash, &|sid| self.hash(sid)).map(Cell::hits)
    }

    fn set_hits(&self, hash: u64, hits: u8) {
        if let Some(cell) = self.shard(hash).read().find_hash(hash, &|sid| self.hash(sid)) {
            cell.set_hits(hits);
        }
    }

    fn len(&self) -> usize {
        self.count.load(Relaxed)
    }
}
