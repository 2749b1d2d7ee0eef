//! The directory that MAASL guards, and how files in it are found.
//!
//! Owns: the open root directory, the way from a caller's path to a
//! [`RelPath`], and the checks of a file before it may be read or replaced.
//! Promises: nothing outside the root, through a symlink, on another mount or
//! of a kind that a rename would break is ever opened for its content; no open
//! blocks; a refused call has changed nothing. Leaves to others: leases,
//! latches, staging and renaming; the state directory `.maasl`, which is
//! opened where it is used.
//!
//! A [`Located`] says what was true when it was made. Whoever replaces the
//! file relies on the exchange showing what it displaced, not on this.

mod database;
mod located;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use maasl_core::path::{PathReason, PathRefusal, RelPath};
use parking_lot::RwLock;
use rustix::fs::{Mode, OFlags, fstat, mkdirat, open, stat};
use rustix::io::{Errno, retry_on_intr};
use thiserror::Error;

pub use located::{Located, Present, State};

use crate::platform::{network_fs_name, open_beneath, sync_dir};

/// How directories are opened: readable, so that they can be synced.
const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);

/// Why a directory cannot be a root.
#[derive(Debug, Error)]
pub enum RootError {
    /// It cannot be found or opened.
    #[error("root {path:?} cannot be opened: {source}")]
    Open {
        /// The directory as it was given.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// Its file system is on another host, where locks and renames promise less.
    #[error("root {path:?} is on the network file system {name}; move it to a local one")]
    NetworkFileSystem {
        /// The directory as it was given.
        path: PathBuf,
        /// Name of the file system's kind.
        name: String,
    },
}

/// An open root directory.
#[derive(Debug)]
pub struct Root {
    dir: OwnedFd,
    path: PathBuf,
    given: PathBuf,
    databases: RwLock<BTreeSet<(u64, u64)>>,
}

impl Root {
    /// Opens `dir`, following symlinks in its own path, once and for all: the
    /// descriptor stays on the same directory wherever it is moved.
    pub fn open(dir: &Path) -> Result<Self, RootError> {
        let failed = |source| RootError::Open {
            path: dir.to_owned(),
            source,
        };
        let path = fs::canonicalize(dir).map_err(failed)?;
        let given = std::path::absolute(dir).map_err(failed)?;
        let flags = DIRECTORY | OFlags::NOFOLLOW;
        let opened = retry_on_intr(|| open(&path, flags, Mode::empty()));
        let fd = opened.map_err(|errno| failed(errno.into()))?;
        if let Some(name) = network_fs_name(fd.as_fd()).map_err(failed)? {
            let path = dir.to_owned();
            return Err(RootError::NetworkFileSystem { path, name });
        }
        Ok(Self {
            dir: fd,
            path,
            given,
            databases: RwLock::default(),
        })
    }

    /// The canonical path of the root when it was opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The root directory itself, open for reading.
    #[must_use]
    pub fn dir(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    /// Whether the directory is still the one that stands under [`Root::path`].
    #[must_use]
    pub fn is_in_place(&self) -> bool {
        match (stat(&self.path), fstat(&self.dir)) {
            (Ok(there), Ok(open)) => (there.st_dev, there.st_ino) == (open.st_dev, open.st_ino),
            _ => false,
        }
    }

    /// Declares a file, by device and number, that this process holds through
    /// SQLite. It is then refused without being opened.
    ///
    /// SQLite locks with `fcntl`, and closing any descriptor of the file drops
    /// all such locks of the process: a look at the header would be enough.
    /// Declare a database before opening it.
    pub fn hold_database(&self, dev: u64, ino: u64) {
        self.databases.write().insert((dev, ino));
    }

    /// Reads a caller's path: relative to the root, or absolute and beneath
    /// the root as it was given or as it is canonically. Looks at no file.
    pub fn relative(&self, input: &str) -> Result<RelPath, PathRefusal> {
        match RelPath::parse(input) {
            Err(refusal) if refusal.reason == PathReason::Absolute => {
                self.relative_of_absolute(input)
            }
            parsed => parsed,
        }
    }

    /// As [`Root::relative`], for names from the system; refuses what is not UTF-8.
    pub fn relative_os(&self, input: &OsStr) -> Result<RelPath, PathRefusal> {
        match input.to_str() {
            Some(input) => self.relative(input),
            None => Err(PathRefusal::new(
                &input.to_string_lossy(),
                PathReason::NotUtf8,
            )),
        }
    }

    fn relative_of_absolute(&self, input: &str) -> Result<RelPath, PathRefusal> {
        let refuse = |reason| PathRefusal::new(input, reason);
        let beneath = [&self.path, &self.given]
            .into_iter()
            .find_map(|root| Path::new(input).strip_prefix(root).ok())
            .and_then(Path::to_str)
            .ok_or_else(|| refuse(PathReason::Absolute))?;
        // Taking the prefix away has also taken a trailing slash.
        let slash = if input.ends_with('/') { "/" } else { "" };
        RelPath::parse(&format!("./{beneath}{slash}")).map_err(|r| refuse(r.reason))
    }

    /// Finds a file: its directory, its name, and what stands there now.
    pub fn locate(&self, rel: &RelPath) -> Result<Located, PathRefusal> {
        let refuse = |reason| PathRefusal::new(rel.as_str(), reason);
        let parent = self.open_parent(rel).map_err(refuse)?;
        let name = rel.file_name().to_owned();
        let state = self.look(parent.as_fd(), &name).map_err(refuse)?;
        Ok(Located {
            rel: rel.clone(),
            parent,
            name,
            state,
        })
    }

    /// What stands under a name in a directory beneath the root, open for reading if
    /// it is a file that may be opened. Whoever reads files of the user opens them so:
    /// this process must not open and close its databases.
    pub(crate) fn look(&self, parent: BorrowedFd<'_>, name: &str) -> Result<State, PathReason> {
        let is_held = |dev: u64, ino: u64| self.databases.read().contains(&(dev, ino));
        located::look(parent, name, &is_held)
    }

    /// Opens the directory of a file, without looking at the file.
    pub fn parent_of(&self, rel: &RelPath) -> Result<OwnedFd, PathRefusal> {
        self.open_parent(rel)
            .map_err(|reason| PathRefusal::new(rel.as_str(), reason))
    }

    /// Opens the nearest directory above a file that exists.
    pub fn nearest_above(&self, rel: &RelPath) -> Result<OwnedFd, PathRefusal> {
        let refuse = |error: &io::Error| PathRefusal::new(rel.as_str(), reason_of(error));
        let mut folder = rel.parent();
        while let Some(path) = folder {
            match beneath(self.dir(), path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                found => return found.map_err(|error| refuse(&error)),
            }
            folder = folder_of(path);
        }
        beneath(self.dir(), ".").map_err(|error| refuse(&error))
    }

    /// Brings the names of all directories above `rel` to the disk, as far as they
    /// lie in directories that are there and may be read.
    pub fn sync_above(&self, rel: &RelPath) -> io::Result<()> {
        let mut folder = rel.parent();
        while let Some(path) = folder {
            folder = folder_of(path);
            match beneath(self.dir(), folder.unwrap_or(".")) {
                Ok(dir) => sync_dir(dir.as_fd())?,
                Err(error) if is_out_of_reach(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Makes the missing directories above `rel`, durably, and returns the
    /// paths of those that it made, from the root down.
    ///
    /// They get the usual mode less the umask. Nothing is made through a
    /// symlink or on another mount.
    pub fn create_parents(&self, rel: &RelPath) -> Result<Vec<String>, PathRefusal> {
        let refuse = |error: &io::Error| PathRefusal::new(rel.as_str(), reason_of(error));
        let mut made = Vec::new();
        let mut dir = beneath(self.dir(), ".").map_err(|e| refuse(&e))?;
        let Some(parent) = rel.parent() else {
            return Ok(made);
        };
        let mut reached = String::new();
        for name in parent.split('/') {
            reached.push_str(name);
            let (next, is_new) = enter(dir.as_fd(), name).map_err(|e| refuse(&e))?;
            if is_new {
                made.push(reached.clone());
            }
            reached.push('/');
            dir = next;
        }
        Ok(made)
    }

    fn open_parent(&self, rel: &RelPath) -> Result<OwnedFd, PathReason> {
        beneath(self.dir(), rel.parent().unwrap_or(".")).map_err(|error| reason_of(&error))
    }
}

/// Whether a directory was taken away or made something else, or may be passed
/// through and not read.
fn is_out_of_reach(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(
            Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV | Errno::ACCESS | Errno::PERM
        )
    )
}

/// The directory of a directory beneath the root, if that is not the root.
fn folder_of(path: &str) -> Option<&str> {
    path.rsplit_once('/').map(|(folder, _)| folder)
}

fn beneath(dir: BorrowedFd<'_>, rel: &str) -> io::Result<OwnedFd> {
    open_beneath(dir, rel, DIRECTORY, Mode::empty())
}

/// Opens the directory `name`, making it first if it is missing; says whether
/// it was made.
fn enter(dir: BorrowedFd<'_>, name: &str) -> io::Result<(OwnedFd, bool)> {
    match beneath(dir, name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        found => return found.map(|fd| (fd, false)),
    }
    let is_new = match retry_on_intr(|| mkdirat(dir, name, Mode::from_raw_mode(0o777))) {
        Ok(()) => true,
        // Somebody else made it, or something else, in the meantime.
        Err(Errno::EXIST) => false,
        Err(errno) => return Err(errno.into()),
    };
    sync_dir(dir)?;
    Ok((beneath(dir, name)?, is_new))
}

/// Why a directory beneath the root, or a file in it, could not be opened.
pub(crate) fn reason_of(error: &io::Error) -> PathReason {
    match Errno::from_io_error(error) {
        Some(Errno::LOOP) => PathReason::Symlink,
        Some(Errno::XDEV) => PathReason::OtherFileSystem,
        Some(Errno::NOTDIR) => PathReason::NotDirectory,
        Some(Errno::NOENT) => PathReason::MissingParent,
        Some(_) | None => PathReason::Unreadable {
            errno: error.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    fn code(result: Result<RelPath, PathRefusal>) -> String {
        match result {
            Ok(path) => path.to_string(),
            Err(refusal) => format!("! {}", refusal.reason.code()),
        }
    }

    #[test]
    fn absolute_paths_are_taken_beneath_either_spelling_of_the_root() {
        let temp = tempfile::tempdir().unwrap();
        let temp = fs::canonicalize(temp.path()).unwrap();
        fs::create_dir(temp.join("real")).unwrap();
        std::os::unix::fs::symlink("real", temp.join("alias")).unwrap();
        let root = Root::open(&temp.join("alias")).unwrap();
        assert_eq!(root.path(), temp.join("real"));
        let base = temp.to_str().unwrap();
        for (input, expected) in [
            ("src/x.rs", "src/x.rs"),
            ("./src//x.rs", "src/x.rs"),
            ("$/real/src/x.rs", "src/x.rs"),
            ("$/alias/src/x.rs", "src/x.rs"),
            ("$/alias/./src//x.rs", "src/x.rs"),
            ("$/real/C:/x", "! network_like"),
            ("$/real/src/", "! trailing_slash"),
            ("$/real", "! empty"),
            ("$/real/", "! empty"),
            ("$/real-evil/x", "! absolute"),
            ("$/rea", "! absolute"),
            ("$/other/x", "! absolute"),
            ("$/real/../other/x", "! traversal"),
            ("$/other/../real/x", "! absolute"),
            ("$/real/.git/config", "! reserved"),
            ("/", "! absolute"),
        ] {
            let input = input.replace('$', base);
            assert_eq!(code(root.relative(&input)), expected, "{input}");
        }
    }

    #[test]
    fn a_refusal_names_the_path_as_it_was_given() {
        let temp = tempfile::tempdir().unwrap();
        let root = Root::open(temp.path()).unwrap();
        let input = format!("{}/.git/x", temp.path().display());
        assert_eq!(root.relative(&input).unwrap_err().path, input);
    }

    #[test]
    fn names_that_are_not_utf8_are_refused() {
        use std::os::unix::ffi::OsStrExt;
        let temp = tempfile::tempdir().unwrap();
        let root = Root::open(temp.path()).unwrap();
        assert_eq!(
            code(root.relative_os(OsStr::from_bytes(b"a\xff"))),
            "! not_utf8"
        );
        assert_eq!(code(root.relative_os(OsStr::new("a"))), "a");
    }

    #[test]
    fn a_root_must_be_a_directory() {
        let temp = tempfile::tempdir().unwrap();
        fs::write(temp.path().join("file"), "").unwrap();
        for name in ["file", "missing"] {
            let refused = Root::open(&temp.path().join(name)).unwrap_err();
            assert!(matches!(refused, RootError::Open { .. }), "{refused}");
        }
    }

    #[test]
    fn the_nearest_directory_is_the_last_that_exists() {
        let temp = tempfile::tempdir().unwrap();
        fs::create_dir_all(temp.path().join("a/b")).unwrap();
        fs::write(temp.path().join("a/file"), "").unwrap();
        let root = Root::open(temp.path()).unwrap();
        let number = |path: &str| fs::metadata(temp.path().join(path)).unwrap().ino();
        for (path, nearest) in [
            ("x", ""),
            ("x/y/z", ""),
            ("a/x", "a"),
            ("a/x/y", "a"),
            ("a/b/x", "a/b"),
        ] {
            let found = root.nearest_above(&root.relative(path).unwrap()).unwrap();
            let found = fs::File::from(found).metadata().unwrap().ino();
            assert_eq!(found, number(nearest), "{path}");
        }
        let through = root.relative("a/file/x").unwrap();
        let refused = root.nearest_above(&through).unwrap_err();
        assert_eq!(refused.reason, PathReason::NotDirectory);
    }

    #[test]
    fn names_above_a_file_are_synced_as_far_as_they_exist() {
        let temp = tempfile::tempdir().unwrap();
        fs::create_dir_all(temp.path().join("a/b")).unwrap();
        let root = Root::open(temp.path()).unwrap();
        std::os::unix::fs::symlink("a", temp.path().join("link")).unwrap();
        for path in ["file", "a/file", "a/b/file", "a/c/d/file", "link/b/c/file"] {
            root.sync_above(&root.relative(path).unwrap()).unwrap();
        }
    }

    #[test]
    fn a_root_that_is_moved_or_replaced_is_not_in_place() {
        let temp = tempfile::tempdir().unwrap();
        let (path, elsewhere) = (temp.path().join("root"), temp.path().join("old"));
        fs::create_dir(&path).unwrap();
        let root = Root::open(&path).unwrap();
        assert!(root.is_in_place());
        fs::rename(&path, &elsewhere).unwrap();
        assert!(!root.is_in_place(), "nothing stands there");
        fs::create_dir(&path).unwrap();
        assert!(!root.is_in_place(), "another stands there");
        fs::remove_dir(&path).unwrap();
        fs::rename(&elsewhere, &path).unwrap();
        assert!(root.is_in_place(), "it is back");
    }

    #[test]
    fn parents_are_created_once() {
        let temp = tempfile::tempdir().unwrap();
        let root = Root::open(temp.path()).unwrap();
        let rel = root.relative("a/b/c/file").unwrap();
        fs::create_dir(temp.path().join("a")).unwrap();
        let refused = root.locate(&rel).unwrap_err();
        assert_eq!(refused.reason, PathReason::MissingParent);
        assert_eq!(root.create_parents(&rel).unwrap(), ["a/b", "a/b/c"]);
        assert!(root.create_parents(&rel).unwrap().is_empty());
        assert!(matches!(root.locate(&rel).unwrap().state, State::Absent));
        let top = root.relative("file").unwrap();
        assert!(root.create_parents(&top).unwrap().is_empty());
    }
}
