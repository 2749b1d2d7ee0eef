//! The ends of leases: renewal refused, release, revoke, and who is woken.
//!
//! Owns: how a lease ends other than by takeover, and which waiters an end may
//! serve. Promises: a lease ends only for a caller that holds the latches of its
//! keys and of its open commits, and only once those are settled; renewal after
//! expiry is refused even if nobody has taken over. Leaves to others: taking the
//! latches and ringing the waiters.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::acquire::{class_of, end_refused};
use super::command::{Release, Revoke};
use super::counter::{Count, Counter};
use super::decide::{StoreClock, earlier_answer};
use super::outcome::{Change, Decision, Outcome, Wake};
use super::planted::any_lease;
use super::query::{Need, Query, RowSet};
use super::row::{Answered, EndedLease, Lease, LeaseEnd, Ticket};
use crate::id::{LeaseId, TicketNo};
use crate::mutant::{Mutant, is_active};
use crate::policy::Urgency;
use crate::reply::Receipt;
use crate::resource::{ResourceKey, Want};
use crate::time::Timestamp;

/// Decides [`super::Command::Renew`].
pub(super) fn renew(rows: &RowSet, id: &LeaseId, clock: StoreClock) -> Result<Decision, Need> {
    let lease = rows.lease(id)?.or(any_lease(rows, Mutant::RenewByAnother)?);
    match lease {
        Some(lease) if is_active(Mutant::RenewAfterExpiry) || !lease.is_expired(clock.now) => {
            let lease = Lease {
                expires_at: clock.now.plus_ms(lease.ttl_ms),
                ..lease.clone()
            };
            let outcome = Outcome::Held {
                lease: lease.clone(),
                expires_in_ms: lease.ttl_ms,
            };
            Ok(Decision {
                outcome,
                changes: [Change::PutLease(lease)].into(),
            })
        }
        lease => lost(rows, id, lease, Counter::LostLeases, clock),
    }
}

/// The refusal of whoever presents a lease that is over.
pub(super) fn lost(
    rows: &RowSet,
    id: &LeaseId,
    expired: Option<&Lease>,
    counter: Counter,
    clock: StoreClock,
) -> Result<Decision, Need> {
    let class = expired.map_or_else(Arc::default, |lease| class_of(&lease.wants));
    let ended = rows.ended(id)?.cloned();
    let ended_owner = ended.as_ref().map(|ended| &ended.owner);
    let owner = expired.map(|lease| &lease.owner).or(ended_owner);
    let agent = owner.map(|owner| owner.agent.clone()).unwrap_or_default();
    let changes = [clock.add(Count::one(counter, class, &agent))].into();
    Ok(Decision {
        outcome: Outcome::Lost {
            ended,
            expired: expired.cloned(),
        },
        changes,
    })
}

/// Decides [`super::Command::Release`].
pub(super) fn release(rows: &RowSet, asked: &Release, clock: StoreClock) -> Result<Decision, Need> {
    if let Some(request) = &asked.request
        && let Some(earlier) = earlier_answer(rows.answered(&request.key)?, request)
    {
        return Ok(Decision::unchanged(earlier));
    }
    let lease = rows.lease(&asked.lease)?;
    let Some(lease) = lease.or(any_lease(rows, Mutant::OldReleaseFreesNew)?) else {
        return lost(rows, &asked.lease, None, Counter::LostLeases, clock);
    };
    let is_latched = |key: &ResourceKey| asked.latched.contains(key);
    if let Some(refusal) = end_refused(rows, core::iter::once(lease), is_latched)? {
        return Ok(Decision::unchanged(refusal));
    }
    if lease.is_expired(clock.now) {
        // Its holder is told. The row goes only if nobody waits for it, and its
        // lock-delay is over: such an end rings nobody.
        let mut decision = lost(rows, &asked.lease, Some(lease), Counter::LostLeases, clock)?;
        let waiters = waiters_to_wake(rows, &*lease.wants, &[], clock.now, |_| false)?;
        if clock.now >= lease.claimable_at() && waiters.is_empty() {
            let end = end_rows(lease, LeaseEnd::Expired, clock.wall_ms);
            decision.changes.extend(end);
        }
        return Ok(decision);
    }
    let wake = waiters_to_wake(rows, &*lease.wants, &[], clock.now, |_| false)?;
    let mut changes = end_rows(lease, LeaseEnd::Released, clock.wall_ms);
    let (class, agent) = (class_of(&lease.wants), &lease.owner.agent);
    changes.push(clock.add(Count::one(Counter::Released, class, agent)));
    changes.extend(clock.add_all(&asked.counts));
    if is_active(Mutant::ReleaseByAnother) {
        let all = rows.leases(Query::AllLeases)?.iter();
        let ours = all.filter(|other| other.owner.session == lease.owner.session);
        changes.extend(ours.map(|other| Change::DeleteLease(other.token)));
    }
    let held_ms = clock.now.ms_since(lease.granted_at);
    changes.extend(asked.request.clone().map(|request| {
        Change::PutAnswered(Box::new(Answered {
            request,
            receipt: Receipt::Released { held_ms },
            wall_ms: clock.wall_ms,
        }))
    }));
    Ok(Decision {
        outcome: Outcome::Released { held_ms, wake },
        changes,
    })
}

/// Decides [`super::Command::Expire`].
pub(super) fn expire(rows: &RowSet, id: &LeaseId, clock: StoreClock) -> Result<Decision, Need> {
    let Some(lease) = rows.lease(id)?.filter(|row| !row.is_expired(clock.now)) else {
        return Ok(Decision::unchanged(Outcome::Done { wake: Vec::new() }));
    };
    let wake = waiters_to_wake(rows, &*lease.wants, &[], clock.now, |_| false)?;
    let lease = Lease {
        expires_at: clock.now,
        lock_delay_ms: 0,
        ..lease.clone()
    };
    Ok(Decision {
        outcome: Outcome::Done { wake },
        changes: [Change::PutLease(lease)].into(),
    })
}

/// Decides [`super::Command::Revoke`].
pub(super) fn revoke(rows: &RowSet, asked: &Revoke, clock: StoreClock) -> Result<Decision, Need> {
    let victims = rows.leases(Query::LeasesOverlapping(asked.target.clone()))?;
    let is_latched = |key: &ResourceKey| {
        is_active(Mutant::ForeignReleaseWithoutLatch) || asked.latched.contains(key)
    };
    if let Some(refusal) = end_refused(rows, victims.iter(), is_latched)? {
        return Ok(Decision::unchanged(refusal));
    }
    let end = LeaseEnd::Revoked {
        by: asked.by.clone(),
        reason: asked.reason.clone(),
    };
    let mut changes = Vec::new();
    let mut leases = Vec::new();
    for victim in victims {
        changes.extend(end_rows(victim, end.clone(), clock.wall_ms));
        let (class, agent) = (class_of(&victim.wants), &victim.owner.agent);
        changes.push(clock.add(Count::one(Counter::Revoked, class, agent)));
        leases.push(ended(victim, end.clone(), clock.wall_ms));
    }
    let freed = victims.iter().flat_map(|victim| &*victim.wants);
    let wake = waiters_to_wake(rows, freed, &[], clock.now, |_| false)?;
    Ok(Decision {
        outcome: Outcome::Revoked { leases, wake },
        changes,
    })
}

/// The row changes that end a lease. A lease a call took for itself and returned
/// leaves no trace: nobody can present it again.
pub(super) fn end_rows(lease: &Lease, end: LeaseEnd, wall_ms: u64) -> Vec<Change> {
    let mut changes = Vec::from([Change::DeleteLease(lease.token)]);
    if end != LeaseEnd::Released || lease.kind == super::LeaseKind::Reservation {
        changes.push(Change::PutEnded(ended(lease, end, wall_ms)));
    }
    changes
}

fn ended(lease: &Lease, end: LeaseEnd, ended_wall_ms: u64) -> EndedLease {
    EndedLease {
        id: lease.id.clone(),
        token: lease.token,
        owner: lease.owner.clone(),
        end,
        ended_wall_ms,
    }
}

/// Waiters that freeing these wants may serve: each that no other woken one, in
/// front of it, still holds up, but for those known to be `blocked` otherwise.
/// Waking one too many costs it one look.
pub(super) fn waiters_to_wake<'a>(
    rows: &RowSet,
    freed: impl IntoIterator<Item = &'a Want>,
    except: &[TicketNo],
    now: Timestamp,
    blocked: impl Fn(&Ticket) -> bool,
) -> Result<Vec<Wake>, Need> {
    let mut queue: BTreeMap<TicketNo, &Ticket> = BTreeMap::new();
    for want in freed {
        for ticket in rows.tickets(Query::TicketsOverlapping(want.extent.clone()))? {
            if !ticket.is_lapsed(now) && !except.contains(&ticket.no) {
                queue.insert(ticket.no, ticket);
            }
        }
    }
    let mut first: Vec<&Ticket> = Vec::new();
    for ticket in queue.into_values() {
        if !blocked(ticket) && !first.iter().any(|ahead| holds_up(ahead, ticket)) {
            first.push(ticket);
        }
    }
    Ok(first
        .into_iter()
        .map(|ticket| Wake {
            session: ticket.owner.session.clone(),
            ticket: ticket.no,
        })
        .collect())
}

/// Whether `ahead` keeps `behind` waiting; interactive may pass batch.
pub(super) fn holds_up(ahead: &Ticket, behind: &Ticket) -> bool {
    let passes = behind.urgency == Urgency::Interactive
        && ahead.urgency == Urgency::Batch
        && ahead.bypassed < super::acquire::BYPASS_MAX;
    !passes
        && behind
            .wants
            .iter()
            .any(|want| ahead.wants.iter().any(|other| other.conflicts(want)))
}
