//! Stores: where the rows of the lease table live.
//!
//! Owns: the [`Store`] contract and what may go wrong with one. Promises: every
//! command is decided by `maasl_core::lease` and its changes are applied whole or
//! not at all; a caller never sees [`Outcome::NeedReserve`]. Leaves to others:
//! the rules (the core), latches, liveness and doorbells (the rest of the node).

pub mod clock;
mod error;
pub mod memory;
pub mod sqlite;

use std::collections::BTreeMap;

use maasl_core::docgen::DocgenRecord;
use maasl_core::lease::{Command, Meta, Outcome, Version};

pub use clock::Clock;
pub use error::{GateHolder, StoreError};
pub use memory::MemoryStore;
pub use sqlite::{Durability, OpenOptions, SqliteStore};

/// What has been counted.
pub type Counters = BTreeMap<CounterRow, u64>;

/// What one counter counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct CounterRow {
    /// In which hour since 1970, by the wall clock; 0: longer ago than
    /// [`HOURS_KEPT`](maasl_core::lease::counter::HOURS_KEPT) hours.
    pub hour: u64,
    /// By which agent; empty for those of hour 0.
    pub agent: String,
    /// Which counter.
    pub name: String,
    /// For which resource class.
    pub class: String,
}

/// The rows of one repository, and the only way to change them.
pub trait Store: Send + Sync {
    /// Runs `command` in one transaction. When it returns, the changes stand for
    /// every other user of the store, and, where the command says that they must
    /// ([`Command::sync_need`]), they survive a power cut.
    fn transact(&self, command: &Command) -> Result<Outcome, StoreError>;

    /// The row about the store itself.
    fn meta(&self) -> Result<Meta, StoreError>;

    /// At most `limit` versions of `path`, newest first.
    fn history(&self, path: &str, limit: u32) -> Result<Vec<Version>, StoreError>;

    /// This version of `path`, if it is known and was not dropped since.
    fn version(&self, path: &str, number: u64) -> Result<Option<Version>, StoreError>;

    /// Every counter that is not zero.
    fn counters(&self) -> Result<Counters, StoreError>;

    /// At most `limit` operations on documents, newest first.
    fn docgen_log(&self, limit: u32) -> Result<Vec<DocgenRecord>, StoreError>;

    /// Forgets the answers given and the leases ended before this wall time, in
    /// milliseconds since 1970; revocations stay, as the audit. The caller keeps the
    /// published window.
    fn forget_answers_before(&self, wall_ms: u64) -> Result<(), StoreError>;
}
