//! I1: a newer grant shuts older writers out.
//!
//! Owns: the newest token that was granted on each resource, and which token
//! each open commit runs under, and who is inside which latches. Promises: every
//! change of a file is judged at the instant it becomes visible, every grant at
//! the instant it is made. Leaves to others: what the change was based
//! on (I4).

use std::collections::BTreeMap;

use maasl_core::coordinator::io::CallId;
use maasl_core::id::Token;
use maasl_core::lease::{Command, CommitItem, Lease, Outcome};
use maasl_core::resource::ResourceKey;

use super::grants::Granted;
use super::{Breach, Judge};
use crate::observe::{Ground, Observation, ProcessNo};
use crate::promise::Promise;

/// Grants that are remembered; older ones cannot matter to a call still open.
const GRANTS_MAX: usize = 512;

/// The judge.
#[derive(Debug, Default)]
pub(super) struct Fencing {
    grants: Vec<Granted>,
    /// The token of the commit that has each staged name.
    commits: BTreeMap<String, Token>,
    inside: BTreeMap<(ProcessNo, CallId), Vec<ResourceKey>>,
}

impl Judge for Fencing {
    fn observe(&mut self, seen: &Observation<'_>, ground: &Ground<'_>) -> Result<(), Breach> {
        match seen {
            Observation::Transacted {
                outcome: Outcome::Granted { lease, .. },
                ..
            } => return self.note_grant(lease, ground),
            Observation::Transacted {
                command: Command::BeginCommit(intent),
                outcome: Outcome::Begun,
                ..
            } => {
                let items = intent.items.iter();
                self.commits
                    .extend(items.map(|item| (item.stage.clone(), intent.token)));
            }
            Observation::Latched {
                process,
                call,
                keys,
            } => {
                self.inside.insert((*process, *call), keys.to_vec());
            }
            Observation::Unlatched { process, call } => {
                self.inside.remove(&(*process, *call));
            }
            Observation::Died { process, .. } => {
                self.inside.retain(|(inside, _), _| inside != process);
            }
            Observation::Swapped {
                process,
                call,
                item,
                ..
            } => return self.judge_swap((*process, *call), item),
            // What was granted since the copy was made is unknown to the store;
            // its tokens still count, so nothing is forgotten here.
            _ => {}
        }
        Ok(())
    }
}

impl Fencing {
    fn note_grant(&mut self, lease: &Lease, ground: &Ground<'_>) -> Result<(), Breach> {
        if self.grants.iter().any(|one| one.token == lease.token) {
            return Ok(());
        }
        let granted = Granted::of(lease);
        let passed = ground
            .rows
            .intents()
            .filter(|intent| intent.token < lease.token);
        for intent in passed {
            let mut items = intent.items.iter();
            if let Some(item) = items.find(|item| granted.reaches(item.key.as_str())) {
                let message = format!(
                    "{} was granted on {} while a commit under token {} is open there",
                    lease.token, item.path, intent.token
                );
                return Err(Breach::new(Promise::I1, "commit-passed", message));
            }
        }
        self.grants.push(granted);
        if self.grants.len() > GRANTS_MAX {
            self.grants.drain(..GRANTS_MAX / 2);
        }
        Ok(())
    }

    fn judge_swap(&self, by: (ProcessNo, CallId), item: &CommitItem) -> Result<(), Breach> {
        let Some(token) = self.commits.get(&item.stage) else {
            let message = format!("{} changed without an intent", item.path);
            return Err(Breach::new(Promise::I1, "swap-without-intent", message));
        };
        let mut newer = self.grants.iter().filter(|grant| grant.token > *token);
        if let Some(grant) = newer.find(|grant| grant.reaches(item.key.as_str())) {
            let message = format!(
                "{} changed under token {token} after {} was granted on it",
                item.path, grant.token
            );
            return Err(Breach::new(Promise::I1, "stale-swap", message));
        }
        let latched = self.inside.get(&by);
        if !latched.is_some_and(|keys| keys.contains(&item.key)) {
            let message = format!("{} changed outside its latch", item.path);
            return Err(Breach::new(Promise::I1, "swap-without-latch", message));
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "i1_fencing_tests.rs"]
mod tests;
