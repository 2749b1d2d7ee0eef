//! Graph files of LLMC, and the JSON they are made of.
//!
//! Owns: graph files as arbitrary bytes. Promises: a value is printed and read
//! alike; a file that is brought in and written out says the same of nodes and
//! edges, and loses no entry. Leaves to others: conflicts (`graph_patch`).

use maasl_core::graph::changes::{Changes, Edge};
use maasl_core::graph::llmc::{export, import, parse};
use maasl_core::graph::patch::{Header, Patch};
use maasl_core::graph::query::{Answer, Question};
use maasl_core::graph::seen::{Dot, Seen};
use maasl_core::graph::state::Graph;
use maasl_core::graph::value::{DEPTH_MAX, Value};
use maasl_core::id::ActorId;

/// Tries bytes as a graph file.
pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let Ok(value) = parse(text) else {
        assert!(Value::parse(text).is_err());
        return;
    };
    let is_shallow = value.depth() <= DEPTH_MAX;
    assert_eq!(Value::parse(text).is_ok(), is_shallow);
    let printed = value.to_string();
    assert_eq!(parse(&printed).as_ref(), Ok(&value), "{printed}");
    let Ok(imported) = import(value) else {
        return;
    };
    let entries = imported.changes.operations();
    assert!(entries <= text.len(), "{entries} entries");
    let Some(graph) = graph(&imported.changes) else {
        return;
    };
    assert_eq!(graph.unheard_of(&imported.changes), 0);
    let shown = whole(&graph);
    let exported = export(shown.clone(), &imported.frame, |edge| graph.waits(edge));
    assert!(exported.carried_over >= imported.skipped);
    let written = exported.document.to_string();
    assert!(written.len() <= 16 * text.len() + 64);
    let written = parse(&written).expect("what was written can be read");
    let again = import(written).expect("what was written is a graph file");
    assert_eq!(again.skipped, imported.skipped, "an entry is lost");
    assert_eq!(
        in_order(again.changes.edges_to_add.clone()),
        in_order(imported.changes.edges_to_add),
        "an edge is lost"
    );
    if let Some(again) = self::graph(&again.changes) {
        assert_eq!(
            whole(&again),
            shown,
            "written and read, it says something else"
        );
    }
}

fn in_order(mut edges: Vec<Edge>) -> Vec<Edge> {
    edges.sort();
    edges
}

/// The graph of these changes, if they make a patch.
fn graph(changes: &Changes) -> Option<Graph> {
    let dot = Dot {
        actor: ActorId::new("a"),
        counter: 1,
    };
    let header = Header::new(dot, Seen::nothing(), 1).expect("the first stamp");
    let patch = Patch::seal(header, changes).ok()?;
    let mut graph = Graph::new();
    graph.merge(&[patch]);
    Some(graph)
}

fn whole(graph: &Graph) -> Answer {
    graph.ask(&Question {
        node: None,
        depth: 0,
        nodes_max: usize::MAX,
        edges_max: usize::MAX,
    })
}
