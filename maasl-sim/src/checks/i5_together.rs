//! I5 of transactions: what changes files and a database together does both or
//! neither.
//!
//! Owns: the commits that have a part in a database, and whether that part was
//! committed. Promises: a part is committed only inside its commit; how a commit
//! ends is how its part ended, also where a power cut took the end. Leaves to
//! others: the files of a commit among themselves (`i5_durable`), who may write a
//! database (I11).

use std::collections::{BTreeMap, BTreeSet};

use maasl_core::database::Seal;
use maasl_core::id::{OpId, Token};
use maasl_core::lease::command::{FinishCommit, ItemEnd};
use maasl_core::lease::{Command, Outcome};

use super::{Breach, Judge, row_of};
use crate::observe::{Asked, Ground, Observation};
use crate::plan::Action;
use crate::promise::Promise;

/// The judge.
#[derive(Debug, Default)]
pub(super) struct Together {
    parts: BTreeMap<OpId, Part>,
    /// The rows that transactions are to add.
    rows: BTreeSet<String>,
    /// An old copy of the store was put back, and knows nothing of later parts.
    restored: bool,
}

/// The part of one commit.
#[derive(Debug)]
struct Part {
    token: Token,
    committed: bool,
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
            } => return self.note_command(command, outcome),
            Observation::DatabaseCommitted { seal, rows, .. } => {
                return self.judge_part(seal, rows);
            }
            Observation::PowerCut => return self.judge_cut(ground),
            _ => {}
        }
        Ok(())
    }
}

impl Together {
    fn note_asked(&mut self, asked: &Asked<'_>, ground: &Ground<'_>) {
        let Action::Transact { rows, .. } = asked.action else {
            return;
        };
        let agent = &ground.agents[usize::from(asked.agent.0)];
        let rows = (0..*rows).map(|row| row_of(agent, asked.request, row));
        self.rows.extend(rows);
    }

    fn note_command(&mut self, command: &Command, outcome: &Outcome) -> Result<(), Breach> {
        match (command, outcome) {
            (Command::BeginCommit(intent), Outcome::Begun) if intent.database.is_some() => {
                let part = Part {
                    token: intent.token,
                    committed: false,
                    turned: false,
                    open: true,
                };
                self.parts.entry(intent.op.clone()).or_insert(part);
            }
            (Command::TurnBack(op), Outcome::Done { .. }) => {
                if let Some(part) = self.parts.get_mut(op) {
                    part.turned = true;
                }
            }
            (Command::FinishCommit(finish), Outcome::Finished { .. }) => {
                return self.judge_end(finish);
            }
            _ => {}
        }
        Ok(())
    }

    /// A part is committed while its commit is open and not being undone.
    fn judge_part(&mut self, seal: &Seal, rows: &[String]) -> Result<(), Breach> {
        if !rows.iter().any(|row| self.rows.contains(row)) {
            return Ok(());
        }
        let mut parts = self.parts.values_mut();
        match parts.find(|part| part.open && part.token == seal.token && !part.committed) {
            Some(part) if !part.turned => {
                part.committed = true;
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

    /// Where somebody outside has changed a file of it, both contents exist and
    /// neither is judged.
    fn judge_end(&mut self, finish: &FinishCommit) -> Result<(), Breach> {
        let Some(part) = self.parts.get_mut(&finish.op) else {
            return Ok(());
        };
        part.open = false;
        let is_undone = |end: &ItemEnd| *end == ItemEnd::Undone;
        let met_outside = !finish.exceptions.values().all(is_undone);
        let undone = part.turned || !finish.exceptions.is_empty();
        if met_outside || part.committed != undone {
            return Ok(());
        }
        let (files, rows) = if undone {
            ("were taken back", "stand")
        } else {
            ("stand", "were never committed")
        };
        let message = format!("{}: its files {files} and its rows {rows}", finish.op);
        Err(breach("half-of-a-transaction", message))
    }

    /// What the power cut left of the store decides what recovery will see.
    fn judge_cut(&mut self, ground: &Ground<'_>) -> Result<(), Breach> {
        let open: BTreeMap<&OpId, bool> = ground
            .rows
            .intents()
            .map(|intent| (&intent.op, intent.turned_back))
            .collect();
        for (op, part) in &mut self.parts {
            let was_open = core::mem::replace(&mut part.open, open.contains_key(op));
            if was_open && !part.open && part.committed {
                let message = format!("{op}: its rows stand and nobody knows of its files");
                return Err(breach("intent-lost", message));
            }
            if let Some(turned) = open.get(op) {
                part.turned = *turned;
            }
        }
        Ok(())
    }
}

fn breach(site: &'static str, message: String) -> Breach {
    Breach::new(Promise::I5, site, message)
}

#[cfg(test)]
#[path = "i5_together_tests.rs"]
mod tests;
