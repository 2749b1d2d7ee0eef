//! Which processes are alive.
//!
//! Owns: one lock file per session, locked for the life of its process and never
//! used again. Promises: a session is reported dead only if its process has gone;
//! the kernel drops the lock at that instant, so there is no time to wait out.
//! Leaves to others: processes that are stopped or hung; their leases end by TTL.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use maasl_core::id::SessionId;
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use crate::platform;

/// The lock files of one repository.
#[derive(Debug)]
pub struct Liveness {
    dir: OwnedFd,
}

/// Says that this process lives, until dropped.
#[derive(Debug)]
pub struct LifeLock {
    _file: File,
}

impl Liveness {
    /// The lock files in `dir`.
    #[must_use]
    pub fn new(dir: OwnedFd) -> Self {
        Self { dir }
    }

    /// Locks the file of `session`, which is this process's own. It is new, or
    /// this process has made it before: then it holds its lock, unless the file
    /// is a copy that was put back.
    pub fn hold(&self, session: &SessionId) -> io::Result<LifeLock> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.dir, session.as_str(), flags, Mode::RUSR | Mode::WUSR)?;
        let file = File::from(file);
        platform::try_lock_exclusive(file.as_fd())?;
        Ok(LifeLock { _file: file })
    }

    /// Whether the process behind `session` has gone. A file that is missing was
    /// removed after its process had.
    pub fn is_dead(&self, session: &SessionId) -> io::Result<bool> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        match rustix::fs::openat(&self.dir, session.as_str(), flags, Mode::empty()) {
            Ok(file) => platform::try_lock_shared(file.as_fd()),
            Err(Errno::NOENT) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// Forgets a session found dead, once nothing names it any more.
    pub fn forget(&self, session: &SessionId) -> io::Result<()> {
        match rustix::fs::unlinkat(&self.dir, session.as_str(), AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_lives_as_long_as_its_lock() {
        let dir = tempfile::tempdir().unwrap();
        let live = Liveness::new(File::open(dir.path()).unwrap().into());
        let session = SessionId::new("s1");
        let lock = live.hold(&session).unwrap();
        assert!(!live.is_dead(&session).unwrap());
        drop(live.hold(&session).unwrap());
        assert!(!live.is_dead(&session).unwrap(), "the first lock is held");
        drop(lock);
        assert!(live.is_dead(&session).unwrap());
        live.forget(&session).unwrap();
        assert!(live.is_dead(&session).unwrap());
    }
}
