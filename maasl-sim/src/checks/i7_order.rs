//! I7, the order of the queue: nobody overtakes a live waiter.
//!
//! Owns: which request has which ticket, and how often each ticket was passed.
//! Promises: every new grant is compared with the tickets that stand. Leaves to
//! others: how long anybody waits (`i7_served`).

use std::collections::{BTreeMap, BTreeSet};

use maasl_core::id::{LeaseId, SessionId, TicketNo, Token};
use maasl_core::lease::command::Acquire;
use maasl_core::lease::{Command, Lease, Outcome, Ticket};
use maasl_core::policy::Urgency;
use maasl_core::time::Timestamp;

use super::grants::Granted;
use super::{Breach, Judge};
use crate::observe::{Ground, Observation};
use crate::promise::Promise;

/// How often interactive requests may pass a waiting batch request.
const PASSES_MAX: u32 = 3;

/// The judge.
#[derive(Debug, Default)]
pub(super) struct Order {
    newest: Token,
    queued: BTreeMap<LeaseId, (TicketNo, Timestamp)>,
    passed: BTreeMap<TicketNo, u32>,
    dead: BTreeSet<SessionId>,
}

impl Judge for Order {
    fn observe(&mut self, seen: &Observation<'_>, ground: &Ground<'_>) -> Result<(), Breach> {
        match seen {
            Observation::Died { session, .. } => {
                self.dead.insert((*session).clone());
            }
            // Tickets may get the same numbers again.
            Observation::PowerCut | Observation::Restored => {
                self.queued.clear();
                self.passed.clear();
            }
            Observation::Transacted {
                command: Command::Acquire(asked),
                outcome,
                clock,
                ..
            } => match outcome {
                Outcome::Queued { ticket, .. } => {
                    let deadline = clock.now.plus_ms(asked.wait_ms);
                    let place = self.queued.entry(asked.lease.clone());
                    let place = place.or_insert((*ticket, deadline));
                    if place.0 != *ticket {
                        *place = (*ticket, deadline);
                    }
                }
                Outcome::Granted { lease, .. } if lease.token > self.newest => {
                    self.newest = lease.token;
                    return self.judge_grant(asked, lease, clock.now, ground);
                }
                Outcome::Busy { .. } | Outcome::Deadlock { .. } | Outcome::Lost { .. } => {
                    self.queued.remove(&asked.lease);
                }
                _ => {}
            },
            _ => {}
        }
        Ok(())
    }
}

impl Order {
    fn judge_grant(
        &mut self,
        asked: &Acquire,
        lease: &Lease,
        now: Timestamp,
        ground: &Ground<'_>,
    ) -> Result<(), Breach> {
        let own = self.queued.remove(&asked.lease);
        let own = own.filter(|(_, deadline)| now < *deadline);
        let granted = Granted::of(lease);
        let overtaken = ground.rows.tickets().filter(|ticket| {
            own.is_none_or(|(no, _)| ticket.no < no)
                && ticket.lease != asked.lease
                && !ticket.is_lapsed(now)
                && !self.dead.contains(&ticket.owner.session)
                && granted.excludes(&Granted::waiting(ticket))
        });
        for ticket in overtaken {
            let passes = self.passed.entry(ticket.no).or_default();
            *passes += 1;
            if !may_pass(asked, ticket) || *passes > PASSES_MAX {
                let message = format!(
                    "token {} went to {} past {} of {}, which waited for the same ({passes} went past it)",
                    lease.token, asked.owner.agent, ticket.no.0, ticket.owner.agent
                );
                return Err(Breach::new(Promise::I7, "overtaken", message));
            }
        }
        Ok(())
    }
}

fn may_pass(asked: &Acquire, ticket: &Ticket) -> bool {
    asked.urgency == Urgency::Interactive && ticket.urgency == Urgency::Batch
}

#[cfg(test)]
#[path = "i7_order_tests.rs"]
mod tests;
