//! What of a plan can be asked of real servers, one call at a time.
//!
//! Owns: that part of a plan, and the names of what is not in it. Promises: what
//! is left of a call means the same to both. Leaves to others: asking (`conform`).
//!
//! Kills between calls and changes from outside are possible with real processes
//! at any instant. Steps inside of a call, wrong clocks, lost messages and disks
//! that fail are not, at the instant that a plan says.

use std::fmt;

use crate::plan::call::Call;
use crate::plan::{Action, Agent, Fault, FaultKind, Manner, Plan, When};

/// Longer than any run: what only time decides is not compared.
const LEASE_TTL_MS: u64 = 3_600_000;

/// When nothing goes wrong any more, at the latest: well within the term of a lease.
const QUIET_FROM_MS: u64 = 1_000_000;

/// A fault that real servers cannot be made to have.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Obstacle {
    /// Its place in the plan.
    pub index: usize,
    /// Its kind, as plans have it.
    pub kind: String,
    /// The step at which it strikes; nothing for an instant.
    pub step: Option<String>,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "faults[{}]: {}", self.index, self.kind)?;
        match &self.step {
            Some(step) => write!(f, ", at the step {step} inside of a call"),
            None => Ok(()),
        }
    }
}

/// What a plan has that real servers cannot be made to do.
#[must_use]
pub fn obstacles(plan: &Plan) -> Vec<Obstacle> {
    let faults = plan.faults.iter().enumerate();
    let faults = faults.filter(|(_, fault)| !is_possible(fault));
    let named = faults.map(|(index, fault)| Obstacle {
        index,
        kind: kind(&fault.what),
        step: match &fault.when {
            When::At { .. } => None,
            When::Point(point) => Some(point.step.clone()),
        },
    });
    named.collect()
}

fn is_possible(fault: &Fault) -> bool {
    let between_calls = matches!(fault.when, When::At { .. });
    let by_anybody = matches!(
        fault.what,
        FaultKind::Kill { .. } | FaultKind::OutsideWrite { .. } | FaultKind::OutsideDelete { .. }
    );
    between_calls && by_anybody
}

/// The kind of a fault, as plans have it.
fn kind(fault: &FaultKind) -> String {
    let value = serde_json::to_value(fault).expect("a fault is names and numbers");
    value["kind"].as_str().unwrap_or_default().to_owned()
}

/// The part of a plan that both can run: its calls in their order and the faults
/// that are possible, without waits, cancellations, copies and short leases.
#[must_use]
pub fn one_by_one(plan: &Plan) -> Plan {
    let mut plan = plan.clone();
    plan.faults.retain(is_possible);
    plan.settings.lease_ttl_ms = Some(LEASE_TTL_MS);
    plan.settings.lock_delay_ms = Some(0);
    plan.settings.latch_wait_ms = None;
    plan.settings.gate_wait_ms = None;
    plan.settings.clock_drift_ppm = None;
    begin_quiet_sooner(&mut plan);
    let looks = plan.agents.iter().any(asks_of_graphs);
    for agent in &mut plan.agents {
        if agent.manner == Manner::Repeating {
            // Its second copies are under way together with the first.
            agent.manner = Manner::Sensible;
        }
        agent.calls.retain(|call| call.action != Action::Recover);
        agent.calls.iter_mut().for_each(timeless);
    }
    if let (Some(agent), true) = (plan.agents.first_mut(), looks) {
        let mut last = Call::new(Action::GraphQuery);
        last.at_ms = plan.quiet_from_ms + plan.settle_ms / 2;
        timeless(&mut last);
        agent.calls.push(last);
    }
    plan
}

/// Without the faults that are left out nothing takes as long as the plan allows.
fn begin_quiet_sooner(plan: &mut Plan) {
    let sooner_ms = plan.quiet_from_ms.saturating_sub(QUIET_FROM_MS);
    let calls = plan.agents.iter_mut().flat_map(|agent| &mut agent.calls);
    for call in calls.filter(|call| call.at_ms >= plan.quiet_from_ms) {
        call.at_ms -= sooner_ms;
    }
    plan.quiet_from_ms -= sooner_ms;
}

fn timeless(call: &mut Call) {
    let plain = Call::new(Action::GraphQuery);
    call.max_wait_ms = Some(0);
    call.cancel_after_ms = None;
    call.patience_ms = plain.patience_ms;
    if let Action::Reserve { ttl_ms, keep, .. } = &mut call.action {
        (*ttl_ms, *keep) = (None, false);
    }
}

fn asks_of_graphs(agent: &Agent) -> bool {
    agent.calls.iter().any(|call| match &call.action {
        Action::GraphPatch(_) | Action::GraphQuery | Action::GraphCompact => true,
        Action::Transact(parts) => parts.patch.is_some(),
        _ => false,
    })
}
