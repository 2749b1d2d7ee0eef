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

/// Where plans come from.
#[derive(Debug)]
pub(super) enum Source {
    /// A plan, which is the same for every seed.
    Plan(Box<Plan>),
}

impl Source {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Plan(plan) => &plan.scenario,
        }
    }

    pub(super) fn sometimes(&self) -> &[String] {
        match self {
            Self::Plan(_) => &[],
        }
    }

    pub(super) fn plan(&self, _seed: u64) -> Plan {
        match self {
            Self::Plan(plan) => (**plan).clone(),
        }
    }
}

/// Reads a plan or a scenario.
pub(super) fn source(path: &Path) -> Result<Source, CliError> {
    plan(path).map(Box::new).map(Source::Plan)
}
