//! Seen: exactly which patches an author knew.
//!
//! Owns: dots (who made which patch of a graph), sets of dots, and the one line
//! of text that carries such a set to an agent and back. Promises: a set says
//! neither more nor less than what was put in; gaps are kept; equal sets have
//! equal texts; what can be read is bounded. Leaves to others: what follows from
//! having seen a patch (`state`).
//!
//! A dot is a name, not an identity: a copied store may go on to give one dot to
//! two patches. Such patches are two patches, since a patch is known by its hash.
//! But whoever has seen the dot is taken to have seen both, since nothing tells
//! which one it was; so the conflict log names every dot that was used twice. To
//! make this rare, an actor should be a store, under a name it has drawn itself
//! and draws anew when it finds itself copied. Actors should also be few: every
//! patch names all of those whose patches its author had seen.

mod text;

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::stamp::Stamp;
use crate::id::ActorId;

pub use self::text::NotSeen;

/// Most runs of consecutive patches in one set, over all actors.
pub const RUNS_MAX: usize = 10_000;

/// The `counter`th patch of an actor, from 1.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Dot {
    /// Who made the patch.
    pub actor: ActorId,
    /// Its number among the patches of this actor.
    pub counter: u64,
}

/// A set of patches, by their dots, and the newest stamp among them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Seen {
    newest: Stamp,
    runs: BTreeMap<ActorId, Vec<Run>>,
}

/// Consecutive counters, both ends included. The runs of an actor are in order,
/// with a gap between any two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Run {
    pub(super) first: u64,
    pub(super) last: u64,
}

impl Seen {
    /// The set of no patches.
    #[must_use]
    pub fn nothing() -> Self {
        Self::default()
    }

    /// The newest stamp among the patches.
    #[must_use]
    pub const fn newest(&self) -> Stamp {
        self.newest
    }

    /// Whether it holds a patch.
    #[must_use]
    pub fn contains(&self, dot: &Dot) -> bool {
        let runs = self.runs.get(&dot.actor).map_or(&[][..], Vec::as_slice);
        contains(runs, dot.counter)
    }

    /// Whether it holds all of another set.
    #[must_use]
    pub fn includes(&self, other: &Self) -> bool {
        self.newest >= other.newest
            && other.runs.iter().all(|(actor, theirs)| {
                let ours = self.runs.get(actor).map_or(&[][..], Vec::as_slice);
                includes(ours, theirs)
            })
    }

    /// Puts a patch in.
    pub fn insert(&mut self, dot: &Dot, stamp: Stamp) {
        self.newest = self.newest.max(stamp);
        if let Some(runs) = self.runs.get_mut(&dot.actor) {
            insert(runs, Run::of(dot.counter));
        } else {
            let runs = [Run::of(dot.counter)].into();
            self.runs.insert(dot.actor.clone(), runs);
        }
    }

    /// Puts all of another set in.
    pub fn join(&mut self, other: &Self) {
        self.newest = self.newest.max(other.newest);
        for (actor, theirs) in &other.runs {
            let ours = self.runs.entry(actor.clone()).or_default();
            for run in theirs {
                insert(ours, *run);
            }
        }
    }

    /// The highest counter of an actor in the set; 0 if there is none.
    #[must_use]
    pub fn last(&self, actor: &ActorId) -> u64 {
        let runs = self.runs.get(actor).map_or(&[][..], Vec::as_slice);
        runs.last().map_or(0, |run| run.last)
    }

    /// The set with these runs.
    pub(super) fn of_runs(newest: Stamp, runs: impl Iterator<Item = (ActorId, Run)>) -> Self {
        let mut seen = Self {
            newest,
            ..Self::default()
        };
        for (actor, run) in runs {
            insert(seen.runs.entry(actor).or_default(), run);
        }
        seen
    }

    /// The runs of every actor, in the order of their names.
    pub(super) fn runs(&self) -> impl Iterator<Item = (&ActorId, &[Run])> {
        self.runs
            .iter()
            .map(|(actor, runs)| (actor, runs.as_slice()))
    }
}

impl Run {
    fn of(counter: u64) -> Self {
        Self {
            first: counter,
            last: counter,
        }
    }
}

/// Whether a counter is in one of the runs.
pub(super) fn contains(runs: &[Run], counter: u64) -> bool {
    let place = runs.partition_point(|run| run.last < counter);
    runs.get(place).is_some_and(|run| run.first <= counter)
}

/// Whether every counter of `theirs` is in `ours`.
pub(super) fn includes(ours: &[Run], theirs: &[Run]) -> bool {
    theirs.iter().all(|run| {
        let place = ours.partition_point(|our| our.last < run.last);
        ours.get(place).is_some_and(|our| our.first <= run.first)
    })
}

/// Puts a run in, joining those it meets.
fn insert(runs: &mut Vec<Run>, run: Run) {
    let start = runs.partition_point(|other| other.last.saturating_add(1) < run.first);
    let met = runs[start..]
        .iter()
        .take_while(|other| other.first <= run.last.saturating_add(1));
    let end = start + met.count();
    let joined = runs[start..end].iter().fold(run, |run, other| Run {
        first: run.first.min(other.first),
        last: run.last.max(other.last),
    });
    runs.splice(start..end, [joined]);
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    pub(super) fn seen(dots: &[(&str, u64)]) -> Seen {
        let mut seen = Seen::nothing();
        for (actor, counter) in dots {
            let dot = Dot {
                actor: ActorId::new(*actor),
                counter: *counter,
            };
            seen.insert(&dot, Stamp::from_number(counter << 16));
        }
        seen
    }

    fn holds(seen: &Seen, actor: &str, counter: u64) -> bool {
        seen.contains(&Dot {
            actor: ActorId::new(actor),
            counter,
        })
    }

    #[test]
    fn a_set_holds_what_was_put_in_and_no_more() {
        let set = seen(&[("a", 3), ("a", 1), ("a", 5), ("a", 2), ("b", 2)]);
        let held: Vec<u64> = (0..8).filter(|n| holds(&set, "a", *n)).collect();
        assert_eq!(held, [1, 2, 3, 5]);
        assert!(holds(&set, "b", 2) && !holds(&set, "b", 1) && !holds(&set, "c", 1));
        assert_eq!((set.last(&ActorId::new("a")), set.newest().ms()), (5, 5));
        assert_eq!(set.to_string(), "5.0;a=3+5;b=0+2");
    }

    #[test]
    fn order_and_repetition_do_not_matter() {
        let one = seen(&[("a", 1), ("a", 2), ("b", 7), ("a", 4), ("a", 3)]);
        let two = seen(&[("b", 7), ("a", 4), ("a", 2), ("a", 2), ("a", 3), ("a", 1)]);
        assert_eq!(one, two);
    }

    #[test]
    fn joining_is_a_union_and_includes_both() {
        let one = seen(&[("a", 1), ("a", 2), ("b", 4)]);
        let two = seen(&[("a", 3), ("c", 9)]);
        let mut both = one.clone();
        both.join(&two);
        assert_eq!(both.to_string(), "9.0;a=3;b=0+4;c=0+9");
        assert!(both.includes(&one) && both.includes(&two));
        assert!(!one.includes(&both) && !one.includes(&two));
    }

    #[test]
    fn the_ends_of_the_numbers_are_numbers() {
        let set = seen(&[("a", u64::MAX), ("a", u64::MAX - 1), ("a", 0)]);
        assert!(holds(&set, "a", u64::MAX) && holds(&set, "a", 0) && !holds(&set, "a", 1));
    }
}
