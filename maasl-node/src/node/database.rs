//! Guarded transactions of one call.
//!
//! Owns: the transaction that a call has open, and the way in for callers of this
//! process that bring work of their own. Promises: one answer for each step; a
//! call has at most one transaction; what may take as long as a caller's
//! statements and what they changed keeps no other call waiting. Leaves to
//! others: the order of the steps (the core), SQLite (`database`).

use std::sync::Arc;
use std::time::Duration;

use maasl_core::coordinator::database::DatabaseWrite;
use maasl_core::coordinator::enrich::lines as lines_of;
use maasl_core::coordinator::io::{Call, Done, Reply, Request};
use maasl_core::database::{BadStatement, FoundSpan, Seal, Work, Written};
use maasl_core::id::{ContentHash, OpId};
use maasl_core::refusal::Refusal;
use maasl_core::reply::Receipt;
use rusqlite::Connection;
use tokio::task::block_in_place;
use tokio_util::sync::CancellationToken;

use super::{Node, Slot};
use crate::database::{DatabaseError, Transaction, WorkFault};
use crate::store::clock::wall_ms;

impl Node {
    /// Runs `work` in one guarded write transaction of the database `db`: under a
    /// lease, fenced, committed if it returns `Ok` and rolled back otherwise. It
    /// is given SQLite's own connection, under the rules that statements of
    /// agents are held to. `call` says for whom, how long to wait and under which
    /// key; its body is replaced.
    pub async fn write_transaction(
        self: &Arc<Self>,
        db: &str,
        call: Call,
        work: impl FnOnce(&Connection) -> rusqlite::Result<()> + Send + 'static,
    ) -> Result<Receipt, Refusal> {
        let cancel = CancellationToken::new();
        let slot = Slot::on(self.ground(), cancel.child_token());
        *slot.caller_work.lock() = Some(Box::new(move |db: &Connection| {
            let before = db.total_changes();
            work(db)?;
            Ok(Written {
                rows_affected: db.total_changes() - before,
                last_insert_rowid: None,
            })
        }));
        let request_body = Request::Database(DatabaseWrite {
            db: db.to_owned(),
            work: Work::Caller,
        });
        let call = Call {
            request_body,
            ..call
        };
        let response = self.run(call, slot, cancel, None).await;
        match response.result? {
            Reply::Receipt(receipt) => Ok(receipt),
            other => panic!("a write was answered with {other:?}"),
        }
    }
}

impl Node {
    /// Finds descriptions of pieces of source, best first, and says of each whether
    /// its lines are still what was described. Waits for no writer.
    pub fn find_spans(
        self: &Arc<Self>,
        query: &str,
        limit: u32,
    ) -> Result<Vec<FoundSpan>, DatabaseError> {
        let ground = self.ground();
        let root = ground.files.root();
        let mut found = ground.databases.find_spans(root, query, limit)?;
        for span in &mut found {
            // A file that cannot be read now holds nothing that was described.
            let content = ground.files.read(&span.path).ok().flatten();
            let lines = content.as_deref();
            let lines = lines.and_then(|bytes| lines_of(bytes, span.start_line, span.end_line));
            span.is_current = lines.map(ContentHash::of) == span.sha256;
        }
        Ok(found)
    }
}

impl Slot {
    pub(super) fn begin(&self, db: &str, request: Option<&str>, wait_ms: u64) -> Done {
        let root = self.ground.files.root();
        let wait = Duration::from_millis(wait_ms);
        let opened = self.ground.databases.begin(root, db, wait, &self.cancel);
        let begun = opened.and_then(|transaction| {
            let begun = transaction.look(request, wall_ms())?;
            Ok((transaction, begun))
        });
        match begun {
            Ok((transaction, begun)) => {
                *self.transaction.lock() = Some(transaction);
                Done::DbBegun(begun)
            }
            Err(DatabaseError::Locked) => Done::DbLocked,
            Err(error) => error.into(),
        }
    }

    pub(super) fn work(&self, work: &Work) -> Done {
        let caller = self.caller_work.lock().take();
        match self.transaction.lock().as_mut() {
            None => not_begun(),
            Some(open) => match block_in_place(|| open.execute(work, caller)) {
                Ok(written) => Done::DbExecuted(written),
                Err(WorkFault::Bad(bad)) => Done::DbRefused(bad),
                Err(WorkFault::System(error)) => error.into(),
            },
        }
    }

    pub(super) fn fence(&self) -> Done {
        let transaction = self.transaction.lock();
        match transaction.as_ref().map(Transaction::fence) {
            None => not_begun(),
            Some(fence) => fence.map_or_else(Done::from, Done::DbFence),
        }
    }

    pub(super) fn commit(&self, seal: &Seal) -> Done {
        match self.transaction.lock().take() {
            None => not_begun(),
            Some(open) => match block_in_place(|| open.commit(seal, &self.ground.databases)) {
                Ok(()) => Done::Ok,
                Err(DatabaseError::Locked) => Done::DbLocked,
                Err(DatabaseError::Constraint(error)) => Done::DbRefused(dangling(&error)),
                Err(error) => error.into(),
            },
        }
    }

    pub(super) fn outcome(&self, path: &str, op: &OpId) -> Done {
        let root = self.ground.files.root();
        let found = block_in_place(|| self.ground.databases.has_part(root, path, op));
        found.map_or_else(Done::from, Done::DbOutcome)
    }

    /// There may be none: a commit that failed has taken it.
    pub(super) fn roll_back(&self) -> Done {
        match self.transaction.lock().take() {
            None => Done::Ok,
            Some(open) => {
                let rolled_back = block_in_place(|| open.roll_back(&self.ground.databases));
                rolled_back.map_or_else(Done::from, |()| Done::Ok)
            }
        }
    }
}

/// Rows that break a constraint which SQLite looks at last.
fn dangling(error: &rusqlite::Error) -> BadStatement {
    BadStatement {
        index: None,
        message: format!("leave rows that refer to rows which are not there: {error}"),
        hint: Some("insert what a deferred foreign key refers to in the same call".to_owned()),
    }
}

/// The core asks for steps of a transaction only once it has begun.
fn not_begun() -> Done {
    Done::Failed("no transaction is open".to_owned())
}

impl From<DatabaseError> for Done {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::Path(refusal) => Self::Refused(refusal),
            other => Self::Failed(other.to_string()),
        }
    }
}
