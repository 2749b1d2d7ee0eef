//! Where tokens begin when a store is opened, and how far they may run ahead of
//! the floor that is kept outside it.
//!
//! Owns: the floor that opening uses, from what the database says, what the
//! floor file says and the wall clock; how much one raise of the floor covers.
//! Promises: if the database or the floor file is intact, the first token is
//! above every token issued before; if neither is, or both are an older copy, it
//! is so as long as the wall clock was not set back and the store had seen at
//! most four boots a day. Leaves to others: reading and writing either.

use super::row::Meta;
use crate::id::Token;

/// Sequences covered by one raise of the floor. Each opening leaves the rest of
/// a block unused, so a block is small: 2^37 sequences are 16 million blocks.
/// Each block costs a sync that a turn waits for, so it is not tiny: under steady
/// contention one lasts for seconds.
pub const BLOCK: u64 = 8192;

/// What the floor file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// There is none, or nothing was written yet.
    Missing,
    /// Tokens up to this one may have been issued.
    Through(Token),
    /// It holds something, and no line of it can be trusted.
    Damaged,
}

/// 2026-01-01 00:00 UTC, milliseconds since 1970.
const ORIGIN_WALL_MS: u64 = 1_767_225_600_000;

/// A store made from nothing starts in a generation of the quarter day it is
/// made in, so it is above one made in an earlier quarter day and deleted, as
/// long as that one had seen fewer boots than quarter days.
const QUARTER_DAY_MS: u64 = 6 * 60 * 60 * 1000;

/// Within a quarter day it starts in a sequence of the millisecond: above one
/// that was deleted unless that had issued a million tokens a second.
const SEQUENCES_PER_MS: u64 = 1000;

/// A wall clock far in the future must not use up the generations.
const PLACED_GENERATION_MAX: u64 = Token::GENERATION_MAX / 2;

/// Tokens up to this one may have been issued, as far as anyone can tell. The
/// clock counts in any case: a copy of the whole state directory brings back an
/// old floor with an old database, and nothing in either says so.
#[must_use]
pub fn at_opening(known: Option<&Meta>, file: Reading, wall_ms: u64) -> Token {
    let recorded = match (known, file) {
        (None, Reading::Missing | Reading::Damaged) => Token::default(),
        (None, Reading::Through(token)) => token,
        (Some(meta), Reading::Through(token)) => token.max(meta.reserved_through),
        // No token was issued yet, so no floor was written.
        (Some(meta), Reading::Missing) if meta.reserved_through == Token::default() => {
            Token::default()
        }
        // The database may be an old copy and nothing says so: begin another
        // generation above its own.
        (Some(meta), Reading::Missing | Reading::Damaged) => {
            Token::new(meta.generation + 1, meta.next_sequence).unwrap_or_default()
        }
    };
    recorded.max(from_clock(wall_ms))
}

/// What the floor is raised to before `token` is issued, where one raise covers
/// `block` sequences more.
#[must_use]
pub fn raised_for(token: Token, block: u64) -> Token {
    let last = token.sequence().saturating_add(block);
    let last = last.min(Token::SEQUENCE_MAX);
    Token::new(token.generation(), last).expect("the generation of a token, and a bounded sequence")
}

fn from_clock(wall_ms: u64) -> Token {
    let age_ms = wall_ms.saturating_sub(ORIGIN_WALL_MS);
    let generation = (1 + age_ms / QUARTER_DAY_MS).min(PLACED_GENERATION_MAX);
    let sequence = age_ms % QUARTER_DAY_MS * SEQUENCES_PER_MS;
    Token::new(generation, sequence).expect("both are bounded below the limits")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = ORIGIN_WALL_MS + 1_000 * QUARTER_DAY_MS + 7;

    fn meta(generation: u64, next_sequence: u64, reserved: u64) -> Meta {
        Meta {
            store: "".into(),
            generation,
            next_sequence,
            reserved_through: Token::new(generation, reserved).unwrap(),
            next_ticket: 1,
            boot: "".into(),
        }
    }

    #[test]
    fn a_store_made_later_starts_above() {
        let at = |wall_ms| at_opening(None, Reading::Missing, wall_ms);
        for (earlier, later) in [
            (0, ORIGIN_WALL_MS + 1),
            (NOW, NOW + 1),
            (NOW, NOW + QUARTER_DAY_MS),
        ] {
            assert!(at(earlier) < at(later));
        }
        assert!(at(u64::MAX).generation() <= PLACED_GENERATION_MAX);
    }

    #[test]
    fn the_larger_of_file_and_database_counts() {
        let file = Reading::Through(Token::new(3, 50).unwrap());
        let floor = |meta: Meta| at_opening(Some(&meta), file, ORIGIN_WALL_MS);
        assert_eq!(floor(meta(3, 5, 10)), Token::new(3, 50).unwrap());
        assert_eq!(floor(meta(3, 5, 90)), Token::new(3, 90).unwrap());
        assert!(at_opening(None, file, NOW) >= Token::new(3, 50).unwrap());
    }

    #[test]
    fn a_raise_covers_the_token_and_stays_in_its_generation() {
        let token = |sequence| Token::new(3, sequence).unwrap();
        assert_eq!(raised_for(token(50), BLOCK), token(50 + BLOCK));
        let last = token(Token::SEQUENCE_MAX);
        assert_eq!(raised_for(token(Token::SEQUENCE_MAX - 1), BLOCK), last);
        assert_eq!(raised_for(last, u64::MAX), last);
    }

    #[test]
    fn an_older_copy_of_both_starts_above_by_the_clock() {
        let file = Reading::Through(Token::new(3, 50).unwrap());
        let floor = |wall_ms| at_opening(Some(&meta(3, 5, 10)), file, wall_ms);
        assert!(floor(NOW) > Token::new(3, 50).unwrap());
        assert!(floor(NOW) < floor(NOW + 1));
    }

    #[test]
    fn without_a_file_to_trust_a_new_generation_begins() {
        for generation in [3, 30_000] {
            let meta = meta(generation, 70, 90);
            for file in [Reading::Damaged, Reading::Missing] {
                let floor = at_opening(Some(&meta), file, NOW);
                assert!(floor.generation() > generation);
            }
        }
    }
}
