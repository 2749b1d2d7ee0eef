//! The adapter's backend: a real node.

use std::sync::Arc;

use maasl_core::config::Config;
use maasl_core::coordinator::io::{Call, Response};
use maasl_core::database::FoundSpan;
use maasl_core::docgen::{Checked, DocgenRecord};
use maasl_core::id::{ContentHash, Entropy, SessionId};
use maasl_core::lease::outcome::Snapshot;
use maasl_core::lease::{StoreClock, Version};
use maasl_core::refusal::Refusal;
use maasl_node::database::DatabaseError;
use maasl_node::docgen::check::CheckError;
use maasl_node::node::{HistoryError, Node};
use maasl_node::store::{Counters, StoreError};
use tokio_util::sync::CancellationToken;

use super::backend::{Backend, OnWait};

/// A node behind the adapter.
pub struct NodeBackend {
    node: Arc<Node>,
}

impl NodeBackend {
    /// Wraps a running node.
    #[must_use]
    pub fn new(node: Arc<Node>) -> Self {
        Self { node }
    }
}

impl Backend for NodeBackend {
    fn config(&self) -> &Config {
        self.node.config()
    }

    fn session(&self) -> &SessionId {
        self.node.session()
    }

    async fn call(
        &self,
        call: Call,
        cancel: CancellationToken,
        on_wait: Option<OnWait>,
    ) -> Response {
        self.node.call(call, cancel, on_wait).await
    }

    fn history(&self, path: &str, limit: u32) -> Result<(String, Vec<Version>), Refusal> {
        self.node.history(path, limit).map_err(|error| match error {
            HistoryError::Path(refusal) => Refusal::Path(refusal),
            HistoryError::Store(error) => internal(&error),
        })
    }

    fn is_kept(&self, content: &ContentHash) -> bool {
        self.node.is_kept(content)
    }

    fn snapshot(&self) -> Result<(Snapshot, StoreClock), Refusal> {
        self.node.snapshot().map_err(|error| internal(&error))
    }

    fn find_spans(&self, query: &str, limit: u32) -> Result<Vec<FoundSpan>, Refusal> {
        self.node
            .find_spans(query, limit)
            .map_err(|error| match error {
                DatabaseError::Path(refusal) => Refusal::Path(refusal),
                other => Refusal::internal(other.to_string()),
            })
    }

    fn counters(&self) -> Result<Counters, Refusal> {
        self.node.counters().map_err(|error| internal(&error))
    }

    fn docgen_log(&self, limit: u32) -> Result<(Vec<DocgenRecord>, StoreClock), Refusal> {
        self.node
            .docgen_log(limit)
            .map_err(|error| internal(&error))
    }

    fn docgen_check(&self, paths: Option<&[String]>) -> Result<Vec<Checked>, Refusal> {
        self.node.docgen_check(paths).map_err(|error| match error {
            CheckError::Path(refusal) => Refusal::Path(refusal),
            CheckError::Refused(refusal) => refusal,
            CheckError::Io(_) => Refusal::internal(error.to_string()),
        })
    }

    fn entropy(&self) -> Entropy {
        self.node.entropy()
    }
}

fn internal(error: &StoreError) -> Refusal {
    Refusal::internal(error.to_string())
}
