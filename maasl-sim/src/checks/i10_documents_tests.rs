//! Tests of the judge of documents.

use maasl_core::docgen::Made as MadeFrom;
use maasl_core::id::{AgentId, Token};
use maasl_core::lease::Count;
use maasl_core::lease::outcome::Change;
use maasl_core::policy::IDEMP_DOCS;
use maasl_core::reply::Beyond;

use super::super::documents::text_of;
use super::super::scene::{
    CALL, P, Scene, finish, hash, intent, item, receipt as receipt_of, site,
};
use super::*;

const DOC: &str = "docs/f.md";

/// A document of a source, made from `from`, whose header says `says`.
fn document(source: &str, from: &str, says: &str) -> String {
    let text = text_of(source, from.as_bytes(), "ann 1");
    format!("<!-- SHA256: {} -->\n\n{text}", hash(says))
}

/// The source `f` holds `one`, and `ann` has asked for its document.
fn scene() -> (Scene, Documents) {
    let scene = Scene::new(&[("f", "one"), ("g", "one")]);
    let mut judge = Documents::default();
    ask(&scene, &mut judge, 1);
    (scene, judge)
}

fn ask(scene: &Scene, judge: &mut Documents, request: u64) {
    let action = Action::Docgen { path: "f".into() };
    scene.ask(judge, request, &action, None, &[]).unwrap();
}

fn making(old: Option<&str>, new: &str) -> CommitItem {
    CommitItem {
        op: MAKING.into(),
        ..item(DOC, old, Some(new))
    }
}

fn latched(scene: &Scene, judge: &mut Documents) {
    let keys = [item(DOC, None, None).key];
    let seen = Observation::Latched {
        process: P,
        call: CALL,
        keys: &keys,
    };
    scene.show(judge, &seen).unwrap();
}

fn unlatched(scene: &Scene, judge: &mut Documents) {
    let seen = Observation::Unlatched {
        process: P,
        call: CALL,
    };
    scene.show(judge, &seen).unwrap();
}

/// A document reaches its point of commit.
fn begin(
    scene: &mut Scene,
    judge: &mut Documents,
    item: &CommitItem,
    text: &str,
) -> Option<&'static str> {
    let bytes = text.as_bytes().into();
    scene.disk.stage(&item.stage, bytes, true);
    site(scene.begin(judge, &intent(core::slice::from_ref(item))))
}

/// The end of its commit, with this counted.
fn end(
    scene: &mut Scene,
    judge: &mut Documents,
    item: &CommitItem,
    counted: u64,
) -> Option<&'static str> {
    let count = Count {
        by: counted,
        ..Count::one(Counter::DocgenGenerated, IDEMP_DOCS, &AgentId::new("a"))
    };
    scene.rows.apply(Change::Add { count, hour: 0 });
    site(scene.finish(judge, finish(), &receipt(item, 1)))
}

fn receipt(item: &CommitItem, version: u64) -> Receipt {
    let mut receipt = receipt_of(core::slice::from_ref(item), version);
    let Receipt::Changed { files, .. } = &mut receipt else {
        panic!("a change");
    };
    files[0].document = Some(MadeFrom {
        source: "f".into(),
        source_sha256: hash("one"),
        duration_ms: 0,
    });
    receipt
}

/// A document that is made as it should be.
fn made(scene: &mut Scene, judge: &mut Documents) -> CommitItem {
    let text = document("f", "one", "one");
    let item = making(None, &text);
    latched(scene, judge);
    assert_eq!(begin(scene, judge, &item, &text), None);
    scene.swap(judge, &item, None).unwrap();
    assert_eq!(end(scene, judge, &item, 1), None);
    unlatched(scene, judge);
    item
}

fn fresh(document: &str, source: &str, made_from: &str, content: ContentHash) -> Receipt {
    Receipt::Fresh {
        source: source.into(),
        document: document.into(),
        source_sha256: hash(made_from),
        sha256: content,
        waited_ms: 0,
    }
}

fn answer(
    scene: &Scene,
    judge: &mut Documents,
    request: u64,
    receipt: &Receipt,
) -> Option<&'static str> {
    site(scene.answer(judge, request, receipt))
}

#[test]
fn a_document_is_made_once_and_then_left_alone() {
    let (mut scene, mut judge) = scene();
    let item = made(&mut scene, &mut judge);
    assert_eq!(answer(&scene, &mut judge, 1, &receipt(&item, 1)), None);
    ask(&scene, &mut judge, 2);
    let noop = fresh(DOC, "f", "one", item.new.unwrap());
    assert_eq!(answer(&scene, &mut judge, 2, &noop), None);
}

#[test]
fn a_second_document_of_one_content_is_reported() {
    let (mut scene, mut judge) = scene();
    let first = made(&mut scene, &mut judge);
    let text = document("f", "one", "one").replace("ann 1", "bob 2");
    let item = CommitItem {
        old: first.new,
        ..making(None, &text)
    };
    latched(&scene, &mut judge);
    assert_eq!(begin(&mut scene, &mut judge, &item, &text), None);
    let swapped = scene.swap(&mut judge, &item, None);
    assert_eq!(site(swapped), Some("made-twice"));
}

#[test]
fn a_document_of_a_later_content_replaces_the_earlier() {
    let (mut scene, mut judge) = scene();
    let first = made(&mut scene, &mut judge);
    scene.outside(&mut judge, "f", Some("two")).unwrap();
    let text = document("f", "two", "two");
    let item = CommitItem {
        old: first.new,
        ..making(None, &text)
    };
    latched(&scene, &mut judge);
    assert_eq!(begin(&mut scene, &mut judge, &item, &text), None);
    scene.swap(&mut judge, &item, None).unwrap();
}

#[test]
fn a_header_that_names_what_the_text_was_not_made_from_is_reported() {
    let (mut scene, mut judge) = scene();
    let text = document("f", "zero", "one");
    latched(&scene, &mut judge);
    let begun = begin(&mut scene, &mut judge, &making(None, &text), &text);
    assert_eq!(begun, Some("header-lies"));
    let text = "no header\n";
    let begun = begin(&mut scene, &mut judge, &making(None, text), text);
    assert_eq!(begun, Some("no-document"));
}

#[test]
fn a_document_of_what_the_source_no_longer_held_is_reported() {
    let moved = |before_the_latch: bool| {
        let (mut scene, mut judge) = scene();
        if !before_the_latch {
            latched(&scene, &mut judge);
        }
        scene.outside(&mut judge, "f", Some("two")).unwrap();
        if before_the_latch {
            latched(&scene, &mut judge);
        }
        let text = document("f", "one", "one");
        begin(&mut scene, &mut judge, &making(None, &text), &text)
    };
    assert_eq!(moved(true), Some("stale-document"));
    assert_eq!(moved(false), None, "nobody can see that in time");
}

#[test]
fn a_source_may_become_what_its_document_says_in_one_commit() {
    let (mut scene, mut judge) = scene();
    let text = document("f", "two", "two");
    let making = making(None, &text);
    let bytes = text.as_bytes().into();
    scene.disk.stage(&making.stage, bytes, true);
    latched(&scene, &mut judge);
    let alone = intent(core::slice::from_ref(&making));
    let begun = scene.begin(&mut judge, &alone);
    assert_eq!(site(begun), Some("stale-document"));
    let source = item("f", Some("one"), Some("two"));
    let together = intent(&[source, making]);
    assert_eq!(site(scene.begin(&mut judge, &together)), None);
}

#[test]
fn two_sources_with_one_document_are_reported() {
    let (mut scene, mut judge) = scene();
    let item = made(&mut scene, &mut judge);
    let noop = fresh(DOC, "g", "one", item.new.unwrap());
    assert_eq!(
        answer(&scene, &mut judge, 1, &noop),
        Some("shared-document")
    );
    let text = document("g", "one", "one");
    latched(&scene, &mut judge);
    let begun = begin(&mut scene, &mut judge, &making(None, &text), &text);
    assert_eq!(begun, Some("shared-document"));
}

#[test]
fn a_document_is_counted_when_its_commit_ends() {
    for (counted, reported) in [(0, Some("miscounted")), (1, None), (2, Some("miscounted"))] {
        let (mut scene, mut judge) = scene();
        let text = document("f", "one", "one");
        let item = making(None, &text);
        latched(&scene, &mut judge);
        begin(&mut scene, &mut judge, &item, &text);
        scene.swap(&mut judge, &item, None).unwrap();
        assert_eq!(end(&mut scene, &mut judge, &item, counted), reported);
    }
}

#[test]
fn answers_that_are_not_true_are_reported() {
    let (mut scene, mut judge) = scene();
    let item = making(None, &document("f", "one", "one"));
    let never = receipt(&item, 1);
    assert_eq!(answer(&scene, &mut judge, 1, &never), Some("untrue-answer"));
    let item = made(&mut scene, &mut judge);
    let content = item.new.unwrap();
    scene.outside(&mut judge, "f", Some("two")).unwrap();
    ask(&scene, &mut judge, 2);
    let over = fresh(DOC, "f", "one", content);
    assert_eq!(answer(&scene, &mut judge, 2, &over), Some("untrue-noop"));
    let other = fresh(DOC, "f", "two", content);
    assert_eq!(answer(&scene, &mut judge, 2, &other), Some("untrue-noop"));
    let missing = fresh(DOC, "f", "two", hash("x"));
    assert_eq!(answer(&scene, &mut judge, 2, &missing), Some("untrue-noop"));
    assert_eq!(answer(&scene, &mut judge, 1, &over), None, "asked before");
}

#[test]
fn two_who_are_told_of_one_document_are_reported() {
    let (mut scene, mut judge) = scene();
    let item = made(&mut scene, &mut judge);
    ask(&scene, &mut judge, 2);
    for (request, reported) in [(1, None), (1, None), (2, Some("made-by-two"))] {
        let told = answer(&scene, &mut judge, request, &receipt(&item, 1));
        assert_eq!(told, reported);
    }
}

#[test]
fn a_refusal_as_stale_of_what_has_not_moved_is_reported() {
    let refused = |moves: bool| {
        let (mut scene, mut judge) = scene();
        if moves {
            scene.outside(&mut judge, "f", Some("two")).unwrap();
        }
        let stale = DocgenStale {
            path: "f".into(),
            expected: Some(hash("one")),
            current: Some(hash("two")),
        };
        let refusal = Refusal::DocgenStale(Box::new(stale));
        site(scene.answered(&mut judge, 1, Err(refusal)))
    };
    assert_eq!(refused(true), None);
    assert_eq!(refused(false), Some("untrue-refusal"));
}

#[test]
fn what_a_transaction_says_of_documents_is_judged_alike() {
    let scene = Scene::new(&[("f", "one")]);
    let mut judge = Documents::default();
    let action = Action::Transact(crate::plan::Together {
        paths: Vec::new(),
        db: "rag".into(),
        rows: 0,
        documents: vec!["f".into()],
        patch: None,
    });
    scene.ask(&mut judge, 1, &action, None, &[]).unwrap();
    let left = FreshDocument {
        source: "f".into(),
        document: DOC.into(),
        source_sha256: hash("one"),
        sha256: hash("never there"),
    };
    let told = Receipt::Changed {
        files: Vec::new(),
        token: Token::default(),
        waited_ms: 0,
        beyond: Beyond {
            fresh: vec![left],
            ..Beyond::default()
        },
    };
    assert_eq!(answer(&scene, &mut judge, 1, &told), Some("untrue-noop"));
}
