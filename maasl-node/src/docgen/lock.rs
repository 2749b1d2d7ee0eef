//! The lock that other tools take while they make documents.
//!
//! Owns: `.llmc/docgen.lock` and taking it as those tools do: the whole file, by
//! `flock`, without waiting. Promises: nothing is made where no such tool has ever
//! run, nothing is made through a link, and the file is not cut short. Leaves to
//! others: waiting (the core).

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use maasl_core::path::{PathReason, PathRefusal};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, openat, statat};
use rustix::io::Errno;

use crate::platform;

/// The folder of those tools, in the root.
const FOLDER: &str = ".llmc";
/// The lock file in it.
const NAME: &str = "docgen.lock";
/// The lock file, relative to the root.
const PATH: &str = ".llmc/docgen.lock";
/// As those tools make it.
const MODE: Mode = Mode::RUSR
    .union(Mode::WUSR)
    .union(Mode::RGRP)
    .union(Mode::ROTH);

/// What came of an attempt.
#[derive(Debug)]
pub(crate) enum Attempt {
    /// It is held until this is dropped.
    Held(DocgenLock),
    /// There is no folder for it, so nobody takes it.
    NotNeeded,
    /// Somebody else has it.
    Busy,
}

/// The lock, held.
#[derive(Debug)]
pub(crate) struct DocgenLock {
    file: File,
}

impl Drop for DocgenLock {
    /// A child that is just being started may hold a copy of the descriptor, so
    /// closing ours would not be enough.
    fn drop(&mut self) {
        if let Err(error) = platform::unlock(self.file.as_fd()) {
            tracing::warn!(%error, "{PATH} was not unlocked; it is with the process");
        }
    }
}

/// Takes the lock if it is free.
pub(crate) fn attempt(root: BorrowedFd<'_>) -> io::Result<Attempt> {
    let Some(folder) = folder(root)? else {
        return Ok(Attempt::NotNeeded);
    };
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = match openat(&folder, NAME, flags, MODE) {
        Ok(file) => File::from(file),
        // The folder was removed meanwhile.
        Err(Errno::NOENT) => return Ok(Attempt::NotNeeded),
        Err(errno) => return Err(failed(errno)),
    };
    if platform::try_lock_exclusive(file.as_fd())? {
        Ok(Attempt::Held(DocgenLock { file }))
    } else {
        Ok(Attempt::Busy)
    }
}

/// Opens the folder; nothing where there is none.
fn folder(root: BorrowedFd<'_>) -> io::Result<Option<OwnedFd>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match openat(root, FOLDER, flags, Mode::empty()) {
        Ok(folder) => Ok(Some(folder)),
        // What a link is called where a folder is asked for.
        Err(Errno::NOTDIR) if is_link(root) => Err(failed(Errno::LOOP)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(errno) => Err(failed(errno)),
    }
}

fn is_link(root: BorrowedFd<'_>) -> bool {
    statat(root, FOLDER, AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink)
}

/// A link is refused in the words of every path that is one.
fn failed(errno: Errno) -> io::Error {
    let error = io::Error::from(errno);
    let kind = error.kind();
    if errno == Errno::LOOP {
        return io::Error::new(kind, PathRefusal::new(PATH, PathReason::Symlink));
    }
    io::Error::new(kind, format!("{PATH}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> (tempfile::TempDir, File) {
        let dir = tempfile::tempdir().unwrap();
        let file = File::open(dir.path()).unwrap();
        (dir, file)
    }

    #[test]
    fn where_no_other_tool_has_run_nothing_is_made() {
        let (dir, root) = root();
        let attempted = attempt(root.as_fd()).unwrap();
        assert!(matches!(attempted, Attempt::NotNeeded));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn it_excludes_whoever_locks_the_file_until_it_is_dropped() {
        let (dir, root) = root();
        std::fs::create_dir(dir.path().join(".llmc")).unwrap();
        let held = attempt(root.as_fd()).unwrap();
        let path = dir.path().join(PATH);
        let other = File::open(&path).unwrap();
        assert!(!platform::try_lock_exclusive(other.as_fd()).unwrap());
        assert!(matches!(attempt(root.as_fd()).unwrap(), Attempt::Busy));
        drop(held);
        assert!(platform::try_lock_exclusive(other.as_fd()).unwrap());
        assert!(matches!(attempt(root.as_fd()).unwrap(), Attempt::Busy));
    }

    #[test]
    fn a_folder_that_is_a_link_is_not_followed() {
        let (dir, root) = root();
        let outside = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(outside.path(), dir.path().join(FOLDER)).unwrap();
        let refused = attempt(root.as_fd()).unwrap_err().to_string();
        assert!(refused.contains("symbolic link"), "{refused}");
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
        std::fs::remove_file(dir.path().join(FOLDER)).unwrap();
        std::fs::write(dir.path().join(FOLDER), "a file").unwrap();
        let attempted = attempt(root.as_fd()).unwrap();
        assert!(matches!(attempted, Attempt::NotNeeded));
    }

    #[test]
    fn a_link_is_not_followed_and_a_file_is_not_cut() {
        let (dir, root) = root();
        let llmc = dir.path().join(".llmc");
        std::fs::create_dir(&llmc).unwrap();
        std::fs::write(dir.path().join("victim"), "text").unwrap();
        std::os::unix::fs::symlink("../victim", llmc.join("docgen.lock")).unwrap();
        let refused = attempt(root.as_fd()).unwrap_err().to_string();
        assert!(refused.contains(PATH), "{refused}");
        std::fs::remove_file(llmc.join("docgen.lock")).unwrap();
        std::fs::write(llmc.join("docgen.lock"), "pid").unwrap();
        assert!(matches!(attempt(root.as_fd()).unwrap(), Attempt::Held(_)));
        assert_eq!(std::fs::read(llmc.join("docgen.lock")).unwrap(), b"pid");
    }
}
