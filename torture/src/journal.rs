//! What was asked and answered, as a history for `maasl-sim check`.
//!
//! Owns: the file of one writer, and the clock that all of them read. Promises:
//! whole lines, in the form of `docs/history-format.md`. Leaves to others: what
//! is worth writing down.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use maasl_sim::history::{Entry, Event, HISTORY_VERSION, lines};
use rustix::time::{ClockId, clock_gettime};

use crate::Failure;

/// Nanoseconds of the clock that runs while the machine sleeps, the same for all
/// processes of the machine.
pub(crate) fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).expect("a machine runs forwards from 0");
    let nanos = u64::try_from(now.tv_nsec).expect("a part of a second is not negative");
    seconds * 1_000_000_000 + nanos
}

/// The file of one writer.
#[derive(Debug)]
pub(crate) struct Journal {
    file: BufWriter<File>,
    process: String,
}

impl Journal {
    /// A new file named after its writer.
    pub(crate) fn create(folder: &Path, process: &str) -> Result<Self, Failure> {
        let path = folder.join(format!("{process}.jsonl"));
        let file = File::create(&path).map_err(Failure::at(&path))?;
        let mut journal = Self {
            file: BufWriter::new(file),
            process: process.to_owned(),
        };
        let version = HISTORY_VERSION;
        journal.note(0, Event::History { version });
        Ok(journal)
    }

    /// Writes down what happened.
    ///
    /// # Panics
    /// If the disk of the histories fails: nothing could be judged any more.
    pub(crate) fn note(&mut self, at_ns: u64, event: Event) {
        let process = self.process.clone();
        let line = lines(&[Entry {
            at_ns,
            process,
            event,
        }]);
        let written = self.file.write_all(line.as_bytes());
        written.expect("histories are on a disk that nobody attacks");
    }

    /// Brings everything to the file.
    pub(crate) fn finish(mut self) {
        let written = self.file.flush();
        written.expect("histories are on a disk that nobody attacks");
    }
}
