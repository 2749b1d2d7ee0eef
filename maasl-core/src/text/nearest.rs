//! Nearest: where a text that does not occur was probably meant to be.
//!
//! Owns: the guess shown with "not found". Promises: time linear in the content,
//! whatever it is, and no guess rather than a far-fetched one. Leaves to others:
//! acting on it; a guess is never edited.

use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

use super::hunk::{Excerpt, Hunk};
use super::lines::split;

/// Lines that match must weigh at least one part in this many of the text
/// sought, so that a shared `}` alone does not count as a likeness.
const WEIGHT_PART_MIN: usize = 4;
/// Slots of the table that remembers which byte triples a line holds.
const TRIPLE_SLOTS: usize = 1 << 16;

/// Finds the lines most like `wanted` and shows both from where they part.
pub(super) fn nearest(content: &[u8], wanted: &[u8]) -> Option<Hunk> {
    let lines = split(content);
    let wanted = split(wanted);
    let start = aligned(&lines, &wanted).or_else(|| similar(&lines, &wanted))?;
    let same = same_lines(&lines[start..], &wanted);
    Some(Hunk {
        expected: Excerpt::of(&wanted, same..wanted.len()),
        actual: Excerpt::of(&lines, start + same..start + wanted.len()),
    })
}

/// The start at which most of `wanted` stands line by line, indentation aside.
///
/// Each line of the content votes for the one start it would imply; a vote
/// weighs as much as the line is long.
fn aligned(lines: &[&[u8]], wanted: &[&[u8]]) -> Option<usize> {
    let mut places = BTreeMap::new();
    let mut weight_total = 0;
    for (index, line) in wanted.iter().enumerate() {
        let line = line.trim_ascii();
        weight_total += line.len();
        if !line.is_empty() {
            places.entry(line).or_insert(index);
        }
    }
    let mut votes: BTreeMap<usize, usize> = BTreeMap::new();
    for (index, line) in lines.iter().enumerate() {
        let line = line.trim_ascii();
        if let Some(start) = places.get(line).and_then(|place| index.checked_sub(*place)) {
            *votes.entry(start).or_default() += line.len();
        }
    }
    let (start, weight) = votes.into_iter().rev().max_by_key(|(_, weight)| *weight)?;
    (weight * WEIGHT_PART_MIN >= weight_total).then_some(start)
}

/// The start at which the longest line of `wanted` meets a line with at least
/// half of its byte triples; of equals the shorter, then the earlier.
fn similar(lines: &[&[u8]], wanted: &[&[u8]]) -> Option<usize> {
    let longest = wanted.iter().enumerate().rev();
    let (offset, anchor) = longest
        .map(|(index, line)| (index, line.trim_ascii()))
        .max_by_key(|(_, line)| line.len())?;
    let sought = anchor.windows(3).count();
    let mut known = vec![false; TRIPLE_SLOTS];
    for triple in anchor.windows(3) {
        known[slot(triple)] = true;
    }
    let likeness = |line: &[u8]| {
        let shared = line.windows(3).filter(|triple| known[slot(triple)]).count();
        shared.min(sought)
    };
    let scored: Vec<(usize, usize)> = lines
        .iter()
        .map(|line| (likeness(line), line.len()))
        .collect();
    let best = |index: &usize| (scored[*index].0, usize::MAX - scored[*index].1);
    let found = (0..lines.len()).rev().max_by_key(best)?;
    let likely = sought > 0 && scored[found].0 * 2 >= sought;
    likely.then(|| found.saturating_sub(offset))
}

/// The table slot of three bytes; collisions only blur the likeness.
fn slot(triple: &[u8]) -> usize {
    let mixed = triple
        .iter()
        .fold(0_usize, |mixed, byte| mixed * 41 + usize::from(*byte));
    mixed % TRIPLE_SLOTS
}

/// How many lines at the front of `wanted` are there as they are; `wanted` may
/// begin and end inside a line. Never all of them, so that something is shown.
fn same_lines(lines: &[&[u8]], wanted: &[&[u8]]) -> usize {
    let same = wanted
        .iter()
        .zip(lines)
        .enumerate()
        .take_while(|(index, (wanted, line))| {
            wanted == line || (*index == 0 && line.ends_with(wanted))
        })
        .count();
    if same < wanted.len() { same } else { 0 }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::String;

    use super::*;

    const CONTENT: &[u8] = b"\
fn first() {
    let total = add(1, 2);
    print(total);
}

fn second() {
    let total = add(3, 4);
    print(total);
}
";

    fn lines_found(wanted: &[u8]) -> Option<(u32, String, u32, String)> {
        let hunk = nearest(CONTENT, wanted)?;
        let (expected, actual) = (hunk.expected, hunk.actual);
        Some((expected.line, expected.text, actual.line, actual.text))
    }

    #[test]
    fn shows_the_block_from_the_line_that_differs() {
        let found = lines_found(b"fn second() {\n    let total = sum(3, 4);\n    print(total);\n");
        let expected = "    let total = sum(3, 4);\n    print(total);\n";
        let actual = "    let total = add(3, 4);\n    print(total);\n";
        assert_eq!(found, Some((2, expected.into(), 7, actual.into())));
    }

    #[test]
    fn indentation_does_not_hide_a_block() {
        let found = lines_found(b"\tlet total = add(3, 4);\n\tprint(total);\n");
        assert_eq!(found.map(|found| found.2), Some(7));
    }

    #[test]
    fn a_single_line_is_found_by_likeness() {
        let found = lines_found(b"let total = add(3, 5);");
        assert_eq!(found.map(|found| found.2), Some(7));
    }

    #[test]
    fn of_equals_the_first_is_shown() {
        assert_eq!(lines_found(b"  print(total)").map(|found| found.2), Some(3));
    }

    #[test]
    fn nothing_like_it_is_no_guess() {
        assert_eq!(lines_found(b"struct Unrelated;"), None);
        assert_eq!(
            lines_found(b"async move |x| {\n}\n"),
            None,
            "a brace is no likeness"
        );
        assert_eq!(lines_found(b"ab"), None);
        assert_eq!(nearest(b"", b"let x = 1;"), None);
    }

    #[test]
    fn a_text_that_differs_only_in_breaks_is_shown_whole() {
        let hunk = nearest(b"one line\ntwo line\n", b"one line\r\ntwo line\r\n");
        let shown = hunk.map(|hunk| (hunk.expected.line, hunk.actual.text));
        assert_eq!(shown, Some((1, "one line\ntwo line\n".into())));
    }

    #[test]
    fn a_guess_is_small_and_quick_in_a_large_content() {
        let hay = "needle in the hay ".repeat(10);
        let content = "}\n".repeat(1_000_000) + &hay + "\n";
        let wanted = format!("}}\n{hay}x\n}}\n");
        let hunk = nearest(content.as_bytes(), wanted.as_bytes());
        let lines = hunk.map(|hunk| (hunk.expected.line, hunk.actual.line));
        assert_eq!(lines, Some((2, 1_000_001)));
    }
}
