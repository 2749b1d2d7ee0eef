//! Making commits durable without holding the gate.
//!
//! Owns: the sync of the write-ahead log. Promises: when [`LogSync::sync`]
//! returns, everything committed before the call survives a power cut; a while
//! after [`LogSync::sync_soon`] it does too. Leaves to others: which commits need
//! which.
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
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use rustix::io::Errno;

use crate::store::StoreError;

/// How long a commit that is to be synced soon waits for company. A process that
/// goes on writing syncs the log by itself within this time, and then the thread
/// does nothing.
const SOON: Duration = Duration::from_millis(10);

/// The write-ahead log, for syncing.
pub(super) struct LogSync {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    log: File,
    failed: AtomicBool,
    owed: Mutex<Owed>,
    changed: Condvar,
}

#[derive(Default)]
struct Owed {
    /// When the thread syncs, unless somebody does before.
    due: Option<Instant>,
    /// Whether the thread sleeps until it is rung.
    idle: bool,
    ending: bool,
}

impl LogSync {
    /// Opens the log. A connection that has read or written must be open.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let failed = |error| StoreError::io(path, error);
        let shared = Arc::new(Shared {
            log: File::open(path).map_err(failed)?,
            failed: AtomicBool::new(false),
            owed: Mutex::default(),
            changed: Condvar::new(),
        });
        let served = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("maasl-log-sync".into())
            .spawn(move || served.serve())
            .map_err(failed)?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// Waits until the disk has everything committed so far. After a failure the
    /// kernel may report success for pages it has dropped, so one failure is
    /// final.
    pub(super) fn sync(&self) -> Result<(), StoreError> {
        self.shared.owed.lock().due = None;
        self.shared.sync()
    }

    /// Has everything committed so far synced within milliseconds.
    pub(super) fn sync_soon(&self) {
        let mut owed = self.shared.owed.lock();
        if owed.due.is_none() {
            owed.due = Some(Instant::now() + SOON);
        }
        if owed.idle {
            self.shared.changed.notify_one();
        }
    }
}

impl Drop for LogSync {
    /// What is owed is synced first.
    fn drop(&mut self) {
        self.shared.owed.lock().ending = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that syncs the log panicked");
        }
    }
}

impl Shared {
    fn sync(&self) -> Result<(), StoreError> {
        if self.failed.load(Ordering::Acquire) {
            return Err(StoreError::Sync(Errno::IO.into()));
        }
        self.log.sync_data().map_err(|error| {
            self.failed.store(true, Ordering::Release);
            StoreError::Sync(error)
        })
    }

    fn serve(&self) {
        while self.is_due() {
            if let Err(error) = self.sync() {
                tracing::error!(%error, "the log of the store could not be synced");
            }
        }
    }

    /// Sleeps until a sync is due; false when none is and none will be.
    fn is_due(&self) -> bool {
        let mut owed = self.owed.lock();
        loop {
            match owed.due {
                Some(due) if owed.ending || due <= Instant::now() => {
                    owed.due = None;
                    return true;
                }
                Some(due) => {
                    self.changed.wait_until(&mut owed, due);
                }
                None if owed.ending => return false,
                None => {
                    owed.idle = true;
                    self.changed.wait(&mut owed);
                    owed.idle = false;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log() -> (tempfile::TempDir, LogSync) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        std::fs::write(&path, "frames").unwrap();
        let log = LogSync::open(&path).unwrap();
        (dir, log)
    }

    #[test]
    fn what_is_owed_is_synced_without_being_asked_again() {
        let (_dir, log) = log();
        for _ in 0..3 {
            log.sync_soon();
            let deadline = Instant::now() + Duration::from_secs(10);
            while log.shared.owed.lock().due.is_some() {
                assert!(Instant::now() < deadline, "nobody syncs");
                thread::yield_now();
            }
        }
    }

    #[test]
    fn a_sync_pays_what_is_owed() {
        let (_dir, log) = log();
        log.sync_soon();
        log.sync().unwrap();
        assert_eq!(log.shared.owed.lock().due, None);
    }

    #[test]
    fn what_is_owed_at_the_end_is_synced() {
        let (_dir, log) = log();
        let shared = Arc::clone(&log.shared);
        log.sync_soon();
        drop(log);
        assert_eq!(shared.owed.lock().due, None);
    }
}
