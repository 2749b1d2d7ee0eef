//! `maasl history`

use std::path::Path;
use std::process::ExitCode;

use maasl_core::lease::Version;
use maasl_core::refusal::Refusal;
use maasl_node::objects::Objects;
use maasl_node::root::Root;
use maasl_node::state_dir;
use maasl_node::store::sqlite::View;

use super::{Failure, output};
use crate::server::rfc3339;

/// Arguments of `maasl history`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The file, relative to the root.
    path: String,
    /// The most versions to show.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 20,
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    limit: u32,
    /// One JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(root: &Path, arguments: &Arguments) -> Result<ExitCode, Failure> {
    let root = Root::open(root).map_err(|error| Failure::Usage(error.to_string()))?;
    let path = root.relative(&arguments.path).map_err(Refusal::Path)?;
    let state = root.path().join(state_dir::NAME);
    let versions = match View::open(&state)? {
        Some(view) => view.history(path.as_str(), arguments.limit)?,
        None => Vec::new(),
    };
    let objects = Objects::new(state.join("objects"));
    let kept = |version: &Version| {
        version
            .content
            .is_some_and(|content| objects.is_kept(&content))
    };
    if arguments.json {
        let versions: Vec<_> = versions
            .iter()
            .map(|version| as_json(version, kept(version)))
            .collect();
        output::json(&serde_json::json!({ "path": path.as_str(), "versions": versions }));
    } else if versions.is_empty() {
        output::line(&format!("nothing is known of {path}"));
    } else {
        output::line(&table(&versions, kept));
    }
    Ok(ExitCode::SUCCESS)
}

fn as_json(version: &Version, kept: bool) -> serde_json::Value {
    serde_json::json!({
        "version": version.number,
        "sha256": version.content,
        "agent": version.agent,
        "token": version.token,
        "time": rfc3339(version.wall_ms),
        "op": version.op,
        "size": version.known_size_bytes(),
        "kept": kept,
    })
}

fn table(versions: &[Version], kept: impl Fn(&Version) -> bool) -> String {
    let mut table = output::table(&[
        "version", "time", "agent", "what", "bytes", "token", "content", "kept",
    ]);
    for version in versions {
        let content = version.content.map_or("removed".to_string(), |content| {
            content.to_string()[..12].to_string()
        });
        let size = version.known_size_bytes();
        let size = size.map_or_else(String::new, |bytes| bytes.to_string());
        table.add_row([
            version.number.to_string(),
            rfc3339(version.wall_ms),
            output::plain(version.agent.as_str()),
            output::plain(&version.op),
            size,
            version.token.to_string(),
            content,
            if kept(version) { "yes" } else { "" }.to_string(),
        ]);
    }
    table.to_string()
}
