//! Granting in observe mode, whatever is in the way.
//!
//! Owns: the grant that holds nobody up. Promises: where nothing is in the way it
//! is the usual grant; otherwise it stands beside what it conflicts with, ends
//! nothing, and names what would have been waited for. Leaves to others: enforce
//! mode, in which this is never asked for.

use super::acquire::{self, Front, answered_before, grant};
use super::command::Acquire;
use super::decide::StoreClock;
use super::outcome::{Decision, Outcome};
use super::query::{Need, RowSet};

/// Decides [`super::Command::Watch`].
pub(super) fn watch(rows: &RowSet, asked: &Acquire, clock: StoreClock) -> Result<Decision, Need> {
    if let Some(outcome) = answered_before(rows, asked, clock.now)? {
        return Ok(Decision::unchanged(outcome));
    }
    let front = Front::of(rows, asked, None, clock.now)?;
    if front.is_clear() && !asked.beside {
        return acquire::acquire(rows, asked, clock);
    }
    let mut decision = grant(rows, asked, None, &Front::default(), clock)?;
    if let Outcome::Granted { lease, .. } = decision.outcome {
        let blockers = front.blockers(clock.now);
        decision.outcome = Outcome::Watched { lease, blockers };
    }
    Ok(decision)
}
