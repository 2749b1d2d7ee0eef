//! Edits: replacing a text that must occur a stated number of times.
//!
//! Owns: what an `edit_file` does to the bytes of a file. Promises: all edits or
//! none; each is applied to the result of those before it; bytes outside the
//! replaced places stay as they are. Leaves to others: whose bytes these are.
//!
//! Line breaks: agents write `\n`, files may not. A bare `\n` in `old_text` finds
//! `\n` and `\r\n` alike, in mixed files too, so what looks like two places to an
//! agent counts as two. A bare `\n` in `new_text` is written as the place has it:
//! like the first line break at or after the start of the match, else the last
//! before it, else as given. An `old_text` whose line breaks are all spelled out
//! as `\r\n` is matched byte for byte, and a `\r\n` in `new_text` stays one.
//!
//! A byte order mark at the front of the file is set aside and put back; one at
//! the front of `old_text` or `new_text` is then ignored.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use serde::{Deserialize, Serialize};

use super::breaks::{Breaks, crlf};
use super::hunk::Hunk;
use super::nearest::nearest;
use super::search::Search;
use super::{CONTENT_BYTES_MAX, count};

/// Most edits in one call.
pub const EDITS_MAX: usize = 200;
/// Most line numbers listed in an [`EditReason::Ambiguous`].
pub const AMBIGUOUS_LINES_MAX: usize = 20;

/// The byte order mark of UTF-8.
const BYTE_ORDER_MARK: &str = "\u{FEFF}";

/// One replacement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edit {
    /// The text to replace. Empty only if the content is: then `new_text` is
    /// the new content.
    pub old_text: String,
    /// The text to put in its place.
    pub new_text: String,
    /// How often `old_text` must occur; all of its occurrences are replaced.
    #[serde(default = "once")]
    pub expected_replacements: u32,
}

fn once() -> u32 {
    1
}

/// The content after all edits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edited {
    /// The whole content.
    pub bytes: Vec<u8>,
    /// Places replaced, over all edits.
    pub replacements: u32,
}

/// Why nothing was edited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("edit {index}: {reason}")]
pub struct EditRefusal {
    /// The edit refused, counted from 0; 0 also when the content itself is refused.
    pub index: u32,
    /// What is wrong with it.
    pub reason: EditReason,
}

/// What is wrong with an edit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum EditReason {
    /// `old_text` does not occur.
    #[error("old_text does not occur")]
    NotFound {
        /// The lines most like it, from where they part; none if nothing is alike.
        nearest: Option<Hunk>,
    },
    /// `old_text` occurs, but not as often as expected.
    #[error("old_text occurs {found} times, expected {expected}")]
    Ambiguous {
        /// Occurrences that do not overlap.
        found: u32,
        /// The occurrences the agent expected.
        expected: u32,
        /// The lines on which the first of them start, counted from 1.
        lines: Vec<u32>,
    },
    /// `old_text` is empty and the content is not.
    #[error("old_text is empty, but the content is not")]
    EmptyOldText,
    /// The edit would leave every byte as it is; also given for an empty list.
    #[error("the edit changes nothing")]
    NoChange,
    /// Something is over a limit.
    #[error("{what}: {found}, at most {max}")]
    TooLarge {
        /// What was measured.
        what: EditLimit,
        /// Its size.
        found: u64,
        /// The largest size allowed.
        max: u64,
    },
}

/// What an edit may have too much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum EditLimit {
    /// Size of the content to edit, in bytes.
    #[error("bytes of content")]
    ContentBytes,
    /// Size of the content after an edit, in bytes.
    #[error("bytes after the edit")]
    ResultBytes,
    /// Number of edits in one call.
    #[error("edits in one call")]
    Edits,
}

/// Applies the edits in order, each to the result of those before it.
///
/// Takes time linear in the content for each edit.
pub fn apply(content: &[u8], edits: &[Edit]) -> Result<Edited, EditRefusal> {
    let refuse = |index, reason| EditRefusal { index, reason };
    within(EditLimit::ContentBytes, content.len(), CONTENT_BYTES_MAX)
        .and_then(|()| within(EditLimit::Edits, edits.len(), EDITS_MAX))
        .map_err(|reason| refuse(0, reason))?;
    if edits.is_empty() {
        return Err(refuse(0, EditReason::NoChange));
    }
    let marked = content.starts_with(BYTE_ORDER_MARK.as_bytes());
    let (mark, body) = content.split_at(if marked { BYTE_ORDER_MARK.len() } else { 0 });
    let mut body = Cow::Borrowed(body);
    let mut replacements = 0_u32;
    for (index, edit) in edits.iter().enumerate() {
        let place = Wanted::of(edit, marked);
        let (next, replaced) = place
            .apply(&body)
            .map_err(|reason| refuse(count(index), reason))?;
        body = Cow::Owned(next);
        replacements = replacements.saturating_add(replaced);
    }
    let bytes = [mark, &body].concat();
    Ok(Edited {
        bytes,
        replacements,
    })
}

fn within(what: EditLimit, found: usize, max: usize) -> Result<(), EditReason> {
    if found <= max {
        return Ok(());
    }
    let (found, max) = (found as u64, max as u64);
    Err(EditReason::TooLarge { what, found, max })
}

/// An edit as it is meant for one file.
struct Wanted<'e> {
    old: &'e [u8],
    new: &'e str,
    expected: u32,
}

impl<'e> Wanted<'e> {
    fn of(edit: &'e Edit, marked: bool) -> Self {
        let unmarked = |text: &'e str| match text.strip_prefix(BYTE_ORDER_MARK) {
            Some(rest) if marked => rest,
            _ => text,
        };
        Self {
            old: unmarked(&edit.old_text).as_bytes(),
            new: unmarked(&edit.new_text),
            expected: edit.expected_replacements,
        }
    }

    /// The body after the edit, and how many places were replaced.
    fn apply(&self, body: &[u8]) -> Result<(Vec<u8>, u32), EditReason> {
        let (edited, replaced) = if self.old.is_empty() {
            (self.create(body)?, 1)
        } else {
            let places = self.places(body)?;
            (self.replace(body, &places)?, count(places.len()))
        };
        if edited == body {
            return Err(EditReason::NoChange);
        }
        Ok((edited, replaced))
    }

    fn create(&self, body: &[u8]) -> Result<Vec<u8>, EditReason> {
        if !body.is_empty() {
            return Err(EditReason::EmptyOldText);
        }
        within(EditLimit::ResultBytes, self.new.len(), CONTENT_BYTES_MAX)?;
        Ok(self.new.as_bytes().to_vec())
    }

    /// Where `old` stands, if it does so as often as expected.
    fn places(&self, body: &[u8]) -> Result<Vec<Range<usize>>, EditReason> {
        // An agent's typing mistake must not make us remember millions of places.
        let kept_max = AMBIGUOUS_LINES_MAX.max(self.expected as usize);
        let mut places = Vec::new();
        let mut found = 0_usize;
        for place in Search::of(body, self.old).occurrences() {
            found += 1;
            if found <= kept_max {
                places.push(place);
            }
        }
        if found == 0 {
            let nearest = nearest(body, self.old);
            return Err(EditReason::NotFound { nearest });
        }
        if found != self.expected as usize {
            return Err(EditReason::Ambiguous {
                found: count(found),
                expected: self.expected,
                lines: line_numbers(body, &places),
            });
        }
        Ok(places)
    }

    /// Replaces the places, which are in order and do not overlap.
    fn replace(&self, body: &[u8], places: &[Range<usize>]) -> Result<Vec<u8>, EditReason> {
        let with_crlf = crlf(self.new);
        let mut breaks = Breaks::of(body);
        let texts: Vec<&[u8]> = places
            .iter()
            .map(|place| {
                let crlf = breaks.is_crlf_at(place.start);
                if crlf { &with_crlf } else { self.new }.as_bytes()
            })
            .collect();
        let removed: usize = places.iter().map(ExactSizeIterator::len).sum();
        let added: usize = texts.iter().map(|text| text.len()).sum();
        let length = (body.len() - removed).saturating_add(added);
        within(EditLimit::ResultBytes, length, CONTENT_BYTES_MAX)?;
        let mut edited = Vec::with_capacity(length);
        let mut copied = 0;
        for (place, text) in places.iter().zip(texts) {
            edited.extend_from_slice(&body[copied..place.start]);
            edited.extend_from_slice(text);
            copied = place.end;
        }
        edited.extend_from_slice(&body[copied..]);
        Ok(edited)
    }
}

/// The lines on which the first places start, counted from 1.
fn line_numbers(body: &[u8], places: &[Range<usize>]) -> Vec<u32> {
    let mut line = 1;
    let mut counted = 0;
    places
        .iter()
        .take(AMBIGUOUS_LINES_MAX)
        .map(|place| {
            line += breaks_in(&body[counted..place.start]);
            counted = place.start;
            count(line)
        })
        .collect()
}

fn breaks_in(bytes: &[u8]) -> usize {
    bytes.split(|byte| *byte == b'\n').count() - 1
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use serde::de::IntoDeserializer;
    use serde::de::value::{Error, MapDeserializer};

    use super::*;

    fn edit(old: &str, new: &str) -> Edit {
        edit_many(old, new, 1)
    }

    fn edit_many(old: &str, new: &str, expected: u32) -> Edit {
        Edit {
            old_text: old.into(),
            new_text: new.into(),
            expected_replacements: expected,
        }
    }

    fn edited(content: &[u8], edits: &[Edit]) -> Vec<u8> {
        apply(content, edits).expect("the edits apply").bytes
    }

    fn refused(content: &[u8], edits: &[Edit]) -> EditRefusal {
        apply(content, edits).expect_err("an edit is refused")
    }

    #[test]
    fn replaces_one_text_in_place() {
        let result = apply(b"a = 1\nb = 2", &[edit("b = 2", "b = 3")]);
        let bytes = b"a = 1\nb = 3".to_vec();
        assert_eq!(
            result,
            Ok(Edited {
                bytes,
                replacements: 1
            })
        );
    }

    #[test]
    fn each_edit_sees_the_result_of_those_before_it() {
        let edits = [edit("one", "two"), edit("two", "three")];
        assert_eq!(edited(b"one", &edits), b"three");
    }

    #[test]
    fn replaces_as_many_as_expected() {
        let result = apply(b"x x x", &[edit_many("x", "yy", 3)]).expect("three are there");
        assert_eq!(
            (&result.bytes[..], result.replacements),
            (&b"yy yy yy"[..], 3)
        );
    }

    #[test]
    fn another_number_than_expected_is_ambiguous() {
        let reason = |found, expected, lines| EditReason::Ambiguous {
            found,
            expected,
            lines,
        };
        let content = b"x\ny\nx x\n";
        let refusal = refused(content, &[edit("x", "z")]);
        assert_eq!(refusal.reason, reason(3, 1, vec![1, 3, 3]));
        let refusal = refused(content, &[edit_many("y", "z", 2)]);
        assert_eq!(refusal.reason, reason(1, 2, vec![2]));
        let refusal = refused(content, &[edit_many("y", "z", 0)]);
        assert_eq!(refusal.reason, reason(1, 0, vec![2]));
    }

    #[test]
    fn lists_only_the_first_places_of_many() {
        let content = "x\n".repeat(1_000);
        let EditReason::Ambiguous { found, lines, .. } =
            refused(content.as_bytes(), &[edit("x", "y")]).reason
        else {
            panic!("a thousand are ambiguous");
        };
        assert_eq!((found, lines.len()), (1_000, AMBIGUOUS_LINES_MAX));
    }

    #[test]
    fn not_found_names_the_edit_and_shows_what_is_nearest() {
        let edits = [edit("let b = 2;", "let b = 3;"), edit("let c = sum();", "")];
        let refusal = refused(b"let b = 2;\nlet c = sum(b);\n", &edits);
        assert_eq!(refusal.index, 1);
        let EditReason::NotFound {
            nearest: Some(hunk),
        } = refusal.reason
        else {
            panic!("a nearest line is shown");
        };
        assert_eq!(
            (hunk.actual.line, hunk.actual.text.as_str()),
            (2, "let c = sum(b);\n")
        );
    }

    #[test]
    fn crlf_files_stay_crlf() {
        let content = b"one\r\ntwo\r\nthree\r\n";
        let edits = [edit("one\ntwo\n", "1\n2\n"), edit("three", "3\n4")];
        assert_eq!(edited(content, &edits), b"1\r\n2\r\n3\r\n4\r\n");
        let spelled_out = [edit("two\r\nthree\r\n", "2\r\n3\n")];
        assert_eq!(edited(content, &spelled_out), b"one\r\n2\r\n3\r\n");
    }

    #[test]
    fn a_new_line_at_the_end_of_a_crlf_file_is_crlf() {
        assert_eq!(
            edited(b"a\r\nb", &[edit("b", "b\nc\n")]),
            b"a\r\nb\r\nc\r\n"
        );
        assert_eq!(
            edited(b"a", &[edit("a", "a\nb")]),
            b"a\nb",
            "no break to follow"
        );
    }

    #[test]
    fn in_a_mixed_file_each_place_keeps_its_break() {
        let content = b"a\r\nb\na\nb\r\n";
        let refusal = refused(content, &[edit("a\nb", "x")]);
        let lines = vec![1, 3];
        assert_eq!(
            refusal.reason,
            EditReason::Ambiguous {
                found: 2,
                expected: 1,
                lines
            }
        );
        let both = [edit_many("a\nb", "x\ny", 2)];
        assert_eq!(edited(content, &both), b"x\r\ny\nx\ny\r\n");
        assert_eq!(edited(content, &[edit("a\r\nb", "x")]), b"x\na\nb\r\n");
    }

    #[test]
    fn lf_files_stay_lf() {
        let refusal = refused(b"one two three\n", &[edit("one two three\r\n", "x")]);
        assert!(matches!(
            refusal.reason,
            EditReason::NotFound { nearest: Some(_) }
        ));
        assert_eq!(edited(b"a\nb", &[edit("a\n", "c\n")]), b"c\nb");
    }

    #[test]
    fn a_byte_order_mark_stays_in_front() {
        let content = "\u{FEFF}use a;\n".as_bytes();
        let expected = "\u{FEFF}use b;\n".as_bytes();
        assert_eq!(edited(content, &[edit("use a;", "use b;")]), expected);
        assert_eq!(
            edited(content, &[edit("\u{FEFF}use a;", "use b;")]),
            expected
        );
        assert_eq!(
            edited(content, &[edit("use a;", "\u{FEFF}use b;")]),
            expected
        );
        assert_eq!(
            refused(content, &[edit("\u{FEFF}", "x")]).reason,
            EditReason::EmptyOldText
        );
    }

    #[test]
    fn latin_1_beside_an_edit_survives() {
        assert_eq!(
            edited(b"caf\xE9 = 1\xFF", &[edit("= 1", "= 2")]),
            b"caf\xE9 = 2\xFF"
        );
    }

    #[test]
    fn an_empty_old_text_fills_only_an_empty_file() {
        assert_eq!(edited(b"", &[edit("", "new\n")]), b"new\n");
        assert_eq!(
            refused(b"x", &[edit("", "y")]).reason,
            EditReason::EmptyOldText
        );
        assert_eq!(refused(b"", &[edit("", "")]).reason, EditReason::NoChange);
        let mark = "\u{FEFF}".as_bytes();
        assert_eq!(edited(mark, &[edit("", "x")]), "\u{FEFF}x".as_bytes());
    }

    #[test]
    fn what_changes_nothing_is_refused() {
        assert_eq!(
            refused(b"x", &[edit("x", "x")]).reason,
            EditReason::NoChange
        );
        assert_eq!(refused(b"x", &[]).reason, EditReason::NoChange);
        assert_eq!(
            refused(b"a\r\n", &[edit("a\n", "a\r\n")]).reason,
            EditReason::NoChange
        );
    }

    #[test]
    fn limits_are_refusals() {
        let what = |refusal: EditRefusal| match refusal.reason {
            EditReason::TooLarge { what, .. } => Some(what),
            _ => None,
        };
        let large = vec![b'x'; CONTENT_BYTES_MAX + 1];
        assert_eq!(
            what(refused(&large, &[edit("y", "z")])),
            Some(EditLimit::ContentBytes)
        );
        let many = vec![edit("x", "y"); EDITS_MAX + 1];
        assert_eq!(what(refused(b"x", &many)), Some(EditLimit::Edits));
        let xs = vec![b'x'; 100_000];
        let growing = [edit_many("x", &"y".repeat(1_000), 100_000)];
        assert_eq!(what(refused(&xs, &growing)), Some(EditLimit::ResultBytes));
    }

    #[test]
    fn one_replacement_is_expected_unless_said_otherwise() {
        let fields = [("old_text", "a"), ("new_text", "b")];
        let read: Result<Edit, Error> = Edit::deserialize(MapDeserializer::new(
            fields
                .into_iter()
                .map(|(name, text)| (name, text.into_deserializer())),
        ));
        assert_eq!(read, Ok(edit("a", "b")));
    }
}
