//! Latches that cannot be had, a store that is busy, a machine that fails; and
//! that what is refused has changed nothing.

use maasl_core::config::Config;
use maasl_core::coordinator::io::{Call, FileOp, Reply, Request};
use maasl_core::lease::row::Target;
use maasl_core::policy::CRIT_CODE;
use maasl_core::refusal::Refusal;
use maasl_core::resource::{ResourceKey, Scope};

use super::asking::changed;
use super::ops::{code, delete, edit, key, rename, restore, write, write_merged, write_over};
use super::world::{Fault, Pid, Point, Side, World};

fn refactoring() -> Vec<FileOp> {
    vec![edit("f", "old", "new"), rename("g", "h"), write("i", "new")]
}

fn world() -> (World, Pid, Pid) {
    World::of_two(&[("f", "old"), ("g", "g")])
}

fn files(world: &World) -> Vec<&str> {
    world.disk.files.keys().map(String::as_str).collect()
}

#[test]
fn a_busy_latch_is_named_and_the_lease_returned() {
    let (mut world, ann, _) = world();
    let before = world.observed();
    world.inject(ann, "Latch", 1, Fault::LatchBusy);
    let refused = world.change(ann, refactoring());
    let Err(Refusal::ResourceBusy(busy)) = refused else {
        panic!("{refused:?}");
    };
    let process = busy.process.unwrap();
    assert_eq!((process.pid, process.stopped), (99, true));
    world.assert_idle("refused");
    world.assert_unstaged_but(&[], "refused");
    assert_eq!(world.observed(), before);
}

#[test]
fn a_lease_that_cannot_be_returned_runs_out() {
    let (mut world, ann, bob) = world();
    world.inject(ann, "Latch", 2, Fault::LatchBusy);
    let refused = world.change(ann, refactoring());
    assert_eq!(code(&refused), "resource_busy");
    assert_eq!(world.leases().len(), 1);
    // Not after its TTL: whoever asks next takes it over at once.
    assert!(!world.sent(ann).contains(&"Renew"));
    assert_eq!(code(&world.change(bob, refactoring())), "ok");
    world.assert_idle("taken over");
}

#[test]
fn a_lease_that_cannot_be_returned_is_not_followed_by_a_lock_delay() {
    let mut config = Config::default();
    let mut policy = config.policies.get(CRIT_CODE).unwrap().clone();
    policy.lock_delay_ms = 10_000;
    config.policies.insert(policy).unwrap();
    let mut world = World::with(config);
    for (path, content) in [("f", "old"), ("g", "g")] {
        world.disk.outside(path, Some(content));
    }
    let (ann, bob) = (world.spawn("ann"), world.spawn("bob"));
    world.inject(ann, "Latch", 2, Fault::LatchBusy);
    assert_eq!(code(&world.change(ann, refactoring())), "resource_busy");
    assert_eq!(world.leases().len(), 1);
    assert_eq!(code(&world.change(bob, refactoring())), "ok");
    world.assert_idle("taken over");
}

#[test]
fn a_lease_of_whose_grant_nothing_was_heard_is_given_up() {
    let (mut world, ann, bob) = world();
    world.inject(ann, "Acquire", 1, Fault::FailsAfter);
    assert_eq!(code(&world.change(ann, refactoring())), "internal");
    assert_eq!(code(&world.change(bob, refactoring())), "ok");
    // Under an idempotency key it is found again.
    world.inject(ann, "Acquire", 1, Fault::FailsAfter);
    let mut ask = || {
        let call = Call {
            request: Some(key("k", "lease")),
            ..world.call(ann, super::ops::reserve(&["x"]))
        };
        super::ops::lease(&super::asking::receipt(world.ask(ann, call)).unwrap())
    };
    let (first, again) = (ask(), ask());
    assert_eq!(first, again);
    world.release(ann, &again).unwrap();
    world.assert_idle("returned");
}

/// A store that answers, and has no room for what ends a commit.
#[test]
fn a_commit_that_cannot_be_ended_keeps_no_call_for_ever() {
    const ALWAYS: u32 = 1_000_000;
    let (mut world, ann, bob) = world();
    let held = world.reserve(ann, &["x"]).unwrap();
    world.inject(ann, "FinishCommit", ALWAYS, Fault::FailsBefore);
    assert_eq!(code(&world.change(ann, refactoring())), "internal");
    let mut call = world.call(ann, Request::Change(vec![write("x", "x")]));
    call.lease = Some(held.clone());
    assert_eq!(code(&world.ask(ann, call).result), "internal");
    assert_eq!(code(&world.release(ann, &held)), "internal");
    assert_eq!(world.intents().len(), 2);
    world.kill(ann);
    world.inject(bob, "FinishCommit", ALWAYS, Fault::FailsBefore);
    assert_eq!(code(&world.change(bob, vec![write("i", "i")])), "internal");
    assert_eq!(code(&world.read(bob, "x")), "internal");
    assert!(world.latches_are_free());
    world.kill(bob);
    // There is room again.
    let eve = world.spawn("eve");
    let changed = world.change(eve, vec![edit("f", "new", "eve")]);
    assert_eq!(code(&changed), "ok");
    assert_eq!(code(&world.read(eve, "x")), "ok");
    assert_eq!(world.intents(), []);
    assert_eq!(files(&world), ["f", "h", "i", "x"]);
}

#[test]
fn a_stopped_process_inside_a_latch_is_named() {
    let (mut world, ann, bob) = world();
    let call = world.start_change(ann, refactoring());
    world.stop_at(
        ann,
        Point {
            n: 10,
            side: Side::After,
        },
    );
    world.run();
    assert_eq!(world.sent(ann).last(), Some(&"Latch"));
    world.advance(31_000);
    let refused = world.change(bob, vec![write_over("f", "bob", "old")]);
    let Err(Refusal::ResourceBusy(busy)) = refused else {
        panic!("{refused:?}");
    };
    assert!(busy.process.unwrap().stopped);
    world.resume(ann);
    assert_eq!(code(&world.finish(ann, call).result), "lease_lost");
    world.assert_idle("refused");
}

#[test]
fn a_file_that_may_not_be_changed_costs_its_set_and_nothing_else() {
    let (mut unhindered, ann, _) = world();
    unhindered.change(ann, refactoring()).unwrap();
    let sent = unhindered.sent(ann).iter().enumerate();
    let swaps: Vec<usize> = sent
        .filter(|(_, label)| **label == "Swap")
        .map(|(n, _)| n)
        .collect();
    assert_eq!(swaps.len(), 4);
    for swap in swaps {
        let (mut world, ann, bob) = world();
        let before = world.disk.files.clone();
        world.inject_at(ann, swap, Fault::Forbidden);
        assert_eq!(code(&world.change(ann, refactoring())), "invalid_request");
        world.assert_idle("refused");
        world.assert_unstaged_but(&[], "refused");
        assert_eq!(world.disk.files, before);
        assert_eq!(code(&world.change(bob, refactoring())), "ok");
    }
}

#[test]
fn a_good_end_settles_what_its_calls_left_open() {
    let (mut world, ann, _) = world();
    // The call itself, its giving back of the lease, and the first end.
    world.inject(ann, "SyncNames", 3, Fault::FailsBefore);
    assert_eq!(code(&world.change(ann, refactoring())), "internal");
    assert_eq!(world.intents().len(), 1);
    let mut end = || (is_settled(&mut world, ann), world.intents().len());
    assert_eq!(end(), (false, 1), "it is left to others");
    assert_eq!(end(), (true, 0));
    assert_eq!(files(&world), ["f", "h", "i"]);
    world.assert_unstaged_but(&[], "ended");
}

/// Ends a process in good order; whether nothing needs its files any more.
fn is_settled(world: &mut World, pid: Pid) -> bool {
    let call = world.call(pid, Request::ReleaseAll);
    match world.ask(pid, call).result {
        Ok(Reply::Ended { is_settled }) => is_settled,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_good_end_with_a_lease_that_is_not_returned_leaves_files_to_others() {
    let (mut world, ann, bob) = world();
    world.reserve(ann, &["f"]).unwrap();
    world.inject(ann, "Latch", 1, Fault::LatchBusy);
    assert!(!is_settled(&mut world, ann), "a commit may yet be begun");
    assert!(is_settled(&mut world, ann));
    assert_eq!(code(&world.change(bob, refactoring())), "ok");
}

#[test]
fn a_good_end_settles_what_it_had_left_to_nobody_and_needs_its_files() {
    let (mut world, ann, _) = world();
    // The call itself, and its giving back of the lease.
    world.inject(ann, "SyncNames", 2, Fault::FailsBefore);
    assert_eq!(code(&world.change(ann, refactoring())), "internal");
    world.open_again(ann);
    assert_eq!(world.intents().len(), 1);
    assert!(is_settled(&mut world, ann));
    assert!(world.intents().is_empty());
    world.assert_unstaged_but(&[], "ended");
}

#[test]
fn a_loss_is_told_though_it_cannot_be_counted() {
    let (mut world, ann, bob) = World::of_two(&[("g", "g")]);
    let mut asked = super::ops::reservation(&["f"]);
    asked.ttl_ms = Some(250);
    let call = world.call(ann, Request::Reserve(asked));
    world.ask(ann, call).result.unwrap();
    world.advance(300);
    world.reserve(bob, &["f"]).unwrap();
    world.inject(ann, "Tally", 1, Fault::GateBusy);
    let call = world.call(ann, Request::Read("g".into()));
    let told = world.ask(ann, call);
    assert_eq!((code(&told.result), told.lost.len()), ("ok", 1));
}

#[test]
fn a_busy_store_before_the_commit_point_refuses() {
    let (mut world, ann, _) = world();
    let before = world.observed();
    world.inject(ann, "BeginCommit", 1, Fault::GateBusy);
    assert_eq!(code(&world.change(ann, refactoring())), "resource_busy");
    world.assert_idle("refused");
    world.assert_unstaged_but(&[], "refused");
    assert_eq!(world.observed(), before);
}

#[test]
fn a_store_that_is_busy_for_a_moment_does_not_refuse_what_is_done() {
    let (mut world, ann, _) = world();
    world.inject(ann, "FinishCommit", 1, Fault::GateBusy);
    assert_eq!(code(&world.change(ann, refactoring())), "ok");
    world.assert_idle("done");
}

#[test]
fn a_store_that_stays_busy_does_not_refuse_what_is_begun() {
    let (mut world, ann, bob) = world();
    world.inject(ann, "FinishCommit", 100, Fault::GateBusy);
    assert_eq!(code(&world.change(ann, refactoring())), "internal");
    world.advance(31_000);
    let done = world.change(bob, vec![write_over("f", "bob", "new")]);
    assert_eq!(code(&done), "ok");
    assert_eq!(files(&world), ["f", "h", "i"]);
    world.assert_idle("settled");
}

#[test]
fn a_store_that_is_busy_for_a_moment_does_not_stop_an_undoing() {
    let (mut world, ann, _) = world();
    world.inject(ann, "TurnBack", 1, Fault::GateBusy);
    let call = world.start_change(ann, refactoring());
    world.stop_at(
        ann,
        Point {
            n: 15,
            side: Side::After,
        },
    );
    world.run();
    assert_eq!(world.sent(ann).last(), Some(&"BeginCommit"));
    world.disk.outside("i", Some("outside"));
    world.resume(ann);
    assert_eq!(code(&world.finish(ann, call).result), "stale_version");
    assert_eq!(files(&world), ["f", "g", "i"]);
    world.assert_idle("undone");
}

#[test]
fn a_commit_of_which_nothing_is_known_is_whole() {
    let (mut world, ann, _) = world();
    world.inject(ann, "BeginCommit", 1, Fault::FailsAfter);
    assert_eq!(code(&world.change(ann, refactoring())), "internal");
    let whole = [vec!["f", "g"], vec!["f", "h", "i"]].contains(&files(&world));
    assert!(whole, "{:?}", files(&world));
    world.assert_idle("settled");
}

#[test]
fn a_commit_that_fails_under_a_presented_lease_is_settled_at_once() {
    for step in ["Swap", "Keep", "SyncNames", "FinishCommit"] {
        let (mut world, ann, _) = world();
        let held = world.reserve(ann, &["f", "g", "h", "i"]).unwrap();
        let mut call = world.call(ann, Request::Change(refactoring()));
        call.lease = Some(held.clone());
        world.inject(ann, step, 1, Fault::FailsBefore);
        assert_eq!(code(&world.ask(ann, call).result), "internal", "{step}");
        assert_eq!(world.intents(), [], "{step}");
        assert_eq!(files(&world), ["f", "h", "i"], "{step}");
        world.release(ann, &held).unwrap();
        world.assert_idle(step);
    }
}

#[test]
fn a_recovery_that_fails_frees_its_latches() {
    let (mut world, ann, bob) = world();
    world.inject(ann, "Swap", 1, Fault::FailsBefore);
    world.inject(ann, "HashStaged", 1, Fault::FailsBefore);
    assert_eq!(code(&world.change(ann, refactoring())), "internal");
    assert!(world.latches_are_free());
    world.kill(ann);
    world.inject(bob, "HashStaged", 1, Fault::FailsBefore);
    let revoke = Request::Revoke {
        target: Target {
            key: ResourceKey::new("code", "f"),
            scope: Scope::Exact,
        },
        reason: "stuck".into(),
    };
    for outcome in ["internal", "ok"] {
        let call = world.call(bob, revoke.clone());
        assert_eq!(code(&world.ask(bob, call).result), outcome);
        assert!(world.latches_are_free());
    }
    assert_eq!(files(&world), ["f", "h", "i"]);
    world.assert_idle("revoked");
}

#[test]
fn a_failure_at_any_step_leaves_a_set_whole() {
    for fault in [Fault::FailsBefore, Fault::FailsAfter] {
        for n in 0.. {
            let (mut world, ann, bob) = world();
            world.inject_at(ann, n, fault);
            let done = world.change(ann, refactoring());
            if world.sent(ann).len() <= n {
                break;
            }
            let when = format!(
                "{fault:?} at {:?} of {:?}",
                world.sent(ann)[n],
                world.sent(ann)
            );
            assert!(matches!(code(&done), "ok" | "internal"), "{when}: {done:?}");
            let _ = world.read(bob, "f");
            world.advance(31_000);
            let now = world.disk.text("f").unwrap().to_string();
            let touched = world.change(bob, vec![edit("f", &now, "bob")]);
            assert!(touched.is_ok(), "{when}: {touched:?}");
            let whole = [vec!["f", "g"], vec!["f", "h", "i"]];
            let found = files(&world);
            assert!(whole.contains(&found), "{when}: {found:?}");
            world.disk.assert_nothing_lost(&when);
        }
    }
}

/// Changes that are refused, by their code.
fn refused() -> Vec<(&'static str, Vec<FileOp>)> {
    vec![
        (
            "stale_version",
            vec![write("i", "new"), write("f", "blind")],
        ),
        (
            "stale_version",
            vec![write("i", "new"), write_over("f", "x", "never")],
        ),
        ("stale_version", vec![write_merged("f", "x", "never")]),
        ("stale_version", vec![write_over("gone", "x", "was")]),
        (
            "invalid_request",
            vec![write("i", "new"), edit("f", "nothing", "x")],
        ),
        ("invalid_request", vec![rename("f", "g")]),
        ("invalid_request", vec![rename("f", "f")]),
        ("invalid_request", vec![delete("missing")]),
        ("invalid_request", vec![restore("f", 3)]),
        ("resource_busy", vec![write("i", "new"), write("held", "x")]),
        ("idempotency_mismatch", vec![write("used", "x")]),
    ]
}

#[test]
fn a_refused_change_has_changed_nothing() {
    for (expected, ops) in refused() {
        let (mut world, ann, bob) = world();
        world.reserve(bob, &["held"]).unwrap();
        let call = world.call(bob, Request::Change(vec![write("used", "u")]));
        let request = Some(key("used", "bob's"));
        changed(world.ask(bob, Call { request, ..call })).unwrap();
        let before = world.observed();
        let used = expected == "idempotency_mismatch";
        let request = Some(key(if used { "used" } else { "k" }, "ann's"));
        let call = world.call(ann, Request::Change(ops.clone()));
        let result = world.ask(ann, Call { request, ..call }).result;
        assert_eq!(code(&result), expected, "{ops:?}: {result:?}");
        assert_eq!(world.observed(), before, "{ops:?}");
    }
}
