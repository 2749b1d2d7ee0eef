//! What has been granted, as an outsider counts it.
//!
//! Owns: the grants returned so far and whether two resources are the same.
//! Promises: goes by keys as text, not by the core's own rules. Leaves to
//! others: what follows from it.

use maasl_core::id::Token;
use maasl_core::lease::{Lease, Ticket};
use maasl_core::resource::{Mode, Scope, Want};

/// A grant, reduced to what matters for others.
#[derive(Clone, Debug)]
pub(super) struct Granted {
    pub(super) token: Token,
    pub(super) wants: Vec<Held>,
}

/// One resource of a grant.
#[derive(Clone, Debug)]
pub(super) struct Held {
    key: String,
    subtree: bool,
    exclusive: bool,
}

impl Granted {
    pub(super) fn of(lease: &Lease) -> Self {
        Self {
            token: lease.token,
            wants: lease.wants.iter().map(Held::of).collect(),
        }
    }

    /// What a waiter would get; its token is still to come.
    pub(super) fn waiting(ticket: &Ticket) -> Self {
        Self::wanted(&ticket.wants)
    }

    /// What a request would hold.
    pub(super) fn wanted(wants: &[Want]) -> Self {
        Self {
            token: Token::default(),
            wants: wants.iter().map(Held::of).collect(),
        }
    }

    /// Whether both cannot stand side by side.
    pub(super) fn excludes(&self, other: &Self) -> bool {
        self.wants.iter().any(|one| {
            let mut others = other.wants.iter();
            others.any(|two| (one.exclusive || two.exclusive) && one.overlaps(two))
        })
    }

    /// Whether it is for changing the resource with this key, and nobody else's.
    pub(super) fn allows(&self, key: &str) -> bool {
        let mut wants = self.wants.iter();
        wants.any(|want| want.exclusive && want.reaches(key))
    }

    /// Whether the resource with this key belongs to it.
    pub(super) fn reaches(&self, key: &str) -> bool {
        self.wants.iter().any(|want| want.reaches(key))
    }
}

impl Held {
    fn of(want: &Want) -> Self {
        Self {
            key: want.extent.key.as_str().to_owned(),
            subtree: want.extent.scope == Scope::Subtree,
            exclusive: want.mode == Mode::Exclusive,
        }
    }

    fn reaches(&self, key: &str) -> bool {
        self.key == key || (self.subtree && is_below(key, &self.key))
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.reaches(&other.key) || other.reaches(&self.key)
    }
}

/// Whether `key` names something inside the folder `folder`: `code:` is the
/// folder of every `code:…`.
fn is_below(key: &str, folder: &str) -> bool {
    if folder.ends_with(':') {
        return key.len() > folder.len() && key.starts_with(folder);
    }
    key.len() > folder.len() && key.starts_with(folder) && key.as_bytes()[folder.len()] == b'/'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(key: &str, subtree: bool) -> Held {
        Held {
            key: key.into(),
            subtree,
            exclusive: true,
        }
    }

    #[test]
    fn a_subtree_reaches_what_lies_below_and_nothing_beside() {
        assert!(held("code:a", true).overlaps(&held("code:a/b", false)));
        assert!(held("code:a/b/c", false).overlaps(&held("code:a", true)));
        assert!(held("code:", true).overlaps(&held("code:x", false)));
        assert!(!held("code:a", true).overlaps(&held("code:ab", false)));
        assert!(!held("code:a", false).overlaps(&held("code:a/b", false)));
        assert!(!held("code:", true).overlaps(&held("db:x", false)));
    }
}
