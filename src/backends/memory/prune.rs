//! Removes what is over from every memory table of the process: a thread that looks about once a
//! second. Knows nothing of payloads.
//!
//! The time is the one that a table's callers named last, never the machine's: under a clock that
//! a test has stopped or moved, nobody's session may go before that clock says so. A table that
//! nobody calls keeps what is over, unseen, until the next call that names a time.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Once, Weak, atomic::Ordering::Relaxed},
    thread,
    time::Duration,
};

use parking_lot::{Condvar, Mutex, RwLockWriteGuard};

use super::{Memory, cell::due_second, shard::Pruned, shards::SHARDS};
use crate::record::Millis;

const EVERY: Duration = Duration::from_secs(1);
/// Due records that the thread looks at under one hold of a shard's lock.
const LOOKS: usize = 64;

struct Tables {
    alive: Mutex<Vec<Weak<Memory>>>,
    added: Condvar,
}

static TABLES: Tables = Tables { alive: Mutex::new(Vec::new()), added: Condvar::new() };

/// Has a table pruned for as long as it lives.
pub fn watch(table: Weak<Memory>) {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        let thread = thread::Builder::new().name("session-prune".into());
        // Without the thread nothing expired is ever shown; it only keeps its room.
        drop(thread.spawn(run));
    });
    TABLES.alive.lock().push(table);
    TABLES.added.notify_one();
}

fn run() {
    loop {
        let mut alive = TABLES.alive.lock();
        while alive.is_empty() {
            TABLES.added.wait(&mut alive);
        }
        alive.retain(|table| table.strong_count() > 0);
        let tables = alive.clone();
        drop(alive);
        for table in tables.iter().filter_map(Weak::upgrade) {
            // What one table does wrong must not end the pruning of the others.
            drop(catch_unwind(AssertUnwindSafe(|| table.prune())));
        }
        drop(tables);
        thread::sleep(EVERY);
    }
}

impl Memory {
    /// Removes what is over, a little at a time.
    fn prune(&self) {
        let now = self.named.load(Relaxed);
        let Some(shards) = self.shards.get() else { return };
        for index in 0..SHARDS {
            if shards.first_due(index) <= due_second(now) {
                while self.prune_shard(index, now, LOOKS).more {}
            }
        }
    }

    /// Removes what is over from one shard, looking at no more than `looks` records.
    pub(super) fn prune_shard(&self, index: usize, now: Millis, looks: usize) -> Pruned {
        let shards = self.shards();
        let mut shard = shards.lock(index).write();
        let pruned = shard.prune(now, looks, &|sid| self.hash(sid));
        shards.raise_first_due(index, &shard);
        // Before the lock is let go: a count that is too high would evict somebody.
        for cell in &pruned.removed {
            self.forget(cell);
        }
        self.expired.fetch_add(pruned.removed.len() as u64, Relaxed);
        // Fair, or whoever waits for the shard would wait for all that is to be pruned.
        RwLockWriteGuard::unlock_fair(shard);
        pruned
    }
}
