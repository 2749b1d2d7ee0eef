//! I5 of transactions: what changes files, documents, a database and a graph
//! together does all of it or nothing.
//!
//! Owns: the commits that go beyond files, and which of their parts stand.
//! Promises: rows are committed only inside their commit, those that come out of a
//! log too, and a patch is appended with its end; when a commit ends, all of its
//! parts stand as its answer says, or none does, also where a power cut took the
//! end. Leaves to others: the files of a commit that has nothing else
//! (`i5_durable`), who may write a database (I11), what patches amount to (I9).

use std::collections::{BTreeMap, BTreeSet};

use maasl_core::database::Seal;
use maasl_core::graph::seen::Dot;
use maasl_core::id::{OpId, Token};
use maasl_core::lease::command::{FinishCommit, ItemEnd};
use maasl_core::lease::{Command, CommitIntent, CommitItem, Outcome};

use super::i9_graph::{is_there, journal};
use super::{Breach, Judge, row_of};
use crate::observe::{Asked, Ground, Observation};
use crate::plan::Action;
use crate::promise::Promise;

/// The judge.
#[derive(Debug, Default)]
pub(super) struct Together {
    commits: BTreeMap<OpId, Joint>,
    /// The rows that transactions are to add.
    rows: BTreeSet<String>,
    /// Staged names of which the device kept less than it was given.
    short: BTreeSet<String>,
    /// An old copy of the store was put back, and knows nothing of later parts.
    restored: bool,
}

/// A commit that goes beyond files.
#[derive(Debug)]
struct Joint {
    token: Token,
    items: Vec<CommitItem>,
    /// Whether its rows are committed, where it has any.
    rows: Option<bool>,
    patch: Option<Dot>,
    /// Files that somebody outside has changed since.
    touched: BTreeSet<String>,
    turned: bool,
    open: bool,
}

impl Judge for Together {
    fn observe(&mut self, seen: &Observation<'_>, ground: &Ground<'_>) -> Result<(), Breach> {
        match seen {
            Observation::Asked(asked) => self.note_asked(asked, ground),
            Observation::Restored => self.restored = true,
            _ if self.restored => {}
            Observation::Transacted {
                command, outcome, ..
            } => return self.note_command(command, outcome, ground),
            Observation::DatabaseCommitted { seal, rows, .. } => {
                return self.judge_rows(seal, rows);
            }
            Observation::DatabaseCameBack { seal, rows, .. } => {
                return self.judge_returned(seal, rows);
            }
            Observation::Outside { path, .. } | Observation::Rotted { path, .. } => {
                for commit in self.commits.values_mut().filter(|commit| commit.open) {
                    commit.touched.insert((*path).to_owned());
                }
            }
            Observation::Shortened { stage, .. } => {
                self.short.insert((*stage).to_owned());
            }
            Observation::PowerCut => return self.judge_cut(ground),
            _ => {}
        }
        Ok(())
    }
}

impl Together {
    fn note_asked(&mut self, asked: &Asked<'_>, ground: &Ground<'_>) {
        let Action::Transact(parts) = asked.action else {
            return;
        };
        let agent = &ground.agents[usize::from(asked.agent.0)];
        let rows = (0..parts.rows).map(|row| row_of(agent, asked.request, row));
        self.rows.extend(rows);
    }

    fn note_command(
        &mut self,
        command: &Command,
        outcome: &Outcome,
        ground: &Ground<'_>,
    ) -> Result<(), Breach> {
        match (command, outcome) {
            (Command::BeginCommit(intent), Outcome::Begun) => {
                return self.judge_begun(intent, ground);
            }
            (Command::TurnBack(op), Outcome::Done { .. }) => {
                if let Some(commit) = self.commits.get_mut(op) {
                    commit.turned = true;
                }
            }
            (Command::FinishCommit(finish), Outcome::Finished { .. }) => {
                return self.judge_end(finish, ground);
            }
            _ => {}
        }
        Ok(())
    }

    /// A patch is not to be seen before everything else that belongs to it.
    fn judge_begun(&mut self, intent: &CommitIntent, ground: &Ground<'_>) -> Result<(), Breach> {
        let Some(commit) = Joint::of(intent) else {
            return Ok(());
        };
        let early = commit.patch.as_ref();
        if early.is_some_and(|dot| is_there(journal(ground).as_ref(), dot)) {
            let message = format!("{}: its patch came before its end", intent.op);
            return Err(breach("patch-before-its-end", message));
        }
        self.commits.entry(intent.op.clone()).or_insert(commit);
        Ok(())
    }

    /// Rows are committed while their commit is open and not being undone.
    fn judge_rows(&mut self, seal: &Seal, rows: &[String]) -> Result<(), Breach> {
        if !rows.iter().any(|row| self.rows.contains(row)) {
            return Ok(());
        }
        let mut commits = self.commits.values_mut();
        let is_of =
            |one: &&mut Joint| one.open && one.token == seal.token && one.rows == Some(false);
        match commits.find(is_of) {
            Some(commit) if !commit.turned => {
                commit.rows = Some(true);
                Ok(())
            }
            Some(_) => Err(breach(
                "committed-while-undone",
                format!("rows of token {} came while it was undone", seal.token),
            )),
            None => Err(breach(
                "committed-before-intent",
                format!("rows of token {} came outside their commit", seal.token),
            )),
        }
    }

    /// Rows come out of a log only while recovery can still go by them.
    fn judge_returned(&mut self, seal: &Seal, rows: &[String]) -> Result<(), Breach> {
        self.judge_rows(seal, rows).map_err(|_| {
            let message = format!(
                "rows of token {} came back after they had been said not to be there",
                seal.token
            );
            breach("came-back", message)
        })
    }

    fn judge_end(&mut self, finish: &FinishCommit, ground: &Ground<'_>) -> Result<(), Breach> {
        let Some(commit) = self.commits.get_mut(&finish.op) else {
            return Ok(());
        };
        commit.open = false;
        let mut items = commit.items.iter();
        if items.any(|item| self.short.contains(&item.stage)) {
            return Ok(());
        }
        let parts = commit.parts(finish, ground);
        let there = parts.iter().find(|(_, stands)| *stands);
        let absent = parts.iter().find(|(_, stands)| !*stands);
        match (there, absent) {
            (Some((there, _)), Some((absent, _))) => {
                let message = format!("{}: {there} stands and {absent} does not", finish.op);
                Err(breach("half-of-a-transaction", message))
            }
            _ => Ok(()),
        }
    }

    /// What the power cut left of the store decides what recovery will see.
    fn judge_cut(&mut self, ground: &Ground<'_>) -> Result<(), Breach> {
        let open: BTreeMap<&OpId, bool> = ground
            .rows
            .intents()
            .map(|intent| (&intent.op, intent.turned_back))
            .collect();
        for (op, commit) in &mut self.commits {
            let was_open = core::mem::replace(&mut commit.open, open.contains_key(op));
            if was_open && !commit.open && commit.rows == Some(true) {
                let message = format!("{op}: its rows stand and nobody knows of the rest");
                return Err(breach("intent-lost", message));
            }
            if let Some(turned) = open.get(op) {
                commit.turned = *turned;
            }
        }
        Ok(())
    }
}

impl Joint {
    fn of(intent: &CommitIntent) -> Option<Self> {
        if intent.database.is_none() && intent.patch.is_none() {
            return None;
        }
        Some(Self {
            token: intent.token,
            items: intent.items.clone(),
            rows: intent.database.as_ref().map(|_| false),
            patch: intent.patch.as_ref().map(|part| part.dot.clone()),
            touched: BTreeSet::new(),
            turned: false,
            open: true,
        })
    }

    /// Its parts by name, and whether each stands. What it is answered is one of
    /// them. A file that met somebody outside is none: both contents exist.
    fn parts(&self, finish: &FinishCommit, ground: &Ground<'_>) -> Vec<(&str, bool)> {
        let mut parts = vec![("its answer", !self.turned)];
        parts.extend(self.rows.map(|committed| ("its rows", committed)));
        if let Some(dot) = &self.patch {
            parts.push(("its patch", is_there(journal(ground).as_ref(), dot)));
        }
        for item in self.items.iter().filter(|item| item.new != item.old) {
            let met = finish.exceptions.get(&item.path);
            let met = met.is_some_and(|end| *end != ItemEnd::Undone);
            let held = ground.disk.hash(&item.path);
            if !met && !self.touched.contains(&item.path) && [item.new, item.old].contains(&held) {
                parts.push((&item.path, held == item.new));
            }
        }
        parts
    }
}

fn breach(site: &'static str, message: String) -> Breach {
    Breach::new(Promise::I5, site, message)
}

#[cfg(test)]
#[path = "i5_together_tests.rs"]
mod tests;
