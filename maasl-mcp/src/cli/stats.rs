//! `maasl stats`

use std::path::Path;
use std::process::ExitCode;

use maasl_node::state_dir;
use maasl_node::store::sqlite::View;

use super::{Failure, output};
use crate::server::stats;

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
        None => Default::default(),
    };
    let shown = stats::body(&counters, 0);
    if arguments.json {
        let value = serde_json::to_value(&shown).map_err(|error| Failure::internal("json", error))?;
        output::json(&value);
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = output::table(&["counted", "number"]);
    for (name, number) in shown.rows() {
        table.add_row([name, &number]);
    }
    output::line(&table.to_string());
    Ok(ExitCode::SUCCESS)
}
