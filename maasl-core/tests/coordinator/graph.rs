//! Patches of graphs: without a lease, once, and nothing of them half done.

use maasl_core::coordinator::graph::{GraphFile, GraphPatch, GraphQuery, GraphView, MAIN};
use maasl_core::coordinator::io::{Call, Reply, Request};
use maasl_core::graph::changes::{Changes, Node};
use maasl_core::graph::patch::PatchId;
use maasl_core::graph::query::Question;
use maasl_core::graph::seen::{Dot, Seen};
use maasl_core::graph::stamp::Stamp;
use maasl_core::graph::value::Value;
use maasl_core::id::{ActorId, AgentId};
use maasl_core::lease::command::AppendPatch;
use maasl_core::lease::row::CommitPatch;
use maasl_core::lease::{Change, Command, Outcome, Query, Rows};
use maasl_core::refusal::Refusal;
use maasl_core::reply::Receipt;
use maasl_core::resource::ResourceKey;

use super::asking::receipt;
use super::ops::{code, key, lease, reserve};
use super::world::{Fault, Pid, World, at_every_point};

fn world() -> (World, Pid, Pid) {
    World::of_two(&[])
}

/// Sets a property of the one node, which is added with it.
fn patch(value: &str, seen: Option<Seen>) -> Request {
    adding(vec![node("n", value)], seen)
}

fn node(id: &str, value: &str) -> Node {
    Node {
        id: id.into(),
        properties: [("by".into(), Value::text(value))].into(),
    }
}

fn adding(nodes_to_add: Vec<Node>, seen: Option<Seen>) -> Request {
    Request::Patch(GraphPatch {
        graph: MAIN.into(),
        changes: Changes {
            nodes_to_add,
            ..Changes::default()
        },
        seen,
    })
}

fn put(world: &mut World, pid: Pid, value: &str) -> Result<Receipt, Refusal> {
    let call = world.call(pid, patch(value, None));
    receipt(world.ask(pid, call))
}

fn keyed(world: &mut World, pid: Pid, value: &str) -> Call {
    Call {
        request: Some(key("k", value)),
        ..world.call(pid, patch(value, None))
    }
}

fn look(world: &mut World, pid: Pid) -> GraphView {
    match try_to_look(world, pid) {
        Ok(Reply::Graph(view)) => *view,
        other => panic!("no view: {other:?}"),
    }
}

fn try_to_look(world: &mut World, pid: Pid) -> Result<Reply, Refusal> {
    let query = Request::Query(GraphQuery {
        graph: MAIN.into(),
        question: Question {
            node: None,
            depth: 0,
            nodes_max: 99,
            edges_max: 99,
        },
        conflicts_max: 99,
    });
    let call = world.call(pid, query);
    world.ask(pid, call).result
}

fn shown(view: &GraphView) -> String {
    view.answer.nodes[0].properties["by"].to_string()
}

fn told(receipt: &Receipt) -> (u64, &Seen) {
    match receipt {
        Receipt::Patched(changed) => (changed.conflicts_total, &changed.seen),
        other => panic!("no patch: {other:?}"),
    }
}

#[test]
fn a_journal_whose_patches_are_gone_is_refused_as_damaged() {
    let (mut world, ann, _) = world();
    put(&mut world, ann, "one").unwrap();
    let Rows::Journals(journals) = world.rows.load(&Query::Journal(MAIN.into())) else {
        panic!("a journal was asked for");
    };
    let mut journal = journals[0].clone();
    journal.end.place += 1;
    world.rows.apply(Change::PutJournal(Box::new(journal)));
    let refused = put(&mut world, ann, "two");
    assert_eq!(code(&refused), "internal");
    assert!(refused.unwrap_err().to_string().contains("damaged"));
}

#[test]
fn what_an_agent_saw_last_is_what_its_patch_builds_on() {
    let (mut world, ann, bob) = world();
    let first = put(&mut world, ann, "one").unwrap();
    let second = put(&mut world, ann, "two").unwrap();
    assert_eq!(
        (told(&first).0, told(&second).0),
        (0, 0),
        "it has seen its own"
    );
    let blind = put(&mut world, bob, "three").unwrap();
    assert_eq!(told(&blind).0, 1);
    look(&mut world, bob);
    let knowing = put(&mut world, bob, "four").unwrap();
    assert_eq!(told(&knowing).0, 0);
    // Somebody else passes on what it saw.
    let seen = Some(told(&knowing).1.clone());
    let call = world.call(ann, patch("five", seen));
    let passed = receipt(world.ask(ann, call)).unwrap();
    assert_eq!(told(&passed).0, 0);
    let view = look(&mut world, ann);
    assert_eq!(
        (shown(&view).as_str(), view.conflicts_total),
        ("\"five\"", 0)
    );
    let strange: Seen = "9.0;elsewhere=1".parse().unwrap();
    let call = world.call(ann, patch("six", Some(strange)));
    assert_eq!(code(&receipt(world.ask(ann, call))), "invalid_request");
    world.assert_idle("patched");
}

#[test]
fn what_was_seen_of_a_state_that_is_gone_does_not_count() {
    let (mut world, ann, _) = world();
    put(&mut world, ann, "one").unwrap();
    world.replace_state();
    put(&mut world, ann, "two").unwrap();
    let third = put(&mut world, ann, "three").unwrap();
    assert_eq!(told(&third).0, 0, "it has seen its own");
    world.replace_state();
    look(&mut world, ann);
    put(&mut world, ann, "four").unwrap();
    put(&mut world, ann, "five").unwrap();
    assert_eq!(look(&mut world, ann).conflicts_total, 0);
}

#[test]
fn an_answer_that_is_given_again_was_seen() {
    let (mut world, ann, bob) = world();
    let first = keyed(&mut world, ann, "x");
    receipt(world.ask(ann, first)).unwrap();
    // The same agent, through another server.
    let by_ann = |call: Call| Call {
        agent: AgentId::new("ann"),
        ..call
    };
    let again = by_ann(keyed(&mut world, bob, "x"));
    receipt(world.ask(bob, again)).unwrap();
    let call = by_ann(world.call(bob, patch("y", None)));
    let next = receipt(world.ask(bob, call)).unwrap();
    assert_eq!(told(&next).0, 0);
}

#[test]
fn patches_that_cross_are_both_there_and_the_second_is_told() {
    let points = at_every_point(|point| {
        let (mut world, ann, bob) = world();
        let call = world.call(ann, patch("ann", None));
        let call = world.start(ann, call);
        if !world.stops(ann, point) {
            return false;
        }
        let others = put(&mut world, bob, "bob").unwrap();
        world.resume(ann);
        let own = receipt(world.finish(ann, call)).unwrap();
        let when = format!("{point:?} of {:?}", world.sent(ann));
        assert_eq!(
            told(&own).0 + told(&others).0,
            1,
            "{when}: {own:?} and {others:?}"
        );
        let (one, other) = (look(&mut world, ann), look(&mut world, bob));
        assert_eq!(one, other, "{when}");
        assert_eq!((one.patches, one.conflicts_total), (2, 1), "{when}");
        world.assert_idle(&when);
        true
    });
    assert!(points > 6, "{points}");
}

#[test]
fn a_patch_that_dies_at_any_step_is_once_under_its_key() {
    let points = at_every_point(|point| {
        let (mut world, ann, bob) = world();
        let call = keyed(&mut world, ann, "x");
        world.start(ann, call);
        if !world.dies(ann, point) {
            return false;
        }
        let when = format!("{point:?} of {:?}", world.sent(ann));
        let again = keyed(&mut world, bob, "x");
        let first = receipt(world.ask(bob, again));
        assert_eq!(code(&first), "ok", "{when}");
        let again = keyed(&mut world, bob, "x");
        assert_eq!(receipt(world.ask(bob, again)), first, "{when}");
        assert_eq!(look(&mut world, bob).patches, 1, "{when}");
        let other = keyed(&mut world, bob, "y");
        assert_eq!(
            code(&receipt(world.ask(bob, other))),
            "idempotency_mismatch"
        );
        true
    });
    assert!(points > 6, "{points}");
}

#[test]
fn a_failure_at_any_step_leaves_a_patch_whole_or_absent() {
    for fault in [Fault::FailsBefore, Fault::FailsAfter] {
        for n in 0.. {
            let (mut world, ann, bob) = world();
            world.inject_at(ann, n, fault);
            let result = put(&mut world, ann, "x");
            if world.sent(ann).len() <= n {
                break;
            }
            let when = format!("{fault:?} of step {n} of {:?}", world.sent(ann));
            let view = look(&mut world, bob);
            let whole = view.patches == 1 && shown(&view) == "\"x\"";
            assert!(whole || view.patches == 0, "{when}: {view:?}");
            assert!(
                whole || result.is_err(),
                "{when}: acknowledged and not there"
            );
            assert_eq!(code(&put(&mut world, ann, "y")), "ok", "{when}");
            assert_eq!(look(&mut world, ann), look(&mut world, bob), "{when}");
        }
    }
}

#[test]
fn a_checkpoint_that_dies_at_any_step_changes_nothing_that_shows() {
    let points = at_every_point(|point| {
        let (mut world, ann, bob) = world();
        put(&mut world, ann, "one").unwrap();
        put(&mut world, bob, "two").unwrap();
        let before = look(&mut world, bob);
        let compact = Request::CompactGraphs(Some(MAIN.into()));
        let call = world.call(ann, compact);
        world.start(ann, call);
        if !world.stops(ann, point) {
            return false;
        }
        let when = format!("{point:?} of {:?}", world.sent(ann));
        // Nobody waits for it: neither to patch nor to look.
        let meanwhile = put(&mut world, bob, "three").unwrap();
        assert_eq!(told(&meanwhile).0, 0, "{when}");
        world.kill(ann);
        let new = world.spawn("new");
        let view = look(&mut world, new);
        assert_eq!(view, look(&mut world, bob), "{when}");
        assert_eq!(
            (view.patches, shown(&view).as_str()),
            (3, "\"three\""),
            "{when}"
        );
        assert_ne!(view.digest, before.digest);
        true
    });
    assert!(points > 8, "{points}");
}

/// Appends a MiB that is no patch.
fn damage(world: &mut World, graph: &str, receipt: Receipt) {
    let dot = Dot {
        actor: ActorId::new("a"),
        counter: 1,
    };
    let part = CommitPatch {
        graph: graph.into(),
        patch: PatchId::from_bytes(&[7; 32]).unwrap(),
        dot,
        stamp: Stamp::ZERO,
        bytes: vec![0_u8; 1024 * 1024].into(),
    };
    let append = AppendPatch {
        part,
        after: None,
        lease: None,
        key: ResourceKey::new("graph", graph),
        request: None,
        receipt,
        counts: Vec::new(),
    };
    let command = Command::AppendPatch(Box::new(append));
    let clock = world.store_clock();
    let outcome = world.rows.transact(&command, clock);
    assert!(matches!(outcome, Outcome::Appended { .. }), "{outcome:?}");
}

#[test]
fn a_damaged_graph_keeps_no_other_from_its_checkpoint() {
    let (mut world, ann, _) = world();
    // Values that are the same are stored once.
    let long = |n: u32| n.to_string().repeat(250_000);
    let nodes = (0..5).map(|n| node(&n.to_string(), &long(n))).collect();
    let call = world.call(ann, adding(nodes, None));
    let done = receipt(world.ask(ann, call)).unwrap();
    damage(&mut world, "before-main", done);
    let call = world.call(ann, Request::CompactGraphs(None));
    let Ok(Reply::Compacted(compacted)) = world.ask(ann, call).result else {
        panic!("one is damaged, and the other was to be looked at");
    };
    let failed = compacted.failed.iter();
    let failed = failed.map(|(graph, refusal)| (graph.as_str(), refusal.code()));
    assert_eq!(failed.collect::<Vec<_>>(), [("before-main", "internal")]);
    assert_eq!(compacted.kept, 1);
    let kept = world.journals().into_iter().map(|one| one.kept.place);
    assert_eq!(kept.collect::<Vec<_>>(), [0, 1]);
    world.assert_idle("compacted");
}

#[test]
fn a_graph_whose_lease_cannot_be_returned_keeps_no_other_from_its_checkpoint() {
    let (mut world, ann, _) = world();
    let long = |n: u32| n.to_string().repeat(250_000);
    for graph in ["before-main", MAIN] {
        let nodes = (0..5).map(|n| node(&n.to_string(), &long(n))).collect();
        let Request::Patch(patch) = adding(nodes, None) else {
            panic!("nodes are added by a patch");
        };
        let graph = graph.to_owned();
        let call = world.call(ann, Request::Patch(GraphPatch { graph, ..patch }));
        receipt(world.ask(ann, call)).unwrap();
    }
    for command in ["Release", "Expire"] {
        world.inject(ann, command, 1, Fault::FailsBefore);
    }
    let call = world.call(ann, Request::CompactGraphs(None));
    let Ok(Reply::Compacted(compacted)) = world.ask(ann, call).result else {
        panic!("both are sound");
    };
    assert_eq!((compacted.kept, compacted.failed), (2, Vec::new()));
}

/// A reader would else go on for ever, or show a graph without what is gone.
#[test]
fn a_journal_without_some_of_its_patches_is_refused() {
    for through in [1, 2] {
        let (mut world, ann, _) = world();
        put(&mut world, ann, "one").unwrap();
        put(&mut world, ann, "two").unwrap();
        world.rows.apply(Change::PutCheckpoint {
            graph: MAIN.into(),
            through,
            bytes: Vec::<u8>::new().into(),
        });
        let new = world.spawn("new");
        let refused = try_to_look(&mut world, new);
        assert_eq!(code(&refused), "internal", "{refused:?}");
    }
}

#[test]
fn a_presented_lease_must_cover_the_graph() {
    let (mut world, ann, _) = world();
    let call = world.call(ann, reserve(&["f"]));
    let granted = receipt(world.ask(ann, call)).unwrap();
    let call = Call {
        lease: Some(lease(&granted)),
        ..world.call(ann, patch("x", None))
    };
    assert_eq!(code(&receipt(world.ask(ann, call))), "invalid_request");
    assert_eq!(look(&mut world, ann).patches, 0);
}

#[test]
fn a_graph_goes_to_its_file_and_back_without_loss() {
    let (mut world, ann, bob) = world();
    put(&mut world, ann, "x").unwrap();
    let file = || GraphFile {
        graph: MAIN.into(),
        path: Some("graph.json".into()),
    };
    let call = world.call(ann, Request::ExportGraph(file()));
    let Ok(Receipt::Changed { files, .. }) = receipt(world.ask(ann, call)) else {
        panic!("not written");
    };
    assert_eq!((files[0].op.as_str(), files[0].version), ("graph", 1));
    let content = String::from_utf8(world.disk.files["graph.json"].clone()).unwrap();
    let expected = "{\"edges\":[],\"nodes\":[{\"by\":\"x\",\"id\":\"n\"}]}\n";
    assert_eq!(content, expected);
    let call = world.call(bob, Request::ImportGraph(file()));
    let Ok(Reply::Imported(imported)) = world.ask(bob, call).result else {
        panic!("not brought in");
    };
    assert_eq!(imported.patches, 0, "nothing is new");
    world.assert_idle("written");
}
