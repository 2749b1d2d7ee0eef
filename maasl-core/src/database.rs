//! What is asked of a guarded database.
//!
//! Owns: statements and their parameters as plain data, and what came of them.
//! Promises: a statement compares and hashes by every bit of its parameters.
//! Leaves to others: what SQL means and which of it is allowed (`maasl-node`),
//! the order of a guarded write (`coordinator::database`).

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use crate::id::{AgentId, ContentHash, OpId, Token};
use crate::lease::row::Answered;

/// The name under which the retrieval database is configured.
pub const RAG: &str = "rag";

/// Where the retrieval database lies unless configured: where LLMC keeps it.
pub const RAG_PATH: &str = ".llmc/index_v2.db";

/// What one guarded write does inside its transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// These statements, in order.
    Statements(Vec<Statement>),
    /// These descriptions of pieces of source, put beside or in place of those
    /// that are there.
    Enrich(Vec<Enrichment>),
    /// Whatever the caller in this process does with the transaction it is given.
    Caller,
}

/// What is known of one piece of source, and of which content of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enrichment {
    /// The file, relative to the root.
    pub path: String,
    /// The first line, counted from 1.
    pub start_line: u64,
    /// The last line, included.
    pub end_line: u64,
    /// Hash of these lines, line breaks included.
    pub sha256: ContentHash,
    /// What they are about.
    pub summary: String,
    /// Words to find them by.
    pub tags: Vec<String>,
    /// Who says so.
    pub agent: AgentId,
}

/// A description that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundSpan {
    /// The file, relative to the root.
    pub path: String,
    /// The first line, counted from 1.
    pub start_line: u64,
    /// The last line, included.
    pub end_line: u64,
    /// Hash of the lines that were described.
    pub sha256: Option<ContentHash>,
    /// What they are about.
    pub summary: String,
    /// Words they are found by.
    pub tags: Vec<String>,
    /// Who described them.
    pub agent: String,
    /// When; milliseconds since 1970.
    pub wall_ms: u64,
    /// How well it fits what was looked for: more is better.
    pub score: f64,
    /// Whether the lines are still what was described.
    pub is_current: bool,
}

/// One SQL statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Its text: exactly one statement.
    pub sql: String,
    /// What its parameters stand for.
    pub parameters: Parameters,
}

/// The parameters of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parameters {
    /// By place: the first is `?1`.
    Positional(Vec<Value>),
    /// By name, without the mark in front of it.
    Named(BTreeMap<String, Value>),
}

/// A value of one of SQLite's storage classes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// NULL.
    Null,
    /// INTEGER.
    Integer(i64),
    /// REAL.
    Real(Real),
    /// TEXT.
    Text(String),
    /// BLOB.
    Blob(Vec<u8>),
}

/// A floating-point number that compares by its bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Real {
    bits: u64,
}

impl Real {
    /// The number.
    #[must_use]
    pub fn new(number: f64) -> Self {
        Self {
            bits: number.to_bits(),
        }
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> f64 {
        f64::from_bits(self.bits)
    }
}

/// What statements did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Rows inserted, updated or deleted by the statements themselves, not by
    /// triggers.
    pub rows_affected: u64,
    /// The row id of the last insertion of the transaction, if there was one.
    pub last_insert_rowid: Option<i64>,
}

/// A transaction that has begun, and what the database says of earlier ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begun {
    /// The newest token under which anything was committed; zero if nothing was.
    pub fence: Token,
    /// What was answered under the idempotency key of the request.
    pub answered: Option<Answered>,
    /// Milliseconds since 1970, for the ages of answers.
    pub wall_ms: u64,
}

/// What is committed together with the caller's own changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seal {
    /// The token the fence is raised to.
    pub token: Token,
    /// The answer to remember under the request's idempotency key.
    pub answered: Option<Answered>,
    /// The commit that this is a part of: recovery asks whether it is there.
    pub part_of: Option<OpId>,
    /// When, in milliseconds since 1970.
    pub wall_ms: u64,
    /// What is older than this is forgotten; milliseconds since 1970.
    pub forget_before_wall_ms: u64,
}

/// A statement that was not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadStatement {
    /// Which, counted from 0; nothing where it was the caller's own work.
    pub index: Option<usize>,
    /// What is wrong with it.
    pub message: String,
    /// What to do instead.
    pub hint: Option<String>,
}
