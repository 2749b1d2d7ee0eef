//! Running steps one after the other, and the report on them.
//!
//! Owns: the order, the summary table and the exit code. Promises: a failed
//! step does not hide the ones behind it, and a step that could not run is
//! named in the table with the reason. Leaves to others: what each step does.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::output;
use crate::workspace::Workspace;

/// One named thing to check.
#[derive(Clone, Copy)]
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) run: fn(&Workspace) -> Outcome,
}

/// How a step ended; the text is the last column of the summary.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It ran and found nothing wrong; the text says what ran.
    Passed(String),
    /// It ran and found a fault, or should have been able to run.
    Failed(String),
    /// It could not run here; the text says what is missing.
    NotRun(String),
}

impl Outcome {
    /// Passes with `what` if there are no faults, otherwise prints them and fails.
    pub(crate) fn from_faults(what: &str, faults: &[String]) -> Self {
        for fault in faults {
            output::line(fault);
        }
        match faults.len() {
            0 => Self::Passed(what.to_owned()),
            1 => Self::Failed(format!("{what}: 1 fault")),
            count => Self::Failed(format!("{what}: {count} faults")),
        }
    }

    /// Goes on if it passed.
    pub(crate) fn and(self, next: impl FnOnce() -> Self) -> Self {
        match self {
            Self::Passed(_) => next(),
            other => other,
        }
    }

    fn word(&self) -> &'static str {
        match self {
            Self::Passed(_) => "passed",
            Self::Failed(_) => "FAILED",
            Self::NotRun(_) => "NOT RUN",
        }
    }

    fn note(&self) -> &str {
        match self {
            Self::Passed(note) | Self::Failed(note) | Self::NotRun(note) => note,
        }
    }
}

/// A step that is over.
struct Finished {
    name: &'static str,
    outcome: Outcome,
    took: Duration,
}

/// Runs every step, prints the summary and chooses the exit code.
pub(crate) fn run_all(workspace: &Workspace, steps: &[Step]) -> ExitCode {
    let run_one = |step: &Step| finish(step.name, || (step.run)(workspace));
    conclude(&steps.iter().map(run_one).collect::<Vec<_>>())
}

/// Runs something that is a step with arguments.
pub(crate) fn run_one(name: &'static str, run: impl FnOnce() -> Outcome) -> ExitCode {
    conclude(&[finish(name, run)])
}

fn finish(name: &'static str, run: impl FnOnce() -> Outcome) -> Finished {
    output::heading(name);
    let started = Instant::now();
    let outcome = run();
    Finished {
        name,
        outcome,
        took: started.elapsed(),
    }
}

fn conclude(finished: &[Finished]) -> ExitCode {
    output::line(&summary(finished));
    if succeeded(finished) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Nothing failed, and something ran: a lone step that could not run is no success.
fn succeeded(finished: &[Finished]) -> bool {
    let failed = |step: &Finished| matches!(step.outcome, Outcome::Failed(_));
    let passed = |step: &Finished| matches!(step.outcome, Outcome::Passed(_));
    finished.iter().any(passed) && !finished.iter().any(failed)
}

fn summary(finished: &[Finished]) -> String {
    let width = finished
        .iter()
        .map(|step| step.name.len())
        .max()
        .unwrap_or(0);
    let mut table = String::from("\n== summary\n");
    for Finished {
        name,
        outcome,
        took,
    } in finished
    {
        let (word, secs, note) = (outcome.word(), took.as_secs_f64(), outcome.note());
        writeln!(table, "{name:width$}  {word:7}  {secs:6.1} s  {note}")
            .expect("writing to a string cannot fail");
    }
    let count = |word| {
        finished
            .iter()
            .filter(|step| step.outcome.word() == word)
            .count()
    };
    let (passed, failed, not_run) = (count("passed"), count("FAILED"), count("NOT RUN"));
    table + &format!("steps: {passed} passed, {failed} failed, {not_run} not run")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finished(name: &'static str, outcome: Outcome) -> Finished {
        Finished {
            name,
            outcome,
            took: Duration::from_millis(1500),
        }
    }

    fn passed() -> Finished {
        finished("fmt", Outcome::Passed("cargo fmt --check".into()))
    }

    fn failed() -> Finished {
        finished("lint", Outcome::Failed("2 warnings".into()))
    }

    fn not_run() -> Finished {
        finished("deny", Outcome::NotRun("no cargo-deny".into()))
    }

    #[test]
    fn one_failure_fails_the_run() {
        assert!(succeeded(&[passed()]));
        assert!(!succeeded(&[passed(), failed()]));
    }

    #[test]
    fn a_step_that_could_not_run_fails_only_a_run_of_nothing_else() {
        assert!(succeeded(&[passed(), not_run()]));
        assert!(!succeeded(&[not_run()]));
        assert!(!succeeded(&[]));
    }

    #[test]
    fn the_summary_names_every_step_with_its_reason() {
        let table = summary(&[passed(), failed(), not_run()]);
        let expected = "
== summary
fmt   passed      1.5 s  cargo fmt --check
lint  FAILED      1.5 s  2 warnings
deny  NOT RUN     1.5 s  no cargo-deny
steps: 1 passed, 1 failed, 1 not run";
        assert_eq!(table, expected);
    }

    #[test]
    fn faults_are_counted() {
        let one = Outcome::from_faults("rule", &["a fault".into()]);
        assert_eq!(one, Outcome::Failed("rule: 1 fault".into()));
        assert_eq!(
            Outcome::from_faults("rule", &[]),
            Outcome::Passed("rule".into())
        );
    }
}
