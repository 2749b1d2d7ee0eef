//! Files given on the command line.
//!
//! Owns: reading them. Promises: an error names the file, and the line where
//! there is one. Leaves to others: what they mean.

use std::path::Path;

use super::CliError;
use crate::plan::Plan;

/// Reads a plan.
pub(super) fn plan(path: &Path) -> Result<Plan, CliError> {
    let named = |message: String| CliError::File(format!("{}: {message}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| named(error.to_string()))?;
    let plan: Plan = toml::from_str(&text).map_err(|error| named(error.to_string()))?;
    plan.validate().map_err(|error| named(error.to_string()))?;
    Ok(plan)
}
