//! The command line of the simulator.
//!
//! Owns: the commands, their arguments and the exit codes. Promises: exit code 0
//! means that all promises held, 1 that one was broken, 2 that a judge could not
//! decide; 64 and above mean wrong usage or files. Leaves to others: what each
//! command does (the module of its name).

mod campaign;
mod check;
mod conform;
mod determinism;
mod diff;
mod explain;
mod input;
mod list;
#[cfg(feature = "mutants")]
mod mutants;
pub mod output;
mod plan;
mod replay;
mod run;
mod shrink;
mod timeline;
mod validate;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::output::Output;

/// Why a command came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The arguments make no sense together.
    #[error("{0}")]
    Usage(String),
    /// A file cannot be read, or does not hold what it should.
    #[error("{0}")]
    File(String),
    /// Something cannot be written.
    #[error("cannot write: {0}")]
    Io(#[from] std::io::Error),
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// All promises held.
    Held,
    /// A judge ran out of its budget.
    Undecided,
    /// A promise was broken.
    Broken,
}

#[derive(Debug, Parser)]
#[command(
    name = "maasl-sim",
    version,
    about = "Runs MAASL's decisions through faults"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run one scenario with one seed, or a plan
    Run(run::Arguments),
    /// Run many seeds of scenarios
    Campaign(campaign::Arguments),
    /// Run the same seeds in two processes and compare
    CheckDeterminism(determinism::Arguments),
    /// Print the digest of every seed
    #[command(hide = true)]
    Digests(determinism::DigestArguments),
    /// Run a trace again and compare, record by record
    Replay(replay::Arguments),
    /// Show where two traces part
    Diff(diff::Arguments),
    /// Cut a failing plan down to what makes it fail
    Shrink(shrink::Arguments),
    /// Show a trace as lanes over time
    Timeline(timeline::Arguments),
    /// Print the plan that a scenario and a seed come to
    Plan(plan::Arguments),
    /// Say whether scenario files can be used
    Validate(validate::Arguments),
    /// List the scenarios of a folder
    List(list::Arguments),
    /// Tell what a scenario is about, in plain words
    Explain(explain::Arguments),
    /// Plant each known bug and see which judge reports it
    #[cfg(feature = "mutants")]
    Mutants(mutants::Arguments),
    /// Judge a history recorded elsewhere
    Check(check::Arguments),
    /// Ask real servers what a scenario asks, and compare their answers
    Conform(conform::Arguments),
}

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let wrong = error.use_stderr();
            // Nothing is left to tell it to if this fails.
            let _ = error.print();
            return ExitCode::from(if wrong { 64 } else { 0 });
        }
    };
    let output = Output::standard();
    let done = match arguments.command {
        Command::Run(arguments) => run::run(&arguments, &output),
        Command::Campaign(arguments) => campaign::run(&arguments, &output),
        Command::CheckDeterminism(arguments) => determinism::check(&arguments, &output),
        Command::Digests(arguments) => determinism::digests(&arguments, &output),
        Command::Replay(arguments) => replay::run(&arguments, &output),
        Command::Diff(arguments) => diff::run(&arguments, &output),
        Command::Shrink(arguments) => shrink::run(&arguments, &output),
        Command::Timeline(arguments) => timeline::run(&arguments, &output),
        Command::Plan(arguments) => plan::run(&arguments, &output),
        Command::Validate(arguments) => validate::run(&arguments, &output),
        Command::List(arguments) => list::run(&arguments, &output),
        Command::Explain(arguments) => explain::run(&arguments, &output),
        #[cfg(feature = "mutants")]
        Command::Mutants(arguments) => mutants::run(&arguments, &output),
        Command::Check(arguments) => check::run(&arguments, &output),
        Command::Conform(arguments) => conform::run(&arguments, &output),
    };
    match done {
        Ok(Verdict::Held) => ExitCode::SUCCESS,
        Ok(Verdict::Broken) => ExitCode::from(1),
        Ok(Verdict::Undecided) => ExitCode::from(2),
        Err(error) => {
            output.complain(&error.to_string());
            ExitCode::from(match error {
                CliError::Usage(_) => 64,
                CliError::File(_) => 65,
                CliError::Io(_) => 74,
            })
        }
    }
}
