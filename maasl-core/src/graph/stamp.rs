//! Stamps: the time of a patch, which never contradicts what its author had seen.
//!
//! Owns: hybrid logical clocks [Kulkarni et al., 2014] in one integer. Promises:
//! a stamp made after seeing others is larger than all of them, whatever the
//! clocks say; with clocks that are right it is close to the time of day. Leaves
//! to others: reading the clock (an argument), and who sees what (`seen`).
//!
//! A clock that runs ahead takes the graph's time with it, because to refuse its
//! stamps would break causality for whoever had seen them. Three things keep that
//! from getting out of hand. A reading counts at most as [`WALL_MS_MAX`], which
//! leaves 2^60 stamps above any that a clock can make. Authors with a right clock
//! do not push time further: they only count within the millisecond they saw. And
//! [`Stamp::ahead_ms`] says how far ahead a stamp is, so that whoever has a clock
//! can name the patch: [`AHEAD_MS_NOTED`] is where that is worth a word. All a
//! stamp decides is which of two concurrent values shows, and the other is in the
//! conflict log.

use alloc::string::String;
use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};

/// The last millisecond of the year 9999: later readings count as this one.
pub const WALL_MS_MAX: u64 = 253_402_300_799_999;
/// How far a stamp may be ahead of the reader's clock before it is worth telling.
pub const AHEAD_MS_NOTED: u64 = 60_000;

/// Bits that count within a millisecond.
const COUNTER_BITS: u32 = 16;

/// A time of day in milliseconds since 1970 (48 bits), and a count of stamps
/// made within it (16 bits) that carries into the time when it overflows.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(try_from = "String", into = "String")]
pub struct Stamp(u64);

impl Stamp {
    /// Before every stamp that was made.
    pub const ZERO: Self = Self(0);

    /// The stamp of a patch made when the clock reads `wall_ms` by an author who
    /// had seen stamps up to `newest`. There is none if `newest` is the last
    /// stamp there is, which only a forged patch can bring about.
    #[must_use]
    pub fn after(newest: Self, wall_ms: u64) -> Option<Self> {
        let wall = wall_ms.min(WALL_MS_MAX) << COUNTER_BITS;
        newest.0.checked_add(1).map(|next| Self(next.max(wall)))
    }

    /// The stamp with this number.
    #[must_use]
    pub const fn from_number(number: u64) -> Self {
        Self(number)
    }

    /// The stamp as a number of the same order.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }

    /// Its time of day.
    #[must_use]
    pub const fn ms(self) -> u64 {
        self.0 >> COUNTER_BITS
    }

    /// How many milliseconds it is ahead of a clock; zero if it is not.
    #[must_use]
    pub const fn ahead_ms(self, wall_ms: u64) -> u64 {
        self.ms().saturating_sub(wall_ms)
    }
}

impl fmt::Display for Stamp {
    /// The two parts, with a point between them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counter = self.0 & ((1 << COUNTER_BITS) - 1);
        write!(f, "{}.{counter}", self.ms())
    }
}

impl FromStr for Stamp {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fault = "a stamp is two numbers with a point between them";
        let (ms, counter) = text.split_once('.').ok_or(fault)?;
        let ms: u64 = ms.parse().map_err(|_| fault)?;
        let counter: u16 = counter.parse().map_err(|_| fault)?;
        if ms >> (u64::BITS - COUNTER_BITS) != 0 {
            return Err("a stamp has 48 bits of milliseconds");
        }
        Ok(Self(ms << COUNTER_BITS | u64::from(counter)))
    }
}

impl From<Stamp> for String {
    fn from(stamp: Stamp) -> Self {
        alloc::format!("{stamp}")
    }
}

impl TryFrom<String> for Stamp {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn a_stamp_follows_the_clock_and_never_what_was_seen() {
        let seen = Stamp::after(Stamp::ZERO, 1_000).unwrap();
        assert_eq!(seen.to_string(), "1000.0");
        assert_eq!(Stamp::after(seen, 2_000).unwrap().to_string(), "2000.0");
        assert_eq!(Stamp::after(seen, 1_000).unwrap().to_string(), "1000.1");
        assert_eq!(Stamp::after(seen, 5).unwrap().to_string(), "1000.1");
    }

    #[test]
    fn the_counter_carries_into_the_time() {
        let full = Stamp::from_number((1_000 << 16) | 0xFFFF);
        assert_eq!(Stamp::after(full, 5).unwrap().to_string(), "1001.0");
    }

    #[test]
    fn a_clock_at_its_end_leaves_room_and_is_noticed() {
        let far = Stamp::after(Stamp::ZERO, u64::MAX).unwrap();
        assert_eq!(far.ms(), WALL_MS_MAX);
        assert!(Stamp::after(far, 0).unwrap() > far);
        assert!(far.ahead_ms(1_700_000_000_000) > AHEAD_MS_NOTED);
        assert_eq!(Stamp::after(Stamp::from_number(u64::MAX), 0), None);
    }

    #[test]
    fn a_stamp_reads_what_it_writes() {
        for number in [0, 1, 0xFFFF, 0x1_0000, u64::MAX] {
            let stamp = Stamp::from_number(number);
            assert_eq!(stamp.to_string().parse(), Ok(stamp));
        }
        for text in ["", "1", "1.", ".1", "1.65536", "281474976710656.0", "1.-1"] {
            assert!(text.parse::<Stamp>().is_err(), "{text:?}");
        }
    }
}
