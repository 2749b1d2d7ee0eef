//! A plan is cut down to what makes it do what it does.

use std::time::Duration;

use maasl_sim::plan::{FaultKind, Plan, Settings, When};
use maasl_sim::record::Kind;
use maasl_sim::shrink::{Budget, NotMet, Story, Target, events, shrink};
use maasl_sim::world::World;

const BUDGET: Budget = Budget {
    runs_max: 20_000,
    time_max: Duration::from_secs(600),
};

fn contended() -> Plan {
    toml::from_str(include_str!("plans/contended.toml")).expect("a plan")
}

/// The plan ten times over, each time with other agents on the same files.
fn large() -> Plan {
    let mut plan = contended();
    let once = plan.agents.clone();
    for time in 1..10 {
        for agent in &once {
            let mut agent = agent.clone();
            agent.name = format!("{}{time}", agent.name);
            plan.agents.push(agent);
        }
    }
    plan
}

fn is_told(plan: &Plan, code: &str) -> bool {
    let kept = World::new(plan, true).run().kept;
    let mut answers = kept.iter().filter(|record| record.kind == Kind::Answer);
    answers.any(|answer| answer.label == code)
}

#[test]
fn what_is_left_is_small_valid_and_shows_the_same() {
    let target = Target::Answer("stale_version".into());
    for plan in [contended(), large()] {
        let shrunk = shrink(&plan, &target, BUDGET).unwrap();
        assert!(shrunk.is_minimal);
        assert_eq!(shrunk.events, [events(&plan), 2]);
        assert_eq!(shrunk.plan.validate(), Ok(()));
        assert!(is_told(&shrunk.plan, "stale_version"));
        assert_eq!(shrunk.plan.files.len(), 1);
        assert_eq!(shrunk.plan.settings, Settings::default());
        assert_eq!(shrunk.plan.timing.effect_us.len(), 1);
        let again = shrink(&plan, &target, BUDGET).unwrap();
        assert_eq!(again.plan, shrunk.plan);
    }
}

#[test]
fn nothing_that_is_left_can_be_taken_out() {
    let target = Target::Answer("lease_lost".into());
    let shrunk = shrink(&contended(), &target, BUDGET).unwrap();
    assert!(shrunk.is_minimal);
    let plan = shrunk.plan;
    for agent in 0..plan.agents.len() {
        for call in 0..plan.agents[agent].calls.len() {
            let mut less = plan.clone();
            less.agents[agent].calls.remove(call);
            assert!(!is_told(&less, "lease_lost"), "call {call} of {agent}");
        }
    }
    assert!(!plan.faults.is_empty(), "no lease is lost without a pause");
    for fault in 0..plan.faults.len() {
        let mut less = plan.clone();
        less.faults.remove(fault);
        assert!(!is_told(&less, "lease_lost"), "fault {fault}");
    }
}

#[test]
fn faults_come_to_strike_at_steps_and_last_round_times() {
    let mut plan = contended();
    let target = Target::Answer("lease_lost".into());
    plan.faults[0].when = When::At { at_ms: 29 };
    let shrunk = shrink(&plan, &target, BUDGET).unwrap();
    let pause = &shrunk.plan.faults[0];
    assert!(matches!(pause.when, When::Point(_)), "{pause}");
    let FaultKind::Pause { for_ms, .. } = pause.what else {
        panic!("another fault is left: {pause}");
    };
    assert!([1, 10, 100, 1_000, 10_000].contains(&for_ms), "{for_ms}");
}

#[test]
fn a_budget_is_kept() {
    let target = Target::Answer("stale_version".into());
    let budget = Budget {
        runs_max: 7,
        ..BUDGET
    };
    let shrunk = shrink(&large(), &target, budget).unwrap();
    assert_eq!((shrunk.runs, shrunk.is_minimal), (7, false));
    assert!(is_told(&shrunk.plan, "stale_version"));
}

#[test]
fn a_plan_that_does_not_fail_is_left_alone() {
    let plan = contended();
    assert_eq!(Target::of(&plan), None);
    let target = Target::Answer("deadlock".into());
    assert_eq!(shrink(&plan, &target, BUDGET), Err(NotMet(target)));
}

/// The file in `regressions` was written so; that it compiles there shows that
/// the form is right.
#[test]
fn the_regression_test_is_the_one_in_the_folder() {
    let target = Target::Answer("stale_version".into());
    let shrunk = shrink(&contended(), &target, BUDGET).unwrap();
    let story = Story::of(&shrunk.plan, &target).unwrap();
    assert_eq!(story.test, include_str!("regressions/stale_write.rs"));
    assert_eq!(story.trace.plan, shrunk.plan);
    assert_eq!(toml::from_str(&story.plan_text), Ok(shrunk.plan));
}

#[test]
fn a_shrunk_scenario_is_told_in_its_own_names_and_shows_the_same() {
    let scenario = include_str!("../../scenarios/frozen-clock.toml");
    let scenario = maasl_sim::scenario::parse("frozen-clock.toml", scenario).unwrap();
    let target = Target::Answer("lease_lost".into());
    let mut plans = (0..20).map(|seed| maasl_sim::draw::plan(&scenario, seed));
    let plan = plans.find(|plan| is_told(plan, "lease_lost")).unwrap();
    let shrunk = shrink(&plan, &target, BUDGET).unwrap();
    assert!(shrunk.events[1] <= 4, "{:?}", shrunk.events);
    let story = Story::of(&shrunk.plan, &target).unwrap();
    let (text, seed) = story.scenario.unwrap();
    let least = maasl_sim::scenario::parse("shrunk.toml", &text).unwrap();
    assert!(is_told(&maasl_sim::draw::plan(&least, seed), "lease_lost"));
    assert!(
        least.story.contains("p0-a0, served by p0, means to"),
        "{text}"
    );
}

#[test]
fn a_plan_that_no_scenario_comes_to_stays_a_plan() {
    let mut plan = contended();
    plan.files[0].content = "ann 1\nbob 1\n".into();
    let story = Story::of(&plan, &Target::Answer("no such code".into())).unwrap();
    assert_eq!(story.scenario, None);
}
