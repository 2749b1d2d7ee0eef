//! What the demonstration found.
//!
//! Owns: the figures of both halves and what they mean. Promises: the verdict
//! fails if the guarded half lost, tore, doubled or broke anything, or did
//! nothing. Leaves to others: how it looks (`render`).

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use serde::Serialize;
use serde_json::Value;

use super::account::{Account, Tally};
use super::journal::Log;
use super::nemesis::Faults;

/// The result of both halves.
#[derive(Debug, Serialize)]
pub struct Verdict {
    /// Whose copy was worked on.
    pub repository: PathBuf,
    /// How many agents worked at once.
    pub agents: usize,
    /// How long each half took.
    pub seconds: u64,
    /// The seed of workload and faults.
    pub seed: u64,
    /// Files in the copy.
    pub files_copied: usize,
    /// The workload without a guard.
    pub unguarded: Half,
    /// The same through MAASL.
    pub guarded: Half,
    /// What was done to the servers of the guarded half.
    pub faults: Faults,
    /// What MAASL counted itself.
    pub maasl: Guard,
    /// Where the copies are, if they were kept.
    pub kept: Option<PathBuf>,
}

/// The result of one half.
#[derive(Debug, Serialize)]
pub struct Half {
    /// All effects.
    pub total: Tally,
    /// Each kind of effect.
    pub kinds: BTreeMap<&'static str, Tally>,
    /// Calls refused, by reason, retries included.
    pub refusals: BTreeMap<String, u64>,
    /// Stale writes that were refused.
    pub stale_refused: u64,
    /// Writes refused because their lease had been lost meanwhile.
    pub lease_lost: u64,
    /// Stale edits that were rebased.
    pub rebased: u64,
    /// Stale writes that were merged.
    pub merged: u64,
    /// Reads that showed a file that was not whole.
    pub torn_reads: u64,
    /// Edited files.
    pub files_edited: usize,
    /// Edited files that no longer parse, and why.
    pub files_broken: Vec<String>,
    /// How long interactive calls took; without those whose own server was frozen.
    pub wait_ms: WaitMs,
    /// Calls whose own server was frozen.
    pub calls_frozen: u64,
    /// Servers that had to be started.
    pub servers_started: u64,
    /// The first lost, torn or ghost effects.
    pub examples: Vec<String>,
}

/// How long calls took, in milliseconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct WaitMs {
    /// Calls timed.
    pub calls: u64,
    /// Half of them took no longer.
    pub p50: f64,
    /// Of a hundred, 99 took no longer.
    pub p99: f64,
    /// The longest.
    pub max: f64,
}

/// Counters of `llmc_stomp_stats` after the guarded half.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Guard {
    /// Leases of dead or frozen servers taken over.
    pub takeovers: u64,
    /// Stale changes refused, merged or rebased.
    pub stomps_prevented: u64,
    /// Changes refused because their lease was gone.
    pub fence_rejections: u64,
    /// Changes of killed servers finished or undone by others.
    pub recovered: u64,
    /// The whole answer.
    pub stats: Value,
}

impl Guard {
    pub(super) fn new(stats: Value) -> Self {
        let count = |name: &str| stats[name].as_u64().unwrap_or(0);
        Self {
            takeovers: count("takeovers"),
            stomps_prevented: count("stomps_prevented"),
            fence_rejections: count("fence_rejections"),
            recovered: count("recovered"),
            stats,
        }
    }
}

impl Half {
    pub(super) fn new(
        account: &Account,
        log: Log,
        files_edited: usize,
        files_broken: Vec<String>,
    ) -> Self {
        let refused = |start: &str| {
            let all = log.refusals.iter();
            let such = all.filter(|(code, _)| code.starts_with(start));
            such.map(|(_, count)| count).sum()
        };
        let millis = |micros: u64| std::time::Duration::from_micros(micros).as_secs_f64() * 1e3;
        Self {
            total: account.total(),
            kinds: account.kinds.clone(),
            stale_refused: refused("stale_version"),
            lease_lost: refused("lease_lost"),
            rebased: log.rebased,
            merged: log.merged,
            torn_reads: log.torn_reads,
            files_edited,
            files_broken,
            wait_ms: WaitMs {
                calls: log.waits.len(),
                p50: millis(log.waits.value_at_quantile(0.50)),
                p99: millis(log.waits.value_at_quantile(0.99)),
                max: millis(log.waits.max()),
            },
            calls_frozen: log.calls_frozen,
            servers_started: log.servers_started,
            examples: account.faults.clone(),
            refusals: log.refusals,
        }
    }

    /// Whether nothing was lost and nothing is there that should not be.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let total = &self.total;
        total.lost + total.torn + total.ghosts + self.torn_reads == 0
            && self.files_broken.is_empty()
    }
}

impl Verdict {
    /// Whether MAASL kept its promises, and was put to the test.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.guarded.is_clean() && self.guarded.total.acknowledged > 0
    }

    /// 0 if the guarded half kept everything, 1 if not.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(u8::from(!self.is_good()))
    }
}

/// The verdict as one JSON object.
#[must_use]
pub fn to_json(verdict: &Verdict) -> Value {
    let mut value = serde_json::to_value(verdict).unwrap_or_default();
    if let Value::Object(fields) = &mut value {
        fields.insert("ok".to_owned(), verdict.is_good().into());
    }
    value
}
