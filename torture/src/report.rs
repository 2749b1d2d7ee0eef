//! What a run says at its end.
//!
//! Owns: standard output. Promises: figures first, then every breach, then the one
//! command that repeats the run. Leaves to others: deciding.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this module is the program's output"
)]

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use comfy_table::{Table, presets};

use crate::Failure;

/// Most breaches that are printed.
const SHOWN: usize = 30;

/// Headings under which something else than calls and commands is counted.
const BESIDE_CALLS: [&str; 4] = ["clock", "nemesis", "process", "version"];

/// What there is to say.
pub(crate) struct Report<'a> {
    pub(crate) seed: u64,
    pub(crate) took: Duration,
    pub(crate) judged: usize,
    /// The programs that took part, each with its version and place.
    pub(crate) programs: &'a [String],
    pub(crate) counts: BTreeMap<(String, String), u64>,
    pub(crate) broken: &'a [String],
    /// What could not be done, each with its reason.
    pub(crate) not_run: &'a [String],
    pub(crate) repeat: &'a str,
}

/// Prints it.
pub(crate) fn print(report: &Report<'_>) {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let mut calls = 0;
    for ((heading, what), count) in &report.counts {
        table.add_row([heading.as_str(), what.as_str(), &count.to_string()]);
        if !BESIDE_CALLS.contains(&heading.as_str()) {
            calls += count;
        }
    }
    println!("{table}");
    println!(
        "seed {}: {calls} calls and commands in {} s, {} operations judged",
        report.seed,
        report.took.as_secs(),
        report.judged
    );
    for (number, program) in (1..).zip(report.programs) {
        println!("program {number}: {program}");
    }
    for reason in report.not_run {
        println!("NOT RUN: {reason}");
    }
    for breach in report.broken.iter().take(SHOWN) {
        println!("BROKEN: {breach}");
    }
    if report.broken.len() > SHOWN {
        println!("… and {} more", report.broken.len() - SHOWN);
    }
    if report.broken.is_empty() {
        println!("nothing broken");
    } else {
        println!(
            "{} broken; repeat with: {}",
            report.broken.len(),
            report.repeat
        );
    }
}

/// Says where something was kept.
pub(crate) fn kept(place: &std::path::Path) {
    println!("kept for a look: {}", place.display());
    println!(
        "judge again: maasl-sim check {}/history/*.jsonl",
        place.display()
    );
}

/// Says why no run could be made.
pub(crate) fn failed(failure: &Failure) -> ExitCode {
    eprintln!("maasl-torture: {failure}");
    ExitCode::from(2)
}
