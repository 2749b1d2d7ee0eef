//! Granting and waiting.
//!
//! Owns: who may have a set of wants now, who waits behind whom, and when an
//! expired or dead holder may be replaced. Promises: a set is granted whole or
//! not at all; a newcomer never overtakes a live conflicting waiter, except that
//! interactive passes batch at most [`BYPASS_MAX`] times; a grant that ends
//! another asks for the latches first. Leaves to others: taking latches, settling
//! open commits, finding dead sessions, sleeping.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::command::Acquire;
use super::counter::{Count, Counter, wait_bucket};
use super::decide::{StoreClock, earlier_answer};
use super::outcome::{Blocker, Change, Decision, Outcome, Wake};
use super::query::{Need, Query, RowSet};
use super::row::{Answered, Lease, LeaseEnd, LeaseKind, Meta, Ticket};
use super::{deadlock, ending, planted};
use crate::id::{Owner, SessionId, TicketNo, Token};
use crate::mutant::{Mutant, is_active};
use crate::policy::Urgency;
use crate::reply::Receipt;
use crate::resource::{ResourceKey, Want};
use crate::time::Timestamp;

/// How often interactive requests may pass one waiting batch request.
pub(super) const BYPASS_MAX: u32 = 3;

/// Decides [`super::Command::Acquire`].
pub(super) fn acquire(rows: &RowSet, asked: &Acquire, clock: StoreClock) -> Result<Decision, Need> {
    if let Some(outcome) = answered_before(rows, asked, clock.now)? {
        return Ok(Decision::unchanged(outcome));
    }
    let queued = own_ticket(rows, asked, clock.now)?;
    let front = Front::of(rows, asked, queued.map(|ticket| ticket.no), clock.now)?;
    if !front.is_clear() {
        if is_active(Mutant::PartialSetKept)
            && let Some(part) =
                planted::free_part(asked, front.held.iter().map(|(lease, _)| *lease))
        {
            return grant(rows, &part, queued, &front, clock);
        }
        return wait(rows, asked, queued, &front, clock);
    }
    let is_latched =
        |key: &ResourceKey| is_active(Mutant::TakeoverWithoutLatch) || asked.latched.contains(key);
    if let Some(refusal) = end_refused(rows, front.claimable.iter().copied(), is_latched)? {
        return Ok(Decision::unchanged(refusal));
    }
    grant(rows, asked, queued, &front, clock)
}

/// The live ticket of this request. It is found by the lease it will get, so
/// that a request sent again without its number keeps its place, and never
/// stands twice in the queue.
fn own_ticket<'a>(
    rows: &'a RowSet,
    asked: &Acquire,
    now: Timestamp,
) -> Result<Option<&'a Ticket>, Need> {
    for want in asked.wants.iter() {
        let tickets = rows.tickets(Query::TicketsOverlapping(want.extent.clone()))?;
        let own = |ticket: &&Ticket| ticket.lease == asked.lease && !ticket.is_lapsed(now);
        if let Some(ticket) = tickets.iter().find(own) {
            return Ok(Some(ticket));
        }
    }
    Ok(None)
}

/// Describes a lease as an obstacle to a request for `key`.
pub(super) fn holder(lease: &Lease, key: &ResourceKey, now: Timestamp) -> Blocker {
    Blocker {
        key: key.clone(),
        owner: lease.owner.clone(),
        token: Some(lease.token),
        since_wall_ms: lease.granted_wall_ms,
        held_ms: now.ms_since(lease.granted_at),
        expires_in_ms: lease.expires_at.ms_from(now),
        purpose: lease.purpose.clone(),
    }
}

/// Why these leases cannot end yet; nothing where they can. It takes the latches
/// of their keys and of the files their open commits touch, and those commits
/// settled.
pub(super) fn end_refused<'a>(
    rows: &'a RowSet,
    leases: impl Iterator<Item = &'a Lease> + Clone,
    is_latched: impl Fn(&ResourceKey) -> bool,
) -> Result<Option<Outcome>, Need> {
    let mut open = Vec::new();
    for lease in leases.clone() {
        if !is_active(Mutant::OpenIntentsNotSettled) {
            open.extend(rows.intents(Query::IntentsOf(lease.token))?);
        }
    }
    let held = leases.flat_map(Lease::keys);
    let needed = held.chain(open.iter().flat_map(|intent| &intent.latches));
    Ok(if !needed.clone().all(is_latched) {
        let keys: BTreeSet<_> = needed.cloned().collect();
        let keys = keys.into_iter().collect();
        Some(Outcome::NeedLatches { keys })
    } else if !open.is_empty() {
        let open = open.into_iter().cloned().collect();
        Some(Outcome::NeedRecovery(open))
    } else {
        None
    })
}

pub(super) fn answered_before(
    rows: &RowSet,
    asked: &Acquire,
    now: Timestamp,
) -> Result<Option<Outcome>, Need> {
    if let Some(request) = &asked.request
        && let Some(outcome) = earlier_answer(rows.answered(&request.key)?, request)
    {
        return Ok(Some(outcome));
    }
    if !is_active(Mutant::DuplicateAcquireGrantsTwice)
        && let Some(lease) = rows.lease(&asked.lease)?
    {
        let lease = lease.clone();
        return Ok(Some(if lease.is_expired(now) {
            Outcome::Lost {
                ended: None,
                expired: Some(lease),
            }
        } else {
            Outcome::Granted {
                lease,
                taken_over: Vec::new(),
                wake: Vec::new(),
            }
        }));
    }
    Ok(rows.ended(&asked.lease)?.map(|ended| Outcome::Lost {
        ended: Some(ended.clone()),
        expired: None,
    }))
}

/// Everything between a request and its grant.
#[derive(Clone, Default)]
pub(super) struct Front<'a> {
    /// Live leases in the way, and the contested key of each.
    pub(super) held: Vec<(&'a Lease, &'a ResourceKey)>,
    /// Leases that may be ended for this request.
    pub(super) claimable: Vec<&'a Lease>,
    /// Dead sessions' leases whose lock-delay begins now.
    pub(super) died: Vec<Lease>,
    /// Live waiters in front, and the contested key of each.
    pub(super) waiting: Vec<(&'a Ticket, &'a ResourceKey)>,
    /// Batch waiters this request passes.
    pub(super) passed: Vec<&'a Ticket>,
    /// Waiters whose time is over; those behind them knew when.
    pub(super) gone: BTreeSet<TicketNo>,
}

impl<'a> Front<'a> {
    pub(super) fn of(
        rows: &'a RowSet,
        asked: &'a Acquire,
        own: Option<TicketNo>,
        now: Timestamp,
    ) -> Result<Self, Need> {
        let mut front = Self::default();
        let mut leases = BTreeMap::new();
        let mut tickets = BTreeMap::new();
        for want in planted::looked_at(&asked.wants) {
            for lease in rows.leases(Query::LeasesOverlapping(want.extent.clone()))? {
                if contests(&lease.wants, want) && !planted::is_twice(lease, asked) {
                    leases
                        .entry(lease.token)
                        .or_insert((lease, &want.extent.key));
                }
            }
            for ticket in rows.tickets(Query::TicketsOverlapping(want.extent.clone()))? {
                if ticket.lease == asked.lease && ticket.is_lapsed(now) {
                    front.gone.insert(ticket.no);
                }
                let ahead = if is_active(Mutant::NewestWaiterFirst) {
                    own.is_some_and(|own| ticket.no > own)
                } else {
                    own.is_none_or(|own| ticket.no < own)
                };
                if ahead && contests(&ticket.wants, want) {
                    tickets
                        .entry(ticket.no)
                        .or_insert((ticket, &want.extent.key));
                }
            }
        }
        for (lease, key) in leases.into_values() {
            front.sort_lease(lease, key, &asked.dead, now);
        }
        for (ticket, key) in tickets.into_values() {
            front.sort_ticket(ticket, key, asked, now);
        }
        Ok(front)
    }

    pub(super) fn is_clear(&self) -> bool {
        self.held.is_empty() && self.died.is_empty() && self.waiting.is_empty()
    }

    fn sort_lease(
        &mut self,
        lease: &'a Lease,
        key: &'a ResourceKey,
        dead: &BTreeSet<SessionId>,
        now: Timestamp,
    ) {
        let died = dead.contains(&lease.owner.session);
        if now >= lease.claimable_at() || (died && lease.lock_delay_ms == 0) {
            self.claimable.push(lease);
        } else if died && !lease.is_expired(now) {
            self.died.push(Lease {
                expires_at: now,
                ..lease.clone()
            });
        } else {
            self.held.push((lease, key));
        }
    }

    fn sort_ticket(
        &mut self,
        ticket: &'a Ticket,
        key: &'a ResourceKey,
        asked: &Acquire,
        now: Timestamp,
    ) {
        if ticket.is_lapsed(now) {
            self.gone.insert(ticket.no);
        } else if asked.dead.contains(&ticket.owner.session) {
            // Skipped, but left in the queue: the sweep that removes it wakes
            // those who stand only behind it.
        } else if asked.urgency == Urgency::Interactive
            && ticket.urgency == Urgency::Batch
            && ticket.bypassed < BYPASS_MAX
        {
            self.passed.push(ticket);
        } else {
            self.waiting.push((ticket, key));
        }
    }

    /// Without those that wait behind this ticket. A ticket that has lapsed holds
    /// nobody up any more, but those behind it were never in its way.
    fn ahead_of(&self, own: Option<TicketNo>) -> Self {
        let mut front = self.clone();
        front
            .waiting
            .retain(|(ticket, _)| own.is_none_or(|own| ticket.no < own));
        front
    }

    /// What is in the way, and how many of that are waiters.
    fn described(&self, now: Timestamp) -> (Vec<Blocker>, u32) {
        let place = u32::try_from(self.waiting.len()).unwrap_or(u32::MAX);
        (self.blockers(now), place)
    }

    pub(super) fn blockers(&self, now: Timestamp) -> Vec<Blocker> {
        let held = self.held.iter().map(|(lease, key)| holder(lease, key, now));
        let died = self.died.iter().filter_map(|lease| {
            let key = lease.keys().next()?;
            Some(holder(lease, key, now))
        });
        let waiting = self.waiting.iter().map(|&(ticket, key)| Blocker {
            key: key.clone(),
            owner: ticket.owner.clone(),
            token: None,
            since_wall_ms: 0,
            held_ms: now.ms_since(ticket.since),
            expires_in_ms: ticket.deadline.ms_from(now),
            purpose: None,
        });
        held.chain(died).chain(waiting).collect()
    }

    /// How long until time alone could change the answer.
    fn retry_in_ms(&self, now: Timestamp) -> u64 {
        let leases = self.held.iter().map(|(lease, _)| lease.claimable_at());
        let died = self.died.iter().map(Lease::claimable_at);
        let tickets = self.waiting.iter().map(|(ticket, _)| ticket.deadline);
        leases
            .chain(died)
            .chain(tickets)
            .map(|at| at.ms_from(now))
            .min()
            .unwrap_or(0)
    }

    fn housekeeping(&self) -> Vec<Change> {
        let gone = self.gone.iter().map(|no| Change::DeleteTicket(*no));
        gone.chain(self.died.iter().cloned().map(Change::PutLease))
            .collect()
    }
}

fn contests(held: &[Want], want: &Want) -> bool {
    held.iter().any(|other| other.conflicts(want))
}

fn wait(
    rows: &RowSet,
    asked: &Acquire,
    queued: Option<&Ticket>,
    front: &Front<'_>,
    clock: StoreClock,
) -> Result<Decision, Need> {
    let mut changes = front.housekeeping();
    if asked.wait_ms == 0 {
        let own = queued.map(|ticket| ticket.no);
        let (blockers, place) = front.ahead_of(own.or(asked.ticket)).described(clock.now);
        changes.extend(own.map(Change::DeleteTicket));
        return Ok(Decision {
            outcome: Outcome::Busy {
                blockers,
                place,
                wake: wake_behind(rows, queued, clock.now)?,
            },
            changes,
        });
    }
    if planted::circles_are_seen()
        && let Some(circle) =
            deadlock::circle(rows, asked, queued, front.obstacles(clock.now), clock.now)?
    {
        changes.extend(queued.map(|ticket| Change::DeleteTicket(ticket.no)));
        changes.push(clock.add(Count::one(
            Counter::DeadlocksRefused,
            class_of(&asked.wants),
            &asked.owner.agent,
        )));
        return Ok(Decision {
            outcome: Outcome::Deadlock {
                circle,
                wake: wake_behind(rows, queued, clock.now)?,
            },
            changes,
        });
    }
    let (blockers, place) = front.described(clock.now);
    if queued.is_none() && place >= asked.max_waiters {
        let outcome = Outcome::LimitReached {
            limit: "max_waiters".to_string(),
            value: asked.max_waiters.into(),
        };
        return Ok(Decision::unchanged(outcome));
    }
    let ticket = match queued {
        Some(ticket) => ticket.no,
        None => enqueue(rows, asked, clock.now, &mut changes)?,
    };
    let retry_in_ms = front.retry_in_ms(clock.now);
    Ok(Decision {
        outcome: Outcome::Queued {
            ticket,
            place,
            blockers,
            retry_in_ms,
        },
        changes,
    })
}

impl<'a> Front<'a> {
    /// Whom the request waits for, and through what. For a lock-delay nobody but
    /// time is waited for.
    fn obstacles(&self, now: Timestamp) -> Vec<deadlock::Obstacle<'a>> {
        let held = self
            .held
            .iter()
            .filter(|(lease, _)| !lease.is_expired(now))
            .filter_map(|(lease, _)| deadlock::Obstacle::of_lease(lease));
        let waiting = self
            .waiting
            .iter()
            .map(|(ticket, _)| deadlock::Obstacle::Ticket(ticket));
        held.chain(waiting).collect()
    }
}

/// Waiters that this one's leaving the queue without a grant may serve.
fn wake_behind(rows: &RowSet, leaving: Option<&Ticket>, now: Timestamp) -> Result<Vec<Wake>, Need> {
    match leaving {
        Some(ticket) => ending::waiters_to_wake(rows, &*ticket.wants, &[ticket.no], now, |_| false),
        None => Ok(Vec::new()),
    }
}

fn enqueue(
    rows: &RowSet,
    asked: &Acquire,
    now: Timestamp,
    changes: &mut Vec<Change>,
) -> Result<TicketNo, Need> {
    let meta = rows.meta()?;
    let no = TicketNo(meta.next_ticket);
    let next_ticket = meta
        .next_ticket
        .checked_add(1)
        .expect("2^64 tickets are never reached");
    changes.push(Change::PutMeta(Meta {
        next_ticket,
        ..meta.clone()
    }));
    changes.push(Change::PutTicket(Ticket {
        no,
        lease: asked.lease.clone(),
        owner: asked.owner.clone(),
        wants: asked.wants.clone(),
        urgency: asked.urgency,
        since: now,
        deadline: now.plus_ms(asked.wait_ms),
        bypassed: 0,
    }));
    Ok(no)
}

pub(super) fn grant(
    rows: &RowSet,
    asked: &Acquire,
    queued: Option<&Ticket>,
    front: &Front<'_>,
    clock: StoreClock,
) -> Result<Decision, Need> {
    let meta = rows.meta()?;
    let token = match front.claimable.first() {
        Some(victim) if is_active(Mutant::TakeoverKeepsToken) => victim.token,
        _ => next_token(meta),
    };
    if token > meta.reserved_through {
        return Ok(Decision::unchanged(Outcome::NeedReserve(token)));
    }
    let lease = new_lease(asked, token, clock);
    let mut changes = front.housekeeping();
    changes.push(Change::PutMeta(Meta {
        next_sequence: meta.next_sequence + 1,
        ..meta.clone()
    }));
    for victim in &front.claimable {
        let end = LeaseEnd::TakenOver {
            by: asked.owner.clone(),
            token,
        };
        changes.extend(ending::end_rows(victim, end, clock.wall_ms));
    }
    for &ticket in &front.passed {
        let bypassed = ticket.bypassed + 1;
        changes.push(Change::PutTicket(Ticket {
            bypassed,
            ..ticket.clone()
        }));
    }
    let own = queued.map(|ticket| ticket.no);
    changes.extend(own.map(Change::DeleteTicket));
    changes.push(Change::PutLease(lease.clone()));
    changes.extend(grant_record(asked, &lease, clock.wall_ms));
    let class = class_of(&asked.wants);
    let waited = Counter::Wait(wait_bucket(asked.waited_us));
    let takeovers = front.claimable.len() as u64;
    for (counter, by) in [
        (Counter::Acquired, 1),
        (waited, 1),
        (Counter::Takeovers, takeovers),
    ] {
        let count = Count::one(counter, class.clone(), &asked.owner.agent);
        changes.extend((by > 0).then(|| clock.add(Count { by, ..count })));
    }
    let taken_over: Vec<Owner> = front
        .claimable
        .iter()
        .map(|lease| lease.owner.clone())
        .collect();
    let mut wake = wake_after_grant(rows, asked, own, front, clock.now)?;
    wake.extend(wake_to_find_circles(rows, asked, own, front, clock.now)?);
    wake.sort_unstable_by_key(|wake| wake.ticket);
    wake.dedup();
    Ok(Decision {
        outcome: Outcome::Granted {
            lease,
            taken_over,
            wake,
        },
        changes,
    })
}

/// Waiters that a takeover may serve: those that waited for an ended lease
/// outside what was granted.
fn wake_after_grant(
    rows: &RowSet,
    asked: &Acquire,
    own: Option<TicketNo>,
    front: &Front<'_>,
    now: Timestamp,
) -> Result<Vec<Wake>, Need> {
    let freed = front.claimable.iter().flat_map(|lease| &*lease.wants);
    let blocked = |ticket: &Ticket| ticket.wants.iter().any(|want| contests(&asked.wants, want));
    ending::waiters_to_wake(rows, freed, own.as_slice(), now, blocked)
}

/// Waiters whose wait this grant may have made part of a circle: waiting is
/// checked when it begins, but a grant adds edges too. Those behind it now also
/// wait for its owner's other requests, and those that may no longer pass a
/// batch request now wait for it. Looking again, they find the circle.
fn wake_to_find_circles(
    rows: &RowSet,
    asked: &Acquire,
    own: Option<TicketNo>,
    front: &Front<'_>,
    now: Timestamp,
) -> Result<Vec<Wake>, Need> {
    let mut held_up: Vec<(TicketNo, &[Want])> = Vec::new();
    if asked.kind == LeaseKind::Reservation {
        let others = rows.tickets(Query::TicketsOf(asked.owner.clone()))?;
        if others.iter().any(|ticket| Some(ticket.no) != own) {
            held_up.push((TicketNo::default(), &asked.wants));
        }
    }
    let passed = front.passed.iter();
    let spent = passed.filter(|ticket| ticket.bypassed + 1 == BYPASS_MAX);
    held_up.extend(spent.map(|ticket| (ticket.no, &*ticket.wants)));
    let mut wake = Vec::new();
    for (after, wants) in held_up {
        for want in wants {
            for ticket in rows.tickets(Query::TicketsOverlapping(want.extent.clone()))? {
                let waits = ticket.no > after && Some(ticket.no) != own && !ticket.is_lapsed(now);
                if waits && contests(&ticket.wants, want) {
                    wake.push(Wake {
                        session: ticket.owner.session.clone(),
                        ticket: ticket.no,
                    });
                }
            }
        }
    }
    Ok(wake)
}

fn grant_record(asked: &Acquire, lease: &Lease, wall_ms: u64) -> Option<Change> {
    let request = asked.request.clone()?;
    let receipt = Receipt::Leased {
        lease: lease.id.clone(),
        token: lease.token,
        wants: lease.wants.to_vec(),
        ttl_ms: lease.ttl_ms,
        waited_ms: asked.waited_us / 1000,
    };
    Some(Change::PutAnswered(Box::new(Answered {
        request,
        receipt,
        wall_ms,
    })))
}

fn new_lease(asked: &Acquire, token: Token, clock: StoreClock) -> Lease {
    Lease {
        id: asked.lease.clone(),
        token,
        owner: asked.owner.clone(),
        wants: asked.wants.clone(),
        kind: asked.kind,
        granted_at: clock.now,
        granted_wall_ms: clock.wall_ms,
        expires_at: clock.now.plus_ms(asked.ttl_ms),
        ttl_ms: asked.ttl_ms,
        lock_delay_ms: asked.lock_delay_ms,
        purpose: asked.purpose.clone(),
    }
}

/// The token the next grant gets. Running out takes 2^37 grants in one
/// generation; stopping is the only safe answer then.
fn next_token(meta: &Meta) -> Token {
    Token::new(meta.generation, meta.next_sequence)
        .expect("the token space of this store is used up; make a new store")
}

/// The class under which a set is counted: that of its first want.
pub(super) fn class_of(wants: &[Want]) -> Arc<str> {
    wants
        .first()
        .map_or_else(Arc::default, |want| want.class.clone())
}
