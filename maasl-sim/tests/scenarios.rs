//! The scenarios of the project, each with many seeds.
//!
//! Owns: that every scenario comes out as it says. Leaves to others: what a
//! scenario is (`maasl_sim::scenario`).

#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use maasl_sim::draw;
use maasl_sim::plan::Plan;
use maasl_sim::record::Kind;
use maasl_sim::scenario::steps::{COMMANDS, EFFECTS};
use maasl_sim::scenario::{self, Scenario};
use maasl_sim::world::World;

/// `cargo xtask simulate` runs more, in an optimised build.
const SEEDS: u64 = 20;

/// Scenarios with faults in which nobody ever waits in quiet.
const NOBODY_WAITS: [&str; 0] = [];

/// Scenarios that come out the same without their faults. In a race for documents a
/// lost message has its agent ask again, which short patience does anyway.
const SAME_WITHOUT: [&str; 1] = ["docgen-race"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios")
}

fn all() -> Vec<(String, Scenario)> {
    let entries = std::fs::read_dir(folder()).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "toml")
    });
    let read = paths.iter().map(|path| {
        let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(path).unwrap();
        assert!(
            text.starts_with("#:schema schema.json\n"),
            "{stem} names no schema"
        );
        (
            stem,
            scenario::parse(&path.display().to_string(), &text).unwrap(),
        )
    });
    read.collect()
}

/// What did not come out as the scenario says.
fn wrong_of(scenario: &Scenario) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut reached = BTreeSet::new();
    for seed in 0..SEEDS {
        let plan = draw::plan(scenario, seed);
        plan.validate().unwrap();
        let finished = World::new(&plan, false).run();
        reached.extend(finished.reached.iter().copied());
        for missed in scenario.expect.missed(&finished) {
            let breach = finished.breach.as_ref().map(ToString::to_string);
            wrong.push(format!(
                "{} seed {seed}: {missed} {breach:?}",
                scenario.name
            ));
        }
    }
    let is_judged = !scenario.faults.is_empty() && !NOBODY_WAITS.contains(&&*scenario.name);
    if is_judged && !reached.contains("waiter served in quiet") {
        wrong.push(format!("{}: nobody waits in quiet", scenario.name));
    }
    for name in scenario.expect.never_reached(&reached) {
        wrong.push(format!(
            "{}: no seed reached {name}; {reached:?}",
            scenario.name
        ));
    }
    wrong
}

#[test]
fn every_scenario_comes_out_as_it_says() {
    let scenarios = all();
    assert!(scenarios.len() >= 25, "{} scenarios", scenarios.len());
    let (some, others) = scenarios.split_at(scenarios.len() / 2);
    let wrong_of_all = |scenarios: &[(String, Scenario)]| {
        let wrong = scenarios
            .iter()
            .flat_map(|(_, scenario)| wrong_of(scenario));
        wrong.collect::<Vec<_>>()
    };
    let wrong = std::thread::scope(|scope| {
        let some = scope.spawn(|| wrong_of_all(some));
        [wrong_of_all(others), some.join().unwrap()].concat()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What a scenario expects of its faults does not come about without them.
#[test]
fn without_its_faults_a_scenario_misses_something() {
    let scenarios = all();
    let with_faults = scenarios.into_iter().filter(|(name, scenario)| {
        !scenario.faults.is_empty() && !SAME_WITHOUT.contains(&name.as_str())
    });
    let idle = with_faults.filter_map(|(name, mut scenario)| {
        scenario.faults.clear();
        let runs = (0..SEEDS).map(|seed| World::new(&draw::plan(&scenario, seed), false).run());
        let reached: BTreeSet<&str> = runs.flat_map(|run| run.reached).collect();
        let all_reached = scenario.expect.never_reached(&reached).is_empty();
        all_reached.then_some(name)
    });
    let idle: Vec<String> = idle.collect();
    assert!(idle.is_empty(), "{idle:?} expect nothing of their faults");
}

#[test]
fn a_scenario_is_called_as_its_file() {
    for (stem, scenario) in all() {
        assert_eq!(scenario.name, stem);
    }
}

/// The lists by which the names in faults are checked lack nothing that happens.
#[test]
fn every_step_that_happens_can_be_named() {
    let mut seen = [BTreeSet::new(), BTreeSet::new()];
    let telling = [
        "five-agents",
        "refactor-killed",
        "break-glass",
        "store-fails",
    ];
    for (_, scenario) in all()
        .iter()
        .filter(|(name, _)| telling.contains(&name.as_str()))
    {
        for seed in 0..5 {
            for record in World::new(&draw::plan(scenario, seed), true).run().kept {
                match record.kind {
                    Kind::Command => seen[0].insert(record.label),
                    Kind::Effect => seen[1].insert(record.label),
                    _ => continue,
                };
            }
        }
    }
    assert!(seen[0].len() > 8 && seen[1].len() > 10, "{seen:?}");
    assert!(
        seen[0].iter().all(|name| COMMANDS.contains(name)),
        "{seen:?}"
    );
    assert!(
        seen[1].iter().all(|name| EFFECTS.contains(name)),
        "{seen:?}"
    );
}

/// A printed plan is the plan: nothing of it is lost or made up on the way.
#[test]
fn a_printed_plan_runs_like_the_drawn_one() {
    for (name, scenario) in all() {
        for seed in [0, 1, 7, 4_242] {
            let plan = draw::plan(&scenario, seed);
            let read: Plan = toml::from_str(&plan.to_toml().unwrap()).unwrap();
            assert_eq!(read, plan, "{name} seed {seed}");
            let digests = [&plan, &read].map(|plan| World::new(plan, false).run().digest);
            assert_eq!(digests[0], digests[1], "{name} seed {seed}");
        }
    }
}
