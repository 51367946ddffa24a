//! One record in one allocation: a fixed header, the sid, the payload. Knows nothing of tables,
//! locks or bounds.
//!
//! What may move without a new allocation is atomic, so that a touch needs no more than the read
//! lock of its shard. All of it is `Relaxed`: each field stands for itself, and the lock orders the
//! rest.

use std::{
    cell::RefCell,
    sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed},
};

use bytes::Bytes;
use triomphe::{Arc, ThinArc};

use crate::record::{Millis, Record, Touch, Version, View};

/// Longest sid: its length is kept in 16 bits.
pub const MAX_SID_BYTES: usize = u16::MAX as usize;
/// A second that never comes: who is due then is over at a time the index does not know.
pub const NEVER: u32 = u32::MAX;
/// Reads that the eviction remembers of one record.
const MAX_HITS: u8 = 3;
/// Bytes of a record besides its sid and payload: this header and the two words of `ThinArc`.
const OVERHEAD_BYTES: usize = size_of::<Header>() + 16;

struct Header {
    version: Version,
    expires: AtomicU64,
    /// The second under which the shard's expiry index holds this record; changed under the
    /// shard's write lock only.
    due: AtomicU32,
    sid_len: u16,
    hits: AtomicU8,
    moved: AtomicBool,
}

/// A shared record.
#[derive(Clone)]
pub struct Cell(ThinArc<Header, u8>);

/// What a save makes of a record.
pub struct Content<'a> {
    pub payload: &'a [u8],
    pub version: Version,
    pub expires: Millis,
    pub moved: bool,
}

thread_local! {
    static JOINED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Cell {
    /// A record; `sid` is at most [`MAX_SID_BYTES`] long.
    pub fn new(sid: &[u8], content: &Content<'_>) -> Self {
        debug_assert!(sid.len() <= MAX_SID_BYTES);
        let header = Header {
            version: content.version,
            expires: AtomicU64::new(content.expires),
            due: AtomicU32::new(due_second(content.expires)),
            sid_len: sid.len() as u16,
            hits: AtomicU8::new(0),
            moved: AtomicBool::new(content.moved),
        };
        JOINED.with_borrow_mut(|joined| {
            joined.clear();
            joined.extend_from_slice(sid);
            joined.extend_from_slice(content.payload);
            Cell(ThinArc::from_header_and_slice(header, joined))
        })
    }

    /// Writes over a record, where the new one is as long and nobody else has it in use. Its place in the
    /// expiry index stays. False, and nothing is done, where that cannot be.
    pub fn rewrite(&mut self, content: &Content<'_>) -> bool {
        self.0.with_arc_mut(|record| {
            let Some(record) = Arc::get_mut(record) else { return false };
            let sid_len = record.header().sid_len as usize;
            let payload = &mut record.slice_mut()[sid_len..];
            if payload.len() != content.payload.len() {
                return false;
            }
            payload.copy_from_slice(content.payload);
            let header = record.header_mut();
            header.version = content.version;
            header.expires = AtomicU64::new(content.expires);
            header.moved = AtomicBool::new(content.moved);
            true
        })
    }

    fn header(&self) -> &Header {
        &self.0.header.header
    }

    /// The sid.
    pub fn sid(&self) -> &[u8] {
        &self.0.slice[..self.header().sid_len as usize]
    }

    /// The payload.
    pub fn payload(&self) -> &[u8] {
        &self.0.slice[self.header().sid_len as usize..]
    }

    /// Asks for all of it at once: the cache would otherwise fetch the payload only after the header.
    pub fn fetch(&self) {
        for at in self.0.slice.iter().step_by(64) {
            std::hint::black_box(*at);
        }
    }

    /// What this record counts for in `maxBytes` and `stats().bytes`.
    pub fn bytes(&self) -> usize {
        Self::bytes_of(self.0.slice.len())
    }

    /// [`Cell::bytes`] of a record whose sid and payload have this many bytes together.
    pub fn bytes_of(content: usize) -> usize {
        OVERHEAD_BYTES + content
    }

    pub fn version(&self) -> Version {
        self.header().version
    }

    pub fn expires(&self) -> Millis {
        self.header().expires.load(Relaxed)
    }

    pub fn is_live(&self, now: Millis) -> bool {
        self.expires() > now
    }

    /// Moves the expiry where the touch says so; the text no longer tells it then. One step, or
    /// of two touches at once the earlier could win.
    pub fn touch(&self, touch: &Touch) -> bool {
        let move_from = |theirs| touch.moves(theirs).then_some(touch.expires);
        let moves = self.header().expires.fetch_update(Relaxed, Relaxed, move_from).is_ok();
        if moves {
            self.header().moved.store(true, Relaxed);
        }
        moves
    }

    /// The second of the expiry index.
    pub fn due(&self) -> u32 {
        self.header().due.load(Relaxed)
    }

    /// Only under the shard's write lock.
    pub fn set_due(&self, due: u32) {
        self.header().due.store(due, Relaxed);
    }

    /// Notes a read, for the eviction.
    pub fn hit(&self) {
        let hits = self.hits();
        if hits < MAX_HITS {
            self.set_hits(hits + 1);
        }
    }

    pub fn hits(&self) -> u8 {
        self.header().hits.load(Relaxed)
    }

    pub fn set_hits(&self, hits: u8) {
        self.header().hits.store(hits, Relaxed);
    }

    /// The record, to be looked at.
    pub fn view(&self, spot: u64) -> View<'_> {
        View {
            spot,
            payload: self.payload(),
            expires: self.expires(),
            moved: self.header().moved.load(Relaxed),
            version: self.version(),
        }
    }

    /// The record as the engine reads it. Shares this allocation.
    pub fn record(&self, spot: u64) -> Record {
        let View { expires, moved, version, .. } = self.view(spot);
        let payload = Bytes::from_owner(Payload(self.clone()));
        Record { payload, expires, moved, version, spot }
    }
}

struct Payload(Cell);

impl AsRef<[u8]> for Payload {
    fn as_ref(&self) -> &[u8] {
        self.0.payload()
    }
}

/// The first full second at which a record of this expiry is over. Later ones than the index can
/// tell share [`NEVER`].
pub fn due_second(expires: Millis) -> u32 {
    u32::try_from(expires.div_ceil(1000)).unwrap_or(NEVER)
}
