//! What the table remembers of documents.
//!
//! Owns: the lines of the log, and the counters that go with them. Promises: an
//! operation is logged and counted in the transaction that makes it so, by
//! whomever it is finished, and not otherwise. Leaves to others: whether a
//! document has to be made (`docgen::gate`).

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::command::NoteDocument;
use super::counter::{Count, Counter};
use super::decide::{StoreClock, remember};
use super::outcome::{Change, Decision, Outcome};
use super::query::{Need, RowSet};
use super::row::CommitIntent;
use crate::docgen::{DocgenRecord, DocgenStatus};
use crate::policy::IDEMP_DOCS;
use crate::reply::Receipt;

/// Decides [`super::Command::NoteDocument`]. A request that was answered before
/// was logged then.
pub(super) fn note(
    rows: &RowSet,
    asked: &NoteDocument,
    clock: StoreClock,
) -> Result<Decision, Need> {
    let mut decision = match &asked.remember {
        Some(answer) => remember(rows, answer, clock)?,
        None => Decision::unchanged(Outcome::Done { wake: Vec::new() }),
    };
    if asked.remember.is_none() || !decision.changes.is_empty() {
        decision.changes.extend(logged(asked.record.clone(), clock));
    }
    Ok(decision)
}

/// The documents that a commit has made.
pub(super) fn made(intent: &CommitIntent, clock: StoreClock) -> Vec<Change> {
    let Receipt::Changed { files, .. } = &intent.receipt else {
        return Vec::new();
    };
    let mut changes = Vec::new();
    for file in files {
        let Some(made) = &file.document else { continue };
        let record = DocgenRecord {
            status: DocgenStatus::Generated,
            source: made.source.clone(),
            document: file.path.clone(),
            hash: Some(made.source_sha256),
            duration_ms: made.duration_ms,
            error: None,
            owner: intent.owner.clone(),
            wall_ms: 0,
        };
        changes.extend(logged(record, clock));
    }
    changes
}

/// A line of the log, and its count.
fn logged(record: DocgenRecord, clock: StoreClock) -> [Change; 2] {
    let counter = match record.status {
        DocgenStatus::Generated => Counter::DocgenGenerated,
        DocgenStatus::Noop => Counter::DocgenNoop,
        DocgenStatus::Error => Counter::DocgenError,
    };
    let record = DocgenRecord {
        wall_ms: clock.wall_ms,
        ..record
    };
    [
        clock.add(Count::one(counter, IDEMP_DOCS, &record.owner.agent)),
        Change::PutDocgen(Box::new(record)),
    ]
}
