//! Numbers that a seed decides.
//!
//! Owns: the generator and the streams of draws. Promises: xoshiro256++ (Blackman
//! and Vigna, 2021) seeded by `SplitMix64` (Steele, Lea and Flood, 2014), the same
//! on every machine and in every version; integers only, each in a range as
//! likely as the others. Leaves to others: what is drawn (`draw`).
//!
//! There is no global stream. A draw belongs to what it is for, by name, so
//! taking one thing out of a scenario leaves the draws of all others as they
//! were.

/// What `SplitMix64` steps by.
pub(crate) const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// The generator that spreads a seed over the state of another.
#[derive(Clone, Debug)]
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }
}

/// The finaliser of `SplitMix64`.
pub(crate) fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// A stream of draws with a name of its own.
#[derive(Clone, Debug)]
pub struct Stream {
    state: [u64; 4],
}

impl Stream {
    /// The stream of this name under this seed.
    #[must_use]
    pub fn of(seed: u64, names: &[&str]) -> Self {
        let mut key = SplitMix64(seed);
        for name in names {
            // The length goes in too: ("ab", "c") is not ("a", "bc").
            key.0 = key.next() ^ name.len() as u64;
            for chunk in name.as_bytes().chunks(8) {
                let mut word = [0; 8];
                word[..chunk.len()].copy_from_slice(chunk);
                key.0 = key.next() ^ u64::from_le_bytes(word);
            }
        }
        Self {
            state: core::array::from_fn(|_| key.next()),
        }
    }

    /// The next 64 bits: xoshiro256++.
    pub fn bits(&mut self) -> u64 {
        let state = &mut self.state;
        let drawn = state[0]
            .wrapping_add(state[3])
            .rotate_left(23)
            .wrapping_add(state[0]);
        let shifted = state[1] << 17;
        state[2] ^= state[0];
        state[3] ^= state[1];
        state[1] ^= state[2];
        state[0] ^= state[3];
        state[2] ^= shifted;
        state[3] = state[3].rotate_left(45);
        drawn
    }

    /// A number below `bound`, each as likely as the others (Lemire, 2019).
    ///
    /// # Panics
    /// If `bound` is 0: there is no such number.
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "a draw needs something to choose from");
        let (mut high, mut low) = wide_product(self.bits(), bound);
        if low < bound {
            let unfair = bound.wrapping_neg() % bound;
            while low < unfair {
                (high, low) = wide_product(self.bits(), bound);
            }
        }
        high
    }

    /// A number from `from` to `to`, both included.
    ///
    /// # Panics
    /// If `to` lies below `from`.
    pub fn between(&mut self, from: i64, to: i64) -> i64 {
        assert!(from <= to, "a range ends where it begins or later");
        let width = to.wrapping_sub(from).cast_unsigned();
        let ahead = match width.checked_add(1) {
            Some(count) => self.below(count),
            None => self.bits(),
        };
        from.wrapping_add(ahead.cast_signed())
    }

    /// True in so many of a thousand cases.
    pub fn permille(&mut self, chance: u64) -> bool {
        self.below(1_000) < chance
    }
}

/// The upper and the lower half of a product.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the lower half is what is asked for"
)]
fn wide_product(one: u64, two: u64) -> (u64, u64) {
    let product = u128::from(one) * u128::from(two);
    ((product >> 64) as u64, product as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splitmix64_gives_its_published_numbers() {
        let mut generator = SplitMix64(1_234_567);
        let published = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
            4_593_380_528_125_082_431,
            16_408_922_859_458_223_821,
        ];
        assert_eq!(published.map(|_| generator.next()), published);
    }

    #[test]
    fn xoshiro256_plus_plus_gives_its_published_numbers() {
        let mut stream = Stream {
            state: [1, 2, 3, 4],
        };
        let published = [
            41_943_041,
            58_720_359,
            3_588_806_011_781_223,
            3_591_011_842_654_386,
            9_228_616_714_210_784_205,
            9_973_669_472_204_895_162,
            14_011_001_112_246_962_877,
            12_406_186_145_184_390_807,
            15_849_039_046_786_891_736,
            10_450_023_813_501_588_000,
        ];
        assert_eq!(published.map(|_| stream.bits()), published);
    }

    #[test]
    fn streams_differ_by_seed_and_by_where_a_name_ends() {
        let first = |seed, names: &[&str]| Stream::of(seed, names).bits();
        let all = [
            first(1, &["fault", "kill"]),
            first(2, &["fault", "kill"]),
            first(1, &["fault", "kil", "l"]),
            first(1, &["fault", "kill", ""]),
            first(1, &["faultkill"]),
            first(1, &["kill", "fault"]),
            first(1, &[]),
        ];
        for (at, one) in all.iter().enumerate() {
            assert!(!all[..at].contains(one), "stream {at} is another's");
        }
        assert_eq!(first(1, &["fault", "kill"]), all[0]);
    }

    /// Pins the streams: another hashing of names would give every seed that was
    /// ever reported another run.
    #[test]
    fn a_stream_stays_what_it_is() {
        let mut stream = Stream::of(42, &["fault", "kill", "3"]);
        let drawn = [stream.bits(), stream.bits()];
        assert_eq!(drawn, PINNED);
    }

    const PINNED: [u64; 2] = [1_604_159_051_221_706_370, 5_740_375_980_508_328_805];

    #[test]
    fn a_bounded_draw_is_fair() {
        // Three quarters of all 64-bit words: taking a remainder would give the
        // first third of the range twice as often as the rest.
        let bound = 3 << 62;
        let mut stream = Stream::of(7, &["fair"]);
        let below = (0..30_000).filter(|_| stream.below(bound) < bound / 3);
        let count = below.count();
        assert!((9_500..10_500).contains(&count), "{count} of 30,000");
    }

    #[test]
    fn a_range_reaches_both_ends_and_nothing_beyond() {
        let mut stream = Stream::of(7, &["range"]);
        let drawn: std::collections::BTreeSet<i64> =
            (0..500).map(|_| stream.between(-2, 3)).collect();
        assert_eq!(drawn.into_iter().collect::<Vec<_>>(), [-2, -1, 0, 1, 2, 3]);
        assert_eq!(stream.between(i64::MIN, i64::MIN), i64::MIN);
        let _ = stream.between(i64::MIN, i64::MAX);
    }
}
