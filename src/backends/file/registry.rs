//! The folders that this process has open: each once, whatever number of stores use it. Knows nothing
//! of records.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{
        Arc, LazyLock,
        atomic::{
            AtomicBool, AtomicU64,
            Ordering::{AcqRel, Relaxed},
        },
    },
};

use parking_lot::Mutex;

use super::{
    apply,
    failure::Failure,
    folder::{Folder, FolderId},
    layout::{FORMAT, INFO_FORMAT, INFO_SECRET, Secret, SpaceId},
    lmdb::{Lmdb, Settings},
    pending::Pending,
    seats::{self, Seat},
    writer,
};
use crate::{
    backend::{Event, Listener},
    error::{Error, Kind, Result},
    record::{Millis, Version},
};

/// Open folders, and how many stores use each.
type Open = HashMap<FolderId, (Arc<Shared>, usize)>;

/// Those of this process.
static OPEN: LazyLock<Mutex<Open>> = LazyLock::new(Mutex::default);

/// Versions cross to JavaScript as numbers, which are exact below this.
const VERSIONS: Version = 1 << 53;

/// One open folder, for all stores of the process that use it.
pub struct Shared {
    id: FolderId,
    pub folder: PathBuf,
    pub settings: Settings,
    pub lmdb: Lmdb,
    pub pending: Pending,
    pub secret: Secret,
    /// The time that the last caller named.
    pub named: AtomicU64,
    versions: AtomicU64,
    spaces: Mutex<HashMap<SpaceId, Arc<Space>>>,
    listeners: Mutex<Vec<Listener>>,
    warned: AtomicBool,
    seat: Mutex<Option<Seat>>,
}

/// A prefix that is in use.
pub struct Space {
    pub id: SpaceId,
    prefix: String,
    /// Records removed because their time was over, by this process.
    pub expired: AtomicU64,
}

impl Shared {
    /// The space of a prefix.
    pub fn space(&self, prefix: &str) -> Result<Arc<Space>> {
        let id = self.secret.space(prefix);
        let book = self
            .lmdb
            .read(|txn, tree| apply::book(txn, tree, id))
            .map_err(|failure| failure.error(&self.folder))?;
        let mut spaces = self.spaces.lock();
        let space = spaces.entry(id).or_insert_with(|| {
            Arc::new(Space { id, prefix: prefix.into(), expired: AtomicU64::new(0) })
        });
        if space.prefix != prefix || book.is_some_and(|book| book.prefix != prefix) {
            return Err(Error::new(
                Kind::Config,
                "this \"prefix\" has the same hash as another in this folder; choose another",
            ));
        }
        Ok(space.clone())
    }

    /// A version that no record of the file has, but for a chance of one in 2^53.
    pub fn next_version(&self) -> Version {
        (self.versions.fetch_add(1, Relaxed) % (VERSIONS - 1)) + 1
    }

    /// The prefix of a space that this process writes to.
    pub fn prefix_of(&self, space: SpaceId) -> String {
        self.spaces.lock().get(&space).map_or_else(String::new, |space| space.prefix.clone())
    }

    pub fn count_expired(&self, space: SpaceId, expired: u64) {
        if let Some(space) = self.spaces.lock().get(&space) {
            space.expired.fetch_add(expired, Relaxed);
        }
    }

    pub fn listen(&self, listener: Listener) {
        self.listeners.lock().push(listener);
    }

    /// Says once that touches, which nobody waits for, could not be written.
    pub fn warn(&self, failure: &Failure) {
        if self.warned.swap(true, AcqRel) {
            return;
        }
        for listener in &*self.listeners.lock() {
            listener(Event::Warning(format!(
                "sessions that are used may end too early, because {}: {failure}",
                self.folder.display()
            )));
        }
    }
}

/// Opens a folder, or joins those who have it open.
pub fn open(folder: Folder, settings: Settings) -> Result<Arc<Shared>> {
    let mut open = OPEN.lock();
    if let Some((shared, stores)) = open.get_mut(&folder.id) {
        if shared.settings != settings {
            return Err(Error::new(
                Kind::Config,
                format!(
                    "{} is already open in this process with another \"durability\" or \"mapSize\"; open it with the same everywhere",
                    folder.path.display()
                ),
            ));
        }
        *stores += 1;
        return Ok(shared.clone());
    }
    let seat = seats::take(&folder)?;
    let told = |failure: Failure| failure.error(&folder.path);
    let lmdb = Lmdb::open(&folder.path, settings).map_err(told)?;
    let secret = secret(&lmdb, &folder)?;
    let shared = Arc::new(Shared {
        id: folder.id,
        folder: folder.path,
        settings,
        lmdb,
        pending: Pending::default(),
        secret,
        named: AtomicU64::new(0),
        versions: AtomicU64::new(random_version()),
        spaces: Mutex::default(),
        listeners: Mutex::default(),
        warned: AtomicBool::new(false),
        seat: Mutex::new(Some(seat.keep())),
    });
    writer::start(&shared).map_err(|error| {
        Error::new(Kind::Unavailable, "the system allows this process no more threads")
            .because(error)
    })?;
    open.insert(folder.id, (shared.clone(), 1));
    Ok(shared)
}

/// One store less. The writer is told, and calls [`let_go`].
pub fn leave(shared: &Arc<Shared>) {
    if let Some((_, stores)) = OPEN.lock().get_mut(&shared.id) {
        *stores -= 1;
    }
}

/// Closes a folder if no store uses it any more.
pub fn let_go(shared: &Arc<Shared>) -> bool {
    let mut open = OPEN.lock();
    if open.get(&shared.id).is_some_and(|(_, stores)| *stores > 0) {
        return false;
    }
    shared.lmdb.close();
    shared.seat.lock().take();
    open.remove(&shared.id);
    true
}

/// The secret of the file; a new file gets one. Nobody else has the folder open then.
fn secret(lmdb: &Lmdb, folder: &Folder) -> Result<Secret> {
    let told = |failure: Failure| failure.error(&folder.path);
    let found = lmdb
        .read(|txn, tree| {
            let format = tree.get(txn, INFO_FORMAT)?.map(<[u8]>::to_vec);
            let secret = tree.get(txn, INFO_SECRET)?.and_then(Secret::from_bytes);
            Ok((format, secret))
        })
        .map_err(told)?;
    match found {
        (None, None) => {
            let secret = Secret::random();
            lmdb.write(|txn, tree| {
                tree.put(txn, INFO_FORMAT, &FORMAT.to_be_bytes())?;
                Ok(tree.put(txn, INFO_SECRET, &secret.to_bytes())?)
            })
            .map_err(told)?;
            folder.sync();
            Ok(secret)
        }
        (Some(format), Some(secret)) if format == FORMAT.to_be_bytes() => Ok(secret),
        _ => Err(Error::new(
            Kind::Unsupported,
            format!(
                "{} was written by another version of rust-session-store, in a format that this one does not know",
                folder.path.display()
            ),
        )),
    }
}

fn random_version() -> Version {
    use std::hash::{BuildHasher as _, RandomState};
    let millis: Millis = 0;
    RandomState::new().hash_one(millis)
}
