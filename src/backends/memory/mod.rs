//! Sessions in the memory of the process, off the V8 heap: private to one store, or shared by name
//! with every thread. Knows how records are kept, found, counted, bounded and pruned; nothing of
//! what is in them.
//!
//! Not a `DashMap` of records: a walk over one cannot be left and taken up again, its entries
//! have no number that an index of expiry could use, and it costs 150 bytes a session more
//! (docs/design.md has the figures). It keeps the named tables.

use std::sync::{
    Arc, OnceLock, Weak,
    atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
};

use hashbrown::DefaultHashBuilder;
use parking_lot::{Mutex, RwLockReadGuard};

use self::{
    bounds::Bounds,
    cell::{Cell, Content, MAX_SID_BYTES, due_second},
    evict::Queues,
    shard::{RECORD_COST, Shard},
    shards::{SHARDS, Shards},
};
use crate::{
    backend::{Answer, Backend, Count, Gauges, Inside, Page, Replaced, Touched, Written},
    error::Result,
    record::{Draft, Millis, Record, Seen, Touch, Version, View},
};

mod bounds;
mod cell;
mod evict;
mod places;
mod prune;
mod shard;
mod shards;

pub use places::open;

/// Records that one step of a walk meets.
const PAGE_RECORDS: u32 = 64;
/// Due records that one step of counting looks at.
const COUNT_LOOKS: usize = 4096;
/// From this many records on, freeing them takes longer than a caller should wait for.
const MANY: usize = 10_000;

/// One table of records.
pub struct Memory {
    identity: String,
    /// Made when first used: an app may open many stores that it never uses.
    shards: OnceLock<Box<Shards>>,
    hasher: DefaultHashBuilder,
    bounds: Bounds,
    queues: Mutex<Queues>,
    versions: AtomicU64,
    count: AtomicUsize,
    bytes: AtomicUsize,
    expired: AtomicU64,
    evicted: AtomicU64,
    /// The time that the last caller named.
    named: AtomicU64,
}

impl Memory {
    fn start(identity: String, bounds: Bounds) -> Arc<Memory> {
        let table = Arc::new(Memory {
            identity,
            shards: OnceLock::new(),
            hasher: DefaultHashBuilder::default(),
            bounds,
            queues: Mutex::default(),
            versions: AtomicU64::new(1),
            count: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            expired: AtomicU64::new(0),
            evicted: AtomicU64::new(0),
            named: AtomicU64::new(0),
        });
        prune::watch(Arc::downgrade(&table) as Weak<Memory>);
        table
    }

    fn hash(&self, sid: &[u8]) -> u64 {
        use std::hash::BuildHasher;
        self.hasher.hash_one(sid)
    }

    fn shards(&self) -> &Shards {
        self.shards.get_or_init(Box::default)
    }

    /// Puts a record of a sid that has none into its locked shard, and keeps the books. Returns its slot.
    fn add(&self, shard: &mut Shard, hash: u64, cell: Cell) -> u32 {
        self.count.fetch_add(1, Relaxed);
        self.bytes.fetch_add(cell.bytes(), Relaxed);
        self.shards().lower_first_due(Shards::index(hash), cell.due());
        shard.insert(hash, cell, &|sid| self.hash(sid))
    }

    /// Writes the record in a slot of a locked shard anew, and keeps the books. What is returned is freed
    /// best when the shard is not locked any more.
    fn rewrite(
        &self,
        index: usize,
        shard: &mut Shard,
        slot: u32,
        content: &Content<'_>,
    ) -> Option<Cell> {
        let old = shard.replace(slot, content);
        if let Some(old) = &old {
            let bytes = shard.cell(slot).bytes();
            self.bytes.fetch_add(bytes.wrapping_sub(old.bytes()), Relaxed);
        }
        self.shards().lower_first_due(index, shard.cell(slot).due());
        old
    }

    fn forget(&self, cell: &Cell) {
        self.count.fetch_sub(1, Relaxed);
        self.bytes.fetch_sub(cell.bytes(), Relaxed);
    }

    /// The record of a sid, if it is live, and its spot. Its shard is not locked any more.
    fn find(&self, sid: &[u8], now: Millis) -> Option<(Cell, u64)> {
        self.named.store(now, Relaxed);
        let hash = self.hash(sid);
        let shard = self.shards().read(hash);
        let slot = shard.slot_and_payload(hash, sid)?;
        let cell = shard.cell(slot);
        if !cell.is_live(now) {
            return None;
        }
        if self.is_bounded() {
            cell.hit();
        }
        Some((cell.clone(), spot(Shards::index(hash), slot)))
    }

    /// Moves the expiry of a record in a shard that is locked.
    fn move_expiry(
        &self,
        index: usize,
        shard: RwLockReadGuard<'_, Shard>,
        slot: u32,
        touch: &Touch,
    ) {
        let cell = shard.cell(slot);
        if !cell.touch(touch) {
            return;
        }
        let due = due_second(touch.expires);
        let is_earlier = due < cell.due();
        drop(shard);
        if is_earlier {
            let mut shard = self.shards().lock(index).write();
            shard.due_earlier(slot);
            self.shards().lower_first_due(index, due);
        }
    }

    /// What there is to tell of a record that was written.
    fn written(
        &self,
        version: Version,
        hash: u64,
        slot: u32,
        is_new: bool,
        now: Millis,
    ) -> Written {
        let spot = spot(Shards::index(hash), slot);
        Written { version, spot, evicted: self.make_room(hash, is_new, now) }
    }

    /// What a save makes of the record `theirs`.
    fn content<'a>(&self, draft: &Draft<'a>, theirs: &Cell) -> Content<'a> {
        let (expires, moved) = draft.settle(theirs.expires());
        Content { payload: draft.payload, version: self.next_version(), expires, moved }
    }

    fn next_version(&self) -> Version {
        self.versions.fetch_add(1, Relaxed)
    }
}

/// The record in a slot, if it is the one of that version, and live.
fn still(shard: &Shard, slot: u32, seen: Version, now: Millis) -> Option<&Cell> {
    // No two records of a table ever have the same version.
    shard.cell_at(slot).filter(|cell| cell.version() == seen && cell.is_live(now))
}

/// What [`Backend::touch_at`] goes by: a shard and a slot in it; never 0.
fn spot(index: usize, slot: u32) -> u64 {
    (index as u64 + 1) << 32 | u64::from(slot)
}

fn place(spot: u64) -> Option<(usize, u32)> {
    let index = ((spot >> 32) as usize).checked_sub(1)?;
    (index < SHARDS).then_some((index, spot as u32))
}

/// Frees records; many of them on a thread of their own, which nobody waits for.
fn free(shards: Vec<Shard>) {
    if shards.iter().map(Shard::len).sum::<usize>() >= MANY {
        drop(std::thread::Builder::new().name("session-free".into()).spawn(|| drop(shards)));
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if let Some(shards) = self.shards.get() {
            free(shards.take(|_| {}));
        }
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

    fn inside(&self) -> Inside {
        Inside { get: true, set: true, touch: true }
    }

    fn get(&self, sid: &[u8], now: Millis) -> Answer<Option<Record>> {
        self.find(sid, now).map(|(cell, spot)| cell.record(spot)).into()
    }

    fn look(&self, sid: &[u8], now: Millis, shown: &mut dyn FnMut(View<'_>)) -> Result<()> {
        if let Some((cell, spot)) = self.find(sid, now) {
            shown(cell.view(spot));
        }
        Ok(())
    }

    fn put(&self, sid: &[u8], draft: Draft<'_>, now: Millis) -> Answer<Written> {
        self.named.store(now, Relaxed);
        if let Err(error) = self.check_size(sid, draft.payload) {
            return Answer::Ready(Err(error));
        }
        let hash = self.hash(sid);
        let Draft { payload, expires, moved, .. } = draft;
        let content = Content { payload, version: self.next_version(), expires, moved };
        let mut shard = self.shards().write(hash);
        let found = shard.slot(hash, sid);
        let (slot, old) = match found {
            Some(slot) => (slot, self.rewrite(Shards::index(hash), &mut shard, slot, &content)),
            None => (self.add(&mut shard, hash, Cell::new(sid, &content)), None),
        };
        drop(shard);
        drop(old);
        self.written(content.version, hash, slot, found.is_none(), now).into()
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
        let mut shard = self.shards().write(hash);
        let Some(slot) = shard.slot(hash, sid) else { return Replaced::Gone.into() };
        let found = shard.cell(slot);
        if !found.is_live(now) {
            return Replaced::Gone.into();
        }
        if seen.is_some_and(|seen| seen.version != found.version()) {
            return Replaced::Changed(found.record(spot(Shards::index(hash), slot))).into();
        }
        let content = self.content(&draft, found);
        let old = self.rewrite(Shards::index(hash), &mut shard, slot, &content);
        drop(shard);
        drop(old);
        Replaced::Written(self.written(content.version, hash, slot, false, now)).into()
    }

    fn replace_at(
        &self,
        spot: u64,
        seen: Version,
        draft: Draft<'_>,
        now: Millis,
    ) -> Option<Written> {
        self.named.store(now, Relaxed);
        // Who keeps to bounds has to know the sid.
        let (index, slot) = place(spot).filter(|_| !self.is_bounded())?;
        let mut shard = self.shards().lock(index).write();
        let found = still(&shard, slot, seen, now)?;
        let content = self.content(&draft, found);
        let old = self.rewrite(index, &mut shard, slot, &content);
        drop(shard);
        drop(old);
        Some(Written { version: content.version, spot, evicted: Vec::new() })
    }

    fn touch(&self, sid: &[u8], touch: Touch, now: Millis) -> Answer<Touched> {
        self.named.store(now, Relaxed);
        let hash = self.hash(sid);
        let shard = self.shards().read(hash);
        let Some(slot) = shard.slot(hash, sid) else { return Touched::Done.into() };
        let cell = shard.cell(slot);
        if !cell.is_live(now) {
            return Touched::Done.into();
        }
        let index = Shards::index(hash);
        if touch.seen.is_some_and(|seen| seen != cell.version()) {
            return Touched::Changed(cell.record(spot(index, slot))).into();
        }
        self.move_expiry(index, shard, slot, &touch);
        Touched::Done.into()
    }

    fn touch_at(&self, spot: u64, seen: Version, touch: Touch, now: Millis) -> bool {
        self.named.store(now, Relaxed);
        let Some((index, slot)) = place(spot) else { return false };
        let shard = self.shards().lock(index).read();
        if still(&shard, slot, seen, now).is_none() {
            return false;
        }
        self.move_expiry(index, shard, slot, &touch);
        true
    }

    fn remove(&self, sid: &[u8]) -> Answer<()> {
        let hash = self.hash(sid);
        let mut shard = self.shards().write(hash);
        let cell = shard.remove(hash, sid, &|sid| self.hash(sid));
        if let Some(cell) = &cell {
            self.forget(cell);
        }
        drop(shard);
        ().into()
    }

    fn page(&self, from: u64, now: Millis) -> Answer<Page> {
        self.named.store(now, Relaxed);
        let (mut index, mut slot) = ((from >> 32) as usize, from as u32);
        let mut budget = PAGE_RECORDS * RECORD_COST;
        let mut page = Page::default();
        while index < SHARDS && budget > 0 {
            let (cells, next) = self.shards().lock(index).read().walk(slot, &mut budget, now);
            page.records.extend(cells.iter().map(|cell| (cell.sid().into(), cell.record(0))));
            (index, slot) = next.map_or((index + 1, 0), |slot| (index, slot));
        }
        page.next = (index < SHARDS).then_some((index as u64) << 32 | u64::from(slot));
        page.into()
    }

    fn count(&self, from: u64, now: Millis) -> Answer<Count> {
        self.named.store(now, Relaxed);
        let mut count = Count::default();
        let mut looks = 0;
        let mut index = from as usize;
        while index < SHARDS && looks < COUNT_LOOKS {
            let shard = self.shards().lock(index).read();
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
        free(self.shards().take(|shard| {
            self.count.fetch_sub(shard.len(), Relaxed);
            self.bytes.fetch_sub(shard.bytes(), Relaxed);
        }));
        ().into()
    }

    fn ping(&self) -> Answer<()> {
        ().into()
    }

    fn gauges(&self) -> Gauges {
        Gauges {
            bytes: Some(self.bytes.load(Relaxed) as u64),
            expired: Some(self.expired.load(Relaxed)),
            evicted: Some(self.evicted.load(Relaxed)),
        }
    }
}
