//! The store of one host: SQLite in the state directory.
//!
//! Owns: [`SqliteStore`] and every file it keeps there: `maasl.db` with its
//! write-ahead log, `gate` and `floor`. Promises: the contract of
//! [`Store`](super::Store) between processes, any of which may be killed at any
//! instant. Leaves to others: the rules, and everything else in that directory.
//!
//! Order of everything taken here: connection mutex, gate, transaction.

mod aged;
mod changes;
mod checkpoint;
mod connection;
mod floor;
mod gate;
mod graphs;
mod health;
mod holder;
mod identity;
pub mod repair;
mod rows;
mod schema;
mod store;
mod sync;
mod view;

pub use health::IsDead;
pub use store::{Durability, OpenOptions, SqliteStore, library_is_safe, library_version};
pub use view::View;

/// How long SQLite itself waits for a lock that the gate should have kept free;
/// only recovery after a crash ever holds one.
pub(crate) const BUSY_TIMEOUT_MS: u32 = 2_000;
