//! Settings and limits, with their defaults and their ranges.
//!
//! Owns: every number that bounds something, named with its unit, and the range
//! it may have. Promises: a [`Config`] that passed [`Config::validate`] has no
//! setting outside its range, and no range admits [`u64::MAX`]. Leaves to
//! others: where the values come from (`maasl-node` reads the file) and the
//! rules of each class (`policy`).

use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;

use crate::database::{RAG, RAG_PATH};
use crate::docgen::DocgenSettings;
use crate::graph::changes::OPERATIONS_MAX;
use crate::path::{RelPath, fold};
use crate::policy::{Named, Policy, PolicyError, PolicyRegistry};
use crate::text::edit::EDITS_MAX;

/// Shortest lease, in milliseconds: room for a renewal at a third of it.
pub const MIN_LEASE_TTL_MS: u64 = 100;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;
const SECOND_MS: u64 = 1_000;
const MINUTE_MS: u64 = 60 * SECOND_MS;
const HOUR_MS: u64 = 60 * MINUTE_MS;

/// What a guard does when it finds a conflict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GuardMode {
    /// Holds callers to the rules.
    #[default]
    Enforce,
    /// Never blocks nor refuses; reports what it would have done.
    Observe,
}

impl Named for GuardMode {
    const ALL: &'static [Self] = &[Self::Enforce, Self::Observe];

    fn name(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Observe => "observe",
        }
    }
}

/// What an acknowledged change survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Loss of power: it is synced to the device before the acknowledgement.
    #[default]
    Power,
    /// Death of the process, but not of the host: faster.
    Process,
}

impl Named for Durability {
    const ALL: &'static [Self] = &[Self::Power, Self::Process];

    fn name(self) -> &'static str {
        match self {
            Self::Power => "power",
            Self::Process => "process",
        }
    }
}

/// Everything that can be set for one repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Whether anything is guarded at all. Default: true.
    pub enabled: bool,
    /// What a guard does about a conflict. Default: enforce.
    pub mode: GuardMode,
    /// Wait limit of interactive calls in classes of the user's own that set
    /// none, in milliseconds, 0 to [`Limits::max_wait_ms`]. Default: 500.
    pub default_interactive_max_wait_ms: u64,
    /// The same for batch calls. Default: 5 000.
    pub default_batch_max_wait_ms: u64,
    /// Lease of classes of the user's own that set none, in milliseconds,
    /// [`MIN_LEASE_TTL_MS`] to [`Limits::max_lease_ttl_ms`]. Default: 30 000.
    pub default_lease_ttl_ms: u64,
    /// The most by which two clocks are trusted to differ in rate (rho), in
    /// parts per million, 0 to 200 000. Default: 10 000, which is 1 %. At the
    /// upper end a holder still stops at two thirds of its lease, well after
    /// its renewal at one third.
    pub clock_drift_ppm: u64,
    /// What an acknowledged change survives. Default: loss of power.
    pub durability: Durability,
    /// How much of what was displaced is kept.
    pub history: HistoryLimits,
    /// For how long the same idempotency key gives the same answer, in
    /// milliseconds, 36 s to 8 760 h. Default: 72 h.
    pub idempotency_window_ms: u64,
    /// Databases that may be written, by name, with their paths relative to the
    /// root. Default: the retrieval database alone.
    pub databases: BTreeMap<String, String>,
    /// How documents are made.
    pub docgen: DocgenSettings,
    /// Where a server writes events as lines of JSON: `stderr`, or a file relative
    /// to the root. Default: nowhere.
    pub events: String,
    /// Bounds on what one caller may ask for.
    pub limits: Limits,
    /// The rules of each resource class. A built-in class has the values of its
    /// own table; the `default_*` settings above do not reach it.
    pub policies: PolicyRegistry,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            mode: GuardMode::default(),
            default_interactive_max_wait_ms: 500,
            default_batch_max_wait_ms: 5 * SECOND_MS,
            default_lease_ttl_ms: 30 * SECOND_MS,
            clock_drift_ppm: 10_000,
            durability: Durability::default(),
            history: HistoryLimits::default(),
            idempotency_window_ms: 72 * HOUR_MS,
            databases: BTreeMap::from([(RAG.to_owned(), RAG_PATH.to_owned())]),
            docgen: DocgenSettings::default(),
            events: String::new(),
            limits: Limits::default(),
            policies: PolicyRegistry::default(),
        }
    }
}

impl Config {
    /// A class of the user's own, with this configuration's defaults; to be
    /// adjusted and inserted into [`Config::policies`].
    #[must_use]
    pub fn user_policy(&self, class: &str) -> Policy {
        Policy::user(
            class,
            self.default_lease_ttl_ms,
            self.default_interactive_max_wait_ms,
            self.default_batch_max_wait_ms,
        )
    }

    /// Whether every setting is in its range; the first that is not is named.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.limits.validate()?;
        self.history.validate()?;
        let waits = self.limits.wait_range();
        let interactive = self.default_interactive_max_wait_ms;
        waits.check("default_interactive_max_wait_ms", interactive)?;
        let batch = self.default_batch_max_wait_ms;
        waits.check("default_batch_max_wait_ms", batch)?;
        let leases = self.limits.lease_ttl_range();
        leases.check("default_lease_ttl_ms", self.default_lease_ttl_ms)?;
        Range::fixed(0, 200_000).check("clock_drift_ppm", self.clock_drift_ppm)?;
        let window = Range::fixed(HOUR_MS / 100, 8_760 * HOUR_MS);
        window.check("idempotency_window_ms", self.idempotency_window_ms)?;
        self.validate_databases()?;
        self.validate_docgen()?;
        self.validate_events()?;
        let mut policies = self.policies.iter();
        policies.try_for_each(|policy| self.limits.validate_policy(policy))
    }
}

/// Longest name of a database, in bytes.
const DATABASE_NAME_BYTES_MAX: usize = 64;

impl Config {
    /// Two names for one file would be two leases for it.
    fn validate_databases(&self) -> Result<(), ConfigError> {
        let mut known: BTreeMap<String, &str> = BTreeMap::new();
        for (name, path) in &self.databases {
            let refuse = |fault: String| ConfigError::Database {
                name: name.clone(),
                fault,
            };
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
            if name.is_empty() || !name.bytes().all(fits) {
                let fault = "its name may have letters, digits, `-` and `_` only";
                return Err(refuse(fault.to_owned()));
            }
            if name.len() > DATABASE_NAME_BYTES_MAX {
                let fault = format!("its name is longer than {DATABASE_NAME_BYTES_MAX} bytes");
                return Err(refuse(fault));
            }
            let rel = RelPath::parse(path);
            let rel =
                rel.map_err(|refusal| refuse(format!("its path {path:?} {}", refusal.reason)))?;
            if let Some(other) = known.insert(fold(rel.as_str()), name) {
                return Err(refuse(format!("its path is that of `{other}`")));
            }
        }
        Ok(())
    }

    fn validate_docgen(&self) -> Result<(), ConfigError> {
        let docgen = &self.docgen;
        Range::fixed(100, HOUR_MS).check("docgen.timeout_ms", docgen.timeout_ms)?;
        let output = docgen.max_output_bytes;
        Range::fixed(KIB, 64 * MIB).check("docgen.max_output_bytes", output)?;
        docgen.check_texts().map_err(|(field, message)| {
            let field = format!("docgen.{field}");
            ConfigError::Unusable { field, message }
        })
    }
}

/// The place for events that is no file.
pub const EVENTS_STDERR: &str = "stderr";

impl Config {
    /// The configuration is the repository's, which is not trusted with other places.
    fn validate_events(&self) -> Result<(), ConfigError> {
        let message = match (self.events.as_str(), RelPath::parse(&self.events)) {
            ("" | EVENTS_STDERR, _) => return Ok(()),
            (events, Ok(path)) if path.as_str() == events => return Ok(()),
            (_, Ok(path)) => format!("is to be written as \"{path}\""),
            (_, Err(refusal)) => format!("{}", refusal.reason),
        };
        let field = "events".to_owned();
        Err(ConfigError::Unusable { field, message })
    }
}

/// How much of what writes displaced is kept for `file_restore`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryLimits {
    /// Age after which a displaced version may be dropped, in days,
    /// 1 to 36 500. Default: 30.
    pub max_age_days: u64,
    /// Bytes that all kept versions may take together, 1 MiB to 1 TiB; the
    /// oldest are dropped first. Default: 1 GiB.
    pub max_bytes: u64,
    /// Versions of one path that are listed, 1 to 10 000 000; beyond, and at most
    /// a sixteenth later, the oldest are dropped. Default: 10 000.
    pub max_versions: u64,
}

impl Default for HistoryLimits {
    fn default() -> Self {
        Self {
            max_age_days: 30,
            max_bytes: GIB,
            max_versions: 10_000,
        }
    }
}

impl HistoryLimits {
    fn validate(&self) -> Result<(), ConfigError> {
        Range::fixed(1, 36_500).check("history.max_age_days", self.max_age_days)?;
        Range::fixed(MIB, TIB).check("history.max_bytes", self.max_bytes)?;
        Range::fixed(1, 10_000_000).check("history.max_versions", self.max_versions)
    }
}

/// Bounds on what one caller may ask for; beyond them it is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest file that is written, in bytes, 1 KiB to 1 GiB. Default: 64 MiB.
    pub max_file_bytes: u64,
    /// Resources in one lease, 1 to 100 000. Default: 1 024.
    pub max_resources_per_lease: u64,
    /// Waiters in one store, 1 to 1 000 000. Default: 10 000.
    pub max_waiters: u64,
    /// Leases of one session, 1 to 1 000 000. Default: 10 000.
    pub max_leases_per_session: u64,
    /// Longest lease, in milliseconds, [`MIN_LEASE_TTL_MS`] to 24 h; also the
    /// longest lock-delay. Default: 1 h.
    pub max_lease_ttl_ms: u64,
    /// Longest wait for a lease, in milliseconds, 1 to 24 h. Default: 10 min.
    pub max_wait_ms: u64,
    /// Longest wait for the latch of a file, in milliseconds, 1 to 60 000.
    /// Default: 2 000.
    pub latch_wait_ms: u64,
    /// Longest wait for the write gate, in milliseconds, 1 to 60 000.
    /// Default: 2 000.
    pub gate_wait_ms: u64,
    /// Bytes that one read returns, 1 KiB to 1 GiB. Default: 16 MiB.
    pub max_read_bytes: u64,
    /// Edits of one file in one call, 1 to 200. Default: 100.
    pub max_edits: u64,
    /// Changes in one refactoring, 1 to 100 000. Default: 1 000.
    pub max_changes: u64,
    /// Statements in one write of a database, 1 to 100 000. Default: 1 000.
    pub max_statements: u64,
    /// Pieces of source described in one call, 1 to 100 000. Default: 10 000.
    pub max_spans: u64,
    /// Operations in one patch of a graph, 1 to 250 000. Default: 100 000.
    pub max_graph_operations: u64,
    /// Graphs in one store, 1 to 100 000. Default: 100.
    pub max_graphs: u64,
    /// Longest time that the statements of one write may run, in milliseconds,
    /// 1 to 1 h. Default: 60 000.
    pub statement_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_file_bytes: 64 * MIB,
            max_resources_per_lease: 1_024,
            max_waiters: 10_000,
            max_leases_per_session: 10_000,
            max_lease_ttl_ms: HOUR_MS,
            max_wait_ms: 10 * MINUTE_MS,
            latch_wait_ms: 2 * SECOND_MS,
            gate_wait_ms: 2 * SECOND_MS,
            max_read_bytes: 16 * MIB,
            max_edits: 100,
            max_changes: 1_000,
            max_statements: 1_000,
            max_spans: 10_000,
            max_graph_operations: 100_000,
            max_graphs: 100,
            statement_ms: MINUTE_MS,
        }
    }
}

impl Limits {
    fn validate(&self) -> Result<(), ConfigError> {
        let bytes = Range::fixed(KIB, GIB);
        let thousands = Range::fixed(1, 100_000);
        let millions = Range::fixed(1, 1_000_000);
        let short_wait = Range::fixed(1, MINUTE_MS);
        let ttl = Range::fixed(MIN_LEASE_TTL_MS, 24 * HOUR_MS);
        let wait = Range::fixed(1, 24 * HOUR_MS);
        bytes.check("limits.max_file_bytes", self.max_file_bytes)?;
        let per_lease = self.max_resources_per_lease;
        thousands.check("limits.max_resources_per_lease", per_lease)?;
        millions.check("limits.max_waiters", self.max_waiters)?;
        let per_session = self.max_leases_per_session;
        millions.check("limits.max_leases_per_session", per_session)?;
        ttl.check("limits.max_lease_ttl_ms", self.max_lease_ttl_ms)?;
        wait.check("limits.max_wait_ms", self.max_wait_ms)?;
        short_wait.check("limits.latch_wait_ms", self.latch_wait_ms)?;
        short_wait.check("limits.gate_wait_ms", self.gate_wait_ms)?;
        bytes.check("limits.max_read_bytes", self.max_read_bytes)?;
        Range::fixed(1, EDITS_MAX as u64).check("limits.max_edits", self.max_edits)?;
        thousands.check("limits.max_changes", self.max_changes)?;
        thousands.check("limits.max_statements", self.max_statements)?;
        thousands.check("limits.max_spans", self.max_spans)?;
        let operations = self.max_graph_operations;
        Range::fixed(1, OPERATIONS_MAX as u64).check("limits.max_graph_operations", operations)?;
        thousands.check("limits.max_graphs", self.max_graphs)?;
        Range::fixed(1, HOUR_MS).check("limits.statement_ms", self.statement_ms)
    }

    fn validate_policy(&self, policy: &Policy) -> Result<(), ConfigError> {
        let check = |range: Range, field: &str, value: u64| {
            // Named only when refused: this runs for every class.
            range
                .check(field, value)
                .map_err(|error| error.within(&policy.class))
        };
        let waits = self.wait_range();
        let leases = self.lease_ttl_range();
        let delays = Range { min: 0, ..leases };
        check(leases, "lease_ttl_ms", policy.lease_ttl_ms)?;
        let interactive = policy.interactive_max_wait_ms;
        check(waits, "interactive_max_wait_ms", interactive)?;
        check(waits, "batch_max_wait_ms", policy.batch_max_wait_ms)?;
        check(delays, "lock_delay_ms", policy.lock_delay_ms)
    }

    fn lease_ttl_range(&self) -> Range {
        Range {
            min: MIN_LEASE_TTL_MS,
            max: self.max_lease_ttl_ms,
            max_is: Some("limits.max_lease_ttl_ms"),
        }
    }

    fn wait_range(&self) -> Range {
        Range {
            min: 0,
            max: self.max_wait_ms,
            max_is: Some("limits.max_wait_ms"),
        }
    }
}

/// The values that a setting may have, both ends included.
#[derive(Clone, Copy)]
struct Range {
    min: u64,
    max: u64,
    /// The setting that is the upper end, where it is one.
    max_is: Option<&'static str>,
}

impl Range {
    const fn fixed(min: u64, max: u64) -> Self {
        Self {
            min,
            max,
            max_is: None,
        }
    }

    fn check(self, field: &str, value: u64) -> Result<(), ConfigError> {
        if (self.min..=self.max).contains(&value) {
            return Ok(());
        }
        Err(ConfigError::OutOfRange {
            field: field.to_owned(),
            value,
            min: self.min,
            max: self.max,
            max_is: self.max_is,
        })
    }
}

/// A configuration that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A number is outside its range.
    #[error("{field} is {value}; expected {min} to {max}{}", upper_end(*.max_is))]
    OutOfRange {
        /// Path of the field below [`Config`], as in `limits.max_edits` or
        /// `policies.CRIT_CODE.lease_ttl_ms`; its last word carries the unit.
        field: String,
        /// What it is, in the unit of the field.
        value: u64,
        /// The least it may be.
        min: u64,
        /// The most it may be.
        max: u64,
        /// The field whose value is that most, where there is one.
        max_is: Option<&'static str>,
    },
    /// A database cannot be named so, or not lie there.
    #[error("database `{name}`: {fault}")]
    Database {
        /// Its name.
        name: String,
        /// What is wrong with it.
        fault: String,
    },
    /// A text cannot be used.
    #[error("{field} {message}")]
    Unusable {
        /// Path of the field below [`Config`].
        field: String,
        /// What is wrong with it.
        message: String,
    },
    /// A resource class is refused.
    #[error(transparent)]
    Policy(#[from] PolicyError),
}

impl ConfigError {
    /// The same refusal, of a field of this class.
    fn within(mut self, class: &str) -> Self {
        if let Self::OutOfRange { field, .. } = &mut self {
            *field = format!("policies.{class}.{field}");
        }
        self
    }
}

fn upper_end(max_is: Option<&str>) -> String {
    max_is.map_or_else(String::new, |field| format!(" ({field})"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{CRIT_CODE, CRIT_DB};
    use alloc::string::ToString;

    #[test]
    fn the_defaults_are_valid_and_are_those_of_the_design() {
        let config = Config::default();
        assert_eq!(config.validate(), Ok(()));
        assert!(config.enabled);
        assert_eq!(config.mode, GuardMode::Enforce);
        assert_eq!(config.durability, Durability::Power);
        assert_eq!(config.default_interactive_max_wait_ms, 500);
        assert_eq!(config.default_batch_max_wait_ms, 5_000);
        assert_eq!(config.default_lease_ttl_ms, 30_000);
        assert_eq!(config.clock_drift_ppm, 10_000);
        assert_eq!(config.limits.max_lease_ttl_ms, 3_600_000);
        assert_eq!(config.limits.max_wait_ms, 600_000);
        assert_eq!(config.history.max_bytes, 1_073_741_824);
    }

    #[test]
    fn every_number_is_checked_and_none_may_be_the_largest() {
        type Slot = fn(&mut Config) -> &mut u64;
        let numbers: [(&str, Slot); 26] = [
            ("default_interactive_max_wait_ms", |c| {
                &mut c.default_interactive_max_wait_ms
            }),
            ("default_batch_max_wait_ms", |c| {
                &mut c.default_batch_max_wait_ms
            }),
            ("default_lease_ttl_ms", |c| &mut c.default_lease_ttl_ms),
            ("clock_drift_ppm", |c| &mut c.clock_drift_ppm),
            ("idempotency_window_ms", |c| &mut c.idempotency_window_ms),
            ("docgen.timeout_ms", |c| &mut c.docgen.timeout_ms),
            ("docgen.max_output_bytes", |c| {
                &mut c.docgen.max_output_bytes
            }),
            ("history.max_age_days", |c| &mut c.history.max_age_days),
            ("history.max_bytes", |c| &mut c.history.max_bytes),
            ("history.max_versions", |c| &mut c.history.max_versions),
            ("limits.max_file_bytes", |c| &mut c.limits.max_file_bytes),
            ("limits.max_resources_per_lease", |c| {
                &mut c.limits.max_resources_per_lease
            }),
            ("limits.max_waiters", |c| &mut c.limits.max_waiters),
            ("limits.max_leases_per_session", |c| {
                &mut c.limits.max_leases_per_session
            }),
            ("limits.max_lease_ttl_ms", |c| {
                &mut c.limits.max_lease_ttl_ms
            }),
            ("limits.max_wait_ms", |c| &mut c.limits.max_wait_ms),
            ("limits.latch_wait_ms", |c| &mut c.limits.latch_wait_ms),
            ("limits.gate_wait_ms", |c| &mut c.limits.gate_wait_ms),
            ("limits.max_read_bytes", |c| &mut c.limits.max_read_bytes),
            ("limits.max_edits", |c| &mut c.limits.max_edits),
            ("limits.max_changes", |c| &mut c.limits.max_changes),
            ("limits.max_statements", |c| &mut c.limits.max_statements),
            ("limits.max_spans", |c| &mut c.limits.max_spans),
            ("limits.max_graph_operations", |c| {
                &mut c.limits.max_graph_operations
            }),
            ("limits.max_graphs", |c| &mut c.limits.max_graphs),
            ("limits.statement_ms", |c| &mut c.limits.statement_ms),
        ];
        for (name, slot) in numbers {
            let mut config = Config::default();
            *slot(&mut config) = u64::MAX;
            let refused = config.validate().expect_err(name);
            assert!(
                refused
                    .to_string()
                    .starts_with(&format!("{name} is {}", u64::MAX))
            );
        }
    }

    #[test]
    fn the_numbers_of_a_class_are_checked_against_the_limits() {
        let mut config = Config::default();
        let mut policy = config.policies.get(CRIT_CODE).expect("built in").clone();
        policy.lease_ttl_ms = 99;
        config.policies.insert(policy).expect("a fine class");
        assert_eq!(
            config.validate().expect_err("too short").to_string(),
            "policies.CRIT_CODE.lease_ttl_ms is 99; expected 100 to 3600000 \
             (limits.max_lease_ttl_ms)"
        );
    }

    #[test]
    fn a_limit_below_a_class_names_the_class() {
        let mut config = Config::default();
        config.limits.max_wait_ms = 5_000;
        let refused = config.validate().expect_err("CRIT_DB waits for longer");
        let ConfigError::OutOfRange { field, max_is, .. } = refused else {
            panic!("another error");
        };
        assert_eq!(field, format!("policies.{CRIT_DB}.batch_max_wait_ms"));
        assert_eq!(max_is, Some("limits.max_wait_ms"));
    }

    #[test]
    fn classes_of_the_users_own_start_from_the_defaults() {
        let config = Config {
            default_lease_ttl_ms: 7_000,
            default_interactive_max_wait_ms: 1,
            default_batch_max_wait_ms: 2,
            ..Config::default()
        };
        let policy = config.user_policy("DEPLOY");
        assert_eq!(policy.lease_ttl_ms, 7_000);
        assert_eq!(policy.interactive_max_wait_ms, 1);
        assert_eq!(policy.batch_max_wait_ms, 2);
        let code = config.policies.get(CRIT_CODE).expect("built in");
        assert_eq!(code.lease_ttl_ms, 30_000, "defaults do not reach built-ins");
    }
}
