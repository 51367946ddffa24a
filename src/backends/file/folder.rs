//! Which folder a URL means, and whether sessions can be kept there. Knows nothing of LMDB, and nothing
//! of other processes.

use std::{
    fs::{self, DirBuilder, File},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
};

use percent_encoding::percent_decode_str;

use crate::error::{Error, Kind, Result};

/// The mark of a folder of ours; what it says is for people. See `seats` for what it is locked for.
pub const MARK: &str = "rust-session-store.lock";

/// The same for every path that leads to a folder: its device and number.
pub type FolderId = (u64, u64);

/// A folder that is there, is ours, and is on a disk of this machine.
pub struct Folder {
    /// Without symbolic links.
    pub path: PathBuf,
    pub id: FolderId,
}

/// The path that a URL's place means: as it is written, or of a whole URL (`file:///srv/my%20app`).
pub fn path_of(place: &str) -> Result<PathBuf> {
    let wrong = |message: &str| Err(Error::new(Kind::Config, format!("\"url\": {message}")));
    let path = match place.strip_prefix("//") {
        Some(rest) => {
            let Some((host, path)) = rest.split_once('/') else {
                return wrong("\"file://\" is followed by a third slash and a path");
            };
            if !host.is_empty() && host != "localhost" {
                return wrong("\"file:\" means this machine, and takes no host name");
            }
            match percent_decode_str(&format!("/{path}")).decode_utf8() {
                Ok(path) => path.into_owned(),
                Err(_) => return wrong("the path is not UTF-8"),
            }
        }
        None => place.to_owned(),
    };
    if path.is_empty() {
        return wrong("\"file:\" is followed by a folder, as in \"file:./sessions\"");
    }
    if path.contains('\0') {
        return wrong("a path has no \\0");
    }
    if path.starts_with("~/") {
        return wrong("\"~\" is the shell's; write the path of the home folder");
    }
    Ok(path.into())
}

impl Folder {
    /// Makes the folder if it is not there, where `create` says so, and checks it.
    pub fn prepare(path: &Path, create: bool, allow_fuse: bool) -> Result<Folder> {
        if create {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(path)
                .map_err(|error| refused(path, "cannot be made", error))?;
        }
        let full = path.canonicalize().map_err(|error| refused(path, "cannot be found", error))?;
        let stat = fs::metadata(&full).map_err(|error| refused(path, "cannot be read", error))?;
        let folder = Folder { path: full, id: (stat.dev(), stat.ino()) };
        folder.check_owner(stat.uid())?;
        folder.check_disk(allow_fuse)?;
        folder.check_content()?;
        Ok(folder)
    }

    fn check_owner(&self, owner: u32) -> Result<()> {
        let own = rustix::process::geteuid().as_raw();
        if owner == own {
            return Ok(());
        }
        Err(Error::new(
            Kind::Config,
            format!(
                "{} belongs to the user {owner}, and this process runs as {own}; run it as that user, or name another folder",
                self.path.display()
            ),
        ))
    }

    /// Refuses what other machines may have mounted, too: memory that is shared by processes of one
    /// machine, which LMDB goes by, is not shared with those.
    fn check_disk(&self, allow_fuse: bool) -> Result<()> {
        let Some(kind) = remote_kind(&self.path, allow_fuse)? else { return Ok(()) };
        let hint = match kind {
            FUSE => "; if it is a disk of this machine alone, say so with allowFuse: true",
            _ => "",
        };
        Err(Error::new(
            Kind::Unsupported,
            format!(
                "{} is on {kind}, where sessions would be damaged: name a folder on a disk of this machine{hint}",
                self.path.display()
            ),
        ))
    }

    /// Refuses a folder in which something else is kept.
    fn check_content(&self) -> Result<()> {
        let entries = fs::read_dir(&self.path)
            .and_then(|entries| entries.collect::<io::Result<Vec<_>>>())
            .map_err(|error| refused(&self.path, "cannot be read", error))?;
        if entries.is_empty() || entries.iter().any(|entry| entry.file_name() == MARK) {
            return Ok(());
        }
        Err(Error::new(
            Kind::Config,
            format!(
                "{} holds other files; name a folder that is empty, or not there yet",
                self.path.display()
            ),
        ))
    }

    /// Has the disk keep that there are new files. A system that cannot is not asked again.
    pub fn sync(&self) {
        for folder in [Some(self.path.as_path()), self.path.parent()].into_iter().flatten() {
            let _ = File::open(folder).and_then(|folder| folder.sync_all());
        }
    }
}

/// Why a folder cannot be used.
pub fn refused(path: &Path, what: &str, error: io::Error) -> Error {
    let why = match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "this process is not allowed to: check its user and the folder's permissions".to_owned()
        }
        io::ErrorKind::ReadOnlyFilesystem => "it is on a disk that is mounted read-only".to_owned(),
        io::ErrorKind::NotFound => "there is no such folder".to_owned(),
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            "it, or a part of its path, is a file".to_owned()
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "the disk is full".to_owned(),
        _ => error.to_string(),
    };
    let kind = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Kind::Unavailable,
        _ => Kind::Config,
    };
    Error::new(kind, format!("{} {what}: {why}", path.display())).because(error)
}

const FUSE: &str = "a FUSE file system";

/// What kind of file system a folder is on, where that may be another machine's.
#[cfg(target_os = "linux")]
fn remote_kind(path: &Path, allow_fuse: bool) -> Result<Option<&'static str>> {
    // The numbers of `man 2 statfs` and of Linux's include/uapi/linux/magic.h.
    const KINDS: [(u32, &str); 15] = [
        (0x6969, "NFS"),
        (0x517B, "SMB"),
        (0xFF53_4D42, "CIFS"),
        (0xFE53_4D42, "SMB"),
        (0x564C, "NCP"),
        (0x0102_1997, "a share of another machine (9p)"),
        (0x786F_4256, "a share of another machine (vboxsf)"),
        (0x5346_414F, "AFS"),
        (0x6B41_4653, "AFS"),
        (0x00C3_6400, "Ceph"),
        (0x0116_1970, "GFS2"),
        (0x7461_636F, "OCFS2"),
        (0x0BD0_0BD0, "Lustre"),
        (0x4750_4653, "GPFS"),
        (0x7375_7245, "Coda"),
    ];
    let stat = rustix::fs::statfs(path)
        .map_err(|error| refused(path, "cannot be examined", error.into()))?;
    let number = stat.f_type as u32;
    if number == 0x6573_5546 && !allow_fuse {
        return Ok(Some(FUSE));
    }
    Ok(KINDS.iter().find(|(kind, _)| *kind == number).map(|(_, name)| *name))
}

/// Elsewhere the system itself tells whether a file system is local.
#[cfg(not(target_os = "linux"))]
fn remote_kind(path: &Path, allow_fuse: bool) -> Result<Option<&'static str>> {
    let stat = rustix::fs::statfs(path)
        .map_err(|error| refused(path, "cannot be examined", error.into()))?;
    /// MNT_LOCAL of macOS's and the BSDs' sys/mount.h.
    const LOCAL: u32 = 0x1000;
    let is_local = allow_fuse || stat.f_flags as u32 & LOCAL != 0;
    Ok((!is_local).then_some("a network file system"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_means_one_path() {
        let path = |place| path_of(place).unwrap().into_os_string().into_string().unwrap();
        assert_eq!(path("./sessions"), "./sessions");
        assert_eq!(path("/srv/100%"), "/srv/100%");
        assert_eq!(path("///srv/my%20app"), "/srv/my app");
        assert_eq!(path("//localhost/srv"), "/srv");
        for place in ["", "//", "//host/srv", "a\0b", "~/sessions", "///%ff"] {
            assert_eq!(path_of(place).unwrap_err().kind(), Kind::Config, "{place:?}");
        }
    }
}
