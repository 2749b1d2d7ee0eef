//! Comparing changes with a graph.
//!
//! Owns: which changes say what shows already, which wait, and which are about things
//! that no patch was about. Promises: leaving out what [`Graph::lacking`] leaves out
//! changes nothing that shows; what was removed is known. Leaves to others: files
//! (`llmc`) and what is done about the difference.

use alloc::string::String;

use super::changes::{Changes, Edge, Node};
use super::register::{ABSENT, About, Subject};
use super::resolve::Why;
use super::state::Graph;
use super::take::key_of;

impl Graph {
    /// The additions of these changes that do not show, and do not wait for a node.
    #[must_use]
    pub fn lacking(&self, changes: Changes) -> Changes {
        let lacking = |mut node: Node| {
            let Some(shown) = self.node_with_id(&node.id) else {
                return Some(node);
            };
            let properties = &shown.properties;
            node.properties
                .retain(|key, value| properties.get(key) != Some(value));
            (!node.properties.is_empty()).then_some(node)
        };
        let nodes = changes.nodes_to_add.into_iter().filter_map(lacking);
        let edges = changes.edges_to_add.into_iter();
        Changes {
            nodes_to_add: nodes.collect(),
            edges_to_add: edges.filter(|edge| !self.has_edge(edge)).collect(),
            ..changes
        }
    }

    /// How many of the nodes and edges that are to be added, and of the properties of
    /// nodes that show, no patch ever said anything of.
    #[must_use]
    pub fn unheard_of(&self, changes: &Changes) -> u64 {
        let nodes = changes.nodes_to_add.iter();
        let nodes: usize = nodes.map(|node| self.unheard_of_node(node)).sum();
        let is_new = |edge: &&Edge| self.edge_register(edge).is_none();
        let edges = changes.edges_to_add.iter().filter(is_new).count();
        u64::try_from(nodes + edges).unwrap_or(u64::MAX)
    }

    /// Whether an edge will show once there are nodes at both its ends.
    #[must_use]
    pub fn waits(&self, edge: &Edge) -> bool {
        self.edge_register(edge).is_some_and(|register| {
            let mut losses = self.losses(register).into_iter();
            losses.any(|loss| loss.why == Why::NoNode)
        })
    }

    /// A node that nobody added or removed is one, whatever it has: to be the end of
    /// an edge does not make it known. Of one that was removed all is to go.
    fn unheard_of_node(&self, node: &Node) -> usize {
        let known = self.node_number(&node.id);
        let Some(number) = known.filter(|number| self.was_there(*number)) else {
            return 1;
        };
        if !self.nodes.is_visible(number) {
            return 0;
        }
        let is_new = |key: &&String| {
            let register = self.register_of(About::Property, number, key, None);
            register.is_none()
        };
        node.properties.keys().filter(is_new).count()
    }

    fn was_there(&self, node: u32) -> bool {
        let mut claims = self.registers.claims(self.nodes.register(node));
        claims.next().is_some() || self.nodes.has_removals(node)
    }

    /// Whether an edge shows or waits: to add it again would only be one more that
    /// does.
    fn has_edge(&self, edge: &Edge) -> bool {
        let register = self.edge_register(edge);
        register.is_some_and(|register| self.registers.get(register).shown != ABSENT)
            || self.waits(edge)
    }

    fn node_number(&self, id: &str) -> Option<u32> {
        self.nodes.with_id(self.texts.find(id)?)
    }

    fn edge_register(&self, edge: &Edge) -> Option<u32> {
        let node = self.node_number(&edge.source)?;
        let other = self.node_number(&edge.target)?;
        self.register_of(About::Edge, node, &edge.relation, Some(other))
    }

    fn register_of(&self, about: About, node: u32, name: &str, other: Option<u32>) -> Option<u32> {
        let name = self.texts.find(name)?;
        let id = |node| self.texts.key(self.nodes.id(node));
        let parts = [id(node), self.texts.key(name), other.map_or(0, id)];
        let subject = Subject {
            about,
            node,
            name,
            other: other.unwrap_or(0),
        };
        self.registers.find(key_of(about, parts), subject)
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use super::super::patch::{Header, Patch};
    use super::super::seen::Dot;
    use super::super::value::Value;
    use super::*;
    use crate::id::ActorId;

    fn node(id: &str, kind: &str) -> Node {
        Node {
            id: id.into(),
            properties: [("kind".into(), Value::text(kind))].into(),
        }
    }

    fn edge(source: &str, target: &str) -> Edge {
        Edge {
            source: source.into(),
            relation: "calls".into(),
            target: target.into(),
        }
    }

    fn merge(graph: &mut Graph, counter: u64, changes: &Changes) {
        let actor = ActorId::new("a");
        let seen = graph.seen().clone();
        let header = Header::new(Dot { actor, counter }, seen, 1_000).unwrap();
        graph.merge(&[Patch::seal(header, changes).unwrap()]);
    }

    #[test]
    fn only_what_does_not_show_is_lacking() {
        let mut graph = Graph::new();
        let all = Changes {
            nodes_to_add: vec![node("a", "fn"), node("b", "fn")],
            edges_to_add: vec![edge("a", "b"), edge("a", "c")],
            ..Changes::default()
        };
        assert_eq!(graph.unheard_of(&all), 4);
        merge(&mut graph, 1, &all);
        let other = Changes {
            nodes_to_add: vec![node("a", "fn"), node("b", "class"), node("d", "fn")],
            edges_to_add: vec![edge("a", "b"), edge("a", "c"), edge("b", "a")],
            ..Changes::default()
        };
        let lacking = graph.lacking(other.clone());
        assert_eq!(lacking.nodes_to_add, [node("b", "class"), node("d", "fn")]);
        let edges: Vec<Edge> = vec![edge("b", "a")];
        assert_eq!(lacking.edges_to_add, edges, "one waits for its end already");
        assert_eq!(graph.unheard_of(&other), 2);
        assert!(graph.waits(&edge("a", "c")) && !graph.waits(&edge("a", "b")));
        assert!(!graph.waits(&edge("b", "a")), "nobody added it");
    }

    #[test]
    fn a_node_is_not_known_by_an_edge_nor_its_properties_by_the_node() {
        let mut graph = Graph::new();
        let all = Changes {
            nodes_to_add: vec![node("a", "fn")],
            edges_to_add: vec![edge("a", "c")],
            ..Changes::default()
        };
        merge(&mut graph, 1, &all);
        let of = |node| Changes {
            nodes_to_add: vec![node],
            ..Changes::default()
        };
        assert_eq!(graph.unheard_of(&of(node("c", "fn"))), 1);
        let mut more = node("a", "class");
        assert_eq!(graph.unheard_of(&of(more.clone())), 0, "another value");
        more.properties.insert("span".into(), Value::Null);
        more.properties.insert("line".into(), Value::Null);
        assert_eq!(graph.unheard_of(&of(more.clone())), 2);
        let gone = Changes {
            nodes_to_remove: vec!["a".into()],
            ..Changes::default()
        };
        merge(&mut graph, 2, &gone);
        assert_eq!(graph.unheard_of(&of(more)), 0, "all of it is to go");
    }

    #[test]
    fn what_was_removed_is_known_even_to_a_checkpoint() {
        let mut graph = Graph::new();
        let all = Changes {
            nodes_to_add: vec![node("a", "fn"), node("b", "fn")],
            edges_to_add: vec![edge("a", "b")],
            ..Changes::default()
        };
        merge(&mut graph, 1, &all);
        let gone = Changes {
            nodes_to_remove: vec!["b".into()],
            edges_to_remove: vec![edge("a", "b")],
            ..Changes::default()
        };
        merge(&mut graph, 2, &gone);
        graph.compact();
        assert_eq!(graph.unheard_of(&all), 0);
        assert_eq!(graph.lacking(all).nodes_to_add, [node("b", "fn")]);
    }
}
