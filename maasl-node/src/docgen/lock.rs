//! The lock that other tools take while they make documents.
//!
//! Owns: `.llmc/docgen.lock` and taking it as those tools do: the whole file, by
//! `flock`, without waiting. Promises: nothing is made where no such tool has ever
//! run, and the file is neither followed as a link nor cut short. Leaves to
//! others: waiting (the core).

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;

use crate::platform;

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
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = match openat(root, PATH, flags, MODE) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(Attempt::NotNeeded),
        Err(errno) => {
            let error = io::Error::from(errno);
            return Err(io::Error::new(error.kind(), format!("{PATH}: {error}")));
        }
    };
    if platform::try_lock_exclusive(file.as_fd())? {
        Ok(Attempt::Held(DocgenLock { file }))
    } else {
        Ok(Attempt::Busy)
    }
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
