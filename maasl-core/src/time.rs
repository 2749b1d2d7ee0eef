//! Instants as plain integers.
//!
//! Owns [`Timestamp`]. Promises: it can be written in a file, stored in a row
//! and made without reading a clock. Leaves to others: which clock an instant
//! was read from; the two in use (the store's and the process's own) never mix
//! in one expression, because one is passed to `decide` and the other to the
//! coordinator.

use core::fmt;
use core::time::Duration;

use serde::{Deserialize, Serialize};

/// An instant: nanoseconds since an origin chosen by whoever reads the clock.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The origin of the clock.
    pub const ZERO: Self = Self(0);
    /// Later than any instant a clock returns.
    pub const NEVER: Self = Self(u64::MAX);

    /// An instant `ns` nanoseconds after the origin.
    #[must_use]
    pub const fn from_ns(ns: u64) -> Self {
        Self(ns)
    }

    /// Nanoseconds since the origin.
    #[must_use]
    pub const fn as_ns(self) -> u64 {
        self.0
    }

    /// This instant moved `ms` milliseconds later, stopping at [`Self::NEVER`].
    #[must_use]
    pub const fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms.saturating_mul(1_000_000)))
    }

    /// Whole milliseconds from `earlier` to this instant; zero if it is later.
    #[must_use]
    pub const fn ms_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0) / 1_000_000
    }

    /// The time from now until this instant; zero if it has passed.
    #[must_use]
    pub const fn duration_from(self, now: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(now.0))
    }

    /// Milliseconds from `now` until this instant, rounded up, so that waiting
    /// for them is never too short.
    #[must_use]
    pub const fn ms_from(self, now: Self) -> u64 {
        self.0.saturating_sub(now.0).div_ceil(1_000_000)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}.{:09}s",
            self.0 / 1_000_000_000,
            self.0 % 1_000_000_000
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        assert_eq!(Timestamp::NEVER.plus_ms(1), Timestamp::NEVER);
        assert_eq!(Timestamp::ZERO.ms_since(Timestamp::NEVER), 0);
    }

    #[test]
    fn waiting_rounds_up() {
        assert_eq!(Timestamp::from_ns(1).ms_from(Timestamp::ZERO), 1);
        assert_eq!(Timestamp::from_ns(1_999_999).ms_since(Timestamp::ZERO), 1);
    }
}
