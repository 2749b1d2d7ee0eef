//! A place for copies of a store.
//!
//! Owns: the folder `repair` in the state directory, and copying the files of the
//! store there. Promises: nobody else opens what is in it; the database is read
//! through the descriptor that holds it; the folder is gone in the end, and what a
//! killed repair left of one goes with the next. Leaves to others: holding the
//! database (`living`), and what is done with the copies.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::super::store::{DATABASE, LOG};
use crate::store::StoreError;

const NAME: &str = "repair";

/// A folder for copies, removed in the end.
pub(super) struct Workshop {
    state: PathBuf,
    path: PathBuf,
}

impl Workshop {
    /// An empty one in the state directory `dir`.
    pub(super) fn open(dir: &Path) -> Result<Self, StoreError> {
        let path = dir.join(NAME);
        let made = match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => fs::create_dir(&path),
        };
        made.map_err(|error| StoreError::io(&path, error))?;
        Ok(Self {
            state: dir.into(),
            path,
        })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Copies the database that is held, and its log where that can be read. The
    /// database is not opened for it: the kernel drops the POSIX locks that a
    /// process has on a file when it closes any descriptor of that file.
    pub(super) fn copy(&self, held: Option<&File>, with_log: bool) -> Result<(), StoreError> {
        if let Some(database) = held {
            self.put(DATABASE, database)?;
        }
        let log = self.state.join(LOG);
        if with_log && log.exists() {
            // There are no locks on the log.
            let opened = File::open(&log).map_err(|error| StoreError::io(&log, error))?;
            self.put(LOG, &opened)?;
        }
        Ok(())
    }

    fn put(&self, name: &str, mut from: &File) -> Result<(), StoreError> {
        let copied = from.rewind().and_then(|()| {
            let mut to = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(self.path.join(name))?;
            io::copy(&mut from, &mut to)
        });
        copied
            .map(drop)
            .map_err(|error| StoreError::io(&self.state.join(name), error))
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::warn!(%error, "could not remove the copies that were examined");
        }
    }
}
