//! One process of MAASL: the driver that runs the core.
//!
//! Owns: the loop between the coordinator and the world. It takes what the core
//! wants done, does it, and brings the answer back. Promises: the steps of one
//! call run one after the other, calls run side by side, and a call whose caller
//! goes away is still brought to its end. Leaves to others: every decision (the
//! core), which thread is handed what (`maasl_threads::switchboard`), the
//! protocol (`maasl-mcp`).
//!
//! Effects run on the thread that polls the call, and not through
//! `block_in_place`: handing a commit to another thread and back costs more than
//! the commit's own transactions. The price: a call that meets a stopped process
//! inside the gate keeps one of the runtime's threads for as long as such a wait
//! may take (`gate_wait_ms`). What callers let run in a database, and waits for a
//! latch that somebody has, do go through it: they may take so long that renewals
//! would come too late. Waiting for a lease keeps no thread.

mod close;
mod database;
mod execute;
mod ground;
mod open;

use std::sync::Arc;

use maasl_core::config::Config;
use maasl_core::coordinator::io::{Call, CallId, Event, Input, Response};
use maasl_core::docgen::{Checked, DocgenRecord};
use maasl_core::id::{ContentHash, Entropy, SessionId};
use maasl_core::lease::outcome::Snapshot;
use maasl_core::lease::{Command, Outcome, StoreClock, Version};
use maasl_core::path::PathRefusal;
use maasl_core::time::Timestamp;
use maasl_threads::replaceable::Replaceable;
use maasl_threads::switchboard::{Line, Switchboard};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::close::House;
pub use self::execute::EVENTS;
use self::ground::Ground;
pub use self::open::{NodeOptions, OpenError, unsupported};
use crate::bell::Bell;
use crate::database::{CallerWork, Transaction};
use crate::docgen::check::{Check, CheckError};
use crate::docgen::lock::DocgenLock;
use crate::latch::Latched;
use crate::platform;
use crate::store::{Counters, Store, StoreError};

/// Told that a call waits, each time it looks again.
pub type OnWait = Box<dyn Fn(&Event) + Send + Sync>;

/// One process: a session in the store, a doorbell, and the calls under way.
pub struct Node {
    config: Arc<Config>,
    session: SessionId,
    role: String,
    ground: Replaceable<Ground>,
    board: Switchboard<Slot>,
    /// Held while the process cleans up, so that who asks for it finds it done.
    house: tokio::sync::Mutex<House>,
    /// How many generators run.
    generators: watch::Sender<usize>,
    stopped: CancellationToken,
}

/// What one call has open.
struct Slot {
    ground: Arc<Ground>,
    latched: Mutex<Option<Latched>>,
    transaction: Mutex<Option<Transaction>>,
    caller_work: Mutex<Option<CallerWork>>,
    docgen_lock: Mutex<Option<DocgenLock>>,
    /// Fires when nobody waits for the answer any more.
    cancel: CancellationToken,
}

impl Slot {
    fn on(ground: Arc<Ground>, cancel: CancellationToken) -> Self {
        Self {
            ground,
            cancel,
            latched: Mutex::default(),
            transaction: Mutex::default(),
            caller_work: Mutex::default(),
            docgen_lock: Mutex::default(),
        }
    }
}

impl Node {
    /// The configuration in force.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// This run of the process.
    #[must_use]
    pub fn session(&self) -> &SessionId {
        &self.session
    }

    /// Whether this content is in the history.
    #[must_use]
    pub fn is_kept(self: &Arc<Self>, content: &ContentHash) -> bool {
        self.ground().files.objects().is_kept(content)
    }

    /// A path as callers write it, relative to the root.
    pub fn relative(self: &Arc<Self>, path: &str) -> Result<String, PathRefusal> {
        self.ground().files.relative(path)
    }

    /// Fresh entropy for one call.
    ///
    /// # Panics
    /// If the system has none: leases must be unguessable or not be.
    #[must_use]
    pub fn entropy(&self) -> Entropy {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).expect("the system's random source works, or nothing is safe");
        Entropy::new(bytes)
    }

    /// Runs one call to its end. Cancelling stops it where stopping is still
    /// free; dropping the future cancels it and finishes it in the background.
    pub async fn call(
        self: &Arc<Self>,
        call: Call,
        cancel: CancellationToken,
        on_wait: Option<OnWait>,
    ) -> Response {
        let slot = Slot::on(self.ground(), cancel.child_token());
        self.run(call, slot, cancel, on_wait).await
    }

    async fn run(
        self: &Arc<Self>,
        call: Call,
        slot: Slot,
        cancel: CancellationToken,
        on_wait: Option<OnWait>,
    ) -> Response {
        let (id, line) = self.board.open(slot);
        let mut running = Running {
            node: self.clone(),
            id,
            line,
            cancel,
            on_wait,
            over: false,
        };
        self.input(Input::Call(id, call));
        running.drive().await
    }

    /// The versions known of a path, newest first, and the path as it is
    /// recorded.
    pub fn history(
        self: &Arc<Self>,
        path: &str,
        limit: u32,
    ) -> Result<(String, Vec<Version>), HistoryError> {
        let ground = self.ground();
        let path = ground.files.relative(path)?;
        let versions = ground.store.history(&path, limit)?;
        Ok((path, versions))
    }

    /// Everything that is held, waited for or open.
    pub fn snapshot(self: &Arc<Self>) -> Result<(Snapshot, StoreClock), StoreError> {
        let clock = (crate::store::clock::system())();
        match self.ground().store.transact(&Command::Snapshot)? {
            Outcome::Snapshot(snapshot) => Ok((snapshot, clock)),
            other => panic!("the store answered a snapshot with {other:?}"),
        }
    }

    /// The counters of the store.
    pub fn counters(self: &Arc<Self>) -> Result<Counters, StoreError> {
        self.ground().store.counters()
    }

    /// The last operations on documents, newest first, and when that was so.
    pub fn docgen_log(
        self: &Arc<Self>,
        limit: u32,
    ) -> Result<(Vec<DocgenRecord>, StoreClock), StoreError> {
        let clock = (crate::store::clock::system())();
        Ok((self.ground().store.docgen_log(limit)?, clock))
    }

    /// How the documents of these sources stand to them; of all sources where none
    /// is named.
    pub fn docgen_check(
        self: &Arc<Self>,
        paths: Option<&[String]>,
    ) -> Result<Vec<Checked>, CheckError> {
        let ground = self.ground();
        let check = Check {
            root: ground.files.root(),
            settings: &self.config.docgen,
            max_bytes: self.config.limits.max_file_bytes,
        };
        paths.map_or_else(|| check.all(), |paths| check.some(paths))
    }

    /// Feeds the core; what it wants done goes to whoever does it.
    fn input(&self, input: Input) {
        self.board.input(input);
    }

    /// Sleeps from deadline to deadline of the core.
    async fn keep_time(self: Arc<Self>) {
        let sleep = |at: Timestamp| tokio::time::sleep(at.duration_from(now()));
        loop {
            tokio::select! {
                biased;
                () = self.stopped.cancelled() => return,
                () = self.board.keep_time(sleep) => {}
            }
        }
    }

    /// Hears the doorbell.
    async fn listen(self: Arc<Self>, mut bell: Bell) {
        loop {
            let heard = tokio::select! {
                biased;
                () = self.stopped.cancelled() => return,
                heard = bell.heard() => heard,
            };
            match heard {
                Ok(tickets) => tickets
                    .into_iter()
                    .for_each(|no| self.input(Input::Woken(no))),
                Err(error) => {
                    tracing::error!(%error, "the doorbell failed; waiters only look now and then");
                    return;
                }
            }
        }
    }

    /// Does what the core wants for itself.
    async fn work_for_core(self: Arc<Self>) {
        loop {
            let output = tokio::select! {
                biased;
                () = self.stopped.cancelled() => return,
                output = self.board.own_work() => output,
            };
            tokio::task::block_in_place(|| {
                let slot = Slot::on(self.ground(), CancellationToken::new());
                self.perform(output, &slot, None)
            });
        }
    }
}

/// A history could not be shown.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The path cannot be used.
    #[error(transparent)]
    Path(#[from] PathRefusal),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The clock that leases are counted by in this process. It goes on while the
/// machine sleeps, as the store's does.
fn now() -> Timestamp {
    Timestamp::from_ns(platform::now_ns())
}

/// A call under way.
struct Running {
    node: Arc<Node>,
    id: CallId,
    line: Arc<Line<Slot>>,
    cancel: CancellationToken,
    on_wait: Option<OnWait>,
    over: bool,
}

impl Running {
    async fn drive(&mut self) -> Response {
        let (node, line, on_wait) = (&self.node, &self.line, self.on_wait.as_ref());
        let perform = |output| node.perform(output, &line.call, on_wait);
        let driven = node
            .board
            .drive(self.id, line, self.cancel.cancelled(), perform);
        let response = driven.await;
        self.over = true;
        response
    }
}

impl Drop for Running {
    /// A caller that stops listening leaves a call that may be inside a commit.
    fn drop(&mut self) {
        if self.over {
            return;
        }
        self.cancel.cancel();
        // Without a runtime the process is ending; its death frees the rest.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let (node, line, cancel) = (self.node.clone(), self.line.clone(), self.cancel.clone());
        let id = self.id;
        // A runtime that is being shut down drops this at once: nothing in it may be
        // of a kind that spawns again.
        let rest = async move {
            let perform = |output| node.perform(output, &line.call, None);
            node.board
                .drive(id, &line, cancel.cancelled(), perform)
                .await
        };
        drop(runtime.spawn(rest));
    }
}
