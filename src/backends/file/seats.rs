//! Which processes have a folder open: a file for each, locked for as long as it has. So that a
//! process LMDB cannot work together with is told, instead of damaging what others wrote. Knows nothing
//! of LMDB's own locks.
//!
//! LMDB keeps locks and readers in memory that processes share, under their process numbers. That fails
//! between processes that number differently (containers with process numbers of their own), between C
//! libraries whose locks differ, and between two copies of LMDB in one process. A lock of flock(2) is
//! let go when its process ends in whatever way, and also excludes a second copy in the same process.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};

use super::folder::{Folder, MARK, refused};
use crate::error::{Error, Kind, Result};

/// The folder of the files, inside the folder.
const SEATS: &str = "processes";
/// How long another process may take to open the folder.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often is looked whether it has.
const LOOK: Duration = Duration::from_millis(2);
const MARK_TEXT: &str = "This folder belongs to rust-session-store: it holds sessions. \
    Do not edit, copy or delete files in it while a process uses it.\n";

/// The place of this process, while the folder is being opened: nobody else opens it meanwhile.
pub struct Opening {
    seat: Seat,
    _gate: File,
}

impl Opening {
    /// The place for as long as the folder is open.
    pub fn keep(self) -> Seat {
        self.seat
    }
}

/// The place of this process.
pub struct Seat {
    path: PathBuf,
    _locked: File,
}

impl Drop for Seat {
    fn drop(&mut self) {
        // One that is left behind is removed by the next who opens the folder.
        let _ = fs::remove_file(&self.path);
    }
}

/// What processes must have in common to share a folder.
#[derive(PartialEq, Eq)]
struct Kin {
    /// Those that see the same process numbers.
    numbers: String,
    /// The C library and what else decides about the form of locks.
    locks: String,
}

impl Kin {
    fn own() -> Kin {
        // Systems without have one numbering for all.
        let numbers = fs::read_link("/proc/self/ns/pid")
            .map_or_else(|_| "unknown".to_owned(), |link| link.to_string_lossy().into_owned());
        let library = if cfg!(target_env = "musl") { "musl" } else { "system" };
        let (arch, bits) = (std::env::consts::ARCH, usize::BITS);
        Kin { numbers, locks: format!("{library} {arch} {bits}") }
    }

    fn to_text(&self) -> String {
        format!("process numbers: {}\nC library: {}\n", self.numbers, self.locks)
    }

    fn from_text(text: &str) -> Kin {
        let value = |name: &str| {
            text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().to_owned()
        };
        Kin { numbers: value("process numbers: "), locks: value("C library: ") }
    }
}

/// Takes the place of this process among those that have the folder open.
pub fn take(folder: &Folder) -> Result<Opening> {
    let gate = enter(folder)?;
    let seats = folder.path.join(SEATS);
    match DirBuilder::new().mode(0o700).create(&seats) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(refused(&folder.path, "cannot be written to", error));
        }
        _ => {}
    }
    let own = Kin::own();
    let path = seats.join(std::process::id().to_string());
    for other in fs::read_dir(&seats).map_err(|error| refused(&seats, "cannot be read", error))? {
        let other = other.map_err(|error| refused(&seats, "cannot be read", error))?.path();
        check(&other, &own, other == path, folder)?;
    }
    let file = open(&path).map_err(|error| refused(&path, "cannot be written", error))?;
    let write = |mut file: &File| {
        lock(file)?;
        file.set_len(0)?;
        file.write_all(own.to_text().as_bytes())
    };
    write(&file).map_err(|error| refused(&path, "cannot be written", error))?;
    Ok(Opening { seat: Seat { path, _locked: file }, _gate: gate })
}

/// Waits until no other process opens the folder.
fn enter(folder: &Folder) -> Result<File> {
    let path = folder.path.join(MARK);
    let denied = |error| refused(&folder.path, "cannot be written to", error);
    let mut gate = open(&path).map_err(denied)?;
    let started = Instant::now();
    loop {
        match lock(&gate) {
            Ok(()) => break,
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(denied(error)),
            Err(_) if started.elapsed() > PATIENCE => {
                return Err(Error::new(
                    Kind::Unavailable,
                    format!(
                        "{}: another process has been opening it for {} s; look whether one is stopped",
                        folder.path.display(),
                        PATIENCE.as_secs()
                    ),
                ));
            }
            Err(_) => thread::sleep(LOOK),
        }
    }
    if gate.metadata().map_err(denied)?.len() == 0 {
        gate.write_all(MARK_TEXT.as_bytes()).map_err(denied)?;
    }
    Ok(gate)
}

/// Refuses to sit beside a process of another kind; clears the place of one that has ended.
fn check(path: &Path, own: &Kin, is_own: bool, folder: &Folder) -> Result<()> {
    let mut file = match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => file,
        // Its process ends just now.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(refused(path, "cannot be read", error)),
    };
    match lock(&file) {
        Ok(()) => {
            let _ = fs::remove_file(path);
            return Ok(());
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
        Err(error) => return Err(refused(path, "cannot be locked", error)),
    }
    let mut text = String::new();
    file.rewind()
        .and_then(|()| file.read_to_string(&mut text))
        .map_err(|error| refused(path, "cannot be read", error))?;
    let other = Kin::from_text(&text);
    let number = path.file_name().unwrap_or_default().to_string_lossy();
    let why = if other.numbers != own.numbers {
        format!(
            "a process of another container (there its number is {number}), with process numbers of its own. Run both in one container, give them one process number space, or use Redis"
        )
    } else if other.locks != own.locks {
        format!(
            "the process {number}, which uses another C library ({}; here it is {}). Run all of them with one",
            other.locks, own.locks
        )
    } else if is_own {
        "another copy of rust-session-store in this same process. Load one copy (see npm ls rust-session-store), or give each a folder of its own".to_owned()
    } else {
        return Ok(());
    };
    Err(Error::new(Kind::Unsupported, format!("{} is open in {why}", folder.path.display())))
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

fn lock(file: &File) -> io::Result<()> {
    loop {
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::INTR) => {}
            result => return Ok(result?),
        }
    }
}
