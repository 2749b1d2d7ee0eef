//! Files in the state directory, damaged.
//!
//! Owns: the floor, the record in the gate, the manifest of documents and the
//! store's database as arbitrary bytes. Promises: a process opens on them or says
//! why not, and tokens still rise. Leaves to others: what is lost with them.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use maasl_core::coordinator::io::{Call, FileOp, OnStale, Reply, Request};
use maasl_core::id::AgentId;
use maasl_core::policy::Urgency;
use maasl_core::reply::Receipt;
use maasl_node::node::{Node, NodeOptions};
use tokio_util::sync::CancellationToken;

use crate::scratch;
use crate::server::runtime;

/// The files that are damaged, by the first byte.
const FILES: [(u8, &str); 4] = [
    (b'f', "floor"),
    (b'g', "gate"),
    (b'm', "docgen-manifest"),
    (b'd', "maasl.db"),
];

/// Puts bytes in place of the file that the first of them names, and works on.
pub fn run(bytes: &[u8]) {
    let Some((first, content)) = bytes.split_first() else {
        return;
    };
    let Some((_, name)) = FILES.iter().find(|(byte, _)| byte == first) else {
        return;
    };
    let dir = scratch::folder();
    let source = dir.path().join("a.py");
    fs::write(source, "pass\n").expect("a temporary folder is writable");
    runtime().block_on(async {
        let before = worked(dir.path(), "one").await.expect("a new folder");
        fs::write(dir.path().join(".maasl").join(name), content).expect("our own file");
        match worked(dir.path(), "two").await {
            Ok(after) => assert!(after > before, "{after} after {before}"),
            Err(why) => assert!(!why.is_empty()),
        }
    });
}

/// Opens, writes a file, looks at documents and closes; the token of the write.
async fn worked(root: &Path, path: &str) -> Result<u64, String> {
    let options = NodeOptions {
        role: "fuzz".to_owned(),
    };
    let node = Node::open(root, &options).map_err(|error| error.to_string())?;
    let token = written(&node, path).await;
    let checked = node.docgen_check(None).map_err(|error| error.to_string());
    node.close().await;
    assert_eq!(checked?.len(), 1, "one source");
    token
}

async fn written(node: &Arc<Node>, path: &str) -> Result<u64, String> {
    let write = FileOp::Write {
        path: path.to_owned(),
        content: b"x".to_vec(),
        base: None,
        on_stale: OnStale::Refuse,
    };
    let call = Call {
        agent: AgentId::new("fuzz"),
        urgency: Urgency::Interactive,
        max_wait_ms: Some(0),
        request: None,
        lease: None,
        request_body: Request::Change(vec![write]),
        entropy: node.entropy(),
    };
    let response = node.call(call, CancellationToken::new(), None).await;
    match response.result {
        Ok(Reply::Receipt(Receipt::Changed { token, .. })) => Ok(token.number()),
        Ok(other) => panic!("a write was answered with {other:?}"),
        Err(refusal) => Err(refusal.to_string()),
    }
}
