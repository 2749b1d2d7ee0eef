//! The set of all resource classes, and what may be in it.
//!
//! Owns: adding and tuning classes. Promises: no two classes whose names or
//! keys could be mistaken for each other, none that fails open without being
//! able to merge, no built-in class without what its guard relies on. Leaves to
//! others: ranges of the durations (`config`).

use alloc::collections::BTreeMap;
use alloc::string::String;
use core::fmt;

use super::{BUILT_IN_CLASSES, ConcurrencyMode, FailureMode, MAX_CLASS_NAME_BYTES, Named, Policy};

/// Most classes in one registry, the built-in four included.
pub const MAX_CLASSES: usize = 256;

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
        BUILT_IN_CLASSES.contains(&class)
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
        let by_class = BUILT_IN_CLASSES
            .into_iter()
            .filter_map(Policy::built_in)
            .map(|policy| (policy.class.clone(), policy))
            .collect();
        Self { by_class }
    }
}

impl Policy {
    /// Whether it may stand in a registry at all, whatever else is there.
    fn check_alone(&self) -> Result<(), PolicyError> {
        if !is_class_name(&self.class) {
            return Err(self.refuse(PolicyField::Class, PolicyFault::BadName));
        }
        let shape = Self::built_in(&self.class).unwrap_or_else(|| Self {
            concurrency: self.concurrency,
            ..Self::user(&self.class, 0, 0, 0)
        });
        if self.concurrency != shape.concurrency {
            let fixed = shape.concurrency;
            return Err(self.refuse(PolicyField::Concurrency, PolicyFault::Fixed(fixed)));
        }
        if self.failure == FailureMode::FailOpenMerge && self.concurrency != ConcurrencyMode::Merge
        {
            return Err(self.refuse(PolicyField::Failure, PolicyFault::CannotFailOpen));
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
    use crate::policy::{CRIT_CODE, CRIT_DB, IDEMP_DOCS, MERGE_META};
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
        let exclusive_graph = Policy {
            concurrency: ConcurrencyMode::Mutex,
            ..built_in(MERGE_META)
        };
        assert_eq!(
            fault_of(exclusive_graph),
            PolicyFault::Fixed(ConcurrencyMode::Merge)
        );
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
}
