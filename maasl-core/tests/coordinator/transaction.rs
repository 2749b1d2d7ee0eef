//! Transactions across classes: all of it or nothing, whoever dies when.

use maasl_core::coordinator::database::DatabaseWrite;
use maasl_core::coordinator::graph::{GraphPatch, MAIN};
use maasl_core::coordinator::io::{Call, DocumentWanted, FileOp, OnStale, Request};
use maasl_core::coordinator::transaction::TransactionWanted;
use maasl_core::database::Work;
use maasl_core::docgen::header;
use maasl_core::graph::changes::{Changes, Node};
use maasl_core::graph::value::Value;
use maasl_core::id::OpId;
use maasl_core::lease::command::{FinishCommit, SyncNeed};
use maasl_core::lease::{Command, Counter, Outcome, Query, Rows};
use maasl_core::refusal::Refusal;
use maasl_core::reply::{Beyond, Receipt};

use super::asking::receipt;
use super::databases::add;
use super::ops::{code, database_resource, edit, hash, key, lease, reservation, write, write_over};
use super::world::{Fault, Pid, World, at_every_point};

const DOCUMENT: &str = "DOCS/REPODOCS/a.md";

fn world() -> (World, Pid, Pid) {
    World::of_two(&[("a", "a1"), ("b", "b1")])
}

fn rows_of(rows: &[&str]) -> DatabaseWrite {
    DatabaseWrite {
        db: "rag".into(),
        work: Work::Statements(rows.iter().map(|row| add(row)).collect()),
    }
}

fn remove(path: &str, base: &str) -> FileOp {
    FileOp::Delete {
        path: path.into(),
        base: Some(hash(base)),
    }
}

fn document(content: &str, made_from: Option<&str>) -> DocumentWanted {
    DocumentWanted {
        path: "a".into(),
        content: Some(content.into()),
        made_from: made_from.map(hash),
        replaces: None,
    }
}

/// Files, two rows, a node, and the document of what one of the files becomes.
fn everything() -> TransactionWanted {
    TransactionWanted {
        files: vec![
            write_over("a", "a2", "a1"),
            remove("b", "b1"),
            write("c", "c2"),
        ],
        database: Some(rows_of(&["x", "y"])),
        documents: vec![document("says a2", None)],
        graph: Some(patch("n")),
    }
}

fn patch(node: &str) -> GraphPatch {
    let node = Node {
        id: node.into(),
        properties: [("by".into(), Value::text("ann"))].into(),
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

fn call(world: &mut World, pid: Pid, wanted: TransactionWanted) -> Call {
    world.call(pid, Request::Transact(wanted))
}

fn transact(world: &mut World, pid: Pid, wanted: TransactionWanted) -> Result<Receipt, Refusal> {
    let call = call(world, pid, wanted);
    receipt(world.ask(pid, call))
}

/// What there is: files, rows, and the source the document names.
#[derive(Debug, PartialEq, Eq)]
struct State {
    files: Vec<(String, String)>,
    rows: Vec<String>,
    documented: Option<String>,
    /// How many patches the graph has.
    patches: usize,
}

fn state(world: &mut World) -> State {
    let files = world
        .disk
        .files
        .keys()
        .filter(|path| !path.contains("DOCS"));
    let files = files.map(|path| (path.clone(), world.disk.text(path).unwrap().into()));
    let files: Vec<(String, String)> = files.collect();
    let document = world.disk.text(DOCUMENT);
    let documented = document.and_then(|text| header::read(text.as_bytes()));
    let rows = world.databases.of("rag").texts();
    let rows = rows.into_iter().map(str::to_owned).collect();
    let entries = world.rows.load(&Query::Entries {
        graph: MAIN.into(),
        after: 0,
    });
    let Rows::Entries(entries) = entries else {
        panic!("patches were asked for");
    };
    State {
        files,
        rows,
        documented: documented.map(|hash| hash.to_string()),
        patches: entries.len(),
    }
}

fn before() -> State {
    state(&mut world().0)
}

fn after() -> State {
    let (mut world, ann, _) = world();
    transact(&mut world, ann, everything()).unwrap();
    state(&mut world)
}

/// Somebody else reads and leases everything, which settles what was open.
fn touch_all(world: &mut World, pid: Pid) {
    for path in ["a", "b", "c", DOCUMENT] {
        let _ = world.read(pid, path);
    }
    let nothing = TransactionWanted {
        files: vec![write("z", "z")],
        database: Some(rows_of(&["bad"])),
        documents: Vec::new(),
        graph: None,
    };
    let refused = transact(world, pid, nothing);
    assert_eq!(code(&refused), "invalid_request", "{refused:?}");
}

#[test]
fn everything_takes_effect_under_one_token() {
    let (mut world, ann, _) = world();
    let Receipt::Changed {
        files,
        token,
        beyond,
        ..
    } = transact(&mut world, ann, everything()).unwrap()
    else {
        panic!("files were changed");
    };
    assert_eq!(files.len(), 4);
    let made = files[3].document.as_ref().unwrap();
    assert_eq!(made.source_sha256, hash("a2"));
    assert_eq!(beyond.database.unwrap().rows_affected, 2);
    assert_eq!(world.databases.of("rag").fence, token);
    assert_eq!(world.newest("a").unwrap().token, token);
    assert_eq!(world.newest(DOCUMENT).unwrap().token, token);
    let State {
        files,
        rows,
        documented,
        patches,
    } = state(&mut world);
    assert_eq!(
        files,
        [("a".into(), "a2".into()), ("c".into(), "c2".into())]
    );
    assert_eq!(rows, ["x", "y"]);
    assert_eq!(documented, Some(hash("a2").to_string()));
    assert_eq!(patches, 1);
    let told = beyond.graph.unwrap();
    assert_eq!((told.effect.nodes_added, told.conflicts_total), (1, 0));
    for (counter, count) in [
        (Counter::GuardedOk, 1),
        (Counter::DbWritten, 1),
        (Counter::DocgenGenerated, 1),
        (Counter::GraphMerged, 1),
    ] {
        assert_eq!(world.count(counter), count, "{counter:?}");
    }
    world.assert_idle("committed");
}

#[test]
fn if_one_part_is_refused_nothing_has_happened() {
    let stale = TransactionWanted {
        files: vec![write("c", "c2"), write_over("a", "a2", "a0")],
        ..everything()
    };
    let bad_edit = TransactionWanted {
        files: vec![write("c", "c2"), edit("b", "absent", "x")],
        ..everything()
    };
    let bad_statement = TransactionWanted {
        database: Some(rows_of(&["x", "bad"])),
        ..everything()
    };
    let old_document = TransactionWanted {
        documents: vec![document("says a1", Some("a1"))],
        ..everything()
    };
    let no_source = TransactionWanted {
        files: vec![remove("a", "a1")],
        ..everything()
    };
    let cases = [
        (stale, "stale_version"),
        (bad_edit, "invalid_request"),
        (bad_statement, "invalid_request"),
        (old_document, "docgen_stale"),
        (no_source, "docgen_stale"),
        (TransactionWanted::default(), "invalid_request"),
    ];
    for (wanted, expected) in cases {
        let (mut world, ann, _) = world();
        let when = format!("{wanted:?}");
        let refused = transact(&mut world, ann, wanted);
        assert_eq!(code(&refused), expected, "{when}: {refused:?}");
        assert_eq!(state(&mut world), before(), "{when}");
        assert!(world.databases.of("rag").is_quiet(), "{when}");
        world.assert_idle(&when);
        world.assert_unstaged_but(&[], &when);
    }
}

#[test]
fn a_refusal_names_the_part() {
    let unnamed = TransactionWanted {
        files: Vec::new(),
        ..everything()
    };
    let unknown = TransactionWanted {
        database: Some(DatabaseWrite {
            db: "other".into(),
            ..rows_of(&["x"])
        }),
        ..everything()
    };
    let bad = TransactionWanted {
        database: Some(rows_of(&["x", "bad"])),
        ..everything()
    };
    let asked = TransactionWanted {
        documents: vec![DocumentWanted {
            content: None,
            ..document("", None)
        }],
        ..everything()
    };
    let nameless = TransactionWanted {
        graph: Some(patch("")),
        ..everything()
    };
    for (wanted, expected) in [
        (unnamed, "documents[0].source_sha256"),
        (unknown, "database.db"),
        (bad, "database.statements[1]"),
        (asked, "documents[0].content"),
        (nameless, "graph.nodes_to_add[0]"),
    ] {
        let (mut world, ann, _) = world();
        let refused = transact(&mut world, ann, wanted);
        let Err(Refusal::InvalidRequest { field, .. }) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(field, expected);
    }
}

#[test]
fn a_document_that_is_made_already_is_left() {
    let (mut world, ann, _) = world();
    transact(&mut world, ann, everything()).unwrap();
    let again = TransactionWanted {
        files: vec![write("c", "c3")],
        documents: vec![document("says a2 again", Some("a2"))],
        ..TransactionWanted::default()
    };
    world.read(ann, "c").unwrap();
    let Receipt::Changed { files, beyond, .. } = transact(&mut world, ann, again).unwrap() else {
        panic!("files were changed");
    };
    assert_eq!(files.len(), 1);
    let Beyond {
        database,
        fresh,
        graph,
    } = beyond;
    assert_eq!((database, graph, fresh.len()), (None, None, 1));
    assert_eq!(fresh[0].source_sha256, hash("a2"));
}

/// Kills at every step; whoever comes next finds all or nothing, and the same
/// request through another process makes it all.
#[test]
fn a_transaction_that_dies_at_any_step_is_whole_or_not_there() {
    let (old, new) = (before(), after());
    let mut whole = 0;
    let points = at_every_point(|point| {
        let (mut world, ann, bob) = world();
        let mut first = call(&mut world, ann, everything());
        first.request = Some(key("k", "everything"));
        world.start(ann, first);
        if !world.dies(ann, point) {
            return false;
        }
        let when = format!("{point:?} of {:?}", world.sent(ann));
        touch_all(&mut world, bob);
        let settled = state(&mut world);
        assert!(settled == old || settled == new, "{when}: {settled:?}");
        whole += usize::from(settled == new);
        let mut again = call(&mut world, bob, everything());
        again.request = Some(key("k", "everything"));
        let again = receipt(world.ask(bob, again));
        assert_eq!(code(&again), "ok", "{when}: {again:?}");
        assert_eq!(state(&mut world), new, "{when}");
        assert!(world.databases.of("rag").is_quiet(), "{when}");
        world.assert_idle(&when);
        world.assert_unstaged_but(&[ann], &when);
        true
    });
    assert!(points > 40 && whole > 4, "{whole} of {points}");
}

/// Recovery dies at every step too, and somebody else goes on.
#[test]
fn recovery_of_a_transaction_can_die_at_any_step() {
    let (old, new) = (before(), after());
    for victim in ["DbCommit", "FinishCommit"] {
        let points = at_every_point(|point| {
            let (mut world, ann, bob) = world();
            let eve = world.spawn("eve");
            world.hold(ann, Some(victim));
            let first = call(&mut world, ann, everything());
            world.start(ann, first);
            world.run();
            world.kill(ann);
            let second = call(&mut world, bob, everything());
            world.start(bob, second);
            if !world.dies(bob, point) {
                return false;
            }
            let when = format!("{victim}: {point:?} of {:?}", world.sent(bob));
            touch_all(&mut world, eve);
            let settled = state(&mut world);
            assert!(settled == old || settled == new, "{when}: {settled:?}");
            world.assert_idle(&when);
            true
        });
        assert!(points > 20, "{victim}: {points}");
    }
}

/// Every step fails once, on either side; the answer says what happened.
#[test]
fn a_step_that_fails_leaves_all_or_nothing() {
    let (old, new) = (before(), after());
    let steps = {
        let (mut world, ann, _) = world();
        transact(&mut world, ann, everything()).unwrap();
        world.sent(ann).len()
    };
    for n in 0..steps {
        for fault in [Fault::FailsBefore, Fault::FailsAfter] {
            let (mut world, ann, bob) = world();
            world.inject_at(ann, n, fault);
            let told = transact(&mut world, ann, everything());
            let when = format!("{fault:?} at {n} of {:?}: {told:?}", world.sent(ann));
            world.advance(300_000);
            world.kill(ann);
            touch_all(&mut world, bob);
            let settled = state(&mut world);
            assert!(settled == old || settled == new, "{when}: {settled:?}");
            if told.is_ok() {
                assert_eq!(settled, new, "{when}");
            }
            world.assert_idle(&when);
        }
    }
}

#[test]
fn an_outside_change_met_at_the_swap_takes_everything_back() {
    let (mut world, ann, bob) = world();
    world.hold(ann, Some("Swap"));
    let first = call(&mut world, ann, everything());
    let first = world.start(ann, first);
    world.run();
    world.disk.outside("b", Some("outside"));
    world.hold(ann, None);
    let refused = world.finish(ann, first).result;
    assert_eq!(code(&refused), "stale_version", "{refused:?}");
    touch_all(&mut world, bob);
    let State {
        files,
        rows,
        documented,
        patches,
    } = state(&mut world);
    assert_eq!(
        files,
        [("a".into(), "a1".into()), ("b".into(), "outside".into())]
    );
    assert_eq!((rows, documented, patches), (Vec::new(), None, 0));
    world.assert_idle("taken back");
}

/// Two copies of one request cross in two processes, wherever the first stands.
#[test]
fn a_patch_by_itself_is_appended_once_under_its_key() {
    let points = at_every_point(|point| {
        let (mut world, ann, bob) = world();
        let alone = TransactionWanted {
            graph: Some(patch("n")),
            ..TransactionWanted::default()
        };
        let mut first = call(&mut world, ann, alone.clone());
        first.request = Some(key("k", "alone"));
        let first = world.start(ann, first);
        if !world.stops(ann, point) {
            return false;
        }
        let mut copy = call(&mut world, bob, alone);
        copy.request = Some(key("k", "alone"));
        let copied = receipt(world.ask(bob, copy));
        world.resume(ann);
        let told = receipt(world.finish(ann, first));
        let when = format!("{point:?} of {:?}: {told:?}, {copied:?}", world.sent(ann));
        assert_eq!(state(&mut world).patches, 1, "{when}");
        let mut answers = [told, copied].into_iter().flatten();
        assert!(answers.next().is_some(), "{when}");
        true
    });
    assert!(points > 10, "{points}");
}

/// Once the rows are there nothing goes back.
#[test]
fn an_outside_change_met_by_recovery_is_told_with_the_answer() {
    let (mut world, ann, bob) = world();
    world.hold(ann, Some("FinishCommit"));
    let mut first = call(&mut world, ann, everything());
    first.request = Some(key("k", "everything"));
    world.start(ann, first);
    world.run();
    world.kill(ann);
    world.disk.outside("a", Some("outside"));
    touch_all(&mut world, bob);
    let State { rows, patches, .. } = state(&mut world);
    assert_eq!((rows.len(), patches), (2, 1));
    assert_eq!(world.count(Counter::DocgenGenerated), 1);
    let mut again = call(&mut world, bob, everything());
    again.request = Some(key("k", "everything"));
    let answer = receipt(world.ask(bob, again));
    let Ok(Receipt::Changed { files, .. }) = answer else {
        panic!("it took effect: {answer:?}");
    };
    let conflict = files[0].conflict.as_ref().unwrap();
    assert!(conflict.outside_stands);
    assert_eq!(world.newest("a").unwrap().number, files[0].version + 1);
    assert_eq!(world.disk.text("a"), Some("outside"));
    assert_eq!(state(&mut world).rows.len(), 2);
    world.assert_idle("told");
}

/// Found by processes: it was put in place and forgotten, so a repetition changed
/// the other files once more.
#[test]
fn a_set_of_which_one_file_was_changed_outside_is_not_done_twice() {
    let files = || TransactionWanted {
        files: vec![write_over("a", "a2", "a1"), write("c", "c2")],
        ..TransactionWanted::default()
    };
    let (mut world, ann, bob) = world();
    world.hold(ann, Some("FinishCommit"));
    let mut first = call(&mut world, ann, files());
    first.request = Some(key("k", "files"));
    world.start(ann, first);
    world.run();
    world.kill(ann);
    world.disk.outside("a", Some("outside"));
    touch_all(&mut world, bob);
    let mut again = call(&mut world, bob, files());
    again.request = Some(key("k", "files"));
    let Ok(Receipt::Changed { files, .. }) = receipt(world.ask(bob, again)) else {
        panic!("what stands is answered for");
    };
    assert!(files[0].conflict.as_ref().unwrap().outside_stands);
    assert_eq!(files[1].conflict, None);
    assert_eq!(world.disk.text("a"), Some("outside"));
    assert_eq!(world.disk.text("c"), Some("c2"));
    world.assert_idle("told");
}

/// Whoever looks at a graph settles nothing, so the end is not left to recovery.
#[test]
fn an_end_that_appends_a_patch_is_on_the_disk_before_its_answer() {
    let alone = TransactionWanted {
        graph: None,
        ..everything()
    };
    for (wanted, need) in [(everything(), SyncNeed::First), (alone, SyncNeed::Soon)] {
        let (mut world, ann, _) = world();
        let receipt = transact(&mut world, ann, wanted).unwrap();
        let finish = Command::FinishCommit(FinishCommit {
            op: OpId::new("op"),
            exceptions: [].into(),
            recovered_by: None,
            counts: Vec::new(),
        });
        let wake = Vec::new();
        let finished = Outcome::Finished { receipt, wake };
        assert_eq!(finished.sync_need(&finish), need);
    }
}

#[test]
fn a_paused_transaction_is_fenced_or_keeps_others_out() {
    let (old, new) = (before(), after());
    let points = at_every_point(|point| {
        let (mut world, ann, bob) = world();
        let first = call(&mut world, ann, everything());
        let first = world.start(ann, first);
        if !world.stops(ann, point) {
            return false;
        }
        world.advance(300_000);
        let other = TransactionWanted {
            database: Some(rows_of(&["bob"])),
            ..TransactionWanted::default()
        };
        let others = transact(&mut world, bob, other);
        world.resume(ann);
        let told = world.finish(ann, first).result;
        let when = format!("{point:?} of {:?}: {told:?}", world.sent(ann));
        let mut settled = state(&mut world);
        let bobs = settled.rows.iter().filter(|row| *row == "bob").count();
        assert_eq!(bobs, usize::from(others.is_ok()), "{when}");
        settled.rows.retain(|row| row != "bob");
        assert_eq!(settled, *if told.is_ok() { &new } else { &old }, "{when}");
        true
    });
    assert!(points > 40, "{points}");
}

#[test]
fn it_works_under_a_lease_that_is_held() {
    let (mut world, ann, _) = world();
    let mut resources = reservation(&["a", "b", "c"]);
    resources.resources.push(database_resource("rag"));
    let reserve = world.call(ann, Request::Reserve(resources));
    let held = lease(&receipt(world.ask(ann, reserve)).unwrap());
    for (rows, content) in [("x", "1"), ("y", "2")] {
        let wanted = TransactionWanted {
            files: vec![FileOp::Write {
                path: "c".into(),
                content: content.into(),
                base: world.disk.text("c").map(hash),
                on_stale: OnStale::Refuse,
            }],
            database: Some(rows_of(&[rows])),
            documents: Vec::new(),
            graph: Some(patch(rows)),
        };
        let mut call = call(&mut world, ann, wanted);
        call.lease = Some(held.clone());
        let done = receipt(world.ask(ann, call));
        assert_eq!(code(&done), "ok", "{done:?}");
    }
    let State { rows, patches, .. } = state(&mut world);
    assert_eq!((rows, patches), (vec!["x".into(), "y".into()], 2));
    assert_eq!(world.leases().len(), 1);
}
