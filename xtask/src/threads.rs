//! The orders in which threads may take turns.
//!
//! Owns: building the models of `maasl-threads` and running them under loom.
//! Promises: a run in which no model was built is a failure. Leaves to others:
//! what is modelled, and how many orders are enough (the models).
//!
//! The flag is for this one crate: under it tokio has no sockets, and most of the
//! workspace does not build. The target directory is another one, since the flag
//! would otherwise build everything anew, back and forth.

use crate::steps::{Outcome, Step};
use crate::workspace::{Workspace, read, run};

pub(crate) const LOOM: Step = Step {
    name: "loom",
    run: loom,
};

const PACKAGE: [&str; 4] = ["-p", "maasl-threads", "--test", "loom"];

fn loom(workspace: &Workspace) -> Outcome {
    let list = ["test", "--quiet"];
    let listed = cargo(
        workspace,
        &[&list[..], &PACKAGE, &["--", "--list"]].concat(),
    );
    match read(listed) {
        Ok(list) if list.contains(": test") => {}
        Ok(_) => return Outcome::Failed("the models were not built".into()),
        Err(error) => return Outcome::Failed(error),
    }
    run(cargo(workspace, &[runner(workspace), &PACKAGE].concat()))
}

fn runner(workspace: &Workspace) -> &'static [&'static str] {
    if workspace.has_cargo_tool("nextest") {
        &["nextest", "run", "--no-fail-fast"]
    } else {
        &["test", "--no-fail-fast"]
    }
}

fn cargo(workspace: &Workspace, args: &[&str]) -> std::process::Command {
    let mut command = workspace.cargo(args);
    command
        .env("RUSTFLAGS", "--cfg loom")
        .env("CARGO_TARGET_DIR", workspace.target_dir().join("loom"));
    command
}
