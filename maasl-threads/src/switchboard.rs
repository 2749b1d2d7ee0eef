//! The coordinator of a process, and the calls that it is fed by.
//!
//! Owns: the one mutex around the coordinator, what it wants done for each call,
//! and when it wants to be woken. Promises: what the coordinator wants is handed,
//! in its order, to whoever drives the call, exactly once; no output and no
//! deadline is missed, whichever thread was first. Leaves to others: every
//! decision (the core), and doing what it wants (the node).
//!
//! Locks are taken in one order: the coordinator, the list of calls, the outputs
//! of one call. What is done for a call is done without any of them.

use std::collections::{BTreeMap, VecDeque};
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;

use maasl_core::coordinator::Coordinator;
use maasl_core::coordinator::io::{CallId, Event, Input, Output, Response};
use maasl_core::time::Timestamp;

use crate::sync::{Arc, AtomicU64, Mutex, Notify, Ordering};

/// One process's calls; `C` is what its driver keeps for each.
pub struct Switchboard<C> {
    core: Mutex<Coordinator>,
    hooks: Hooks,
    calls: Mutex<BTreeMap<CallId, Arc<Line<C>>>>,
    next_call: AtomicU64,
    own: Outputs,
    timer: Timer,
}

/// What a switchboard needs of its process.
#[derive(Clone, Copy, Debug)]
pub struct Hooks {
    /// The clock that leases are counted by in this process.
    pub now: fn() -> Timestamp,
    /// Told of events that belong to no call.
    pub log: fn(&Event),
}

/// A call under way, and what is still to be done for it.
#[derive(Debug)]
pub struct Line<C> {
    /// What its driver keeps.
    pub call: C,
    outputs: Outputs,
}

#[derive(Debug, Default)]
struct Outputs {
    queue: Mutex<VecDeque<Output>>,
    changed: Notify,
}

/// When the core wants to be woken, and who sleeps until then.
#[derive(Debug)]
struct Timer {
    armed_ns: AtomicU64,
    earlier: Notify,
}

impl<C> Switchboard<C> {
    /// The calls of `core`; there are none yet.
    #[must_use]
    pub fn new(core: Coordinator, hooks: Hooks) -> Self {
        Self {
            core: Mutex::new(core),
            hooks,
            calls: Mutex::default(),
            next_call: AtomicU64::new(1),
            own: Outputs::default(),
            timer: Timer {
                armed_ns: AtomicU64::new(Timestamp::NEVER.as_ns()),
                earlier: Notify::new(),
            },
        }
    }

    /// Names a new call, before the core is told of it.
    pub fn open(&self, call: C) -> (CallId, Arc<Line<C>>) {
        let id = CallId(self.next_call.fetch_add(1, Ordering::Relaxed));
        let line = Arc::new(Line {
            call,
            outputs: Outputs::default(),
        });
        self.calls.lock().insert(id, Arc::clone(&line));
        (id, line)
    }

    /// The calls under way.
    pub fn calls(&self) -> BTreeMap<CallId, Arc<Line<C>>> {
        self.calls.lock().clone()
    }

    /// Feeds the core and hands what it wants done to whoever does it.
    pub fn input(&self, input: Input) {
        let mut core = self.core.lock();
        core.handle_input(input, (self.hooks.now)());
        self.route(&mut core);
    }

    /// Drives a call to its end: does what the core wants with `perform`, which
    /// says when that was the answer, and tells the core once if it is
    /// `cancelled`, before the next thing is done. Dropped half-way, it can be driven
    /// on by another.
    pub async fn drive(
        &self,
        id: CallId,
        line: &Line<C>,
        cancelled: impl Future<Output = ()>,
        mut perform: impl FnMut(Output) -> Option<Response>,
    ) -> Response {
        let mut cancelled = pin!(cancelled);
        let mut is_cancelled = false;
        loop {
            while let Some(output) = line.outputs.take() {
                // Here and not only in pauses: a call whose steps follow each other has none.
                if !is_cancelled && is_ready(cancelled.as_mut()).await {
                    is_cancelled = true;
                    self.input(Input::Cancel(id));
                }
                if let Some(response) = perform(output) {
                    self.calls.lock().remove(&id);
                    return response;
                }
            }
            let mut changed = pin!(line.outputs.changed.notified());
            let cancels = poll_fn(|cx| {
                if !is_cancelled && cancelled.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(true);
                }
                changed.as_mut().poll(cx).map(|()| false)
            })
            .await;
            if cancels {
                is_cancelled = true;
                self.input(Input::Cancel(id));
            }
        }
    }

    /// The next thing that the core wants for itself; no caller waits for it.
    pub async fn own_work(&self) -> Output {
        loop {
            if let Some(output) = self.own.take() {
                return output;
            }
            self.own.changed.notified().await;
        }
    }

    /// Sleeps until the next deadline of the core, also one that is set
    /// meanwhile, and has the core do what is due. `sleep` ends at the instant it
    /// is given.
    pub async fn keep_time<S: Future<Output = ()>>(&self, sleep: impl Fn(Timestamp) -> S) {
        self.timer.comes(sleep).await;
        self.time_out();
    }

    fn time_out(&self) {
        // Before the core is asked: what it then says stands.
        self.timer.disarm();
        let mut core = self.core.lock();
        core.handle_timeout((self.hooks.now)());
        self.route(&mut core);
    }

    fn route(&self, core: &mut Coordinator) {
        while let Some(output) = core.poll_output() {
            match &output {
                Output::Store(step, _) | Output::Do(step, _) => self.deliver(step.call, output),
                Output::Reply(id, _) => self.deliver(*id, output),
                Output::Event(Event::Waiting { call, .. }) => self.deliver(*call, output),
                Output::Event(event) => (self.hooks.log)(event),
            }
        }
        if let Some((at, _)) = core.poll_timeout() {
            self.timer.arm(at);
        }
    }

    fn deliver(&self, id: CallId, output: Output) {
        let line = self.calls.lock().get(&id).cloned();
        match line {
            Some(line) => line.outputs.put(output),
            // A renewal, which no caller waits for.
            None => self.own.put(output),
        }
    }
}

/// Whether it has come, without waiting for it.
async fn is_ready(mut future: Pin<&mut impl Future<Output = ()>>) -> bool {
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_ready())).await
}

#[cfg(loom)]
impl<C> Switchboard<C> {
    /// Looks at the coordinator.
    pub fn look<T>(&self, look: impl FnOnce(&Coordinator) -> T) -> T {
        look(&self.core.lock())
    }
}

impl Outputs {
    fn put(&self, output: Output) {
        self.queue.lock().push_back(output);
        self.changed.notify_one();
    }

    fn take(&self) -> Option<Output> {
        self.queue.lock().pop_front()
    }
}

impl Timer {
    fn arm(&self, at: Timestamp) {
        if self.armed_ns.fetch_min(at.as_ns(), Ordering::AcqRel) > at.as_ns() {
            self.earlier.notify_one();
        }
    }

    fn disarm(&self) {
        let never = Timestamp::NEVER.as_ns();
        self.armed_ns.store(never, Ordering::Release);
    }

    async fn comes<S: Future<Output = ()>>(&self, sleep: impl Fn(Timestamp) -> S) {
        loop {
            let at = Timestamp::from_ns(self.armed_ns.load(Ordering::Acquire));
            let mut earlier = pin!(self.earlier.notified());
            if at == Timestamp::NEVER {
                earlier.await;
                continue;
            }
            let mut slept = pin!(sleep(at));
            let is_over = poll_fn(|cx| {
                if earlier.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(false);
                }
                slept.as_mut().poll(cx).map(|()| true)
            })
            .await;
            if is_over {
                return;
            }
        }
    }
}
