//! Every field of a scenario counts.
//!
//! Owns: that changing any leaf of a full scenario changes the plan that is
//! drawn, or what is expected of its run. Leaves to others: what each means.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use std::collections::BTreeSet;

use maasl_sim::draw;
use maasl_sim::promise::Promise;
use maasl_sim::scenario::{self, Scenario};
use maasl_sim::tell::tell;
use maasl_sim::world::{Finished, World};
use toml::Value;

const FULL: &str = include_str!("full.toml");

/// Words that may stand in the place of others.
const WORDS: [&str; 24] = [
    "I3",
    "I2",
    "p0",
    "p1",
    "p1-a0",
    "d0/f1.txt",
    "d0",
    "any",
    "swap",
    "acquire",
    "renew",
    "latch",
    "stage",
    "before",
    "after",
    "inside",
    "request",
    "command",
    "response",
    "bell",
    "hoarding",
    "other",
    "suspend",
    "unlink",
];

/// Leaves for which no other value can be right here: what is asked of them is
/// that another one is refused.
const BOUND: [&str; 4] = ["schema_version", "promises", "kind", "do"];

#[derive(Clone, Debug)]
enum Step {
    Field(String),
    Item(usize),
}

fn leaves(value: &Value, way: &mut Vec<Step>, into: &mut Vec<Vec<Step>>) {
    match value {
        Value::Table(fields) => {
            for (name, inner) in fields {
                way.push(Step::Field(name.clone()));
                leaves(inner, way, into);
                way.pop();
            }
        }
        Value::Array(items) => {
            for (index, inner) in items.iter().enumerate() {
                way.push(Step::Item(index));
                leaves(inner, way, into);
                way.pop();
            }
        }
        _ => into.push(way.clone()),
    }
}

fn at<'v>(root: &'v mut Value, way: &[Step]) -> &'v mut Value {
    way.iter().fold(root, |value, step| match step {
        Step::Field(name) => value.get_mut(name.as_str()).unwrap(),
        Step::Item(index) => value.get_mut(*index).unwrap(),
    })
}

fn others(leaf: &Value) -> Vec<Value> {
    match leaf {
        Value::Integer(number) => {
            let numbers = [number + 1, number - 1, 0, 500, number * 2, number * 3 + 7];
            let others = numbers.into_iter().filter(|other| other != number);
            others.map(Value::Integer).collect()
        }
        Value::Boolean(truth) => vec![Value::Boolean(!truth)],
        Value::String(text) => {
            let others = WORDS.iter().filter(|other| *other != text);
            others.map(|other| Value::String((*other).into())).collect()
        }
        other => panic!("no scenario holds {other:?}"),
    }
}

/// What counts: the plans of some seeds, and what is said of some runs.
fn what_counts(scenario: &Scenario, runs: &[Finished]) -> String {
    let plans = (0..8).map(|seed| draw::plan(scenario, seed).to_toml().unwrap());
    let missed = runs
        .iter()
        .map(|run| scenario.expect.missed(run).join("\n"));
    let never = scenario.expect.never_reached(&BTreeSet::new()).join("\n");
    plans.chain(missed).chain([never]).collect()
}

/// Runs of all sorts.
fn runs() -> Vec<Finished> {
    let scenario = scenario::parse("full", FULL).unwrap();
    let mut plan = draw::plan(&scenario, 0);
    plan.faults.clear();
    let runs = (0..8_u64).map(|calls| {
        let mut run = World::new(&plan, false).run();
        run.successful_calls = calls;
        run.breach = (calls >= 6).then(|| maasl_sim::checks::Breach {
            promise: [Promise::I1, Promise::I2][usize::from(calls == 7)],
            site: "here",
            message: String::new(),
        });
        run
    });
    runs.collect()
}

#[test]
fn every_leaf_counts() {
    let root: Value = toml::from_str(FULL).unwrap();
    let mut ways = Vec::new();
    leaves(&root, &mut Vec::new(), &mut ways);
    assert!(ways.len() > 200, "{} leaves", ways.len());
    let runs = runs();
    let scenario = scenario::parse("full", FULL).unwrap();
    let before = what_counts(&scenario, &runs);
    let told = tell(&scenario);
    for way in ways {
        let name = way.iter().rev().find_map(|step| match step {
            Step::Field(name) => Some(name.as_str()),
            Step::Item(_) => None,
        });
        let name = name.unwrap();
        let mut refused = 0;
        let counts = others(at(&mut root.clone(), &way))
            .into_iter()
            .any(|other| {
                let mut changed = root.clone();
                *at(&mut changed, &way) = other;
                let text = toml::to_string(&changed).unwrap();
                let Ok(scenario) = scenario::parse("changed", &text) else {
                    refused += 1;
                    return false;
                };
                if matches!(name, "story" | "source") {
                    return tell(&scenario) != told;
                }
                what_counts(&scenario, &runs) != before
            });
        let bound = refused > 0 && BOUND.contains(&name);
        assert!(counts || bound, "nothing consumes {way:?}");
    }
}

/// The scenario is full: it has every field that the schema knows.
#[test]
fn the_full_scenario_has_every_field() {
    fn names(schema: &serde_json::Value, into: &mut BTreeSet<String>) {
        match schema {
            serde_json::Value::Object(fields) => {
                if let Some(properties) = fields.get("properties") {
                    into.extend(properties.as_object().unwrap().keys().cloned());
                }
                fields.values().for_each(|inner| names(inner, into));
            }
            serde_json::Value::Array(items) => items.iter().for_each(|inner| names(inner, into)),
            _ => {}
        }
    }
    let mut known = BTreeSet::new();
    names(&scenario::schema(), &mut known);
    let mut ways = Vec::new();
    let root: Value = toml::from_str(FULL).unwrap();
    leaves(&root, &mut Vec::new(), &mut ways);
    let there: BTreeSet<String> = ways
        .into_iter()
        .flatten()
        .filter_map(|step| match step {
            Step::Field(name) => Some(name),
            Step::Item(_) => None,
        })
        .collect();
    let missing: Vec<&String> = known.difference(&there).collect();
    assert!(missing.is_empty(), "the full scenario lacks {missing:?}");
}
