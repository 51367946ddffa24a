//! Sessions in MongoDB, in the documents of connect-mongo. Knows how the parts play together:
//!
//! | | |
//! |---|---|
//! | `place` | the URL and the options |
//! | `link` | the client, and whether the place can be reached |
//! | `calls` | the calls that wait to be sent |
//! | `send` | sends them, and answers each |
//! | `compare` | compare-and-sets, which are sent in another way |
//! | `statements` | what a call means in MongoDB's words |
//! | `document` | what a document says |
//! | `walk` | pages, counting, clearing |
//! | `failure` | errors |
//!
//! A record is over by the caller's clock, as with connect-mongo: its documents hold times, not distances,
//! and the two may share a collection. docs/mongodb.md says what that asks of the machines' clocks.

use std::{
    collections::BTreeSet,
    mem::take,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use mongodb::bson::doc;
use parking_lot::Mutex;
use tokio::{
    sync::{oneshot, watch},
    task::AbortHandle,
};
use tokio_util::task::TaskTracker;

use self::{
    calls::{Call, Replace, Slot, Task},
    link::Link,
    place::Place,
    walk::Walks,
};
use crate::{
    backend::{Answer, Backend, Count, Gauges, Listener, Page, Replaced, Touched, Written},
    error::{Error, Kind, Result},
    options::Options,
    record::{Draft, Millis, Record, Seen, Touch},
    runtime,
};

mod calls;
mod compare;
mod document;
mod failure;
mod link;
mod place;
mod send;
mod statements;
mod walk;

/// Longest sid in bytes.
const MAX_SID_BYTES: usize = 65_535;
/// Longest payload: a document has 16 MiB at most, and holds more than the text.
const MAX_PAYLOAD_BYTES: usize = (16 << 20) - (256 << 10);
/// How long clearing may take where it has to, beyond the deadline of a call.
const CLEAR_TIMEOUT: Duration = Duration::from_secs(600);

pub use self::place::{DEFAULT_TTL_S, OPTIONS};

/// The schemes of its URLs.
pub const SCHEMES: &[&str] = &["mongodb", "mongodb+srv"];

/// Opens a store; what is wrong with the URL is said at once, what is wrong with the server later.
pub fn open(options: &Options) -> Result<Arc<dyn Backend>> {
    let (link, watch) = Link::open(Place::new(options)?);
    let shared = Arc::new(Shared {
        link,
        gathered: Mutex::default(),
        walks: Walks::default(),
        has_no_bulk: AtomicBool::new(false),
        tasks: TaskTracker::new(),
        batches: AtomicU64::new(0),
        under_way: watch::Sender::default(),
    });
    Ok(Arc::new(Mongo { shared, watch }))
}

/// What the tasks of one store share.
struct Shared {
    link: Arc<Link>,
    gathered: Mutex<Vec<Call>>,
    walks: Walks,
    /// The server has no `bulkWrite`.
    has_no_bulk: AtomicBool,
    /// All that runs; closed with the store.
    tasks: TaskTracker,
    /// How many batches there were.
    batches: AtomicU64,
    /// Those that have not ended, by their number.
    under_way: watch::Sender<BTreeSet<u64>>,
}

impl Shared {
    /// Sends what was gathered.
    fn flush(self: &Arc<Self>) {
        let batch = take(&mut *self.gathered.lock());
        if batch.is_empty() {
            return;
        }
        let number = self.batches.fetch_add(1, Relaxed);
        self.under_way.send_modify(|under_way| {
            under_way.insert(number);
        });
        let ending = Ending { shared: self.clone(), number };
        let run = async move {
            send::send(&ending.shared, batch).await;
            drop(ending);
        };
        self.tasks.spawn_on(run, runtime::handle());
    }

    /// Ends when the batches have that are under way by now.
    fn earlier(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut under_way = self.under_way.subscribe();
        let last = under_way.borrow().last().copied();
        async move {
            let is_over = |under_way: &BTreeSet<u64>| {
                under_way.first().copied() > last || under_way.is_empty()
            };
            let _ = under_way.wait_for(is_over).await;
        }
    }

    /// Runs something that is no matter of a single record, after what was asked for before.
    fn run<T: Send + 'static>(
        self: &Arc<Self>,
        time: Duration,
        run: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Answer<T> {
        if let Err(error) = self.link.check() {
            return Answer::Ready(Err(error));
        }
        self.flush();
        let earlier = self.earlier();
        let (slot, answer) = oneshot::channel();
        let shared = self.clone();
        let run = async move {
            earlier.await;
            let _ = slot.send(shared.link.within_time(time, run).await);
        };
        self.tasks.spawn_on(run, runtime::handle());
        later(answer)
    }
}

/// Takes a number out of [`Shared::under_way`] when it is dropped.
struct Ending {
    shared: Arc<Shared>,
    number: u64,
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.shared.under_way.send_modify(|under_way| {
            under_way.remove(&self.number);
        });
    }
}

fn closed() -> Error {
    Error::new(Kind::Closed, "the store was closed")
}

/// The answer that a slot will give.
fn later<T: Send + 'static>(answer: oneshot::Receiver<Result<T>>) -> Answer<T> {
    Answer::Later(Box::pin(async move { answer.await.unwrap_or_else(|_| Err(closed())) }))
}

/// See the file's top.
struct Mongo {
    shared: Arc<Shared>,
    watch: AbortHandle,
}

impl Mongo {
    fn id(&self, sid: &[u8]) -> Bytes {
        let prefix = self.shared.link.place.prefix.as_bytes();
        [prefix, sid].concat().into()
    }

    fn call<T: Send + 'static>(&self, sid: &[u8], task: impl FnOnce(Slot<T>) -> Task) -> Answer<T> {
        if let Err(error) = self.shared.link.check() {
            return Answer::Ready(Err(error));
        }
        let (slot, answer) = oneshot::channel();
        self.shared.gathered.lock().push(Call { id: self.id(sid), task: task(slot) });
        later(answer)
    }

    fn command_timeout(&self) -> Duration {
        self.shared.link.place.command_timeout
    }
}

impl Backend for Mongo {
    fn name(&self) -> &'static str {
        "mongodb"
    }

    fn identity(&self) -> &str {
        &self.shared.link.place.identity
    }

    fn max_sid_bytes(&self) -> usize {
        MAX_SID_BYTES
    }

    fn max_payload_bytes(&self) -> usize {
        MAX_PAYLOAD_BYTES
    }

    fn flush(&self) {
        self.shared.flush();
    }

    fn listen(&self, listener: Listener) {
        self.shared.link.listen(listener);
    }

    fn close(&self) -> Answer<()> {
        self.shared.flush();
        self.watch.abort();
        self.shared.tasks.close();
        let shared = self.shared.clone();
        let (slot, answer) = oneshot::channel();
        runtime::handle().spawn(async move {
            shared.tasks.wait().await;
            shared.link.close();
            let _ = slot.send(Ok(()));
        });
        later(answer)
    }

    fn get(&self, sid: &[u8], now: Millis) -> Answer<Option<Record>> {
        self.call(sid, |slot| Task::Get { now, slot })
    }

    fn put(&self, sid: &[u8], draft: Draft<'_>, _now: Millis) -> Answer<Written> {
        let payload = Bytes::copy_from_slice(draft.payload);
        self.call(sid, |slot| Task::Put { payload, expires: draft.expires, slot })
    }

    fn replace(
        &self,
        sid: &[u8],
        seen: Option<&Seen<'_>>,
        draft: Draft<'_>,
        now: Millis,
    ) -> Answer<Replaced> {
        let seen = seen.map(|seen| (seen.payload)());
        let payload = Bytes::copy_from_slice(draft.payload);
        let Draft { expires, rule, .. } = draft;
        self.call(sid, |slot| Task::Replace(Replace { seen, payload, expires, rule, now, slot }))
    }

    fn touch(&self, sid: &[u8], touch: Touch, now: Millis) -> Answer<Touched> {
        self.call(sid, |slot| Task::Touch { touch, now, slot })
    }

    fn remove(&self, sid: &[u8]) -> Answer<()> {
        self.call(sid, |slot| Task::Remove { slot })
    }

    fn page(&self, from: u64, now: Millis) -> Answer<Page> {
        let shared = self.shared.clone();
        let page = async move { walk::page(&shared.link, &shared.walks, from, now).await };
        self.shared.run(self.command_timeout(), page)
    }

    fn count(&self, from: u64, now: Millis) -> Answer<Count> {
        let shared = self.shared.clone();
        let count = async move { walk::count(&shared.link, &shared.walks, from, now).await };
        self.shared.run(self.command_timeout(), count)
    }

    fn clear(&self) -> Answer<()> {
        let shared = self.shared.clone();
        self.shared.run(CLEAR_TIMEOUT, async move { walk::clear(&shared.link).await })
    }

    fn ping(&self) -> Answer<()> {
        let shared = self.shared.clone();
        self.shared.run(self.command_timeout(), async move {
            let database = shared.link.database().await?;
            database.run_command(doc! { "ping": 1 }).await.map(drop).map_err(failure::told)
        })
    }

    fn gauges(&self) -> Gauges {
        Gauges::default()
    }
}

impl Drop for Mongo {
    fn drop(&mut self) {
        self.watch.abort();
        self.shared.link.close();
    }
}
