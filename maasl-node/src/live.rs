//! Which processes are alive.
//!
//! Owns: one lock file per session, locked for the life of its process and never
//! used again. Promises: a session is reported dead only if its process has gone,
//! or has not yet opened the state directory that took the place of its own; the
//! kernel drops the lock at that instant, so there is no time to wait out; one
//! that has come back is not buried. Leaves to others: processes that are stopped
//! or hung; their leases end by TTL; asking again where an answer may be old (the
//! store does, within its transaction).

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use maasl_core::id::SessionId;
use maasl_threads::life::{LifeFile, hold};
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::fault::{Side, point};
use crate::platform;
use crate::state_dir::entries;
use crate::state_dir::pinned::device_and_inode;

/// How long others may look at a file that is to be locked. A look takes
/// microseconds; only one that is stopped in its midst takes longer.
const LOOK_MAX: Duration = Duration::from_secs(1);

/// The lock files of one repository.
#[derive(Debug)]
pub struct Liveness {
    dir: OwnedFd,
}

/// Says that this process lives, until dropped.
#[derive(Debug)]
pub struct LifeLock {
    file: File,
}

impl Liveness {
    /// The lock files in `dir`.
    #[must_use]
    pub fn new(dir: OwnedFd) -> Self {
        Self { dir }
    }

    /// Locks the file of `session`, which is this process's own. It is new, or
    /// this process has made it before and has its lock among `former`, unless
    /// the file is a copy that was put back.
    pub fn hold(&self, session: &SessionId, former: &[Arc<LifeLock>]) -> io::Result<LifeLock> {
        let held = self.lock(session, former)?;
        held.ok_or_else(|| io::Error::other("somebody keeps it locked"))
    }

    /// Every session with a file here, alive or not.
    pub fn sessions(&self) -> io::Result<BTreeSet<SessionId>> {
        entries::sessions(self.dir.as_fd(), FileType::RegularFile)
    }

    /// Whether the process behind `session` has gone. A file that is missing was
    /// removed after its process had.
    pub fn is_dead(&self, session: &SessionId) -> io::Result<bool> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let name = entries::plain(session.as_str())?;
        match rustix::fs::openat(&self.dir, name, flags, Mode::empty()) {
            Ok(file) => platform::try_lock_shared(file.as_fd()),
            Err(Errno::NOENT) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes hold of what a session found dead has left, unless it has come back, or
    /// was only about to lock its file when it was found.
    pub fn bury(&self, session: &SessionId) -> io::Result<Option<Grave<'_>>> {
        if !self.is_dead(session)? {
            return Ok(None);
        }
        let lock = self.lock(session, &[])?;
        Ok(lock.map(|lock| Grave {
            live: self,
            session: session.clone(),
            _lock: Some(lock),
        }))
    }

    /// What `session` leaves, whose process is this one and has its lock.
    #[must_use]
    pub fn leave(&self, session: &SessionId) -> Grave<'_> {
        Grave {
            live: self,
            session: session.clone(),
            _lock: None,
        }
    }

    /// The lock of the file that has the name of `session`; nothing if somebody
    /// keeps it.
    fn lock(&self, session: &SessionId, former: &[Arc<LifeLock>]) -> io::Result<Option<LifeLock>> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let name = entries::plain(session.as_str())?;
        let deadline = Instant::now() + LOOK_MAX;
        loop {
            let file = rustix::fs::openat(&self.dir, name, flags, mode)?;
            let life = LifeLock { file: file.into() };
            let identity = life.identity()?;
            point(Side::Before, "lock_life");
            let mut is_ours = false;
            for lock in former {
                is_ours |= lock.identity()? == identity;
            }
            if !hold(&life, is_ours, deadline)? {
                return Ok(None);
            }
            // Who buries the session may have removed the file meanwhile: until it
            // is locked, it is as that of a process that died here.
            if self.identity(session)? == Some(identity) {
                return Ok(Some(life));
            }
        }
    }

    /// The file that has the name of `session` now.
    fn identity(&self, session: &SessionId) -> io::Result<Option<(u64, u64)>> {
        match rustix::fs::statat(&self.dir, session.as_str(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(found) => Ok(Some(device_and_inode(&found))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// A session that has ended, whose process cannot come back as long as this is
/// there: it would find its file locked, and the one it makes then is another.
#[derive(Debug)]
pub struct Grave<'a> {
    live: &'a Liveness,
    session: SessionId,
    _lock: Option<LifeLock>,
}

impl Grave<'_> {
    /// Forgets the session, once nothing names it any more.
    pub fn close(self) -> io::Result<()> {
        match rustix::fs::unlinkat(&self.live.dir, self.session.as_str(), AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

impl LifeLock {
    /// The file, whatever its name is by now.
    fn identity(&self) -> io::Result<(u64, u64)> {
        Ok(device_and_inode(&rustix::fs::fstat(&self.file)?))
    }
}

impl LifeFile for LifeLock {
    type Error = io::Error;

    fn try_exclusive(&self) -> io::Result<bool> {
        platform::try_lock_exclusive(self.file.as_fd())
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
        let lock = Arc::new(live.hold(&session, &[]).unwrap());
        assert!(!live.is_dead(&session).unwrap());
        drop(live.hold(&session, &[Arc::clone(&lock)]).unwrap());
        assert!(!live.is_dead(&session).unwrap(), "the first lock is held");
        drop(lock);
        assert!(live.is_dead(&session).unwrap());
        live.bury(&session).unwrap().unwrap().close().unwrap();
        assert!(live.is_dead(&session).unwrap());
    }

    #[test]
    fn a_session_that_has_come_back_is_not_buried() {
        let dir = tempfile::tempdir().unwrap();
        let live = Liveness::new(File::open(dir.path()).unwrap().into());
        let session = SessionId::new("s1");
        let lock = live.hold(&session, &[]).unwrap();
        assert!(live.bury(&session).unwrap().is_none());
        drop(lock);
        let grave = live.bury(&session).unwrap().unwrap();
        std::thread::scope(|scope| {
            let back = scope.spawn(|| live.hold(&session, &[]).unwrap());
            grave.close().unwrap();
            let _lock = back.join().unwrap();
            assert!(!live.is_dead(&session).unwrap(), "its file has its name");
        });
    }

    #[test]
    fn a_name_that_leads_elsewhere_is_nobodys() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("live")).unwrap();
        std::fs::write(dir.path().join("file"), "").unwrap();
        let open = File::open(dir.path().join("live")).unwrap();
        let live = Liveness::new(open.into());
        for name in ["../file", "../none", "..", ".", "", "/dev/null"] {
            let session = SessionId::new(name);
            live.is_dead(&session).unwrap_err();
            live.bury(&session).unwrap_err();
            live.hold(&session, &[]).unwrap_err();
        }
        assert!(!dir.path().join("none").exists());
    }

    #[test]
    fn sessions_are_known_by_their_files_alive_or_dead() {
        let dir = tempfile::tempdir().unwrap();
        let live = Liveness::new(File::open(dir.path()).unwrap().into());
        let session = SessionId::new("s1");
        let lock = live.hold(&session, &[]).unwrap();
        std::fs::create_dir(dir.path().join("folder")).unwrap();
        assert_eq!(live.sessions().unwrap(), BTreeSet::from([session.clone()]));
        drop(lock);
        assert_eq!(live.sessions().unwrap(), BTreeSet::from([session.clone()]));
        live.bury(&session).unwrap().unwrap().close().unwrap();
        assert_eq!(live.sessions().unwrap(), BTreeSet::new());
    }

    #[test]
    fn a_lock_that_is_not_got_is_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        let live = Liveness::new(File::open(dir.path()).unwrap().into());
        let session = SessionId::new("s1");
        let look = File::create(dir.path().join("s1")).unwrap();
        assert!(platform::try_lock_shared(look.as_fd()).unwrap());
        live.hold(&session, &[]).unwrap_err();
        drop(look);
        let lock = live.hold(&session, &[]).unwrap();
        assert!(!live.is_dead(&session).unwrap());
        drop(lock);
    }
}
