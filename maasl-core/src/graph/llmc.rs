//! The graph file of LLMC, `.llmc/rag_graph.json`, as changes and back.
//!
//! Owns: the shapes such files are seen in, and what they have in common.
//! Promises: what a file says about nodes and edges becomes properties and edges;
//! what this version has no word for is kept and written back: other keys of the
//! document and of edges, the shape, and the names that a file has for things.
//! Leaves to others: reading and writing the file, and when to do so.
//!
//! The shapes are `{"nodes": …, "edges": …}` (also `vertices`, `links`) and
//! `{"entities": …, "relations": …}`; either may be under `schema_graph`. A node
//! has its id as `id`, `nid` or `name`; an edge has its ends as `source` and
//! `target`, `src` and `dst`, or `from` and `to`, and what it is as `type`, `edge`,
//! `relation` or `label`. All other keys of a node are properties. Where a file has
//! a list both at the top and under `schema_graph`, the one at the top counts, and
//! the other stays as it is.
//!
//! A file is written in order of ids, not in the order it was read: two stores
//! with one graph write one file.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use super::changes::{Changes, Edge, Node};
use super::query::Answer;
use super::value::Value;

/// Where LLMC has its graph, relative to the root.
pub const PATH: &str = ".llmc/rag_graph.json";

const NESTED: &str = "schema_graph";
const NODE_LISTS: [&str; 3] = ["nodes", "vertices", "entities"];
const EDGE_LISTS: [&str; 3] = ["edges", "links", "relations"];
const IDS: [&str; 3] = ["id", "nid", "name"];
const SOURCES: [&str; 3] = ["source", "src", "from"];
const TARGETS: [&str; 3] = ["target", "dst", "to"];
const RELATIONS: [&str; 4] = ["type", "edge", "relation", "label"];

type Map = BTreeMap<String, Value>;
/// A list, and where it was.
type Found = (Option<ListAt>, Vec<Value>);

/// What a file has beside its nodes and edges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// The document without its lists.
    document: Map,
    nodes: Option<ListAt>,
    edges: Option<ListAt>,
    /// The key of the id of nodes that have it as something else than `id`.
    ids: BTreeMap<String, &'static str>,
    /// What each edge has beside its three parts, and how it names them.
    extras: BTreeMap<Edge, Extra>,
}

/// Where a list is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ListAt {
    is_nested: bool,
    name: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Extra {
    names: [&'static str; 3],
    rest: Map,
}

/// What a file holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Its nodes and edges, to be added.
    pub changes: Changes,
    /// Everything else.
    pub frame: Frame,
    /// How many entries have no id or no ends. They are left out.
    pub skipped: u64,
}

/// Why a document is not a graph file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAGraph {
    /// It is not a map.
    #[error("a graph file is a JSON map")]
    NotAMap,
    /// What should be nodes or edges is no list.
    #[error("{0} is not a list")]
    NotAList(&'static str),
}

/// Takes a document apart.
pub fn import(document: Value) -> Result<Imported, NotAGraph> {
    let Value::Map(mut document) = document else {
        return Err(NotAGraph::NotAMap);
    };
    let (nodes, node_list) = taken_list(&mut document, &NODE_LISTS)?;
    let (edges, edge_list) = taken_list(&mut document, &EDGE_LISTS)?;
    let frame = Frame {
        document,
        nodes: nodes.or(edges.map(|edges| edges.beside(NODE_LISTS))),
        edges: edges.or(nodes.map(|nodes| nodes.beside(EDGE_LISTS))),
        ..Frame::default()
    };
    let mut imported = Imported {
        frame,
        ..Imported::default()
    };
    for node in node_list {
        imported.node(node);
    }
    for edge in edge_list {
        imported.edge(edge);
    }
    Ok(imported)
}

/// Puts a document together from a graph and what the file had beside it.
#[must_use]
pub fn export(graph: Answer, frame: &Frame) -> Value {
    let nodes = graph.nodes.into_iter().map(|node| frame.node(node));
    let nodes = Value::List(nodes.collect());
    let edges = graph.edges.into_iter().map(|edge| frame.edge(edge));
    let edges = Value::List(edges.collect());
    let mut document = frame.document.clone();
    frame
        .nodes
        .unwrap_or(ListAt::FLAT[0])
        .put(nodes, &mut document);
    frame
        .edges
        .unwrap_or(ListAt::FLAT[1])
        .put(edges, &mut document);
    Value::Map(document)
}

impl ListAt {
    /// Where the lists of a new file are.
    const FLAT: [Self; 2] = [Self::top(NODE_LISTS[0]), Self::top(EDGE_LISTS[0])];

    const fn top(name: &'static str) -> Self {
        Self {
            is_nested: false,
            name,
        }
    }

    /// Where the other list belongs, in a file that has only this one: schema graphs
    /// have the last of the names.
    const fn beside(self, names: [&'static str; 3]) -> Self {
        let [name, _, schema] = names;
        Self {
            is_nested: self.is_nested,
            name: if self.is_nested { schema } else { name },
        }
    }

    fn put(self, list: Value, document: &mut Map) {
        let lists = match document.get_mut(NESTED) {
            Some(Value::Map(nested)) if self.is_nested => nested,
            _ => document,
        };
        lists.insert(self.name.into(), list);
    }
}

impl Imported {
    fn node(&mut self, node: Value) {
        let Value::Map(mut properties) = node else {
            self.skipped += 1;
            return;
        };
        let found = taken_text(&mut properties, &IDS);
        // No property can be called `id`.
        let found = found.filter(|_| !properties.contains_key(IDS[0]));
        let Some((name, id)) = found else {
            self.skipped += 1;
            return;
        };
        if name != IDS[0] {
            self.frame.ids.insert(id.clone(), name);
        }
        self.changes.nodes_to_add.push(Node { id, properties });
    }

    fn edge(&mut self, edge: Value) {
        let Some((edge, extra)) = parts_of_edge(edge) else {
            self.skipped += 1;
            return;
        };
        self.changes.edges_to_add.push(edge.clone());
        self.frame.extras.insert(edge, extra);
    }
}

impl Frame {
    fn node(&self, node: Node) -> Value {
        let mut properties = node.properties;
        let name = self.ids.get(&node.id).copied().unwrap_or(IDS[0]);
        properties.insert(name.into(), Value::Text(node.id));
        Value::Map(properties)
    }

    /// A new edge is written as most files have it, or as relations are.
    fn edge(&self, edge: Edge) -> Value {
        let is_relation = self.edges.is_some_and(|edges| edges.name == EDGE_LISTS[2]);
        let extra = self.extras.get(&edge);
        let names = match extra {
            Some(extra) => extra.names,
            None if is_relation => ["src", "edge", "dst"],
            None => ["source", "type", "target"],
        };
        let mut map = extra.map(|extra| extra.rest.clone()).unwrap_or_default();
        let parts = [edge.source, edge.relation, edge.target];
        let parts = names.into_iter().zip(parts);
        map.extend(parts.map(|(name, part)| (String::from(name), Value::Text(part))));
        Value::Map(map)
    }
}

fn parts_of_edge(edge: Value) -> Option<(Edge, Extra)> {
    let Value::Map(mut rest) = edge else {
        return None;
    };
    let (source_name, source) = taken_text(&mut rest, &SOURCES)?;
    let (target_name, target) = taken_text(&mut rest, &TARGETS)?;
    let (relation_name, relation) = taken_text(&mut rest, &RELATIONS)?;
    let edge = Edge {
        source,
        relation,
        target,
    };
    let names = [source_name, relation_name, target_name];
    Some((edge, Extra { names, rest }))
}

/// Takes out the first list there is under one of these names, with its place.
fn taken_list(document: &mut Map, names: &[&'static str]) -> Result<Found, NotAGraph> {
    if let Some(found) = taken_from(document, names, false)? {
        return Ok(found);
    }
    if let Some(Value::Map(nested)) = document.get_mut(NESTED)
        && let Some(found) = taken_from(nested, names, true)?
    {
        return Ok(found);
    }
    Ok((None, Vec::new()))
}

fn taken_from(
    map: &mut Map,
    names: &[&'static str],
    is_nested: bool,
) -> Result<Option<Found>, NotAGraph> {
    let Some(name) = names.iter().find(|name| map.contains_key(**name)) else {
        return Ok(None);
    };
    match map.remove(*name) {
        Some(Value::List(list)) => Ok(Some((Some(ListAt { is_nested, name }), list))),
        _ => Err(NotAGraph::NotAList(name)),
    }
}

/// Takes out the first text there is under one of these names that is not empty,
/// with its name.
fn taken_text(map: &mut Map, names: &[&'static str]) -> Option<(&'static str, String)> {
    let is_text = |name: &&&str| {
        let value = map.get(**name);
        matches!(value, Some(Value::Text(text)) if !text.is_empty())
    };
    let name = *names.iter().find(is_text)?;
    match map.remove(name) {
        Some(Value::Text(text)) => Some((name, text)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    /// Imports a document and exports it again, by way of its changes alone.
    fn round_trip(text: &str) -> String {
        let imported = import(Value::parse(text).unwrap()).unwrap();
        let mut graph = Answer {
            nodes: imported.changes.nodes_to_add,
            edges: imported.changes.edges_to_add,
            is_cut: false,
        };
        graph.nodes.sort();
        graph.edges.sort();
        export(graph, &imported.frame).to_string()
    }

    #[test]
    fn both_shapes_survive_with_what_is_unknown() {
        let flat = r#"{"edges":[{"source":"a","target":"b","type":"CALLS","weight":2}],"nodes":[{"id":"a","kind":"function","span":{"start_line":1}},{"id":"b"}],"version":"3"}"#;
        assert_eq!(round_trip(flat), flat);
        let nested = r#"{"files":["a.py"],"schema_graph":{"entities":[{"id":"a","metadata":{"x":1},"path":"a.py:1-2"}],"indexed_at":"","relations":[{"dst":"b","edge":"calls","src":"a"}],"version":1},"schema_version":"2"}"#;
        assert_eq!(round_trip(nested), nested);
    }

    #[test]
    fn edges_of_a_file_with_nodes_at_the_top_may_be_nested() {
        let text = r#"{"nodes":[{"id":"a"}],"schema_graph":{"relations":[{"dst":"a","edge":"calls","src":"a"}]}}"#;
        assert_eq!(round_trip(text), text);
        let only_nodes = r#"{"schema_graph":{"entities":[{"id":"a"}]}}"#;
        let both = r#"{"schema_graph":{"entities":[{"id":"a"}],"relations":[]}}"#;
        assert_eq!(round_trip(only_nodes), both);
    }

    #[test]
    fn other_names_survive() {
        let text = r#"{"links":[{"from":"a","label":"uses","to":"b"}],"vertices":[{"name":"b","nid":"a"}]}"#;
        assert_eq!(round_trip(text), text);
    }

    #[test]
    fn new_edges_are_written_as_the_file_has_them() {
        let nested = r#"{"schema_graph":{"entities":[],"relations":[]}}"#;
        let frame = import(Value::parse(nested).unwrap()).unwrap().frame;
        let edge = Edge {
            source: "a".into(),
            relation: "calls".into(),
            target: "b".into(),
        };
        let graph = Answer {
            edges: [edge].into(),
            ..Answer::default()
        };
        let expected = r#"{"schema_graph":{"entities":[],"relations":[{"dst":"b","edge":"calls","src":"a"}]}}"#;
        assert_eq!(export(graph.clone(), &frame).to_string(), expected);
        let expected = r#"{"edges":[{"source":"a","target":"b","type":"calls"}],"nodes":[]}"#;
        assert_eq!(export(graph, &Frame::default()).to_string(), expected);
    }

    #[test]
    fn what_cannot_be_a_node_or_an_edge_is_counted() {
        let text = r#"{"nodes":[1,{"kind":"x"},{"id":""},{"id":1,"nid":"a"}],"edges":[{"source":"a","type":"t"}]}"#;
        let imported = import(Value::parse(text).unwrap()).unwrap();
        assert_eq!(
            (imported.skipped, imported.changes),
            (5, Changes::default())
        );
        let refused = |text| import(Value::parse(text).unwrap()).unwrap_err();
        assert_eq!(refused("[]"), NotAGraph::NotAMap);
        assert_eq!(refused(r#"{"nodes":{}}"#), NotAGraph::NotAList("nodes"));
    }
}
