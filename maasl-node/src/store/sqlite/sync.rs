//! Making commits durable without holding the gate.
//!
//! Owns: the sync of the write-ahead log. Promises: when [`LogSync::sync`]
//! returns, everything committed before the call survives a power cut. Leaves to
//! others: which commits need it.
//!
//! `synchronous = FULL` would sync the log inside the commit, hence inside the
//! gate, and everybody would wait for the disk of everybody. We commit with
//! `NORMAL` and do what `FULL` does afterwards: one `fdatasync` of the log. It
//! is enough because frames are appended in order, so a sync covers every commit
//! before it, and a commit that has left the log by then was moved by a
//! checkpoint, which under `NORMAL` syncs the log before it copies and the
//! database after it, before the log may be written again from the start.
//! Until the sync, others may see the commit. If the power goes, they go too:
//! what they were acknowledged came with a later sync of the same log.
//!
//! The log may be opened and closed apart from SQLite, unlike the database: its
//! locks are on `maasl.db` and `maasl.db-shm`. While a connection is open, no
//! other process deletes the log, so the file opened once stays the right one.

use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::Errno;

use crate::store::StoreError;

/// The write-ahead log, for syncing.
pub(super) struct LogSync {
    log: File,
    failed: AtomicBool,
}

impl LogSync {
    /// Opens the log. A connection that has read or written must be open.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let log = File::open(path).map_err(|error| StoreError::io(path, error))?;
        Ok(Self {
            log,
            failed: AtomicBool::new(false),
        })
    }

    /// Waits until the disk has everything committed so far. After a failure the
    /// kernel may report success for pages it has dropped, so one failure is
    /// final.
    pub(super) fn sync(&self) -> Result<(), StoreError> {
        if self.failed.load(Ordering::Acquire) {
            return Err(StoreError::Sync(Errno::IO.into()));
        }
        self.log.sync_data().map_err(|error| {
            self.failed.store(true, Ordering::Release);
            StoreError::Sync(error)
        })
    }
}
