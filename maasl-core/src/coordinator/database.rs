//! Guarded writes of databases.
//!
//! Owns: the order of such a write. Lease, latch, begin, fence, work, lease
//! again, fence again, commit. Promises: a transaction is committed only while
//! the lease it was made under stands, under the latch of the database, and only
//! if no newer token has written; the answer under an idempotency key is
//! committed with the work, so that it is done once whoever dies when; whatever
//! ends otherwise is rolled back. Leaves to others: SQL (the node), the lease
//! (`right`), writes that are a part of more (`transaction`).

mod guarded;

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use super::acquire;
use super::call::Cx;
use super::io::Call;
use super::right;
use super::settle;
use crate::database::{BadStatement, Begun, Seal, Work, Written};
use crate::lease::{Answered, Command, Count, Counter};
use crate::mutant::{Mutant, is_active};
use crate::path::fold;
use crate::policy::CRIT_DB;
use crate::refusal::{DbBusy, Refusal};
use crate::reply::{Receipt, SkippedSpan};
use crate::resource::{ResourceKey, Want};

pub(super) use self::guarded::{Budget, Guarded};

/// How often a write begins anew because something under its lease had to be
/// settled first.
const ATTEMPTS_MAX: u32 = 3;

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
    let budget = budget(cx, call);
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
            if let Some(earlier) = recall(cx, call, &asked.db, &key, &refusal).await? {
                return Ok(earlier);
            }
            let counts = [Counter::GuardedFailed, Counter::DbFailed];
            let counts = counts.map(|counter| cx.count(counter, CRIT_DB));
            let _ = cx.store(Command::Tally(counts.into())).await;
            return Err(busy_database(&asked.db, refusal));
        }
    };
    let write = Write {
        guarded: Guarded {
            cx,
            asked,
            right: &right,
            key,
            budget,
        },
        call,
        skipped: &skipped,
    };
    let result = write.latched().await;
    write.give_back(&result).await;
    result.map(|(receipt, _)| receipt)
}

/// The answer that a call which gets no lease was given before, as when a presented
/// one has ended since: the database remembers it, and is asked under its latch.
async fn recall(
    cx: &Cx,
    call: &Call,
    db: &str,
    key: &ResourceKey,
    refusal: &Refusal,
) -> Result<Option<Receipt>, Refusal> {
    use Refusal::{Cancelled, Internal, ResourceBusy};
    let Some(request) = &call.request else {
        return Ok(None);
    };
    if matches!(refusal, Cancelled | Internal { .. } | ResourceBusy(_)) {
        return Ok(None);
    }
    let latched = cx.latch([key.clone()].into()).await?;
    if let Err(process) = latched {
        let busy = acquire::latch_busy(cx, core::slice::from_ref(key), process, cx.now(), 0);
        return Err(busy_database(db, busy));
    }
    let found = guarded::answered(cx, db, key, request).await;
    cx.unlatch().await?;
    let Some(earlier) = found? else {
        return Ok(None);
    };
    let count = cx.count(Counter::Replayed, CRIT_DB);
    let _ = cx.store(Command::Tally([count].into())).await;
    Ok(Some(earlier))
}

/// How long a call that begins now may wait for a database.
pub(super) fn budget(cx: &Cx, call: &Call) -> Budget {
    let policy = cx.config().policies.get(CRIT_DB).expect("a built-in class");
    let allowed_ms = call.max_wait_ms.unwrap_or(policy.max_wait_ms(call.urgency));
    let started = cx.now();
    Budget {
        started,
        deadline: started.plus_ms(allowed_ms.min(cx.config().limits.max_wait_ms)),
        allowed_ms,
    }
}

/// The resource key of a database.
pub(super) fn database_key(cx: &Cx, db: &str) -> ResourceKey {
    let policy = cx.config().policies.get(CRIT_DB);
    let prefix = policy.map_or("db", |policy| policy.key_prefix.as_str());
    ResourceKey::new(prefix, &fold(db))
}

/// Refuses a write of what is no database, or of nothing.
pub(super) fn check(cx: &Cx, asked: &DatabaseWrite) -> Result<(), Refusal> {
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
pub(super) fn busy_database(db: &str, refusal: Refusal) -> Refusal {
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
    guarded: Guarded<'a>,
    call: &'a Call,
    skipped: &'a [SkippedSpan],
}

impl Write<'_> {
    /// Holds the latches of the lease from the first look at it to the commit, so
    /// that nobody can be granted the database in between.
    async fn latched(&self) -> Result<(Receipt, Told), Refusal> {
        for _ in 0..ATTEMPTS_MAX {
            if let Some(done) = self.attempt().await? {
                return Ok(done);
            }
            settle::settle_dead(self.guarded.cx).await?;
        }
        Err(Refusal::internal(
            "a commit under the same lease stays open; release the lease and try again",
        ))
    }

    /// Nothing where something must be settled first whose latches are not held.
    async fn attempt(&self) -> Result<Option<(Receipt, Told)>, Refusal> {
        let Guarded { cx, budget, .. } = self.guarded;
        cx.still_wanted()?;
        let leased = self.guarded.right.lease.keys();
        let keys: BTreeSet<&ResourceKey> = leased.chain([&self.guarded.key]).collect();
        let keys: Vec<ResourceKey> = keys.into_iter().cloned().collect();
        if !is_active(Mutant::DbWithoutLatch)
            && let Err(process) = cx.latch(keys.clone()).await?
        {
            let busy = acquire::latch_busy(cx, &keys, process, budget.started, budget.allowed_ms);
            cx.unless_observed(busy)
                .map_err(|busy| busy_database(&self.guarded.asked.db, busy))?;
        }
        let result = match self.guarded.settle_earlier(&keys).await {
            Ok(true) => self.transact().await.map(Some),
            Ok(false) => Ok(None),
            Err(refusal) => Err(refusal),
        };
        cx.unlatch().await?;
        result
    }

    async fn transact(&self) -> Result<(Receipt, Told), Refusal> {
        let result = match self.guarded.begin(self.call.request.as_ref()).await {
            Ok(begun) => self.inside(begun).await,
            Err(refusal) => Err(refusal),
        };
        if !matches!(result, Ok((_, Told::Now))) {
            // Whatever failed may have begun.
            self.guarded.roll_back().await;
        }
        result
    }

    async fn inside(&self, begun: Begun) -> Result<(Receipt, Told), Refusal> {
        if let (Some(request), Some(earlier)) = (&self.call.request, begun.answered) {
            if earlier.request.fingerprint != request.fingerprint {
                return Err(acquire::key_mismatch(Some(request)));
            }
            return Ok((earlier.receipt, Told::Before));
        }
        let guarded = &self.guarded;
        guarded.passes(begun.fence)?;
        let written = guarded.work().await?;
        guarded.cx.still_wanted()?;
        if !is_active(Mutant::DbLeaseOnlyAtBegin) {
            right::still_stands(guarded.cx, guarded.right).await?;
        }
        guarded.still_passes().await?;
        let receipt = self.receipt(written);
        self.commit(&receipt, begun.wall_ms).await?;
        Ok((receipt, Told::Now))
    }

    fn receipt(&self, written: Written) -> Receipt {
        let Guarded { asked, right, .. } = self.guarded;
        let (token, waited_ms) = (right.lease.token, right.waited_ms);
        match &asked.work {
            Work::Enrich(spans) => Receipt::Enriched {
                enriched: spans.len() as u64,
                skipped: self.skipped.to_vec(),
                token,
                waited_ms,
            },
            Work::Statements(_) | Work::Caller => Receipt::Written {
                db: asked.db.clone(),
                rows_affected: written.rows_affected,
                last_insert_rowid: written.last_insert_rowid,
                token,
                waited_ms,
            },
        }
    }

    async fn commit(&self, receipt: &Receipt, wall_ms: u64) -> Result<(), Refusal> {
        let Guarded { cx, right, .. } = self.guarded;
        let request = self.call.request.clone();
        let request = request.filter(|_| !is_active(Mutant::DbAnswerOutsideTransaction));
        let seal = Seal {
            token: right.lease.token,
            answered: request.map(|request| Answered {
                request,
                receipt: receipt.clone(),
                wall_ms,
            }),
            part_of: None,
            wall_ms,
            forget_before_wall_ms: forget_before_wall_ms(cx, wall_ms),
        };
        if is_active(Mutant::DbAnsweredBeforeCommit) {
            return Ok(());
        }
        self.guarded.commit(seal).await
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
        let Guarded { cx, right, .. } = self.guarded;
        let counts = counters.iter().map(|counter| cx.count(*counter, CRIT_DB));
        let counts: Vec<Count> = counts.collect();
        if right.own {
            acquire::give_back(cx, &right.lease.id, counts).await;
        } else {
            // A count that cannot be kept is no reason to fail what was done.
            let _ = cx.store(Command::Tally(counts)).await;
        }
    }
}

/// Before which instant answers are forgotten, and with them which transactions
/// were part of which commit: commits are settled long before.
pub(super) fn forget_before_wall_ms(cx: &Cx, wall_ms: u64) -> u64 {
    wall_ms.saturating_sub(cx.config().idempotency_window_ms)
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
