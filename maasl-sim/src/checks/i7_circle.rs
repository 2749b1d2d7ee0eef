//! I7, circles: nobody waits for somebody who waits for them.
//!
//! Owns: the waiters that stand in a circle, and since when. Promises: from the
//! instant on at which nothing goes wrong any more, a waiter in a circle that is
//! not told soon is reported. Leaves to others: how long others wait
//! (`i7_served`).
//!
//! Whoever waits for itself is in no circle: behind one owner there may be
//! several agents, and one may return what the other waits for.
//!
//! A grant can close a circle that no wait had closed; those in it are woken and
//! refused then, so a circle may stand for as long as that takes.

use std::collections::{BTreeMap, BTreeSet};

use maasl_core::id::{Owner, SessionId, TicketNo};
use maasl_core::lease::{Command, LeaseKind, Outcome, Ticket};
use maasl_core::policy::Urgency;
use maasl_core::time::Timestamp;

use super::grants::Granted;
use super::{Breach, Judge};
use crate::observe::{Ground, Observation};
use crate::promise::Promise;

/// How long those in a circle may take to find out.
const FOUND_IN_NS: u64 = 1_000_000_000;

/// Who waits for whom.
type Waits = BTreeMap<Owner, BTreeSet<Owner>>;

/// The judge.
#[derive(Debug, Default)]
pub(super) struct Circle {
    quiet: bool,
    dead: BTreeSet<SessionId>,
    /// Since when a waiter is part of a circle.
    since_ns: BTreeMap<TicketNo, u64>,
}

impl Judge for Circle {
    fn observe(&mut self, seen: &Observation<'_>, ground: &Ground<'_>) -> Result<(), Breach> {
        match seen {
            Observation::Quiet => self.quiet = true,
            Observation::Died { session, .. } => {
                self.dead.insert((*session).clone());
            }
            Observation::Transacted {
                command: Command::Acquire(_),
                outcome: Outcome::Queued { .. },
                clock,
                ..
            } if self.quiet => return self.judge(ground, clock.now),
            _ => {}
        }
        Ok(())
    }
}

impl Circle {
    fn judge(&mut self, ground: &Ground<'_>, now: Timestamp) -> Result<(), Breach> {
        let live = ground.rows.tickets();
        let live = live.filter(|ticket| now < ticket.deadline && self.lives(&ticket.owner));
        let live: Vec<&Ticket> = live.collect();
        let waits = self.waits(&live, ground, now);
        let mut since_ns = BTreeMap::new();
        for ticket in &live {
            if reaches_itself(&ticket.owner, &waits) {
                let began_ns = self.since_ns.get(&ticket.no).copied();
                let began_ns = began_ns.unwrap_or(ground.now_ns);
                since_ns.insert(ticket.no, began_ns);
                if ground.now_ns > began_ns + FOUND_IN_NS {
                    let agent = &ticket.owner.agent;
                    let message = format!("{agent} waits in a circle and was not told");
                    return Err(Breach::new(Promise::I7, "circle", message));
                }
            }
        }
        self.since_ns = since_ns;
        Ok(())
    }

    fn lives(&self, owner: &Owner) -> bool {
        !self.dead.contains(&owner.session)
    }

    fn waits(&self, live: &[&Ticket], ground: &Ground<'_>, now: Timestamp) -> Waits {
        let mut waits = Waits::new();
        for ticket in live {
            let wanted = Granted::waiting(ticket);
            let holders = ground.rows.leases().filter(|lease| {
                lease.kind == LeaseKind::Reservation
                    && now < lease.expires_at
                    && self.lives(&lease.owner)
                    && wanted.excludes(&Granted::of(lease))
            });
            let ahead = live.iter().filter(|other| {
                other.no < ticket.no
                    && !passes(ticket, other)
                    && wanted.excludes(&Granted::waiting(other))
            });
            let holders = holders.map(|lease| lease.owner.clone());
            let others = holders.chain(ahead.map(|other| other.owner.clone()));
            let others = others.filter(|other| *other != ticket.owner);
            waits
                .entry(ticket.owner.clone())
                .or_default()
                .extend(others);
        }
        waits
    }
}

fn passes(ticket: &Ticket, other: &Ticket) -> bool {
    ticket.urgency == Urgency::Interactive && other.urgency == Urgency::Batch
}

fn reaches_itself(owner: &Owner, waits: &Waits) -> bool {
    let mut seen = BTreeSet::new();
    let mut open: Vec<&Owner> = vec![owner];
    while let Some(next) = open.pop() {
        for other in waits.get(next).into_iter().flatten() {
            if other == owner {
                return true;
            }
            if seen.insert(other) {
                open.push(other);
            }
        }
    }
    false
}

#[cfg(test)]
#[path = "i7_circle_tests.rs"]
mod tests;
