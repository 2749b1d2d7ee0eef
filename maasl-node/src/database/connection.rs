//! Connections to guarded databases.
//!
//! Owns: how a database is opened, and whether a connection may serve again.
//! Promises: an existing database keeps its journal mode; a new one writes ahead;
//! a commit is on the disk before it is answered, where the configuration says
//! so. Leaves to others: transactions (`transaction`), what may run (`rules`).

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rusqlite::config::DbConfig;
use rusqlite::hooks::{Action, AuthContext};
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags};

use super::insertion::Insertion;
use super::rules::{Denial, Rules};
use super::{DatabaseError, Place};

/// Statements kept prepared per connection.
const STATEMENTS: usize = 64;

/// Largest text, blob or row, in bytes. SQLite's own limit is a thousand million, and
/// a single function of one statement may make such a value, in memory.
const VALUE_BYTES_MAX: i32 = 256 << 20;

/// What is bounded more narrowly than by SQLite itself, which would let a statement
/// take more of the stack than the 2 MiB that a thread has. Its other limits hold
/// there: an expression of full depth takes 0.5 MiB, views of full depth 0.7 MiB.
const LIMITS: [(Limit, i32); 4] = [
    (Limit::SQLITE_LIMIT_LENGTH, VALUE_BYTES_MAX),
    // Each `%` is matched within the one before; SQLite would take 25,000 of them.
    (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1_000),
    // A trigger or action of a foreign key is prepared within the one that sets it
    // off, at 1.5 KiB each; the deepest may hold an expression of full depth.
    (Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 500),
    // Nothing is attached here.
    (Limit::SQLITE_LIMIT_ATTACHED, 0),
];

/// A connection that one call at a time writes through.
pub struct Guarded {
    pub(super) db: Connection,
    pub(super) rules: Arc<Mutex<Rules>>,
    pub(super) insertion: Arc<Mutex<Insertion>>,
    place: Place,
    /// Whether anything was in it when this was last asked: a database does not
    /// become empty again.
    has_pages: bool,
    is_spoilt: bool,
}

impl Guarded {
    /// Opens the file, which must be there.
    pub(super) fn open(path: &Path, place: Place, durable: bool) -> Result<Self, DatabaseError> {
        let db = Connection::open_with_flags(path, flags(OpenFlags::SQLITE_OPEN_READ_WRITE))?;
        set_up(&db, durable)?;
        let mut opened = Self {
            db,
            rules: Arc::default(),
            insertion: Arc::default(),
            place,
            has_pages: false,
            is_spoilt: false,
        };
        opened.watch()?;
        Ok(opened)
    }

    /// Has SQLite ask and tell about what it does.
    fn watch(&mut self) -> rusqlite::Result<()> {
        let judge = self.rules.clone();
        self.db.authorizer(Some(move |asked: AuthContext<'_>| {
            judge.lock().judge(&asked)
        }))?;
        // A transaction ends by the guard's own statement alone. What is committed
        // while a caller works would be neither fenced nor sealed.
        let rules = self.rules.clone();
        self.db.commit_hook(Some(move || rules.lock().for_caller))?;
        let insertion = self.insertion.clone();
        self.db
            .update_hook(Some(move |action: Action, _: &str, _: &str, id: i64| {
                insertion.lock().note(action, id);
            }))
    }

    /// Takes SQLite's write lock.
    pub(super) fn begin(&mut self) -> rusqlite::Result<()> {
        if !self.has_pages {
            self.write_ahead_if_new()?;
        }
        self.db.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        Ok(())
    }

    /// Lets a database that is still empty write ahead of itself, so that readers
    /// are not held up. Others keep the mode that they have.
    fn write_ahead_if_new(&mut self) -> rusqlite::Result<()> {
        let pages: i64 = self
            .db
            .query_row("PRAGMA page_count", [], |row| row.get(0))?;
        if pages == 0 {
            self.db
                .query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
        }
        self.has_pages = pages > 0;
        Ok(())
    }

    /// What was denied since this was last asked.
    pub(super) fn denial(&self) -> Option<Denial> {
        self.rules.lock().take_denial()
    }

    /// Whether it is open on this very file.
    pub(super) fn is_of(&self, place: Place) -> bool {
        self.place == place
    }

    /// Whether nothing of a former call is left in it.
    pub(super) fn is_reusable(&self) -> bool {
        !self.is_spoilt && self.db.is_autocommit()
    }

    /// Keeps it from serving again.
    pub(super) fn spoil(&mut self) {
        self.is_spoilt = true;
    }
}

/// Opens a database for reading alone.
pub(super) fn open_to_read(path: &Path) -> rusqlite::Result<Connection> {
    open_quietly(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
}

/// Opens a database to ask what was committed in it. What a dead process left half
/// done may have to be rolled back for that, which only a writer can.
pub(super) fn open_to_ask(path: &Path) -> rusqlite::Result<Connection> {
    open_quietly(path, OpenFlags::SQLITE_OPEN_READ_WRITE)
}

/// Opens a database for questions.
fn open_quietly(path: &Path, access: OpenFlags) -> rusqlite::Result<Connection> {
    let db = Connection::open_with_flags(path, flags(access))?;
    db.busy_timeout(Duration::from_secs(1))?;
    db.execute_batch("PRAGMA trusted_schema = OFF; PRAGMA query_only = ON;")?;
    Ok(db)
}

/// Settings of a connection that is written through.
fn set_up(db: &Connection, durable: bool) -> rusqlite::Result<()> {
    db.set_prepared_statement_cache_capacity(STATEMENTS);
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    db.busy_timeout(Duration::ZERO)?;
    for (limit, most) in LIMITS {
        db.set_limit(limit, most)?;
    }
    // `FULL` leaves the end of a journal that is deleted to the folder's next sync:
    // until then a power cut brings it back, and takes the commit with it.
    let synchronous = if durable { "EXTRA" } else { "NORMAL" };
    db.execute_batch(&format!(
        "PRAGMA synchronous = {synchronous};
         PRAGMA foreign_keys = ON;
         PRAGMA trusted_schema = OFF;"
    ))
}

fn flags(access: OpenFlags) -> OpenFlags {
    access | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_must_survive_the_power_waits_for_the_end_of_a_deleted_journal() {
        for (durable, extra_or_normal) in [(true, 3), (false, 1)] {
            let db = Connection::open_in_memory().unwrap();
            set_up(&db, durable).unwrap();
            let level = db.query_row("PRAGMA synchronous", [], |row| row.get(0));
            assert_eq!(level, Ok(extra_or_normal));
        }
    }
}
