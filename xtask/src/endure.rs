//! Real servers on a root that grows old.
//!
//! Owns: `cargo xtask endure`: which program works, how much, by how many.
//! Promises: the program that ships, unless another build is asked for. Leaves to
//! others: the work and the verdict (`maasl-torture endure`).

use std::process::{Command, Stdio};

use crate::checks;
use crate::steps::Outcome;
use crate::workspace::{Workspace, run};

/// What the steps call it.
pub(crate) const NAME: &str = "endure";

/// How long, and by whom.
#[derive(Clone, Copy, clap::Args)]
pub(crate) struct Run {
    /// How many calls are made
    #[arg(long, value_name = "N", default_value_t = 2_000_000)]
    operations: u64,
    /// What decides the calls
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// How many agents work, each with a server that stays alive
    #[arg(long, value_name = "K", default_value_t = 4)]
    agents: u64,
    /// Use the build of the tests, and not the program that ships
    #[arg(long)]
    debug: bool,
}

/// Builds what is needed, lets it work, and says what came of it.
pub(crate) fn endure(workspace: &Workspace, how: Run) -> Outcome {
    let built = if how.debug {
        checks::build_tests(workspace)
    } else {
        let programs = ["-p", "maasl-mcp", "-p", "maasl-torture"];
        run(workspace.cargo(&[&["build", "--release"][..], &programs].concat()))
    };
    built.and(|| run(command(workspace, how)))
}

fn command(workspace: &Workspace, how: Run) -> Command {
    let profile = if how.debug { "debug" } else { "release" };
    let mut command = Command::new(workspace.program(profile, "maasl-torture"));
    let program = workspace.program(profile, "maasl");
    command.arg("endure").arg("--program").arg(program);
    for (name, value) in [
        ("--operations", how.operations),
        ("--seed", how.seed),
        ("--agents", how.agents),
    ] {
        command.arg(name).arg(value.to_string());
    }
    let samples = workspace.target_dir().join("endure.jsonl");
    command.arg("--samples").arg(samples);
    command.current_dir(workspace.root()).stdin(Stdio::null());
    command
}
