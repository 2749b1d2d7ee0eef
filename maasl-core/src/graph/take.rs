//! Taking in: the operations of a patch, put where they belong.
//!
//! Owns: finding the registers that operations are about, the links between them,
//! and telling removals of updates. Promises: what may show differently now is
//! noted as dirty, and nothing is looked at that no operation touches. Leaves to
//! others: what shows (`resolve`).
//!
//! Operations are located some at a time, so that their registers can be fetched
//! from memory side by side: with a large graph that is most of the work.

use alloc::vec::Vec;

use super::key;
use super::node::last;
use super::patch::{Kind, Packed};
use super::patches::Place;
use super::register::{ABSENT, About, Links, NONE, PRESENT, Subject};
use super::state::Graph;
use super::texts::Texts;
use super::{at, number};

/// How many operations are located at once.
const AT_ONCE: usize = 32;

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

/// An operation in terms of the graph.
#[derive(Clone, Copy)]
struct Located {
    kind: Kind,
    subject: Subject,
    key: u64,
    /// The text of a value, [`PRESENT`] or [`ABSENT`].
    value: u32,
}

impl Graph {
    /// Nothing to look at yet.
    pub(super) fn nothing_dirty(&self) -> Dirty {
        Dirty {
            old_nodes: number(self.nodes.len()),
            ..Dirty::default()
        }
    }

    /// Finds what the texts of a patch are in the graph.
    pub(super) fn numbers(&mut self, theirs: &Texts) -> Numbers {
        let numbers = self.texts.intern_all(theirs);
        let known = numbers.into_iter().zip(theirs.keys());
        Numbers {
            known: known
                .map(|(text, key)| Known {
                    key,
                    text,
                    node: NONE,
                })
                .collect(),
        }
    }

    /// Takes in operations of a patch that is new, by their places in it.
    pub(super) fn take(
        &mut self,
        patch: u32,
        operations: impl Iterator<Item = (u32, Packed)>,
        numbers: &mut Numbers,
        dirty: &mut Dirty,
    ) {
        let mut operations = operations.peekable();
        let mut some: Vec<(Place, Located)> = Vec::with_capacity(AT_ONCE);
        let mut found = Vec::with_capacity(AT_ONCE);
        while operations.peek().is_some() {
            for (index, operation) in operations.by_ref().take(AT_ONCE) {
                let located = self.locate(operation, numbers);
                some.push((Place { patch, index }, located));
            }
            let keys = some.iter().map(|(_, located)| located.key);
            self.registers.look_ahead(keys, &mut found);
            for (place, located) in some.drain(..) {
                self.apply(place, located, dirty);
            }
        }
    }

    /// Takes in that an operation that was dropped updated a node.
    pub(super) fn take_mark(
        &mut self,
        place: Place,
        node: u32,
        numbers: &mut Numbers,
        dirty: &mut Dirty,
    ) {
        let node = self.node(node, numbers);
        self.nodes.mark(node, place);
        self.update(node, place, dirty);
    }

    fn locate(&mut self, operation: Packed, numbers: &mut Numbers) -> Located {
        let [a, b, c] = operation.parts;
        let known = |n: u32| numbers.known[at(n)];
        let (about, name, value) = match operation.kind {
            Kind::RemoveNode => (About::Node, None, ABSENT),
            Kind::AddNode => (About::Node, None, PRESENT),
            Kind::RemoveEdge => (About::Edge, Some(known(b)), ABSENT),
            Kind::AddEdge => (About::Edge, Some(known(b)), PRESENT),
            Kind::ClearProperty => (About::Property, Some(known(b)), ABSENT),
            Kind::SetProperty => (About::Property, Some(known(b)), known(c).text),
        };
        let other = (about == About::Edge).then(|| known(c).key);
        let names = [Some(known(a).key), name.map(|name| name.key), other];
        let key = key_of(about, names.map(Option::unwrap_or_default));
        let node = self.node(a, numbers);
        let subject = Subject {
            about,
            node,
            name: name.map_or(0, |name| name.text),
            other: other.map_or(0, |_| self.node(c, numbers)),
        };
        Located {
            kind: operation.kind,
            subject,
            key,
            value,
        }
    }

    fn apply(&mut self, place: Place, located: Located, dirty: &mut Dirty) {
        let subject = located.subject;
        let register = match located.kind {
            Kind::RemoveNode => return self.remove(subject.node, place, dirty),
            Kind::AddNode => return self.add(subject.node, place, dirty),
            _ => self.register(located),
        };
        self.claim(register, place, located.value, dirty);
        match located.kind {
            Kind::SetProperty => self.update(subject.node, place, dirty),
            Kind::AddEdge => {
                self.update(subject.node, place, dirty);
                self.update(subject.other, place, dirty);
            }
            _ => {}
        }
    }

    /// The node whose id is the text `n` of a patch.
    fn node(&mut self, n: u32, numbers: &mut Numbers) -> u32 {
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
        let key = key_of(About::Node, [id.key, 0, 0]);
        let register = self.registers.insert(key, subject);
        self.nodes.add(id.text, register);
        node
    }

    /// The register of an edge or a property.
    fn register(&mut self, located: Located) -> u32 {
        let (key, subject) = (located.key, located.subject);
        let (register, is_new) = self.registers.find_or_insert(key, subject);
        if is_new {
            let first = &mut self.nodes.hanging_mut(subject.node).first_out;
            let next = core::mem::replace(first, register);
            self.registers.links_mut(register).next_out = next;
            if subject.about == About::Edge {
                let first = &mut self.nodes.hanging_mut(subject.other).first_in;
                let next = core::mem::replace(first, register);
                self.registers.links_mut(register).next_in = next;
            }
        }
        register
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
    fn update(&mut self, node: u32, place: Place, dirty: &mut Dirty) {
        if !self.nodes.has_removals(node) {
            return;
        }
        let register = self.nodes.register(node);
        if self.nodes.update(node, place, &self.patches) {
            dirty.swept.push(node);
        }
        dirty.node(self.registers.links_mut(register), register);
    }
}

impl Dirty {
    fn node(&mut self, links: &mut Links, n: u32) {
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
