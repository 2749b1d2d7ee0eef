//! Contract: the journals of graphs.

use maasl_core::graph::changes::{Changes, Node};
use maasl_core::graph::conflict::{Conflict, Contested, Reason};
use maasl_core::graph::journal::{Bytes, Cursor, PART_ENTRIES_MAX, Part};
use maasl_core::graph::patch::{Header, Patch};
use maasl_core::graph::patches::Origin;
use maasl_core::graph::seen::{Dot, Seen};
use maasl_core::graph::state::Merged;
use maasl_core::graph::value::Value;
use maasl_core::id::{ActorId, AgentId, LeaseId};
use maasl_core::lease::command::{AppendPatch, DrawDot, KeepCheckpoint, ReadGraph};
use maasl_core::lease::row::CommitPatch;
use maasl_core::lease::{Command, Count, Counter, Lease, Outcome};
use maasl_core::policy::MERGE_META;
use maasl_core::reply::{GraphChanged, Receipt};
use maasl_core::resource::{Mode, ResourceKey, Scope, Want, canonical};

use super::bench::{Bench, ask_for, request, want};

fn key(graph: &str) -> ResourceKey {
    ResourceKey::new("graph", graph)
}

fn draw(bench: &Bench, graph: &str) -> (Dot, u64) {
    let draw = DrawDot {
        graph: graph.into(),
        max_graphs: 3,
    };
    match bench.run(Command::DrawDot(draw)) {
        Outcome::DotDrawn { dot, wall_ms } => (dot, wall_ms),
        other => panic!("no number: {other:?}"),
    }
}

/// A patch that adds a node, under a number of its own.
fn patch(bench: &Bench, graph: &str, node: &str) -> Patch {
    let (dot, wall_ms) = draw(bench, graph);
    sealed(dot, wall_ms, node)
}

fn sealed(dot: Dot, wall_ms: u64, node: &str) -> Patch {
    let header = Header::new(dot, Seen::nothing(), wall_ms).unwrap();
    let node = Node {
        id: node.into(),
        properties: std::collections::BTreeMap::new(),
    };
    let changes = Changes {
        nodes_to_add: vec![node],
        ..Changes::default()
    };
    Patch::seal(header, &changes).unwrap()
}

fn append(graph: &str, patch: &Patch) -> AppendPatch {
    AppendPatch {
        part: CommitPatch::of(graph, patch),
        after: None,
        lease: None,
        key: key(graph),
        request: None,
        receipt: Receipt::Patched(Box::new(GraphChanged {
            graph: graph.into(),
            patch: patch.id(),
            effect: Merged::default(),
            conflicts: Vec::new(),
            conflicts_total: 0,
            seen: Seen::nothing(),
        })),
        counts: vec![Count::one(
            Counter::GraphMerged,
            MERGE_META,
            &AgentId::new("a"),
        )],
    }
}

fn put(bench: &Bench, append: AppendPatch) -> Outcome {
    bench.run(Command::AppendPatch(Box::new(append)))
}

/// Appends a new patch and returns the end of the journal.
fn add(bench: &Bench, graph: &str, node: &str) -> Cursor {
    let patch = patch(bench, graph, node);
    match put(bench, append(graph, &patch)) {
        Outcome::Appended { end, is_new: true } => end,
        other => panic!("not appended: {other:?}"),
    }
}

fn read(bench: &Bench, graph: &str, after: Cursor) -> Part {
    let read = ReadGraph {
        graph: graph.into(),
        after,
        durable: true,
    };
    match bench.run(Command::ReadGraph(read)) {
        Outcome::Journal(part) => *part,
        other => panic!("no journal: {other:?}"),
    }
}

fn places(part: &Part) -> Vec<u64> {
    part.entries.iter().map(|entry| entry.place).collect()
}

fn hold(bench: &Bench, graph: &str) -> Lease {
    let mut want = want("", Scope::Exact, Mode::Exclusive);
    want = Want {
        class: MERGE_META.into(),
        extent: maasl_core::resource::Extent {
            key: key(graph),
            scope: Scope::Exact,
        },
        ..want
    };
    bench.take(ask_for("a", canonical(vec![want])))
}

fn keep(lease: &Lease, graph: &str, through: Cursor, bytes: &[u8]) -> Command {
    Command::KeepCheckpoint(KeepCheckpoint {
        graph: graph.into(),
        through,
        checkpoint: Bytes::from(bytes),
        lease: lease.id.clone(),
        key: key(graph),
        counts: Vec::new(),
    })
}

pub(crate) fn a_patch_is_appended_once_and_read_in_order(bench: &Bench) {
    let start = Cursor::default();
    assert!(!read(bench, "g", start).is_news());
    let first = patch(bench, "g", "a");
    let second = patch(bench, "g", "b");
    for (again, patch) in [(false, &second), (true, &second), (false, &first)] {
        let outcome = put(bench, append("g", patch));
        assert!(
            matches!(outcome, Outcome::Appended { is_new, .. } if is_new != again),
            "{outcome:?}"
        );
    }
    let part = read(bench, "g", start);
    assert_eq!((places(&part), part.anew), (vec![1, 2], false));
    let bytes = part.entries.iter().map(|entry| entry.bytes.as_slice());
    let read_back: Vec<Patch> = bytes
        .map(|bytes| Patch::from_bytes(bytes).unwrap())
        .collect();
    assert_eq!(read_back, [second, first]);
    let middle = Cursor {
        place: 1,
        patch: Some(part.entries[0].patch),
    };
    assert_eq!(places(&read(bench, "g", middle)), [2]);
    assert!(!read(bench, "g", part.end).is_news());
    assert_eq!(bench.count("graph_merged"), 2);
}

pub(crate) fn an_answer_is_kept_with_its_patch(bench: &Bench) {
    let keyed = |patch: &Patch| AppendPatch {
        request: Some(request("key-1")),
        ..append("g", patch)
    };
    let first = keyed(&patch(bench, "g", "a"));
    put(bench, first.clone());
    let again = keyed(&patch(bench, "g", "a"));
    assert_eq!(put(bench, again), Outcome::Answered(first.receipt));
    assert_eq!(places(&read(bench, "g", Cursor::default())), [1]);
}

/// A conflict that a patch lost with this value.
fn conflict(patch: &Patch, lost: &str) -> Conflict {
    let header = patch.header();
    Conflict {
        about: Contested::Property {
            node: "a".into(),
            key: "k".into(),
        },
        reason: Reason::OtherValue,
        loser: Origin {
            patch: patch.id(),
            index: 0,
            actor: header.dot.actor.clone(),
            stamp: header.stamp,
        },
        lost: Some(Value::parse(lost).unwrap()),
        winner: None,
        won: None,
    }
}

/// A `null` is a value, and numbers are kept digit for digit.
pub(crate) fn an_answer_keeps_the_values_of_its_conflicts(bench: &Bench) {
    let patch = patch(bench, "g", "a");
    let lost = ["null", "1.50", "1e400", "18446744073709551616", "[null]"];
    let conflicts = lost.map(|lost| conflict(&patch, lost));
    let first = AppendPatch {
        request: Some(request("key-1")),
        receipt: Receipt::Patched(Box::new(GraphChanged {
            graph: "g".into(),
            patch: patch.id(),
            effect: Merged::default(),
            conflicts: conflicts.into(),
            conflicts_total: 5,
            seen: Seen::nothing(),
        })),
        ..append("g", &patch)
    };
    put(bench, first.clone());
    assert_eq!(put(bench, first.clone()), Outcome::Answered(first.receipt));
}

#[test]
fn a_conflict_that_an_earlier_version_kept_is_read() {
    let dot = Dot {
        actor: ActorId::new("a"),
        counter: 1,
    };
    let conflict = conflict(&sealed(dot, 1_000, "a"), "7");
    let mut kept = serde_json::to_value(&conflict).unwrap();
    let text = kept.as_object_mut().unwrap().remove("lost_text");
    assert_eq!(text, Some("7".into()));
    kept["lost"] = 7.into();
    let read: Conflict = serde_json::from_value(kept.clone()).unwrap();
    assert_eq!(read, conflict);
    kept["lost"] = serde_json::Value::Null;
    let read: Conflict = serde_json::from_value(kept).unwrap();
    assert_eq!(read.lost, None);
}

pub(crate) fn a_patch_follows_the_one_it_was_made_after(bench: &Bench) {
    let end = add(bench, "g", "a");
    let next = patch(bench, "g", "b");
    let behind = AppendPatch {
        after: Some(Cursor::default()),
        ..append("g", &next)
    };
    assert_eq!(put(bench, behind.clone()), Outcome::JournalMoved(end));
    let after = Some(end);
    let outcome = put(bench, AppendPatch { after, ..behind });
    assert!(matches!(outcome, Outcome::Appended { end, .. } if end.place == 2));
}

pub(crate) fn a_lease_that_is_presented_must_stand(bench: &Bench) {
    let lease = hold(bench, "g");
    let patch = patch(bench, "g", "a");
    let under = |id: &LeaseId, graph: &str| AppendPatch {
        lease: Some(id.clone()),
        key: key(graph),
        ..append("g", &patch)
    };
    let other = put(bench, under(&lease.id, "other"));
    assert!(matches!(other, Outcome::NotCovered { .. }), "{other:?}");
    let unknown = put(bench, under(&LeaseId::new("none"), "g"));
    assert!(matches!(unknown, Outcome::Lost { .. }), "{unknown:?}");
    assert!(!read(bench, "g", Cursor::default()).is_news());
    let fine = put(bench, under(&lease.id, "g"));
    assert!(matches!(fine, Outcome::Appended { .. }), "{fine:?}");
}

pub(crate) fn a_reader_in_another_journal_begins_anew(bench: &Bench) {
    let end = add(bench, "g", "a");
    add(bench, "other", "b");
    let strange = Cursor {
        place: end.place,
        patch: read(bench, "other", Cursor::default()).end.patch,
    };
    let part = read(bench, "g", strange);
    assert_eq!((part.anew, places(&part)), (true, vec![1]));
    let beyond = Cursor { place: 9, ..end };
    assert!(read(bench, "g", beyond).anew);
    assert!(read(bench, "none", end).anew);
}

pub(crate) fn a_checkpoint_takes_the_place_of_patches(bench: &Bench) {
    let (one, two) = (add(bench, "g", "a"), add(bench, "g", "b"));
    let three = add(bench, "g", "c");
    let lease = hold(bench, "g");
    bench.run(keep(&lease, "g", two, b"checkpoint"));
    let part = read(bench, "g", Cursor::default());
    let expected = Some((two, Bytes::from(&b"checkpoint"[..])));
    assert_eq!((part.checkpoint, part.anew), (expected, false));
    assert_eq!(places(&read(bench, "g", two)), [3]);
    assert!(read(bench, "g", one).anew, "what it stood on is gone");
    let Outcome::Graphs(graphs) = bench.run(Command::ListGraphs) else {
        panic!("no graphs");
    };
    let journal = &graphs[0];
    assert_eq!(
        (journal.end, journal.kept, journal.entries()),
        (three, two, 1)
    );
    assert_eq!(journal.checkpoint_bytes, 10);
    let left = read(bench, "g", two).entries[0].bytes.count();
    assert_eq!(journal.bytes, left);
    bench.run(keep(&lease, "g", one, b"older"));
    bench.run(keep(&lease, "g", three, b"newer"));
    let part = read(bench, "g", Cursor::default());
    let expected = Some((three, Bytes::from(&b"newer"[..])));
    assert_eq!((part.checkpoint, part.entries.len()), (expected, 0));
    let four = add(bench, "g", "d");
    assert_eq!(four.place, 4, "places go on");
}

pub(crate) fn a_checkpoint_needs_the_lease(bench: &Bench) {
    let end = add(bench, "g", "a");
    let lease = hold(bench, "g");
    bench.time.pass_ms(super::bench::TTL_MS + 1);
    let late = bench.run(keep(&lease, "g", end, b"late"));
    assert!(matches!(late, Outcome::Lost { .. }), "{late:?}");
    assert_eq!(places(&read(bench, "g", Cursor::default())), [1]);
}

pub(crate) fn graphs_are_apart_and_bounded(bench: &Bench) {
    for graph in ["a", "b", "c"] {
        add(bench, graph, graph);
    }
    assert_eq!(places(&read(bench, "b", Cursor::default())), [1]);
    let (one, other) = (draw(bench, "a").0, draw(bench, "b").0);
    assert_eq!((one.counter, other.counter), (2, 2));
    let fourth = Command::DrawDot(DrawDot {
        graph: "d".into(),
        max_graphs: 3,
    });
    let refused = bench.run(fourth);
    assert!(
        matches!(refused, Outcome::LimitReached { value: 3, .. }),
        "{refused:?}"
    );
}

pub(crate) fn a_number_without_a_patch_makes_no_graph(bench: &Bench) {
    for graph in ["a", "b", "c"] {
        draw(bench, graph);
    }
    for graph in ["d", "e", "a"] {
        add(bench, graph, graph);
    }
    for graph in ["b", "f"] {
        let draw = Command::DrawDot(DrawDot {
            graph: graph.into(),
            max_graphs: 3,
        });
        let refused = bench.run(draw);
        assert!(
            matches!(refused, Outcome::LimitReached { value: 3, .. }),
            "{graph}: {refused:?}"
        );
    }
}

pub(crate) fn a_long_journal_comes_in_parts(bench: &Bench) {
    for n in 0..=PART_ENTRIES_MAX {
        add(bench, "g", &n.to_string());
    }
    let part = read(bench, "g", Cursor::default());
    assert_eq!(part.entries.len(), PART_ENTRIES_MAX);
    let rest = read(bench, "g", part.reaches(Cursor::default()));
    assert_eq!(rest.entries.len(), 1);
    assert_eq!(rest.reaches(Cursor::default()), rest.end);
}
