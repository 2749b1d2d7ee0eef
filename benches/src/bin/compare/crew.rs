//! Several processes that do the same beside each other.
//!
//! Owns: starting workers of this very program, and collecting their turns.
//! Promises: all begin once the last is ready; a worker that fails is an error,
//! not a figure. Leaves to others: what a worker does (`worker`), what its turns
//! come to (`tally`).

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::worker::{Kind, Turn};
use crate::{Bench, Result, output};

/// As many as contend wherever nothing else is said.
pub(crate) const PROCESSES: usize = 5;

/// Workers of one kind at one place.
#[derive(Clone, Copy)]
pub(crate) struct Crew<'a> {
    pub(crate) kind: Kind,
    pub(crate) place: &'a Path,
    pub(crate) processes: usize,
    pub(crate) hold_us: u64,
}

impl Crew<'_> {
    /// One run; the turns of each process.
    pub(crate) fn run(self, bench: &Bench) -> Result<Vec<Vec<Turn>>> {
        let Self {
            kind,
            processes,
            hold_us,
            ..
        } = self;
        output::progress(&format!(
            "   {kind:?}, {processes} beside each other, hold {hold_us} us"
        ));
        let mut workers = Vec::new();
        for _ in 0..processes {
            workers.push(Worker::start(bench, self)?);
        }
        for worker in &mut workers {
            worker.wait_ready()?;
        }
        for worker in &mut workers {
            worker.stdin.write_all(b"\n")?;
        }
        workers.into_iter().map(Worker::turns).collect()
    }
}

struct Worker {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Worker {
    fn start(bench: &Bench, crew: Crew<'_>) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["worker", &crew.kind.name()]).arg(crew.place);
        for (name, value) in [
            ("--ms", bench.run_ms),
            ("--hold-us", crew.hold_us),
            ("--poll-us", bench.poll_us),
        ] {
            command.arg(name).arg(value.to_string());
        }
        if bench.spin {
            command.arg("--spin");
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdin = child.stdin.take().ok_or("no pipe to the worker")?;
        let stdout = child.stdout.take().ok_or("no pipe from the worker")?;
        Ok(Self {
            child,
            stdin,
            stdout: BufReader::new(stdout),
        })
    }

    fn wait_ready(&mut self) -> Result<()> {
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        if line == "ready\n" {
            return Ok(());
        }
        Err(format!("a worker did not start: {line:?}").into())
    }

    fn turns(mut self) -> Result<Vec<Turn>> {
        let mut turns = Vec::new();
        for line in self.stdout.lines() {
            turns.push(line?.parse()?);
        }
        let status = self.child.wait()?;
        if status.success() {
            return Ok(turns);
        }
        Err(format!("a worker failed: {status}").into())
    }
}
