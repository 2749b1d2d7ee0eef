//! Leases across calls: renewal, loss, re-entry, circles, revocation.

use maasl_core::config::Config;
use maasl_core::coordinator::io::{Call, Reply, Request};
use maasl_core::id::{AgentId, LeaseId};
use maasl_core::lease::row::Target;
use maasl_core::lease::{Counter, LeaseEnd};
use maasl_core::refusal::Refusal;
use maasl_core::reply::Receipt;
use maasl_core::resource::{ResourceKey, Scope};

use super::asking::{agent, changed, receipt};
use super::ops::{code, edit, lease, reservation, reserve, write};
use super::world::{Fault, Pid, Point, Side, World};

/// A file of its own, and a lease on it that lasts 3 s.
fn short_lease(world: &mut World, pid: Pid, keep: bool) -> LeaseId {
    let mut asked = reservation(&["f"]);
    (asked.ttl_ms, asked.keep) = (Some(3_000), keep);
    let call = world.call(pid, Request::Reserve(asked));
    lease(&receipt(world.ask(pid, call)).unwrap())
}

fn sent(world: &World, pid: Pid, label: &str) -> usize {
    world
        .sent(pid)
        .iter()
        .filter(|sent| **sent == label)
        .count()
}

fn under(world: &mut World, pid: Pid, lease: &LeaseId, body: Request) -> Call {
    let lease = Some(lease.clone());
    Call {
        lease,
        ..world.call(pid, body)
    }
}

#[test]
fn a_call_paused_beyond_its_lease_does_not_begin_to_commit() {
    // The store would allow it until 30 000 ms; the holder stops 1 % of both
    // clocks before that.
    for (pause_ms, begins) in [(29_300, true), (29_500, false), (30_500, false)] {
        let (mut world, ann, _) = World::of_two(&[]);
        let call = world.start_change(ann, vec![write("f", "late")]);
        let n = 4;
        world.stop_at(
            ann,
            Point {
                n,
                side: Side::After,
            },
        );
        world.run();
        assert_eq!(world.sent(ann).last(), Some(&"Latch"));
        world.advance(pause_ms);
        world.resume(ann);
        let done = world.finish(ann, call).result;
        assert_eq!(sent(&world, ann, "BeginCommit"), usize::from(begins));
        assert_eq!(code(&done), if begins { "ok" } else { "lease_lost" });
        assert_eq!(world.disk.text("f").is_some(), begins);
        world.assert_idle("over");
    }
}

#[test]
fn a_lease_counts_from_before_it_was_asked_for() {
    let (mut world, ann, _) = World::of_two(&[]);
    world.inject(ann, "Renew", 100, Fault::GateBusy);
    let call = world.start_change(ann, vec![write("f", "late")]);
    world.stop_at(
        ann,
        Point {
            n: 1,
            side: Side::After,
        },
    );
    world.run();
    assert_eq!(world.sent(ann).last(), Some(&"Acquire"));
    world.advance(29_500);
    world.resume(ann);
    assert_eq!(code(&world.finish(ann, call).result), "lease_lost");
    assert_eq!(sent(&world, ann, "BeginCommit"), 0);
}

#[test]
fn a_call_that_takes_long_renews_its_lease() {
    let (mut world, ann, bob) = World::of_two(&[]);
    world.hold(ann, Some("Stage"));
    let call = world.start_change(ann, vec![write("f", "ann")]);
    world.advance(65_000);
    assert_eq!(sent(&world, ann, "Renew"), 6);
    assert_eq!(code(&world.reserve(bob, &["f"])), "resource_busy");
    world.hold(ann, None);
    assert_eq!(code(&world.finish(ann, call).result), "ok");
    world.assert_idle("written");
}

#[test]
fn a_reservation_whose_caller_has_gone_is_returned() {
    for (n, side) in [(0, Side::Before), (0, Side::After), (1, Side::Before)] {
        let (mut world, ann, _) = World::of_two(&[]);
        let call = world.call(ann, reserve(&["f"]));
        let call = world.start(ann, call);
        world.stop_at(ann, Point { n, side });
        world.run();
        assert!(world.is_stopped(ann));
        world.cancel(ann, call);
        world.resume(ann);
        assert_eq!(code(&world.finish(ann, call).result), "cancelled");
        world.assert_idle("cancelled");
    }
}

#[test]
fn a_kept_lease_is_renewed_until_it_is_released() {
    let (mut world, ann, _) = World::of_two(&[]);
    let kept = short_lease(&mut world, ann, true);
    world.advance(10_500);
    assert_eq!(sent(&world, ann, "Renew"), 10);
    world.release(ann, &kept).unwrap();
    world.advance(10_000);
    assert_eq!(sent(&world, ann, "Renew"), 10);
    world.assert_idle("released");
}

#[test]
fn a_lease_is_renewed_while_a_call_uses_it() {
    let (mut world, ann, _) = World::of_two(&[]);
    let held = short_lease(&mut world, ann, false);
    let mut other = reservation(&["g"]);
    other.keep = true;
    let call = world.call(Pid(1), Request::Reserve(other));
    let other = lease(&receipt(world.ask(Pid(1), call)).unwrap());
    let max_wait_ms = Some(8_000);
    let call = under(&mut world, ann, &held, reserve(&["g"]));
    let call = world.start(
        ann,
        Call {
            max_wait_ms,
            ..call
        },
    );
    world.advance(7_500);
    assert_eq!(sent(&world, ann, "Renew"), 7);
    world.release(Pid(1), &other).unwrap();
    assert!(world.finish(ann, call).result.is_ok());
    world.advance(7_500);
    assert_eq!(sent(&world, ann, "Renew"), 7);
}

#[test]
fn a_lease_that_was_lost_is_told_once() {
    let (mut world, ann, bob) = World::of_two(&[("f", "old"), ("g", "other")]);
    short_lease(&mut world, ann, false);
    world.advance(3_100);
    world.reserve(bob, &["f"]).unwrap();
    let call = world.call(ann, Request::Read("g".into()));
    let told = world.ask(ann, call).lost;
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].resources, ["code:f"]);
    let LeaseEnd::TakenOver { by, .. } = &told[0].ended.as_ref().unwrap().end else {
        panic!("it was taken over: {told:?}");
    };
    assert_eq!(by.agent.as_str(), "bob");
    let call = world.call(ann, Request::Read("g".into()));
    assert_eq!(world.ask(ann, call).lost, []);
}

#[test]
fn a_lease_whose_renewal_was_refused_is_told_once() {
    let (mut world, ann, bob) = World::of_two(&[("g", "other")]);
    short_lease(&mut world, ann, true);
    revoke(&mut world, bob, "f");
    world.advance(1_100);
    assert_eq!(sent(&world, ann, "Renew"), 1);
    let call = world.call(ann, Request::Read("g".into()));
    let told = world.ask(ann, call).lost;
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].resources, ["code:f"]);
    let call = world.call(ann, Request::Read("g".into()));
    assert_eq!(world.ask(ann, call).lost, []);
    world.advance(5_000);
    assert_eq!(sent(&world, ann, "Renew"), 1);
}

#[test]
fn two_calls_at_once_tell_a_loss_once() {
    let (mut world, ann, bob) = World::of_two(&[("g", "other")]);
    short_lease(&mut world, ann, false);
    world.advance(3_100);
    world.reserve(bob, &["f"]).unwrap();
    let calls = [(); 2].map(|()| {
        let call = world.call(ann, Request::Read("g".into()));
        world.start(ann, call)
    });
    let told = calls.map(|call| world.finish(ann, call).lost.len());
    assert_eq!(told.iter().sum::<usize>(), 1);
    assert_eq!(world.count(Counter::LostLeases), 1);
}

#[test]
fn a_renewal_that_met_a_busy_store_is_tried_again() {
    let (mut world, ann, _) = World::of_two(&[]);
    short_lease(&mut world, ann, true);
    world.inject(ann, "Renew", 2, Fault::GateBusy);
    world.advance(1_000);
    assert_eq!(sent(&world, ann, "Renew"), 1);
    world.advance(600);
    assert_eq!(sent(&world, ann, "Renew"), 3);
    world.advance(20_000);
    assert!(!world.leases()[0].is_expired(world.now));
}

#[test]
fn presenting_a_lease_re_enters_it() {
    let (mut world, ann, _) = World::of_two(&[("f", "old")]);
    let held = world.reserve(ann, &["f"]).unwrap();
    let token = world.leases()[0].token;
    for (old, new) in [("old", "one"), ("one", "two")] {
        let call = under(
            &mut world,
            ann,
            &held,
            Request::Change(vec![edit("f", old, new)]),
        );
        changed(world.ask(ann, call)).unwrap();
    }
    assert_eq!(world.newest("f").unwrap().token, token);
    assert_eq!(world.leases().len(), 1);
    let call = under(
        &mut world,
        ann,
        &held,
        Request::Change(vec![write("g", "new")]),
    );
    assert_eq!(code(&world.ask(ann, call).result), "invalid_request");
    world.release(ann, &held).unwrap();
    world.assert_idle("released");
}

#[test]
fn asking_again_for_what_a_presented_lease_covers_is_answered_with_it() {
    let (mut world, ann, _) = World::of_two(&[]);
    let held = world.reserve(ann, &["f"]).unwrap();
    let call = under(
        &mut world,
        ann,
        &held,
        Request::Reserve(reservation(&["f"])),
    );
    assert_eq!(lease(&receipt(world.ask(ann, call)).unwrap()), held);
    assert_eq!(world.leases().len(), 1);
    let call = under(
        &mut world,
        ann,
        &held,
        Request::Reserve(reservation(&["g"])),
    );
    let other = lease(&receipt(world.ask(ann, call)).unwrap());
    assert_ne!(other, held);
    world.release(ann, &other).unwrap();
    world.release(ann, &held).unwrap();
    let call = under(
        &mut world,
        ann,
        &held,
        Request::Reserve(reservation(&["f"])),
    );
    assert_eq!(code(&world.ask(ann, call).result), "lease_lost");
    world.assert_idle("released");
}

#[test]
fn a_lease_works_through_another_process() {
    let (mut world, ann, bob) = World::of_two(&[("f", "old")]);
    let held = world.reserve(ann, &["f"]).unwrap();
    let body = Request::Change(vec![edit("f", "old", "new")]);
    let call = under(&mut world, bob, &held, body);
    assert!(world.ask(bob, call).result.is_ok());
    world.release(bob, &held).unwrap();
    world.assert_idle("released");
}

#[test]
fn asking_again_without_the_lease_is_busy_with_oneself() {
    let (mut world, ann, _) = World::of_two(&[]);
    world.reserve(ann, &["f"]).unwrap();
    let refused = world.reserve(ann, &["f"]);
    let Err(Refusal::ResourceBusy(busy)) = refused else {
        panic!("{refused:?}");
    };
    assert!(busy.own);
    assert!(Refusal::ResourceBusy(busy).hint().contains("lease id"));
}

#[test]
fn a_circle_of_reservations_is_refused() {
    let (mut world, ann, bob) = World::of_two(&[]);
    world.reserve(ann, &["f"]).unwrap();
    let second = world.reserve(bob, &["g"]).unwrap();
    let call = world.call(ann, reserve(&["g"]));
    let waiter = world.start(ann, call);
    world.run();
    let before = world.now;
    let refused = world.reserve(bob, &["f"]);
    let Err(Refusal::Deadlock { circle }) = refused else {
        panic!("{refused:?}");
    };
    let names: Vec<_> = circle.iter().map(|owner| owner.agent.as_str()).collect();
    assert_eq!((names, world.now), (vec!["bob", "ann"], before));
    world.release(bob, &second).unwrap();
    assert!(world.reply(ann, waiter).unwrap().result.is_ok());
}

fn revoke(world: &mut World, pid: Pid, path: &str) -> Vec<maasl_core::id::AgentId> {
    let target = Target {
        key: ResourceKey::new("code", path),
        scope: Scope::Exact,
    };
    let reason = "stuck".into();
    let call = world.call(pid, Request::Revoke { target, reason });
    match world.ask(pid, call).result {
        Ok(Reply::Revoked(holders)) => holders,
        other => panic!("not revoked: {other:?}"),
    }
}

#[test]
fn a_revoked_lease_no_longer_writes() {
    let (mut world, ann, bob) = World::of_two(&[("f", "old")]);
    let held = world.reserve(ann, &["f"]).unwrap();
    assert_eq!(revoke(&mut world, bob, "f"), [agent("ann")]);
    let body = Request::Change(vec![edit("f", "old", "new")]);
    let call = under(&mut world, ann, &held, body);
    let refused = world.ask(ann, call);
    let Err(Refusal::LeaseLost(lost)) = refused.result else {
        panic!("{refused:?}");
    };
    assert!(lost.to_string().contains("revoked by bob: stuck"));
    assert_eq!(refused.lost, []);
    world.assert_idle("revoked");
}

#[test]
fn a_lease_revoked_under_a_call_stops_it() {
    let (mut world, ann, bob) = World::of_two(&[]);
    let call = world.start_change(ann, vec![write("f", "ann")]);
    world.stop_at(
        ann,
        Point {
            n: 4,
            side: Side::Before,
        },
    );
    world.run();
    revoke(&mut world, bob, "f");
    world.resume(ann);
    assert_eq!(code(&world.finish(ann, call).result), "lease_lost");
    assert_eq!(world.disk.text("f"), None);
    world.assert_idle("revoked");
    world.assert_unstaged_but(&[], "revoked");
}

#[test]
fn revoking_settles_what_a_dead_process_left_open() {
    for n in 0.. {
        let (mut world, ann, bob) = World::of_two(&[("f", "old")]);
        world.start_change(ann, vec![edit("f", "old", "new"), write("g", "g")]);
        world.stop_at(
            ann,
            Point {
                n,
                side: Side::After,
            },
        );
        world.run();
        if !world.is_stopped(ann) {
            break;
        }
        world.kill(ann);
        revoke(&mut world, bob, "f");
        let both = (world.disk.text("f"), world.disk.text("g"));
        assert!(
            both == (Some("old"), None) || both == (Some("new"), Some("g")),
            "{both:?}"
        );
        world.assert_idle("revoked");
    }
}

#[test]
fn everything_held_is_returned_at_once() {
    let (mut world, ann, bob) = World::of_two(&[]);
    short_lease(&mut world, ann, true);
    world.reserve(ann, &["g", "h"]).unwrap();
    let call = world.call(bob, reserve(&["h"]));
    let waiter = world.start(bob, call);
    world.run();
    let call = world.call(ann, Request::ReleaseAll);
    let ended = world.ask(ann, call).result;
    assert_eq!(ended, Ok(Reply::Ended { is_settled: true }));
    assert!(world.reply(bob, waiter).unwrap().result.is_ok());
    assert_eq!(world.leases().len(), 1);
    world.advance(10_000);
    assert_eq!(sent(&world, ann, "Renew"), 0);
}

#[test]
fn a_lease_that_has_run_out_counts_no_more() {
    let mut config = Config::default();
    config.limits.max_leases_per_session = 1;
    let mut world = World::with(config);
    let ann = world.spawn("ann");
    let mut asked = reservation(&["f"]);
    asked.ttl_ms = Some(250);
    let call = world.call(ann, Request::Reserve(asked));
    world.ask(ann, call).result.unwrap();
    // Another agent of the process: the first would be told of its loss, and forget it.
    let another = |world: &mut World| {
        let mut call = world.call(ann, reserve(&["g"]));
        call.agent = AgentId::new("another");
        code(&world.ask(ann, call).result)
    };
    assert_eq!(another(&mut world), "limit_reached");
    world.advance(300);
    assert_eq!(another(&mut world), "ok");
}

#[test]
fn leases_asked_for_at_the_same_time_are_as_many_as_are_allowed() {
    let mut config = Config::default();
    config.limits.max_leases_per_session = 2;
    let mut world = World::with(config);
    let ann = world.spawn("ann");
    let calls = ["f", "g", "h", "i"].map(|path| {
        let call = world.call(ann, reserve(&[path]));
        world.start(ann, call)
    });
    let done = calls.map(|call| world.finish(ann, call).result);
    let mut codes = done.each_ref().map(code);
    codes.sort_unstable();
    assert_eq!(codes, ["limit_reached", "limit_reached", "ok", "ok"]);
    assert_eq!(world.leases().len(), 2);
    let held = done.into_iter().find_map(Result::ok);
    let Some(Reply::Receipt(held)) = held else {
        panic!("a lease was granted");
    };
    // What is covered already takes no other place.
    let (held, path) = (lease(&held), first_path(&held));
    let again = under(&mut world, ann, &held, reserve(&[&path]));
    assert_eq!(lease(&receipt(world.ask(ann, again)).unwrap()), held);
    world.release(ann, &held).unwrap();
    assert_eq!(code(&world.reserve(ann, &["f"])), "ok");
}

/// The file that a lease was granted for.
fn first_path(receipt: &Receipt) -> String {
    match receipt {
        Receipt::Leased { wants, .. } => wants[0].extent.key.as_str().replace("code:", ""),
        other => panic!("no lease: {other:?}"),
    }
}

#[test]
fn a_lease_that_was_refused_leaves_its_place() {
    let mut config = Config::default();
    config.limits.max_leases_per_session = 1;
    let mut world = World::with(config);
    let (ann, bob) = (world.spawn("ann"), world.spawn("bob"));
    let held = world.reserve(bob, &["f"]).unwrap();
    assert_eq!(code(&world.reserve(ann, &["f"])), "resource_busy");
    world.release(bob, &held).unwrap();
    assert_eq!(code(&world.reserve(ann, &["f"])), "ok");
    assert_eq!(code(&world.reserve(ann, &["g"])), "limit_reached");
}

#[test]
fn a_lease_that_was_returned_is_not_told_as_lost() {
    let (mut world, ann, bob) = World::of_two(&[("g", "other")]);
    let told = |world: &mut World| {
        let call = world.call(ann, Request::Read("g".into()));
        world.ask(ann, call).lost
    };
    // Its renewal is on the way while it is returned.
    let kept = short_lease(&mut world, ann, true);
    world.hold(ann, Some("Renew"));
    world.advance(1_100);
    world.release(ann, &kept).unwrap();
    world.hold(ann, None);
    world.run();
    assert_eq!(sent(&world, ann, "Renew"), 1);
    assert_eq!(told(&mut world), []);
    // Another process returns it, which was given its id.
    let given = short_lease(&mut world, ann, false);
    world.release(bob, &given).unwrap();
    world.advance(3_100);
    assert_eq!(told(&mut world), []);
    // The renewal found none.
    assert_eq!(world.count(Counter::LostLeases), 1);
}
