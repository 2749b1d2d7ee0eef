//! The life of processes, and what reaches them.
//!
//! Owns: start, pause, death and the delivery of arrivals. Promises: what reaches
//! a process that stands still waits; what was meant for a dead incarnation is
//! dropped. Leaves to others: carrying out what a coordinator wants (`steps`), and
//! what a process does of its own accord (`house`).

use maasl_core::coordinator::Coordinator;
use maasl_core::coordinator::io::{CallId, Input, Output, Response};
use maasl_core::id::Entropy;
use maasl_core::lease::Command;
use maasl_core::time::Timestamp;

use super::queue::{Arrival, Event, Own};
use super::{NS_PER_US, World, pick};
use crate::observe::{AgentNo, Observation, ProcessNo, RequestNo};
use crate::plan::fault::Route;
use crate::record::Kind;

impl World<'_> {
    /// Starts a process under its name's next incarnation.
    pub(super) fn start(&mut self, process: ProcessNo) {
        let name = &self.process_names[usize::from(process.0)];
        let config = self.config.clone();
        let server = &mut self.servers[usize::from(process.0)];
        if server.is_live() {
            return;
        }
        server.incarnation += 1;
        let session = format!("{name}-{}", server.incarnation);
        server.session = maasl_core::id::SessionId::new(session);
        let session = server.session.clone();
        server.coordinator = Some(Coordinator::new(config, session.clone()));
        server.next_call = 1;
        let incarnation = u64::from(server.incarnation);
        self.record(Kind::Started, process.0, "", 0, incarnation);
        let clock = self.store.clock(self.now_ns);
        let (command, outcome) = self.store.open(&session, self.now_ns);
        self.core_steps += 1;
        self.observe(&Observation::Started {
            process,
            session: &session,
        });
        self.observe(&Observation::Transacted {
            process,
            step: None,
            command: &command,
            outcome: &outcome,
            clock,
        });
        self.keep_house(process);
    }

    /// Ends a process at once. Those it served learn that the connection is gone.
    pub(super) fn kill(&mut self, process: ProcessNo) {
        let server = self.server(process);
        if !server.is_live() {
            return;
        }
        let session = server.session.clone();
        let served: Vec<(AgentNo, RequestNo)> = server.calls.values().copied().collect();
        server.forget();
        self.dead.insert(session.clone());
        self.record(Kind::Died, process.0, "", 0, 0);
        self.observe(&Observation::Died {
            process,
            session: &session,
        });
        self.gate.drop_all_of(process);
        self.latches.drop_all_of(process);
        self.databases.forget(process);
        self.docgen_lock.take_if(|(holder, _)| *holder == process);
        if self.servers.iter().all(|server| !server.is_live()) {
            self.find_in_logs();
        }
        for (agent, request) in served {
            self.disconnect(agent, request);
        }
        self.admit();
        self.serve_latches();
    }

    /// Nobody has a database open any more: what nobody had seen comes out of its log
    /// once somebody opens it.
    fn find_in_logs(&mut self) {
        for returned in self.databases.come_back() {
            self.observe(&Observation::DatabaseCameBack {
                db: &returned.db,
                seal: &returned.seal,
                rows: &returned.rows,
            });
        }
    }

    /// Makes a process stand still.
    pub(super) fn pause(&mut self, process: ProcessNo, for_ns: u64) {
        let until_ns = self.now_ns + for_ns;
        let server = self.server(process);
        if !server.is_live() {
            return;
        }
        let before = server.paused_until_ns;
        server.paused_until_ns = before.max(Some(until_ns));
        self.queue.push(until_ns, Event::Resume(process));
        if before.is_none() {
            self.record(Kind::Paused, process.0, "", 0, 1);
            self.observe(&Observation::Paused {
                process,
                paused: true,
            });
        }
    }

    /// Lets a process go on, if its time has come.
    pub(super) fn resume(&mut self, process: ProcessNo) {
        let now_ns = self.now_ns;
        let server = self.server(process);
        if server.paused_until_ns.is_none_or(|until| until > now_ns) {
            return;
        }
        server.paused_until_ns = None;
        let deferred = std::mem::take(&mut server.deferred);
        self.record(Kind::Paused, process.0, "", 0, 0);
        self.observe(&Observation::Paused {
            process,
            paused: false,
        });
        for arrival in deferred {
            self.arrive(process, arrival);
        }
        self.arm_timer(process);
    }

    /// Something reaches a process.
    pub(super) fn arrive(&mut self, process: ProcessNo, arrival: Arrival) {
        let server = self.server(process);
        if !server.is_live() {
            if let Arrival::Request(agent, request, _) = arrival {
                self.disconnect(agent, request);
            }
            return;
        }
        if server.paused_until_ns.is_some() {
            server.deferred.push(arrival);
            return;
        }
        match arrival {
            Arrival::Request(agent, request, call) => {
                let id = CallId(server.next_call);
                server.next_call += 1;
                server.calls.insert(id, (agent, request));
                self.record(Kind::Request, process.0, "", id.0, request.0);
                self.feed(process, Input::Call(id, *call));
            }
            Arrival::Cancel(agent, request) => self.cancel_at(process, agent, request),
            Arrival::Own(incarnation, own) if incarnation == server.incarnation => {
                self.own_arrival(process, own);
            }
            Arrival::Own(..) => {}
        }
    }

    fn own_arrival(&mut self, process: ProcessNo, own: Own) {
        match own {
            Own::Answer(input) => self.feed(process, *input),
            Own::Timer(number) => self.timer_came(process, number),
            Own::Bell(ticket) => {
                self.record(Kind::Bell, process.0, "", 0, ticket.0);
                self.feed(process, Input::Woken(ticket));
            }
            Own::Command(step, command) => self.local_command(process, step, command),
            Own::Commit(step) => self.commit(process, step),
            Own::Look(step, command) => self.look(process, step, &command),
            Own::Synced(step, name, outcome) => self.synced(process, step, name, *outcome),
            Own::GateOver(step) => self.gate_over(process, step),
            Own::Effect(step, effect) => self.effect(process, step, *effect),
            Own::LatchOver(step) => self.latch_over(process, step),
            Own::StoreSilent(step) => self.store_silent(process, step),
            Own::Housekeeping(id, call) => self.feed(process, Input::Call(id, *call)),
            Own::House(number) => self.house_came(process, number),
        }
    }

    fn cancel_at(&mut self, process: ProcessNo, agent: AgentNo, request: RequestNo) {
        let calls = self.server(process).calls.iter();
        let of_request = calls.filter(|(_, of)| **of == (agent, request));
        let ids: Vec<CallId> = of_request.map(|(id, _)| *id).collect();
        for id in ids {
            self.feed(process, Input::Cancel(id));
        }
    }

    /// Feeds a coordinator, and does what it wants.
    pub(super) fn feed(&mut self, process: ProcessNo, input: Input) {
        self.with_coordinator(process, |coordinator, now| {
            coordinator.handle_input(input, now);
        });
    }

    /// Shows what a process relies on when it sends a command.
    pub(super) fn note_belief(&mut self, process: ProcessNo, command: &Command) {
        if let Command::BeginCommit(intent) = command {
            let clock = self.store.clock(self.now_ns);
            self.observe(&Observation::Relied {
                process,
                intent,
                clock,
            });
        }
    }

    fn timer_came(&mut self, process: ProcessNo, number: u64) {
        let server = self.server(process);
        if server.timer.is_none_or(|(_, current)| current != number) {
            return;
        }
        server.timer = None;
        self.record(Kind::Timer, process.0, "", 0, 0);
        self.with_coordinator(process, Coordinator::handle_timeout);
    }

    fn with_coordinator(
        &mut self,
        process: ProcessNo,
        act: impl FnOnce(&mut Coordinator, Timestamp),
    ) {
        let now_ns = self.now_ns;
        let server = &mut self.servers[usize::from(process.0)];
        let now = server.clock.read(now_ns);
        let Some(coordinator) = server.coordinator.as_mut() else {
            return;
        };
        self.core_steps += 1;
        act(coordinator, now);
        self.drain(process);
        self.arm_timer(process);
    }

    /// Takes what a coordinator wants done. Doing it may kill the process.
    fn drain(&mut self, process: ProcessNo) {
        loop {
            let coordinator = self.server(process).coordinator.as_mut();
            let Some(output) = coordinator.and_then(Coordinator::poll_output) else {
                return;
            };
            match output {
                Output::Store(step, command) => self.send_command(process, step, command),
                Output::Do(step, effect) => self.begin_effect(process, step, effect),
                Output::Reply(call, response) => self.reply(process, call, &response),
                Output::Event(event) => self.note_event(&event),
            }
        }
    }

    fn reply(&mut self, process: ProcessNo, call: CallId, response: &Response) {
        self.databases.forget_call((process, call));
        self.docgen_lock
            .take_if(|holder| *holder == (process, call));
        let server = self.server(process);
        let incarnation = server.incarnation;
        let Some((agent, request)) = server.calls.remove(&call) else {
            self.house_kept(process, call, response);
            return;
        };
        self.observe(&Observation::Decided {
            process,
            call,
            request,
            response,
        });
        let identity = [u64::from(process.0), u64::from(incarnation), call.0, 1];
        let at_ns = self.now_ns + pick(&self.plan.timing.client_us, identity) * NS_PER_US;
        let arrivals = self.server(process).lane(Route::Response).arrivals(at_ns);
        for at_ns in arrivals.into_iter().flatten() {
            let response = Box::new(response.clone());
            self.queue
                .push(at_ns, Event::Response(agent, request, response));
        }
    }

    /// Has the process woken when its coordinator wants to be.
    pub(super) fn arm_timer(&mut self, process: ProcessNo) {
        let now_ns = self.now_ns;
        let server = &mut self.servers[usize::from(process.0)];
        let coordinator = server.coordinator.as_ref();
        let due = coordinator.and_then(Coordinator::poll_timeout);
        let due = due.and_then(|(at, _)| server.clock.instant_of(at, now_ns));
        let Some(at_ns) = due else {
            server.timer = None;
            return;
        };
        if server.timer.is_some_and(|(armed_ns, _)| armed_ns == at_ns) {
            return;
        }
        server.timers += 1;
        server.timer = Some((at_ns, server.timers));
        let own = Own::Timer(server.timers);
        let arrival = Arrival::Own(server.incarnation, own);
        self.queue.push(at_ns, Event::At(process, arrival));
    }
}

/// The entropy of a call: enough to tell it from every other.
pub(super) fn entropy(a: u64, b: u64, c: u64) -> Entropy {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&a.to_be_bytes());
    bytes[8..16].copy_from_slice(&b.to_be_bytes());
    bytes[16..24].copy_from_slice(&c.to_be_bytes());
    Entropy::new(bytes)
}
