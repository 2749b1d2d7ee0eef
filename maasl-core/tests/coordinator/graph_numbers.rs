//! The numbers of patches: none is drawn for a patch that does not come.

use maasl_core::coordinator::database::DatabaseWrite;
use maasl_core::coordinator::graph::{GraphPatch, MAIN};
use maasl_core::coordinator::io::{Call, Request};
use maasl_core::coordinator::transaction::TransactionWanted;
use maasl_core::database::Work;
use maasl_core::graph::changes::Changes;
use maasl_core::reply::Receipt;

use super::asking::receipt;
use super::databases::add;
use super::ops::{code, key, write_over};
use super::world::{Pid, World};

fn patch() -> GraphPatch {
    let changes = Changes {
        nodes_to_remove: vec!["n".into()],
        ..Changes::default()
    };
    GraphPatch {
        graph: MAIN.into(),
        changes,
        seen: None,
    }
}

fn alone() -> TransactionWanted {
    TransactionWanted {
        graph: Some(patch()),
        ..TransactionWanted::default()
    }
}

/// A gap would be named in what everybody has seen from then on, and a journal
/// without patches would count as a graph.
#[test]
fn a_refused_patch_draws_no_number() {
    let (mut world, ann, _) = World::of_two(&[("a", "a1")]);
    let held = world.reserve(ann, &["f"]).unwrap();
    let uncovered = Call {
        lease: Some(held),
        ..world.call(ann, Request::Patch(patch()))
    };
    let stale = TransactionWanted {
        files: vec![write_over("a", "a2", "a0")],
        ..alone()
    };
    let bad = TransactionWanted {
        database: Some(DatabaseWrite {
            db: "rag".into(),
            work: Work::Statements(vec![add("bad")]),
        }),
        ..alone()
    };
    let mut calls = vec![uncovered];
    for wanted in [stale, bad] {
        calls.push(world.call(ann, Request::Transact(wanted)));
    }
    for call in calls {
        let refused = receipt(world.ask(ann, call));
        assert_ne!(code(&refused), "ok");
        assert_eq!(world.journals(), [], "{refused:?}");
    }
    let call = world.call(ann, Request::Patch(patch()));
    let done = receipt(world.ask(ann, call)).unwrap();
    let Receipt::Patched(changed) = done else {
        panic!("no patch: {done:?}");
    };
    let seen = changed.seen.to_string();
    assert!(seen.ends_with("=1"), "{seen}");
}

/// Two copies of one request need the same lease, so the second waits for the answer
/// of the first without knowing.
#[test]
fn a_copy_of_a_request_draws_no_number_of_its_own() {
    let (mut world, ann, bob) = World::of_two(&[]);
    let copy = |world: &mut World, pid: Pid| Call {
        request: Some(key("k", "alone")),
        ..world.call(pid, Request::Transact(alone()))
    };
    world.hold(ann, Some("FinishCommit"));
    let first = copy(&mut world, ann);
    let first = world.start(ann, first);
    world.run();
    let second = copy(&mut world, bob);
    let second = world.start(bob, second);
    world.run();
    world.hold(ann, None);
    let told = receipt(world.finish(ann, first));
    assert_eq!(code(&told), "ok", "{told:?}");
    assert_eq!(receipt(world.finish(bob, second)), told);
    assert_eq!(world.journals()[0].next_counter, 2);
    world.assert_idle("told twice");
}
