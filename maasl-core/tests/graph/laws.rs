//! The laws of merging.

use maasl_core::graph::changes::{Changes, Node};
use maasl_core::graph::checkpoint::Checkpoint;
use maasl_core::graph::patch::{Header, Patch};
use maasl_core::graph::seen::Seen;
use maasl_core::graph::state::Graph;
use maasl_core::graph::value::Value;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

use crate::history::{dot, histories, patches, picked, picture, show};
use crate::model::Set;

fn config() -> ProptestConfig {
    let default = ProptestConfig::default();
    ProptestConfig {
        // Each case is a history; more on request, with PROPTEST_CASES.
        cases: default.cases / 4,
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..default
    }
}

fn built(patches: &[Patch]) -> Graph {
    let mut graph = Graph::new();
    graph.merge(patches);
    graph
}

/// Every order of a few things.
fn permutations<T: Clone>(things: &[T]) -> Vec<Vec<T>> {
    let Some((first, rest)) = things.split_first() else {
        return vec![Vec::new()];
    };
    let mut all = Vec::new();
    for rest in permutations(rest) {
        for place in 0..=rest.len() {
            let mut order = rest.clone();
            order.insert(place, first.clone());
            all.push(order);
        }
    }
    all
}

/// How patches reach a graph: which of them, again and again, in batches.
fn deliveries() -> impl Strategy<Value = (Vec<usize>, Vec<usize>)> {
    let order = proptest::collection::vec(any::<usize>(), 0..60);
    let batches = proptest::collection::vec(1..9_usize, 60);
    (order, batches)
}

/// Delivers all patches in some order, some of them more than once.
fn deliver(patches: &[Patch], (order, batches): &(Vec<usize>, Vec<usize>)) -> Graph {
    let mut left: Vec<Patch> = patches.to_vec();
    let mut queue: Vec<Patch> = Vec::new();
    for pick in order {
        queue.push(patches[pick % patches.len()].clone());
        if !left.is_empty() {
            queue.push(left.swap_remove(pick % left.len()));
        }
    }
    queue.extend(left);
    let mut graph = Graph::new();
    let mut rest = &queue[..];
    for size in batches.iter().cycle() {
        let (batch, others) = rest.split_at((*size).min(rest.len()));
        graph.merge(batch);
        rest = others;
        if rest.is_empty() {
            return graph;
        }
    }
    graph
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_graph_is_what_its_patches_say(steps in histories(40)) {
        let patches = patches(&steps);
        prop_assert_eq!(picture(&built(&patches)), Set::of(&patches).picture());
    }

    #[test]
    fn order_repetition_and_batches_do_not_matter(steps in histories(60), delivery in deliveries()) {
        let patches = patches(&steps);
        prop_assume!(!patches.is_empty());
        prop_assert_eq!(show(&deliver(&patches, &delivery)), show(&built(&patches)));
    }

    /// Some patches, compacted again and again on the way; then all of them, those
    /// that were compacted away too.
    #[test]
    fn compaction_does_not_show(steps in histories(60), delivery in deliveries(), stops: u64) {
        let patches = patches(&steps);
        prop_assume!(!patches.is_empty());
        let mut graph = Graph::new();
        for (pick, n) in delivery.0.iter().zip((0..64).cycle()) {
            graph.merge(std::slice::from_ref(&patches[pick % patches.len()]));
            match stops.rotate_right(n) & 7 {
                0 => {
                    graph.compact();
                }
                1 => {
                    let bytes = graph.checkpoint().to_bytes();
                    graph = Graph::new();
                    graph.absorb(&Checkpoint::from_bytes(&bytes).unwrap());
                }
                _ => {}
            }
        }
        graph.merge(&patches);
        prop_assert_eq!(show(&graph), show(&built(&patches)));
        graph.compact();
        prop_assert_eq!(show(&graph), show(&built(&patches)));
    }

    /// Two graphs that know and forgot different things, brought together.
    #[test]
    fn checkpoints_merge_like_patches(steps in histories(60), here: u64, there: u64) {
        let patches = patches(&steps);
        let some = |bits| picked(&patches, bits).cloned().collect::<Vec<Patch>>();
        let (here, there) = (some(here), some(there));
        let mut graph = built(&here);
        graph.compact();
        graph.absorb(&built(&there).checkpoint());
        let both = built(&[here, there].concat());
        prop_assert_eq!(show(&graph), show(&both));
        prop_assert_eq!(graph.seen(), both.seen());
    }

    #[test]
    fn every_operation_is_visible_or_overwritten_or_named(steps in histories(40)) {
        let patches = patches(&steps);
        let seen = picture(&built(&patches));
        let set = Set::of(&patches);
        for op in &set.ops {
            let is_named = seen.log.iter().any(|entry| entry.loser == op.name());
            let is_told = seen.tells(op) || is_named || set.is_overwritten(op);
            prop_assert!(is_told, "{:?} is nowhere in {:#?}", op.what, seen);
        }
    }

    /// Stores take turns; whoever is next has heard of the last change, late and
    /// from somebody whose clock is wrong.
    #[test]
    fn who_had_seen_it_wins_whatever_the_clocks_say(
        turns in proptest::collection::vec((0..3_usize, any::<u64>()), 1..20),
        delivery in deliveries(),
    ) {
        let mut seen = Seen::nothing();
        let mut patches = Vec::new();
        for (turn, (store, wall_ms)) in (1_i64..).zip(turns) {
            let dot = dot(store, seen.last(&dot(store, 1).actor) + 1);
            let header = Header::new(dot, seen.clone(), wall_ms).expect("stamps are left");
            seen.insert(&header.dot, header.stamp);
            let changes = Changes {
                nodes_to_add: vec![Node {
                    id: "n".into(),
                    properties: [("turn".into(), Value::Integer(turn))].into(),
                }],
                ..Changes::default()
            };
            patches.push(Patch::seal(header, &changes).expect("valid"));
        }
        prop_assert!(patches.is_sorted_by_key(|patch| patch.header().stamp));
        let graph = deliver(&patches, &delivery);
        let last = i64::try_from(patches.len()).expect("few");
        let node = graph.node_with_id("n").expect("it was added");
        prop_assert_eq!(&node.properties["turn"], &Value::Integer(last));
        prop_assert_eq!(graph.conflicts(), 0);
    }

    #[test]
    fn merging_what_is_known_changes_nothing(steps in histories(30)) {
        let patches = patches(&steps);
        let mut graph = built(&patches);
        let before = show(&graph);
        let merged = graph.merge(&patches);
        prop_assert_eq!(merged.patches, 0);
        prop_assert_eq!(show(&graph), before);
    }

    #[test]
    fn patches_survive_their_bytes(steps in histories(10)) {
        for patch in patches(&steps) {
            let read = Patch::from_bytes(&patch.to_bytes()).unwrap();
            prop_assert_eq!(read.id(), patch.id());
            prop_assert_eq!(read.header(), patch.header());
            prop_assert!(read.operations().eq(patch.operations()));
        }
    }
}

proptest! {
    // Each case is up to 720 graphs.
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 64, ..config() })]

    #[test]
    fn every_order_of_a_few_patches_is_the_same(steps in histories(14)) {
        let mut patches = patches(&steps);
        patches.truncate(6);
        let expected = show(&built(&patches));
        for order in permutations(&patches) {
            let mut graph = Graph::new();
            for patch in &order {
                graph.merge(std::slice::from_ref(patch));
            }
            prop_assert_eq!(&show(&graph), &expected);
        }
    }
}
