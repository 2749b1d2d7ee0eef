//! One write transaction of one call.
//!
//! Owns: begin, work, seal, commit, roll back. Promises: it holds SQLite's write
//! lock from its beginning to its end; dropped, it is rolled back; a commit that
//! failed has left nothing. Leaves to others: the order of the steps (the core).

use std::time::{Duration, Instant};

use maasl_core::database::{Begun, Seal, Work, Written};
use maasl_core::id::Token;
use rusqlite::{Connection, ErrorCode};

use super::connection::Guarded;
use super::statement::{WorkFault, fault, run_all};
use super::{DatabaseError, Databases, schema, spans};
use crate::store::clock::wall_ms;

/// SQLite's own instructions between two looks at the clock.
const INSTRUCTIONS: i32 = 10_000;

/// What a caller in this process does with the transaction that it is given.
pub type CallerWork = Box<dyn FnOnce(&Connection) -> rusqlite::Result<Written> + Send>;

/// An open write transaction.
pub struct Transaction {
    name: String,
    /// Nothing once the connection went back to where it came from.
    connection: Option<Guarded>,
    limit: Duration,
    /// Whether the guard's own tables are there.
    has_tables: bool,
}

impl Transaction {
    pub(super) fn begin(
        connection: Guarded,
        name: &str,
        wait: Duration,
        limit: Duration,
    ) -> Result<Self, DatabaseError> {
        let mut opened = Self {
            name: name.to_owned(),
            connection: Some(connection),
            limit,
            has_tables: false,
        };
        opened.lock(wait)?;
        opened.has_tables = schema::has_tables(&opened.guarded().db)?;
        Ok(opened)
    }

    /// Takes SQLite's write lock: at once, or by its own polling, since a writer
    /// that goes past MAASL rings nobody.
    fn lock(&mut self, wait: Duration) -> Result<(), DatabaseError> {
        let connection = self.connection.as_mut().expect("it has not gone home");
        let begun = match connection.begin() {
            Err(error) if is_busy(&error) && !wait.is_zero() => {
                connection.db.busy_timeout(wait)?;
                let begun = tokio::task::block_in_place(|| connection.begin());
                connection.db.busy_timeout(Duration::ZERO)?;
                begun
            }
            begun => begun,
        };
        match begun {
            Ok(()) => Ok(()),
            Err(error) if is_busy(&error) => Err(DatabaseError::Locked),
            Err(error) => Err(error.into()),
        }
    }

    /// What the database says of earlier transactions.
    pub fn look(&self, request: Option<&str>, wall_ms: u64) -> Result<Begun, DatabaseError> {
        let request = request.filter(|_| self.has_tables);
        let db = &self.guarded().db;
        let answered = request.map(|key| schema::answered(db, key)).transpose()?;
        Ok(Begun {
            fence: self.fence()?,
            answered: answered.flatten(),
            wall_ms,
        })
    }

    /// The fence as it is now.
    pub fn fence(&self) -> Result<Token, DatabaseError> {
        if !self.has_tables {
            return Ok(Token::default());
        }
        schema::fence(&self.guarded().db)
    }

    /// Does the work of the transaction.
    ///
    /// # Panics
    /// If the work is the caller's and `caller` is not there.
    pub fn execute(
        &mut self,
        work: &Work,
        caller: Option<CallerWork>,
    ) -> Result<Written, WorkFault> {
        let watched = self.watch_time();
        watched.map_err(|error| WorkFault::System(error.into()))?;
        let connection = self.guarded();
        // MAASL's own table is written by its own statements.
        connection.rules.lock().for_caller = !matches!(work, Work::Enrich(_));
        let done = match work {
            Work::Enrich(spans) => spans::write(&connection.db, spans, wall_ms())
                .map_err(|error| fault(connection, None, error)),
            Work::Statements(statements) => run_all(connection, statements),
            Work::Caller => {
                let caller = caller.expect("a call of this kind is made with its work");
                caller(&connection.db).map_err(|error| fault(connection, None, error))
            }
        };
        self.guarded().rules.lock().for_caller = false;
        done
    }

    /// Seals and commits; rolled back where that fails.
    pub fn commit(mut self, seal: &Seal, home: &Databases) -> Result<(), DatabaseError> {
        self.watch_no_longer()?;
        let db = &self.guarded().db;
        if !self.has_tables {
            schema::make_tables(db)?;
        }
        schema::seal(db, seal)?;
        db.prepare_cached("COMMIT")?.execute([])?;
        self.go_home(home);
        Ok(())
    }

    /// Gives it up.
    pub fn roll_back(mut self, home: &Databases) -> Result<(), DatabaseError> {
        let db = &self.guarded().db;
        if !db.is_autocommit() {
            db.prepare_cached("ROLLBACK")?.execute([])?;
        }
        self.watch_no_longer()?;
        self.go_home(home);
        Ok(())
    }

    /// Ends statements that run for too long.
    fn watch_time(&mut self) -> rusqlite::Result<()> {
        let (began, limit) = (Instant::now(), self.limit);
        let late = move || began.elapsed() > limit;
        let connection = self.connection.as_mut().expect("it has not gone home");
        connection.db.progress_handler(INSTRUCTIONS, Some(late))
    }

    /// What follows is the guard's own.
    fn watch_no_longer(&mut self) -> rusqlite::Result<()> {
        let connection = self.connection.as_mut().expect("it has not gone home");
        connection.db.progress_handler(0, None::<fn() -> bool>)
    }

    fn go_home(&mut self, home: &Databases) {
        let Some(mut connection) = self.connection.take() else {
            return;
        };
        if connection.rules.lock().for_caller {
            connection.spoil();
        }
        home.put_back(&self.name, connection);
    }

    fn guarded(&self) -> &Guarded {
        let connection = self.connection.as_ref();
        connection.expect("a transaction goes home when it is over")
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    )
}
