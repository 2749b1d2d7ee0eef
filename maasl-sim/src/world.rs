//! A world: processes, agents, one store, one disk, and time.
//!
//! Owns: the order in which things happen. Promises: the same plan gives the same
//! world; nothing is drawn while it runs; time jumps from one event to the next.
//! The code that decides is the product's own: `Coordinator` and `MemoryRows` of
//! `maasl-core`. Leaves to others: whether what happened was right (`checks`).

mod agents;
mod client;
mod clock;
mod database;
pub mod disk;
mod effects;
mod gate;
mod house;
mod latches;
mod processes;
pub mod queue;
pub mod sequence;
mod server;
pub mod state;
mod steps;
mod store;
mod strike;
mod weight;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use maasl_core::config::Config;
use maasl_core::coordinator::io::CallId;
use maasl_core::id::SessionId;

use self::client::Client;
use self::database::Databases;
use self::disk::Disk;
use self::gate::Gate;
use self::latches::Latches;
use self::queue::{Event, Queue};
use self::sequence::Sequence;
use self::server::Server;
use self::store::{Store, UPTIME_NS};
use crate::checks::{Breach, Judges};
use crate::history::Entry;
use crate::history::simulated::Simulated;
use crate::observe::{AgentNo, Ground, Observation, Observer, ProcessNo};
use crate::plan::{FaultKind, Plan};
use crate::points::Points;
use crate::record::{Kind, Record, Recorder};
use crate::rng;

const NS_PER_MS: u64 = 1_000_000;
const NS_PER_US: u64 = 1_000;

/// How a run ended.
#[derive(Debug)]
pub struct Finished {
    /// The promise that was broken, if one was.
    pub breach: Option<Breach>,
    /// Whether everything came to its end before the time was up.
    pub ended: bool,
    /// The digest over all records.
    pub digest: [u8; 32],
    /// How many records there are.
    pub records: u64,
    /// The newest records, oldest first.
    pub tail: Vec<Record>,
    /// All records, if they were kept.
    pub kept: Vec<Record>,
    /// How much time passed in the world.
    pub elapsed_ms: u64,
    /// Calls that succeeded, as their agents were told.
    pub successful_calls: u64,
    /// Inputs handled by the coordinators and commands decided by the store.
    pub core_steps: u64,
    /// The events of the core that observers may count on, by name.
    pub reached: BTreeSet<&'static str>,
    /// What agents asked and were told, if that was to be kept.
    pub history: Option<Vec<Entry>>,
    /// Its calls with their answers, if they were made one at a time.
    pub sequence: Option<Sequence>,
}

/// A world under way.
pub struct World<'p> {
    plan: &'p Plan,
    config: Arc<Config>,
    now_ns: u64,
    queue: Queue<Event>,
    servers: Vec<Server>,
    clients: Vec<Client>,
    store: Store,
    gate: Gate,
    slower_ns: u64,
    store_full: bool,
    disk_full: bool,
    /// Files and folders that may not be changed, each with until when, in
    /// nanoseconds.
    forbidden: BTreeMap<String, u64>,
    latches: Latches,
    disk: Disk,
    databases: Databases,
    /// Who holds the lock that makers of documents share with other tools.
    docgen_lock: Option<(ProcessNo, CallId)>,
    dead: BTreeSet<SessionId>,
    /// Those of the dead whose files are gone.
    forgotten: BTreeSet<SessionId>,
    process_names: Vec<String>,
    agent_names: Vec<String>,
    next_request: u64,
    quiet: bool,
    judges: Judges,
    breach: Option<Breach>,
    observer: Option<&'p mut dyn Observer>,
    recorder: Recorder,
    events: u64,
    /// Whether everything came to its end before the time was up; nothing while
    /// the run goes on.
    finished: Option<bool>,
    core_steps: u64,
    successful_calls: u64,
    reached: BTreeSet<&'static str>,
    points: Points,
    history: Option<Simulated>,
    sequence: Option<Sequence>,
}

impl<'p> World<'p> {
    /// The world of a plan, before its first event.
    ///
    /// # Panics
    /// If the plan names processes it does not have, or settings out of range:
    /// `Plan::validate` finds both.
    #[must_use]
    pub fn new(plan: &'p Plan, keep_records: bool) -> Self {
        let can_lose = plan.can_lose();
        let config = Arc::new(plan.config());
        let servers = plan.processes.iter();
        let servers = servers.map(|process| {
            // Another zero than the store's: who compares the two is noticed.
            let ahead_ns = 2 * UPTIME_NS + process.clock_ahead_us * NS_PER_US;
            Server::new(clock::Clock::new(ahead_ns, process.drift_ppm))
        });
        let floor_block = plan.settings.floor_block;
        let floor_block = floor_block.unwrap_or(maasl_core::lease::floor::BLOCK);
        let mut world = Self {
            config,
            now_ns: 0,
            queue: Queue::default(),
            servers: servers.collect(),
            clients: plan
                .agents
                .iter()
                .map(|agent| Client::new(plan, agent))
                .collect(),
            store: Store::new(can_lose, floor_block),
            gate: Gate::default(),
            slower_ns: 0,
            store_full: false,
            disk_full: false,
            forbidden: BTreeMap::new(),
            latches: Latches::default(),
            disk: Disk::new(can_lose),
            databases: Databases::default(),
            docgen_lock: None,
            dead: BTreeSet::new(),
            forgotten: BTreeSet::new(),
            process_names: plan.processes.iter().map(|one| one.name.clone()).collect(),
            agent_names: plan.agents.iter().map(|one| one.name.clone()).collect(),
            next_request: 1,
            quiet: false,
            judges: Judges::of(plan),
            breach: None,
            observer: None,
            recorder: Recorder::new(keep_records),
            events: 0,
            finished: None,
            core_steps: 0,
            successful_calls: 0,
            reached: BTreeSet::new(),
            points: Points::default(),
            history: None,
            sequence: None,
            plan,
        };
        world.set_up();
        world
    }

    /// Lets somebody look on.
    #[must_use]
    pub fn observed_by(mut self, observer: &'p mut dyn Observer) -> Self {
        self.observer = Some(observer);
        self
    }

    /// The same world, of which the history is kept.
    #[must_use]
    pub fn with_history(mut self) -> Self {
        self.history = Some(Simulated::default());
        self
    }

    /// The same world, in which a call is sent only once all others are answered,
    /// and faults strike between calls.
    #[must_use]
    pub fn one_by_one(mut self) -> Self {
        self.sequence = Some(Sequence::default());
        self
    }

    /// Runs to the end, or to the first broken promise.
    #[must_use]
    pub fn run(mut self) -> Finished {
        while self.advance() {}
        self.finish()
    }

    /// Lets one event happen; `false` where none is left.
    pub fn advance(&mut self) -> bool {
        if self.finished.is_some() {
            return false;
        }
        self.finished = self.is_at_end();
        let Some(finished) = self.finished else {
            self.events += 1;
            self.step();
            return true;
        };
        if self.breach.is_none() {
            self.observe(&Observation::Ended { finished });
        }
        false
    }

    /// The records so far, if they are kept.
    #[must_use]
    pub fn records(&self) -> &[Record] {
        self.recorder.kept()
    }

    /// What came of the run as far as it went.
    #[must_use]
    pub fn finish(mut self) -> Finished {
        self.reached.extend(self.points.reached());
        let (records, tail) = (self.recorder.count(), self.recorder.tail());
        let (digest, kept) = self.recorder.finish();
        Finished {
            breach: self.breach,
            ended: self.finished == Some(true),
            digest,
            records,
            tail,
            kept,
            elapsed_ms: self.now_ns / NS_PER_MS,
            successful_calls: self.successful_calls,
            core_steps: self.core_steps,
            reached: self.reached,
            history: self.history.map(Simulated::finish),
            sequence: self.sequence.map(|sequence| sequence.finish(&self.disk)),
        }
    }

    fn set_up(&mut self) {
        for file in &self.plan.files {
            let bytes = file.content.as_bytes().into();
            self.disk.outside(&file.path, Some(bytes));
        }
        for (no, process) in (0..).zip(&self.plan.processes) {
            let at_ns = process.start_at_ms * NS_PER_MS;
            self.queue.push(at_ns, Event::Start(ProcessNo(no)));
        }
        for no in 0..self.clients.len() {
            let agent = AgentNo(u16::try_from(no).expect("a plan has few agents"));
            self.queue.push(0, Event::Turn(agent));
        }
        for (index, fault) in self.plan.faults.iter().enumerate() {
            self.arm(index, fault);
        }
        self.queue
            .push(self.plan.quiet_from_ms * NS_PER_MS, Event::Quiet);
    }

    /// Whether the run is over, and then whether everything came to its end
    /// before the time was up.
    fn is_at_end(&self) -> Option<bool> {
        if self.breach.is_some() {
            return Some(false);
        }
        if self.is_over() {
            return Some(true);
        }
        let end_ns = (self.plan.quiet_from_ms + self.plan.settle_ms) * NS_PER_MS;
        let late = self.queue.next_at().is_none_or(|at| at > end_ns);
        (late || self.events >= self.plan.events_max).then_some(false)
    }

    /// Nothing goes wrong any more, all agents are done, nothing is under way.
    fn is_over(&self) -> bool {
        self.quiet
            && self.clients.iter().all(Client::is_done)
            && self.servers.iter().all(|server| {
                let coordinator = server.coordinator.as_ref();
                coordinator.is_none_or(|coordinator| coordinator.calls() == 0)
            })
    }

    fn step(&mut self) {
        let Some((at_ns, event)) = self.queue.pop() else {
            return;
        };
        self.now_ns = at_ns.max(self.now_ns);
        if self.must_wait(&event) {
            self.push_in(NS_PER_MS, event);
            return;
        }
        match event {
            Event::Start(process) => self.start(process),
            Event::Resume(process) => self.resume(process),
            Event::Turn(agent) => self.turn(agent),
            Event::Patience(agent) => self.check_patience(agent),
            Event::Disconnected(agent, request, attempt) => {
                self.lose_patience(agent, request, attempt);
            }
            Event::CancelCall(agent, request) => self.send_cancel(agent, request),
            Event::Response(agent, request, response) => self.answered(agent, request, &response),
            Event::At(process, arrival) => self.arrive(process, arrival),
            Event::StoreArrival(process, incarnation, step, command) => {
                self.remote_command(process, incarnation, step, &command);
            }
            Event::SyncSoon => self.store.sync(),
            Event::Strike(fault) => self.strike(fault),
            Event::Relief(relief) => self.relieve(relief),
            Event::Quiet => self.calm(),
        }
    }

    /// Whether one call at a time is made, another is under way, and this would
    /// come between.
    fn must_wait(&self, event: &Event) -> bool {
        let comes_between = matches!(event, Event::Turn(_) | Event::Strike(_) | Event::Quiet);
        self.sequence.is_some() && comes_between && self.is_busy()
    }

    fn is_busy(&self) -> bool {
        let mut clients = self.clients.iter();
        let mut coordinators = self
            .servers
            .iter()
            .filter_map(|one| one.coordinator.as_ref());
        clients.any(|client| client.outstanding.is_some())
            || coordinators.any(|coordinator| coordinator.calls() > 0)
    }

    fn observe(&mut self, observation: &Observation<'_>) {
        let ground = Ground {
            now_ns: self.now_ns,
            rows: &self.store.rows,
            disk: &self.disk,
            processes: &self.process_names,
            agents: &self.agent_names,
        };
        if let Some(observer) = &mut self.observer {
            observer.observe(self.recorder.count(), observation, &ground);
        }
        self.points.observe(observation, &ground);
        if let Some(history) = &mut self.history {
            history.observe(observation, &ground);
        }
        if let Some(sequence) = &mut self.sequence {
            sequence.observe(observation, &ground);
        }
        if let Err(breach) = self.judges.observe(observation, &ground) {
            self.breach.get_or_insert(breach);
        }
    }

    fn record(&mut self, kind: Kind, who: u16, label: &'static str, call: u64, detail: u64) {
        self.recorder.add(Record {
            at_ns: self.now_ns,
            kind,
            who,
            label,
            call,
            detail,
        });
    }

    fn server(&mut self, process: ProcessNo) -> &mut Server {
        &mut self.servers[usize::from(process.0)]
    }

    fn push_in(&mut self, after_ns: u64, event: Event) {
        self.queue.push(self.now_ns + after_ns, event);
    }

    fn process_named(&self, name: &str) -> ProcessNo {
        let mut names = self.process_names.iter();
        let at = names.position(|one| one == name);
        let at = at.expect("a validated plan names only processes it has");
        ProcessNo(u16::try_from(at).expect("a plan has few processes"))
    }
}

impl Plan {
    /// Whether something may be lost that was written: then the world keeps what
    /// a loss would leave.
    fn can_lose(&self) -> bool {
        self.faults.iter().any(|fault| {
            matches!(
                fault.what,
                FaultKind::PowerCut { .. } | FaultKind::StoreRestored { .. }
            )
        })
    }
}

/// The entry of a table that a message falls on: by its identity alone.
fn pick(table: &[u64], identity: [u64; 4]) -> u64 {
    if table.len() == 1 {
        return table[0];
    }
    let step = |mixed: u64, part| rng::mix(mixed.wrapping_add(part).wrapping_add(rng::STEP));
    let mixed = identity.into_iter().fold(rng::STEP, step);
    let length = table.len() as u64;
    table[usize::try_from(mixed % length).expect("a place in a table")]
}
