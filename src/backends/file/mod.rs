//! Sessions in a folder of this machine: durable, shared by every process. Knows what a `get` sees and
//! what is asked of the writer; how bytes lie in the file, and how they get there, is in the modules
//! below. docs/file.md says what users can rely on, docs/design.md why it is as it is.
//!
//! | module | what it is |
//! |---|---|
//! | `folder` | which folder a URL means, and whether sessions can be kept there |
//! | `seats` | which processes have it open |
//! | `registry` | which folders this process has open |
//! | `lmdb` | the environment: read, written, opened anew |
//! | `layout` | keys and values |
//! | `change` | what is asked of the writer, and what came of it |
//! | `pending` | what is asked for and not written yet |
//! | `answers` | where its answers are put, and who is woken when |
//! | `writer` | the thread that writes |
//! | `apply` | one write transaction |
//! | `look` | reading, counting, walking |
//! | `failure` | what LMDB and the system can say |

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::AcqRel, Ordering::Relaxed},
};

use tokio::sync::oneshot;

use self::{
    change::{Change, Move, Outcome, Save},
    failure::Failure,
    folder::Folder,
    layout::{Key, MAX_SID_BYTES},
    lmdb::{Durability, Settings},
    look::Seeing,
    registry::{Shared, Space},
};
use crate::{
    backend::{Answer, Backend, Count, Gauges, Inside, Listener, Page, Replaced, Touched, Written},
    error::{Error, Kind, Result},
    options::{Form, Options},
    record::{Draft, Millis, Record, Seen, Touch, View},
};

mod answers;
mod apply;
mod change;
mod failure;
mod folder;
pub(crate) mod layout;
mod lmdb;
mod look;
mod pending;
mod registry;
mod seats;
mod writer;

/// The options of this backend.
pub const OPTIONS: &[(&str, Form)] = &[
    ("commandTimeout", Form::Millis),
    ("durability", Form::Choice(&["full", "normal"])),
    ("mapSize", Form::Count),
    ("allowFuse", Form::Switch),
    ("create", Form::Switch),
];
/// Bytes that sessions may take, unless `mapSize` says otherwise. Only what is used is on the disk.
const DEFAULT_MAP_SIZE: usize = 16 << 30;
/// Smallest `mapSize`: what a file with few sessions takes.
const MIN_MAP_SIZE: usize = 1 << 20;
/// Longest payload, in bytes: a quarter of what one transaction can hold.
const MAX_PAYLOAD: usize = 128 << 20;
/// A touch of a session that ends, or is to end, within this many ms is written at once: gathered, it
/// could be written too late for the other processes.
const URGENT_MS: Millis = 5_000;

/// The sessions of one prefix in a folder.
struct File {
    identity: String,
    shared: Arc<Shared>,
    space: Arc<Space>,
    is_closed: AtomicBool,
}

/// Opens `file:FOLDER`.
pub fn open(options: &Options) -> Result<Arc<dyn Backend>> {
    let map_size = options.number("mapSize").map_or(DEFAULT_MAP_SIZE, |bytes| bytes as usize);
    if map_size < MIN_MAP_SIZE {
        return Err(Error::new(
            Kind::Config,
            format!("\"mapSize\" is in bytes, {MIN_MAP_SIZE} or more; got {map_size}"),
        ));
    }
    let durability = match options.text("durability") {
        Some("normal") => Durability::Normal,
        _ => Durability::Full,
    };
    let settings = Settings { durability, map_size };
    let folder = Folder::prepare(
        &folder::path_of(&options.place)?,
        options.switch("create").unwrap_or(true),
        options.switch("allowFuse").unwrap_or(false),
    )?;
    let shared = registry::open(folder, settings)?;
    let prefix = options.prefix.as_deref().unwrap_or("");
    match shared.space(prefix) {
        Ok(space) => Ok(Arc::new(File {
            // With its length in front, where the path ends is never in doubt.
            identity: format!(
                "file:{}:{}{prefix}",
                shared.folder.as_os_str().len(),
                shared.folder.display()
            ),
            shared,
            space,
            is_closed: AtomicBool::new(false),
        })),
        Err(error) => {
            registry::leave(&shared);
            drop(shared.pending.close());
            Err(error)
        }
    }
}

impl File {
    /// Where a sid's record is, for a call of this time.
    fn key(&self, sid: &[u8], now: Millis) -> Key {
        self.shared.named.store(now, Relaxed);
        self.shared.secret.key(self.space.id, sid)
    }

    /// The answer of the writer, as `told` tells it.
    fn written<T: Send + 'static>(
        &self,
        asked: Result<pending::Asked>,
        told: fn(Outcome) -> T,
    ) -> Answer<T> {
        match asked {
            Ok(outcome) => Answer::Later(Box::pin(async move {
                outcome.await.unwrap_or_else(|| Err(pending::lost())).map(told)
            })),
            Err(error) => Answer::Ready(Err(error)),
        }
    }

    /// Reads on the writer's thread, once all that was asked for is written: a walk, or a count of many,
    /// must not hold up the caller's.
    fn read_after<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Shared, &Space) -> Result<T, Failure> + Send + 'static,
    ) -> Answer<T> {
        let (answer, result) = oneshot::channel();
        let (shared, space) = (self.shared.clone(), self.space.clone());
        self.shared.pending.after(Box::new(move || {
            let result = read(&shared, &space).map_err(|failure| failure.error(&shared.folder));
            let _ = answer.send(result);
        }));
        Answer::Later(Box::pin(
            async move { result.await.unwrap_or_else(|_| Err(pending::lost())) },
        ))
    }

    fn leave(&self) -> Option<oneshot::Receiver<()>> {
        if self.is_closed.swap(true, AcqRel) {
            return None;
        }
        registry::leave(&self.shared);
        Some(self.shared.pending.close())
    }
}

impl Drop for File {
    fn drop(&mut self) {
        drop(self.leave());
    }
}

impl Backend for File {
    fn name(&self) -> &'static str {
        "file"
    }

    fn identity(&self) -> &str {
        &self.identity
    }

    fn max_sid_bytes(&self) -> usize {
        MAX_SID_BYTES
    }

    fn max_payload_bytes(&self) -> usize {
        MAX_PAYLOAD
    }

    fn inside(&self) -> Inside {
        Inside { get: true, set: false, touch: true }
    }

    fn flush(&self) {
        self.shared.pending.flush();
    }

    fn listen(&self, listener: Listener) {
        self.shared.listen(listener);
    }

    fn close(&self) -> Answer<()> {
        let Some(closed) = self.leave() else { return ().into() };
        Answer::Later(Box::pin(async move {
            // The writer cannot end before it has answered, but by a fault that stderr tells of.
            let _ = closed.await;
            Ok(())
        }))
    }

    fn get(&self, sid: &[u8], now: Millis) -> Answer<Option<Record>> {
        let mut record = None;
        let looked = self.look(sid, now, &mut |view| record = Some(view.into()));
        Answer::Ready(looked.map(|()| record))
    }

    fn look(&self, sid: &[u8], now: Millis, shown: &mut dyn FnMut(View<'_>)) -> Result<()> {
        let key = self.key(sid, now);
        let ahead = self.shared.pending.ahead(&key);
        look::look(&self.shared, &key, sid, ahead, now, shown)
    }

    fn put(&self, sid: &[u8], draft: Draft<'_>, now: Millis) -> Answer<Written> {
        let key = self.key(sid, now);
        let save = Save::new(sid, draft, self.shared.next_version(), now);
        let foretold = Some(save.put());
        let asked = self.shared.pending.lock().save(key, save, Change::Put, foretold);
        self.written(asked, |outcome| match outcome {
            Outcome::Written(version) => Written { version, ..Written::default() },
            _ => Written::default(),
        })
    }

    fn replace(
        &self,
        sid: &[u8],
        seen: Option<&Seen<'_>>,
        draft: Draft<'_>,
        now: Millis,
    ) -> Answer<Replaced> {
        let key = self.key(sid, now);
        let seen = seen.map(|seen| seen.version);
        let mut asking = self.shared.pending.lock();
        let ahead = asking.ahead(&key);
        let foretold = match look::see(&self.shared, &key, sid, ahead.as_ref(), seen, now) {
            // What the file says is so. What is only foretold, the writer decides about.
            Ok(Seeing::Gone { foretold: false }) => return Replaced::Gone.into(),
            Ok(Seeing::Gone { foretold: true }) => None,
            Ok(Seeing::Other(record)) => return Replaced::Changed(record).into(),
            Ok(Seeing::Live(head)) => Some(head),
            Err(error) => return Answer::Ready(Err(error)),
        };
        let save = Save::new(sid, draft, self.shared.next_version(), now);
        let foretold = foretold.map(|theirs| save.replace(&theirs));
        let asked = asking.save(key, save, |save| Change::Replace(save, seen), foretold);
        drop(asking);
        self.written(asked, |outcome| match outcome {
            Outcome::Written(version) => {
                Replaced::Written(Written { version, ..Written::default() })
            }
            Outcome::Changed(record) => Replaced::Changed(record),
            _ => Replaced::Gone,
        })
    }

    fn touch(&self, sid: &[u8], touch: Touch, now: Millis) -> Answer<Touched> {
        let key = self.key(sid, now);
        let mut asking = self.shared.pending.lock();
        let ahead = asking.ahead(&key);
        let head = match look::see(&self.shared, &key, sid, ahead.as_ref(), touch.seen, now) {
            Ok(Seeing::Live(head)) => head,
            Ok(Seeing::Gone { .. }) => return Touched::Done.into(),
            Ok(Seeing::Other(record)) => return Touched::Changed(record).into(),
            Err(error) => return Answer::Ready(Err(error)),
        };
        if !touch.moves(head.expires) {
            return Touched::Done.into();
        }
        let is_urgent = head.expires.min(touch.expires) < now + URGENT_MS;
        let asked = asking.touch(key, Move::new(&touch, &head, now), is_urgent);
        drop(asking);
        if is_urgent {
            // No flush follows a call that has answered.
            self.shared.pending.flush();
        }
        Answer::Ready(asked.map(|()| Touched::Done))
    }

    fn remove(&self, sid: &[u8]) -> Answer<()> {
        let key = self.shared.secret.key(self.space.id, sid);
        let asked = self.shared.pending.lock().remove(key);
        self.written(asked, drop)
    }

    fn page(&self, from: u64, now: Millis) -> Answer<Page> {
        self.shared.named.store(now, Relaxed);
        self.read_after(move |shared, space| look::page(shared, space.id, from, now))
    }

    fn count(&self, _from: u64, now: Millis) -> Answer<Count> {
        self.shared.named.store(now, Relaxed);
        self.read_after(move |shared, space| {
            Ok(Count { live: look::count(shared, space.id, now)?, next: None })
        })
    }

    fn clear(&self) -> Answer<()> {
        let asked = self.shared.pending.lock().clear(self.space.id);
        self.written(asked, drop)
    }

    fn ping(&self) -> Answer<()> {
        self.read_after(|shared, space| look::book(shared, space.id).map(drop))
    }

    fn gauges(&self) -> Gauges {
        let book = look::book(&self.shared, self.space.id).ok();
        Gauges {
            bytes: book.map(|book| book.bytes),
            expired: Some(self.space.expired.load(Relaxed)),
            evicted: Some(0),
        }
    }
}
