//! What this process has asked for and the file does not have yet: a queue for the writer, and what a
//! `get` has to see of it meanwhile. Knows nothing of transactions.
//!
//! What a change will come to is foretold when it is asked for, from the state as it is seen then. The
//! writer decides: if another process was faster, or the disk is full, the foretelling is dropped, and
//! the caller hears of it.

mod asking;

use std::{
    collections::{HashMap, hash_map::Entry as Place},
    hash::{BuildHasherDefault, Hasher},
    sync::atomic::{AtomicUsize, Ordering::Acquire},
    time::Instant,
};

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use self::asking::{Asking, MANY_TOUCHES};
use super::{
    answers,
    change::{Change, Move, Operation, Outcome},
    layout::{Head, Key, SpaceId},
};
use crate::error::{Error, Kind, Result};

/// Entries that are looked at under one hold of the lock.
const CHUNK: usize = 256;

/// Who waits for a change.
pub type Answer = answers::Sender<Result<Outcome>>;
/// What they wait with.
pub type Asked = answers::Receiver<Result<Outcome>>;
/// What runs on the writer's thread once all that was asked for before it is done.
pub type Task = Box<dyn FnOnce() + Send>;

/// What a `get` has to know of a sid besides the file.
pub struct Ahead {
    /// What the record will be, where it is about to be written.
    pub record: Option<Foretold>,
    /// A touch of it, or of what the file has.
    pub touch: Option<Move>,
}

/// What a change will leave behind.
#[derive(Clone)]
pub enum Foretold {
    Gone,
    Record { head: Head, payload: Bytes },
}

#[derive(Default)]
struct Entry {
    /// With the number of the operation that will make it so.
    record: Option<(u64, Foretold)>,
    touch: Option<Touching>,
}

#[derive(Clone, Copy)]
struct Touching {
    touch: Move,
    /// The number of its operation; none while it is gathered.
    number: Option<u64>,
}

/// Everything that is under way in one folder.
#[derive(Default)]
pub struct Pending {
    inner: Mutex<Inner>,
    /// Entries and clears: while there are none, a `get` needs no lock.
    count: AtomicUsize,
    wake: Condvar,
}

#[derive(Default)]
pub struct Inner {
    entries: HashMap<Key, Entry, BuildHasherDefault<KeyHasher>>,
    /// Spaces that are about to be emptied, with the operation's number.
    clears: HashMap<SpaceId, u64>,
    queue: Vec<(Operation, Option<Answer>)>,
    tasks: Vec<Task>,
    bytes: usize,
    /// Keys of gathered touches; of some that are none any more, too.
    touched: Vec<Key>,
    numbers: u64,
    /// The writer has been told that there is something to do.
    awake: bool,
    closing: Option<Vec<oneshot::Sender<()>>>,
}

/// What the writer takes at once.
#[derive(Default)]
pub struct Batch {
    pub operations: Vec<(Operation, Option<Answer>)>,
    pub tasks: Vec<Task>,
    /// Some store was closed: who waits for that.
    pub closing: Option<Vec<oneshot::Sender<()>>>,
}

impl Pending {
    /// What is ahead of the file for a sid.
    pub fn ahead(&self, key: &Key) -> Option<Ahead> {
        if self.count.load(Acquire) == 0 {
            return None;
        }
        self.inner.lock().ahead(key)
    }

    /// Holds everything still, to ask for a change of what is seen.
    pub fn lock(&self) -> Asking<'_> {
        Asking { inner: self.inner.lock(), count: &self.count, wake: &self.wake }
    }

    /// Wakes the writer if there is something for it.
    pub fn flush(&self) {
        let mut inner = self.inner.lock();
        let is_idle = inner.queue.is_empty() && inner.tasks.is_empty();
        if inner.awake || is_idle {
            return;
        }
        inner.awake = true;
        drop(inner);
        self.wake.notify_one();
    }

    /// Runs a task after all that was asked for so far, gathered touches included, is written.
    pub fn after(&self, task: Task) {
        self.inner.lock().tasks.push(task);
    }

    /// Has the writer write what there is, and then see whether it is still needed; it answers after
    /// that.
    pub fn close(&self) -> oneshot::Receiver<()> {
        let (answer, closed) = oneshot::channel();
        let mut inner = self.inner.lock();
        inner.closing.get_or_insert_default().push(answer);
        inner.awake = true;
        drop(inner);
        self.wake.notify_one();
        closed
    }

    /// Waits for work until `wait` at most. After `tick`, or where there are many, gathered touches are work.
    pub fn take(&self, wait: Instant, tick: Instant) -> Batch {
        let mut inner = self.inner.lock();
        while !inner.awake && !self.wake.wait_until(&mut inner, wait).timed_out() {}
        inner.awake = false;
        let is_time = inner.touched.len() >= MANY_TOUCHES || Instant::now() >= tick;
        if is_time || !inner.tasks.is_empty() || inner.closing.is_some() {
            inner.queue_touches();
        }
        inner.bytes = 0;
        // With room for as many again: a queue that grows is copied, on the callers' thread.
        let next = Vec::with_capacity(inner.queue.len());
        Batch {
            operations: std::mem::replace(&mut inner.queue, next),
            tasks: std::mem::take(&mut inner.tasks),
            closing: inner.closing.take(),
        }
    }

    /// Forgets everything that was foretold: after a fault, when nobody knows what came of it.
    pub fn forget(&self) {
        let mut asking = self.lock();
        asking.inner.entries.clear();
        asking.inner.clears.clear();
    }

    /// Forgets what was foretold of operations that are done. Touches that failed are gathered again,
    /// since nobody waits for them.
    pub fn done(&self, operations: &[(Operation, Option<Answer>)], failed: bool) {
        for chunk in operations.chunks(CHUNK) {
            let mut asking = self.lock();
            for (operation, _) in chunk {
                asking.inner.done(operation, failed);
            }
            drop(asking);
        }
    }
}

impl Inner {
    fn ahead(&self, key: &Key) -> Option<Ahead> {
        let Some(entry) = self.entries.get(key) else {
            let is_cleared = self.clears.contains_key(&key.space);
            return is_cleared.then_some(Ahead { record: Some(Foretold::Gone), touch: None });
        };
        let record = entry.record.as_ref().map(|(_, record)| record.clone());
        Some(Ahead { record, touch: entry.touch.map(|touching| touching.touch) })
    }

    fn next_number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    fn push(&mut self, key: Key, change: Change, answer: Option<Answer>) -> u64 {
        let number = self.next_number();
        let operation = Operation { key, number, change };
        self.bytes += operation.bytes();
        self.queue.push((operation, answer));
        number
    }

    /// Turns a gathered touch into an operation.
    fn queue_touch(&mut self, key: Key) {
        let Some(Touching { touch, number: None }) =
            self.entries.get(&key).and_then(|entry| entry.touch)
        else {
            return;
        };
        let number = Some(self.push(key, Change::Touch(touch), None));
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.touch = Some(Touching { touch, number });
        }
    }

    fn queue_touches(&mut self) {
        for key in std::mem::take(&mut self.touched) {
            self.queue_touch(key);
        }
    }

    fn done(&mut self, operation: &Operation, failed: bool) {
        let Operation { key, number, change } = operation;
        if matches!(change, Change::Clear) {
            if self.clears.get(&key.space) == Some(number) {
                self.clears.remove(&key.space);
            }
            return;
        }
        let Place::Occupied(mut place) = self.entries.entry(*key) else { return };
        let entry = place.get_mut();
        if entry.record.as_ref().is_some_and(|(of, _)| of == number) {
            entry.record = None;
        }
        if let Some(touching) = &mut entry.touch
            && touching.number == Some(*number)
        {
            if failed {
                touching.number = None;
                self.touched.push(*key);
            } else {
                entry.touch = None;
            }
        }
        if entry.record.is_none() && entry.touch.is_none() {
            place.remove();
        }
    }
}

/// Half of a key is a hash already.
#[derive(Default)]
pub struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 ^= number;
    }

    fn write_u128(&mut self, number: u128) {
        self.0 ^= number as u64;
    }
}

/// Answers that nobody will give any more.
pub fn lost() -> Error {
    Error::new(
        Kind::Internal,
        "a fault of rust-session-store: the writer gave no answer; please report it with the text on stderr",
    )
}
