//! Changes: what an author asks for, as the tool `graph_patch` takes it.
//!
//! Owns: the lists of a patch and the limits on them. Promises: what is over a
//! limit or says two things at once is refused whole, and the refusal names the
//! argument and the place in it. Leaves to others: who asks and what they had
//! seen (`patch`), and what it does to a graph (`state`).
//!
//! Within one patch removals come first, whatever the order of the lists: to
//! remove a node and to add it again is to begin it anew. Saying a thing twice is
//! saying it once.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::value::Value;

/// Most operations in a patch: every node, edge and property counts.
pub const OPERATIONS_MAX: usize = 250_000;
/// Longest id of a node, in bytes.
pub const ID_BYTES_MAX: usize = 4_096;
/// Longest name of a relation, property or actor, in bytes.
pub const NAME_BYTES_MAX: usize = 512;
/// Longest value, in bytes of its text.
pub const VALUE_BYTES_MAX: usize = 256 * 1024;
/// Largest patch, in bytes of its canonical form.
pub const PATCH_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What a patch changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Changes {
    /// Nodes that are to be there. Adding one that is there changes nothing but
    /// the properties named.
    pub nodes_to_add: Vec<Node>,
    /// Edges that are to be there. Their nodes may come later.
    pub edges_to_add: Vec<Edge>,
    /// Properties to set: node, then key, then value.
    pub properties_to_set: BTreeMap<String, BTreeMap<String, Value>>,
    /// Properties to clear: node, then keys.
    pub properties_to_clear: BTreeMap<String, Vec<String>>,
    /// Nodes that are to go, and with each what its author had seen of its
    /// properties and edges.
    pub nodes_to_remove: Vec<String>,
    /// Edges that are to go.
    pub edges_to_remove: Vec<Edge>,
}

/// A node with its properties: in a patch, those to set in the same breath. Its
/// kind and its label are properties of these names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Node {
    /// The id of the node.
    pub id: String,
    /// Its properties, written beside `id`.
    #[serde(flatten)]
    pub properties: BTreeMap<String, Value>,
}

/// An edge. There is at most one with the same three parts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Edge {
    /// The id of the node it leads from.
    #[serde(alias = "src", alias = "from")]
    pub source: String,
    /// What kind of edge it is.
    #[serde(rename = "type", alias = "relation", alias = "edge")]
    pub relation: String,
    /// The id of the node it leads to.
    #[serde(alias = "dst", alias = "to")]
    pub target: String,
}

/// A part of a patch, by the name of the argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    /// Who made the patch.
    #[error("actor")]
    Actor,
    /// Its number among the actor's patches.
    #[error("counter")]
    Counter,
    /// Its time.
    #[error("stamp")]
    Stamp,
    /// What its author had seen.
    #[error("seen")]
    Seen,
    /// [`Changes::nodes_to_add`].
    #[error("nodes_to_add")]
    NodesToAdd,
    /// [`Changes::edges_to_add`].
    #[error("edges_to_add")]
    EdgesToAdd,
    /// [`Changes::properties_to_set`].
    #[error("properties_to_set")]
    PropertiesToSet,
    /// [`Changes::properties_to_clear`].
    #[error("properties_to_clear")]
    PropertiesToClear,
    /// [`Changes::nodes_to_remove`].
    #[error("nodes_to_remove")]
    NodesToRemove,
    /// [`Changes::edges_to_remove`].
    #[error("edges_to_remove")]
    EdgesToRemove,
    /// All of it together.
    #[error("patch")]
    Patch,
}

/// Why a patch was not accepted. Nothing of it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{field}, entry {index}: {reason}")]
pub struct Invalid {
    /// What is at fault.
    pub field: Field,
    /// Which entry of it, counted from 0; 0 where there is only one.
    pub index: u32,
    /// What is wrong.
    pub reason: InvalidReason,
}

/// What is wrong with a patch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum InvalidReason {
    /// A name or id is empty, or there is nothing to do.
    #[error("{what} is empty")]
    Empty {
        /// What is.
        what: Part,
    },
    /// Something is over a limit.
    #[error("{what}: {found}, at most {max}")]
    TooLarge {
        /// What was measured.
        what: Part,
        /// Its size.
        found: u64,
        /// The largest size allowed.
        max: u64,
    },
    /// One property is set to two values.
    #[error("property {key:?} of node {node:?} is set to another value in the same patch")]
    Contradiction {
        /// The node.
        node: String,
        /// The property.
        key: String,
    },
    /// A property is called `id`, which a node has beside its properties.
    #[error("a property of node {node:?} is called `id`")]
    Reserved {
        /// The node.
        node: String,
    },
    /// The patch claims a place in time that it cannot have: a first number of 0,
    /// a stamp that is not after all it has seen, or having seen itself.
    #[error("it does not fit what the author had seen")]
    OutOfOrder,
    /// The bytes are not those of a patch.
    #[error("not the bytes of a patch")]
    Malformed,
}

/// What can be too large or empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The id of a node, in bytes.
    #[error("id, in bytes")]
    Id,
    /// A name of a relation, property or actor, in bytes.
    #[error("name, in bytes")]
    Name,
    /// A value, in bytes of its text.
    #[error("value, in bytes")]
    Value,
    /// A value, in lists and maps inside each other.
    #[error("value, in depth")]
    Depth,
    /// The operations of a patch, in number.
    #[error("operations")]
    Operations,
    /// The canonical form of a patch, in bytes.
    #[error("patch, in bytes")]
    Bytes,
    /// The gaps in what was seen, in number.
    #[error("gaps in what was seen")]
    Gaps,
}

impl Changes {
    /// How many operations these are, before doubles are taken out.
    #[must_use]
    pub fn operations(&self) -> usize {
        let in_nodes = self.nodes_to_add.iter().map(|node| node.properties.len());
        let set = self.properties_to_set.values().map(BTreeMap::len);
        let cleared = self.properties_to_clear.values().map(Vec::len);
        self.nodes_to_add.len()
            + self.edges_to_add.len()
            + self.nodes_to_remove.len()
            + self.edges_to_remove.len()
            + in_nodes.chain(set).chain(cleared).sum::<usize>()
    }
}

impl Part {
    /// Refuses what is over its limit.
    pub(super) fn within(self, found: usize, max: usize) -> Result<(), InvalidReason> {
        if found <= max {
            return Ok(());
        }
        let size = |number| u64::try_from(number).unwrap_or(u64::MAX);
        Err(InvalidReason::TooLarge {
            what: self,
            found: size(found),
            max: size(max),
        })
    }

    /// Refuses a text that is empty or over its limit.
    pub(super) fn check(self, text: &str, max: usize) -> Result<(), InvalidReason> {
        if text.is_empty() {
            return Err(InvalidReason::Empty { what: self });
        }
        self.within(text.len(), max)
    }
}
