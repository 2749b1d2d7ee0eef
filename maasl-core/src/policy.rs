//! What kind of protection a resource gets: one [`Policy`] per resource class.
//!
//! Owns: the four built-in classes, the rules for classes of the user's own,
//! and the words these settings have in files and tool arguments. Promises: a
//! [`PolicyRegistry`] never holds two classes whose keys could be mistaken for
//! each other, nor a class that fails open without being able to merge, nor a
//! built-in class that lost what its guard relies on. Leaves to others: ranges
//! of the durations (`config`), reading files (`maasl-node`), and acting on any
//! of it (the lease table and the guards).

use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::string::String;
use core::fmt;
use serde::{Deserialize, Serialize};

/// The class of source files; the class of a request that names none.
pub const CRIT_CODE: &str = "CRIT_CODE";
/// The class of databases.
pub const CRIT_DB: &str = "CRIT_DB";
/// The class of knowledge graphs, which merge instead of excluding.
pub const MERGE_META: &str = "MERGE_META";
/// The class of generated documents.
pub const IDEMP_DOCS: &str = "IDEMP_DOCS";

/// Rank of every class of the user's own: after all built-in ones.
pub const USER_RANK: u8 = 4;
/// Longest class name, in bytes.
pub const MAX_CLASS_NAME_BYTES: usize = 64;
/// Most classes in one registry, the built-in four included.
pub const MAX_CLASSES: usize = 256;

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
    /// How long a key stays closed after an unclean end (expiry, death or
    /// revocation), in milliseconds; never applies after a release.
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

    /// Whether it may stand in a registry at all, whatever else is there.
    fn check_alone(&self) -> Result<(), PolicyError> {
        if !is_class_name(&self.class) {
            return Err(self.refuse(PolicyField::Class, PolicyFault::BadName));
        }
        if self.failure == FailureMode::FailOpenMerge && self.concurrency != ConcurrencyMode::Merge
        {
            return Err(self.refuse(PolicyField::Failure, PolicyFault::CannotFailOpen));
        }
        let shape = Self::built_in(&self.class).unwrap_or_else(|| Self {
            concurrency: self.concurrency,
            ..Self::user(&self.class, 0, 0, 0)
        });
        if self.concurrency != shape.concurrency {
            let fixed = shape.concurrency;
            return Err(self.refuse(PolicyField::Concurrency, PolicyFault::Fixed(fixed)));
        }
        let identity = |policy: &Self| (policy.scope, policy.rank, policy.key_prefix.clone());
        if identity(self) != identity(&shape) {
            return Err(self.refuse(PolicyField::Class, PolicyFault::WrongIdentity));
        }
        Ok(())
    }

    /// Whether a person or a key could take one for the other.
    fn resembles(&self, other: &Self) -> bool {
        self.key_prefix.eq_ignore_ascii_case(&other.key_prefix)
            || self.class.eq_ignore_ascii_case(&other.class)
    }

    fn refuse(&self, field: PolicyField, fault: PolicyFault) -> PolicyError {
        PolicyError {
            class: self.class.clone(),
            field,
            fault,
        }
    }
}

/// A letter, then letters, digits, `_` and `-`: safe before the colon of a key
/// and writable as a bare key in TOML.
fn is_class_name(name: &str) -> bool {
    name.len() <= MAX_CLASS_NAME_BYTES
        && name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

/// All resource classes of one repository, by name.
///
/// Starts with the four built-in classes; they can be tuned, never removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyRegistry {
    by_class: BTreeMap<String, Policy>,
}

impl PolicyRegistry {
    /// The rules of a class; the name is matched exactly.
    #[must_use]
    pub fn get(&self, class: &str) -> Option<&Policy> {
        self.by_class.get(class)
    }

    /// All classes, in order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Policy> {
        self.by_class.values()
    }

    /// Whether this is the name of a class that every registry has.
    #[must_use]
    pub fn is_built_in(class: &str) -> bool {
        matches!(class, CRIT_CODE | CRIT_DB | MERGE_META | IDEMP_DOCS)
    }

    /// Adds a class, or replaces the one of the same name. A refusal changes
    /// nothing. Durations are not judged here but by `Config::validate`.
    pub fn insert(&mut self, policy: Policy) -> Result<(), PolicyError> {
        policy.check_alone()?;
        let others = || self.iter().filter(|other| other.class != policy.class);
        if let Some(other) = others().find(|other| policy.resembles(other)) {
            let fault = PolicyFault::Collides(other.class.clone());
            return Err(policy.refuse(PolicyField::Class, fault));
        }
        if others().count() >= MAX_CLASSES {
            return Err(policy.refuse(PolicyField::Class, PolicyFault::TooMany));
        }
        self.by_class.insert(policy.class.clone(), policy);
        Ok(())
    }
}

impl Default for PolicyRegistry {
    /// The four built-in classes, as shipped.
    fn default() -> Self {
        let by_class = [CRIT_CODE, CRIT_DB, MERGE_META, IDEMP_DOCS]
            .into_iter()
            .filter_map(Policy::built_in)
            .map(|policy| (policy.class.clone(), policy))
            .collect();
        Self { by_class }
    }
}

/// A class that a registry refuses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("class `{class}`: {fault}")]
pub struct PolicyError {
    /// Name of the refused class.
    pub class: String,
    /// The field to change.
    pub field: PolicyField,
    /// What is wrong with it.
    pub fault: PolicyFault,
}

/// The field of a [`Policy`] that a [`PolicyError`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyField {
    /// The class as such: its name, or what follows from it.
    Class,
    /// [`Policy::concurrency`].
    Concurrency,
    /// [`Policy::failure`].
    Failure,
}

/// Why a registry refuses a class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyFault {
    /// The name cannot be part of a key.
    BadName,
    /// Its name or keys could be mistaken for those of this class.
    Collides(String),
    /// The guard of this built-in class works in this mode only.
    Fixed(ConcurrencyMode),
    /// Scope, rank or key prefix are not the ones that its name implies.
    WrongIdentity,
    /// Failing open would let writes past each other that nothing merges.
    CannotFailOpen,
    /// There are [`MAX_CLASSES`] already.
    TooMany,
}

impl fmt::Display for PolicyFault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadName => write!(
                out,
                "a class name is a letter followed by letters, digits, `_` or `-`, \
                 at most {MAX_CLASS_NAME_BYTES} in all"
            ),
            Self::Collides(other) => write!(out, "too like class `{other}`; choose another name"),
            Self::Fixed(mode) => write!(
                out,
                "the concurrency of this built-in class is always \"{}\"",
                mode.name()
            ),
            Self::WrongIdentity => {
                write!(out, "scope, rank and key prefix follow from the class name")
            }
            Self::CannotFailOpen => write!(
                out,
                "\"fail_open_merge\" needs concurrency \"merge\"; use \"fail_closed\""
            ),
            Self::TooMany => write!(out, "at most {MAX_CLASSES} classes"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::vec::Vec;

    fn user(class: &str) -> Policy {
        Policy::user(class, 30_000, 500, 5_000)
    }

    fn fault_of(policy: Policy) -> PolicyFault {
        let mut registry = PolicyRegistry::default();
        let refused = registry.insert(policy).expect_err("must be refused");
        assert_eq!(
            registry,
            PolicyRegistry::default(),
            "a refusal changes nothing"
        );
        refused.fault
    }

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
    fn sets_are_ordered_docgen_db_graph_file_user() {
        let mut registry = PolicyRegistry::default();
        registry.insert(user("DEPLOY")).expect("a fine class");
        let mut ranked: Vec<_> = registry
            .iter()
            .map(|p| (p.rank, p.key_prefix.as_str()))
            .collect();
        ranked.sort_unstable();
        let prefixes: Vec<_> = ranked.into_iter().map(|(_, prefix)| prefix).collect();
        assert_eq!(prefixes, ["docgen", "db", "graph", "code", "deploy"]);
    }

    #[test]
    fn a_class_of_the_users_own_is_a_mutex_that_fails_closed() {
        let policy = user("Deploy-2");
        assert_eq!(policy.concurrency, ConcurrencyMode::Mutex);
        assert_eq!(policy.failure, FailureMode::FailClosed);
        assert_eq!(policy.key_prefix, "deploy-2");
        let mut registry = PolicyRegistry::default();
        registry.insert(policy.clone()).expect("a fine class");
        assert_eq!(registry.get("Deploy-2"), Some(&policy));
        assert_eq!(registry.get("deploy-2"), None, "names are exact");
        assert!(!PolicyRegistry::is_built_in("Deploy-2"));
    }

    #[test]
    fn a_class_can_be_tuned_by_inserting_it_again() {
        let mut registry = PolicyRegistry::default();
        let mut policy = registry.get(MERGE_META).expect("built in").clone();
        policy.lease_ttl_ms = 1_234;
        policy.failure = FailureMode::FailClosed;
        registry
            .insert(policy.clone())
            .expect("tuning stays in bounds");
        assert_eq!(registry.get(MERGE_META), Some(&policy));
        assert_eq!(registry.iter().count(), 4);
    }

    #[test]
    fn names_that_could_be_mistaken_are_refused() {
        for (class, other) in [
            ("CODE", CRIT_CODE),
            ("Db", CRIT_DB),
            ("docgen", IDEMP_DOCS),
            ("crit_code", CRIT_CODE),
        ] {
            assert_eq!(fault_of(user(class)), PolicyFault::Collides(other.into()));
        }
        let mut registry = PolicyRegistry::default();
        registry.insert(user("deploy")).expect("a fine class");
        let refused = registry.insert(user("DEPLOY")).expect_err("same prefix");
        assert_eq!(refused.fault, PolicyFault::Collides("deploy".into()));
    }

    #[test]
    fn names_that_cannot_be_part_of_a_key_are_refused() {
        let long = "x".repeat(MAX_CLASS_NAME_BYTES + 1);
        for class in ["", "9LIVES", "a:b", "a/b", "a b", "é", "_x", &long] {
            assert_eq!(fault_of(user(class)), PolicyFault::BadName, "{class:?}");
        }
    }

    #[test]
    fn what_a_guard_relies_on_cannot_be_changed() {
        let built_in = |class| Policy::built_in(class).expect("built in");
        let shared_code = Policy {
            concurrency: ConcurrencyMode::Merge,
            ..built_in(CRIT_CODE)
        };
        assert_eq!(
            fault_of(shared_code),
            PolicyFault::Fixed(ConcurrencyMode::Mutex)
        );
        let open_code = Policy {
            failure: FailureMode::FailOpenMerge,
            ..built_in(CRIT_CODE)
        };
        assert_eq!(fault_of(open_code), PolicyFault::CannotFailOpen);
        let renamed = Policy {
            key_prefix: "kode".into(),
            ..built_in(CRIT_CODE)
        };
        assert_eq!(fault_of(renamed), PolicyFault::WrongIdentity);
        let jumping = Policy {
            rank: 0,
            ..user("DEPLOY")
        };
        assert_eq!(fault_of(jumping), PolicyFault::WrongIdentity);
    }

    #[test]
    fn the_number_of_classes_is_bounded() {
        let mut registry = PolicyRegistry::default();
        for number in 4..MAX_CLASSES {
            registry.insert(user(&format!("c{number}"))).expect("room");
        }
        let refused = registry.insert(user("last")).expect_err("full");
        assert_eq!(refused.fault, PolicyFault::TooMany);
        registry
            .insert(user("c4"))
            .expect("replacing needs no room");
    }

    #[test]
    fn words_lead_back_to_their_values() {
        fn round_trip<T: Named + PartialEq + fmt::Debug>() {
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
