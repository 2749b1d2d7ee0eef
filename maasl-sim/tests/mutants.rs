//! The judges, judged: every planted bug is reported, and nothing else is.
//!
//! Owns: a short hunt for each planted bug. Promises: fails if a bug goes
//! unnoticed from any starting point, or is noticed where none is. Leaves to
//! others: how soon (`maasl-sim mutants`).
//!
//! One test and not one for each, since a bug is planted in the whole process.

use maasl_core::mutant::Mutant;
use maasl_sim::mutants::{Hunt, Noticed};
use maasl_sim::promise::Promise;

const HUNT: Hunt = Hunt {
    starts: 2,
    seeds_max: 900,
};

#[test]
fn every_planted_bug_is_reported_and_nothing_else() {
    let clean = HUNT.run(None);
    assert!(clean.needed.is_empty(), "{:?}", clean.sites);
    assert_eq!(clean.runs, HUNT.starts * HUNT.seeds_max);
    let mut promises: Vec<Promise> = Vec::new();
    for mutant in Mutant::ALL {
        let caught = HUNT.run(Some(*mutant));
        assert_eq!(
            caught.needed.len() as u64,
            HUNT.starts,
            "{} was reported only {:?}",
            mutant.name(),
            caught.sites
        );
        promises.extend(caught.noticed.keys().filter_map(|noticed| match noticed {
            Noticed::Promise(promise) => Some(*promise),
            Noticed::Panic => None,
        }));
    }
    promises.sort_unstable();
    promises.dedup();
    assert_eq!(promises, Promise::ALL, "each judge reports some bug");
}
