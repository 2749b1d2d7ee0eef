//! Which file a path named.
//!
//! Owns: a path with the identity of what it named. Promises: a path that names
//! something else by now, or nothing, is told from one that cannot be looked at.
//! The path is followed from the root, so that a directory moved aside is noticed
//! as well. Leaves to others: looking often enough, and what to do then.

use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Stat, fstat, statat};
use rustix::io::Errno;

/// A path and the file it named.
#[derive(Clone, Debug)]
pub struct Pinned {
    path: PathBuf,
    device_and_inode: (u64, u64),
}

impl Pinned {
    /// The file that `path` names now.
    pub fn named(path: PathBuf) -> io::Result<Self> {
        let found = statat(CWD, &path, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(Self::of(path, &found))
    }

    /// The file that was opened as `path`.
    pub fn open(path: PathBuf, file: BorrowedFd<'_>) -> io::Result<Self> {
        Ok(Self::of(path, &fstat(file)?))
    }

    /// The path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the path still names it.
    pub fn is_in_place(&self) -> io::Result<bool> {
        match statat(CWD, &self.path, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(found) => Ok(device_and_inode(&found) == self.device_and_inode),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn of(path: PathBuf, found: &Stat) -> Self {
        Self {
            path,
            device_and_inode: device_and_inode(found),
        }
    }
}

/// What a file is known by, whatever its name.
pub(crate) fn device_and_inode(found: &Stat) -> (u64, u64) {
    // As wide as any system has them.
    #[allow(clippy::useless_conversion, clippy::unnecessary_cast)]
    (found.st_dev as u64, found.st_ino as u64)
}
