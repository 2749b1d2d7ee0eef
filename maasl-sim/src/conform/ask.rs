//! What real servers are asked.
//!
//! Owns: a call of the core as a call of a tool, or as a command of the program
//! where no tool does it. Promises: nothing that both could be asked is left out.
//! Leaves to others: asking (`real`).

use std::fmt;

use maasl_core::coordinator::database::DatabaseWrite;
use maasl_core::coordinator::graph::GraphPatch;
use maasl_core::coordinator::io::{
    Call, DocumentWanted, FileOp, OnStale, Request, Reservation, ResourceWanted,
};
use maasl_core::coordinator::transaction::TransactionWanted;
use maasl_core::database::Work;
use maasl_core::graph::changes::Edge;
use maasl_core::graph::value::Value as GraphValue;
use maasl_core::id::ContentHash;
use maasl_core::policy::Urgency;
use maasl_core::resource::{Mode, Scope};
use serde_json::{Map, Value, json};

use super::object;
use super::real::ADD_ROW;

/// Nodes of a graph in one answer: more than any scenario makes.
const NODES_MAX: u32 = 100_000;

/// What is asked.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Ask {
    /// A call of a tool.
    Tool {
        tool: &'static str,
        arguments: Value,
    },
    /// A command of the program.
    Command(Vec<String>),
}

impl Ask {
    /// The tool, or the first word of the command.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Tool { tool, .. } => tool,
            Self::Command(words) => &words[0],
        }
    }
}

impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tool { tool, arguments } => write!(f, "{tool} {arguments}"),
            Self::Command(words) => write!(f, "maasl {}", words.join(" ")),
        }
    }
}

/// Which of the arguments that tools share a tool takes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Takes {
    Agent,
    Waits,
    Lease,
}

/// What the real servers are asked for a call; `lease` gives the id that they know
/// a lease by.
pub(super) fn of(call: &Call, lease: &dyn Fn(&str) -> String) -> Ask {
    use Takes::{Agent, Lease, Waits};
    let (tool, takes, mut arguments) = match &call.request_body {
        Request::Read(wanted) => ("read_file", Agent, json!({ "path": wanted.path })),
        Request::Change(ops) => {
            let (tool, arguments) = changes(ops);
            (tool, Lease, arguments)
        }
        Request::Database(write) => ("db_write", Lease, database(write)),
        Request::Transact(wanted) => ("transaction", Lease, transaction(wanted)),
        Request::Document(wanted) => ("docgen_file", Lease, document(wanted)),
        Request::Patch(wanted) => ("graph_patch", Lease, patch(wanted)),
        Request::Query(query) => {
            let whole = json!({ "graph": query.graph, "conflicts": true, "limit": NODES_MAX });
            ("graph_query", Agent, whole)
        }
        Request::Reserve(wanted) => ("lease_acquire", Lease, reservation(wanted)),
        Request::Renew(id) => ("lease_renew", Waits, json!({ "lease": lease(id.as_str()) })),
        Request::Release(id) => (
            "lease_release",
            Waits,
            json!({ "lease": lease(id.as_str()) }),
        ),
        Request::Revoke { target, reason } => {
            let key = target.key.as_str();
            return command(&["revoke", key, "--reason", reason]);
        }
        Request::CompactGraphs(_) => return command(&["graph", "compact"]),
        other => unreachable!("no action of a plan asks for {other:?}"),
    };
    let shared = arguments.as_object_mut().expect("arguments are an object");
    shared.insert("agent".into(), json!(call.agent.as_str()));
    if takes >= Waits {
        let is_batch = call.urgency == Urgency::Batch;
        let mode = if is_batch { "batch" } else { "interactive" };
        shared.insert("mode".into(), json!(mode));
        insert(shared, "max_wait_ms", call.max_wait_ms);
        let key = call.request.as_ref().map(|request| &request.key);
        insert(shared, "idempotency_key", key);
    }
    if takes == Lease {
        let id = call.lease.as_ref().map(|id| lease(id.as_str()));
        insert(shared, "lease", id);
    }
    Ask::Tool { tool, arguments }
}

fn command(words: &[&str]) -> Ask {
    Ask::Command(words.iter().map(|word| (*word).to_owned()).collect())
}

fn insert(into: &mut Map<String, Value>, name: &str, value: Option<impl serde::Serialize>) {
    if let Some(value) = value {
        into.insert(name.into(), json!(value));
    }
}

/// One change is asked of its own tool.
fn changes(ops: &[FileOp]) -> (&'static str, Value) {
    let [op] = ops else {
        let changes: Vec<Value> = ops.iter().map(change).collect();
        return ("refactor_file", json!({ "changes": changes }));
    };
    let mut arguments = change(op);
    let name = arguments.as_object_mut().and_then(|one| one.remove("op"));
    let tool = match name.as_ref().and_then(Value::as_str) {
        Some("write") => "write_file",
        Some("edit") => "edit_file",
        Some("move") => "move_file",
        Some("delete") => "delete_file",
        _ => "file_restore",
    };
    (tool, arguments)
}

fn change(op: &FileOp) -> Value {
    let fields = match op {
        FileOp::Write {
            path,
            content,
            base,
            on_stale,
        } => [
            ("path", json!(path)),
            ("content", json!(text(content))),
            ("base_sha256", hash(*base)),
            (
                "on_stale",
                json!(match on_stale {
                    OnStale::Refuse => "refuse",
                    OnStale::Merge => "merge",
                }),
            ),
        ],
        FileOp::Edit { path, edits, base } => {
            let edits = edits.iter().map(|edit| {
                json!({
                    "old_text": edit.old_text,
                    "new_text": edit.new_text,
                    "expected_replacements": edit.expected_replacements,
                })
            });
            [
                ("path", json!(path)),
                ("edits", edits.collect()),
                ("base_sha256", hash(*base)),
                ("", Value::Null),
            ]
        }
        FileOp::Move {
            source,
            destination,
            base,
        } => [
            ("source", json!(source)),
            ("destination", json!(destination)),
            ("base_sha256", hash(*base)),
            ("", Value::Null),
        ],
        FileOp::Delete { path, base } => [
            ("path", json!(path)),
            ("base_sha256", hash(*base)),
            ("", Value::Null),
            ("", Value::Null),
        ],
        FileOp::Restore {
            path,
            version,
            base,
        } => [
            ("path", json!(path)),
            ("version", json!(version)),
            ("base_sha256", hash(*base)),
            ("", Value::Null),
        ],
        FileOp::Document { .. } | FileOp::Graph { .. } => {
            unreachable!("the core makes these by itself")
        }
    };
    let mut change = object(fields);
    change["op"] = json!(op.name());
    change
}

fn database(write: &DatabaseWrite) -> Value {
    let Work::Statements(statements) = &write.work else {
        unreachable!("agents of a world add rows by statements")
    };
    // A world takes the text of a statement for the row that it adds.
    let statements = statements
        .iter()
        .map(|one| json!({ "sql": ADD_ROW, "params": [one.sql] }));
    let statements: Vec<Value> = statements.collect();
    json!({ "db": write.db, "statements": statements })
}

fn transaction(wanted: &TransactionWanted) -> Value {
    let changes: Vec<Value> = wanted.files.iter().map(change).collect();
    let documents: Vec<Value> = wanted.documents.iter().map(document).collect();
    object([
        ("changes", json!(changes)),
        ("database", json!(wanted.database.as_ref().map(database))),
        ("documents", json!(documents)),
        ("graph", json!(wanted.graph.as_ref().map(patch))),
    ])
}

fn document(wanted: &DocumentWanted) -> Value {
    object([
        ("path", json!(wanted.path)),
        ("content", json!(wanted.content.as_deref().map(text))),
        ("source_sha256", hash(wanted.made_from)),
        ("replace_sha256", hash(wanted.replaces)),
    ])
}

fn patch(wanted: &GraphPatch) -> Value {
    let changes = &wanted.changes;
    let nodes = changes.nodes_to_add.iter().map(|node| {
        let mut shown = Map::from_iter([("id".to_owned(), json!(node.id))]);
        let properties = node.properties.iter();
        shown.extend(properties.map(|(key, one)| (key.clone(), value(one))));
        Value::Object(shown)
    });
    let set = changes.properties_to_set.iter().map(|(node, values)| {
        let values = values.iter().map(|(key, one)| (key.clone(), value(one)));
        (node.clone(), Value::Object(values.collect()))
    });
    object([
        ("graph", json!(wanted.graph)),
        ("nodes_to_add", nodes.collect()),
        ("edges_to_add", edges(&changes.edges_to_add)),
        ("properties_to_set", Value::Object(set.collect())),
        ("properties_to_clear", json!(changes.properties_to_clear)),
        ("nodes_to_remove", json!(changes.nodes_to_remove)),
        ("edges_to_remove", edges(&changes.edges_to_remove)),
        ("seen", json!(wanted.seen.as_ref().map(ToString::to_string))),
    ])
}

pub(super) fn edges(edges: &[Edge]) -> Value {
    edges.iter().map(edge).collect()
}

pub(super) fn edge(edge: &Edge) -> Value {
    json!({ "source": edge.source, "type": edge.relation, "target": edge.target })
}

pub(super) fn value(value: &GraphValue) -> Value {
    serde_json::from_str(&value.to_string()).expect("the text of a value is JSON")
}

fn reservation(wanted: &Reservation) -> Value {
    let resources: Vec<Value> = wanted.resources.iter().map(resource).collect();
    json!({ "resources": resources })
}

fn resource(wanted: &ResourceWanted) -> Value {
    json!({
        "id": wanted.id,
        "class": wanted.class,
        "scope": scope(wanted.scope),
        "mode": mode(wanted.mode),
    })
}

pub(super) fn scope(scope: Scope) -> &'static str {
    match scope {
        Scope::Exact => "exact",
        Scope::Subtree => "subtree",
    }
}

pub(super) fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Exclusive => "exclusive",
        Mode::Shared => "shared",
    }
}

pub(super) fn hash(hash: Option<ContentHash>) -> Value {
    json!(hash.map(|hash| hash.to_string()))
}

/// Agents of a world write text alone.
pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
