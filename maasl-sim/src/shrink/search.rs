//! The search for a smaller plan.
//!
//! Owns: trying a candidate, and delta debugging over a list (Zeller and
//! Hildebrandt, 2002, in the form that takes out ever smaller pieces). Promises:
//! a candidate is kept only if it is valid and shows the same. Leaves to others:
//! what the candidates are.

use core::ops::Range;
use std::time::Instant;

use super::{Budget, Target};
use crate::plan::Plan;

/// A search under way.
pub(super) struct Search<'t> {
    /// The smallest plan so far.
    pub(super) plan: Plan,
    pub(super) runs: u64,
    target: &'t Target,
    budget: Budget,
    began: Instant,
}

impl<'t> Search<'t> {
    pub(super) fn new(plan: Plan, target: &'t Target, budget: Budget) -> Self {
        Self {
            plan,
            runs: 0,
            target,
            budget,
            began: Instant::now(),
        }
    }

    pub(super) fn is_spent(&self) -> bool {
        self.runs >= self.budget.runs_max || self.began.elapsed() >= self.budget.time_max
    }

    /// Goes on with the candidate if it shows the same.
    pub(super) fn accept(&mut self, candidate: Plan) -> bool {
        if candidate == self.plan || candidate.validate().is_err() || self.is_spent() {
            return false;
        }
        self.runs += 1;
        let shows = self.target.is_met_by(&candidate);
        if shows {
            self.plan = candidate;
        }
        shows
    }

    /// Takes pieces out of a list, half of it first, single items last.
    pub(super) fn thin(
        &mut self,
        length: impl Fn(&Plan) -> usize,
        without: impl Fn(&Plan, Range<usize>) -> Plan,
    ) -> bool {
        let mut any = false;
        let mut piece = length(&self.plan);
        while piece > 0 {
            let mut at = 0;
            while at < length(&self.plan) {
                let end = length(&self.plan).min(at + piece);
                if self.accept(without(&self.plan, at..end)) {
                    any = true;
                } else {
                    at = end;
                }
            }
            piece /= 2;
        }
        any
    }
}
