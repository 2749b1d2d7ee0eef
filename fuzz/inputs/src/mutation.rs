//! Changes of an input, from a seed.
//!
//! Owns: what is changed. Promises: the same seed makes the same bytes; they are
//! never longer than [`BYTES_MAX`]. Leaves to others: which inputs, and how many.

/// The longest mutated input.
pub const BYTES_MAX: usize = 16 * 1024;

/// Texts that parsers trip over.
const NASTY: &[&[u8]] = &[
    b"\0",
    b"\xff",
    b"\xc0\xaf",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"\r\n",
    b"\r",
    b"..",
    b"/",
    b"//",
    b"\\",
    b"\"",
    b"{",
    b"}",
    b"[[[[[[[[[[[[[[[[",
    b"]",
    b",",
    b":",
    b"\\ud800",
    b"\\u0000",
    b"1e999",
    b"-0",
    b"18446744073709551616",
    b"9007199254740993",
    b"-1",
    b"null",
    b"\xe2\x80\xae",
    b"\xcc\x81",
];

/// Numbers from a seed (SplitMix64 [Steele et al., 2014]).
#[derive(Clone, Copy, Debug)]
pub struct Draws(u64);

impl Draws {
    /// Those of this seed.
    #[must_use]
    pub const fn of(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`; 0 where there is none.
    fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.next() % end).unwrap_or(0)
    }
}

/// `bytes`, changed in one to four places; `other` is another input to take from.
#[must_use]
pub fn mutated(bytes: &[u8], other: &[u8], draws: &mut Draws) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=draws.below(4) {
        mutate(&mut bytes, other, draws);
    }
    bytes.truncate(BYTES_MAX);
    bytes
}

fn mutate(bytes: &mut Vec<u8>, other: &[u8], draws: &mut Draws) {
    let at = draws.below(bytes.len() + 1);
    let end = at + draws.below((bytes.len() - at).min(64) + 1);
    match draws.below(6) {
        0 => drop(bytes.drain(at..end)),
        1 => insert(bytes, at, NASTY[draws.below(NASTY.len())]),
        2 => {
            let again = bytes[at..end].to_vec();
            insert(bytes, end, &again);
        }
        3 => {
            let from = draws.below(other.len() + 1);
            let to = from + draws.below((other.len() - from).min(64) + 1);
            insert(bytes, at, &other[from..to]);
        }
        4 => bytes.truncate(end),
        _ => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << draws.below(8);
            }
        }
    }
}

fn insert(bytes: &mut Vec<u8>, at: usize, more: &[u8]) {
    bytes.splice(at..at, more.iter().copied());
}
