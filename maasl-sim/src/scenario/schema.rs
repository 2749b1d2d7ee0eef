//! The JSON Schema of scenario files.
//!
//! Owns: its text. Promises: made from the types that files are read into, so it
//! cannot say anything else. Leaves to others: checking a file against it
//! (`form`).

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::Scenario;

/// The JSON Schema of scenario files.
#[must_use]
pub fn schema() -> Value {
    let settings = SchemaSettings::draft2020_12().for_deserialize();
    let schema = settings.into_generator().into_root_schema_for::<Scenario>();
    schema.to_value()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// With `MAASL_UPDATE_SCHEMA` in the environment the file is written anew.
    #[test]
    fn the_committed_schema_is_the_one_of_the_types() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/schema.json");
        let mut text = serde_json::to_string_pretty(&schema()).unwrap();
        text.push('\n');
        if std::env::var_os("MAASL_UPDATE_SCHEMA").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap();
        assert!(
            committed == text,
            "scenarios/schema.json is out of date: run this test with MAASL_UPDATE_SCHEMA=1"
        );
    }
}
