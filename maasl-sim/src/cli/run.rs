//! `maasl-sim run`: one scenario with one seed, or one plan.
//!
//! Owns: saying how a run went. Promises: a failure names the promise, what led
//! there and the command that repeats it. Leaves to others: the run (`world`).

use std::path::PathBuf;

use super::output::Output;
use super::{CliError, Verdict, input};
use crate::world::World;

/// Arguments of `run`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// A plan
    file: PathBuf,
    /// Show every record
    #[arg(long)]
    records: bool,
    /// Write what agents asked and were told to this file, for `check`
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments, output: &Output) -> Result<Verdict, CliError> {
    let plan = input::plan(&arguments.file)?;
    let mut world = World::new(&plan, arguments.records);
    if arguments.history.is_some() {
        world = world.with_history();
    }
    let finished = world.run();
    if let (Some(file), Some(history)) = (&arguments.history, &finished.history) {
        std::fs::write(file, crate::history::lines(history))?;
    }
    for record in &finished.kept {
        output.line(&format!("{record:?}"));
    }
    output.line(&format!(
        "{}: {} records, {} core steps, {} ms simulated, digest {}",
        plan.scenario,
        finished.records,
        finished.core_steps,
        finished.elapsed_ms,
        maasl_core::id::hex(&finished.digest[..8])
    ));
    let Some(breach) = finished.breach else {
        return Ok(Verdict::Held);
    };
    output.line(&breach.to_string());
    Ok(Verdict::Broken)
}
