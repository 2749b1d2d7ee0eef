//! Several processes over one store and one disk, advanced by hand.
//!
//! Owns: time, delivery, latches, death. Promises: everything happens in one
//! order that the test decides; a process can be stopped on either side of any
//! step it takes, and killed there. It checks on every run that tokens rise,
//! that files are swapped only under their latches and never under a token older
//! than the newest grant, and that a finished call holds no latch. Leaves to
//! others: what the disk does (`disk`) and what the store decides (`MemoryRows`).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use maasl_core::config::Config;
use maasl_core::coordinator::Coordinator;
use maasl_core::coordinator::io::{Call, CallId, Event, Input, Output, Request, Response, StepId};
use maasl_core::id::{AgentId, Entropy, SessionId, Token};
use maasl_core::lease::command::{Command, Open};
use maasl_core::lease::{MemoryRows, Session, StoreClock};
use maasl_core::policy::Urgency;
use maasl_core::resource::{ResourceKey, Want};
use maasl_core::time::Timestamp;

use super::databases::Databases;
use super::disk::Disk;
use super::generator::{DocgenLock, Generator};

/// Steps after which a world is taken to run in circles.
const STEPS_MAX: usize = 100_000;

/// The name of a process in its world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Pid(pub(crate) usize);

/// On which side of a step a process is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// The step has not happened.
    Before,
    /// It has happened; its answer has not arrived.
    After,
}

/// Where a process is stopped: at its `n`th step from now, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Point {
    pub(crate) n: usize,
    pub(crate) side: Side,
}

/// Runs `scenario` with every point from the first, until it says that its
/// process did not get that far. Returns how many points there were.
pub(crate) fn at_every_point(mut scenario: impl FnMut(Point) -> bool) -> usize {
    let mut points = 0;
    for n in 0.. {
        for side in [Side::Before, Side::After] {
            if !scenario(Point { n, side }) {
                return points;
            }
            points += 1;
        }
    }
    points
}

/// What is done to steps of a process instead of simply executing them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The store's gate does not open; the command is not executed.
    GateBusy,
    /// The step is not executed and fails.
    FailsBefore,
    /// The step is executed and is said to have failed.
    FailsAfter,
    /// Somebody outside this world is inside the latch.
    LatchBusy,
    /// The system forbids the step, which is not executed.
    Forbidden,
}

pub(super) struct Process {
    pub(super) session: SessionId,
    name: String,
    coordinator: Option<Coordinator>,
    offset_ms: u64,
    pub(super) todo: VecDeque<Output>,
    inbox: VecDeque<Input>,
    stop: Option<Point>,
    pub(super) stopped: bool,
    replies: BTreeMap<CallId, Response>,
    pub(super) events: Vec<Event>,
    pub(super) sent: Vec<&'static str>,
    pub(super) faults: Vec<(&'static str, u32, Fault)>,
    pub(super) fault_at: Option<(usize, Fault)>,
    pub(super) held: Option<&'static str>,
    duplicates: bool,
    last: Option<Input>,
}

impl Process {
    fn is_live(&self) -> bool {
        self.coordinator.is_some() && !self.stopped
    }
}

/// The world.
pub(crate) struct World {
    pub(crate) disk: Disk,
    pub(crate) databases: Databases,
    pub(crate) rows: MemoryRows,
    pub(crate) now: Timestamp,
    pub(super) processes: Vec<Process>,
    pub(super) latches: BTreeMap<ResourceKey, (Pid, CallId)>,
    pub(super) dead: BTreeSet<SessionId>,
    pub(super) grants: Vec<(Token, Vec<Want>)>,
    pub(crate) generator: Generator,
    pub(crate) docgen_lock: DocgenLock,
    pub(super) config: Arc<Config>,
    calls: u64,
    boots: u32,
    stores: u32,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(Config::default())
    }

    pub(crate) fn with(config: Config) -> Self {
        config.validate().unwrap();
        Self {
            disk: Disk::default(),
            databases: Databases::default(),
            rows: MemoryRows::default(),
            now: Timestamp::ZERO.plus_ms(1_000_000),
            processes: Vec::new(),
            latches: BTreeMap::new(),
            dead: BTreeSet::new(),
            grants: Vec::new(),
            generator: Generator::default(),
            docgen_lock: DocgenLock::default(),
            config: Arc::new(config),
            calls: 0,
            boots: 0,
            stores: 0,
        }
    }

    /// A world with these files and two processes.
    pub(crate) fn of_two(files: &[(&str, &str)]) -> (Self, Pid, Pid) {
        let mut world = Self::new();
        for (path, content) in files {
            world.disk.outside(path, Some(content));
        }
        let (ann, bob) = (world.spawn("ann"), world.spawn("bob"));
        (world, ann, bob)
    }

    /// Starts a process. Its agent has the same name, its clock another origin.
    pub(crate) fn spawn(&mut self, name: &str) -> Pid {
        let pid = Pid(self.processes.len());
        let session = SessionId::new(format!("session-{name}"));
        self.open(&session);
        self.processes.push(Process {
            session: session.clone(),
            name: name.into(),
            coordinator: Some(Coordinator::new(self.config.clone(), session)),
            offset_ms: 7_000_000 * (pid.0 as u64 + 1),
            todo: VecDeque::new(),
            inbox: VecDeque::new(),
            stop: None,
            stopped: false,
            replies: BTreeMap::new(),
            events: Vec::new(),
            sent: Vec::new(),
            faults: Vec::new(),
            fault_at: None,
            held: None,
            duplicates: false,
            last: None,
        });
        pid
    }

    fn open(&mut self, session: &SessionId) {
        let clock = self.store_clock();
        let session = Session {
            id: session.clone(),
            pid: 1,
            role: "serve".into(),
            started_wall_ms: clock.wall_ms,
        };
        let open = Command::Open(Open {
            store: format!("store-{}", self.stores),
            boot: format!("boot-{}", self.boots),
            floor: Token::default(),
            first_sequence: 1,
            session: Some(session),
        });
        self.rows.transact(&open, clock);
        let enough = Token::new(60_000, 0).unwrap();
        self.rows.transact(&Command::Reserve(enough), clock);
    }

    pub(super) fn store_clock(&self) -> StoreClock {
        StoreClock {
            now: self.now,
            wall_ms: 1_700_000_000_000 + self.now.as_ns() / 1_000_000,
        }
    }

    /// The clock of a process, which no other shares.
    fn clock(&self, pid: Pid) -> Timestamp {
        self.now.plus_ms(self.processes[pid.0].offset_ms)
    }

    /// A call of the agent that has the process's name.
    pub(crate) fn call(&mut self, pid: Pid, body: Request) -> Call {
        self.calls += 1;
        let mut entropy = [0; 32];
        entropy[..8].copy_from_slice(&self.calls.to_be_bytes());
        Call {
            agent: AgentId::new(self.processes[pid.0].name.clone()),
            urgency: Urgency::Interactive,
            max_wait_ms: None,
            request: None,
            lease: None,
            request_body: body,
            entropy: Entropy::new(entropy),
        }
    }

    /// Hands a call in; nothing runs yet.
    pub(crate) fn start(&mut self, pid: Pid, call: Call) -> CallId {
        self.calls += 1;
        let id = CallId(self.calls);
        self.deliver(pid, Input::Call(id, call));
        id
    }

    pub(crate) fn cancel(&mut self, pid: Pid, call: CallId) {
        self.deliver(pid, Input::Cancel(call));
    }

    /// Stops a process at a point of its further steps.
    pub(crate) fn stop_at(&mut self, pid: Pid, point: Point) {
        self.processes[pid.0].stop = Some(point);
    }

    /// Runs until a process is stopped at a point; whether it got that far.
    pub(crate) fn stops(&mut self, pid: Pid, point: Point) -> bool {
        self.stop_at(pid, point);
        self.run();
        self.is_stopped(pid)
    }

    /// Runs until a process dies at a point; whether it got that far.
    pub(crate) fn dies(&mut self, pid: Pid, point: Point) -> bool {
        let died = self.stops(pid, point);
        if died {
            self.kill(pid);
        }
        died
    }

    pub(crate) fn is_stopped(&self, pid: Pid) -> bool {
        self.processes[pid.0].stopped
    }

    /// Lets a stopped process go on; it gets what arrived meanwhile.
    pub(crate) fn resume(&mut self, pid: Pid) {
        self.processes[pid.0].stopped = false;
        self.processes[pid.0].stop = None;
    }

    /// Ends a process at once: nothing of it stays but what is on the disk and
    /// in the store.
    pub(crate) fn kill(&mut self, pid: Pid) {
        let process = &mut self.processes[pid.0];
        process.coordinator = None;
        process.todo.clear();
        process.inbox.clear();
        self.dead.insert(process.session.clone());
        self.latches.retain(|_, (holder, _)| *holder != pid);
        self.databases.forget(pid);
        if matches!(self.docgen_lock, DocgenLock::Ours(holder, _) if holder == pid) {
            self.docgen_lock = DocgenLock::Free;
        }
    }

    /// Ends every process and this boot. The store is left with `rows`: what came
    /// after them was not synced.
    pub(crate) fn cut_power(&mut self, rows: MemoryRows) {
        for pid in 0..self.processes.len() {
            self.kill(Pid(pid));
        }
        self.rows = rows;
        self.boots += 1;
    }

    /// The state directory is deleted under the running processes, which open it anew.
    pub(crate) fn replace_state(&mut self) {
        self.rows = MemoryRows::default();
        self.stores += 1;
        let living = self
            .processes
            .iter()
            .filter(|process| process.coordinator.is_some());
        let sessions: Vec<SessionId> = living.map(|process| process.session.clone()).collect();
        for session in sessions {
            self.open(&session);
        }
    }

    /// A process opens anew a copy of its state that was put in its place.
    pub(crate) fn open_again(&mut self, pid: Pid) {
        self.stores += 1;
        let session = self.processes[pid.0].session.clone();
        self.open(&session);
    }

    /// Keeps steps called `label` from being executed until it is let go; the
    /// process itself goes on.
    pub(crate) fn hold(&mut self, pid: Pid, label: Option<&'static str>) {
        self.processes[pid.0].held = label;
    }

    /// Makes the next `times` steps called `label` go wrong.
    pub(crate) fn inject(&mut self, pid: Pid, label: &'static str, times: u32, fault: Fault) {
        self.processes[pid.0].faults.push((label, times, fault));
    }

    /// Makes the `n`th step of a process, counted from its start, go wrong.
    pub(crate) fn inject_at(&mut self, pid: Pid, n: usize, fault: Fault) {
        self.processes[pid.0].fault_at = Some((n, fault));
    }

    /// Answers every step of a process twice, and once more a step later.
    pub(crate) fn duplicate_answers(&mut self, pid: Pid) {
        self.processes[pid.0].duplicates = true;
    }

    /// The answer of a call, once.
    pub(crate) fn reply(&mut self, pid: Pid, call: CallId) -> Option<Response> {
        self.processes[pid.0].replies.remove(&call)
    }

    /// The steps a process has taken, by name.
    pub(crate) fn sent(&self, pid: Pid) -> &[&'static str] {
        &self.processes[pid.0].sent
    }

    pub(crate) fn events(&self, pid: Pid) -> &[Event] {
        &self.processes[pid.0].events
    }

    /// How many calls are under way.
    pub(crate) fn under_way(&self) -> usize {
        let live = self.processes.iter();
        let live = live.filter_map(|process| process.coordinator.as_ref());
        live.map(Coordinator::calls).sum()
    }

    pub(crate) fn latches_are_free(&self) -> bool {
        self.latches.is_empty()
    }

    /// Runs everybody until nothing moves without time passing.
    pub(crate) fn run(&mut self) {
        for _ in 0..STEPS_MAX {
            let mut moved = false;
            for pid in 0..self.processes.len() {
                moved |= self.step(Pid(pid));
            }
            if !moved {
                return;
            }
        }
        panic!("the world runs in circles");
    }

    /// Lets time pass; everybody alive does what is due on the way.
    pub(crate) fn advance(&mut self, ms: u64) {
        let end = self.now.plus_ms(ms);
        self.run();
        while let Some(due) = self.next_due().filter(|due| *due <= end) {
            self.now = due.max(self.now);
            self.run();
        }
        self.now = end;
        self.run();
    }

    /// Runs a call to its answer, through as much time as it takes.
    #[track_caller]
    pub(crate) fn ask(&mut self, pid: Pid, call: Call) -> Response {
        let id = self.start(pid, call);
        self.finish(pid, id)
    }

    /// Runs a call that has begun to its answer.
    #[track_caller]
    pub(crate) fn finish(&mut self, pid: Pid, id: CallId) -> Response {
        for _ in 0..STEPS_MAX {
            self.run();
            if let Some(response) = self.reply(pid, id) {
                return response;
            }
            let due = self.next_due();
            self.now = due.unwrap_or_else(|| panic!("{id:?} hangs at {:?}", self.sent(pid)));
        }
        panic!("{id:?} never ends");
    }

    /// When the next live process has something to do by itself.
    fn next_due(&self) -> Option<Timestamp> {
        let live = self.processes.iter().filter(|process| process.is_live());
        let due = live.filter_map(|process| {
            let (at, _) = process.coordinator.as_ref()?.poll_timeout()?;
            let offset_ns = Timestamp::ZERO.plus_ms(process.offset_ms).as_ns();
            Some(Timestamp::from_ns(at.as_ns().saturating_sub(offset_ns)))
        });
        due.min()
    }

    /// One thing that a process does; whether there was one.
    fn step(&mut self, pid: Pid) -> bool {
        if !self.processes[pid.0].is_live() {
            return false;
        }
        if let Some(input) = self.processes[pid.0].inbox.pop_front() {
            let now = self.clock(pid);
            self.with_coordinator(pid, |coordinator| coordinator.handle_input(input, now));
            return true;
        }
        self.timeout(pid) || self.take_step(pid)
    }

    fn timeout(&mut self, pid: Pid) -> bool {
        let now = self.clock(pid);
        let coordinator = self.processes[pid.0].coordinator.as_ref();
        let due = coordinator.and_then(Coordinator::poll_timeout);
        if due.is_none_or(|(at, _)| at > now) {
            return false;
        }
        self.with_coordinator(pid, |coordinator| coordinator.handle_timeout(now));
        true
    }

    fn with_coordinator(&mut self, pid: Pid, act: impl FnOnce(&mut Coordinator)) {
        let process = &mut self.processes[pid.0];
        let Some(coordinator) = process.coordinator.as_mut() else {
            return;
        };
        act(coordinator);
        while let Some(output) = coordinator.poll_output() {
            match output {
                Output::Reply(call, response) => {
                    let leaked = self.latches.iter().find(|(_, by)| **by == (pid, call));
                    assert!(leaked.is_none(), "{call:?} ended inside {leaked:?}");
                    assert_ne!(self.docgen_lock, DocgenLock::Ours(pid, call), "leaked");
                    self.disk.owe_receipt(&response);
                    self.databases.forget_call((pid, call));
                    process.replies.insert(call, response);
                }
                Output::Event(event) => process.events.push(event),
                step => process.todo.push_back(step),
            }
        }
    }

    /// Executes the first step that need not wait for a latch.
    fn take_step(&mut self, pid: Pid) -> bool {
        let steps = self.processes[pid.0].todo.iter();
        let ready = steps.map(|output| self.can_run(pid, output));
        let Some(index) = ready.collect::<Vec<_>>().iter().position(|ready| *ready) else {
            return false;
        };
        let side = self.side_of_stop(pid);
        if side == Some(Side::Before) {
            self.processes[pid.0].stopped = true;
            return true;
        }
        let output = self.processes[pid.0].todo.remove(index).unwrap();
        let answer = self.execute(pid, output);
        self.answer(pid, answer);
        self.processes[pid.0].stopped = side == Some(Side::After);
        true
    }

    /// Counts a step down to where the process is to stop.
    fn side_of_stop(&mut self, pid: Pid) -> Option<Side> {
        let stop = self.processes[pid.0].stop.as_mut()?;
        if stop.n == 0 {
            return self.processes[pid.0].stop.take().map(|stop| stop.side);
        }
        stop.n -= 1;
        None
    }

    fn answer(&mut self, pid: Pid, answer: Input) {
        let process = &mut self.processes[pid.0];
        if process.duplicates {
            process.inbox.extend(process.last.replace(answer.clone()));
            process.inbox.push_back(answer.clone());
        }
        process.inbox.push_back(answer);
    }

    /// Hands an input in behind what is already on its way.
    pub(super) fn deliver(&mut self, pid: Pid, input: Input) {
        let process = &mut self.processes[pid.0];
        if process.coordinator.is_some() {
            process.inbox.push_back(input);
        }
    }

    pub(super) fn pid_of(&self, session: &SessionId) -> Option<Pid> {
        let mut processes = self.processes.iter();
        processes
            .position(|process| process.session == *session)
            .map(Pid)
    }
}

/// The step of an output that has one.
pub(super) fn step_of(output: &Output) -> StepId {
    match output {
        Output::Store(step, _) | Output::Do(step, _) => *step,
        other => panic!("no step: {other:?}"),
    }
}
