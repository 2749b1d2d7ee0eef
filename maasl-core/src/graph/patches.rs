//! The patches a graph is made of: who had seen whom, and which comes last.
//!
//! Owns: the headers of all patches merged, and the two relations everything else
//! rests on. Promises: *has seen* never contradicts the order, so that operations
//! cannot overwrite each other in a circle; the order is total and the same
//! wherever the patches are. Leaves to others: what the patches ask for.
//!
//! An author has seen a patch if its dot is in what they had seen and its stamp is
//! no newer than the newest there. The second half only matters where a dot was
//! used twice or a header was forged. Seeing is not passed on: who has seen a
//! patch has not thereby seen what its author saw, since that may have come late.
//!
//! The order is by stamp, then actor, then id. Headers are never forgotten: they
//! are what tells a patch that comes again from a new one.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::patch::{Header, PatchId};
use super::seen::{Dot, Run, Seen};
use super::slots::Slots;
use super::stamp::Stamp;
use super::texts::Texts;
use super::{at, number};
use crate::id::ActorId;
use crate::mutant::{Mutant, is_active};

/// An operation: the number of its patch, and its place in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) patch: u32,
    pub(super) index: u32,
}

/// An operation, as it is named to others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Origin {
    /// The patch it is in.
    pub patch: PatchId,
    /// Its place in the patch, from 0.
    pub index: u32,
    /// Who made the patch.
    pub actor: ActorId,
    /// When.
    pub stamp: Stamp,
}

/// All patches merged, by number.
#[derive(Clone, Debug, Default)]
pub(super) struct Patches {
    known: Vec<Known>,
    ids: Slots,
    actors: Texts,
    dots: BTreeMap<(u32, u64), u32>,
    /// Dots of more than one patch.
    shared: BTreeMap<(u32, u64), Vec<u32>>,
    all: Seen,
}

#[derive(Clone, Debug)]
struct Known {
    id: PatchId,
    actor: u32,
    counter: u64,
    stamp: Stamp,
    newest: Stamp,
    /// What the author had seen, sorted by actor and counter.
    seen: Box<[(u32, Run)]>,
}

impl Patches {
    /// Takes a patch in under the next number, or returns nothing if it is known.
    pub(super) fn add(&mut self, id: PatchId, header: &Header) -> Option<u32> {
        let next = number(self.known.len());
        let known = &self.known;
        let is_it = |n: u32| known[at(n)].id == id;
        if self.ids.find_or_insert(key_of(id), next, is_it).is_some() {
            return None;
        }
        let actor = self.actors.intern(header.dot.actor.as_str());
        let mut seen: Vec<(u32, Run)> = Vec::new();
        for (actor, runs) in header.seen.runs() {
            let actor = self.actors.intern(actor.as_str());
            seen.extend(runs.iter().map(|run| (actor, *run)));
        }
        seen.sort_unstable();
        self.known.push(Known {
            id,
            actor,
            counter: header.dot.counter,
            stamp: header.stamp,
            newest: header.seen.newest(),
            seen: seen.into(),
        });
        self.all.insert(&header.dot, header.stamp);
        self.note_dot((actor, header.dot.counter), next);
        Some(next)
    }

    fn note_dot(&mut self, dot: (u32, u64), patch: u32) {
        let first = *self.dots.entry(dot).or_insert(patch);
        if first != patch {
            let patches = self.shared.entry(dot).or_insert_with(|| [first].into());
            patches.push(patch);
        }
    }

    /// The number of a patch, if it is known.
    pub(super) fn find(&self, id: PatchId) -> Option<u32> {
        let is_it = |n: u32| self.known[at(n)].id == id;
        self.ids.find(key_of(id), is_it)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    /// The set of all of them.
    pub(super) const fn all(&self) -> &Seen {
        &self.all
    }

    /// Whether the author of one operation had seen another.
    pub(super) fn has_seen(&self, later: Place, earlier: Place) -> bool {
        if later.patch == earlier.patch {
            return later.index > earlier.index;
        }
        self.known[at(later.patch)].has_seen(&self.known[at(earlier.patch)])
    }

    /// Whether neither author had seen the other's operation.
    pub(super) fn are_concurrent(&self, one: Place, other: Place) -> bool {
        !self.has_seen(one, other) && !self.has_seen(other, one)
    }

    /// Whether the author of one patch had seen another and all that its author
    /// had seen: whatever the other overwrites, this one does.
    pub(super) fn dominates(&self, later: u32, earlier: u32) -> bool {
        let (later, earlier) = (&self.known[at(later)], &self.known[at(earlier)]);
        later.has_seen(earlier)
            && later.newest >= earlier.newest
            && earlier
                .seen
                .iter()
                .all(|(actor, run)| later.covers(*actor, *run))
    }

    /// Which of two operations comes last.
    pub(super) fn order(&self, one: Place, other: Place) -> Ordering {
        if one.patch == other.patch {
            return one.index.cmp(&other.index);
        }
        if is_active(Mutant::GraphTieByArrival) {
            return one.patch.cmp(&other.patch);
        }
        let (a, b) = (&self.known[at(one.patch)], &self.known[at(other.patch)]);
        let actors = || self.actors.text(a.actor).cmp(self.actors.text(b.actor));
        a.stamp
            .cmp(&b.stamp)
            .then_with(actors)
            .then_with(|| a.id.cmp(&b.id))
    }

    /// An operation by its name.
    pub(super) fn origin(&self, place: Place) -> Origin {
        let known = &self.known[at(place.patch)];
        Origin {
            patch: known.id,
            index: place.index,
            actor: ActorId::new(self.actors.text(known.actor)),
            stamp: known.stamp,
        }
    }

    /// The header of a patch.
    pub(super) fn header(&self, patch: u32) -> Header {
        let known = &self.known[at(patch)];
        let actor = |n| ActorId::new(self.actors.text(n));
        let runs = known.seen.iter();
        Header {
            dot: Dot {
                actor: actor(known.actor),
                counter: known.counter,
            },
            stamp: known.stamp,
            seen: Seen::of_runs(known.newest, runs.map(|(n, run)| (actor(*n), *run))),
        }
    }

    /// The identity of a patch.
    pub(super) fn id(&self, patch: u32) -> &PatchId {
        &self.known[at(patch)].id
    }

    /// How many patches have the dot of another, not counting one for each dot.
    pub(super) fn shared_patches(&self) -> u64 {
        let others = self.shared.values().map(|patches| patches.len() - 1);
        others.map(|others| u64::from(number(others))).sum()
    }

    /// Dots that more than one patch has, in order, each with its patches, the
    /// last of them first.
    pub(super) fn shared(&self) -> Vec<(Dot, Vec<u32>)> {
        let mut shared: Vec<(Dot, Vec<u32>)> = Vec::new();
        for (&(actor, counter), patches) in &self.shared {
            let actor = ActorId::new(self.actors.text(actor));
            let mut patches = patches.clone();
            let first = |patch| Place { patch, index: 0 };
            patches.sort_unstable_by(|a, b| self.order(first(*b), first(*a)));
            shared.push((Dot { actor, counter }, patches));
        }
        shared.sort_unstable();
        shared
    }
}

impl Known {
    fn has_seen(&self, other: &Self) -> bool {
        let run = Run {
            first: other.counter,
            last: other.counter,
        };
        other.stamp <= self.newest && self.covers(other.actor, run)
    }

    /// Whether all of a run is among what the author had seen.
    fn covers(&self, actor: u32, run: Run) -> bool {
        let before = |(other, other_run): &(u32, Run)| (*other, other_run.last) < (actor, run.last);
        let place = self.seen.partition_point(before);
        let found = self.seen.get(place);
        found.is_some_and(|(other, other_run)| *other == actor && other_run.first <= run.first)
    }
}

/// The first half of a hash is as good a key as any.
fn key_of(id: PatchId) -> u64 {
    let first = id.as_bytes().first_chunk().expect("32 bytes begin with 8");
    u64::from_be_bytes(*first)
}
