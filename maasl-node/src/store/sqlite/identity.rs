//! Which file a path names.
//!
//! Owns: noticing that a file was replaced or deleted under us. Promises: a path
//! still names what was opened, or [`StoreError::Replaced`]. Leaves to others:
//! checking often enough.

use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, Stat, statat};
use rustix::io::Errno;

use crate::store::StoreError;

/// A path and the file it named.
#[derive(Debug)]
pub(super) struct Pinned {
    path: PathBuf,
    device_and_inode: (u64, u64),
}

impl Pinned {
    /// The file that `path` names now.
    pub(super) fn at(path: &Path) -> Result<Self, StoreError> {
        let found = stat(path).map_err(|error| StoreError::io(path, error))?;
        Ok(Self {
            path: path.into(),
            device_and_inode: (found.st_dev, found.st_ino),
        })
    }

    /// Whether the path still names it. The path is followed from the root, so
    /// that a directory moved aside is noticed as well.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        match stat(&self.path) {
            Ok(found) if (found.st_dev, found.st_ino) == self.device_and_inode => Ok(()),
            Ok(_) | Err(Errno::NOENT | Errno::NOTDIR) => Err(StoreError::Replaced {
                path: self.path.clone(),
            }),
            Err(error) => Err(StoreError::io(&self.path, error)),
        }
    }
}

/// Refuses a file that another user or another name could change. A file that
/// is not there yet is fine.
pub(super) fn refuse_foreign(path: &Path) -> Result<(), StoreError> {
    let found = match stat(path) {
        Ok(found) => found,
        Err(Errno::NOENT) => return Ok(()),
        Err(error) => return Err(StoreError::io(path, error)),
    };
    let refuse = |reason| {
        Err(StoreError::NotOurs {
            path: path.into(),
            reason,
        })
    };
    if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
        return refuse("not a plain file; move it away");
    }
    if found.st_uid != rustix::process::geteuid().as_raw() {
        return refuse("belongs to another user");
    }
    if found.st_nlink != 1 {
        return refuse("has a second name; a store has one");
    }
    Ok(())
}

/// The same for a database and what lies beside it: SQLite follows links itself.
pub(super) fn refuse_foreign_database(path: &Path) -> Result<(), StoreError> {
    refuse_foreign(path)?;
    for end in ["-wal", "-shm", "-journal"] {
        let mut beside = path.as_os_str().to_owned();
        beside.push(end);
        refuse_foreign(Path::new(&beside))?;
    }
    Ok(())
}

/// Takes the rights of others away, without opening the file: closing it again
/// would drop the locks SQLite holds on it.
pub(super) fn make_private(path: &Path) -> Result<(), StoreError> {
    rustix::fs::chmodat(CWD, path, Mode::RUSR | Mode::WUSR, AtFlags::empty())
        .map_err(|error| StoreError::io(path, error))
}

fn stat(path: &Path) -> Result<Stat, Errno> {
    statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW)
}
