//! Points that a campaign must reach to have tested anything.
//!
//! Owns: noticing them. Promises: goes by what is observed,
//! never by what the code under test says of itself. Leaves to others: which of
//! them a scenario expects.

mod name;

use std::collections::{BTreeMap, BTreeSet};

use maasl_core::coordinator::io::{CallId, Reply, Response, Swapped};
use maasl_core::id::{ContentHash, LeaseId, OpId, SessionId, Token};
use maasl_core::lease::command::{Acquire, FinishCommit, ItemEnd};
use maasl_core::lease::{Command, CommitIntent, CommitItem, Outcome, Query, Rows};
use maasl_core::policy::Urgency;
use maasl_core::refusal::{Refusal, StaleReason};
use maasl_core::reply::Receipt;

pub use self::name::PointName;

use crate::observe::{Ground, Observation, ProcessNo};

/// The points reached in one run.
#[derive(Debug, Default)]
pub struct Points {
    reached: BTreeSet<PointName>,
    paused: BTreeSet<ProcessNo>,
    sessions: BTreeMap<SessionId, ProcessNo>,
    started_ns: BTreeMap<ProcessNo, u64>,
    /// The dead, and when they died.
    dead: BTreeMap<SessionId, u64>,
    /// Waiters, and the sessions that each of them waited for.
    queued: BTreeMap<LeaseId, BTreeSet<SessionId>>,
    newest: Token,
    reserved: Option<Token>,
    generation: Option<u64>,
    power_was_cut: bool,
    quiet: bool,
    /// Waiters that began to wait in quiet.
    waits_in_quiet: BTreeSet<LeaseId>,
    /// Contents that were cut short.
    short: BTreeSet<ContentHash>,
    /// Commits, which may be transactions.
    transactions: BTreeMap<OpId, Transaction>,
    /// Moves that took effect, from where and to where.
    moved: BTreeSet<(String, String)>,
    /// What each process saw the dead leave open when it looked last.
    left_open: BTreeMap<ProcessNo, BTreeSet<OpId>>,
    /// Who ended each commit.
    ended_by: BTreeMap<OpId, ProcessNo>,
    /// Transactions whose work is done and which are open still.
    worked: BTreeSet<(ProcessNo, CallId)>,
}

/// What a transaction has parts in, beside its files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Documents,
    Rows,
    Patch,
}

impl Part {
    const ALL: [Self; 3] = [Self::Documents, Self::Rows, Self::Patch];

    fn is_in(self, intent: &CommitIntent) -> bool {
        match self {
            Self::Documents => intent.items.iter().any(|item| item.op == "docgen"),
            Self::Rows => intent.database.is_some(),
            Self::Patch => intent.patch.is_some(),
        }
    }
}

/// A commit, by what it changes together.
#[derive(Debug)]
struct Transaction {
    parts: BTreeSet<Part>,
    turned: bool,
}

impl Points {
    /// The names of the points reached.
    pub fn reached(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.reached
            .iter()
            .map(|point| point.name())
            .collect::<Vec<_>>()
            .into_iter()
    }

    /// Takes note of what happened.
    pub fn observe(&mut self, seen: &Observation<'_>, ground: &Ground<'_>) {
        match seen {
            Observation::Started { process, session } => {
                self.sessions.insert((*session).clone(), *process);
                self.started_ns.insert(*process, ground.now_ns);
            }
            Observation::Died { process, session } => {
                self.paused.remove(process);
                self.left_open.remove(process);
                self.dead.insert((*session).clone(), ground.now_ns);
                let before = self.worked.len();
                self.worked.retain(|(at, _)| at != process);
                if self.worked.len() < before {
                    self.reach(PointName::DatabaseGivenUp);
                }
            }
            Observation::Paused { process, paused } => {
                if *paused {
                    self.paused.insert(*process);
                } else {
                    self.paused.remove(process);
                }
            }
            Observation::PowerCut => self.power_was_cut = true,
            Observation::Quiet => self.quiet = true,
            Observation::Shortened { after, .. } => {
                self.short.insert(*after);
            }
            Observation::Transacted {
                process,
                command: Command::Sweep(sweep),
                outcome: Outcome::Done { .. },
                ..
            } => self.note_sweep(*process, &sweep.dead),
            Observation::Transacted {
                process,
                command: Command::Snapshot,
                outcome: Outcome::Snapshot(found),
                ..
            } => self.note_look(*process, &found.intents),
            Observation::Transacted {
                process,
                command,
                outcome,
                ..
            } => {
                if let (Command::FinishCommit(finish), Outcome::Finished { .. }) =
                    (command, outcome)
                {
                    self.ended_by.insert(finish.op.clone(), *process);
                }
                self.note_command(command, outcome, ground);
            }
            Observation::Barred { .. } => self.reach(PointName::ForbiddenMet),
            Observation::DatabaseCameBack { .. } => self.reach(PointName::DatabaseCameBack),
            Observation::Swapped {
                item,
                back: false,
                swapped,
                ..
            } => self.note_swap(item, *swapped),
            Observation::DatabaseWorked { process, call, .. } => {
                self.worked.insert((*process, *call));
            }
            Observation::DatabaseCommitted { process, call, .. } => {
                self.worked.remove(&(*process, *call));
                self.reach(PointName::DatabaseWritten);
            }
            Observation::DatabaseRolledBack {
                process,
                call,
                answered,
            } => {
                if *answered {
                    self.reach(PointName::DatabaseReplayed);
                }
                if self.worked.remove(&(*process, *call)) {
                    self.reach(PointName::DatabaseGivenUp);
                }
            }
            Observation::Answered { response, .. } => self.note_answer(response),
            _ => {}
        }
    }

    fn note_command(&mut self, command: &Command, outcome: &Outcome, ground: &Ground<'_>) {
        use PointName as P;
        match (command, outcome) {
            (Command::Acquire(asked), Outcome::Queued { blockers, .. }) => {
                if self.quiet {
                    self.waits_in_quiet.insert(asked.lease.clone());
                }
                let holders = blockers.iter().filter(|blocker| blocker.token.is_some());
                let waits_for = self.queued.entry(asked.lease.clone()).or_default();
                waits_for.extend(holders.map(|holder| holder.owner.session.clone()));
            }
            (Command::Acquire(asked), Outcome::Granted { .. }) => {
                self.note_grant(asked, outcome, ground);
            }
            (Command::BeginCommit(_), Outcome::Lost { .. }) => self.reach(P::StaleWriteRejected),
            (Command::FinishCommit(finish), Outcome::Finished { receipt, .. }) => {
                self.note_transaction(finish);
                self.note_finish(finish);
                if finish.exceptions.is_empty() {
                    self.note_moves(receipt);
                }
            }
            (Command::BeginCommit(intent), Outcome::Begun) => {
                let parts = Part::ALL.into_iter().filter(|part| part.is_in(intent));
                let begun = Transaction {
                    parts: parts.collect(),
                    turned: intent.turned_back,
                };
                self.transactions.insert(intent.op.clone(), begun);
            }
            (Command::TurnBack(op), Outcome::Done { .. }) => {
                self.reach(P::CommitTurnedBack);
                if let Some(begun) = self.transactions.get_mut(op) {
                    begun.turned = true;
                }
            }
            (Command::Renew(_), Outcome::Held { .. }) => self.reach(P::LeaseRenewed),
            (Command::Revoke(_), Outcome::Revoked { leases, .. }) if !leases.is_empty() => {
                self.reach(P::LeaseRevoked);
            }
            (Command::Open(_), Outcome::Opened(meta)) => {
                let before = self.generation.replace(meta.generation);
                if before.is_some_and(|before| before < meta.generation) {
                    self.reach(P::GenerationRose);
                }
            }
            (Command::AppendPatch(_), Outcome::Appended { is_new: true, .. }) => {
                self.reach(P::GraphPatched);
            }
            (Command::AppendPatch(_), Outcome::JournalMoved(_)) => self.reach(P::GraphForeseenAnew),
            (Command::KeepCheckpoint(_), Outcome::Done { .. }) => {
                self.reach(P::GraphCheckpointKept);
            }
            (Command::ReadGraph(_), Outcome::Journal(part)) if part.checkpoint.is_some() => {
                self.reach(P::GraphCheckpointRead);
            }
            (_, Outcome::Answered(_)) => self.reach(P::AnsweredFromRecord),
            (_, Outcome::Deadlock { .. }) => self.reach(P::DeadlockRefused),
            _ => {}
        }
    }

    fn note_grant(&mut self, asked: &Acquire, outcome: &Outcome, ground: &Ground<'_>) {
        use PointName as P;
        let Outcome::Granted {
            lease, taken_over, ..
        } = outcome
        else {
            return;
        };
        if lease.token <= self.newest {
            return;
        }
        self.newest = lease.token;
        if self.waits_in_quiet.remove(&lease.id) {
            self.reach(P::ServedInQuiet);
        }
        let waited_for = self.queued.remove(&lease.id);
        let at_once = waited_for.is_none() && asked.wait_ms == 0;
        let waited_for = waited_for.unwrap_or_default();
        if waited_for.iter().any(|one| self.dead.contains_key(one)) {
            self.reach(P::ServedAfterDeath);
        }
        for owner in taken_over {
            let process = self.sessions.get(&owner.session);
            if self.dead.contains_key(&owner.session) {
                self.reach(P::DeadHolderReplaced);
                if at_once {
                    self.reach(P::DeadReplacedAtOnce);
                }
            } else if process.is_some_and(|process| self.paused.contains(process)) {
                self.reach(P::PausedHolderReplaced);
            }
        }
        if asked.urgency == Urgency::Interactive
            && !self.has(P::BatchPassed)
            && ground.rows.tickets().any(|ticket| ticket.bypassed > 0)
        {
            self.reach(P::BatchPassed);
        }
        if let Some(want) = lease.wants.first()
            && !self.has(P::SharedTogether)
        {
            let Rows::Leases(leases) = ground
                .rows
                .load(&Query::LeasesOverlapping(want.extent.clone()))
            else {
                unreachable!("leases were asked for");
            };
            if leases.len() > 1 {
                self.reach(P::SharedTogether);
            }
        }
        self.note_floor(ground);
    }

    /// Whether a commit is settled that this process has seen open, and not by itself.
    fn note_look(&mut self, process: ProcessNo, open: &[CommitIntent]) {
        let left = open
            .iter()
            .filter(|intent| self.dead.contains_key(&intent.owner.session));
        let left = left.map(|intent| intent.op.clone()).collect();
        let before = self.left_open.insert(process, left).unwrap_or_default();
        let by_another = |op: &OpId| self.ended_by.get(op).is_some_and(|by| *by != process);
        if before.iter().any(by_another) {
            self.reach(PointName::FoundSettled);
        }
    }

    fn note_moves(&mut self, receipt: &Receipt) {
        let Receipt::Changed { files, .. } = receipt else {
            return;
        };
        for file in files {
            let Some(source) = &file.source else { continue };
            let back = (file.path.clone(), source.clone());
            if self.moved.contains(&back) {
                self.reach(PointName::MovedBack);
            }
            self.moved.insert((source.clone(), file.path.clone()));
        }
    }

    fn note_sweep(&mut self, process: ProcessNo, dead: &BTreeSet<SessionId>) {
        let started_ns = self.started_ns.get(&process);
        let died_later = |session| self.dead.get(session) > started_ns;
        if dead.iter().any(died_later) {
            self.reach(PointName::DeadForgotten);
        }
    }

    fn note_floor(&mut self, ground: &Ground<'_>) {
        if self.has(PointName::FloorRaised) {
            return;
        }
        let Rows::Meta(meta) = ground.rows.load(&Query::Meta) else {
            unreachable!("the row about the store was asked for");
        };
        let reserved = meta.map(|meta| meta.reserved_through);
        let before = core::mem::replace(&mut self.reserved, reserved);
        if before.is_some() && reserved > before {
            self.reach(PointName::FloorRaised);
        }
    }

    fn note_transaction(&mut self, finish: &FinishCommit) {
        use PointName as P;
        let Some(Transaction { parts, turned }) = self.transactions.get(&finish.op) else {
            return;
        };
        let (rows, patch) = (parts.contains(&Part::Rows), parts.contains(&Part::Patch));
        let recovered = finish.recovered_by.is_some();
        let whole = !turned && finish.exceptions.is_empty();
        let mut ends = finish.exceptions.values();
        let undone = *turned && ends.all(|end| *end == ItemEnd::Undone);
        let beside = (rows || patch) && !turned && !whole;
        let reached = [
            (whole && rows, P::TransactionWhole),
            (whole && Part::ALL.len() == parts.len(), P::TransactionOfAll),
            (beside, P::TransactionMetOutside),
            (undone && rows && recovered, P::TransactionUndone),
            (whole && patch && recovered, P::PatchRecovered),
            (undone && patch, P::PatchUndone),
        ];
        for (_, point) in reached.into_iter().filter(|(reached, _)| *reached) {
            self.reach(point);
        }
    }

    fn note_finish(&mut self, finish: &FinishCommit) {
        use PointName as P;
        if finish.recovered_by.is_none() {
            return;
        }
        let undone = |end: &ItemEnd| *end == ItemEnd::Undone;
        if finish.exceptions.values().any(undone) {
            self.reach(P::RecoveredBack);
        } else if finish.exceptions.is_empty() {
            self.reach(P::RecoveredForward);
        }
        if self.power_was_cut {
            self.reach(P::PowerCutSettled);
        }
    }

    fn note_swap(&mut self, item: &CommitItem, swapped: Swapped) {
        let expected = matches!(swapped, Swapped::Displaced(content) if content == item.old);
        if !expected {
            self.reach(PointName::SwapMetOutside);
        }
    }

    fn note_answer(&mut self, response: &Response) {
        use PointName as P;
        if !response.lost.is_empty() {
            self.reach(P::LeaseLostTold);
        }
        match &response.result {
            Ok(Reply::Receipt(Receipt::Changed { files, .. })) => {
                if files.iter().any(|file| file.document.is_some()) {
                    self.reach(P::DocumentMade);
                }
                if files.iter().any(|file| file.merged) {
                    self.reach(P::Merged);
                }
                if files.iter().any(|file| file.rebased) {
                    self.reach(P::Rebased);
                }
            }
            Ok(Reply::Receipt(Receipt::Fresh { .. })) => self.reach(P::DocumentFresh),
            Err(Refusal::DocgenStale(_)) => self.reach(P::DocumentStale),
            Ok(Reply::Receipt(Receipt::Patched(changed))) if !changed.conflicts.is_empty() => {
                self.reach(P::GraphConflictTold);
            }
            Err(Refusal::LeaseLost(_)) => self.reach(P::LeaseLostTold),
            Err(Refusal::StaleVersion(stale)) if stale.reason == StaleReason::SwapConflict => {
                self.reach(P::ConflictTold);
            }
            Err(Refusal::StaleVersion(stale)) => {
                self.reach(P::StaleContentRefused);
                if stale
                    .current
                    .is_some_and(|found| self.short.contains(&found))
                {
                    self.reach(P::ShortContentMet);
                }
            }
            // A latch is busy by a process, the gate without a name of anything.
            Err(Refusal::ResourceBusy(busy)) if !busy.blockers.is_empty() => {
                self.reach(P::LeaseBusy);
            }
            Err(Refusal::ResourceBusy(busy)) if busy.resource.contains(':') => {
                self.reach(P::LatchBusy);
            }
            Err(Refusal::ResourceBusy(_)) => self.reach(P::GateBusy),
            _ => {}
        }
    }

    fn has(&self, point: PointName) -> bool {
        self.reached.contains(&point)
    }

    fn reach(&mut self, point: PointName) {
        self.reached.insert(point);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Fault, Plan};
    use crate::world::World;

    /// Agents that meet in one file, one of whose processes goes wrong.
    fn reached(fault: &str) -> BTreeSet<&'static str> {
        let call = r#"{ action = { do = "edit", path = "a" }, keyed = true }"#;
        let agents = ["ann", "bob", "cat"].map(|name| {
            format!(
                "[[agents]]\nname = \"{name}\"\nprocess = \"{name}\"\ncalls = [{call}, {call}]\n\
                 [[processes]]\nname = \"{name}\"\n"
            )
        });
        let text = format!(
            "plan_version = 1\nscenario = \"points\"\nseed = 1\nquiet_from_ms = 90000\n\
             settle_ms = 60000\nevents_max = 1000000\npromises = []\n\
             [timing]\nclient_us = [50]\nstore_us = [0]\ntransaction_us = [30]\n\
             effect_us = [5]\nsync_us = [200]\nbell_us = [20]\n\
             [settings]\ninteractive_max_wait_ms = 60000\n\
             [[files]]\npath = \"a\"\ncontent = \"ann 0\\n-\\nbob 0\\n-\\ncat 0\\n\"\n{}",
            agents.concat()
        );
        let mut plan: Plan = toml::from_str(&text).unwrap();
        plan.faults.push(toml::from_str::<Fault>(fault).unwrap());
        World::new(&plan, false).run().reached
    }

    fn reaches(fault: &str, points: &[&str]) {
        let reached = reached(fault);
        for point in points {
            assert!(reached.contains(point), "{point} is not in {reached:?}");
        }
    }

    #[test]
    fn every_point_has_a_name_of_its_own() {
        let names: BTreeSet<&str> = PointName::ALL.iter().map(|point| point.name()).collect();
        assert_eq!(names.len(), PointName::ALL.len());
    }

    #[test]
    fn a_death_after_the_swap_is_recovered_forward_for_a_waiter() {
        reaches(
            r#"when = { process = "ann", step = "swap", side = "after" }
               what = { kind = "kill", process = "ann", restart_after_ms = 5 }"#,
            &[
                "waiter granted after a death",
                "recovery rolled forward",
                "duplicate answered from the record",
                "rebase",
            ],
        );
    }

    #[test]
    fn a_death_before_the_commit_point_leaves_a_lease_to_take_over() {
        reaches(
            r#"when = { process = "ann", step = "stage", side = "before" }
               what = { kind = "kill", process = "ann", restart_after_ms = 5 }"#,
            &["takeover of a dead holder", "waiter granted after a death"],
        );
    }

    #[test]
    fn a_process_that_runs_on_forgets_who_died_beside_it() {
        reaches(
            r#"when = { process = "ann", step = "swap", side = "after" }
               what = { kind = "kill", process = "ann" }"#,
            &["the dead forgotten by who ran on"],
        );
    }

    #[test]
    fn a_pause_before_the_commit_point_is_fenced() {
        reaches(
            r#"when = { process = "ann", step = "stage", side = "before" }
               what = { kind = "pause", process = "ann", for_ms = 50000 }"#,
            &["takeover of a paused holder", "lease lost told"],
        );
    }
}
