//! A trace: everything about one run, in a file.
//!
//! Owns: what a trace holds. Promises: the plan in it is the text that was run,
//! and running it again must give the same records; a trace that was cut off or
//! altered is refused. Leaves to others: its bytes (`bytes`), running it again
//! (`replay`) and showing it (`names`, `timeline`).

mod bytes;
mod error;
mod reader;

use serde::{Deserialize, Serialize};

pub use self::error::{Part, TraceError};
use crate::plan::Plan;
use crate::promise::Promise;
use crate::record::{Kind, Record};
use crate::world::Finished;

/// The form of traces this program reads and writes.
pub const TRACE_VERSION: u64 = 1;

/// A run that was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// The plan, as text.
    pub plan_text: String,
    /// The plan.
    pub plan: Plan,
    /// What came of it.
    pub verdict: Verdict,
    labels: Vec<String>,
    lines: Vec<Line>,
}

/// What came of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    /// How many records there are.
    pub records: u64,
    /// The digest over all records, as the run made it.
    pub digest: String,
    /// How much time passed in the world.
    pub elapsed_ms: u64,
    /// The promise that was broken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promise: Option<Promise>,
    /// In which way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// What happened then, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Whether it was cut off without a breach, before everything had come to its
    /// end.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub cut_off: bool,
}

/// One record as a trace has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'t> {
    /// Nanoseconds from the start.
    pub at_ns: u64,
    /// What.
    pub kind: Kind,
    /// The place of its process or agent in the plan.
    pub who: u16,
    /// The name of the command, effect or code, if it has one.
    pub label: &'t str,
    /// The call, counted in its process; 0 for none.
    pub call: u64,
    /// What more there is, by kind.
    pub detail: u64,
}

/// A record with its label as a place in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Line {
    at_ns: u64,
    kind: Kind,
    who: u16,
    label: usize,
    call: u64,
    detail: u64,
}

impl Trace {
    /// The trace of a run whose records were kept.
    pub fn of(plan: &Plan, finished: &Finished) -> Result<Self, TraceError> {
        let text = toml::to_string(plan);
        let plan_text = text.map_err(|error| TraceError::Unwritable(error.to_string()))?;
        let mut trace = Self {
            plan_text,
            plan: plan.clone(),
            verdict: Verdict::of(finished),
            labels: Vec::new(),
            lines: Vec::with_capacity(finished.kept.len()),
        };
        for record in &finished.kept {
            trace.push(&Entry::from(record));
        }
        Ok(trace)
    }

    /// How many records it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether it has no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// A record, counted from 0.
    #[must_use]
    pub fn entry(&self, index: usize) -> Option<Entry<'_>> {
        let line = self.lines.get(index)?;
        Some(Entry {
            at_ns: line.at_ns,
            kind: line.kind,
            who: line.who,
            label: &self.labels[line.label],
            call: line.call,
            detail: line.detail,
        })
    }

    /// All records, in order.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        (0..self.len()).map(|index| self.entry(index).expect("within its length"))
    }

    /// Puts another record in a record's place.
    ///
    /// # Panics
    /// If there is no record there.
    pub fn replace(&mut self, index: usize, entry: &Entry<'_>) {
        self.push(entry);
        let line = self.lines.pop().expect("it was just put there");
        self.lines[index] = line;
    }

    /// The same without its last records, of which `records` stay.
    #[must_use]
    pub fn shortened(&self, records: usize) -> Self {
        let mut trace = self.clone();
        trace.lines.truncate(records);
        trace.verdict.records = trace.lines.len() as u64;
        trace
    }

    /// Adds a record at the end.
    pub fn append(&mut self, entry: &Entry<'_>) {
        self.push(entry);
        self.verdict.records += 1;
    }

    fn push(&mut self, entry: &Entry<'_>) {
        let known = self.labels.iter().position(|label| label == entry.label);
        let label = known.unwrap_or_else(|| {
            self.labels.push(entry.label.to_owned());
            self.labels.len() - 1
        });
        self.lines.push(Line {
            at_ns: entry.at_ns,
            kind: entry.kind,
            who: entry.who,
            label,
            call: entry.call,
            detail: entry.detail,
        });
    }
}

impl Verdict {
    /// What came of this run.
    #[must_use]
    pub fn of(finished: &Finished) -> Self {
        let breach = finished.breach.as_ref();
        Self {
            records: finished.records,
            digest: maasl_core::id::hex(&finished.digest),
            elapsed_ms: finished.elapsed_ms,
            promise: breach.map(|breach| breach.promise),
            site: breach.map(|breach| breach.site.to_owned()),
            message: breach.map(|breach| breach.message.clone()),
            cut_off: breach.is_none() && !finished.ended,
        }
    }

    /// In a few words.
    #[must_use]
    pub fn words(&self) -> String {
        let (Some(promise), Some(site), Some(message)) = (self.promise, &self.site, &self.message)
        else {
            return if self.cut_off {
                "undecided: time was up before everything had come to its end".to_owned()
            } else {
                "all promises held".to_owned()
            };
        };
        format!("{promise} was broken ({site}): {message}")
    }
}

impl From<&Record> for Entry<'static> {
    fn from(record: &Record) -> Self {
        Self {
            at_ns: record.at_ns,
            kind: record.kind,
            who: record.who,
            label: record.label,
            call: record.call,
            detail: record.detail,
        }
    }
}
