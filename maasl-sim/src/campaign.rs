//! Many seeds of one scenario.
//!
//! Owns: spreading seeds over threads, and what they come to together.
//! Promises: the result depends on the scenario and the seeds alone, not on how
//! many threads there were or which was quicker; a run that panics is a failure
//! like any other. Leaves to others: making plans (`draw`) and showing results
//! (`report`).

pub mod report;

use std::collections::BTreeSet;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use sha2::{Digest as _, Sha256};

use crate::checks::Breach;
use crate::plan::Plan;
use crate::scenario::Expect;
use crate::world::{Finished, World};

/// What a campaign is about.
#[derive(Clone, Debug)]
pub struct Campaign {
    /// The scenario's name.
    pub scenario: String,
    /// What was given on the command line for it.
    pub file: String,
    /// Whether that is a plan, which leaves nothing to a seed.
    pub is_plan: bool,
    /// The seeds, the last one not included.
    pub seeds: Range<u64>,
    /// Which part of the seeds this process takes: the nth of so many.
    pub shard: (u64, u64),
    /// On how many threads.
    pub jobs: usize,
    /// When no further seed is begun.
    pub until: Option<Instant>,
    /// What must come of every run, and what of some.
    pub expect: Expect,
}

/// A seed that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// How.
    pub how: How,
}

/// How a seed failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum How {
    /// A promise was broken.
    Broken(Breach),
    /// All promises held, and what was expected did not come.
    Missed(String),
    /// The code under test, or the simulator, panicked.
    Panicked(String),
}

/// What the seeds of a campaign came to.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// How many seeds ran.
    pub runs: u64,
    /// Those that failed, by seed.
    pub failures: Vec<Failure>,
    /// Over the digests of all seeds that ran, in their order.
    pub digest: [u8; 32],
    /// Records of all runs.
    pub records: u64,
    /// Core steps of all runs.
    pub core_steps: u64,
    /// Time that passed in all worlds.
    pub simulated_ms: u64,
    /// Points that some seed reached.
    pub reached: BTreeSet<&'static str>,
    /// Points that none reached and some should have.
    pub missed: Vec<String>,
    /// Real time, in microseconds.
    pub took_us: u64,
}

impl Summary {
    /// Whether nothing failed and every point was reached.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.failures.is_empty() && self.missed.is_empty()
    }
}

/// What is kept of one run.
struct Kept {
    seed: u64,
    digest: [u8; 32],
    records: u64,
    core_steps: u64,
    elapsed_ms: u64,
    reached: BTreeSet<&'static str>,
    failure: Option<How>,
}

impl Campaign {
    /// Runs every seed; `plan_of` makes its plan, `progress` is told how many
    /// have run so far.
    pub fn run(
        &self,
        plan_of: &(impl Fn(u64) -> Plan + Sync),
        progress: &(impl Fn(u64) + Sync),
    ) -> Summary {
        let started = Instant::now();
        let (part, parts) = self.shard;
        let mine: Vec<u64> = self
            .seeds
            .clone()
            .filter(|seed| seed % parts == part)
            .collect();
        let (next, done) = (AtomicU64::new(0), AtomicU64::new(0));
        let kept = Mutex::new(Vec::with_capacity(mine.len()));
        let work = || {
            let mut own = Vec::new();
            while !self.is_over() {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let seed = usize::try_from(index)
                    .ok()
                    .and_then(|index| mine.get(index));
                let Some(seed) = seed else { break };
                own.push(self.run_one(*seed, plan_of));
                progress(done.fetch_add(1, Ordering::Relaxed) + 1);
            }
            let mut kept = kept.lock().expect("no thread panics while it holds this");
            kept.extend(own);
        };
        std::thread::scope(|scope| {
            for _ in 0..self.jobs.max(1) {
                scope.spawn(work);
            }
        });
        let kept = kept.into_inner().expect("the threads have ended");
        let mut summary = sum_up(kept);
        let missed = self.expect.never_reached(&summary.reached);
        summary.missed = missed.into_iter().map(str::to_owned).collect();
        summary.took_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        summary
    }

    fn is_over(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() >= until)
    }

    fn run_one(&self, seed: u64, plan_of: &impl Fn(u64) -> Plan) -> Kept {
        match run_caught(&plan_of(seed), false) {
            Ok(finished) => Kept {
                seed,
                failure: self.failure_of(&finished),
                digest: finished.digest,
                records: finished.records,
                core_steps: finished.core_steps,
                elapsed_ms: finished.elapsed_ms,
                reached: finished.reached,
            },
            Err(message) => Kept {
                seed,
                digest: [0; 32],
                records: 0,
                core_steps: 0,
                elapsed_ms: 0,
                reached: BTreeSet::new(),
                failure: Some(How::Panicked(message)),
            },
        }
    }

    fn failure_of(&self, finished: &Finished) -> Option<How> {
        let missed = self.expect.missed(finished);
        if missed.is_empty() {
            return None;
        }
        let breach = finished.breach.clone().map(How::Broken);
        Some(breach.unwrap_or_else(|| How::Missed(missed.join("; "))))
    }
}

/// Runs a plan; what a panic said, if there was one.
pub fn run_caught(plan: &Plan, keep_records: bool) -> Result<Finished, String> {
    let run = AssertUnwindSafe(|| World::new(plan, keep_records).run());
    catch_unwind(run).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        text.unwrap_or_else(|| "a panic without words".into())
    })
}

fn sum_up(mut kept: Vec<Kept>) -> Summary {
    kept.sort_by_key(|one| one.seed);
    let mut hash = Sha256::new();
    let mut summary = Summary::default();
    for one in kept {
        hash.update(one.seed.to_be_bytes());
        hash.update(one.digest);
        summary.runs += 1;
        summary.records += one.records;
        summary.core_steps += one.core_steps;
        summary.simulated_ms += one.elapsed_ms;
        summary.reached.extend(one.reached);
        if let Some(how) = one.failure {
            let seed = one.seed;
            summary.failures.push(Failure { seed, how });
        }
    }
    summary.digest = hash.finalize().into();
    summary
}
