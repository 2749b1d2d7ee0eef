//! What is remembered of the making of documents.
//!
//! Owns: one line of the log of such operations, and the mark that a changed
//! file is a document. Promises: plain data; a line says all that
//! `llmc_docgen_status` shows. Leaves to others: how many lines are kept (a
//! store), and counting (`lease::counter`).

use alloc::string::String;

use serde::{Deserialize, Serialize};

use crate::id::{ContentHash, Owner};

/// Lines kept in the log of a store; the oldest go first.
pub const RECORDS_MAX: u32 = 1_000;

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DocgenStatus {
    /// The document was written.
    Generated,
    /// It was made from this source already.
    Noop,
    /// It was refused or failed.
    Error,
}

impl DocgenStatus {
    /// Its word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Generated => "generated",
            Self::Noop => "noop",
            Self::Error => "error",
        }
    }
}

/// One operation on a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocgenRecord {
    /// How it ended.
    pub status: DocgenStatus,
    /// The source, relative to the root.
    pub source: String,
    /// The document, relative to the root.
    pub document: String,
    /// Hash of the source; nothing for an error.
    pub hash: Option<ContentHash>,
    /// How long it took.
    pub duration_ms: u64,
    /// Why it was refused or failed.
    pub error: Option<String>,
    /// For whom.
    pub owner: Owner,
    /// When, milliseconds since 1970; filled in by the store.
    pub wall_ms: u64,
}

/// What a changed file was made from, if it is a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// The source, relative to the root.
    pub source: String,
    /// Its hash.
    pub source_sha256: ContentHash,
    /// How long making it took, up to the commit.
    pub duration_ms: u64,
}
