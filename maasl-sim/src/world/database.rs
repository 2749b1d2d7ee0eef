//! Databases that are written through the product's guard.
//!
//! Owns: rows, fence and answers of each, and the transactions that are open.
//! Promises: one transaction writes at a time, as SQLite has it; what is
//! committed stays, also over a power cut, and what is not is gone with its
//! process. Leaves to others: who may write, and in which order the steps come
//! (the product).

use std::collections::{BTreeMap, BTreeSet};

use maasl_core::coordinator::io::{CallId, Done, Effect};
use maasl_core::database::{Begun, Seal, Work, Written};
use maasl_core::id::{OpId, Token};
use maasl_core::lease::Answered;

use crate::observe::ProcessNo;

/// A call of a process.
type Writer = (ProcessNo, CallId);

/// All databases, by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Databases(BTreeMap<String, Database>);

#[derive(Clone, Debug, Default)]
struct Database {
    fence: Token,
    answers: BTreeMap<String, Answered>,
    /// The commits of which its transactions were parts.
    parts: BTreeSet<OpId>,
    open: Option<Open>,
}

#[derive(Clone, Debug)]
struct Open {
    by: Writer,
    rows: Vec<String>,
    answered: bool,
}

/// What a step did that judges must see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    Began,
    /// Another transaction has SQLite's lock.
    Met {
        db: String,
    },
    Worked {
        db: String,
    },
    Committed {
        db: String,
        seal: Box<Seal>,
        rows: Vec<String>,
    },
    RolledBack {
        answered: bool,
    },
}

impl Databases {
    /// Carries out one step of a call; nothing is seen of one that only looks.
    pub(super) fn perform(
        &mut self,
        by: Writer,
        effect: Effect,
        wall_ms: u64,
    ) -> (Done, Option<Seen>) {
        if let Effect::DbBegin { db, request, .. } = effect {
            let database = self.0.entry(db.clone()).or_default();
            return database.begin(by, db, request.as_deref(), wall_ms);
        }
        if let Effect::DbOutcome { op, .. } = effect {
            return (Done::DbOutcome(self.has_part(&op)), None);
        }
        let of_call = |one: &Database| one.open.as_ref().is_some_and(|open| open.by == by);
        let open = self.0.iter_mut().find(|(_, one)| of_call(one));
        match (open, effect) {
            (None, Effect::DbRollback) => (Done::Ok, None),
            (None, _) => (Done::Failed("no transaction is open".into()), None),
            (Some((name, database)), effect) => database.perform(name, effect),
        }
    }

    /// A commit has a part in one database at most.
    fn has_part(&self, op: &OpId) -> bool {
        let mut all = self.0.values();
        all.any(|database| database.parts.contains(op))
    }

    /// A transaction does not outlive its call.
    pub(super) fn forget_call(&mut self, by: Writer) {
        for database in self.0.values_mut() {
            database.open.take_if(|open| open.by == by);
        }
    }

    /// A dead process has written nothing that it did not commit.
    pub(super) fn forget(&mut self, process: ProcessNo) {
        for database in self.0.values_mut() {
            database.open.take_if(|open| open.by.0 == process);
        }
    }
}

impl Database {
    fn begin(
        &mut self,
        by: Writer,
        db: String,
        request: Option<&str>,
        wall_ms: u64,
    ) -> (Done, Option<Seen>) {
        if self.open.is_some() {
            return (Done::DbLocked, Some(Seen::Met { db }));
        }
        let answered = request.and_then(|key| self.answers.get(key).cloned());
        self.open = Some(Open {
            by,
            rows: Vec::new(),
            answered: answered.is_some(),
        });
        let begun = Begun {
            fence: self.fence,
            answered,
            wall_ms,
        };
        (Done::DbBegun(begun), Some(Seen::Began))
    }

    fn perform(&mut self, name: &str, effect: Effect) -> (Done, Option<Seen>) {
        let db = name.to_owned();
        match effect {
            Effect::DbExecute(work) => {
                let written = self.execute(work);
                (Done::DbExecuted(written), Some(Seen::Worked { db }))
            }
            Effect::DbFence => (Done::DbFence(self.fence), None),
            Effect::DbCommit(seal) => {
                let open = self.open.take().expect("it is this call's");
                self.fence = seal.token;
                let answers = seal.answered.iter();
                let answers = answers.map(|one| (one.request.key.clone(), one.clone()));
                self.answers.extend(answers);
                self.parts.extend(seal.part_of.clone());
                let seen = Seen::Committed {
                    db,
                    seal: Box::new(seal),
                    rows: open.rows,
                };
                (Done::Ok, Some(seen))
            }
            Effect::DbRollback => {
                let answered = self.open.take().is_some_and(|open| open.answered);
                (Done::Ok, Some(Seen::RolledBack { answered }))
            }
            other => panic!("no step of a transaction: {other:?}"),
        }
    }

    fn execute(&mut self, work: Work) -> Written {
        let rows: Vec<String> = match work {
            Work::Statements(statements) => statements.into_iter().map(|one| one.sql).collect(),
            Work::Enrich(spans) => spans.into_iter().map(|span| span.summary).collect(),
            Work::Caller => Vec::new(),
        };
        let rows_affected = rows.len() as u64;
        if let Some(open) = &mut self.open {
            open.rows.extend(rows);
        }
        Written {
            rows_affected,
            last_insert_rowid: None,
        }
    }
}
