//! Registers: what operations are about, and the operations on each.
//!
//! Owns: one record for each node, edge and property that any patch names, the
//! links between a node and its edges and properties, and the claims on each
//! register. Promises: a thing has one register; claims that are not overwritten
//! by another claim are kept apart from those that are. Leaves to others: who has
//! seen whom (`patches`), removals of nodes (`node`), and what shows (`resolve`).

use alloc::vec::Vec;

use super::patches::{Patches, Place};
use super::slots::Slots;
use super::{at, number};

/// No register, claim, text or node.
pub(super) const NONE: u32 = u32::MAX;
/// The value of a claim that something is not there, and what a register shows
/// when nothing is.
pub(super) const ABSENT: u32 = NONE;
/// The value of a claim that a node or an edge is there.
pub(super) const PRESENT: u32 = NONE - 1;

/// What a register is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum About {
    Node,
    Property,
    Edge,
}

/// A register by its parts: a node; a node and the text of a property; or a node,
/// the text of a relation, and another node. Parts it does not have are 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Subject {
    pub(super) about: About,
    pub(super) node: u32,
    pub(super) name: u32,
    pub(super) other: u32,
}

/// A node, an edge or a property. Kept small, since most of a merge goes through
/// all of them in an order of its own.
#[derive(Clone, Debug)]
pub(super) struct Register {
    pub(super) key: u64,
    pub(super) subject: Subject,
    /// What shows: the text of a value, [`PRESENT`] or [`ABSENT`].
    pub(super) shown: u32,
    /// How many conflicts it is in.
    pub(super) conflicts: u32,
}

/// Where a register leads.
#[derive(Clone, Debug)]
pub(super) struct Links {
    /// The claims that no other claim overwrites.
    heads: u32,
    /// The claims that another one overwrites.
    old: u32,
    /// The next register of the same node (the source of an edge).
    pub(super) next_out: u32,
    /// The next edge with the same target.
    pub(super) next_in: u32,
    /// Whether it is to be looked at again.
    pub(super) is_dirty: bool,
    /// Whether it is on the list of those with conflicts.
    pub(super) is_listed: bool,
}

/// What one operation says of a register.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim {
    pub(super) place: Place,
    /// The text of a value, [`PRESENT`] or [`ABSENT`].
    pub(super) value: u32,
    next: u32,
}

/// All registers, by number.
#[derive(Clone, Debug, Default)]
pub(super) struct Registers {
    all: Vec<Register>,
    links: Vec<Links>,
    slots: Slots,
    claims: Vec<Claim>,
}

impl Registers {
    /// The register with these parts; the second is whether it is new.
    pub(super) fn find_or_insert(&mut self, key: u64, subject: Subject) -> (u32, bool) {
        let next = number(self.all.len());
        let all = &self.all;
        let is_it = |n: u32| all[at(n)].subject == subject;
        if let Some(found) = self.slots.find_or_insert(key, next, is_it) {
            return (found, false);
        }
        (self.insert(key, subject), true)
    }

    /// The register with these parts, if there is one.
    pub(super) fn find(&self, key: u64, subject: Subject) -> Option<u32> {
        let is_it = |n: u32| self.all[at(n)].subject == subject;
        self.slots.find(key, is_it)
    }

    /// A new register that is not found by its parts.
    pub(super) fn insert(&mut self, key: u64, subject: Subject) -> u32 {
        self.all.push(Register {
            key,
            subject,
            shown: ABSENT,
            conflicts: 0,
        });
        self.links.push(Links::default());
        number(self.all.len() - 1)
    }

    /// Has the memory ready in which registers with these keys would be found.
    pub(super) fn look_ahead(&self, keys: impl Iterator<Item = u64>, found: &mut Vec<u32>) {
        self.slots.look_ahead(keys, found);
        for register in found.iter().filter_map(|n| self.all.get(at(*n))) {
            core::hint::black_box(register.subject.node);
        }
    }

    /// The register with a number.
    pub(super) fn get(&self, n: u32) -> &Register {
        &self.all[at(n)]
    }

    /// The register with a number.
    pub(super) fn get_mut(&mut self, n: u32) -> &mut Register {
        &mut self.all[at(n)]
    }

    /// Where the register with a number leads.
    pub(super) fn links(&self, n: u32) -> &Links {
        &self.links[at(n)]
    }

    /// Where the register with a number leads.
    pub(super) fn links_mut(&mut self, n: u32) -> &mut Links {
        &mut self.links[at(n)]
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// How many claims there are.
    pub(super) fn claims_len(&self) -> usize {
        self.claims.len()
    }

    /// Makes room for `more` registers with a claim each.
    pub(super) fn reserve(&mut self, more: usize) {
        self.all.reserve(more);
        self.links.reserve(more);
        self.claims.reserve(more);
        self.slots.reserve(more);
    }

    /// Puts a claim on a register, where its patch had none with this place.
    pub(super) fn claim(&mut self, n: u32, place: Place, value: u32, patches: &Patches) {
        if self.links[at(n)].heads == NONE {
            self.links[at(n)].heads = self.push(place, value, NONE);
            return;
        }
        let is_overwritten = self.is_overwritten(n, place, patches);
        self.retire(n, place, patches);
        let link = self.push(place, value, NONE);
        let links = &mut self.links[at(n)];
        let list = if is_overwritten {
            &mut links.old
        } else {
            &mut links.heads
        };
        self.claims[at(link)].next = core::mem::replace(list, link);
    }

    /// The claims on a register that no other claim overwrites.
    pub(super) fn heads(&self, n: u32) -> Chain<'_> {
        self.chain(self.links[at(n)].heads)
    }

    /// The claims on a register that another one overwrites.
    pub(super) fn old(&self, n: u32) -> Chain<'_> {
        self.chain(self.links[at(n)].old)
    }

    /// All claims on a register.
    pub(super) fn claims(&self, n: u32) -> impl Iterator<Item = Claim> {
        self.heads(n).chain(self.old(n))
    }

    /// Whether a claim there is was made by somebody who had seen `place`. The
    /// last of all claims is never overwritten, and nobody sees what comes after
    /// them, so a claim that comes after all heads needs no look at the others.
    fn is_overwritten(&self, n: u32, place: Place, patches: &Patches) -> bool {
        let is_later = |claim: Claim| patches.order(claim.place, place).is_gt();
        self.heads(n).any(is_later)
            && self
                .claims(n)
                .any(|claim| patches.has_seen(claim.place, place))
    }

    /// Moves the heads that the author of `place` had seen to the old claims.
    fn retire(&mut self, n: u32, place: Place, patches: &Patches) {
        let mut link = core::mem::replace(&mut self.links[at(n)].heads, NONE);
        while link != NONE {
            let claim = self.claims[at(link)];
            let links = &mut self.links[at(n)];
            let list = if patches.has_seen(place, claim.place) {
                &mut links.old
            } else {
                &mut links.heads
            };
            self.claims[at(link)].next = core::mem::replace(list, link);
            link = claim.next;
        }
    }

    fn push(&mut self, place: Place, value: u32, next: u32) -> u32 {
        self.claims.push(Claim { place, value, next });
        number(self.claims.len() - 1)
    }

    fn chain(&self, link: u32) -> Chain<'_> {
        Chain {
            claims: &self.claims,
            link,
        }
    }
}

impl Default for Links {
    fn default() -> Self {
        Self {
            heads: NONE,
            old: NONE,
            next_out: NONE,
            next_in: NONE,
            is_dirty: false,
            is_listed: false,
        }
    }
}

/// Claims, one after the other.
#[derive(Clone, Debug)]
pub(super) struct Chain<'r> {
    claims: &'r [Claim],
    link: u32,
}

impl Iterator for Chain<'_> {
    type Item = Claim;

    fn next(&mut self) -> Option<Claim> {
        if self.link == NONE {
            return None;
        }
        let claim = self.claims[at(self.link)];
        self.link = claim.next;
        Some(claim)
    }
}
