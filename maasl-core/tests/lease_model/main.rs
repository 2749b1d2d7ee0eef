//! The lease table against a small reference, over sequences nobody chose.
//!
//! Owns: which steps are tried. Promises: I1, I2, I3 and I7 at the level of the
//! table, sets granted whole, no lost wake-up, no standing circle. Leaves to
//! others: single cases by name (`lease_table`), and latches and files at every
//! instant (`latch_rule`).

mod reference;
mod words;
mod world;

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence, RngAlgorithm, TestRng, TestRunner};

use reference::{Ask, Need, Path};
use world::{World, pick};

#[derive(Clone, Debug)]
enum Step {
    Request(u32, Box<Ask>),
    Look(usize, bool, bool),
    Again(usize),
    Cancel(usize),
    Renew(usize),
    Release(usize),
    Begin(u32, usize, Path, bool),
    Finish(usize),
    FinishAgain(u32),
    Revoke(Need),
    Tick(u64),
    Back(u64),
    Kill(u32),
    Close(u32),
    Sweep,
    Reboot,
}

fn path() -> impl Strategy<Value = Path> {
    let paths: [&[&str]; 6] = [&["a"], &["a", "b"], &["a", "b", "c"], &["a-b"], &["d"], &[]];
    let weights = [3, 3, 2, 2, 3, 1];
    let each = |(path, weight): (&[&'static str], u32)| (weight, Just(path.to_vec()));
    proptest::strategy::Union::new_weighted(paths.into_iter().zip(weights).map(each).collect())
}

fn need() -> impl Strategy<Value = Need> {
    (path(), prop::bool::weighted(0.3), prop::bool::weighted(0.7))
        .prop_map(|(path, deep, alone)| Need { path, deep, alone })
}

/// Sorted by key, one for each, as the table is promised.
fn needs() -> impl Strategy<Value = Vec<Need>> {
    vec(need(), 1..4).prop_map(|needs| {
        let by_key = |need: Need| (format!("code:{}", need.path.join("/")), need);
        let set: BTreeMap<String, Need> = needs.into_iter().map(by_key).collect();
        set.into_values().collect()
    })
}

fn ask() -> impl Strategy<Value = Ask> {
    let ttl = prop_oneof![Just(10_u64), Just(50), Just(400)];
    let delay = prop_oneof![2 => Just(0_u64), 1 => Just(5), 1 => Just(60)];
    let wait = prop_oneof![1 => Just(0_u64), 1 => Just(30), 4 => Just(500)];
    let kept = prop::bool::weighted(0.6);
    (needs(), kept, any::<bool>(), ttl, delay, wait).prop_map(
        |(needs, kept, patient, ttl, delay, wait)| Ask {
            id: 0,
            who: (0, 0),
            needs,
            kept,
            patient,
            ttl,
            delay,
            wait,
            ticket: None,
            dead: BTreeSet::new(),
            latched: BTreeSet::new(),
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let n = || 0_usize..32;
    prop_oneof![
        24 => (0_u32..6, ask()).prop_map(|(n, ask)| Step::Request(n, Box::new(ask))),
        18 => (n(), prop::bool::weighted(0.8), any::<bool>()).prop_map(|(n, r, d)| Step::Look(n, r, d)),
        4 => n().prop_map(Step::Again),
        4 => n().prop_map(Step::Cancel),
        3 => n().prop_map(Step::Renew),
        12 => n().prop_map(Step::Release),
        8 => (0_u32..6, n(), path(), any::<bool>()).prop_map(|(p, n, path, r)| Step::Begin(p, n, path, r)),
        5 => n().prop_map(Step::Finish),
        1 => (0_u32..9).prop_map(Step::FinishAgain),
        1 => need().prop_map(Step::Revoke),
        6 => (1_u64..40).prop_map(Step::Tick),
        1 => (100_u64..500).prop_map(Step::Tick),
        1 => (1_u64..20).prop_map(Step::Back),
        2 => (0_u32..3).prop_map(Step::Kill),
        1 => (0_u32..3).prop_map(Step::Close),
        2 => Just(Step::Sweep),
        1 => Just(Step::Reboot),
    ]
}

fn take(world: &mut World, step: Step) {
    match step {
        Step::Request(n, ask) => world.request(n, *ask),
        Step::Look(n, rung, all_dead) => world.look(n, rung, all_dead),
        Step::Again(n) => {
            if let Some(ask) = pick(&world.sent, n).cloned() {
                world.ask(ask);
            }
        }
        Step::Cancel(n) => {
            let waiting: Vec<u64> = world.table.waiters.iter().map(|w| w.no).collect();
            let no = pick(&waiting, n).copied().unwrap_or(n as u64);
            world.cancel(no);
        }
        Step::Renew(n) | Step::Release(n) => {
            // Mostly of those that are held, sometimes of any there ever was.
            let held: Vec<u32> = world.table.grants.iter().map(|g| g.id).collect();
            let any: Vec<u32> = world.sent.iter().map(|ask| ask.id).collect();
            let id = pick(if n % 5 == 0 { &any } else { &held }, n).copied();
            match (id, step) {
                (Some(id), Step::Renew(_)) => world.renew(id),
                (Some(id), _) => world.release(id),
                (None, _) => {}
            }
        }
        Step::Begin(n, lease, path, release) => world.begin(n, lease, &path, release),
        Step::Finish(n) => world.finish_any(n),
        Step::FinishAgain(op) => {
            if world.table.open.iter().all(|open| open.op != op) {
                world.finish(op, None);
            }
        }
        Step::Revoke(need) => world.revoke(&need),
        Step::Tick(ms) => world.tick(ms),
        Step::Back(ms) => world.table.now = world.table.now.saturating_sub(ms),
        Step::Kill(slot) => world.kill(slot),
        Step::Close(slot) => world.close(slot),
        Step::Sweep => world.sweep(),
        Step::Reboot => world.reboot(),
    }
    world.check();
}

#[test]
fn the_table_answers_as_the_reference_does() {
    let asked = cases();
    let config = Config {
        cases: asked.unwrap_or(1000),
        failure_persistence: Some(Box::new(FileFailurePersistence::Off)),
        max_shrink_iters: 20_000,
        ..Config::default()
    };
    let mut seen = BTreeMap::<&str, u32>::new();
    let met = std::cell::RefCell::new(&mut seen);
    let run = |steps: Vec<Step>| {
        let mut world = World::open();
        for step in steps {
            take(&mut world, step);
        }
        for (what, times) in &world.seen {
            *met.borrow_mut().entry(what).or_default() += times;
        }
        Ok(())
    };
    let mut runner = if asked.is_some() {
        TestRunner::new(config)
    } else {
        let same = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
        TestRunner::new_with_rng(config, same)
    };
    runner.run(&vec(step(), 1..80), run).unwrap();
    for what in [
        "granted",
        "granted again",
        "queued",
        "busy",
        "deadlock",
        "limit",
        "lost",
        "latches",
        "recovery",
        "released",
        "revoked",
        "begun",
        "finished",
        "reboot",
    ] {
        assert!(
            seen.get(what).is_some_and(|times| *times > 10),
            "{what} hardly ever: {seen:?}"
        );
    }
}

/// How many sequences to try, if that was said: `MAASL_MODEL_CASES=20000` tries
/// other ones each time. Without it, a run tries the same as the last.
fn cases() -> Option<u32> {
    std::env::var("MAASL_MODEL_CASES").ok()?.parse().ok()
}
