//! `llmc_stomp_stats`.
//!
//! Owns: how counters are named and added up for those who read them. Promises:
//! the totals are the sums over the classes. Leaves to others: counting.

use std::collections::BTreeMap;

use maasl_core::lease::Counter;
use maasl_core::lease::counter::wait_bucket_limit_us;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Effect, Spec};
use crate::server::arguments::NOTHING;
use crate::server::backend::Backend;
use crate::server::context::Cx;
use crate::server::envelope::Told;

/// The tool.
pub(crate) struct Stats;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arguments {
    /// Accepted and not used: the counters are over the life of the store.
    #[serde(rename = "since")]
    _since: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Body {
    #[serde(flatten)]
    total: CountsBody,
    db_writes: OutcomeBody,
    /// Patches of knowledge graphs that were merged.
    graph_merges: u64,
    docgen_operations: DocgenBody,
    /// Seconds since this server started; the counters are older.
    uptime_seconds: f64,
    /// The same counters for each resource class.
    classes: BTreeMap<String, CountsBody>,
}

/// What is counted.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct CountsBody {
    /// Leases granted.
    lock_acquisitions: u64,
    /// Waits that ended without a grant.
    lock_timeouts: u64,
    /// Leases returned by their holders.
    lock_releases: u64,
    /// Guarded changes that succeeded, and those refused or failed.
    stomp_guard_calls: OutcomeBody,
    /// Stale changes that were refused, merged or rebased instead of
    /// overwriting somebody's work.
    stomps_prevented: u64,
    /// Of these, refused.
    stale_refused: u64,
    /// Of these, merged.
    merged: u64,
    /// Of these, rebased.
    rebased: u64,
    /// Foreign changes met while writing, both contents kept.
    swap_conflicts: u64,
    /// Expired or dead leases taken over.
    takeovers: u64,
    /// Changes refused because their lease was gone.
    fence_rejections: u64,
    /// Leases found gone by their holder otherwise.
    lost_leases: u64,
    /// Requests refused because waiting would have closed a circle.
    deadlocks_refused: u64,
    /// Leases taken away by decision.
    revoked: u64,
    /// Requests answered as before, by their idempotency key.
    replayed: u64,
    /// Changes of dead processes that were finished or undone.
    recovered: u64,
    /// Waits and refusals that observe mode spared; none of them is in the other
    /// counts.
    observed: SparedBody,
    /// How long grants were waited for.
    wait_ms: WaitBody,
}

#[derive(Debug, Default, Serialize, JsonSchema)]
pub(crate) struct SparedBody {
    would_block: u64,
    would_refuse: u64,
}

#[derive(Debug, Default, Serialize, JsonSchema)]
pub(crate) struct OutcomeBody {
    success: u64,
    failed: u64,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct DocgenBody {
    /// Documents written.
    generated: u64,
    /// Documents that were made from their source already.
    noop: u64,
    /// Requests that were refused or failed.
    error: u64,
}

/// Percentiles, in milliseconds; at most a quarter too high.
#[derive(Debug, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct WaitBody {
    p50: f64,
    p90: f64,
    p99: f64,
    max: f64,
}

impl Spec for Stats {
    const NAME: &'static str = "llmc_stomp_stats";
    const TITLE: &'static str = "Show what was prevented";
    const DOC: &'static str = "Counts grants, waits, refusals and prevented overwrites over the \
        life of the store, in total and per resource class.";
    const EFFECT: Effect = Effect::Reads;
    const COMMON: &'static [&'static str] = NOTHING;
    type Arguments = Arguments;
    type Body = Body;

    async fn run<B: Backend>(cx: Cx<B>, _: Arguments) -> Told<Body> {
        let uptime_seconds = cx.started.elapsed().as_secs_f64();
        let counters = cx.ask(B::counters).await;
        counters
            .map(|counters| body(counters, uptime_seconds))
            .into()
    }
}

/// What the tool answers, for the command line; counters by name and class.
pub(crate) fn stats_json(counters: BTreeMap<(String, String), u64>) -> serde_json::Value {
    serde_json::to_value(body(counters, 0.0)).expect("the body is made of texts and numbers")
}

/// The counters of one class, by name.
type Counts = BTreeMap<String, u64>;

fn body(counters: BTreeMap<(String, String), u64>, uptime_seconds: f64) -> Body {
    let mut total = Counts::new();
    let mut classes: BTreeMap<String, Counts> = BTreeMap::new();
    for ((name, class), count) in counters {
        *total.entry(name.clone()).or_default() += count;
        *classes.entry(class).or_default().entry(name).or_default() += count;
    }
    let docgen_operations = DocgenBody::from(&total);
    let classes = classes.iter();
    Body {
        total: CountsBody::from(&total),
        db_writes: OutcomeBody {
            success: count(&total, Counter::DbWritten),
            failed: count(&total, Counter::DbFailed),
        },
        graph_merges: count(&total, Counter::GraphMerged),
        docgen_operations,
        uptime_seconds,
        classes: classes
            .map(|(class, counts)| (class.clone(), CountsBody::from(counts)))
            .collect(),
    }
}

fn count(counts: &Counts, counter: Counter) -> u64 {
    counts.get(&counter.name()).copied().unwrap_or(0)
}

impl From<&Counts> for CountsBody {
    fn from(counts: &Counts) -> Self {
        let of = |counter| count(counts, counter);
        // A conflict met at the swap is counted as refused, too.
        let (refused, merged) = (of(Counter::StaleRefused), of(Counter::Merged));
        let rebased = of(Counter::Rebased);
        Self {
            lock_acquisitions: of(Counter::Acquired),
            lock_timeouts: of(Counter::TimedOut),
            lock_releases: of(Counter::Released),
            stomp_guard_calls: OutcomeBody {
                success: of(Counter::GuardedOk),
                failed: of(Counter::GuardedFailed),
            },
            stomps_prevented: refused + merged + rebased,
            stale_refused: refused,
            merged,
            rebased,
            swap_conflicts: of(Counter::SwapConflicts),
            takeovers: of(Counter::Takeovers),
            fence_rejections: of(Counter::FenceRejections),
            lost_leases: of(Counter::LostLeases),
            deadlocks_refused: of(Counter::DeadlocksRefused),
            revoked: of(Counter::Revoked),
            replayed: of(Counter::Replayed),
            recovered: of(Counter::Recovered),
            observed: SparedBody {
                would_block: of(Counter::WouldBlock),
                would_refuse: of(Counter::WouldRefuse),
            },
            wait_ms: WaitBody::from(counts),
        }
    }
}

impl From<&Counts> for DocgenBody {
    fn from(counts: &Counts) -> Self {
        let of = |counter: Counter| counts.get(&counter.name()).copied().unwrap_or(0);
        Self {
            generated: of(Counter::DocgenGenerated),
            noop: of(Counter::DocgenNoop),
            error: of(Counter::DocgenError),
        }
    }
}

impl From<&Counts> for WaitBody {
    fn from(counts: &Counts) -> Self {
        // Names end in three digits, so their order is that of the buckets.
        let buckets: Vec<(u8, u64)> = counts
            .iter()
            .filter_map(|(name, count)| {
                let bucket = name.strip_prefix("wait_")?.parse().ok()?;
                Some((bucket, *count)).filter(|(_, count)| *count > 0)
            })
            .collect();
        Self {
            p50: percentile(&buckets, 50),
            p90: percentile(&buckets, 90),
            p99: percentile(&buckets, 99),
            max: percentile(&buckets, 100),
        }
    }
}

/// The limit of the bucket below which `percent` of the waits lie.
fn percentile(buckets: &[(u8, u64)], percent: u128) -> f64 {
    let total: u128 = buckets.iter().map(|(_, count)| u128::from(*count)).sum();
    let rank = (total * percent).div_ceil(100);
    let mut seen = 0;
    for (bucket, count) in buckets {
        seen += u128::from(*count);
        if seen >= rank {
            let limit = std::time::Duration::from_micros(wait_bucket_limit_us(*bucket));
            return limit.as_secs_f64() * 1e3;
        }
    }
    0.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use maasl_core::lease::counter::wait_bucket;

    #[test]
    fn percentiles_are_those_of_all_waits() {
        let mut counts = Counts::new();
        for (us, count) in [(0, 90), (1_000, 9), (1_000_000, 1)] {
            counts.insert(Counter::Wait(wait_bucket(us)).name(), count);
        }
        let waits = WaitBody::from(&counts);
        assert_eq!((waits.p50, waits.p90), (0.0, 0.0));
        assert!((1.0..1.3).contains(&waits.p99), "{waits:?}");
        assert!((1_000.0..1_300.0).contains(&waits.max), "{waits:?}");
        assert_eq!(WaitBody::from(&Counts::new()), WaitBody::default());
    }

    #[test]
    fn totals_are_the_sums_over_classes() {
        let entry =
            |class: &str, counter: Counter, count| ((counter.name(), class.to_owned()), count);
        let counters = BTreeMap::from([
            entry("CRIT_CODE", Counter::Acquired, 3),
            entry("CRIT_DB", Counter::Acquired, 4),
            entry("CRIT_CODE", Counter::StaleRefused, 1),
            entry("CRIT_CODE", Counter::SwapConflicts, 1),
            entry("CRIT_CODE", Counter::Merged, 1),
            entry("CRIT_CODE", Counter::Rebased, 1),
        ]);
        let body = body(counters, 1.5);
        assert_eq!(body.total.lock_acquisitions, 7);
        assert_eq!(body.total.stomps_prevented, 3);
        assert_eq!(body.classes["CRIT_DB"].lock_acquisitions, 4);
    }
}
