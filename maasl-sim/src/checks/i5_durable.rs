//! I5: what was acknowledged is durable, the rest is whole or absent.
//!
//! Owns: the contents that stood in each file, one after the other, and from
//! which of them on a file may not fall back. Promises: after every power cut,
//! and at the end, each file holds the newest content that was acknowledged or
//! one that came after it; a commit ends with all of its files changed or none.
//! Leaves to others: whether what came after was right to come (I1, I4).

use std::collections::{BTreeMap, BTreeSet};

use maasl_core::coordinator::io::{Reply, Swapped};
use maasl_core::id::{ContentHash, OpId, SessionId};
use maasl_core::lease::command::{FinishCommit, ItemEnd};
use maasl_core::lease::{Command, CommitIntent, CommitItem, Outcome};
use maasl_core::refusal::Refusal;
use maasl_core::reply::{FileChanged, Receipt};

use super::{Breach, Judge};
use crate::observe::{Ground, Observation, ProcessNo};
use crate::plan::{FaultKind, Plan};
use crate::promise::Promise;

/// The judge.
#[derive(Debug, Default)]
pub(super) struct Durable {
    begun: bool,
    files: BTreeMap<String, Chain>,
    open: BTreeMap<OpId, Vec<CommitItem>>,
    /// Every commit that was ever begun.
    begun_ops: BTreeSet<OpId>,
    /// Staged names that hold less than was said, and what they held at first.
    short: BTreeMap<String, ContentHash>,
    /// Open commits that are to be undone.
    turned: BTreeSet<OpId>,
    /// Where in their chains the contents of each finished change stand, by file
    /// and version.
    ends: BTreeMap<(String, u64), Vec<(String, usize)>>,
    /// Files of open commits that somebody outside touched.
    touched: BTreeSet<String>,
    /// Contents that were promised to be kept, and those nobody can keep.
    owed: BTreeSet<ContentHash>,
    /// Contents that acknowledged changes displaced: a power cut may take them
    /// where they have not yet come to the device.
    displaced: BTreeSet<ContentHash>,
    /// Contents that a power cut took before the change that displaced them was
    /// acknowledged.
    taken: BTreeSet<ContentHash>,
    destroyed: BTreeSet<ContentHash>,
    /// Versions that were acknowledged; nothing once an old copy of the store
    /// was put back.
    versions: Option<BTreeMap<(String, u64), Option<ContentHash>>>,
    dead: BTreeSet<SessionId>,
    /// Of whom each process settles what they left open, where nothing can hinder it.
    settles: BTreeMap<ProcessNo, BTreeSet<SessionId>>,
    quiet: bool,
    /// Nothing goes wrong in this run that hinders whoever settles.
    gentle: bool,
}

/// What stood in one file.
#[derive(Debug, Default)]
struct Chain {
    contents: Vec<Option<ContentHash>>,
    /// The place of the newest content that may not be lost.
    firm: usize,
}

impl Chain {
    fn newest(&self, content: Option<ContentHash>) -> Option<usize> {
        self.contents.iter().rposition(|one| *one == content)
    }

    /// The file cannot hold again what lies before the newest acknowledged one.
    fn allows(&self, content: Option<ContentHash>) -> bool {
        self.newest(content).is_some_and(|at| at >= self.firm)
    }
}

impl Judge for Durable {
    fn observe(&mut self, seen: &Observation<'_>, ground: &Ground<'_>) -> Result<(), Breach> {
        if !self.begun {
            self.begin(ground);
        }
        match seen {
            Observation::KeepsHouse { process, dead } if self.quiet || self.gentle => {
                let settles = self.settles.entry(*process).or_default();
                settles.extend(dead.iter().cloned());
            }
            Observation::Died { process, session } => {
                self.dead.insert((*session).clone());
                self.settles.remove(process);
            }
            Observation::Quiet => self.quiet = true,
            Observation::Swapped {
                item,
                back,
                swapped: Swapped::Displaced(_),
                now,
                ..
            } => {
                self.chain(&item.path).contents.push(*now);
                if let Some(now) = now {
                    self.taken.remove(now);
                }
                if *back {
                    return self.judge_back(item);
                }
            }
            Observation::Outside {
                path,
                before,
                after,
            } => self.touch(path, *before, *after),
            Observation::Rotted {
                path,
                before,
                after,
            } => self.touch(path, Some(*before), Some(*after)),
            Observation::Shortened { stage, after } => {
                self.short.insert((*stage).into(), *after);
            }
            Observation::Transacted {
                command, outcome, ..
            } => return self.note_command(command, outcome, ground),
            Observation::Answered { response, .. } => match &response.result {
                Ok(Reply::Receipt(Receipt::Changed { files, .. })) => {
                    for file in files {
                        self.acknowledge(file);
                    }
                }
                Err(Refusal::StaleVersion(stale)) => {
                    let kept = stale.kept_version.and_then(|number| {
                        let mut history = ground.rows.history(&stale.path).iter();
                        history.find(|version| version.number == number)?.content
                    });
                    self.owed.extend(kept);
                }
                _ => {}
            },
            Observation::PowerCut => return self.judge_cut(ground),
            Observation::Restored => {
                self.settles.clear();
                self.versions = None;
                self.open.clear();
                self.ends.clear();
            }
            Observation::Ended { finished } => return self.judge_end(*finished, ground),
            _ => {}
        }
        Ok(())
    }
}

impl Durable {
    /// The judge of a run of this plan.
    pub(super) fn of(plan: &Plan) -> Self {
        let mut faults = plan.faults.iter();
        Self {
            gentle: !plan.timing.remote_store
                && faults.all(|fault| matches!(fault.what, FaultKind::Kill { .. })),
            ..Self::default()
        }
    }

    fn begin(&mut self, ground: &Ground<'_>) {
        self.begun = true;
        self.versions = Some(BTreeMap::new());
        for (path, hash) in ground.disk.files() {
            let chain = Chain {
                contents: vec![Some(hash)],
                firm: 0,
            };
            self.files.insert(path.into(), chain);
        }
    }

    fn chain(&mut self, path: &str) -> &mut Chain {
        if !self.files.contains_key(path) {
            let chain = Chain {
                contents: vec![None],
                firm: 0,
            };
            self.files.insert(path.into(), chain);
        }
        self.files.get_mut(path).expect("put just now")
    }

    fn touch(&mut self, path: &str, before: Option<ContentHash>, after: Option<ContentHash>) {
        self.chain(path).contents.push(after);
        self.destroyed.extend(before);
        let mut open = self.open.values().flatten();
        if open.any(|item| item.path == path) {
            self.touched.insert(path.into());
        }
    }

    fn note_command(
        &mut self,
        command: &Command,
        outcome: &Outcome,
        ground: &Ground<'_>,
    ) -> Result<(), Breach> {
        match (command, outcome) {
            (Command::BeginCommit(intent), Outcome::Begun) => {
                return self.note_begun(intent, ground);
            }
            (Command::TurnBack(op), Outcome::Done { .. }) => {
                self.turned.insert(op.clone());
            }
            (Command::FinishCommit(finish), Outcome::Finished { receipt, .. }) => {
                let items = self.open.remove(&finish.op);
                self.note_ends(receipt, items.as_deref().unwrap_or_default(), finish);
                let Some(items) = items else {
                    return Ok(());
                };
                let undone = self.judge_undone(&items, finish, ground);
                let met_outside = finish
                    .exceptions
                    .values()
                    .any(|end| matches!(end, ItemEnd::Conflict { .. }));
                let touched = items.iter().any(|item| self.touched.contains(&item.path));
                if self.open.is_empty() {
                    self.touched.clear();
                }
                if !met_outside && !touched {
                    self.judge_set(&items, ground)?;
                }
                return undone;
            }
            _ => {}
        }
        Ok(())
    }

    /// What passes its commit point is there to be put in place.
    fn note_begun(&mut self, intent: &CommitIntent, ground: &Ground<'_>) -> Result<(), Breach> {
        if !self.begun_ops.insert(intent.op.clone()) {
            return Ok(());
        }
        let missing = intent.items.iter().find(|item| {
            item.new.is_some()
                && !self.short.contains_key(&item.stage)
                && ground.disk.hash_staged(&item.stage) != item.new
        });
        match missing {
            None => {
                self.open.insert(intent.op.clone(), intent.items.clone());
                Ok(())
            }
            // What a process sent may come to a remote store after its death, and
            // after what it staged was removed. Nobody is told of it.
            Some(_) if self.dead.contains(&intent.owner.session) => Ok(()),
            Some(item) => {
                let message = format!("{} was to get what was not staged", item.path);
                Err(breach("not-staged", message))
            }
        }
    }

    /// What passed its commit point goes forward, unless that was decided
    /// otherwise.
    fn judge_back(&self, item: &CommitItem) -> Result<(), Breach> {
        let mut open = self.open.iter();
        let of = open.find(|(_, items)| items.iter().any(|one| one.stage == item.stage));
        match of {
            Some((op, _)) if !self.turned.contains(op) => {
                let message = format!("{} was taken back after its commit point", item.path);
                Err(breach("taken-back", message))
            }
            _ => Ok(()),
        }
    }

    /// A file that is said to be undone does not hold the new content.
    fn judge_undone(
        &self,
        items: &[CommitItem],
        finish: &FinishCommit,
        ground: &Ground<'_>,
    ) -> Result<(), Breach> {
        let stands = items.iter().find(|item| {
            finish.exceptions.get(&item.path) == Some(&ItemEnd::Undone)
                && item.new != item.old
                && ground.disk.hash(&item.path) == item.new
                && !self.touched.contains(&item.path)
        });
        match stands {
            None => Ok(()),
            Some(item) => {
                let message = format!("{} was said to be undone and is changed", item.path);
                Err(breach("undone-stands", message))
            }
        }
    }

    fn acknowledge(&mut self, file: &FileChanged) {
        let displaced = file.previous_sha256;
        self.displaced
            .extend(displaced.filter(|content| !self.taken.contains(content)));
        if let Some(versions) = &mut self.versions
            && file.version > 0
        {
            versions.insert((file.path.clone(), file.version), file.sha256);
        }
        let ends = self.ends.remove(&(file.path.clone(), file.version));
        for (path, at) in ends.into_iter().flatten() {
            let chain = self.chain(&path);
            chain.firm = chain.firm.max(at);
        }
    }

    /// Takes note of where the contents of a change stand that just ended, but for
    /// those that did not simply take effect. Where less was staged, that is what
    /// stands and may not be lost.
    fn note_ends(&mut self, receipt: &Receipt, items: &[CommitItem], finish: &FinishCommit) {
        let Receipt::Changed { files, .. } = receipt else {
            return;
        };
        for file in files {
            let source = file.source.as_ref().map(|source| (source, None));
            let parts = [(&file.path, file.sha256)].into_iter().chain(source);
            let parts = parts.filter(|(path, _)| !finish.exceptions.contains_key(*path));
            let at = parts.filter_map(|(path, content)| {
                let chain = self.files.get(path)?;
                let item = items.iter().find(|item| item.path == *path);
                let short = item.and_then(|item| self.short.get(&item.stage).copied());
                let at = chain.newest(short.or(content))?;
                Some((path.clone(), at))
            });
            let at = at.collect();
            self.ends.insert((file.path.clone(), file.version), at);
        }
    }

    /// What a power cut left.
    fn judge_cut(&mut self, ground: &Ground<'_>) -> Result<(), Breach> {
        for (path, _) in ground.disk.files() {
            if !self.files.contains_key(path) {
                let message = format!("{path} came out of nothing in a power cut");
                return Err(breach("torn", message));
            }
        }
        for (path, chain) in &mut self.files {
            let held = ground.disk.hash(path);
            judge_file(path, chain, held)?;
            if chain.contents.last() != Some(&held) {
                chain.contents.push(held);
            }
        }
        // The end of a commit may be lost with its intent still there, which
        // recovery ends again in the same way.
        self.judge_versions(ground, |path, content| {
            let mut items = ground.rows.intents().flat_map(|intent| &intent.items);
            items.any(|item| item.path == path && item.new == content)
        })?;
        self.judge_lost_intents(ground)?;
        self.displaced
            .retain(|content| ground.disk.object(*content).is_some());
        self.note_taken(ground);
        self.judge_owed(ground)
    }

    /// What a power cut took that nobody had been promised yet: what is neither
    /// kept nor in a file, nor still to be kept by whoever settles a commit. It may
    /// stand under a staged name, which goes with its dead process.
    fn note_taken(&mut self, ground: &Ground<'_>) {
        let current = ground.disk.files().map(|(_, content)| content);
        let open = ground.rows.intents().flat_map(|intent| &intent.items);
        let open = open.filter_map(|item| item.old);
        let remains: BTreeSet<ContentHash> = current.chain(open).collect();
        let stood = self.files.values().flat_map(|chain| &chain.contents);
        let taken = stood.flatten().filter(|content| {
            !remains.contains(*content) && ground.disk.object(**content).is_none()
        });
        self.taken.extend(taken);
    }

    /// Every version that was acknowledged is in the history, or `to_come`.
    fn judge_versions(
        &self,
        ground: &Ground<'_>,
        to_come: impl Fn(&str, Option<ContentHash>) -> bool,
    ) -> Result<(), Breach> {
        for ((path, number), content) in self.versions.iter().flatten() {
            let mut history = ground.rows.history(path).iter();
            let known = history.find(|version| version.number == *number);
            let known = known.is_some_and(|known| known.content == *content);
            if !known && !to_come(path, *content) {
                let message = format!("version {number} of {path} was acknowledged and is gone");
                return Err(breach("version-lost", message));
            }
        }
        Ok(())
    }

    /// What nobody knows of any more, nobody will settle.
    fn judge_lost_intents(&mut self, ground: &Ground<'_>) -> Result<(), Breach> {
        let known: BTreeSet<&OpId> = ground.rows.intents().map(|intent| &intent.op).collect();
        for (_, items) in self.open.iter().filter(|(op, _)| !known.contains(op)) {
            if !items.iter().any(|item| self.touched.contains(&item.path)) {
                self.judge_set(items, ground)?;
            }
        }
        self.open.retain(|op, _| known.contains(op));
        Ok(())
    }

    fn judge_end(&mut self, finished: bool, ground: &Ground<'_>) -> Result<(), Breach> {
        for (path, chain) in &self.files {
            judge_file(path, chain, ground.disk.hash(path))?;
        }
        self.judge_owed(ground)?;
        if finished {
            self.judge_versions(ground, |_, _| false)?;
        }
        if !finished {
            return Ok(());
        }
        let settled: BTreeSet<&SessionId> = self.settles.values().flatten().collect();
        let mut left = ground.rows.intents();
        let left = left.find(|intent| settled.contains(&intent.owner.session));
        match left {
            None => Ok(()),
            Some(intent) => {
                let message = format!(
                    "a commit of {} by {}, which is dead, was never settled",
                    intent.items.first().map_or("nothing", |item| &item.path),
                    intent.owner.session
                );
                Err(breach("unsettled", message))
            }
        }
    }

    /// Nobody else is about these files: they are under the latches of the commit.
    /// A file that got less than was meant is in neither state.
    fn judge_set(&self, items: &[CommitItem], ground: &Ground<'_>) -> Result<(), Breach> {
        let whole = || {
            let items = items.iter();
            items.filter(|item| !self.short.contains_key(&item.stage))
        };
        let there = |item: &&CommitItem| ground.disk.hash(&item.path) == item.new;
        let absent = |item: &&CommitItem| ground.disk.hash(&item.path) == item.old;
        match (whole().find(there), whole().find(absent)) {
            (Some(there), Some(absent)) => {
                let message = format!(
                    "of one commit {} is changed and {} is not",
                    there.path, absent.path
                );
                Err(breach("half-set", message))
            }
            _ => Ok(()),
        }
    }

    fn judge_owed(&self, ground: &Ground<'_>) -> Result<(), Breach> {
        let mut owed = self.owed.iter().chain(&self.displaced);
        let lost = owed
            .find(|content| !self.destroyed.contains(*content) && !ground.disk.holds(**content));
        match lost {
            None => Ok(()),
            Some(content) => {
                let name = maasl_core::id::hex(&content.as_bytes()[..4]);
                let message = format!("the displaced content {name} was to be kept and is gone");
                Err(breach("kept-lost", message))
            }
        }
    }
}

fn judge_file(path: &str, chain: &Chain, held: Option<ContentHash>) -> Result<(), Breach> {
    if chain.allows(held) {
        return Ok(());
    }
    let name = held.map_or_else(
        || "nothing".into(),
        |hash| maasl_core::id::hex(&hash.as_bytes()[..4]),
    );
    Err(match chain.newest(held) {
        Some(_) => breach(
            "acknowledged-lost",
            format!("{path} fell back to {name}, which is older than what was acknowledged"),
        ),
        None => breach(
            "torn",
            format!("{path} holds {name}, which nobody ever put there"),
        ),
    })
}

fn breach(site: &'static str, message: String) -> Breach {
    Breach::new(Promise::I5, site, message)
}

#[cfg(test)]
#[path = "i5_durable_tests.rs"]
mod tests;
