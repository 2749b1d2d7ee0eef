//! The power goes after an answer, and takes the unsynced end of the commit.

use maasl_core::coordinator::io::{Call, FileOp, Request};
use maasl_core::id::ContentHash;

use super::asking::receipt;
use super::ops::{code, delete, edit, key, rename, write, write_over};
use super::world::{Pid, World};

const BEFORE: [(&str, &str); 2] = [("f", "old"), ("g", "g1")];
const PATHS: [&str; 3] = ["f", "g", "h"];

/// What the files hold, and the contents of their versions.
type Traces = Vec<(Option<String>, Vec<Option<ContentHash>>)>;

fn traces(world: &World) -> Traces {
    let of = |path: &&str| {
        let history = world.rows.history(path).iter();
        let contents = history.map(|version| version.content).collect();
        (world.disk.text(path).map(Into::into), contents)
    };
    PATHS.iter().map(of).collect()
}

/// Runs a change, under a reservation if asked, to its answer; then the store
/// loses the end of its commit. The answer, and the traces there were.
fn change_and_cut(ops: &[FileOp], reserved: bool) -> (World, Call, Traces) {
    let (mut world, ann, _) = World::of_two(&BEFORE);
    for path in ["f", "g"] {
        world.read(ann, path).unwrap();
    }
    let lease = reserved.then(|| world.reserve(ann, &PATHS).unwrap());
    let call = Call {
        request: Some(key("k", "this")),
        lease,
        ..world.call(ann, Request::Change(ops.to_vec()))
    };
    let id = world.start(ann, call.clone());
    world.hold(ann, Some("FinishCommit"));
    world.run();
    let synced = world.rows.clone();
    world.hold(ann, None);
    receipt(world.finish(ann, id)).unwrap();
    let acknowledged = traces(&world);
    world.cut_power(synced);
    (world, call, acknowledged)
}

/// The same request again, from a process of another boot.
fn again(world: &mut World, pid: Pid, call: &Call) -> Call {
    let fresh = world.call(pid, call.request_body.clone());
    Call {
        request: call.request.clone(),
        lease: call.lease.clone(),
        ..fresh
    }
}

fn changes() -> Vec<Vec<FileOp>> {
    vec![
        vec![write("f", "new")],
        vec![write_over("f", "old", "old")],
        vec![write("h", "new")],
        vec![edit("f", "old", "new")],
        vec![delete("f")],
        vec![rename("f", "h")],
        vec![write("f", "new"), delete("g"), write("h", "new")],
    ]
}

#[test]
fn an_acknowledged_change_is_answered_from_its_intent_after_a_power_cut() {
    for ops in changes() {
        for reserved in [false, true] {
            let when = format!("{ops:?}, reserved: {reserved}");
            let (mut world, call, acknowledged) = change_and_cut(&ops, reserved);
            assert_eq!(world.intents().len(), 1, "{when}");
            let eve = world.spawn("eve");
            let asked = again(&mut world, eve, &call);
            let answer = receipt(world.ask(eve, asked));
            assert!(answer.is_ok(), "{when}: {answer:?}");
            assert_eq!(world.intents().len(), 0, "{when}");
            assert_eq!(traces(&world), acknowledged, "{when}");
            let asked = again(&mut world, eve, &call);
            assert_eq!(receipt(world.ask(eve, asked)), answer, "{when}");
            assert_eq!(traces(&world), acknowledged, "{when}");
            world.disk.assert_nothing_lost(&when);
        }
    }
}

#[test]
fn a_key_of_an_open_commit_is_not_free_for_another_request() {
    let (mut world, ..) = change_and_cut(&[write("f", "new")], false);
    let eve = world.spawn("eve");
    let other = Call {
        request: Some(key("k", "that")),
        ..world.call(eve, Request::Change(vec![write("h", "other")]))
    };
    assert_eq!(code(&world.ask(eve, other).result), "idempotency_mismatch");
    assert_eq!(world.disk.text("h"), None);
}

#[test]
fn whoever_reads_after_a_power_cut_ends_the_commit() {
    for ops in changes() {
        let (mut world, _, acknowledged) = change_and_cut(&ops, false);
        let eve = world.spawn("eve");
        for path in PATHS {
            let _ = world.read(eve, path);
        }
        let mut open = world.intents().into_iter();
        assert!(open.all(|intent| intent.items.is_empty()), "{ops:?}");
        assert_eq!(traces(&world), acknowledged, "{ops:?}");
    }
}
