//! `maasl stats`

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use maasl_node::state_dir;
use maasl_node::store::sqlite::View;

use serde_json::Value;

use super::{Failure, output};
use crate::server::stats_json;

/// Arguments of `maasl stats`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// One JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(root: &Path, arguments: &Arguments) -> Result<ExitCode, Failure> {
    let counters = match View::open(&root.join(state_dir::NAME))? {
        Some(view) => view.counters()?,
        None => BTreeMap::new(),
    };
    let shown = stats_json(counters);
    if arguments.json {
        output::json(&shown);
    } else {
        output::line(&table(&shown));
    }
    Ok(ExitCode::SUCCESS)
}

/// One row per counter, the headline first, with a column per class.
fn table(shown: &Value) -> String {
    let classes = shown["classes"].as_object();
    let classes: Vec<(&String, &Value)> = classes.into_iter().flatten().collect();
    let mut header = vec!["counted", "all"];
    header.extend(classes.iter().map(|(class, _)| {
        if class.is_empty() {
            "-"
        } else {
            class.as_str()
        }
    }));
    let mut table = output::table(&header);
    for name in names(shown) {
        let mut row = vec![name.clone(), cell(&shown[&name])];
        row.extend(classes.iter().map(|(_, counts)| cell(&counts[&name])));
        table.add_row(row);
    }
    table.to_string()
}

fn names(shown: &Value) -> Vec<String> {
    let headline = "stomps_prevented";
    let rest = shown
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, _)| name.as_str());
    let rest = rest.filter(|name| !["classes", "uptime_seconds", headline].contains(name));
    std::iter::once(headline)
        .chain(rest)
        .map(str::to_owned)
        .collect()
}

/// A number, or the numbers of a group side by side.
fn cell(value: &Value) -> String {
    match value {
        Value::Object(group) => {
            let parts = group
                .iter()
                .map(|(name, value)| format!("{name} {}", cell(value)));
            parts.collect::<Vec<_>>().join(", ")
        }
        Value::Null => String::new(),
        Value::Number(number) if number.is_f64() => {
            format!("{:.2}", number.as_f64().unwrap_or(0.0))
        }
        other => other.to_string(),
    }
}
