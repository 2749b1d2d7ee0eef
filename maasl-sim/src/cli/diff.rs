//! `maasl-sim diff`: two traces side by side.
//!
//! Owns: showing where they part and how their agents fared. Promises: names,
//! not numbers. Leaves to others: the comparison (`crate::difference`).

use std::path::PathBuf;

use super::output::Output;
use super::{CliError, Verdict, input};
use crate::difference::{Fared, compare};

/// Arguments of `diff`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// A trace
    one: PathBuf,
    /// Another
    two: PathBuf,
}

/// Exits with 1 where the traces differ, as `diff` does.
pub(super) fn run(arguments: &Arguments, output: &Output) -> Result<Verdict, CliError> {
    let (one, two) = (input::trace(&arguments.one)?, input::trace(&arguments.two)?);
    let compared = compare(&one, &two);
    if compared.is_same() {
        output.line(&format!("the same, {} records", one.len()));
        return Ok(Verdict::Held);
    }
    if let Some(first) = &compared.first {
        output.line(&format!("record {} differs", first.index + 1));
        for line in &first.led_there {
            output.line(&format!("    {line}"));
        }
        for (sign, line) in ["-", "+"].iter().zip(&first.lines) {
            let line = line.as_deref().unwrap_or("the end");
            output.line(&format!("{sign}   {line}"));
        }
    }
    if let Some([one, two]) = &compared.verdicts {
        output.line(&format!("-   {one}"));
        output.line(&format!("+   {two}"));
    }
    if compared.agents.is_empty() {
        output.line("every agent was told the same, as often");
    }
    for (agent, [one, two]) in &compared.agents {
        output.line(&format!("{agent} was told"));
        output.line(&format!("-   {}", told(one)));
        output.line(&format!("+   {}", told(two)));
    }
    Ok(Verdict::Broken)
}

fn told(fared: &Fared) -> String {
    if fared.told.is_empty() {
        return "nothing".into();
    }
    let told = fared
        .told
        .iter()
        .map(|(code, times)| format!("{code} {times} times"));
    told.collect::<Vec<_>>().join(", ")
}
