//! A second statement of what a set of patches amounts to.
//!
//! Owns: the rules as definitions over the whole set, looked up by going through
//! everything. Promises: shares nothing with the product's graph but the form of
//! patches; the order of the set does not matter, because there is none. Leaves to
//! others: being fast, and what was observed (`i9_graph`).

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use maasl_core::graph::patch::{Operation, Patch};

/// What there is to see of a graph.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Picture {
    pub(super) nodes: BTreeSet<String>,
    /// Values by node and name.
    pub(super) properties: BTreeMap<(String, String), String>,
    /// Edges by their three parts.
    pub(super) edges: BTreeSet<[String; 3]>,
    /// The operations that do not show though nobody overwrote them, by patch and
    /// place, with those that show instead.
    pub(super) lost: BTreeSet<(Name, Option<Name>)>,
}

/// An operation by its patch and place.
pub(super) type Name = (String, u32);

#[derive(Clone, Copy)]
struct Op<'p> {
    patch: &'p Patch,
    index: u32,
    what: Operation<'p>,
}

/// What an operation is about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Subject<'p> {
    Node(&'p str),
    Property(&'p str, &'p str),
    Edge(&'p str, &'p str, &'p str),
}

/// The picture that these patches give.
pub(super) fn picture<'p>(patches: impl Iterator<Item = &'p Patch>) -> Picture {
    let ops = patches.flat_map(|patch| {
        let ops = (0..).zip(patch.operations());
        ops.map(|(index, what)| Op { patch, index, what })
    });
    let all = Set(ops.collect());
    let mut subjects: BTreeMap<Subject<'_>, Vec<Op<'_>>> = BTreeMap::new();
    for op in &all.0 {
        subjects.entry(op.subject()).or_default().push(*op);
    }
    let mut picture = Picture::default();
    for (subject, ops) in subjects {
        match subject {
            Subject::Node(node) => all.show_node(node, &ops, &mut picture),
            other => all.show_other(other, &ops, &mut picture),
        }
    }
    picture
}

impl<'p> Op<'p> {
    fn name(&self) -> Name {
        (self.patch.id().to_string(), self.index)
    }

    fn saw(&self, other: &Op<'_>) -> bool {
        if self.patch.id() == other.patch.id() {
            return other.index < self.index;
        }
        let (mine, theirs) = (self.patch.header(), other.patch.header());
        mine.seen.contains(&theirs.dot) && theirs.stamp <= mine.seen.newest()
    }

    fn order(&self, other: &Op<'_>) -> Ordering {
        let (mine, theirs) = (self.patch.header(), other.patch.header());
        let stamps = mine.stamp.cmp(&theirs.stamp);
        let actors = || mine.dot.actor.cmp(&theirs.dot.actor);
        let patches = || self.patch.id().cmp(&other.patch.id());
        let places = || self.index.cmp(&other.index);
        stamps
            .then_with(actors)
            .then_with(patches)
            .then_with(places)
    }

    fn subject(&self) -> Subject<'p> {
        match self.what {
            Operation::AddNode { node } | Operation::RemoveNode { node } => Subject::Node(node),
            Operation::SetProperty { node, key, .. } | Operation::ClearProperty { node, key } => {
                Subject::Property(node, key)
            }
            Operation::AddEdge {
                source,
                relation,
                target,
            }
            | Operation::RemoveEdge {
                source,
                relation,
                target,
            } => Subject::Edge(source, relation, target),
        }
    }

    /// Whether it is about this node, or an edge at it.
    fn touches(&self, node: &str) -> bool {
        match self.subject() {
            Subject::Node(own) | Subject::Property(own, _) => own == node,
            Subject::Edge(source, _, target) => source == node || target == node,
        }
    }

    fn gives(&self) -> bool {
        matches!(
            self.what,
            Operation::AddNode { .. } | Operation::AddEdge { .. } | Operation::SetProperty { .. }
        )
    }

    fn removes_node(&self) -> Option<&'p str> {
        match self.what {
            Operation::RemoveNode { node } => Some(node),
            _ => None,
        }
    }

    fn value(&self) -> Option<&'p str> {
        match self.what {
            Operation::SetProperty { value, .. } => Some(value),
            _ => None,
        }
    }
}

/// All operations of a set of patches.
struct Set<'p>(Vec<Op<'p>>);

impl<'p> Set<'p> {
    /// The updates of a node that neither saw its removal nor were seen by it.
    fn against<'s>(
        &'s self,
        removal: &'s Op<'p>,
        node: &'s str,
    ) -> impl Iterator<Item = &'s Op<'p>> {
        let updates = self
            .0
            .iter()
            .filter(move |op| op.gives() && op.touches(node));
        updates.filter(|op| !op.saw(removal) && !removal.saw(op))
    }

    /// Whether a removal of a node that had seen an operation took it along.
    fn is_taken_along(&self, op: &Op<'p>) -> bool {
        op.removes_node().is_none()
            && self.0.iter().any(|removal| {
                removal.removes_node().is_some_and(|node| {
                    op.touches(node)
                        && removal.saw(op)
                        && self.against(removal, node).next().is_none()
                })
            })
    }

    /// Whether somebody who saw an operation did away with it.
    fn is_overwritten(&self, op: &Op<'p>) -> bool {
        let by_same = self.0.iter().any(|other| {
            let counts = other.removes_node().is_none() || op.removes_node().is_some();
            counts && other.subject() == op.subject() && other.saw(op)
        });
        by_same || self.is_taken_along(op)
    }

    fn is_there(&self, node: &str) -> bool {
        self.0
            .iter()
            .any(|op| op.what == Operation::AddNode { node } && !self.is_taken_along(op))
    }

    fn show_node(&self, node: &str, ops: &[Op<'p>], picture: &mut Picture) {
        if !self.is_there(node) {
            return;
        }
        picture.nodes.insert(node.to_owned());
        let removals = ops.iter().filter(|op| !op.gives());
        for removal in removals.filter(|op| !self.is_overwritten(op)) {
            let winner = self.against(removal, node).max_by(|a, b| a.order(b));
            if let Some(winner) = winner {
                picture.lost.insert((removal.name(), Some(winner.name())));
            }
        }
    }

    fn show_other(&self, subject: Subject<'_>, ops: &[Op<'p>], picture: &mut Picture) {
        let standing = ops.iter().filter(|op| !self.is_overwritten(op));
        let standing: Vec<&Op<'_>> = standing.collect();
        let given = standing.iter().filter(|op| op.gives());
        let Some(winner) = given.max_by(|a, b| a.order(b)) else {
            return;
        };
        let is_there = match subject {
            Subject::Node(node) | Subject::Property(node, _) => self.is_there(node),
            Subject::Edge(source, _, target) => self.is_there(source) && self.is_there(target),
        };
        match subject {
            Subject::Edge(source, relation, target) if is_there => {
                let edge = [source, relation, target].map(str::to_owned);
                picture.edges.insert(edge);
            }
            Subject::Property(node, key) if is_there => {
                let value = winner.value().unwrap_or_default().to_owned();
                picture
                    .properties
                    .insert((node.to_owned(), key.to_owned()), value);
            }
            _ => {}
        }
        for op in &standing {
            let beaten = !op.gives() || op.value() != winner.value();
            if beaten {
                picture.lost.insert((op.name(), Some(winner.name())));
            } else if !is_there {
                picture.lost.insert((op.name(), None));
            }
        }
    }
}
