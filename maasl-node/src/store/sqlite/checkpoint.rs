//! Moving commits from the write-ahead log into the database.
//!
//! Owns: a thread and a connection that do it, and when. Promises: nobody who
//! wants a transaction waits for a whole checkpoint; the log does not grow
//! without bound. Leaves to others: noticing how long the log is (the hook of
//! the writing connection calls [`Checkpointer::committed`]).
//!
//! A checkpoint outside the gate copies while others commit, so under steady
//! load it never catches up with the end of the log, and only a log copied to
//! its end is written again from the start. So when the log is still long after
//! one, a second one runs inside the gate: it has only the last few commits to
//! copy.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use rusqlite::Connection;

use super::connection::{self, PAGE_BYTES};
use super::gate::Gate;
use crate::store::StoreError;

/// A checkpoint is due when the log has this many pages: 4 MiB.
const DUE_PAGES: u32 = 4 * 1024 * 1024 / PAGE_BYTES;

/// From here on the log is emptied under the gate: 16 MiB.
const LONG_PAGES: u32 = 4 * DUE_PAGES;

/// How long the second checkpoint waits for the gate; it may miss a turn.
const GATE_WAIT: Duration = Duration::from_millis(200);

/// Keeps the write-ahead log short.
pub(super) struct Checkpointer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    /// Pages in the log at which the next checkpoint is asked for.
    due: AtomicU32,
    asked: Mutex<Asked>,
    changed: Condvar,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Asked {
    #[default]
    Nothing,
    Checkpoint {
        long: bool,
    },
    End,
}

impl Checkpointer {
    /// Starts the thread on a connection of its own.
    pub(super) fn start(dir: &Path, db: &Path, session: &str) -> Result<Self, StoreError> {
        let shared = Arc::new(Shared::default());
        shared.due.store(DUE_PAGES, Ordering::Relaxed);
        let gate = Gate::open(dir, session)?;
        let db = connection::open(db)?;
        connection::configure(&db)?;
        let served = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("maasl-checkpoint".into())
            .spawn(move || served.serve(&db, &gate))
            .map_err(|error| StoreError::io(dir, error))?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// To be called with the length of the log after a commit and outside the
    /// gate.
    pub(super) fn committed(&self, log_pages: u32) {
        let due = self.shared.due.load(Ordering::Relaxed);
        if log_pages < due {
            if log_pages < DUE_PAGES && due != DUE_PAGES {
                self.shared.due.store(DUE_PAGES, Ordering::Relaxed);
            }
            return;
        }
        self.shared
            .due
            .store(log_pages + DUE_PAGES / 4, Ordering::Relaxed);
        let long = log_pages >= LONG_PAGES;
        self.shared.ask(Asked::Checkpoint { long });
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.shared.ask(Asked::End);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the checkpoint thread panicked");
        }
    }
}

impl Shared {
    fn ask(&self, what: Asked) {
        *self.asked.lock() = what;
        self.changed.notify_one();
    }

    fn serve(&self, db: &Connection, gate: &Gate) {
        loop {
            let mut asked = self.asked.lock();
            let long = match *asked {
                Asked::Nothing => {
                    self.changed.wait(&mut asked);
                    continue;
                }
                Asked::Checkpoint { long } => long,
                Asked::End => return,
            };
            *asked = Asked::Nothing;
            drop(asked);
            if let Err(error) = run(db, gate, long) {
                tracing::warn!(%error, "checkpoint of the store failed");
            }
        }
    }
}

fn run(db: &Connection, gate: &Gate, long: bool) -> Result<(), StoreError> {
    passive(db)?;
    if long {
        let _inside = gate.enter(Instant::now() + GATE_WAIT)?;
        passive(db)?;
    }
    Ok(())
}

/// Copies what can be copied without making anybody wait.
fn passive(db: &Connection) -> Result<(), StoreError> {
    let mut checkpoint = db.prepare_cached("PRAGMA wal_checkpoint(PASSIVE)")?;
    checkpoint.query_row([], |_| Ok(()))?;
    Ok(())
}
