//! Properties of edits, merges and differences, on texts nobody chose.

use std::collections::BTreeSet;

use maasl_core::text::diff::{first_difference, unified};
use maasl_core::text::edit::{Edit, apply};
use maasl_core::text::hunk::{EXCERPT_BYTES_MAX, EXCERPT_LINES_MAX, Excerpt};
use maasl_core::text::merge::{Merge, merge3};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

/// Texts of few distinct lines, so that sides often agree, repeat and collide.
fn lines() -> impl Strategy<Value = Vec<u8>> {
    text().prop_map(|text| {
        let latin_1 = |byte| if byte == b'b' { 0xE9 } else { byte };
        text.bytes().map(latin_1).collect()
    })
}

/// The same, in UTF-8.
fn text() -> impl Strategy<Value = String> {
    let line = prop_oneof![6 => Just("a\n"), 4 => Just("b\n"), 2 => Just("c\r\n"), 1 => Just("\n")];
    let last = prop_oneof![4 => Just(""), 1 => Just("a"), 1 => Just("\r")];
    (vec(line, 0..12), last).prop_map(|(lines, last)| lines.concat() + last)
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![4 => Just(b'\n'), 2 => Just(b'\r'), 4 => Just(b'a'), 1 => any::<u8>()];
    vec(byte, 0..60)
}

/// Which line of the base each side touches, and how: far enough apart that no
/// change is beside another.
#[derive(Clone, Copy, Debug)]
enum Touch {
    Neither,
    Change { ours: bool },
    InsertBefore { ours: bool },
    Delete { ours: bool },
}

fn touches() -> impl Strategy<Value = Vec<Touch>> {
    let touch = prop_oneof![
        Just(Touch::Neither),
        any::<bool>().prop_map(|ours| Touch::Change { ours }),
        any::<bool>().prop_map(|ours| Touch::InsertBefore { ours }),
        any::<bool>().prop_map(|ours| Touch::Delete { ours }),
    ];
    vec(touch, 1..20)
}

/// Base, ours, theirs and the text with all touches, each touch on a block of
/// its own whose other lines are unlike any other.
fn disjoint(touches: &[Touch], break_: &str) -> [Vec<u8>; 4] {
    let mut texts = [const { String::new() }; 4];
    for (block, touch) in touches.iter().enumerate() {
        let [top, middle, bottom] =
            ["top", "middle", "bottom"].map(|name| format!("{name} {block}{break_}"));
        let changed = match touch {
            Touch::Neither => middle.clone(),
            Touch::Change { .. } => format!("changed {block}{break_}"),
            Touch::InsertBefore { .. } => format!("inserted {block}{break_}{middle}"),
            Touch::Delete { .. } => String::new(),
        };
        let ours = match touch {
            Touch::Neither => true,
            Touch::Change { ours } | Touch::InsertBefore { ours } | Touch::Delete { ours } => *ours,
        };
        let kept = [&middle, &changed];
        let by_side = [
            kept[0],
            kept[usize::from(ours)],
            kept[usize::from(!ours)],
            kept[1],
        ];
        for (text, middle) in texts.iter_mut().zip(by_side) {
            text.extend([&top, middle, &bottom].map(String::as_str));
        }
    }
    texts.map(String::into_bytes)
}

fn split(text: &[u8]) -> Vec<&[u8]> {
    text.split_inclusive(|byte| *byte == b'\n').collect()
}

fn config() -> ProptestConfig {
    let default = ProptestConfig::default();
    ProptestConfig {
        // More on request, with PROPTEST_CASES.
        cases: default.cases.max(1_000),
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..default
    }
}

fn is_small(excerpt: &Excerpt) -> bool {
    // A byte that is not UTF-8 shows as three.
    excerpt.text.len() <= 3 * EXCERPT_BYTES_MAX + "…".len()
        && excerpt.text.lines().count() <= EXCERPT_LINES_MAX
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn disjoint_changes_merge_to_all_of_them(touches in touches(), crlf: bool) {
        let [base, ours, theirs, all] = disjoint(&touches, if crlf { "\r\n" } else { "\n" });
        let merged = merge3(&base, &ours, &theirs);
        prop_assert_eq!(&merged, &Merge::Clean { bytes: all });
        prop_assert_eq!(merged, merge3(&base, &theirs, &ours));
    }

    #[test]
    fn a_merge_does_not_depend_on_who_is_ours(base in lines(), ours in lines(), theirs in lines()) {
        match (merge3(&base, &ours, &theirs), merge3(&base, &theirs, &ours)) {
            (Merge::Conflict { hunks, total }, Merge::Conflict { hunks: others, total: other_total }) => {
                prop_assert_eq!(total, other_total);
                for (one, other) in hunks.iter().zip(&others) {
                    prop_assert_eq!((&one.base, &one.ours, &one.theirs), (&other.base, &other.theirs, &other.ours));
                }
            }
            (one, other) => prop_assert_eq!(one, other),
        }
    }

    #[test]
    fn an_unchanged_side_gives_way(base in bytes(), changed in bytes()) {
        let clean = Merge::Clean { bytes: changed.clone() };
        prop_assert_eq!(&merge3(&base, &changed, &base), &clean);
        prop_assert_eq!(&merge3(&base, &base, &changed), &clean);
        prop_assert_eq!(&merge3(&base, &changed, &changed), &clean);
    }

    #[test]
    fn a_clean_merge_invents_and_loses_no_line(base in lines(), ours in lines(), theirs in lines()) {
        if let Merge::Clean { bytes } = merge3(&base, &ours, &theirs) {
            let [base, ours, theirs, merged] =
                [&base, &ours, &theirs, &bytes].map(|text| split(text).into_iter().collect::<BTreeSet<_>>());
            for line in &merged {
                prop_assert!(ours.contains(line) || theirs.contains(line), "invented {:?}", line);
            }
            for line in ours.union(&theirs).filter(|line| !base.contains(*line)) {
                prop_assert!(merged.contains(line), "lost {:?}", line);
            }
        }
    }

    /// The library has a merge of its own; two ways to the same answer.
    #[test]
    fn the_merge_agrees_with_the_library(base in lines(), ours in lines(), theirs in lines()) {
        let library = diffy::merge_bytes(&base, &ours, &theirs);
        match merge3(&base, &ours, &theirs) {
            Merge::Clean { bytes } if base != ours && base != theirs && ours != theirs => {
                prop_assert_eq!(Ok(bytes), library);
            }
            Merge::Clean { .. } => {}
            other => prop_assert!(library.is_err(), "{:?}, but the library merges", other),
        }
    }

    #[test]
    fn nothing_panics_and_everything_shown_is_small(one in bytes(), two in bytes(), three in bytes(), limit in 0_usize..200) {
        if let Merge::Conflict { hunks, .. } = merge3(&one, &two, &three) {
            prop_assert!(hunks.iter().all(|hunk| [&hunk.base, &hunk.ours, &hunk.theirs].into_iter().all(is_small)));
        }
        let shown = unified(&one, &two, "x", limit);
        prop_assert!(shown.len() <= limit.max(40));
        let difference = first_difference(&one, &two);
        prop_assert_eq!(difference.is_none(), one == two);
        if let Some(hunk) = difference {
            prop_assert!(is_small(&hunk.expected) && is_small(&hunk.actual));
        }
    }

    #[test]
    fn a_whole_difference_applies(old in text(), new in text()) {
        prop_assume!(old != new);
        let shown = unified(old.as_bytes(), new.as_bytes(), "x", 100_000);
        let patch = diffy::Patch::from_str(&shown).expect("a unified diff");
        prop_assert_eq!(diffy::apply(&old, &patch).expect("it applies"), new);
    }

    #[test]
    fn an_edit_equals_its_meaning(lines in vec("[ab]{0,3}\n", 1..10), old in "[ab\n]{1,4}", new in "[abc\n]{0,4}") {
        let before = lines.concat();
        let meant = before.replace(&old, &new);
        let found = before.matches(&old).count();
        let edit = Edit {
            old_text: old,
            new_text: new,
            expected_replacements: u32::try_from(found).expect("few"),
        };
        for line_break in ["\n", "\r\n"] {
            let written = |text: &str| text.replace('\n', line_break).into_bytes();
            let result = apply(&written(&before), std::slice::from_ref(&edit));
            if before == meant {
                prop_assert!(result.is_err());
            } else {
                prop_assert_eq!(result.map(|edited| edited.bytes), Ok(written(&meant)));
            }
        }
    }

    #[test]
    fn an_edit_never_panics_and_leaves_the_rest(content in bytes(), old in "[a\r\n\u{FEFF}]{0,3}", new in "[b\r\n\u{FEFF}]{0,3}", expected in 0_u32..3) {
        let edit = Edit { old_text: old, new_text: new.clone(), expected_replacements: expected };
        if let Ok(edited) = apply(&content, &[edit]) {
            prop_assert!(edited.bytes != content);
            // Every byte that the new text cannot hold was there before.
            let count = |bytes: &[u8]| bytes.iter().filter(|byte| !b"ab\r\n\xEF\xBB\xBF".contains(byte)).count();
            prop_assert_eq!(count(&edited.bytes), count(&content));
        }
    }
}
