//! `maasl-sim explain`: what a scenario is about.
//!
//! Owns: nothing but the command. Leaves to others: the words (`tell`).

use std::path::PathBuf;

use super::output::Output;
use super::{CliError, Verdict, input};
use crate::tell;

/// Arguments of `explain`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// A scenario
    scenario: PathBuf,
}

pub(super) fn run(arguments: &Arguments, output: &Output) -> Result<Verdict, CliError> {
    let scenario = input::scenario(&arguments.scenario)?;
    output.line(tell::tell(&scenario).trim_end());
    Ok(Verdict::Held)
}
