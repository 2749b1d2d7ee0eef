//! A second statement of what a set of patches amounts to.
//!
//! Owns: the rules as definitions over the whole set, looked up by going through
//! everything. Promises: shares nothing with the graph but patches. Leaves to
//! others: being fast.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use maasl_core::graph::patch::{Operation, Patch};

/// What there is to see of a graph.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Picture {
    pub(crate) nodes: BTreeSet<String>,
    pub(crate) properties: BTreeMap<(String, String), String>,
    pub(crate) edges: BTreeSet<(String, String, String)>,
    pub(crate) log: BTreeSet<Entry>,
}

/// An operation by its patch and place.
pub(crate) type Name = (String, u32);

/// One entry of the conflict log.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    pub(crate) subject: Vec<String>,
    pub(crate) reason: String,
    pub(crate) loser: Name,
    pub(crate) lost: Option<String>,
    pub(crate) winner: Option<Name>,
}

#[derive(Clone, Copy)]
pub(crate) struct Op<'p> {
    pub(crate) patch: &'p Patch,
    pub(crate) index: u32,
    pub(crate) what: Operation<'p>,
}

/// All operations of a set of patches.
pub(crate) struct Set<'p> {
    pub(crate) ops: Vec<Op<'p>>,
    patches: Vec<&'p Patch>,
}

impl Picture {
    /// Whether it shows what an operation asked for.
    pub(crate) fn tells(&self, op: &Op) -> bool {
        let edge = |source: &str, relation: &str, target: &str| {
            let edge = (source.into(), relation.into(), target.into());
            self.edges.contains(&edge)
        };
        let property = |node: &str, key: &str| self.properties.get(&(node.into(), key.into()));
        match op.what {
            Operation::AddNode { node } => self.nodes.contains(node),
            Operation::RemoveNode { node } => !self.nodes.contains(node),
            Operation::SetProperty { node, key, value } => {
                property(node, key).is_some_and(|shown| shown == value)
            }
            Operation::ClearProperty { node, key } => property(node, key).is_none(),
            Operation::AddEdge {
                source,
                relation,
                target,
            } => edge(source, relation, target),
            Operation::RemoveEdge {
                source,
                relation,
                target,
            } => !edge(source, relation, target),
        }
    }
}

impl<'p> Op<'p> {
    pub(crate) fn name(&self) -> Name {
        (self.patch.id().to_string(), self.index)
    }

    fn saw(&self, other: &Op) -> bool {
        if self.patch.id() == other.patch.id() {
            return other.index < self.index;
        }
        let (mine, theirs) = (self.patch.header(), other.patch.header());
        mine.seen.contains(&theirs.dot) && theirs.stamp <= mine.seen.newest()
    }

    fn order(&self, other: &Op) -> Ordering {
        let key = |op: &Op| {
            let header = op.patch.header();
            let actor = header.dot.actor.as_str().to_owned();
            (header.stamp, actor, op.patch.id(), op.index)
        };
        key(self).cmp(&key(other))
    }

    /// The register it is about.
    fn subject(&self) -> Vec<String> {
        let parts: &[&str] = match &self.what {
            Operation::AddNode { node } | Operation::RemoveNode { node } => &["node", node],
            Operation::SetProperty { node, key, .. } | Operation::ClearProperty { node, key } => {
                &["property", node, key]
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
            } => &["edge", source, relation, target],
        };
        parts.iter().copied().map(String::from).collect()
    }

    /// The nodes it needs.
    fn nodes(&self) -> BTreeSet<&'p str> {
        match self.what {
            Operation::AddEdge { source, target, .. }
            | Operation::RemoveEdge { source, target, .. } => [source, target].into(),
            Operation::AddNode { node }
            | Operation::RemoveNode { node }
            | Operation::SetProperty { node, .. }
            | Operation::ClearProperty { node, .. } => [node].into(),
        }
    }

    fn gives(&self) -> bool {
        matches!(
            self.what,
            Operation::AddNode { .. } | Operation::AddEdge { .. } | Operation::SetProperty { .. }
        )
    }

    fn value(&self) -> Option<String> {
        match self.what {
            Operation::SetProperty { value, .. } => Some(value.into()),
            _ => None,
        }
    }
}

impl<'p> Set<'p> {
    pub(crate) fn of(patches: &'p [Patch]) -> Self {
        let distinct: BTreeMap<_, _> = patches.iter().map(|patch| (patch.id(), patch)).collect();
        let patches: Vec<&Patch> = distinct.into_values().collect();
        let ops = patches.iter().flat_map(|patch| {
            let ops = (0..).zip(patch.operations());
            ops.map(|(index, what)| Op { patch, index, what })
        });
        Self {
            ops: ops.collect(),
            patches,
        }
    }

    fn removals(&self, node: &str) -> Vec<&Op<'p>> {
        let is_it = |op: &&Op| op.what == Operation::RemoveNode { node };
        self.ops.iter().filter(is_it).collect()
    }

    /// The updates of a node that neither saw a removal nor were seen by it.
    fn against(&self, removal: &Op) -> Vec<&Op<'p>> {
        let nodes = removal.nodes();
        self.ops
            .iter()
            .filter(|op| op.gives() && !op.nodes().is_disjoint(&nodes))
            .filter(|op| !op.saw(removal) && !removal.saw(op))
            .collect()
    }

    fn has_effect(&self, removal: &Op) -> bool {
        self.against(removal).is_empty()
    }

    /// Whether somebody who saw an operation did away with it.
    pub(crate) fn is_overwritten(&self, op: &Op) -> bool {
        let subject = op.subject();
        let by_same = self.ops.iter().any(|other| {
            let counts = !matches!(other.what, Operation::RemoveNode { .. });
            let is_removal = matches!(op.what, Operation::RemoveNode { .. });
            other.subject() == subject && (counts || is_removal) && other.saw(op)
        });
        by_same || self.is_taken_along(op)
    }

    fn is_taken_along(&self, op: &Op) -> bool {
        if matches!(op.what, Operation::RemoveNode { .. }) {
            return false;
        }
        let nodes = op.nodes();
        let mut removals = nodes.iter().flat_map(|node| self.removals(node));
        removals.any(|removal| removal.saw(op) && self.has_effect(removal))
    }

    fn is_there(&self, node: &str) -> bool {
        self.ops
            .iter()
            .any(|op| op.what == Operation::AddNode { node } && !self.is_taken_along(op))
    }

    pub(crate) fn picture(&self) -> Picture {
        let mut picture = Picture::default();
        let mut subjects: BTreeMap<Vec<String>, Vec<&Op>> = BTreeMap::new();
        for op in &self.ops {
            subjects.entry(op.subject()).or_default().push(op);
        }
        for (subject, ops) in &subjects {
            if subject[0] == "node" {
                self.node(subject, ops, &mut picture);
            } else {
                self.other(subject, ops, &mut picture);
            }
        }
        self.twins(&mut picture);
        picture
    }

    fn node(&self, subject: &[String], ops: &[&Op], picture: &mut Picture) {
        if !self.is_there(&subject[1]) {
            return;
        }
        picture.nodes.insert(subject[1].clone());
        for op in ops
            .iter()
            .filter(|op| !op.gives() && !self.is_overwritten(op))
        {
            let against = self.against(op);
            let Some(winner) = against.into_iter().max_by(|a, b| a.order(b)) else {
                continue;
            };
            picture.log.insert(Entry {
                subject: subject.to_vec(),
                reason: "updated".into(),
                loser: op.name(),
                lost: None,
                winner: Some(winner.name()),
            });
        }
    }

    fn other(&self, subject: &[String], ops: &[&Op], picture: &mut Picture) {
        let standing: Vec<&&Op> = ops.iter().filter(|op| !self.is_overwritten(op)).collect();
        let given = standing.iter().filter(|op| op.gives());
        let Some(winner) = given.max_by(|a, b| a.order(b)) else {
            return;
        };
        let is_there = winner.nodes().iter().all(|node| self.is_there(node));
        if is_there && subject[0] == "edge" {
            let [_, a, b, c] = subject else {
                panic!("an edge has three parts")
            };
            picture.edges.insert((a.clone(), b.clone(), c.clone()));
        } else if is_there {
            let key = (subject[1].clone(), subject[2].clone());
            picture
                .properties
                .insert(key, winner.value().expect("it was set"));
        }
        for op in &standing {
            let reason = if !op.gives() {
                "updated"
            } else if op.value() != winner.value() {
                "other value"
            } else if is_there {
                continue;
            } else {
                "no node"
            };
            picture.log.insert(Entry {
                subject: subject.to_vec(),
                reason: reason.into(),
                loser: op.name(),
                lost: op.value(),
                winner: (reason != "no node").then(|| winner.name()),
            });
        }
    }

    fn twins(&self, picture: &mut Picture) {
        for patch in &self.patches {
            let op = |patch| Op {
                patch,
                index: 0,
                what: Operation::AddNode { node: "" },
            };
            let twins = self
                .patches
                .iter()
                .filter(|other| other.header().dot == patch.header().dot);
            let last = twins.max_by(|a, b| op(a).order(&op(b))).expect("itself");
            if last.id() != patch.id() {
                let dot = &patch.header().dot;
                picture.log.insert(Entry {
                    subject: vec!["dot".into(), dot.actor.to_string(), dot.counter.to_string()],
                    reason: "shared dot".into(),
                    loser: op(patch).name(),
                    lost: None,
                    winner: Some(op(last).name()),
                });
            }
        }
    }
}
