//! Where tokens begin when a store is opened.
//!
//! Owns: the floor that opening uses, from what the database says, what the
//! floor file says and the wall clock. Promises: if the database or the floor
//! file is intact, the first token is above every token issued before; if
//! neither is, or both are an older copy, it is so as long as the wall clock was
//! not set back and the store had seen at most four boots a day. Leaves to
//! others: reading and writing either, and the clock's own part
//! (`maasl_core::lease::place`).

use maasl_core::id::Token;
use maasl_core::lease::Meta;
use maasl_core::lease::place::floor_by_clock;

use super::floor::Reading;

/// Tokens up to this one may have been issued, as far as anyone can tell. The
/// clock counts in any case: a copy of the whole state directory brings back an
/// old floor with an old database, and nothing in either says so.
pub(super) fn floor_at_opening(known: Option<&Meta>, file: Reading, wall_ms: u64) -> Token {
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
    recorded.max(floor_by_clock(wall_ms))
}

#[cfg(test)]
mod tests {
    use super::*;
    use maasl_core::lease::place::{
        PLACE_ORIGIN_WALL_MS as ORIGIN_WALL_MS, PLACED_GENERATION_MAX, QUARTER_DAY_MS,
    };

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
        let at = |wall_ms| floor_at_opening(None, Reading::Missing, wall_ms);
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
        let floor = |meta: Meta| floor_at_opening(Some(&meta), file, ORIGIN_WALL_MS);
        assert_eq!(floor(meta(3, 5, 10)), Token::new(3, 50).unwrap());
        assert_eq!(floor(meta(3, 5, 90)), Token::new(3, 90).unwrap());
        assert!(floor_at_opening(None, file, NOW) >= Token::new(3, 50).unwrap());
    }

    #[test]
    fn an_older_copy_of_both_starts_above_by_the_clock() {
        let file = Reading::Through(Token::new(3, 50).unwrap());
        let floor = |wall_ms| floor_at_opening(Some(&meta(3, 5, 10)), file, wall_ms);
        assert!(floor(NOW) > Token::new(3, 50).unwrap());
        assert!(floor(NOW) < floor(NOW + 1));
    }

    #[test]
    fn without_a_file_to_trust_a_new_generation_begins() {
        for generation in [3, 30_000] {
            let meta = meta(generation, 70, 90);
            for file in [Reading::Damaged, Reading::Missing] {
                let floor = floor_at_opening(Some(&meta), file, NOW);
                assert!(floor.generation() > generation);
            }
        }
    }
}
