//! Making commits durable without holding the gate.
//!
//! Owns: the sync of the write-ahead log. Promises: when [`LogSync::sync`]
//! returns, everything committed before the call survives a power cut; a while
//! after [`LogSync::sync_soon`] it does too. Leaves to others: which commits need
//! which, and whose turn it is to sync (`maasl_threads::log_sync`).
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
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use maasl_threads::log_sync::{self, Log, SyncFault};
use rustix::io::Errno;

use crate::store::StoreError;

/// How long a commit that is to be synced soon waits for company. A process that
/// goes on writing syncs the log by itself within this time, and then the thread
/// does nothing.
const SOON: Duration = Duration::from_millis(10);

/// The write-ahead log, for syncing.
pub(super) struct LogSync(log_sync::LogSync<LogFile>);

struct LogFile(File);

impl Log for LogFile {
    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

impl LogSync {
    /// Opens the log. A connection that has read or written must be open.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let log = File::open(path).map(LogFile);
        let started = log.and_then(|log| log_sync::LogSync::start("maasl-log-sync", log));
        started
            .map(Self)
            .map_err(|error| StoreError::io(path, error))
    }

    /// Waits until the disk has everything committed so far; one failure is
    /// final.
    pub(super) fn sync(&self) -> Result<(), StoreError> {
        self.0.sync().map_err(|fault| match fault {
            SyncFault::Now(error) => StoreError::Sync(error),
            SyncFault::Earlier => StoreError::Sync(Errno::IO.into()),
        })
    }

    /// Has everything committed so far synced within milliseconds.
    pub(super) fn sync_soon(&self) {
        self.0.sync_soon(Instant::now() + SOON);
    }
}
