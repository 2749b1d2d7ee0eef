//! Circles of holders and waiters.
//!
//! Owns: finding whether a new wait would close a circle. Promises: if every
//! request that closes one is refused, no circle ever stands, so nobody waits in
//! one. Leases that a call takes for its own duration are not followed: such a
//! holder waits for nothing. Leaves to others: refusing.
//!
//! The waits-for graph is that of Holt (1972), walked from the requester over
//! the few rows around it; it is not kept anywhere.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use super::command::Acquire;
use super::ending;
use super::query::{Need, Query, RowSet};
use super::row::{Lease, LeaseKind, Ticket};
use crate::id::{Owner, TicketNo};
use crate::resource::Want;
use crate::time::Timestamp;

/// Somebody a request waits for.
pub(super) enum Obstacle<'a> {
    /// The holder of a reservation: it returns it when its own calls have come
    /// back, so whatever they wait for is waited for here too.
    Reservation(&'a Owner),
    /// A waiter in front.
    Ticket(&'a Ticket),
}

impl<'a> Obstacle<'a> {
    /// The obstacle that a lease is; nothing for a lease its call will return
    /// without waiting for anybody.
    pub(super) fn of_lease(lease: &'a Lease) -> Option<Self> {
        (lease.kind == LeaseKind::Reservation).then_some(Self::Reservation(&lease.owner))
    }
}

/// The circle that waiting for `obstacles` would close, beginning with the
/// requester; nothing where there is none.
pub(super) fn circle(
    rows: &RowSet,
    asked: &Acquire,
    queued: Option<&Ticket>,
    obstacles: Vec<Obstacle<'_>>,
    now: Timestamp,
) -> Result<Option<Vec<Owner>>, Need> {
    let path = Vec::from([asked.owner.clone()]);
    let mut walk = Walk {
        rows,
        asked,
        own: queued.map(|ticket| ticket.no),
        now,
        seen: BTreeSet::new(),
        path,
    };
    Ok(if walk.through(obstacles)? {
        Some(walk.path)
    } else {
        None
    })
}

/// A depth-first walk along the waits-for edges.
struct Walk<'a> {
    rows: &'a RowSet,
    asked: &'a Acquire,
    own: Option<TicketNo>,
    now: Timestamp,
    seen: BTreeSet<TicketNo>,
    /// Who waits for whom, from the requester to where the walk stands.
    path: Vec<Owner>,
}

impl Walk<'_> {
    /// Whether one of these leads back to the requester; the path then is the
    /// circle.
    fn through(&mut self, obstacles: Vec<Obstacle<'_>>) -> Result<bool, Need> {
        for obstacle in obstacles {
            let closed = match obstacle {
                Obstacle::Ticket(ticket) => self.behind(ticket)?,
                Obstacle::Reservation(owner) if *owner == self.asked.owner => self.is_circle(),
                Obstacle::Reservation(owner) => {
                    let mut closed = false;
                    for ticket in self.rows.tickets(Query::TicketsOf(owner.clone()))? {
                        closed = closed || self.behind(ticket)?;
                    }
                    closed
                }
            };
            if closed {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether what this ticket waits for leads back to the requester.
    fn behind(&mut self, ticket: &Ticket) -> Result<bool, Need> {
        if Some(ticket.no) == self.own {
            return Ok(self.is_circle());
        }
        let dead = self.asked.dead.contains(&ticket.owner.session);
        if dead || ticket.is_lapsed(self.now) || !self.seen.insert(ticket.no) {
            return Ok(false);
        }
        self.path.push(ticket.owner.clone());
        let next = obstacles_of(self.rows, ticket, self.now)?;
        let closed = self.through(next)?;
        if !closed {
            self.path.pop();
        }
        Ok(closed)
    }

    /// Waiting for oneself alone is no circle of two calls: another subagent
    /// with the same identity may hold the lease and return it.
    fn is_circle(&self) -> bool {
        self.path.iter().any(|owner| *owner != self.asked.owner)
    }
}

fn obstacles_of<'a>(
    rows: &'a RowSet,
    waiter: &Ticket,
    now: Timestamp,
) -> Result<Vec<Obstacle<'a>>, Need> {
    let mut obstacles = Vec::new();
    for want in waiter.wants.iter() {
        let conflicting = |wants: &[Want]| wants.iter().any(|other| other.conflicts(want));
        for lease in rows.leases(Query::LeasesOverlapping(want.extent.clone()))? {
            if !lease.is_expired(now) && conflicting(&lease.wants) {
                obstacles.extend(Obstacle::of_lease(lease));
            }
        }
        for ticket in rows.tickets(Query::TicketsOverlapping(want.extent.clone()))? {
            if ticket.no < waiter.no
                && ending::holds_up(ticket, waiter)
                && conflicting(&ticket.wants)
            {
                obstacles.push(Obstacle::Ticket(ticket));
            }
        }
    }
    Ok(obstacles)
}
