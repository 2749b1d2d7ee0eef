//! Lines: what two texts share and where they differ.
//!
//! Owns: splitting into lines and the difference of two texts as changed line
//! ranges. Promises: a difference is sound even if the library that finds it is
//! not, and `diffable` refuses before a comparison gets slow. Leaves to others:
//! what to do with a difference.

use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

use diffy::{DiffOptions, HunkRange};

/// Most steps that finding one difference may take; a step is one place of the
/// edit graph visited. Allows about 4,000 changed lines; a merge, which is two
/// differences, then took at most 0.3 s on the texts tried against it.
pub(super) const DIFF_STEPS_MAX: usize = 8_000_000;

/// A range of lines in one text that stands where another range stood before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    /// Lines replaced, in the old text.
    pub(super) old: Range<usize>,
    /// Lines that replace them, in the new text.
    pub(super) new: Range<usize>,
}

/// The lines of a text, each with its line break; the last may have none.
pub(super) fn split(text: &[u8]) -> Vec<&[u8]> {
    text.split_inclusive(|byte| *byte == b'\n').collect()
}

/// Whether a text should not be treated as lines: it holds a NUL.
pub(super) fn is_binary(text: &[u8]) -> bool {
    text.contains(&0)
}

/// How many elements two sequences share at the front, and then at the back.
pub(super) fn shared_ends<T: PartialEq>(left: &[T], right: &[T]) -> (usize, usize) {
    let same = |pair: &(&T, &T)| pair.0 == pair.1;
    let front = left.iter().zip(right).take_while(same).count();
    let (left, right) = (&left[front..], &right[front..]);
    let pairs = left.iter().rev().zip(right.iter().rev());
    (front, pairs.take_while(same).count())
}

/// Whether the difference of two texts can be found in `DIFF_STEPS_MAX` steps.
///
/// Walks the edit graph as the search itself does, but only to count; the time
/// of a search grows with the product of size and number of changes, which no
/// limit on size alone would bound.
pub(super) fn diffable(old: &[&[u8]], new: &[&[u8]]) -> bool {
    let (front, back) = shared_ends(old, new);
    let old = &old[front..old.len() - back];
    let new = &new[front..new.len() - back];
    let mut numbers = BTreeMap::new();
    let old = numbered(old, &mut numbers);
    let new = numbered(new, &mut numbers);
    distance_within(&old, &new, DIFF_STEPS_MAX)
}

/// Replaces lines by numbers, equal for equal lines.
fn numbered<'a>(lines: &[&'a [u8]], numbers: &mut BTreeMap<&'a [u8], usize>) -> Vec<usize> {
    let mut number = |line: &&'a [u8]| {
        let next = numbers.len();
        *numbers.entry(*line).or_insert(next)
    };
    lines.iter().map(&mut number).collect()
}

/// Myers' greedy search for the edit distance, given up after `steps`.
fn distance_within(old: &[usize], new: &[usize], mut steps: usize) -> bool {
    let distance_max = old.len() + new.len();
    // `reach[diagonal]` for diagonals -distance..=distance, shifted to be positive.
    let mut reach = vec![0_usize];
    for distance in 0..=distance_max {
        let mut next = vec![0_usize; 2 * distance + 3];
        for slot in (0..=2 * distance).step_by(2) {
            let mut x = furthest(&reach, slot, distance);
            // On the diagonal `slot - distance`, hence y = x + distance - slot.
            let mut y = (x + distance).saturating_sub(slot);
            while x < old.len() && y < new.len() && old[x] == new[y] {
                x += 1;
                y += 1;
                steps = steps.saturating_sub(1);
            }
            if x >= old.len() && y >= new.len() {
                return true;
            }
            next[slot] = x;
            steps = steps.saturating_sub(1);
            if steps == 0 {
                return false;
            }
        }
        reach = next;
    }
    true
}

/// Where a path may start on a diagonal, one change beyond the previous round,
/// whose slot `s` is the diagonal of this round's slot `s + 1`.
fn furthest(reach: &[usize], slot: usize, distance: usize) -> usize {
    if distance == 0 {
        return 0;
    }
    // A deletion comes from the diagonal below, an insertion from the one above.
    let deleting = slot.checked_sub(2).map(|below| reach[below] + 1);
    let inserting = (slot < 2 * distance).then(|| reach[slot]);
    deleting.into_iter().chain(inserting).max().unwrap_or(0)
}

/// The changes that turn one text into another, in order.
///
/// Callers merge by these ranges, so a wrong one would lose a line. If the
/// library's answer does not hold, the answer is one change of everything that
/// differs: still true, merely coarse.
pub(super) fn changes(old: &[u8], new: &[u8]) -> Vec<Change> {
    let (old_lines, new_lines) = (split(old), split(new));
    let mut options = DiffOptions::new();
    options.set_context_len(0);
    let patch = options.create_patch_bytes(old, new);
    let found: Vec<Change> = patch
        .hunks()
        .iter()
        .map(|hunk| Change {
            old: indices(hunk.old_range()),
            new: indices(hunk.new_range()),
        })
        .collect();
    if holds(&old_lines, &new_lines, &found) {
        return found;
    }
    let (front, back) = shared_ends(&old_lines, &new_lines);
    vec![Change {
        old: front..old_lines.len() - back,
        new: front..new_lines.len() - back,
    }]
}

/// Line numbers of a hunk header as indices; an empty range is numbered by the
/// line before it.
fn indices(range: HunkRange) -> Range<usize> {
    let start = range.start() - usize::from(!range.is_empty());
    start..start + range.len()
}

/// Whether everything outside the changes is the same in both texts.
fn holds(old: &[&[u8]], new: &[&[u8]], changes: &[Change]) -> bool {
    let (mut old_at, mut new_at) = (0, 0);
    for change in changes {
        let kept_old = old.get(old_at..change.old.start);
        let kept_new = new.get(new_at..change.new.start);
        if kept_old.is_none() || kept_old != kept_new {
            return false;
        }
        (old_at, new_at) = (change.old.end, change.new.end);
    }
    let rest = old.get(old_at..);
    rest.is_some() && rest == new.get(new_at..)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(old: Range<usize>, new: Range<usize>) -> Change {
        Change { old, new }
    }

    #[test]
    fn lines_keep_their_breaks() {
        assert_eq!(split(b"a\r\nb\n\nc"), [&b"a\r\n"[..], b"b\n", b"\n", b"c"]);
        assert!(split(b"").is_empty());
    }

    #[test]
    fn shared_ends_never_overlap() {
        assert_eq!(shared_ends(b"aa", b"aaa"), (2, 0));
        assert_eq!(shared_ends(b"abc", b"axc"), (1, 1));
        assert_eq!(shared_ends(b"", b"x"), (0, 0));
    }

    #[test]
    fn changes_are_indices_of_lines() {
        let found = changes(b"a\nb\nc\nd\n", b"a\nB\nc\nd\ne\n");
        assert_eq!(found, [change(1..2, 1..2), change(4..4, 4..5)]);
        assert_eq!(changes(b"a\nb\n", b"b\n"), [change(0..1, 0..0)]);
        assert_eq!(changes(b"", b"b\n"), [change(0..0, 0..1)]);
        assert_eq!(changes(b"same", b"same"), []);
    }

    #[test]
    fn a_wrong_difference_is_noticed() {
        let (old, new) = (split(b"a\nb\nc\n"), split(b"a\nX\nc\n"));
        assert!(holds(&old, &new, &[change(1..2, 1..2)]));
        assert!(!holds(&old, &new, &[]));
        assert!(!holds(&old, &new, &[change(0..1, 0..1)]));
        assert!(!holds(
            &old,
            &new,
            &[change(1..2, 1..2), change(0..1, 0..1)]
        ));
        assert!(!holds(&old, &new, &[change(1..9, 1..9)]));
    }

    #[test]
    fn distance_is_counted_in_steps() {
        assert!(distance_within(&[1, 2, 3], &[1, 3, 4], 100));
        assert!(distance_within(&[], &[], 1));
        assert!(distance_within(&[1, 2, 3], &[4, 5, 6], 100));
        assert!(!distance_within(&[1, 2, 3], &[4, 5, 6], 10));
    }

    #[test]
    fn a_small_change_in_a_large_text_is_diffable() {
        let old: Vec<&[u8]> = (0..100_000).map(|_| &b"x\n"[..]).collect();
        let mut new = old.clone();
        new[10] = b"y\n";
        new[99_990] = b"z\n";
        assert!(diffable(&old, &new));
    }

    #[test]
    fn two_large_unrelated_texts_are_not_diffable() {
        let old: Vec<&[u8]> = (0..20_000).map(|_| &b"x\n"[..]).collect();
        let new: Vec<&[u8]> = (0..20_000).map(|_| &b"y\n"[..]).collect();
        assert!(!diffable(&old, &new));
    }
}
