//! What observe mode would have done.
//!
//! Owns: the blocks and refusals that were not carried out, as data. Promises:
//! each is what the caller would have been told in enforce mode. Leaves to
//! others: going on without them (`coordinator`).

use alloc::boxed::Box;

use crate::refusal::{Busy, Refusal};

/// Something that enforce mode would have done to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observed {
    /// The call would have waited, and for whom. Whether it would have been
    /// served in time nobody knows.
    WouldBlock(Box<Busy>),
    /// The call would have been refused.
    WouldRefuse(Box<Refusal>),
}

impl Observed {
    /// Its name in results and logs.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::WouldBlock(_) => "would_block",
            Self::WouldRefuse(_) => "would_refuse",
        }
    }

    /// The stable code of the refusal; that of a wait is the one it could have
    /// ended with.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::WouldBlock(_) => "resource_busy",
            Self::WouldRefuse(refusal) => refusal.code(),
        }
    }
}
