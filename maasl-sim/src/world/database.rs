//! Databases that are written through the product's guard.
//!
//! Owns: rows, fence and answers of each, and the transactions that are open.
//! Promises: one transaction writes at a time, as SQLite has it; what is
//! committed stays, also over a power cut, and what is not is gone with its
//! process, but for a commit that was in the log when its process died. Nobody sees
//! that one, and whoever writes next takes its place; if all die before, the next to
//! open the database finds it. Leaves to others: who may write, and in which order
//! the steps come (the product).
//!
//! That a power cut takes nothing back is no kindness: the node writes through
//! SQLite with `synchronous = EXTRA` wherever a change must survive the power, so
//! that `COMMIT` has synced its log, or its journal's end, before the step is
//! answered (`maasl-node/src/database/connection.rs`). Until then the step has not
//! happened here, and a cut finds an open transaction, which is gone. A product that
//! answered sooner is noticed, since a transaction does not outlive its call.

use std::collections::{BTreeMap, BTreeSet};

use maasl_core::coordinator::io::{CallId, Done, Effect};
use maasl_core::database::{Begun, Seal, Work, Written};
use maasl_core::id::{OpId, Token};
use maasl_core::lease::Answered;
use maasl_core::mutant::{Mutant, is_active};

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
    unseen: Option<Unseen>,
}

#[derive(Clone, Debug)]
struct Open {
    by: Writer,
    rows: Vec<String>,
    answered: bool,
    /// What its commit brings with it, once that is in the log.
    logged: Option<Seal>,
}

/// A commit that is in the log and that only its process, which is dead, has seen.
#[derive(Clone, Debug)]
struct Unseen {
    seal: Seal,
    rows: Vec<String>,
}

/// A commit that came out of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Returned {
    pub(super) db: String,
    pub(super) seal: Seal,
    pub(super) rows: Vec<String>,
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
            return (Done::DbOutcome(self.has_part_for_good(&op)), None);
        }
        let of_call = |one: &Database| one.open.as_ref().is_some_and(|open| open.by == by);
        let open = self.0.iter_mut().find(|(_, one)| of_call(one));
        match (open, effect) {
            (None, Effect::DbRollback) => (Done::Ok, None),
            (None, _) => (Done::Failed("no transaction is open".into()), None),
            (Some((name, database)), effect) => database.perform(name, effect),
        }
    }

    /// A commit has a part in one database at most. Whoever says that it is not there
    /// has written to that database, so that it does not come back.
    fn has_part_for_good(&mut self, op: &OpId) -> bool {
        if self.0.values().any(|database| database.parts.contains(op)) {
            return true;
        }
        if !is_active(Mutant::AbsentUnwritten) {
            for database in self.0.values_mut() {
                let of_op = |unseen: &mut Unseen| unseen.seal.part_of.as_ref() == Some(op);
                database.unseen.take_if(of_op);
            }
        }
        false
    }

    /// The commit of a call is in the log, and nobody has seen it yet.
    pub(super) fn write_log(&mut self, by: Writer, seal: &Seal) {
        for database in self.0.values_mut() {
            if let Some(open) = &mut database.open
                && open.by == by
            {
                open.logged = Some(seal.clone());
                database.unseen = None;
            }
        }
    }

    /// Nobody has a database open any more: whoever is next finds in the logs what
    /// nobody had seen.
    pub(super) fn come_back(&mut self) -> Vec<Returned> {
        let returned = self.0.iter_mut().filter_map(|(db, database)| {
            let Unseen { seal, rows } = database.unseen.take()?;
            database.take_effect(&seal);
            let db = db.clone();
            Some(Returned { db, seal, rows })
        });
        returned.collect()
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
            let open = database.open.take_if(|open| open.by.0 == process);
            if let Some(Open {
                logged: Some(seal),
                rows,
                ..
            }) = open
            {
                database.unseen = Some(Unseen { seal, rows });
            }
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
            logged: None,
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
                self.take_effect(&seal);
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

    /// What is committed is there for everybody.
    fn take_effect(&mut self, seal: &Seal) {
        self.unseen = None;
        self.fence = seal.token;
        let answers = seal.answered.iter();
        let answers = answers.map(|one| (one.request.key.clone(), one.clone()));
        self.answers.extend(answers);
        self.parts.extend(seal.part_of.clone());
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

#[cfg(test)]
mod tests {
    use maasl_core::database::{Parameters, Statement};

    use super::*;

    const BY: Writer = (ProcessNo(0), CallId(1));
    const OTHER: Writer = (ProcessNo(1), CallId(1));

    fn seal(op: &str) -> Seal {
        Seal {
            token: Token::new(1, 1).unwrap(),
            answered: None,
            part_of: Some(OpId::new(op)),
            wall_ms: 0,
            forget_before_wall_ms: 0,
        }
    }

    /// A transaction has added a row and is open.
    fn begin(databases: &mut Databases, by: Writer) {
        let begin = Effect::DbBegin {
            db: "rag".into(),
            request: None,
            wait_ms: 0,
        };
        databases.perform(by, begin, 0);
        let row = Statement {
            sql: "a row".into(),
            parameters: Parameters::Positional(Vec::new()),
        };
        let work = Work::Statements(vec![row]);
        databases.perform(by, Effect::DbExecute(work), 0);
    }

    /// A process has died with its commit in the log.
    fn died_inside() -> Databases {
        let mut databases = Databases::default();
        begin(&mut databases, BY);
        databases.write_log(BY, &seal("op"));
        databases.forget(BY.0);
        databases
    }

    fn has_part(databases: &mut Databases) -> bool {
        let outcome = Effect::DbOutcome {
            path: "rag.db".into(),
            op: OpId::new("op"),
        };
        let (done, _) = databases.perform(OTHER, outcome, 0);
        matches!(done, Done::DbOutcome(true))
    }

    #[test]
    fn a_commit_that_nobody_has_seen_comes_back_when_all_have_died() {
        let mut databases = died_inside();
        let returned = databases.come_back();
        assert_eq!(returned.len(), 1);
        assert_eq!(returned[0].rows, ["a row"]);
        assert!(has_part(&mut databases));
        assert!(databases.come_back().is_empty());
    }

    #[test]
    fn a_part_that_was_said_not_to_be_there_does_not_come_back() {
        let mut databases = died_inside();
        assert!(!has_part(&mut databases));
        assert!(databases.come_back().is_empty());
    }

    #[test]
    fn whoever_writes_next_takes_its_place() {
        let mut databases = died_inside();
        begin(&mut databases, OTHER);
        databases.perform(OTHER, Effect::DbCommit(seal("later")), 0);
        assert!(databases.come_back().is_empty());
        assert!(!has_part(&mut databases));
    }

    #[test]
    fn what_was_not_in_the_log_is_gone_with_its_process() {
        let mut databases = Databases::default();
        begin(&mut databases, BY);
        databases.forget(BY.0);
        assert!(databases.come_back().is_empty());
    }
}
