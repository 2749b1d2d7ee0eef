//! What a guarded call answers when it succeeds.
//!
//! Owns: the results that must be remembered under an idempotency key. Promises:
//! a receipt can be stored and given again unchanged. Leaves to others: the
//! envelope around it (the adapter) and refusals (`refusal`).

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::docgen::Made;
use crate::graph::conflict::Conflict;
use crate::graph::patch::PatchId;
use crate::graph::seen::Seen;
use crate::graph::state::Merged;
use crate::id::{ContentHash, LeaseId, Token};
use crate::resource::Want;

/// The answer to a call that changed something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Receipt {
    /// Files were changed.
    Changed {
        /// What happened to each, in the order asked.
        files: Vec<FileChanged>,
        /// The token all of them were written under.
        token: Token,
        /// How long the call waited for its lease.
        waited_ms: u64,
        /// What took effect together with them.
        #[serde(default, skip_serializing_if = "Beyond::is_empty")]
        beyond: Beyond,
    },
    /// A database was written.
    Written {
        /// Which, by its name in the configuration.
        db: String,
        /// Rows inserted, updated or deleted.
        rows_affected: u64,
        /// The row id of the last insertion, if there was one.
        last_insert_rowid: Option<i64>,
        /// The token it was written under.
        token: Token,
        /// How long the call waited for its lease.
        waited_ms: u64,
    },
    /// Pieces of source were described in the retrieval database.
    Enriched {
        /// How many.
        enriched: u64,
        /// Those that were left out, and why.
        skipped: Vec<SkippedSpan>,
        /// The token it was written under.
        token: Token,
        /// How long the call waited for its lease.
        waited_ms: u64,
    },
    /// A lease was granted.
    Leased {
        /// The right to use it.
        lease: LeaseId,
        /// Its token.
        token: Token,
        /// What it covers.
        wants: Vec<Want>,
        /// How long it lasts from the grant.
        ttl_ms: u64,
        /// How long the call waited.
        waited_ms: u64,
    },
    /// A lease was returned.
    Released {
        /// How long it was held.
        held_ms: u64,
    },
    /// A graph was patched.
    Patched(Box<GraphChanged>),
    /// A document was made from its source already; nothing was changed.
    Fresh {
        /// The source.
        source: String,
        /// The document.
        document: String,
        /// The hash of the source.
        source_sha256: ContentHash,
        /// The hash of the document.
        sha256: ContentHash,
        /// How long the call waited for its lease.
        waited_ms: u64,
    },
}

impl Receipt {
    /// Whether it speaks of a patch that took effect with something else.
    #[must_use]
    pub fn patches_a_graph(&self) -> bool {
        matches!(self, Self::Changed { beyond, .. } if beyond.graph.is_some())
    }
}

/// What a transaction did beyond files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beyond {
    /// The database that was written, if one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<DatabaseChanged>,
    /// The documents that were made from their sources already.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fresh: Vec<FreshDocument>,
    /// The graph that was patched, if one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub graph: Option<Box<GraphChanged>>,
}

/// What a patch did to a graph; that of a transaction, as of what was known right
/// before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GraphChanged {
    /// Which graph.
    pub graph: String,
    /// The identity of the patch.
    pub patch: PatchId,
    /// What it did to what shows of that which it names.
    pub effect: Merged,
    /// Conflicts that an operation of the patch won or lost, the first of them.
    pub conflicts: Vec<Conflict>,
    /// How many such conflicts there are.
    pub conflicts_total: u64,
    /// What its author has seen of the graph now.
    pub seen: Seen,
}

impl Beyond {
    /// Whether there was nothing but files.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.database.is_none() && self.fresh.is_empty() && self.graph.is_none()
    }
}

/// What became of a database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseChanged {
    /// Which, by its name in the configuration.
    pub db: String,
    /// Rows inserted, updated or deleted.
    pub rows_affected: u64,
    /// The row id of the last insertion, if there was one.
    pub last_insert_rowid: Option<i64>,
}

/// A document that was left as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FreshDocument {
    /// The source.
    pub source: String,
    /// The document.
    pub document: String,
    /// The hash of the source.
    pub source_sha256: ContentHash,
    /// The hash of the document.
    pub sha256: ContentHash,
}

/// A piece of source that was not described.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkippedSpan {
    /// The file, relative to the root.
    pub path: String,
    /// The first line, counted from 1.
    pub start_line: u64,
    /// The last line, included.
    pub end_line: u64,
    /// Why.
    pub reason: SkipReason,
    /// The hash of these lines now, where they are there.
    pub current: Option<ContentHash>,
}

/// Why a piece of source was not described.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipReason {
    /// The lines are no longer what was described.
    Changed,
    /// The file has fewer lines.
    OutOfRange,
    /// There is no such file.
    Missing,
}

/// What became of one file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileChanged {
    /// Path relative to the root.
    pub path: String,
    /// `write`, `edit`, `move`, `delete`, `restore` or `docgen`.
    pub op: String,
    /// Where a moved file came from.
    pub source: Option<String>,
    /// Bytes of the new content.
    pub bytes_written: u64,
    /// Hash of the new content; nothing for a removal.
    pub sha256: Option<ContentHash>,
    /// Hash of what was displaced; nothing for a new file.
    pub previous_sha256: Option<ContentHash>,
    /// The version number it got; filled in when the commit finishes.
    pub version: u64,
    /// Whether it was merged with a change its author had not seen.
    pub merged: bool,
    /// Whether its edits were applied to content its author had not seen.
    pub rebased: bool,
    /// How many places were edited.
    pub replacements: u32,
    /// What changed, as a unified diff, where the tool shows one.
    pub diff: Option<String>,
    /// Set when a foreign change was found at the swap: the content that came
    /// from outside. Both contents exist; this call's is in the history.
    pub conflict: Option<SwapConflict>,
    /// What it was made from, if it is a document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<Made>,
    /// How many of its entries were left as they are because the graph has nothing to
    /// say of them, if it is the file of a graph.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carried_over: Option<u64>,
}

/// A foreign change met at the swap itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwapConflict {
    /// What the outside writer left in the file; nothing if it removed it.
    pub found: Option<ContentHash>,
    /// Whether the file now holds the outside content (`true`, the usual case)
    /// or this call's.
    pub outside_stands: bool,
}
