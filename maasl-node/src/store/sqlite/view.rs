//! A look at a store from outside.
//!
//! Owns: [`View`], for commands that only show. Promises: it needs no session, no
//! gate and no thread, and changes nothing. Leaves to others: everything else.

use std::path::Path;

use maasl_core::lease::outcome::Snapshot;
use maasl_core::lease::{self, Command, Outcome, StoreClock, Version};
use rusqlite::Connection;

use super::{connection, rows, schema};
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
        let db = connection::open(&path)?;
        connection::configure(&db)?;
        db.execute_batch("PRAGMA query_only = ON")?;
        schema::check_to_look(&db)?;
        Ok(Some(Self {
            db,
            clock: clock::system(),
        }))
    }

    /// Everything that is held, waited for or open, and the time it was.
    pub fn snapshot(&self) -> Result<(Snapshot, StoreClock), StoreError> {
        let clock = (self.clock)();
        let transaction = self.db.unchecked_transaction()?;
        let decision = lease::transact(&Command::Snapshot, clock, |query| {
            rows::load(&self.db, query)
        })?;
        drop(transaction);
        match decision.outcome {
            Outcome::Snapshot(snapshot) => Ok((snapshot, clock)),
            other => panic!("a snapshot was decided as {other:?}"),
        }
    }

    /// The versions known of a path, newest first.
    pub fn history(&self, path: &str, limit: u32) -> Result<Vec<Version>, StoreError> {
        rows::history(&self.db, path, limit)
    }

    /// The counters.
    pub fn counters(&self) -> Result<Counters, StoreError> {
        rows::counters(&self.db)
    }
}

impl std::fmt::Debug for View {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("View").finish_non_exhaustive()
    }
}
