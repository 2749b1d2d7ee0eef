//! The content of one file, one change at a time.
//!
//! Owns: what a file allows: a guarded change replaces the content that it says
//! it replaced. Promises: a change that was acknowledged and that later changes
//! do not build upon is found. Leaves to others: where changes come from
//! (`history`).

use super::{Model, Timed, Verdict, search};

/// What happens to a file. Contents are numbered by whoever asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileOp {
    /// A guarded change.
    Change {
        /// What it replaced.
        base: u64,
        /// What it left.
        new: u64,
    },
    /// Somebody outside left this, whatever was there.
    Put {
        /// It.
        new: u64,
    },
    /// Something was left that nobody recorded.
    Blur,
}

/// A file whose content is unknown at first.
#[derive(Clone, Copy, Debug, Default)]
pub struct File;

impl Model for File {
    type State = Option<u64>;
    type Op = FileOp;

    fn start(&self) -> Option<u64> {
        None
    }

    fn step(&self, state: &Option<u64>, op: &FileOp) -> Option<Option<u64>> {
        match *op {
            FileOp::Change { base, new } => state
                .is_none_or(|content| content == base)
                .then_some(Some(new)),
            FileOp::Put { new } => Some(Some(new)),
            FileOp::Blur => Some(None),
        }
    }
}

/// Judges the history of one file, in at most `budget` steps of search.
#[must_use]
pub fn judge(history: &[Timed<FileOp>], budget: u64) -> Verdict {
    search(&File, history, budget)
}
