//! Plans that give planted bugs their chance.
//!
//! Owns: a plan for each kind of trouble, and how a seed varies it. Promises: a
//! seed gives one plan; half of them are as they were written, the others differ
//! in when things happen and how long they take, never in what they ask for.
//! Leaves to others: running them.

use std::sync::LazyLock;

use crate::plan::{Plan, Side, When};
use crate::rng::Stream;

macro_rules! trials {
    ($($name:literal,)+) => {
        /// The plans as they were written, by name.
        const WRITTEN: &[(&str, &str)] = &[
            $(($name, include_str!(concat!("../../tests/plans/", $name, ".toml"))),)+
        ];
    };
}

trials! {
    "paused-before-the-latch",
    "paused-before-the-latch-alone",
    "paused-inside-the-latch",
    "revoked-while-paused",
    "killed-in-a-refactoring",
    "killed-and-restarted",
    "killed-after-the-swap",
    "power-cut-in-a-refactoring",
    "power-cut-after-the-answer",
    "an-older-copy",
    "a-holder-dies",
    "sets-that-overlap",
    "readers-and-a-writer",
    "a-folder-and-a-file-in-it",
    "a-request-arrives-twice",
    "the-lock-delay",
    "a-boot-under-a-holder",
    "the-last-instant",
    "renewed-too-late",
    "returned-too-late",
    "two-agents-of-one-process",
    "clocks-far-apart",
    "a-stale-write",
    "a-merge",
    "an-editor-saves-at-the-swap",
    "an-editor-saves-in-a-refactoring",
    "brought-back",
    "a-lost-answer",
    "a-move-sent-twice",
    "three-waiters",
    "a-waiter-dies",
    "a-circle",
    "a-late-reply",
    "a-database-writer-stands-still",
    "a-database-answer-is-lost",
    "a-database-writer-dies",
    "two-ask-for-one-document",
    "a-source-moves-while-it-is-described",
    "a-source-moves-before-the-commit",
    "two-sources-with-one-flat-name",
    "a-document-that-two-may-claim",
    "a-document-maker-dies",
    "a-transaction-dies-before-its-rows",
    "a-transaction-dies-after-its-rows",
    "a-transaction-cannot-commit",
    "patches-that-cross",
    "the-wall-clock-goes-back",
    "a-checkpoint-of-removals",
    "a-patch-answer-is-lost",
    "a-power-cut-after-a-patch",
    "a-transaction-of-everything-dies",
    "a-transaction-of-everything-cannot-commit",
    "a-power-cut-after-a-transaction",
    "an-editor-saves-beside-committed-rows",
    "a-move-is-moved-back",
    "a-move-of-what-changed",
    "a-moved-file-is-replaced",
    "a-forbidden-file",
    "a-commit-comes-back",
    "a-holder-dies-and-nobody-waits",
}

static PLANS: LazyLock<Vec<(&'static str, Plan)>> = LazyLock::new(|| {
    let plans = WRITTEN.iter().map(|(name, text)| {
        let plan = toml::from_str(text);
        (*name, plan.expect("the plans are tested"))
    });
    plans.collect()
});

/// The plans as they were written.
#[must_use]
pub fn all() -> &'static [(&'static str, Plan)] {
    &PLANS
}

/// The plan of a seed, and its name.
#[must_use]
pub fn of_seed(seed: u64) -> (&'static str, Plan) {
    let plans = all();
    let mut draw = Stream::of(seed, &["trial"]);
    let at = usize::try_from(draw.below(plans.len() as u64)).expect("a place in a list");
    let (name, plan) = &plans[at];
    let mut plan = plan.clone();
    plan.seed = seed;
    if draw.permille(500) {
        vary(&mut plan, &mut draw);
    }
    (name, plan)
}

fn vary(plan: &mut Plan, draw: &mut Stream) {
    let timing = &mut plan.timing;
    for table in [
        &mut timing.client_us,
        &mut timing.store_us,
        &mut timing.transaction_us,
        &mut timing.effect_us,
        &mut timing.sync_us,
        &mut timing.bell_us,
    ] {
        let usual = table[0];
        *table = (0..8).map(|_| usual / 2 + draw.below(usual + 50)).collect();
    }
    for call in plan.agents.iter_mut().flat_map(|agent| &mut agent.calls) {
        call.at_ms = later(call.at_ms, draw);
    }
    for fault in &mut plan.faults {
        match &mut fault.when {
            When::At { at_ms } => *at_ms = later(*at_ms, draw),
            When::Point(point) if draw.permille(400) => {
                point.nth = u32::try_from(1 + draw.below(4)).expect("a small number");
                let sides = [Side::Before, Side::Inside, Side::After];
                let at = usize::try_from(draw.below(3)).expect("a place in a list");
                point.side = sides[at];
            }
            When::Point(_) => {}
        }
    }
}

/// An instant up to a tenth later.
fn later(at_ms: u64, draw: &mut Stream) -> u64 {
    at_ms + draw.below(at_ms / 10 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_written_plan_can_be_run_and_is_named_by_its_file() {
        for (name, text) in WRITTEN {
            let plan: Plan = toml::from_str(text).unwrap();
            assert_eq!(plan.validate(), Ok(()), "{name}");
            assert_eq!(plan.scenario, *name);
        }
    }

    #[test]
    fn every_varied_plan_can_be_run() {
        for seed in 0..500 {
            let (name, plan) = of_seed(seed);
            assert_eq!(plan.validate(), Ok(()), "{name} {seed}");
            assert_eq!(of_seed(seed).1, plan);
        }
    }
}
