//! Calls that are made when they were made, whatever becomes of those before.
//!
//! Owns: fixing the instant of every call, and cutting what came after the end.
//! Promises: a plan with fixed instants runs as before, so that what is taken out
//! of it leaves the rest where it was; they stay only if that helped. Leaves to
//! others: what is taken out (`units`) and making instants plainer (`values`).
//!
//! An agent makes a call some time after the answer to the one before it. Where
//! several agents must meet, each of their calls counts for the time it takes,
//! and none of them can go alone.

use std::collections::BTreeSet;

use super::search::Search;
use super::units;
use crate::plan::{Action, Manner, Plan};
use crate::record::{Kind, Record};
use crate::world::World;

const NS_PER_MS: u64 = 1_000_000;

/// When a plan's calls were made first, and which faults struck.
struct Course {
    /// For each agent and call.
    calls: Vec<Vec<Option<u64>>>,
    faults: BTreeSet<usize>,
}

pub(super) fn cut(search: &mut Search<'_>) -> bool {
    let course = course(&search.plan);
    let ended = search.accept(without_the_rest(&search.plan, &course));
    let before = search.plan.clone();
    search.accept(fixed(&search.plan, &course));
    let cut = units::cut(search);
    if !cut {
        search.plan = before;
    }
    ended || cut
}

/// Runs a plan and looks when what happens.
fn course(plan: &Plan) -> Course {
    let calls = plan
        .agents
        .iter()
        .map(|agent| vec![None; agent.calls.len()]);
    let mut course = Course {
        calls: calls.collect(),
        faults: BTreeSet::new(),
    };
    let mut world = World::new(plan, true);
    let mut known = 0;
    while world.advance() {
        for record in &world.records()[known..] {
            course.note(record, plan, &world);
        }
        known = world.records().len();
    }
    course
}

impl Course {
    fn note(&mut self, record: &Record, plan: &Plan, world: &World<'_>) {
        match record.kind {
            Kind::Turn => {
                let agent = usize::from(record.who);
                let left = world.calls_left(agent);
                let made = made(plan, agent);
                let at = made.len().checked_sub(left).and_then(|at| made.get(at));
                if let Some(at) = at {
                    self.calls[agent][*at].get_or_insert(record.at_ns);
                }
            }
            Kind::Fault => self.faults.extend(usize::try_from(record.detail)),
            _ => {}
        }
    }
}

/// The calls that an agent makes: who hoards returns nothing.
fn made(plan: &Plan, agent: usize) -> Vec<usize> {
    let agent = &plan.agents[agent];
    let hoards = agent.manner == Manner::Hoarding;
    let calls = agent.calls.iter().enumerate();
    let made = calls.filter(|(_, call)| !hoards || call.action != Action::Release);
    made.map(|(at, _)| at).collect()
}

/// The plan without what came after the end of its run.
fn without_the_rest(plan: &Plan, course: &Course) -> Plan {
    let mut plan = plan.clone();
    for (agent, made) in plan.agents.iter_mut().zip(&course.calls) {
        let last = made.iter().rposition(Option::is_some);
        agent.calls.truncate(last.map_or(0, |last| last + 1));
    }
    let mut index = 0..;
    plan.faults.retain(|_| {
        index
            .next()
            .is_some_and(|index| course.faults.contains(&index))
    });
    plan
}

/// The plan with its calls fixed to their instants. What an agent thinks before
/// a call ends within the same millisecond.
fn fixed(plan: &Plan, course: &Course) -> Plan {
    let mut plan = plan.clone();
    for (agent, made) in plan.agents.iter_mut().zip(&course.calls) {
        for (call, at_ns) in agent.calls.iter_mut().zip(made) {
            call.at_ms = at_ns.map_or(call.at_ms, |at_ns| at_ns / NS_PER_MS);
        }
    }
    plan
}
