//! Files given on the command line.
//!
//! Owns: reading and writing them. Promises: an error names the file, and the
//! line where there is one. Leaves to others: what they mean.

use std::path::Path;

use super::CliError;
use crate::plan::Plan;
use crate::trace::{Trace, TraceError};

/// Reads a plan.
pub(super) fn plan(path: &Path) -> Result<Plan, CliError> {
    let named = |message: String| wrong(path, &message);
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

/// Reads a trace.
pub(super) fn trace(path: &Path) -> Result<Trace, CliError> {
    let bytes = std::fs::read(path).map_err(|error| wrong(path, &error.to_string()))?;
    Trace::from_bytes(&bytes).map_err(|error| wrong(path, &error.to_string()))
}

/// Reads a plan, or the plan inside a trace.
pub(super) fn plan_or_trace(path: &Path) -> Result<Plan, CliError> {
    let bytes = std::fs::read(path).map_err(|error| wrong(path, &error.to_string()))?;
    if Trace::is_trace(&bytes) {
        return trace(path).map(|trace| trace.plan);
    }
    plan(path)
}

/// Writes a trace.
pub(super) fn write_trace(path: &Path, trace: &Result<Trace, TraceError>) -> Result<(), CliError> {
    let bytes = trace.as_ref().map_err(Clone::clone);
    let bytes = bytes.and_then(Trace::to_bytes);
    let bytes = bytes.map_err(|error| wrong(path, &error.to_string()))?;
    write(path, &bytes)
}

/// Writes a file.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), CliError> {
    let written = std::fs::write(path, bytes);
    written.map_err(|error| std::io::Error::other(format!("{}: {error}", path.display())).into())
}

fn wrong(path: &Path, message: &str) -> CliError {
    CliError::File(format!("{}: {message}", path.display()))
}
