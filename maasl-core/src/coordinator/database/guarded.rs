//! One write transaction of a database, under the lease of its call.
//!
//! Owns: the steps of it, each with what it may be refused for. Promises: it
//! begins only after what a dead process left open on the database is settled,
//! and never behind a newer token. Leaves to others: the order of the steps, and
//! what else takes effect with it (`database`, `commit`).

use alloc::boxed::Box;
use alloc::string::{String, ToString};

use super::{DatabaseWrite, refused_statement};
use crate::coordinator::acquire;
use crate::coordinator::call::{Cx, mixed_up};
use crate::coordinator::io::{Done, Effect};
use crate::coordinator::right::Right;
use crate::coordinator::settle;
use crate::database::{Begun, Seal, Written};
use crate::id::Token;
use crate::lease::command::Inspect;
use crate::lease::{Command, Outcome, RequestKey};
use crate::refusal::{Busy, DbBusy, LostLease, Refusal};
use crate::reply::Receipt;
use crate::resource::{Extent, ResourceKey, Scope};
use crate::time::Timestamp;

/// How long a call may wait for a writer that goes past MAASL.
#[derive(Clone, Copy)]
pub(in crate::coordinator) struct Budget {
    pub(in crate::coordinator) started: Timestamp,
    pub(in crate::coordinator) deadline: Timestamp,
    pub(in crate::coordinator) allowed_ms: u64,
}

/// A transaction.
pub(in crate::coordinator) struct Guarded<'a> {
    pub(in crate::coordinator) cx: &'a Cx,
    pub(in crate::coordinator) asked: &'a DatabaseWrite,
    pub(in crate::coordinator) right: &'a Right,
    pub(in crate::coordinator) key: ResourceKey,
    pub(in crate::coordinator) budget: Budget,
}

impl Guarded<'_> {
    /// Where the database lies, relative to the root.
    pub(in crate::coordinator) fn path(&self) -> String {
        let path = self.cx.config().databases.get(&self.asked.db);
        path.cloned()
            .expect("it was looked up before the call began")
    }

    /// Settles what a dead process left open on this database. Whether nothing is
    /// left: `latches`, which are held, may not be enough for it.
    pub(in crate::coordinator) async fn settle_earlier(
        &self,
        latches: &[ResourceKey],
    ) -> Result<bool, Refusal> {
        let extent = Extent {
            key: self.key.clone(),
            scope: Scope::Exact,
        };
        let inspect = Command::Inspect(Inspect { extent, path: None });
        let found = match self.cx.store(inspect).await? {
            Outcome::Inspected(found) => found.intents,
            other => mixed_up(&other),
        };
        let mut needed = found.iter().flat_map(|intent| &intent.latches);
        if !needed.all(|key| latches.contains(key)) {
            return Ok(false);
        }
        settle::settle_all(self.cx, &found).await?;
        Ok(true)
    }

    pub(in crate::coordinator) async fn begin(
        &self,
        request: Option<&RequestKey>,
    ) -> Result<Begun, Refusal> {
        let effect = Effect::DbBegin {
            db: self.asked.db.clone(),
            request: request.map(|request| request.key.clone()),
            wait_ms: self.budget.deadline.ms_from(self.cx.now()),
        };
        match self.cx.effect(effect).await? {
            Done::DbBegun(begun) => Ok(begun),
            Done::DbLocked => Err(self.foreign()),
            other => mixed_up(&other),
        }
    }

    /// Somebody who goes past MAASL has the database.
    fn foreign(&self) -> Refusal {
        let Self {
            cx,
            asked,
            key,
            budget,
            ..
        } = self;
        foreign(cx, &asked.db, key, budget)
    }

    /// A newer token has written: whoever holds it was granted the database since.
    pub(in crate::coordinator) fn passes(&self, fence: Token) -> Result<(), Refusal> {
        if fence <= self.right.lease.token {
            return Ok(());
        }
        self.cx
            .unless_observed(Refusal::LeaseLost(Box::new(LostLease {
                resources: [self.key.to_string()].into(),
                token: Some(self.right.lease.token),
                ..LostLease::default()
            })))
    }

    pub(in crate::coordinator) async fn work(&self) -> Result<Written, Refusal> {
        let work = self.asked.work.clone();
        match self.cx.effect(Effect::DbExecute(work)).await? {
            Done::DbExecuted(written) => Ok(written),
            Done::DbRefused(bad) => Err(refused_statement(bad)),
            other => mixed_up(&other),
        }
    }

    /// Looks at the fence again, inside the transaction.
    pub(in crate::coordinator) async fn still_passes(&self) -> Result<(), Refusal> {
        match self.cx.effect(Effect::DbFence).await? {
            Done::DbFence(fence) => self.passes(fence),
            other => mixed_up(&other),
        }
    }

    pub(in crate::coordinator) async fn commit(&self, seal: Seal) -> Result<(), Refusal> {
        match self.cx.effect(Effect::DbCommit(seal)).await? {
            Done::Ok => Ok(()),
            Done::DbLocked => Err(self.foreign()),
            Done::DbRefused(bad) => Err(refused_statement(bad)),
            other => mixed_up(&other),
        }
    }

    /// Gives it up. What cannot be rolled back here is when the call is over.
    pub(in crate::coordinator) async fn roll_back(&self) {
        let _ = self.cx.perform(Effect::DbRollback).await;
    }
}

/// The answer that a database remembers under a key. Its latch is held.
pub(super) async fn answered(
    cx: &Cx,
    db: &str,
    key: &ResourceKey,
    request: &RequestKey,
) -> Result<Option<Receipt>, Refusal> {
    let budget = Budget {
        started: cx.now(),
        deadline: cx.now(),
        allowed_ms: 0,
    };
    let begin = Effect::DbBegin {
        db: db.into(),
        request: Some(request.key.clone()),
        wait_ms: 0,
    };
    let begun = match cx.effect(begin).await {
        Ok(Done::DbBegun(begun)) => Ok(begun.answered),
        Ok(Done::DbLocked) => Err(foreign(cx, db, key, &budget)),
        Ok(other) => mixed_up(&other),
        Err(refusal) => Err(refusal),
    };
    // Whatever failed may have begun.
    let _ = cx.perform(Effect::DbRollback).await;
    match begun? {
        Some(earlier) if earlier.request.fingerprint != request.fingerprint => {
            Err(acquire::key_mismatch(Some(request)))
        }
        earlier => Ok(earlier.map(|earlier| earlier.receipt)),
    }
}

/// The refusal of whoever meets a program that goes past MAASL: a writer when it
/// begins, a reader where a commit needs the database alone.
fn foreign(cx: &Cx, db: &str, key: &ResourceKey, budget: &Budget) -> Refusal {
    Refusal::DbBusy(Box::new(DbBusy {
        db: db.into(),
        busy: Busy {
            resource: key.to_string(),
            waited_ms: cx.now().ms_since(budget.started),
            allowed_ms: budget.allowed_ms,
            ..Busy::default()
        },
        foreign: true,
    }))
}
