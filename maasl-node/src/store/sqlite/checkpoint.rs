//! Moving commits from the write-ahead log into the database.
//!
//! Owns: a thread and a connection that do it, and when. Promises: nobody who
//! wants a transaction waits for a whole checkpoint; one process at a time copies,
//! and the others go on; the log does not grow without bound. Leaves to others:
//! noticing how long the log is (the hook of the writing connection calls
//! [`Checkpointer::committed`]), and what is asked of the thread next
//! (`maasl_threads::checkpoint`).
//!
//! A checkpoint outside the gate copies while others commit, so under steady
//! load it never catches up with the end of the log, and only a log copied to
//! its end is written again from the start. So when the log is long, one more
//! checkpoint runs inside the gate: it has only the last few commits to copy. It
//! syncs the log and the database all the same, and everybody waits for that, so
//! it must be rare: the log may become long, whoever finds another copying leaves
//! it to that one, and nobody enters the gate for a log that is copied already.

use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use maasl_threads::checkpoint::{Asked, Checkpoint, Lengths};
use rusqlite::Connection;

use super::connection::{self, PAGE_BYTES};
use super::gate::Gate;
use crate::store::StoreError;

/// A checkpoint is due when the log has this many pages: 4 MiB.
const DUE_PAGES: u32 = 4 * 1024 * 1024 / PAGE_BYTES;

/// From here on the log is emptied under the gate: 32 MiB.
const LONG_PAGES: u32 = 8 * DUE_PAGES;

/// As few pages as may be copied under the gate: a few dozen commits, which is
/// what happens during a checkpoint.
const SHORT_PAGES: u32 = 64;

/// How often copying outside the gate is tried until so few are left.
const ROUNDS: usize = 4;

/// How long the last checkpoint waits for the gate; it may miss a turn.
const GATE_WAIT: Duration = Duration::from_millis(200);

/// Keeps the write-ahead log short.
pub(super) struct Checkpointer {
    asked: Arc<Asked>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    /// Starts the thread on a connection of its own.
    pub(super) fn start(dir: &Path, db: &Path, session: &str) -> Result<Self, StoreError> {
        let asked = Arc::new(Asked::new(Lengths {
            due_pages: DUE_PAGES,
            long_pages: LONG_PAGES,
        }));
        let gate = Gate::open(dir, session)?;
        let db = connection::open(db)?;
        connection::configure(&db)?;
        let served = Arc::clone(&asked);
        let thread = thread::Builder::new()
            .name("maasl-checkpoint".into())
            .spawn(move || serve(&served, &db, &gate))
            .map_err(|error| StoreError::io(dir, error))?;
        Ok(Self {
            asked,
            thread: Some(thread),
        })
    }

    /// To be called with the length of the log after a commit and outside the
    /// gate.
    pub(super) fn committed(&self, log_pages: u32) {
        self.asked.committed(log_pages);
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.asked.end();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the checkpoint thread panicked");
        }
    }
}

fn serve(asked: &Asked, db: &Connection, gate: &Gate) {
    while let Some(checkpoint) = asked.next() {
        if let Err(error) = run(db, gate, checkpoint == Checkpoint::Long) {
            tracing::warn!(%error, "checkpoint of the store failed");
        }
    }
}

fn run(db: &Connection, gate: &Gate, long: bool) -> Result<(), StoreError> {
    for _ in 0..ROUNDS {
        if !copy(db)? {
            return Ok(());
        }
        if !long || pages_left(db)? <= SHORT_PAGES {
            break;
        }
    }
    if long && pages_left(db)? > 0 {
        let _inside = gate.enter(Instant::now() + GATE_WAIT)?;
        copy(db)?;
    }
    Ok(())
}

/// Copies what can be copied without making anybody wait; false if somebody
/// else is copying.
fn copy(db: &Connection) -> Result<bool, StoreError> {
    let mut checkpoint = db.prepare_cached("PRAGMA wal_checkpoint(PASSIVE)")?;
    Ok(checkpoint.query_row([], |row| Ok(!row.get::<_, bool>(0)?))?)
}

/// How many pages of the log are still to be copied. A checkpoint itself tells
/// what was so when it began.
fn pages_left(db: &Connection) -> Result<u32, StoreError> {
    let mut look = db.prepare_cached("PRAGMA wal_checkpoint(NOOP)")?;
    Ok(look.query_row([], |row| {
        let (log, copied): (i64, i64) = (row.get(1)?, row.get(2)?);
        Ok(u32::try_from(log - copied).unwrap_or(0))
    })?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A store with commits in its log, and a gate that somebody stands in.
    struct Scene {
        dir: tempfile::TempDir,
        db: Connection,
        gate: Gate,
    }

    impl Scene {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let db = open(dir.path());
            db.execute_batch("CREATE TABLE t (n INTEGER); INSERT INTO t VALUES (1)")
                .unwrap();
            let gate = Gate::open(dir.path(), "").unwrap();
            Self { dir, db, gate }
        }

        fn another(&self) -> (Connection, Gate) {
            let gate = Gate::open(self.dir.path(), "").unwrap();
            (open(self.dir.path()), gate)
        }
    }

    fn open(dir: &Path) -> Connection {
        let db = connection::open(&dir.join("maasl.db")).unwrap();
        connection::configure(&db).unwrap();
        db
    }

    #[test]
    fn a_log_that_is_copied_leaves_the_gate_alone() {
        let scene = Scene::new();
        let (_, taken) = scene.another();
        let _inside = taken.enter(Instant::now()).unwrap();
        assert!(pages_left(&scene.db).unwrap() > 0);
        run(&scene.db, &scene.gate, true).unwrap();
        assert_eq!(pages_left(&scene.db).unwrap(), 0);
    }

    #[test]
    fn a_log_that_cannot_be_copied_outside_is_copied_under_the_gate() {
        let scene = Scene::new();
        let (reader, taken) = scene.another();
        let reading = connection::Transaction::read(&reader).unwrap();
        let count = "SELECT count(*) FROM t";
        reader.query_row(count, [], |_| Ok(())).unwrap();
        scene.db.execute("INSERT INTO t VALUES (2)", []).unwrap();
        let inside = taken.enter(Instant::now()).unwrap();
        run(&scene.db, &scene.gate, false).unwrap();
        let refused = run(&scene.db, &scene.gate, true);
        assert!(matches!(refused, Err(StoreError::Busy { .. })));
        assert!(pages_left(&scene.db).unwrap() > 0, "the reader needs them");
        drop((reading, inside));
        run(&scene.db, &scene.gate, true).unwrap();
        assert_eq!(pages_left(&scene.db).unwrap(), 0);
    }
}
