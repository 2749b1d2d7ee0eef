//! A client and a server, connected in memory.
//!
//! Owns: calling tools as a client does, and one good call of every tool.
//! Promises: a result is looked at as a client sees it. Leaves to others: what it
//! should be.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use maasl_core::coordinator::io::{Call, Response};
use maasl_core::id::ContentHash;
use maasl_core::refusal::Refusal;
use maasl_mcp::server::{EnvIdentity, ServeError, serve};
use rmcp::model::{
    CallToolRequest, CallToolRequestParams, CallToolResult, ClientConfig, ClientRequest,
    Implementation, ProgressNotificationParam, Tool,
};
use rmcp::service::{NotificationContext, PeerRequestOptions, RequestHandle, RunningService};
use rmcp::{ClientHandler, RoleClient, ServiceExt as _};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::backend::{Scripted, Step};
use crate::samples::reply_to;

/// Long enough for anything that does not hang.
pub(crate) const SOON: Duration = Duration::from_secs(10);

/// A client that remembers what it is told.
#[derive(Clone, Default)]
pub(crate) struct Ears {
    pub(crate) progress: Arc<Mutex<Vec<ProgressNotificationParam>>>,
}

impl ClientHandler for Ears {
    fn get_info(&self) -> ClientConfig {
        let about = Implementation::new("ears", "1");
        ClientConfig::new(rmcp::model::ClientCapabilities::default(), about)
    }

    async fn on_progress(
        &self,
        param: ProgressNotificationParam,
        _: NotificationContext<RoleClient>,
    ) {
        self.progress.lock().unwrap().push(param);
    }
}

pub(crate) struct Session {
    pub(crate) backend: Arc<Scripted>,
    pub(crate) client: RunningService<RoleClient, Ears>,
    pub(crate) ears: Ears,
    pub(crate) server: JoinHandle<Result<(), ServeError>>,
    pub(crate) stop: CancellationToken,
}

impl Session {
    pub(crate) async fn open(script: impl Fn(&Call) -> Step + Send + Sync + 'static) -> Self {
        Self::open_as(script, EnvIdentity::default()).await
    }

    pub(crate) async fn open_as(
        script: impl Fn(&Call) -> Step + Send + Sync + 'static,
        env: EnvIdentity,
    ) -> Self {
        let backend = Arc::new(Scripted::new(script));
        let (near, far) = tokio::io::duplex(1 << 16);
        let (reader, writer) = tokio::io::split(far);
        let stop = CancellationToken::new();
        let connection = serve(Arc::clone(&backend), env, reader, writer, stop.clone());
        let server = tokio::spawn(connection);
        let ears = Ears::default();
        let client = ears.clone().serve(near).await.expect("connected");
        Self {
            backend,
            client,
            ears,
            server,
            stop,
        }
    }

    pub(crate) async fn tools(&self) -> Vec<Tool> {
        self.client.list_all_tools().await.expect("a list")
    }

    pub(crate) async fn call(&self, tool: &str, arguments: Value) -> CallToolResult {
        self.client
            .call_tool(params(tool, arguments))
            .await
            .expect("a tool result")
    }

    pub(crate) async fn body(&self, tool: &str, arguments: Value) -> Value {
        body(&self.call(tool, arguments).await)
    }

    pub(crate) async fn begin(&self, params: CallToolRequestParams) -> RequestHandle<RoleClient> {
        self.begin_with(params, PeerRequestOptions::no_options())
            .await
    }

    pub(crate) async fn begin_with(
        &self,
        params: CallToolRequestParams,
        options: PeerRequestOptions,
    ) -> RequestHandle<RoleClient> {
        let request = ClientRequest::CallToolRequest(CallToolRequest::new(params));
        let handle = self.client.send_cancellable_request(request, options);
        handle.await.expect("sent")
    }
}

pub(crate) fn params(tool: &str, arguments: Value) -> CallToolRequestParams {
    let Value::Object(arguments) = arguments else {
        panic!("arguments are an object");
    };
    CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments)
}

/// The structured content, which the text must repeat.
pub(crate) fn body(result: &CallToolResult) -> Value {
    let body = result.structured_content.clone().expect("structured");
    let text = result.content[0].as_text().expect("text").text.clone();
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), body);
    assert_eq!(body["ok"], json!(result.is_error != Some(true)));
    body
}

pub(crate) fn answers(call: &Call) -> Step {
    Step::Answer(Response {
        result: Ok(reply_to(call)),
        lost: Vec::new(),
        observed: Vec::new(),
    })
}

pub(crate) fn refuses(refusal: Refusal) -> impl Fn(&Call) -> Step + Send + Sync + 'static {
    move |_| {
        Step::Answer(Response {
            result: Err(refusal.clone()),
            lost: Vec::new(),
            observed: Vec::new(),
        })
    }
}

/// One good call of every tool.
pub(crate) fn examples() -> Vec<(&'static str, Value)> {
    let edits = json!([{"old_text": "a", "new_text": "b"}]);
    vec![
        ("read_file", json!({"path": "a.txt"})),
        ("write_file", json!({"path": "a.txt", "content": "x"})),
        ("edit_file", json!({"path": "a.txt", "edits": edits})),
        (
            "refactor_file",
            json!({"changes": [
                {"op": "write", "path": "a.txt", "content": "/w==", "encoding": "base64"},
                {"op": "edit", "path": "b.txt", "edits": edits},
                {"op": "move", "source": "c.txt", "destination": "d.txt"},
                {"op": "delete", "path": "e.txt"},
            ]}),
        ),
        (
            "move_file",
            json!({"source": "a.txt", "destination": "b.txt"}),
        ),
        ("delete_file", json!({"path": "a.txt"})),
        ("file_history", json!({"path": "a.txt"})),
        ("file_restore", json!({"path": "a.txt", "version": 2})),
        (
            "lease_acquire",
            json!({"resources": [{"id": "src", "scope": "subtree"}], "ttl_sec": 1.5,
                   "intent": "renaming"}),
        ),
        ("lease_renew", json!({"lease": "0123"})),
        ("lease_release", json!({"lease": "0123"})),
        (
            "db_write",
            json!({"db": "rag", "statements": [
                {"sql": "INSERT INTO t VALUES (?1, ?2)", "params": [1, {"base64": "AA=="}]},
                {"sql": "DELETE FROM t WHERE x = :x", "params": {"x": null}},
            ]}),
        ),
        (
            "rag_enrich",
            json!({"spans": [{"path": "a.txt", "start_line": 1, "end_line": 3,
                "summary": "says x", "tags": ["x"]}]}),
        ),
        ("rag_search", json!({"query": "says"})),
        (
            "graph_patch",
            json!({
                "nodes_to_add": [{"id": "a", "kind": "function", "lines": [1, 2]}],
                "edges_to_add": [{"source": "a", "type": "calls", "target": "b"}],
                "properties_to_set": {"b": {"kind": null}},
                "properties_to_clear": {"c": ["kind"]},
                "nodes_to_remove": ["d"],
                "edges_to_remove": [{"source": "a", "type": "calls", "target": "d"}],
                "seen": "0.0",
            }),
        ),
        (
            "graph_query",
            json!({"node": "a", "depth": 2, "conflicts": true, "limit": 10}),
        ),
        ("docgen_file", json!({"path": "a.py"})),
        ("docgen_check", json!({"paths": ["fresh.py"]})),
        (
            "transaction",
            json!({
                "changes": [{"op": "write", "path": "a.txt", "content": "x"}],
                "database": {"db": "rag", "statements": [{"sql": "DELETE FROM t"}]},
                "documents": [
                    {"path": "a.py", "content": "says x", "source_sha256": ContentHash::of(b"source").to_string()},
                    {"path": "fresh", "content": "says y"},
                ],
                "graph": {"nodes_to_add": [{"id": "a"}]},
            }),
        ),
        ("llmc_locks", json!({})),
        ("llmc_stomp_stats", json!({})),
        ("llmc_docgen_status", json!({"limit": 2})),
    ]
}
