//! A node of MAASL in this process, without any protocol around it.
//!
//! Owns: the runtime and the node. Promises: calls run as the server runs them,
//! on a worker thread of a runtime of the same shape. Leaves to others: what to
//! call.

use std::path::Path;
use std::sync::Arc;

use maasl_core::coordinator::database::DatabaseWrite;
use maasl_core::coordinator::io::{
    Call, FileOp, OnStale, Reply, Request, Reservation, ResourceWanted,
};
use maasl_core::database::{Parameters, Statement, Value, Work};
use maasl_core::id::{AgentId, LeaseId};
use maasl_core::policy::{CRIT_CODE, Urgency};
use maasl_core::reply::Receipt;
use maasl_core::resource::{Mode, Scope};
use maasl_node::node::{Node, NodeOptions};
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;

use crate::Result;

/// As many as `maasl serve` has.
const WORKERS: usize = 4;
/// Longer than any queue here.
const MAX_WAIT_MS: u64 = 20_000;

/// A node and the runtime it lives in.
pub(crate) struct Local {
    runtime: Runtime,
    node: Arc<Node>,
}

impl Local {
    /// Opens a node on `root`.
    pub(crate) fn open(root: &Path) -> Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .enable_all()
            .build()?;
        let options = NodeOptions {
            role: "bench".into(),
        };
        let node = {
            let _inside = runtime.enter();
            Node::open(root, &options)?
        };
        Ok(Self { runtime, node })
    }

    /// Runs `work` on a worker thread, as a call of the server would be.
    pub(crate) fn run<T, F>(&self, work: impl FnOnce(Arc<Node>) -> F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let task = self.runtime.spawn(work(Arc::clone(&self.node)));
        Ok(self.runtime.block_on(task)?)
    }

    /// Ends the node well.
    pub(crate) fn close(self) -> Result<()> {
        self.run(|node| async move { node.close().await })
    }
}

/// Sends a request that must not be refused.
///
/// # Panics
/// If it is.
pub(crate) async fn call(node: &Arc<Node>, request: Request) -> Reply {
    let call = Call {
        agent: AgentId::new("bench"),
        urgency: Urgency::Batch,
        max_wait_ms: Some(MAX_WAIT_MS),
        request: None,
        lease: None,
        request_body: request,
        entropy: node.entropy(),
    };
    let response = node.call(call, CancellationToken::new(), None).await;
    response
        .result
        .expect("nothing here asks for what must be refused")
}

/// Reserves one file.
///
/// # Panics
/// If it is refused.
pub(crate) async fn acquire(node: &Arc<Node>, path: &str) -> LeaseId {
    let reserve = Request::Reserve(Reservation {
        resources: vec![ResourceWanted {
            id: path.into(),
            class: CRIT_CODE.into(),
            scope: Scope::Exact,
            mode: Mode::Exclusive,
        }],
        ttl_ms: None,
        purpose: None,
        keep: false,
    });
    match call(node, reserve).await {
        Reply::Receipt(Receipt::Leased { lease, .. }) => lease,
        other => panic!("a reservation was answered with {other:?}"),
    }
}

/// Returns a lease.
///
/// # Panics
/// If it was lost.
pub(crate) async fn release(node: &Arc<Node>, lease: LeaseId) {
    call(node, Request::Release(lease)).await;
}

/// Replaces a file whose content this agent knows.
///
/// # Panics
/// If it is refused.
pub(crate) async fn write(node: &Arc<Node>, path: String, content: Vec<u8>) {
    let write = FileOp::Write {
        path,
        content,
        base: None,
        on_stale: OnStale::Refuse,
    };
    call(node, Request::Change(vec![write])).await;
}

/// The database of [`insert`], by its name in the configuration.
pub(crate) const ROWS: &str = "rows";

/// Adds a row to the guarded database.
///
/// # Panics
/// If it is refused.
pub(crate) async fn insert(node: &Arc<Node>, sql: &str, row: [i64; 2]) {
    let insert = Statement {
        sql: sql.into(),
        parameters: Parameters::Positional(row.map(Value::Integer).into()),
    };
    let write = DatabaseWrite {
        db: ROWS.into(),
        work: Work::Statements(vec![insert]),
    };
    call(node, Request::Database(write)).await;
}
