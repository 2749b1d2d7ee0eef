//! The steps of calls: commands to the store, and the way of every answer.
//!
//! Owns: when a step happens and what it meets. Promises: a command takes effect
//! at one instant; a fault can fall on either side of a step. Leaves to others:
//! what a step decides (`maasl-core`), and the effects (`effects`).

use maasl_core::coordinator::io::{Event as CoreEvent, Input, StepId, StoreFault};
use maasl_core::lease::command::SyncNeed;
use maasl_core::lease::{Command, Outcome};
use maasl_core::refusal::Process as Inside;

use super::gate::Entry;
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
pub(super) enum Struck {
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
            step: Some(step),
            command,
            outcome: &outcome,
            clock,
        });
        if doom.is_some() {
            return Err(StoreFault::Failed("the store failed".into()));
        }
        Ok(outcome)
    }

    /// Answers a step, unless a fault falls between the step and its answer.
    pub(super) fn hand_back(&mut self, process: ProcessNo, name: &str, answer: Input) {
        match self.point(process, name, Side::After) {
            Struck::No => self.feed(process, answer),
            Struck::Yes => self.defer(process, Own::Answer(Box::new(answer))),
        }
    }

    /// Lets a fault fall that waits for this side of this step.
    pub(super) fn point(&mut self, process: ProcessNo, name: &str, side: Side) -> Struck {
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
    pub(super) fn defer(&mut self, process: ProcessNo, own: Own) {
        let incarnation = self.server(process).incarnation;
        self.arrive(process, Arrival::Own(incarnation, own));
    }

    pub(super) fn push_own(&mut self, process: ProcessNo, after_ns: u64, own: Own) {
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

    pub(super) fn identity(&mut self, process: ProcessNo, step: StepId) -> [u64; 4] {
        let incarnation = u64::from(self.server(process).incarnation);
        [u64::from(process.0), incarnation, step.call.0, step.step]
    }

    pub(super) fn inside_of(&self, process: ProcessNo) -> Inside {
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
            CoreEvent::LockReleased { .. } => "released",
            CoreEvent::Told { what, .. } | CoreEvent::Observed { what, .. } => what,
            CoreEvent::LockRenewed { .. } => "renewed",
            CoreEvent::Docgen { status, .. } => status.name(),
            CoreEvent::GraphMerged { .. } => "graph_merge",
            CoreEvent::Refused { code, .. } => code,
            CoreEvent::Recovered { .. } => "recovered",
        };
        self.reached.insert(name);
    }
}
