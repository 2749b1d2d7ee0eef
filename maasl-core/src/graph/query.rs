//! Questions about a graph, with bounded answers.
//!
//! Owns: the neighbourhood of a node, and the whole graph in order. Promises: an
//! answer is a function of the graph and the question; what was left out over a
//! limit is said. Leaves to others: conflicts (`conflict`).

use alloc::collections::BTreeSet;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::changes::{Edge, Node};
use super::number;
use super::register::{ABSENT, About, NONE};
use super::state::Graph;

/// A question about a graph.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// The node to begin at; the whole graph if there is none.
    pub node: Option<String>,
    /// How many edges away from it, in either direction.
    pub depth: u32,
    /// Most nodes in the answer.
    pub nodes_max: usize,
    /// Most edges in the answer.
    pub edges_max: usize,
}

/// Part of a graph.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Nodes by id, each with its properties.
    pub nodes: Vec<Node>,
    /// Edges between them, by their three parts.
    pub edges: Vec<Edge>,
    /// Whether more belongs to the answer than the limits let in.
    pub is_cut: bool,
}

impl Graph {
    /// Answers a question. A node that is not there has no neighbourhood.
    #[must_use]
    pub fn ask(&self, question: &Question) -> Answer {
        let (nodes, is_cut) = match &question.node {
            Some(node) => self.neighbourhood(node, question),
            None => self.all_nodes(question.nodes_max),
        };
        let mut answer = self.answer(&nodes, question.edges_max);
        answer.is_cut |= is_cut;
        answer
    }

    /// How many nodes show.
    #[must_use]
    pub fn nodes_shown(&self) -> usize {
        self.visible_nodes().count()
    }

    /// A node with its properties, if it is there.
    #[must_use]
    pub fn node_with_id(&self, id: &str) -> Option<Node> {
        self.visible(id).map(|node| self.describe(node))
    }

    fn visible(&self, id: &str) -> Option<u32> {
        let node = self.nodes.with_id(self.texts.find(id)?)?;
        self.nodes.is_visible(node).then_some(node)
    }

    fn visible_nodes(&self) -> impl Iterator<Item = u32> {
        (0..number(self.nodes.len())).filter(|node| self.nodes.is_visible(*node))
    }

    fn all_nodes(&self, max: usize) -> (BTreeSet<u32>, bool) {
        let mut nodes: Vec<u32> = self.visible_nodes().collect();
        let is_cut = nodes.len() > max;
        if is_cut {
            self.sort_by_id(&mut nodes);
            nodes.truncate(max);
        }
        (nodes.into_iter().collect(), is_cut)
    }

    /// Nodes by their distance, those of one distance by id.
    fn neighbourhood(&self, id: &str, question: &Question) -> (BTreeSet<u32>, bool) {
        let mut found = BTreeSet::new();
        let mut level: Vec<u32> = self.visible(id).into_iter().collect();
        for distance in 0..=question.depth {
            self.sort_by_id(&mut level);
            for node in &level {
                if found.len() == question.nodes_max {
                    return (found, true);
                }
                found.insert(*node);
            }
            if distance == question.depth || level.is_empty() {
                break;
            }
            level = self.beyond(&level, &found);
        }
        (found, false)
    }

    /// Nodes one edge away from these that were not found yet.
    fn beyond(&self, level: &[u32], found: &BTreeSet<u32>) -> Vec<u32> {
        let mut next = BTreeSet::new();
        for node in level {
            for register in self.around(*node) {
                let subject = self.registers.get(register).subject;
                if subject.about == About::Edge && self.registers.get(register).shown != ABSENT {
                    let ends = [subject.node, subject.other];
                    next.extend(ends.into_iter().filter(|end| !found.contains(end)));
                }
            }
        }
        next.into_iter().collect()
    }

    fn sort_by_id(&self, nodes: &mut [u32]) {
        nodes.sort_unstable_by_key(|node| self.id_of(*node));
    }

    fn id_of(&self, node: u32) -> &str {
        self.texts.text(self.nodes.id(node))
    }

    fn answer(&self, among: &BTreeSet<u32>, edges_max: usize) -> Answer {
        let mut nodes: Vec<u32> = among.iter().copied().collect();
        self.sort_by_id(&mut nodes);
        let mut edges: Vec<u32> = Vec::new();
        for node in &nodes {
            edges.extend(self.edges_from(*node, among));
        }
        let is_cut = edges.len() > edges_max;
        edges.sort_unstable_by_key(|edge| self.name_of(*edge));
        edges.truncate(edges_max);
        Answer {
            nodes: nodes.into_iter().map(|node| self.describe(node)).collect(),
            edges: edges.into_iter().map(|edge| self.edge_of(edge)).collect(),
            is_cut,
        }
    }

    fn edges_from(&self, node: u32, among: &BTreeSet<u32>) -> impl Iterator<Item = u32> {
        self.shown_from(node).filter(|register| {
            let subject = self.registers.get(*register).subject;
            subject.about == About::Edge && among.contains(&subject.other)
        })
    }

    /// The properties of a node and the edges from it that show.
    fn shown_from(&self, node: u32) -> impl Iterator<Item = u32> {
        let first = self.nodes.hanging(node).first_out;
        self.chain(first, |links| links.next_out)
            .filter(|register| self.registers.get(*register).shown != NONE)
    }

    fn describe(&self, node: u32) -> Node {
        let property = |register| {
            let (about, [_, key, _]) = self.name_of(register);
            let value = self.value(self.registers.get(register).shown)?;
            (about == About::Property).then(|| (key.to_string(), value))
        };
        Node {
            id: self.id_of(node).to_string(),
            properties: self.shown_from(node).filter_map(property).collect(),
        }
    }

    fn edge_of(&self, register: u32) -> Edge {
        let (_, names) = self.name_of(register);
        let [source, relation, target] = names.map(ToString::to_string);
        Edge {
            source,
            relation,
            target,
        }
    }
}
