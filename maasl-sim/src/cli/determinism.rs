//! `maasl-sim check-determinism`: the same seeds in two processes.
//!
//! Owns: starting them and comparing their digests. Promises: each seed runs in
//! two processes that share nothing, of two builds if another is named. Leaves
//! to others: what a digest covers (`record`).

use std::io::{BufRead as _, BufReader};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use maasl_core::id::hex;

use super::campaign::seeds;
use super::output::Output;
use super::{CliError, Verdict, input};
use crate::campaign::run_caught;

/// Arguments of `check-determinism`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// A scenario
    file: PathBuf,
    /// Which seeds, the last one not included
    #[arg(long, value_parser = seeds, default_value = "0..1000", value_name = "A..B")]
    seeds: Range<u64>,
    /// The program of the second process, such as one built without
    /// optimisation; this one if not given
    #[arg(long, value_name = "FILE")]
    other: Option<PathBuf>,
}

/// Arguments of `digests`.
#[derive(Debug, clap::Args)]
pub(super) struct DigestArguments {
    /// A scenario
    file: PathBuf,
    /// Which seeds, the last one not included
    #[arg(long, value_parser = seeds, default_value = "0..1000", value_name = "A..B")]
    seeds: Range<u64>,
}

pub(super) fn digests(arguments: &DigestArguments, output: &Output) -> Result<Verdict, CliError> {
    let source = input::source(&arguments.file)?;
    for seed in arguments.seeds.clone() {
        let digest = match run_caught(&source.plan(seed), false) {
            Ok(finished) => hex(&finished.digest),
            Err(message) => format!("panicked: {}", message.replace('\n', " ")),
        };
        output.line(&format!("{seed} {digest}"));
    }
    Ok(Verdict::Held)
}

pub(super) fn check(arguments: &Arguments, output: &Output) -> Result<Verdict, CliError> {
    let own = std::env::current_exe()?;
    let other = arguments.other.as_ref().unwrap_or(&own);
    let mut one = Digests::of(&own, arguments)?;
    let mut two = Digests::of(other, arguments)?;
    let mut equal = 0_u64;
    for seed in arguments.seeds.clone() {
        let (first, second) = (one.next(seed)?, two.next(seed)?);
        if first != second {
            output.line(&format!("seed {seed}: {first} and {second}"));
            let file = arguments.file.display();
            output.line(&format!(
                "repeat with: maasl-sim check-determinism {file} --seeds {seed}..{}",
                seed + 1
            ));
            return Ok(Verdict::Broken);
        }
        equal += 1;
    }
    output.line(&format!(
        "{equal} seeds, each in two processes: equal digests"
    ));
    Ok(Verdict::Held)
}

/// A process that prints digests. It is ended when this is dropped.
struct Digests {
    child: Child,
    lines: BufReader<ChildStdout>,
    program: PathBuf,
}

impl Digests {
    fn of(program: &Path, arguments: &Arguments) -> Result<Self, CliError> {
        let seeds = format!("{}..{}", arguments.seeds.start, arguments.seeds.end);
        let mut child = Command::new(program)
            .arg("digests")
            .arg(&arguments.file)
            .args(["--seeds", &seeds])
            .stdout(Stdio::piped())
            .spawn()?;
        let lines = child.stdout.take().expect("it was asked for");
        Ok(Self {
            child,
            lines: BufReader::new(lines),
            program: program.to_owned(),
        })
    }

    fn next(&mut self, seed: u64) -> Result<String, CliError> {
        let mut line = String::new();
        self.lines.read_line(&mut line)?;
        let digest = line.trim_end().strip_prefix(&format!("{seed} "));
        digest.map(str::to_owned).ok_or_else(|| {
            let program = self.program.display();
            CliError::Usage(format!("{program} said {line:?} where seed {seed} was due"))
        })
    }
}

impl Drop for Digests {
    fn drop(&mut self) {
        // It may have ended by itself, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
