//! Histories: patches as stores make them that hear of each other late.
//!
//! Owns: a few stores with clocks of their own, and what happens to them.
//! Promises: every patch is one that an honest author could have made, except
//! where a store was copied and goes on under its old name. Leaves to others:
//! what the patches amount to.

use maasl_core::graph::changes::{Changes, Edge, Node};
use maasl_core::graph::conflict::{Contested, Reason};
use maasl_core::graph::patch::{Header, Patch};
use maasl_core::graph::query::Question;
use maasl_core::graph::seen::{Dot, Seen};
use maasl_core::graph::state::Graph;
use maasl_core::graph::value::Value;
use maasl_core::id::ActorId;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::model::{Entry, Picture};

const STORES: usize = 3;

/// Something that happens.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Somebody at a store makes a patch.
    Author {
        store: usize,
        changes: Changes,
        wall_ms: u64,
        /// Which of the patches at the store they know: those whose bits are set.
        knows: u64,
        /// Whether the store takes itself for the first one.
        is_copy: bool,
    },
    /// A store hears of the patches of another whose bits are set.
    Hear { store: usize, from: usize, of: u64 },
}

#[derive(Default)]
struct Store {
    patches: Vec<Patch>,
    made: u64,
}

/// The patches of a history, in the order in which they were made.
pub(crate) fn patches(steps: &[Step]) -> Vec<Patch> {
    let mut stores: [Store; STORES] = Default::default();
    let mut all = Vec::new();
    for step in steps {
        match step {
            Step::Author {
                store,
                changes,
                wall_ms,
                knows,
                is_copy,
            } => {
                let name = if *is_copy { 0 } else { *store };
                let mut seen = Seen::nothing();
                for patch in picked(&stores[*store].patches, *knows) {
                    seen.insert(&patch.header().dot, patch.header().stamp);
                }
                stores[name].made += u64::from(!is_copy);
                let dot = dot(name, stores[name].made.max(1));
                if seen.contains(&dot) {
                    continue;
                }
                let header = Header::new(dot, seen, *wall_ms).expect("stamps are left");
                let patch = Patch::seal(header, changes).expect("valid");
                stores[*store].patches.push(patch.clone());
                all.push(patch);
            }
            Step::Hear { store, from, of } => {
                let news: Vec<Patch> = picked(&stores[*from].patches, *of).cloned().collect();
                stores[*store].patches.extend(news);
            }
        }
    }
    all
}

pub(crate) fn dot(store: usize, counter: u64) -> Dot {
    Dot {
        actor: ActorId::new(["ann", "bob", "cy"][store]),
        counter,
    }
}

/// The patches whose bits are set, over and over.
pub(crate) fn picked(patches: &[Patch], bits: u64) -> impl Iterator<Item = &Patch> {
    let bits = (0..64).cycle().map(move |place| bits >> place);
    let both = patches.iter().zip(bits);
    both.filter(|(_, bits)| bits & 1 == 1)
        .map(|(patch, _)| patch)
}

/// Histories of up to `length` steps.
pub(crate) fn histories(length: usize) -> impl Strategy<Value = Vec<Step>> {
    vec(step(), 1..length)
}

fn step() -> impl Strategy<Value = Step> {
    let store = || 0..STORES;
    // Everything, what a few missed, or anything.
    let bits = || prop_oneof![3 => Just(u64::MAX), 1 => any::<u64>(), 1 => any::<u64>().prop_map(|b| b | b >> 7 | b << 9)];
    let wall_ms = prop_oneof![
        Just(0),
        Just(1_000),
        Just(1_001),
        Just(u64::MAX),
        0..3_000_u64
    ];
    let author = (
        store(),
        changes(),
        wall_ms,
        bits(),
        prop::bool::weighted(0.03),
    )
        .prop_map(|(store, changes, wall_ms, knows, is_copy)| Step::Author {
            store,
            changes,
            wall_ms,
            knows,
            is_copy,
        });
    let hear =
        (store(), store(), bits()).prop_map(|(store, from, of)| Step::Hear { store, from, of });
    prop_oneof![3 => author, 2 => hear]
}

/// What happens to one thing, of very few, so that authors collide.
pub(crate) fn changes() -> impl Strategy<Value = Changes> {
    let node = || prop::sample::select(vec!["a", "b", "c"]).prop_map(String::from);
    let key = || prop::sample::select(vec!["p", "q"]).prop_map(String::from);
    let edge = || {
        (node(), node()).prop_map(|(source, target)| Edge {
            source,
            relation: "r".into(),
            target,
        })
    };
    let add = (node(), prop::option::weighted(0.3, (key(), value()))).prop_map(|(id, property)| {
        Changes {
            nodes_to_add: vec![Node {
                id,
                properties: property.into_iter().collect(),
            }],
            ..Changes::default()
        }
    });
    let one = prop_oneof![
        3 => add,
        2 => edge().prop_map(|edge| Changes { edges_to_add: vec![edge], ..Changes::default() }),
        3 => (node(), key(), value()).prop_map(|(node, key, value)| Changes {
            properties_to_set: [(node, [(key, value)].into())].into(),
            ..Changes::default()
        }),
        1 => (node(), key()).prop_map(|(node, key)| Changes {
            properties_to_clear: [(node, vec![key])].into(),
            ..Changes::default()
        }),
        2 => node().prop_map(|node| Changes { nodes_to_remove: vec![node], ..Changes::default() }),
        1 => edge().prop_map(|edge| Changes { edges_to_remove: vec![edge], ..Changes::default() }),
    ];
    vec(one, 1..4).prop_map(|parts| parts.into_iter().fold(Changes::default(), both))
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![(0..3_i64).prop_map(Value::Integer), Just(Value::text("x"))]
}

/// The changes of two lists, the second first where they disagree.
fn both(mut one: Changes, other: Changes) -> Changes {
    let mut set: Vec<(String, String)> = Vec::new();
    for node in &one.nodes_to_add {
        set.extend(
            node.properties
                .keys()
                .map(|key| (node.id.clone(), key.clone())),
        );
    }
    for (node, properties) in &one.properties_to_set {
        set.extend(properties.keys().map(|key| (node.clone(), key.clone())));
    }
    let is_new = |node: &str, key: &str| !set.iter().any(|(n, k)| n == node && k == key);
    for mut node in other.nodes_to_add {
        let id = node.id.clone();
        node.properties.retain(|key, _| is_new(&id, key));
        one.nodes_to_add.push(node);
    }
    for (node, mut properties) in other.properties_to_set {
        properties.retain(|key, _| is_new(&node, key));
        one.properties_to_set
            .entry(node)
            .or_default()
            .extend(properties);
    }
    for (node, keys) in other.properties_to_clear {
        one.properties_to_clear
            .entry(node)
            .or_default()
            .extend(keys);
    }
    one.edges_to_add.extend(other.edges_to_add);
    one.nodes_to_remove.extend(other.nodes_to_remove);
    one.edges_to_remove.extend(other.edges_to_remove);
    one
}

/// The whole of a graph.
pub(crate) const ALL: Question = Question {
    node: None,
    depth: 0,
    nodes_max: usize::MAX,
    edges_max: usize::MAX,
};

/// The graph, the log and the digest, as text.
pub(crate) fn show(graph: &Graph) -> String {
    let log = graph.log(usize::MAX);
    assert_eq!(log.len() as u64, graph.conflicts());
    format!("{:#?}\n{log:#?}\n{}", graph.ask(&ALL), graph.digest())
}

/// What there is to see of a graph, as the model has it.
pub(crate) fn picture(graph: &Graph) -> Picture {
    let answer = graph.ask(&ALL);
    let mut picture = Picture::default();
    for node in answer.nodes {
        for (key, value) in node.properties {
            picture
                .properties
                .insert((node.id.clone(), key), value.to_string());
        }
        picture.nodes.insert(node.id);
    }
    for edge in answer.edges {
        picture
            .edges
            .insert((edge.source, edge.relation, edge.target));
    }
    for conflict in graph.log(usize::MAX) {
        let name =
            |origin: maasl_core::graph::patches::Origin| (origin.patch.to_string(), origin.index);
        picture.log.insert(Entry {
            subject: match conflict.about {
                Contested::Node { node } => vec!["node".into(), node],
                Contested::Property { node, key } => vec!["property".into(), node, key],
                Contested::Edge(edge) => {
                    vec!["edge".into(), edge.source, edge.relation, edge.target]
                }
                Contested::Dot(dot) => {
                    vec!["dot".into(), dot.actor.to_string(), dot.counter.to_string()]
                }
            },
            reason: match conflict.reason {
                Reason::OtherValue => "other value",
                Reason::Updated => "updated",
                Reason::NoNode { .. } => "no node",
                Reason::SharedDot => "shared dot",
            }
            .into(),
            loser: name(conflict.loser),
            lost: conflict.lost.map(|value| value.to_string()),
            winner: conflict.winner.map(name),
        });
    }
    picture
}
