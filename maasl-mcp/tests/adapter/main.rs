//! The MCP adapter against a scripted backend, over an in-memory connection.

mod backend;
mod schema;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use backend::{Scripted, Step, refusals, reply_to};
use maasl_core::coordinator::io::{Call, FileOp, Request, Response};
use maasl_core::refusal::{LostLease, Refusal};
use maasl_mcp::server::{EnvIdentity, ServeError, serve};
use rmcp::model::{
    CallToolRequest, CallToolRequestParams, CallToolResult, ClientConfig, ClientRequest,
    Implementation, ProgressNotificationParam, RequestMetaObject, Tool,
};
use rmcp::service::{NotificationContext, PeerRequestOptions, RequestHandle, RunningService};
use rmcp::{ClientHandler, RoleClient, ServiceExt as _};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Long enough for anything that does not hang.
const SOON: Duration = Duration::from_secs(10);

/// A client that remembers what it is told.
#[derive(Clone, Default)]
struct Ears {
    progress: Arc<Mutex<Vec<ProgressNotificationParam>>>,
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

struct Session {
    backend: Arc<Scripted>,
    client: RunningService<RoleClient, Ears>,
    ears: Ears,
    server: JoinHandle<Result<(), ServeError>>,
    stop: CancellationToken,
}

impl Session {
    async fn open(script: impl Fn(&Call) -> Step + Send + Sync + 'static) -> Self {
        Self::open_as(script, EnvIdentity::default()).await
    }

    async fn open_as(
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

    async fn tools(&self) -> Vec<Tool> {
        self.client.list_all_tools().await.expect("a list")
    }

    async fn call(&self, tool: &str, arguments: Value) -> CallToolResult {
        self.client
            .call_tool(params(tool, arguments))
            .await
            .expect("a tool result")
    }

    async fn body(&self, tool: &str, arguments: Value) -> Value {
        body(&self.call(tool, arguments).await)
    }

    async fn begin(&self, params: CallToolRequestParams) -> RequestHandle<RoleClient> {
        self.begin_with(params, PeerRequestOptions::no_options())
            .await
    }

    async fn begin_with(
        &self,
        params: CallToolRequestParams,
        options: PeerRequestOptions,
    ) -> RequestHandle<RoleClient> {
        let request = ClientRequest::CallToolRequest(CallToolRequest::new(params));
        let handle = self.client.send_cancellable_request(request, options);
        handle.await.expect("sent")
    }
}

fn params(tool: &str, arguments: Value) -> CallToolRequestParams {
    let Value::Object(arguments) = arguments else {
        panic!("arguments are an object");
    };
    CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments)
}

/// The structured content, which the text must repeat.
fn body(result: &CallToolResult) -> Value {
    let body = result.structured_content.clone().expect("structured");
    let text = result.content[0].as_text().expect("text").text.clone();
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), body);
    assert_eq!(body["ok"], json!(result.is_error != Some(true)));
    body
}

fn answers(call: &Call) -> Step {
    Step::Answer(Response {
        result: Ok(reply_to(call)),
        lost: Vec::new(),
    })
}

fn refuses(refusal: Refusal) -> impl Fn(&Call) -> Step + Send + Sync + 'static {
    move |_| {
        Step::Answer(Response {
            result: Err(refusal.clone()),
            lost: Vec::new(),
        })
    }
}

/// One good call of every tool.
fn examples() -> Vec<(&'static str, Value)> {
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
        ("llmc_locks", json!({})),
        ("llmc_stomp_stats", json!({})),
    ]
}

#[tokio::test]
async fn tools_are_listed_as_every_client_likes_them() {
    let session = Session::open(answers).await;
    let tools = session.tools().await;
    let names: Vec<&str> = tools.iter().map(|tool| tool.name.as_ref()).collect();
    let expected: Vec<&str> = examples().iter().map(|(name, _)| *name).collect();
    assert_eq!(names, expected);
    for tool in &tools {
        let plain = |c: char| c.is_ascii_lowercase() || c == '_';
        assert!(
            tool.name.len() <= 30 && tool.name.chars().all(plain),
            "{}",
            tool.name
        );
        assert!(tool.title.is_some() && tool.description.is_some());
        let annotations = tool.annotations.as_ref().expect("annotations");
        assert!(annotations.read_only_hint.is_some() && annotations.destructive_hint.is_some());
        assert!(annotations.idempotent_hint.is_some());
        let input = Value::Object((*tool.input_schema).clone());
        schema::arguments_are_described(&tool.name, &input);
        let output = tool.output_schema.as_ref().expect("an output schema");
        assert_eq!(output["required"], json!(["ok"]), "{}", tool.name);
        let text = serde_json::to_string(tool).unwrap();
        assert!(!text.contains("\"format\""), "{}: {text}", tool.name);
        assert!(!text.contains("$ref"), "{}: {text}", tool.name);
    }
}

#[tokio::test]
async fn the_arguments_and_results_are_the_published_ones() {
    let session = Session::open(answers).await;
    let lines = session.tools().await.into_iter().map(|tool| {
        let input = Value::Object((*tool.input_schema).clone());
        let output = Value::Object((**tool.output_schema.as_ref().unwrap()).clone());
        format!(
            "{}\n  takes   {}\n  answers {}\n",
            tool.name,
            schema::fields(&input).join(", "),
            schema::fields(&output).join(", "),
        )
    });
    insta::assert_snapshot!(lines.collect::<String>());
}

#[tokio::test]
async fn every_success_fits_its_schema() {
    let session = Session::open(answers).await;
    let tools = session.tools().await;
    for (name, arguments) in examples() {
        let tool = tools.iter().find(|tool| tool.name == name).unwrap();
        schema::check(
            &Value::Object((*tool.input_schema).clone()),
            &arguments,
            name,
        );
        let body = session.body(name, arguments).await;
        assert_eq!(body["ok"], true, "{name}: {body}");
        let output = Value::Object((**tool.output_schema.as_ref().unwrap()).clone());
        schema::check(&output, &body, name);
    }
}

#[tokio::test]
async fn every_refusal_is_a_result_that_fits_the_schema() {
    for refusal in refusals() {
        let code = refusal.code();
        let session = Session::open(refuses(refusal)).await;
        let tools = session.tools().await;
        for (name, arguments) in examples() {
            let tool = tools.iter().find(|tool| tool.name == name).unwrap();
            let result = session.call(name, arguments).await;
            let body = body(&result);
            let output = Value::Object((**tool.output_schema.as_ref().unwrap()).clone());
            schema::check(&output, &body, &format!("{name}: {code}"));
            if !matches!(name, "file_history" | "llmc_locks" | "llmc_stomp_stats") {
                assert_eq!(result.is_error, Some(true));
                assert_eq!(body["error"]["code"], code, "{name}");
            }
        }
    }
}

#[tokio::test]
async fn a_refusal_carries_what_the_caller_needs_next() {
    let mut bodies = Vec::new();
    for refusal in refusals() {
        let session = Session::open(refuses(refusal)).await;
        let body = session.body("delete_file", json!({"path": "a.txt"})).await;
        bodies.push(body["error"].clone());
    }
    insta::assert_json_snapshot!(bodies);
}

#[tokio::test]
async fn dotted_names_are_understood_and_others_are_unknown() {
    let session = Session::open(answers).await;
    let locks = session.body("llmc.locks", json!({})).await;
    assert_eq!(locks["count"], 2);
    assert_eq!(
        session.body("llmc.stomp_stats", json!({})).await["ok"],
        true
    );
    let unknown = session
        .client
        .call_tool(params("read.file", json!({})))
        .await;
    assert!(unknown.is_err(), "not routable: an error of the protocol");
}

#[tokio::test]
async fn locks_are_filtered() {
    let session = Session::open(answers).await;
    let all = session.body("llmc_locks", json!({})).await;
    insta::assert_json_snapshot!(all);
    for (filter, count) in [
        (json!({"agent": "alice"}), 2),
        (json!({"agent": "bob"}), 0),
        (json!({"class": "CRIT_DB"}), 1),
    ] {
        let some = session.body("llmc_locks", filter.clone()).await;
        assert_eq!(some["count"], count, "{filter}");
    }
}

#[tokio::test]
async fn wrong_arguments_are_named_in_a_tool_result() {
    let session = Session::open(answers).await;
    let edit = |edit: Value| json!({"path": "a", "edits": [edit]});
    let change = |change: Value| json!({"changes": [{"op": "delete", "path": "a"}, change]});
    let cases = [
        ("read_file", json!({"pth": "a"}), "pth"),
        ("read_file", json!({}), "path"),
        ("read_file", json!({"path": 5}), "path"),
        (
            "read_file",
            json!({"path": "a", "start_line": -1}),
            "start_line",
        ),
        (
            "read_file",
            json!({"path": "a", "start_line": 9}),
            "start_line",
        ),
        (
            "read_file",
            json!({"path": "a", "max_wait_ms": 5}),
            "max_wait_ms",
        ),
        (
            "write_file",
            json!({"path": "a", "content": "x", "mode": "fast"}),
            "mode",
        ),
        (
            "write_file",
            json!({"path": "a", "content": "x", "base_sha256": "0"}),
            "base_sha256",
        ),
        (
            "write_file",
            json!({"path": "a", "content": "?", "encoding": "base64"}),
            "content",
        ),
        (
            "write_file",
            json!({"path": "a", "content": "x", "idempotency_key": ""}),
            "idempotency_key",
        ),
        (
            "write_file",
            json!({"path": "a", "content": "x", "agent": "a\nb"}),
            "agent",
        ),
        (
            "edit_file",
            edit(json!({"old_text": "a"})),
            "edits[0].new_text",
        ),
        (
            "edit_file",
            edit(json!({"old_text": "a", "new_text": 1})),
            "edits[0].new_text",
        ),
        (
            "refactor_file",
            change(json!({"op": "copy"})),
            "changes[1].op",
        ),
        ("refactor_file", change(json!("delete")), "changes[1].op"),
        (
            "refactor_file",
            change(json!({"op": "move", "source": "a"})),
            "changes[1].destination",
        ),
        (
            "refactor_file",
            change(json!({"op": "delete", "path": true})),
            "changes[1].path",
        ),
        (
            "refactor_file",
            change(json!({"op": "delete", "path": "a", "x": 1})),
            "changes[1].x",
        ),
        ("file_history", json!({"path": "a", "limit": 0}), "limit"),
        (
            "lease_acquire",
            json!({"resources": [], "ttl_sec": -1}),
            "ttl_sec",
        ),
        ("lease_renew", json!({}), "lease"),
    ];
    for (tool, arguments, field) in cases {
        let body = session.body(tool, arguments.clone()).await;
        assert_eq!(
            body["error"]["code"], "invalid_request",
            "{tool} {arguments}"
        );
        assert_eq!(body["error"]["field"], field, "{tool} {arguments}: {body}");
    }
    let asked = session.backend.calls();
    let reads = asked
        .iter()
        .filter(|call| matches!(call.request_body, Request::Read(_)));
    assert_eq!(
        (reads.count(), asked.len()),
        (1, 1),
        "only the lines were wrong"
    );
}

#[tokio::test]
async fn arguments_reach_the_core() {
    let session = Session::open(answers).await;
    let hash = "ab".repeat(32);
    let write = json!({
        "path": "a.txt", "content": "AP8=", "encoding": "base64", "base_sha256": hash,
        "on_stale": "merge", "agent": "me", "mode": "batch", "max_wait_ms": 7,
        "idempotency_key": "k", "lease": "1234",
    });
    session.body("write_file", write).await;
    let call = session.backend.calls().pop().unwrap();
    assert_eq!(call.agent.as_str(), "me");
    assert_eq!(call.urgency, maasl_core::policy::Urgency::Batch);
    assert_eq!(call.max_wait_ms, Some(7));
    assert_eq!(call.request.unwrap().key, "k");
    assert_eq!(call.lease.unwrap().as_str(), "1234");
    let Request::Change(ops) = call.request_body else {
        panic!("a change")
    };
    insta::assert_debug_snapshot!(ops);

    let refactoring = examples().remove(3).1;
    session.body("refactor_file", refactoring).await;
    let Request::Change(ops) = session.backend.calls().pop().unwrap().request_body else {
        panic!("a change");
    };
    let names: Vec<&str> = ops.iter().map(FileOp::name).collect();
    assert_eq!(names, ["write", "edit", "move", "delete"]);

    let dry = json!({"path": "a", "edits": [{"old_text": "a", "new_text": "b"}], "dry_run": true});
    let shown = session.body("edit_file", dry).await;
    let asked = session.backend.calls().pop().unwrap().request_body;
    assert!(matches!(asked, Request::Preview(_)));
    assert_eq!(
        (&shown["fencing_token"], &shown["version"]),
        (&Value::Null, &Value::Null)
    );
}

#[tokio::test]
async fn files_are_read_whole_in_lines_and_as_bytes() {
    let session = Session::open(answers).await;
    let read = async |arguments: Value| session.body("read_file", arguments).await;
    let whole = read(json!({"path": "a.txt"})).await;
    assert_eq!(whole["content"], "\u{feff}one\r\ntwo\nthree");
    assert_eq!(
        (&whole["encoding"], &whole["size"]),
        (&json!("utf-8"), &json!(17))
    );
    let lines = read(json!({"path": "a.txt", "start_line": 2, "end_line": 2})).await;
    assert_eq!(
        (&lines["content"], &lines["total_lines"]),
        (&json!("two\n"), &json!(3))
    );
    assert_eq!(lines["sha256"], whole["sha256"], "of the whole file");
    let bytes = read(json!({"path": "bytes"})).await;
    assert_eq!(
        (&bytes["content"], &bytes["encoding"]),
        (&json!("/wA="), &json!("base64"))
    );
    let large = read(json!({"path": "large"})).await;
    assert_eq!(large["error"]["code"], "limit_reached");
    assert!(
        large["error"]["hint"]
            .as_str()
            .unwrap()
            .contains("start_line")
    );
    let part = read(json!({"path": "large", "start_line": 1, "end_line": 1})).await;
    assert_eq!(part["ok"], true);
}

#[tokio::test]
async fn the_agent_is_found_where_it_is_named_first() {
    let env = EnvIdentity::from_lookup(|name| (name == "MAASL_AGENT").then(|| "env".to_owned()));
    let session = Session::open_as(answers, env).await;
    let meta = |value: Value| {
        let Value::Object(object) = value else {
            panic!("an object")
        };
        PeerRequestOptions::no_options().with_meta(RequestMetaObject::from(object))
    };
    let named = json!({"dev.maasl/agent": "meta", "threadId": "thread"});
    let cases = [
        (json!({"path": "a", "agent": "arg"}), named.clone(), "arg"),
        (json!({"path": "a"}), named, "meta"),
        (
            json!({"path": "a"}),
            json!({"threadId": "thread"}),
            "thread",
        ),
        (json!({"path": "a"}), json!({}), "env"),
    ];
    for (arguments, named, expected) in cases {
        let begun = session.begin_with(params("read_file", arguments), meta(named));
        begun.await.await_response().await.expect("an answer");
        let call = session.backend.calls().pop().unwrap();
        assert_eq!(call.agent.as_str(), expected);
    }
    let nameless = Session::open(answers).await;
    let lease = nameless
        .body("lease_acquire", json!({"resources": [{"id": "a"}]}))
        .await;
    assert_eq!(
        (&lease["agent"], &lease["identity"]),
        (&json!("ears#sessio"), &json!("anonymous"))
    );
}

#[tokio::test]
async fn a_lost_lease_is_told_with_whatever_is_answered() {
    let lost = || LostLease {
        resources: vec!["code:a.txt".to_owned()],
        expired: true,
        ..LostLease::default()
    };
    let session = Session::open(move |call| {
        let result = if call.agent.as_str() == "refused" {
            Err(Refusal::Cancelled)
        } else {
            Ok(reply_to(call))
        };
        Step::Answer(Response {
            result,
            lost: vec![lost()],
        })
    })
    .await;
    for agent in ["refused", "served"] {
        let body = session
            .body("read_file", json!({"path": "a", "agent": agent}))
            .await;
        assert_eq!(body["lost_leases"][0]["resources"], json!(["code:a.txt"]));
        assert_eq!(body["lost_leases"][0]["end"], "expired");
    }
}

#[tokio::test]
async fn a_bug_is_answered_too() {
    let session = Session::open(|_| panic!("it broke")).await;
    let body = session.body("read_file", json!({"path": "a"})).await;
    assert_eq!(body["error"]["code"], "internal");
    assert!(
        body["error"]["message"]
            .as_str()
            .unwrap()
            .contains("it broke")
    );
    assert_eq!(body["error"]["correlation_id"].as_str().unwrap().len(), 12);
}

#[tokio::test]
async fn who_waits_is_told_how_it_goes() {
    let session = Session::open(|call| Step::Wait {
        times: 3,
        then: Response {
            result: Ok(reply_to(call)),
            lost: Vec::new(),
        },
    })
    .await;
    let body = session
        .body("write_file", json!({"path": "a", "content": ""}))
        .await;
    assert_eq!(body["ok"], true);
    let told = session.ears.progress.lock().unwrap().clone();
    assert!(!told.is_empty());
    assert!(
        told.windows(2)
            .all(|pair| pair[0].progress < pair[1].progress),
        "{told:?}"
    );
    let message = told[0].message.as_deref().unwrap();
    assert!(
        message.contains("alice (renaming)") && message.contains('1'),
        "{message}"
    );
}

#[tokio::test]
async fn a_cancelled_call_stops_waiting() {
    let session = Session::open(|_| Step::Forever).await;
    let handle = session
        .begin(params("delete_file", json!({"path": "a"})))
        .await;
    session.backend.until_waiting(1).await;
    handle
        .cancel(Some("never mind".to_owned()))
        .await
        .expect("sent");
    session.backend.until_cancelled(1).await;
}

#[tokio::test]
async fn when_the_client_is_gone_waits_end_and_everything_is_returned() {
    let session = Session::open(|_| Step::Forever).await;
    let mut handles = Vec::new();
    for path in ["a", "b", "c"] {
        handles.push(
            session
                .begin(params("delete_file", json!({"path": path})))
                .await,
        );
    }
    session.backend.until_waiting(3).await;
    let Session {
        backend,
        client,
        server,
        ..
    } = session;
    client.cancel().await.expect("closed");
    let since = tokio::time::Instant::now();
    tokio::time::timeout(SOON, server)
        .await
        .expect("ends")
        .unwrap()
        .expect("in good order");
    assert!(
        since.elapsed() < Duration::from_secs(2),
        "rmcp alone would take five"
    );
    backend.until_cancelled(3).await;
    let last = backend.calls().pop().unwrap();
    assert!(matches!(last.request_body, Request::ReleaseAll));
}

#[tokio::test]
async fn a_server_that_is_stopped_returns_everything() {
    let session = Session::open(|_| Step::Forever).await;
    let _handle = session
        .begin(params("delete_file", json!({"path": "a"})))
        .await;
    session.backend.until_waiting(1).await;
    session.stop.cancel();
    tokio::time::timeout(SOON, session.server)
        .await
        .expect("ends")
        .unwrap()
        .expect("in good order");
    session.backend.until_cancelled(1).await;
    let last = session.backend.calls().pop().unwrap();
    assert!(matches!(last.request_body, Request::ReleaseAll));
}

/// Sends `lines`, closes, and returns what came back.
async fn exchange(backend: &Arc<Scripted>, lines: &[Value]) -> Vec<Value> {
    let (mut input, reader) = tokio::io::duplex(1 << 16);
    let (writer, mut output) = tokio::io::duplex(1 << 16);
    let (env, stop) = (EnvIdentity::default(), CancellationToken::new());
    let server = tokio::spawn(serve(Arc::clone(backend), env, reader, writer, stop));
    for line in lines {
        input
            .write_all(format!("{line}\n").as_bytes())
            .await
            .unwrap();
    }
    drop(input);
    let mut text = String::new();
    let read = output.read_to_string(&mut text);
    tokio::time::timeout(SOON, read)
        .await
        .expect("ends")
        .unwrap();
    server.await.unwrap().expect("in good order");
    text.lines()
        .map(|line| serde_json::from_str(line).expect("only the protocol"))
        .collect()
}

#[tokio::test]
async fn a_client_may_close_right_after_its_last_request() {
    let backend = Arc::new(Scripted::new(|call| Step::Slow(reply_to(call))));
    let said = exchange(
        &backend,
        &[
            json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
            "protocolVersion": "2025-06-18", "capabilities": {},
            "clientInfo": {"name": "pipe", "version": "1"}}}),
            json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
            json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {
            "name": "write_file", "arguments": {"path": "a", "content": "x"}}}),
        ],
    )
    .await;
    let answer = said.iter().find(|line| line["id"] == 2).expect("answered");
    assert_eq!(answer["result"]["structuredContent"]["ok"], true);
    assert_eq!(backend.cancelled(), 0);
}

#[tokio::test]
async fn the_protocol_without_a_handshake_is_served_too() {
    let backend = Arc::new(Scripted::new(answers));
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "modern", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let said = exchange(
        &backend,
        &[json!({
        "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
            "name": "read_file", "arguments": {"path": "a"}, "_meta": meta}})],
    )
    .await;
    assert_eq!(
        said[0]["result"]["structuredContent"]["ok"], true,
        "{said:?}"
    );
    assert_eq!(backend.calls()[0].agent.as_str(), "modern#sessio");
}

#[tokio::test]
async fn a_client_that_says_nothing_is_no_failure() {
    let backend = Arc::new(Scripted::new(answers));
    assert_eq!(exchange(&backend, &[]).await, Vec::<Value>::new());
}
