//! Databases of a world: what is committed, and who writes.
//!
//! Owns: rows, fence and answers of each database, and the transactions that are
//! open. Promises: one writer at a time, as SQLite has it; what is not committed
//! is not there. It checks at each commit that the committing call holds the
//! latch, and that no newer token was granted or has written. Leaves to others:
//! leases and latches (`machine`).

use std::collections::{BTreeMap, BTreeSet};

use maasl_core::coordinator::io::{CallId, Done, Effect};
use maasl_core::database::{BadStatement, Begun, Parameters, Seal, Statement, Work, Written};
use maasl_core::id::{OpId, Token};
use maasl_core::lease::Answered;

use super::world::Pid;

/// A database: its rows are the texts of the statements that made them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Database {
    pub(crate) rows: Vec<(Token, String)>,
    pub(crate) fence: Token,
    answers: BTreeMap<String, Answered>,
    /// The commits of which its transactions were parts.
    parts: BTreeSet<OpId>,
    open: Option<Open>,
    /// Somebody who goes past MAASL has the write lock.
    pub(crate) foreign: bool,
}

#[derive(Clone, Debug)]
struct Open {
    by: (Pid, CallId),
    rows: Vec<String>,
}

/// A statement that adds one row.
pub(crate) fn add(row: &str) -> Statement {
    Statement {
        sql: row.into(),
        parameters: Parameters::Positional(Vec::new()),
    }
}

/// All databases, by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Databases(pub(crate) BTreeMap<String, Database>);

impl Databases {
    pub(crate) fn of(&mut self, name: &str) -> &mut Database {
        self.0.entry(name.into()).or_default()
    }

    /// What one call does to the database it has open, or opens.
    pub(super) fn perform(&mut self, by: (Pid, CallId), effect: Effect, wall_ms: u64) -> Done {
        if let Effect::DbBegin { db, request, .. } = effect {
            return self.of(&db).begin(by, request.as_deref(), wall_ms);
        }
        if let Effect::DbOutcome { op, .. } = effect {
            let mut all = self.0.values();
            return Done::DbOutcome(all.any(|one| one.parts.contains(&op)));
        }
        let mut all = self.0.values_mut();
        let database = all.find(|one| one.open.as_ref().is_some_and(|open| open.by == by));
        match (database, effect) {
            (None, Effect::DbRollback) => Done::Ok,
            (None, _) => Done::Failed("no transaction is open".into()),
            (Some(database), effect) => database.perform(effect),
        }
    }

    /// The token that a commit of this call goes under, and on which database.
    pub(super) fn open_by(&self, by: (Pid, CallId)) -> Option<&str> {
        let mut all = self.0.iter();
        let of_call = |one: &Database| one.open.as_ref().is_some_and(|open| open.by == by);
        all.find(|(_, one)| of_call(one))
            .map(|(name, _)| name.as_str())
    }

    /// A transaction does not outlive its call.
    pub(super) fn forget_call(&mut self, by: (Pid, CallId)) {
        for database in self.0.values_mut() {
            database.open.take_if(|open| open.by == by);
        }
    }

    /// A dead process has written nothing that it did not commit.
    pub(super) fn forget(&mut self, pid: Pid) {
        for database in self.0.values_mut() {
            database.open.take_if(|open| open.by.0 == pid);
        }
    }
}

impl Database {
    pub(crate) fn texts(&self) -> Vec<&str> {
        self.rows.iter().map(|(_, row)| row.as_str()).collect()
    }

    pub(crate) fn is_quiet(&self) -> bool {
        self.open.is_none()
    }

    fn begin(&mut self, by: (Pid, CallId), request: Option<&str>, wall_ms: u64) -> Done {
        if self.foreign {
            return Done::DbLocked;
        }
        assert!(self.open.is_none(), "two transactions write at once");
        self.open = Some(Open {
            by,
            rows: Vec::new(),
        });
        Done::DbBegun(Begun {
            fence: self.fence,
            answered: request.and_then(|key| self.answers.get(key).cloned()),
            wall_ms,
        })
    }

    fn perform(&mut self, effect: Effect) -> Done {
        match effect {
            Effect::DbExecute(work) => self.execute(work),
            Effect::DbFence => Done::DbFence(self.fence),
            Effect::DbCommit(seal) => self.commit(seal),
            Effect::DbRollback => {
                self.open = None;
                Done::Ok
            }
            other => panic!("no effect on a database: {other:?}"),
        }
    }

    fn execute(&mut self, work: Work) -> Done {
        let statements = match work {
            Work::Statements(statements) => statements,
            Work::Enrich(spans) => spans.iter().map(|span| add(&span.summary)).collect(),
            Work::Caller => panic!("tests bring statements"),
        };
        let open = self.open.as_mut().expect("it is open");
        let bad = statements.iter().position(|one| one.sql == "bad");
        if let Some(index) = bad {
            return Done::DbRefused(BadStatement {
                index: Some(index),
                message: "syntax error".into(),
                hint: None,
            });
        }
        let rows_affected = statements.len() as u64;
        open.rows.extend(statements.into_iter().map(|one| one.sql));
        Done::DbExecuted(Written {
            rows_affected,
            last_insert_rowid: None,
        })
    }

    fn commit(&mut self, seal: Seal) -> Done {
        assert!(self.fence <= seal.token, "I11: an older token commits");
        let open = self.open.take().expect("it is open");
        let rows = open.rows.into_iter().map(|row| (seal.token, row));
        self.rows.extend(rows);
        self.fence = seal.token;
        self.parts.extend(seal.part_of);
        if let Some(answered) = seal.answered {
            let known = self.answers.insert(answered.request.key.clone(), answered);
            assert!(known.is_none(), "I6: one request took effect twice");
        }
        Done::Ok
    }
}
