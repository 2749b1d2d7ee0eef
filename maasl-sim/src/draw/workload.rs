//! Drawing what agents do.
//!
//! Owns: the calls of agents and how they take a refusal. Promises: every call
//! has streams of its own, one for what it asks for and one for how; more calls
//! leave the first as they were. Leaves to others: carrying them out (`world`).

use maasl_core::database::RAG;

use super::names::Names;
use super::value::{draw_value, index};
use crate::plan::{Action, Call, GraphChange, GraphEdit, Manner, Together};
use crate::rng::Stream;
use crate::scenario::{Loose, Mix, Scenario, Topology, Workload};

/// Over how long agents begin their calls in quiet: short enough to meet.
const QUIET_SPREAD_MS: u64 = 20;

/// What a call is about, before its files are drawn.
#[derive(Clone, Copy, Debug)]
pub(crate) enum About {
    Read,
    Write,
    Edit,
    Create,
    Move,
    Delete,
    Refactor,
    Restore,
    DbWrite,
    Docgen,
    Transact,
    Reserve,
    Renew,
    Release,
    Revoke,
    Recover,
    GraphPatch,
    GraphQuery,
    GraphCompact,
}

/// The weights of a mix.
pub(crate) fn mix_weights(mix: &Mix) -> [(u32, About); 19] {
    [
        (mix.read, About::Read),
        (mix.write, About::Write),
        (mix.edit, About::Edit),
        (mix.create, About::Create),
        (mix.move_, About::Move),
        (mix.delete, About::Delete),
        (mix.refactor, About::Refactor),
        (mix.restore, About::Restore),
        (mix.db_write, About::DbWrite),
        (mix.docgen, About::Docgen),
        (mix.transact, About::Transact),
        (mix.reserve, About::Reserve),
        (mix.renew, About::Renew),
        (mix.release, About::Release),
        (mix.revoke, About::Revoke),
        (mix.recover, About::Recover),
        (mix.graph_patch, About::GraphPatch),
        (mix.graph_query, About::GraphQuery),
        (mix.graph_compact, About::GraphCompact),
    ]
}

/// The weights of manners.
pub(crate) fn manner_weights(topology: &Topology) -> [(u32, Manner); 4] {
    let manners = &topology.manners;
    [
        (manners.sensible, Manner::Sensible),
        (manners.stubborn, Manner::Stubborn),
        (manners.repeating, Manner::Repeating),
        (manners.hoarding, Manner::Hoarding),
    ]
}

pub(super) fn manner(scenario: &Scenario, seed: u64, agent: &str) -> Manner {
    let mut stream = Stream::of(seed, &["manner", agent]);
    weighted(&manner_weights(&scenario.topology), &mut stream)
}

/// The calls that a script tells.
pub(super) fn told(calls: &[Loose<Call>], names: &Names, seed: u64, agent: &str) -> Vec<Call> {
    let calls = calls.iter().enumerate();
    let calls = calls.map(|(index, call)| {
        let index = index.to_string();
        draw_value(call, names, seed, &["told", agent, &index])
    });
    calls.collect()
}

/// The calls of an agent of which nobody says more.
pub(super) fn drawn(scenario: &Scenario, names: &Names, seed: u64, agent: &str) -> Vec<Call> {
    let work = &scenario.workload;
    let count = work
        .calls_per_agent
        .draw(&mut Stream::of(seed, &["calls", agent]));
    let calls = (0..count).map(|index| {
        let index = index.to_string();
        let mut what = Stream::of(seed, &["action", agent, &index]);
        let mut how = Stream::of(seed, &["call", agent, &index]);
        call(work, action(work, names, &mut what), &mut how)
    });
    calls.collect()
}

/// The calls of an agent, whoever says what it does before, once nothing goes wrong
/// any more: only then can it be judged whether who waits is served.
pub(super) fn in_quiet(
    scenario: &Scenario,
    names: &Names,
    (seed, from_ms): (u64, u64),
    agent: &str,
) -> Vec<Call> {
    let work = &scenario.workload;
    if !can_draw(work, names) {
        return Vec::new();
    }
    let count = work
        .quiet_calls
        .draw(&mut Stream::of(seed, &["quiet calls", agent]));
    let calls = (0..count).map(|index| {
        let index = index.to_string();
        let mut what = Stream::of(seed, &["quiet action", agent, &index]);
        let mut how = Stream::of(seed, &["quiet call", agent, &index]);
        let drawn = call(work, action(work, names, &mut what), &mut how);
        Call {
            at_ms: from_ms + how.below(QUIET_SPREAD_MS),
            think_us: 0,
            cancel_after_ms: None,
            ..drawn
        }
    });
    calls.collect()
}

/// Whether the mix can be drawn from, where no call before the quiet needs it.
fn can_draw(work: &Workload, names: &Names) -> bool {
    let weights = mix_weights(&work.mix);
    let needs_free = work.mix.create > 0 || work.mix.move_ > 0;
    weights.iter().any(|(weight, _)| *weight > 0)
        && !names.files.is_empty()
        && !(needs_free && names.free.is_empty())
}

/// Everything is drawn whether it is used or not, so that changing one share
/// leaves the others as they were.
fn call(work: &Workload, action: Action, how: &mut Stream) -> Call {
    let think_us = work.think_us.draw(how);
    let keyed = work.keyed_permille.draw(how);
    let under_lease = work.under_lease_permille.draw(how);
    let batch = work.batch_permille.draw(how);
    let cancelled = work.cancelled_permille.draw(how);
    let cancel_after_ms = work.cancel_after_ms.draw(how);
    let patience_ms = work.patience_ms.draw(how);
    let attempts = work.attempts.draw(how);
    let max_wait_ms = work.max_wait_ms.map(|range| range.draw(how));
    let at_once = work.at_once_permille.draw(how);
    Call {
        think_us,
        keyed,
        under_lease,
        batch,
        cancel_after_ms: cancelled.then_some(cancel_after_ms),
        patience_ms,
        attempts,
        max_wait_ms: if at_once { Some(0) } else { max_wait_ms },
        ..Call::new(action)
    }
}

fn action(work: &Workload, names: &Names, what: &mut Stream) -> Action {
    let about = weighted(&mix_weights(&work.mix), what);
    let path = names.files[index(what, names.files.len())].clone();
    match about {
        About::Read => Action::Read { path },
        About::Write => Action::Write {
            path,
            merge: work.merge_permille.draw(what),
            from_memory: work.from_memory_permille.draw(what),
        },
        About::Edit => Action::Edit { path },
        About::Create => Action::Create {
            path: free(names, what),
        },
        About::Move => move_of(path, work, names, what),
        About::Delete => Action::Delete { path },
        About::Refactor => Action::Refactor {
            paths: several(&names.files, work.refactor_files.draw(what), what),
        },
        About::Restore => Action::Restore { path },
        About::DbWrite => Action::DbWrite {
            db: RAG.to_owned(),
            rows: work.db_rows.draw(what),
        },
        About::Docgen => Action::Docgen { path },
        About::Transact => Action::Transact(together(work, names, what)),
        About::Reserve => reserve(work, names, what),
        About::Renew => Action::Renew,
        About::Release => Action::Release,
        About::Revoke => Action::Revoke { path },
        About::Recover => Action::Recover,
        About::GraphPatch => Action::GraphPatch(graph_edit(work, what)),
        About::GraphQuery => Action::GraphQuery,
        About::GraphCompact => Action::GraphCompact,
    }
}

/// A move of a file to a free name, or back from there.
fn move_of(file: String, work: &Workload, names: &Names, what: &mut Stream) -> Action {
    let free = free(names, what);
    let blind = work.move_blind_permille.draw(what);
    let (path, to) = if work.move_back_permille.draw(what) {
        (free, file)
    } else {
        (file, free)
    };
    Action::Move { path, to, blind }
}

fn together(work: &Workload, names: &Names, what: &mut Stream) -> Together {
    Together {
        paths: several(&names.files, work.refactor_files.draw(what), what),
        db: RAG.to_owned(),
        rows: work.db_rows.draw(what),
        documents: several(&names.files, work.transact_documents.draw(what), what),
        patch: work
            .transact_patch_permille
            .draw(what)
            .then(|| graph_edit(work, what)),
    }
}

fn graph_edit(work: &Workload, what: &mut Stream) -> GraphEdit {
    let nodes = usize::try_from(work.graph_nodes.draw(what)).unwrap_or(1);
    let mut node = || u32::try_from(index(what, nodes)).unwrap_or(0);
    let (node, other) = (node(), node());
    GraphEdit {
        change: CHANGES[index(what, CHANGES.len())],
        node,
        other,
        blind: work.graph_blind_permille.draw(what),
    }
}

/// What patches do; those that add come twice, so that there is something to remove.
const CHANGES: [GraphChange; 9] = [
    GraphChange::Add,
    GraphChange::Add,
    GraphChange::Set,
    GraphChange::Set,
    GraphChange::Clear,
    GraphChange::Link,
    GraphChange::Link,
    GraphChange::Unlink,
    GraphChange::Remove,
];

fn reserve(work: &Workload, names: &Names, what: &mut Stream) -> Action {
    let reservations = &work.reservations;
    let subtree = reservations.subtree_permille.draw(what);
    let of = if subtree {
        &names.folders
    } else {
        &names.files
    };
    Action::Reserve {
        paths: several(of, reservations.files.draw(what), what),
        subtree,
        shared: reservations.shared_permille.draw(what),
        keep: reservations.keep_permille.draw(what),
        ttl_ms: reservations.ttl_ms.map(|range| range.draw(what)),
    }
}

fn free(names: &Names, what: &mut Stream) -> String {
    names.free[index(what, names.free.len())].clone()
}

/// Several different ones, as far as there are so many.
fn several(of: &[String], count: u32, what: &mut Stream) -> Vec<String> {
    let mut left = of.to_vec();
    let count = left.len().min(count as usize);
    (0..count)
        .map(|_| left.swap_remove(index(what, left.len())))
        .collect()
}

/// One of these, as likely as its weight says.
fn weighted<T: Copy>(choices: &[(u32, T)], stream: &mut Stream) -> T {
    let total = choices.iter().map(|(weight, _)| u64::from(*weight)).sum();
    let mut at = stream.below(total);
    for (weight, choice) in choices {
        match at.checked_sub(u64::from(*weight)) {
            Some(beyond) => at = beyond,
            None => return *choice,
        }
    }
    unreachable!("the draw lies below the sum of the weights")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::plan;
    use crate::scenario::{Permille, parse};

    fn calls(change: impl Fn(&mut Workload)) -> Vec<Call> {
        let text = "schema_version = 1\nname = \"draw\"\nstory = \"Moves.\"\n\
            [workload]\ncalls_per_agent = 40\nmix = { move = 1, edit = 1 }\n\
            max_wait_ms = { from = 1, to = 900 }\n";
        let mut scenario = parse("draw", text).unwrap();
        change(&mut scenario.workload);
        let agents = plan(&scenario, 7).agents.into_iter();
        agents.flat_map(|agent| agent.calls).collect()
    }

    /// The same but for what `alike` makes the same again.
    fn differ_only_in(
        change: impl Fn(&mut Workload),
        alike: impl Fn(&mut Call, &Call),
        changed: impl Fn(&Call) -> bool,
    ) {
        let (before, mut after) = (calls(|_| {}), calls(change));
        assert!(after.iter().any(changed));
        for (after, before) in after.iter_mut().zip(&before) {
            alike(after, before);
        }
        assert_eq!(after, before);
    }

    #[test]
    fn moves_back_are_the_same_moves_the_other_way() {
        let turned = |call: &mut Call, _: &Call| {
            if let Action::Move { path, to, .. } = &mut call.action {
                std::mem::swap(path, to);
            }
        };
        differ_only_in(
            |work| work.move_back_permille = Permille::always(),
            turned,
            |call| matches!(&call.action, Action::Move { path, .. } if path.contains("new")),
        );
    }

    #[test]
    fn other_shares_of_moves_and_waits_leave_all_else_as_it_was() {
        differ_only_in(
            |work| work.move_blind_permille = Permille(500),
            |call, _| {
                if let Action::Move { blind, .. } = &mut call.action {
                    *blind = false;
                }
            },
            |call| matches!(call.action, Action::Move { blind: true, .. }),
        );
        differ_only_in(
            |work| work.at_once_permille = Permille(500),
            |call, before| call.max_wait_ms = before.max_wait_ms,
            |call| call.max_wait_ms == Some(0),
        );
    }
}
