//! Programs of the system that steps cannot do without.
//!
//! Owns: finding out whether one is there, and installing it where that can be
//! done: on Debian and its kin, as root. Promises: a program that is missing and
//! cannot be had is named. Leaves to others: what a missing program means for a
//! step.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::steps::{Outcome, Step};
use crate::workspace::{Workspace, run};

/// The tests of power cuts record what a program asks of the kernel.
pub(crate) const STRACE: Step = Step {
    name: "needs: strace",
    run: strace,
};

fn strace(workspace: &Workspace) -> Outcome {
    needed(install(workspace, "strace", "strace"))
}

/// What a test needs and is not there lets the test fail, so it fails here first.
fn needed(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::NotRun(why) => Outcome::Failed(why),
        other => other,
    }
}

/// Installs a package unless its program is there.
pub(crate) fn install(workspace: &Workspace, program: &str, package: &str) -> Outcome {
    if answers(program, "--version") {
        return Outcome::Passed(format!("{program} is installed"));
    }
    if !is_root() {
        return Outcome::NotRun(format!("no {program}, and only root can install it"));
    }
    let mut install = Command::new("apt-get");
    install
        .args(["install", "--yes", "--no-install-recommends", package])
        .env("DEBIAN_FRONTEND", "noninteractive")
        .current_dir(workspace.root())
        .stdin(Stdio::null());
    run(install)
}

/// Whether a program is there and answers a simple question.
pub(crate) fn answers(program: &str, question: &str) -> bool {
    let mut command = Command::new(program);
    command.arg(question).stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata(Path::new("/proc/self")).is_ok_and(|own| own.uid() == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_test_needs_and_cannot_be_had_is_a_failure() {
        let missing = || "no strace, and only root can install it".to_owned();
        assert_eq!(
            needed(Outcome::NotRun(missing())),
            Outcome::Failed(missing())
        );
        let there = || Outcome::Passed("strace is installed".into());
        assert_eq!(needed(there()), there());
    }

    #[test]
    fn a_program_that_does_not_exist_does_not_answer() {
        assert!(!answers("no-such-program-here", "--version"));
    }
}
