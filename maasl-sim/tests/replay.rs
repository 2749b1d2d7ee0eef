//! A trace runs again as it ran, and a difference is found where it is.

use maasl_sim::difference::compare;
use maasl_sim::plan::Plan;
use maasl_sim::record::Kind;
use maasl_sim::replay::{Replayed, replay, state_after};
use maasl_sim::trace::Trace;
use maasl_sim::world::World;

fn plan() -> Plan {
    toml::from_str(include_str!("plans/contended.toml")).expect("a plan")
}

fn trace_of(plan: &Plan) -> Trace {
    let finished = World::new(plan, true).run();
    let trace = Trace::of(plan, &finished);
    let written = trace.and_then(|trace| trace.to_bytes());
    let read = written.and_then(|bytes| Trace::from_bytes(&bytes));
    read.expect("a trace as it was written")
}

#[test]
fn a_trace_runs_again_as_it_ran() {
    let trace = trace_of(&plan());
    assert_eq!(replay(&trace), Replayed::Same(trace.verdict.clone()));
}

#[test]
fn an_edited_record_is_found_at_its_place_with_what_led_there() {
    let original = trace_of(&plan());
    for index in [0, 1, 17, original.len() / 2, original.len() - 1] {
        let mut trace = original.clone();
        let mut entry = original.entry(index).unwrap();
        entry.detail ^= 0x100;
        entry.at_ns += 1_000;
        trace.replace(index, &entry);
        let Replayed::Differs(difference) = replay(&trace) else {
            panic!("the edit of record {index} was not noticed");
        };
        assert_eq!(difference.index, index);
        assert_ne!(difference.expected, difference.actual);
        assert!(difference.expected.is_some() && difference.actual.is_some());
        assert_eq!(difference.led_there.len(), index.min(12));
    }
}

#[test]
fn a_trace_with_too_many_or_too_few_records_is_noticed_at_its_end() {
    let original = trace_of(&plan());
    let mut longer = original.clone();
    longer.append(&original.entry(3).unwrap());
    let Replayed::Differs(difference) = replay(&longer) else {
        panic!("a record too many was not noticed");
    };
    assert_eq!(difference.index, original.len());
    assert_eq!(difference.actual, None);
    let shorter = original.shortened(10);
    let Replayed::Differs(difference) = replay(&shorter) else {
        panic!("a record too few was not noticed");
    };
    assert_eq!((difference.index, difference.expected), (10, None));
}

#[test]
fn another_verdict_is_noticed_though_all_records_are_the_same() {
    let mut trace = trace_of(&plan());
    trace.verdict.message = Some("something else".into());
    assert!(matches!(replay(&trace), Replayed::OtherVerdict { .. }));
}

#[test]
fn the_state_after_a_record_shows_who_holds_and_who_waits() {
    let plan = plan();
    let trace = trace_of(&plan);
    let mut entries = trace.entries();
    let queued = entries.position(|entry| {
        entry.kind == Kind::Command && entry.label == "acquire" && entry.detail & 0xff == 4
    });
    let state = state_after(&plan, queued.unwrap() + 1);
    assert_eq!(state.records, queued.unwrap() as u64 + 1);
    assert_eq!(state.leases.len(), 1);
    assert_eq!(state.leases[0].agent, "bob");
    assert_eq!(state.leases[0].resources, ["code:a.txt"]);
    assert_eq!(state.waiters.len(), 1);
    assert_eq!(state.waiters[0].agent, "ann");
    assert_eq!(state.files[0], ("a.txt".into(), "start\n".into()));
    let believer = &state.processes[1];
    assert_eq!(believer.name, "west");
    assert_eq!(believer.believes[0].token, state.leases[0].token);
    let shown = state.to_string();
    assert!(
        shown.contains("ann through east-1 for code:a.txt"),
        "{shown}"
    );
}

#[test]
fn the_difference_of_two_traces_says_who_fared_differently() {
    let with = trace_of(&plan());
    let mut plan = plan();
    plan.agents.remove(1);
    let without = trace_of(&plan);
    assert!(compare(&with, &with).is_same());
    let compared = compare(&with, &without);
    let first = compared.first.unwrap();
    assert!(first.lines[0].as_ref().unwrap().contains("bob"));
    let ann = &compared.agents["ann"];
    assert_eq!(ann[0].told["stale_version"], 1);
    assert!(!ann[1].told.contains_key("stale_version"));
    assert!(compared.agents["bob"][1].told.is_empty());
}
