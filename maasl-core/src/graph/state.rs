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
use super::register::{ABSENT, About, NONE, PRESENT, Register, Registers, Subject};
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
    /// Registers of nodes.
    pub(super) nodes: Vec<u32>,
    /// Registers of edges and properties.
    pub(super) others: Vec<u32>,
    /// Nodes whose edges and properties are all to be looked at.
    pub(super) swept: Vec<u32>,
}

/// The numbers that the texts of a patch have in the graph.
pub(super) struct Numbers<'p> {
    theirs: &'p Texts,
    texts: Vec<u32>,
}

impl Graph {
    /// The graph that nobody patched.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Merges patches; those known already change nothing.
    pub fn merge(&mut self, patches: &[Patch]) -> Merged {
        let mut dirty = Dirty::default();
        let mut new = 0;
        for patch in patches {
            let Some(n) = self.patches.add(patch.id(), patch.header()) else {
                continue;
            };
            new += 1;
            let numbers = self.numbers(&patch.texts);
            self.registers.reserve(patch.operations.len());
            for (index, operation) in (0..).zip(&patch.operations) {
                let place = Place { patch: n, index };
                self.apply(place, *operation, &numbers, &mut dirty);
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

    /// Gives the texts of a patch their numbers.
    pub(super) fn numbers<'p>(&mut self, theirs: &'p Texts) -> Numbers<'p> {
        self.texts.reserve(theirs);
        let texts = (0..number(theirs.len()))
            .map(|n| self.texts.intern_keyed(theirs.text(n), theirs.key(n)))
            .collect();
        Numbers { theirs, texts }
    }

    /// Takes in an operation of a patch that was taken in.
    pub(super) fn apply(
        &mut self,
        place: Place,
        operation: Packed,
        numbers: &Numbers,
        dirty: &mut Dirty,
    ) {
        let [a, b, c] = operation.parts;
        let node = self.node(a, numbers);
        match operation.kind {
            Kind::RemoveNode => self.remove(node, place, dirty),
            Kind::AddNode => self.add(node, place, dirty),
            Kind::AddEdge | Kind::RemoveEdge => {
                let other = self.node(c, numbers);
                let register = self.edge(node, b, other, numbers);
                if operation.kind == Kind::RemoveEdge {
                    return self.claim(register, place, ABSENT, dirty);
                }
                self.claim(register, place, PRESENT, dirty);
                self.update(node, place, dirty);
                self.update(other, place, dirty);
            }
            Kind::ClearProperty => {
                let register = self.property(node, b, numbers);
                self.claim(register, place, ABSENT, dirty);
            }
            Kind::SetProperty => {
                let register = self.property(node, b, numbers);
                self.claim(register, place, numbers.texts[at(c)], dirty);
                self.update(node, place, dirty);
            }
        }
    }

    /// The node whose id is the text `n` of a patch.
    pub(super) fn node(&mut self, n: u32, numbers: &Numbers) -> u32 {
        let id = numbers.texts[at(n)];
        if let Some(node) = self.nodes.with_id(id) {
            return node;
        }
        let node = number(self.nodes.len());
        let subject = Subject {
            about: About::Node,
            node,
            name: 0,
            other: 0,
        };
        let id_key = numbers.theirs.key(n);
        let (register, _) = self.register(key_of(About::Node, [id_key, 0, 0]), subject);
        self.nodes.add(id, id_key, register);
        node
    }

    fn property(&mut self, node: u32, name: u32, numbers: &Numbers) -> u32 {
        let parts = [self.nodes.get(node).key, numbers.theirs.key(name), 0];
        let subject = Subject {
            about: About::Property,
            node,
            name: numbers.texts[at(name)],
            other: 0,
        };
        let (register, is_new) = self.register(key_of(About::Property, parts), subject);
        if is_new {
            self.link_out(register, node);
        }
        register
    }

    fn edge(&mut self, node: u32, name: u32, other: u32, numbers: &Numbers) -> u32 {
        let ends = [node, other].map(|node| self.nodes.get(node).key);
        let parts = [ends[0], numbers.theirs.key(name), ends[1]];
        let subject = Subject {
            about: About::Edge,
            node,
            name: numbers.texts[at(name)],
            other,
        };
        let (register, is_new) = self.register(key_of(About::Edge, parts), subject);
        if is_new {
            self.link_out(register, node);
            let first = &mut self.nodes.get_mut(other).first_in;
            let next = core::mem::replace(first, register);
            self.registers.get_mut(register).next_in = next;
        }
        register
    }

    fn register(&mut self, key: u64, subject: Subject) -> (u32, bool) {
        let (register, is_new) = self.registers.find_or_insert(key, subject);
        if is_new {
            let next = self.tree.link(key, register);
            self.registers.get_mut(register).next_in_leaf = next;
        }
        (register, is_new)
    }

    fn link_out(&mut self, register: u32, node: u32) {
        let first = &mut self.nodes.get_mut(node).first_out;
        let next = core::mem::replace(first, register);
        self.registers.get_mut(register).next_out = next;
    }

    fn add(&mut self, node: u32, place: Place, dirty: &mut Dirty) {
        let register = self.nodes.get(node).register;
        self.claim(register, place, PRESENT, dirty);
        if self.nodes.has_removals(node) {
            self.nodes.overwrite(node, place, &self.patches);
            self.update(node, place, dirty);
        }
    }

    fn remove(&mut self, node: u32, place: Place, dirty: &mut Dirty) {
        let register = self.nodes.get(node).register;
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
        dirty.node(self.registers.get_mut(register), register);
        dirty.swept.push(node);
    }

    /// All operations that updated a node, as far as they are not dropped.
    fn updates(&self, node: u32) -> impl Iterator<Item = Place> {
        let own = self.nodes.get(node).register;
        let registers = core::iter::once(own).chain(self.around(node));
        registers
            .flat_map(|register| self.registers.claims(register))
            .filter(|claim| claim.value != ABSENT)
            .map(|claim| claim.place)
            .chain(self.nodes.marks(node))
    }

    fn claim(&mut self, register: u32, place: Place, value: u32, dirty: &mut Dirty) {
        self.registers.claim(register, place, value, &self.patches);
        let looked_at = self.registers.get_mut(register);
        if looked_at.subject.about == About::Node {
            dirty.node(looked_at, register);
        } else {
            dirty.other(looked_at, register);
        }
    }

    /// Tells the removals of a node of an update of it.
    pub(super) fn update(&mut self, node: u32, place: Place, dirty: &mut Dirty) {
        if !self.nodes.has_removals(node) {
            return;
        }
        let register = self.nodes.get(node).register;
        if self.nodes.update(node, place, &self.patches) {
            dirty.swept.push(node);
        }
        dirty.node(self.registers.get_mut(register), register);
    }

    /// The edges and properties of a node.
    pub(super) fn around(&self, node: u32) -> impl Iterator<Item = u32> {
        let node = self.nodes.get(node);
        let out = self.chain(node.first_out, |register| register.next_out);
        let into = self.chain(node.first_in, |register| register.next_in);
        out.chain(into)
    }

    /// Registers linked one to the next.
    pub(super) fn chain(
        &self,
        first: u32,
        next: impl Fn(&Register) -> u32,
    ) -> impl Iterator<Item = u32> {
        let some = |n: u32| (n != NONE).then_some(n);
        core::iter::successors(some(first), move |n| some(next(self.registers.get(*n))))
    }
}

impl Dirty {
    pub(super) fn node(&mut self, register: &mut Register, n: u32) {
        if !core::mem::replace(&mut register.is_dirty, true) {
            self.nodes.push(n);
        }
    }

    pub(super) fn other(&mut self, register: &mut Register, n: u32) {
        if !core::mem::replace(&mut register.is_dirty, true) {
            self.others.push(n);
        }
    }
}

/// The key of a register from the keys of its parts.
pub(super) fn key_of(about: About, parts: [u64; 3]) -> u64 {
    key::of_parts(about as u8, parts)
}
