//! Observe mode: nobody is held up or refused, and everybody is told.

use maasl_core::config::{Config, GuardMode};
use maasl_core::coordinator::graph::{GraphPatch, MAIN};
use maasl_core::coordinator::io::{Call, DocumentWanted, Reply, Request, Response};
use maasl_core::graph::changes::{Changes, Node};
use maasl_core::lease::Counter;
use maasl_core::observed::Observed;

use super::asking::receipt;
use super::ops::{code, delete, edit, hash, lease, reserve, write, write_over};
use super::world::{Fault, Pid, World, at_every_point};

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

/// A writer that is stopped inside its commit keeps its latches. Who comes next
/// goes on without them, is told so once, and what either displaced is kept.
#[test]
fn a_stopped_writer_holds_nobody_up_wherever_it_stands() {
    for pause_ms in [60_000, 0] {
        let mut blocked = 0;
        let points = at_every_point(|point| {
            let (mut world, ann, bob) = world();
            world.read(ann, "a").unwrap();
            let call = world.call(ann, Request::Change(vec![write("a", "ann")]));
            let call = world.start(ann, call);
            if !world.stops(ann, point) {
                return false;
            }
            world.advance(pause_ms);
            let when = format!("{point:?} of {:?}", world.sent(ann));
            let before = world.now;
            assert_eq!(code(&world.read(bob, "a")), "ok", "{when}");
            let other = world.call(bob, Request::Change(vec![write("a", "bob")]));
            let other = world.ask(bob, other);
            assert_eq!(world.now, before, "{when}: it waited");
            let blocks = told(&other).into_iter();
            let blocks = blocks.filter(|(what, _)| *what == "would_block").count();
            assert!(blocks <= 1, "{when}: {other:#?}");
            blocked += blocks;
            assert_eq!(world.count(Counter::WouldBlock), blocks as u64, "{when}");
            assert_eq!(code(&receipt(other)), "ok", "{when}");
            assert_eq!(world.disk.text("a"), Some("bob"), "{when}");
            world.resume(ann);
            let response = world.finish(ann, call);
            assert_eq!(code(&receipt(response)), "ok", "{when}");
            assert!(world.latches_are_free(), "{when}");
            assert_eq!(world.intents(), [], "{when}");
            world.disk.assert_nothing_lost(&when);
            true
        });
        assert!(points > 10 && blocked > 3, "{blocked} of {points}");
    }
}

#[test]
fn a_file_of_which_a_commit_cannot_be_settled_now_is_read() {
    let (mut world, ann, bob) = world();
    world.read(ann, "a").unwrap();
    let call = world.call(ann, Request::Change(vec![write("a", "ann")]));
    world.start(ann, call);
    world.hold(ann, Some("Swap"));
    world.run();
    assert_eq!(world.intents().len(), 1);
    world.kill(ann);
    world.inject(bob, "Latch", 1, Fault::LatchBusy);
    let call = world.call(bob, Request::Read("a".into()));
    let response = world.ask(bob, call);
    assert_eq!(code(&response.result), "ok");
    assert_eq!(told(&response), [("would_block", "resource_busy")]);
    world.read(bob, "a").unwrap();
    assert_eq!(world.disk.text("a"), Some("ann"), "settled by the next");
}

#[test]
fn a_call_that_is_made_again_tells_a_block_once() {
    let (mut world, ann, bob) = world();
    world.reserve(ann, &["a"]).unwrap();
    world.read(bob, "a").unwrap();
    let call = world.call(bob, Request::Change(vec![write("a", "bob")]));
    let call = world.start(bob, call);
    world.hold(bob, Some("Swap"));
    world.advance(1_000);
    world.disk.outside("a", Some("outside"));
    world.hold(bob, None);
    let response = world.finish(bob, call);
    let what = told(&response);
    let expected = [
        ("would_block", "resource_busy"),
        ("would_refuse", "stale_version"),
    ];
    assert_eq!(what[..2], expected);
    let blocks = what.iter().filter(|(what, _)| *what == "would_block");
    assert_eq!(blocks.count(), 1, "{response:#?}");
    assert_eq!(world.count(Counter::WouldBlock), 1);
    assert_eq!(code(&receipt(response)), "ok");
}

#[test]
fn a_lease_that_is_over_stops_nobody() {
    let (mut world, ann, bob) = world();
    let held = world.reserve(ann, &["a"]).unwrap();
    world.release(ann, &held).unwrap();
    let node = Node {
        id: "n".into(),
        properties: [].into(),
    };
    let patch = GraphPatch {
        graph: MAIN.into(),
        changes: Changes {
            nodes_to_add: vec![node],
            ..Changes::default()
        },
        seen: None,
    };
    for body in [reserve(&["a"]), Request::Patch(patch)] {
        let call = world.call(bob, body);
        let lease = Some(held.clone());
        let response = world.ask(bob, Call { lease, ..call });
        assert_eq!(told(&response), [("would_refuse", "lease_lost")]);
        assert_eq!(code(&receipt(response)), "ok");
    }
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
