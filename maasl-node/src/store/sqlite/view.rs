//! A look at a store from outside.
//!
//! Owns: [`View`], for commands that only show. Promises: it needs no session, no
//! gate and no thread, and changes nothing. Leaves to others: everything else.
//!
//! A store of an earlier layout is read from a copy in memory that was brought up
//! to date. Whoever looks must not upgrade the store itself: servers of the older
//! program may be at work on it, and would be refused from then on.

use std::path::Path;

use maasl_core::lease::outcome::Snapshot;
use maasl_core::lease::{self, Command, Outcome, StoreClock, Version};
use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

use super::connection::{self, Transaction};
use super::{health, identity, rows, schema};
use crate::store::{Clock, Counters, StoreError, clock};

/// A store, open for looking.
pub struct View {
    db: Connection,
    clock: Clock,
}

impl View {
    /// Opens the store in the state directory `dir`; nothing where there is none.
    pub fn open(dir: &Path) -> Result<Option<Self>, StoreError> {
        let path = dir.join(super::store::DATABASE);
        if !path.exists() {
            return Ok(None);
        }
        identity::refuse_foreign_database(&path)?;
        // SQLite takes such a log for an empty one, and its last user removes it.
        health::refuse_damaged_log(dir)?;
        let mut db = connection::open(&path)?;
        connection::configure(&db)?;
        if schema::is_older(&db)? {
            db = copy_up_to_date(&db)?;
        }
        db.execute_batch("PRAGMA query_only = ON")?;
        if !has_first_rows(&db)? {
            return Ok(None);
        }
        Ok(Some(Self {
            db,
            clock: clock::system(),
        }))
    }

    /// Runs `look` on one state of the store.
    fn read<T>(
        &self,
        look: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let transaction = Transaction::read(&self.db)?;
        schema::check_unchanged(&self.db)?;
        let answer = look(&self.db)?;
        transaction.commit()?;
        Ok(answer)
    }

    /// Everything that is held, waited for or open, and the time it was.
    pub fn snapshot(&self) -> Result<(Snapshot, StoreClock), StoreError> {
        let clock = (self.clock)();
        let decision = self
            .read(|db| lease::transact(&Command::Snapshot, clock, |query| rows::load(db, query)))?;
        match decision.outcome {
            Outcome::Snapshot(snapshot) => Ok((snapshot, clock)),
            other => panic!("a snapshot was decided as {other:?}"),
        }
    }

    /// The versions known of a path, newest first.
    pub fn history(&self, path: &str, limit: u32) -> Result<Vec<Version>, StoreError> {
        self.read(|db| rows::history(db, path, limit))
    }

    /// The counters.
    pub fn counters(&self) -> Result<Counters, StoreError> {
        self.read(rows::counters)
    }
}

/// Whether a store has its first rows, which come after its tables: whoever made it
/// may have died between, or be about to write them. They are written together, and
/// so looked at together.
fn has_first_rows(db: &Connection) -> Result<bool, StoreError> {
    let transaction = Transaction::read(db)?;
    let (meta, sessions) = (rows::meta(db)?, rows::sessions(db)?);
    transaction.commit()?;
    match meta {
        Some(_) => Ok(true),
        None if sessions.is_empty() => Ok(false),
        None => Err(rows::no_meta()),
    }
}

/// A copy in memory, in the layout this program reads. It costs the size of the
/// store, and only until a server of this version has started.
pub(super) fn copy_up_to_date(db: &Connection) -> Result<Connection, StoreError> {
    let mut copy = Connection::open_in_memory()?;
    let step = Backup::new(db, &mut copy)?.step(-1)?;
    if step != StepResult::Done {
        return Err(StoreError::Busy {
            holder: None,
            waited_ms: u64::from(super::BUSY_TIMEOUT_MS),
        });
    }
    schema::upgrade_copy(&copy)?;
    Ok(copy)
}

impl std::fmt::Debug for View {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("View").finish_non_exhaustive()
    }
}
