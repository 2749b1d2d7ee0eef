//! `maasl-sim run`: one scenario with one seed, or one plan.
//!
//! Owns: saying how a run went. Promises: a failure names the promise, what led
//! there and the command that repeats it; a run that does not come to its end is
//! undecided. Leaves to others: the run (`world`).

use std::path::PathBuf;

use super::input::{self, Source};
use super::output::Output;
use super::{CliError, Verdict};
use crate::names::Names;
use crate::plan::Plan;
use crate::scenario::Expect;
use crate::trace::{self, Trace};
use crate::world::{Finished, World};

/// Arguments of `run`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// A scenario or a plan
    file: PathBuf,
    /// What decides everything a scenario leaves open
    #[arg(long)]
    seed: Option<u64>,
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
    /// Write what agents asked and were told to this file, for `check`
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments, output: &Output) -> Result<Verdict, CliError> {
    #[cfg(feature = "mutants")]
    if let Some(name) = &arguments.mutant {
        maasl_core::mutant::plant(Some(super::mutants::named(name)?));
    }
    let (plan, expect) = match (input::source(&arguments.file)?, arguments.seed) {
        (Source::Plan(_), Some(_)) => {
            let message = "a plan leaves nothing to a seed; run it without --seed";
            return Err(CliError::Usage(message.into()));
        }
        (Source::Plan(plan), None) => (*plan, None),
        (Source::Scenario(scenario), seed) => {
            let plan = input::drawn(&scenario, seed.unwrap_or(0))?;
            (plan, Some(scenario.expect))
        }
    };
    let keep = arguments.records || arguments.trace.is_some();
    let mut world = World::new(&plan, keep);
    if arguments.history.is_some() {
        world = world.with_history();
    }
    let finished = world.run();
    if let (Some(file), Some(history)) = (&arguments.history, &finished.history) {
        input::write(file, crate::history::lines(history).as_bytes())?;
    }
    if arguments.records {
        let names = Names::of(&plan);
        for record in &finished.kept {
            output.line(&names.line(&record.into()));
        }
    }
    if let Some(path) = &arguments.trace {
        input::write_trace(path, &Trace::of(&plan, &finished))?;
    }
    show(&plan, &finished, output);
    let missed = expect.map_or(Vec::new(), |expect: Expect| expect.missed(&finished));
    for one in &missed {
        output.line(&format!("not as expected: {one}"));
    }
    if finished.breach.is_none() && missed.is_empty() {
        return Ok(if finished.ended {
            Verdict::Held
        } else {
            output.line(&trace::Verdict::of(&finished).words());
            Verdict::Undecided
        });
    }
    let seed = arguments
        .seed
        .map_or(String::new(), |seed| format!(" --seed {seed}"));
    output.line(&format!(
        "repeat: maasl-sim run {}{seed}",
        arguments.file.display()
    ));
    Ok(Verdict::Broken)
}

fn show(plan: &Plan, finished: &Finished, output: &Output) {
    output.line(&format!(
        "{} seed {}: {} calls succeeded, {} records, {} core steps, {} ms simulated, digest {}",
        plan.scenario,
        plan.seed,
        finished.successful_calls,
        finished.records,
        finished.core_steps,
        finished.elapsed_ms,
        maasl_core::id::hex(&finished.digest[..8])
    ));
    if let Some(breach) = &finished.breach {
        output.line(&breach.to_string());
    }
}
