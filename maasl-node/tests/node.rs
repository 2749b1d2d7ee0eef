//! The driver with real files and a real store, several processes' worth in one.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;

use maasl_core::coordinator::io::{
    Call, FileOp, OnStale, Reply, Request, Reservation, ResourceWanted, Response,
};
use maasl_core::id::AgentId;
use maasl_core::path::PathReason;
use maasl_core::policy::{CRIT_CODE, Urgency};
use maasl_core::refusal::Refusal;
use maasl_core::reply::Receipt;
use maasl_core::resource::{Mode, Scope};
use maasl_core::text::edit::Edit;
use maasl_node::node::{Node, NodeOptions, OnWait};
use tokio_util::sync::CancellationToken;

fn open(root: &std::path::Path) -> Arc<Node> {
    let options = NodeOptions {
        role: "test".into(),
    };
    Node::open(root, &options).unwrap()
}

async fn call(node: &Arc<Node>, agent: &str, request: Request) -> Response {
    let call = asked(node, agent, request);
    node.call(call, CancellationToken::new(), None).await
}

fn asked(node: &Arc<Node>, agent: &str, request: Request) -> Call {
    Call {
        agent: AgentId::new(agent),
        urgency: Urgency::Batch,
        max_wait_ms: Some(20_000),
        request: None,
        lease: None,
        request_body: request,
        entropy: node.entropy(),
    }
}

/// Holds a file across calls.
fn reserve(path: &str) -> Request {
    Request::Reserve(Reservation {
        resources: vec![ResourceWanted {
            id: path.into(),
            class: CRIT_CODE.into(),
            scope: Scope::Exact,
            mode: Mode::Exclusive,
        }],
        ttl_ms: None,
        purpose: None,
        keep: false,
    })
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

#[tokio::test(flavor = "multi_thread")]
async fn a_file_over_the_limit_is_refused_by_name_and_one_at_it_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let limits = "[maasl.limits]\nmax_file_bytes = 1024\n";
    std::fs::write(dir.path().join("maasl.toml"), limits).unwrap();
    std::fs::write(dir.path().join("fits"), vec![b'x'; 1024]).unwrap();
    std::fs::write(dir.path().join("large"), vec![b'x'; 1025]).unwrap();
    let node = open(dir.path());
    let read = call(&node, "a", Request::Read("fits".into())).await;
    assert!(read.result.is_ok(), "{read:?}");
    let refused = call(&node, "a", Request::Read("large".into())).await;
    let Err(Refusal::Path(refusal)) = refused.result else {
        panic!("{refused:?}");
    };
    let (bytes, limit_bytes) = (1025, 1024);
    assert_eq!(refusal.path, "large");
    assert_eq!(refusal.reason, PathReason::TooLarge { bytes, limit_bytes });
    let replaced = call(&node, "a", write("large", "short\n")).await;
    assert!(
        matches!(replaced.result, Err(Refusal::Path(_))),
        "{replaced:?}"
    );
    node.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_files_of_one_call_are_bounded_together_and_nothing_is_changed() {
    let dir = tempfile::tempdir().unwrap();
    let limits = "[maasl.limits]\nmax_file_bytes = 1024\n";
    std::fs::write(dir.path().join("maasl.toml"), limits).unwrap();
    let names = ["a", "b", "c", "d", "e"];
    for name in names {
        std::fs::write(dir.path().join(name), vec![b'x'; 1024]).unwrap();
    }
    let node = open(dir.path());
    for name in names {
        let read = call(&node, "a", Request::Read(name.into())).await;
        assert!(read.result.is_ok(), "{read:?}");
    }
    let delete = |names: &[&str]| {
        let ops = names.iter().map(|name| FileOp::Delete {
            path: (*name).into(),
            base: None,
        });
        Request::Change(ops.collect())
    };
    let refused = call(&node, "a", delete(&names)).await;
    let is_limit = matches!(
        refused.result,
        Err(Refusal::LimitReached { value: 4096, .. })
    );
    assert!(is_limit, "{refused:?}");
    assert!(names.iter().all(|name| dir.path().join(name).exists()));
    let fine = call(&node, "a", delete(&names[..4])).await;
    assert!(fine.result.is_ok(), "{fine:?}");
    node.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_can_be_a_file_and_a_folder_and_then_nothing_is_changed() {
    let dir = tempfile::tempdir().unwrap();
    let node = open(dir.path());
    let (Request::Change(one), Request::Change(two)) = (write("p", "1"), write("p/q", "2")) else {
        panic!("writes are changes");
    };
    let refused = call(&node, "a", Request::Change([one, two].concat())).await;
    let is_refused = matches!(refused.result, Err(Refusal::InvalidRequest { .. }));
    assert!(is_refused, "{refused:?}");
    assert!(!dir.path().join("p").exists());
    let fine = call(&node, "a", write("p", "1")).await;
    assert!(fine.result.is_ok(), "nothing is left open: {fine:?}");
    node.close().await;
}

/// A runtime that ends drops what it runs while it still takes what is spawned, and
/// drops that at once too.
#[test]
fn calls_that_the_end_of_their_runtime_meets_are_dropped_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut threads = tokio::runtime::Builder::new_multi_thread();
    let runtime = threads.worker_threads(2).enable_all().build().unwrap();
    let nodes = runtime.block_on(async {
        let (holder, waiter) = (open(dir.path()), open(dir.path()));
        let held = call(&holder, "a", reserve("file")).await;
        assert!(held.result.is_ok(), "{held:?}");
        let waits = Arc::new(tokio::sync::Notify::new());
        let told = waits.clone();
        let asked = asked(&waiter, "b", reserve("file"));
        let node = waiter.clone();
        tokio::spawn(async move {
            let on_wait: OnWait = Box::new(move |_| told.notify_one());
            node.call(asked, CancellationToken::new(), Some(on_wait))
                .await
        });
        waits.notified().await;
        [holder, waiter]
    });
    drop(runtime);
    drop(nodes);
}

/// A caller that goes away while its runtime lives has its call brought to its end.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_dropped_leaves_nothing_waiting() {
    let dir = tempfile::tempdir().unwrap();
    let (holder, waiter) = (open(dir.path()), open(dir.path()));
    let held = call(&holder, "a", reserve("file")).await;
    assert!(held.result.is_ok(), "{held:?}");
    let waits = Arc::new(tokio::sync::Notify::new());
    let told = waits.clone();
    let on_wait: OnWait = Box::new(move |_| told.notify_one());
    let asked = asked(&waiter, "b", reserve("file"));
    let waiting = waiter.call(asked, CancellationToken::new(), Some(on_wait));
    tokio::select! {
        _ = waiting => panic!("the file is held"),
        () = waits.notified() => {}
    }
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !holder.snapshot().unwrap().0.tickets.is_empty() {
        assert!(std::time::Instant::now() < deadline, "it waits on");
        tokio::task::yield_now().await;
    }
    waiter.close().await;
    holder.close().await;
}
