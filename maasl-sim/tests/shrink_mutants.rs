//! A failure for which several agents must meet is cut down like any other.
//!
//! Owns: a long run in which a planted bug shows. Promises: what is left is short
//! and tells a story. Leaves to others: every other planted bug (`maasl-sim
//! mutants --shrink`).

use std::time::Duration;

use maasl_core::mutant::{Mutant, plant};
use maasl_sim::plan::Plan;
use maasl_sim::promise::Promise;
use maasl_sim::shrink::{Budget, Story, Target, events, shrink};

/// The bound on the time is the number of runs, which is the same everywhere.
const BUDGET: Budget = Budget {
    runs_max: 2_000,
    time_max: Duration::from_secs(600),
};

/// The first of these seeds shows the bug, as plans are drawn now.
const SEEDS: std::ops::Range<u64> = 187..500;

#[test]
fn a_circle_that_nobody_sees_is_cut_down_to_those_in_it() {
    plant(Some(Mutant::CircleNotSeen));
    let target = Target::Breach {
        promise: Promise::I7,
        site: "circle".into(),
    };
    let shows = |plan: &Plan| Target::of(plan).as_ref() == Some(&target);
    let plan = SEEDS.map(five_agents).find(shows);
    let plan = plan.expect("some seed shows it");
    assert!(events(&plan) > 100, "{}", events(&plan));
    let shrunk = shrink(&plan, &target, BUDGET).unwrap();
    assert!(shrunk.is_minimal);
    assert!(shrunk.events[1] <= 15, "{:?}", shrunk.events);
    let story = Story::of(&shrunk.plan, &target).unwrap();
    plant(None);
    assert!(story.plan_text.contains("I7 is broken (circle)"));
}

fn five_agents(seed: u64) -> Plan {
    let scenario = include_str!("../../scenarios/five-agents.toml");
    let scenario = maasl_sim::scenario::parse("five-agents.toml", scenario);
    let scenario = scenario.expect("a scenario of this form");
    maasl_sim::draw::plan(&scenario, seed)
}
