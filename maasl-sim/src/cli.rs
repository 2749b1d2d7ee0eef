//! The command line of the simulator.
//!
//! Owns: the commands, their arguments and the exit codes. Promises: exit code 0
//! means that all promises held, 1 that one was broken, 2 that a judge could not
//! decide; 64 and above mean wrong usage or files. Leaves to others: what each
//! command does (the module of its name).

mod check;
mod input;
pub mod output;
mod run;

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
    /// Judge a history recorded elsewhere
    Check(check::Arguments),
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
        Command::Check(arguments) => check::run(&arguments, &output),
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
