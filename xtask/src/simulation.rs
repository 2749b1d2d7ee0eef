//! A slice of what the simulator can do, in every check of a change.
//!
//! Owns: `cargo xtask simulate`: which scenarios, how many seeds, in which
//! builds. Promises: bounded, so that a change does not wait for minutes; the
//! same seeds every time. Leaves to others: the runs themselves (`maasl-sim`),
//! and planted bugs (`checks`).

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::checks;
use crate::steps::{Outcome, Step};
use crate::workspace::{Workspace, run};

pub(crate) const BUILD: Step = Step {
    name: "simulate: build",
    run: build,
};
pub(crate) const CAMPAIGN: Step = Step {
    name: "simulate: campaign",
    run: campaign,
};
pub(crate) const DETERMINISM: Step = Step {
    name: "simulate: determinism",
    run: determinism,
};

/// The program that simulates.
const SIMULATOR: &str = "maasl-sim";

/// Quicker to compile than what ships: compiling is most of a check.
const OPTIMISED: &str = "slice";

/// A campaign of some seconds on two cores.
const SEEDS: &str = "0..150";

/// Every seed runs in two processes, one of them not optimised.
const TWICE: &str = "0..25";

/// The unoptimised build is the one that the tests use: built by itself, cargo
/// would choose other features of the libraries and compile everything again.
fn build(workspace: &Workspace) -> Outcome {
    let quick = run(workspace.cargo(&["build", "--profile", OPTIMISED, "-p", "maasl-sim"]));
    quick.and(|| checks::build_tests(workspace))
}

fn campaign(workspace: &Workspace) -> Outcome {
    match scenarios(workspace) {
        Ok(files) => {
            let mut command = simulator(workspace, OPTIMISED);
            command.arg("campaign").args(files).args(["--seeds", SEEDS]);
            run(command)
        }
        Err(error) => Outcome::Failed(format!("scenarios: {error}")),
    }
}

fn determinism(workspace: &Workspace) -> Outcome {
    let mut command = simulator(workspace, OPTIMISED);
    command
        .args(["check-determinism", "scenarios/five-agents.toml"])
        .args(["--seeds", TWICE, "--other"])
        .arg(workspace.program("debug", SIMULATOR));
    run(command)
}

fn simulator(workspace: &Workspace, profile: &str) -> Command {
    let mut command = Command::new(workspace.program(profile, SIMULATOR));
    command.current_dir(workspace.root()).stdin(Stdio::null());
    command
}

/// Every scenario, those of old failures too, in order.
fn scenarios(workspace: &Workspace) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for folder in ["scenarios", "scenarios/regressions"] {
        for entry in std::fs::read_dir(workspace.root().join(folder))? {
            let name = PathBuf::from(entry?.file_name());
            if name
                .extension()
                .is_some_and(|extension| extension == "toml")
            {
                files.push(PathBuf::from(folder).join(name));
            }
        }
    }
    files.sort();
    Ok(files)
}
