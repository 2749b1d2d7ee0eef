//! What is protected: resource keys, and the wants that ask for them.
//!
//! Owns: when two wants are about the same thing. Promises: overlap and conflict
//! are symmetric, and every overlap is found from exactly three look-ups (the
//! key, its ancestors, the range below it), so that cost never grows with
//! unrelated leases. Leaves to others: turning a path into a key
//! (`path::fold`), and what a class of resources means (`policy`).

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::borrow::Borrow;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::mutant::{Mutant, is_active};

/// The canonical name of a protected thing: `<prefix>:<path>`, where the path is
/// `/`-separated and may be empty for everything under the prefix.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ResourceKey(Arc<str>);

impl ResourceKey {
    /// The key of `path` under `prefix`. Both are taken as they are: the caller
    /// has folded the path.
    #[must_use]
    pub fn new(prefix: &str, path: &str) -> Self {
        Self(format!("{prefix}:{path}").into())
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The keys this one lies under, as text, nearest first; never itself.
    pub fn ancestors(&self) -> impl Iterator<Item = &str> {
        let root = self.root_len();
        let mut end = self.0.len();
        core::iter::from_fn(move || {
            if end <= root {
                return None;
            }
            end = self.0[root..end].rfind('/').map_or(root, |at| root + at);
            Some(&self.0[..end])
        })
    }

    /// Whether `other` is this key or lies under it.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        match other.0.strip_prefix(&*self.0) {
            None => false,
            Some(rest) => {
                rest.is_empty() || rest.starts_with('/') || self.0.len() == self.root_len()
            }
        }
    }

    /// The half-open range of text in which every key below this one, and no
    /// other, lies. Keys hold no control characters and no empty path segment.
    #[must_use]
    pub fn range_below(&self) -> (String, String) {
        if self.0.len() == self.root_len() {
            let prefix = &self.0[..self.0.len() - 1];
            return (format!("{}\u{1}", self.0), format!("{prefix};"));
        }
        (format!("{}/", self.0), format!("{}0", self.0))
    }

    fn root_len(&self) -> usize {
        self.0.find(':').map_or(self.0.len(), |at| at + 1)
    }
}

/// Lets a map of keys be searched by text; both order alike.
impl Borrow<str> for ResourceKey {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ResourceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How much of the tree a want is about.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// The key alone.
    #[default]
    Exact,
    /// The key and everything under it.
    Subtree,
}

/// Who else may hold the same thing at the same time.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Other shared holders only.
    Shared,
    /// Nobody else.
    #[default]
    Exclusive,
}

/// A place in the tree: a key and how much below it counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Extent {
    /// The key at its top.
    pub key: ResourceKey,
    /// Whether what lies below counts too.
    pub scope: Scope,
}

impl Extent {
    /// Whether some resource belongs to both.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.key == other.key
            || (self.scope == Scope::Subtree && self.key.covers(&other.key))
            || (other.scope == Scope::Subtree && other.key.covers(&self.key))
    }
}

/// One resource that a lease is asked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Want {
    /// Where.
    #[serde(flatten)]
    pub extent: Extent,
    /// Shared or exclusive.
    pub mode: Mode,
    /// The resource class the want was made under.
    pub class: Arc<str>,
}

impl Want {
    /// An exclusive want for exactly `key`.
    #[must_use]
    pub fn exclusive(key: ResourceKey, class: &str) -> Self {
        Self {
            extent: Extent {
                key,
                scope: Scope::Exact,
            },
            mode: Mode::Exclusive,
            class: class.into(),
        }
    }

    /// Whether both cannot be granted at once to different holders.
    #[must_use]
    pub fn conflicts(&self, other: &Self) -> bool {
        if is_active(Mutant::SharedConflictsWithNothing) && self.mode != other.mode {
            return false;
        }
        (self.mode == Mode::Exclusive || other.mode == Mode::Exclusive)
            && self.extent.overlaps(&other.extent)
    }

    /// Whether holding this want is holding `other` too.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let reaches = match self.extent.scope {
            Scope::Subtree => self.extent.key.covers(&other.extent.key),
            Scope::Exact => self.extent == other.extent,
        };
        reaches && self.mode >= other.mode
    }

    /// Whether holding this want allows an exclusive change of `key`.
    #[must_use]
    pub fn allows_change_of(&self, key: &ResourceKey) -> bool {
        let extent = Extent {
            key: key.clone(),
            scope: Scope::Exact,
        };
        self.mode == Mode::Exclusive
            && (self.extent.key == *key
                || (self.extent.scope == Scope::Subtree && self.extent.overlaps(&extent)))
    }
}

/// Sorts wants by key and joins those for the same key into the stronger of
/// both, so that equal sets are equal whatever order they were named in.
#[must_use]
pub fn canonical(wants: Vec<Want>) -> Vec<Want> {
    let mut by_key: BTreeMap<ResourceKey, Want> = BTreeMap::new();
    for want in wants {
        by_key
            .entry(want.extent.key.clone())
            .and_modify(|have| {
                have.extent.scope = have.extent.scope.max(want.extent.scope);
                have.mode = have.mode.max(want.mode);
            })
            .or_insert(want);
    }
    by_key.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec;

    fn key(path: &str) -> ResourceKey {
        ResourceKey::new("code", path)
    }

    fn extent(path: &str, scope: Scope) -> Extent {
        Extent {
            key: key(path),
            scope,
        }
    }

    #[test]
    fn ancestors_end_at_the_prefix() {
        let deep = key("a/b/c");
        let names: Vec<_> = deep.ancestors().collect();
        assert_eq!(names, ["code:a/b", "code:a", "code:"]);
        assert_eq!(key("").ancestors().count(), 0);
        assert_eq!(key("a").ancestors().collect::<Vec<_>>(), ["code:"]);
    }

    #[test]
    fn a_name_that_begins_alike_is_not_below() {
        assert!(!key("src").covers(&key("src-old/a")));
        assert!(key("src").covers(&key("src/a")));
        assert!(key("").covers(&key("src/a")));
        assert!(!key("src/a").covers(&key("src")));
        assert!(!ResourceKey::new("db", "").covers(&key("a")));
    }

    #[test]
    fn the_range_below_holds_the_descendants_and_nothing_else() {
        for (top, inside, outside) in [
            (
                "src",
                vec!["src/a", "src/a/b", "src/é"],
                vec!["src", "src-a", "src0", "srd", ""],
            ),
            ("", vec!["a", "src/a", "~"], vec![""]),
        ] {
            let (low, high) = key(top).range_below();
            let within = |path: &str| {
                let text = key(path).to_string();
                low <= text && text < high
            };
            assert!(inside.iter().all(|path| within(path)), "{top:?}");
            assert!(!outside.iter().any(|path| within(path)), "{top:?}");
        }
    }

    #[test]
    fn overlap_is_symmetric_and_needs_a_subtree_to_reach_down() {
        let cases = [
            ("a", Scope::Exact, "a", Scope::Exact, true),
            ("a", Scope::Subtree, "a/b", Scope::Exact, true),
            ("a", Scope::Exact, "a/b", Scope::Exact, false),
            ("a", Scope::Exact, "a/b", Scope::Subtree, false),
            ("a", Scope::Subtree, "ab", Scope::Subtree, false),
        ];
        for (left, left_scope, right, right_scope, expected) in cases {
            let (left, right) = (extent(left, left_scope), extent(right, right_scope));
            assert_eq!(left.overlaps(&right), expected, "{left:?} {right:?}");
            assert_eq!(right.overlaps(&left), expected, "{right:?} {left:?}");
        }
    }

    #[test]
    fn a_want_covers_what_is_weaker_and_within() {
        let want = |path, scope, mode| Want {
            extent: extent(path, scope),
            mode,
            class: "CRIT_CODE".into(),
        };
        let tree = want("a", Scope::Subtree, Mode::Exclusive);
        assert!(tree.covers(&want("a/b", Scope::Exact, Mode::Shared)));
        assert!(tree.covers(&want("a/b", Scope::Subtree, Mode::Exclusive)));
        assert!(!tree.covers(&want("ab", Scope::Exact, Mode::Shared)));
        let file = want("a", Scope::Exact, Mode::Shared);
        assert!(file.covers(&file));
        assert!(!file.covers(&want("a", Scope::Exact, Mode::Exclusive)));
        assert!(!file.covers(&want("a", Scope::Subtree, Mode::Shared)));
    }

    #[test]
    fn the_canonical_set_joins_duplicates_into_the_stronger() {
        let shared = Want {
            extent: extent("a", Scope::Subtree),
            mode: Mode::Shared,
            class: "CRIT_CODE".into(),
        };
        let exclusive = Want::exclusive(key("a"), "CRIT_CODE");
        let joined = canonical(vec![shared, exclusive]);
        assert_eq!(joined.len(), 1);
        assert_eq!(
            (joined[0].extent.scope, joined[0].mode),
            (Scope::Subtree, Mode::Exclusive)
        );
    }
}
