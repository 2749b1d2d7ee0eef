//! Excerpts: the few lines of a text that a refusal shows.
//!
//! Owns: how much of a text is shown and how bytes become readable. Promises:
//! an excerpt is small whatever the text. Leaves to others: which lines matter.

use alloc::string::String;
use core::ops::Range;

use serde::{Deserialize, Serialize};

use super::count;

/// Most lines in one excerpt.
pub const EXCERPT_LINES_MAX: usize = 12;
/// Most bytes of the original text in one excerpt.
pub const EXCERPT_BYTES_MAX: usize = 2_048;

/// A few lines of a text, readable: bytes that are not UTF-8 show as U+FFFD.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Excerpt {
    /// Number of the first line shown, counted from 1. With an empty `text`,
    /// the line before which the missing lines would stand.
    pub line: u32,
    /// The lines, each with its own line break; `…` ends a line cut short.
    pub text: String,
    /// How many further lines belong here but are not shown.
    pub lines_omitted: u32,
}

/// Two texts where they part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hunk {
    /// What the caller believed to be there.
    pub expected: Excerpt,
    /// What is there.
    pub actual: Excerpt,
}

impl Excerpt {
    /// Takes the first lines of `range`, as many as the limits allow.
    pub(super) fn of(lines: &[&[u8]], range: Range<usize>) -> Self {
        let end = range.end.min(lines.len());
        let start = range.start.min(end);
        let mut text = String::new();
        let mut shown = 0;
        let mut room = EXCERPT_BYTES_MAX;
        for line in lines[start..end].iter().take(EXCERPT_LINES_MAX) {
            if line.len() > room {
                if shown == 0 {
                    text.push_str(&String::from_utf8_lossy(cut(line, room)));
                    text.push('…');
                    shown = 1;
                }
                break;
            }
            text.push_str(&String::from_utf8_lossy(line));
            room -= line.len();
            shown += 1;
        }
        Self {
            line: count(range.start.saturating_add(1)),
            text,
            lines_omitted: count(end - start - shown),
        }
    }
}

/// The first `length` bytes, or up to three fewer so as not to split a character.
fn cut(line: &[u8], length: usize) -> &[u8] {
    let is_continuation = |at: usize| line.get(at).is_some_and(|byte| byte & 0xC0 == 0x80);
    let end = (length.saturating_sub(3)..=length)
        .rev()
        .find(|at| !is_continuation(*at))
        .unwrap_or(length);
    &line[..end]
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn shows_the_lines_of_a_range_with_their_breaks() {
        let lines: [&[u8]; 3] = [b"a\r\n", b"b\n", b"c"];
        let excerpt = Excerpt::of(&lines, 1..3);
        assert_eq!(
            (excerpt.line, excerpt.text.as_str(), excerpt.lines_omitted),
            (2, "b\nc", 0)
        );
    }

    #[test]
    fn an_empty_range_names_the_place() {
        let lines: [&[u8]; 1] = [b"a\n"];
        let excerpt = Excerpt::of(&lines, 1..1);
        assert_eq!((excerpt.line, excerpt.text.as_str()), (2, ""));
    }

    #[test]
    fn says_how_many_lines_it_leaves_out() {
        let lines: Vec<&[u8]> = (0..EXCERPT_LINES_MAX + 5).map(|_| &b"x\n"[..]).collect();
        let excerpt = Excerpt::of(&lines, 0..lines.len());
        assert_eq!(excerpt.text.lines().count(), EXCERPT_LINES_MAX);
        assert_eq!(excerpt.lines_omitted, 5);
    }

    #[test]
    fn cuts_a_long_line_between_characters() {
        let long = "é".repeat(EXCERPT_BYTES_MAX);
        let line = alloc::format!("x{long}");
        let excerpt = Excerpt::of(&[line.as_bytes()], 0..1);
        assert!(
            excerpt.text.ends_with("é…"),
            "no broken character at the cut"
        );
        assert!(excerpt.text.len() <= EXCERPT_BYTES_MAX + "…".len());
    }

    #[test]
    fn a_range_beyond_the_text_is_empty() {
        assert_eq!(Excerpt::of(&[b"a"], 4..9).text, "");
    }

    #[test]
    fn latin_1_is_readable() {
        assert_eq!(Excerpt::of(&[b"caf\xE9\n"], 0..1).text, "caf\u{FFFD}\n");
    }
}
