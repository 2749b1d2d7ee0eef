//! I8, what a holder believes: it relies on a lease no longer than the store
//! keeps it.
//!
//! Owns: until when each lease stands by the store's clock. Promises: whoever
//! begins to commit did not yet outlive its lease when it sent that, as long as
//! all clocks keep within the drift that is allowed for. Leaves to others: what
//! becomes of it (I1); runs in which a clock steps, stands still or drifts
//! further, where a holder may be wrong and the fence must hold.

use std::collections::{BTreeMap, BTreeSet};

use maasl_core::id::{LeaseId, OpId};
use maasl_core::lease::{Command, CommitIntent, Outcome};
use maasl_core::time::Timestamp;

use super::{Breach, Judge};
use crate::observe::{Ground, Observation};
use crate::plan::{FaultKind, Plan};
use crate::promise::Promise;

/// The judge.
#[derive(Debug)]
pub(super) struct Belief {
    /// Whether clocks can be relied on in this plan.
    sound: bool,
    expires_at: BTreeMap<LeaseId, Timestamp>,
    sent: BTreeSet<OpId>,
}

impl Belief {
    /// The judge of a plan.
    pub(super) fn of(plan: &Plan) -> Self {
        let allowed_ppm = plan.config().clock_drift_ppm;
        let keeps = |ppm: i32| u64::from(ppm.unsigned_abs()) <= allowed_ppm;
        let faults = plan.faults.iter().all(|fault| match fault.what {
            FaultKind::ClockStep { .. }
            | FaultKind::ClockFreeze { .. }
            | FaultKind::StoreClockStep { .. } => false,
            FaultKind::ClockDrift { ppm, .. } => keeps(ppm),
            _ => true,
        });
        let mut processes = plan.processes.iter();
        Self {
            sound: faults && processes.all(|process| keeps(process.drift_ppm)),
            expires_at: BTreeMap::new(),
            sent: BTreeSet::new(),
        }
    }

    fn note(&mut self, command: &Command, outcome: &Outcome, now: Timestamp) {
        match (command, outcome) {
            (Command::Acquire(_), Outcome::Granted { lease, .. }) => {
                let expires_at = now.plus_ms(lease.ttl_ms);
                let known = self.expires_at.entry(lease.id.clone());
                known.or_insert(expires_at);
            }
            (Command::Renew(id), Outcome::Held { lease, .. }) => {
                if let Some(expires_at) = self.expires_at.get_mut(id) {
                    *expires_at = now.plus_ms(lease.ttl_ms);
                }
            }
            // Its holder knows, or gave it up: it believes in nothing any more.
            (Command::Renew(id) | Command::Verify(id), Outcome::Lost { .. })
            | (Command::Expire(id), _) => {
                self.expires_at.remove(id);
            }
            (Command::Release(asked), _) => {
                self.expires_at.remove(&asked.lease);
            }
            _ => {}
        }
    }

    fn judge(&mut self, intent: &CommitIntent, now: Timestamp) -> Result<(), Breach> {
        // Sent again, it goes by the belief of the first time.
        if !self.sent.insert(intent.op.clone()) {
            return Ok(());
        }
        let expires_at = self.expires_at.get(&intent.lease);
        let Some(over_at) = expires_at.filter(|at| now >= **at) else {
            return Ok(());
        };
        let message = format!(
            "a commit was sent under token {} {} ms after it had run out",
            intent.token,
            now.ms_since(*over_at)
        );
        Err(Breach::new(Promise::I8, "believed-too-long", message))
    }
}

impl Judge for Belief {
    fn observe(&mut self, seen: &Observation<'_>, _: &Ground<'_>) -> Result<(), Breach> {
        match seen {
            _ if !self.sound => {}
            Observation::Transacted {
                command,
                outcome,
                clock,
                ..
            } => self.note(command, outcome, clock.now),
            Observation::Relied { intent, clock, .. } => return self.judge(intent, clock.now),
            Observation::PowerCut | Observation::Restored => self.expires_at.clear(),
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "i8_belief_tests.rs"]
mod tests;
