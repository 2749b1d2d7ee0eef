//! The graph: all that a set of patches amounts to, kept up to date.
//!
//! Owns: the materialised graph. Promises: merging patches one by one, in any
//! order, gives what building from all of them gives, and costs what they touch
//! and not what is there. Leaves to others: what shows (`resolve`), the digest
//! (`digest`), questions (`query`, `conflict`), and keeping patches.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::node::Nodes;
use super::patch::{Patch, PatchId};
use super::patches::Patches;
use super::register::{Links, NONE, Registers};
use super::seen::Seen;
use super::texts::Texts;
use super::tree::Tree;
use crate::id::{ActorId, ContentHash};

/// A graph, as a set of patches makes it.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    pub(super) patches: Patches,
    pub(super) texts: Texts,
    pub(super) registers: Registers,
    pub(super) nodes: Nodes,
    pub(super) tree: Tree,
    /// Registers that are or were in conflict.
    pub(super) contested: Vec<u32>,
    /// How many of them are.
    pub(super) in_conflict: usize,
    /// How many conflicts there are.
    pub(super) conflicts: u64,
}

/// What a merge did to what shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Merged {
    /// Patches that were not known before.
    pub patches: u64,
    /// Nodes that show and did not.
    pub nodes_added: u64,
    /// Nodes that showed and do not.
    pub nodes_removed: u64,
    /// Edges that show and did not.
    pub edges_added: u64,
    /// Edges that showed and do not.
    pub edges_removed: u64,
    /// Properties that show a value they did not.
    pub properties_updated: u64,
    /// Properties that showed a value and do not.
    pub properties_cleared: u64,
    /// Conflicts that there are now, over the whole graph.
    pub conflicts: u64,
}

impl Graph {
    /// The graph that nobody patched.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Merges patches; those known already change nothing.
    pub fn merge(&mut self, patches: &[Patch]) -> Merged {
        let mut dirty = self.nothing_dirty();
        let mut new = 0;
        let operations = patches.iter().filter(|patch| !self.contains(patch.id()));
        let more = operations.map(|patch| patch.operations.len()).sum();
        self.registers.reserve(more);
        self.tree.reserve(more);
        for patch in patches {
            let Some(n) = self.patches.add(patch.id(), patch.header()) else {
                continue;
            };
            new += 1;
            let mut numbers = self.numbers(&patch.texts);
            let operations = (0..).zip(patch.operations.iter().copied());
            self.take(n, operations, &mut numbers, &mut dirty);
        }
        self.settle(dirty, new)
    }

    /// The SHA-256 of the graph and the conflict log: equal digests mean equal
    /// graphs and equal logs, byte for byte.
    #[must_use]
    pub const fn digest(&self) -> ContentHash {
        self.tree.digest()
    }

    /// What an author who looks at this graph has seen.
    #[must_use]
    pub const fn seen(&self) -> &Seen {
        self.patches.all()
    }

    /// The number that the next patch of an actor gets.
    #[must_use]
    pub fn next_counter(&self, actor: &ActorId) -> u64 {
        self.seen().last(actor).saturating_add(1)
    }

    /// Whether a patch was merged.
    #[must_use]
    pub fn contains(&self, id: PatchId) -> bool {
        self.patches.find(id).is_some()
    }

    /// How many patches were merged.
    #[must_use]
    pub fn patches(&self) -> usize {
        self.patches.len()
    }

    /// The edges and properties of a node.
    pub(super) fn around(&self, node: u32) -> impl Iterator<Item = u32> {
        let hanging = self.nodes.hanging(node);
        let out = self.chain(hanging.first_out, |links| links.next_out);
        let into = self.chain(hanging.first_in, |links| links.next_in);
        out.chain(into)
    }

    /// Registers linked one to the next.
    pub(super) fn chain(
        &self,
        first: u32,
        next: impl Fn(&Links) -> u32,
    ) -> impl Iterator<Item = u32> {
        let some = |n: u32| (n != NONE).then_some(n);
        core::iter::successors(some(first), move |n| some(next(self.registers.links(*n))))
    }
}
