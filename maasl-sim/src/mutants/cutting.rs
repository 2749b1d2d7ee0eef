//! How small the failure of each planted bug becomes.
//!
//! Owns: finding a plan in which a planted bug shows, and cutting it down with
//! the bug awake. Promises: what is left still shows the same. Leaves to others:
//! the cuts (`shrink`).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use maasl_core::mutant::{Mutant, plant};

use crate::plan::Plan;
use crate::shrink::{Budget, Target, shrink};

/// What a search for a small failure may cost.
const BUDGET: Budget = Budget {
    runs_max: 100_000,
    time_max: Duration::from_secs(60),
};

/// A failure, cut down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The seed whose plan showed the bug first.
    pub seed: u64,
    /// What was broken.
    pub target: Target,
    /// Calls and faults before and after.
    pub events: [usize; 2],
    /// How long the cutting took.
    pub took: Duration,
}

/// Cuts down the first plan of `plans` that breaks a promise with `mutant`
/// awake. A bug that only ever makes the core panic leaves nothing to cut.
#[must_use]
pub fn cut(mutant: Mutant, plans: impl Fn(u64) -> Plan, seeds_max: u64) -> Option<Cut> {
    plant(Some(mutant));
    let found = (0..seeds_max).find_map(|seed| {
        let plan = plans(seed);
        let target = catch_unwind(AssertUnwindSafe(|| Target::of(&plan)));
        target.ok().flatten().map(|target| (seed, plan, target))
    });
    let cut = found.and_then(|(seed, plan, target)| {
        let began = Instant::now();
        let shrunk = catch_unwind(AssertUnwindSafe(|| shrink(&plan, &target, BUDGET)));
        let shrunk = shrunk.ok()?.ok()?;
        Some(Cut {
            seed,
            target,
            events: shrunk.events,
            took: began.elapsed(),
        })
    });
    plant(None);
    cut
}
