//! I5 of refusals: a refused call has changed nothing, and will not.
//!
//! Owns: which commits each call has begun, and which calls have appended a patch.
//! Promises: a refusal is judged when it is decided; a commit that is open then is
//! judged when it ends, whoever ends it. Leaves to others: rows of databases (I11),
//! and what a copy of the call has done (I6).

use std::collections::{BTreeMap, BTreeSet};

use maasl_core::coordinator::io::{CallId, StepId};
use maasl_core::id::OpId;
use maasl_core::lease::{Command, Outcome};
use maasl_core::refusal::Refusal;

use super::ends::Ends;
use super::{Breach, Judge, leaves_open};
use crate::observe::{Ground, Observation, ProcessNo};
use crate::promise::Promise;

type Caller = (ProcessNo, CallId);

/// The judge.
#[derive(Debug, Default)]
pub(super) struct Refused {
    ends: Ends,
    /// Commits that each call has begun, until it is answered.
    begun: BTreeMap<Caller, Vec<OpId>>,
    /// Those of them that have ended and stand.
    stand: BTreeSet<OpId>,
    /// Calls that have appended a patch.
    patched: BTreeSet<Caller>,
    /// Open commits of refused calls, with what those were told.
    told: BTreeMap<OpId, &'static str>,
}

impl Judge for Refused {
    fn observe(&mut self, seen: &Observation<'_>, ground: &Ground<'_>) -> Result<(), Breach> {
        self.ends.observe(seen, ground);
        match seen {
            Observation::Transacted {
                process,
                step,
                command,
                outcome,
                ..
            } => return self.note_command(*process, *step, command, outcome),
            Observation::Decided {
                process,
                call,
                response,
                ..
            } => {
                let caller = (*process, *call);
                let begun = self.begun.remove(&caller).unwrap_or_default();
                let patched = self.patched.remove(&caller);
                if let Err(refusal) = &response.result
                    && !leaves_open(refusal)
                {
                    return self.judge_refusal(refusal, begun, patched);
                }
            }
            Observation::Died { process, .. } => {
                self.begun.retain(|(of, _), _| of != process);
                self.patched.retain(|(of, _)| of != process);
            }
            // What an old copy brings back was judged before.
            Observation::Restored => *self = Self::default(),
            _ => {}
        }
        Ok(())
    }
}

impl Refused {
    fn note_command(
        &mut self,
        process: ProcessNo,
        step: Option<StepId>,
        command: &Command,
        outcome: &Outcome,
    ) -> Result<(), Breach> {
        let caller = step.map(|step| (process, step.call));
        match (command, outcome, caller) {
            (Command::BeginCommit(intent), Outcome::Begun, Some(caller)) => {
                let begun = self.begun.entry(caller).or_default();
                begun.push(intent.op.clone());
            }
            (Command::AppendPatch(_), Outcome::Appended { is_new: true, .. }, Some(caller)) => {
                self.patched.insert(caller);
            }
            (Command::FinishCommit(finish), Outcome::Finished { .. }, _) => {
                let told = self.told.remove(&finish.op);
                if !self.ends.stands(finish) {
                    return Ok(());
                }
                if let Some(code) = told {
                    return Err(breach(&format!("a commit of a call refused as {code}")));
                }
                self.stand.insert(finish.op.clone());
            }
            _ => {}
        }
        Ok(())
    }

    fn judge_refusal(
        &mut self,
        refusal: &Refusal,
        begun: Vec<OpId>,
        patched: bool,
    ) -> Result<(), Breach> {
        let code = refusal.code();
        if patched {
            return Err(breach(&format!("the patch of a call refused as {code}")));
        }
        if begun.iter().any(|op| self.stand.contains(op)) {
            return Err(breach(&format!("a commit of a call refused as {code}")));
        }
        self.told.extend(begun.into_iter().map(|op| (op, code)));
        Ok(())
    }
}

fn breach(what: &str) -> Breach {
    Breach::new(Promise::I5, "refused-and-done", format!("{what} stands"))
}

#[cfg(test)]
#[path = "i5_refused_tests.rs"]
mod tests;
