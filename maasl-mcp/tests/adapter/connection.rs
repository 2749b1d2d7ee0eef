//! Waiting, cancelling, and the end of connections.

use std::sync::Arc;
use std::time::Duration;

use maasl_core::coordinator::io::{Request, Response};
use maasl_mcp::server::{EnvIdentity, ServeError, serve};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio_util::sync::CancellationToken;

use crate::backend::{Scripted, Step};
use crate::samples::reply_to;
use crate::session::{SOON, Session, answers, params};

#[tokio::test]
async fn who_waits_is_told_how_it_goes() {
    let session = Session::open(|call| Step::Wait {
        times: 3,
        then: Response {
            result: Ok(reply_to(call)),
            lost: Vec::new(),
            observed: Vec::new(),
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
    let lines: Vec<Vec<u8>> = lines
        .iter()
        .map(|line| line.to_string().into_bytes())
        .collect();
    exchange_bytes(backend, &lines).await
}

/// As [`exchange`], for lines that may be no JSON.
async fn exchange_bytes(backend: &Arc<Scripted>, lines: &[Vec<u8>]) -> Vec<Value> {
    let (mut input, reader) = tokio::io::duplex(1 << 16);
    let (writer, mut output) = tokio::io::duplex(1 << 16);
    let (env, stop) = (EnvIdentity::default(), CancellationToken::new());
    let server = tokio::spawn(serve(Arc::clone(backend), env, reader, writer, stop));
    for line in lines {
        input.write_all(line).await.unwrap();
        input.write_all(b"\n").await.unwrap();
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

fn hello() -> Value {
    json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {},
        "clientInfo": {"name": "pipe", "version": "1"}}})
}

/// A call of `read_file` whose argument is written like this.
fn reading(id: &str, path: &[u8]) -> Vec<u8> {
    let start = format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"read_file","arguments":{{"path":"#
    );
    [start.as_bytes(), path, b"}}}"].concat()
}

#[tokio::test]
async fn a_request_that_cannot_be_read_is_answered_and_the_next_one_served() {
    let backend = Arc::new(Scripted::new(answers));
    let deep = [b"[".repeat(300), b"]".repeat(300)].concat();
    let said = exchange_bytes(
        &backend,
        &[
            hello().to_string().into_bytes(),
            reading("2", br#""\ud83d""#),
            reading(r#""three""#, b"\"\xff\""),
            reading("4", &deep),
            reading("5", b"1e400"),
            b"{no id".to_vec(),
            reading("6", br#""a""#),
        ],
    )
    .await;
    for id in [json!(2), json!("three"), json!(4), json!(5)] {
        let answer = said.iter().find(|line| line["id"] == id);
        let answer = answer.unwrap_or_else(|| panic!("{id} is not answered: {said:?}"));
        assert_eq!(answer["error"]["code"], -32700, "{answer}");
    }
    let read = said.iter().find(|line| line["id"] == 6).expect("answered");
    assert_eq!(read["result"]["structuredContent"]["ok"], true, "{read}");
    assert_eq!(said.len(), 6, "{said:?}");
}

#[tokio::test]
async fn a_client_that_cannot_be_told_anything_is_gone() {
    let backend = Arc::new(Scripted::new(answers));
    let (mut input, reader) = tokio::io::duplex(1 << 16);
    let (writer, output) = tokio::io::duplex(1 << 16);
    let (env, stop) = (EnvIdentity::default(), CancellationToken::new());
    let server = tokio::spawn(serve(Arc::clone(&backend), env, reader, writer, stop));
    let line = format!("{}\n", hello());
    input.write_all(line.as_bytes()).await.unwrap();
    let mut output = BufReader::new(output);
    let mut welcome = String::new();
    output.read_line(&mut welcome).await.unwrap();
    drop(output);
    let call = [reading("2", br#""a""#), b"\n".to_vec()].concat();
    input.write_all(&call).await.unwrap();
    let ended = tokio::time::timeout(SOON, server).await.expect("ends");
    ended.unwrap().expect("in good order");
    let last = backend.calls().pop().unwrap();
    assert!(matches!(last.request_body, Request::ReleaseAll));
    drop(input);
}

#[tokio::test]
async fn a_client_may_close_right_after_its_last_request() {
    let backend = Arc::new(Scripted::new(|call| Step::Slow(reply_to(call))));
    let said = exchange(
        &backend,
        &[
            hello(),
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

#[tokio::test]
async fn a_line_without_an_end_ends_the_connection_and_everything_is_returned() {
    let backend = Arc::new(Scripted::new(answers));
    let most = Scripted::LINE_BYTES;
    let (mut input, reader) = tokio::io::duplex(1 << 16);
    let (writer, mut output) = tokio::io::duplex(1 << 16);
    let (env, stop) = (EnvIdentity::default(), CancellationToken::new());
    let server = tokio::spawn(serve(Arc::clone(&backend), env, reader, writer, stop));
    let sending = tokio::spawn(async move {
        // The server closes while there is more to come.
        let chunk = vec![b'x'; 1 << 16];
        while input.write_all(&chunk).await.is_ok() {}
    });
    let ended = tokio::time::timeout(SOON, server).await.expect("ends");
    let refused = ended.unwrap().expect_err("such a line is no message");
    let is_told = matches!(refused, ServeError::LineTooLong { most: told } if told == most);
    assert!(is_told, "{refused}");
    sending.await.unwrap();
    let mut said = String::new();
    output.read_to_string(&mut said).await.unwrap();
    assert_eq!(said, "", "only the protocol");
    let last = backend.calls().pop().unwrap();
    assert!(matches!(last.request_body, Request::ReleaseAll));
}
