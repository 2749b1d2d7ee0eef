//! `maasl-sim check`: judges histories recorded elsewhere.
//!
//! Owns: reading the files and saying what they come to. Promises: several files
//! are judged as one history. Leaves to others: the judging (`history::judge`).

use std::path::{Path, PathBuf};

use super::output::Output;
use super::{CliError, Verdict, input};
use crate::history::judge::judge;
use crate::history::{Entry, merge, parse};

/// Steps that each search may take: some seconds of work.
const BUDGET: u64 = 10_000_000;

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Histories of one run, one for each process that wrote
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Steps that the search of one resource or file may take
    #[arg(long, default_value_t = BUDGET)]
    budget: u64,
}

pub(super) fn run(arguments: &Arguments, output: &Output) -> Result<Verdict, CliError> {
    let files = arguments.files.iter();
    let histories = files
        .map(|file| read(file))
        .collect::<Result<Vec<_>, CliError>>()?;
    let history = merge(histories);
    let judged = judge(&history, arguments.budget);
    for breach in &judged.breaches {
        output.line(&breach.to_string());
    }
    for undecided in &judged.undecided {
        output.line(&format!("undecided: {undecided}"));
    }
    output.line(&format!(
        "{} events, {} operations judged: {} broken, {} undecided",
        history.len(),
        judged.operations,
        judged.breaches.len(),
        judged.undecided.len()
    ));
    Ok(match (judged.breaches.len(), judged.undecided.len()) {
        (0, 0) => Verdict::Held,
        (0, _) => Verdict::Undecided,
        _ => Verdict::Broken,
    })
}

fn read(path: &Path) -> Result<Vec<Entry>, CliError> {
    let named = |message: String| CliError::File(format!("{}: {message}", path.display()));
    let text = input::text_within(path, input::RECORD_BYTES_MAX)?;
    parse(&text).map_err(|error| named(error.to_string()))
}
