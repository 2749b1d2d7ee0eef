//! I6: one idempotency key has one effect and one answer.
//!
//! Owns: what was done and what was answered under each key, and when a call last
//! spoke with the store. Promises: a second effect is seen when the store commits
//! it, a second answer when its agent gets it, and a refusal after the effect when
//! its process decides it. Leaves to others: what is done without a key.
//!
//! A refusal is decided when its call last speaks with the store: what a copy
//! brings about after that it could not know.
//!
//! An old copy of the store has forgotten what was answered since, so keys are
//! forgotten here as well when one is put back.

use std::collections::{BTreeMap, BTreeSet};

use maasl_core::coordinator::io::{CallId, Reply, Response, StepId};
use maasl_core::id::{OpId, Token};
use maasl_core::lease::{Command, Outcome, Query, RequestKey, Rows};
use maasl_core::refusal::Refusal;
use maasl_core::reply::Receipt;

use super::ends::Ends;
use super::{Breach, Judge, leaves_open};
use crate::observe::{Ground, Observation, ProcessNo, RequestNo};
use crate::promise::Promise;

/// The judge.
#[derive(Debug, Default)]
pub(super) struct Once {
    ends: Ends,
    /// Keys by request, for as long as answers may come.
    keys: BTreeMap<RequestNo, String>,
    /// Keys of open commits.
    open: BTreeMap<OpId, String>,
    changes: BTreeMap<String, Receipt>,
    grants: BTreeMap<String, BTreeSet<Token>>,
    answers: BTreeMap<String, Receipt>,
    /// How much was observed when the effect under each key had ended, in the store
    /// and in databases, which remember answers of their own.
    ended: BTreeMap<String, u64>,
    ended_in_databases: BTreeMap<String, u64>,
    /// The newest step of each call that the store executed, and when.
    spoke: BTreeMap<(ProcessNo, CallId), (u64, u64)>,
    /// How much was observed.
    count: u64,
    /// Keys that an old copy of the store may have forgotten.
    forgotten: BTreeSet<String>,
}

impl Judge for Once {
    fn observe(&mut self, seen: &Observation<'_>, ground: &Ground<'_>) -> Result<(), Breach> {
        self.ends.observe(seen, ground);
        self.count += 1;
        match seen {
            Observation::Asked(asked) => {
                if let Some(key) = asked.key {
                    self.keys.insert(asked.request, key.into());
                }
            }
            Observation::Transacted {
                process,
                step,
                command,
                outcome,
                ..
            } => {
                self.note_step(*process, *step);
                self.note_ended(command, outcome);
                return self.note_command(command, outcome);
            }
            Observation::DatabaseCommitted { seal, .. } => {
                if let Some(answered) = &seal.answered {
                    let key = answered.request.key.clone();
                    self.ended_in_databases.insert(key, self.count);
                }
            }
            Observation::Decided {
                process,
                call,
                request,
                response,
            } => {
                let spoke = self.spoke.remove(&(*process, *call));
                if let (Some(key), Err(refusal)) = (self.keys.get(request), &response.result) {
                    let spoke_at = spoke.map_or(0, |(_, at)| at);
                    return self.judge_refusal(key, refusal, spoke_at);
                }
            }
            Observation::Died { process, .. } => {
                self.spoke.retain(|(of, _), _| of != process);
            }
            Observation::PowerCut => self.note_power_cut(ground),
            Observation::Answered {
                request, response, ..
            } => {
                if let Some(key) = self.keys.get(request).cloned() {
                    return self.judge_answer(&key, response);
                }
            }
            Observation::Restored => self.forget(),
            _ => {}
        }
        Ok(())
    }
}

impl Once {
    fn note_command(&mut self, command: &Command, outcome: &Outcome) -> Result<(), Breach> {
        match (command, outcome) {
            (Command::BeginCommit(intent), Outcome::Begun) => {
                let key = intent.request.as_ref().map(|request| request.key.clone());
                self.open.extend(key.map(|key| (intent.op.clone(), key)));
            }
            (Command::FinishCommit(finish), Outcome::Finished { receipt, .. }) => {
                if let Some(key) = self.open.remove(&finish.op)
                    && self.ends.stands(finish)
                {
                    return self.judge_change(&key, receipt);
                }
            }
            (Command::Acquire(asked), Outcome::Granted { lease, .. }) => {
                if let Some(request) = &asked.request {
                    return self.judge_grant(&request.key, lease.token);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// A command that is delivered again tells its call nothing new.
    fn note_step(&mut self, process: ProcessNo, step: Option<StepId>) {
        let Some(step) = step else { return };
        let spoke = self.spoke.entry((process, step.call)).or_default();
        if step.step > spoke.0 {
            *spoke = (step.step, self.count);
        }
    }

    /// Takes note of the answers that the store remembers from now on.
    fn note_ended(&mut self, command: &Command, outcome: &Outcome) {
        let request: Option<&RequestKey> = match (command, outcome) {
            (Command::Acquire(asked), Outcome::Granted { .. }) => asked.request.as_ref(),
            (Command::Release(asked), Outcome::Released { .. }) => asked.request.as_ref(),
            (Command::AppendPatch(asked), Outcome::Appended { .. }) => asked.request.as_ref(),
            (Command::Remember(asked), Outcome::Answered(_)) => Some(&asked.request),
            (Command::NoteDocument(asked), Outcome::Done { .. } | Outcome::Answered(_)) => {
                let remember = asked.remember.as_ref();
                remember.map(|remember| &remember.request)
            }
            _ => None,
        };
        let key = match (command, outcome) {
            (Command::FinishCommit(finish), Outcome::Finished { .. })
                if self.ends.stands(finish) =>
            {
                self.open.get(&finish.op)
            }
            _ => request.map(|request| &request.key),
        };
        if let Some(key) = key.cloned() {
            self.ended.entry(key).or_insert(self.count);
        }
    }

    /// What is under a key that has had its effect is answered or left open, not
    /// refused.
    fn judge_refusal(&self, key: &str, refusal: &Refusal, spoke_at: u64) -> Result<(), Breach> {
        let waits = matches!(refusal, Refusal::ResourceBusy(_) | Refusal::DbBusy(_));
        let is_open = waits || leaves_open(refusal);
        let ended = self.ended.get(key);
        let ended = ended.or_else(|| self.ended_in_databases.get(key));
        match ended {
            Some(ended) if *ended < spoke_at && !is_open && !self.forgotten.contains(key) => {
                let code = refusal.code();
                let message = format!("{key} was refused as {code} after it had been done");
                Err(breach("refused-after-effect", message))
            }
            _ => Ok(()),
        }
    }

    /// The end of a commit may be lost with the power; then it is made again.
    fn note_power_cut(&mut self, ground: &Ground<'_>) {
        self.spoke.clear();
        self.ended.retain(|key, _| {
            let answered = ground.rows.load(&Query::Answered(key.clone()));
            matches!(answered, Rows::Answered(Some(_)))
        });
        for intent in ground.rows.intents() {
            if let Some(request) = &intent.request {
                self.changes.remove(&request.key);
                self.open.insert(intent.op.clone(), request.key.clone());
            }
        }
    }

    fn judge_change(&mut self, key: &str, receipt: &Receipt) -> Result<(), Breach> {
        if self.forgotten.contains(key) {
            return Ok(());
        }
        match self.changes.insert(key.into(), receipt.clone()) {
            None => Ok(()),
            Some(_) => Err(breach(
                "two-effects",
                format!("what {key} asked for was done twice"),
            )),
        }
    }

    fn judge_grant(&mut self, key: &str, token: Token) -> Result<(), Breach> {
        let tokens = self.grants.entry(key.into()).or_default();
        tokens.insert(token);
        if tokens.len() > 1 && !self.forgotten.contains(key) {
            let message = format!("{key} was granted a second lease with token {token}");
            return Err(breach("two-grants", message));
        }
        Ok(())
    }

    fn judge_answer(&mut self, key: &str, response: &Response) -> Result<(), Breach> {
        if self.forgotten.contains(key) {
            return Ok(());
        }
        let receipt = match &response.result {
            Ok(Reply::Receipt(receipt)) => receipt,
            // Agents use a key for one request only.
            Err(Refusal::IdempotencyMismatch { .. }) => {
                let message = format!("{key} was taken for another request");
                return Err(breach("mismatch", message));
            }
            _ => return Ok(()),
        };
        if let Some(done) = self.changes.get(key).filter(|done| *done != receipt) {
            let message = format!("{key} was answered {receipt:?}, but {done:?} was done");
            return Err(breach("answer-differs-from-effect", message));
        }
        let first = self.answers.entry(key.into());
        let first = first.or_insert_with(|| receipt.clone());
        if first != receipt {
            let message = format!("{key} was answered {first:?} and then {receipt:?}");
            return Err(breach("two-answers", message));
        }
        Ok(())
    }

    fn forget(&mut self) {
        let keys = self.keys.values().cloned();
        self.forgotten.extend(keys);
        self.open.clear();
        self.changes.clear();
        self.grants.clear();
        self.answers.clear();
        self.ended.clear();
        self.ended_in_databases.clear();
    }
}

fn breach(site: &'static str, message: String) -> Breach {
    Breach::new(Promise::I6, site, message)
}

#[cfg(test)]
#[path = "i6_once_tests.rs"]
mod tests;
