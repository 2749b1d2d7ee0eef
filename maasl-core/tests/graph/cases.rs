//! What a graph does, by name.

use maasl_core::graph::changes::{Changes, Edge, Node};
use maasl_core::graph::conflict::{Conflict, Contested, Reason};
use maasl_core::graph::patch::{Header, Patch};
use maasl_core::graph::query::Question;
use maasl_core::graph::seen::Seen;
use maasl_core::graph::stamp::{AHEAD_MS_NOTED, Stamp};
use maasl_core::graph::state::Graph;
use maasl_core::graph::value::Value;

use crate::history::{ALL, dot, show};

const NOW_MS: u64 = 1_750_000_000_000;

/// A store with a clock, and the patches it heard of.
struct Store {
    n: usize,
    wall_ms: u64,
    graph: Graph,
}

impl Store {
    fn new(n: usize) -> Self {
        Self::at(n, NOW_MS)
    }

    fn at(n: usize, wall_ms: u64) -> Self {
        let graph = Graph::new();
        Self { n, wall_ms, graph }
    }

    /// Makes a patch that knows all the store knows.
    fn does(&mut self, changes: &Changes) -> Patch {
        let seen = self.graph.seen().clone();
        self.does_knowing(seen, changes)
    }

    fn does_knowing(&mut self, seen: Seen, changes: &Changes) -> Patch {
        let counter = self.graph.next_counter(&dot(self.n, 1).actor);
        let header = Header::new(dot(self.n, counter), seen, self.wall_ms).expect("stamps");
        let patch = Patch::seal(header, changes).expect("valid");
        self.hears(&[&patch]);
        patch
    }

    fn hears(&mut self, patches: &[&Patch]) {
        for patch in patches {
            self.graph.merge(std::slice::from_ref(patch));
        }
    }
}

fn add(ids: &[&str]) -> Changes {
    let node = |id: &&str| Node {
        id: String::from(*id),
        properties: [].into(),
    };
    Changes {
        nodes_to_add: ids.iter().map(node).collect(),
        ..Changes::default()
    }
}

fn remove(id: &str) -> Changes {
    Changes {
        nodes_to_remove: vec![id.into()],
        ..Changes::default()
    }
}

fn set(node: &str, key: &str, value: i64) -> Changes {
    let value = [(String::from(key), Value::Integer(value))].into();
    Changes {
        properties_to_set: [(String::from(node), value)].into(),
        ..Changes::default()
    }
}

fn clear(node: &str, key: &str) -> Changes {
    Changes {
        properties_to_clear: [(String::from(node), vec![String::from(key)])].into(),
        ..Changes::default()
    }
}

fn edge(source: &str, target: &str) -> Edge {
    Edge {
        source: source.into(),
        relation: "calls".into(),
        target: target.into(),
    }
}

fn add_edge(source: &str, target: &str) -> Changes {
    Changes {
        edges_to_add: vec![edge(source, target)],
        ..Changes::default()
    }
}

fn built(patches: &[&Patch]) -> Graph {
    let mut graph = Graph::new();
    let patches: Vec<Patch> = patches.iter().copied().cloned().collect();
    graph.merge(&patches);
    graph
}

fn property(graph: &Graph, node: &str, key: &str) -> Option<Value> {
    let node = graph.node_with_id(node)?;
    node.properties.get(key).cloned()
}

fn ids(graph: &Graph) -> Vec<String> {
    let nodes = graph.ask(&ALL).nodes;
    nodes.into_iter().map(|node| node.id).collect()
}

fn only(graph: &Graph) -> Conflict {
    let mut log = graph.log(10);
    assert_eq!(log.len(), 1, "{log:#?}");
    log.remove(0)
}

#[test]
fn of_two_values_set_at_once_one_shows_and_the_other_is_kept() {
    let (mut ann, mut bob) = (Store::at(0, NOW_MS), Store::at(1, NOW_MS + 1));
    let node = ann.does(&add(&["n"]));
    bob.hears(&[&node]);
    let one = ann.does(&set("n", "k", 1));
    let two = bob.does(&set("n", "k", 2));
    let graph = built(&[&two, &one, &node]);
    assert_eq!(property(&graph, "n", "k"), Some(Value::Integer(2)));
    let conflict = only(&graph);
    assert_eq!(conflict.reason, Reason::OtherValue);
    assert_eq!(conflict.lost, Some(Value::Integer(1)));
    assert_eq!(conflict.won, Some(Value::Integer(2)));
    assert_eq!(conflict.loser.patch, one.id());
    assert_eq!(conflict.winner.map(|origin| origin.patch), Some(two.id()));

    // Whoever has seen both has the last word, and the conflict is over.
    ann.hears(&[&two]);
    let third = ann.does(&set("n", "k", 1));
    let graph = built(&[&third, &two, &one, &node]);
    assert_eq!(property(&graph, "n", "k"), Some(Value::Integer(1)));
    assert_eq!(graph.conflicts(), 0);
}

#[test]
fn the_same_value_set_at_once_is_no_conflict() {
    let (mut ann, mut bob) = (Store::new(0), Store::new(1));
    let node = ann.does(&add(&["n"]));
    let one = ann.does(&set("n", "k", 1));
    let two = bob.does(&set("n", "k", 1));
    assert_eq!(built(&[&node, &one, &two]).conflicts(), 0);
}

#[test]
fn what_was_seen_is_overwritten_whatever_the_clocks_say() {
    let mut ahead = Store::at(0, NOW_MS + 10 * 365 * 86_400_000);
    let mut behind = Store::at(1, 0);
    let first = ahead.does(&add(&["n"]));
    let second = ahead.does(&set("n", "k", 1));
    behind.hears(&[&first, &second]);
    let third = behind.does(&set("n", "k", 2));
    assert!(third.header().stamp > second.header().stamp);
    let graph = built(&[&third, &first, &second]);
    assert_eq!(property(&graph, "n", "k"), Some(Value::Integer(2)));
    assert_eq!(graph.conflicts(), 0);
}

#[test]
fn a_clock_far_ahead_is_noticed_and_does_not_run_away() {
    let mut broken = Store::at(0, u64::MAX);
    let mut right = Store::at(1, NOW_MS);
    let mut seen = broken.does(&add(&["n"]));
    assert!(seen.header().stamp.ahead_ms(NOW_MS) > AHEAD_MS_NOTED);
    for value in 0..100 {
        right.hears(&[&seen]);
        let next = right.does(&set("n", "k", value));
        assert!(next.header().stamp > seen.header().stamp);
        assert_eq!(next.header().stamp.ms(), seen.header().stamp.ms());
        seen = next;
    }
    assert!(Stamp::after(seen.header().stamp, NOW_MS).is_some());
}

#[test]
fn an_edge_waits_for_its_nodes() {
    let (mut ann, mut bob) = (Store::new(0), Store::new(1));
    let edge = bob.does(&add_edge("a", "b"));
    let a = ann.does(&add(&["a"]));
    let mut graph = built(&[&edge, &a]);
    assert_eq!(graph.ask(&ALL).edges, []);
    let nodes = vec![String::from("b")];
    assert_eq!(only(&graph).reason, Reason::NoNode { nodes });
    let b = ann.does(&add(&["b"]));
    let merged = graph.merge(std::slice::from_ref(&b));
    assert_eq!((merged.nodes_added, merged.edges_added), (1, 1));
    assert_eq!((graph.ask(&ALL).edges.len(), graph.conflicts()), (1, 0));
}

#[test]
fn an_update_at_the_same_time_beats_a_removal() {
    for update in [set("n", "k", 2), add_edge("m", "n"), add(&["n"])] {
        let (mut ann, mut bob) = (Store::new(0), Store::new(1));
        let start = ann.does(&add(&["m", "n"]));
        bob.hears(&[&start]);
        let removal = ann.does(&remove("n"));
        let update = bob.does(&update);
        let graph = built(&[&removal, &update, &start]);
        assert_eq!(ids(&graph), ["m", "n"]);
        let conflict = only(&graph);
        assert_eq!(conflict.reason, Reason::Updated);
        assert_eq!(conflict.loser.patch, removal.id());
        assert_eq!(
            conflict.winner.map(|origin| origin.patch),
            Some(update.id())
        );
        assert_eq!(conflict.about, Contested::Node { node: "n".into() });
    }
}

#[test]
fn a_value_beats_a_clearing_at_the_same_time() {
    let (mut ann, mut bob) = (Store::at(0, NOW_MS + 5), Store::new(1));
    let start = ann.does(&add(&["n"]));
    let old = ann.does(&set("n", "k", 1));
    bob.hears(&[&start, &old]);
    let clearing = ann.does(&clear("n", "k"));
    let value = bob.does(&set("n", "k", 2));
    let graph = built(&[&start, &old, &clearing, &value]);
    assert_eq!(property(&graph, "n", "k"), Some(Value::Integer(2)));
    assert_eq!(only(&graph).loser.patch, clearing.id());
}

#[test]
fn a_removal_that_had_seen_everything_hides_everything() {
    let mut ann = Store::new(0);
    let start = ann.does(&add(&["m", "n"]));
    let value = ann.does(&set("n", "k", 1));
    let edge = ann.does(&add_edge("m", "n"));
    let removal = ann.does(&remove("n"));
    let graph = built(&[&removal, &edge, &value, &start]);
    assert_eq!(ids(&graph), ["m"]);
    assert_eq!((graph.ask(&ALL).edges.len(), graph.conflicts()), (0, 0));

    // What is set on it afterwards waits for it to be added again.
    let late = ann.does(&set("n", "k", 2));
    let graph = built(&[&removal, &edge, &value, &start, &late]);
    assert_eq!(ids(&graph), ["m"]);
    let nodes = vec![String::from("n")];
    assert_eq!(only(&graph).reason, Reason::NoNode { nodes });
}

#[test]
fn a_node_that_is_added_again_begins_anew() {
    let mut ann = Store::new(0);
    ann.does(&add(&["m", "n"]));
    ann.does(&set("n", "k", 1));
    ann.does(&add_edge("m", "n"));
    ann.does(&remove("n"));
    ann.does(&add(&["n"]));
    assert_eq!(ids(&ann.graph), ["m", "n"]);
    assert_eq!(property(&ann.graph, "n", "k"), None);
    assert_eq!(ann.graph.ask(&ALL).edges, []);

    // In one patch as well.
    ann.does(&set("n", "k", 2));
    let again = Changes {
        nodes_to_remove: vec!["n".into()],
        ..add(&["n"])
    };
    ann.does(&again);
    assert_eq!(property(&ann.graph, "n", "k"), None);
    assert_eq!((ids(&ann.graph).len(), ann.graph.conflicts()), (2, 0));
}

#[test]
fn a_removal_that_comes_late_still_removes() {
    let mut ann = Store::new(0);
    let start = ann.does(&add(&["n"]));
    let removal = ann.does(&remove("n"));
    let again = ann.does(&add(&["n"]));
    let second = ann.does(&remove("n"));
    let mut graph = built(&[&second, &again]);
    graph.compact();
    graph.merge(&[start, removal]);
    assert_eq!(ids(&graph), [""; 0]);
}

#[test]
fn two_patches_with_one_dot_are_two_patches() {
    let (mut ann, mut copy) = (Store::new(0), Store::new(0));
    let one = ann.does(&add(&["a"]));
    let two = copy.does(&add(&["b"]));
    assert_eq!(one.header().dot, two.header().dot);
    let graph = built(&[&one, &two]);
    assert_eq!(ids(&graph), ["a", "b"]);
    assert_eq!(graph.patches(), 2);
    let conflict = only(&graph);
    assert_eq!(conflict.reason, Reason::SharedDot);
    assert_eq!(conflict.about, Contested::Dot(one.header().dot.clone()));
}

#[test]
fn an_author_who_knew_little_overwrites_little() {
    let mut ann = Store::new(0);
    let start = ann.does(&add(&["n"]));
    let mut early = Seen::nothing();
    early.insert(&start.header().dot, start.header().stamp);
    ann.does(&set("n", "k", 1));
    // The same store, on behalf of somebody who had not looked since.
    ann.wall_ms += 1;
    ann.does_knowing(early, &set("n", "k", 2));
    assert_eq!(only(&ann.graph).lost, Some(Value::Integer(1)));
}

#[test]
fn what_an_author_has_seen_goes_about_as_text() {
    let mut ann = Store::new(0);
    ann.does(&add(&["n"]));
    let text = ann.graph.seen().to_string();
    assert_eq!(text, format!("{NOW_MS}.0;ann=1"));
    let back: Seen = text.parse().unwrap();
    ann.does_knowing(back, &remove("n"));
    assert_eq!(ids(&ann.graph), [""; 0]);
}

#[test]
fn a_neighbourhood_is_bounded_by_depth_and_number() {
    let mut ann = Store::new(0);
    ann.does(&add(&["a", "b", "c", "d", "far"]));
    for (source, target) in [("a", "b"), ("c", "a"), ("b", "d"), ("d", "far")] {
        ann.does(&add_edge(source, target));
    }
    let ask = |node: &str, depth, nodes_max, edges_max| {
        let answer = ann.graph.ask(&Question {
            node: Some(node.into()),
            depth,
            nodes_max,
            edges_max,
        });
        let ids: Vec<String> = answer.nodes.into_iter().map(|node| node.id).collect();
        (ids.join(" "), answer.edges.len(), answer.is_cut)
    };
    assert_eq!(ask("a", 0, 9, 9), ("a".into(), 0, false));
    assert_eq!(ask("a", 1, 9, 9), ("a b c".into(), 2, false));
    assert_eq!(ask("a", 2, 9, 9), ("a b c d".into(), 3, false));
    assert_eq!(ask("a", 9, 9, 9), ("a b c d far".into(), 4, false));
    assert_eq!(ask("a", 9, 2, 9), ("a b".into(), 1, true));
    assert_eq!(ask("a", 9, 9, 1), ("a b c d far".into(), 1, true));
    assert_eq!(ask("nobody", 9, 9, 9), (String::new(), 0, false));
}

#[test]
fn compaction_drops_what_was_overwritten_and_nothing_else() {
    let (mut ann, mut bob) = (Store::new(0), Store::new(1));
    ann.does(&add(&["n"]));
    for value in 0..100 {
        ann.does(&set("n", "k", value));
    }
    bob.does(&set("n", "k", -1));
    let patches = ann.graph.seen().clone();
    let before = show(&ann.graph);
    let compacted = ann.graph.compact();
    assert_eq!((compacted.dropped, compacted.kept), (99, 2));
    assert_eq!(show(&ann.graph), before);
    assert_eq!(ann.graph.seen(), &patches);
    assert_eq!(ann.graph.compact().dropped, 0);
}

#[test]
fn a_hundred_thousand_operations_are_one_patch() {
    let node = |n: i64| Node {
        id: format!("src/file_{}.rs#item_{n}", n / 10),
        properties: [(String::from("line"), Value::Integer(n))].into(),
    };
    let edge = |n: i64| Edge {
        source: node(n).id,
        relation: "calls".into(),
        target: node(n * 7 % 34_000).id,
    };
    let changes = Changes {
        nodes_to_add: (0..34_000).map(node).collect(),
        edges_to_add: (0..34_000).map(edge).collect(),
        ..Changes::default()
    };
    let mut ann = Store::new(0);
    let patch = ann.does(&changes);
    assert_eq!(patch.operations().len(), 102_000);
    let read = Patch::from_bytes(&patch.to_bytes()).unwrap();
    assert_eq!(built(&[&read]).digest(), ann.graph.digest());
    assert_eq!(ann.graph.nodes_shown(), 34_000);
    // Small patches take the way of single leaves; the way of all must agree.
    ann.does(&remove(&node(5).id));
    let mut again = Graph::new();
    again.absorb(&ann.graph.checkpoint());
    assert_eq!(again.digest(), ann.graph.digest());
}
