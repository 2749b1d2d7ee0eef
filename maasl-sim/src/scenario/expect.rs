//! What must come of a scenario.
//!
//! Owns: the expectation and judging a run by it. Promises: says what was missed
//! in words. Leaves to others: whether a promise was broken (`checks`).

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::promise::Promise;
use crate::world::Finished;

/// What must come of a scenario.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Expect {
    /// What every run comes to.
    pub verdict: Verdict,
    /// What must happen in some run of a campaign, by the names observers count.
    pub sometimes: Vec<String>,
    /// How many calls must succeed in every run, at least.
    pub successful_calls_min: u64,
}

/// What every run comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// All promises hold.
    #[default]
    Held,
    /// This promise is broken.
    Broken(Promise),
}

impl Expect {
    /// What a run missed of what was expected of every run.
    #[must_use]
    pub fn missed(&self, finished: &Finished) -> Vec<String> {
        let mut missed = Vec::new();
        let broken = finished.breach.as_ref().map(|breach| breach.promise);
        match (self.verdict, broken) {
            (Verdict::Held, Some(promise)) => {
                missed.push(format!(
                    "all promises were to hold, and {promise} was broken"
                ));
            }
            (Verdict::Broken(expected), None) => {
                missed.push(format!(
                    "{expected} was to be broken, and all promises held"
                ));
            }
            (Verdict::Broken(expected), Some(promise)) if promise != expected => {
                missed.push(format!(
                    "{expected} was to be broken, and {promise} was broken instead"
                ));
            }
            _ => {}
        }
        if broken.is_none() && !finished.ended {
            missed.push("everything was to come to its end, and time was up before".into());
        }
        // A breach ends a run before its calls are through.
        let least = self.successful_calls_min;
        if broken.is_none() && finished.successful_calls < least {
            missed.push(format!(
                "at least {least} calls were to succeed, and {} did",
                finished.successful_calls
            ));
        }
        missed
    }

    /// What was to happen in some run and happened in none.
    #[must_use]
    pub fn never_reached(&self, reached: &BTreeSet<&str>) -> Vec<&str> {
        let names = self.sometimes.iter().map(String::as_str);
        names.filter(|name| !reached.contains(name)).collect()
    }
}
