//! What only planted bugs need of the lease table.
//!
//! Owns: the few lines that a planted bug does instead of the right thing.
//! Promises: nothing here happens unless its bug is awake. Leaves to others:
//! which bugs there are (`mutant`).

use alloc::vec::Vec;

use super::command::Acquire;
use super::query::{Need, Query, RowSet};
use super::row::Lease;
use crate::mutant::{Mutant, is_active};
use crate::resource::Want;

/// The oldest lease there is, for a bug that takes it for the one asked for.
pub(super) fn any_lease(rows: &RowSet, mutant: Mutant) -> Result<Option<&Lease>, Need> {
    if !is_active(mutant) {
        return Ok(None);
    }
    Ok(rows.leases(Query::AllLeases)?.first())
}

/// What of a set is looked at: for one bug, only its first resource.
pub(super) fn looked_at(wants: &[Want]) -> &[Want] {
    let all = !is_active(Mutant::OnlyFirstOfSetChecked);
    if all { wants } else { &wants[..1] }
}

/// Whether this is the lease asked for, for a bug that grants it again.
pub(super) fn is_twice(lease: &Lease, asked: &Acquire) -> bool {
    is_active(Mutant::DuplicateAcquireGrantsTwice) && lease.id == asked.lease
}

/// Whether a patch is appended by the end of its commit: if that took effect, but
/// for two bugs.
pub(super) fn joins(took_effect: bool, recovered: bool) -> bool {
    let lost = recovered && is_active(Mutant::PatchLostInRecovery);
    (took_effect || is_active(Mutant::PatchOfUndone)) && !lost
}

/// Whether a patch is appended with the intent of its commit already.
pub(super) fn joins_early() -> bool {
    is_active(Mutant::PatchWithIntent)
}

/// Whether anybody looks for circles. Serving the newest first would pass for
/// one, and be refused before it shows.
pub(super) fn circles_are_seen() -> bool {
    !is_active(Mutant::CircleNotSeen) && !is_active(Mutant::NewestWaiterFirst)
}

/// The request without what is held, for a bug that grants sets in part.
pub(super) fn free_part<'a>(
    asked: &Acquire,
    held: impl Iterator<Item = &'a Lease>,
) -> Option<Acquire> {
    let taken: Vec<&Want> = held.flat_map(|lease| lease.wants.iter()).collect();
    let free = |want: &&Want| !taken.iter().any(|other| other.conflicts(want));
    let wants: Vec<Want> = asked.wants.iter().filter(free).cloned().collect();
    (!wants.is_empty()).then_some(Acquire {
        wants: wants.into(),
        ..asked.clone()
    })
}
