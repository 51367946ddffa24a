//! The LMDB environment of one folder: opened, read, written, enlarged, opened anew. Knows nothing of
//! what is kept in it, and nothing of queues.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use heed::{Database, Env, EnvFlags, EnvOpenOptions, RoTxn, RwTxn, WithoutTls, types::Bytes};
use parking_lot::{Mutex, RwLock};

use super::failure::Failure;

/// Reads of all processes that can be under way in one folder at a time: each has a place of 64 bytes.
const MAX_READERS: u32 = 4096;
/// Room beyond what records may take, so that removing and pruning still work when they take it all: a
/// change in LMDB writes to new pages first.
const RESERVE_BYTES: usize = 64 << 20;

/// The one tree that everything is in.
pub type Tree = Database<Bytes, Bytes>;

/// When an acknowledged write is safe from power loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Always.
    Full,
    /// From the next write on. The file itself is never damaged.
    Normal,
}

/// How an environment is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    pub durability: Durability,
    /// Most bytes that records may take, a multiple of nothing in particular.
    pub map_size: usize,
}

struct Opened {
    /// The last read, for the next to go on with while nothing was written. First of the fields, so that
    /// it ends before the environment does.
    kept: Mutex<Option<RoTxn<'static, WithoutTls>>>,
    env: Env<WithoutTls>,
    tree: Tree,
}

/// The environment of a folder. One process opens a folder once: see `registry`.
pub struct Lmdb {
    folder: PathBuf,
    settings: Settings,
    /// None when it was closed, or could not be opened anew.
    opened: RwLock<Option<Opened>>,
    is_closed: AtomicBool,
}

impl Lmdb {
    pub fn open(folder: &Path, settings: Settings) -> Result<Lmdb, Failure> {
        let opened = open(folder, settings)?;
        Ok(Lmdb {
            folder: folder.into(),
            settings,
            opened: RwLock::new(Some(opened)),
            is_closed: AtomicBool::new(false),
        })
    }

    /// Lets the file go, safe from power loss whatever the durability. Nobody uses it any more.
    pub fn close(&self) {
        self.is_closed.store(true, Relaxed);
        if let Some(Opened { env, .. }) = self.opened.write().take() {
            // What cannot be flushed now was not promised either.
            let _ = env.force_sync();
        }
    }

    /// Uses the environment; once more where another process has changed the size of its map.
    fn with<R>(&self, mut task: impl FnMut(&Opened) -> Result<R, Failure>) -> Result<R, Failure> {
        let mut again = || task(self.opened.read().as_ref().ok_or_else(|| self.absent())?);
        match again() {
            Err(Failure::Resized) => {
                self.follow_size()?;
                again()
            }
            result => result,
        }
    }

    /// Why there is no environment: one that could not be opened anew is tried again.
    fn absent(&self) -> Failure {
        if self.is_closed.load(Relaxed) { Failure::Closed } else { Failure::Fatal }
    }

    /// Reads the state of this moment, which is there inside `task` only.
    pub fn read<R>(
        &self,
        mut task: impl FnMut(&RoTxn<'_>, Tree) -> Result<R, Failure>,
    ) -> Result<R, Failure> {
        self.with(|opened| {
            // Another thread reads: it keeps its own.
            let Some(mut kept) = opened.kept.try_lock() else {
                return task(&*opened.begin_read()?, opened.tree);
            };
            let last_write = opened.env.info().last_txn_id;
            if kept.as_ref().is_none_or(|txn| txn.id() != last_write) {
                // Its place among the readers is free for the next.
                *kept = None;
                *kept = Some(opened.begin_read()?);
            }
            task(kept.as_ref().ok_or(Failure::Closed)?, opened.tree)
        })
    }

    /// Lets go of the read that is kept: for as long as there is one, no process uses again what has
    /// become free since.
    pub fn end_reads(&self) {
        if let Some(opened) = self.opened.read().as_ref() {
            // One that is under way is not old.
            drop(opened.kept.try_lock().and_then(|mut kept| kept.take()));
        }
    }

    /// Runs one write transaction, and commits it unless `task` fails. Waits for those of other
    /// processes, and for the disk: never on a thread that others wait for.
    pub fn write<R>(
        &self,
        task: impl FnOnce(&mut RwTxn<'_>, Tree) -> Result<R, Failure>,
    ) -> Result<R, Failure> {
        let mut task = Some(task);
        self.with(|Opened { env, tree, .. }| {
            let mut txn = env.write_txn()?;
            let task = task.take().ok_or(Failure::Closed)?;
            let result = task(&mut txn, *tree)?;
            txn.commit()?;
            Ok(result)
        })
    }

    /// Frees the places of readers whose process was killed: pages that they seem to read are not used
    /// again.
    pub fn free_dead_readers(&self) {
        if let Some(Opened { env, .. }) = self.opened.read().as_ref() {
            // Another process does it next time.
            let _ = env.clear_stale_readers();
        }
    }

    /// After [`Failure::Fatal`].
    pub fn reopen(&self) -> Result<(), Failure> {
        let mut opened = self.opened.write();
        *opened = None;
        *opened = Some(open(&self.folder, self.settings)?);
        Ok(())
    }

    /// Takes the size of the map that another process has given it.
    fn follow_size(&self) -> Result<(), Failure> {
        let opened = self.opened.write();
        let Opened { kept, env, .. } = opened.as_ref().ok_or_else(|| self.absent())?;
        kept.lock().take();
        // SAFETY: must not run while a transaction of this process does. The one that was kept has ended;
        // all others are inside `read` and `write`, under the lock that is held here alone.
        unsafe { env.resize(0)? };
        Ok(())
    }
}

impl Opened {
    fn begin_read(&self) -> Result<RoTxn<'static, WithoutTls>, Failure> {
        let begin = || self.env.clone().static_read_txn().map_err(Failure::from);
        match begin() {
            Err(Failure::ReadersFull) if self.env.clear_stale_readers()? > 0 => begin(),
            txn => txn,
        }
    }
}

fn open(folder: &Path, settings: Settings) -> Result<Opened, Failure> {
    let page = rustix::param::page_size();
    let size = settings.map_size.saturating_add(settings.map_size / 8 + RESERVE_BYTES);
    // A place of its own for each read: those of threads are given back by a destructor of the thread,
    // which may run while the writer closes the environment, and then reads what is mapped no more.
    let mut options = EnvOpenOptions::new().read_txn_without_tls();
    options.map_size(size.div_ceil(page) * page).max_readers(MAX_READERS);
    if settings.durability == Durability::Normal {
        // SAFETY: without a flush of the meta page, power loss may undo the last transaction; the file
        // stays whole. That is what `Normal` promises.
        unsafe { options.flags(EnvFlags::NO_META_SYNC) };
    }
    // SAFETY: the file is mapped, so nobody else may write to it or cut it short. The folder belongs to
    // this user alone, holds our mark, and is on a disk of this machine (see `folder` and `seats`).
    let env = unsafe { options.open(folder)? };
    // A process that was killed while it had the folder to itself leaves its readers behind.
    env.clear_stale_readers()?;
    let txn = env.read_txn()?;
    let tree = env
        .open_database(&txn, None)?
        .ok_or_else(|| Failure::Other("LMDB has lost its main tree".into()))?;
    txn.commit()?;
    Ok(Opened { kept: Mutex::new(None), env, tree })
}
