//! I3: a resource has one exclusive holder, or only shared ones.
//!
//! Owns: nothing; it looks at the rows. Promises: every committed state that
//! granted something is looked at. Leaves to others: when grants end.

use maasl_core::lease::Outcome;

use super::grants::Granted;
use super::{Breach, Judge};
use crate::observe::{Ground, Observation};
use crate::promise::Promise;

/// The judge.
#[derive(Debug, Default)]
pub(super) struct Exclusion;

impl Judge for Exclusion {
    fn observe(&mut self, seen: &Observation<'_>, ground: &Ground<'_>) -> Result<(), Breach> {
        let Observation::Transacted {
            outcome: Outcome::Granted { lease, .. },
            ..
        } = seen
        else {
            return Ok(());
        };
        let granted = Granted::of(lease);
        let others = ground.rows.leases();
        for other in others.filter(|other| other.token != lease.token) {
            if granted.excludes(&Granted::of(other)) {
                let message = format!(
                    "tokens {} and {} are granted at the same time on {}",
                    other.token, granted.token, lease.wants[0].extent.key
                );
                return Err(Breach::new(Promise::I3, "two-holders", message));
            }
        }
        Ok(())
    }
}
