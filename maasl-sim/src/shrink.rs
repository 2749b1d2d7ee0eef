//! Cutting a failing plan down to what makes it fail.
//!
//! Owns: the order of the cuts and what must stay. Promises: every plan on the
//! way is valid and fails alike; the same plan and budget give the same result;
//! nothing single can be taken out of what is left, if the budget sufficed.
//! Leaves to others: which cuts there are (`units`, `instants`, `points`,
//! `values`) and what is written about the result (`story`).

mod instants;
mod points;
mod scenario;
mod search;
mod story;
mod units;
mod values;

use core::fmt;
use std::time::Duration;

use self::search::Search;
pub use self::story::Story;
use crate::plan::Plan;
use crate::promise::Promise;
use crate::record::Kind;
use crate::world::World;

/// What must stay while a plan is cut down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A promise is broken in this way.
    Breach {
        /// Which.
        promise: Promise,
        /// In which way.
        site: String,
    },
    /// Some agent is told this: for plans that show something rather than fail.
    Answer(String),
}

/// How much may be spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Runs.
    pub runs_max: u64,
    /// Wall time.
    pub time_max: Duration,
}

/// A plan cut down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shrunk {
    /// What is left.
    pub plan: Plan,
    /// How many runs it took.
    pub runs: u64,
    /// Calls and faults before and after.
    pub events: [usize; 2],
    /// Whether no single cut is possible any more.
    pub is_minimal: bool,
}

/// The plan does not do what should stay.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("running the plan does not show: {0}")]
pub struct NotMet(pub Target);

/// Cuts a plan down.
pub fn shrink(plan: &Plan, target: &Target, budget: Budget) -> Result<Shrunk, NotMet> {
    if !target.is_met_by(plan) {
        return Err(NotMet(target.clone()));
    }
    let mut search = Search::new(plan.clone(), target, budget);
    loop {
        let mut cut = instants::cut(&mut search);
        cut |= units::cut(&mut search);
        cut |= points::cut(&mut search);
        cut |= values::cut(&mut search);
        if !cut || search.is_spent() {
            break;
        }
    }
    let is_minimal = !search.is_spent();
    Ok(Shrunk {
        events: [events(plan), events(&search.plan)],
        runs: search.runs,
        plan: search.plan,
        is_minimal,
    })
}

/// How many calls and faults a plan has.
#[must_use]
pub fn events(plan: &Plan) -> usize {
    let calls = plan.agents.iter().map(|agent| agent.calls.len());
    calls.sum::<usize>() + plan.faults.len()
}

impl Target {
    /// What a plan fails with, if it fails.
    #[must_use]
    pub fn of(plan: &Plan) -> Option<Self> {
        let breach = World::new(plan, false).run().breach?;
        let (promise, site) = breach.fingerprint();
        Some(Self::Breach {
            promise,
            site: site.to_owned(),
        })
    }

    fn is_met_by(&self, plan: &Plan) -> bool {
        match self {
            Self::Breach { .. } => Self::of(plan).as_ref() == Some(self),
            Self::Answer(code) => {
                let kept = World::new(plan, true).run().kept;
                let mut answers = kept.iter().filter(|record| record.kind == Kind::Answer);
                answers.any(|answer| answer.label == code)
            }
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Breach { promise, site } => write!(f, "{promise} is broken ({site})"),
            Self::Answer(code) => write!(f, "some agent is told {code}"),
        }
    }
}
