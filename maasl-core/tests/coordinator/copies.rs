//! Copies of one request in two processes: whatever kind of call it is, one key
//! has one answer, and nobody is refused for what a copy has done.

use maasl_core::coordinator::database::DatabaseWrite;
use maasl_core::coordinator::graph::{GraphFile, GraphPatch, MAIN};
use maasl_core::coordinator::io::{Call, DocumentWanted, Reply, Request};
use maasl_core::coordinator::transaction::TransactionWanted;
use maasl_core::database::Work;
use maasl_core::graph::changes::{Changes, Node};
use maasl_core::id::LeaseId;
use maasl_core::refusal::Refusal;

use super::asking::receipt;
use super::databases::add;
use super::ops::{code, hash, key, lease, reserve_database, write_over};
use super::world::{Fault, Pid, World, at_every_point};

fn world() -> (World, Pid, Pid) {
    World::of_two(&[("a", "a1")])
}

fn keyed(world: &mut World, pid: Pid, body: Request) -> Call {
    Call {
        request: Some(key("k", "this")),
        ..world.call(pid, body)
    }
}

fn ask(world: &mut World, pid: Pid, body: Request) -> Result<Reply, Refusal> {
    let call = keyed(world, pid, body);
    world.ask(pid, call).result
}

fn document(made_from: &str) -> DocumentWanted {
    DocumentWanted {
        path: "a".into(),
        content: Some(format!("made from {made_from}").into()),
        made_from: Some(hash(made_from)),
        replaces: None,
    }
}

fn rows() -> DatabaseWrite {
    DatabaseWrite {
        db: "rag".into(),
        work: Work::Statements(vec![add("x")]),
    }
}

fn patch() -> GraphPatch {
    let node = Node {
        id: "n".into(),
        properties: [].into(),
    };
    GraphPatch {
        graph: MAIN.into(),
        changes: Changes {
            nodes_to_add: vec![node],
            ..Changes::default()
        },
        seen: None,
    }
}

fn export() -> Request {
    Request::ExportGraph(GraphFile {
        graph: MAIN.into(),
        path: Some("graph.json".into()),
    })
}

fn transaction() -> Request {
    Request::Transact(TransactionWanted {
        files: vec![write_over("a", "a2", "a1")],
        database: Some(rows()),
        documents: vec![document("a2")],
        graph: Some(patch()),
    })
}

/// One copy stops at every step until the other was answered.
fn get_one_answer(
    begin: impl Fn(&mut World, Pid) -> Option<LeaseId>,
    body: impl Fn(Option<LeaseId>) -> Request,
) {
    let points = at_every_point(|point| {
        let (mut world, ann, bob) = world();
        let given = begin(&mut world, ann);
        let first = keyed(&mut world, ann, body(given.clone()));
        let first = world.start(ann, first);
        let paused = world.stops(ann, point);
        let second = ask(&mut world, bob, body(given));
        world.resume(ann);
        let first = world.finish(ann, first).result;
        let when = format!("{point:?}: {first:?}, {second:?}");
        let told = [code(&first), code(&second)];
        match told {
            ["ok", "ok"] => {
                assert_eq!(first, second, "{when}");
                world.assert_idle(&when);
            }
            ["ok", "resource_busy" | "db_busy"] | ["resource_busy" | "db_busy", "ok"] => {}
            _ => panic!("{when}"),
        }
        paused
    });
    assert!(points > 3, "{points}");
}

fn nothing(_: &mut World, _: Pid) -> Option<LeaseId> {
    None
}

#[test]
fn of_a_transaction() {
    get_one_answer(nothing, |_| transaction());
}

#[test]
fn of_a_change() {
    get_one_answer(nothing, |_| {
        Request::Change(vec![write_over("a", "a2", "a1")])
    });
}

#[test]
fn of_a_document() {
    get_one_answer(nothing, |_| Request::Document(document("a1")));
}

#[test]
fn of_rows() {
    get_one_answer(nothing, |_| Request::Database(rows()));
}

#[test]
fn of_a_patch() {
    get_one_answer(nothing, |_| Request::Patch(patch()));
}

#[test]
fn of_a_graph_in_a_file() {
    let begin = |world: &mut World, pid: Pid| {
        let call = world.call(pid, Request::Patch(patch()));
        receipt(world.ask(pid, call)).unwrap();
        None
    };
    get_one_answer(begin, |_| export());
}

#[test]
fn of_the_return_of_a_lease() {
    let begin = |world: &mut World, pid: Pid| Some(world.reserve(pid, &["a"]).unwrap());
    get_one_answer(begin, |lease| Request::Release(lease.unwrap()));
}

#[test]
fn a_return_that_is_asked_for_again_is_answered_as_before() {
    let (mut world, ann, bob) = world();
    let held = world.reserve(ann, &["a"]).unwrap();
    world.advance(7);
    let first = ask(&mut world, ann, Request::Release(held.clone()));
    assert_eq!(code(&first), "ok", "{first:?}");
    world.advance(1_000);
    for pid in [ann, bob] {
        assert_eq!(ask(&mut world, pid, Request::Release(held.clone())), first);
    }
    let other = Call {
        request: Some(key("other", "that")),
        ..world.call(ann, Request::Release(held.clone()))
    };
    assert_eq!(code(&world.ask(ann, other).result), "lease_lost");
    let mismatch = Call {
        request: Some(key("k", "that")),
        ..world.call(ann, Request::Release(held))
    };
    let mismatch = world.ask(ann, mismatch).result;
    assert_eq!(code(&mismatch), "idempotency_mismatch");
}

#[test]
fn rows_written_under_a_lease_that_is_over_are_answered_as_before() {
    let (mut world, ann, bob) = world();
    let call = world.call(ann, reserve_database("rag"));
    let held = lease(&receipt(world.ask(ann, call)).unwrap());
    let under = |world: &mut World, pid: Pid, name: &str| {
        let call = Call {
            request: Some(key(name, "this")),
            lease: Some(held.clone()),
            ..world.call(pid, Request::Database(rows()))
        };
        receipt(world.ask(pid, call))
    };
    let first = under(&mut world, ann, "k");
    assert_eq!(code(&first), "ok", "{first:?}");
    world.release(ann, &held).unwrap();
    for pid in [ann, bob] {
        assert_eq!(under(&mut world, pid, "k"), first);
    }
    assert_eq!(code(&under(&mut world, ann, "other")), "lease_lost");
    assert_eq!(world.databases.of("rag").texts(), ["x"]);
    world.assert_idle("answered");
}

/// Whoever cannot find out does not say that nothing has happened.
#[test]
fn a_refusal_waits_for_a_look_at_what_was_answered() {
    let (mut world, ann, bob) = world();
    let held = world.reserve(bob, &["a"]).unwrap();
    let body = || Request::Change(vec![write_over("a", "a2", "a0")]);
    let waiting = keyed(&mut world, ann, body());
    let waiting = world.start(ann, waiting);
    world.advance(10);
    world.inject(ann, "Recall", 1, Fault::GateBusy);
    world.release(bob, &held).unwrap();
    let unknown = world.finish(ann, waiting).result;
    assert_eq!(code(&unknown), "resource_busy", "{unknown:?}");
    let known = ask(&mut world, ann, body());
    assert_eq!(code(&known), "stale_version", "{known:?}");
}
