//! What is still to happen.
//!
//! Owns: the events of a world, and the queue that puts events of any kind in
//! order. Promises: earlier instants come first, and what was planned first comes
//! first within one. Leaves to others: what they do.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use maasl_core::coordinator::io::{Call, CallId, Effect, Input, Response, StepId};
use maasl_core::id::TicketNo;
use maasl_core::lease::{Command, Outcome};

use crate::observe::{AgentNo, ProcessNo, RequestNo};
use crate::plan::fault::Route;

/// Something that is still to happen.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// A process starts.
    Start(ProcessNo),
    /// A paused process goes on.
    Resume(ProcessNo),
    /// An agent acts.
    Turn(AgentNo),
    /// An agent may have lost its patience.
    Patience(AgentNo),
    /// An agent learns that the connection is gone.
    Disconnected(AgentNo, RequestNo, u32),
    /// An agent cancels a request.
    CancelCall(AgentNo, RequestNo),
    /// An answer reaches an agent.
    Response(AgentNo, RequestNo, Box<Response>),
    /// Something reaches a process.
    At(ProcessNo, Arrival),
    /// A command reaches a remote store.
    StoreArrival(ProcessNo, u32, StepId, Box<Command>),
    /// The log is synced, as it is some time after the end of a commit.
    SyncSoon,
    /// A fault strikes.
    Strike(usize),
    /// What a fault did for a while is over.
    Relief(Relief),
    /// Nothing goes wrong any more.
    Quiet,
}

/// Something that reaches a process. It waits while the process stands still.
#[derive(Clone, Debug)]
pub(crate) enum Arrival {
    /// A request, for whoever has the process's name then.
    Request(AgentNo, RequestNo, Box<Call>),
    /// A cancellation.
    Cancel(AgentNo, RequestNo),
    /// The rest is for one incarnation only.
    Own(u32, Own),
}

/// What concerns one incarnation of a process.
#[derive(Clone, Debug)]
pub(crate) enum Own {
    /// An answer to a step.
    Answer(Box<Input>),
    /// A deadline; the number tells an outdated one.
    Timer(u64),
    /// A doorbell.
    Bell(TicketNo),
    /// A command is put to the store in the process.
    Command(StepId, Box<Command>),
    /// A command that is inside the gate commits.
    Commit(StepId),
    /// A command that reads ends.
    Look(StepId, Box<Command>),
    /// The log is on the device, up to what this step wrote.
    Synced(StepId, &'static str, Box<Outcome>),
    /// A command has waited long enough for the gate.
    GateOver(StepId),
    /// An effect happens.
    Effect(StepId, Box<Effect>),
    /// A call has waited long enough for its latches.
    LatchOver(StepId),
    /// A remote command was not answered in time.
    StoreSilent(StepId),
    /// A call of the process's own, as housekeeping makes it.
    Housekeeping(CallId, Box<Call>),
    /// Housekeeping is due; the number tells an outdated one.
    House(u64),
}

/// The end of something that lasts.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Relief {
    /// Messages get through again.
    Route(ProcessNo, Route),
    /// A clock goes on.
    Clock(ProcessNo),
    /// The gate opens again.
    Gate,
    /// Transactions are quick again.
    Speed(u64),
    /// The store has room again.
    StoreRoom,
    /// The disk has room again.
    DiskRoom,
}

#[derive(Debug)]
struct Entry<E> {
    at_ns: u64,
    order: u64,
    event: E,
}

/// Events, soonest first. A world fills it with its own kind; whoever measures
/// how fast the simulator can be at best brings another.
#[derive(Debug)]
pub struct Queue<E> {
    heap: BinaryHeap<Entry<E>>,
    order: u64,
}

impl<E> Queue<E> {
    /// Plans an event.
    pub fn push(&mut self, at_ns: u64, event: E) {
        let order = self.order;
        self.order += 1;
        self.heap.push(Entry {
            at_ns,
            order,
            event,
        });
    }

    /// When the next event happens.
    #[must_use]
    pub fn next_at(&self) -> Option<u64> {
        self.heap.peek().map(|entry| entry.at_ns)
    }

    /// Takes the next event, with its instant.
    pub fn pop(&mut self) -> Option<(u64, E)> {
        self.heap.pop().map(|entry| (entry.at_ns, entry.event))
    }
}

impl<E> Default for Queue<E> {
    fn default() -> Self {
        Self {
            heap: BinaryHeap::new(),
            order: 0,
        }
    }
}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<E> Eq for Entry<E> {}

impl<E> PartialOrd for Entry<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for Entry<E> {
    /// The soonest is the greatest, for a heap that pops the greatest.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at_ns, other.order).cmp(&(self.at_ns, self.order))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soonest_comes_first_and_within_one_instant_the_first_planned() {
        let mut queue = Queue::default();
        for (at_ns, event) in [(2, "b"), (1, "a"), (2, "c"), (3, "d")] {
            queue.push(at_ns, event);
        }
        assert_eq!(queue.next_at(), Some(1));
        let order: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(order, [(1, "a"), (2, "b"), (2, "c"), (3, "d")]);
        assert_eq!(queue.next_at(), None);
    }
}
