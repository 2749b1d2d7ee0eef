//! `maasl demo`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::serve::block_on;
use super::{Failure, output};
use crate::demo;

/// Arguments of `maasl demo`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The repository to work on a copy of; default: the one it stands in.
    #[arg(long, value_name = "DIR")]
    repo: Option<PathBuf>,
    /// How many agents, each with a server of its own.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=64))]
    agents: u16,
    /// How long each half takes, in seconds.
    #[arg(long, value_name = "S", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// The seed of the workload and of the kills.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// One JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(root: &Path, arguments: Arguments) -> Result<ExitCode, Failure> {
    let options = demo::DemoOptions {
        root: root.to_path_buf(),
        repo: arguments.repo,
        agents: usize::from(arguments.agents),
        seconds: arguments.seconds,
        json: arguments.json,
        seed: arguments.seed,
    };
    block_on(async {
        let verdict = demo::run(&options)
            .await
            .map_err(|error| Failure::internal("demo", error))?;
        if options.json {
            output::json(&demo::to_json(&verdict));
        } else {
            output::line(&demo::render(&verdict));
        }
        Ok(verdict.exit_code())
    })
}
