//! Search: where a text occurs in bytes, whatever its line breaks.
//!
//! Owns: finding occurrences. Promises: time linear in text and needle; ranges
//! are of the original bytes, ascending, and never split a CRLF that the needle
//! left to us. Leaves to others: what replaces an occurrence.

use alloc::borrow::Cow;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

use super::breaks::{fold, has_bare_feed, has_crlf};

/// A search for a needle whose bare `\n` stands for either line break.
pub(super) struct Search<'a> {
    /// The content, with CRLF read as LF if that is how it is searched.
    content: Cow<'a, [u8]>,
    needle: Cow<'a, [u8]>,
    /// Positions, in `content`, of the line feeds that lost their carriage return.
    crlf: Vec<usize>,
}

impl<'a> Search<'a> {
    /// Prepares to look for `needle`. Without a bare `\n` it means its own bytes,
    /// and nothing is folded for it.
    pub(super) fn of(content: &'a [u8], needle: &'a [u8]) -> Self {
        if !has_bare_feed(needle) || !has_crlf(content) {
            return Self {
                content: Cow::Borrowed(content),
                needle: Cow::Borrowed(needle),
                crlf: Vec::new(),
            };
        }
        let (folded, crlf) = fold(content);
        Self {
            content: Cow::Owned(folded),
            needle: Cow::Owned(fold(needle).0),
            crlf,
        }
    }

    /// Occurrences that do not overlap, as ranges of the original content.
    pub(super) fn occurrences(&self) -> impl Iterator<Item = Range<usize>> {
        let length = self.needle.len();
        Occurrences::new(&self.content, &self.needle)
            .map(move |start| self.original(start)..self.original(start + length))
    }

    /// The position in the original content of a position in `content`.
    fn original(&self, at: usize) -> usize {
        at + self.crlf.partition_point(|folded| *folded < at)
    }
}

/// Knuth, Morris and Pratt's search: never looks at a byte of the text twice.
struct Occurrences<'t, 'n> {
    text: &'t [u8],
    needle: &'n [u8],
    /// For each prefix of the needle, its longest proper prefix that ends it.
    back: Vec<usize>,
    at: usize,
}

impl<'t, 'n> Occurrences<'t, 'n> {
    fn new(text: &'t [u8], needle: &'n [u8]) -> Self {
        let mut back = vec![0; needle.len()];
        let mut matched = 0;
        for at in 1..needle.len() {
            matched = advance(needle, &back, matched, needle[at]);
            back[at] = matched;
        }
        Self {
            text,
            needle,
            back,
            at: 0,
        }
    }
}

impl Iterator for Occurrences<'_, '_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let first = *self.needle.first()?;
        let mut matched = 0;
        while let Some(rest) = self.text.get(self.at..) {
            if matched == 0 {
                self.at += rest.iter().position(|byte| *byte == first)?;
            }
            let byte = *self.text.get(self.at)?;
            matched = advance(self.needle, &self.back, matched, byte);
            self.at += 1;
            if matched == self.needle.len() {
                return Some(self.at - matched);
            }
        }
        None
    }
}

/// How much of the needle is matched after one more byte. `matched` is less
/// than the length of the needle.
fn advance(needle: &[u8], back: &[usize], mut matched: usize, byte: u8) -> usize {
    while matched > 0 && needle[matched] != byte {
        matched = back[matched - 1];
    }
    matched + usize::from(needle[matched] == byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(content: &[u8], needle: &[u8]) -> Vec<(usize, usize)> {
        let search = Search::of(content, needle);
        search.occurrences().map(|at| (at.start, at.end)).collect()
    }

    #[test]
    fn occurrences_do_not_overlap() {
        assert_eq!(find(b"aaaaa", b"aa"), [(0, 2), (2, 4)]);
        assert_eq!(find(b"abababab", b"abab"), [(0, 4), (4, 8)]);
        assert_eq!(find(b"aabaaab", b"aaab"), [(3, 7)]);
        assert_eq!(find(b"abc", b"abcd"), []);
        assert_eq!(find(b"abc", b""), []);
        assert_eq!(find(b"", b"a"), []);
    }

    #[test]
    fn a_bare_line_feed_finds_both_line_breaks() {
        let content = b"a\r\nb\na\nb\r\n";
        assert_eq!(find(content, b"a\nb\n"), [(0, 5), (5, 10)]);
        assert_eq!(find(content, b"\nb"), [(1, 4), (6, 8)]);
    }

    #[test]
    fn a_spelled_out_break_is_matched_as_it_is() {
        assert_eq!(find(b"a\na\r\n", b"a\r\n"), [(2, 5)]);
    }

    #[test]
    fn a_needle_with_both_breaks_never_splits_one() {
        assert_eq!(find(b"a\r\nb\r\nc", b"\nb\r\n"), [(1, 6)]);
    }

    #[test]
    fn a_lone_carriage_return_is_an_ordinary_byte() {
        assert_eq!(find(b"a\r\r\nb", b"\r\nb"), [(2, 5)]);
        assert_eq!(find(b"a\r\r\nb", b"\r"), [(1, 2), (2, 3)]);
        assert_eq!(find(b"a\r\r\nb", b"\nb"), [(2, 5)]);
    }
}
