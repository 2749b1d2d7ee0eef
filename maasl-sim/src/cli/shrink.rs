//! `maasl-sim shrink`: a failing plan, cut down.
//!
//! Owns: where the results are put and what is said. Promises: writes a plan, a
//! trace and a regression test that show the same failure. Leaves to others: the
//! cutting (`crate::shrink`).

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::output::Output;
use super::{CliError, Verdict, input};
use crate::shrink::{Budget, Story, Target, shrink};
use crate::world::World;

/// Arguments of `shrink`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// A trace, or a plan
    file: PathBuf,
    /// Where the results go: `FILE.min.toml`, `.min.scenario.toml`, `.min.trace`
    /// and `.min.rs`
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Keep that some agent is told this, instead of a broken promise
    #[arg(long, value_name = "CODE")]
    answer: Option<String>,
    /// Runs to spend, at most
    #[arg(long, default_value_t = 100_000)]
    runs: u64,
    /// Seconds to spend, at most
    #[arg(long, default_value_t = 60)]
    seconds: u64,
}

pub(super) fn run(arguments: &Arguments, output: &Output) -> Result<Verdict, CliError> {
    let plan = input::plan_or_trace(&arguments.file)?;
    let target = match &arguments.answer {
        Some(code) => Target::Answer(code.clone()),
        None => Target::of(&plan).ok_or_else(|| {
            let path = arguments.file.display();
            let why = crate::trace::Verdict::of(&World::new(&plan, false).run()).words();
            CliError::Usage(format!("{path}: {why}; there is nothing to cut down"))
        })?,
    };
    let budget = Budget {
        runs_max: arguments.runs,
        time_max: Duration::from_secs(arguments.seconds),
    };
    let began = Instant::now();
    let shrunk = shrink(&plan, &target, budget);
    let shrunk = shrunk.map_err(|error| CliError::Usage(error.to_string()))?;
    let story = Story::of(&shrunk.plan, &target);
    let story = story.map_err(|error| CliError::File(error.to_string()))?;
    let base = arguments.output.as_ref().unwrap_or(&arguments.file);
    input::write(&beside(base, "toml"), story.plan_text.as_bytes())?;
    input::write_trace(&beside(base, "trace"), &Ok(story.trace.clone()))?;
    input::write(&beside(base, "rs"), story.test.as_bytes())?;
    if let Some((scenario, _)) = &story.scenario {
        input::write(&beside(base, "scenario.toml"), scenario.as_bytes())?;
    }
    let [before, after] = shrunk.events;
    let (runs, spent_ms) = (shrunk.runs, began.elapsed().as_millis());
    output.line(&format!(
        "{target}: {before} events cut down to {after} in {runs} runs and {spent_ms} ms"
    ));
    if !shrunk.is_minimal {
        output.line("the budget was spent; more might go");
    }
    let plan = beside(base, "toml");
    output.line(&format!("maasl-sim run {}", plan.display()));
    if let Some((_, seed)) = &story.scenario {
        let scenario = beside(base, "scenario.toml");
        output.line(&format!(
            "maasl-sim run {} --seed {seed}",
            scenario.display()
        ));
    } else {
        output.line("no scenario comes to the same; the plan does");
    }
    let broken = matches!(target, Target::Breach { .. });
    Ok(if broken {
        Verdict::Broken
    } else {
        Verdict::Held
    })
}

fn beside(base: &Path, ending: &str) -> PathBuf {
    base.with_extension(format!("min.{ending}"))
}
