//! `maasl-sim list`: the scenarios of a folder.
//!
//! Owns: nothing but the command. Promises: one line for each, in order. Leaves
//! to others: what they say.

use std::path::PathBuf;

use super::output::Output;
use super::{CliError, Verdict, input};

/// Arguments of `list`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The folder
    #[arg(long, default_value = "scenarios")]
    folder: PathBuf,
}

pub(super) fn run(arguments: &Arguments, output: &Output) -> Result<Verdict, CliError> {
    let mut lines = Vec::new();
    for path in input::scenarios_in(&arguments.folder)? {
        let scenario = input::scenario(&path)?;
        let first = scenario.story.lines().next().unwrap_or_default().to_owned();
        lines.push((scenario.name, first));
    }
    let width = lines.iter().map(|(name, _)| name.chars().count()).max();
    let width = width.unwrap_or_default();
    for (name, first) in lines {
        output.line(&format!("{name:width$}  {first}"));
    }
    Ok(Verdict::Held)
}
