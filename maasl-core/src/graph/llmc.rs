//! The graph file of LLMC, `.llmc/rag_graph.json`, as changes and back.
//!
//! Owns: the shapes such files are seen in, and what they have in common.
//! Promises: what a file says about nodes and edges becomes properties and edges;
//! what this version has no word for is kept and written back: other keys of the
//! document and of edges, entries that are no nodes or edges, edges as often as they
//! are there, the shape, and the names that a file has for things. Whatever a patch
//! may hold can be written and read again.
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
//! with one graph write one file. What has no id comes last, as it is. An edge that
//! waits for a node does not show, so it is not written; but a file that has it
//! keeps it, with all that the file says of it.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use super::changes::{Changes, Edge, Node};
use super::query::Answer;
use super::value::{DEPTH_MAX, NotAValue, Value};

/// Where LLMC has its graph, relative to the root.
pub const PATH: &str = ".llmc/rag_graph.json";

const NESTED: &str = "schema_graph";
const NODE_LISTS: [&str; 3] = ["nodes", "vertices", "entities"];
const EDGE_LISTS: [&str; 3] = ["edges", "links", "relations"];
const IDS: [&str; 3] = ["id", "nid", "name"];
const SOURCES: [&str; 3] = ["source", "src", "from"];
const TARGETS: [&str; 3] = ["target", "dst", "to"];
const RELATIONS: [&str; 4] = ["type", "edge", "relation", "label"];

/// How deep the value of a property may lie in a file: below the document, the
/// schema graph, a list and a node.
const DEPTH_AROUND: usize = 4;

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
    /// What each edge has beside its three parts, and how it names them, as often as
    /// the file has it.
    extras: BTreeMap<Edge, Vec<Extra>>,
    /// Entries that are no nodes.
    other_nodes: Vec<Value>,
    /// Entries that are no edges.
    other_edges: Vec<Value>,
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
    /// How many entries have no id or no ends. They are no part of the changes; the
    /// frame has them.
    pub skipped: u64,
}

/// A document made of a graph and a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// The document.
    pub document: Value,
    /// How many entries of the frame are in it though the graph shows none of them.
    pub carried_over: u64,
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

/// Reads the text of a file. Its nodes may have whatever values patches may set.
pub fn parse(text: &str) -> Result<Value, NotAValue> {
    Value::parse_within(text, DEPTH_MAX + DEPTH_AROUND)
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

/// Puts a document together from a graph and what the file had beside it. `waits`
/// says of an edge that the graph does not show whether only a node is missing.
#[must_use]
pub fn export(graph: Answer, frame: &Frame, waits: impl Fn(&Edge) -> bool) -> Exported {
    let mut edges = graph.edges;
    let mut carried_over = frame.other_nodes.len() + frame.other_edges.len();
    for (edge, extras) in &frame.extras {
        if waits(edge) {
            edges.push(edge.clone());
            carried_over += extras.len();
        }
    }
    edges.sort();
    let nodes = graph.nodes.into_iter().map(|node| frame.node(node));
    let nodes = nodes.chain(frame.other_nodes.iter().cloned());
    let edges = edges.iter().flat_map(|edge| frame.edge(edge));
    let edges = edges.chain(frame.other_edges.iter().cloned());
    let [nodes_at, edges_at] = ListAt::FLAT;
    let (nodes_at, edges_at) = (
        frame.nodes.unwrap_or(nodes_at),
        frame.edges.unwrap_or(edges_at),
    );
    let mut document = frame.document.clone();
    nodes_at.put(Value::List(nodes.collect()), &mut document);
    edges_at.put(Value::List(edges.collect()), &mut document);
    Exported {
        document: Value::Map(document),
        carried_over: u64::try_from(carried_over).unwrap_or(u64::MAX),
    }
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
    fn node(&mut self, entry: Value) {
        match node_of(entry) {
            Ok((name, node)) => {
                if name != IDS[0] {
                    self.frame.ids.insert(node.id.clone(), name);
                }
                self.changes.nodes_to_add.push(node);
            }
            Err(other) => {
                self.skipped += 1;
                self.frame.other_nodes.push(other);
            }
        }
    }

    fn edge(&mut self, entry: Value) {
        match edge_of(entry) {
            Ok((edge, extra)) => {
                self.changes.edges_to_add.push(edge.clone());
                self.frame.extras.entry(edge).or_default().push(extra);
            }
            Err(other) => {
                self.skipped += 1;
                self.frame.other_edges.push(other);
            }
        }
    }
}

impl Frame {
    /// A node has its id under the name that the file has for it, unless a property
    /// that came since has that name or would be read as the id.
    fn node(&self, node: Node) -> Value {
        let mut properties = node.properties;
        let name = self.ids.get(&node.id).copied().unwrap_or(IDS[0]);
        let mut before = IDS.iter().take_while(|id| **id != name);
        let is_taken = properties.contains_key(name) || before.any(|id| has_text(&properties, id));
        let name = if is_taken { IDS[0] } else { name };
        properties.insert(name.into(), Value::Text(node.id));
        Value::Map(properties)
    }

    /// An edge, as often as the file has it. A new one is written as most files have
    /// it, or as relations are.
    fn edge(&self, edge: &Edge) -> Vec<Value> {
        if let Some(extras) = self.extras.get(edge) {
            return extras.iter().map(|extra| extra.edge(edge)).collect();
        }
        let is_relation = self.edges.is_some_and(|edges| edges.name == EDGE_LISTS[2]);
        let names = if is_relation {
            ["src", "edge", "dst"]
        } else {
            ["source", "type", "target"]
        };
        let rest = Map::new();
        Vec::from([Extra { names, rest }.edge(edge)])
    }
}

impl Extra {
    fn edge(&self, edge: &Edge) -> Value {
        let mut map = self.rest.clone();
        let parts = [&edge.source, &edge.relation, &edge.target];
        for (name, part) in self.names.into_iter().zip(parts) {
            map.insert(name.into(), Value::Text(part.clone()));
        }
        Value::Map(map)
    }
}

/// A node and the name of its id; the entry itself if it is none.
fn node_of(entry: Value) -> Result<(&'static str, Node), Value> {
    let Value::Map(mut properties) = entry else {
        return Err(entry);
    };
    let name = text_name(&properties, &IDS);
    // No property can be called `id`.
    let is_node = name.is_some_and(|name| name == IDS[0] || !properties.contains_key(IDS[0]));
    if !is_node {
        return Err(Value::Map(properties));
    }
    let (name, id) = taken_text(&mut properties, &IDS);
    Ok((name, Node { id, properties }))
}

/// An edge and what it has beside its parts; the entry itself if it is none.
fn edge_of(entry: Value) -> Result<(Edge, Extra), Value> {
    let Value::Map(mut rest) = entry else {
        return Err(entry);
    };
    let parts = [&SOURCES[..], &RELATIONS[..], &TARGETS[..]];
    if parts.iter().any(|names| text_name(&rest, names).is_none()) {
        return Err(Value::Map(rest));
    }
    let (source_name, source) = taken_text(&mut rest, &SOURCES);
    let (relation_name, relation) = taken_text(&mut rest, &RELATIONS);
    let (target_name, target) = taken_text(&mut rest, &TARGETS);
    let edge = Edge {
        source,
        relation,
        target,
    };
    let names = [source_name, relation_name, target_name];
    Ok((edge, Extra { names, rest }))
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

/// The first of these names under which there is a text that is not empty.
fn text_name(map: &Map, names: &[&'static str]) -> Option<&'static str> {
    names.iter().copied().find(|name| has_text(map, name))
}

fn has_text(map: &Map, name: &str) -> bool {
    matches!(map.get(name), Some(Value::Text(text)) if !text.is_empty())
}

/// Takes out the text under the first of these names that has one, with the name.
fn taken_text(map: &mut Map, names: &[&'static str]) -> (&'static str, String) {
    let name = text_name(map, names).expect("it was looked for before it is taken");
    match map.remove(name) {
        Some(Value::Text(text)) => (name, text),
        _ => unreachable!("a text was found under {name}"),
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    /// Imports a document and exports it again, by way of its changes alone.
    fn round_trip(text: &str) -> String {
        let imported = import(parse(text).unwrap()).unwrap();
        let mut graph = Answer {
            nodes: imported.changes.nodes_to_add,
            edges: imported.changes.edges_to_add,
            is_cut: false,
        };
        graph.nodes.sort();
        graph.edges.sort();
        graph.edges.dedup();
        let exported = export(graph, &imported.frame, |_| false);
        assert_eq!(exported.carried_over, imported.skipped);
        exported.document.to_string()
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
        let frame = import(parse(nested).unwrap()).unwrap().frame;
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
        let exported = |frame: &Frame| export(graph.clone(), frame, |_| false).document.to_string();
        assert_eq!(exported(&frame), expected);
        let expected = r#"{"edges":[{"source":"a","target":"b","type":"calls"}],"nodes":[]}"#;
        assert_eq!(exported(&Frame::default()), expected);
    }

    #[test]
    fn what_cannot_be_a_node_or_an_edge_stays_as_it_is() {
        let text = r#"{"edges":[{"source":"a","target":"b","type":"t"},{"source":1,"target":2,"type":"t"},[]],"nodes":[{"id":"a"},{"id":7,"kind":"x"},null,{"id":null,"nid":"b"}]}"#;
        assert_eq!(round_trip(text), text);
    }

    #[test]
    fn an_edge_stays_as_often_as_it_is_there() {
        let text = r#"{"edges":[{"line":1,"source":"a","target":"b","type":"t"},{"dst":"b","edge":"t","line":2,"src":"a"}],"nodes":[]}"#;
        assert_eq!(round_trip(text), text);
    }

    #[test]
    fn an_edge_that_waits_stays_and_one_that_was_removed_does_not() {
        let text = r#"{"edges":[{"line":1,"source":"a","target":"far","type":"t"},{"source":"a","target":"gone","type":"t"}],"nodes":[]}"#;
        let frame = import(parse(text).unwrap()).unwrap().frame;
        let exported = export(Answer::default(), &frame, |edge| edge.target == "far");
        let expected =
            r#"{"edges":[{"line":1,"source":"a","target":"far","type":"t"}],"nodes":[]}"#;
        assert_eq!(exported.document.to_string(), expected);
        assert_eq!(exported.carried_over, 1);
    }

    #[test]
    fn a_property_with_the_name_of_an_id_is_not_taken_for_it() {
        let text = r#"{"edges":[],"nodes":[{"name":"a"},{"nid":7,"name":"b"}]}"#;
        let imported = import(parse(text).unwrap()).unwrap();
        let mut nodes = imported.changes.nodes_to_add;
        for (node, key) in nodes.iter_mut().zip(["name", "nid"]) {
            node.properties.insert(key.into(), Value::text("set"));
        }
        let graph = Answer {
            nodes: nodes.clone(),
            ..Answer::default()
        };
        let exported = export(graph, &imported.frame, |_| false).document;
        assert_eq!(import(exported).unwrap().changes.nodes_to_add, nodes);
    }

    #[test]
    fn whatever_a_patch_may_hold_can_be_read_again() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        for around in ["", r#""schema_graph":"#] {
            let [open, close] = if around.is_empty() {
                ["", ""]
            } else {
                ["{", "}"]
            };
            let file = |depth| {
                let value = nested(depth);
                alloc::format!(
                    r#"{{{around}{open}"edges":[],"nodes":[{{"id":"a","x":{value}}}]{close}}}"#
                )
            };
            let deepest = file(DEPTH_MAX);
            assert_eq!(round_trip(&deepest), deepest);
            // What is too deep for a patch is for its check to refuse, by name.
            assert!(parse(&file(DEPTH_MAX + DEPTH_AROUND)).is_err());
        }
    }

    #[test]
    fn what_cannot_be_a_node_or_an_edge_is_counted() {
        let text = r#"{"nodes":[1,{"kind":"x"},{"id":""},{"id":1,"nid":"a"}],"edges":[{"source":"a","type":"t"}]}"#;
        let imported = import(parse(text).unwrap()).unwrap();
        assert_eq!(
            (imported.skipped, imported.changes),
            (5, Changes::default())
        );
        let refused = |text| import(parse(text).unwrap()).unwrap_err();
        assert_eq!(refused("[]"), NotAGraph::NotAMap);
        assert_eq!(refused(r#"{"nodes":{}}"#), NotAGraph::NotAList("nodes"));
    }
}
