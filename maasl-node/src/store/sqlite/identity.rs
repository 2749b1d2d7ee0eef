//! Which file a path names.
//!
//! Owns: noticing that something was replaced or deleted under us. Promises: each
//! path still names what was opened, or [`StoreError::Replaced`]. Leaves to others:
//! checking often enough.
//!
//! The database alone is not enough: a deletion that others get in the way of may
//! leave it and take the folders. Who holds latches in a folder that is gone, or
//! whose liveness file is, is not seen by those who look in its successor.

use std::path::Path;

use maasl_core::id::SessionId;
use rustix::fs::{AtFlags, CWD, FileType, Mode, Stat, statat};
use rustix::io::Errno;

use super::store::DATABASE;
use crate::state_dir::StateDir;
use crate::state_dir::pinned::Pinned;
use crate::store::StoreError;

/// What the processes of a repository meet at.
#[derive(Debug)]
pub(super) struct Meeting {
    database: Pinned,
    /// By what they exclude each other and know of each other's death.
    vital: Vec<Pinned>,
    /// What a call cannot do without, and would fail on.
    needed: Vec<Pinned>,
}

impl Meeting {
    /// In this state directory, of which the database is open; with the liveness
    /// file of `session`, where it has one.
    pub(super) fn at(dir: &StateDir, session: Option<&SessionId>) -> Result<Self, StoreError> {
        let life = session.map(|session| dir.path().join("live").join(session.as_str()));
        let life = life.filter(|life| life.exists());
        let (mut vital, needed): (Vec<_>, Vec<_>) = dir
            .folders()
            .iter()
            .cloned()
            .partition(|folder| folder.path().ends_with("latch"));
        vital.extend(life.as_deref().map(pin).transpose()?);
        Ok(Self {
            database: pin(&dir.path().join(DATABASE))?,
            vital,
            needed,
        })
    }

    /// Whether the database is where it was: enough for a look.
    pub(super) fn check_database(&self) -> Result<(), StoreError> {
        check(&self.database)
    }

    /// Whether that is so of all on which a change relies. Looked at in each
    /// transaction, so it is no more than it must be.
    pub(super) fn check_vital(&self) -> Result<(), StoreError> {
        check(&self.database)?;
        self.vital.iter().try_for_each(check)
    }

    /// Whether everything is where it was.
    pub(super) fn check_all(&self) -> Result<(), StoreError> {
        self.check_vital()?;
        self.needed.iter().try_for_each(check)
    }
}

fn pin(path: &Path) -> Result<Pinned, StoreError> {
    Pinned::named(path.into()).map_err(|error| StoreError::io(path, error))
}

fn check(pinned: &Pinned) -> Result<(), StoreError> {
    match pinned.is_in_place() {
        Ok(true) => Ok(()),
        Ok(false) => Err(StoreError::Replaced {
            path: pinned.path().into(),
        }),
        Err(error) => Err(StoreError::io(pinned.path(), error)),
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
