//! Changes as they are asked for, one after another, with what each will come to. Knows nothing of when they are
//! written.

use std::sync::atomic::{AtomicUsize, Ordering::Release};

use parking_lot::{Condvar, MutexGuard};

use super::{
    super::{
        answers,
        change::{Change, Move, Save},
        layout::{Head, Key, SpaceId},
    },
    Ahead, Asked, Entry, Foretold, Inner, Touching,
};
use crate::error::{Error, Kind, Result};

/// Most changes that wait for the writer...
const MAX_OPERATIONS: usize = 10_000;
/// ... most bytes of them...
const MAX_BYTES: usize = 64 << 20;
/// ... and most touches that are gathered. A disk that does not keep up pushes back here.
const MAX_TOUCHES: usize = 65_536;
/// So many are written without waiting for the tick.
pub(super) const MANY_TOUCHES: usize = MAX_TOUCHES / 4;

/// The lock on everything that is under way. The changes asked for under it come one after another.
pub struct Asking<'p> {
    pub(super) inner: MutexGuard<'p, Inner>,
    pub(super) count: &'p AtomicUsize,
    pub(super) wake: &'p Condvar,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.count.store(self.inner.entries.len() + self.inner.clears.len(), Release);
    }
}

impl Asking<'_> {
    /// See [`ahead`](super::Pending::ahead).
    pub fn ahead(&self, key: &Key) -> Option<Ahead> {
        self.inner.ahead(key)
    }

    /// Touches that are gathered stand in nobody's way but that of other touches.
    fn check_room(&self) -> Result<()> {
        let Inner { queue, bytes, .. } = &*self.inner;
        match queue.len() < MAX_OPERATIONS && *bytes < MAX_BYTES {
            true => Ok(()),
            false => Err(full(queue.len())),
        }
    }

    /// Queues a save. `foretold`: the head of the record that it will be, if it will be written.
    pub fn save(
        &mut self,
        key: Key,
        save: Save,
        change: impl FnOnce(Save) -> Change,
        foretold: Option<Head>,
    ) -> Result<Asked> {
        self.check_room()?;
        let (answer, outcome) = answers::place();
        let payload = save.payload();
        let change = change(save);
        // Before the save, which keeps the expiry perhaps.
        self.inner.queue_touch(key);
        let number = self.inner.push(key, change, Some(answer));
        if let Some(head) = foretold {
            let record = Some((number, Foretold::Record { head, payload }));
            self.inner.entries.insert(key, Entry { record, touch: None });
        }
        Ok(outcome)
    }

    /// Queues the removal of a record.
    pub fn remove(&mut self, key: Key) -> Result<Asked> {
        self.check_room()?;
        let (answer, outcome) = answers::place();
        let number = self.inner.push(key, Change::Remove, Some(answer));
        let record = Some((number, Foretold::Gone));
        self.inner.entries.insert(key, Entry { record, touch: None });
        Ok(outcome)
    }

    /// Queues the removal of all records of a space.
    pub fn clear(&mut self, space: SpaceId) -> Result<Asked> {
        self.check_room()?;
        let (answer, outcome) = answers::place();
        let key = Key { space, hash: 0 };
        let number = self.inner.push(key, Change::Clear, Some(answer));
        self.inner.clears.insert(space, number);
        self.inner.entries.retain(|key, _| key.space != space);
        Ok(outcome)
    }

    /// Takes a touch: to be gathered, or at once where that could be too late.
    pub fn touch(&mut self, key: Key, touch: Move, is_urgent: bool) -> Result<()> {
        let gathered = self.inner.touched.len();
        if gathered >= MAX_TOUCHES {
            return Err(full(gathered));
        }
        if gathered == MANY_TOUCHES {
            self.inner.awake = true;
            self.wake.notify_one();
        }
        let entry = self.inner.entries.entry(key).or_default();
        let earlier = entry.touch.replace(Touching { touch, number: None });
        let is_gathered = earlier.is_some_and(|earlier| earlier.number.is_none());
        if let Some(earlier) = earlier.filter(|_| is_gathered) {
            entry.touch = Some(Touching { touch: touch.after(&earlier.touch), number: None });
        }
        if is_urgent {
            self.inner.queue_touch(key);
        } else if !is_gathered {
            self.inner.touched.push(key);
        }
        Ok(())
    }
}

fn full(changes: usize) -> Error {
    Error::new(
        Kind::Unavailable,
        format!(
            "{changes} changes wait to be written: the disk does not keep up, or is stuck. Nothing was changed; try again later"
        ),
    )
}
