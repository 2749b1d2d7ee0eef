//! Ending a process, and cleaning up after those that did not end well.
//!
//! Owns: the good end of a session, and housekeeping: finding out who died,
//! removing their files, bounding the history. Promises: whoever died is found by
//! whatever is left of it; the files of a dead process go only once the core has
//! forgotten it. Leaves to others: settling what the dead left open and forgetting
//! them (the core); their leases, which end by takeover.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use maasl_core::coordinator::io::{Call, Reply, Request};
use maasl_core::id::{AgentId, SessionId};
use maasl_core::lease::{Command, Outcome};
use maasl_core::policy::Urgency;
use tokio_util::sync::CancellationToken;

use super::{Ground, Node};
use crate::live::Grave;
use crate::store::{SqliteStore, Store as _};

/// Housekeeping is for what nobody came across: no hurry.
const HOUSEKEEPING_INTERVAL: Duration = Duration::from_secs(60);
/// Old answers are looked for this many times in the time that they are kept.
const FORGETTINGS_PER_WINDOW: u32 = 64;
/// And at least so often.
const FORGETTING_INTERVAL_MAX: Duration = Duration::from_secs(60 * 60);
/// How long an ending process waits for generators that are being killed.
const GENERATORS_END: Duration = Duration::from_secs(1);
/// Who is named for what a process does of its own accord.
const HOUSEKEEPER: &str = "maasl";

/// What housekeeping remembers.
#[derive(Default)]
pub(super) struct House {
    /// When old answers were last looked for.
    forgot: Option<Instant>,
}

impl House {
    /// Whether old answers are to be looked for, which begins now if so.
    fn is_time_to_forget(&mut self, window: Duration) -> bool {
        let interval = window / FORGETTINGS_PER_WINDOW;
        let interval = interval.clamp(HOUSEKEEPING_INTERVAL, FORGETTING_INTERVAL_MAX);
        // Housekeeping comes a little early or late.
        let interval = interval.saturating_sub(HOUSEKEEPING_INTERVAL / 2);
        let is_time = self
            .forgot
            .is_none_or(|forgot| forgot.elapsed() >= interval);
        if is_time {
            self.forgot = Some(Instant::now());
        }
        is_time
    }
}

impl Node {
    /// Returns every lease, stops waiting and leaves nothing behind, unless it could
    /// not end in good order: then others find what it left as that of the dead.
    pub async fn close(self: &Arc<Self>) {
        for (id, line) in self.board.calls() {
            line.call.cancel.cancel();
            self.input(maasl_core::coordinator::io::Input::Cancel(id));
        }
        let ended = self.own_call(Request::ReleaseAll).await;
        self.outlive_generators().await;
        self.stopped.cancel();
        let ground = self.last_ground();
        ground.databases.close_idle();
        match ended.result {
            Ok(Reply::Ended { is_settled: true }) => {
                forget(&ground, &self.session, ground.live.leave(&self.session));
            }
            // A commit that is open, or may yet be begun, needs what is staged for it.
            Ok(_) => tracing::warn!("what is left open is left to others to settle"),
            // The store still knows the session, and only who finds it dead forgets it.
            Err(refusal) => {
                tracing::warn!(%refusal, "could not end in good order; others find out by themselves");
            }
        }
    }

    /// Waits until the generators of calls that were cancelled are dead: once this process
    /// is gone, nobody kills them.
    async fn outlive_generators(&self) {
        let mut running = self.generators.subscribe();
        let none = running.wait_for(|count| *count == 0);
        let is_late = tokio::time::timeout(GENERATORS_END, none).await.is_err();
        if is_late {
            tracing::warn!("a generator of documents may outlive this process");
        }
    }

    /// Cleans up now and then.
    pub(super) async fn keep_house(self: Arc<Self>) {
        loop {
            self.clean_up().await;
            tokio::select! {
                biased;
                () = self.stopped.cancelled() => return,
                () = tokio::time::sleep(HOUSEKEEPING_INTERVAL) => {}
            }
        }
    }

    /// Settles and removes what dead processes left, and bounds the history.
    pub async fn clean_up(self: &Arc<Self>) {
        let mut house = self.house.lock().await;
        let dead = tokio::task::block_in_place(|| self.dead_sessions());
        let buried = self.bury(dead).await;
        tokio::task::block_in_place(|| {
            let ground = self.last_ground();
            for session in &buried {
                match ground.live.bury(session) {
                    Ok(Some(grave)) => forget(&ground, session, grave),
                    Ok(None) => {}
                    Err(error) => tracing::warn!(%error, %session, "could not be buried"),
                }
            }
            self.bound_history();
            let window = Duration::from_millis(self.config.idempotency_window_ms);
            if house.is_time_to_forget(window) {
                self.forget_old_answers();
            }
        });
        self.compact_graphs().await;
    }

    /// Lets checkpoints take the place of patches where there are many.
    async fn compact_graphs(self: &Arc<Self>) {
        let compacted = self.own_call(Request::CompactGraphs(None)).await;
        match compacted.result {
            Ok(Reply::Compacted(compacted)) => {
                for (graph, refusal) in &compacted.failed {
                    tracing::warn!(%refusal, %graph, "could not make a checkpoint of a graph");
                }
                if compacted.kept > 0 {
                    tracing::info!(graphs = compacted.kept, "graphs compacted");
                }
            }
            Ok(other) => tracing::warn!(?other, "an answer of the wrong kind"),
            Err(refusal) => tracing::warn!(%refusal, "could not compact graphs"),
        }
    }

    /// The sessions of which anything is left and whose process has gone. One may have
    /// died at any step of its start, or of the removal of what it left; of one whose
    /// store was put back from a copy, the store alone may know.
    fn dead_sessions(&self) -> BTreeSet<SessionId> {
        let ground = self.last_ground();
        let left = [
            ground.live.sessions(),
            ground.bells.sessions(),
            ground.files.stage().sessions(),
        ];
        // What cannot be looked at now is there the next time.
        let left = left.into_iter().flatten().flatten();
        let mut left: BTreeSet<_> = left.chain(recorded_sessions(&ground.store)).collect();
        // Each once: a look can be in the way of a process that starts.
        left.retain(|session| self.is_dead(&ground, session));
        left
    }

    /// Has the core settle and forget the dead; those it has forgotten.
    async fn bury(self: &Arc<Self>, dead: BTreeSet<SessionId>) -> BTreeSet<SessionId> {
        if dead.is_empty() {
            return dead;
        }
        let of = dead.len();
        match self.own_call(Request::Bury(dead)).await.result {
            Ok(Reply::Buried(buried)) => {
                if buried.len() < of {
                    tracing::warn!("could not settle every commit of dead processes");
                }
                buried
            }
            Ok(other) => {
                tracing::warn!(?other, "an answer of the wrong kind");
                BTreeSet::new()
            }
            Err(refusal) => {
                tracing::warn!(%refusal, "could not forget dead processes");
                BTreeSet::new()
            }
        }
    }

    fn bound_history(&self) {
        match self
            .last_ground()
            .files
            .objects()
            .prune(&self.config.history)
        {
            Ok(pruned) if pruned.objects > 0 => {
                tracing::info!(
                    objects = pruned.objects,
                    bytes = pruned.bytes,
                    "history pruned"
                );
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "could not prune the history"),
        }
    }

    fn forget_old_answers(&self) {
        let window_ms = self.config.idempotency_window_ms;
        let before = crate::store::clock::wall_ms().saturating_sub(window_ms);
        if let Err(error) = self.last_ground().store.forget_answers_before(before) {
            tracing::warn!(%error, "could not forget old answers");
        }
    }

    async fn own_call(
        self: &Arc<Self>,
        request_body: Request,
    ) -> maasl_core::coordinator::io::Response {
        let call = Call {
            agent: AgentId::new(HOUSEKEEPER),
            urgency: Urgency::Batch,
            max_wait_ms: None,
            request: None,
            lease: None,
            request_body,
            entropy: self.entropy(),
        };
        self.call(call, CancellationToken::new(), None).await
    }
}

/// The sessions that the store knows, and those that it says have a commit open: one
/// that was left to nobody has a name of its own.
fn recorded_sessions(store: &SqliteStore) -> BTreeSet<SessionId> {
    let Ok(Outcome::Snapshot(snapshot)) = store.transact(&Command::Snapshot) else {
        return BTreeSet::new();
    };
    let open = snapshot.intents.into_iter();
    let open = open.map(|intent| intent.owner.session);
    let known = snapshot.sessions.into_iter().map(|session| session.id);
    known.chain(open).collect()
}

/// Removes the files of a session that has ended. Its liveness file goes last: as
/// long as it is there, somebody else can take over from here.
fn forget(ground: &Ground, session: &SessionId, grave: Grave<'_>) {
    let results = [
        ground.files.stage().remove_session(session),
        ground.bells.take_down(session),
        grave.close(),
    ];
    for error in results.into_iter().filter_map(Result::err) {
        tracing::warn!(%error, %session, "could not remove what a session left");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(60 * 60);

    fn house(forgot_ago: Duration) -> House {
        House {
            forgot: Some(Instant::now().checked_sub(forgot_ago).unwrap()),
        }
    }

    #[test]
    fn old_answers_are_looked_for_at_once_and_then_now_and_then() {
        let mut new = House::default();
        assert!(new.is_time_to_forget(72 * HOUR));
        assert!(!new.is_time_to_forget(72 * HOUR));
        assert!(!house(HOUSEKEEPING_INTERVAL).is_time_to_forget(72 * HOUR));
        assert!(house(FORGETTING_INTERVAL_MAX).is_time_to_forget(72 * HOUR));
        assert!(house(HOUR / 2).is_time_to_forget(24 * HOUR));
        assert!(house(HOUSEKEEPING_INTERVAL).is_time_to_forget(HOUR / 100));
    }
}
