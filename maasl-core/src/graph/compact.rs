//! Compaction: forgetting what can make no difference any more.
//!
//! Owns: which operations can be dropped. Promises: whatever patches come later,
//! in any order and also again, graph, log and digest are those of a graph that
//! forgot nothing. Leaves to others: the form of what is left (`checkpoint`).
//!
//! An operation on a register is dropped if another operation on it was made by
//! somebody who had seen the patch of the first *and all that its author had
//! seen*. What the dropped one overwrites, now or later, the other overwrites too;
//! and being overwritten itself, it never shows. It is not enough that the other
//! had seen it: seeing is not passed on, so the dropped one may be alone in having
//! seen a patch that is still to come.
//!
//! Three things are kept, though it may look as if nobody needs them. *Removals*:
//! a patch that comes late may still be one that the remover had seen; it must not
//! bring back what was removed. *What a removed node was*: an update that comes
//! late may be concurrent with the removal, which has then no effect. *That a
//! dropped operation updated a node*, as four words: a removal that comes late may
//! be concurrent with it. Nothing here relies on knowing all actors or on waiting
//! long enough; that would drop more, and be wrong as soon as a store that was
//! switched off comes back.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::checkpoint::{Checkpoint, Remnant};
use super::number;
use super::patch::{Kind, Packed};
use super::patches::{Patches, Place};
use super::register::{ABSENT, About, Claim};
use super::state::Graph;
use super::texts::Texts;
use crate::mutant::{Mutant, is_active};

/// What compacting a graph came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compacted {
    /// Operations that were dropped.
    pub dropped: u64,
    /// Operations that are kept.
    pub kept: u64,
}

impl Graph {
    /// Drops what can make no difference any more.
    pub fn compact(&mut self) -> Compacted {
        let before = self.operations();
        let checkpoint = self.checkpoint();
        let mut compacted = Self::new();
        compacted.absorb(&checkpoint);
        debug_assert!(
            compacted.digest() == self.digest() || is_active(Mutant::GraphRemovalsForgotten),
            "compaction shows"
        );
        *self = compacted;
        let kept = self.operations();
        Compacted {
            dropped: before - kept,
            kept,
        }
    }

    /// All that later patches can need of this graph.
    #[must_use]
    pub fn checkpoint(&self) -> Checkpoint {
        let mut harvest = Harvest::of(self);
        for register in 0..number(self.registers.len()) {
            harvest.register(register);
        }
        for node in 0..number(self.nodes.len()) {
            harvest.node(node);
        }
        harvest.finish()
    }

    /// How many operations are kept.
    fn operations(&self) -> u64 {
        let kept = self.registers.claims_len() + self.nodes.removals_len();
        u64::try_from(kept).unwrap_or(u64::MAX)
    }
}

/// What is left of each patch, while it is being gathered.
struct Harvest<'g> {
    graph: &'g Graph,
    texts: Texts,
    remnants: Vec<Remnant>,
    /// The last update of each node in each patch that was dropped.
    marks: BTreeMap<(u32, u32), u32>,
}

impl<'g> Harvest<'g> {
    fn of(graph: &'g Graph) -> Self {
        let patches = 0..number(graph.patches.len());
        let remnants = patches.map(|patch| Remnant {
            id: *graph.patches.id(patch),
            header: graph.patches.header(patch),
            operations: Vec::new(),
            marks: Vec::new(),
        });
        Self {
            graph,
            texts: Texts::default(),
            remnants: remnants.collect(),
            marks: BTreeMap::new(),
        }
    }

    fn register(&mut self, register: u32) {
        let claims: Vec<Claim> = self.graph.registers.claims(register).collect();
        let is_droppable = |claim: &Claim| {
            let mut others = claims.iter();
            others.any(|other| replaces(other.place, claim.place, &self.graph.patches))
        };
        let droppable: Vec<bool> = claims.iter().map(is_droppable).collect();
        for (claim, is_droppable) in claims.iter().zip(droppable) {
            if !is_droppable {
                let packed = self.packed(register, claim);
                self.keep(claim.place, packed);
            } else if claim.value != ABSENT {
                self.mark(register, claim.place);
            }
        }
    }

    fn node(&mut self, node: u32) {
        let graph = self.graph;
        for removal in graph.nodes.removals(node) {
            if is_active(Mutant::GraphRemovalsForgotten) {
                break;
            }
            let packed = Packed {
                kind: Kind::RemoveNode,
                parts: [self.id(node), 0, 0],
            };
            self.keep(removal.place, packed);
        }
        for place in graph.nodes.marks(node) {
            self.mark_node(node, place);
        }
    }

    fn keep(&mut self, place: Place, packed: Packed) {
        let remnant = &mut self.remnants[super::at(place.patch)];
        remnant.operations.push((place.index, packed));
    }

    fn mark(&mut self, register: u32, place: Place) {
        let subject = self.graph.registers.get(register).subject;
        self.mark_node(subject.node, place);
        if subject.about == About::Edge {
            self.mark_node(subject.other, place);
        }
    }

    fn mark_node(&mut self, node: u32, place: Place) {
        let last = self.marks.entry((place.patch, node)).or_default();
        *last = place.index.max(*last);
    }

    fn packed(&mut self, register: u32, claim: &Claim) -> Packed {
        let subject = self.graph.registers.get(register).subject;
        let is_given = claim.value != ABSENT;
        let node = self.id(subject.node);
        match subject.about {
            About::Node => Packed {
                kind: Kind::AddNode,
                parts: [node, 0, 0],
            },
            About::Property if is_given => Packed {
                kind: Kind::SetProperty,
                parts: [node, self.text(subject.name), self.text(claim.value)],
            },
            About::Property => Packed {
                kind: Kind::ClearProperty,
                parts: [node, self.text(subject.name), 0],
            },
            About::Edge => Packed {
                kind: if is_given {
                    Kind::AddEdge
                } else {
                    Kind::RemoveEdge
                },
                parts: [node, self.text(subject.name), self.id(subject.other)],
            },
        }
    }

    fn id(&mut self, node: u32) -> u32 {
        self.text(self.graph.nodes.id(node))
    }

    fn text(&mut self, n: u32) -> u32 {
        let texts = &self.graph.texts;
        self.texts.intern_keyed(texts.text(n), texts.key(n))
    }

    fn finish(mut self) -> Checkpoint {
        for ((patch, node), index) in core::mem::take(&mut self.marks) {
            let node = self.id(node);
            let marks = &mut self.remnants[super::at(patch)].marks;
            marks.push((index, node));
        }
        for remnant in &mut self.remnants {
            remnant.operations.sort_unstable_by_key(|(index, _)| *index);
        }
        Checkpoint {
            texts: self.texts,
            remnants: self.remnants,
        }
    }
}

/// Whether the first of two operations on one register makes the second useless.
fn replaces(one: Place, other: Place, patches: &Patches) -> bool {
    if one.patch == other.patch {
        return one.index > other.index;
    }
    patches.dominates(one.patch, other.patch)
}
