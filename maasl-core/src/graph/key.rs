//! Keys: 64 bits that stand for a text or for a tuple of texts.
//!
//! Owns: the one hash function of graphs. Promises: it never changes, since the
//! order inside a digest follows from it; the same on every machine. Leaves to
//! others: telling apart what shares a key. It has no secret, so whoever chooses
//! ids can make them collide: that costs time, never correctness.
//!
//! Words are multiplied to 128 bits and the halves joined, as in wyhash and its
//! kin: two multiplications for most ids.

const SEEDS: [u64; 3] = [
    0x9E37_79B9_7F4A_7C15,
    0xD6E8_FEB8_6659_FD93,
    0xA076_1D64_78BD_642F,
];

/// The key of a text.
pub(super) fn of_text(text: &str) -> u64 {
    let bytes = text.as_bytes();
    let mut key = SEEDS[0];
    let mut words = bytes.chunks_exact(8);
    for word in &mut words {
        let word = word.try_into().expect("chunks of eight are eight bytes");
        key = join(key, u64::from_le_bytes(word));
    }
    let mut tail = [0; 8];
    tail[..words.remainder().len()].copy_from_slice(words.remainder());
    let key = join(key, u64::from_le_bytes(tail));
    // The length tells a text from the same with zeros behind.
    join(key, u64::try_from(bytes.len()).unwrap_or(u64::MAX))
}

/// The key of a thing made of the parts with these keys, in this order.
pub(super) fn of_parts(kind: u8, parts: [u64; 3]) -> u64 {
    let first = join(u64::from(kind) ^ SEEDS[0], parts[0]);
    join(join(first, parts[1]), parts[2])
}

fn join(key: u64, word: u64) -> u64 {
    let product = u128::from(key ^ SEEDS[1]) * u128::from(word ^ SEEDS[2]);
    let [low, high] = halves(product);
    // Adding the word back keeps a factor of zero from hiding the others.
    low ^ high ^ word.rotate_left(32)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "taking a number apart is the point"
)]
const fn halves(number: u128) -> [u64; 2] {
    [number as u64, (number >> 64) as u64]
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;
    use alloc::format;

    use super::*;

    #[test]
    fn keys_never_change() {
        let keys = ["", "a", "fn:main", "src/graph/key.rs#of_text"].map(of_text);
        let expected = [
            0xEAC6_006A_63B7_8801,
            0x7B45_FE3A_F896_3518,
            0xE0CC_D02A_B1F8_38E6,
            0xDB1F_35CA_9893_7267,
        ];
        assert_eq!(keys, expected, "{keys:#018x?}");
        assert_eq!(of_parts(2, [1, 2, 3]), 0x8F67_DAD7_F484_DFFF);
    }

    #[test]
    fn similar_texts_differ_in_both_halves() {
        let texts = (0..20_000).map(|n| of_text(&format!("src/module_{n}.rs#item")));
        let keys: BTreeSet<u64> = texts.collect();
        assert_eq!(keys.len(), 20_000);
        for half in [0, 32] {
            let spread: BTreeSet<u64> = keys.iter().map(|key| key >> half & 0xFFFF).collect();
            // 20,000 balls in 65,536 urns meet 17,200 of them.
            assert!((16_900..17_500).contains(&spread.len()), "{}", spread.len());
        }
    }

    #[test]
    fn zeros_at_the_end_count() {
        assert_ne!(of_text("a"), of_text("a\0"));
        assert_ne!(of_text(""), of_text("\0\0\0\0\0\0\0\0"));
    }
}
