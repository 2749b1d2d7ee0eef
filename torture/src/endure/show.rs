//! What a long run says, while it goes on and at its end.
//!
//! Owns: standard output and the file of samples. Promises: figures first, then
//! every breach, then the one command that repeats the run. Leaves to others:
//! deciding.

#![expect(clippy::print_stdout, reason = "this module is the program's output")]

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use comfy_table::{Table, presets};
use serde_json::{Value, json};

use super::load::Notes;
use super::probe::Probe;
use super::verdict::{Judged, Sample, Verdict};
use crate::Failure;

/// Most breaches that are printed.
const SHOWN: usize = 30;

/// A file of one JSON object in each line.
#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
    file: File,
}

impl Log {
    /// Begins the file.
    pub(super) fn create(path: &Path) -> Result<Self, Failure> {
        Ok(Self {
            path: path.to_owned(),
            file: File::create(path).map_err(Failure::at(path))?,
        })
    }

    /// Adds a line.
    pub(super) fn note(&mut self, line: &Value) -> Result<(), Failure> {
        writeln!(self.file, "{line}").map_err(Failure::at(&self.path))
    }

    /// Adds a sample, with what was noted since the one before.
    pub(super) fn sample(&mut self, sample: &Sample, notes: &Notes) -> Result<(), Failure> {
        self.note(&json!({
            "kind": "sample", "operations": sample.operations, "seconds": sample.seconds,
            "figures": sample.figures, "latency_us": notes.latencies.to_json(),
            "refused": notes.refused,
        }))
    }
}

/// Says how far the run is.
pub(super) fn progress(sample: &Sample, of: u64) {
    let of_all = |name: &str| sample.figures.get(name).copied().unwrap_or(0);
    println!(
        "{:>9} of {of} calls, {:>6.0} s, memory {} KiB, state {} KiB",
        sample.operations,
        sample.seconds,
        of_all("memory_kib/most of a server"),
        of_all("bytes/.maasl as a whole") >> 10,
    );
}

/// What there is to say at the end.
pub(super) struct Ending<'a> {
    pub(super) samples: &'a [Sample],
    pub(super) probes: &'a [Probe],
    pub(super) figures: &'a [Verdict],
    pub(super) latency: &'a [(String, f64, f64, Judged)],
    pub(super) refused: &'a [(String, u64)],
    pub(super) broken: &'a [String],
    pub(super) log: &'a Path,
    pub(super) repeat: &'a str,
}

/// Prints it.
pub(super) fn ending(ending: &Ending<'_>) {
    refusals(ending.refused);
    figures(ending.figures);
    latencies(ending.probes);
    for (name, start, end, judged) in ending.latency {
        println!(
            "latency, {name}: old over new root {start:.2} at the start, {end:.2} at the end: {}",
            word(judged)
        );
    }
    if let Some(last) = ending.samples.last() {
        println!("{} calls in {:.0} s", last.operations, last.seconds);
    }
    println!("samples: {}", ending.log.display());
    for breach in ending.broken.iter().take(SHOWN) {
        println!("BROKEN: {breach}");
    }
    if ending.broken.is_empty() {
        println!("nothing broken");
    } else {
        println!(
            "{} broken; repeat with: {}",
            ending.broken.len(),
            ending.repeat
        );
    }
}

fn refusals(refused: &[(String, u64)]) {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    for (what, count) in refused {
        table.add_row([what.as_str(), &count.to_string()]);
    }
    println!("refused:\n{table}\n");
}

fn figures(verdicts: &[Verdict]) {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header([
        "figure", "first", "middle", "last", "highest", "limit", "verdict",
    ]);
    for verdict in verdicts {
        let mut row = vec![verdict.name.clone()];
        row.extend(verdict.course.iter().map(u64::to_string));
        row.push(
            verdict
                .limit
                .map_or_else(String::new, |limit| limit.to_string()),
        );
        row.push(word(&verdict.judged));
        table.add_row(row);
    }
    println!("{table}\n");
}

/// Medians and 95th percentiles of the first probe and the last, by tool.
fn latencies(probes: &[Probe]) {
    let (Some(first), Some(last)) = (probes.first(), probes.last()) else {
        return;
    };
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header([
        "tool",
        "start p50 µs",
        "old/new",
        "end p50 µs",
        "old/new",
        "start p95 µs",
        "old/new",
        "end p95 µs",
        "old/new",
    ]);
    for tool in last.aged.tools() {
        let mut row = vec![tool.to_owned()];
        for share in [0.5, 0.95] {
            for probe in [first, last] {
                let us = probe.aged.quantile(tool, share);
                row.push(us.map_or_else(String::new, |us| us.to_string()));
                let ratio = probe.ratio(tool, share);
                row.push(ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}")));
            }
        }
        table.add_row(row);
    }
    println!("{table}\n");
}

fn word(judged: &Judged) -> String {
    match judged {
        Judged::Holds => "holds".into(),
        Judged::Broken(why) => format!("BROKEN: {why}"),
        Judged::Open(why) => format!("not judged: {why}"),
    }
}
