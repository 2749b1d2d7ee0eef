//! `maasl-sim timeline`: a run as lanes over time.
//!
//! Owns: where the timeline goes. Promises: says so if this program does not
//! repeat the trace any more, before showing something else. Leaves to others:
//! the timeline (`crate::timeline`).

use std::path::PathBuf;

use super::output::Output;
use super::{CliError, Verdict, input};
use crate::replay::{Replayed, replay};
use crate::timeline::Timeline;

/// Arguments of `timeline`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// A trace
    trace: PathBuf,
    /// Where the page goes
    #[arg(short, long, value_name = "FILE", required_unless_present = "text")]
    output: Option<PathBuf>,
    /// Print it as text
    #[arg(long)]
    text: bool,
}

pub(super) fn run(arguments: &Arguments, output: &Output) -> Result<Verdict, CliError> {
    let trace = input::trace(&arguments.trace)?;
    if !matches!(replay(&trace), Replayed::Same(_)) {
        let path = arguments.trace.display();
        let message = format!("{path}: this program does not repeat it; see `maasl-sim replay`");
        return Err(CliError::File(message));
    }
    let timeline = Timeline::of(&trace.plan);
    if let Some(path) = &arguments.output {
        input::write(path, timeline.to_html().as_bytes())?;
    }
    if arguments.text {
        output.line(timeline.to_text().trim_end());
    }
    Ok(Verdict::Held)
}
