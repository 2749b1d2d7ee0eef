//! The way to a file beneath the root.
//!
//! Owns: opening the folder of a path, and looking at a name in it. Promises: no
//! link is followed, no other mount is entered, and nothing on one is opened.
//! Leaves to others: which files may be opened (`root`), and what is done with
//! one (`look`).

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use maasl_core::docgen::Stamp;
use maasl_core::path::{PathReason, PathRefusal};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, fstat, statat};
use rustix::io::Errno;

use crate::platform;
use crate::root::{Root, State, reason_of};

/// The way from the root to one path after the other.
///
/// It keeps the folder of the last path open. Paths come in their order, so that
/// most lie in the same folder as the one before, and opening it beneath the root
/// again for each of them would be most of the cost of a look.
pub(crate) struct Way<'a> {
    root: &'a Root,
    /// The folder that was opened last; empty before the first.
    folder: String,
    /// Nothing where there is no such folder.
    opened: Option<OwnedFd>,
}

impl<'a> Way<'a> {
    /// The way from this root.
    pub(crate) fn new(root: &'a Root) -> Self {
        Self {
            root,
            folder: String::new(),
            opened: None,
        }
    }

    /// What something looks like, and what it is; nothing where there is nothing.
    /// The root is the empty path.
    pub(crate) fn stamp(&mut self, path: &str) -> io::Result<Option<(Stamp, FileType)>> {
        match self.to(path)? {
            Some((folder, name)) => stamp_at(folder, name),
            None => Ok(None),
        }
    }

    /// What a regular file looks like; nothing where there is none.
    pub(super) fn stamp_of_file(&mut self, path: &str) -> io::Result<Option<Stamp>> {
        let found = self.stamp(path)?;
        Ok(found.and_then(|(stamp, kind)| (kind == FileType::RegularFile).then_some(stamp)))
    }

    /// Opens a regular file, and what it looks like; nothing where there is none. What
    /// callers may not read is refused, databases above all.
    pub(super) fn open(&mut self, path: &str) -> io::Result<Option<(OwnedFd, Stamp)>> {
        let root = self.root;
        let Some((folder, name)) = self.to(path)? else {
            return Ok(None);
        };
        let Some((_, FileType::RegularFile)) = stamp_at(folder, name)? else {
            return Ok(None);
        };
        match root.look(folder, name) {
            Ok(State::Present(present)) => {
                let stamp = platform::stamp_of_stat(&fstat(&present.file)?);
                Ok(Some((present.file.into(), stamp)))
            }
            // Something else has taken its place.
            Ok(State::Absent) | Err(PathReason::Symlink | PathReason::NotRegular { .. }) => {
                Ok(None)
            }
            Err(reason) => Err(io::Error::other(PathRefusal::new(path, reason))),
        }
    }

    /// The folder of a path and its name there; nothing where there is no folder.
    fn to<'p>(&mut self, path: &'p str) -> io::Result<Option<(BorrowedFd<'_>, &'p str)>> {
        let Some((folder, name)) = path.rsplit_once('/') else {
            let name = if path.is_empty() { "." } else { path };
            return Ok(Some((self.root.dir(), name)));
        };
        if self.folder != folder {
            // Should opening fail, no folder is taken to be known.
            self.folder.clear();
            self.opened = open_folder(self.root.dir(), folder, path)?;
            self.folder.push_str(folder);
        }
        let opened = self.opened.as_ref();
        Ok(opened.map(|opened| (opened.as_fd(), name)))
    }
}

/// Opens a folder beneath the root; nothing where there is none. A refusal is of
/// `path`, for whose sake it is opened.
pub(super) fn open_folder(
    root: BorrowedFd<'_>,
    folder: &str,
    path: &str,
) -> io::Result<Option<OwnedFd>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match platform::open_beneath(root, folder, flags, Mode::empty()) {
        Ok(opened) => Ok(Some(opened)),
        Err(error) => nothing(&error, path),
    }
}

/// What a name in a folder looks like, and what it is; nothing where there is
/// nothing.
pub(crate) fn stamp_at(
    folder: BorrowedFd<'_>,
    name: &str,
) -> io::Result<Option<(Stamp, FileType)>> {
    match statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => {
            let kind = FileType::from_raw_mode(stat.st_mode);
            Ok(Some((platform::stamp_of_stat(&stat), kind)))
        }
        Err(Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

/// Nothing, if the system says that there is none; otherwise a refusal of the path.
fn nothing<T>(error: &io::Error, path: &str) -> io::Result<Option<T>> {
    let told = Errno::from_io_error(error);
    if let Some(Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG) = told {
        return Ok(None);
    }
    let refusal = PathRefusal::new(path, reason_of(error));
    Err(io::Error::new(error.kind(), refusal))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, symlink};

    fn folder() -> (tempfile::TempDir, Root) {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        fs::create_dir_all(root.join("deep")).unwrap();
        fs::create_dir(dir.path().join("outside")).unwrap();
        fs::write(dir.path().join("outside/s.py"), "theirs").unwrap();
        fs::write(root.join("deep/s.py"), "ours").unwrap();
        symlink("../outside", root.join("link")).unwrap();
        symlink("s.py", root.join("deep/link.py")).unwrap();
        let root = Root::open(&root).unwrap();
        (dir, root)
    }

    #[test]
    fn nothing_is_found_through_a_link() {
        let (_dir, root) = folder();
        let mut way = Way::new(&root);
        for path in ["link/s.py", "link/none.py"] {
            let stamped = way.stamp(path).unwrap_err();
            let opened = way.open(path).unwrap_err();
            for refused in [stamped, opened] {
                let text = refused.to_string();
                assert!(
                    text.contains(path) && text.contains("symbolic link"),
                    "{text}"
                );
                refused.downcast::<PathRefusal>().unwrap();
            }
        }
        assert!(way.open("deep/link.py").unwrap().is_none());
        let (_, kind) = way.stamp("link").unwrap().unwrap();
        assert_eq!(kind, FileType::Symlink, "it is looked at itself");
    }

    #[test]
    fn paths_are_found_whatever_was_looked_at_before() {
        let (_dir, root) = folder();
        let mut way = Way::new(&root);
        let mut is_file = |path: &str| way.stamp_of_file(path).ok().map(|found| found.is_some());
        for _ in 0..2 {
            assert_eq!(is_file("deep/s.py"), Some(true));
            assert_eq!(is_file("deep/none.py"), Some(false));
            assert_eq!(is_file("none/s.py"), Some(false));
            assert_eq!(is_file("none/t.py"), Some(false));
            assert_eq!(is_file("link/s.py"), None);
            assert_eq!(is_file("link/s.py"), None, "a failure is not remembered");
            assert_eq!(is_file("deep/s.py/below"), Some(false));
            assert_eq!(is_file("deep"), Some(false));
            assert_eq!(is_file(""), Some(false));
        }
        assert!(way.open("deep/s.py").unwrap().is_some());
        assert!(way.open("none/s.py").unwrap().is_none());
        let long = "x".repeat(300);
        assert!(way.open(&long).unwrap().is_none());
    }

    #[test]
    fn a_database_is_not_opened() {
        let (dir, root) = folder();
        let put = |name: &str| fs::write(dir.path().join("root").join(name), "text").unwrap();
        let names = ["held.db", "held.db-wal", "held.db-journal"];
        for name in names {
            put(name);
        }
        let mut way = Way::new(&root);
        assert!(way.open("held.db-journal").unwrap().is_some());
        let meta = fs::metadata(dir.path().join("root/held.db")).unwrap();
        root.hold_database(meta.dev(), meta.ino());
        for name in ["open.db", "open.db-wal", "open.db-shm"] {
            put(name);
        }
        let mut refused = |path: &str| {
            let refused = way.open(path).unwrap_err();
            let refusal = refused.downcast::<PathRefusal>().unwrap();
            assert_eq!(refusal.reason, PathReason::Database, "{path}");
            assert_eq!(refusal.path, path);
        };
        for name in names {
            refused(name);
        }
        refused("open.db");
        // It is known by its number, whatever it is called.
        let at = |name: &str| dir.path().join("root").join(name);
        fs::rename(at("held.db"), at("deep/other.py")).unwrap();
        refused("deep/other.py");
    }
}
