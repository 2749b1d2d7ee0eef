//! The program under test: this test program, run again in a role.
//!
//! Owns: doing a script's steps with the real node, and saying how far it is.
//! Promises: what it says is one write each, so that it stands in the recording
//! between the calls it came between. Leaves to others: recording (`strace`).

use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use maasl_core::coordinator::io::{Call, Reply, Request, Response};
use maasl_core::id::{AgentId, ContentHash};
use maasl_core::lease::RequestKey;
use maasl_core::policy::Urgency;
use maasl_core::reply::Receipt;
use maasl_node::node::{Node, NodeOptions};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use super::floor;
use super::recording::SAYS;
use super::script::{self, Script};

const ROLE: &str = "MAASL_TEST_ROLE";
const ROOT: &str = "MAASL_TEST_ROOT";
const SCRIPT: &str = "MAASL_TEST_SCRIPT";

/// This program in a role, in a boot of its own.
pub(crate) fn program(role: &str, root: &Path, script: &str) -> Command {
    let mut program = Command::new(std::env::current_exe().unwrap());
    program
        .args(["child::role", "--exact", "--nocapture"])
        .env(ROLE, role)
        .env(ROOT, root)
        .env(SCRIPT, script)
        .env("MAASL_BOOT", format!("the boot of {role}"));
    program
}

#[test]
fn role() {
    let Ok(role) = std::env::var(ROLE) else {
        return;
    };
    let root = std::env::var_os(ROOT).unwrap();
    let root = Path::new(&root);
    let script = || script::named(&std::env::var(SCRIPT).unwrap());
    match role.as_str() {
        "prepare" => prepare(root, &script()),
        "run" => run(root, &script()),
        "recover" => recover(root),
        "floor" => floor::run(root, say),
        other => panic!("no such role: {other}"),
    }
}

fn prepare(root: &Path, script: &Script) {
    runtime().block_on(async {
        let node = open(root);
        for (no, request) in script.before.iter().enumerate() {
            let done = call(&node, &format!("before {no}"), request.clone()).await;
            done.result.unwrap();
        }
        node.clean_up().await;
        node.close().await;
    });
}

fn run(root: &Path, script: &Script) {
    if script.from_start {
        say("begin");
    }
    runtime().block_on(async {
        let node = open(root);
        if !script.from_start {
            say("begin");
        }
        for (no, request) in script.steps.iter().enumerate() {
            say(&format!("asked {no}"));
            let receipt = step(&node, no, request).await.unwrap();
            say(&format!("answered {no} {}", json(&receipt)));
        }
        node.close().await;
    });
}

/// Comes after a power cut and puts everything in order.
fn recover(root: &Path) {
    say("begin");
    runtime().block_on(async {
        let node = open(root);
        settle(&node).await;
        say("settled");
        node.close().await;
    });
}

fn say(what: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(
        format!(
            "{SAYS}{what}
"
        )
        .as_bytes(),
    )
    .unwrap();
    out.flush().unwrap();
}

pub(crate) fn json(receipt: &Receipt) -> String {
    serde_json::to_string(receipt).unwrap()
}

pub(crate) fn runtime() -> Runtime {
    let mut threads = tokio::runtime::Builder::new_multi_thread();
    threads.worker_threads(2).enable_all().build().unwrap()
}

pub(crate) fn open(root: &Path) -> Arc<Node> {
    let options = NodeOptions {
        role: "test".into(),
    };
    Node::open(root, &options).unwrap()
}

/// Settles what the dead left open, and forgets them.
pub(crate) async fn settle(node: &Arc<Node>) {
    let settled = call(node, "settle", Request::Recover).await;
    settled.result.unwrap();
    node.clean_up().await;
}

/// Does a step of a script, under its own key.
pub(crate) async fn step(
    node: &Arc<Node>,
    no: usize,
    request: &Request,
) -> Result<Receipt, String> {
    match call(node, &format!("step {no}"), request.clone())
        .await
        .result
    {
        Ok(Reply::Receipt(receipt)) => Ok(receipt),
        other => Err(format!("step {no} was answered {other:?}")),
    }
}

pub(crate) async fn call(node: &Arc<Node>, key: &str, request: Request) -> Response {
    let changes = matches!(
        request,
        Request::Change(_)
            | Request::Transact(_)
            | Request::Database(_)
            | Request::Document(_)
            | Request::Patch(_)
    );
    let call = Call {
        agent: AgentId::new("a"),
        urgency: Urgency::Batch,
        max_wait_ms: Some(20_000),
        request: changes.then(|| RequestKey {
            key: key.to_owned(),
            fingerprint: ContentHash::of(key.as_bytes()),
        }),
        lease: None,
        request_body: request,
        entropy: node.entropy(),
    };
    node.call(call, CancellationToken::new(), None).await
}
