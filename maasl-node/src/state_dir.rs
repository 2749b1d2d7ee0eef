//! The directory `.maasl/` under the root of a repository.
//!
//! Owns: making it and refusing what only looks like it. Promises: what is used
//! is a real directory of this user that nobody else may enter, and version
//! control ignores it. Leaves to others: the files in it (store, latches,
//! doorbells, staging, history).
//!
//! Rights that others have are taken away rather than refused: an archive or a
//! copy of a repository gives them without anybody having meant to. If others could
//! write there, a line in the log says so.

pub mod entries;
pub mod pinned;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use pinned::Pinned;

/// Its name under the root.
pub const NAME: &str = ".maasl";

/// What it holds besides files: latches, liveness locks, doorbells, staged
/// bytes and displaced contents.
pub const SUBDIRECTORIES: [&str; 5] = ["latch", "live", "bell", "stage", "objects"];

const PRIVATE: Mode = Mode::RWXU;

/// What version control is told.
const IGNORE_ALL: &[u8] = b"*\n";

/// An open state directory.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    dirfd: OwnedFd,
    folders: Vec<Pinned>,
}

/// The state directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateDirError {
    /// It is a symbolic link or a file.
    #[error("{} is not a directory; move it away", .0.display())]
    NotADirectory(PathBuf),
    /// It belongs to another user.
    #[error("{} belongs to another user; agents of different users cannot share it", .0.display())]
    NotOurs(PathBuf),
    /// The system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// About what.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl StateDir {
    /// Opens the state directory of `root`, making it where it is missing.
    pub fn open(root: &Path) -> Result<Self, StateDirError> {
        let path = root.join(NAME);
        let dirfd = open_private(rustix::fs::CWD, &path, &path)?;
        let mut dir = Self {
            path,
            dirfd,
            folders: Vec::new(),
        };
        dir.ignore_in_version_control()?;
        for name in SUBDIRECTORIES {
            let path = dir.path.join(name);
            let folder = open_private(dir.dirfd.as_fd(), Path::new(name), &path)?;
            let pinned = Pinned::open(path.clone(), folder.as_fd());
            let failed = |source| StateDirError::Io { path, source };
            dir.folders.push(pinned.map_err(failed)?);
        }
        Ok(dir)
    }

    /// The folders in it, as they were when it was opened.
    #[must_use]
    pub fn folders(&self) -> &[Pinned] {
        &self.folders
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn ignore_in_version_control(&self) -> Result<(), StateDirError> {
        let path = self.path.join(".gitignore");
        let failed = |source: Errno| StateDirError::Io {
            path: path.clone(),
            source: source.into(),
        };
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        match rustix::fs::openat(&self.dirfd, ".gitignore", flags, Mode::RUSR | Mode::WUSR) {
            Ok(file) => rustix::io::write(&file, IGNORE_ALL)
                .map(drop)
                .map_err(failed),
            Err(Errno::EXIST) => {
                if let Some(file) = self.empty_gitignore() {
                    // It was no reason not to start before.
                    let _ = rustix::io::write(&file, IGNORE_ALL);
                }
                Ok(())
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// The one that is there, if nothing is in it: whoever made it died before it was
    /// written, or found no room.
    fn empty_gitignore(&self) -> Option<OwnedFd> {
        let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.dirfd, ".gitignore", flags, Mode::empty()).ok()?;
        let found = rustix::fs::fstat(&file).ok()?;
        let is_file = FileType::from_raw_mode(found.st_mode) == FileType::RegularFile;
        (is_file && found.st_nlink == 1 && found.st_size == 0).then_some(file)
    }
}

impl AsFd for StateDir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.dirfd.as_fd()
    }
}

/// Opens the directory `name` in `parent`, making it first if need be, and takes
/// every right of others away from it.
fn open_private(
    parent: BorrowedFd<'_>,
    name: &Path,
    shown: &Path,
) -> Result<OwnedFd, StateDirError> {
    let failed = |source: Errno| StateDirError::Io {
        path: shown.into(),
        source: source.into(),
    };
    let made = match rustix::fs::mkdirat(parent, name, PRIVATE) {
        Ok(()) => true,
        Err(Errno::EXIST) => false,
        Err(error) => return Err(failed(error)),
    };
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
    let dirfd = match rustix::fs::openat(parent, name, flags, Mode::empty()) {
        Ok(dirfd) => dirfd,
        Err(Errno::NOTDIR | Errno::LOOP) => return Err(StateDirError::NotADirectory(shown.into())),
        Err(Errno::ACCESS) if !is_ours(parent, name) => {
            return Err(StateDirError::NotOurs(shown.into()));
        }
        Err(error) => return Err(failed(error)),
    };
    let found = rustix::fs::fstat(&dirfd).map_err(failed)?;
    if found.st_uid != rustix::process::geteuid().as_raw() {
        return Err(StateDirError::NotOurs(shown.into()));
    }
    let mode = Mode::from_raw_mode(found.st_mode);
    if mode.intersects(Mode::WGRP | Mode::WOTH) {
        tracing::warn!(path = %shown.display(), "others could write here until now; they no longer can");
    }
    if mode != PRIVATE {
        rustix::fs::fchmod(&dirfd, PRIVATE).map_err(failed)?;
    }
    if made {
        // What is put into it is synced later, and must not hang in the air then.
        let above = rustix::fs::openat(&dirfd, "..", flags, Mode::empty()).map_err(failed)?;
        rustix::fs::fsync(above).map_err(failed)?;
    }
    Ok(dirfd)
}

fn is_ours(parent: BorrowedFd<'_>, name: &Path) -> bool {
    rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|found| found.st_uid == rustix::process::geteuid().as_raw())
}

#[cfg(test)]
#[allow(
    clippy::print_stderr,
    reason = "what could not be checked here is said"
)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn root() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    #[test]
    fn a_new_one_is_private_and_ignored() {
        let root = root();
        let dir = StateDir::open(root.path()).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(dir.path()), 0o700);
        for name in SUBDIRECTORIES {
            assert_eq!(mode(&dir.path().join(name)), 0o700, "{name}");
        }
        let ignored = fs::read_to_string(dir.path().join(".gitignore")).unwrap();
        assert_eq!(ignored, "*\n");
    }

    #[test]
    fn opening_again_takes_rights_away_and_keeps_what_is_there() {
        let root = root();
        let path = StateDir::open(root.path()).unwrap().path().to_owned();
        fs::write(path.join(".gitignore"), "mine\n").unwrap();
        for bits in [0o755, 0o770, 0o777, 0o1777, 0o500] {
            for dir in [path.clone(), path.join("stage")] {
                fs::set_permissions(&dir, fs::Permissions::from_mode(bits)).unwrap();
                StateDir::open(root.path()).unwrap();
                let mode = fs::metadata(&dir).unwrap().permissions().mode();
                assert_eq!(mode & 0o7777, 0o700, "{} with {bits:o}", dir.display());
            }
        }
        let ignored = fs::read_to_string(path.join(".gitignore")).unwrap();
        assert_eq!(ignored, "mine\n");
    }

    #[test]
    fn what_was_made_and_not_written_is_written() {
        let root = root();
        let path = StateDir::open(root.path()).unwrap().path().to_owned();
        let ignore = path.join(".gitignore");
        fs::write(&ignore, "").unwrap();
        StateDir::open(root.path()).unwrap();
        assert_eq!(fs::read(&ignore).unwrap(), IGNORE_ALL);
        fs::remove_file(&ignore).unwrap();
        fs::write(root.path().join("mine"), "").unwrap();
        symlink("../mine", &ignore).unwrap();
        StateDir::open(root.path()).unwrap();
        assert_eq!(fs::read(root.path().join("mine")).unwrap(), b"");
    }

    #[test]
    fn links_and_files_are_refused() {
        let elsewhere = root();
        let linked = root();
        symlink(elsewhere.path(), linked.path().join(NAME)).unwrap();
        let inner = root();
        let path = StateDir::open(inner.path()).unwrap().path().join("latch");
        fs::remove_dir(&path).unwrap();
        symlink(elsewhere.path(), &path).unwrap();
        let file = root();
        fs::write(file.path().join(NAME), "").unwrap();
        for refused in [linked, inner, file] {
            let error = StateDir::open(refused.path()).unwrap_err();
            assert!(matches!(error, StateDirError::NotADirectory(_)), "{error}");
        }
        assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_belongs_to_another_user_is_refused() {
        for name in ["", "latch", "objects"] {
            let root = root();
            let path = StateDir::open(root.path()).unwrap().path().join(name);
            if let Err(error) = std::os::unix::fs::chown(&path, Some(54_321), None) {
                eprintln!("NOT CHECKED: directories of other users; chown: {error}");
                return;
            }
            let error = StateDir::open(root.path()).unwrap_err();
            assert!(matches!(error, StateDirError::NotOurs(_)), "{error}");
        }
    }
}
