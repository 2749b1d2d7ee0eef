//! `maasl-sim conform`: real servers are asked what a scenario asks.
//!
//! Owns: the arguments, and saying how it went. Promises: a scenario with more in
//! it than real servers can be made to do is refused with all of that, unless only
//! its calls are wanted. Leaves to others: comparing (`conform`).

use std::path::PathBuf;

use super::input::{self, Source};
use super::output::Output;
use super::{CliError, Verdict};
use crate::conform::{self, ConformError, Obstacle};

/// Arguments of `conform`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// A scenario, or a plan
    file: PathBuf,
    /// What decides everything the scenario leaves open
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The real program; `maasl` beside this one where not given
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// Leave out the faults that real servers cannot be made to have
    #[arg(long)]
    calls_only: bool,
}

pub(super) fn run(arguments: &Arguments, output: &Output) -> Result<Verdict, CliError> {
    let plan = match input::source(&arguments.file)? {
        Source::Plan(plan) => *plan,
        Source::Scenario(scenario) => input::drawn(&scenario, arguments.seed)?,
    };
    let obstacles = conform::obstacles(&plan);
    if !obstacles.is_empty() && !arguments.calls_only {
        return Err(CliError::Usage(format!(
            "real servers cannot be made to do all of {}:\n  {}\nwith --calls-only these are left out",
            arguments.file.display(),
            lines(&obstacles).join("\n  ")
        )));
    }
    let program = program(arguments)?;
    let compared = conform::conform(&conform::one_by_one(&plan), &program);
    let compared = compared.map_err(|error| match error {
        ConformError::Io(error) => CliError::Io(error),
        other => CliError::File(other.to_string()),
    })?;
    let Some(difference) = compared.difference else {
        output.line(&format!(
            "{} seed {}: {} calls answered alike",
            plan.scenario, plan.seed, compared.calls
        ));
        for ((tool, how), times) in &compared.told {
            output.line(&format!("  {times:>6} {tool} {how}"));
        }
        return Ok(Verdict::Held);
    };
    output.line(&difference.to_string());
    let calls_only = if arguments.calls_only {
        " --calls-only"
    } else {
        ""
    };
    output.line(&format!(
        "repeat: maasl-sim conform {} --seed {}{calls_only} --program {}",
        arguments.file.display(),
        arguments.seed,
        program.display()
    ));
    Ok(Verdict::Broken)
}

fn lines(obstacles: &[Obstacle]) -> Vec<String> {
    obstacles.iter().map(ToString::to_string).collect()
}

fn program(arguments: &Arguments) -> Result<PathBuf, CliError> {
    let beside = || {
        let own = std::env::current_exe()?;
        Ok::<_, std::io::Error>(own.with_file_name("maasl"))
    };
    let program = match &arguments.program {
        Some(program) => program.clone(),
        None => beside()?,
    };
    if program.is_file() {
        return Ok(program);
    }
    let message = format!(
        "{} is not there; build it, or name another with --program",
        program.display()
    );
    Err(CliError::File(message))
}
