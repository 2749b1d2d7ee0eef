//! `maasl-sim replay`: a trace run again.
//!
//! Owns: saying where a run differs from its trace. Promises: shows what was
//! expected, what happened and what led there, by names. Leaves to others: the
//! comparison (`crate::replay`).

use std::path::PathBuf;

use super::output::Output;
use super::{CliError, Verdict, input};
use crate::names::Names;
use crate::replay::{Difference, Replayed, replay, state_after};

/// Arguments of `replay`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// A trace
    trace: PathBuf,
    /// Stop after so many records, and show the state
    #[arg(long, value_name = "N")]
    until: Option<usize>,
}

pub(super) fn run(arguments: &Arguments, output: &Output) -> Result<Verdict, CliError> {
    let trace = input::trace(&arguments.trace)?;
    if let Some(records) = arguments.until {
        let names = Names::of(&trace.plan);
        for entry in trace.entries().take(records) {
            output.line(&names.line(&entry));
        }
        output.line(state_after(&trace.plan, records).to_string().trim_end());
        return Ok(Verdict::Held);
    }
    match replay(&trace) {
        Replayed::Same(verdict) => {
            let (records, words) = (verdict.records, verdict.words());
            output.line(&format!("{records} records, all as in the trace; {words}"));
            Ok(match verdict.promise {
                Some(_) => Verdict::Broken,
                None if verdict.cut_off => Verdict::Undecided,
                None => Verdict::Held,
            })
        }
        Replayed::Differs(difference) => {
            show(&difference, output);
            Err(CliError::File(format!(
                "{}: this program does not repeat it from record {} on",
                arguments.trace.display(),
                difference.index + 1
            )))
        }
        Replayed::OtherVerdict { expected, actual } => {
            output.line(&format!("expected  {}", expected.words()));
            output.line(&format!("actual    {}", actual.words()));
            let path = arguments.trace.display();
            let message = format!("{path}: the records are the same, what came of them is not");
            Err(CliError::File(message))
        }
    }
}

fn show(difference: &Difference, output: &Output) {
    output.line(&format!("record {} differs", difference.index + 1));
    for line in &difference.led_there {
        output.line(&format!("          {line}"));
    }
    let or_end = |line: &Option<String>| line.clone().unwrap_or_else(|| "the end".into());
    output.line(&format!("expected  {}", or_end(&difference.expected)));
    output.line(&format!("actual    {}", or_end(&difference.actual)));
}
