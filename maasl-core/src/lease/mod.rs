//! `LeaseTable`: what is true about leases.
//!
//! Owns: the rules of granting, waiting, expiry, takeover, commit and revoke, as
//! one pure function from (rows, command, store time) to (outcome, row changes).
//! Promises: the same rules hold in every store, because a store only loads what
//! [`decide`] asks for and applies what it returns, in one transaction. Leaves to
//! others: atomicity (the store), latches, liveness probes and doorbells (the
//! node), and what a process does about an outcome (`coordinator`).

mod acquire;
mod commit;
mod deadlock;
mod decide;
mod document;
mod ending;
mod journal;
mod open;
mod planted;
mod watch;

pub mod command;
pub mod counter;
pub mod floor;
pub mod memory;
pub mod outcome;
pub mod query;
pub mod row;

pub use command::Command;
pub use counter::{Count, Counter, CounterKey};
pub use decide::{StoreClock, decide, transact};
pub use memory::MemoryRows;
pub use outcome::{Blocker, Change, Decision, Outcome, Wake};
pub use query::{Need, Query, RowSet, Rows};
pub use row::{
    Answered, CommitIntent, CommitItem, EndedLease, Lease, LeaseEnd, LeaseKind, Meta, RequestKey,
    Session, Ticket, Version,
};
