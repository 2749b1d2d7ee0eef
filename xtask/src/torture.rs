//! Real servers under attack.
//!
//! Owns: `cargo xtask torture`: which build is attacked, for how long, by how
//! many. Promises: in every check of a change a minute of it, with one seed; by
//! itself as long as is asked for. Leaves to others: the attack and the verdict
//! (`maasl-torture`).

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::checks;
use crate::steps::{Outcome, Step};
use crate::workspace::{Workspace, run};

/// A minute of it, on the build that the tests use.
pub(crate) const SLICE: Step = Step {
    name: "torture",
    run: slice,
};

/// What to attack, and how.
#[derive(Clone, clap::Args)]
pub(crate) struct Attack {
    /// How long faults go on, in minutes
    #[arg(long, value_name = "M")]
    minutes: Option<u64>,
    /// The same in seconds
    #[arg(long, value_name = "S", conflicts_with = "minutes")]
    seconds: Option<u64>,
    /// What decides the faults and the calls
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// How many agents work
    #[arg(long, value_name = "K", default_value_t = 5)]
    agents: u64,
    /// Never delete the state or put an old copy back
    #[arg(long)]
    leave_state: bool,
    /// Attack the program that ships, and not the build of the tests
    #[arg(long)]
    release: bool,
    /// Attack both builds side by side
    #[arg(long, conflicts_with = "release")]
    both: bool,
    /// Attack a program of another version beside it
    #[arg(long, value_name = "FILE")]
    beside: Vec<PathBuf>,
    /// Faults that are not to come: full-disk, io-errors, read-only-calls,
    /// read-only-disk, clocks
    #[arg(long, value_name = "FAULT")]
    without: Vec<String>,
}

/// The slice that every change must stand.
const CHECKED: Attack = Attack {
    minutes: None,
    seconds: None,
    seed: 1,
    agents: 5,
    leave_state: false,
    release: false,
    both: false,
    beside: Vec::new(),
    without: Vec::new(),
};

fn slice(workspace: &Workspace) -> Outcome {
    attack(workspace, &CHECKED)
}

/// Builds what is needed, attacks it, and says what came of it.
pub(crate) fn attack(workspace: &Workspace, how: &Attack) -> Outcome {
    let mut built = checks::build_tests(workspace);
    if how.release || how.both {
        built = built.and(|| run(workspace.cargo(&["build", "--release", "-p", "maasl-mcp"])));
    }
    built.and(|| run(command(workspace, how)))
}

fn command(workspace: &Workspace, how: &Attack) -> Command {
    let mut command = Command::new(workspace.program("debug", "maasl-torture"));
    let seconds = how.seconds.unwrap_or(60 * how.minutes.unwrap_or(1));
    for (name, value) in [
        ("--seconds", seconds),
        ("--seed", how.seed),
        ("--agents", how.agents),
    ] {
        command.arg(name).arg(value.to_string());
    }
    if how.leave_state {
        command.arg("--leave-state");
    }
    if !how.release {
        command
            .arg("--program")
            .arg(workspace.program("debug", "maasl"));
    }
    if how.release || how.both {
        command
            .arg("--program")
            .arg(workspace.program("release", "maasl"));
    }
    for beside in &how.beside {
        command.arg("--beside").arg(beside);
    }
    for fault in &how.without {
        command.arg("--without").arg(fault);
    }
    command.current_dir(workspace.root()).stdin(Stdio::null());
    command
}
