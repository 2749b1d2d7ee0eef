//! What the threads of one process share.
//!
//! Owns: everything in which two threads of a process meet in memory, one noun a
//! module, with no file, socket or database in it. Promises: built with
//! `--cfg loom`, the same code runs under loom, which tries the orders in which
//! threads may take turns; `tests/loom/` says what must hold in all of them.
//! Leaves to others: what it is shared for (`maasl-node`, `maasl-mcp`), and what
//! the kernel shares between processes.

pub mod checkpoint;
pub mod helper;
pub mod life;
pub mod log_sync;
pub mod replaceable;
pub mod rows;
pub mod shards;
pub mod switchboard;
pub mod sync;
pub mod vigil;
