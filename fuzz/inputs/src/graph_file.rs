//! Graph files of LLMC, and the JSON they are made of.
//!
//! Owns: graph files as arbitrary bytes. Promises: a value is printed and read
//! alike; a file that is brought in and written out says the same of nodes and
//! edges. Leaves to others: conflicts (`graph_patch`).

use maasl_core::graph::changes::Changes;
use maasl_core::graph::llmc::{export, import};
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
    let Ok(value) = Value::parse(text) else {
        return;
    };
    assert!(value.depth() <= DEPTH_MAX);
    let printed = value.to_string();
    assert_eq!(Value::parse(&printed).as_ref(), Ok(&value), "{printed}");
    let Ok(imported) = import(value) else {
        return;
    };
    let entries = imported.changes.operations();
    assert!(entries <= text.len(), "{entries} entries");
    let Some(graph) = graph(&imported.changes) else {
        return;
    };
    let shown = whole(&graph);
    let written = export(shown.clone(), &imported.frame);
    assert!(written.to_string().len() <= 16 * text.len() + 64);
    let again = import(written).expect("what was written is a graph file");
    assert_eq!(again.skipped, 0);
    if let Some(again) = self::graph(&again.changes) {
        assert_eq!(
            whole(&again),
            shown,
            "written and read, it says something else"
        );
    }
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
