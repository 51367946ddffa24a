//! What LMDB and the system can say, in words for whoever has to do something about it. Knows nothing
//! of records.

use std::{fmt, io, path::Path};

use heed::MdbError;
use rustix::io::Errno;

use crate::error::{Error, Kind};

/// Free space in which a write of a few pages may not find room.
const LITTLE_BYTES: u64 = 1 << 20;

/// Why a transaction failed. Cheap to copy: all operations of a transaction fail with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Everything that `mapSize` allows is in use.
    MapFull,
    /// The disk, or the quota, is.
    DiskFull,
    /// The system says EIO; LMDB does, too, where only a part was written, as to a disk that gets full.
    Io,
    /// Another process has enlarged the map.
    Resized,
    /// There is no place for one more reader.
    ReadersFull,
    /// LMDB gave up on this environment, and wants it opened anew.
    Fatal,
    /// The environment is closed.
    Closed,
    /// Two sids have one hash.
    Collision,
    /// Anything else.
    Other(String),
}

impl Failure {
    /// Whether less might still fit.
    pub fn is_about_room(&self) -> bool {
        matches!(self, Failure::MapFull | Failure::DiskFull)
    }

    /// The same, told apart by how much room the disk of `folder` has.
    pub fn on_disk_of(self, folder: &Path) -> Failure {
        let is_full = || {
            rustix::fs::statvfs(folder)
                .is_ok_and(|disk| disk.f_bavail.saturating_mul(disk.f_frsize) < LITTLE_BYTES)
        };
        if self == Failure::Io && is_full() { Failure::DiskFull } else { self }
    }

    /// The error that the callers get.
    pub fn error(&self, folder: &Path) -> Error {
        let kind = match self {
            Failure::Closed => Kind::Closed,
            Failure::Collision => Kind::Internal,
            _ => Kind::Unavailable,
        };
        Error::new(kind, format!("{}: {self}", folder.display()))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Failure::MapFull => {
                "the sessions take all of \"mapSize\"; raise it, or let sessions end sooner. What was stored before is kept"
            }
            Failure::DiskFull => {
                "the disk is full; free some space. What was stored before is kept"
            }
            Failure::Io => {
                "the disk reports an error (EIO); look at the system's log. What was acknowledged is kept"
            }
            Failure::Resized => {
                "another process has this folder open with a larger \"mapSize\"; use the same everywhere"
            }
            Failure::ReadersFull => {
                "more threads of more processes read it than it has places for (4096)"
            }
            Failure::Fatal => {
                "a write to the file failed halfway, and it is opened anew; what was acknowledged is kept"
            }
            Failure::Closed => "it was closed",
            Failure::Collision => "two sids have the same hash of 128 bits",
            Failure::Other(text) => text,
        })
    }
}

impl From<heed::Error> for Failure {
    fn from(error: heed::Error) -> Self {
        match error {
            heed::Error::Io(error) => error.into(),
            heed::Error::Mdb(MdbError::MapFull) => Failure::MapFull,
            heed::Error::Mdb(MdbError::MapResized) => Failure::Resized,
            heed::Error::Mdb(MdbError::ReadersFull) => Failure::ReadersFull,
            heed::Error::Mdb(MdbError::Panic) => Failure::Fatal,
            error => Failure::Other(format!("LMDB says: {error}")),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match Errno::from_io_error(&error) {
            Some(Errno::NOSPC | Errno::DQUOT) => Failure::DiskFull,
            Some(Errno::IO) => Failure::Io,
            _ => Failure::Other(format!("the system says: {error}")),
        }
    }
}
