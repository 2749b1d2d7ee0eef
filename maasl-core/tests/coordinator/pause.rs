//! A writer paused at every step, beyond its lease, while another writes.

use maasl_core::coordinator::io::{FileOp, Response};

use super::ops::{code, delete, edit, hash, write, write_over};
use super::world::{Pid, Point, World, at_every_point};

/// Pauses `ann` at every point of `ops` on `f`; her lease runs out, `bob` writes
/// `f`, she goes on. Returns how often he was kept out by her latch, and how
/// often she was kept out by his token.
fn check_pauses(ops: &[FileOp]) -> (usize, usize) {
    let (mut latched, mut fenced) = (0, 0);
    at_every_point(|point| {
        let (mut world, ann, bob) = World::of_two(&[("f", "old"), ("g", "other")]);
        world.read(ann, "f").unwrap();
        let call = world.start_change(ann, ops.to_vec());
        if !world.stops(ann, point) {
            return false;
        }
        world.advance(31_000);
        let theirs = bob_writes(&mut world, bob);
        world.resume(ann);
        let ours = world.finish(ann, call);
        let codes = (code(&ours.result), code(&theirs.result));
        let when = format!("{point:?}: {codes:?} after {:?}", world.sent(ann));
        latched += usize::from(codes.1 == "resource_busy");
        fenced += usize::from(codes.0 == "lease_lost");
        assert_eq!(ours.lost, [], "{when}");
        check_pause(&mut world, codes, &when);
        true
    });
    (latched, fenced)
}

fn bob_writes(world: &mut World, bob: Pid) -> Response {
    let ops = vec![write_over("f", "bob", "old")];
    let call = world.call(bob, maasl_core::coordinator::io::Request::Change(ops));
    world.ask(bob, call)
}

/// At most one of both wrote, never the first after the second, and whoever did
/// not was told. Both are kept out where the first was paused inside the latch
/// and found its lease over before the commit point.
fn check_pause(world: &mut World, (ours, theirs): (&str, &str), when: &str) {
    let bobs = world.disk.text("f") == Some("bob");
    let untouched = world.disk.text("f") == Some("old");
    let as_promised = match (ours, theirs) {
        ("lease_lost" | "stale_version", "ok") => bobs,
        ("lease_lost", "resource_busy") => untouched,
        ("ok", "resource_busy" | "stale_version") => !bobs && !untouched,
        _ => false,
    };
    assert!(as_promised, "{when}");
    assert!(world.disk.has("old"), "{when}");
    if theirs == "stale_version" {
        // He could not return his lease to a latch that she was stopped in.
        world.advance(31_000);
        let eve = world.spawn("eve");
        let _ = world.change(eve, vec![delete("f")]);
    }
    world.assert_idle(when);
    world.assert_unstaged_but(&[], when);
}

#[test]
fn a_paused_write_is_fenced_or_keeps_others_out() {
    let (latched, fenced) = check_pauses(&[write("f", "ann")]);
    assert!(latched >= 8 && fenced >= 4, "{latched} {fenced}");
}

#[test]
fn a_paused_move_is_fenced_or_keeps_others_out() {
    let base = Some(hash("old"));
    let (source, destination) = ("f".into(), "h".into());
    check_pauses(&[FileOp::Move {
        source,
        destination,
        base,
    }]);
}

#[test]
fn a_paused_refactoring_is_fenced_or_keeps_others_out() {
    check_pauses(&[
        write("f", "ann"),
        edit("g", "other", "ann"),
        write("h", "ann"),
    ]);
}

/// The same for a lease held across calls.
#[test]
fn a_paused_call_under_a_reservation_is_fenced_or_keeps_others_out() {
    at_every_point(|point: Point| {
        let (mut world, ann, bob) = World::of_two(&[("f", "old")]);
        world.read(ann, "f").unwrap();
        let held = world.reserve(ann, &["f"]).unwrap();
        let body = maasl_core::coordinator::io::Request::Change(vec![write("f", "ann")]);
        let mut call = world.call(ann, body);
        call.lease = Some(held.clone());
        let call = world.start(ann, call);
        if !world.stops(ann, point) {
            return false;
        }
        world.advance(31_000);
        let theirs = code(&bob_writes(&mut world, bob).result);
        world.resume(ann);
        let ours = code(&world.finish(ann, call).result);
        let _ = world.release(ann, &held);
        check_pause(
            &mut world,
            (ours, theirs),
            &format!("{point:?}: {ours} {theirs}"),
        );
        true
    });
}
