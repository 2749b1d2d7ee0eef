//! Faults: what each does to the world, and how it ends.
//!
//! Owns: the effect of every kind of fault. Promises: a fault does what its plan
//! says and nothing else; when nothing goes wrong any more, nothing of it is
//! left but its consequences. Leaves to others: whether it should (the plan).

use super::queue::{Event, Relief};
use super::server::{Doom, Doomed, Mishap, Watch};
use super::store::BOOTED_NS;
use super::{NS_PER_MS, NS_PER_US, World};
use crate::observe::{Observation, ProcessNo};
use crate::plan::fault::Route;
use crate::plan::{Fault, FaultKind, When};
use crate::record::Kind;

impl World<'_> {
    /// Has a fault strike when its time or its step comes.
    pub(super) fn arm(&mut self, index: usize, fault: &Fault) {
        match &fault.when {
            When::At { at_ms } => self.queue.push(at_ms * NS_PER_MS, Event::Strike(index)),
            When::Point(point) => {
                let process = self.process_named(&point.process);
                self.server(process).watches.push(Watch {
                    step: point.step.clone(),
                    side: point.side,
                    left: point.nth.max(1),
                    fault: index,
                });
            }
        }
    }

    /// A fault strikes.
    pub(super) fn strike(&mut self, index: usize) {
        if self.quiet {
            return;
        }
        self.record(Kind::Fault, 0, "", 0, index as u64);
        let plan = self.plan;
        match &plan.faults[index].what {
            FaultKind::Kill {
                process,
                restart_after_ms,
            } => {
                let process = self.process_named(process);
                self.kill(process);
                if let Some(after_ms) = restart_after_ms {
                    self.push_in(after_ms * NS_PER_MS, Event::Start(process));
                }
            }
            FaultKind::PowerCut {
                commits_kept,
                names_kept,
                bytes_kept,
                restart_after_ms,
            } => {
                self.cut_power(*commits_kept, *names_kept, *bytes_kept);
                for process in self.all_processes() {
                    self.push_in(restart_after_ms * NS_PER_MS, Event::Start(process));
                }
            }
            FaultKind::Pause { process, for_ms } => {
                let process = self.process_named(process);
                self.pause(process, for_ms * NS_PER_MS);
            }
            FaultKind::Suspend { for_ms } => {
                for process in self.all_processes() {
                    self.pause(process, for_ms * NS_PER_MS);
                }
            }
            FaultKind::StoreRestored {
                commits_back,
                with_floor,
            } => self.restore_store(*commits_back, *with_floor),
            other => self.strike_clock_or_parts(other),
        }
    }

    fn strike_clock_or_parts(&mut self, fault: &FaultKind) {
        let now_ns = self.now_ns;
        match fault {
            FaultKind::ClockStep { process, by_ms } => {
                let process = self.process_named(process);
                self.server(process).clock.step(*by_ms, now_ns);
                self.clock_changed(process);
            }
            FaultKind::ClockDrift { process, ppm } => {
                let process = self.process_named(process);
                self.server(process).clock.drift(*ppm, now_ns);
                self.clock_changed(process);
            }
            FaultKind::ClockFreeze { process, for_ms } => {
                let process = self.process_named(process);
                self.server(process).clock.freeze(true, now_ns);
                self.clock_changed(process);
                self.relieve_in(*for_ms, Relief::Clock(process));
            }
            FaultKind::StoreClockStep { by_ms } => self.store.step_clock(*by_ms, now_ns),
            FaultKind::WallClockStep { by_ms } => self.store.step_wall_clock(*by_ms),
            FaultKind::StoreBusy { for_ms } => {
                self.gate.shut = true;
                self.relieve_in(*for_ms, Relief::Gate);
            }
            FaultKind::StoreSlow { by_us, for_ms } => {
                self.slower_ns += by_us * NS_PER_US;
                self.relieve_in(*for_ms, Relief::Speed(by_us * NS_PER_US));
            }
            FaultKind::StoreFull { for_ms } => {
                self.store_full = true;
                self.relieve_in(*for_ms, Relief::StoreRoom);
            }
            FaultKind::DiskFull { for_ms } => {
                self.disk_full = true;
                self.relieve_in(*for_ms, Relief::DiskRoom);
            }
            FaultKind::Forbidden { path, for_ms } => {
                let until_ns = self.forbidden.entry(path.clone()).or_default();
                *until_ns = (now_ns + for_ms * NS_PER_MS).max(*until_ns);
            }
            FaultKind::BitFlip { path, bit } => self.rot(path, *bit),
            FaultKind::OutsideWrite { path, content } => self.outside(path, Some(content)),
            FaultKind::OutsideDelete { path } => self.outside(path, None),
            other => self.strike_steps_or_messages(other),
        }
    }

    fn strike_steps_or_messages(&mut self, fault: &FaultKind) {
        match fault {
            FaultKind::StoreFails {
                process,
                step,
                nth,
                executed,
            }
            | FaultKind::EffectFails {
                process,
                step,
                nth,
                executed,
            } => {
                let how = Doom::Fails {
                    executed: *executed,
                };
                self.doom(process, step, *nth, how);
            }
            FaultKind::ShortWrite {
                process,
                nth,
                bytes,
            } => self.doom(process, "stage", *nth, Doom::Short { bytes: *bytes }),
            FaultKind::Delay {
                process,
                route,
                nth,
                by_ms,
            } => {
                let by_ns = by_ms * NS_PER_MS;
                self.mishap(process, *route, *nth, Mishap::Late { by_ns });
            }
            FaultKind::Drop {
                process,
                route,
                nth,
            } => self.mishap(process, *route, *nth, Mishap::Lost),
            FaultKind::Duplicate {
                process,
                route,
                nth,
                after_ms,
            } => {
                let after_ns = after_ms * NS_PER_MS;
                self.mishap(process, *route, *nth, Mishap::Twice { after_ns });
            }
            FaultKind::Partition {
                process,
                route,
                for_ms,
            } => {
                let process = self.process_named(process);
                self.server(process).lane(*route).partitioned = true;
                self.relieve_in(*for_ms, Relief::Route(process, *route));
            }
            FaultKind::Hold {
                process,
                route,
                for_ms,
            } => {
                let until_ns = self.now_ns + for_ms * NS_PER_MS;
                let process = self.process_named(process);
                self.server(process).lane(*route).held_until_ns = until_ns;
                self.relieve_in(*for_ms, Relief::Route(process, *route));
            }
            other => unreachable!("{other:?} was handled before"),
        }
    }

    /// What a fault did for a while is over.
    pub(super) fn relieve(&mut self, relief: Relief) {
        let now_ns = self.now_ns;
        match relief {
            Relief::Route(process, route) => {
                let lane = self.server(process).lane(route);
                lane.partitioned = false;
                lane.held_until_ns = 0;
            }
            Relief::Clock(process) => {
                self.server(process).clock.freeze(false, now_ns);
                self.clock_changed(process);
            }
            Relief::Gate => {
                self.gate.shut = false;
                self.admit();
            }
            Relief::Speed(by_ns) => self.slower_ns = self.slower_ns.saturating_sub(by_ns),
            Relief::StoreRoom => self.store_full = false,
            Relief::DiskRoom => self.disk_full = false,
        }
    }

    /// From now on nothing goes wrong: everything is mended, and every process
    /// runs.
    pub(super) fn calm(&mut self) {
        self.quiet = true;
        self.record(Kind::Quiet, 0, "", 0, 0);
        self.observe(&Observation::Quiet);
        self.gate.shut = false;
        self.slower_ns = 0;
        self.store_full = false;
        self.disk_full = false;
        self.forbidden.clear();
        let now_ns = self.now_ns;
        for process in self.all_processes() {
            let server = self.server(process);
            server.mend();
            server.clock.freeze(false, now_ns);
            if let Some(until_ns) = &mut server.paused_until_ns {
                *until_ns = now_ns;
            }
            self.resume(process);
            self.start(process);
            self.clock_changed(process);
        }
        self.admit();
    }

    fn all_processes(&self) -> Vec<ProcessNo> {
        let count = u16::try_from(self.servers.len()).expect("a plan has few processes");
        (0..count).map(ProcessNo).collect()
    }

    fn cut_power(&mut self, commits_kept: u32, names_kept: u64, bytes_kept: u32) {
        for process in self.all_processes() {
            self.kill(process);
            let ahead_ns = self.plan.processes[usize::from(process.0)].clock_ahead_us * NS_PER_US;
            let now_ns = self.now_ns;
            let clock = &mut self.server(process).clock;
            clock.begin_again(BOOTED_NS + ahead_ns, now_ns);
        }
        self.store.cut_power(commits_kept, self.now_ns);
        self.disk.cut_power(names_kept, bytes_kept);
        // What was removed may be there again.
        self.forgotten.clear();
        self.observe(&Observation::PowerCut);
    }

    /// The state directory is put back under the running processes, which notice
    /// and open it again.
    fn restore_store(&mut self, commits_back: u32, with_floor: bool) {
        let processes = self.all_processes();
        for process in &processes {
            self.kill(*process);
        }
        self.store.restore(commits_back, with_floor);
        self.forgotten.clear();
        self.observe(&Observation::Restored);
        for process in processes {
            self.push_in(NS_PER_MS, Event::Start(process));
        }
    }

    fn outside(&mut self, path: &str, content: Option<&String>) {
        let before = self.disk.hash(path);
        let bytes = content.map(|content| content.as_bytes().into());
        self.disk.outside(path, bytes);
        let after = self.disk.hash(path);
        self.observe(&Observation::Outside {
            path,
            before,
            after,
        });
    }

    fn rot(&mut self, path: &str, bit: u64) {
        let before = self.disk.rot(path, bit);
        if let (Some(before), Some(after)) = (before, self.disk.hash(path)) {
            self.observe(&Observation::Rotted {
                path,
                before,
                after,
            });
        }
    }

    fn doom(&mut self, process: &str, step: &str, nth: u32, how: Doom) {
        let process = self.process_named(process);
        self.server(process).doomed.push(Doomed {
            step: step.into(),
            left: nth.max(1),
            how,
        });
    }

    fn mishap(&mut self, process: &str, route: Route, nth: u32, mishap: Mishap) {
        let process = self.process_named(process);
        let lane = self.server(process).lane(route);
        lane.mishaps.push((nth.max(1), mishap));
    }

    fn relieve_in(&mut self, after_ms: u64, relief: Relief) {
        self.push_in(after_ms * NS_PER_MS, Event::Relief(relief));
    }
}
