//! Waiting for a lease: how it ends, and what it leaves behind.

use maasl_core::coordinator::io::{Call, CallId, Event, Request};
use maasl_core::lease::Counter;
use maasl_core::policy::Urgency;
use maasl_core::refusal::{Busy, Refusal};

use super::asking::receipt;
use super::ops::{code, reserve, write};
use super::world::{Fault, Pid, World, at_every_point};

#[track_caller]
fn busy<T: std::fmt::Debug>(result: Result<T, Refusal>) -> Busy {
    match result {
        Err(Refusal::ResourceBusy(busy)) => *busy,
        other => panic!("not busy: {other:?}"),
    }
}

/// Starts a reservation of `f` that waits this long, and lets it queue.
fn queue(world: &mut World, pid: Pid, max_wait_ms: u64) -> CallId {
    let call = world.call(pid, reserve(&["f"]));
    let max_wait_ms = Some(max_wait_ms);
    let id = world.start(
        pid,
        Call {
            max_wait_ms,
            ..call
        },
    );
    world.run();
    id
}

fn waits(world: &World, pid: Pid) -> usize {
    let events = world.events(pid).iter();
    events
        .filter(|event| matches!(event, Event::Waiting { .. }))
        .count()
}

#[test]
fn a_released_lease_goes_to_the_waiter_without_time_passing() {
    let (mut world, ann, bob) = World::of_two(&[]);
    let lease = world.reserve(ann, &["f"]).unwrap();
    let waiter = queue(&mut world, bob, 400);
    world.advance(30);
    world.release(ann, &lease).unwrap();
    let granted = world.reply(bob, waiter).expect("the ring is enough");
    assert_eq!(code(&receipt(granted)), "ok");
    assert_eq!(world.tickets(), []);
    assert_eq!(waits(&world, bob), 1);
}

#[test]
fn a_ring_counts_wherever_the_waiter_is_when_it_comes() {
    let points = at_every_point(|point| {
        let (mut world, ann, bob) = World::of_two(&[]);
        let lease = world.reserve(ann, &["f"]).unwrap();
        world.stop_at(bob, point);
        let waiter = queue(&mut world, bob, 400);
        if !world.is_stopped(bob) {
            return false;
        }
        world.release(ann, &lease).unwrap();
        world.resume(bob);
        world.run();
        let granted = world.reply(bob, waiter);
        let granted = granted.unwrap_or_else(|| panic!("the ring at {point:?} was lost"));
        assert_eq!(code(&receipt(granted)), "ok");
        true
    });
    assert!(points > 4, "asking and looking for the dead are steps");
}

#[test]
fn a_finished_write_wakes_the_next_writer() {
    let (mut world, ann, bob) = World::of_two(&[]);
    let first = world.start_change(ann, vec![write("f", "ann")]);
    let second = world.start_change(bob, vec![write("g", "g"), write("f", "bob")]);
    world.run();
    assert_eq!(code(&world.reply(ann, first).unwrap().result), "ok");
    let second = world.reply(bob, second).unwrap().result;
    assert_eq!(code(&second), "stale_version");
    world.assert_idle("both are over");
}

#[test]
fn a_wait_ends_at_its_deadline_and_says_what_is_in_the_way() {
    let (mut world, ann, bob) = World::of_two(&[]);
    world.reserve(ann, &["f"]).unwrap();
    let call = world.call(bob, reserve(&["f"]));
    let refused = busy(world.ask(bob, call).result);
    assert_eq!((refused.waited_ms, refused.allowed_ms), (500, 500));
    assert_eq!((refused.place, refused.own), (0, false));
    assert_eq!(refused.resource, "code:f");
    assert_eq!(refused.blockers[0].owner.agent.as_str(), "ann");
    assert_eq!(refused.blockers[0].expires_in_ms, 29_500);
    assert_eq!(world.tickets(), []);
}

#[test]
fn places_are_counted_among_those_in_front() {
    let (mut world, ann, bob) = World::of_two(&[]);
    let eve = world.spawn("eve");
    world.reserve(ann, &["f"]).unwrap();
    let first = queue(&mut world, bob, 300);
    let second = queue(&mut world, eve, 250);
    let dan = world.spawn("dan");
    let last = queue(&mut world, dan, 900);
    world.advance(900);
    let first = busy(world.reply(bob, first).unwrap().result);
    let second = busy(world.reply(eve, second).unwrap().result);
    let last = busy(world.reply(dan, last).unwrap().result);
    assert_eq!((first.place, first.blockers.len()), (0, 1));
    assert_eq!((second.place, second.blockers.len()), (1, 2));
    assert_eq!((last.place, last.blockers.len()), (0, 1));
    assert_eq!(world.tickets(), []);
}

#[test]
fn batch_calls_wait_longer() {
    let (mut world, ann, bob) = World::of_two(&[]);
    world.reserve(ann, &["f"]).unwrap();
    let urgency = Urgency::Batch;
    let call = world.call(bob, reserve(&["f"]));
    let refused = busy(world.ask(bob, Call { urgency, ..call }).result);
    assert_eq!((refused.waited_ms, refused.allowed_ms), (3_000, 3_000));
}

#[test]
fn no_wait_is_refused_at_once() {
    let (mut world, ann, bob) = World::of_two(&[("f", "old")]);
    world.reserve(ann, &["f"]).unwrap();
    let before = world.now;
    let id = queue(&mut world, bob, 0);
    let refused = busy(world.reply(bob, id).unwrap().result);
    assert_eq!((refused.waited_ms, refused.allowed_ms), (0, 0));
    assert_eq!((world.now, world.tickets().len()), (before, 0));
}

#[test]
fn a_dead_holder_is_found_at_once() {
    let (mut world, ann, bob) = World::of_two(&[]);
    world.reserve(ann, &["f"]).unwrap();
    world.kill(ann);
    let before = world.now;
    world.reserve(bob, &["f"]).unwrap();
    assert_eq!(world.now, before);
}

#[test]
fn a_dead_holder_is_found_by_who_may_not_wait() {
    let (mut world, ann, bob) = World::of_two(&[]);
    world.reserve(ann, &["f"]).unwrap();
    let at_once = |world: &mut World| {
        let mut call = world.call(bob, reserve(&["f"]));
        call.max_wait_ms = Some(0);
        code(&world.ask(bob, call).result)
    };
    assert_eq!(at_once(&mut world), "resource_busy");
    assert_eq!(world.count(Counter::TimedOut), 1);
    world.kill(ann);
    assert_eq!(at_once(&mut world), "ok");
    let counted = world.count(Counter::TimedOut);
    assert_eq!(counted, 1, "it got what it asked for");
}

#[test]
fn a_wait_in_vain_is_counted_once() {
    let (mut world, ann, bob) = World::of_two(&[]);
    world.reserve(ann, &["f"]).unwrap();
    let waiter = queue(&mut world, bob, 300);
    world.advance(250);
    // The last look finds the holder dead.
    world.hold(bob, Some("Acquire"));
    world.advance(100);
    world.kill(ann);
    world.hold(bob, None);
    assert_eq!(code(&world.finish(bob, waiter).result), "ok");
    assert_eq!(world.count(Counter::TimedOut), 0);
}

#[test]
fn a_ticket_that_could_not_be_taken_back_holds_nobody_up() {
    let (mut world, ann, bob) = World::of_two(&[]);
    let eve = world.spawn("eve");
    let lease = world.reserve(ann, &["f"]).unwrap();
    let waiter = queue(&mut world, bob, 600_000);
    world.inject(bob, "Cancel", 1, Fault::GateBusy);
    world.cancel(bob, waiter);
    world.run();
    assert_eq!(code(&world.reply(bob, waiter).unwrap().result), "cancelled");
    assert_eq!(world.tickets().len(), 1);
    world.release(ann, &lease).unwrap();
    let waiter = queue(&mut world, eve, 400);
    let _ = world.read(bob, "f");
    assert_eq!(world.tickets().len(), 0, "the next call takes it back");
    assert!(world.reply(eve, waiter).unwrap().result.is_ok());
}

#[test]
fn a_holder_that_dies_later_is_found_soon() {
    let (mut world, ann, bob) = World::of_two(&[]);
    world.reserve(ann, &["f"]).unwrap();
    let waiter = queue(&mut world, bob, 500);
    world.advance(150);
    world.kill(ann);
    world.advance(100);
    assert!(world.reply(bob, waiter).unwrap().result.is_ok());
}

#[test]
fn a_dead_waiter_is_swept_and_the_next_is_rung() {
    let (mut world, ann, bob) = World::of_two(&[]);
    let eve = world.spawn("eve");
    let lease = world.reserve(ann, &["f"]).unwrap();
    queue(&mut world, bob, 400);
    let waiter = queue(&mut world, eve, 400);
    world.kill(bob);
    world.release(ann, &lease).unwrap();
    assert!(world.sent(ann).contains(&"Sweep"));
    assert!(world.reply(eve, waiter).unwrap().result.is_ok());
    assert_eq!(world.tickets(), []);
}

#[test]
fn a_cancelled_wait_leaves_no_ticket_and_wakes_the_next() {
    let (mut world, ann, bob) = World::of_two(&[]);
    let eve = world.spawn("eve");
    let call = world.call(ann, reserve(&["f"]));
    world.ask(ann, call).result.unwrap();
    let call = world.call(bob, reserve(&["f", "g"]));
    let waiter = world.start(bob, call);
    world.run();
    let call = world.call(eve, reserve(&["g"]));
    let behind = world.start(eve, call);
    world.run();
    assert!(world.reply(eve, behind).is_none());
    world.cancel(bob, waiter);
    world.run();
    assert_eq!(code(&world.reply(bob, waiter).unwrap().result), "cancelled");
    assert!(world.reply(eve, behind).unwrap().result.is_ok());
    assert_eq!(world.tickets(), []);
}

#[test]
fn a_call_cancelled_anywhere_leaves_nothing() {
    for n in 0.. {
        let (mut world, ann, _) = World::of_two(&[]);
        let call = world.start_change(ann, vec![write("f", "new")]);
        world.stop_at(
            ann,
            super::world::Point {
                n,
                side: super::world::Side::Before,
            },
        );
        world.run();
        if !world.is_stopped(ann) {
            break;
        }
        world.cancel(ann, call);
        world.resume(ann);
        let done = world.finish(ann, call).result;
        assert!(matches!(code(&done), "ok" | "cancelled"), "{done:?}");
        let written = world.disk.text("f").is_some();
        assert_eq!(written, done.is_ok());
        world.assert_idle("cancelled");
        world.assert_unstaged_but(&[], "cancelled");
    }
}

#[test]
fn an_expired_lease_is_taken_over_by_the_waiter_in_time() {
    let (mut world, ann, bob) = World::of_two(&[]);
    let mut asked = super::ops::reservation(&["f"]);
    asked.ttl_ms = Some(250);
    let call = world.call(ann, Request::Reserve(asked));
    world.ask(ann, call).result.unwrap();
    let before = world.now;
    let waiter = queue(&mut world, bob, 400);
    let granted = world.finish(bob, waiter);
    assert!(granted.result.is_ok());
    assert_eq!(world.now.ms_since(before), 250);
}

#[test]
fn waiting_is_in_the_order_of_asking() {
    let (mut world, ann, bob) = World::of_two(&[]);
    let eve = world.spawn("eve");
    let lease = world.reserve(ann, &["f"]).unwrap();
    let first = queue(&mut world, bob, 400);
    let second = queue(&mut world, eve, 400);
    world.release(ann, &lease).unwrap();
    assert!(world.reply(bob, first).is_some());
    assert!(world.reply(eve, second).is_none());
}

#[test]
fn a_writer_that_waited_says_how_long() {
    let (mut world, ann, bob) = World::of_two(&[]);
    let lease = world.reserve(ann, &["f"]).unwrap();
    let call = world.start_change(bob, vec![write("f", "bob")]);
    world.advance(120);
    world.release(ann, &lease).unwrap();
    let done = receipt(world.finish(bob, call)).unwrap();
    let maasl_core::reply::Receipt::Changed { waited_ms, .. } = done else {
        panic!("files were changed");
    };
    assert_eq!(waited_ms, 120);
    world.assert_idle("written");
}
