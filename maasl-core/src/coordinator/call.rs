//! A call as a machine that is polled by hand.
//!
//! Owns: the hand-over between a call's own code, which reads from top to bottom
//! as an `async` function, and the coordinator, which feeds it one answer at a
//! time. Promises: no runtime, thread or clock is involved; a call advances only
//! inside `handle_input` or `handle_timeout`, and does the same again for the
//! same inputs. Leaves to others: what calls do.

use alloc::boxed::Box;
use alloc::collections::{BTreeSet, VecDeque};
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};

use atomic_refcell::AtomicRefCell;

use super::io::{CallId, Done, Effect, Event, GeneratorRun, Output, StepId, StoreFault};
use super::shared::Shared;
use crate::config::Config;
use crate::docgen::GeneratorFailure;
use crate::id::{AgentId, ContentHash, Entropy, Owner, SessionId, TicketNo};
use crate::lease::{Command, Count, Counter, Outcome, Wake};
use crate::mutant::{Mutant, is_active};
use crate::observed::Observed;
use crate::refusal::{Busy, Process, Refusal};
use crate::time::Timestamp;

/// What a call and its coordinator share.
pub(super) struct Port {
    outbox: VecDeque<Output>,
    answer: Option<(u64, Answer)>,
    steps: u64,
    /// The newest step that was answered.
    answered: u64,
    now: Timestamp,
    /// Set while the call waits to be rung.
    wait: Option<Wait>,
    rung: bool,
    cancelled: bool,
    /// What enforce mode would have done to the call.
    observed: Vec<Observed>,
}

struct Wait {
    /// What rings it; nothing where only time does.
    ticket: Option<TicketNo>,
    until: Timestamp,
}

pub(super) enum Answer {
    Stored(Result<Outcome, StoreFault>),
    Done(Done),
}

/// A call under way.
pub(super) struct Task<T> {
    future: Pin<Box<dyn Future<Output = T> + Send>>,
    port: Arc<AtomicRefCell<Port>>,
}

impl<T> Task<T> {
    /// Starts what `body` makes of the call's own handle.
    pub(super) fn start<F>(seed: Seed, now: Timestamp, body: impl FnOnce(Cx) -> F) -> Self
    where
        F: Future<Output = T> + Send + 'static,
    {
        let port = Arc::new(AtomicRefCell::new(Port {
            outbox: VecDeque::new(),
            answer: None,
            steps: 0,
            answered: 0,
            now,
            wait: None,
            rung: false,
            cancelled: false,
            observed: Vec::new(),
        }));
        let cx = Cx {
            seed,
            port: port.clone(),
        };
        Self {
            future: Box::pin(body(cx)),
            port,
        }
    }

    /// Runs the call until it needs something; its result if it is over.
    pub(super) fn advance(&mut self, now: Timestamp) -> Option<T> {
        self.port.borrow_mut().now = now;
        match self
            .future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            Poll::Ready(result) => Some(result),
            Poll::Pending => None,
        }
    }

    pub(super) fn take_outputs(&mut self) -> VecDeque<Output> {
        core::mem::take(&mut self.port.borrow_mut().outbox)
    }

    /// Delivers an answer; one to a step that is over is dropped, because a
    /// duplicate of it was delivered before.
    pub(super) fn answer(&mut self, step: u64, answer: Answer) {
        let mut port = self.port.borrow_mut();
        if step == port.steps && step > port.answered {
            port.answered = step;
            port.answer = Some((step, answer));
        }
    }

    pub(super) fn cancel(&mut self) {
        self.port.borrow_mut().cancelled = true;
    }

    pub(super) fn ring(&mut self, ticket: TicketNo) -> bool {
        let mut port = self.port.borrow_mut();
        let mut waits = port.wait.iter();
        let waits = waits.any(|wait| wait.ticket == Some(ticket));
        port.rung |= waits;
        waits
    }

    /// When the call wants to be looked at again even if nothing happens.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.port.borrow().wait.as_ref().map(|wait| wait.until)
    }
}

/// What every call of one process knows.
#[derive(Clone)]
pub(super) struct Seed {
    pub(super) call: CallId,
    pub(super) agent: AgentId,
    pub(super) session: SessionId,
    pub(super) entropy: Entropy,
    pub(super) config: Arc<Config>,
    pub(super) shared: Arc<AtomicRefCell<Shared>>,
}

/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WaitEnd {
    Rung,
    Deadline,
    Cancelled,
}

/// A call's handle on the world.
#[derive(Clone)]
pub(super) struct Cx {
    pub(super) seed: Seed,
    port: Arc<AtomicRefCell<Port>>,
}

impl Cx {
    /// The process's own clock, as of the input being handled.
    pub(super) fn now(&self) -> Timestamp {
        self.port.borrow().now
    }

    pub(super) fn config(&self) -> &Config {
        &self.seed.config
    }

    pub(super) fn owner(&self) -> Owner {
        Owner {
            session: self.seed.session.clone(),
            agent: self.seed.agent.clone(),
        }
    }

    /// Refuses if the caller has gone: used where stopping is still free.
    pub(super) fn still_wanted(&self) -> Result<(), Refusal> {
        if self.port.borrow().cancelled {
            return Err(Refusal::Cancelled);
        }
        Ok(())
    }

    /// Adds to what was observed; whether it is new.
    pub(super) fn add_observed(&self, what: &Observed) -> bool {
        let mut port = self.port.borrow_mut();
        let is_new = !port.observed.iter().any(|known| what.is_again(known));
        if is_new {
            port.observed.push(what.clone());
        }
        is_new
    }

    pub(super) fn observed(&self) -> Vec<Observed> {
        self.port.borrow().observed.clone()
    }

    /// One more of `counter` for `class`, by the agent of this call.
    pub(super) fn count(&self, counter: Counter, class: impl Into<Arc<str>>) -> Count {
        Count::one(counter, class, &self.seed.agent)
    }

    pub(super) fn event(&self, event: Event) {
        self.port
            .borrow_mut()
            .outbox
            .push_back(Output::Event(event));
    }

    /// Puts a command to the store. A busy gate is the caller's to hear of; a
    /// failure of the store is nobody's to hide.
    pub(super) async fn store(&self, command: Command) -> Result<Outcome, Refusal> {
        let step = self.send(|id| Output::Store(id, command));
        let answer = Step {
            port: self.port.clone(),
            step,
        }
        .await;
        let Answer::Stored(outcome) = answer else {
            panic!("a command was answered like an effect; the node mixed up steps");
        };
        outcome.map_err(|fault| match fault {
            StoreFault::Busy { process, waited_ms } => Refusal::ResourceBusy(Box::new(Busy {
                resource: "store gate".to_string(),
                process,
                waited_ms,
                allowed_ms: self.config().limits.gate_wait_ms,
                ..Busy::default()
            })),
            StoreFault::Failed(message) => Refusal::internal(message),
        })
    }

    pub(super) async fn effect(&self, effect: Effect) -> Result<Done, Refusal> {
        let step = self.send(|id| Output::Do(id, effect));
        let answer = Step {
            port: self.port.clone(),
            step,
        }
        .await;
        match answer {
            Answer::Done(Done::Refused(path)) => Err(Refusal::Path(path)),
            Answer::Done(Done::Failed(message)) => Err(Refusal::internal(message)),
            Answer::Done(done) => Ok(done),
            Answer::Stored(_) => {
                panic!("an effect was answered like a command; the node mixed up steps")
            }
        }
    }

    fn send(&self, output: impl FnOnce(StepId) -> Output) -> u64 {
        let mut port = self.port.borrow_mut();
        port.steps += 1;
        let step = port.steps;
        port.outbox.push_back(output(StepId {
            call: self.seed.call,
            step,
        }));
        step
    }

    /// Sleeps until this ticket is rung, the instant comes or the caller cancels.
    pub(super) async fn wait(&self, ticket: TicketNo, until: Timestamp) -> WaitEnd {
        if self.seed.shared.borrow_mut().take_early_ring(ticket) {
            return WaitEnd::Rung;
        }
        self.wait_for(Some(ticket), until).await
    }

    /// Sleeps until the instant comes or the caller cancels.
    pub(super) async fn sleep(&self, until: Timestamp) -> WaitEnd {
        self.wait_for(None, until).await
    }

    async fn wait_for(&self, ticket: Option<TicketNo>, until: Timestamp) -> WaitEnd {
        self.port.borrow_mut().wait = Some(Wait { ticket, until });
        let end = Waiting {
            port: self.port.clone(),
        }
        .await;
        let mut port = self.port.borrow_mut();
        port.wait = None;
        port.rung = false;
        end
    }
}

/// Typed effects: each knows the one shape of its answer.
impl Cx {
    pub(super) async fn locate(&self, paths: Vec<String>) -> Result<Vec<String>, Refusal> {
        let expected = paths.len();
        match self.effect(Effect::Locate(paths)).await? {
            Done::Located(found) if found.len() == expected => Ok(found),
            other => mixed_up(&other),
        }
    }

    pub(super) async fn locate_one(&self, path: String) -> Result<String, Refusal> {
        let found = self.locate([path].into()).await?.into_iter().next();
        Ok(found.expect("as many are located as are asked for"))
    }

    pub(super) async fn read(&self, path: &str) -> Result<Option<Arc<[u8]>>, Refusal> {
        match self.effect(Effect::Read(path.to_string())).await? {
            Done::Content(content) => Ok(content),
            other => mixed_up(&other),
        }
    }

    pub(super) async fn hash(&self, path: &str) -> Result<Option<ContentHash>, Refusal> {
        match self.effect(Effect::Hash(path.to_string())).await? {
            Done::Hashed(hash) => Ok(hash),
            other => mixed_up(&other),
        }
    }

    pub(super) async fn hash_staged(&self, stage: &str) -> Result<Option<ContentHash>, Refusal> {
        match self.effect(Effect::HashStaged(stage.to_string())).await? {
            Done::Hashed(hash) => Ok(hash),
            other => mixed_up(&other),
        }
    }

    pub(super) async fn object(&self, hash: ContentHash) -> Result<Option<Arc<[u8]>>, Refusal> {
        match self.effect(Effect::LoadObject(hash)).await? {
            Done::Object(object) => Ok(object),
            other => mixed_up(&other),
        }
    }

    pub(super) async fn version(
        &self,
        path: &str,
        number: u64,
    ) -> Result<Option<crate::lease::Version>, Refusal> {
        let path = path.to_string();
        match self.effect(Effect::LoadVersion { path, number }).await? {
            Done::Version(version) => Ok(version),
            other => mixed_up(&other),
        }
    }

    /// Takes latches; `Err` of the inner result names who is inside.
    pub(super) async fn latch(
        &self,
        keys: Vec<crate::resource::ResourceKey>,
    ) -> Result<Result<(), Option<Process>>, Refusal> {
        match self.effect(Effect::Latch(keys)).await? {
            Done::Ok => Ok(Ok(())),
            Done::LatchBusy(process) => Ok(Err(process)),
            other => mixed_up(&other),
        }
    }

    pub(super) async fn swap(&self, effect: Effect) -> Result<super::io::Swapped, Refusal> {
        match self.effect(effect).await? {
            Done::Swapped(swapped) => Ok(swapped),
            other => mixed_up(&other),
        }
    }

    pub(super) async fn generate(
        &self,
        run: GeneratorRun,
    ) -> Result<Result<Arc<[u8]>, GeneratorFailure>, Refusal> {
        match self.effect(Effect::Generate(run)).await? {
            Done::Generated(made) => Ok(made),
            other => mixed_up(&other),
        }
    }

    pub(super) async fn find_sources(&self, name: String) -> Result<Vec<String>, Refusal> {
        match self.effect(Effect::FindSources(name)).await? {
            Done::Sources(found) => Ok(found),
            other => mixed_up(&other),
        }
    }

    pub(super) async fn docgen_lock(&self) -> Result<bool, Refusal> {
        match self.effect(Effect::DocgenLock).await? {
            Done::DocgenLock(taken) => Ok(taken),
            other => mixed_up(&other),
        }
    }

    /// Executes an effect that only succeeds or fails.
    pub(super) async fn perform(&self, effect: Effect) -> Result<(), Refusal> {
        match self.effect(effect).await? {
            Done::Ok => Ok(()),
            other => mixed_up(&other),
        }
    }

    pub(super) async fn unlatch(&self) -> Result<(), Refusal> {
        self.perform(Effect::Unlatch).await
    }

    pub(super) async fn probe(
        &self,
        sessions: BTreeSet<SessionId>,
    ) -> Result<BTreeSet<SessionId>, Refusal> {
        if sessions.is_empty() {
            return Ok(sessions);
        }
        match self.effect(Effect::Probe(sessions)).await? {
            Done::Dead(dead) => Ok(dead),
            other => mixed_up(&other),
        }
    }

    /// Rings waiters; where nobody answers the bell, the dead are swept out of
    /// the queue and those behind them are rung. A ring that fails costs the
    /// waiter time, not correctness: it looks by itself now and then.
    pub(super) async fn ring(&self, mut wake: Vec<Wake>) {
        while !wake.is_empty() && !is_active(Mutant::LostWakeUp) {
            let Ok(Done::Dead(dead)) = self.effect(Effect::Ring(wake)).await else {
                return;
            };
            if dead.is_empty() {
                return;
            }
            let sweep = Command::Sweep(crate::lease::command::Sweep { dead });
            let Ok(Outcome::Done { wake: next }) = self.store(sweep).await else {
                return;
            };
            wake = next;
        }
    }
}

/// The node or the store answered a question with the answer to another.
pub(super) fn mixed_up<T>(answer: &impl core::fmt::Debug) -> T {
    panic!("an answer of the wrong kind: {answer:?}")
}

struct Step {
    port: Arc<AtomicRefCell<Port>>,
    step: u64,
}

impl Future for Step {
    type Output = Answer;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Answer> {
        let mut port = self.port.borrow_mut();
        match port.answer.take() {
            Some((step, answer)) if step == self.step => Poll::Ready(answer),
            other => {
                port.answer = other;
                Poll::Pending
            }
        }
    }
}

struct Waiting {
    port: Arc<AtomicRefCell<Port>>,
}

impl Future for Waiting {
    type Output = WaitEnd;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<WaitEnd> {
        let port = self.port.borrow();
        let wait = port
            .wait
            .as_ref()
            .expect("set before the wait is first polled");
        if port.cancelled {
            Poll::Ready(WaitEnd::Cancelled)
        } else if port.rung {
            Poll::Ready(WaitEnd::Rung)
        } else if port.now >= wait.until {
            Poll::Ready(WaitEnd::Deadline)
        } else {
            Poll::Pending
        }
    }
}
