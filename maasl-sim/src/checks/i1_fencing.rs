//! I1: a newer grant shuts older writers out.
//!
//! Owns: the newest token that was granted on each resource, and which token
//! each open commit runs under. Promises: every change of a file is judged at
//! the instant it becomes visible. Leaves to others: what the change was based
//! on (I4).

use std::collections::BTreeMap;

use maasl_core::id::Token;
use maasl_core::lease::{Command, Outcome};

use super::grants::Granted;
use super::{Breach, Judge};
use crate::observe::{Ground, Observation};
use crate::promise::Promise;

/// Grants that are remembered; older ones cannot matter to a call still open.
const GRANTS_MAX: usize = 512;

/// The judge.
#[derive(Debug, Default)]
pub(super) struct Fencing {
    grants: Vec<Granted>,
    /// The token of the commit that has each staged name.
    commits: BTreeMap<String, Token>,
}

impl Judge for Fencing {
    fn observe(&mut self, seen: &Observation<'_>, _: &Ground<'_>) -> Result<(), Breach> {
        match seen {
            Observation::Transacted {
                outcome: Outcome::Granted { lease, .. },
                ..
            } => {
                if self.grants.iter().all(|one| one.token != lease.token) {
                    self.grants.push(Granted::of(lease));
                }
                if self.grants.len() > GRANTS_MAX {
                    self.grants.drain(..GRANTS_MAX / 2);
                }
            }
            Observation::Transacted {
                command: Command::BeginCommit(intent),
                outcome: Outcome::Begun,
                ..
            } => {
                let items = intent.items.iter();
                self.commits
                    .extend(items.map(|item| (item.stage.clone(), intent.token)));
            }
            Observation::Swapped { item, .. } => {
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
            }
            // What was granted since the copy was made is unknown to the store;
            // its tokens still count, so nothing is forgotten here.
            _ => {}
        }
        Ok(())
    }
}
