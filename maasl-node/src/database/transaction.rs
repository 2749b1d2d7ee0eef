//! One write transaction of one call.
//!
//! Owns: begin, work, seal, commit, roll back. Promises: it holds SQLite's write
//! lock from its beginning to its end; dropped, it is rolled back; a commit that
//! failed has left nothing; a reader that holds a commit up is waited for within what
//! the call may wait. Leaves to others: the order of the steps (the core).

use std::time::{Duration, Instant};

use maasl_core::database::{BadStatement, Begun, Seal, Work, Written};
use maasl_core::id::Token;
use rusqlite::{Connection, ErrorCode};
use tokio_util::sync::CancellationToken;

use super::connection::Guarded;
use super::names::Names;
use super::statement::{WorkFault, fault, run_all};
use super::{DatabaseError, Databases, schema, spans};
use crate::store::clock::wall_ms;

/// SQLite's own instructions between two looks at the clock and the caller.
const INSTRUCTIONS: i32 = 10_000;

/// How long a beginning waits between two looks at whether anybody still wants it.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// How long a commit waits at least for readers, where the call may wait so long at all:
/// its work is done, and short of this it would be for nothing.
const COMMIT_WAIT_MIN: Duration = Duration::from_millis(100);

/// What a caller in this process does with the transaction that it is given.
pub type CallerWork = Box<dyn FnOnce(&Connection) -> rusqlite::Result<Written> + Send>;

/// An open write transaction.
pub struct Transaction {
    name: String,
    /// Nothing once the connection went back to where it came from.
    connection: Option<Guarded>,
    limit: Duration,
    began: Instant,
    /// How long the call may wait from then on.
    wait: Duration,
    /// The names of the guard's as they were before the work.
    names: Names,
    /// Fires when nobody wants it any more.
    cancel: CancellationToken,
}

impl Transaction {
    pub(super) fn begin(
        connection: Guarded,
        name: &str,
        wait: Duration,
        limit: Duration,
        cancel: &CancellationToken,
    ) -> Result<Self, DatabaseError> {
        let mut opened = Self {
            name: name.to_owned(),
            connection: Some(connection),
            limit,
            began: Instant::now(),
            wait,
            names: Names::default(),
            cancel: cancel.clone(),
        };
        opened.lock()?;
        opened.names = Names::read(&opened.guarded().db)?;
        Ok(opened)
    }

    /// Takes SQLite's write lock: at once, or by its own polling, since a writer
    /// that goes past MAASL rings nobody.
    fn lock(&mut self) -> Result<(), DatabaseError> {
        let (wait, cancel) = (self.wait, &self.cancel);
        let connection = self.connection.as_mut().expect("it has not gone home");
        // A commit may have left its own.
        connection.db.busy_timeout(Duration::ZERO)?;
        let begun = match connection.begin() {
            Err(error) if is_busy(&error) && !wait.is_zero() => {
                let begun = tokio::task::block_in_place(|| wait_to_begin(connection, wait, cancel));
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
        let request = request.filter(|_| self.has_tables());
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
        if !self.has_tables() {
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
        self.guarded().denial();
        self.work(work, caller).map_err(|error| self.told(error))
    }

    fn work(&self, work: &Work, caller: Option<CallerWork>) -> Result<Written, WorkFault> {
        if let Work::Enrich(spans) = work {
            // MAASL's own table is written by its own statements.
            let connection = self.guarded();
            return spans::write(&connection.db, spans, wall_ms())
                .map_err(|error| fault(connection, None, error));
        }
        self.guarded().rules.lock().for_caller = true;
        let done = self.work_of_caller(work, caller);
        self.guarded().rules.lock().for_caller = false;
        let written = done?;
        self.inspect()?;
        Ok(written)
    }

    /// Of work that was given up, SQLite says only that it was interrupted.
    fn told(&self, error: WorkFault) -> WorkFault {
        match error {
            WorkFault::Bad(bad) if self.cancel.is_cancelled() => WorkFault::Bad(BadStatement {
                message: "was given up, because its caller no longer wants it".to_owned(),
                hint: None,
                ..bad
            }),
            error => error,
        }
    }

    fn work_of_caller(
        &self,
        work: &Work,
        caller: Option<CallerWork>,
    ) -> Result<Written, WorkFault> {
        let connection = self.guarded();
        if let Work::Statements(statements) = work {
            return run_all(connection, statements);
        }
        let caller = caller.expect("a call of this kind is made with its work");
        // It may ask for any text, and those of the guard's own were prepared without
        // rules.
        connection.db.flush_prepared_statement_cache();
        caller(&connection.db).map_err(|error| fault(connection, None, error))
    }

    /// Refuses what a caller's work may not have left behind.
    fn inspect(&self) -> Result<(), WorkFault> {
        let connection = self.guarded();
        if connection.db.is_autocommit() {
            return Err(WorkFault::Bad(BadStatement {
                index: None,
                message: "SQLite rolled the transaction back while the work went on".to_owned(),
                hint: Some("end the work with the first statement that fails".to_owned()),
            }));
        }
        match self.names.complaint(&connection.db) {
            Ok(None) => Ok(()),
            Ok(Some(bad)) => Err(WorkFault::Bad(bad)),
            Err(error) => Err(fault(connection, None, error)),
        }
    }

    /// Seals and commits; rolled back where that fails.
    pub fn commit(mut self, seal: &Seal, home: &Databases) -> Result<(), DatabaseError> {
        self.watch_no_longer()?;
        self.guarded().denial();
        self.seal(seal).map_err(|error| self.explained(error))?;
        self.end()?;
        self.go_home(home);
        Ok(())
    }

    fn seal(&self, seal: &Seal) -> Result<(), DatabaseError> {
        let db = &self.guarded().db;
        if !self.has_tables() {
            schema::make_tables(db)?;
        }
        schema::seal(db, seal)
    }

    /// What was denied says more than what SQLite makes of it.
    fn explained(&self, error: DatabaseError) -> DatabaseError {
        match self.guarded().denial() {
            Some(denial) => DatabaseError::Unusable(format!("{}; {}", denial.message, denial.hint)),
            None => error,
        }
    }

    /// Commits. A database that keeps a rollback journal is committed once nobody reads
    /// it; what is busy stays open and can be tried again.
    fn end(&self) -> Result<(), DatabaseError> {
        let db = &self.guarded().db;
        let commit = || {
            let prepared = db.prepare_cached("COMMIT");
            prepared.and_then(|mut prepared| prepared.execute([]))
        };
        let ended = match commit() {
            Err(error) if is_busy(&error) && !self.wait.is_zero() => {
                db.busy_timeout(self.left())?;
                tokio::task::block_in_place(commit)
            }
            ended => ended,
        };
        match ended {
            Ok(_) => Ok(()),
            Err(error) if is_busy(&error) => Err(DatabaseError::Locked),
            Err(error) if is_constraint(&error) => Err(DatabaseError::Constraint(error)),
            Err(error) => Err(error.into()),
        }
    }

    /// How long a commit may wait.
    fn left(&self) -> Duration {
        let left = self.wait.saturating_sub(self.began.elapsed());
        left.max(COMMIT_WAIT_MIN).min(self.wait)
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

    /// Ends statements that run for too long, or for nobody.
    fn watch_time(&mut self) -> rusqlite::Result<()> {
        let (began, limit) = (Instant::now(), self.limit);
        let cancel = self.cancel.clone();
        let is_over = move || began.elapsed() > limit || cancel.is_cancelled();
        let connection = self.connection.as_mut().expect("it has not gone home");
        connection.db.progress_handler(INSTRUCTIONS, Some(is_over))
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

    /// Whether the guard's own tables were there before the work.
    fn has_tables(&self) -> bool {
        schema::has_tables(&self.names)
    }

    fn guarded(&self) -> &Guarded {
        let connection = self.connection.as_ref();
        connection.expect("a transaction goes home when it is over")
    }
}

/// Waits for whoever has the database, until nobody wants it any more.
fn wait_to_begin(
    connection: &mut Guarded,
    wait: Duration,
    cancel: &CancellationToken,
) -> rusqlite::Result<()> {
    let deadline = Instant::now() + wait;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        connection.db.busy_timeout(left.min(LOOK_INTERVAL))?;
        match connection.begin() {
            Err(error) if is_busy(&error) && left > LOOK_INTERVAL && !cancel.is_cancelled() => {}
            begun => return begun,
        }
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    )
}

fn is_constraint(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::FileExt as _;

    use maasl_core::config::Config;
    use maasl_core::database::{Parameters, Statement};
    use maasl_core::id::OpId;

    use super::*;
    use crate::root::Root;

    /// A database called `main`, in which a table has one row.
    fn prepared() -> (tempfile::TempDir, Root, Databases) {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open(dir.path()).unwrap();
        let mut config = Config::default();
        config.databases.insert("main".into(), "main.db".into());
        let databases = Databases::new(&config);
        let mut opened = begin(&root, &databases);
        let made = ["CREATE TABLE t (n UNIQUE)", "INSERT INTO t VALUES (1)"];
        opened.execute(&statements(&made), None).unwrap();
        opened.commit(&seal(), &databases).unwrap();
        (dir, root, databases)
    }

    fn begin(root: &Root, databases: &Databases) -> Transaction {
        begin_until(root, databases, &CancellationToken::new())
    }

    fn begin_until(root: &Root, databases: &Databases, cancel: &CancellationToken) -> Transaction {
        let begun = databases.begin(root, "main", Duration::ZERO, cancel);
        begun.unwrap()
    }

    fn statements(texts: &[&str]) -> Work {
        let texts = texts.iter().map(|sql| Statement {
            sql: (*sql).to_owned(),
            parameters: Parameters::Positional(Vec::new()),
        });
        Work::Statements(texts.collect())
    }

    fn seal() -> Seal {
        Seal {
            token: Token::from_number(1),
            answered: None,
            part_of: None,
            wall_ms: 1,
            forget_before_wall_ms: 0,
        }
    }

    fn message(done: Result<Written, WorkFault>) -> String {
        match done {
            Err(WorkFault::Bad(bad)) => bad.message,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn work_that_goes_on_after_a_rollback_is_refused_and_leaves_nothing() {
        let (_dir, root, databases) = prepared();
        let mut opened = begin(&root, &databases);
        let caller: CallerWork = Box::new(|db: &Connection| {
            db.execute("INSERT OR ROLLBACK INTO t VALUES (1)", [])
                .unwrap_err();
            // Alone it would be committed at once.
            db.execute("INSERT INTO t VALUES (2)", []).unwrap_err();
            Ok(Written::default())
        });
        let refused = message(opened.execute(&Work::Caller, Some(caller)));
        assert!(refused.contains("rolled"), "{refused}");
        opened.roll_back(&databases).unwrap();
        let opened = begin(&root, &databases);
        let db = &opened.guarded().db;
        let count: u64 = db
            .query_row("SELECT count(*) FROM t", [], |row| row.get(0))
            .unwrap();
        assert_eq!(count, 1);
    }

    #[test]
    fn a_part_that_was_said_not_to_be_there_does_not_come_back() {
        let (dir, root, databases) = prepared();
        let path = |name: &str| dir.path().join(name);
        let count = |db: &Connection| -> u64 {
            let sql = "SELECT count(*) FROM t WHERE n = 2";
            db.query_row(sql, [], |row| row.get(0)).unwrap()
        };
        // One of the others, who all know of the log what its index says.
        let keeper = Connection::open(path("main.db")).unwrap();
        assert_eq!(count(&keeper), 0);
        let index = fs::read(path("main.db-shm")).unwrap();
        let op = OpId::new("op");
        let mut opened = begin(&root, &databases);
        opened
            .execute(&statements(&["INSERT INTO t VALUES (2)"]), None)
            .unwrap();
        let part_of = Some(op.clone());
        let sealed = Seal { part_of, ..seal() };
        opened.commit(&sealed, &databases).unwrap();
        databases.close_idle();
        // As if the writer had been killed before it wrote the index.
        let file = fs::File::options().write(true).open(path("main.db-shm"));
        file.unwrap().write_all_at(&index, 0).unwrap();
        assert!(!databases.has_part(&root, "main.db", &op).unwrap());
        // All die, and somebody opens what is on the disk.
        let later = tempfile::tempdir().unwrap();
        for name in ["main.db", "main.db-wal"] {
            fs::copy(path(name), later.path().join(name)).unwrap();
        }
        let db = Connection::open(later.path().join("main.db")).unwrap();
        assert_eq!(count(&db), 0);
    }

    #[test]
    fn work_that_nobody_wants_any_more_ends_and_leaves_nothing() {
        let (_dir, root, databases) = prepared();
        let cancel = CancellationToken::new();
        let mut opened = begin_until(&root, &databases, &cancel);
        cancel.cancel();
        let endless = "WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c)
                       INSERT INTO t SELECT n + 1 FROM c";
        let told = message(opened.execute(&statements(&[endless]), None));
        assert!(told.contains("no longer wants"), "{told}");
        opened.roll_back(&databases).unwrap();
        let mut opened = begin(&root, &databases);
        let two = statements(&["INSERT INTO t VALUES (2)"]);
        opened.execute(&two, None).unwrap();
        opened.commit(&seal(), &databases).unwrap();
    }

    #[test]
    fn work_of_this_process_meets_no_statement_of_the_guards() {
        let (_dir, root, databases) = prepared();
        // The connection that has committed before keeps its statements.
        let mut opened = begin(&root, &databases);
        let caller: CallerWork = Box::new(|db: &Connection| {
            assert!(db.prepare_cached("COMMIT").is_err());
            Ok(Written::default())
        });
        opened.execute(&Work::Caller, Some(caller)).unwrap();
        opened.commit(&seal(), &databases).unwrap();
    }

    #[test]
    fn a_denial_that_failed_nothing_is_not_told_for_another_failure() {
        let (_dir, root, databases) = prepared();
        let mut opened = begin(&root, &databases);
        let caller: CallerWork = Box::new(|db: &Connection| {
            db.execute_batch("PRAGMA synchronous = OFF").unwrap_err();
            Ok(Written::default())
        });
        opened.execute(&Work::Caller, Some(caller)).unwrap();
        opened.commit(&seal(), &databases).unwrap();
        let mut opened = begin(&root, &databases);
        let unknown = statements(&["INSERT INTO nowhere VALUES (1)"]);
        let told = message(opened.execute(&unknown, None));
        assert!(told.contains("nowhere"), "{told}");
        opened.roll_back(&databases).unwrap();
    }
}
