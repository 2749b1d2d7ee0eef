//! The same request again: retries, concurrent copies, duplicated answers.

use maasl_core::coordinator::io::{Call, FileOp, Request};
use maasl_core::lease::RequestKey;
use maasl_core::refusal::Refusal;

use super::asking::{changed, receipt};
use super::ops::{code, delete, edit, key, lease, rename, reserve, write, write_over};
use super::world::{Pid, World, at_every_point};

fn keyed(world: &mut World, pid: Pid, request: RequestKey, body: Request) -> Call {
    Call {
        request: Some(request),
        ..world.call(pid, body)
    }
}

fn write_keyed(world: &mut World, pid: Pid) -> Call {
    let ops = vec![edit("f", "old", "new"), write("g", "new")];
    keyed(world, pid, key("k", "this"), Request::Change(ops))
}

#[test]
fn the_same_key_has_one_effect_and_one_answer() {
    let (mut world, ann, bob) = World::of_two(&[("f", "old")]);
    let call = write_keyed(&mut world, ann);
    let first = receipt(world.ask(ann, call)).unwrap();
    for pid in [ann, bob] {
        let call = write_keyed(&mut world, pid);
        assert_eq!(receipt(world.ask(pid, call)).unwrap(), first);
    }
    assert_eq!(world.rows.history("g").len(), 1);
    world.assert_idle("answered");
}

#[test]
fn a_key_used_for_something_else_is_refused() {
    let (mut world, ann, bob) = World::of_two(&[("f", "old")]);
    let call = write_keyed(&mut world, ann);
    receipt(world.ask(ann, call)).unwrap();
    let body = Request::Change(vec![write("h", "other")]);
    let call = keyed(&mut world, bob, key("k", "that"), body);
    assert_eq!(code(&world.ask(bob, call).result), "idempotency_mismatch");
    assert_eq!(world.disk.text("h"), None);
    world.assert_idle("refused");
}

#[test]
fn a_refused_request_may_be_tried_again_under_its_key() {
    let (mut world, ann, bob) = World::of_two(&[("f", "old")]);
    let held = world.reserve(bob, &["f"]).unwrap();
    let call = write_keyed(&mut world, ann);
    assert_eq!(code(&world.ask(ann, call).result), "resource_busy");
    world.release(bob, &held).unwrap();
    let call = write_keyed(&mut world, ann);
    assert_eq!(code(&world.ask(ann, call).result), "ok");
}

#[test]
fn copies_in_two_processes_have_one_effect() {
    at_every_point(|point| {
        let (mut world, ann, bob) = World::of_two(&[("f", "old")]);
        let call = write_keyed(&mut world, ann);
        let first = world.start(ann, call);
        let paused = world.stops(ann, point);
        let call = write_keyed(&mut world, bob);
        let second = receipt(world.ask(bob, call));
        world.resume(ann);
        let first = receipt(world.finish(ann, first));
        let when = format!("{point:?}: {first:?}, {second:?}");
        assert!(first.is_ok(), "{when}");
        assert!(
            second == first || code(&second) == "resource_busy",
            "{when}"
        );
        assert_eq!(world.rows.history("g").len(), 1, "{when}");
        world.assert_idle(&when);
        world.assert_unstaged_but(&[], &when);
        paused
    });
}

#[test]
fn a_retry_after_a_death_has_one_effect() {
    at_every_point(|point| {
        let (mut world, ann, bob) = World::of_two(&[("f", "old")]);
        let call = write_keyed(&mut world, ann);
        world.start(ann, call);
        let paused = world.stops(ann, point);
        world.kill(ann);
        let call = write_keyed(&mut world, bob);
        let done = changed(world.ask(bob, call)).unwrap();
        assert_eq!(world.disk.text("f"), Some("new"), "{point:?}");
        assert_eq!(
            (world.rows.history("g").len(), done[1].version),
            (1, 1),
            "{point:?}"
        );
        paused
    });
}

#[test]
fn a_lease_asked_for_again_is_the_same() {
    let (mut world, ann, bob) = World::of_two(&[]);
    let mut leases = Vec::new();
    for pid in [ann, ann, bob] {
        let call = keyed(&mut world, pid, key("k", "f"), reserve(&["f"]));
        leases.push(lease(&receipt(world.ask(pid, call)).unwrap()));
    }
    assert!(leases.iter().all(|lease| *lease == leases[0]));
    assert_eq!(world.leases().len(), 1);
}

#[test]
fn copies_that_waited_leave_no_ticket() {
    let (mut world, ann, bob) = World::of_two(&[]);
    let eve = world.spawn("eve");
    let held = world.reserve(eve, &["f"]).unwrap();
    let calls = [ann, bob].map(|pid| {
        let call = keyed(&mut world, pid, key("k", "f"), reserve(&["f"]));
        let id = world.start(pid, call);
        world.run();
        id
    });
    world.release(eve, &held).unwrap();
    let first = receipt(world.finish(ann, calls[0])).unwrap();
    assert_eq!(receipt(world.finish(bob, calls[1])).unwrap(), first);
    assert_eq!(world.tickets(), []);
}

/// What a change answers if every answer it gets comes thrice.
fn with_duplicates(ops: Vec<FileOp>) -> Result<(), Refusal> {
    let (mut world, ann, bob) = World::of_two(&[("f", "old"), ("g", "g"), ("h", "h")]);
    world.duplicate_answers(ann);
    for path in ["f", "g", "h"] {
        world.read(ann, path)?;
    }
    let held = world.reserve(bob, &["f"])?;
    let call = world.start_change(ann, ops);
    world.advance(100);
    world.release(bob, &held)?;
    changed(world.finish(ann, call))?;
    world.assert_idle("changed");
    world.assert_unstaged_but(&[], "changed");
    Ok(())
}

#[test]
fn answers_given_more_than_once_are_used_once() {
    with_duplicates(vec![write("f", "new")]).unwrap();
    with_duplicates(vec![edit("f", "old", "new"), delete("g"), rename("h", "i")]).unwrap();
    let refused = with_duplicates(vec![write_over("f", "new", "never")]);
    assert_eq!(code(&refused), "stale_version");
}
