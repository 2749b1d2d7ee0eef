//! How a call went.
//!
//! Owns: what an answer vouches for where the state was lost meanwhile. Promises:
//! nothing is taken for done or refused that a loss of the state can have undone
//! or done twice. Leaves to others: asking, and writing down what came of it
//! (`agent`).
//!
//! Files, rows and descriptions do not lie in the state, and are compared with what
//! the call expects there at the instant of the change: an answer that they were
//! changed is true whatever becomes of the state. Tokens, leases, graphs and keys
//! are the state's own: what is said of them holds for the state that said it.

use crate::ledger::Fate;
use crate::told::Told;

/// A call from its first sending to its last answer.
#[derive(Clone, Debug)]
pub(crate) struct Course {
    /// When it was first sent.
    pub(crate) since_ns: u64,
    /// The epoch of the state at that instant.
    pub(crate) epoch: u64,
    /// How often it was sent.
    pub(crate) sent: u32,
    /// The last answer, if it left no doubt.
    pub(crate) told: Option<Told>,
    /// Whether the state was one and the same all the while.
    pub(crate) stood: bool,
}

impl Course {
    /// The answer, if it vouches for what the state keeps.
    pub(crate) fn answer(&self) -> Option<&Told> {
        self.told.as_ref().filter(|_| self.stood)
    }

    /// The answer, if it vouches for what lies outside the state. Over a loss, a
    /// refusal says nothing, for it speaks of a state that may be gone; and neither
    /// does the answer to a copy, for two states may have done one each.
    pub(crate) fn word(&self) -> Option<&Told> {
        let told = self.told.as_ref();
        told.filter(|told| self.stood || (self.sent == 1 && told.code().is_none()))
    }

    /// Whether two states may have done it, each knowing nothing of the other.
    pub(crate) fn may_be_twice(&self) -> bool {
        !self.stood && self.sent > 1
    }
}

/// What an answer makes of what was asked for.
pub(crate) fn fate(told: Option<&Told>) -> Fate {
    match told.map(Told::code) {
        None => Fate::Unknown,
        Some(None) => Fate::Acknowledged,
        Some(Some(_)) => Fate::Refused,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn course(sent: u32, stood: bool, ok: bool) -> Course {
        Course {
            since_ns: 1,
            epoch: 0,
            sent,
            told: Some(Told::new(json!({ "ok": ok, "error": { "code": "x" } }))),
            stood,
        }
    }

    #[test]
    fn over_a_loss_of_the_state_only_a_single_ok_counts_and_not_for_the_state() {
        let fates = |course: Course| (fate(course.answer()), fate(course.word()));
        let (done, refused, unknown) = (Fate::Acknowledged, Fate::Refused, Fate::Unknown);
        for sent in [1, 2] {
            assert_eq!(fates(course(sent, true, true)), (done, done));
            assert_eq!(fates(course(sent, true, false)), (refused, refused));
            assert_eq!(fates(course(sent, false, false)), (unknown, unknown));
        }
        assert_eq!(fates(course(1, false, true)), (unknown, done));
        assert_eq!(fates(course(2, false, true)), (unknown, unknown));
        assert!(course(2, false, true).may_be_twice());
        assert!(!course(1, false, true).may_be_twice());
    }
}
