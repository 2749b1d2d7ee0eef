//! Resolving: what shows of a register, and who lost.
//!
//! Owns: the rules by which concurrent operations are settled. Promises: a
//! function of the operations alone; a winner is the last in order; whoever is
//! not overwritten and does not show is named as a loser. Leaves to others: which
//! registers to look at, and putting losers into words (`conflict`).

use alloc::vec::Vec;

use super::node::last;
use super::patches::Place;
use super::register::{ABSENT, About, Claim, PRESENT};
use super::state::{Graph, Merged};
use super::take::Dirty;

/// What shows of a register.
#[derive(Debug)]
pub(super) struct Resolved {
    /// The text of a value, [`PRESENT`] or [`ABSENT`].
    pub(super) shown: u32,
    /// Those who lost, in no order.
    pub(super) losses: Vec<Loss>,
}

/// An operation that does not show though nobody overwrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Loss {
    pub(super) why: Why,
    /// The operation that shows instead, if there is one.
    pub(super) winner: Option<Place>,
    pub(super) loser: Place,
    /// The text of the value that lost, [`PRESENT`] or [`ABSENT`].
    pub(super) lost: u32,
    /// The text of the value that won, [`PRESENT`] or [`ABSENT`].
    pub(super) won: u32,
}

/// Why an operation does not show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Why {
    /// Another value comes later in the order.
    OtherValue,
    /// It takes away what somebody else gave at the same time.
    Updated,
    /// A node it needs is not there.
    NoNode,
}

impl Graph {
    /// Brings what shows up to date with what was taken in.
    pub(super) fn settle(&mut self, mut dirty: Dirty, patches: u64) -> Merged {
        let mut merged = Merged {
            patches,
            ..Merged::default()
        };
        for register in dirty.nodes.clone() {
            self.settle_node(register, &mut dirty, &mut merged);
        }
        dirty.swept.sort_unstable();
        dirty.swept.dedup();
        for node in core::mem::take(&mut dirty.swept) {
            self.sweep(node, &mut dirty);
        }
        for register in &dirty.others {
            self.settle_other(*register, &mut merged);
        }
        self.prune_contested();
        if patches > 0 {
            self.refresh_digest(dirty.nodes.len() + dirty.others.len());
        }
        merged.conflicts = self.conflicts();
        merged
    }

    /// What shows of a register now.
    pub(super) fn resolve(&self, register: u32) -> Resolved {
        match self.registers.get(register).subject.about {
            About::Node => self.resolve_node(register),
            About::Property | About::Edge => self.resolve_other(register),
        }
    }

    fn settle_node(&mut self, register: u32, dirty: &mut Dirty, merged: &mut Merged) {
        let (before, after) = self.show(register);
        if before == after {
            return;
        }
        let node = self.registers.get(register).subject.node;
        self.nodes.set_visible(node, after == PRESENT);
        if node < dirty.old_nodes {
            dirty.swept.push(node);
        }
        merged.nodes_added += u64::from(after == PRESENT);
        merged.nodes_removed += u64::from(after == ABSENT);
    }

    fn settle_other(&mut self, register: u32, merged: &mut Merged) {
        let (before, after) = self.show(register);
        if before == after {
            return;
        }
        let counter = match (self.registers.get(register).subject.about, after) {
            (About::Edge, ABSENT) => &mut merged.edges_removed,
            (About::Edge, _) => &mut merged.edges_added,
            (_, ABSENT) => &mut merged.properties_cleared,
            (_, _) => &mut merged.properties_updated,
        };
        *counter += 1;
    }

    /// Takes down what a register shows, before and now.
    fn show(&mut self, register: u32) -> (u32, u32) {
        let resolved = self.resolve(register);
        let losses = super::number(resolved.losses.len());
        self.registers.links_mut(register).is_dirty = false;
        let looked_at = self.registers.get_mut(register);
        self.conflicts = self.conflicts + u64::from(losses) - u64::from(looked_at.conflicts);
        self.in_conflict += usize::from(losses > 0);
        self.in_conflict -= usize::from(looked_at.conflicts > 0);
        looked_at.conflicts = losses;
        let before = core::mem::replace(&mut looked_at.shown, resolved.shown);
        self.tree.touch(looked_at.key);
        let is_listed = &mut self.registers.links_mut(register).is_listed;
        if losses > 0 && !core::mem::replace(is_listed, true) {
            self.contested.push(register);
        }
        (before, resolved.shown)
    }

    /// Looks again at all edges and properties of a node.
    fn sweep(&mut self, node: u32, dirty: &mut Dirty) {
        let around: Vec<u32> = self.around(node).collect();
        for register in around {
            dirty.other(self.registers.links_mut(register), register);
        }
    }

    /// Forgets those that are in conflict no more, once they are the most.
    fn prune_contested(&mut self) {
        if self.contested.len() <= 2 * self.in_conflict + 16 {
            return;
        }
        let registers = &mut self.registers;
        self.contested.retain(|n| {
            let is_contested = registers.get(*n).conflicts > 0;
            registers.links_mut(*n).is_listed = is_contested;
            is_contested
        });
    }

    /// A node is there if somebody added it and no removal that has an effect
    /// saw that.
    fn resolve_node(&self, register: u32) -> Resolved {
        let node = self.registers.get(register).subject.node;
        let mut adds = self.registers.heads(register);
        if !self.nodes.has_removals(node) {
            let shown = adds.next().map_or(ABSENT, |claim| claim.value);
            return Resolved::without_losses(shown);
        }
        let is_there = adds.any(|add| !self.is_taken_along(add.place, node));
        if !is_there {
            return Resolved::without_losses(ABSENT);
        }
        let beaten = self.nodes.removals(node).filter_map(|removal| {
            let winner = removal.beaten_by.filter(|_| !removal.is_overwritten)?;
            Some(Loss {
                why: Why::Updated,
                winner: Some(winner),
                loser: removal.place,
                lost: ABSENT,
                won: PRESENT,
            })
        });
        Resolved {
            shown: PRESENT,
            losses: beaten.collect(),
        }
    }

    fn resolve_other(&self, register: u32) -> Resolved {
        let subject = self.registers.get(register).subject;
        let is_edge = subject.about == About::Edge;
        let is_taken = |claim: &Claim| {
            self.is_taken_along(claim.place, subject.node)
                || is_edge && self.is_taken_along(claim.place, subject.other)
        };
        let is_there = self.nodes.is_visible(subject.node)
            && (!is_edge || self.nodes.is_visible(subject.other));
        let mut live = self
            .registers
            .heads(register)
            .filter(|claim| !is_taken(claim));
        let Some(first) = live.next() else {
            return Resolved::without_losses(ABSENT);
        };
        let Some(second) = live.next() else {
            return Resolved::of_one(first, is_there);
        };
        let live: Vec<Claim> = [first, second].into_iter().chain(live).collect();
        self.resolve_many(&live, is_there)
    }

    fn resolve_many(&self, live: &[Claim], is_there: bool) -> Resolved {
        let given = live.iter().filter(|claim| claim.value != ABSENT);
        let winner = given.fold(None, |one, claim| {
            Some(last(one, claim.place, &self.patches))
        });
        let winner = live.iter().find(|claim| Some(claim.place) == winner);
        let Some(winner) = winner else {
            return Resolved::without_losses(ABSENT);
        };
        let loss = |claim: &Claim| {
            let why = if claim.value == ABSENT {
                Why::Updated
            } else if claim.value != winner.value {
                Why::OtherValue
            } else if is_there {
                return None;
            } else {
                return Some(Loss::without_node(*claim));
            };
            Some(Loss {
                why,
                winner: Some(winner.place),
                loser: claim.place,
                lost: claim.value,
                won: winner.value,
            })
        };
        Resolved {
            shown: if is_there { winner.value } else { ABSENT },
            losses: live.iter().filter_map(loss).collect(),
        }
    }

    /// Whether the removal of a node took an operation along.
    fn is_taken_along(&self, place: Place, node: u32) -> bool {
        let mut removals = self.nodes.effective(node);
        removals.any(|removal| self.patches.has_seen(removal, place))
    }
}

impl Resolved {
    fn without_losses(shown: u32) -> Self {
        Self {
            shown,
            losses: Vec::new(),
        }
    }

    fn of_one(claim: Claim, is_there: bool) -> Self {
        if is_there || claim.value == ABSENT {
            return Self::without_losses(claim.value);
        }
        Self {
            shown: ABSENT,
            losses: [Loss::without_node(claim)].into(),
        }
    }
}

impl Loss {
    fn without_node(claim: Claim) -> Self {
        Self {
            why: Why::NoNode,
            winner: None,
            loser: claim.place,
            lost: claim.value,
            won: ABSENT,
        }
    }
}
