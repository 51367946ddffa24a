//! Sessions in the memory of the process, off the V8 heap: private to one store, or shared by name
//! with every thread. Knows how records are kept, found, counted, bounded and pruned; nothing of
//! what is in them.
//!
//! Not a `DashMap` of records: a walk over one cannot be left and taken up again, its entries
//! have no number that an index of expiry could use, and it costs 150 bytes a session more
//! (docs/design.md has the figures). It keeps the named tables.

use std::sync::{
    Arc, Weak,
    atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed},
};

use hashbrown::DefaultHashBuilder;
use parking_lot::{Mutex, RwLock};

use self::{
    bounds::Bounds,
    cell::{Cell, MAX_SID_BYTES, due_second},
    evict::Queues,
    prune::CallerClock,
    shard::Shard,
};
use crate::{
    backend::{Answer, Backend, Count, Gauges, Page, Replaced, Touched, Written},
    record::{Draft, Millis, Record, Seen, Touch},
};

mod bounds;
mod cell;
mod evict;
mod places;
mod prune;
mod shard;

pub use places::open;

/// Many, so that growing one (which moves all of its entries) is short.
const SHARDS: usize = 128;
/// Slots that one step of a walk looks at.
const PAGE_SLOTS: u32 = 256;
/// Due records that one step of counting looks at.
const COUNT_LOOKS: usize = 4096;
/// Due records that are pruned under one hold of a shard's lock.
const PRUNE_LOOKS: usize = 256;

/// One table of records.
pub struct Memory {
    identity: String,
    shards: Box<[RwLock<Shard>]>,
    hasher: DefaultHashBuilder,
    bounds: Bounds,
    queues: Mutex<Queues>,
    versions: AtomicU64,
    count: AtomicUsize,
    bytes: AtomicUsize,
    expired: AtomicU64,
    evicted: AtomicU64,
    /// No record is due before this second.
    first_due: AtomicU32,
    /// The time that the last caller named.
    named: AtomicU64,
    clock: CallerClock,
}

impl Memory {
    fn start(identity: String, bounds: Bounds) -> Arc<Memory> {
        let table = Arc::new(Memory {
            identity,
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
            hasher: DefaultHashBuilder::default(),
            bounds,
            queues: Mutex::default(),
            versions: AtomicU64::new(1),
            count: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            expired: AtomicU64::new(0),
            evicted: AtomicU64::new(0),
            first_due: AtomicU32::new(u32::MAX),
            named: AtomicU64::new(0),
            clock: CallerClock::default(),
        });
        prune::watch(Arc::downgrade(&table) as Weak<Memory>);
        table
    }

    fn hash(&self, sid: &[u8]) -> u64 {
        use std::hash::BuildHasher;
        self.hasher.hash_one(sid)
    }

    fn shard(&self, hash: u64) -> &RwLock<Shard> {
        // hashbrown looks at the lowest and the highest bits.
        &self.shards[(hash >> 32) as usize % SHARDS]
    }

    /// Puts a record into its locked shard and keeps the books.
    fn store(&self, shard: &mut Shard, hash: u64, cell: Cell) -> Option<Cell> {
        let (bytes, due) = (cell.bytes(), cell.due());
        let old = shard.put(hash, cell, &|sid| self.hash(sid));
        self.bytes.fetch_add(bytes, Relaxed);
        match &old {
            Some(old) => {
                self.bytes.fetch_sub(old.bytes(), Relaxed);
            }
            None => {
                self.count.fetch_add(1, Relaxed);
            }
        }
        self.first_due.fetch_min(due, Relaxed);
        old
    }

    fn forget(&self, cell: &Cell) {
        self.count.fetch_sub(1, Relaxed);
        self.bytes.fetch_sub(cell.bytes(), Relaxed);
    }

    /// Removes what is over by the callers' clock, a little at a time.
    fn prune(&self, real: Millis) {
        let now = self.clock.now(self.named.load(Relaxed), real);
        if u64::from(self.first_due.load(Relaxed)) * 1000 > now {
            return;
        }
        self.first_due.store(u32::MAX, Relaxed);
        for shard in &self.shards {
            loop {
                let mut removed = Vec::new();
                let mut shard = shard.write();
                let more = shard.prune(now, PRUNE_LOOKS, &mut removed, &|sid| self.hash(sid));
                self.first_due.fetch_min(shard.first_due().unwrap_or(u32::MAX), Relaxed);
                drop(shard);
                for cell in &removed {
                    self.forget(cell);
                }
                self.expired.fetch_add(removed.len() as u64, Relaxed);
                if !more {
                    break;
                }
                std::thread::yield_now();
            }
        }
    }

    fn next_cell(&self, sid: &[u8], draft: &Draft<'_>, expires: Millis, moved: bool) -> Cell {
        let version = self.versions.fetch_add(1, Relaxed);
        Cell::new(sid, draft.payload, version, expires, moved)
    }
}

impl Backend for Memory {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn identity(&self) -> &str {
        &self.identity
    }

    fn max_sid_bytes(&self) -> usize {
        MAX_SID_BYTES
    }

    fn get(&self, sid: &[u8], now: Millis) -> Answer<Option<Record>> {
        self.named.store(now, Relaxed);
        let hash = self.hash(sid);
        let shard = self.shard(hash).read();
        let Some(cell) = shard.find(hash, sid).filter(|cell| cell.is_live(now)) else {
            return None.into();
        };
        if self.is_bounded() {
            cell.hit();
        }
        Some(cell.record()).into()
    }

    fn put(&self, sid: &[u8], draft: Draft<'_>, now: Millis) -> Answer<Written> {
        self.named.store(now, Relaxed);
        if let Err(error) = self.check_size(sid, draft.payload) {
            return Answer::Ready(Err(error));
        }
        let hash = self.hash(sid);
        let cell = self.next_cell(sid, &draft, draft.expires, draft.moved);
        let version = cell.version();
        let old = self.store(&mut self.shard(hash).write(), hash, cell);
        Written { version, evicted: self.make_room(hash, old.is_none(), now) }.into()
    }

    fn replace(
        &self,
        sid: &[u8],
        seen: Option<&Seen<'_>>,
        draft: Draft<'_>,
        now: Millis,
    ) -> Answer<Replaced> {
        self.named.store(now, Relaxed);
        if let Err(error) = self.check_size(sid, draft.payload) {
            return Answer::Ready(Err(error));
        }
        let hash = self.hash(sid);
        let mut shard = self.shard(hash).write();
        let Some(found) = shard.find(hash, sid).filter(|cell| cell.is_live(now)) else {
            return Replaced::Gone.into();
        };
        if seen.is_some_and(|seen| seen.version != found.version()) {
            return Replaced::Changed(found.record()).into();
        }
        let (expires, moved) = draft.settle(found.expires());
        let cell = self.next_cell(sid, &draft, expires, moved);
        let version = cell.version();
        let old = self.store(&mut shard, hash, cell);
        drop(shard);
        drop(old);
        Replaced::Written(Written { version, evicted: self.make_room(hash, false, now) }).into()
    }

    fn touch(&self, sid: &[u8], touch: Touch, now: Millis) -> Answer<Touched> {
        self.named.store(now, Relaxed);
        let hash = self.hash(sid);
        let shard = self.shard(hash).read();
        let Some(cell) = shard.find(hash, sid).filter(|cell| cell.is_live(now)) else {
            return Touched::Done.into();
        };
        if touch.seen.is_some_and(|seen| seen != cell.version()) {
            return Touched::Changed(cell.record()).into();
        }
        if !touch.moves(cell.expires()) {
            return Touched::Done.into();
        }
        cell.touch(touch.expires);
        let due = due_second(touch.expires);
        let is_earlier = due < cell.due();
        drop(shard);
        if is_earlier {
            self.shard(hash).write().reindex(hash, sid);
            self.first_due.fetch_min(due, Relaxed);
        }
        Touched::Done.into()
    }

    fn remove(&self, sid: &[u8]) -> Answer<()> {
        let hash = self.hash(sid);
        if let Some(cell) = self.shard(hash).write().remove(hash, sid) {
            self.forget(&cell);
        }
        ().into()
    }

    fn page(&self, from: u64, now: Millis) -> Answer<Page> {
        self.named.store(now, Relaxed);
        let (mut index, mut slot) = ((from >> 32) as usize, from as u32);
        let mut room = PAGE_SLOTS;
        let mut page = Page::default();
        while let Some(shard) = self.shards.get(index) {
            let (cells, next) = shard.read().walk(slot, room, now);
            room = room.saturating_sub(cells.len() as u32 + 1);
            page.records.extend(cells.iter().map(|cell| (cell.sid().into(), cell.record())));
            (index, slot) = next.map_or((index + 1, 0), |slot| (index, slot));
            if room == 0 || next.is_some() {
                break;
            }
        }
        page.next = (index < SHARDS).then_some((index as u64) << 32 | u64::from(slot));
        page.into()
    }

    fn count(&self, from: u64, now: Millis) -> Answer<Count> {
        self.named.store(now, Relaxed);
        let mut count = Count::default();
        let mut looks = 0;
        let mut index = from as usize;
        while let Some(shard) = self.shards.get(index).filter(|_| looks < COUNT_LOOKS) {
            let shard = shard.read();
            let overdue = shard.overdue(now);
            looks += overdue.looked_at;
            count.live += (shard.len() - overdue.over) as u64;
            index += 1;
        }
        count.next = (index < SHARDS).then_some(index as u64);
        count.into()
    }

    fn clear(&self) -> Answer<()> {
        self.queues.lock().clear();
        let mut taken = Vec::new();
        for shard in &self.shards {
            let shard = std::mem::take(&mut *shard.write());
            self.count.fetch_sub(shard.len(), Relaxed);
            self.bytes.fetch_sub(shard.bytes(), Relaxed);
            taken.push(shard);
        }
        // Freeing a million records takes longer than anybody should wait for.
        drop(std::thread::Builder::new().name("session-clear".into()).spawn(move || drop(taken)));
        ().into()
    }

    fn ping(&self) -> Answer<()> {
        ().into()
    }

    fn gauges(&self) -> Gauges {
        Gauges {
            bytes: self.bytes.load(Relaxed) as u64,
            expired: self.expired.load(Relaxed),
            evicted: self.evicted.load(Relaxed),
        }
    }
}
