//! Contract: commits, versions, answers, counters.

use maasl_core::id::{AgentId, ContentHash, LeaseId, OpId};
use maasl_core::lease::command::Acquire;
use maasl_core::lease::counter::HOUR_MS;
use maasl_core::lease::{Command, CommitIntent, Count, Counter, LeaseKind, Outcome};
use maasl_core::reply::Receipt;

use super::bench::{Bench, TTL_MS, ask, ask_for, finish, intent, release, request, want, write};
use maasl_core::resource::{Mode, Scope};
use maasl_node::store::CounterRow;

pub(crate) fn a_commit_leaves_versions_and_an_answer(bench: &Bench) {
    let lease = bench.take(ask("a", "x"));
    let keyed = CommitIntent {
        request: Some(request("key-1")),
        ..intent(&lease, "op-1", &["x"], "one")
    };
    assert_eq!(
        bench.run(Command::BeginCommit(keyed.clone())),
        Outcome::Begun
    );
    assert_eq!(
        bench.run(Command::BeginCommit(keyed.clone())),
        Outcome::Begun
    );
    let outcome = bench.run(finish("op-1"));
    let Outcome::Finished { receipt, .. } = outcome else {
        panic!("not finished: {outcome:?}");
    };
    let Receipt::Changed { files, .. } = &receipt else {
        panic!("not a change: {receipt:?}");
    };
    assert_eq!(files[0].version, 1);
    let versions = bench.store.history("x", 10).unwrap();
    assert_eq!(versions.len(), 1);
    assert_eq!(versions[0].token, lease.token);
    assert_eq!(versions[0].content, Some(ContentHash::of(b"one")));
    assert_eq!(
        bench.run(finish("op-1")),
        Outcome::UnknownOp(OpId::new("op-1"))
    );
    assert_eq!(
        bench.run(Command::BeginCommit(keyed)),
        Outcome::Answered(receipt.clone())
    );
    assert_eq!(
        bench.run(Command::Recall(request("key-1"))),
        Outcome::Answered(receipt)
    );
    bench.take(ask("b", "x"));
}

pub(crate) fn a_commit_under_a_lost_lease_is_refused(bench: &Bench) {
    let lease = bench.take(ask("a", "x"));
    bench.time.pass_ms(TTL_MS);
    let late = Command::BeginCommit(intent(&lease, "op-1", &["x"], "one"));
    assert!(matches!(bench.run(late), Outcome::Lost { .. }));
    assert_eq!(bench.count("fence_rejections"), 1);
    assert_eq!(bench.store.history("x", 10).unwrap(), []);
}

pub(crate) fn a_release_waits_for_an_open_commit(bench: &Bench) {
    let lease = bench.take(ask("a", "x"));
    let open = intent(&lease, "op-1", &["x"], "one");
    bench.run(Command::BeginCommit(open.clone()));
    assert_eq!(bench.give(&lease), Outcome::NeedRecovery(vec![open]));
    bench.time.pass_ms(TTL_MS);
    let latched = Acquire {
        latched: lease.keys().cloned().collect(),
        ..ask("b", "x")
    };
    let outcome = bench.run(Command::Acquire(latched.clone()));
    assert!(matches!(outcome, Outcome::NeedRecovery(_)), "{outcome:?}");
    bench.run(finish("op-1"));
    bench.take(latched);
}

pub(crate) fn a_commit_of_many_files_is_one(bench: &Bench) {
    let wants = ["p", "q"].map(|path| want(path, Scope::Exact, Mode::Exclusive));
    let lease = bench.take(ask_for("a", wants.into()));
    bench.run(Command::BeginCommit(intent(
        &lease,
        "op-1",
        &["p", "q"],
        "one",
    )));
    assert!(matches!(
        bench.run(finish("op-1")),
        Outcome::Finished { .. }
    ));
    for path in ["p", "q"] {
        assert_eq!(bench.store.history(path, 10).unwrap().len(), 1);
        bench.take(ask("b", path));
    }
}

pub(crate) fn history_is_newest_first_and_bounded(bench: &Bench) {
    write(bench, "op-1", "x", "one");
    write(bench, "op-2", "x", "two");
    // The second commit replaced nothing the store knows: what was there before
    // it, a removal from outside, is a version of its own.
    let numbers = |limit| -> Vec<u64> {
        let versions = bench.store.history("x", limit).unwrap();
        versions.iter().map(|version| version.number).collect()
    };
    assert_eq!(numbers(10), [3, 2, 1]);
    assert_eq!(numbers(2), [3, 2]);
    assert_eq!(numbers(0).len(), 0);
    assert_eq!(bench.store.history("y", 10).unwrap(), []);
    let version = |path, number| bench.store.version(path, number).unwrap();
    assert_eq!(
        version("x", 3).as_ref(),
        bench.store.history("x", 1).unwrap().first()
    );
    assert_eq!(version("x", 4), None);
    assert_eq!(version("y", 1), None);
}

pub(crate) fn answers_and_ends_are_forgotten_by_age(bench: &Bench) {
    let keyed = |name: &str| Acquire {
        request: Some(request(name)),
        ..ask("a", name)
    };
    bench.take(keyed("old"));
    bench.time.pass_ms(1_000);
    bench.take(keyed("new"));
    bench
        .store
        .forget_answers_before(bench.time.wall_ms())
        .unwrap();
    let recall = |name: &str| bench.run(Command::Recall(request(name)));
    assert_eq!(recall("old"), Outcome::NotAnswered);
    assert!(matches!(recall("new"), Outcome::Answered(_)));
    let revoked = bench.run(Command::Revoke(maasl_core::lease::command::Revoke {
        target: want("old", Scope::Exact, Mode::Exclusive).extent,
        by: maasl_core::id::AgentId::new("human"),
        reason: "test".into(),
        latched: [super::bench::key("old")].into(),
    }));
    assert!(matches!(revoked, Outcome::Revoked { .. }));
    let told = || bench.run(Command::Verify(LeaseId::new("a-code:old")));
    assert!(matches!(told(), Outcome::Lost { ended: Some(_), .. }));
    bench
        .store
        .forget_answers_before(bench.time.wall_ms() + 1)
        .unwrap();
    // A revocation is the audit and stays.
    assert!(matches!(told(), Outcome::Lost { ended: Some(_), .. }));
    let kept = Acquire {
        kind: LeaseKind::Reservation,
        ..ask("a", "third")
    };
    let lease = bench.take(kept);
    bench.run(release(&lease, [super::bench::key("third")].into()));
    let told = || bench.run(Command::Verify(lease.id.clone()));
    assert!(matches!(told(), Outcome::Lost { ended: Some(_), .. }));
    bench
        .store
        .forget_answers_before(bench.time.wall_ms() + 1)
        .unwrap();
    assert!(matches!(told(), Outcome::Lost { ended: None, .. }));
}

/// More than any step of forgetting looks at, old and new ones mixed.
pub(crate) fn many_answers_are_forgotten_by_age(bench: &Bench) {
    const ANSWERS: usize = 2_500;
    let answer = |n: usize| {
        let lease = bench.take(Acquire {
            request: Some(request(&format!("key-{n:04}"))),
            ..ask("a", "x")
        });
        bench.give(&lease);
    };
    (0..ANSWERS).step_by(2).for_each(answer);
    bench.time.pass_ms(1_000);
    (1..ANSWERS).step_by(2).for_each(answer);
    let before = bench.time.wall_ms();
    bench.store.forget_answers_before(before).unwrap();
    for n in 0..ANSWERS {
        let recalled = bench.run(Command::Recall(request(&format!("key-{n:04}"))));
        assert_eq!(recalled == Outcome::NotAnswered, n % 2 == 0, "key-{n:04}");
    }
}

pub(crate) fn counters_add_up(bench: &Bench) {
    let many = Count {
        by: u64::MAX,
        ..Count::one(Counter::Merged, "MERGE_META", &AgentId::new("a"))
    };
    let rebased = |class, agent| Count::one(Counter::Rebased, class, &AgentId::new(agent));
    let few = [
        rebased("CRIT_CODE", "a"),
        rebased("CRIT_CODE", "a"),
        rebased("CRIT_CODE", "b"),
        rebased("OTHER", "a"),
    ];
    bench.run(Command::Tally(few.into()));
    bench.run(Command::Tally(vec![many.clone(), many]));
    let counters = bench.store.counters().unwrap();
    let value = |name: &str, class: &str, agent: &str| {
        counters[&CounterRow {
            hour: bench.time.wall_ms() / HOUR_MS,
            agent: agent.into(),
            name: name.into(),
            class: class.into(),
        }]
    };
    assert_eq!(value("rebased", "CRIT_CODE", "a"), 2);
    assert_eq!(value("rebased", "CRIT_CODE", "b"), 1);
    assert_eq!(value("rebased", "OTHER", "a"), 1);
    assert!(
        value("merged", "MERGE_META", "a") >= u64::MAX / 2,
        "it stops, it never wraps"
    );
    assert_eq!(counters.len(), 4);
}
