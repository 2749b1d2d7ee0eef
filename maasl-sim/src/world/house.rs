//! Housekeeping: what a process does of its own accord for those that died.
//!
//! Owns: when a process looks after the dead, and what is left of them on the
//! disk. Promises: it does so at its start and then each time a while by its own
//! clock after it last had done; the files of a dead process go only once the
//! core has forgotten it. Leaves to others: settling and forgetting (the core),
//! and who is dead (`processes`).

use maasl_core::coordinator::io::{Call, CallId, Reply, Request, Response};
use maasl_core::id::{AgentId, SessionId};
use maasl_core::policy::Urgency;
use maasl_core::time::Timestamp;

use super::World;
use super::processes::entropy;
use super::queue::{Arrival, Event, Own};
use crate::observe::{Observation, ProcessNo};

/// How long a process rests, as the node does.
const INTERVAL_MS: u64 = 60_000;

/// Tells the entropy of a process's own calls from that of an agent's.
const OF_ITS_OWN: u64 = 1 << 32;

/// The housekeeping of one process.
#[derive(Debug, Default)]
pub(crate) struct House {
    /// The call under way.
    call: Option<CallId>,
    /// When it is due again, by the process's clock.
    due: Option<Timestamp>,
    /// The number of the newest event for it, which tells an outdated one.
    number: u64,
}

impl World<'_> {
    /// Has the core settle what the dead left open and forget them.
    pub(super) fn keep_house(&mut self, process: ProcessNo) {
        let dead = &self.dead - &self.forgotten;
        if dead.is_empty() {
            self.rest(process);
            return;
        }
        self.observe(&Observation::KeepsHouse {
            process,
            dead: &dead,
        });
        let server = self.server(process);
        let call = CallId(server.next_call);
        server.next_call += 1;
        server.house.call = Some(call);
        let incarnation = server.incarnation;
        let of = OF_ITS_OWN | u64::from(process.0);
        let body = Call {
            agent: AgentId::new("maasl"),
            urgency: Urgency::Batch,
            max_wait_ms: None,
            request: None,
            lease: None,
            request_body: Request::Bury(dead),
            entropy: entropy(of, u64::from(incarnation), call.0),
        };
        let own = Own::Housekeeping(call, Box::new(body));
        self.arrive(process, Arrival::Own(incarnation, own));
    }

    /// The core answered a call that no agent made.
    pub(super) fn house_kept(&mut self, process: ProcessNo, call: CallId, response: &Response) {
        if self
            .server(process)
            .house
            .call
            .take_if(|one| *one == call)
            .is_none()
        {
            return;
        }
        if let Ok(Reply::Buried(buried)) = &response.result {
            for session in buried {
                self.remove_files_of(session);
            }
        }
        self.rest(process);
    }

    fn remove_files_of(&mut self, session: &SessionId) {
        self.disk.remove_session(session.as_str());
        self.forgotten.insert(session.clone());
    }

    fn rest(&mut self, process: ProcessNo) {
        let interval_ms = self.plan.settings.housekeeping_ms.unwrap_or(INTERVAL_MS);
        let now_ns = self.now_ns;
        let server = self.server(process);
        server.house.due = Some(server.clock.read(now_ns).plus_ms(interval_ms));
        self.arm_house(process);
    }

    /// Plans the next time, as the process's clock runs now.
    fn arm_house(&mut self, process: ProcessNo) {
        let now_ns = self.now_ns;
        let server = self.server(process);
        server.house.number += 1;
        let due = server.house.due;
        let Some(at_ns) = due.and_then(|due| server.clock.instant_of(due, now_ns)) else {
            return;
        };
        let own = Own::House(server.house.number);
        let arrival = Arrival::Own(server.incarnation, own);
        self.queue.push(at_ns, Event::At(process, arrival));
    }

    pub(super) fn house_came(&mut self, process: ProcessNo, number: u64) {
        let house = &mut self.server(process).house;
        if house.number == number && house.due.take().is_some() {
            self.keep_house(process);
        }
    }

    /// The clock of a process runs differently from now on.
    pub(super) fn clock_changed(&mut self, process: ProcessNo) {
        self.arm_timer(process);
        if self.server(process).house.due.is_some() {
            self.arm_house(process);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Fault, Plan};
    use crate::record::Kind;
    use crate::trial::contended;

    /// One of two processes dies with something staged and does not come back
    /// before everything is mended.
    fn with_a_death() -> Plan {
        let mut plan = contended();
        plan.quiet_from_ms = 150_000;
        plan.faults = vec![fault(
            r#"when = { process = "west", step = "stage", side = "after" }
               what = { kind = "kill", process = "west" }"#,
        )];
        plan
    }

    fn fault(text: &str) -> Fault {
        toml::from_str(text).unwrap()
    }

    /// In which seconds a process forgets the dead, before everything is mended.
    fn sweeps_s(plan: &Plan) -> Vec<u64> {
        let kept = World::new(plan, true).run().kept;
        let quiet_ns = plan.quiet_from_ms * 1_000_000;
        let sweeps = kept.iter().filter(|record| {
            record.kind == Kind::Command && record.label == "sweep" && record.at_ns < quiet_ns
        });
        sweeps.map(|record| record.at_ns / 1_000_000_000).collect()
    }

    #[test]
    fn the_dead_are_forgotten_once_with_what_they_staged() {
        let plan = with_a_death();
        assert_eq!(sweeps_s(&plan), [60]);
        let mut world = World::new(&plan, false);
        let mut staged = false;
        let of_the_dead = |world: &World<'_>| {
            let mut stages = world.disk.stages();
            stages.any(|stage| stage.starts_with("west-1/"))
        };
        while world.advance() {
            staged |= of_the_dead(&world);
        }
        assert!(staged && !of_the_dead(&world));
    }

    #[test]
    fn a_process_goes_by_its_own_clock() {
        let mut plan = with_a_death();
        plan.processes[0].drift_ppm = 200_000;
        assert_eq!(sweeps_s(&plan), [50]);
        let mut plan = with_a_death();
        plan.faults.push(fault(
            r#"when = { at_ms = 10000 }
               what = { kind = "clock_freeze", process = "east", for_ms = 30000 }"#,
        ));
        assert_eq!(sweeps_s(&plan), [90]);
        let mut plan = with_a_death();
        plan.faults.push(fault(
            r#"when = { at_ms = 10000 }
               what = { kind = "clock_step", process = "east", by_ms = 45000 }"#,
        ));
        assert_eq!(sweeps_s(&plan), [15]);
    }

    #[test]
    fn whoever_dies_at_it_leaves_it_to_the_next() {
        let mut plan = with_a_death();
        plan.settings.housekeeping_ms = Some(5_000);
        plan.faults.push(fault(
            r#"when = { process = "east", step = "sweep", side = "after" }
               what = { kind = "kill", process = "east", restart_after_ms = 100 }"#,
        ));
        assert_eq!(sweeps_s(&plan), [5, 5]);
    }
}
