//! The graph: all that a set of patches amounts to, kept up to date.
//!
//! Owns: the materialised graph. Promises: merging patches one by one, in any
//! order, gives what building from all of them gives, and costs what they touch
//! and not what is there. Leaves to others: what shows (`resolve`), the digest
//! (`digest`), questions (`query`, `conflict`), and keeping patches.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::digest::Tree;
use super::key;
use super::node::{Nodes, last};
use super::patch::{Kind, Packed, Patch, PatchId};
use super::patches::{Patches, Place};
use super::register::{ABSENT, About, Links, NONE, PRESENT, Registers, Subject};
use super::seen::Seen;
use super::texts::Texts;
use super::{at, number};
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

/// What is to be looked at again after patches were taken in.
#[derive(Debug, Default)]
pub(super) struct Dirty {
    /// How many nodes there were before. Whatever hangs on later ones is new and
    /// so looked at anyway.
    pub(super) old_nodes: u32,
    /// Registers of nodes.
    pub(super) nodes: Vec<u32>,
    /// Registers of edges and properties.
    pub(super) others: Vec<u32>,
    /// Nodes whose edges and properties are all to be looked at.
    pub(super) swept: Vec<u32>,
}

/// What the texts of a patch are in the graph, by their numbers in the patch.
pub(super) struct Numbers {
    known: Vec<Known>,
}

#[derive(Clone, Copy)]
struct Known {
    key: u64,
    text: u32,
    /// The node with this id, once it was looked for.
    node: u32,
}

impl Graph {
    /// The graph that nobody patched.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Merges patches; those known already change nothing.
    pub fn merge(&mut self, patches: &[Patch]) -> Merged {
        let mut dirty = Dirty::after(number(self.nodes.len()));
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
            for (index, operation) in (0..).zip(&patch.operations) {
                let place = Place { patch: n, index };
                self.apply(place, *operation, &mut numbers, &mut dirty);
            }
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

    /// Finds what the texts of a patch are in the graph.
    pub(super) fn numbers(&mut self, theirs: &Texts) -> Numbers {
        self.texts.reserve(theirs);
        let mut known = Vec::with_capacity(theirs.len());
        for (text, key) in theirs.keyed() {
            known.push(Known {
                key,
                text: self.texts.intern_keyed(text, key),
                node: NONE,
            });
        }
        Numbers { known }
    }

    /// Takes in an operation of a patch that was taken in.
    pub(super) fn apply(
        &mut self,
        place: Place,
        operation: Packed,
        numbers: &mut Numbers,
        dirty: &mut Dirty,
    ) {
        let [a, b, c] = operation.parts;
        let node = self.node(a, numbers);
        match operation.kind {
            Kind::RemoveNode => self.remove(node, place, dirty),
            Kind::AddNode => self.add(node, place, dirty),
            Kind::AddEdge | Kind::RemoveEdge => {
                let other = self.node(c, numbers);
                let register = self.edge([node, other], operation.parts, numbers);
                if operation.kind == Kind::RemoveEdge {
                    return self.claim(register, place, ABSENT, dirty);
                }
                self.claim(register, place, PRESENT, dirty);
                self.update(node, place, dirty);
                self.update(other, place, dirty);
            }
            Kind::ClearProperty => {
                let register = self.property(node, [a, b], numbers);
                self.claim(register, place, ABSENT, dirty);
            }
            Kind::SetProperty => {
                let register = self.property(node, [a, b], numbers);
                self.claim(register, place, numbers.known[at(c)].text, dirty);
                self.update(node, place, dirty);
            }
        }
    }

    /// The node whose id is the text `n` of a patch.
    pub(super) fn node(&mut self, n: u32, numbers: &mut Numbers) -> u32 {
        let known = &mut numbers.known[at(n)];
        if known.node == NONE {
            let found = self.nodes.with_id(known.text);
            known.node = found.unwrap_or_else(|| self.new_node(*known));
        }
        known.node
    }

    fn new_node(&mut self, id: Known) -> u32 {
        let node = number(self.nodes.len());
        let subject = Subject {
            about: About::Node,
            node,
            name: 0,
            other: 0,
        };
        let (register, _) = self.register(key_of(About::Node, [id.key, 0, 0]), subject);
        self.nodes.add(id.text, register);
        node
    }

    fn property(&mut self, node: u32, parts: [u32; 2], numbers: &Numbers) -> u32 {
        let [id, name] = parts.map(|part| numbers.known[at(part)]);
        let subject = Subject {
            about: About::Property,
            node,
            name: name.text,
            other: 0,
        };
        let key = key_of(About::Property, [id.key, name.key, 0]);
        let (register, is_new) = self.register(key, subject);
        if is_new {
            self.link_out(register, node);
        }
        register
    }

    fn edge(&mut self, ends: [u32; 2], parts: [u32; 3], numbers: &Numbers) -> u32 {
        let parts = parts.map(|part| numbers.known[at(part)]);
        let subject = Subject {
            about: About::Edge,
            node: ends[0],
            name: parts[1].text,
            other: ends[1],
        };
        let key = key_of(About::Edge, parts.map(|part| part.key));
        let (register, is_new) = self.register(key, subject);
        if is_new {
            self.link_out(register, ends[0]);
            let first = &mut self.nodes.hanging_mut(ends[1]).first_in;
            let next = core::mem::replace(first, register);
            self.registers.links_mut(register).next_in = next;
        }
        register
    }

    fn register(&mut self, key: u64, subject: Subject) -> (u32, bool) {
        let (register, is_new) = self.registers.find_or_insert(key, subject);
        if is_new {
            self.tree.link(key);
        }
        (register, is_new)
    }

    fn link_out(&mut self, register: u32, node: u32) {
        let first = &mut self.nodes.hanging_mut(node).first_out;
        let next = core::mem::replace(first, register);
        self.registers.links_mut(register).next_out = next;
    }

    fn add(&mut self, node: u32, place: Place, dirty: &mut Dirty) {
        let register = self.nodes.register(node);
        self.claim(register, place, PRESENT, dirty);
        if self.nodes.has_removals(node) {
            self.nodes.overwrite(node, place, &self.patches);
            self.update(node, place, dirty);
        }
    }

    fn remove(&mut self, node: u32, place: Place, dirty: &mut Dirty) {
        let register = self.nodes.register(node);
        let patches = &self.patches;
        let mut is_overwritten = self
            .registers
            .claims(register)
            .any(|claim| patches.has_seen(claim.place, place));
        for other in self.nodes.removals(node) {
            is_overwritten |= patches.has_seen(other.place, place);
        }
        let concurrent = self
            .updates(node)
            .filter(|update| patches.are_concurrent(*update, place));
        let beaten_by = concurrent.fold(None, |one, other| Some(last(one, other, patches)));
        self.nodes.overwrite(node, place, patches);
        self.nodes
            .add_removal(node, place, beaten_by, is_overwritten);
        dirty.node(self.registers.links_mut(register), register);
        dirty.swept.push(node);
    }

    /// All operations that updated a node, as far as they are not dropped.
    fn updates(&self, node: u32) -> impl Iterator<Item = Place> {
        let own = self.nodes.register(node);
        let registers = core::iter::once(own).chain(self.around(node));
        registers
            .flat_map(|register| self.registers.claims(register))
            .filter(|claim| claim.value != ABSENT)
            .map(|claim| claim.place)
            .chain(self.nodes.marks(node))
    }

    fn claim(&mut self, register: u32, place: Place, value: u32, dirty: &mut Dirty) {
        self.registers.claim(register, place, value, &self.patches);
        let is_node = self.registers.get(register).subject.about == About::Node;
        let links = self.registers.links_mut(register);
        if is_node {
            dirty.node(links, register);
        } else {
            dirty.other(links, register);
        }
    }

    /// Tells the removals of a node of an update of it.
    pub(super) fn update(&mut self, node: u32, place: Place, dirty: &mut Dirty) {
        if !self.nodes.has_removals(node) {
            return;
        }
        let register = self.nodes.register(node);
        if self.nodes.update(node, place, &self.patches) {
            dirty.swept.push(node);
        }
        dirty.node(self.registers.links_mut(register), register);
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

impl Dirty {
    /// Nothing yet, in a graph that has this many nodes.
    pub(super) fn after(old_nodes: u32) -> Self {
        Self {
            old_nodes,
            ..Self::default()
        }
    }

    pub(super) fn node(&mut self, links: &mut Links, n: u32) {
        if !core::mem::replace(&mut links.is_dirty, true) {
            self.nodes.push(n);
        }
    }

    pub(super) fn other(&mut self, links: &mut Links, n: u32) {
        if !core::mem::replace(&mut links.is_dirty, true) {
            self.others.push(n);
        }
    }
}

/// The key of a register from the keys of its parts.
pub(super) fn key_of(about: About, parts: [u64; 3]) -> u64 {
    key::of_parts(about as u8, parts)
}
