//! Cuts that take something out of a plan as a whole.
//!
//! Owns: what belongs together. Promises: what names something that goes, goes
//! with it. Leaves to others: trying (`search`).

use core::ops::Range;

use super::search::Search;
use crate::plan::{Plan, When};

pub(super) fn cut(search: &mut Search<'_>) -> bool {
    let mut any = search.thin(|plan| plan.agents.len(), without_agents);
    any |= search.thin(|plan| plan.faults.len(), without_faults);
    any |= search.thin(calls, without_calls);
    any |= gather(search);
    any |= search.thin(|plan| plan.processes.len(), without_processes);
    any |= search.thin(|plan| plan.files.len(), without_files);
    any
}

fn without_agents(plan: &Plan, range: Range<usize>) -> Plan {
    let mut plan = plan.clone();
    plan.agents.drain(range);
    plan
}

fn without_faults(plan: &Plan, range: Range<usize>) -> Plan {
    let mut plan = plan.clone();
    plan.faults.drain(range);
    plan
}

fn without_files(plan: &Plan, range: Range<usize>) -> Plan {
    let mut plan = plan.clone();
    plan.files.drain(range);
    plan
}

fn calls(plan: &Plan) -> usize {
    plan.agents.iter().map(|agent| agent.calls.len()).sum()
}

/// Calls are counted over all agents.
fn without_calls(plan: &Plan, range: Range<usize>) -> Plan {
    let mut plan = plan.clone();
    let mut count = 0;
    for agent in &mut plan.agents {
        agent.calls.retain(|_| {
            count += 1;
            !range.contains(&(count - 1))
        });
    }
    plan
}

/// Takes out processes with the faults that name them; those that serve an agent
/// stay.
fn without_processes(plan: &Plan, range: Range<usize>) -> Plan {
    let mut smaller = plan.clone();
    let serves = |name: &str| plan.agents.iter().any(|agent| agent.process == name);
    let idle = plan.processes[range].iter().map(|one| one.name.as_str());
    let idle: Vec<&str> = idle.filter(|name| !serves(name)).collect();
    smaller
        .processes
        .retain(|process| !idle.contains(&process.name.as_str()));
    smaller.faults.retain(|fault| {
        let at = match &fault.when {
            When::Point(point) => Some(point.process.as_str()),
            When::At { .. } => None,
        };
        let named = [at, fault.what.process()];
        !named.iter().flatten().any(|name| idle.contains(name))
    });
    smaller
}

/// Has agents served by the first process, so that others can go.
fn gather(search: &mut Search<'_>) -> bool {
    let mut any = false;
    for agent in 0..search.plan.agents.len() {
        let mut candidate = search.plan.clone();
        let first = candidate.processes[0].name.clone();
        candidate.agents[agent].process = first;
        any |= search.accept(candidate);
    }
    any
}
