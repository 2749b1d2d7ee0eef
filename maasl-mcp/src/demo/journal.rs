//! What an agent tried, and what it was told.
//!
//! Owns: effects that leave something to be found, and their outcomes. Promises:
//! entries of one agent are in the order it made them. Leaves to others: looking
//! whether the effects are there (`account`).

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

/// Something that must be found afterwards if it was acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// A mark in a shared source file; `own_region` says below whose anchor.
    Note {
        path: String,
        mark: String,
        own_region: bool,
    },
    /// The same mark in several files at once.
    Set { paths: Vec<String>, mark: String },
    /// A mark in a shared file that is renamed all the time, so that only the
    /// beginning of its path is known.
    Sign { family: String, mark: String },
    /// A rename. No name is ever used twice.
    Move {
        from: String,
        to: String,
        shared: bool,
    },
    /// The whole content of a file that only its agent writes.
    Own {
        path: String,
        mark: String,
        restored: bool,
    },
    /// One more in the shared counter.
    Increment { path: String },
}

/// What the agent knows about its effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was told that it is done.
    Acknowledged,
    /// It was told that nothing was changed.
    Refused,
    /// The server died before it answered.
    Unknown,
}

/// One effect and its outcome.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) effect: Effect,
    pub(super) outcome: Outcome,
}

/// Everything one agent, or all of them, saw.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) entries: Vec<Entry>,
    /// Calls refused, by reason, retries included.
    pub(super) refusals: BTreeMap<String, u64>,
    /// Edits that were applied to content changed meanwhile.
    pub(super) rebased: u64,
    /// Writes merged with changes made meanwhile.
    pub(super) merged: u64,
    /// Reads that showed a file that was not whole.
    pub(super) torn_reads: u64,
    /// How long interactive calls took, in microseconds.
    pub(super) waits: Histogram<u64>,
    /// Calls whose own server was frozen meanwhile; they are not in `waits`.
    pub(super) calls_frozen: u64,
    /// Processes that had to be started.
    pub(super) servers_started: u64,
}

impl Log {
    pub(super) fn new() -> Self {
        let waits = Histogram::new_with_bounds(1, 60_000_000, 3);
        Self {
            entries: Vec::new(),
            refusals: BTreeMap::new(),
            rebased: 0,
            merged: 0,
            torn_reads: 0,
            waits: waits.expect("the bounds are in order and 3 digits are allowed"),
            calls_frozen: 0,
            servers_started: 0,
        }
    }

    /// Adds what another agent saw.
    pub(super) fn absorb(&mut self, other: Self) {
        self.entries.extend(other.entries);
        for (reason, count) in other.refusals {
            *self.refusals.entry(reason).or_default() += count;
        }
        self.rebased += other.rebased;
        self.merged += other.merged;
        self.torn_reads += other.torn_reads;
        self.waits += other.waits;
        self.calls_frozen += other.calls_frozen;
        self.servers_started += other.servers_started;
    }
}
