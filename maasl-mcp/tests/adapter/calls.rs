//! What becomes of the arguments of calls, and of their answers.

use maasl_core::coordinator::io::{FileOp, Request, Response};
use maasl_core::refusal::{LostLease, Refusal};
use maasl_mcp::server::EnvIdentity;
use rmcp::model::RequestMetaObject;
use rmcp::service::PeerRequestOptions;
use serde_json::{Value, json};

use crate::backend::Step;
use crate::samples::reply_to;
use crate::session::{Session, answers, examples, params};

/// Calls that are wrong, and the argument that is.
fn wrong_calls() -> Vec<(&'static str, Value, &'static str)> {
    let edit = |edit: Value| json!({"path": "a", "edits": [edit]});
    let change = |change: Value| json!({"changes": [{"op": "delete", "path": "a"}, change]});
    vec![
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
    ]
}

#[tokio::test]
async fn wrong_arguments_are_named_in_a_tool_result() {
    let session = Session::open(answers).await;
    for (tool, arguments, field) in wrong_calls() {
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
            observed: Vec::new(),
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
async fn what_is_asked_for_beyond_a_limit_is_refused_with_limit_and_value() {
    let session = Session::open(answers).await;
    let paths = |count: usize| json!({"paths": vec!["fresh.py"; count]});
    let cases = [
        ("rag_search", json!({"query": "x", "limit": 200}), None),
        (
            "rag_search",
            json!({"query": "x", "limit": 201}),
            Some("limit"),
        ),
        (
            "rag_search",
            json!({"query": "x", "limit": 0}),
            Some("limit"),
        ),
        ("rag_search", json!({"query": "x".repeat(1_000)}), None),
        (
            "rag_search",
            json!({"query": "x".repeat(1_001)}),
            Some("query"),
        ),
        ("graph_query", json!({"node": "a", "depth": 100}), None),
        (
            "graph_query",
            json!({"node": "a", "depth": 101}),
            Some("depth"),
        ),
        ("graph_query", json!({"limit": 100_000}), None),
        ("graph_query", json!({"limit": 100_001}), Some("limit")),
        ("docgen_check", paths(10_000), None),
        ("docgen_check", paths(10_001), Some("paths")),
    ];
    for (tool, arguments, field) in cases {
        let body = session.body(tool, arguments).await;
        assert_eq!(body["ok"], field.is_none(), "{tool}: {field:?}");
        if let Some(field) = field {
            assert_eq!(body["error"]["code"], "invalid_request");
            assert_eq!(body["error"]["field"], field);
        }
    }
}
