//! `maasl-sim plan`: what a scenario and a seed come to.
//!
//! Owns: nothing but the command. Promises: what it prints runs as it is, and
//! runs alike. Leaves to others: drawing (`draw`).

use std::path::PathBuf;

use super::output::Output;
use super::{CliError, Verdict, input};

/// Arguments of `plan`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// A scenario
    scenario: PathBuf,
    /// What decides everything the scenario leaves open
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

pub(super) fn run(arguments: &Arguments, output: &Output) -> Result<Verdict, CliError> {
    let scenario = input::scenario(&arguments.scenario)?;
    let plan = input::drawn(&scenario, arguments.seed)?;
    let text = plan
        .to_toml()
        .map_err(|error| CliError::Usage(error.to_string()))?;
    output.line(text.trim_end());
    Ok(Verdict::Held)
}
