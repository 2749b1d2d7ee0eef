//! `maasl serve`

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use maasl_node::config_file;
use maasl_node::node::{Node, NodeOptions, OpenError};
use maasl_node::root::Root;

use super::{Failure, log};
use crate::server::{EnvIdentity, NodeBackend, serve_stdio};

/// Arguments of `maasl serve`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {}

pub(super) fn run(root: &Path, _: &Arguments) -> Result<ExitCode, Failure> {
    let root = Root::open(root).map_err(OpenError::from)?;
    let loaded = config_file::load(root.path()).map_err(OpenError::from)?;
    log::begin(&root, &loaded.config.events)?;
    block_on(async {
        let options = NodeOptions {
            role: "serve".into(),
        };
        let node = Node::open_on(root, loaded, &options)?;
        let backend = Arc::new(NodeBackend::new(node.clone()));
        let served = serve_stdio(backend, EnvIdentity::from_env()).await;
        node.close().await;
        served.map_err(|error| Failure::internal("serve", error))?;
        Ok(ExitCode::SUCCESS)
    })
}

/// Runs a future on the kind of runtime a node needs: several threads, because
/// a call does its file and store work on the thread that polls it, with room for
/// what SQLite does there.
pub(super) fn block_on<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .thread_stack_size(STACK_BYTES)
        .enable_all()
        .build()
        .map_err(|error| Failure::internal("runtime", error))?;
    let result = runtime.block_on(future);
    // Reading standard input may be stuck in a thread that nothing can end.
    runtime.shutdown_background();
    result
}

/// A few calls at once; the rest wait, as they would for the disk.
const WORKERS: usize = 4;

/// Callers' SQL runs on these threads, and SQLite's limits are made for the stack of a
/// main thread. What is not used takes no memory.
const STACK_BYTES: usize = 8 << 20;
