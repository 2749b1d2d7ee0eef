//! What kind of protection a resource gets: one [`Policy`] per resource class.
//!
//! Owns: the four built-in classes as shipped, the shape of classes of the
//! user's own, and the words that these settings have in files and tool
//! arguments. Promises: built-in classes have the values of the design's table.
//! Leaves to others: which classes go together ([`PolicyRegistry`]), ranges of
//! the durations (`config`), reading files (`maasl-node`), and acting on any of
//! it (the lease table and the guards).

mod registry;

use alloc::borrow::ToOwned;
use alloc::string::String;

use serde::{Deserialize, Serialize};

pub use registry::{MAX_CLASSES, PolicyError, PolicyFault, PolicyField, PolicyRegistry};

/// The class of source files; the class of a request that names none.
pub const CRIT_CODE: &str = "CRIT_CODE";
/// The class of databases.
pub const CRIT_DB: &str = "CRIT_DB";
/// The class of knowledge graphs, which merge instead of excluding.
pub const MERGE_META: &str = "MERGE_META";
/// The class of generated documents.
pub const IDEMP_DOCS: &str = "IDEMP_DOCS";
/// The classes that every registry has.
pub const BUILT_IN_CLASSES: [&str; 4] = [CRIT_CODE, CRIT_DB, MERGE_META, IDEMP_DOCS];

/// Rank of every class of the user's own: after all built-in ones.
pub const USER_RANK: u8 = 4;
/// Longest class name, in bytes.
pub const MAX_CLASS_NAME_BYTES: usize = 64;

/// A setting with a fixed vocabulary, as written in files and tool arguments.
pub trait Named: Copy + 'static {
    /// Every value, in the order in which people should read them.
    const ALL: &'static [Self];

    /// Its word.
    fn name(self) -> &'static str;

    /// The value that has this word; exact, case included.
    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|item| item.name() == name)
    }
}

/// How holders of one class share a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConcurrencyMode {
    /// One holder at a time.
    Mutex,
    /// One writer at a time, in one transaction; readers are not held up.
    SingleWriter,
    /// Anybody appends, at any time; only materialising is exclusive.
    Merge,
    /// The same work done twice counts once.
    Idempotent,
}

impl Named for ConcurrencyMode {
    const ALL: &'static [Self] = &[
        Self::Mutex,
        Self::SingleWriter,
        Self::Merge,
        Self::Idempotent,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Mutex => "mutex",
            Self::SingleWriter => "single_writer",
            Self::Merge => "merge",
            Self::Idempotent => "idempotent",
        }
    }
}

/// What happens to a write when its resource cannot be had in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureMode {
    /// It is refused.
    FailClosed,
    /// It is appended all the same, to be merged; only for
    /// [`ConcurrencyMode::Merge`], where appending needs no exclusivity.
    FailOpenMerge,
}

impl Named for FailureMode {
    const ALL: &'static [Self] = &[Self::FailClosed, Self::FailOpenMerge];

    fn name(self) -> &'static str {
        match self {
            Self::FailClosed => "fail_closed",
            Self::FailOpenMerge => "fail_open_merge",
        }
    }
}

/// What a key of the class names, hence how its identifier is canonicalised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScopeKind {
    /// A path below the root; subtrees make sense.
    File,
    /// A database by its name.
    Db,
    /// A graph by its identifier.
    Graph,
    /// The repository as a whole.
    Repo,
}

/// How long the caller is ready to wait: the tool argument `mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Urgency {
    /// Somebody is watching; waits little.
    #[default]
    Interactive,
    /// Nobody is watching; waits longer.
    Batch,
}

impl Named for Urgency {
    const ALL: &'static [Self] = &[Self::Interactive, Self::Batch];

    fn name(self) -> &'static str {
        match self {
            Self::Interactive => "interactive",
            Self::Batch => "batch",
        }
    }
}

/// The rules of one resource class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Name of the class, as in `CRIT_CODE`; case matters.
    pub class: String,
    /// How holders share a resource.
    pub concurrency: ConcurrencyMode,
    /// What a key of this class names.
    pub scope: ScopeKind,
    /// What its keys start with, before the colon; unique in a registry.
    pub key_prefix: String,
    /// Place of its keys in the order of an acquired set: docgen (0), db (1),
    /// graph (2), file (3), classes of the user's own ([`USER_RANK`]). Equal
    /// ranks are ordered by key.
    pub rank: u8,
    /// How long a lease lasts unless renewed, in milliseconds.
    pub lease_ttl_ms: u64,
    /// Wait limit of an interactive call, in milliseconds; 0 tries once.
    pub interactive_max_wait_ms: u64,
    /// Wait limit of a batch call, in milliseconds; 0 tries once.
    pub batch_max_wait_ms: u64,
    /// How long a key stays closed after an unclean end (expiry or death), in
    /// milliseconds; never applies after a release, nor after a revocation, which is
    /// made to open it.
    pub lock_delay_ms: u64,
    /// What happens when the resource cannot be had in time.
    pub failure: FailureMode,
}

impl Policy {
    /// A class of the user's own: a mutex over path-like identifiers, failing
    /// closed, its keys prefixed by the lower-case class name.
    #[must_use]
    pub fn user(
        class: &str,
        lease_ttl_ms: u64,
        interactive_max_wait_ms: u64,
        batch_max_wait_ms: u64,
    ) -> Self {
        Self {
            class: class.to_owned(),
            concurrency: ConcurrencyMode::Mutex,
            scope: ScopeKind::File,
            key_prefix: class.to_ascii_lowercase(),
            rank: USER_RANK,
            lease_ttl_ms,
            interactive_max_wait_ms,
            batch_max_wait_ms,
            lock_delay_ms: 0,
            failure: FailureMode::FailClosed,
        }
    }

    /// Wait limit of a call of this urgency, in milliseconds.
    #[must_use]
    pub const fn max_wait_ms(&self, urgency: Urgency) -> u64 {
        match urgency {
            Urgency::Interactive => self.interactive_max_wait_ms,
            Urgency::Batch => self.batch_max_wait_ms,
        }
    }

    fn crit_code() -> Self {
        Self {
            key_prefix: "code".to_owned(),
            rank: 3,
            ..Self::user(CRIT_CODE, 30_000, 500, 3_000)
        }
    }

    fn crit_db() -> Self {
        Self {
            concurrency: ConcurrencyMode::SingleWriter,
            scope: ScopeKind::Db,
            key_prefix: "db".to_owned(),
            rank: 1,
            ..Self::user(CRIT_DB, 60_000, 1_000, 10_000)
        }
    }

    fn merge_meta() -> Self {
        Self {
            concurrency: ConcurrencyMode::Merge,
            scope: ScopeKind::Graph,
            key_prefix: "graph".to_owned(),
            rank: 2,
            failure: FailureMode::FailOpenMerge,
            ..Self::user(MERGE_META, 30_000, 500, 5_000)
        }
    }

    fn idemp_docs() -> Self {
        Self {
            concurrency: ConcurrencyMode::Idempotent,
            scope: ScopeKind::Repo,
            key_prefix: "docgen".to_owned(),
            rank: 0,
            ..Self::user(IDEMP_DOCS, 120_000, 500, 5_000)
        }
    }

    /// The built-in class of this name, as shipped.
    fn built_in(class: &str) -> Option<Self> {
        match class {
            CRIT_CODE => Some(Self::crit_code()),
            CRIT_DB => Some(Self::crit_db()),
            MERGE_META => Some(Self::merge_meta()),
            IDEMP_DOCS => Some(Self::idemp_docs()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_classes_have_the_values_of_the_design() {
        let registry = PolicyRegistry::default();
        let table = [
            (CRIT_CODE, "mutex", "code", 30, 500, 3_000, "fail_closed"),
            (
                CRIT_DB,
                "single_writer",
                "db",
                60,
                1_000,
                10_000,
                "fail_closed",
            ),
            (
                MERGE_META,
                "merge",
                "graph",
                30,
                500,
                5_000,
                "fail_open_merge",
            ),
            (
                IDEMP_DOCS,
                "idempotent",
                "docgen",
                120,
                500,
                5_000,
                "fail_closed",
            ),
        ];
        assert_eq!(registry.iter().count(), table.len());
        for (class, concurrency, prefix, ttl_sec, interactive, batch, failure) in table {
            let policy = registry.get(class).expect("built in");
            assert_eq!(policy.concurrency.name(), concurrency);
            assert_eq!(policy.key_prefix, prefix);
            assert_eq!(policy.lease_ttl_ms, ttl_sec * 1_000);
            assert_eq!(policy.max_wait_ms(Urgency::Interactive), interactive);
            assert_eq!(policy.max_wait_ms(Urgency::Batch), batch);
            assert_eq!(policy.lock_delay_ms, 0);
            assert_eq!(policy.failure.name(), failure);
            assert!(PolicyRegistry::is_built_in(class));
        }
    }

    #[test]
    fn words_lead_back_to_their_values() {
        fn round_trip<T: Named + PartialEq + core::fmt::Debug>() {
            for item in T::ALL {
                assert_eq!(T::from_name(item.name()), Some(*item));
            }
            assert_eq!(T::from_name("Mutex"), None, "case matters");
        }
        round_trip::<ConcurrencyMode>();
        round_trip::<FailureMode>();
        round_trip::<Urgency>();
    }
}
