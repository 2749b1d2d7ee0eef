//! I7, the time it takes: who waits is served or told.
//!
//! Owns: the requests without an answer and the waiters that nothing holds up,
//! from the instant on at which nothing goes wrong any more. Promises: says who
//! is not served and what stands in its way. Leaves to others: the order of the
//! queue (`i7_order`).
//!
//! A request is judged if it was sent in quiet, since an earlier one may have
//! been lost. A waiter is judged once no lease and no live ticket is in front of
//! it: by then all that is left is a wake-up, or a look of its own.

use std::collections::{BTreeMap, BTreeSet};

use maasl_core::id::{SessionId, TicketNo};
use maasl_core::lease::{MemoryRows, Ticket};
use maasl_core::time::Timestamp;

use super::grants::Granted;
use super::{Breach, Judge};
use crate::observe::{AgentNo, Ground, Observation, ProcessNo, RequestNo};
use crate::plan::{FaultKind, Plan};
use crate::promise::Promise;

const NS_PER_MS: u64 = 1_000_000;

/// What a call may take beside its waits.
const SLACK_MS: u64 = 5_000;

/// The judge.
#[derive(Debug)]
pub(super) struct Served {
    /// What a call may take beside waiting for its lease.
    slack_ns: u64,
    /// How much longer a wait takes by the slowest clock, in thousandths.
    slowness: u64,
    quiet: bool,
    now_by_store: Timestamp,
    asked: BTreeMap<RequestNo, Waiting>,
    /// Since when nothing is in front of a ticket.
    at_head: BTreeMap<TicketNo, u64>,
    dead: BTreeSet<SessionId>,
}

/// A request without an answer.
#[derive(Debug)]
struct Waiting {
    agent: AgentNo,
    process: ProcessNo,
    due_ns: u64,
}

impl Served {
    /// The judge of a plan: its limits and clocks say how long a wait may be.
    pub(super) fn of(plan: &Plan) -> Self {
        let limits = plan.config().limits;
        let inside_ms = 2 * (limits.latch_wait_ms + limits.gate_wait_ms);
        let store_ms = 2 * plan.timing.store_timeout_ms;
        let slowness = slowness(plan);
        Self {
            slack_ns: (SLACK_MS + inside_ms + store_ms) * NS_PER_MS / 1_000 * slowness,
            slowness,
            quiet: false,
            now_by_store: Timestamp::default(),
            asked: BTreeMap::new(),
            at_head: BTreeMap::new(),
            dead: BTreeSet::new(),
        }
    }
}

/// How much longer than told a wait may take, in thousandths: by the slowest
/// clock there can be.
fn slowness(plan: &Plan) -> u64 {
    let drifts = plan.faults.iter().filter_map(|fault| match fault.what {
        FaultKind::ClockDrift { ppm, .. } => Some(ppm),
        _ => None,
    });
    let drifts = drifts.chain(plan.processes.iter().map(|process| process.drift_ppm));
    let slowest = drifts.min().unwrap_or(0).clamp(-999_999, 0);
    let rate = u64::from(1_000_000 - slowest.unsigned_abs());
    1_000_000_000_u64.div_ceil(rate)
}

impl Judge for Served {
    fn observe(&mut self, seen: &Observation<'_>, ground: &Ground<'_>) -> Result<(), Breach> {
        match seen {
            Observation::Died { session, .. } => {
                self.dead.insert((*session).clone());
            }
            Observation::Quiet => self.quiet = true,
            Observation::Transacted { clock, .. } => self.now_by_store = clock.now,
            _ => {}
        }
        if !self.quiet {
            return Ok(());
        }
        match seen {
            Observation::Asked(asked) => {
                let wait_ns = asked.wait_ms * NS_PER_MS / 1_000 * self.slowness;
                let waiting = Waiting {
                    agent: asked.agent,
                    process: asked.process,
                    due_ns: ground.now_ns + wait_ns + self.slack_ns,
                };
                self.asked.insert(asked.request, waiting);
            }
            Observation::Answered { request, .. } | Observation::GaveUp { request, .. } => {
                self.judge_answers(ground)?;
                self.asked.remove(request);
            }
            Observation::Transacted { .. } => self.judge_heads(ground)?,
            Observation::Ended { .. } => {
                self.judge_answers(ground)?;
                self.judge_heads(ground)?;
            }
            _ => {}
        }
        Ok(())
    }
}

impl Served {
    fn judge_answers(&self, ground: &Ground<'_>) -> Result<(), Breach> {
        let late = self
            .asked
            .iter()
            .find(|(_, waiting)| waiting.due_ns < ground.now_ns);
        let Some((request, waiting)) = late else {
            return Ok(());
        };
        let message = format!(
            "request {} of {} to {} has no answer after its time; {}",
            request.0,
            ground.agents[usize::from(waiting.agent.0)],
            ground.processes[usize::from(waiting.process.0)],
            self.state(ground)
        );
        Err(Breach::new(Promise::I7, "not-answered", message))
    }

    fn judge_heads(&mut self, ground: &Ground<'_>) -> Result<(), Breach> {
        let mut heads = BTreeMap::new();
        for ticket in ground.rows.tickets().filter(|ticket| self.is_live(ticket)) {
            if self.in_front(ticket, ground.rows).is_some() {
                continue;
            }
            let since_ns = self.at_head.get(&ticket.no).copied();
            let since_ns = since_ns.unwrap_or(ground.now_ns);
            heads.insert(ticket.no, since_ns);
            if ground.now_ns > since_ns + self.slack_ns {
                let message = format!(
                    "ticket {} of {} has nothing in front of it and is not served; {}",
                    ticket.no.0,
                    ticket.owner.agent,
                    self.state(ground)
                );
                return Err(Breach::new(Promise::I7, "head-not-served", message));
            }
        }
        self.at_head = heads;
        Ok(())
    }

    fn is_live(&self, ticket: &Ticket) -> bool {
        !ticket.is_lapsed(self.now_by_store) && !self.dead.contains(&ticket.owner.session)
    }

    /// What holds a ticket up, in words.
    fn in_front(&self, ticket: &Ticket, rows: &MemoryRows) -> Option<String> {
        let waits = Granted::waiting(ticket);
        let holder = rows.leases().find(|lease| {
            let dead = self.dead.contains(&lease.owner.session) && lease.lock_delay_ms == 0;
            let over = dead || self.now_by_store >= lease.claimable_at();
            !over && waits.excludes(&Granted::of(lease))
        });
        if let Some(lease) = holder {
            return Some(format!("token {} of {}", lease.token, lease.owner.agent));
        }
        let ahead = rows.tickets().find(|other| {
            other.no < ticket.no && self.is_live(other) && waits.excludes(&Granted::waiting(other))
        });
        ahead.map(|other| format!("ticket {} of {}", other.no.0, other.owner.agent))
    }

    /// Who waits for whom.
    fn state(&self, ground: &Ground<'_>) -> String {
        let waits = ground.rows.tickets();
        let waits = waits.filter(|ticket| self.is_live(ticket));
        let waits = waits.map(|ticket| {
            let front = self.in_front(ticket, ground.rows);
            let front = front.unwrap_or_else(|| "nobody".into());
            format!(
                "ticket {} of {} waits for {front}",
                ticket.no.0, ticket.owner.agent
            )
        });
        let waits: Vec<String> = waits.collect();
        if waits.is_empty() {
            return "nobody has a ticket".into();
        }
        waits.join(", ")
    }
}

#[cfg(test)]
#[path = "i7_served_tests.rs"]
mod tests;
