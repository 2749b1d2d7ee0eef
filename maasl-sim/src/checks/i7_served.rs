//! I7, the time it takes: who waits is served or told.
//!
//! Owns: the requests without an answer and the waiters that nothing holds up,
//! from the instant on at which nothing goes wrong any more. Promises: says who
//! is not served and what stands in its way. Leaves to others: the order of the
//! queue (`i7_order`).
//!
//! A request is judged if it was sent in quiet, since an earlier one may have
//! been lost. A waiter is judged once no lease and no live ticket is in front of
//! it: by then all that is left is a wake-up, or a look of its own. What it may
//! take is less than a wait, so one that was told that all is busy after it had
//! stood there longer than that is reported too.

use std::collections::{BTreeMap, BTreeSet};

use maasl_core::id::{SessionId, TicketNo};
use maasl_core::lease::{Lease, MemoryRows, Outcome, Ticket};
use maasl_core::time::Timestamp;

use super::grants::Granted;
use super::{Breach, Judge};
use crate::observe::{AgentNo, Ground, Observation, ProcessNo, RequestNo};
use crate::plan::{FaultKind, Plan};
use crate::promise::Promise;

const NS_PER_MS: u64 = 1_000_000;

/// What a call may take beside its waits.
const SLACK_MS: u64 = 5_000;

/// How long a waiter that was not woken waits before it looks by itself.
const LOOK_US: u64 = 100_000;

/// Steps of a call between its wake-up and its grant, at most: it may have to
/// settle what a dead holder left.
const STEPS: u64 = 32;

/// The judge.
#[derive(Debug)]
pub(super) struct Served {
    /// What a call may take beside waiting for its lease.
    slack_ns: u64,
    /// What a grant may take once nothing is in front of it.
    head_slack_ns: u64,
    /// How much longer a wait takes by the slowest clock, in thousandths.
    slowness: u64,
    quiet: bool,
    now_by_store: Timestamp,
    asked: BTreeMap<RequestNo, Waiting>,
    /// Tickets that nothing is in front of.
    at_head: BTreeMap<TicketNo, Head>,
    dead: BTreeSet<SessionId>,
    /// The newest boot, and when it began by the store's clock.
    boot: Option<Boot>,
}

/// A ticket that nothing is in front of.
#[derive(Clone, Debug)]
struct Head {
    since_ns: u64,
    /// The same instant by the store's clock.
    since: Timestamp,
    ticket: Ticket,
}

#[derive(Debug)]
struct Boot {
    name: String,
    /// Tokens of this boot have at least this generation.
    generation: u64,
    began: Timestamp,
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
            head_slack_ns: head_slack_ns(plan) / 1_000 * slowness,
            slowness,
            quiet: false,
            now_by_store: Timestamp::default(),
            asked: BTreeMap::new(),
            at_head: BTreeMap::new(),
            dead: BTreeSet::new(),
            boot: None,
        }
    }
}

/// What may lie between a waiter at the head of its queue and its grant: a bell, or
/// a look of its own, its own steps, and a transaction of everybody else.
fn head_slack_ns(plan: &Plan) -> u64 {
    let timing = &plan.timing;
    let most = |table: &[u64]| table.iter().copied().max().unwrap_or(0);
    let transaction_us = most(&timing.transaction_us) + most(&timing.sync_us);
    let mut step_us = transaction_us + most(&timing.effect_us);
    let mut lost_us = 0;
    if timing.remote_store {
        step_us += 2 * most(&timing.store_us);
        // What was sent before the quiet may have been lost.
        lost_us = 2 * 1_000 * timing.store_timeout_ms;
    }
    let others_us = plan.agents.len() as u64 * transaction_us;
    let steps_us = LOOK_US + most(&timing.bell_us) + STEPS * step_us + others_us + lost_us;
    steps_us * 1_000 + set_back_ms(plan) * NS_PER_MS
}

/// How far clocks are set back in all: until then by its own clock a waiter may not
/// look again.
fn set_back_ms(plan: &Plan) -> u64 {
    let steps = plan.faults.iter().filter_map(|fault| match fault.what {
        FaultKind::ClockStep { by_ms, .. } if by_ms < 0 => Some(by_ms.unsigned_abs()),
        _ => None,
    });
    steps.sum()
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
            Observation::Transacted { outcome, clock, .. } => {
                self.now_by_store = clock.now;
                self.note_boot(outcome);
            }
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
        let late = self
            .at_head
            .values()
            .find(|head| self.is_late(head, ground));
        if let Some(Head { ticket, .. }) = late {
            let message = format!(
                "ticket {} of {} has nothing in front of it and was not served in time; {}",
                ticket.no.0,
                ticket.owner.agent,
                self.state(ground)
            );
            return Err(Breach::new(Promise::I7, "head-not-served", message));
        }
        let heads = ground
            .rows
            .tickets()
            .filter(|ticket| self.is_live(ticket) && self.in_front(ticket, ground.rows).is_none());
        let heads = heads.map(|ticket| {
            let now = Head {
                since_ns: ground.now_ns,
                since: self.now_by_store,
                ticket: ticket.clone(),
            };
            let before = self.at_head.get(&ticket.no).cloned();
            (ticket.no, before.unwrap_or(now))
        });
        self.at_head = heads.collect();
        Ok(())
    }

    /// Whether a ticket had its time at the head of its queue, whatever became of
    /// it since: one that lapsed sooner had not.
    fn is_late(&self, head: &Head, ground: &Ground<'_>) -> bool {
        let slack_ms = self.head_slack_ns.div_ceil(NS_PER_MS);
        ground.now_ns > head.since_ns + self.head_slack_ns
            && !head.ticket.is_lapsed(head.since.plus_ms(slack_ms))
            && !self.dead.contains(&head.ticket.owner.session)
    }

    fn note_boot(&mut self, outcome: &Outcome) {
        let Outcome::Opened(meta) = outcome else {
            return;
        };
        if self
            .boot
            .as_ref()
            .is_none_or(|boot| *boot.name != *meta.boot)
        {
            self.boot = Some(Boot {
                name: meta.boot.to_string(),
                generation: meta.generation,
                began: self.now_by_store,
            });
        }
    }

    /// From when on somebody else may have a lease. Of another boot, its times say
    /// nothing: it ended with that.
    fn claimable_at(&self, lease: &Lease) -> Timestamp {
        let boot = self.boot.as_ref();
        match boot.filter(|boot| lease.token.generation() < boot.generation) {
            Some(boot) => boot.began.plus_ms(lease.lock_delay_ms),
            None => lease.claimable_at(),
        }
    }

    fn is_live(&self, ticket: &Ticket) -> bool {
        !ticket.is_lapsed(self.now_by_store) && !self.dead.contains(&ticket.owner.session)
    }

    /// What holds a ticket up, in words.
    fn in_front(&self, ticket: &Ticket, rows: &MemoryRows) -> Option<String> {
        let waits = Granted::waiting(ticket);
        let holder = rows.leases().find(|lease| {
            let dead = self.dead.contains(&lease.owner.session) && lease.lock_delay_ms == 0;
            let over = dead || self.now_by_store >= self.claimable_at(lease);
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
