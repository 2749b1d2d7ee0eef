//! `maasl-sim validate`: whether scenario files can be used.
//!
//! Owns: nothing but the command. Promises: looks at every file, and names what
//! is wrong in each. Leaves to others: the checks (`scenario`).

use std::path::PathBuf;

use super::output::Output;
use super::{CliError, Verdict, input};

/// Arguments of `validate`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Scenarios
    #[arg(required = true)]
    scenarios: Vec<PathBuf>,
}

pub(super) fn run(arguments: &Arguments, output: &Output) -> Result<Verdict, CliError> {
    let mut wrong = 0;
    for path in &arguments.scenarios {
        match input::scenario(path) {
            Ok(scenario) => output.line(&format!("{}: {}", path.display(), scenario.name)),
            Err(error) => {
                wrong += 1;
                output.complain(&error.to_string());
            }
        }
    }
    if wrong > 0 {
        let of = arguments.scenarios.len();
        return Err(CliError::File(format!("{wrong} of {of} cannot be used")));
    }
    Ok(Verdict::Held)
}
