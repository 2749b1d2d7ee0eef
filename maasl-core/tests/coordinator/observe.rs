//! Observe mode: nobody is held up or refused, and everybody is told.

use maasl_core::config::{Config, GuardMode};
use maasl_core::coordinator::io::{Call, DocumentWanted, Reply, Request, Response};
use maasl_core::lease::Counter;
use maasl_core::observed::Observed;

use super::asking::receipt;
use super::ops::{code, delete, edit, hash, lease, reserve, write, write_over};
use super::world::{Pid, World, at_every_point};

fn world() -> (World, Pid, Pid) {
    let config = Config {
        mode: GuardMode::Observe,
        ..Config::default()
    };
    let mut world = World::with(config);
    world.disk.outside("a", Some("a1"));
    let (ann, bob) = (world.spawn("ann"), world.spawn("bob"));
    (world, ann, bob)
}

fn told(response: &Response) -> Vec<(&'static str, &'static str)> {
    let observed = response.observed.iter();
    observed.map(|what| (what.name(), what.code())).collect()
}

#[test]
fn what_conflicts_with_nobody_is_as_always() {
    let (mut world, ann, _) = world();
    let call = world.call(ann, Request::Change(vec![write("b", "b1")]));
    let response = world.ask(ann, call);
    assert_eq!(told(&response), []);
    assert_eq!(code(&receipt(response)), "ok");
    assert_eq!(world.disk.text("b"), Some("b1"));
    world.assert_idle("written");
}

#[test]
fn a_lease_of_another_is_no_obstacle_and_is_named() {
    let (mut world, ann, bob) = world();
    let held = world.reserve(ann, &["a"]).unwrap();
    world.read(bob, "a").unwrap();
    let call = world.call(bob, Request::Change(vec![write("a", "b1")]));
    let before = world.now;
    let response = world.ask(bob, call);
    assert_eq!(world.now, before, "it did not wait");
    assert_eq!(told(&response), [("would_block", "resource_busy")]);
    let Observed::WouldBlock(busy) = &response.observed[0] else {
        panic!("{:?}", response.observed);
    };
    assert_eq!(busy.blockers[0].owner.agent.as_str(), "ann");
    assert_eq!(code(&receipt(response)), "ok");
    assert_eq!(world.disk.text("a"), Some("b1"));
    assert_eq!(world.count(Counter::WouldBlock), 1);
    assert_eq!(world.count(Counter::TimedOut), 0);
    // Ann's lease stands, and she is not told that she lost it.
    let release = world.call(ann, Request::Release(held));
    let released = world.ask(ann, release);
    assert!(matches!(released.result, Ok(Reply::Released { .. })));
    world.assert_idle("released");
}

#[test]
fn a_stale_change_goes_through_and_what_it_displaced_is_kept() {
    for op in [write("a", "x"), write_over("a", "x", "a0"), delete("a")] {
        let (mut world, ann, _) = world();
        let call = world.call(ann, Request::Change(vec![op.clone()]));
        let response = world.ask(ann, call);
        assert_eq!(
            told(&response),
            [("would_refuse", "stale_version")],
            "{op:?}"
        );
        assert_eq!(code(&receipt(response)), "ok", "{op:?}");
        assert_ne!(world.disk.text("a"), Some("a1"), "{op:?}");
        assert!(world.disk.objects.contains_key(&hash("a1")), "{op:?}");
        assert_eq!(world.count(Counter::WouldRefuse), 1);
        assert_eq!(world.count(Counter::StaleRefused), 0);
        world.assert_idle("written");
    }
}

#[test]
fn what_cannot_be_done_is_refused_in_both_modes() {
    let (mut world, ann, _) = world();
    let call = world.call(ann, Request::Change(vec![edit("a", "absent", "x")]));
    let response = world.ask(ann, call);
    assert_eq!(code(&receipt(response)), "invalid_request");
    assert_eq!(world.disk.text("a"), Some("a1"));
}

#[test]
fn a_circle_is_no_obstacle() {
    let (mut world, ann, bob) = world();
    let first = world.reserve(ann, &["a"]).unwrap();
    world.reserve(bob, &["b"]).unwrap();
    for (pid, id) in [(ann, "b"), (bob, "a")] {
        let call = world.call(pid, reserve(&[id]));
        let response = world.ask(pid, call);
        assert_eq!(told(&response), [("would_block", "resource_busy")]);
        assert_ne!(lease(&receipt(response).unwrap()), first);
    }
    assert_eq!(world.count(Counter::DeadlocksRefused), 0);
}

#[test]
fn a_document_is_written_for_a_source_that_moved() {
    let (mut world, ann, _) = world();
    let wanted = DocumentWanted {
        path: "a".into(),
        content: Some(b"says a0".to_vec()),
        made_from: Some(hash("a0")),
        replaces: None,
    };
    let call = world.call(ann, Request::Document(wanted));
    let response = world.ask(ann, call);
    assert_eq!(told(&response), [("would_refuse", "docgen_stale")]);
    assert_eq!(code(&receipt(response)), "ok");
}

/// Enforce mode would fence a paused writer; observe mode lets it write, once, and
/// says what it did.
#[test]
fn a_paused_writer_is_let_through_wherever_it_stood() {
    let mut lost = 0;
    let points = at_every_point(|point| {
        let (mut world, ann, bob) = world();
        world.read(ann, "a").unwrap();
        let call: Call = world.call(ann, Request::Change(vec![write("a", "ann")]));
        let call = world.start(ann, call);
        if !world.stops(ann, point) {
            return false;
        }
        world.advance(60_000);
        world.read(bob, "a").unwrap();
        let other = world.call(bob, Request::Change(vec![write("b", "bob")]));
        let other = receipt(world.ask(bob, other));
        assert_eq!(code(&other), "ok");
        world.resume(ann);
        let response = world.finish(ann, call);
        let when = format!("{point:?} of {:?}: {response:?}", world.sent(ann));
        lost += usize::from(told(&response).contains(&("would_refuse", "lease_lost")));
        assert_eq!(code(&receipt(response)), "ok", "{when}");
        assert_eq!(world.disk.text("a"), Some("ann"), "{when}");
        true
    });
    assert!(points > 10 && lost > 3, "{lost} of {points}");
}
