//! Counters that survive restarts.
//!
//! Owns: the names of what is counted. Promises: what the table decides is counted
//! in the same transaction, so that none is lost or counted twice; what a call comes
//! to, by the call, once. Leaves to others: how they are shown.

use alloc::string::String;
use alloc::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::id::AgentId;

/// What is counted, per resource class, agent and hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Counter {
    /// Leases granted.
    Acquired,
    /// Waits that ended without a grant.
    TimedOut,
    /// Leases returned by their holders.
    Released,
    /// Expired or dead leases taken over.
    Takeovers,
    /// Commits refused because their lease was gone.
    FenceRejections,
    /// Leases found gone by their holder outside a commit.
    LostLeases,
    /// Requests refused because waiting would have closed a circle.
    DeadlocksRefused,
    /// Leases revoked.
    Revoked,
    /// Writes refused because the file had changed.
    StaleRefused,
    /// Edits applied to content newer than their author had seen.
    Rebased,
    /// Writes merged with a concurrent change.
    Merged,
    /// Commits that found a foreign change at the swap and kept both.
    SwapConflicts,
    /// Guarded changes that succeeded.
    GuardedOk,
    /// Guarded changes that were refused or failed.
    GuardedFailed,
    /// Patches of graphs that were appended.
    GraphMerged,
    /// Guarded writes of databases that were committed.
    DbWritten,
    /// Guarded writes of databases that were refused or failed.
    DbFailed,
    /// Requests answered from the record of an earlier one.
    Replayed,
    /// Commits finished by somebody else after their process died.
    Recovered,
    /// Documents written.
    DocgenGenerated,
    /// Documents that were made from their source already.
    DocgenNoop,
    /// Requests for a document that were refused or failed.
    DocgenError,
    /// Waits that observe mode spared.
    WouldBlock,
    /// Refusals that observe mode spared.
    WouldRefuse,
    /// Waits for a grant that took this long: bucket of `wait_bucket`.
    Wait(u8),
}

impl Counter {
    /// The name under which the counter is stored.
    #[must_use]
    pub fn name(self) -> String {
        use alloc::format;
        match self {
            Self::Wait(bucket) => format!("wait_{bucket:03}"),
            Self::Acquired => "acquired".into(),
            Self::TimedOut => "timed_out".into(),
            Self::Released => "released".into(),
            Self::Takeovers => "takeovers".into(),
            Self::FenceRejections => "fence_rejections".into(),
            Self::LostLeases => "lost_leases".into(),
            Self::DeadlocksRefused => "deadlocks_refused".into(),
            Self::Revoked => "revoked".into(),
            Self::StaleRefused => "stale_refused".into(),
            Self::Rebased => "rebased".into(),
            Self::Merged => "merged".into(),
            Self::SwapConflicts => "swap_conflicts".into(),
            Self::GuardedOk => "guarded_ok".into(),
            Self::GuardedFailed => "guarded_failed".into(),
            Self::GraphMerged => "graph_merged".into(),
            Self::DbWritten => "db_written".into(),
            Self::DbFailed => "db_failed".into(),
            Self::Replayed => "replayed".into(),
            Self::Recovered => "recovered".into(),
            Self::DocgenGenerated => "docgen_generated".into(),
            Self::DocgenNoop => "docgen_noop".into(),
            Self::DocgenError => "docgen_error".into(),
            Self::WouldBlock => "would_block".into(),
            Self::WouldRefuse => "would_refuse".into(),
        }
    }
}

/// The bucket whose waits are stored under this name, if it is a bucket's.
#[must_use]
pub fn wait_bucket_named(name: &str) -> Option<u8> {
    name.strip_prefix("wait_")?.parse().ok()
}

/// One addition to a counter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// Which counter.
    pub counter: Counter,
    /// For which resource class.
    pub class: Arc<str>,
    /// For which agent.
    pub agent: AgentId,
    /// How much.
    pub by: u64,
}

impl Count {
    /// One more of `counter` for `class` and `agent`.
    #[must_use]
    pub fn one(counter: Counter, class: impl Into<Arc<str>>, agent: &AgentId) -> Self {
        Self {
            counter,
            class: class.into(),
            agent: agent.clone(),
            by: 1,
        }
    }
}

/// What one counter counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CounterKey {
    /// In which hour since 1970, by the wall clock; 0: at some time, see
    /// [`HOURS_KEPT`].
    pub hour: u64,
    /// Which counter.
    pub counter: Counter,
    /// For which resource class.
    pub class: Arc<str>,
    /// For which agent.
    pub agent: AgentId,
}

/// For how many hours counters are kept by hour and agent. Older ones are added
/// up under hour 0 and no agent, so that a store does not grow with its age.
pub const HOURS_KEPT: u64 = 7 * 24;

/// Milliseconds of an hour.
pub const HOUR_MS: u64 = 3_600_000;

/// The bucket of a wait of `us` microseconds: four per power of two, so a
/// percentile read back is at most a quarter too high.
#[must_use]
pub fn wait_bucket(us: u64) -> u8 {
    if us < 4 {
        return u8::try_from(us).expect("less than four");
    }
    let power = us.ilog2();
    let quarter = (us >> (power - 2)) & 3;
    u8::try_from(u64::from(power - 1) * 4 + quarter).expect("at most 62 * 4 + 3")
}

/// The longest wait, in microseconds, that falls into `bucket`.
#[must_use]
pub fn wait_bucket_limit_us(bucket: u8) -> u64 {
    if bucket < 4 {
        return u64::from(bucket);
    }
    let (power, quarter) = (u32::from(bucket) / 4 + 1, u64::from(bucket) % 4);
    let step = 1_u64 << (power - 2);
    (1_u64 << power)
        .saturating_add((quarter + 1).saturating_mul(step))
        .saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_its_limit_and_not_the_next_wait() {
        for us in [0, 1, 3, 4, 5, 7, 8, 100, 999, 1_000_000, u64::MAX / 2] {
            let bucket = wait_bucket(us);
            let limit = wait_bucket_limit_us(bucket);
            assert!(
                limit >= us && limit - us <= us / 4,
                "{us}: {bucket} {limit}"
            );
            assert_eq!(wait_bucket(limit), bucket);
            assert_eq!(wait_bucket(limit + 1), bucket + 1);
        }
    }
}
