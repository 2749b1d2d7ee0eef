//! Why a file is no trace.
//!
//! Owns: the errors of traces. Promises: an error says where, so that what comes
//! before can still be used. Leaves to others: finding them (`reader`).

use core::fmt;

use super::TRACE_VERSION;

/// What is wrong with a trace.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TraceError {
    /// It does not begin as traces do.
    #[error("this is no trace")]
    WrongMagic,
    /// It has another form than this program knows.
    #[error("the trace has form {0}; this program reads form {TRACE_VERSION}")]
    OtherVersion(u64),
    /// It ends in the middle.
    #[error("the trace ends inside {0}")]
    Truncated(Part),
    /// Its bytes are not those that were written.
    #[error("the digest of {0} does not fit; the trace was altered")]
    DigestMismatch(Part),
    /// What was written means nothing.
    #[error("{0}: {1}")]
    Malformed(Part, String),
    /// The plan cannot be written as text.
    #[error("the plan cannot be written: {0}")]
    Unwritable(String),
}

/// A part of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Form, plan and names.
    Head,
    /// Records, in blocks counted from 1.
    Block(usize),
    /// What came of the run.
    Verdict,
    /// What should not be there.
    End,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Head => f.write_str("the head"),
            Self::Block(number) => write!(f, "block {number}"),
            Self::Verdict => f.write_str("the verdict"),
            Self::End => f.write_str("the end"),
        }
    }
}
