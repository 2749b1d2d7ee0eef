//! Files given on the command line.
//!
//! Owns: reading and writing them, and telling plans, scenarios and traces apart.
//! Promises: an error names the file, and the line where there is one. Leaves to
//! others: what they mean.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::CliError;
use crate::draw;
use crate::plan::Plan;
use crate::scenario::{self, Expect, Scenario};
use crate::trace::{Trace, TraceError};

/// Largest scenario or plan, in bytes.
const TEXT_BYTES_MAX: u64 = 16 << 20;
/// Largest trace or history, in bytes.
pub(super) const RECORD_BYTES_MAX: u64 = 1 << 30;

/// Reads a plan or a scenario: only plans say of which version they are.
pub(super) fn source(path: &Path) -> Result<Source, CliError> {
    let text = text(path)?;
    let is_plan =
        toml::from_str::<toml::Table>(&text).is_ok_and(|table| table.contains_key("plan_version"));
    if is_plan {
        return Ok(Source::Plan(Box::new(plan_of(path, &text)?)));
    }
    Ok(Source::Scenario(Box::new(scenario_of(path, &text)?)))
}

/// Reads a scenario.
pub(super) fn scenario(path: &Path) -> Result<Scenario, CliError> {
    scenario_of(path, &text(path)?)
}

/// The plan of a scenario under a seed.
pub(super) fn drawn(scenario: &Scenario, seed: u64) -> Result<Plan, CliError> {
    if i64::try_from(seed).is_err() {
        let message = format!(
            "seed {seed} is too large; at most {} can be written",
            i64::MAX
        );
        return Err(CliError::Usage(message));
    }
    Ok(draw::plan(scenario, seed))
}

/// The scenario files of a folder, in order.
pub(super) fn scenarios_in(folder: &Path) -> Result<Vec<PathBuf>, CliError> {
    let named =
        |error: &dyn std::fmt::Display| CliError::File(format!("{}: {error}", folder.display()));
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|error| named(&error))? {
        let path = entry.map_err(|error| named(&error))?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn text(path: &Path) -> Result<String, CliError> {
    text_within(path, TEXT_BYTES_MAX)
}

/// The text of a file of at most `most` bytes.
pub(super) fn text_within(path: &Path, most: u64) -> Result<String, CliError> {
    let text = String::from_utf8(bytes(path, most)?);
    text.map_err(|error| wrong(path, &error.to_string()))
}

/// The content of a file, or of a pipe, of at most `most` bytes.
fn bytes(path: &Path, most: u64) -> Result<Vec<u8>, CliError> {
    let read = std::fs::File::open(path).and_then(|file| {
        let mut bytes = Vec::new();
        file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
        Ok(bytes)
    });
    match read {
        Ok(bytes) if bytes.len() as u64 > most => {
            Err(wrong(path, &format!("has more than {most} bytes")))
        }
        Ok(bytes) => Ok(bytes),
        Err(error) => Err(wrong(path, &error.to_string())),
    }
}

fn scenario_of(path: &Path, text: &str) -> Result<Scenario, CliError> {
    let read = scenario::parse(&path.display().to_string(), text);
    read.map_err(|error| CliError::File(error.to_string()))
}

fn plan_of(path: &Path, text: &str) -> Result<Plan, CliError> {
    let named = |message: String| CliError::File(format!("{}: {message}", path.display()));
    let plan: Plan = toml::from_str(text).map_err(|error| named(error.to_string()))?;
    plan.validate().map_err(|error| named(error.to_string()))?;
    Ok(plan)
}

/// Where plans come from.
#[derive(Debug)]
pub(super) enum Source {
    /// A plan, which is the same for every seed.
    Plan(Box<Plan>),
    /// A scenario, which gives another plan for every seed.
    Scenario(Box<Scenario>),
}

impl Source {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Plan(plan) => &plan.scenario,
            Self::Scenario(scenario) => &scenario.name,
        }
    }

    pub(super) fn expect(&self) -> Expect {
        match self {
            Self::Plan(_) => Expect::default(),
            Self::Scenario(scenario) => scenario.expect.clone(),
        }
    }

    pub(super) fn plan(&self, seed: u64) -> Plan {
        match self {
            Self::Plan(plan) => (**plan).clone(),
            Self::Scenario(scenario) => draw::plan(scenario, seed),
        }
    }
}

/// Reads a trace.
pub(super) fn trace(path: &Path) -> Result<Trace, CliError> {
    let bytes = bytes(path, RECORD_BYTES_MAX)?;
    Trace::from_bytes(&bytes).map_err(|error| wrong(path, &error.to_string()))
}

/// Reads a plan, or the plan inside a trace.
pub(super) fn plan_or_trace(path: &Path) -> Result<Plan, CliError> {
    let bytes = bytes(path, RECORD_BYTES_MAX)?;
    if Trace::is_trace(&bytes) {
        return trace(path).map(|trace| trace.plan);
    }
    plan_of(path, &text(path)?)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_may_have_so_many_bytes_and_no_more() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, "seven b").unwrap();
        assert_eq!(text_within(&path, 7).unwrap(), "seven b");
        let refused = text_within(&path, 6).unwrap_err().to_string();
        assert!(refused.contains("more than 6 bytes"), "{refused}");
        let endless = text_within(Path::new("/dev/zero"), 1 << 16).unwrap_err();
        assert!(endless.to_string().contains("more than"), "{endless}");
    }
}
