//! Properties of documents: whose they are, and what their headers say.
//!
//! Owns: generated sources whose names are easily confused. Promises: the same
//! inputs on every run, unless a seed is set. Leaves to others: files
//! (`maasl-node`) and processes (`maasl-mcp`).

use maasl_core::docgen::layout::{Elsewhere, may_be_named};
use maasl_core::docgen::{Gate, HeaderForm, Known, Layout, Offer, gate, header};
use maasl_core::id::ContentHash;
use maasl_core::path::RelPath;
use maasl_core::policy::Named as _;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

const ROOT: &str = "D";

/// Paths out of few characters, among them all that a layout treats apart.
fn source() -> impl Strategy<Value = String> {
    let name = "[_~01a.]{1,4}(\\.md)?";
    vec(name, 1..4)
        .prop_map(|names| names.join("/"))
        .prop_filter("a path", |path| is_path(path))
}

fn is_path(path: &str) -> bool {
    RelPath::parse(path).is_ok_and(|parsed| parsed.as_str() == path)
}

/// A source, and another that some way of writing confuses with it.
fn twins() -> impl Strategy<Value = (String, String)> {
    (source(), source(), 0..9_usize).prop_filter_map("a path", |(one, other, way)| {
        let other = match way {
            0 => one.replace('/', "_"),
            1 => one.replacen('_', "/", 1),
            2 => one.replacen('/', "_", 1),
            3 => one.replace('_', "~1"),
            4 => one.replace('~', "~0"),
            5 => one.replace("~1", "_").replace("~0", "~"),
            6 => format!("{one}.md"),
            7 => one.replace('_', "~1").replace('/', "_"),
            _ => other,
        };
        is_path(&other).then_some((one, other))
    })
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

fn layout() -> impl Strategy<Value = Layout> {
    prop::sample::select(Layout::ALL)
}

fn form() -> impl Strategy<Value = HeaderForm> {
    prop::sample::select(HeaderForm::ALL)
}

/// Every place where a document of `source` may be taken for its own.
fn places(layout: Layout, source: &str) -> Vec<Elsewhere> {
    let home = Elsewhere {
        path: layout.place(ROOT, source),
        shared_as: None,
    };
    let mut places = vec![home];
    places.extend(layout.elsewhere(ROOT, source));
    places
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn two_sources_never_have_one_place(layout in layout(), (a, b) in twins()) {
        let same_place = layout.place(ROOT, &a) == layout.place(ROOT, &b);
        prop_assert_eq!(same_place, a == b);
    }

    /// A place besides its own counts for a source only if no other file may claim
    /// it; so it is enough that every other claim is known.
    #[test]
    fn whoever_may_claim_a_place_is_looked_for(layout in layout(), (a, b) in twins()) {
        prop_assume!(a != b);
        for elsewhere in layout.elsewhere(ROOT, &a) {
            let claimed = places(layout, &b).iter().any(|place| place.path == elsewhere.path);
            let is_known = elsewhere
                .shared_as
                .as_ref()
                .is_some_and(|name| may_be_named(&b, name));
            prop_assert!(!claimed || is_known, "{a} and {b} share {elsewhere:?}");
        }
    }

    #[test]
    fn a_document_is_never_the_source_it_describes(layout in layout(), a in source()) {
        for place in places(layout, &a) {
            prop_assert_ne!(&place.path, &a);
            prop_assert!(layout.document(ROOT, &place.path).is_err());
        }
    }

    /// Whatever is offered, what is written names the source it was made from, and
    /// then there is nothing more to do.
    #[test]
    fn what_is_written_is_fresh(source: Vec<u8>, content: String, form in form(), read in form()) {
        let hash = ContentHash::of(&source);
        let known = |document| Known {
            source_path: "a",
            source: Some(hash),
            document_path: "D/a.md",
            document,
        };
        let offer = Offer {
            content: Some(content.as_bytes()),
            made_from: Some(hash),
            replaces: None,
        };
        match gate(known(None), offer, form) {
            Ok(Gate::Write(document)) => {
                prop_assert_eq!(header::read(&document), Some(hash));
                prop_assert_eq!(gate(known(Some(&document)), offer, read), Ok(Gate::Fresh));
                let offered = content.trim_start_matches('\u{feff}').trim();
                let text = String::from_utf8(document).expect("text");
                prop_assert!(text.contains(offered), "{text:?}");
            }
            refused => {
                prop_assert!(content.trim().is_empty(), "{refused:?}");
            }
        }
    }

    #[test]
    fn no_header_is_found_in_what_is_none(text in "(SHA256:|<!--| |[0-9a-f]{60,70}|-->|\n){0,6}") {
        let Some(hash) = header::read(text.as_bytes()) else {
            return Ok(());
        };
        let mut lines = text.lines().filter(|line| !line.is_empty());
        let first = lines.next().expect("a header has a line");
        let named = first.contains(&hash.to_string()) && first.contains("SHA256:");
        prop_assert!(named, "{first:?}");
    }
}
