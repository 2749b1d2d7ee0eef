//! Graphs to merge, and the plain way of merging them.
//!
//! Owns: two stores' worth of changes to one graph, and a peer that merges the
//! same changes without knowing what their authors had seen. Promises: both get
//! the same content. Leaves to others: timing (`benches/graph.rs`).
//!
//! The peer is what one would write first: hash maps by text with a fast hash, the
//! last writer wins, and a SHA-256 over everything in order. It keeps no conflicts, forgets
//! what was removed, and has nothing to go on from when one more patch comes.

use std::collections::BTreeMap;

use hashbrown::{HashMap, HashSet};
use maasl_core::graph::changes::{Changes, Edge, Node};
use maasl_core::graph::patch::{Header, Patch};
use maasl_core::graph::seen::{Dot, Seen};
use maasl_core::graph::value::Value;
use maasl_core::id::ActorId;
use sha2::{Digest, Sha256};

/// Changes by two stores that had not heard of each other: together `nodes` nodes
/// with a kind, and three times as many edges. A tenth is in both, and of the
/// nodes in both every second one has another kind.
#[must_use]
pub fn changes(nodes: usize) -> Vec<(usize, Changes)> {
    let parts = 3;
    let mut all = Vec::new();
    for store in 0..2 {
        for part in 0..parts {
            let share = |total: usize| {
                let from = if store == 0 { 0 } else { total * 45 / 100 };
                let length = total * 55 / 100;
                from + length * part / parts..from + length * (part + 1) / parts
            };
            let changes = Changes {
                nodes_to_add: share(nodes).map(|n| node(n, store)).collect(),
                edges_to_add: share(3 * nodes).map(|n| edge(n, nodes)).collect(),
                ..Changes::default()
            };
            all.push((store, changes));
        }
    }
    all
}

/// The `nth` change of about a hundredth of a graph of `nodes` nodes: half of it is
/// new, half meets what is there.
#[must_use]
pub fn small_change(nodes: usize, nth: usize) -> Changes {
    let hundredth = nodes / 100;
    let known = (0..hundredth / 2).map(|n| (n * 97 + nth) % nodes);
    let first = nodes + nth * hundredth / 2;
    let new = first..first + hundredth / 2;
    let first = 3 * (nodes + nth * hundredth);
    Changes {
        nodes_to_add: known.chain(new).map(|n| node(n, 2)).collect(),
        edges_to_add: (first..first + 3 * hundredth)
            .map(|n| edge(n, nodes))
            .collect(),
        ..Changes::default()
    }
}

/// The changes as patches. Each store has seen its own.
///
/// # Panics
///
/// If the changes are over a limit.
#[must_use]
pub fn seal(changes: &[(usize, Changes)]) -> Vec<Patch> {
    let mut seen: [Seen; 3] = Default::default();
    let seal = |(store, changes): &(usize, Changes)| {
        let actor = ActorId::new(format!("store-{store}"));
        let counter = seen[*store].last(&actor) + 1;
        let dot = Dot { actor, counter };
        let header = Header::new(dot.clone(), seen[*store].clone(), 1_700_000_000_000)
            .expect("stamps are left");
        seen[*store].insert(&dot, header.stamp);
        Patch::seal(header, changes).expect("the changes are within the limits")
    };
    changes.iter().map(seal).collect()
}

/// A graph that knows what is there and nothing else.
#[derive(Debug, Default)]
pub struct Plain {
    nodes: HashMap<String, BTreeMap<String, Value>>,
    edges: HashSet<Edge>,
}

impl Plain {
    /// Merges changes; what comes later wins.
    pub fn merge(&mut self, changes: &Changes) {
        for node in &changes.nodes_to_add {
            let properties = self.nodes.entry(node.id.clone()).or_default();
            for (key, value) in &node.properties {
                properties.insert(key.clone(), value.clone());
            }
        }
        for edge in &changes.edges_to_add {
            self.edges.insert(edge.clone());
        }
    }

    /// The SHA-256 of everything in order.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        let mut nodes: Vec<_> = self.nodes.iter().collect();
        nodes.sort_unstable_by_key(|(id, _)| *id);
        for (id, properties) in nodes {
            text(&mut digest, id);
            for (key, value) in properties {
                text(&mut digest, key);
                text(&mut digest, &value.to_string());
            }
        }
        let mut edges: Vec<_> = self.edges.iter().collect();
        edges.sort_unstable();
        for edge in edges {
            text(&mut digest, &edge.source);
            text(&mut digest, &edge.relation);
            text(&mut digest, &edge.target);
        }
        digest.finalize().into()
    }
}

fn text(digest: &mut Sha256, text: &str) {
    digest.update(text.len().to_be_bytes());
    digest.update(text);
}

fn node(n: usize, store: usize) -> Node {
    let kind = if n.is_multiple_of(2) { 0 } else { store };
    let kind = Value::text(["function", "class", "module"][kind]);
    Node {
        id: id(n),
        properties: [(String::from("kind"), kind)].into(),
    }
}

/// The `n`th edge: three from each node, one after the other as an extractor
/// finds them, to anywhere.
fn edge(n: usize, nodes: usize) -> Edge {
    Edge {
        source: id(n / 3 % nodes),
        relation: ["calls", "uses", "extends"][n % 3].into(),
        target: id(n.wrapping_mul(7_919).wrapping_add(n / nodes) % nodes),
    }
}

fn id(n: usize) -> String {
    format!("src/module_{}.rs#item_{n}", n / 20)
}
