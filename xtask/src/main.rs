//! The developer's automation: `cargo xtask …`.
//!
//! Owns: the list of subcommands and which steps each one runs. Promises: every
//! step of `ci` can be run alone under the same name, so a failure seen there is
//! one command away here. Leaves to others: running steps and reporting them
//! (`steps`), what a step does (`checks`, `purity`, `tidy`, `threads`,
//! `simulation`, `torture`, `endure`, `benches`), what the tests need (`needs`).
//!
//! Exit codes: 0, all that ran passed; 1, a step failed or none could run;
//! 2, the command line was not understood.

mod benches;
mod checks;
mod endure;
mod files;
mod needs;
mod output;
mod purity;
mod simulation;
mod steps;
mod threads;
mod tidy;
mod torture;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::steps::Step;
use crate::workspace::Workspace;

/// The developer's automation of MAASL.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    job: Job,
}

#[derive(Clone, Subcommand)]
enum Job {
    /// Run everything a change must pass: all the checks, then `test`
    Ci,
    /// Run the documentation examples, then every other test
    Test,
    /// Check the formatting (`cargo fmt` repairs it)
    Fmt,
    /// Run clippy over every target, warnings being errors
    Lint,
    /// Build the documentation, warnings being errors
    Doc,
    /// Check licences, sources, banned crates and known vulnerabilities with cargo-deny
    Deny,
    /// Prove that the core builds without the standard library and planted bugs
    Purity,
    /// Check the house rules that no other tool checks
    Tidy,
    /// Try the orders in which threads may take turns
    Loom,
    /// Plant every known bug and check that the simulator reports it
    Mutants,
    /// Run every scenario with some seeds, and some seeds twice
    Simulate,
    /// Attack real servers for some time, and judge what they answered
    Torture(torture::Attack),
    /// Work for long on one root, and judge whether memory, files and latency level off
    Endure(endure::Run),
    /// Run the benchmarks, and compare with peers in the same run
    Bench,
}

impl Job {
    fn steps(self) -> Vec<Step> {
        match self {
            Self::Ci => [checks_of_ci(), Self::Test.steps()].concat(),
            Self::Test => [
                vec![needs::STRACE, checks::DOCTESTS, checks::TESTS],
                Self::Loom.steps(),
                Self::Mutants.steps(),
                Self::Simulate.steps(),
                vec![torture::SLICE],
            ]
            .concat(),
            Self::Fmt => vec![checks::FMT],
            Self::Lint => vec![checks::LINT, checks::LINT_MUTANTS],
            Self::Doc => vec![checks::DOC],
            Self::Deny => vec![checks::DENY, checks::ADVISORIES],
            Self::Purity => vec![purity::FEATURES, purity::MUTANTS, purity::BUILD],
            Self::Tidy => vec![tidy::TIDY],
            Self::Loom => vec![threads::LOOM],
            Self::Mutants => vec![checks::MUTANTS],
            Self::Simulate => vec![
                simulation::BUILD,
                simulation::CAMPAIGN,
                simulation::DETERMINISM,
            ],
            Self::Torture(_) => vec![torture::SLICE],
            // It takes the better part of an hour: only on its own, see `main`.
            Self::Endure(_) => Vec::new(),
            Self::Bench => vec![
                benches::CRITERION,
                benches::REDIS,
                benches::FILESYSTEM_SERVER,
                benches::BUILD,
                benches::PING_TURMOIL,
                benches::PING_MADSIM,
                benches::COMPARE,
            ],
        }
    }
}

/// What `ci` runs before the tests, the quickest to fail first.
fn checks_of_ci() -> Vec<Step> {
    let jobs = [
        Job::Fmt,
        Job::Tidy,
        Job::Purity,
        Job::Deny,
        Job::Lint,
        Job::Doc,
    ];
    jobs.into_iter().flat_map(Job::steps).collect()
}

fn main() -> ExitCode {
    let job = Cli::parse().job;
    match Workspace::find() {
        Ok(workspace) => match job {
            Job::Torture(how) => {
                steps::run_one(torture::SLICE.name, || torture::attack(&workspace, &how))
            }
            Job::Endure(how) => steps::run_one(endure::NAME, || endure::endure(&workspace, how)),
            job => steps::run_all(&workspace, &job.steps()),
        },
        Err(fault) => {
            output::line(&format!("xtask: {fault}"));
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(job: Job) -> Vec<&'static str> {
        job.steps().iter().map(|step| step.name).collect()
    }

    #[test]
    fn the_command_line_is_well_formed() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn ci_ends_with_exactly_what_test_runs() {
        assert!(names(Job::Ci).ends_with(&names(Job::Test)));
    }

    #[test]
    fn ci_runs_every_check() {
        let ci = names(Job::Ci);
        for job in [
            Job::Fmt,
            Job::Lint,
            Job::Doc,
            Job::Deny,
            Job::Purity,
            Job::Tidy,
            Job::Loom,
            Job::Mutants,
        ] {
            for name in names(job) {
                assert!(ci.contains(&name), "ci leaves out {name}");
            }
        }
    }
}
