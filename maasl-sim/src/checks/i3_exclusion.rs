//! I3 by the rows: a resource has one exclusive holder, or only shared ones.
//!
//! Owns: the comparison of the rows with each other. Promises: goes by the
//! committed rows alone, and looks at all of them after every grant. Leaves to
//! others: whether a row that is gone was to go (`i3_terms`), and who waits for
//! whom (`i7_order`).

use maasl_core::id::Token;
use maasl_core::lease::{Lease, Outcome};

use super::grants::Granted;
use super::{Breach, Judge};
use crate::observe::{Ground, Observation};
use crate::promise::Promise;

/// The judge.
#[derive(Debug, Default)]
pub(super) struct Exclusion {
    /// The newest token granted: an older one is an answer given again, and says
    /// nothing about the rows of now.
    newest: Token,
}

impl Judge for Exclusion {
    fn observe(&mut self, seen: &Observation<'_>, ground: &Ground<'_>) -> Result<(), Breach> {
        match seen {
            Observation::Transacted {
                outcome: Outcome::Granted { lease, .. },
                ..
            } if lease.token > self.newest => {
                self.newest = lease.token;
                judge_rows(lease, ground)
            }
            _ => Ok(()),
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
            return Err(Breach::new(Promise::I3, "two-holders", message));
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "i3_exclusion_tests.rs"]
mod tests;
