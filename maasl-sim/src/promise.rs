//! The promises that runs are judged by.
//!
//! Owns: their names. Promises: the numbers are those of `docs/invariants.md`.
//! Leaves to others: judging (`checks`).

use core::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A numbered promise.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum Promise {
    /// A newer grant shuts older writers out.
    I1,
    /// Tokens only rise.
    I2,
    /// One exclusive holder, or only shared ones.
    I3,
    /// A write replaced what its author had seen.
    I4,
    /// Acknowledged is durable; the rest is whole or absent.
    I5,
    /// One idempotency key, one effect, one answer.
    I6,
    /// A live waiter is served or told.
    I7,
    /// No clock breaks the others.
    I8,
    /// A graph is what its patches say, in whichever order.
    I9,
    /// A document is made once for each content of its source.
    I10,
    /// One guarded writer of a database.
    I11,
}

impl Promise {
    /// All, in order.
    pub const ALL: [Self; 11] = [
        Self::I1,
        Self::I2,
        Self::I3,
        Self::I4,
        Self::I5,
        Self::I6,
        Self::I7,
        Self::I8,
        Self::I9,
        Self::I10,
        Self::I11,
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::I1 => "I1",
            Self::I2 => "I2",
            Self::I3 => "I3",
            Self::I4 => "I4",
            Self::I5 => "I5",
            Self::I6 => "I6",
            Self::I7 => "I7",
            Self::I8 => "I8",
            Self::I9 => "I9",
            Self::I10 => "I10",
            Self::I11 => "I11",
        }
    }

    /// What it says, in one line.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::I1 => "a newer grant shuts older writers out",
            Self::I2 => "tokens only rise",
            Self::I3 => "a resource has one exclusive holder, or only shared ones",
            Self::I4 => "a write replaced what its author had seen",
            Self::I5 => "what was acknowledged is durable, the rest is whole or absent",
            Self::I6 => "one idempotency key has one effect and one answer",
            Self::I7 => "a live waiter is served or told in time",
            Self::I9 => "a graph is what its patches say, in whichever order they come",
            Self::I10 => "a document is made once for each content of its source, and says which",
            Self::I11 => "a database has one guarded writer, and what it gave up is not there",
            Self::I8 => "no clock reading breaks another promise",
        }
    }
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
