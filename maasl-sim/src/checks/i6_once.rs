//! I6: one idempotency key has one effect and one answer.
//!
//! Owns: what was done and what was answered under each key. Promises: a second
//! effect is seen when the store commits it, a second answer when its agent gets
//! it. Leaves to others: what is done without a key.
//!
//! An old copy of the store has forgotten what was answered since, so keys are
//! forgotten here as well when one is put back.

use std::collections::{BTreeMap, BTreeSet};

use maasl_core::coordinator::io::{Reply, Response};
use maasl_core::id::{OpId, Token};
use maasl_core::lease::{Command, Outcome};
use maasl_core::refusal::Refusal;
use maasl_core::reply::Receipt;

use super::ends::Ends;
use super::{Breach, Judge};
use crate::observe::{Ground, Observation, RequestNo};
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
    /// Keys that an old copy of the store may have forgotten.
    forgotten: BTreeSet<String>,
}

impl Judge for Once {
    fn observe(&mut self, seen: &Observation<'_>, ground: &Ground<'_>) -> Result<(), Breach> {
        self.ends.observe(seen, ground);
        match seen {
            Observation::Asked(asked) => {
                if let Some(key) = asked.key {
                    self.keys.insert(asked.request, key.into());
                }
            }
            Observation::Transacted {
                command, outcome, ..
            } => return self.note_command(command, outcome),
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
    }
}

fn breach(site: &'static str, message: String) -> Breach {
    Breach::new(Promise::I6, site, message)
}

#[cfg(test)]
#[path = "i6_once_tests.rs"]
mod tests;
