//! Lists of edits, merges and differences.
//!
//! Owns: contents and edits as arbitrary bytes. Promises: a list is applied as its
//! edits one after the other, or not at all; a merge does not depend on whose side
//! is called ours; what is shown of a difference is bounded. Leaves to others: files.

use maasl_core::text::diff::{first_difference, unified};
use maasl_core::text::edit::{Edit, EditReason, Edited, apply};
use maasl_core::text::merge::{Merge, merge3};

use crate::pieces::{pieces, text};

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// Edits that are tried of one input.
const EDITS: usize = 8;
/// Bytes of a difference.
const DIFF_BYTES: usize = 512;

/// Tries a content and pairs of an old and a new text, one piece each. An old text
/// that begins with a byte below 9 is expected so many times.
pub fn run(bytes: &[u8]) {
    let mut pieces = pieces(bytes);
    let content = pieces.next().unwrap_or_default();
    let mut edits = Vec::new();
    while let Some(old) = pieces.next() {
        if edits.len() == EDITS {
            break;
        }
        edits.push(edit(old, pieces.next().unwrap_or_default()));
    }
    let applied = apply(content, &edits);
    if let Ok(edited) = &applied {
        compared(content, &edited.bytes);
    }
    if let [first, second, ..] = &edits[..] {
        merged(
            content,
            first.new_text.as_bytes(),
            second.new_text.as_bytes(),
        );
    }
    one_after_the_other(content, &edits, &applied);
}

fn edit(old: &[u8], new: &[u8]) -> Edit {
    let (expected, old) = match old.split_first() {
        Some((times, rest)) if *times < 9 => (u32::from(*times), rest),
        _ => (1, old),
    };
    Edit {
        old_text: text(old),
        new_text: text(new),
        expected_replacements: expected,
    }
}

fn one_after_the_other(
    content: &[u8],
    edits: &[Edit],
    applied: &Result<Edited, maasl_core::text::edit::EditRefusal>,
) {
    let is_marked = content.starts_with(BYTE_ORDER_MARK);
    let (mut now, mut replacements) = (content.to_vec(), 0);
    for (index, edit) in edits.iter().enumerate() {
        // The mark of a file is looked at once, before the first edit.
        if now.starts_with(BYTE_ORDER_MARK) != is_marked {
            return;
        }
        match apply(&now, std::slice::from_ref(edit)) {
            Ok(edited) => {
                assert_ne!(edited.bytes, now, "an edit that changes nothing");
                now = edited.bytes;
                replacements += edited.replacements;
            }
            Err(alone) => {
                let together = applied.as_ref().expect_err("one of the edits is refused");
                let at = usize::try_from(together.index).expect("a place in the list");
                assert_eq!((at, &together.reason), (index, &alone.reason));
                return;
            }
        }
    }
    match applied {
        Ok(edited) => assert_eq!((&edited.bytes, edited.replacements), (&now, replacements)),
        Err(refusal) => {
            assert!(edits.is_empty(), "{refusal}");
            assert_eq!(refusal.reason, EditReason::NoChange);
        }
    }
}

fn compared(old: &[u8], new: &[u8]) {
    let shown = unified(old, new, "a/b", DIFF_BYTES);
    assert!(shown.len() <= DIFF_BYTES + 128, "{} bytes", shown.len());
    assert_eq!(first_difference(old, new).is_none(), old == new);
}

fn merged(base: &[u8], ours: &[u8], theirs: &[u8]) {
    let one = merge3(base, ours, theirs);
    let other = merge3(base, theirs, ours);
    match (one, other) {
        (Merge::Clean { bytes: one }, Merge::Clean { bytes: other }) => {
            assert_eq!(one, other);
            assert!(one.len() <= base.len() + ours.len() + theirs.len() + 2);
        }
        (Merge::Clean { .. }, _) | (_, Merge::Clean { .. }) => {
            panic!("a merge depends on whose side is ours")
        }
        _ => {}
    }
    let unchanged = merge3(base, base, theirs);
    assert!(matches!(unchanged, Merge::Clean { bytes } if bytes == theirs));
}
