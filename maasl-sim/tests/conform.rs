//! The simulated node and real servers are asked the same.
//!
//! Owns: that they answer alike in every scenario, and the list of what cannot be
//! compared. Leaves to others: asking and comparing (`maasl_sim::conform`).

#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use std::path::{Path, PathBuf};

use maasl_sim::conform::{self, Compared};
use maasl_sim::draw;
use maasl_sim::plan::Plan;
use maasl_sim::scenario;

/// The real program, which a build of the workspace puts beside this one's.
fn program() -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_maasl-sim")).with_file_name("maasl");
    assert!(
        program.is_file(),
        "{} is not there: build the whole workspace",
        program.display()
    );
    program
}

fn scenarios() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios");
    let entries = std::fs::read_dir(folder).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "toml")
    });
    paths.sort();
    paths
}

fn plan_of(path: &Path, seed: u64) -> Plan {
    let text = std::fs::read_to_string(path).unwrap();
    let scenario = scenario::parse(&path.display().to_string(), &text).unwrap();
    draw::plan(&scenario, seed)
}

fn compared(plan: &Plan) -> Result<Compared, String> {
    let compared = conform::conform(&conform::one_by_one(plan), &program());
    let compared = compared.map_err(|error| error.to_string())?;
    match compared.difference {
        Some(difference) => Err(difference.to_string()),
        None => Ok(compared),
    }
}

#[test]
fn the_calls_of_every_scenario_are_answered_alike() {
    let mut wrong = Vec::new();
    let mut calls = 0;
    for path in scenarios() {
        let plan = plan_of(&path, 0);
        let started = std::time::Instant::now();
        match compared(&plan) {
            Ok(compared) => {
                eprintln!(
                    "{} {} {:?}",
                    plan.scenario,
                    compared.calls,
                    started.elapsed()
                );
                calls += compared.calls;
            }
            Err(message) => wrong.push(format!("{}: {message}", plan.scenario)),
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of them\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(calls > 1_000, "only {calls} calls");
}
