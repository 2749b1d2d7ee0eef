//! `Coordinator`: what one process is doing about its calls.
//!
//! Owns: every guarded call of one process, the leases they hold and the instants
//! at which something must be done. Promises: it is a pure state machine; the same
//! inputs give the same outputs. Leaves to others: executing its outputs.
//!
//! One mutation, then drain:
//!
//! 1. give it one thing: [`Coordinator::handle_input`] or
//!    [`Coordinator::handle_timeout`];
//! 2. take what it wants: [`Coordinator::poll_output`] until there is nothing;
//! 3. sleep until [`Coordinator::poll_timeout`] or the next input.
//!
//! An output names the step it belongs to; its answer comes back as an input that
//! names the same step. Steps of one call are strictly one after the other, and
//! an answer given twice is used once.

mod acquire;
mod call;
mod change;
mod commit;
pub mod database;
mod docgen;
pub mod enrich;
mod facts;
pub mod graph;
mod housekeeping;
pub mod io;
mod observe;
mod plan;
pub mod read;
mod reservation;
mod right;
mod seen;
mod settle;
mod shared;
mod telemetry;
pub mod transaction;

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use core::fmt;

use atomic_refcell::AtomicRefCell;

use self::call::{Answer, Cx, Seed, Task};
use self::io::{Call, CallId, Event, Input, Output, Reply, Request, Response};
use self::shared::Shared;
use crate::config::Config;
use crate::id::{AgentId, Entropy, SessionId};
use crate::lease::Lease;
use crate::policy::{CRIT_CODE, CRIT_DB, IDEMP_DOCS, MERGE_META};
use crate::refusal::Refusal;
use crate::time::Timestamp;

/// Calls the coordinator makes for itself are numbered from here; those of the
/// node must stay below.
const OWN_CALLS_FROM: u64 = 1 << 63;

/// How often observe mode makes a call again.
const AGAIN_MAX: u64 = 3;

/// Why the coordinator wants to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeadlineReason {
    /// A waiting call looks again or gives up.
    Wait(CallId),
    /// A lease is renewed.
    Renewal,
}

/// All guarded calls of one process.
pub struct Coordinator {
    config: Arc<Config>,
    session: SessionId,
    shared: Arc<AtomicRefCell<Shared>>,
    calls: BTreeMap<CallId, Task<Response>>,
    outbox: VecDeque<Output>,
    own_calls: u64,
}

impl Coordinator {
    /// A coordinator for the process behind `session`.
    #[must_use]
    pub fn new(config: Arc<Config>, session: SessionId) -> Self {
        Self {
            config,
            session,
            shared: Arc::default(),
            calls: BTreeMap::new(),
            outbox: VecDeque::new(),
            own_calls: OWN_CALLS_FROM,
        }
    }

    /// Takes one input, at `now` by the process's own clock.
    pub fn handle_input(&mut self, input: Input, now: Timestamp) {
        match input {
            Input::Call(id, call) => self.start(id, call, now),
            Input::Cancel(id) => {
                if let Some(task) = self.calls.get_mut(&id) {
                    task.cancel();
                    self.advance(id, now);
                }
            }
            Input::Stored(step, outcome) => {
                self.answer(step.call, step.step, Answer::Stored(outcome), now);
            }
            Input::Done(step, done) => self.answer(step.call, step.step, Answer::Done(done), now),
            Input::Woken(ticket) => {
                let mut calls = self.calls.iter_mut();
                let rung = calls.find_map(|(id, task)| task.ring(ticket).then_some(*id));
                match rung {
                    Some(id) => self.advance(id, now),
                    None => self.shared.borrow_mut().ring_early(ticket),
                }
            }
        }
    }

    /// Does what is due at `now`; harmless when nothing is.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        let due = self
            .calls
            .iter()
            .filter(|(_, task)| task.deadline().is_some_and(|at| now >= at));
        let due: alloc::vec::Vec<CallId> = due.map(|(id, _)| *id).collect();
        for id in due {
            self.advance(id, now);
        }
        self.renew_due(now);
    }

    /// The next thing to do, in the order in which they may happen.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outbox.pop_front()
    }

    /// When to call [`Self::handle_timeout`] next, and why.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Timestamp, DeadlineReason)> {
        let waits = self.calls.iter();
        let waits =
            waits.filter_map(|(id, task)| Some((task.deadline()?, DeadlineReason::Wait(*id))));
        let renewal = self.shared.borrow().next_renewal();
        let renewal = renewal.map(|(at, _)| (at, DeadlineReason::Renewal));
        waits.chain(renewal).min()
    }

    /// How many calls are under way.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.calls.len()
    }

    /// The leases this process counts as its own, and until when it relies on
    /// each, by its own clock. For observers: nothing is decided by it.
    #[must_use]
    pub fn believed(&self) -> alloc::vec::Vec<(Lease, Timestamp)> {
        self.shared.borrow().believed()
    }

    fn start(&mut self, id: CallId, call: Call, now: Timestamp) {
        assert!(
            !self.calls.contains_key(&id),
            "{id:?} is in use; the node names each call once"
        );
        let seed = self.seed(id, call.agent.clone(), call.entropy);
        let task = Task::start(seed, now, |cx| run(cx, call));
        self.calls.insert(id, task);
        self.advance(id, now);
    }

    fn seed(&self, call: CallId, agent: AgentId, entropy: Entropy) -> Seed {
        Seed {
            call,
            agent,
            session: self.session.clone(),
            entropy,
            config: self.config.clone(),
            shared: self.shared.clone(),
        }
    }

    fn answer(&mut self, id: CallId, step: u64, answer: Answer, now: Timestamp) {
        if let Some(task) = self.calls.get_mut(&id) {
            task.answer(step, answer);
            self.advance(id, now);
        }
    }

    fn advance(&mut self, id: CallId, now: Timestamp) {
        let Some(task) = self.calls.get_mut(&id) else {
            return;
        };
        let response = task.advance(now);
        self.outbox.extend(task.take_outputs());
        let Some(response) = response else { return };
        self.calls.remove(&id);
        if id.0 < OWN_CALLS_FROM {
            self.outbox.push_back(Output::Reply(id, response));
        }
    }

    fn renew_due(&mut self, now: Timestamp) {
        loop {
            let due = self
                .shared
                .borrow()
                .next_renewal()
                .filter(|(at, _)| now >= *at);
            let Some((_, lease)) = due else { return };
            if let Some(held) = self.shared.borrow_mut().held(&lease) {
                held.renewing = true;
            }
            let id = CallId(self.own_calls);
            self.own_calls += 1;
            let seed = self.seed(id, AgentId::default(), Entropy::new([0; 32]));
            let task = Task::start(seed, now, |cx| async move {
                reservation::keep(&cx, lease).await;
                Response {
                    result: Ok(Reply::Recovered(0)),
                    lost: alloc::vec::Vec::new(),
                    observed: alloc::vec::Vec::new(),
                }
            });
            self.calls.insert(id, task);
            self.advance(id, now);
        }
    }
}

impl fmt::Debug for Coordinator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Coordinator")
            .field("session", &self.session)
            .field("calls", &self.calls.len())
            .finish_non_exhaustive()
    }
}

/// One call, from request to response.
async fn run(cx: Cx, call: Call) -> Response {
    let using = call.lease.clone();
    use_lease(&cx, using.as_ref(), 1);
    acquire::return_stranded(&cx).await;
    let class = class_of(&call.request_body);
    let checked = reservation::check_doubtful(&cx).await;
    let result = match checked {
        Ok(()) => attempts(&cx, call).await,
        Err(refusal) => Err(refusal),
    };
    let observed = cx.observed();
    observe::count(&cx, &observed, class).await;
    use_lease(&cx, using.as_ref(), -1);
    cx.tell(&result);
    if let Err(refusal) = &result {
        cx.event(Event::Refused {
            agent: cx.seed.agent.clone(),
            code: refusal.code(),
        });
    }
    let mut shared = cx.seed.shared.borrow_mut();
    if let Err(Refusal::LeaseLost(lost)) = &result
        && let Some(token) = lost.token
    {
        shared.told(&cx.seed.agent, token);
    }
    let lost = shared.take_losses(&cx.seed.agent);
    Response {
        result,
        lost,
        observed,
    }
}

/// Makes a call, in observe mode again where its lease or its content was taken
/// from it on the way.
async fn attempts(cx: &Cx, call: Call) -> Result<Reply, Refusal> {
    if !cx.observes() {
        return dispatch(cx, call).await;
    }
    let mut cx = cx.clone();
    for again in 1..=AGAIN_MAX {
        match dispatch(&cx, call.clone()).await {
            Err(refusal) if observe::is_made_again(&cx, &refusal) => {
                cx.unless_observed(refusal)?;
                cx.seed.entropy = cx.seed.entropy.again(again);
            }
            result => return result,
        }
    }
    dispatch(&cx, call).await
}

/// The class in which it is counted what was observed of a call.
fn class_of(request: &Request) -> &'static str {
    match request {
        Request::Database(_) | Request::Enrich(_) => CRIT_DB,
        Request::Document(_) => IDEMP_DOCS,
        Request::Patch(_) => MERGE_META,
        _ => CRIT_CODE,
    }
}

/// Counts a call among the users of the lease it presents, so that the lease is
/// renewed while it runs.
fn use_lease(cx: &Cx, lease: Option<&crate::id::LeaseId>, by: i32) {
    let Some(lease) = lease else { return };
    if let Some(held) = cx.seed.shared.borrow_mut().held(lease) {
        held.users = held.users.saturating_add_signed(by);
    }
}

async fn dispatch(cx: &Cx, mut call: Call) -> Result<Reply, Refusal> {
    let request = core::mem::replace(&mut call.request_body, Request::Recover);
    match request {
        Request::Read(wanted) => read::read(cx, wanted).await.map(Reply::Read),
        Request::Change(ops) => change::change(cx, &call, ops).await.map(Reply::Receipt),
        Request::Database(asked) => database::write(cx, &call, asked).await.map(Reply::Receipt),
        Request::Transact(asked) => {
            let done = transaction::transact(cx, &call, asked).await;
            done.map(Reply::Receipt)
        }
        Request::Enrich(spans) => enrich::enrich(cx, &call, spans).await.map(Reply::Receipt),
        Request::Preview(ops) => change::preview(cx, ops).await.map(Reply::Preview),
        Request::Document(asked) => docgen::document(cx, &call, asked).await,
        Request::Patch(asked) => graph::patch(cx, &call, asked).await.map(Reply::Receipt),
        Request::Query(asked) => graph::query(cx, asked).await,
        Request::ExportGraph(asked) => graph::export(cx, &call, asked).await.map(Reply::Receipt),
        Request::ImportGraph(asked) => graph::import(cx, &call, asked).await,
        Request::CompactGraphs(graph) => graph::compact(cx, &call, graph).await,
        Request::Reserve(asked) => reservation::reserve(cx, &call, asked)
            .await
            .map(Reply::Receipt),
        Request::Renew(lease) => reservation::renew(cx, &lease).await,
        Request::Release(lease) => reservation::release(cx, &call, &lease).await,
        Request::Revoke { target, reason } => reservation::revoke(cx, target, reason).await,
        Request::Recover => settle::settle_dead(cx).await.map(Reply::Recovered),
        Request::Bury(dead) => housekeeping::bury(cx, dead).await.map(Reply::Buried),
        Request::ReleaseAll => reservation::release_all(cx).await,
    }
}
