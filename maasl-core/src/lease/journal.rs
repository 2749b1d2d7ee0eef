//! What may be done to the journals of graphs.
//!
//! Owns: numbering patches, appending them, reading on, and putting a checkpoint
//! in the place of what it stands for. Promises: a patch is appended once, and
//! the answer under its idempotency key and its counters with it; a number is
//! given out once; a reader misses nothing and is told when it has to begin anew;
//! only a lease that stands puts a checkpoint. Leaves to others: what a patch is
//! and what patches amount to (`graph`).
//!
//! Appending takes no lease and waits for nobody: the order in which patches come
//! decides nothing.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::command::{AppendPatch, DrawDot, KeepCheckpoint, ReadGraph};
use super::decide::{StoreClock, earlier_answer};
use super::outcome::{Change, Decision, Outcome};
use super::query::{Need, Query, RowSet};
use super::row::{Answered, CommitPatch, Lease, Meta};
use crate::graph::journal::{Cursor, Entry, Journal, Part};
use crate::graph::seen::Dot;
use crate::id::{ActorId, LeaseId};
use crate::mutant::{Mutant, is_active};
use crate::resource::ResourceKey;

/// Characters of a store's name that name it as an actor: they go into every
/// text that says what an agent has seen.
const ACTOR_CHARS: usize = 12;

/// Decides [`super::Command::ReadGraph`].
pub(super) fn read(rows: &RowSet, asked: &ReadGraph, clock: StoreClock) -> Result<Decision, Need> {
    let start = Cursor::default();
    let Some(journal) = rows.journal(&asked.graph)? else {
        return Ok(answer(Part {
            anew: asked.after != start,
            wall_ms: clock.wall_ms,
            ..Part::default()
        }));
    };
    let known = is_known(rows, journal, asked.after)?;
    let after = if known { asked.after } else { start };
    let mut part = Part {
        anew: !known,
        end: journal.end,
        wall_ms: clock.wall_ms,
        ..Part::default()
    };
    if after.place < journal.kept.place {
        let bytes = rows.checkpoint(Query::Checkpoint(asked.graph.clone()))?;
        let bytes = bytes
            .clone()
            .expect("a journal that was cut has a checkpoint");
        part.checkpoint = Some((journal.kept, bytes));
    } else if after != journal.end {
        let query = Query::Entries {
            graph: asked.graph.clone(),
            after: after.place,
        };
        part.entries.clone_from(rows.entries(query)?);
    }
    Ok(answer(part))
}

/// Decides [`super::Command::DrawDot`].
pub(super) fn draw(rows: &RowSet, asked: &DrawDot, clock: StoreClock) -> Result<Decision, Need> {
    let actor = actor_of(rows.meta()?);
    let found = rows.journal(&asked.graph)?;
    // A number whose author died before there was a patch makes no graph.
    if found.is_none_or(|journal| !journal.has_patches()) {
        let all = rows.journals(Query::AllJournals)?.iter();
        let graphs = all.filter(|journal| journal.has_patches()).count();
        if u64::try_from(graphs).unwrap_or(u64::MAX) >= asked.max_graphs {
            return Ok(Decision::unchanged(Outcome::LimitReached {
                limit: "max_graphs".into(),
                value: asked.max_graphs,
            }));
        }
    }
    let mut journal = found.map_or_else(|| Journal::new(&asked.graph), Clone::clone);
    let counter = journal.next_counter.max(journal.have.last(&actor) + 1);
    journal.next_counter = counter + 1;
    Ok(Decision {
        outcome: Outcome::DotDrawn {
            dot: Dot { actor, counter },
            wall_ms: clock.wall_ms,
        },
        changes: [Change::PutJournal(Box::new(journal))].into(),
    })
}

/// Decides [`super::Command::AppendPatch`].
pub(super) fn append(
    rows: &RowSet,
    asked: &AppendPatch,
    clock: StoreClock,
) -> Result<Decision, Need> {
    if let Some(request) = &asked.request
        && let Some(known) = earlier_answer(rows.answered(&request.key)?, request)
    {
        return Ok(Decision::unchanged(known));
    }
    let journal = journal_of(rows, &asked.part)?;
    if journal.have.contains(&asked.part.dot) {
        let (end, is_new) = (journal.end, false);
        return Ok(Decision::unchanged(Outcome::Appended { end, is_new }));
    }
    if asked.after.is_some_and(|after| after != journal.end) {
        return Ok(Decision::unchanged(Outcome::JournalMoved(journal.end)));
    }
    if let Some(lease) = &asked.lease
        && let Some(lost) = lost(rows, lease, &asked.key, clock)?
    {
        return Ok(Decision::unchanged(lost));
    }
    let (end, changes) = put(journal, &asked.part);
    let mut changes = Vec::from(changes);
    changes.extend(answer_record(asked, clock.wall_ms));
    changes.extend(clock.add_all(&asked.counts));
    Ok(Decision {
        outcome: Outcome::Appended { end, is_new: true },
        changes,
    })
}

/// What appending a patch that is a part of a commit changes; nothing if the
/// journal has it.
pub(super) fn join(rows: &RowSet, part: &CommitPatch) -> Result<Vec<Change>, Need> {
    let journal = journal_of(rows, part)?;
    if journal.have.contains(&part.dot) {
        return Ok(Vec::new());
    }
    let (_, changes) = put(journal, part);
    Ok(changes.into())
}

/// Decides [`super::Command::KeepCheckpoint`]. Whoever comes with an older one
/// has nothing to do.
pub(super) fn keep(
    rows: &RowSet,
    asked: &KeepCheckpoint,
    clock: StoreClock,
) -> Result<Decision, Need> {
    if let Some(lost) = lost(rows, &asked.lease, &asked.key, clock)? {
        return Ok(Decision::unchanged(lost));
    }
    let done = Outcome::Done { wake: Vec::new() };
    let Some(journal) = rows.journal(&asked.graph)? else {
        return Ok(Decision::unchanged(done));
    };
    let through = asked.through;
    if through.place <= journal.kept.place || !is_known(rows, journal, through)? {
        return Ok(Decision::unchanged(done));
    }
    let bytes = rows.bytes(Query::BytesAfter {
        graph: asked.graph.clone(),
        after: through.place,
    })?;
    let journal = Journal {
        kept: through,
        bytes: *bytes,
        checkpoint_bytes: asked.checkpoint.count(),
        ..journal.clone()
    };
    let mut changes = Vec::from([
        Change::PutJournal(Box::new(journal)),
        Change::PutCheckpoint {
            graph: asked.graph.clone(),
            through: through.place,
            bytes: asked.checkpoint.clone(),
        },
    ]);
    changes.extend(clock.add_all(&asked.counts));
    Ok(Decision {
        outcome: done,
        changes,
    })
}

/// Decides [`super::Command::ListGraphs`].
pub(super) fn list(rows: &RowSet) -> Result<Decision, Need> {
    let journals = rows.journals(Query::AllJournals)?.clone();
    Ok(Decision::unchanged(Outcome::Graphs(journals)))
}

fn answer(part: Part) -> Decision {
    Decision::unchanged(Outcome::Journal(Box::new(part)))
}

/// A store as the maker of patches. Its name is drawn at random when it is made,
/// so a part of it is enough to tell it from others.
fn actor_of(meta: &Meta) -> ActorId {
    let store = &*meta.store;
    let end = store.char_indices().nth(ACTOR_CHARS);
    ActorId::new(end.map_or(store, |(at, _)| &store[..at]))
}

/// Whether a reader stands in this journal, where it can go on.
fn is_known(rows: &RowSet, journal: &Journal, at: Cursor) -> Result<bool, Need> {
    for known in [Cursor::default(), journal.end, journal.kept] {
        if at.place == known.place {
            return Ok(at == known);
        }
    }
    if at.place < journal.kept.place || at.place > journal.end.place {
        return Ok(false);
    }
    let query = Query::PatchAt {
        graph: journal.graph.clone(),
        place: at.place,
    };
    Ok(*rows.patch_at(query)? == at.patch)
}

/// What to answer whoever relies on a lease that does not stand.
fn lost(
    rows: &RowSet,
    id: &LeaseId,
    key: &ResourceKey,
    clock: StoreClock,
) -> Result<Option<Outcome>, Need> {
    let Some(lease) = rows.lease(id)? else {
        let ended = rows.ended(id)?.cloned();
        let expired: Option<Lease> = None;
        return Ok(Some(Outcome::Lost { ended, expired }));
    };
    if lease.is_expired(clock.now) {
        let expired = Some(lease.clone());
        let ended = None;
        return Ok(Some(Outcome::Lost { ended, expired }));
    }
    let allows = lease.allows_change_of(key);
    Ok((!allows).then(|| Outcome::NotCovered { key: key.clone() }))
}

/// The journal that a patch is for, as it is without it.
fn journal_of(rows: &RowSet, part: &CommitPatch) -> Result<Journal, Need> {
    let journal = rows.journal(&part.graph)?;
    Ok(journal.map_or_else(|| Journal::new(&part.graph), Clone::clone))
}

/// Puts the patch at the end of the journal; where that is then.
fn put(mut journal: Journal, part: &CommitPatch) -> (Cursor, [Change; 2]) {
    let entry = Entry {
        place: journal.end.place + 1,
        patch: part.patch,
        bytes: part.bytes.clone(),
    };
    journal.end = Cursor {
        place: entry.place,
        patch: Some(entry.patch),
    };
    journal.have.insert(&part.dot, part.stamp);
    journal.bytes += entry.bytes.count();
    let end = journal.end;
    let changes = [
        Change::PutJournal(Box::new(journal)),
        Change::PutEntry {
            graph: part.graph.clone(),
            entry,
        },
    ];
    (end, changes)
}

fn answer_record(asked: &AppendPatch, wall_ms: u64) -> Option<Change> {
    let request = asked.request.clone()?;
    if is_active(Mutant::GraphAnswerOutsideTransaction) {
        return None;
    }
    let receipt = asked.receipt.clone();
    Some(Change::PutAnswered(Box::new(Answered {
        request,
        receipt,
        wall_ms,
    })))
}
