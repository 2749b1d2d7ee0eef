//! What observe mode would have done.
//!
//! Owns: the blocks and refusals that were not carried out, as data. Promises:
//! each is what the caller would have been told in enforce mode. Leaves to
//! others: going on without them (`coordinator`).

use alloc::boxed::Box;

use crate::lease::Blocker;
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
    /// Whether this tells of the same thing as `earlier`, which the call met before.
    /// The same holder has held for longer by then. What keeps latches is named by
    /// its process alone, and whoever meets that was blocked by it already, as far as
    /// anybody can tell.
    #[must_use]
    pub fn is_again(&self, earlier: &Self) -> bool {
        match (self, earlier) {
            (Self::WouldBlock(now), Self::WouldBlock(before)) => {
                let was_met = |blocker: &Blocker| {
                    let mut earlier = before.blockers.iter();
                    earlier.any(|known| known.key == blocker.key && known.owner == blocker.owner)
                };
                now.process.is_some()
                    || now.resource == before.resource
                    || now.blockers.iter().any(was_met)
            }
            (now, before) => now == before,
        }
    }

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
