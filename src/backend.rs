//! The contract of a backend. A new one can be written from this file alone; docs/adding-a-backend.md
//! walks through it.
//!
//! A backend keeps records under sids. It knows nothing of cookies, JSON, merging, callbacks or
//! other backends: [`crate::store::Store`] decides *what* is written, a backend only writes it
//! atomically. The rules every backend keeps, and the conformance suite checks:
//!
//! - A record whose `expires` is not after `now` does not exist, to the millisecond, whether or
//!   not it still takes up space.
//! - `now` is the caller's clock. A backend with a clock of its own (a server) uses the distance
//!   `expires - now` and its own clock, so that the two need not agree.
//! - [`Backend::replace`] compares and writes in one atomic step, and never brings back a record
//!   that is gone.
//! - [`Backend::touch`] leaves the payload alone.
//! - A call that has answered is seen by every later call of the same process.
//! - Two prefixes on one place never see each other.
//!
//! Rules for those that answer later, because they wait for a server or a disk:
//!
//! - The answer is a future that is first polled inside the call, and then wherever its waker asks
//!   for it; it must not expect a runtime around it. What needs one runs on [`crate::runtime`].
//! - Calls are gathered: nothing has to be sent before [`Backend::flush`], which follows all the
//!   calls of one turn of the event loop, so that they can share one write.
//! - A future may be dropped at any time: every call has a deadline, kept by the boundary, after
//!   which nobody waits for it any more. What was asked for may then happen or not, but whole.
//! - A place that cannot be reached answers [`crate::error::Kind::Unavailable`] as soon as that is
//!   known. Opening a store never fails for a server that is not there yet.

use std::{
    future::{self, Future},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use crate::{
    error::{Error, Kind, Result},
    record::{Draft, Millis, Record, Seen, Touch, Version, View},
};

/// An answer that is there now, or one that is on its way. In-process backends answer `Ready`,
/// which costs no allocation.
pub enum Answer<T> {
    /// Settled inside the call.
    Ready(Result<T>),
    /// Settles later.
    Later(Pin<Box<dyn Future<Output = Result<T>> + Send>>),
}

impl<T: Unpin + 'static> Future for Answer<T> {
    type Output = Result<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<T>> {
        let answer = self.get_mut();
        if let Answer::Later(future) = answer {
            return future.as_mut().poll(context);
        }
        // Taken out: a future is not polled after its end. The box of a future without a size is no allocation.
        match std::mem::replace(answer, Answer::Later(Box::pin(future::pending()))) {
            Answer::Ready(result) => Poll::Ready(result),
            Answer::Later(_) => Poll::Pending,
        }
    }
}

impl<T> From<T> for Answer<T> {
    fn from(value: T) -> Self {
        Answer::Ready(Ok(value))
    }
}

/// A record that was written.
#[derive(Debug, Default)]
pub struct Written {
    /// The new record's version.
    pub version: Version,
    /// As [`Record::spot`].
    pub spot: u64,
    /// Sids of the sessions that had to leave for it (bounded backends only).
    pub evicted: Vec<Box<[u8]>>,
}

/// The outcome of a compare-and-set.
#[derive(Debug)]
pub enum Replaced {
    /// The record was as expected and is now the draft.
    Written(Written),
    /// Another save came first; this is the record now.
    Changed(Record),
    /// There is no such record (any more). Nothing was written.
    Gone,
}

/// The outcome of a touch.
#[derive(Debug)]
pub enum Touched {
    /// The expiry is where it should be, or there is no such record.
    Done,
    /// The record is another than [`Touch::seen`]; nothing was done.
    Changed(Record),
}

/// Sids and records from one step of a walk.
#[derive(Debug, Default)]
pub struct Page {
    /// Live records only.
    pub records: Vec<(Box<[u8]>, Record)>,
    /// Where the next step begins; `None` at the end.
    pub next: Option<u64>,
}

/// One step of counting the live records.
#[derive(Clone, Copy, Debug, Default)]
pub struct Count {
    /// Live records found in this step.
    pub live: u64,
    /// Where the next step begins; `None` at the end.
    pub next: Option<u64>,
}

/// Figures that a backend knows without counting; `None` where it does not.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gauges {
    /// Bytes of all records.
    pub bytes: Option<u64>,
    /// Records removed because their time was over.
    pub expired: Option<u64>,
    /// Records removed to stay within a bound.
    pub evicted: Option<u64>,
}

/// Which calls are answered inside the call, always: with [`Answer::Ready`]. Fixed for a backend, since
/// callers notice the difference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inside {
    /// [`Backend::get`].
    pub get: bool,
    /// [`Backend::put`], [`Backend::replace`], and [`Backend::remove`] in their stead.
    pub set: bool,
    /// [`Backend::touch`].
    pub touch: bool,
}

/// What a backend has to say that is no answer to a call.
#[derive(Debug)]
pub enum Event {
    /// The place cannot be reached; calls fail at once until [`Event::Up`].
    Down(Error),
    /// It can be reached again.
    Up,
    /// Something works less well than it could, and what to do about it. Said once.
    Warning(String),
    /// An answer is late that nobody waits for. Who carries connections is to read what has come, and then to
    /// call [`Backend::late`].
    Late,
}

/// Hears the events of one store, on any thread.
pub type Listener = Arc<dyn Fn(Event) + Send + Sync>;

/// One open place where records live. Shared by threads; every method may be called from any of
/// them at once.
pub trait Backend: Send + Sync {
    /// The name users read in errors and statistics, such as `memory`.
    fn name(&self) -> &'static str;

    /// The same text for every store that sees the same records (place and prefix), and for no
    /// other.
    fn identity(&self) -> &str;

    /// Longest sid in bytes.
    fn max_sid_bytes(&self) -> usize;

    /// Longest payload in bytes that the place itself can hold.
    fn max_payload_bytes(&self) -> usize {
        usize::MAX
    }

    /// See [`Inside`].
    fn inside(&self) -> Inside {
        Inside::default()
    }

    /// Sends what was asked for since the last time. Follows a round of calls and polls; more often than
    /// needed is fine.
    fn flush(&self) {}

    /// Calls have been waiting for as long as one may, and whoever is to read for this backend (see
    /// [`crate::transport`]) has done so. Where a silent server holds them up, this is when to give its
    /// connection up: nothing else ends a call that takes several steps, such as [`Backend::clear`].
    fn late(&self) {}

    /// Gives the store that has this backend to itself a way to hear of its [`Event`]s. Called once,
    /// before any other call.
    fn listen(&self, _listener: Listener) {}

    /// Ends the use of the place by this store: what is under way ends first. Nothing is called after.
    fn close(&self) -> Answer<()> {
        ().into()
    }

    /// Reads one record. One that is there and is no record of this backend's kind is
    /// [`crate::error::Kind::Decode`].
    fn get(&self, sid: &[u8], now: Millis) -> Answer<Option<Record>>;

    /// As [`Backend::get`], of a backend that answers that inside the call: shows the record, if there is
    /// one, and so has no need to hand it out. `shown` is called once, takes a copy, and calls nothing
    /// here: locks may be held.
    fn look(&self, sid: &[u8], now: Millis, shown: &mut dyn FnMut(View<'_>)) -> Result<()> {
        match self.get(sid, now) {
            Answer::Ready(found) => found.map(|found| found.iter().for_each(|it| shown(it.view()))),
            Answer::Later(_) => {
                Err(Error::new(Kind::Internal, "it does not answer inside the call"))
            }
        }
    }

    /// Writes a record whatever is there. `draft.expires` is after `now`; the rule of the draft
    /// is not asked.
    fn put(&self, sid: &[u8], draft: Draft<'_>, now: Millis) -> Answer<Written>;

    /// Writes a record if it is still as `seen`; without `seen`, if there is one at all. The new
    /// expiry is [`Draft::settle`] of the record's at that moment. The version stays `Version`
    /// of the payload: an expiry that moved is no change.
    fn replace(
        &self,
        sid: &[u8],
        seen: Option<&Seen<'_>>,
        draft: Draft<'_>,
        now: Millis,
    ) -> Answer<Replaced>;

    /// As [`Backend::replace`], of the record of which `spot` and `seen` were told, without its sid,
    /// which takes longer to read and to look up than the rest of it. `None`, and nothing is done, where
    /// another record is there by now, or none.
    fn replace_at(
        &self,
        _spot: u64,
        _seen: Version,
        _draft: Draft<'_>,
        _now: Millis,
    ) -> Option<Written> {
        None
    }

    /// Moves the expiry of a record where [`Touch::moves`] says so. No such record is fine.
    fn touch(&self, sid: &[u8], touch: Touch, now: Millis) -> Answer<Touched>;

    /// As [`Backend::touch`], by `spot` and `seen` as [`Backend::replace_at`]. False where that returns
    /// `None`.
    fn touch_at(&self, _spot: u64, _seen: Version, _touch: Touch, _now: Millis) -> bool {
        false
    }

    /// Removes a record; none there is fine.
    fn remove(&self, sid: &[u8]) -> Answer<()>;

    /// One step of a walk over all records, from 0 or a [`Page::next`], which is below 2^53. A record
    /// that is there during the whole walk is met at least once, and exactly once where the place
    /// can promise that. A step is short: it may run on a thread that others wait for.
    fn page(&self, from: u64, now: Millis) -> Answer<Page>;

    /// One step of counting, as [`Backend::page`].
    fn count(&self, from: u64, now: Millis) -> Answer<Count>;

    /// Removes every record.
    fn clear(&self) -> Answer<()>;

    /// Answers when the backend does.
    fn ping(&self) -> Answer<()>;

    /// See [`Gauges`].
    fn gauges(&self) -> Gauges;
}
