//! `maasl-sim mutants`: plants every bug in turn and shows which judge reports it.
//!
//! Owns: the table. Promises: a bug that no judge reports, and an alarm with no
//! bug planted, both fail the command. Leaves to others: the hunt (`mutants`).

use std::path::PathBuf;

use maasl_core::mutant::Mutant;

use super::output::Output;
use super::{CliError, Verdict, input};
use crate::mutants::cutting::{self, Cut};
use crate::mutants::{Catch, Hunt, Noticed, trials};
use crate::promise::Promise;

/// Arguments of `mutants`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Seeds to try from each starting point, at most
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// Starting points
    #[arg(long, default_value_t = 20)]
    starts: u64,
    /// Only this planted bug
    #[arg(long)]
    mutant: Option<String>,
    /// Where each bug was reported
    #[arg(long)]
    sites: bool,
    /// Cut the first failure of each bug down instead, and say how far
    #[arg(long)]
    shrink: bool,
    /// With `--shrink`: look in the plans of this scenario
    #[arg(long, value_name = "FILE", requires = "shrink")]
    scenario: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments, output: &Output) -> Result<Verdict, CliError> {
    let mutants = chosen(arguments.mutant.as_deref())?;
    let hunt = Hunt {
        starts: arguments.starts,
        seeds_max: arguments.seeds,
    };
    // A panic of the core under a planted bug is counted, not shown.
    std::panic::set_hook(Box::new(|_| {}));
    if arguments.shrink {
        return cut_down(arguments, &mutants, output);
    }
    output.line(&heading());
    let mut survived = 0;
    for mutant in &mutants {
        let caught = hunt.run(Some(*mutant));
        output.line(&row(mutant.name(), &caught));
        if arguments.sites {
            for (site, trial) in &caught.sites {
                output.line(&format!("    {site}, first by {trial}"));
            }
        }
        if (caught.needed.len() as u64) < arguments.starts {
            survived += 1;
            output.line(&format!("    SURVIVES: {}", mutant.words()));
        }
    }
    let clean = hunt.run(None);
    output.line(&row("(no bug)", &clean));
    for (site, trial) in &clean.sites {
        output.line(&format!("    FALSE ALARM: {site} by {trial}"));
    }
    output.line(&format!(
        "{} planted bugs, {survived} survive; {} false alarms in {} runs without one",
        mutants.len(),
        clean.needed.len(),
        clean.runs
    ));
    if survived == 0 && clean.needed.is_empty() {
        return Ok(Verdict::Held);
    }
    Ok(Verdict::Broken)
}

fn cut_down(
    arguments: &Arguments,
    mutants: &[Mutant],
    output: &Output,
) -> Result<Verdict, CliError> {
    let source = arguments.scenario.as_deref().map(input::source);
    let source = source.transpose()?;
    let plan_of = |seed| match &source {
        Some(source) => source.plan(seed),
        None => trials::of_seed(seed).1,
    };
    let mut cuts: Vec<Cut> = Vec::new();
    for mutant in mutants {
        let Some(cut) = cutting::cut(*mutant, plan_of, arguments.seeds) else {
            output.line(&format!("{:30} shows nothing to cut", mutant.name()));
            continue;
        };
        let [before, after] = cut.events;
        output.line(&format!(
            "{:30} {before:>4} -> {after:>3} events in {:>6} ms  seed {}: {}",
            mutant.name(),
            cut.took.as_millis(),
            cut.seed,
            cut.target
        ));
        cuts.push(cut);
    }
    cuts.sort_by_key(|cut| cut.took);
    let median_ms = cuts
        .get(cuts.len() / 2)
        .map_or(0, |cut| cut.took.as_millis());
    let most = cuts.iter().map(|cut| cut.events[1]).max().unwrap_or(0);
    output.line(&format!(
        "{} of {} cut down; at most {most} events are left, the median took {median_ms} ms",
        cuts.len(),
        mutants.len()
    ));
    Ok(Verdict::Held)
}

fn chosen(name: Option<&str>) -> Result<Vec<Mutant>, CliError> {
    match name {
        Some(name) => Ok(vec![named(name)?]),
        None => Ok(Mutant::ALL.to_vec()),
    }
}

/// The planted bug of this name.
pub(super) fn named(name: &str) -> Result<Mutant, CliError> {
    Mutant::named(name).ok_or_else(|| {
        let names: Vec<&str> = Mutant::ALL.iter().map(|one| one.name()).collect();
        let names = names.join(", ");
        CliError::Usage(format!("{name:?} is no planted bug; there are {names}"))
    })
}

fn heading() -> String {
    let columns = Promise::ALL.map(|promise| format!("{:>5}", promise.name()));
    let columns = columns.join(" ");
    format!(
        "{:30} {:>6} {:>6} {columns} panic",
        "planted bug", "median", "p95"
    )
}

fn row(name: &str, caught: &Catch) -> String {
    let seeds = |permille| {
        let needed = caught.needed_permille(permille);
        needed.map_or("-".to_owned(), |seeds| seeds.to_string())
    };
    let count = |noticed| {
        let count = caught.noticed.get(&noticed);
        count.map_or("    .".to_owned(), |count| format!("{count:>5}"))
    };
    let promises = Promise::ALL.map(|promise| count(Noticed::Promise(promise)));
    let (promises, panic) = (promises.join(" "), count(Noticed::Panic));
    let (median, most) = (seeds(500), seeds(950));
    format!("{name:30} {median:>6} {most:>6} {promises} {panic}")
}
