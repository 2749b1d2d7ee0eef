//! `maasl-sim run`: one scenario with one seed, or one plan.
//!
//! Owns: saying how a run went. Promises: a failure names the promise, what led
//! there and the command that repeats it. Leaves to others: the run (`world`).

use std::path::PathBuf;

use super::output::Output;
use super::{CliError, Verdict, input};
use crate::names::Names;
use crate::trace::Trace;
use crate::world::World;

/// Arguments of `run`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// A plan
    file: PathBuf,
    /// Show every record
    #[arg(long)]
    records: bool,
    /// With this planted bug awake
    #[cfg(feature = "mutants")]
    #[arg(long)]
    mutant: Option<String>,
    /// Keep the run in this file
    #[arg(long)]
    trace: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments, output: &Output) -> Result<Verdict, CliError> {
    let plan = input::plan(&arguments.file)?;
    #[cfg(feature = "mutants")]
    if let Some(name) = &arguments.mutant {
        maasl_core::mutant::plant(Some(super::mutants::named(name)?));
    }
    let keep = arguments.records || arguments.trace.is_some();
    let finished = World::new(&plan, keep).run();
    if arguments.records {
        let names = Names::of(&plan);
        for record in &finished.kept {
            output.line(&names.line(&record.into()));
        }
    }
    if let Some(path) = &arguments.trace {
        input::write_trace(path, &Trace::of(&plan, &finished))?;
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
