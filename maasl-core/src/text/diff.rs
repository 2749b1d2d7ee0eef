//! Differences for people and agents to read.
//!
//! Owns: the unified diff of a change and the hunk shown with `stale_version`.
//! Promises: bounded size and time; readable text for any bytes. Leaves to
//! others: applying anything; these texts are lossy and only for reading.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use diffy::{HunkRange, Line};

use super::CONTENT_BYTES_MAX;
use super::hunk::{Excerpt, Hunk};
use super::lines::{diffable, is_binary, shared_ends, split};

/// A unified diff, at most `limit_bytes` long unless that is less than its last
/// line; empty if nothing differs.
///
/// What does not fit is left out from a line on, and the last line says how many
/// lines that is. Binary texts, and texts too large or too different to compare
/// in bounded time, are named in one line instead. Control characters in `path`
/// show as U+FFFD.
#[must_use]
pub fn unified(old: &[u8], new: &[u8], path: &str, limit_bytes: usize) -> String {
    if old == new {
        return String::new();
    }
    let path: String = path.chars().map(printable).collect();
    if is_binary(old) || is_binary(new) {
        return format!("Binary files a/{path} and b/{path} differ\n");
    }
    let (old_lines, new_lines) = (split(old), split(new));
    let oversize = old.len().max(new.len()) > CONTENT_BYTES_MAX;
    if oversize || !diffable(&old_lines, &new_lines) {
        let (before, after) = (old_lines.len(), new_lines.len());
        return format!(
            "Files a/{path} ({before} lines) and b/{path} ({after} lines) differ too much to compare\n"
        );
    }
    let mut page = Page::of(limit_bytes);
    page.line(&format!("--- a/{path}\n"));
    page.line(&format!("+++ b/{path}\n"));
    for hunk in diffy::create_patch_bytes(old, new).hunks() {
        let (from, to) = (header(hunk.old_range()), header(hunk.new_range()));
        page.line(&format!("@@ -{from} +{to} @@\n"));
        for line in hunk.lines() {
            page.source(*line);
        }
    }
    page.finish()
}

/// The first place where two texts differ, a few lines of each; `None` if they
/// are the same.
///
/// Looks only at what the texts share at both ends, so it is quick on any input,
/// and what it shows may run on into lines that are the same.
#[must_use]
pub fn first_difference(expected: &[u8], actual: &[u8]) -> Option<Hunk> {
    if expected == actual {
        return None;
    }
    let (expected, actual) = (split(expected), split(actual));
    let (front, back) = shared_ends(&expected, &actual);
    let shown = |lines: &[&[u8]]| Excerpt::of(lines, front..lines.len() - back);
    Some(Hunk {
        expected: shown(&expected),
        actual: shown(&actual),
    })
}

fn printable(character: char) -> char {
    if character.is_control() {
        '\u{FFFD}'
    } else {
        character
    }
}

/// A range as a hunk header writes it: the length only if it is not one.
fn header(range: HunkRange) -> String {
    match range.len() {
        1 => format!("{}", range.start()),
        length => format!("{},{length}", range.start()),
    }
}

/// Lines gathered until they no longer fit.
struct Page {
    text: String,
    limit_bytes: usize,
    /// Ends of the lines that may have to go to make room for the last line.
    ends: Vec<usize>,
    left_out: usize,
}

impl Page {
    fn of(limit_bytes: usize) -> Self {
        Self {
            text: String::new(),
            limit_bytes,
            ends: Vec::new(),
            left_out: 0,
        }
    }

    fn line(&mut self, line: &str) {
        if self.left_out > 0 || self.text.len() + line.len() > self.limit_bytes {
            self.left_out += 1;
            return;
        }
        self.ends.push(self.text.len());
        self.text.push_str(line);
    }

    fn source(&mut self, line: Line<'_, [u8]>) {
        let (sign, bytes) = match line {
            Line::Context(bytes) => (' ', bytes),
            Line::Delete(bytes) => ('-', bytes),
            Line::Insert(bytes) => ('+', bytes),
        };
        if self.left_out > 0 || bytes.len() > self.limit_bytes {
            self.left_out += 1;
            return;
        }
        let text = String::from_utf8_lossy(bytes);
        let ending = if bytes.ends_with(b"\n") {
            ""
        } else {
            "\n\\ No newline at end of file\n"
        };
        self.line(&format!("{sign}{text}{ending}"));
    }

    /// Closes with the number of lines left out, giving up lines to make room.
    fn finish(mut self) -> String {
        if self.left_out == 0 {
            return self.text;
        }
        loop {
            let note = format!("… {} lines left out\n", self.left_out);
            match self.ends.pop() {
                Some(end) if self.text.len() + note.len() > self.limit_bytes => {
                    self.text.truncate(end);
                    self.left_out += 1;
                }
                _ => return self.text + &note,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn shows_a_change_with_its_context() {
        let shown = unified(b"a\nb\nc\n", b"a\nB\nc\n", "src/x.rs", 1_000);
        let expected = "--- a/src/x.rs\n+++ b/src/x.rs\n@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n";
        assert_eq!(shown, expected);
    }

    #[test]
    fn marks_a_missing_final_newline() {
        let shown = unified(b"a", b"a\n", "x", 1_000);
        let expected = "@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+a\n";
        assert!(shown.ends_with(expected), "{shown}");
    }

    #[test]
    fn a_new_text_is_all_additions() {
        assert!(unified(b"", b"a\nb\n", "x", 1_000).ends_with("@@ -0,0 +1,2 @@\n+a\n+b\n"));
    }

    #[test]
    fn no_change_is_no_text() {
        assert_eq!(unified(b"a\0", b"a\0", "x", 10), "");
    }

    #[test]
    fn binary_and_unlike_texts_are_only_named() {
        assert_eq!(
            unified(b"a\0", b"b", "x", 10),
            "Binary files a/x and b/x differ\n"
        );
        let numbers = |from: u32| {
            (from..from + 10_000)
                .map(|n| {
                    n.to_string()
                        + "
"
                })
                .collect::<String>()
        };
        let shown = unified(
            numbers(0).as_bytes(),
            numbers(10_000).as_bytes(),
            "x",
            1_000_000,
        );
        assert!(shown.ends_with("differ too much to compare\n"), "{shown}");
    }

    #[test]
    fn is_cut_at_the_limit_and_says_so() {
        let new: String = (0..100)
            .map(|number| number.to_string() + " line\n")
            .collect();
        let whole = unified(b"", new.as_bytes(), "x", 100_000);
        let shown = unified(b"", new.as_bytes(), "x", 200);
        assert!(shown.len() <= 200, "{} bytes", shown.len());
        let (kept, note) = shown.split_at(shown.find('…').expect("a note"));
        assert!(whole.starts_with(kept));
        let left_out = whole.lines().count() - kept.lines().count();
        assert_eq!(note, format!("… {left_out} lines left out\n"));
    }

    #[test]
    fn a_limit_below_the_note_leaves_the_note() {
        assert_eq!(unified(b"a\n", b"b\n", "x", 0), "… 5 lines left out\n");
    }

    #[test]
    fn a_path_cannot_forge_lines() {
        assert!(!unified(b"a\n", b"b\n", "x\n+evil", 1_000).contains("\n+evil"));
    }

    #[test]
    fn the_first_difference_is_where_the_texts_part() {
        let hunk = first_difference(b"a\nb\nc\n", b"a\nX\nY\nc\n").expect("they differ");
        assert_eq!(
            (hunk.expected.line, hunk.expected.text.as_str()),
            (2, "b\n")
        );
        assert_eq!((hunk.actual.line, hunk.actual.text.as_str()), (2, "X\nY\n"));
        assert_eq!(first_difference(b"a", b"a"), None);
    }

    #[test]
    fn a_difference_of_breaks_is_visible() {
        let hunk = first_difference(b"a\n", b"a\r\n").expect("they differ");
        assert_eq!(
            [hunk.expected.text, hunk.actual.text],
            ["a\n".to_string(), "a\r\n".to_string()]
        );
    }

    #[test]
    fn lines_that_are_gone_show_as_their_place() {
        let hunk = first_difference(b"a\nb\n", b"a\n").expect("they differ");
        assert_eq!((hunk.actual.line, hunk.actual.text.as_str()), (2, ""));
    }
}
