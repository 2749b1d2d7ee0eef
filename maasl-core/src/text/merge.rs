//! Merge: two changes of one text, made side by side, brought together.
//!
//! Owns: when two changes are independent. Promises: a clean merge holds every
//! change of either side, byte for byte; it does not depend on which side is
//! called ours; anything doubtful is a conflict with the lines of all three.
//! Leaves to others: what a conflict means to the caller.
//!
//! Two changes are independent only if at least one unchanged line stands between
//! them: edits of neighbouring lines, and two insertions at one place, conflict,
//! as they do in Git. An agent that rewrote a line without seeing the new line
//! beside it should look again. The same change made by both sides is taken once.

use alloc::vec::Vec;
use core::ops::Range;

use serde::{Deserialize, Serialize};

use super::hunk::Excerpt;
use super::lines::{Change, changes, diffable, is_binary, split};
use super::{CONTENT_BYTES_MAX, count};

/// Most lines in each of the three texts.
pub const MERGE_LINES_MAX: usize = 200_000;
/// Most conflicts shown; the others are only counted.
pub const CONFLICTS_SHOWN_MAX: usize = 10;

/// The outcome of a three-way merge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Merge {
    /// The changes are independent.
    Clean {
        /// The text with both.
        bytes: Vec<u8>,
    },
    /// The changes meet.
    Conflict {
        /// Where they meet, the first [`CONFLICTS_SHOWN_MAX`].
        hunks: Vec<ConflictHunk>,
        /// In how many places they meet.
        total: u32,
    },
    /// A text holds a NUL, so it is not made of lines.
    Binary,
    /// A text is too long, or differs too much, to be merged in bounded time.
    TooLarge,
}

/// A place that both sides changed, differently.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConflictHunk {
    /// What stood there.
    pub base: Excerpt,
    /// What our side made of it.
    pub ours: Excerpt,
    /// What their side made of it.
    pub theirs: Excerpt,
}

/// Merges two descendants of `base`.
///
/// If one side changed nothing, or both did the same, the result is clean
/// whatever the texts are; only otherwise do limits apply.
#[must_use]
pub fn merge3(base: &[u8], ours: &[u8], theirs: &[u8]) -> Merge {
    if let Some(bytes) = settled(base, ours, theirs) {
        return Merge::Clean {
            bytes: bytes.to_vec(),
        };
    }
    let texts = [base, ours, theirs];
    if texts.iter().any(|text| text.len() > CONTENT_BYTES_MAX) {
        return Merge::TooLarge;
    }
    if texts.iter().any(|text| is_binary(text)) {
        return Merge::Binary;
    }
    let lines = texts.map(split);
    let [base_lines, our_lines, their_lines] = &lines;
    let too_large = lines.iter().any(|lines| lines.len() > MERGE_LINES_MAX)
        || !diffable(base_lines, our_lines)
        || !diffable(base_lines, their_lines);
    if too_large {
        return Merge::TooLarge;
    }
    let regions = regions(&changes(base, ours), &changes(base, theirs));
    assemble(&lines, &regions)
}

/// The result that needs no comparison of lines, if there is one.
fn settled<'t>(base: &'t [u8], ours: &'t [u8], theirs: &'t [u8]) -> Option<&'t [u8]> {
    if ours == theirs || base == theirs {
        Some(ours)
    } else if base == ours {
        Some(theirs)
    } else {
        None
    }
}

/// Changed lines with the same lines of all three texts: no change reaches over
/// their edges, and an unchanged line stands between two regions.
struct Region {
    base: Range<usize>,
    ours: Range<usize>,
    theirs: Range<usize>,
    by: By,
}

impl Region {
    fn excerpts(&self, [base, ours, theirs]: &[Vec<&[u8]>; 3]) -> ConflictHunk {
        ConflictHunk {
            base: Excerpt::of(base, self.base.clone()),
            ours: Excerpt::of(ours, self.ours.clone()),
            theirs: Excerpt::of(theirs, self.theirs.clone()),
        }
    }
}

/// Who changed a region.
#[derive(Clone, Copy)]
enum By {
    Ours,
    Theirs,
    Both,
}

/// Gathers changes that overlap or touch into regions.
fn regions(ours: &[Change], theirs: &[Change]) -> Vec<Region> {
    let (mut ours, mut theirs) = (Side::of(ours), Side::of(theirs));
    let mut regions = Vec::new();
    while let Some(start) = earliest(&ours, &theirs) {
        let (our_start, their_start) = (ours.line_at(start), theirs.line_at(start));
        let mut base = start..start;
        let (mut is_ours, mut is_theirs) = (false, false);
        loop {
            let took_ours = ours.take_touching(&mut base);
            let took_theirs = theirs.take_touching(&mut base);
            is_ours |= took_ours;
            is_theirs |= took_theirs;
            if !took_ours && !took_theirs {
                break;
            }
        }
        regions.push(Region {
            ours: our_start..ours.line_at(base.end),
            theirs: their_start..theirs.line_at(base.end),
            base,
            by: match (is_ours, is_theirs) {
                (true, true) => By::Both,
                (true, false) => By::Ours,
                (false, _) => By::Theirs,
            },
        });
    }
    regions
}

fn earliest(ours: &Side, theirs: &Side) -> Option<usize> {
    let next = |side: &Side| side.left.first().map(|change| change.old.start);
    [next(ours), next(theirs)].into_iter().flatten().min()
}

/// The changes of one side, taken from front to back.
struct Side<'c> {
    left: &'c [Change],
    /// End of the last change taken, as a line of the base and of this side's text.
    base_done: usize,
    text_done: usize,
}

impl<'c> Side<'c> {
    fn of(changes: &'c [Change]) -> Self {
        Self {
            left: changes,
            base_done: 0,
            text_done: 0,
        }
    }

    /// Takes the changes that overlap or touch `base`, and widens it to hold them.
    fn take_touching(&mut self, base: &mut Range<usize>) -> bool {
        let mut took = false;
        while let Some((change, left)) = self.left.split_first()
            && change.old.start <= base.end
        {
            base.end = base.end.max(change.old.end);
            self.base_done = change.old.end;
            self.text_done = change.new.end;
            self.left = left;
            took = true;
        }
        took
    }

    /// The line of this side's text that stands for a line of the base, which is
    /// no earlier than the changes taken and no later than those left.
    fn line_at(&self, base_line: usize) -> usize {
        self.text_done + (base_line - self.base_done)
    }
}

/// Puts the merged text together, or lists what stands against it.
fn assemble(lines: &[Vec<&[u8]>; 3], regions: &[Region]) -> Merge {
    let [base, ours, theirs] = lines;
    let mut bytes = Vec::new();
    let mut conflicts = Vec::new();
    let mut copied = 0;
    for region in regions {
        let our_lines = &ours[region.ours.clone()];
        let their_lines = &theirs[region.theirs.clone()];
        append(&mut bytes, &base[copied..region.base.start]);
        copied = region.base.end;
        match region.by {
            By::Ours => append(&mut bytes, our_lines),
            By::Theirs => append(&mut bytes, their_lines),
            By::Both if our_lines == their_lines => append(&mut bytes, our_lines),
            By::Both => conflicts.push(region),
        }
    }
    append(&mut bytes, &base[copied..]);
    if conflicts.is_empty() {
        return Merge::Clean { bytes };
    }
    let shown = conflicts.iter().take(CONFLICTS_SHOWN_MAX);
    Merge::Conflict {
        hunks: shown.map(|region| region.excerpts(lines)).collect(),
        total: count(conflicts.len()),
    }
}

fn append(bytes: &mut Vec<u8>, lines: &[&[u8]]) {
    for line in lines {
        bytes.extend_from_slice(line);
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::{String, ToString};
    use alloc::vec;

    use super::*;

    fn clean(base: &str, ours: &str, theirs: &str) -> String {
        match merge3(base.as_bytes(), ours.as_bytes(), theirs.as_bytes()) {
            Merge::Clean { bytes } => String::from_utf8(bytes).expect("the texts are UTF-8"),
            other => panic!("not clean: {other:?}"),
        }
    }

    fn conflicts(base: &str, ours: &str, theirs: &str) -> Vec<ConflictHunk> {
        match merge3(base.as_bytes(), ours.as_bytes(), theirs.as_bytes()) {
            Merge::Conflict { hunks, .. } => hunks,
            other => panic!("no conflict: {other:?}"),
        }
    }

    #[test]
    fn changes_with_a_line_between_them_merge() {
        assert_eq!(clean("a\nb\nc\n", "A\nb\nc\n", "a\nb\nC\n"), "A\nb\nC\n");
        assert_eq!(clean("a\nb\nc\n", "b\nc\n", "a\nb\nc\nd\n"), "b\nc\nd\n");
        assert_eq!(clean("a\nb\nc\n", "x\na\nb\nc\n", "a\nb\n"), "x\na\nb\n");
    }

    #[test]
    fn a_side_without_changes_gives_way() {
        assert_eq!(clean("a", "a", "b"), "b");
        assert_eq!(clean("a", "b", "a"), "b");
        assert_eq!(clean("a", "b", "b"), "b");
        assert_eq!(clean("", "", ""), "");
    }

    #[test]
    fn the_same_change_is_taken_once() {
        let both = clean("a\nb\nc\nd\n", "a\nB\nc\nd\ne\n", "a\nB\nc\nd\n");
        assert_eq!(both, "a\nB\nc\nd\ne\n");
    }

    #[test]
    fn neighbouring_lines_conflict() {
        let hunks = conflicts("a\nb\nc\n", "A\nb\nc\n", "a\nB\nc\n");
        let [hunk] = &hunks[..] else {
            panic!("one conflict")
        };
        let texts = [&hunk.base, &hunk.ours, &hunk.theirs].map(|excerpt| excerpt.text.as_str());
        assert_eq!(texts, ["a\nb\n", "A\nb\n", "a\nB\n"]);
    }

    #[test]
    fn insertions_at_one_place_conflict() {
        assert_eq!(conflicts("a\nb\n", "a\nx\nb\n", "a\ny\nb\n").len(), 1);
        assert_eq!(
            conflicts("a\nb\n", "A\nb\n", "a\ny\nb\n").len(),
            1,
            "beside a change"
        );
        assert_eq!(conflicts("", "x\n", "y\n").len(), 1);
    }

    #[test]
    fn a_change_of_a_deleted_line_conflicts() {
        let hunks = conflicts("a\nb\nc\n", "a\nc\n", "a\nB\nc\n");
        assert_eq!((hunks[0].ours.text.as_str(), hunks[0].ours.line), ("", 2));
    }

    #[test]
    fn conflicts_are_numbered_in_each_text() {
        let base = "1\n2\n3\n4\n5\n6\n7\n";
        let ours = "0\n1\n2\n3\n4\n5\nsix\n7\n";
        let theirs = "1\n2\n4\n5\nSix\n7\n";
        let hunks = conflicts(base, ours, theirs);
        let lines = |hunk: &ConflictHunk| (hunk.base.line, hunk.ours.line, hunk.theirs.line);
        assert_eq!(hunks.iter().map(lines).collect::<Vec<_>>(), [(6, 7, 5)]);
    }

    #[test]
    fn a_change_between_two_others_joins_them() {
        let hunks = conflicts("a\nb\nc\n", "A\nb\nC\n", "a\nB\nc\n");
        assert_eq!(hunks[0].base.text, "a\nb\nc\n");
    }

    #[test]
    fn breaks_marks_and_missing_newlines_survive() {
        let merged = clean(
            "\u{FEFF}a\r\nb\r\nc",
            "\u{FEFF}A\r\nb\r\nc",
            "\u{FEFF}a\r\nb\r\nC",
        );
        assert_eq!(merged, "\u{FEFF}A\r\nb\r\nC");
    }

    #[test]
    fn latin_1_merges() {
        let merged = merge3(b"\xE9\nb\nc\n", b"\xE8\nb\nc\n", b"\xE9\nb\n\xFF\n");
        assert_eq!(
            merged,
            Merge::Clean {
                bytes: b"\xE8\nb\n\xFF\n".to_vec()
            }
        );
    }

    #[test]
    fn binary_is_not_merged() {
        assert_eq!(merge3(b"a\0", b"b\0", b"c\0"), Merge::Binary);
        assert_eq!(merge3(b"a", b"b", b"c\0"), Merge::Binary);
    }

    #[test]
    fn what_is_too_large_is_not_merged() {
        let long = vec![b'\n'; MERGE_LINES_MAX + 1];
        assert_eq!(merge3(b"a", &long, b"b"), Merge::TooLarge);
        let big = vec![b'x'; CONTENT_BYTES_MAX + 1];
        assert_eq!(merge3(b"a", &big, b"b"), Merge::TooLarge);
        let numbered = |from: usize| {
            (from..from + 10_000)
                .map(|n| {
                    n.to_string()
                        + "
"
                })
                .collect::<String>()
        };
        let (old, new) = (numbered(0), numbered(10_000));
        assert_eq!(
            merge3(old.as_bytes(), new.as_bytes(), b"b"),
            Merge::TooLarge
        );
    }

    #[test]
    fn only_the_first_conflicts_are_shown() {
        let text = |mark: &str| format!("{mark}\nkeep\n").repeat(50);
        let (base, ours, theirs) = (text("a"), text("b"), text("c"));
        let Merge::Conflict { hunks, total } =
            merge3(base.as_bytes(), ours.as_bytes(), theirs.as_bytes())
        else {
            panic!("fifty conflicts");
        };
        assert_eq!((hunks.len(), total), (CONFLICTS_SHOWN_MAX, 50));
    }
}
