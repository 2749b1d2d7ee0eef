//! Guarded writes of databases.
//!
//! Owns: the order of such a write. Lease, latch, begin, fence, work, lease
//! again, fence again, commit. Promises: a transaction is committed only while the lease it was made
//! under stands, under the latch of the database, and only if no newer token has
//! written; the answer under an idempotency key is committed with the work, so
//! that it is done once whoever dies when; whatever ends otherwise is rolled
//! back. Leaves to others: SQL (the node), the lease (`right`).

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::acquire;
use super::call::{Cx, mixed_up};
use super::io::{Call, Done, Effect};
use super::right::{self, Right};
use super::settle;
use crate::database::{BadStatement, Begun, Seal, Work, Written};
use crate::id::Token;
use crate::lease::command::Inspect;
use crate::lease::{Answered, Command, Count, Counter, Outcome};
use crate::mutant::{Mutant, is_active};
use crate::path::fold;
use crate::policy::CRIT_DB;
use crate::refusal::{Busy, DbBusy, LostLease, Refusal};
use crate::reply::{Receipt, SkippedSpan};
use crate::resource::{Extent, ResourceKey, Scope, Want};
use crate::time::Timestamp;

/// A write of one database.
#[derive(Clone, Debug)]
pub struct DatabaseWrite {
    /// The database, by its name in the configuration.
    pub db: String,
    /// What to do in it.
    pub work: Work,
}

/// Writes a database, all or nothing.
pub(super) async fn write(cx: &Cx, call: &Call, asked: DatabaseWrite) -> Result<Receipt, Refusal> {
    check(cx, &asked)?;
    run(cx, call, &asked, Vec::new()).await
}

/// Writes a database; `skipped` is what the answer says was left out.
pub(super) async fn run(
    cx: &Cx,
    call: &Call,
    asked: &DatabaseWrite,
    skipped: Vec<SkippedSpan>,
) -> Result<Receipt, Refusal> {
    let key = database_key(cx, &asked.db);
    let started = cx.now();
    let policy = cx.config().policies.get(CRIT_DB).expect("a built-in class");
    let allowed_ms = call.max_wait_ms.unwrap_or(policy.max_wait_ms(call.urgency));
    let wants = Vec::from([Want::exclusive(key.clone(), CRIT_DB)]);
    let asks = right::Needs {
        wants,
        class: CRIT_DB,
        purpose: "db_write",
    };
    let right = right::for_call(cx, call, asks).await;
    let right = match right {
        Ok(right) => right,
        Err(refusal) => {
            let counts = [Counter::GuardedFailed, Counter::DbFailed];
            let counts = counts.map(|counter| Count::one(counter, CRIT_DB));
            let _ = cx.store(Command::Tally(counts.into())).await;
            return Err(busy_database(&asked.db, refusal));
        }
    };
    let write = Write {
        cx,
        call,
        asked,
        skipped: &skipped,
        right: &right,
        key,
        deadline: started.plus_ms(allowed_ms.min(cx.config().limits.max_wait_ms)),
        started,
        allowed_ms,
    };
    let result = write.latched().await;
    write.give_back(&result).await;
    result.map(|(receipt, _)| receipt)
}

/// The resource key of a database.
pub(super) fn database_key(cx: &Cx, db: &str) -> ResourceKey {
    let policy = cx.config().policies.get(CRIT_DB);
    let prefix = policy.map_or("db", |policy| policy.key_prefix.as_str());
    ResourceKey::new(prefix, &fold(db))
}

fn check(cx: &Cx, asked: &DatabaseWrite) -> Result<(), Refusal> {
    let databases = &cx.config().databases;
    if !databases.contains_key(&asked.db) {
        let known: Vec<&str> = databases.keys().map(String::as_str).collect();
        return Err(Refusal::InvalidRequest {
            field: "db".into(),
            message: alloc::format!("{:?} is no database of this repository", asked.db),
            hint: Some(alloc::format!(
                "one of {}; others are named as [maasl.db.NAME] in the configuration",
                known.join(", ")
            )),
        });
    }
    let Work::Statements(statements) = &asked.work else {
        return Ok(());
    };
    if statements.is_empty() {
        return Err(Refusal::invalid("statements", "names no statement"));
    }
    let value = cx.config().limits.max_statements;
    if statements.len() as u64 > value {
        let limit = "max_statements".into();
        return Err(Refusal::LimitReached { limit, value });
    }
    Ok(())
}

/// Who has a database is told as such.
fn busy_database(db: &str, refusal: Refusal) -> Refusal {
    match refusal {
        Refusal::ResourceBusy(busy) => Refusal::DbBusy(Box::new(DbBusy {
            db: db.into(),
            busy: *busy,
            foreign: false,
        })),
        other => other,
    }
}

/// Whether an answer is new, or was given by an earlier request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Now,
    Before,
}

/// One write under its lease.
struct Write<'a> {
    cx: &'a Cx,
    call: &'a Call,
    asked: &'a DatabaseWrite,
    skipped: &'a [SkippedSpan],
    right: &'a Right,
    key: ResourceKey,
    started: Timestamp,
    deadline: Timestamp,
    allowed_ms: u64,
}

impl Write<'_> {
    /// Holds the latches of the lease from the first look at it to the commit, so
    /// that nobody can be granted the database in between.
    async fn latched(&self) -> Result<(Receipt, Told), Refusal> {
        let cx = self.cx;
        cx.still_wanted()?;
        let keys: BTreeSet<&ResourceKey> = self.right.lease.keys().chain([&self.key]).collect();
        let keys: Vec<ResourceKey> = keys.into_iter().cloned().collect();
        if !is_active(Mutant::DbWithoutLatch)
            && let Err(process) = cx.latch(keys.clone()).await?
        {
            let busy = acquire::latch_busy(cx, &keys, process, self.started, self.allowed_ms);
            return Err(busy_database(&self.asked.db, busy));
        }
        let result = self.transact().await;
        cx.unlatch().await?;
        result
    }

    async fn transact(&self) -> Result<(Receipt, Told), Refusal> {
        self.settle_earlier().await?;
        let result = match self.begin().await {
            Ok(begun) => self.inside(begun).await,
            Err(refusal) => Err(refusal),
        };
        if !matches!(result, Ok((_, Told::Now))) {
            // Whatever failed may have begun. What cannot be rolled back here is
            // when the call is over.
            let _ = self.cx.perform(Effect::DbRollback).await;
        }
        result
    }

    /// Settles what a dead process left open on this database.
    async fn settle_earlier(&self) -> Result<(), Refusal> {
        let extent = Extent {
            key: self.key.clone(),
            scope: Scope::Exact,
        };
        let inspect = Command::Inspect(Inspect { extent, path: None });
        match self.cx.store(inspect).await? {
            Outcome::Inspected(found) => settle::settle_all(self.cx, &found.intents).await,
            other => mixed_up(&other),
        }
    }

    async fn begin(&self) -> Result<Begun, Refusal> {
        let request = self.call.request.as_ref();
        let effect = Effect::DbBegin {
            db: self.asked.db.clone(),
            request: request.map(|request| request.key.clone()),
            wait_ms: self.deadline.ms_from(self.cx.now()),
        };
        match self.cx.effect(effect).await? {
            Done::DbBegun(begun) => Ok(begun),
            Done::DbLocked => Err(Refusal::DbBusy(Box::new(DbBusy {
                db: self.asked.db.clone(),
                busy: Busy {
                    resource: self.key.to_string(),
                    waited_ms: self.cx.now().ms_since(self.started),
                    allowed_ms: self.allowed_ms,
                    ..Busy::default()
                },
                foreign: true,
            }))),
            other => mixed_up(&other),
        }
    }

    async fn inside(&self, begun: Begun) -> Result<(Receipt, Told), Refusal> {
        if let (Some(request), Some(earlier)) = (&self.call.request, begun.answered) {
            if earlier.request.fingerprint != request.fingerprint {
                return Err(acquire::key_mismatch(Some(request)));
            }
            return Ok((earlier.receipt, Told::Before));
        }
        self.passes(begun.fence)?;
        let written = self.work().await?;
        self.cx.still_wanted()?;
        if !is_active(Mutant::DbLeaseOnlyAtBegin) {
            right::still_stands(self.cx, self.right).await?;
        }
        match self.cx.effect(Effect::DbFence).await? {
            Done::DbFence(fence) => self.passes(fence)?,
            other => mixed_up(&other),
        }
        let receipt = self.receipt(written);
        self.commit(&receipt, begun.wall_ms).await?;
        Ok((receipt, Told::Now))
    }

    /// A newer token has written: whoever holds it was granted the database since.
    fn passes(&self, fence: Token) -> Result<(), Refusal> {
        if fence <= self.right.lease.token {
            return Ok(());
        }
        Err(Refusal::LeaseLost(Box::new(LostLease {
            resources: Vec::from([self.key.to_string()]),
            token: Some(self.right.lease.token),
            ..LostLease::default()
        })))
    }

    async fn work(&self) -> Result<Written, Refusal> {
        let work = self.asked.work.clone();
        match self.cx.effect(Effect::DbExecute(work)).await? {
            Done::DbExecuted(written) => Ok(written),
            Done::DbRefused(bad) => Err(refused_statement(bad)),
            other => mixed_up(&other),
        }
    }

    fn receipt(&self, written: Written) -> Receipt {
        let (token, waited_ms) = (self.right.lease.token, self.right.waited_ms);
        match &self.asked.work {
            Work::Enrich(spans) => Receipt::Enriched {
                enriched: spans.len() as u64,
                skipped: self.skipped.to_vec(),
                token,
                waited_ms,
            },
            Work::Statements(_) | Work::Caller => Receipt::Written {
                db: self.asked.db.clone(),
                rows_affected: written.rows_affected,
                last_insert_rowid: written.last_insert_rowid,
                token,
                waited_ms,
            },
        }
    }

    async fn commit(&self, receipt: &Receipt, wall_ms: u64) -> Result<(), Refusal> {
        let window_ms = self.cx.config().idempotency_window_ms();
        let request = self.call.request.clone();
        let request = request.filter(|_| !is_active(Mutant::DbAnswerOutsideTransaction));
        let seal = Seal {
            token: self.right.lease.token,
            answered: request.map(|request| Answered {
                request,
                receipt: receipt.clone(),
                wall_ms,
            }),
            forget_before_wall_ms: wall_ms.saturating_sub(window_ms),
        };
        if is_active(Mutant::DbAnsweredBeforeCommit) {
            return Ok(());
        }
        self.cx.perform(Effect::DbCommit(seal)).await
    }

    /// Returns the lease, and counts in the same transaction.
    async fn give_back(&self, result: &Result<(Receipt, Told), Refusal>) {
        let counters: &[Counter] = match result {
            Ok((_, Told::Now)) => &[Counter::GuardedOk, Counter::DbWritten],
            Ok((_, Told::Before)) => &[Counter::Replayed],
            Err(Refusal::LeaseLost(_)) => &[
                Counter::GuardedFailed,
                Counter::DbFailed,
                Counter::FenceRejections,
            ],
            Err(_) => &[Counter::GuardedFailed, Counter::DbFailed],
        };
        let counts = counters.iter().map(|counter| Count::one(*counter, CRIT_DB));
        let counts: Vec<Count> = counts.collect();
        if self.right.own {
            acquire::give_back(self.cx, &self.right.lease.id, counts).await;
        } else {
            // A count that cannot be kept is no reason to fail what was done.
            let _ = self.cx.store(Command::Tally(counts)).await;
        }
    }
}

fn refused_statement(bad: BadStatement) -> Refusal {
    Refusal::InvalidRequest {
        field: bad.index.map_or_else(
            || "statements".into(),
            |at| alloc::format!("statements[{at}]"),
        ),
        message: bad.message,
        hint: bad.hint,
    }
}
