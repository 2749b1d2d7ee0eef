//! Foreseeing: what a patch will do to a graph, before it is part of it.
//!
//! Owns: cutting out of a graph all that a patch can meet. Promises: the conflicts
//! that are told are those that the graph will have with the patch, and the effect
//! is what will show differently of that which the patch names; the graph stays
//! as it is; it costs by the patch and by what has happened to the things it
//! names. Leaves to others: who wins (`resolve`, which runs on the piece that was
//! cut out), and merging the patch once it is kept.
//!
//! The answer to a patch is kept in one transaction with the patch, so it must be
//! known before. To merge first and to take back what could not be kept is not
//! possible: nothing in a graph can be taken back.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::at;
use super::checkpoint::{Checkpoint, Remnant};
use super::conflict::Conflict;
use super::patch::{Header, Kind, Packed, Patch};
use super::patches::{Origin, Place};
use super::register::{ABSENT, About, Claim, Subject};
use super::state::{Graph, Merged};
use super::take::key_of;
use super::texts::Texts;

/// What a patch will do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Foreseen {
    /// What will show differently of that which the patch names.
    pub effect: Merged,
    /// Conflicts that an operation of the patch will win or lose, in the order
    /// of the log.
    pub conflicts: Vec<Conflict>,
}

impl Graph {
    /// What a patch will do that is not merged yet.
    #[must_use]
    pub fn foresee(&self, patch: &Patch) -> Foreseen {
        let mut piece = Self::new();
        piece.absorb(&Cut::of(self, patch).finish());
        let effect = piece.merge(core::slice::from_ref(patch));
        let is_ours = |origin: &Origin| origin.patch == patch.id();
        let mut conflicts = piece.log(usize::MAX);
        conflicts.retain(|conflict| {
            is_ours(&conflict.loser) || conflict.winner.as_ref().is_some_and(is_ours)
        });
        Foreseen {
            effect: Merged {
                conflicts: u64::try_from(conflicts.len()).unwrap_or(u64::MAX),
                ..effect
            },
            conflicts,
        }
    }
}

/// What a patch can meet, while it is being cut out.
struct Cut<'g> {
    graph: &'g Graph,
    header: &'g Header,
    texts: Texts,
    remnants: BTreeMap<u32, Remnant>,
    nodes: BTreeSet<u32>,
    registers: BTreeSet<u32>,
    removed: BTreeSet<u32>,
    /// Which patches the author had seen, as far as that was asked for.
    seen: BTreeMap<u32, bool>,
}

impl<'g> Cut<'g> {
    fn of(graph: &'g Graph, patch: &'g Patch) -> Self {
        let mut cut = Self {
            graph,
            header: patch.header(),
            texts: Texts::default(),
            remnants: BTreeMap::new(),
            nodes: BTreeSet::new(),
            registers: BTreeSet::new(),
            removed: BTreeSet::new(),
            seen: BTreeMap::new(),
        };
        let known: Vec<Option<u32>> = patch
            .texts
            .iter()
            .map(|text| graph.texts.find(text))
            .collect();
        for operation in &patch.operations {
            cut.name(*operation, &known);
        }
        cut
    }

    /// Notes what an operation names, as far as the graph knows it.
    fn name(&mut self, operation: Packed, known: &[Option<u32>]) {
        let [a, b, c] = operation.parts;
        let text = |n: u32| known[at(n)];
        let node = |n: u32| self.graph.nodes.with_id(text(n)?);
        let (about, other) = match operation.kind {
            Kind::RemoveNode | Kind::AddNode => (About::Node, None),
            Kind::RemoveEdge | Kind::AddEdge => (About::Edge, Some(node(c))),
            Kind::ClearProperty | Kind::SetProperty => (About::Property, None),
        };
        let this = node(a);
        self.nodes.extend(this);
        self.nodes.extend(other.flatten());
        if operation.kind == Kind::RemoveNode {
            self.removed.extend(this);
        }
        let (Some(this), Some(name)) = (this, text(b)) else {
            return;
        };
        let register = match (about, other) {
            (About::Node, _) | (About::Edge, None | Some(None)) => None,
            (About::Property, _) => self.find(about, this, name, None),
            (About::Edge, Some(other)) => self.find(about, this, name, other),
        };
        self.registers.extend(register);
    }

    fn find(&self, about: About, node: u32, name: u32, other: Option<u32>) -> Option<u32> {
        let graph = self.graph;
        let id = |node| graph.texts.key(graph.nodes.id(node));
        let parts = [id(node), graph.texts.key(name), other.map_or(0, id)];
        let subject = Subject {
            about,
            node,
            name,
            other: other.unwrap_or(0),
        };
        graph.registers.find(key_of(about, parts), subject)
    }

    fn finish(mut self) -> Checkpoint {
        for node in core::mem::take(&mut self.nodes) {
            self.node(node);
        }
        for node in core::mem::take(&mut self.removed) {
            self.updates(node);
        }
        for register in core::mem::take(&mut self.registers) {
            for claim in self.graph.registers.claims(register) {
                let packed = self.packed(register, &claim);
                self.keep(claim.place, packed);
            }
        }
        let mut remnants: Vec<Remnant> = self.remnants.into_values().collect();
        for remnant in &mut remnants {
            remnant.operations.sort_unstable_by_key(|(index, _)| *index);
            remnant.operations.dedup_by_key(|(index, _)| *index);
        }
        Checkpoint {
            texts: self.texts,
            remnants,
        }
    }

    /// Whether a node is there: who added it, who removed it, and which removals
    /// have no effect.
    fn node(&mut self, node: u32) {
        let graph = self.graph;
        let id = self.text(graph.nodes.id(node));
        let packed = |kind| Packed {
            kind,
            parts: [id, 0, 0],
        };
        for claim in graph.registers.claims(graph.nodes.register(node)) {
            self.keep(claim.place, packed(Kind::AddNode));
        }
        for removal in graph.nodes.removals(node) {
            self.keep(removal.place, packed(Kind::RemoveNode));
            if let Some(update) = removal.beaten_by {
                self.mark(node, update);
            }
        }
    }

    /// What a removal may be concurrent with.
    fn updates(&mut self, node: u32) {
        let graph = self.graph;
        let around = graph.around(node);
        let claims = around.flat_map(|register| graph.registers.claims(register));
        let updates = claims.filter(|claim| claim.value != ABSENT);
        let updates = updates.map(|claim| claim.place);
        for place in updates.chain(graph.nodes.marks(node)) {
            if !self.is_seen(place) {
                self.mark(node, place);
            }
        }
    }

    /// Whether the author of the patch had seen an operation.
    fn is_seen(&mut self, place: Place) -> bool {
        let (patches, seen) = (&self.graph.patches, &self.header.seen);
        let known = self.seen.entry(place.patch);
        *known.or_insert_with(|| {
            let header = patches.header(place.patch);
            seen.contains(&header.dot) && header.stamp <= seen.newest()
        })
    }

    fn keep(&mut self, place: Place, packed: Packed) {
        self.remnant(place.patch)
            .operations
            .push((place.index, packed));
    }

    fn mark(&mut self, node: u32, place: Place) {
        let id = self.text(self.graph.nodes.id(node));
        self.remnant(place.patch).marks.push((place.index, id));
    }

    fn remnant(&mut self, patch: u32) -> &mut Remnant {
        let patches = &self.graph.patches;
        self.remnants.entry(patch).or_insert_with(|| Remnant {
            id: *patches.id(patch),
            header: patches.header(patch),
            operations: Vec::new(),
            marks: Vec::new(),
        })
    }

    /// The operation that made a claim on an edge or a property.
    fn packed(&mut self, register: u32, claim: &Claim) -> Packed {
        let subject = self.graph.registers.get(register).subject;
        let node = self.text(self.graph.nodes.id(subject.node));
        let name = self.text(subject.name);
        let is_given = claim.value != ABSENT;
        let (kind, last) = match (subject.about, is_given) {
            (About::Edge, true) => (Kind::AddEdge, self.graph.nodes.id(subject.other)),
            (About::Edge, false) => (Kind::RemoveEdge, self.graph.nodes.id(subject.other)),
            (_, true) => (Kind::SetProperty, claim.value),
            (_, false) => {
                let parts = [node, name, 0];
                let kind = Kind::ClearProperty;
                return Packed { kind, parts };
            }
        };
        let parts = [node, name, self.text(last)];
        Packed { kind, parts }
    }

    fn text(&mut self, n: u32) -> u32 {
        let texts = &self.graph.texts;
        self.texts.intern_keyed(texts.text(n), texts.key(n))
    }
}
