//! The driver with real files and a real store, several processes' worth in one.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;

use maasl_core::coordinator::io::{Call, FileOp, OnStale, Reply, Request, Response};
use maasl_core::id::AgentId;
use maasl_core::policy::Urgency;
use maasl_core::refusal::Refusal;
use maasl_core::reply::Receipt;
use maasl_core::text::edit::Edit;
use maasl_node::node::{Node, NodeOptions};
use tokio_util::sync::CancellationToken;

fn open(root: &std::path::Path) -> Arc<Node> {
    let options = NodeOptions {
        role: "test".into(),
    };
    Node::open(root, &options).unwrap()
}

async fn call(node: &Arc<Node>, agent: &str, request: Request) -> Response {
    let call = Call {
        agent: AgentId::new(agent),
        urgency: Urgency::Batch,
        max_wait_ms: Some(20_000),
        request: None,
        lease: None,
        request_body: request,
        entropy: node.entropy(),
    };
    node.call(call, CancellationToken::new(), None).await
}

fn write(path: &str, content: &str) -> Request {
    Request::Change(vec![FileOp::Write {
        path: path.into(),
        content: content.into(),
        base: None,
        on_stale: OnStale::Refuse,
    }])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_created_read_and_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let node = open(dir.path());
    let created = call(&node, "a", write("src/new.rs", "one\n")).await;
    let Ok(Reply::Receipt(Receipt::Changed { files, .. })) = created.result else {
        panic!("{created:?}");
    };
    assert_eq!(files[0].version, 1);
    assert_eq!(
        std::fs::read(dir.path().join("src/new.rs")).unwrap(),
        b"one\n"
    );
    let blind = call(&node, "b", write("src/new.rs", "two\n")).await;
    assert!(
        matches!(blind.result, Err(Refusal::StaleVersion(_))),
        "{blind:?}"
    );
    let read = call(&node, "b", Request::Read("src/new.rs".into())).await;
    assert!(matches!(read.result, Ok(Reply::Read(_))), "{read:?}");
    let replaced = call(&node, "b", write("src/new.rs", "two\n")).await;
    assert!(replaced.result.is_ok(), "{replaced:?}");
    let (_, versions) = node.history("src/new.rs", 10).unwrap();
    assert_eq!(versions.len(), 2);
    assert!(node.is_kept(&versions[1].content.unwrap()));
    node.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn increments_of_many_sessions_all_survive() {
    const SESSIONS: usize = 4;
    const EACH: usize = 25;
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("count"), "0\n").unwrap();
    let mut tasks = Vec::new();
    for session in 0..SESSIONS {
        let node = open(dir.path());
        tasks.push(tokio::spawn(async move {
            let agent = format!("agent-{session}");
            let mut done = 0;
            while done < EACH {
                let read = call(&node, &agent, Request::Read("count".into())).await;
                let Ok(Reply::Read(read)) = read.result else {
                    panic!("{read:?}")
                };
                let text = String::from_utf8(read.content.to_vec()).unwrap();
                let next = text.trim().parse::<u64>().unwrap() + 1;
                let request = Request::Change(vec![FileOp::Edit {
                    path: "count".into(),
                    edits: vec![Edit {
                        old_text: text,
                        new_text: format!("{next}\n"),
                        expected_replacements: 1,
                    }],
                    base: None,
                }]);
                match call(&node, &agent, request).await.result {
                    Ok(_) => done += 1,
                    Err(Refusal::StaleVersion(_)) => {}
                    Err(refusal) => panic!("{refusal:?}"),
                }
            }
            node.close().await;
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let count = std::fs::read_to_string(dir.path().join("count")).unwrap();
    assert_eq!(count.trim(), (SESSIONS * EACH).to_string());
}
