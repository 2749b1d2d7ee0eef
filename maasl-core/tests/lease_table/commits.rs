//! The two transactions around a swap.

use maasl_core::id::{OpId, Token};
use maasl_core::lease::command::{Acquire, FinishCommit, ItemEnd, SyncNeed};
use maasl_core::lease::row::OUTSIDE;
use maasl_core::lease::{Command, CommitIntent, Counter, Outcome, Version};
use maasl_core::reply::{FileChanged, Receipt};

use crate::bench::*;

fn line(version: &Version) -> (u64, &str, bool) {
    let outside = version.token == Token::default();
    (version.number, version.agent.as_str(), outside)
}

fn changed(outcome: Outcome) -> (FileChanged, Vec<String>) {
    let Outcome::Finished {
        receipt: Receipt::Changed { mut files, .. },
        wake,
    } = outcome
    else {
        panic!("{outcome:?}");
    };
    (files.remove(0), names(&wake))
}

#[test]
fn a_commit_makes_a_version_and_an_answer_once() {
    let mut table = Table::new();
    let held = table.granted(&ask("a", &[want("x")]));
    let intent = CommitIntent {
        request: Some(request("k", "write")),
        ..commit("op", &held, "x", None, "1")
    };
    assert_eq!(table.begin(&intent), Outcome::Begun);
    assert_eq!(table.begin(&intent), Outcome::Begun, "sent twice");
    let (file, wake) = changed(table.finish("op", [].into()));
    assert_eq!((file.version, wake.len()), (1, 0));
    assert_eq!(table.rows.history("x").len(), 1);
    assert_eq!(table.rows.history("x")[0].token, held.token);
    let again = table.finish("op", [].into());
    assert_eq!(again, Outcome::UnknownOp(OpId::new("op")));
    assert_eq!(table.rows.history("x").len(), 1);
    assert!(matches!(table.begin(&intent), Outcome::Answered(_)));
    let other = CommitIntent {
        request: Some(request("k", "other")),
        ..intent
    };
    assert_eq!(table.begin(&other), Outcome::KeyMismatch);
}

#[test]
fn only_an_end_that_its_intent_foretells_may_be_synced_later() {
    let mut table = Table::new();
    let held = table.granted(&ask("a", &[want("x")]));
    let intent = commit("op", &held, "x", None, "1");
    let plain = FinishCommit {
        op: intent.op.clone(),
        exceptions: [].into(),
        recovered_by: None,
        counts: Vec::new(),
    };
    let undone = FinishCommit {
        exceptions: [("x".into(), ItemEnd::Undone)].into(),
        ..plain.clone()
    };
    let recovered = FinishCommit {
        recovered_by: Some(intent.owner.clone()),
        ..plain.clone()
    };
    let needs = [
        Command::BeginCommit(intent),
        Command::FinishCommit(plain),
        Command::FinishCommit(undone),
        Command::FinishCommit(recovered),
    ]
    .map(|command| command.sync_need());
    let (first, soon) = (SyncNeed::First, SyncNeed::Soon);
    assert_eq!(needs, [first, soon, first, first]);
}

#[test]
fn a_request_whose_commit_is_open_is_not_unknown() {
    let mut table = Table::new();
    let held = table.granted(&ask("a", &[want("x")]));
    let recall = |key| Command::Recall(request(key, "write"));
    assert_eq!(table.send(&recall("k")), Outcome::NotAnswered);
    let intent = CommitIntent {
        request: Some(request("k", "write")),
        ..commit("op", &held, "x", None, "1")
    };
    table.begin(&intent);
    let open = Outcome::NeedRecovery(vec![intent]);
    assert_eq!(table.send(&recall("k")), open);
    assert_eq!(table.send(&recall("other")), Outcome::NotAnswered);
    table.finish("op", [].into());
    assert!(matches!(table.send(&recall("k")), Outcome::Answered(_)));
}

#[test]
fn a_change_from_outside_gets_its_own_version() {
    let mut table = Table::new();
    let held = table.granted(&ask("a", &[want("x")]));
    table.begin(&commit("1", &held, "x", Some("theirs"), "mine"));
    assert_eq!(changed(table.finish("1", [].into())).0.version, 2);
    table.begin(&commit("2", &held, "x", Some("mine"), "more"));
    assert_eq!(changed(table.finish("2", [].into())).0.version, 3);
    table.begin(&commit("3", &held, "x", None, "back"));
    table.finish("3", [].into());
    let history = table.rows.history("x");
    let lines: Vec<_> = history.iter().map(line).collect();
    let outside = |n| (n, OUTSIDE, true);
    let mine = |n| (n, "a", false);
    assert_eq!(lines, [outside(1), mine(2), mine(3), outside(4), mine(5)]);
    assert_eq!(history[3].content, None, "somebody had removed it");
}

#[test]
fn a_foreign_change_at_the_swap_keeps_both_in_the_order_they_stand() {
    for stands in [true, false] {
        let mut table = Table::new();
        let held = table.granted(&ask("a", &[want("x")]));
        table.begin(&commit("1", &held, "x", None, "mine"));
        let end = ItemEnd::Conflict {
            found: Some(hash("theirs")),
            outside_stands: stands,
        };
        let (file, _) = changed(table.finish("1", [("x".into(), end)].into()));
        assert_eq!(file.conflict.map(|c| c.outside_stands), Some(stands));
        let last = table.rows.history("x").last().unwrap();
        let expected = if stands { hash("theirs") } else { hash("mine") };
        assert_eq!(
            (table.rows.history("x").len(), last.content),
            (2, Some(expected))
        );
        let mut history = table.rows.history("x").iter();
        let own = history.find(|version| version.content == Some(hash("mine")));
        assert_eq!(file.version, own.unwrap().number);
    }
}

#[test]
fn an_undone_commit_leaves_neither_version_nor_answer() {
    let mut table = Table::new();
    let held = table.granted(&ask("a", &[want("x")]));
    let intent = CommitIntent {
        request: Some(request("k", "write")),
        ..commit("1", &held, "x", None, "mine")
    };
    table.begin(&intent);
    assert!(table.done(&Command::TurnBack(OpId::new("1"))).is_empty());
    assert!(table.snapshot().intents[0].turned_back);
    table.finish("1", [("x".into(), ItemEnd::Undone)].into());
    assert!(table.rows.history("x").is_empty());
    assert_eq!(
        table.begin(&intent),
        Outcome::Begun,
        "it may be tried again"
    );
    let unknown = table.send(&Command::TurnBack(OpId::new("other")));
    assert_eq!(unknown, Outcome::UnknownOp(OpId::new("other")));
}

#[test]
fn a_commit_may_end_its_lease_and_wake_the_next() {
    let mut table = Table::new();
    let held = table.granted(&ask("a", &[want("x")]));
    table.queued(&ask("b", &[want("x")]));
    let last = CommitIntent {
        release: true,
        ..commit("1", &held, "x", None, "1")
    };
    table.begin(&last);
    assert_eq!(changed(table.finish("1", [].into())).1, ["b"]);
    assert_eq!(table.count(Counter::Released), 1);
    table.granted(&ask("b", &[want("x")]));
}

#[test]
fn a_commit_needs_its_lease_unexpired_and_its_own_token() {
    let mut table = Table::new();
    let held = table.granted(&ask("a", &[want("x")]));
    let intent = commit("1", &held, "x", None, "1");
    let older = CommitIntent {
        token: Token::from_number(1),
        ..intent.clone()
    };
    assert!(matches!(table.begin(&older), Outcome::Lost { .. }));
    table.now_ms = TTL_MS - 1;
    let mut probe = table.rows.clone();
    std::mem::swap(&mut probe, &mut table.rows);
    assert_eq!(table.begin(&intent), Outcome::Begun);
    table.rows = probe;
    table.now_ms = TTL_MS;
    let Outcome::Lost {
        ended: None,
        expired: Some(_),
    } = table.begin(&intent)
    else {
        panic!("begun after the end of its lease");
    };
    table.granted(&Acquire {
        latched: keys(&["x"]),
        ..ask("b", &[want("x")])
    });
    let Outcome::Lost {
        ended: Some(_),
        expired: None,
    } = table.begin(&intent)
    else {
        panic!("begun after a newer grant");
    };
    assert_eq!(table.count(Counter::FenceRejections), 3);
}

#[test]
fn a_commit_outside_its_lease_is_refused() {
    for (wants, path) in [
        (want("x"), "y"),
        (shared("x"), "x"),
        (want("d"), "d/x"),
        (deep("d"), "d-x"),
    ] {
        let mut table = Table::new();
        let held = table.granted(&ask("a", &[wants]));
        let refused = table.begin(&commit("1", &held, path, None, "1"));
        assert_eq!(refused, Outcome::NotCovered { key: key(path) });
    }
}

#[test]
#[should_panic(expected = "a commit needs the latch of")]
fn a_commit_that_names_too_few_latches_is_a_bug() {
    let mut table = Table::new();
    let held = table.granted(&ask("a", &[deep("d")]));
    let intent = CommitIntent {
        latches: vec![key("d")],
        ..commit("1", &held, "d/x", None, "1")
    };
    table.begin(&intent);
}

#[test]
fn what_a_dead_process_left_open_is_settled_before_the_next_commit() {
    let mut table = Table::new();
    let held = table.granted(&ask("a", &[deep("d")]));
    table.begin(&commit("1", &held, "d/x", None, "1"));
    let mut next = commit("2", &held, "d/y", None, "2");
    let Outcome::NeedLatches { keys: asked } = table.begin(&next) else {
        panic!("begun beside an open commit");
    };
    assert_eq!(asked, [key("d"), key("d/x")]);
    next.latches.extend(asked);
    assert!(matches!(table.begin(&next), Outcome::NeedRecovery(open) if open.len() == 1));
    table.finish("1", [].into());
    assert_eq!(table.begin(&next), Outcome::Begun);
}
