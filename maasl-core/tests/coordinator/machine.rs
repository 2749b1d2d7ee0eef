//! The machine under the processes of a world: executing one step.
//!
//! Owns: what each effect and command does, and the checks that go with it.
//! Promises: a step is executed whole, at one instant. Leaves to others: when.

use maasl_core::config::GuardMode;
use maasl_core::coordinator::io::{
    CallId, Done, Effect, Input, Output, Response, StepId, StoreFault,
};
use maasl_core::docgen::layout::may_be_named;
use maasl_core::id::{SessionId, Token};
use maasl_core::lease::command::Command;
use maasl_core::lease::{CommitItem, Lease, Outcome, Query, Rows, Wake};
use maasl_core::path::{PathReason, PathRefusal};
use maasl_core::refusal::Process as Inside;
use maasl_core::reply::Receipt;
use maasl_core::resource::ResourceKey;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::disk::Disk;
use super::generator::DocgenLock;
use super::world::{Fault, Pid, World, step_of};

/// The name of a step, in scripts and lists.
pub(crate) fn label(output: &Output) -> &'static str {
    match output {
        Output::Store(_, command) => command_label(command),
        Output::Do(_, effect) => effect_label(effect),
        Output::Reply(..) | Output::Event(_) => "",
    }
}

fn command_label(command: &Command) -> &'static str {
    match command {
        Command::Open(_) => "Open",
        Command::CloseSession(_) => "CloseSession",
        Command::Reserve(_) => "Reserve",
        Command::Acquire(_) => "Acquire",
        Command::Watch(_) => "Watch",
        Command::Cancel(_) => "Cancel",
        Command::Renew(_) => "Renew",
        Command::Release(_) => "Release",
        Command::Verify(_) => "Verify",
        Command::BeginCommit(_) => "BeginCommit",
        Command::TurnBack(_) => "TurnBack",
        Command::FinishCommit(_) => "FinishCommit",
        Command::Revoke(_) => "Revoke",
        Command::Sweep(_) => "Sweep",
        Command::Inspect(_) => "Inspect",
        Command::Recall(_) => "Recall",
        Command::Remember(_) => "Remember",
        Command::Tally(_) => "Tally",
        Command::NoteDocument(_) => "NoteDocument",
        Command::Expire(_) => "Expire",
        Command::ReadGraph(_) => "ReadGraph",
        Command::DrawDot(_) => "DrawDot",
        Command::AppendPatch(_) => "AppendPatch",
        Command::KeepCheckpoint(_) => "KeepCheckpoint",
        Command::ListGraphs => "ListGraphs",
        Command::Snapshot => "Snapshot",
    }
}

fn effect_label(effect: &Effect) -> &'static str {
    match effect {
        Effect::Locate(_) => "Locate",
        Effect::Read(_) => "Read",
        Effect::Hash(_) => "Hash",
        Effect::LoadObject(_) => "LoadObject",
        Effect::LoadVersion { .. } => "LoadVersion",
        Effect::Stage { .. } => "Stage",
        Effect::SyncStaged(_) => "SyncStaged",
        Effect::Discard(_) => "Discard",
        Effect::Latch(_) => "Latch",
        Effect::Unlatch => "Unlatch",
        Effect::Swap(_) => "Swap",
        Effect::SwapBack(_) => "SwapBack",
        Effect::HashStaged(_) => "HashStaged",
        Effect::SyncNames(_) => "SyncNames",
        Effect::Keep { .. } => "Keep",
        Effect::SyncKept(_) => "SyncKept",
        Effect::DbBegin { .. } => "DbBegin",
        Effect::DbExecute(_) => "DbExecute",
        Effect::DbFence => "DbFence",
        Effect::DbCommit(_) => "DbCommit",
        Effect::DbRollback => "DbRollback",
        Effect::DbOutcome { .. } => "DbOutcome",
        Effect::Probe(_) => "Probe",
        Effect::Ring(_) => "Ring",
        Effect::Generate(_) => "Generate",
        Effect::FindSources(_) => "FindSources",
        Effect::DocgenLock => "DocgenLock",
        Effect::DocgenUnlock => "DocgenUnlock",
    }
}

impl World {
    /// Whether a step need not wait: all but one that is held, and a latch that a
    /// running process has.
    pub(super) fn can_run(&self, pid: Pid, output: &Output) -> bool {
        if self.processes[pid.0].held == Some(label(output)) {
            return false;
        }
        let Output::Do(step, Effect::Latch(keys)) = output else {
            return true;
        };
        let holder = self.latch_holder(pid, *step, keys);
        holder.is_none_or(|holder| self.processes[holder.0].stopped)
    }

    fn latch_holder(&self, pid: Pid, step: StepId, keys: &[ResourceKey]) -> Option<Pid> {
        let mut holders = keys.iter().filter_map(|key| self.latches.get(key));
        holders
            .find(|holder| **holder != (pid, step.call))
            .map(|(holder, _)| *holder)
    }

    /// Executes one step and says what to answer.
    pub(super) fn execute(&mut self, pid: Pid, output: Output) -> Input {
        let label = label(&output);
        self.processes[pid.0].sent.push(label);
        let step = step_of(&output);
        match self.fault(pid, label) {
            None => self.perform(pid, output),
            Some(Fault::GateBusy) => {
                let (process, waited_ms) = (None, 2_000);
                Input::Stored(step, Err(StoreFault::Busy { process, waited_ms }))
            }
            Some(Fault::LatchBusy) => Input::Done(step, Done::LatchBusy(Some(stopped(99)))),
            Some(Fault::Forbidden) => {
                let errno = "Permission denied".into();
                let refusal = PathRefusal::new("f", PathReason::Unwritable { errno });
                Input::Done(step, Done::Refused(refusal))
            }
            // A latch or lock whose taking or dropping failed is not held.
            Some(Fault::FailsBefore) if label != "Unlatch" && label != "DocgenUnlock" => {
                failed(&output)
            }
            Some(Fault::FailsAfter) if label == "Latch" || label == "DocgenLock" => failed(&output),
            Some(Fault::FailsBefore | Fault::FailsAfter) => {
                let answer = failed(&output);
                self.perform(pid, output);
                answer
            }
        }
    }

    fn fault(&mut self, pid: Pid, label: &str) -> Option<Fault> {
        let step = self.processes[pid.0].sent.len() - 1;
        if let Some((n, fault)) = self.processes[pid.0].fault_at
            && n == step
        {
            return Some(fault);
        }
        let faults = &mut self.processes[pid.0].faults;
        let index = faults.iter().position(|(of, ..)| *of == label)?;
        faults[index].1 -= 1;
        let fault = faults[index].2;
        if faults[index].1 == 0 {
            faults.remove(index);
        }
        Some(fault)
    }

    fn perform(&mut self, pid: Pid, output: Output) -> Input {
        match output {
            Output::Store(step, command) => Input::Stored(step, Ok(self.store(&command))),
            Output::Do(step, effect) => Input::Done(step, self.effect(pid, step, effect)),
            other => panic!("no step: {other:?}"),
        }
    }

    fn store(&mut self, command: &Command) -> Outcome {
        let clock = self.store_clock();
        let outcome = self.rows.transact(command, clock);
        if let Outcome::Granted { lease, .. } = &outcome {
            self.note_grant(lease);
        }
        outcome
    }

    fn note_grant(&mut self, lease: &Lease) {
        let known = self.grants.iter().any(|(token, _)| *token == lease.token);
        if known {
            return;
        }
        let newest = self.grants.last().map(|(token, _)| *token);
        assert!(newest.is_none_or(|newest| newest < lease.token), "I2");
        self.grants.push((lease.token, lease.wants.to_vec()));
    }

    fn effect(&mut self, pid: Pid, step: StepId, effect: Effect) -> Done {
        match effect {
            Effect::Locate(paths) => Done::Located(paths),
            Effect::Read(path) => {
                let content = self.disk.files.get(&path);
                Done::Content(content.map(|bytes| Arc::from(bytes.as_slice())))
            }
            Effect::Hash(path) => Done::Hashed(self.disk.hash(&path)),
            Effect::HashStaged(stage) => Done::Hashed(self.disk.hash_staged(&stage)),
            Effect::LoadObject(hash) => {
                let object = self.disk.objects.get(&hash);
                Done::Object(object.map(|bytes| Arc::from(bytes.as_slice())))
            }
            Effect::LoadVersion { path, number } => {
                let mut history = self.rows.history(&path).iter();
                Done::Version(history.find(|version| version.number == number).cloned())
            }
            Effect::Stage { name, content, .. } => {
                self.disk.stages.insert(name, content.to_vec());
                Done::Ok
            }
            Effect::Discard(stages) => {
                self.disk.stages.retain(|stage, _| !stages.contains(stage));
                Done::Ok
            }
            Effect::Keep { stage, content } => {
                self.disk.keep(&stage, content);
                Done::Ok
            }
            Effect::SyncNames(_) | Effect::SyncStaged(_) | Effect::SyncKept(_) => Done::Ok,
            Effect::Latch(keys) => self.latch(pid, step, keys),
            Effect::Unlatch => {
                self.latches.retain(|_, by| *by != (pid, step.call));
                Done::Ok
            }
            Effect::Swap(item) => {
                self.check_swap(pid, step, &item);
                Done::Swapped(self.disk.swap(&item))
            }
            Effect::SwapBack(item) => {
                self.check_swap(pid, step, &item);
                Done::Swapped(self.disk.swap_back(&item))
            }
            effect @ (Effect::DbBegin { .. }
            | Effect::DbExecute(_)
            | Effect::DbFence
            | Effect::DbCommit(_)
            | Effect::DbRollback
            | Effect::DbOutcome { .. }) => self.database(pid, step, effect),
            Effect::Probe(sessions) => Done::Dead(&sessions & &self.dead),
            Effect::Ring(wakes) => Done::Dead(self.ring(wakes)),
            Effect::FindSources(name) => {
                let files = self.disk.files.keys();
                let claimants = files.filter(|path| may_be_named(path, &name));
                Done::Sources(claimants.cloned().collect())
            }
            Effect::DocgenLock => {
                let free = self.docgen_lock == DocgenLock::Free;
                if free {
                    self.docgen_lock = DocgenLock::Ours(pid, step.call);
                }
                Done::DocgenLock(free)
            }
            Effect::DocgenUnlock => {
                let own = DocgenLock::Ours(pid, step.call);
                assert_eq!(self.docgen_lock, own, "dropped by another");
                self.docgen_lock = DocgenLock::Free;
                Done::Ok
            }
            Effect::Generate(run) => Done::Generated(self.generator.made(&run)),
        }
    }

    fn latch(&mut self, pid: Pid, step: StepId, keys: Vec<ResourceKey>) -> Done {
        if let Some(holder) = self.latch_holder(pid, step, &keys) {
            return Done::LatchBusy(Some(stopped(holder.0)));
        }
        let held = self.latches.values().any(|by| *by == (pid, step.call));
        assert!(!held, "{step:?} takes latches while it holds some");
        let keys = keys.into_iter().map(|key| (key, (pid, step.call)));
        self.latches.extend(keys);
        Done::Ok
    }

    /// I1, at the only step that makes anything visible. Observe mode promises none
    /// of it.
    fn check_swap(&self, pid: Pid, step: StepId, item: &CommitItem) {
        if self.config.mode == GuardMode::Observe {
            return;
        }
        let holder = self.latches.get(&item.key);
        assert_eq!(holder, Some(&(pid, step.call)), "no latch for {item:?}");
        let Rows::Intents(intents) = self.rows.load(&Query::AllIntents) else {
            panic!("intents were asked for");
        };
        let mut intents = intents.iter();
        let intent = intents.find(|intent| intent.items.contains(item));
        let intent = intent.unwrap_or_else(|| panic!("no open intent for {item:?}"));
        let newer = self.grants.iter().find(|(token, wants)| {
            *token > intent.token && wants.iter().any(|want| want.allows_change_of(&item.key))
        });
        assert_eq!(newer, None, "I1: {item:?} under {}", intent.token);
    }

    fn database(&mut self, pid: Pid, step: StepId, effect: Effect) -> Done {
        if let Effect::DbCommit(seal) = &effect {
            self.check_database_commit((pid, step.call), seal.token);
        }
        let wall_ms = self.store_clock().wall_ms;
        self.databases.perform((pid, step.call), effect, wall_ms)
    }

    /// I1 of a database: it is committed under its latch, by the newest grant.
    fn check_database_commit(&self, by: (Pid, CallId), token: Token) {
        let Some(name) = self.databases.open_by(by) else {
            return;
        };
        let key = ResourceKey::new("db", name);
        assert_eq!(self.latches.get(&key), Some(&by), "no latch for {key}");
        let newer = self.grants.iter().find(|(granted, wants)| {
            *granted > token && wants.iter().any(|want| want.allows_change_of(&key))
        });
        assert_eq!(newer, None, "I1: {key} under {token}");
    }

    fn ring(&mut self, wakes: Vec<Wake>) -> BTreeSet<SessionId> {
        let mut dead = BTreeSet::new();
        for wake in wakes {
            match self.pid_of(&wake.session) {
                Some(pid) if !self.dead.contains(&wake.session) => {
                    self.deliver(pid, Input::Woken(wake.ticket));
                }
                _ => {
                    dead.insert(wake.session);
                }
            }
        }
        dead
    }
}

impl Disk {
    /// What was acknowledged and stands is owed from now on.
    pub(super) fn owe_receipt(&mut self, response: &Response) {
        use maasl_core::coordinator::io::Reply;
        let Ok(Reply::Receipt(Receipt::Changed { files, .. })) = &response.result else {
            return;
        };
        for file in files {
            let standing = self
                .hash(&file.path)
                .filter(|now| file.sha256 == Some(*now));
            if let Some(hash) = standing {
                self.owe(hash);
            }
        }
    }
}

fn stopped(pid: usize) -> Inside {
    Inside {
        pid: u32::try_from(pid).unwrap(),
        stopped: true,
        command: None,
    }
}

fn failed(output: &Output) -> Input {
    let message = format!("{} failed", label(output));
    match output {
        Output::Store(step, _) => Input::Stored(*step, Err(StoreFault::Failed(message))),
        other => Input::Done(step_of(other), Done::Failed(message)),
    }
}
