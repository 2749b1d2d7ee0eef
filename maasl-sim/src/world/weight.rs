//! What a step came to, as one number.
//!
//! Owns: the numbers in records. Promises: outcomes that matter differ in them,
//! so that runs that differ have other digests. Leaves to others: recording.

use maasl_core::coordinator::io::Done;
use maasl_core::lease::Outcome;

/// A number that tells outcomes apart: the kind in its lowest byte, and what
/// differs most within the kind above it.
pub(super) fn of_outcome(outcome: &Outcome) -> u64 {
    let count = |length: usize| length as u64;
    let (kind, more) = match outcome {
        Outcome::Opened(meta) => (0, meta.generation),
        Outcome::Watched { lease, .. } => (31, lease.token.number()),
        Outcome::Done { wake } => (1, count(wake.len())),
        Outcome::NeedReserve(token) => (2, token.number()),
        Outcome::Granted {
            lease, taken_over, ..
        } => (
            3,
            lease.token.number() << 2 | count(taken_over.len()).min(3),
        ),
        Outcome::Queued { ticket, place, .. } => (4, ticket.0 << 8 | u64::from(*place)),
        Outcome::Busy { place, .. } => (5, u64::from(*place)),
        Outcome::Deadlock { circle, .. } => (6, count(circle.len())),
        Outcome::LimitReached { value, .. } => (7, *value),
        Outcome::NeedLatches { keys } => (8, count(keys.len())),
        Outcome::NeedRecovery(open) => (9, count(open.len())),
        Outcome::Lost { ended, .. } => (10, u64::from(ended.is_some())),
        Outcome::NotCovered { .. } => (11, 0),
        Outcome::Held { expires_in_ms, .. } => (12, *expires_in_ms),
        Outcome::Begun => (13, 0),
        Outcome::Finished { wake, .. } => (14, count(wake.len())),
        Outcome::UnknownOp(_) => (15, 0),
        Outcome::Released { held_ms, .. } => (16, *held_ms),
        Outcome::Revoked { leases, .. } => (17, count(leases.len())),
        Outcome::Answered(_) => (18, 0),
        Outcome::KeyMismatch => (19, 0),
        Outcome::NotAnswered => (20, 0),
        Outcome::Inspected(inspected) => (21, u64::from(inspected.waiters)),
        Outcome::Snapshot(snapshot) => (22, count(snapshot.leases.len())),
        Outcome::Journal(part) => (23, part.end.place << 1 | u64::from(part.anew)),
        Outcome::DotDrawn { dot, .. } => (24, dot.counter),
        Outcome::Appended { end, is_new } => (25, end.place << 1 | u64::from(*is_new)),
        Outcome::JournalMoved(end) => (26, end.place),
        Outcome::Graphs(graphs) => (27, count(graphs.len())),
    };
    more << 8 | kind
}

/// A number that tells what effects met apart.
pub(super) fn of_done(done: &Done) -> u64 {
    use maasl_core::coordinator::io::Swapped;
    let of = |hash: &Option<maasl_core::id::ContentHash>| {
        hash.map_or(1, |hash| {
            let bytes = hash.as_bytes();
            u64::from_be_bytes([
                bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], bytes[5], bytes[6], 2,
            ])
        })
    };
    match done {
        Done::Content(content) => content.as_ref().map_or(0, |bytes| bytes.len() as u64 + 1),
        Done::Hashed(hash) | Done::Swapped(Swapped::Displaced(hash)) => of(hash),
        Done::Object(object) => u64::from(object.is_some()),
        Done::Sources(found) => found.len() as u64,
        Done::DocgenLock(taken) => u64::from(*taken),
        Done::Generated(made) => made.as_ref().map_or(u64::MAX, |bytes| bytes.len() as u64),
        Done::Version(version) => version.as_ref().map_or(0, |version| version.number),
        Done::Swapped(Swapped::Vanished) => 3,
        Done::Swapped(Swapped::Occupied(hash)) => of(hash).wrapping_add(4),
        Done::DbBegun(begun) => begun.fence.number() << 1 | u64::from(begun.answered.is_some()),
        Done::DbExecuted(written) => written.rows_affected,
        Done::DbFence(token) => token.number(),
        Done::DbOutcome(committed) => u64::from(*committed),
        Done::DbLocked | Done::DbRefused(_) => u64::MAX - 1,
        Done::Dead(dead) => dead.len() as u64,
        Done::LatchBusy(_) | Done::Failed(_) | Done::Refused(_) => u64::MAX,
        Done::Located(_) | Done::Ok => 0,
    }
}
