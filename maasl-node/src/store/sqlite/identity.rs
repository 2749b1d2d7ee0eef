//! Which file a path names.
//!
//! Owns: noticing that something was replaced or deleted under us. Promises: each
//! path still names what was opened, or [`StoreError::Replaced`]. Leaves to others:
//! checking often enough.
//!
//! The database alone is not enough: a deletion that others get in the way of may
//! leave it and take the folders. Who holds latches in a folder that is gone, or
//! whose liveness file is, is not seen by those who look in its successor.

use std::path::{Path, PathBuf};

use maasl_core::id::SessionId;
use rustix::fs::{AtFlags, CWD, FileType, Mode, Stat, statat};
use rustix::io::Errno;

use super::store::DATABASE;
use crate::state_dir::StateDir;
use crate::state_dir::pinned::Pinned;
use crate::store::StoreError;

/// What the processes of a repository meet at.
#[derive(Debug)]
pub(super) struct Meeting(Vec<Pinned>);

impl Meeting {
    /// In this state directory, of which the database is open; with the liveness
    /// file of `session`, where it has one.
    pub(super) fn at(dir: &StateDir, session: Option<&SessionId>) -> Result<Self, StoreError> {
        let pin = |path: PathBuf| {
            Pinned::named(path.clone()).map_err(|error| StoreError::io(&path, error))
        };
        let mut pins = dir.folders().to_vec();
        pins.push(pin(dir.path().join(DATABASE))?);
        if let Some(session) = session {
            let life = dir.path().join("live").join(session.as_str());
            if life.exists() {
                pins.push(pin(life)?);
            }
        }
        Ok(Self(pins))
    }

    /// Whether everything is where it was.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        self.0
            .iter()
            .try_for_each(|pinned| match pinned.is_in_place() {
                Ok(true) => Ok(()),
                Ok(false) => Err(StoreError::Replaced {
                    path: pinned.path().into(),
                }),
                Err(error) => Err(StoreError::io(pinned.path(), error)),
            })
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
