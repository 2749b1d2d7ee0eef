//! The two transactions around a swap.
//!
//! Owns: the token check at the commit point, and what a finished commit leaves
//! in versions, answers and leases. Promises: a commit point is passed only while
//! the lease's own row stands, unexpired, and covers every file, under latches
//! that cover both, and while no other commit is open under it; a commit is
//! finished once, whoever does it. Leaves to others: the swap itself, and the
//! latches.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::acquire::{class_of, end_refused};
use super::command::{FinishCommit, ItemEnd};
use super::counter::{Count, Counter};
use super::decide::{StoreClock, earlier_answer};
use super::document;
use super::ending::{end_rows, lost, waiters_to_wake};
use super::journal;
use super::outcome::{Change, Decision, Outcome};
use super::planted;
use super::query::{Need, RowSet};
use super::row::{Answered, CommitIntent, CommitItem, Lease, LeaseEnd, OUTSIDE, Version};
use crate::id::{AgentId, ContentHash, OpId, Token};
use crate::mutant::{Mutant, is_active};
use crate::reply::{Receipt, SwapConflict};
use crate::resource::ResourceKey;

/// Decides [`super::Command::BeginCommit`].
pub(super) fn begin(
    rows: &RowSet,
    intent: &CommitIntent,
    clock: StoreClock,
) -> Result<Decision, Need> {
    if let Some(request) = &intent.request
        && let Some(outcome) = earlier_answer(rows.answered(&request.key)?, request)
    {
        return Ok(Decision::unchanged(outcome));
    }
    if rows.intent(&intent.op)?.is_some() {
        return Ok(Decision::unchanged(Outcome::Begun));
    }
    let lease = rows.lease(&intent.lease)?;
    let standing = lease.filter(|row| {
        row.token == intent.token
            && (is_active(Mutant::FenceIgnoresExpiry) || !row.is_expired(clock.now))
    });
    let Some(standing) = standing else {
        if is_active(Mutant::FenceIgnoresToken) {
            return Ok(begun(intent));
        }
        return lost(rows, &intent.lease, lease, Counter::FenceRejections, clock);
    };
    assert_latched(standing, intent);
    if let Some(key) = intent.keys().find(|key| !standing.allows_change_of(key)) {
        return Ok(Decision::unchanged(Outcome::NotCovered {
            key: key.clone(),
        }));
    }
    // Whoever holds the latches of a lease is alone in it, so another commit
    // that is open under it was left by a process that died.
    let is_latched = |key: &ResourceKey| intent.latches.contains(key);
    if let Some(refusal) = end_refused(rows, core::iter::once(standing), is_latched)? {
        return Ok(Decision::unchanged(refusal));
    }
    let mut decision = begun(intent);
    if let Some(part) = intent.patch.as_ref().filter(|_| planted::joins_early()) {
        decision.changes.extend(journal::join(rows, part)?);
    }
    Ok(decision)
}

fn begun(intent: &CommitIntent) -> Decision {
    Decision {
        outcome: Outcome::Begun,
        changes: [Change::PutIntent(Box::new(intent.clone()))].into(),
    }
}

/// A commit outside its latches could land after a newer grant, so a caller that
/// names too few is a bug of ours, not a refusal.
fn assert_latched(lease: &Lease, intent: &CommitIntent) {
    let mut needed = lease.keys().chain(intent.keys());
    let missing = needed.find(|key| !intent.latches.contains(key));
    assert!(missing.is_none(), "a commit needs the latch of {missing:?}");
}

/// Decides [`super::Command::TurnBack`].
pub(super) fn turn_back(rows: &RowSet, op: &OpId) -> Result<Decision, Need> {
    let Some(intent) = rows.intent(op)? else {
        return Ok(Decision::unchanged(Outcome::UnknownOp(op.clone())));
    };
    let intent = CommitIntent {
        turned_back: true,
        ..intent.clone()
    };
    Ok(Decision {
        outcome: Outcome::Done { wake: Vec::new() },
        changes: [Change::PutIntent(Box::new(intent))].into(),
    })
}

/// Decides [`super::Command::FinishCommit`].
pub(super) fn finish(
    rows: &RowSet,
    asked: &FinishCommit,
    clock: StoreClock,
) -> Result<Decision, Need> {
    let Some(intent) = rows.intent(&asked.op)? else {
        return Ok(Decision::unchanged(Outcome::UnknownOp(asked.op.clone())));
    };
    let mut changes = Vec::from([Change::DeleteIntent(intent.op.clone())]);
    let mut receipt = intent.receipt.clone();
    for item in &intent.items {
        let end = asked.exceptions.get(&item.path).copied();
        let number = record_versions(rows, intent, item, end, clock.wall_ms, &mut changes)?;
        complete(&mut receipt, item, number, end);
    }
    let undone = is_undone(intent, asked);
    if !undone {
        changes.extend(answer_record(intent, &receipt, clock.wall_ms));
    }
    let lease = rows.lease(&intent.lease)?;
    let class = lease.map_or_else(Arc::default, |lease| class_of(&lease.wants));
    changes.extend(clock.add_all(&asked.counts));
    let uncounted = asked.recovered_by.is_some() && is_active(Mutant::DocgenRecoveryUncounted);
    if !undone && !uncounted {
        changes.extend(document::made(intent, clock));
    }
    let joins = planted::joins(!undone, asked.recovered_by.is_some());
    if let Some(part) = intent.patch.as_ref().filter(|_| joins) {
        changes.extend(journal::join(rows, part)?);
    }
    if asked.recovered_by.is_some() {
        let count = Count::one(Counter::Recovered, class.clone(), &intent.owner.agent);
        changes.push(clock.add(count));
    }
    let mut wake = Vec::new();
    if let Some(lease) = lease.filter(|_| intent.release) {
        changes.extend(end_rows(lease, LeaseEnd::Released, clock.wall_ms));
        changes.push(clock.add(Count::one(Counter::Released, class, &lease.owner.agent)));
        wake = waiters_to_wake(rows, &*lease.wants, &[], clock.now, |_| false)?;
    }
    Ok(Decision {
        outcome: Outcome::Finished { receipt, wake },
        changes,
    })
}

/// Whether nothing of it is to be answered for: it was taken back, its content was
/// lost, or somebody outside has changed all that it was to change. Where other
/// files of a set stand, the set does, and what somebody outside has made of the
/// rest is told with its answer: a repetition under its key must not change those
/// files again. What goes beyond files stands unless it was turned back.
fn is_undone(intent: &CommitIntent, asked: &FinishCommit) -> bool {
    let is_outside = |end: &ItemEnd| {
        matches!(
            end,
            ItemEnd::Conflict {
                outside_stands: true,
                ..
            }
        )
    };
    let outside = asked
        .exceptions
        .values()
        .filter(|end| is_outside(end))
        .count();
    let lost = asked.exceptions.values().any(|end| *end == ItemEnd::Undone);
    let undone = if is_active(Mutant::OutsideUndoesTheRest) {
        lost || outside > 0
    } else {
        !intent.goes_beyond_files() && (lost || outside > 0 && outside == intent.items.len())
    };
    intent.turned_back || undone
}

/// The answer to remember of a commit that took effect. One that was undone is
/// refused, and a refusal may be tried again under the same key.
fn answer_record(intent: &CommitIntent, receipt: &Receipt, wall_ms: u64) -> Option<Change> {
    let recorded = !is_active(Mutant::AnswerNotRecorded);
    let request = intent.request.clone().filter(|_| recorded)?;
    let receipt = receipt.clone();
    Some(Change::PutAnswered(Box::new(Answered {
        request,
        receipt,
        wall_ms,
    })))
}

/// Adds to the history of one file: first what had come from outside since the
/// newest version known, then this commit's content, in the order in which both
/// came to stand. Returns its number.
fn record_versions(
    rows: &RowSet,
    intent: &CommitIntent,
    item: &CommitItem,
    end: Option<ItemEnd>,
    wall_ms: u64,
    changes: &mut Vec<Change>,
) -> Result<u64, Need> {
    let newest = rows.version(&item.path)?;
    let mut number = newest.map_or(0, |version| version.number);
    let mut put = |content: Option<ContentHash>, author: Author<'_>| {
        number += 1;
        changes.push(Change::PutVersion(
            author.version(item, number, content, wall_ms),
        ));
        number
    };
    let known = newest.and_then(|version| version.content);
    if item.old != known {
        put(item.old, Author::Outside);
    }
    Ok(match end {
        None => put(item.new, Author::Commit(intent)),
        Some(ItemEnd::Undone) => number,
        Some(ItemEnd::Conflict {
            found,
            outside_stands: true,
        }) => {
            let own = put(item.new, Author::Commit(intent));
            put(found, Author::Outside);
            own
        }
        Some(ItemEnd::Conflict {
            found,
            outside_stands: false,
        }) => {
            put(found, Author::Outside);
            put(item.new, Author::Commit(intent))
        }
    })
}

/// Who made a version.
#[derive(Clone, Copy)]
enum Author<'a> {
    /// A writer that went past MAASL.
    Outside,
    /// The holder of the lease the commit was made under.
    Commit(&'a CommitIntent),
}

impl Author<'_> {
    fn version(
        self,
        item: &CommitItem,
        number: u64,
        content: Option<ContentHash>,
        wall_ms: u64,
    ) -> Version {
        let (token, agent, op, size_bytes) = match self {
            Self::Outside => (
                Token::default(),
                AgentId::new(OUTSIDE),
                String::from(OUTSIDE),
                0,
            ),
            Self::Commit(intent) => (
                intent.token,
                intent.owner.agent.clone(),
                item.op.clone(),
                item.size_bytes,
            ),
        };
        Version {
            path: item.path.clone(),
            number,
            content,
            token,
            agent,
            op,
            wall_ms,
            size_bytes,
        }
    }
}

fn complete(receipt: &mut Receipt, item: &CommitItem, number: u64, end: Option<ItemEnd>) {
    let Receipt::Changed { files, .. } = receipt else {
        return;
    };
    for file in files.iter_mut().filter(|file| file.path == item.path) {
        file.version = number;
        if let Some(ItemEnd::Conflict {
            found,
            outside_stands,
        }) = end
        {
            file.conflict = Some(SwapConflict {
                found,
                outside_stands,
            });
        }
    }
}
