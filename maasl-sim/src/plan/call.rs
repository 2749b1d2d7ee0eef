//! What an agent asks for.
//!
//! Owns: the actions of a workload. Promises: an action says what its agent
//! means; the bytes follow from the agent, the call and what it has seen. Leaves
//! to others: carrying it out (`world::agent`).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One call of an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// Not before then; milliseconds from the start.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub at_ms: u64,
    /// How long the agent thinks before it, after its last answer.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub think_us: u64,
    /// What it asks for.
    pub action: Action,
    /// Whether the request carries an idempotency key.
    #[serde(default, skip_serializing_if = "is_false")]
    pub keyed: bool,
    /// Whether the call is made under the agent's reservation, if it has one.
    #[serde(default, skip_serializing_if = "is_false")]
    pub under_lease: bool,
    /// The longest wait the agent accepts; the class decides where not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_wait_ms: Option<u64>,
    /// Batch work rather than interactive.
    #[serde(default, skip_serializing_if = "is_false")]
    pub batch: bool,
    /// After how long the agent cancels it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel_after_ms: Option<u64>,
    /// After how long without an answer the agent asks again.
    #[serde(default = "patience_ms", skip_serializing_if = "is_default_patience")]
    pub patience_ms: u64,
    /// How often it tries in all.
    #[serde(default = "attempts", skip_serializing_if = "is_default_attempts")]
    pub attempts: u32,
}

impl Call {
    /// A call with nothing special about it.
    #[must_use]
    pub fn new(action: Action) -> Self {
        Self {
            at_ms: 0,
            think_us: 0,
            action,
            keyed: false,
            under_lease: false,
            max_wait_ms: None,
            batch: false,
            cancel_after_ms: None,
            patience_ms: patience_ms(),
            attempts: attempts(),
        }
    }
}

fn patience_ms() -> u64 {
    60_000
}

fn attempts() -> u32 {
    3
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks with a reference"
)]
fn is_zero(value: &u64) -> bool {
    *value == 0
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks with a reference"
)]
fn is_false(value: &bool) -> bool {
    !*value
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks with a reference"
)]
fn is_default_patience(value: &u64) -> bool {
    *value == patience_ms()
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks with a reference"
)]
fn is_default_attempts(value: &u32) -> bool {
    *value == attempts()
}

/// What an agent asks for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// Reads a file.
    Read {
        /// Which.
        path: String,
    },
    /// Reads a file, then replaces its whole content, based on what was read.
    Write {
        /// Which.
        path: String,
        /// Whether independent changes are merged instead of refused.
        #[serde(default, skip_serializing_if = "is_false")]
        merge: bool,
        /// Whether it goes by what it saw last, without reading first.
        #[serde(default, skip_serializing_if = "is_false")]
        from_memory: bool,
    },
    /// Replaces the agent's own line by one that counts one more.
    Edit {
        /// Which.
        path: String,
    },
    /// Creates a file under a name that should be free.
    Create {
        /// Which.
        path: String,
    },
    /// Gives a file another name.
    Move {
        /// The old name.
        path: String,
        /// The new name.
        to: String,
        /// Whether as somebody who has not read it and says nothing of what it held.
        #[serde(default, skip_serializing_if = "is_false")]
        blind: bool,
    },
    /// Removes a file.
    Delete {
        /// Which.
        path: String,
    },
    /// Edits several files, all or nothing.
    Refactor {
        /// Which.
        paths: Vec<String>,
    },
    /// Brings back the content a file had before its last change.
    Restore {
        /// Which.
        path: String,
    },
    /// Adds rows to a database, all or nothing.
    DbWrite {
        /// Which: a name of the product's configuration.
        db: String,
        /// How many rows.
        rows: u32,
    },
    /// Has the document of a file made, and writes its text when asked for it.
    Docgen {
        /// Which file.
        path: String,
    },
    /// Edits files, adds rows to a database, brings documents and changes the
    /// graph, all or nothing.
    Transact(Together),
    /// Changes the graph.
    GraphPatch(GraphEdit),
    /// Looks at the whole graph.
    GraphQuery,
    /// Puts a checkpoint in the place of the patches of the graph.
    GraphCompact,
    /// Takes a lease over several calls.
    Reserve {
        /// Of which files or folders.
        paths: Vec<String>,
        /// Each with everything below it.
        #[serde(default, skip_serializing_if = "is_false")]
        subtree: bool,
        /// Beside other readers.
        #[serde(default, skip_serializing_if = "is_false")]
        shared: bool,
        /// For how long; the class decides where not given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ttl_ms: Option<u64>,
        /// Whether its server renews it.
        #[serde(default, skip_serializing_if = "is_false")]
        keep: bool,
    },
    /// Extends the reservation.
    Renew,
    /// Returns the reservation.
    Release,
    /// Takes leases away from whoever holds them.
    Revoke {
        /// On what.
        path: String,
    },
    /// Settles what dead processes left open.
    Recover,
}

/// What changes together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Together {
    /// Which files.
    pub paths: Vec<String>,
    /// Which database: a name of the product's configuration.
    pub db: String,
    /// How many rows; without any, the database has no part in it.
    pub rows: u32,
    /// The documents of which files. One that is edited too gets the document
    /// of what it becomes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub documents: Vec<String>,
    /// What happens to the graph.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patch: Option<GraphEdit>,
}

/// A patch of the graph.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct GraphEdit {
    /// What it does.
    pub change: GraphChange,
    /// To which node, by number.
    pub node: u32,
    /// The other end of an edge, by number.
    #[serde(default)]
    pub other: u32,
    /// Whether as somebody who has seen nothing of it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub blind: bool,
}

/// What a patch of a graph does.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum GraphChange {
    /// Adds a node, with a property.
    Add,
    /// Sets the property of a node.
    Set,
    /// Clears it.
    Clear,
    /// Adds an edge.
    Link,
    /// Removes an edge.
    Unlink,
    /// Removes a node.
    Remove,
}
