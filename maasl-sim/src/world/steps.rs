//! The steps of calls: commands to the store and effects on the disk.
//!
//! Owns: when a step happens and what it meets. Promises: a command takes effect
//! at one instant and an effect at one instant; a fault can fall on either side.
//! Leaves to others: what a step decides (`maasl-core`).

use maasl_core::coordinator::io::{Done, Effect, Event as CoreEvent, Input, StepId, StoreFault};
use maasl_core::docgen::layout::may_be_named;
use maasl_core::lease::command::SyncNeed;
use maasl_core::lease::{Command, CommitItem, Outcome, Wake};
use maasl_core::refusal::Process as Inside;
use std::collections::BTreeSet;

use super::database::Seen;
use super::gate::Entry;
use super::latches::Waiting;
use super::queue::{Arrival, Event, Own};
use super::server::Doom;
use super::weight;
use super::{NS_PER_MS, NS_PER_US, World, pick};
use crate::observe::{Observation, ProcessNo};
use crate::plan::fault::{Route, Side};
use crate::record::Kind;

/// How long after the end of a commit its log is synced at the latest.
const SYNC_SOON_NS: u64 = 10 * NS_PER_MS;

/// Where a fault can fall on the way of a step.
enum Struck {
    No,
    /// The process died or stands still: what follows waits or is void.
    Yes,
}

impl World<'_> {
    pub(super) fn send_command(&mut self, process: ProcessNo, step: StepId, command: Command) {
        self.note_belief(process, &command);
        let command = Box::new(command);
        if !self.plan.timing.remote_store {
            self.local_command(process, step, command);
            return;
        }
        if let Struck::Yes = self.point(process, command.name(), Side::Before) {
            let own = Own::Command(step, command);
            self.defer(process, own);
            return;
        }
        self.send_remote(process, step, &command);
    }

    fn send_remote(&mut self, process: ProcessNo, step: StepId, command: &Command) {
        let at_ns = self.now_ns + self.store_latency_ns(process, step, 0);
        let server = self.server(process);
        let incarnation = server.incarnation;
        for at_ns in server
            .lane(Route::Command)
            .arrivals(at_ns)
            .into_iter()
            .flatten()
        {
            let event = Event::StoreArrival(process, incarnation, step, Box::new(command.clone()));
            self.queue.push(at_ns, event);
        }
        let silence_ns = self.plan.timing.store_timeout_ms * NS_PER_MS;
        self.push_own(process, silence_ns, Own::StoreSilent(step));
    }

    /// A command reaches a store of its own, which answers by message.
    pub(super) fn remote_command(
        &mut self,
        process: ProcessNo,
        incarnation: u32,
        step: StepId,
        command: &Command,
    ) {
        if !self.store.is_open() {
            return;
        }
        let answer = self.execute(process, step, command);
        // A server of its own answers only what it has synced.
        self.store.sync();
        let at_ns = self.now_ns + self.store_latency_ns(process, step, 1);
        let arrivals = self.server(process).lane(Route::Outcome).arrivals(at_ns);
        for at_ns in arrivals.into_iter().flatten() {
            let own = Own::Answer(Box::new(Input::Stored(step, answer.clone())));
            let arrival = Arrival::Own(incarnation, own);
            self.queue.push(at_ns, Event::At(process, arrival));
        }
    }

    pub(super) fn store_silent(&mut self, process: ProcessNo, step: StepId) {
        let fault = StoreFault::Failed("the store did not answer".into());
        self.feed(process, Input::Stored(step, Err(fault)));
    }

    /// A command is put to the store that the process has open itself.
    pub(super) fn local_command(
        &mut self,
        process: ProcessNo,
        step: StepId,
        command: Box<Command>,
    ) {
        if let Struck::Yes = self.point(process, command.name(), Side::Before) {
            self.defer(process, Own::Command(step, command));
            return;
        }
        if self.plan.timing.remote_store {
            self.send_remote(process, step, &command);
            return;
        }
        let spent_ns = self.transaction_ns(process, step);
        if command.is_read_only() {
            self.push_own(process, spent_ns, Own::Look(step, command));
            return;
        }
        let entry = Entry {
            process,
            step,
            command,
        };
        if self.gate.enter(entry) {
            self.inside(process, step);
        } else {
            let wait_ns = self.config.limits.gate_wait_ms * NS_PER_MS;
            self.push_own(process, wait_ns, Own::GateOver(step));
        }
    }

    /// The command of this step is inside the gate.
    fn inside(&mut self, process: ProcessNo, step: StepId) {
        let spent_ns = self.transaction_ns(process, step);
        self.push_own(process, spent_ns, Own::Commit(step));
        let name = self.gate.command_name().unwrap_or("");
        let _ = self.point(process, name, Side::Inside);
    }

    /// Lets the next command into the gate.
    pub(super) fn admit(&mut self) {
        if let Some(entry) = self.gate.admit() {
            let (process, step) = (entry.process, entry.step);
            self.inside(process, step);
        }
    }

    pub(super) fn gate_over(&mut self, process: ProcessNo, step: StepId) {
        if !self.gate.give_up(process, step) {
            return;
        }
        let waited_ms = self.config.limits.gate_wait_ms;
        let holder = self.gate.holder().map(|holder| self.inside_of(holder));
        self.record(Kind::CommandFault, process.0, "busy", step.call.0, 0);
        let fault = StoreFault::Busy {
            process: holder,
            waited_ms,
        };
        self.feed(process, Input::Stored(step, Err(fault)));
    }

    /// What is inside the gate commits.
    pub(super) fn commit(&mut self, process: ProcessNo, step: StepId) {
        let Some(entry) = self.gate.leave(process, step) else {
            return;
        };
        let answer = self.execute(process, step, &entry.command);
        self.admit();
        self.when_durable(process, step, &entry.command, answer);
    }

    /// Answers a command once what it wrote is where it must be.
    fn when_durable(
        &mut self,
        process: ProcessNo,
        step: StepId,
        command: &Command,
        answer: Result<Outcome, StoreFault>,
    ) {
        let outcome = answer.as_ref();
        let need = outcome.map_or(SyncNeed::None, |outcome| outcome.sync_need(command));
        match (need, answer) {
            (SyncNeed::First, Ok(outcome)) => {
                let identity = self.identity(process, step);
                let spent_ns = pick(&self.plan.timing.sync_us, identity) * NS_PER_US;
                let own = Own::Synced(step, command.name(), Box::new(outcome));
                self.push_own(process, spent_ns, own);
            }
            (need, answer) => {
                if need == SyncNeed::Soon && self.store.can_lose() {
                    self.push_in(SYNC_SOON_NS, Event::SyncSoon);
                }
                self.hand_back(process, command.name(), Input::Stored(step, answer));
            }
        }
    }

    pub(super) fn synced(
        &mut self,
        process: ProcessNo,
        step: StepId,
        name: &'static str,
        outcome: Outcome,
    ) {
        self.store.sync();
        self.hand_back(process, name, Input::Stored(step, Ok(outcome)));
    }

    pub(super) fn look(&mut self, process: ProcessNo, step: StepId, command: &Command) {
        let answer = self.execute(process, step, command);
        self.when_durable(process, step, command, answer);
    }

    /// Executes a command at this instant.
    fn execute(
        &mut self,
        process: ProcessNo,
        step: StepId,
        command: &Command,
    ) -> Result<Outcome, StoreFault> {
        let doom = self.server(process).doom_of(command.name());
        let full = self.store_full && !command.is_read_only();
        if full || doom == Some(Doom::Fails { executed: false }) {
            self.record(
                Kind::CommandFault,
                process.0,
                command.name(),
                step.call.0,
                1,
            );
            let words = if full {
                "the store is full"
            } else {
                "the store failed"
            };
            return Err(StoreFault::Failed(words.into()));
        }
        let clock = self.store.clock(self.now_ns);
        let holders = self.servers[usize::from(process.0)].clock.read(self.now_ns);
        let judged_by = super::store::judged_by(clock, holders);
        let outcome = self.store.transact(command, judged_by);
        self.core_steps += 1;
        self.record(
            Kind::Command,
            process.0,
            command.name(),
            step.call.0,
            weight::of_outcome(&outcome),
        );
        self.observe(&Observation::Transacted {
            process,
            command,
            outcome: &outcome,
            clock,
        });
        if doom.is_some() {
            return Err(StoreFault::Failed("the store failed".into()));
        }
        Ok(outcome)
    }

    pub(super) fn begin_effect(&mut self, process: ProcessNo, step: StepId, effect: Effect) {
        let identity = self.identity(process, step);
        let table = match effect {
            Effect::Stage { .. }
            | Effect::SyncNames(_)
            | Effect::SyncStaged(_)
            | Effect::SyncKept(_)
            | Effect::DbCommit(_) => &self.plan.timing.sync_us,
            _ => &self.plan.timing.effect_us,
        };
        let spent_ns = pick(table, identity) * NS_PER_US;
        self.push_own(process, spent_ns, Own::Effect(step, Box::new(effect)));
    }

    /// An effect happens.
    pub(super) fn effect(&mut self, process: ProcessNo, step: StepId, effect: Effect) {
        let name = effect.name();
        if let Struck::Yes = self.point(process, name, Side::Before) {
            self.defer(process, Own::Effect(step, Box::new(effect)));
            return;
        }
        let doom = self.server(process).doom_of(name);
        if doom == Some(Doom::Fails { executed: false }) {
            let failed = Done::Failed(format!("{name} failed"));
            self.record(Kind::Effect, process.0, name, step.call.0, u64::MAX);
            self.hand_back(process, name, Input::Done(step, failed));
            return;
        }
        let Some(done) = self.carry_out(process, step, effect, doom) else {
            return;
        };
        self.record(
            Kind::Effect,
            process.0,
            name,
            step.call.0,
            weight::of_done(&done),
        );
        let done = match doom {
            Some(Doom::Fails { .. }) => Done::Failed(format!("{name} failed")),
            _ => done,
        };
        self.hand_back(process, name, Input::Done(step, done));
    }

    /// Nothing where the answer comes later.
    fn carry_out(
        &mut self,
        process: ProcessNo,
        step: StepId,
        effect: Effect,
        doom: Option<Doom>,
    ) -> Option<Done> {
        Some(match effect {
            Effect::Locate(paths) => Done::Located(paths),
            Effect::Read(path) => Done::Content(self.disk.read(&path)),
            Effect::Hash(path) => Done::Hashed(self.disk.hash(&path)),
            Effect::HashStaged(stage) => Done::Hashed(self.disk.hash_staged(&stage)),
            Effect::LoadObject(content) => Done::Object(self.disk.object(content)),
            Effect::LoadVersion { path, number } => {
                let mut history = self.store.rows.history(&path).iter();
                Done::Version(history.find(|version| version.number == number).cloned())
            }
            Effect::Stage { name, content, .. } => {
                if self.disk_full {
                    return Some(Done::Failed("no space left on device".into()));
                }
                let (content, synced) = match doom {
                    Some(Doom::Short { bytes }) => {
                        let kept = content.len().min(bytes as usize);
                        (content[..kept].into(), true)
                    }
                    Some(Doom::Fails { .. }) => (content, false),
                    None => (content, true),
                };
                self.disk.stage(&name, content, synced);
                if let (Some(Doom::Short { .. }), Some(after)) =
                    (doom, self.disk.hash_staged(&name))
                {
                    let stage = &name;
                    self.observe(&Observation::Shortened { stage, after });
                }
                Done::Ok
            }
            Effect::Discard(stages) => {
                for stage in &stages {
                    self.disk.discard(stage);
                }
                Done::Ok
            }
            Effect::SyncStaged(stages) => {
                if doom.is_none() {
                    self.disk.sync_staged(&stages);
                }
                Done::Ok
            }
            Effect::SyncKept(content) => {
                if doom.is_none() {
                    self.disk.sync_kept(content);
                }
                Done::Ok
            }
            Effect::Keep { stage, content } => {
                self.disk.keep(&stage, content);
                Done::Ok
            }
            Effect::SyncNames(paths) => {
                if doom.is_none() {
                    self.disk.sync_names(&paths);
                }
                Done::Ok
            }
            Effect::Latch(keys) => return self.latch(process, step, keys),
            Effect::Unlatch => {
                self.latches.drop_of(process, step.call);
                self.observe(&Observation::Unlatched {
                    process,
                    call: step.call,
                });
                self.serve_latches();
                Done::Ok
            }
            Effect::Swap(item) => self.swap(process, step, &item, false),
            Effect::SwapBack(item) => self.swap(process, step, &item, true),
            effect @ (Effect::DbBegin { .. }
            | Effect::DbExecute(_)
            | Effect::DbFence
            | Effect::DbCommit(_)
            | Effect::DbRollback) => self.database(process, step, effect),
            Effect::Probe(sessions) => Done::Dead(&sessions & &self.dead),
            Effect::Ring(wakes) => Done::Dead(self.ring(&wakes)),
            Effect::FindSources(name) => {
                let files = self.disk.files().map(|(path, _)| path);
                let claimants = files.filter(|path| may_be_named(path, &name));
                Done::Sources(claimants.map(String::from).collect())
            }
            Effect::DocgenLock => Done::DocgenLock(true),
            Effect::DocgenUnlock => Done::Ok,
            Effect::Generate(run) => {
                let text = format!("made from {}\n", run.source_sha256);
                Done::Generated(Ok(text.into_bytes().into()))
            }
        })
    }

    fn database(&mut self, process: ProcessNo, step: StepId, effect: Effect) -> Done {
        let writes = matches!(effect, Effect::DbExecute(_) | Effect::DbCommit(_));
        if self.disk_full && writes {
            return Done::Failed("no space left on device".into());
        }
        let clock = self.store.clock(self.now_ns);
        let by = (process, step.call);
        let (done, seen) = self.databases.perform(by, effect, clock.wall_ms);
        match seen {
            None | Some(Seen::Began) => {}
            Some(Seen::RolledBack { answered }) => {
                self.observe(&Observation::DatabaseRolledBack {
                    process,
                    call: step.call,
                    answered,
                });
            }
            Some(Seen::Met { db }) => self.observe(&Observation::DatabaseMet { db: &db }),
            Some(Seen::Worked { db }) => self.observe(&Observation::DatabaseWorked {
                process,
                call: step.call,
                db: &db,
                now: clock.now,
            }),
            Some(Seen::Committed { db, seal, rows }) => {
                self.observe(&Observation::DatabaseCommitted {
                    process,
                    call: step.call,
                    db: &db,
                    seal: &seal,
                    rows: &rows,
                });
            }
        }
        done
    }

    fn swap(&mut self, process: ProcessNo, step: StepId, item: &CommitItem, back: bool) -> Done {
        let swapped = if back {
            self.disk.swap_back(item)
        } else {
            self.disk.swap(item)
        };
        let now = self.disk.hash(&item.path);
        self.observe(&Observation::Swapped {
            process,
            call: step.call,
            item,
            back,
            swapped,
            now,
        });
        Done::Swapped(swapped)
    }

    fn latch(
        &mut self,
        process: ProcessNo,
        step: StepId,
        keys: Vec<maasl_core::resource::ResourceKey>,
    ) -> Option<Done> {
        if self.latches.take(process, step.call, &keys) {
            self.observe(&Observation::Latched {
                process,
                call: step.call,
                keys: &keys,
            });
            return Some(Done::Ok);
        }
        let incarnation = self.server(process).incarnation;
        self.latches.wait(Waiting {
            process,
            incarnation,
            step,
            keys,
        });
        let wait_ns = self.config.limits.latch_wait_ms * NS_PER_MS;
        self.push_own(process, wait_ns, Own::LatchOver(step));
        None
    }

    pub(super) fn latch_over(&mut self, process: ProcessNo, step: StepId) {
        let Some(waiting) = self.latches.stop_waiting(process, step) else {
            return;
        };
        let holder = self.latches.holder(&waiting.keys);
        let holder = holder.map(|holder| self.inside_of(holder));
        self.record(Kind::Effect, process.0, "latch", step.call.0, u64::MAX);
        self.hand_back(process, "latch", Input::Done(step, Done::LatchBusy(holder)));
    }

    /// Gives free latches to those that wait for them.
    pub(super) fn serve_latches(&mut self) {
        while let Some(served) = self.latches.next_served() {
            self.observe(&Observation::Latched {
                process: served.process,
                call: served.step.call,
                keys: &served.keys,
            });
            self.record(
                Kind::Effect,
                served.process.0,
                "latch",
                served.step.call.0,
                0,
            );
            let answer = Box::new(Input::Done(served.step, Done::Ok));
            let arrival = Arrival::Own(served.incarnation, Own::Answer(answer));
            self.push_in(0, Event::At(served.process, arrival));
        }
    }

    fn ring(&mut self, wakes: &[Wake]) -> BTreeSet<maasl_core::id::SessionId> {
        let mut dead = BTreeSet::new();
        for wake in wakes {
            let mut servers = (0..).zip(&self.servers);
            let alive =
                servers.find(|(_, server)| server.is_live() && server.session == wake.session);
            let Some((no, server)) = alive else {
                dead.insert(wake.session.clone());
                continue;
            };
            let (process, incarnation) = (ProcessNo(no), server.incarnation);
            let identity = [u64::from(no), u64::from(incarnation), wake.ticket.0, 7];
            let at_ns = self.now_ns + pick(&self.plan.timing.bell_us, identity) * NS_PER_US;
            let arrivals = self.server(process).lane(Route::Bell).arrivals(at_ns);
            for at_ns in arrivals.into_iter().flatten() {
                let arrival = Arrival::Own(incarnation, Own::Bell(wake.ticket));
                self.queue.push(at_ns, Event::At(process, arrival));
            }
        }
        dead
    }

    /// Answers a step, unless a fault falls between the step and its answer.
    fn hand_back(&mut self, process: ProcessNo, name: &str, answer: Input) {
        match self.point(process, name, Side::After) {
            Struck::No => self.feed(process, answer),
            Struck::Yes => self.defer(process, Own::Answer(Box::new(answer))),
        }
    }

    /// Lets a fault fall that waits for this side of this step.
    fn point(&mut self, process: ProcessNo, name: &str, side: Side) -> Struck {
        let server = self.server(process);
        if server.watches.is_empty() {
            return Struck::No;
        }
        let Some(fault) = server.struck_at(name, side) else {
            return Struck::No;
        };
        let incarnation = server.incarnation;
        self.strike(fault);
        let server = self.server(process);
        let goes_on = server.is_live()
            && server.incarnation == incarnation
            && server.paused_until_ns.is_none();
        if goes_on { Struck::No } else { Struck::Yes }
    }

    /// Keeps something for when a process that stands still goes on.
    fn defer(&mut self, process: ProcessNo, own: Own) {
        let incarnation = self.server(process).incarnation;
        self.arrive(process, Arrival::Own(incarnation, own));
    }

    fn push_own(&mut self, process: ProcessNo, after_ns: u64, own: Own) {
        let incarnation = self.server(process).incarnation;
        self.push_in(after_ns, Event::At(process, Arrival::Own(incarnation, own)));
    }

    fn transaction_ns(&mut self, process: ProcessNo, step: StepId) -> u64 {
        let identity = self.identity(process, step);
        pick(&self.plan.timing.transaction_us, identity) * NS_PER_US + self.slower_ns
    }

    fn store_latency_ns(&mut self, process: ProcessNo, step: StepId, way: u64) -> u64 {
        let mut identity = self.identity(process, step);
        identity[3] = identity[3] << 1 | way;
        pick(&self.plan.timing.store_us, identity) * NS_PER_US
    }

    fn identity(&mut self, process: ProcessNo, step: StepId) -> [u64; 4] {
        let incarnation = u64::from(self.server(process).incarnation);
        [u64::from(process.0), incarnation, step.call.0, step.step]
    }

    fn inside_of(&self, process: ProcessNo) -> Inside {
        let server = &self.servers[usize::from(process.0)];
        Inside {
            pid: u32::from(process.0) + 1,
            stopped: server.paused_until_ns.is_some(),
            command: None,
        }
    }

    pub(super) fn note_event(&mut self, event: &CoreEvent) {
        let name = match event {
            CoreEvent::Waiting { .. } => "waiting",
            CoreEvent::LockAcquired { taken_over, .. } if *taken_over > 0 => "takeover",
            CoreEvent::LockAcquired { .. } => "acquired",
            CoreEvent::LockRenewed { .. } => "renewed",
            CoreEvent::Docgen { status, .. } => status.name(),
            CoreEvent::GraphMerged { .. } => "graph_merge",
            CoreEvent::Refused { code, .. } => code,
            CoreEvent::Recovered { .. } => "recovered",
        };
        self.reached.insert(name);
    }
}
