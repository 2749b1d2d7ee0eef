//! The judges: one for each promise.
//!
//! Owns: who is asked about what happened, and what a breach is. Promises: a
//! judge shares no logic with the code it judges; it goes by what was observed
//! and by the state of store and disk. Leaves to others: the promises' words
//! (`docs/invariants.md`).

mod contents;
mod documents;
mod ends;
mod grants;
mod graph_model;
mod held;
mod i10_documents;
mod i11_database;
mod i1_fencing;
mod i2_tokens;
mod i3_exclusion;
mod i3_terms;
mod i4_seen;
mod i5_durable;
mod i5_forbidden;
mod i5_refused;
mod i5_together;
mod i6_once;
mod i7_circle;
mod i7_dead;
mod i7_order;
mod i7_served;
mod i8_belief;
mod i8_clocks;
mod i9_graph;
#[cfg(test)]
mod scene;

use core::fmt;

use maasl_core::refusal::Refusal;

use crate::observe::{Ground, Observation};
use crate::plan::Plan;
use crate::promise::Promise;

pub(crate) use self::documents::text_of;
pub(crate) use self::i11_database::row_of;

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
    only_clocks: bool,
}

impl Judges {
    /// The judges of the promises of a plan.
    pub(crate) fn of(plan: &Plan) -> Self {
        let mut promises = plan.promises.clone();
        if promises.contains(&Promise::I8) {
            // No clock may break the others, so all of them are judged.
            promises.extend(Promise::ALL.iter().filter(|one| **one < Promise::I7));
        }
        promises.sort_unstable();
        promises.dedup();
        Self {
            judges: promises
                .iter()
                .flat_map(|one| judges_of(*one, plan))
                .collect(),
            only_clocks: i8_clocks::only_clocks(plan),
        }
    }

    /// Shows all of them what happened.
    pub(crate) fn observe(
        &mut self,
        seen: &Observation<'_>,
        ground: &Ground<'_>,
    ) -> Result<(), Breach> {
        let judged = self
            .judges
            .iter_mut()
            .try_for_each(|judge| judge.observe(seen, ground));
        judged.map_err(|breach| self.with_clocks(breach))
    }

    fn with_clocks(&self, mut breach: Breach) -> Breach {
        if self.only_clocks && breach.promise != Promise::I7 {
            breach
                .message
                .push_str("; nothing but clocks went wrong, so I8 is broken too");
        }
        breach
    }
}

/// The judges of one promise.
fn judges_of(promise: Promise, plan: &Plan) -> Vec<Box<dyn Judge>> {
    match promise {
        Promise::I1 => vec![Box::<i1_fencing::Fencing>::default()],
        Promise::I2 => vec![Box::<i2_tokens::Tokens>::default()],
        Promise::I3 => vec![
            Box::<i3_exclusion::Exclusion>::default(),
            Box::<i3_terms::Terms>::default(),
        ],
        Promise::I4 => vec![Box::new(i4_seen::Seen::of(plan))],
        Promise::I5 => vec![
            Box::new(i5_durable::Durable::of(plan)),
            Box::<i5_refused::Refused>::default(),
            Box::<i5_together::Together>::default(),
            Box::new(i5_forbidden::Forbidden::of(plan)),
        ],
        Promise::I6 => vec![Box::<i6_once::Once>::default()],
        Promise::I7 => vec![
            Box::<i7_circle::Circle>::default(),
            Box::<i7_order::Order>::default(),
            Box::new(i7_served::Served::of(plan)),
            Box::new(i7_dead::Dead::of(plan)),
        ],
        Promise::I8 => vec![Box::new(i8_belief::Belief::of(plan))],
        Promise::I9 => vec![Box::<i9_graph::Graphs>::default()],
        Promise::I10 => vec![Box::<i10_documents::Documents>::default()],
        Promise::I11 => vec![Box::<i11_database::Databases>::default()],
    }
}

/// Whether somebody who is told this does not know what became of a request, or
/// does not want to.
fn leaves_open(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::Internal { .. } | Refusal::Cancelled)
}
