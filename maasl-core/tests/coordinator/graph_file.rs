//! Graphs and their files: nothing that a file says is lost in silence.

use maasl_core::config::Config;
use maasl_core::coordinator::graph::{GraphFile, GraphImported, GraphPatch, MAIN};
use maasl_core::coordinator::io::{Reply, Request};
use maasl_core::graph::changes::{Changes, Edge, Node};
use maasl_core::graph::value::{DEPTH_MAX, Value};
use maasl_core::refusal::Refusal;
use maasl_core::reply::FileChanged;

use super::asking::changed;
use super::world::{Pid, World};

const FILE: &str = "graph.json";

fn file() -> GraphFile {
    GraphFile {
        graph: MAIN.into(),
        path: Some(FILE.into()),
    }
}

fn import(world: &mut World, pid: Pid) -> Result<GraphImported, Refusal> {
    let call = world.call(pid, Request::ImportGraph(file()));
    match world.ask(pid, call).result? {
        Reply::Imported(imported) => Ok(imported),
        other => panic!("not brought in: {other:?}"),
    }
}

fn export(world: &mut World, pid: Pid) -> Result<FileChanged, Refusal> {
    let call = world.call(pid, Request::ExportGraph(file()));
    Ok(changed(world.ask(pid, call))?.remove(0))
}

fn patch(world: &mut World, pid: Pid, changes: Changes) -> Result<Reply, Refusal> {
    let patch = GraphPatch {
        graph: MAIN.into(),
        changes,
        seen: None,
    };
    let call = world.call(pid, Request::Patch(patch));
    world.ask(pid, call).result
}

/// Adds a node with one property.
fn add(id: &str, value: Value) -> Changes {
    let node = Node {
        id: id.into(),
        properties: [("by".into(), value)].into(),
    };
    Changes {
        nodes_to_add: vec![node],
        ..Changes::default()
    }
}

fn refused_field<T: std::fmt::Debug>(result: Result<T, Refusal>) -> String {
    match result {
        Err(Refusal::InvalidRequest { field, .. }) => field,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn what_the_graph_does_not_show_stays_in_the_file_and_is_counted() {
    let far = r#"{"line":7,"source":"n","target":"far","type":"calls"},"#;
    let edges = r#"{"line":1,"source":"n","target":"n","type":"calls"},{"line":2,"source":"n","target":"n","type":"calls"},{"source":1,"target":2,"type":"t"}"#;
    let others = r#"{"id":7,"kind":"x"},"odd""#;
    let text = |far: &str, nodes: &str| {
        format!("{{\"edges\":[{far}{edges}],\"nodes\":[{nodes},{others}]}}\n")
    };
    let before = text(far, r#"{"id":"n","kind":"fn"}"#);
    let (mut world, ann, _) = World::of_two(&[(FILE, before.as_str())]);
    let imported = import(&mut world, ann).unwrap();
    assert_eq!((imported.patches, imported.skipped), (1, 3));
    // An edge that waits for a node is in the file, and the graph does not show it.
    patch(&mut world, ann, add("n", Value::text("x"))).unwrap();
    assert_eq!(export(&mut world, ann).unwrap().carried_over, Some(4));
    let n = r#"{"by":"x","id":"n","kind":"fn"}"#;
    let content = |world: &World| world.disk.text(FILE).unwrap().to_owned();
    assert_eq!(content(&world), text(far, n));
    patch(&mut world, ann, add("far", Value::Null)).unwrap();
    assert_eq!(export(&mut world, ann).unwrap().carried_over, Some(3));
    let both = format!(r#"{{"by":null,"id":"far"}},{n}"#);
    assert_eq!(content(&world), text(far, &both));
    // What was removed goes from the file too.
    let gone = Changes {
        nodes_to_remove: vec!["far".into()],
        ..Changes::default()
    };
    patch(&mut world, ann, gone).unwrap();
    assert_eq!(export(&mut world, ann).unwrap().carried_over, Some(3));
    assert_eq!(content(&world), text("", n));
    world.assert_idle("written");
}

#[test]
fn a_file_that_says_what_the_graph_never_heard_of_is_not_overwritten() {
    let edge = Edge {
        source: "n".into(),
        relation: "calls".into(),
        target: "far".into(),
    };
    let known = Changes {
        edges_to_add: vec![edge],
        ..add("n", Value::text("x"))
    };
    let property = r#"{"edges":[],"nodes":[{"by":"x","id":"n","span":[1,2]}]}"#;
    let end_of_an_edge = r#"{"edges":[],"nodes":[{"by":"x","id":"far"},{"id":"n"}]}"#;
    for text in [property, end_of_an_edge] {
        let (mut world, ann, _) = World::of_two(&[(FILE, text)]);
        patch(&mut world, ann, known.clone()).unwrap();
        assert_eq!(refused_field(export(&mut world, ann)), "path", "{text}");
        assert_eq!(world.disk.text(FILE), Some(text));
        import(&mut world, ann).unwrap();
        export(&mut world, ann).unwrap();
        let written = world.disk.text(FILE).unwrap();
        assert!(
            written.contains("span") || written.contains(r#"{"by":"x","id":"far"}"#),
            "{written}"
        );
        world.assert_idle(text);
    }
}

#[test]
fn a_file_that_cannot_be_brought_in_whole_changes_nothing() {
    let mut config = Config::default();
    config.limits.max_graph_operations = 2;
    let mut world = World::with(config);
    let ann = world.spawn("ann");
    let text = r#"{"edges":[],"nodes":[{"id":"a"},{"id":"b"},{"id":"c","":1}]}"#;
    world.disk.outside(FILE, Some(text));
    assert_eq!(refused_field(import(&mut world, ann)), "nodes_to_add[0]");
    assert_eq!(world.journals(), []);
    let text = r#"{"edges":[],"nodes":[{"id":"a"},{"id":"b"},{"id":"c"}]}"#;
    world.disk.outside(FILE, Some(text));
    assert_eq!(import(&mut world, ann).unwrap().patches, 2);
}

#[test]
fn a_value_as_deep_as_a_patch_may_have_goes_to_a_file_and_back() {
    let nested = |depth: usize| (0..depth).fold(Value::Null, |inner, _| Value::List(vec![inner]));
    for text in [None, Some(r#"{"schema_graph":{"entities":[]}}"#)] {
        let (mut world, ann, bob) = World::of_two(&[]);
        world.disk.outside(FILE, text);
        let too_deep = patch(&mut world, ann, add("n", nested(DEPTH_MAX + 1)));
        assert_eq!(refused_field(too_deep), "nodes_to_add[0]");
        patch(&mut world, ann, add("n", nested(DEPTH_MAX))).unwrap();
        let first = export(&mut world, ann).unwrap();
        let second = export(&mut world, bob).unwrap();
        assert_eq!(first.sha256, second.sha256);
        assert_eq!(import(&mut world, bob).unwrap().patches, 0, "nothing new");
    }
}
