//! Tool calls, against a real process on a real folder.
//!
//! Owns: names and arguments of tools as arbitrary bytes. Promises: every call is
//! answered in the one shape of results; a refusal has a code that is published;
//! nothing outside the root is touched. Leaves to others: the protocol around it.

use std::fs;
use std::sync::Arc;

use maasl_mcp::server::NodeBackend;
use maasl_node::node::{Node, NodeOptions};
use serde_json::{Value, json};

use crate::pieces::text;
use crate::scratch::Trap;
use crate::server::{Conversation, runtime};

/// Calls of one input.
const CALLS_MAX: usize = 6;
/// Bytes of an answer beyond what was sent.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Short waits, small files, and statements that are soon stopped.
const CONFIG: &str = "\
[maasl]
durability = \"process\"
default_interactive_max_wait_ms = 5
default_batch_max_wait_ms = 5
[maasl.limits]
max_wait_ms = 5
max_file_bytes = 65536
max_read_bytes = 65536
max_edits = 10
max_changes = 10
max_statements = 10
max_spans = 10
max_graph_operations = 100
max_graphs = 3
statement_ms = 100
[maasl.resource.CRIT_CODE]
interactive_max_wait_ms = 5
batch_max_wait_ms = 5
[maasl.resource.CRIT_DB]
interactive_max_wait_ms = 5
batch_max_wait_ms = 5
[maasl.resource.MERGE_META]
interactive_max_wait_ms = 5
batch_max_wait_ms = 5
[maasl.resource.IDEMP_DOCS]
interactive_max_wait_ms = 5
batch_max_wait_ms = 5
";

/// The stable codes of refusals.
const CODES: [&str; 12] = [
    "resource_busy",
    "db_busy",
    "stale_version",
    "lease_lost",
    "deadlock",
    "limit_reached",
    "invalid_request",
    "idempotency_mismatch",
    "docgen_stale",
    "docgen_unmarked",
    "docgen_failed",
    "cancelled",
];

/// Tries lines of a tool's name and its arguments as JSON, one after the other.
pub fn run(bytes: &[u8]) {
    let trap = Trap::new();
    runtime().block_on(tried(&trap, &text(bytes)));
    trap.assert_outside_untouched();
}

async fn tried(trap: &Trap, lines: &str) {
    fs::write(trap.root().join("maasl.toml"), CONFIG).expect("the root is writable");
    let options = NodeOptions {
        role: "fuzz".to_owned(),
    };
    let node = Node::open(&trap.root(), &options).expect("the root can be used");
    let backend = Arc::new(NodeBackend::new(Arc::clone(&node)));
    let mut talk = Conversation::open(backend).await;
    for (number, line) in lines.lines().take(CALLS_MAX).enumerate() {
        let (name, arguments) = line.split_once(' ').unwrap_or((line, "{}"));
        if let Some(answer) = asked(&mut talk, number, name, arguments).await {
            judged(&answer, lines.len());
        }
    }
    talk.close().await;
    node.close().await;
}

/// The answer to a call; nothing if its arguments are no JSON.
async fn asked(
    talk: &mut Conversation,
    number: usize,
    name: &str,
    arguments: &str,
) -> Option<Value> {
    let arguments = arguments.replace('\r', " ");
    // As it was written, with repeated names and odd numbers.
    let request = format!(
        r#"{{"jsonrpc":"2.0","id":{number},"method":"tools/call","params":{{"name":{},"arguments":{arguments}}}}}"#,
        json!(name),
    );
    let is_json = serde_json::from_str::<Value>(&request).is_ok();
    if !is_json || !arguments.trim_start().starts_with('{') {
        return None;
    }
    talk.send(&format!("{request}\n")).await;
    Some(talk.answer_to(&json!(number)).await)
}

fn judged(answer: &Value, sent: usize) {
    let said = answer.to_string();
    assert!(
        said.len() <= ANSWER_BYTES_MAX + 16 * sent,
        "{} bytes",
        said.len()
    );
    let Some(result) = answer.get("result") else {
        assert!(answer["error"]["code"].is_i64(), "{said}");
        return;
    };
    let body = &result["structuredContent"];
    let is_ok = body["ok"].as_bool().expect("every result says so");
    assert_eq!(result["isError"] == json!(true), !is_ok, "{said}");
    if !is_ok {
        let code = body["error"]["code"].as_str().unwrap_or_default();
        assert!(CODES.contains(&code), "{said}");
        assert!(body["error"]["message"].is_string(), "{said}");
    }
}
