//! Operations: what a patch asks for, one thing at a time.
//!
//! Owns: the kinds of operations and their order, in words and over the numbers of
//! texts. Promises: the two say the same. Leaves to others: which operations a
//! patch has (`seal`), and what they do to a graph (`take`).

use super::super::texts::Texts;

/// One operation of a patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation<'p> {
    /// A node is to go.
    RemoveNode {
        /// Its id.
        node: &'p str,
    },
    /// An edge is to go.
    RemoveEdge {
        /// Where it leads from.
        source: &'p str,
        /// What it is.
        relation: &'p str,
        /// Where it leads to.
        target: &'p str,
    },
    /// A property is to go.
    ClearProperty {
        /// The node that has it.
        node: &'p str,
        /// Its name.
        key: &'p str,
    },
    /// A node is to be there.
    AddNode {
        /// Its id.
        node: &'p str,
    },
    /// An edge is to be there.
    AddEdge {
        /// Where it leads from.
        source: &'p str,
        /// What it is.
        relation: &'p str,
        /// Where it leads to.
        target: &'p str,
    },
    /// A property is to have a value.
    SetProperty {
        /// The node that has it.
        node: &'p str,
        /// Its name.
        key: &'p str,
        /// The canonical text of its value ([`Value::parse`](super::super::value::Value::parse) reads it).
        value: &'p str,
    },
}

impl<'p> Operation<'p> {
    /// An operation in words.
    pub(super) fn of(packed: Packed, texts: &'p Texts) -> Self {
        let [a, b, c] = packed.parts;
        let text = |n| texts.text(n);
        match packed.kind {
            Kind::RemoveNode => Self::RemoveNode { node: text(a) },
            Kind::AddNode => Self::AddNode { node: text(a) },
            Kind::ClearProperty => Self::ClearProperty {
                node: text(a),
                key: text(b),
            },
            Kind::SetProperty => Self::SetProperty {
                node: text(a),
                key: text(b),
                value: text(c),
            },
            Kind::RemoveEdge => Self::RemoveEdge {
                source: text(a),
                relation: text(b),
                target: text(c),
            },
            Kind::AddEdge => Self::AddEdge {
                source: text(a),
                relation: text(b),
                target: text(c),
            },
        }
    }
}

/// An operation over the numbers of texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::graph) struct Packed {
    pub(in crate::graph) kind: Kind,
    /// Node, or source; then property, or relation; then value, or target.
    /// Those a kind does not have are 0.
    pub(in crate::graph) parts: [u32; 3],
}

/// What an operation does. Removals come first in a patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(in crate::graph) enum Kind {
    RemoveNode,
    RemoveEdge,
    ClearProperty,
    AddNode,
    AddEdge,
    SetProperty,
}

impl Kind {
    pub(super) const ALL: [Self; 6] = [
        Self::RemoveNode,
        Self::RemoveEdge,
        Self::ClearProperty,
        Self::AddNode,
        Self::AddEdge,
        Self::SetProperty,
    ];

    /// How many parts an operation of this kind has.
    pub(in crate::graph) const fn parts(self) -> usize {
        match self {
            Self::RemoveNode | Self::AddNode => 1,
            Self::ClearProperty => 2,
            Self::RemoveEdge | Self::AddEdge | Self::SetProperty => 3,
        }
    }
}
