//! The one thread of a process that writes to a folder: takes what has queued up, writes it as one
//! transaction, and answers. Prunes along with that. Knows nothing of who asks.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::Ordering::Relaxed},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use super::{
    answers::Wakers,
    apply::{self, Batch},
    change::{Change, Operation, Outcome},
    failure::Failure,
    pending::Answer,
    registry::{self, Shared},
};
use crate::record::Millis;

/// How long touches are gathered, and how often is looked for what is over.
const TICK: Duration = Duration::from_secs(1);
/// Entries of the expiry index that one transaction looks at in each prefix.
const LOOKS: usize = 256;
/// Ticks from one search for the places of dead readers to the next.
const READER_TICKS: u32 = 2;

type Asked = (Operation, Option<Answer>);

/// Starts the writer of a folder.
pub fn start(shared: &Arc<Shared>) -> std::io::Result<()> {
    let mut writer =
        Writer { shared: shared.clone(), tick: Instant::now() + TICK, ticks: 0, is_pruning: true };
    thread::Builder::new()
        .name("session-writer".into())
        .spawn(move || while writer.turn() {})
        .map(drop)
}

struct Writer {
    shared: Arc<Shared>,
    tick: Instant,
    ticks: u32,
    /// There may be something over.
    is_pruning: bool,
}

impl Writer {
    /// Does what there is to do. False once nobody needs it any more.
    fn turn(&mut self) -> bool {
        let shared = self.shared.clone();
        let wait = if self.is_pruning { Instant::now() } else { self.tick };
        let batch = shared.pending.take(wait, self.tick);
        self.look_at_the_clock();
        let worked = catch_unwind(AssertUnwindSafe(|| {
            if !batch.operations.is_empty() || self.is_pruning {
                self.commit(batch.operations);
            }
            for task in batch.tasks {
                task();
            }
        }));
        if worked.is_err() {
            // Who waited is told as their senders are dropped.
            shared.pending.forget();
        }
        shared.lmdb.end_reads();
        let Some(closing) = batch.closing else { return true };
        let is_over = registry::let_go(&shared);
        for answer in closing {
            let _ = answer.send(());
        }
        !is_over
    }

    fn look_at_the_clock(&mut self) {
        let now = Instant::now();
        if now < self.tick {
            return;
        }
        self.tick = now + TICK;
        self.is_pruning = true;
        self.ticks += 1;
        if self.ticks.is_multiple_of(READER_TICKS) {
            self.shared.lmdb.free_dead_readers();
        }
    }

    /// Writes operations, and answers them. Where there is not room for all, each that fits is done.
    fn commit(&mut self, mut asked: Vec<Asked>) {
        match self.write(&asked).map_err(|failure| failure.on_disk_of(&self.shared.folder)) {
            Ok(outcomes) => {
                // First, so that who is answered sees what the file has.
                self.shared.pending.done(&asked, false);
                let mut wakers = Wakers::default();
                for ((_, answer), outcome) in asked.into_iter().zip(outcomes) {
                    if let Some(answer) = answer {
                        answer.fill(self.told(outcome), &mut wakers);
                    }
                }
            }
            Err(failure) => {
                self.is_pruning = false;
                if failure.is_about_room() && asked.len() > 1 {
                    let rest = asked.split_off(asked.len() / 2);
                    self.commit(asked);
                    self.commit(rest);
                } else {
                    self.fail(asked, &failure);
                }
            }
        }
    }

    fn told(&self, outcome: Outcome) -> crate::error::Result<Outcome> {
        match outcome {
            Outcome::Full => Err(Failure::MapFull.error(&self.shared.folder)),
            Outcome::Collision => Err(Failure::Collision.error(&self.shared.folder)),
            outcome => Ok(outcome),
        }
    }

    fn fail(&mut self, asked: Vec<Asked>, failure: &Failure) {
        if *failure == Failure::Fatal {
            // If that fails, so does the next transaction, and it is tried again.
            let _ = self.shared.lmdb.reopen();
        }
        self.shared.pending.done(&asked, true);
        if asked.iter().any(|(operation, _)| matches!(operation.change, Change::Touch(_))) {
            self.shared.warn(failure);
        }
        let mut wakers = Wakers::default();
        for answer in asked.into_iter().filter_map(|(_, answer)| answer) {
            answer.fill(Err(failure.error(&self.shared.folder)), &mut wakers);
        }
    }

    /// One transaction: all operations in their order, and a little pruning.
    fn write(&mut self, asked: &[Asked]) -> Result<Vec<Outcome>, Failure> {
        let shared = self.shared.clone();
        let now = prunable(&shared);
        if asked.is_empty() && !self.is_due(now)? {
            self.is_pruning = false;
            return Ok(Vec::new());
        }
        let is_pruning = self.is_pruning;
        let prefix_of = |space| shared.prefix_of(space);
        let (outcomes, pruned) = shared.lmdb.write(|txn, tree| {
            let spaces = if is_pruning { apply::spaces(txn, tree)? } else { Vec::new() };
            let mut batch = Batch::new(txn, tree, shared.settings.map_size, &prefix_of);
            let mut outcomes = Vec::with_capacity(asked.len());
            for (operation, _) in asked {
                outcomes.push(batch.apply(operation)?);
            }
            let mut pruned = Vec::new();
            for space in spaces {
                pruned.push((space, batch.prune(space, now, LOOKS)?));
            }
            batch.finish()?;
            Ok((outcomes, pruned))
        })?;
        for (space, pruned) in &pruned {
            shared.count_expired(*space, pruned.removed);
        }
        if is_pruning {
            self.is_pruning = pruned.iter().any(|(_, pruned)| pruned.looks == LOOKS);
        }
        Ok(outcomes)
    }

    /// Whether there is an entry to be pruned. A read, so that of many processes one writes.
    fn is_due(&self, now: Millis) -> Result<bool, Failure> {
        self.shared.lmdb.read(|txn, tree| {
            for space in apply::spaces(txn, tree)? {
                if !apply::due_entries(txn, tree, space, now, 1)?.is_empty() {
                    return Ok(true);
                }
            }
            Ok(false)
        })
    }
}

/// The time up to which records are over for everybody: by the machine's clock, and by the one that
/// this process's callers go by, which a test may have stopped.
fn prunable(shared: &Shared) -> Millis {
    let machine = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (machine.as_millis() as Millis).min(shared.named.load(Relaxed))
}
