//! Connections to `maasl.db`, set up alike.
//!
//! Owns: the settings every connection has, and transactions that end with
//! their scope. Promises: a transaction that is not committed is rolled back,
//! also by an unwinding panic. Leaves to others: the gate around writes.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::BUSY_TIMEOUT_MS;
use crate::store::StoreError;

/// More statements than there are, so that each is prepared once.
const STATEMENTS: usize = 64;

/// Size of a page. A commit writes and checksums each page it touched whole, to
/// change a row or two on it; still smaller pages hold so few rows that more of
/// them are touched (measured: 57 us for a grant and its release, against 64
/// with 4096 bytes and 71 with 1024).
pub(super) const PAGE_BYTES: u32 = 2048;

/// Opens the file, without touching what is in it. The library's own mutex
/// around a connection is left out: ours is around it already.
pub(super) fn open(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    db.busy_timeout(Duration::from_millis(BUSY_TIMEOUT_MS.into()))?;
    db.set_prepared_statement_cache_capacity(STATEMENTS);
    // Without this the planner prepares a statement again whenever it is bound
    // to other values, in case they suit another plan.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(db)
}

/// Sets what holds for every connection. `synchronous = NORMAL` syncs the log
/// around checkpoints only; see `sync` for the commits that must be durable.
pub(super) fn configure(db: &Connection) -> Result<(), StoreError> {
    db.execute_batch(&format!(
        "PRAGMA page_size = {PAGE_BYTES};
         PRAGMA synchronous = NORMAL;
         PRAGMA foreign_keys = OFF;
         PRAGMA temp_store = MEMORY;
         PRAGMA trusted_schema = OFF;"
    ))?;
    let mode: String = db.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(StoreError::Corrupt {
            what: format!("the journal mode is {mode} and cannot be changed to wal"),
        });
    }
    db.query_row("PRAGMA wal_autocheckpoint = 0", [], |_| Ok(()))?;
    Ok(())
}

/// An open transaction.
pub(super) struct Transaction<'db> {
    db: &'db Connection,
}

impl<'db> Transaction<'db> {
    /// Begins one that may write.
    pub(super) fn write(db: &'db Connection) -> Result<Self, StoreError> {
        Self::begin(db, "BEGIN IMMEDIATE")
    }

    /// Begins one that sees one state of the store.
    pub(super) fn read(db: &'db Connection) -> Result<Self, StoreError> {
        Self::begin(db, "BEGIN")
    }

    fn begin(db: &'db Connection, how: &str) -> Result<Self, StoreError> {
        db.prepare_cached(how)?.execute([])?;
        Ok(Self { db })
    }

    /// Makes its changes stand.
    pub(super) fn commit(self) -> Result<(), StoreError> {
        self.db.prepare_cached("COMMIT")?.execute([])?;
        Ok(())
    }
}

impl Drop for Transaction<'_> {
    /// SQLite has rolled back by itself after some errors, and a committed
    /// transaction is over.
    fn drop(&mut self) {
        if self.db.is_autocommit() {
            return;
        }
        let rolled_back = self
            .db
            .prepare_cached("ROLLBACK")
            .and_then(|mut rollback| rollback.execute([]));
        if let Err(error) = rolled_back {
            tracing::error!(%error, "the store did not roll back");
        }
    }
}
