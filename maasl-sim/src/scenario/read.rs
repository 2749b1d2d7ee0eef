//! Reading scenario files.
//!
//! Owns: the order of the checks. Promises: what is returned can be drawn with
//! any seed; what is wrong is named with its line, its field and, where one can
//! be guessed, the fix. Leaves to others: the checks (`form`, `sense`).

use super::source::Source;
use super::{Scenario, ScenarioError, form, sense};

/// Reads the text of the scenario file of this name.
pub fn parse(file: &str, text: &str) -> Result<Scenario, ScenarioError> {
    let source = Source { file, text };
    form::check(&source)?;
    let scenario: Scenario = toml::from_str(text).map_err(|error| source.of_toml(&error))?;
    sense::check(&scenario, &source)?;
    Ok(scenario)
}
