//! The judges: one for each promise.
//!
//! Owns: who is asked about what happened, and what a breach is. Promises: a
//! judge shares no logic with the code it judges; it goes by what was observed
//! and by the state of store and disk. Leaves to others: the promises' words
//! (`docs/invariants.md`).

mod grants;
mod i1_fencing;
mod i2_tokens;
mod i3_exclusion;
mod i3_terms;

use core::fmt;

use crate::observe::{Ground, Observation};
use crate::promise::Promise;

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// Which.
    pub promise: Promise,
    /// In which way: a short name that stays the same while a failure is cut
    /// down to what causes it.
    pub site: &'static str,
    /// What happened, for people.
    pub message: String,
}

impl Breach {
    pub(crate) fn new(promise: Promise, site: &'static str, message: impl Into<String>) -> Self {
        Self {
            promise,
            site,
            message: message.into(),
        }
    }

    /// What two breaches of the same kind have in common.
    #[must_use]
    pub fn fingerprint(&self) -> (Promise, &'static str) {
        (self.promise, self.site)
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.promise, self.site, self.message)
    }
}

/// A judge of one promise.
pub(crate) trait Judge: fmt::Debug {
    /// Takes note of what happened, and says if it broke the promise.
    fn observe(&mut self, seen: &Observation<'_>, ground: &Ground<'_>) -> Result<(), Breach>;
}

/// The judges of a run.
#[derive(Debug)]
pub(crate) struct Judges {
    judges: Vec<Box<dyn Judge>>,
}

impl Judges {
    /// The judges of these promises.
    pub(crate) fn of(promises: &[Promise]) -> Self {
        Self {
            judges: promises.iter().flat_map(|one| judges_of(*one)).collect(),
        }
    }

    /// Shows all of them what happened.
    pub(crate) fn observe(
        &mut self,
        seen: &Observation<'_>,
        ground: &Ground<'_>,
    ) -> Result<(), Breach> {
        self.judges
            .iter_mut()
            .try_for_each(|judge| judge.observe(seen, ground))
    }
}

/// The judges of a promise; none of its own where others judge it under faults.
fn judges_of(promise: Promise) -> Vec<Box<dyn Judge>> {
    match promise {
        Promise::I1 => vec![Box::<i1_fencing::Fencing>::default()],
        Promise::I2 => vec![Box::<i2_tokens::Tokens>::default()],
        Promise::I3 => vec![
            Box::<i3_exclusion::Exclusion>::default(),
            Box::<i3_terms::Terms>::default(),
        ],
        // No clock may break the others: whoever steps a clock is judged by them.
        Promise::I4 | Promise::I5 | Promise::I6 | Promise::I7 | Promise::I8 => Vec::new(),
    }
}
