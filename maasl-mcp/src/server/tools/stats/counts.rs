//! What the counters say, by the names results have for them.
//!
//! Owns: which counter is which member of a result, and percentiles of waits.
//! Promises: what nobody has counted yet is 0. Leaves to others: which counters
//! are added up (the tool), and counting (the core).

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use maasl_core::lease::Counter;
use maasl_core::lease::counter::{wait_bucket_limit_us, wait_bucket_named};
use schemars::JsonSchema;
use serde::Serialize;

/// Waits longer than eleven days are shown as such.
const LONGEST_WAIT_US: u64 = 1_000_000_000_000;

/// The counters of one group, by name.
pub(super) type Counts = BTreeMap<String, u64>;

/// The value of one counter.
pub(super) fn count(counts: &Counts, counter: Counter) -> u64 {
    counts.get(&counter.name()).copied().unwrap_or(0)
}

/// What is counted.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct CountsBody {
    /// Leases granted.
    pub(super) lock_acquisitions: u64,
    /// Waits that ended without a grant.
    lock_timeouts: u64,
    /// Leases returned by their holders.
    lock_releases: u64,
    /// Guarded changes that succeeded, and those refused or failed.
    stomp_guard_calls: OutcomeBody,
    /// Stale changes that were refused, merged or rebased instead of
    /// overwriting somebody's work.
    pub(super) stomps_prevented: u64,
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
    pub(super) success: u64,
    pub(super) failed: u64,
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
    pub(super) p50: f64,
    pub(super) p90: f64,
    pub(super) p99: f64,
    pub(super) max: f64,
}

/// What is counted for one agent.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct AgentBody {
    /// Leases granted.
    lock_acquisitions: u64,
    /// Waits that ended without a grant.
    lock_timeouts: u64,
    /// Guarded changes that succeeded, and those refused or failed.
    stomp_guard_calls: OutcomeBody,
    /// Its stale changes that were refused, merged or rebased.
    stomps_prevented: u64,
    /// Leases it had lost when it came back to them.
    leases_lost: u64,
    /// How long its grants were waited for.
    wait_ms: WaitBody,
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
        let of = |counter| count(counts, counter);
        Self {
            generated: of(Counter::DocgenGenerated),
            noop: of(Counter::DocgenNoop),
            error: of(Counter::DocgenError),
        }
    }
}

impl From<&Counts> for AgentBody {
    fn from(counts: &Counts) -> Self {
        let all = CountsBody::from(counts);
        Self {
            lock_acquisitions: all.lock_acquisitions,
            lock_timeouts: all.lock_timeouts,
            stomp_guard_calls: all.stomp_guard_calls,
            stomps_prevented: all.stomps_prevented,
            leases_lost: all.fence_rejections + all.lost_leases,
            wait_ms: all.wait_ms,
        }
    }
}

impl From<&Counts> for WaitBody {
    fn from(counts: &Counts) -> Self {
        // Two digits are finer than the buckets that the counters keep.
        let waits = Histogram::<u64>::new_with_bounds(1, LONGEST_WAIT_US, 2);
        let mut waits = waits.expect("the bounds are in order and the digits few");
        for (name, count) in counts {
            if let Some(bucket) = wait_bucket_named(name) {
                waits.saturating_record_n(wait_bucket_limit_us(bucket), *count);
            }
        }
        let ms = |quantile| {
            let us = waits.value_at_quantile(quantile);
            Duration::from_micros(us).as_secs_f64() * 1e3
        };
        Self {
            p50: ms(0.5),
            p90: ms(0.9),
            p99: ms(0.99),
            max: ms(1.0),
        }
    }
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
}
