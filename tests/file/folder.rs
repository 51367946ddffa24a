//! A folder of sessions for a test, and the calls that tests make, each waited for.

use std::{
    fs,
    path::PathBuf,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::{SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use rust_session_store::{
    backends::REGISTRY,
    error::Error,
    options::Options,
    record::{Draft, ExpiryRule, Record},
    store::{Base, Saved, Store},
};
use serde_json::json;

pub const HOUR: u64 = 3_600_000;

/// A folder that is gone when the test is over.
pub struct Dir(pub PathBuf);

impl Dir {
    pub fn new() -> Dir {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("session-file-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed));
        Dir(std::env::temp_dir().join(name))
    }

    pub fn try_open(&self, options: serde_json::Value) -> Result<Store, Error> {
        let mut all = json!({ "url": format!("file:{}", self.0.display()) });
        all.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
        Store::open(Options::parse(&all.to_string(), &REGISTRY).unwrap())
    }

    pub fn open(&self) -> Store {
        self.try_open(json!({})).unwrap()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for an answer, as the binding does: a poll inside the call, a flush, a poll at each wake.
pub fn settle<T>(store: &Store, future: impl Future<Output = T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return value;
        }
        store.flush();
        thread::park();
    }
}

/// Asks for something, and does not wait.
pub fn ask<T>(future: impl Future<Output = T>) {
    assert!(pin!(future).poll(&mut Context::from_waker(Waker::noop())).is_pending());
}

pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

pub fn draft(text: &str, expires: u64) -> Draft<'_> {
    Draft { payload: text.as_bytes(), expires, rule: ExpiryRule::Set, moved: false }
}

pub fn try_put(store: &Store, sid: &[u8], text: &str) -> Result<Saved, Error> {
    settle(store, store.save(sid, draft(text, now() + HOUR), None, now()))
}

pub fn put(store: &Store, sid: &str, text: &str) {
    try_put(store, sid.as_bytes(), text).unwrap();
}

pub fn get(store: &Store, sid: &str) -> Option<Record> {
    settle(store, store.get(sid.as_bytes(), now())).unwrap()
}

pub fn text(store: &Store, sid: &str) -> Option<Bytes> {
    get(store, sid).map(|record| record.payload)
}

pub fn close(store: &Store) {
    settle(store, store.close()).unwrap();
}

pub fn length(store: &Store, now: u64) -> u64 {
    settle(store, store.count(0, now)).unwrap().live
}

/// Saves `text` as a change of what was read.
pub fn save(store: &Store, sid: &str, text: &str, read: &Record) -> Saved {
    let payload = || read.payload.clone();
    let base = Base { version: read.version, text: &payload, cookie_only: false };
    let draft = Draft { rule: ExpiryRule::Later, ..draft(text, now() + HOUR) };
    settle(store, store.save(sid.as_bytes(), draft, Some(base), now())).unwrap()
}
