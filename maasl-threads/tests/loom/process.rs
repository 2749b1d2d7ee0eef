//! Processes around one store: real coordinators, with nothing under them but
//! memory.
//!
//! Owns: doing what coordinators want. Promises: it is what the node does, as far
//! as leases go; nobody dies, and the clock moves only where a test moves it.
//! Leaves to others: which thread does what.

use std::collections::{BTreeMap, BTreeSet};

use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use maasl_core::config::Config;
use maasl_core::coordinator::Coordinator;
use maasl_core::coordinator::io::{
    Call, CallId, Done, Effect, Event, Input, Output, Reply, Request, Reservation, ResourceWanted,
    Response,
};
use maasl_core::id::{AgentId, Entropy, LeaseId, SessionId};
use maasl_core::lease::{StoreClock, Wake};
use maasl_core::policy::{CRIT_CODE, Urgency};
use maasl_core::reply::Receipt;
use maasl_core::resource::{Mode, Scope};
use maasl_core::time::Timestamp;
use maasl_threads::rows::SharedRows;
use maasl_threads::switchboard::{Hooks, Line, Switchboard};

loom::lazy_static! {
    static ref CLOCK: AtomicU64 = AtomicU64::new(1);
}

/// Lets time pass up to `at`.
pub(crate) fn pass(at: Timestamp) {
    CLOCK.fetch_max(at.as_ns(), Ordering::SeqCst);
}

fn now() -> Timestamp {
    Timestamp::from_ns(CLOCK.load(Ordering::SeqCst))
}

fn clock() -> StoreClock {
    StoreClock {
        now: now(),
        wall_ms: 1,
    }
}

/// Bugs that a test plants.
#[derive(Default)]
pub(crate) struct Bugs {
    /// A ring that comes before its call sleeps is lost.
    pub(crate) forgets_early_rings: bool,
}

/// A store, and the processes that use it.
pub(crate) struct World {
    pub(crate) rows: SharedRows,
    pub(crate) ann: Switchboard<()>,
    pub(crate) bob: Switchboard<()>,
    /// Whether a call of Bob's has said that it waits.
    waits: AtomicBool,
    bugs: Bugs,
}

fn process(session: &str) -> Switchboard<()> {
    let core = Coordinator::new(Config::default().into(), SessionId::new(session));
    Switchboard::new(core, Hooks { now, log: |_| {} })
}

impl World {
    pub(crate) fn new(bugs: Bugs) -> Self {
        Self {
            rows: SharedRows::open(clock()),
            ann: process("ann"),
            bob: process("bob"),
            waits: AtomicBool::new(false),
            bugs,
        }
    }

    /// Starts a call.
    pub(crate) fn start(
        &self,
        board: &Switchboard<()>,
        request_body: Request,
    ) -> (CallId, loom::sync::Arc<Line<()>>) {
        let (id, line) = board.open(());
        let call = Call {
            agent: AgentId::new("agent"),
            urgency: Urgency::Batch,
            max_wait_ms: Some(150),
            request: None,
            lease: None,
            request_body,
            entropy: Entropy::new([u8::from(std::ptr::eq(board, &self.bob)); 32]),
        };
        board.input(Input::Call(id, call));
        (id, line)
    }

    /// Makes a call that nobody cancels, on this thread.
    pub(crate) fn call(&self, board: &Switchboard<()>, request: Request) -> Response {
        let (id, line) = self.start(board, request);
        let never = std::future::pending();
        loom::future::block_on(board.drive(id, &line, never, |output| self.perform(board, output)))
    }

    /// Does what a coordinator wants, as the node does it.
    pub(crate) fn perform(&self, board: &Switchboard<()>, output: Output) -> Option<Response> {
        match output {
            Output::Store(step, command) => {
                let outcome = self.rows.transact(&command, clock);
                board.input(Input::Stored(step, Ok(outcome)));
            }
            Output::Do(step, effect) => board.input(Input::Done(step, self.effect(effect))),
            Output::Reply(_, response) => return Some(response),
            Output::Event(Event::Waiting { .. }) => self.waits.store(true, Ordering::SeqCst),
            Output::Event(_) => {}
        }
        None
    }

    fn effect(&self, effect: Effect) -> Done {
        match effect {
            Effect::Locate(paths) => Done::Located(paths),
            // Each test has one at a time who ends leases.
            Effect::Latch(_) | Effect::Unlatch => Done::Ok,
            Effect::Probe(_) => Done::Dead(BTreeSet::new()),
            Effect::Ring(wake) => {
                wake.into_iter().for_each(|wake| self.ring(&wake));
                Done::Dead(BTreeSet::new())
            }
            other => panic!("not part of leases: {other:?}"),
        }
    }

    fn ring(&self, wake: &Wake) {
        let lost = self.bugs.forgets_early_rings && !self.waits.load(Ordering::SeqCst);
        if !lost {
            let boards = BTreeMap::from([("ann", &self.ann), ("bob", &self.bob)]);
            boards[wake.session.as_str()].input(Input::Woken(wake.ticket));
        }
    }

    /// The leases in the store, and that nobody waits; by the names of their
    /// sessions.
    pub(crate) fn holders(&self) -> Vec<String> {
        let rows = self.rows.lock();
        assert_eq!(rows.tickets().count(), 0, "a ticket is left");
        let leases = rows.leases();
        leases
            .map(|lease| lease.owner.session.as_str().to_owned())
            .collect()
    }

    /// How many leases a process counts as its own.
    pub(crate) fn believed(board: &Switchboard<()>) -> usize {
        board.look(|core| {
            assert_eq!(core.calls(), 0, "a call is left");
            core.believed().len()
        })
    }
}

/// Asks for the one file that all tests are about.
pub(crate) fn reserve() -> Request {
    Request::Reserve(Reservation {
        resources: vec![ResourceWanted {
            id: "f".into(),
            class: CRIT_CODE.into(),
            scope: Scope::Exact,
            mode: Mode::Exclusive,
        }],
        ttl_ms: None,
        purpose: None,
        keep: false,
    })
}

/// The lease that was granted.
pub(crate) fn granted(response: &Response) -> Option<LeaseId> {
    match &response.result {
        Ok(Reply::Receipt(Receipt::Leased { lease, .. })) => Some(lease.clone()),
        _ => None,
    }
}
