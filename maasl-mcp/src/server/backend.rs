//! What the adapter needs from the process behind it.
//!
//! Owns: the seam between translation and execution. Promises: everything a tool
//! does goes through here, so that tests script it. Leaves to others: doing it
//! (`maasl-node`).

use std::future::Future;

use maasl_core::config::Config;
use maasl_core::coordinator::io::{Call, Event, Response};
use maasl_core::database::FoundSpan;
use maasl_core::docgen::{Checked, DocgenRecord};
use maasl_core::id::{ContentHash, Entropy, SessionId};
use maasl_core::lease::outcome::Snapshot;
use maasl_core::lease::{StoreClock, Version};
use maasl_core::refusal::Refusal;
use maasl_node::store::Counters;
use tokio_util::sync::CancellationToken;

/// Told each time a call begins to wait, or looks again and waits on, with
/// [`Event::Waiting`]. It never blocks; it may be called from any thread, and is
/// to be dropped when the call is over.
pub type OnWait = Box<dyn Fn(&Event) + Send + Sync>;

/// A node, as the adapter sees it.
///
/// The methods that are not `async` may block on the store; the adapter keeps
/// them off the threads that serve connections.
pub trait Backend: Send + Sync + 'static {
    /// The settings in force.
    fn config(&self) -> &Config;

    /// The run of this process.
    fn session(&self) -> &SessionId;

    /// Executes a guarded call. When `cancel` fires it stops waiting and answers
    /// with [`Refusal::Cancelled`], unless it has passed its commit point.
    fn call(
        &self,
        call: Call,
        cancel: CancellationToken,
        on_wait: Option<OnWait>,
    ) -> impl Future<Output = Response> + Send;

    /// The newest `limit` versions of a file as a caller names it, newest first,
    /// and its path relative to the root.
    fn history(&self, path: &str, limit: u32) -> Result<(String, Vec<Version>), Refusal>;

    /// Whether displaced content is still there to be restored.
    fn is_kept(&self, content: &ContentHash) -> bool;

    /// Everything that is held, waited for or open, and when that was so.
    fn snapshot(&self) -> Result<(Snapshot, StoreClock), Refusal>;

    /// Descriptions of pieces of source that fit a query, best first.
    fn find_spans(&self, query: &str, limit: u32) -> Result<Vec<FoundSpan>, Refusal>;

    /// The counters of the store.
    fn counters(&self) -> Result<Counters, Refusal>;

    /// The newest `limit` operations on documents, newest first, and when that was
    /// so.
    fn docgen_log(&self, limit: u32) -> Result<(Vec<DocgenRecord>, StoreClock), Refusal>;

    /// How the documents of these sources stand to them, in the order of their
    /// paths; of all sources where none is named.
    fn docgen_check(&self, paths: Option<&[String]>) -> Result<Vec<Checked>, Refusal>;

    /// Fresh entropy for one call.
    fn entropy(&self) -> Entropy;
}
