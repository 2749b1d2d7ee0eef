//! Where tokens begin, by the wall clock.
//!
//! Owns: the least token a store may begin with at a given wall time. Promises:
//! later times give greater tokens, so a store whose records were lost or put
//! back together begins above what it had issued, as long as the wall clock was
//! not set back, the store had seen at most four boots a day, and it issued less
//! than a million tokens a second. Leaves to others: reading the clock, and what
//! the records say where there are any.

use crate::id::Token;

/// 2026-01-01 00:00 UTC, milliseconds since 1970.
pub const PLACE_ORIGIN_WALL_MS: u64 = 1_767_225_600_000;

/// A store made from nothing starts in a generation of the quarter day it is
/// made in, so it is above one made in an earlier quarter day and deleted, as
/// long as that one had seen fewer boots than quarter days.
pub const QUARTER_DAY_MS: u64 = 6 * 60 * 60 * 1000;

/// Within a quarter day it starts in a sequence of the millisecond: above one
/// that was deleted unless that had issued a million tokens a second.
const SEQUENCES_PER_MS: u64 = 1000;

/// A wall clock far in the future must not use up the generations.
pub const PLACED_GENERATION_MAX: u64 = Token::GENERATION_MAX / 2;

/// The floor that the wall clock alone gives.
#[must_use]
pub fn floor_by_clock(wall_ms: u64) -> Token {
    let age_ms = wall_ms.saturating_sub(PLACE_ORIGIN_WALL_MS);
    let generation = (1 + age_ms / QUARTER_DAY_MS).min(PLACED_GENERATION_MAX);
    let sequence = age_ms % QUARTER_DAY_MS * SEQUENCES_PER_MS;
    Token::new(generation, sequence).expect("both are bounded below the limits")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_time_gives_a_greater_token() {
        let mut before = floor_by_clock(0);
        let start = PLACE_ORIGIN_WALL_MS + 1_000 * QUARTER_DAY_MS;
        for ahead_ms in [0, 1, QUARTER_DAY_MS - 1, QUARTER_DAY_MS, 9 * QUARTER_DAY_MS] {
            let floor = floor_by_clock(start + ahead_ms);
            assert!(floor > before, "{ahead_ms}");
            before = floor;
        }
        assert!(floor_by_clock(u64::MAX).generation() <= PLACED_GENERATION_MAX);
    }
}
