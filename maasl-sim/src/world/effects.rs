//! The effects of calls: what a coordinator asks of the disk, of latches, of
//! databases and of other processes.
//!
//! Owns: when an effect happens and what it comes to. Promises: an effect takes
//! place at one instant, and a fault on it does what it says. Leaves to others:
//! faults on either side of a step (`steps`), and what the parts hold (`disk`,
//! `latches`, `database`).

use std::collections::BTreeSet;
use std::sync::Arc;

use maasl_core::coordinator::io::{Done, Effect, Input, StepId};
use maasl_core::docgen::layout::may_be_named;
use maasl_core::id::SessionId;
use maasl_core::lease::{CommitItem, Wake};
use maasl_core::path::{PathReason, PathRefusal};
use maasl_core::resource::ResourceKey;

use super::database::Seen;
use super::latches::Waiting;
use super::queue::{Arrival, Event, Own};
use super::server::Doom;
use super::steps::Struck;
use super::weight;
use super::{NS_PER_MS, NS_PER_US, World, pick};
use crate::checks::text_of;
use crate::observe::{Observation, ProcessNo};
use crate::plan::fault::{Route, Side};
use crate::record::Kind;

impl World<'_> {
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
        if self.is_struck_inside(process, step, &effect) {
            self.defer(process, Own::Effect(step, Box::new(effect)));
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

    /// Lets a fault fall inside of an effect that has an inside: the commit of a
    /// database is in its log, where its process may die before anybody sees it.
    fn is_struck_inside(&mut self, process: ProcessNo, step: StepId, effect: &Effect) -> bool {
        let Effect::DbCommit(seal) = effect else {
            return false;
        };
        if self.disk_full {
            return false;
        }
        self.databases.write_log((process, step.call), seal);
        matches!(
            self.point(process, effect.name(), Side::Inside),
            Struck::Yes
        )
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
            Effect::Stage {
                name,
                content,
                at_once,
                ..
            } => self.stage(&name, content, at_once, doom),
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
            // What could not be latched is not held: the node has nothing of it then.
            Effect::Latch(_) if doom.is_some() => Done::Ok,
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
            | Effect::DbRollback
            | Effect::DbOutcome { .. }) => self.database(process, step, effect),
            Effect::Probe(sessions) => Done::Dead(&sessions & &self.dead),
            Effect::Ring(wakes) => Done::Dead(self.ring(&wakes)),
            Effect::FindSources(name) => {
                let files = self.disk.files().map(|(path, _)| path);
                let claimants = files.filter(|path| may_be_named(path, &name));
                Done::Sources(claimants.map(String::from).collect())
            }
            Effect::DocgenLock => {
                let taken = self.docgen_lock.is_none();
                self.docgen_lock.get_or_insert((process, step.call));
                Done::DocgenLock(taken)
            }
            Effect::DocgenUnlock => {
                self.docgen_lock
                    .take_if(|holder| *holder == (process, step.call));
                Done::Ok
            }
            Effect::Generate(run) => {
                let text = text_of(&run.source, &run.content, "the generator");
                Done::Generated(Ok(text.into_bytes().into()))
            }
        })
    }

    /// Content that has time until its swap is not on the device before that: the
    /// sync that the node begins meanwhile may come to nothing.
    fn stage(&mut self, name: &str, content: Arc<[u8]>, at_once: bool, doom: Option<Doom>) -> Done {
        if self.disk_full {
            return Done::Failed("no space left on device".into());
        }
        let (content, synced) = match doom {
            Some(Doom::Short { bytes }) => {
                let kept = content.len().min(bytes as usize);
                (content[..kept].into(), at_once)
            }
            Some(Doom::Fails { .. }) => (content, false),
            None => (content, at_once),
        };
        self.disk.stage(name, content, synced);
        if let (Some(Doom::Short { .. }), Some(after)) = (doom, self.disk.hash_staged(name)) {
            let stage = name;
            self.observe(&Observation::Shortened { stage, after });
        }
        Done::Ok
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
        if self.is_forbidden(&item.path) {
            self.observe(&Observation::Barred {
                process,
                call: step.call,
                item,
                back,
            });
            let errno = "Permission denied".into();
            let reason = PathReason::Unwritable { errno };
            return Done::Refused(PathRefusal::new(&item.path, reason));
        }
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

    /// Whether the system lets nobody change this file now, or what is in a folder
    /// of it.
    fn is_forbidden(&self, path: &str) -> bool {
        let mut until = self.forbidden.iter();
        until.any(|(forbidden, until_ns)| {
            let below = path.strip_prefix(forbidden.as_str());
            let reached = below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
            reached && self.now_ns < *until_ns
        })
    }

    fn latch(&mut self, process: ProcessNo, step: StepId, keys: Vec<ResourceKey>) -> Option<Done> {
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

    fn ring(&mut self, wakes: &[Wake]) -> BTreeSet<SessionId> {
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
}
