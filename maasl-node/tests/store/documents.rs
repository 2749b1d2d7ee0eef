//! Contract: the log of operations on documents, and what it counts.

use maasl_core::docgen::record::RECORDS_MAX;
use maasl_core::docgen::{DocgenRecord, DocgenStatus, Made};
use maasl_core::id::ContentHash;
use maasl_core::lease::command::{FinishCommit, ItemEnd, NoteDocument, Remember};
use maasl_core::lease::{Command, CommitIntent, Lease, Outcome};
use maasl_core::reply::Receipt;

use super::bench::{Bench, ask, finish, intent, owner, request};

fn record(source: &str, status: DocgenStatus) -> DocgenRecord {
    DocgenRecord {
        status,
        source: source.into(),
        document: format!("docs/{source}.md"),
        hash: Some(ContentHash::of(b"source")),
        duration_ms: 3,
        error: None,
        owner: owner("a"),
        wall_ms: 0,
    }
}

fn note(source: &str, status: DocgenStatus) -> NoteDocument {
    NoteDocument {
        record: record(source, status),
        remember: None,
    }
}

fn sources(bench: &Bench, limit: u32) -> Vec<String> {
    let log = bench.store.docgen_log(limit).unwrap();
    log.into_iter().map(|record| record.source).collect()
}

/// A commit that makes a document.
fn document(lease: &Lease, op: &str) -> CommitIntent {
    let mut intent = intent(lease, op, &["x"], "text");
    let Receipt::Changed { files, .. } = &mut intent.receipt else {
        panic!("a commit changes files");
    };
    files[0].document = Some(Made {
        source: "x.py".into(),
        source_sha256: ContentHash::of(b"source"),
        duration_ms: 5,
    });
    intent
}

pub(crate) fn operations_are_logged_newest_first_and_counted(bench: &Bench) {
    bench.run(Command::NoteDocument(note("one", DocgenStatus::Noop)));
    bench.time.pass_ms(10);
    bench.run(Command::NoteDocument(note("two", DocgenStatus::Error)));
    assert_eq!(sources(bench, 10), ["two", "one"]);
    assert_eq!(sources(bench, 1), ["two"]);
    let log = bench.store.docgen_log(10).unwrap();
    assert_eq!(log[0].wall_ms, bench.time.wall_ms());
    let logged = DocgenRecord {
        wall_ms: log[1].wall_ms,
        ..record("one", DocgenStatus::Noop)
    };
    assert_eq!(log[1], logged);
    assert_eq!(bench.count("docgen_noop"), 1);
    assert_eq!(bench.count("docgen_error"), 1);
}

pub(crate) fn the_log_is_bounded_and_the_oldest_goes(bench: &Bench) {
    for n in 0..RECORDS_MAX + 5 {
        bench.run(Command::NoteDocument(note(
            &n.to_string(),
            DocgenStatus::Noop,
        )));
    }
    let kept = sources(bench, u32::MAX);
    assert_eq!(kept.len(), RECORDS_MAX as usize);
    assert_eq!(kept.last().unwrap(), "5");
    assert_eq!(bench.count("docgen_noop"), u64::from(RECORDS_MAX) + 5);
}

pub(crate) fn a_document_is_logged_by_whoever_ends_its_commit(bench: &Bench) {
    let lease = bench.take(ask("a", "x"));
    bench.run(Command::BeginCommit(document(&lease, "op-1")));
    assert!(sources(bench, 10).is_empty(), "it is not made yet");
    let recovery = Command::FinishCommit(FinishCommit {
        op: maasl_core::id::OpId::new("op-1"),
        exceptions: std::collections::BTreeMap::new(),
        recovered_by: Some(owner("b")),
        counts: Vec::new(),
    });
    for _ in 0..2 {
        bench.run(recovery.clone());
        let log = bench.store.docgen_log(10).unwrap();
        assert_eq!(log.len(), 1);
        assert_eq!(
            (log[0].status, &log[0].owner),
            (DocgenStatus::Generated, &owner("a"))
        );
        assert_eq!(bench.count("docgen_generated"), 1);
    }
}

pub(crate) fn a_document_that_was_undone_is_not_logged(bench: &Bench) {
    let lease = bench.take(ask("a", "x"));
    bench.run(Command::BeginCommit(document(&lease, "op-1")));
    let Command::FinishCommit(end) = finish("op-1") else {
        panic!("a command that ends a commit");
    };
    bench.run(Command::FinishCommit(FinishCommit {
        exceptions: [("x".to_owned(), ItemEnd::Undone)].into(),
        ..end
    }));
    assert!(sources(bench, 10).is_empty());
    assert_eq!(bench.count("docgen_generated"), 0);
}

pub(crate) fn a_remembered_answer_is_logged_once(bench: &Bench) {
    let receipt = Receipt::Fresh {
        source: "one".into(),
        document: "docs/one.md".into(),
        source_sha256: ContentHash::of(b"source"),
        sha256: ContentHash::of(b"document"),
        waited_ms: 0,
    };
    let remember = |receipt: &Receipt| {
        Command::NoteDocument(NoteDocument {
            remember: Some(Remember {
                request: request("key-1"),
                receipt: receipt.clone(),
            }),
            ..note("one", DocgenStatus::Noop)
        })
    };
    for _ in 0..2 {
        let answered = Outcome::Answered(receipt.clone());
        assert_eq!(bench.run(remember(&receipt)), answered);
    }
    assert_eq!(sources(bench, 10), ["one"]);
    assert_eq!(bench.count("docgen_noop"), 1);
}
