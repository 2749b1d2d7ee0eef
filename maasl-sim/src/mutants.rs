//! Testing the tester: planted bugs, and how soon a judge reports each.
//!
//! Owns: the hunt for a planted bug. Promises: the same seeds try the same plans,
//! whichever bug is awake, so what is reported is the bug's doing. Leaves to
//! others: the bugs (`maasl_core::mutant`), the plans (`trials`), the table
//! (`cli::mutants`).

pub mod cutting;
pub mod trials;

use std::collections::BTreeMap;

use maasl_core::mutant::{Mutant, plant};

use crate::campaign::run_caught;
use crate::checks::Breach;
use crate::promise::Promise;

/// Seeds between two starting points: no hunt is as long.
const APART: u64 = 1 << 32;

/// How a bug was noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Noticed {
    /// A judge reported this promise.
    Promise(Promise),
    /// The core noticed by itself that something cannot be, and panicked.
    Panic,
}

/// Where to look, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Hunt {
    /// Starting points.
    pub starts: u64,
    /// Seeds that are tried from each, at most.
    pub seeds_max: u64,
}

/// What a hunt came to.
#[derive(Clone, Debug, Default)]
pub struct Catch {
    /// Seeds needed from each starting point from which it was noticed, in order
    /// of size.
    pub needed: Vec<u64>,
    /// From how many starting points it was noticed how first.
    pub noticed: BTreeMap<Noticed, u64>,
    /// The sites that were reported, with the trial that showed each first.
    pub sites: BTreeMap<String, &'static str>,
    /// Plans that were run.
    pub runs: u64,
}

impl Catch {
    /// The seeds needed in so many of a thousand cases.
    #[must_use]
    pub fn needed_permille(&self, permille: usize) -> Option<u64> {
        let last = self.needed.len().checked_sub(1)?;
        self.needed.get((last * permille).div_ceil(1000)).copied()
    }
}

impl Hunt {
    /// Hunts for one bug, or for a false alarm where none is planted.
    #[must_use]
    pub fn run(self, mutant: Option<Mutant>) -> Catch {
        plant(mutant);
        let mut caught = Catch::default();
        for start in 0..self.starts {
            for number in 0..self.seeds_max {
                caught.runs += 1;
                let Some((noticed, site, trial)) = try_seed(start * APART + number) else {
                    continue;
                };
                caught.needed.push(number + 1);
                *caught.noticed.entry(noticed).or_default() += 1;
                caught.sites.entry(site).or_insert(trial);
                break;
            }
        }
        plant(None);
        caught.needed.sort_unstable();
        caught
    }
}

/// Runs the plan of a seed; what was noticed, at which site, in which trial.
fn try_seed(seed: u64) -> Option<(Noticed, String, &'static str)> {
    let (trial, plan) = trials::of_seed(seed);
    match run_caught(&plan, false).map(|finished| finished.breach) {
        Ok(None) => None,
        Ok(Some(Breach { promise, site, .. })) => {
            Some((Noticed::Promise(promise), site.to_owned(), trial))
        }
        Err(_) => Some((Noticed::Panic, "panic".to_owned(), trial)),
    }
}
