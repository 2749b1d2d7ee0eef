//! Several texts in one input.
//!
//! Owns: where one ends. Promises: every input has pieces, and mutating one of
//! them does not move the others. Leaves to others: what a piece means.

/// Between two pieces: a byte that no UTF-8 text has.
pub const SEPARATOR: u8 = 0xff;

/// The pieces of an input; never none.
pub fn pieces(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|byte| *byte == SEPARATOR)
}

/// A piece as text; what is no UTF-8 becomes U+FFFD.
#[must_use]
pub fn text(piece: &[u8]) -> String {
    String::from_utf8_lossy(piece).into_owned()
}
