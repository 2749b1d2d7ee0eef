//! I3: a resource has one exclusive holder, or only shared ones.
//!
//! Owns: the leases that stand, as their observed beginnings and ends leave
//! them. Promises: every committed state that granted something is looked at,
//! and every grant is compared with what stood before it. Leaves to others: who
//! waits for whom (`i7_order`).

use std::collections::BTreeMap;

use maasl_core::id::{LeaseId, SessionId, Token};
use maasl_core::lease::{Command, Lease, Outcome, Query, Rows};
use maasl_core::time::Timestamp;

use super::grants::Granted;
use super::{Breach, Judge};
use crate::observe::{Ground, Observation};
use crate::promise::Promise;

/// The judge.
#[derive(Debug, Default)]
pub(super) struct Exclusion {
    standing: BTreeMap<LeaseId, Standing>,
    newest: Token,
    boot: String,
    /// Dead sessions, and the lowest the store's clock read since each died.
    dead: BTreeMap<SessionId, Option<Timestamp>>,
}

/// A lease that nobody ended.
#[derive(Debug)]
struct Standing {
    granted: Granted,
    session: SessionId,
    expires_at: Timestamp,
    lock_delay_ms: u64,
}

impl Judge for Exclusion {
    fn observe(&mut self, seen: &Observation<'_>, ground: &Ground<'_>) -> Result<(), Breach> {
        match seen {
            Observation::Died { session, .. } => {
                self.dead.insert((*session).clone(), None);
            }
            Observation::PowerCut | Observation::Restored => self.take_over_rows(ground),
            Observation::Transacted {
                command,
                outcome,
                clock,
                ..
            } => {
                for since in self.dead.values_mut() {
                    *since = Some(since.map_or(clock.now, |since| since.min(clock.now)));
                }
                if let Outcome::Granted { lease, .. } = outcome {
                    if lease.token <= self.newest {
                        return Ok(());
                    }
                    self.newest = lease.token;
                    judge_rows(lease, ground)?;
                    return self.judge_grant(lease, clock.now);
                }
                return self.note_end(command, outcome, clock.now, ground);
            }
            _ => {}
        }
        Ok(())
    }
}

impl Exclusion {
    /// What stood in the way of a grant must have been over by its own terms.
    fn judge_grant(&mut self, lease: &Lease, now: Timestamp) -> Result<(), Breach> {
        if lease.expires_at > now.plus_ms(lease.ttl_ms) {
            let message = format!("token {} lasts longer than asked for", lease.token);
            return Err(breach("lease-too-long", message));
        }
        let granted = Granted::of(lease);
        let in_the_way = self
            .standing
            .iter()
            .filter(|(_, one)| one.granted.excludes(&granted));
        let ids: Vec<LeaseId> = in_the_way.map(|(id, _)| id.clone()).collect();
        for id in ids {
            let ended = self.standing.remove(&id).expect("it was found just now");
            if !self.is_over(&ended, now) {
                let message = format!(
                    "token {} was granted while {} still protected {}",
                    lease.token, ended.granted.token, lease.wants[0].extent.key
                );
                return Err(breach("taken-early", message));
            }
        }
        self.standing.insert(lease.id.clone(), Standing::of(lease));
        Ok(())
    }

    fn is_over(&self, lease: &Standing, now: Timestamp) -> bool {
        let after = |since: Timestamp| now >= since.plus_ms(lease.lock_delay_ms);
        let dead = self.dead.get(&lease.session).copied().flatten();
        after(lease.expires_at) || dead.is_some_and(after)
    }

    fn note_end(
        &mut self,
        command: &Command,
        outcome: &Outcome,
        now: Timestamp,
        ground: &Ground<'_>,
    ) -> Result<(), Breach> {
        match (command, outcome) {
            (Command::Renew(id), Outcome::Held { lease, .. }) => {
                return self.judge_renewal(id, lease, now);
            }
            (Command::Expire(id), _) => {
                if let Some(lease) = self.standing.get_mut(id) {
                    lease.expires_at = lease.expires_at.min(now);
                }
            }
            (Command::Release(release), Outcome::Released { .. }) => {
                self.standing.remove(&release.lease);
            }
            (Command::Release(_) | Command::FinishCommit(_) | Command::Revoke(_), _) => {
                self.drop_ended(ground);
            }
            (Command::Open(open), Outcome::Opened(_)) if open.boot != self.boot => {
                self.boot.clone_from(&open.boot);
                for lease in self.standing.values_mut() {
                    lease.expires_at = lease.expires_at.min(now);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn judge_renewal(&mut self, id: &LeaseId, lease: &Lease, now: Timestamp) -> Result<(), Breach> {
        let Some(known) = self.standing.get_mut(id) else {
            let message = format!("token {} was renewed after its end", lease.token);
            return Err(breach("renewed-after-end", message));
        };
        if now >= known.expires_at {
            let message = format!("token {} was renewed after it ran out", lease.token);
            return Err(breach("renewed-after-expiry", message));
        }
        known.expires_at = lease.expires_at;
        Ok(())
    }

    /// Forgets what a command ended that ends leases by its own right.
    fn drop_ended(&mut self, ground: &Ground<'_>) {
        let rows = ground.rows;
        self.standing.retain(|id, _| {
            matches!(rows.load(&Query::Lease(id.clone())), Rows::Leases(found) if !found.is_empty())
        });
    }

    /// The store is another one now: what stands is what its rows say.
    fn take_over_rows(&mut self, ground: &Ground<'_>) {
        let rows = ground.rows.leases();
        let standing = rows.map(|row| (row.id.clone(), Standing::of(row)));
        self.standing = standing.collect();
    }
}

impl Standing {
    fn of(lease: &Lease) -> Self {
        Self {
            granted: Granted::of(lease),
            session: lease.owner.session.clone(),
            expires_at: lease.expires_at,
            lock_delay_ms: lease.lock_delay_ms,
        }
    }
}

/// The rows as they are now.
fn judge_rows(lease: &Lease, ground: &Ground<'_>) -> Result<(), Breach> {
    let granted = Granted::of(lease);
    for other in ground.rows.leases().filter(|row| row.token != lease.token) {
        if granted.excludes(&Granted::of(other)) {
            let message = format!(
                "tokens {} and {} are granted at the same time on {}",
                other.token, granted.token, lease.wants[0].extent.key
            );
            return Err(breach("two-holders", message));
        }
    }
    Ok(())
}

fn breach(site: &'static str, message: String) -> Breach {
    Breach::new(Promise::I3, site, message)
}

#[cfg(test)]
#[path = "i3_exclusion_tests.rs"]
mod tests;
